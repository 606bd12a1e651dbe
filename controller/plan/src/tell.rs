//! Tells the plan: the only place that makes a status, and what of it is a decision (rules R27, R28, R30-R32). Pure.

mod bones;
mod conditions;
mod counts;
mod known;
mod refuse;
mod sentence;
mod troubled;

use breakwater_crds::{
    action::RolloutActionStatus,
    status::{Condition, ConditionStatus, ProcessedAction, RolloutStatus, SloStatus, Transition},
    words::{ConditionType, Severity, TransitionReason},
};
use breakwater_slo::{State, TenantId};
use jiff::Timestamp;

pub(crate) use self::conditions::is_same_hold;
pub use self::refuse::refuse;
use self::{bones::skeleton, sentence::Sentence};
use crate::{
    asked::Honoured,
    course::Course,
    deviation::Answer,
    frozen,
    input::Input,
    judged::{self, Judged, comparing},
    moves::{self, Moves},
    outcome::{ActionResult, Plan, Write},
    reports::Reports,
    roster::{Roster, Standing, alert_arms},
    said::{Said, Told},
    sight,
};

/// How many tenants that did not come back are looked at to learn the cause.
const RETURNS_DIAGNOSED: usize = 5;

/// Everything that a plan is told from.
pub(crate) struct Decided<'d, 'a> {
    pub(crate) input: &'d Input<'a>,
    pub(crate) honoured: &'d Honoured<'a>,
    pub(crate) judged: &'d Judged,
    pub(crate) answer: &'d Answer,
    pub(crate) moves: Moves<'a>,
    /// The tenants as the plan leaves them.
    pub(crate) roster: Roster<'a>,
    pub(crate) reports: Reports,
    pub(crate) said: Said,
}

/// An edit that is in force is a transition: whoever asks why something changed finds it among the others (R9, R31).
pub(crate) fn edit(input: &Input<'_>) -> Said {
    let mut said = Said::default();
    let (before, now) = (input.status.observed_generation, input.asked.generation);
    if before != 0 && before != now && input.asked.refused.is_none() {
        let revision = input.asked.revision.map_or_else(String::new, |name| format!(", kept as {name}"));
        let version = &input.spec().version;
        let message = format!("generation {now} is in force{revision}; it wants {version}");
        said.tell(TransitionReason::SpecChanged, message);
    }
    said
}

/// A transition as the status keeps it, without its number.
pub(crate) fn transition(told: &Told, now: Timestamp) -> Transition {
    let Told { reason, severity, message } = told;
    Transition {
        seq: 0,
        at: now,
        reason: (*reason).into(),
        message: message.clone(),
        warning: *severity == Severity::Warning,
    }
}

/// Numbers what is new: rising from the newest number that is known, and from the time, so that a status that was wiped or
/// restored makes no number come twice (R31).
fn number(transitions: &mut [Transition], history: &[Transition]) {
    let mut last = history.iter().map(|told| told.seq).max().unwrap_or(0);
    for transition in transitions {
        last = transition.number_after(last);
        transition.seq = last;
    }
}

/// Makes the plan.
pub(crate) fn tell(decided: Decided<'_, '_>) -> Plan {
    let Decided { input, honoured, judged, answer, moves, roster: tenants, reports, said } = decided;
    let Moves { course, roster: _, writes, jobs, entry: _, judges, said: _ } = moves;
    let (course, roster, judges) = (&course, &tenants, states(&judged.judges, answer, judges));
    let diagnose = diagnose(answer, roster);
    let told = Telling {
        input,
        honoured,
        course,
        roster,
        judged,
        writes: &writes,
        judges: &judges,
        diagnose: &diagnose,
    };
    let (status, transitions) = told.status(&said, reports.current);
    let decided = skeleton(&status) != skeleton(input.status);
    // No version started before its Rollout was created: a forged status must not ask for a thousand years of steps.
    let since = course.started_at.filter(|_| course.is_watched()).or(reports.wants_since);
    Plan {
        decided,
        results: status.processed.iter().map(result).collect(),
        history_wanted: judged::history_wanted(input, course),
        wants_sight: sight::is_wanted(course),
        study: comparing::study(input, course, roster),
        freeze: frozen::freeze(input, course, roster),
        outlived: frozen::outlived(input, course),
        watch_since: since.map(|at| at.max(input.asked.created_at)),
        wake_at: wake_at(input, roster, &said, decided),
        confirm: unsure(roster),
        reports: reports.writes,
        writes,
        jobs,
        diagnose,
        transitions,
        judges,
        traces: reports.traces,
        waiting: said.waiting.unwrap_or_default(),
        arms: alert_arms(input, course, roster),
        status,
        places: tenants.into_places(),
    }
}

/// Tenants whose cause is to be looked up: failed ones that decide, and the first that did not come back, for those who mend them.
fn diagnose(answer: &Answer, roster: &Roster<'_>) -> Vec<TenantId> {
    let back = roster.fleet().filter(|(_, place)| place.standing == Standing::ReturnFailed);
    let mut left: Vec<TenantId> = back.map(|(tenant, _)| tenant.id).collect();
    left.sort_unstable();
    left.truncate(RETURNS_DIAGNOSED);
    answer.diagnose.iter().copied().chain(left).collect()
}

/// The judges' states once those who go back alone are forgiven, and the moves are made.
fn states(judges: &[State], answer: &Answer, turn: moves::Judges) -> Vec<State> {
    let state = |judged: &State| {
        let mut state = judged.clone();
        state.forgive(&answer.forgiven);
        turn.turn(state)
    };
    judges.iter().map(state).collect()
}

