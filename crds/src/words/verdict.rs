//! What is said of an SLO. Pure.

use super::table::words;

words! {
    /// The verdict over one SLO.
    Verdict is a "verdict" {
        Healthy: "Nothing speaks against the candidates.";
        Deviating: "A guard, or the comparison, speaks against the candidates strongly enough to revert.";
        Inconclusive: "It is too early to say, or something holds that is not a deviation of the release.";
        NoData: "There is nothing that can be trusted (R12): never a pass, never a revert.";
        Uncalibrated: "The comparison is asked for and may not speak (R13): it holds and asks, and never reverts.";
    }
}
