//! `plan(&Observed, now) -> Plan`: every decision of Breakwater, as a pure function of values and time.
//!
//! Neither kube nor tokio is in this crate's dependency tree; the executor gets no choices.

mod account;
mod actions;
pub mod alerts;
mod before;
mod choose;
pub mod comparing;
mod conditions;
mod deviation;
mod draft;
mod errand;
pub mod fleet;
pub mod frozen;
mod gate;
mod judging;
pub mod observed;
pub mod outcome;
pub mod promql;
mod refuse;
pub mod release;
mod report;
mod revert;
mod road;
pub mod schedule;
pub mod spared;
pub mod spec;
pub mod study;
mod tell;
pub mod trace;
mod troubled;
pub mod version;
pub mod waves;

use breakwater_crds::status::Phase;
use jiff::Timestamp;

pub use deviation::{deviation_reason, guard_reason};
pub use observed::Observed;
pub use outcome::Plan;
pub use refuse::refuse;

use crate::draft::Draft;

/// Decides everything that is to happen to one Rollout at `now`.
///
/// Planning again on a plan's own result, at the same time, changes nothing; that is a property test.
pub fn plan(observed: &Observed<'_>, now: Timestamp) -> Plan {
    let mut draft = Draft::new(observed, now);
    tell::edit(&mut draft);
    actions::honour(&mut draft);
    choose::version(&mut draft);
    draft.muster();
    judging::judge(&mut draft);
    account::trace(&mut draft);
    deviation::decide(&mut draft);
    match draft.status.phase {
        Phase::Pending | Phase::Adopting => choose::begin(&mut draft),
        Phase::Advancing | Phase::Soaking | Phase::AwaitingApproval | Phase::Watching => {
            road::advance(&mut draft);
        }
        Phase::Reverting | Phase::Verifying => revert::carry_through(&mut draft),
        Phase::Completed | Phase::Reverted | Phase::RevertedPartly => {}
    }
    revert::write_back(&mut draft);
    account::follow(&mut draft);
    tell::finish(draft)
}
