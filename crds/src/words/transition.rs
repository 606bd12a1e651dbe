//! What a transition is called. Pure.

use super::table::words;
use Severity::{Normal, Warning};

/// How loud a transition is; the type of its Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As planned, or as somebody asked.
    Normal,
    /// Somebody may want to look.
    Warning,
}

words! {
    /// What a transition is called (R31): the reason in `status.history`, of the Event and of `breakwater_transitions_total`.
    TransitionReason is a "transition reason" with Severity {
        Adopting: "A fleet without history was counted; an approval is asked for (R33)." => Normal;
        Adopted: "The stable version of a fleet without history is known." => Normal;
        Started: "A version is under way." => Normal;
        Queued: "A version waits for the one under way, or for a gate." => Normal;
        Superseded: "A version took over from the one under way, from the first wave." => Normal;
        Rejected: "The wanted version is rejected and is not rolled out (R19)." => Warning;
        WaveStarted: "The first tenants of a wave may be written." => Normal;
        WaveSkipped: "A wave without live tenants was passed." => Normal;
        WaveUpdated: "All tenants of a wave are updated and ready, bar the failures that it bears." => Normal;
        SoakStarted: "A wave is warm, and its soak clock runs." => Normal;
        ApprovalNeeded: "A wave waits for an approval." => Normal;
        WavePassed: "A wave has soaked, and the next one may start." => Normal;
        Watching: "All waves are passed; the SLOs are watched on for `watchAfter`." => Normal;
        Completed: "The version is the stable one." => Normal;
        Deviation: "The version deviates; the `DeviationReport` has the account." => Warning;
        TenantReverting: "Tenants that are guilty by themselves go back alone (R22)." => Warning;
        RevertGated: "A revert waits: the version before does not run on the new schema (R21)." => Warning;
        Reverting: "The version is taken out." => Warning;
        RevertedTenants: "All tenants are back that could go back." => Normal;
        Verifying: "The SLOs are watched to see whether the revert helped (R20)." => Normal;
        Reverted: "The version is out. A warning where the SLOs did not recover." => Normal;
        RevertedPartly: "The version is out but for tenants that are listed in `troubled`." => Warning;
        Held: "Something holds; the message begins with the hold's reason." => Warning;
        Resumed: "Nothing holds any more." => Normal;
        Blind: "There have been no data for half an hour." => Warning;
        EvidenceAnew: "A comparison starts anew with what is left of alpha: another judge had stored it." => Warning;
        ActionHonoured: "A `RolloutAction` took effect." => Normal;
        ActionRefused: "A `RolloutAction` did not take effect, and never will." => Warning;
        Lifted: "A hold or stop ended at its time." => Normal;
        SpecChanged: "A newer generation of the spec is in force (R9)." => Normal;
        SpecRefused: "The newest spec is refused; the accepted one goes on (R9)." => Warning;
        OpenDeviations: "The version starts although deviations of another version were not answered." => Warning;
        Migrations: "The version starts although its migrations are missing or speak against it." => Warning;
        LoadTest: "The version starts although its load test is missing or speaks against it." => Warning;
        SoakGate: "The version starts although another Rollout has not soaked what it includes." => Warning;
    }
}

impl TransitionReason {
    /// How loud it is as a rule. `Reverted` and `Completed` are told as a warning too, where tenants or SLOs did not
    /// recover; `Transition.warning` says which it was.
    pub const fn severity(self) -> Severity {
        self.facts()
    }
}
