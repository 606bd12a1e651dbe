//! kstatus conditions (rule R29). Pure.

use breakwater_crds::{
    status::{Condition, ConditionStatus, Phase},
    words::{ConditionReason, ConditionType, HoldReason},
};

use crate::{
    course::Course,
    input::Input,
    judged::{BLIND_AFTER, Judged},
    roster::after,
    said::{Hold, clip},
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
pub(super) fn conditions(
    input: &Input<'_>,
    course: &Course,
    judged: &Judged,
    holds: &[Hold],
    message: &str,
) -> Vec<Condition> {
    let view = View { input, course, judged, holds, message };
    let rows = [
        view.ready(),
        row(ConditionType::Reconciling, None, ConditionReason::Observed), // the plan is of the newest generation
        view.stalled(),
        view.progressing(),
        view.deviating(),
        view.held(),
        view.blind(),
        view.accepted(),
    ];
    rows.into_iter().map(|row| view.condition(row)).collect()
}

/// True where one hold goes on under the other's name, as its cause becomes known.
pub(crate) fn is_same_hold(a: &str, b: &str) -> bool {
    let failures = |reason: &str| {
        [HoldReason::TooManyFailures, HoldReason::Infrastructure].iter().any(|r| r.as_str() == reason)
    };
    a == b || (failures(a) && failures(b))
}

/// True for a hold that a human put on, and so knows of.
const fn is_brake(reason: HoldReason) -> bool {
    matches!(reason, HoldReason::Paused | HoldReason::Held | HoldReason::Stopped)
}

struct View<'v, 'a> {
    input: &'v Input<'a>,
    course: &'v Course,
    judged: &'v Judged,
    holds: &'v [Hold],
    message: &'v str,
}

impl View<'_, '_> {
    fn condition(&self, Row { type_, holds, reason, message }: Row) -> Condition {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        // A hold's age is its own, not that of the one before it.
        let is_same = |c: &&Condition| {
            let same_hold = type_ != ConditionType::Held || is_same_hold(&c.reason, reason);
            c.type_ == type_ && c.status == status && same_hold
        };
        let since = self.input.status.conditions.iter().find(is_same);
        Condition {
            type_: type_.into(),
            status,
            reason: reason.into(),
            message,
            last_transition_time: since.map_or(self.input.now, |c| c.last_transition_time),
            observed_generation: self.input.asked.generation,
        }
    }

    fn is_out(&self) -> bool {
        matches!(self.course.phase, Phase::Reverted | Phase::RevertedPartly)
    }

    /// What only a human ends; a brake that a human put on is known to one.
    fn stuck(&self) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.reason.needs_human() && !is_brake(hold.reason))
    }

    /// True while the plan is followed: soaking, suspended by a human, waiting for approvals and windows included.
    fn ready(&self) -> Row {
        let phase = self.course.phase;
        let suspended = |hold: &Hold| matches!(hold.reason, HoldReason::Paused | HoldReason::Held);
        let followed = self.holds.iter().all(suspended);
        let refused = self.input.asked.refused.is_some();
        let holds = !self.is_out() && !phase.is_reverting() && followed && !refused;
        let hold = self.stuck().or(self.holds.first()).filter(|_| !holds && !self.is_out());
        let reason = hold.map_or(phase.as_str(), |hold| hold.reason.as_str());
        Row { type_: ConditionType::Ready, holds, reason, message: self.message.to_owned() }
    }

    fn stalled(&self) -> Row {
        let reason = if self.is_out() {
            Some(self.course.phase.as_str())
        } else {
            self.stuck().map(|hold| hold.reason.as_str())
        };
        let found = reason.map(|reason| (reason, self.message.to_owned()));
        row(ConditionType::Stalled, found, ConditionReason::None)
    }

    fn progressing(&self) -> Row {
        let phase = self.course.phase;
        let holds = phase.is_under_way() && self.holds.is_empty();
        let message = self.message.to_owned();
        Row { type_: ConditionType::Progressing, holds, reason: phase.as_str(), message }
    }

    /// A revert that Git asked for is no deviation.
    fn deviating(&self) -> Row {
        let reverting = self.course.phase.is_reverting();
        let revert = self.course.revert.as_ref().filter(|revert| reverting && !revert.by_spec);
        let held = self.holds.iter().find(|hold| hold.reason == HoldReason::Deviating);
        let message = revert.map(|revert| &revert.message).or(held.map(|hold| &hold.message));
        let found = message.map(|message| (ConditionReason::Deviation.as_str(), message.clone()));
        row(ConditionType::Deviating, found, ConditionReason::None)
    }

    fn held(&self) -> Row {
        let found = self.holds.first().map(|hold| (hold.reason.as_str(), hold.message.clone()));
        row(ConditionType::Held, found, ConditionReason::None)
    }

    /// Without data for so long that somebody should look at Prometheus.
    fn blind(&self) -> Row {
        let since = self.judged.slos.iter().filter_map(|slo| slo.no_data_since).min();
        let since = since.filter(|since| after(*since, BLIND_AFTER) <= self.input.now);
        let found = since
            .filter(|_| self.course.phase.is_under_way())
            .map(|since| (ConditionReason::NoData.as_str(), format!("no data since {since}")));
        row(ConditionType::Blind, found, ConditionReason::None)
    }

    fn accepted(&self) -> Row {
        let (reason, message) = match self.input.asked.refused {
            None => (ConditionReason::Valid, String::new()),
            Some(why) => (ConditionReason::Invalid, clip(why)),
        };
        let holds = reason == ConditionReason::Valid;
        Row { type_: ConditionType::Accepted, holds, reason: reason.as_str(), message }
    }
}
