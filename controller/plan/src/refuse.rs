//! What the status says of a Rollout whose spec was never valid. Pure.

use breakwater_crds::{
    status::{Condition, ConditionStatus, RolloutStatus},
    words::{ConditionReason, ConditionType},
};
use jiff::Timestamp;

use crate::draft::clip;

/// Says in a status that the spec is refused, and why. Nothing else changes: an invalid Rollout stops itself only.
pub fn refuse(status: &mut RolloutStatus, generation: i64, why: &str, now: Timestamp) {
    status.observed_generation = generation;
    status.summary = format!("{} ({})", status.phase, ConditionReason::Invalid);
    status.message = clip(&format!("spec refused: {why}"));
    let old = std::mem::take(&mut status.conditions);
    let row = |type_: ConditionType, holds: bool| {
        let is = if holds { ConditionStatus::True } else { ConditionStatus::False };
        let since =
            old.iter().find(|c| c.type_ == type_ && c.status == is).map_or(now, |c| c.last_transition_time);
        Condition {
            type_: type_.into(),
            status: is,
            reason: ConditionReason::Invalid.to_string(),
            message: clip(why),
            last_transition_time: since,
            observed_generation: generation,
        }
    };
    status.conditions = vec![
        row(ConditionType::Ready, false),
        row(ConditionType::Reconciling, false),
        row(ConditionType::Stalled, true),
        row(ConditionType::Accepted, false),
    ];
}
