//! `plan(&Observed, now) -> Plan`: every decision of Breakwater, as a pure function of values and time.
//!
//! Neither kube nor tokio is in this crate's dependency tree; the executor gets no choices.

pub mod alerts;
mod asked;
mod course;
pub mod design;
mod deviation;
pub mod frozen;
mod gate;
mod input;
mod judged;
mod moves;
pub mod observed;
pub mod outcome;
pub mod promql;
pub mod release;
mod reports;
pub mod roster;
mod said;
pub mod schedule;
mod sight;
pub mod spec;
pub mod study;
mod tell;
pub mod trace;
pub mod version;
pub mod waves;

use jiff::Timestamp;

pub use judged::{guard_hold, guard_reason};
pub use observed::Observed;
pub use outcome::Plan;
pub use tell::refuse;

use crate::{
    deviation::Case, input::Input, judged::Judged, moves::Ground, reports::Scene, roster::Roster,
    tell::Decided,
};

/// Decides everything that is to happen to one Rollout at `now`.
///
/// A line of steps, each a function from values to a value. Tenants are looked at under the course that the plan begins
/// with, and once more where that turns: a version starts, deviates, or is adopted.
///
/// Planning again on a plan's own result, at the same time, changes nothing; that is a property test.
pub fn plan(observed: &Observed<'_>, now: Timestamp) -> Plan {
    let input = &Input::new(observed, now);
    let (honoured, asked) = asked::honour(input);
    let (course, chosen) = course::choose(input, &honoured);
    let roster = Roster::call(input, &course);
    let (judged, spoken) = judged::judge(input, &course, &roster);
    let gates = honoured.gates(input, &course);
    let case = Case { input, honoured: &honoured, course: &course, roster: &roster, judged: &judged, gates };
    let (answer, answered) = deviation::answer(case);
    let said = tell::edit(input).and(asked).and(chosen).and(answer.unanswered(spoken)).and(answered);

    let turned = answer.course.as_ref().unwrap_or(&course);
    let (again, anew) = (Roster::again(input, &course, turned), Judged::again(input, &course, turned));
    let (tenants, slos) = (again.as_ref().unwrap_or(&roster), anew.as_ref().unwrap_or(&judged));
    let ground = Ground { input, honoured: &honoured, roster: tenants, judged: slos, held: &said.holds };
    let mut moves = moves::make(ground, turned);
    let last = moves.roster.take();
    let tenants = last.as_ref().unwrap_or(tenants);

    let decision = Scene { input, course: &course, roster: &roster, judged: &judged, told: &said.told };
    let all = said.clone().and(moves.said.clone());
    let end = Scene { input, course: &moves.course, roster: tenants, judged: slos, told: &all.told };
    let entries = answer.entries.iter().chain(&moves.entry).cloned().collect();
    let reports = reports::account(&honoured, entries, &decision, &end);
    tell::tell(Decided {
        input,
        honoured: &honoured,
        judged: slos,
        answer: &answer,
        moves,
        roster: last.or(again).unwrap_or(roster),
        reports,
        said: all,
    })
}
