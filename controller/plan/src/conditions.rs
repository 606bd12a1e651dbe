//! kstatus conditions (rule R29). Pure.

use breakwater_crds::status::{Condition, ConditionStatus, Phase};

use crate::{
    draft::{Draft, Hold, clip},
    fleet, judging,
};

/// Whether a condition holds, one word for machines, a sentence for people.
struct Row {
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

/// A condition that holds for a reason, or does not for that of its absence.
fn row(type_: &'static str, found: Option<(&'static str, String)>, absent: &'static str) -> Row {
    let holds = found.is_some();
    let (reason, message) = found.unwrap_or((absent, String::new()));
    Row { type_, holds, reason, message }
}

/// The conditions of a plan whose sentence is made.
pub(crate) fn conditions(draft: &Draft<'_>) -> Vec<Condition> {
    let reconciling = row("Reconciling", None, "Observed"); // the plan is of the newest generation
    let rows = [
        ready(draft),
        reconciling,
        stalled(draft),
        progressing(draft),
        deviating(draft),
        held(draft),
        blind(draft),
        accepted(draft),
    ];
    let old = &draft.status.conditions;
    let condition = |Row { type_, holds, reason, message }| {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        // A hold's age is its own, not that of the one before it.
        let same = |c: &&Condition| {
            c.type_ == type_ && c.status == status && (type_ != "Held" || is_same_hold(&c.reason, reason))
        };
        Condition {
            type_: type_.into(),
            status,
            reason: reason.into(),
            message,
            last_transition_time: old.iter().find(same).map_or(draft.now, |c| c.last_transition_time),
            observed_generation: draft.observed.generation,
        }
    };
    rows.into_iter().map(condition).collect()
}

/// True where one hold goes on under the other's name, as its cause becomes known.
pub(crate) fn is_same_hold(a: &str, b: &str) -> bool {
    let failures = |reason| matches!(reason, "TooManyFailures" | "Infrastructure");
    a == b || (failures(a) && failures(b))
}

fn is_out(draft: &Draft<'_>) -> bool {
    matches!(draft.status.phase, Phase::Reverted | Phase::RevertedPartly)
}

/// What only a human ends; a brake that a human put on is known to one.
fn stuck<'a>(draft: &'a Draft<'_>) -> Option<&'a Hold> {
    draft.holds.iter().find(|hold| hold.needs_human && !matches!(hold.reason, "Paused" | "Held" | "Stopped"))
}

/// True while the plan is followed: soaking, suspended by a human, waiting for approvals and windows included.
fn ready(draft: &Draft<'_>) -> Row {
    let phase = draft.status.phase;
    let followed = draft.holds.iter().all(|hold| matches!(hold.reason, "Paused" | "Held"));
    let holds = !is_out(draft) && !phase.is_reverting() && followed && draft.observed.refused.is_none();
    let hold = stuck(draft).or(draft.holds.first()).filter(|_| !holds && !is_out(draft));
    let reason = hold.map_or(phase.as_str(), |hold| hold.reason);
    Row { type_: "Ready", holds, reason, message: draft.status.message.clone() }
}

fn stalled(draft: &Draft<'_>) -> Row {
    let reason = stuck(draft).map(|hold| hold.reason);
    let reason = if is_out(draft) { Some(draft.status.phase.as_str()) } else { reason };
    row("Stalled", reason.map(|reason| (reason, draft.status.message.clone())), "None")
}

fn progressing(draft: &Draft<'_>) -> Row {
    let phase = draft.status.phase;
    let holds = phase.is_under_way() && draft.holds.is_empty();
    Row { type_: "Progressing", holds, reason: phase.as_str(), message: draft.status.message.clone() }
}

/// A revert that Git asked for is no deviation.
fn deviating(draft: &Draft<'_>) -> Row {
    let revert =
        draft.status.revert.as_ref().filter(|revert| draft.status.phase.is_reverting() && !revert.by_spec);
    let held = draft.holds.iter().find(|hold| hold.reason == "Deviating");
    let message = revert.map(|revert| &revert.message).or(held.map(|hold| &hold.message));
    row("Deviating", message.map(|message| ("Deviation", message.clone())), "None")
}

fn held(draft: &Draft<'_>) -> Row {
    row("Held", draft.holds.first().map(|hold| (hold.reason, hold.message.clone())), "None")
}

/// Without data for so long that somebody should look at Prometheus.
fn blind(draft: &Draft<'_>) -> Row {
    let since = draft.status.slos.iter().filter_map(|slo| slo.no_data_since).min();
    let long = |since: &jiff::Timestamp| fleet::after(*since, judging::BLIND_AFTER) <= draft.now;
    let since = since.filter(long).filter(|_| draft.status.phase.is_under_way());
    row("Blind", since.map(|since| ("NoData", format!("no data since {since}"))), "None")
}

fn accepted(draft: &Draft<'_>) -> Row {
    let refused = draft.observed.refused;
    let reason = if refused.is_none() { "Valid" } else { "Invalid" };
    Row {
        type_: "Accepted",
        holds: refused.is_none(),
        reason,
        message: refused.map_or_else(String::new, clip),
    }
}
