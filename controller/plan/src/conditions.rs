//! kstatus conditions (rule R29). Pure.

use breakwater_crds::{
    status::{Condition, ConditionStatus, Phase},
    words::{ConditionReason, ConditionType, HoldReason, Word},
};

use crate::{
    draft::{Draft, Hold, clip},
    fleet, judging,
};

/// Whether a condition holds, one word for machines, a sentence for people.
struct Row {
    type_: ConditionType,
    holds: bool,
    reason: &'static str,
    message: String,
}

/// A condition that holds for a reason, or does not for that of its absence.
fn row(type_: ConditionType, found: Option<(&'static str, String)>, absent: ConditionReason) -> Row {
    let holds = found.is_some();
    let (reason, message) = found.unwrap_or((absent.as_str(), String::new()));
    Row { type_, holds, reason, message }
}

/// The conditions of a plan whose sentence is made.
pub(crate) fn conditions(draft: &Draft<'_>) -> Vec<Condition> {
    let reconciling = row(ConditionType::Reconciling, None, ConditionReason::Observed); // the plan is of the newest generation
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
            let goes_on = || c.reason == reason || is_same_failure(&c.reason, reason);
            c.type_ == type_ && c.status == status && (type_ != ConditionType::Held || goes_on())
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

/// True where one hold for failed tenants goes on under the other's name, as its cause becomes known.
pub(crate) fn is_same_failure(a: &str, b: &str) -> bool {
    [a, b].into_iter().all(is_for_failures)
}

/// True for a hold for failed tenants.
pub(crate) fn is_for_failures(reason: &str) -> bool {
    let reason = Word::from(reason).known();
    matches!(reason, Some(HoldReason::TooManyFailures | HoldReason::Infrastructure))
}

fn is_out(draft: &Draft<'_>) -> bool {
    matches!(draft.status.phase, Phase::Reverted | Phase::RevertedPartly)
}

/// What only a human ends; a brake that a human put on is known to one.
fn stuck<'a>(draft: &'a Draft<'_>) -> Option<&'a Hold> {
    draft.holds.iter().find(|hold| {
        hold.reason.needs_human()
            && !matches!(hold.reason, HoldReason::Paused | HoldReason::Held | HoldReason::Stopped)
    })
}

/// True while the plan is followed: soaking, suspended by a human, waiting for approvals and windows included.
fn ready(draft: &Draft<'_>) -> Row {
    let phase = draft.status.phase;
    let followed =
        draft.holds.iter().all(|hold| matches!(hold.reason, HoldReason::Paused | HoldReason::Held));
    let holds = !is_out(draft) && !phase.is_reverting() && followed && draft.observed.refused.is_none();
    let hold = stuck(draft).or(draft.holds.first()).filter(|_| !holds && !is_out(draft));
    let reason = hold.map_or(phase.as_str(), |hold| hold.reason.as_str());
    Row { type_: ConditionType::Ready, holds, reason, message: draft.status.message.clone() }
}

fn stalled(draft: &Draft<'_>) -> Row {
    let reason = stuck(draft).map(|hold| hold.reason.as_str());
    let reason = if is_out(draft) { Some(draft.status.phase.as_str()) } else { reason };
    row(
        ConditionType::Stalled,
        reason.map(|reason| (reason, draft.status.message.clone())),
        ConditionReason::None,
    )
}

fn progressing(draft: &Draft<'_>) -> Row {
    let phase = draft.status.phase;
    let holds = phase.is_under_way() && draft.holds.is_empty();
    Row {
        type_: ConditionType::Progressing,
        holds,
        reason: phase.as_str(),
        message: draft.status.message.clone(),
    }
}

/// A revert that Git asked for is no deviation.
fn deviating(draft: &Draft<'_>) -> Row {
    let revert =
        draft.status.revert.as_ref().filter(|revert| draft.status.phase.is_reverting() && !revert.by_spec);
    let held = draft.holds.iter().find(|hold| hold.reason == HoldReason::Deviating);
    let message = revert.map(|revert| &revert.message).or(held.map(|hold| &hold.message));
    let found = message.map(|message| (ConditionReason::Deviation.as_str(), message.clone()));
    row(ConditionType::Deviating, found, ConditionReason::None)
}

fn held(draft: &Draft<'_>) -> Row {
    let found = draft.holds.first().map(|hold| (hold.reason.as_str(), hold.message.clone()));
    row(ConditionType::Held, found, ConditionReason::None)
}

/// Without data for so long that somebody should look at Prometheus.
fn blind(draft: &Draft<'_>) -> Row {
    let since = draft.status.slos.iter().filter_map(|slo| slo.no_data_since).min();
    let long = |since: &jiff::Timestamp| fleet::after(*since, judging::BLIND_AFTER) <= draft.now;
    let since = since.filter(long).filter(|_| draft.status.phase.is_under_way());
    let found = since.map(|since| (ConditionReason::NoData.as_str(), format!("no data since {since}")));
    row(ConditionType::Blind, found, ConditionReason::None)
}

fn accepted(draft: &Draft<'_>) -> Row {
    let refused = draft.observed.refused;
    let reason = if refused.is_none() { ConditionReason::Valid } else { ConditionReason::Invalid };
    Row {
        type_: ConditionType::Accepted,
        holds: refused.is_none(),
        reason: reason.as_str(),
        message: refused.map_or_else(String::new, clip),
    }
}