/// What a decision leads to is looked at as soon as it is stored.
fn wake_at(input: &Input<'_>, roster: &Roster<'_>, said: &Said, decided: bool) -> Option<Timestamp> {
    let now = input.now;
    let asked = said.wakes.iter().copied().filter(|at| *at > now);
    asked.chain(roster.next_change(now)).chain(decided.then_some(now)).min()
}

/// Tenants that must be read afresh before the next plan can be sure.
fn unsure(roster: &Roster<'_>) -> Vec<breakwater_slo::TenantId> {
    let unsure = roster.fleet().filter(|(_, place)| place.standing == Standing::Unsure);
    unsure.map(|(tenant, _)| tenant.id).collect()
}

/// What an action's own status will say.
fn result(done: &ProcessedAction) -> ActionResult {
    ActionResult {
        name: done.name.clone(),
        uid: done.uid.clone(),
        status: RolloutActionStatus {
            result: Some(done.result),
            message: done.message.clone(),
            processed_at: Some(done.at),
        },
    }
}

/// What the status is told from.
struct Telling<'t, 'a> {
    input: &'t Input<'a>,
    honoured: &'t Honoured<'a>,
    course: &'t Course,
    roster: &'t Roster<'a>,
    judged: &'t Judged,
    writes: &'t [Write],
    /// The judges' states as the plan leaves them.
    judges: &'t [State],
    /// Tenants whose cause is looked up.
    diagnose: &'t [TenantId],
}

impl Telling<'_, '_> {
    /// The whole new status, and its new transitions.
    fn status(&self, said: &Said, report: Option<String>) -> (RolloutStatus, Vec<Transition>) {
        let Self { input, honoured, course, judged, .. } = *self;
        let stored = input.status;
        let counted = counts::count(course, self.roster, judged.uninstrumented);
        let Sentence { summary, message, progress } =
            sentence::sentence(input, course, said, &counted.counts);
        let conditions = conditions::conditions(input, course, judged, &said.holds, &message);
        let mut told = said.told.clone();
        told.extend(of_conditions(input, course, &conditions));
        let mut transitions: Vec<Transition> = told.iter().map(|told| transition(told, input.now)).collect();
        number(&mut transitions, &stored.history);
        let spared = course.rejections.spared.tenants(course.wanted()).count();
        let mut status = RolloutStatus {
            observed_generation: input.asked.generation,
            epoch: stored.epoch.max(input.epoch),
            hub: input.hub.to_owned(),
            other_hubs: honoured.other_hubs.clone(),
            known_versions: known::versions(input, course, self.writes),
            phase: course.phase,
            summary,
            message,
            progress,
            stable_version: course.stable.clone(),
            candidate_version: course.candidate.clone(),
            lane: course.lane,
            queued: course.queued.clone(),
            rejected: course.rejections.listed.clone(),
            started_at: course.started_at,
            watching_since: course.watching_since,
            completed_at: course.completed_at,
            wave: course.wave.clone(),
            waves: frozen::noted(input, counted.waves),
            counts: counted.counts,
            troubled: troubled::troubled(input, course, self.roster, self.diagnose),
            slos: self.slos(),
            brakes: honoured.brakes.clone(),
            acknowledged: honoured.acknowledged.clone(),
            soaked_days: course.soaked_days.clone(),
            processed: honoured.processed.clone(),
            adoption: course.adoption.clone(),
            revert: course.revert.clone(),
            report,
            rejected_for: moves::clamp(spared),
            accepted_revision: input.asked.revision.map(str::to_owned),
            conditions,
            history: stored.history.iter().chain(&transitions).cloned().collect(),
        };
        status.bound();
        (status, transitions)
    }

    /// The judges' states go into the status with what they were fed (R28); not where nothing is under way.
    fn slos(&self) -> Vec<SloStatus> {
        let watched = self.course.is_watched();
        let evidence = |judge: Option<&State>| serde_json::to_value(judge?).ok().filter(|_| watched);
        let slos = self.judged.slos.iter().enumerate();
        slos.map(|(i, slo)| match self.judges.get(i) {
            judge @ Some(_) => SloStatus { evidence: evidence(judge), ..slo.clone() },
            None => slo.clone(),
        })
        .collect()
    }
}

/// A hold that begins, changes its cause, or ends is a transition, once (R31).
fn of_conditions(input: &Input<'_>, course: &Course, new: &[Condition]) -> Vec<Told> {
    let old = &input.status.conditions;
    let mut said = Said::default();
    match (true_condition(old, ConditionType::Held), true_condition(new, ConditionType::Held)) {
        (before, Some(held)) if before.is_none_or(|old| old.reason != held.reason) => {
            said.tell(TransitionReason::Held, format!("{}: {}", held.reason, held.message));
        }
        // A revert ends every hold; that nothing holds any more is no news beside it.
        (Some(held), None) if !course.phase.is_reverting() => {
            said.tell(TransitionReason::Resumed, format!("{} is over", held.reason));
        }
        _ => {}
    }
    if let (None, Some(blind)) =
        (true_condition(old, ConditionType::Blind), true_condition(new, ConditionType::Blind))
    {
        said.tell(TransitionReason::Blind, blind.message.clone());
    }
    let was_refused =
        old.iter().any(|c| c.type_ == ConditionType::Accepted && c.status == ConditionStatus::False);
    if let Some(why) = input.asked.refused.filter(|_| !was_refused) {
        said.tell(TransitionReason::SpecRefused, why);
    }
    said.told
}

fn true_condition(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_ && c.status == ConditionStatus::True)
}
