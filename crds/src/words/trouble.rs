//! Why a human may want to look at a tenant. Pure.

use super::table::words;

words! {
    /// Why a tenant is listed in `status.troubled`, the worst first.
    Trouble is a "trouble" {
        RevertFailed: "It went back and did not become ready in time.";
        NoSafeVersion: "Every version that it could go back to is rejected, or none is known.";
        Failed: "It was updated and did not become ready in time.";
        Contested: "Somebody else changed its version.";
        WriteRefused: "The API server refuses to write it; the message has its words.";
        OwnerNotReleased: "A manager that is not in `takeFrom` owns its version.";
        Reverted: "The version is rejected for it alone (R22).";
        NotReadyBefore: "It is not ready since its update, and was not before: its readiness says nothing about the version.";
        PreviousUnknown: "Its marker names a previous version that this Rollout never saw: it goes back to the stable one.";
        Unreadable: "Its version cannot be read.";
        Claimed: "It carries another Rollout's marker.";
        NoConsent: "Its namespace has not consented (R39).";
    }
}
