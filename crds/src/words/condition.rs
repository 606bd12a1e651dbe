//! The conditions of a Rollout (R29). Pure.

use super::table::words;

words! {
    /// A condition of a Rollout.
    ConditionType is a "condition type" {
        Ready: "The plan is followed: soaking, suspended by a human, waiting for approvals and windows included.";
        Reconciling: "The newest generation was not looked at yet.";
        Stalled: "Only a human goes on.";
        Progressing: "A version is under way and nothing holds.";
        Deviating: "There is a deviation, or its revert.";
        Held: "Nothing advances; the reason says why.";
        Blind: "There have been no data for half an hour.";
        Accepted: "The newest spec is in force.";
    }
}

words! {
    /// The reason of a condition where that is neither a hold's nor a phase.
    ConditionReason is a "condition reason" {
        None: "There is nothing of the kind.";
        Observed: "The status speaks of the newest generation.";
        Valid: "The spec is accepted.";
        Invalid: "The spec is refused.";
        Deviation: "A deviation was decided.";
        NoData: "There are no data.";
    }
}
