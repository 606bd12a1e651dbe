//! Honours `RolloutAction`s: each once, in order of creation, with an answer (product.md 2, rule R28). Pure.

use std::collections::BTreeSet;

use breakwater_crds::{
    action::{ActionResult, HUB_SUBJECT, Verb},
    report::Outcome,
    rollout::Approval,
    status::{
        ACKNOWLEDGED_MAX, Acknowledged, Approved, Brake, BrakeKind, ENTRY_MESSAGE_MAX, OTHER_HUBS_MAX, Phase,
        ProcessedAction, REQUESTER_MAX,
    },
    words::{HoldReason, TransitionReason, Verdict},
};
use jiff::{Timestamp, Unit};

use crate::{
    course::{Course, Rejections},
    gate::Gates,
    input::Input,
    observed::{Action, Report},
    outcome::ReportWrite,
    reports::{Ledger, about},
    roster::hub_of,
    said::{Said, clip_to},
};

/// Most Holds that may be in force at once (R27).
const HOLDS_MAX: usize = 32;
/// Most Stops that are listed at once (R27). A Stop is never refused: where so many stand already, the new one takes the place of
/// the one that ends first.
const STOPS_MAX: usize = 8;
/// Most actions honoured in one plan, so that the status stays bounded (R27); the rest waits its turn.
const BATCH_MAX: usize = 32;

/// A Revert that an action asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManualRevert {
    /// The version to take out.
    pub(crate) version: String,
    /// Who asked.
    pub(crate) by: String,
    /// Why.
    pub(crate) why: String,
}

/// What people's actions come to.
#[derive(Debug)]
pub(crate) struct Honoured<'a> {
    /// The course as it was stored, with what was approved and promoted.
    pub(crate) course: Course,
    /// Holds and Stops in force.
    pub(crate) brakes: Vec<Brake>,
    /// Gates that somebody passed.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Hubs whose markers were taken over (R48).
    pub(crate) other_hubs: Vec<String>,
    /// Actions whose effect is part of this plan and that have no answer of their own yet.
    pub(crate) processed: Vec<ProcessedAction>,
    /// The Revert that was asked for last.
    pub(crate) manual: Option<ManualRevert>,
    /// The reports, with those that a Retry closes.
    pub(crate) ledger: Ledger<'a>,
}

impl<'a> Honoured<'a> {
    /// The gates under a course.
    pub(crate) fn gates<'h>(&'h self, input: &'h Input<'a>, course: &'h Course) -> Gates<'h, 'a> {
        Gates::new(input, &self.ledger, &self.acknowledged, &course.rejections, course.stable.as_deref())
    }

    /// Why no write at all may be sent (R36), if so.
    pub(crate) fn stopped(&self, input: &Input<'_>) -> Option<String> {
        let brake = self.brakes.iter().find(|brake| brake.kind == BrakeKind::Stop).map(sentence);
        input.asked.stopped.map(str::to_owned).or(brake)
    }
}

/// A hold or stop that is in force, in one sentence.
pub(crate) fn sentence(brake: &Brake) -> String {
    let Brake { name, kind, reason, requested_by, since: _, until: _ } = brake;
    let why = if reason.is_empty() { "no reason given" } else { reason };
    format!("{} {name} by {requested_by}: {why}", kind.as_str())
}

/// Takes in what is asked. The actions' own statuses are written after the Rollout's.
pub(crate) fn honour<'a>(input: &Input<'a>) -> (Honoured<'a>, Said) {
    let actions = input.asked.actions;
    let is_open = |done: &&ProcessedAction| actions.iter().any(|action| action.uid == done.uid);
    let ledger = Ledger::new(input.elsewhere.reports);
    let course = Course::stored(input, Rejections::read(input, &ledger));
    let mut desk = Desk {
        input,
        honoured: Honoured {
            course,
            brakes: Vec::new(),
            acknowledged: input.status.acknowledged.clone(),
            other_hubs: input.status.other_hubs.clone(),
            processed: input.status.processed.iter().filter(is_open).cloned().collect(),
            manual: None,
            ledger,
        },
        said: Said::default(),
    };
    desk.end_brakes();
    for action in actions {
        desk.answer(action);
    }
    (desk.honoured, desk.said)
}

/// Where actions are honoured, one after the other: a later one sees what an earlier one did.
struct Desk<'d, 'a> {
    input: &'d Input<'a>,
    honoured: Honoured<'a>,
    said: Said,
}

impl Desk<'_, '_> {
    fn answer(&mut self, action: &Action) {
        let processed = &self.honoured.processed;
        if processed.len() >= BATCH_MAX || processed.iter().any(|done| done.uid == action.uid) {
            return;
        }
        let (result, message) = match self.is_timely(action).and_then(|()| self.effect(action)) {
            Ok(effect) => (ActionResult::Honoured, effect),
            Err(refusal) => (ActionResult::Refused, refusal),
        };
        let (verb, by) = (action.spec.verb.as_str(), &action.spec.requested_by);
        let reason = match result {
            ActionResult::Honoured => TransitionReason::ActionHonoured,
            ActionResult::Refused => TransitionReason::ActionRefused,
        };
        self.said.tell(reason, format!("{verb} {} by {by}: {message}", action.name));
        self.honoured.processed.push(ProcessedAction {
            uid: action.uid.clone(),
            name: action.name.clone(),
            result,
            message: clip_to(&message, ENTRY_MESSAGE_MAX),
            at: self.input.now,
        });
    }

    /// Holds and stops end when their time is over.
    fn end_brakes(&mut self) {
        let now = self.input.now;
        let stored = self.input.status.brakes.iter().cloned();
        let (kept, ended): (Vec<Brake>, Vec<Brake>) =
            stored.partition(|brake| brake.until.is_none_or(|until| until > now));
        for brake in ended {
            let message = format!("{} {} ended at its time", brake.kind.as_str(), brake.name);
            self.said.tell(TransitionReason::Lifted, message);
        }
        self.said.wake(kept.iter().filter_map(|brake| brake.until).min());
        self.honoured.brakes = kept;
    }

    /// An action must not be expired, and be younger than what it speaks of.
    fn is_timely(&self, action: &Action) -> Result<(), String> {
        if action.spec.expires_at.is_some_and(|at| at <= self.input.now) {
            return Err("it had expired before it was seen: create another one".into());
        }
        if action.created_at < whole_second(self.input.asked.created_at) {
            return Err(
                "it is older than the Rollout, so it speaks of another one: create another one".into()
            );
        }
        let bound = matches!(action.spec.verb, Verb::Approve | Verb::Promote | Verb::Revert);
        let under_way =
            action.spec.version.is_some() && action.spec.version == self.honoured.course.candidate;
        match self.honoured.course.started_at {
            Some(started) if bound && under_way && action.created_at < whole_second(started) => {
                Err("it is older than this version's start: create another one".into())
            }
            _ => Ok(()),
        }
    }

    fn effect(&mut self, action: &Action) -> Result<String, String> {
        match action.spec.verb {
            Verb::Approve => self.approve(action),
            Verb::Hold => self.brake(action, BrakeKind::Hold),
            Verb::Stop => self.brake(action, BrakeKind::Stop),
            Verb::Lift => self.lift(action),
            Verb::Promote => self.promote(action),
            Verb::Revert => self.revert(action),
            Verb::Retry => self.retry(action),
            Verb::Acknowledge => self.acknowledge(action),
        }
    }

    fn word(&self, action: &Action) -> Approved {
        Approved {
            by: clip_to(&action.spec.requested_by, REQUESTER_MAX),
            at: self.input.now,
            action: action.name.clone(),
        }
    }

    fn gates(&self) -> Gates<'_, '_> {
        self.honoured.gates(self.input, &self.honoured.course)
    }

    /// The action's version must be the one under way: an approval for one version never serves another.
    fn must_be_under_way(&self, action: &Action) -> Result<(), String> {
        let asked = action.spec.version.as_deref().unwrap_or_default();
        match self.honoured.course.candidate.as_deref() {
            Some(candidate) if candidate == asked => Ok(()),
            Some(candidate) => Err(format!("version {asked} is not under way, {candidate} is")),
            None => Err(format!("version {asked} is not under way; no version is")),
        }
    }

    fn approve(&mut self, action: &Action) -> Result<String, String> {
        let name = action.spec.wave.as_deref().unwrap_or_default();
        let waves = &self.input.spec().waves;
        let index = waves.iter().position(|wave| wave.name == name).ok_or_else(|| {
            let known: Vec<&str> = waves.iter().map(|wave| wave.name.as_str()).collect();
            format!("there is no wave {name:?}; the waves are {}", known.join(", "))
        })?;
        let word = self.word(action);
        if self.honoured.course.phase == Phase::Adopting && index == 0 {
            return self.adopt(action, word);
        }
        self.must_be_under_way(action)?;
        let wave = &mut self.honoured.course.waves[index];
        if wave.passed_at.is_some() {
            return Err(format!("wave {name} is passed already"));
        }
        match waves[index].approval {
            Some(Approval::Before) if wave.started_at.is_none() => {
                wave.approved_before = Some(word);
                Ok(format!("wave {name} may start"))
            }
            Some(Approval::Before) => Err(format!("wave {name} has started already")),
            Some(Approval::After) if wave.started_at.is_some() => {
                wave.approved_after = Some(word);
                Ok(format!("wave {name} may end once its soak is complete"))
            }
            Some(Approval::After) => {
                Err(format!("wave {name} has not started; it is approved after its soak"))
            }
            None => Err(format!("wave {name} needs no approval")),
        }
    }

    fn adopt(&mut self, action: &Action, word: Approved) -> Result<String, String> {
        let wanted = self.input.spec().version.as_str();
        let asked = action.spec.version.as_deref().unwrap_or_default();
        if asked != wanted {
            return Err(format!("version {asked} is not wanted, {wanted} is"));
        }
        let first = &mut self.honoured.course.waves[0];
        first.approved_before = Some(word.clone());
        let effect = format!("the fleet is adopted, and wave {} may start", first.name);
        self.honoured.course.adoption.get_or_insert_default().approved = Some(word);
        self.honoured.course.candidate = Some(wanted.to_owned()); // what the approval speaks of, until it starts
        Ok(effect)
    }

    fn brake(&mut self, action: &Action, kind: BrakeKind) -> Result<String, String> {
        let until = action.spec.until;
        if until.is_some_and(|until| until <= self.input.now) {
            return Err("its until is over already".into());
        }
        let alike = self.honoured.brakes.iter().filter(|brake| brake.kind == kind).count();
        match kind {
            BrakeKind::Hold if alike >= HOLDS_MAX => {
                return Err(format!("{HOLDS_MAX} holds are in force already: lift some"));
            }
            BrakeKind::Stop if alike >= STOPS_MAX => self.drop_first_stop(),
            BrakeKind::Hold | BrakeKind::Stop => {}
        }
        self.honoured.brakes.push(Brake {
            name: action.name.clone(),
            kind,
            reason: clip_to(&action.spec.reason, ENTRY_MESSAGE_MAX),
            requested_by: clip_to(&action.spec.requested_by, REQUESTER_MAX),
            since: self.input.now,
            until,
        });
        self.said.wake(until);
        let effect = match kind {
            BrakeKind::Hold => "nothing advances",
            BrakeKind::Stop => "nothing is written",
        };
        let until = until.map_or_else(|| "it is lifted".to_owned(), |until| until.to_string());
        Ok(format!("{effect} until {until}"))
    }

    /// Makes room for another Stop: the one that ends first goes, of those without an end the oldest.
    fn drop_first_stop(&mut self) {
        let brakes = &mut self.honoured.brakes;
        let stops = brakes.iter().enumerate().filter(|(_, brake)| brake.kind == BrakeKind::Stop);
        let first = stops.min_by_key(|(_, brake)| (brake.until.unwrap_or(Timestamp::MAX), brake.since));
        if let Some((index, _)) = first {
            brakes.remove(index);
        }
    }

    fn lift(&mut self, action: &Action) -> Result<String, String> {
        let subject = action.spec.subject.as_deref().unwrap_or_default();
        let brakes = &mut self.honoured.brakes;
        let stop = brakes.iter().any(|brake| brake.name == subject && brake.kind == BrakeKind::Stop);
        if stop && action.spec.lifts != Some(BrakeKind::Stop) {
            return Err(format!(
                "{subject} is a Stop: spec.lifts must be Stop, which takes the right to stop"
            ));
        }
        let names: Vec<String> = brakes.iter().map(|brake| brake.name.clone()).collect();
        brakes.retain(|brake| brake.name != subject);
        if brakes.len() < names.len() {
            Ok(format!("{subject} is lifted"))
        } else if names.is_empty() {
            Err(format!("{subject} is not in force; nothing is"))
        } else {
            Err(format!("{subject} is not in force; in force are {}", names.join(", ")))
        }
    }

    fn promote(&mut self, action: &Action) -> Result<String, String> {
        self.must_be_under_way(action)?;
        let word = self.word(action);
        let phase = self.honoured.course.phase;
        let soaking = matches!(phase, Phase::Advancing | Phase::Soaking);
        let waves = &mut self.honoured.course.waves;
        // Before the first write nothing else is promoted past than that it would be blind (R10). Later, judges hold for that.
        let blind = waves.iter().all(|wave| wave.started_at.is_none())
            && self.input.status.held().is_some_and(|(reason, _)| reason == HoldReason::NoData);
        let wave = waves.iter_mut().find(|wave| wave.passed_at.is_none());
        let Some(wave) = wave.filter(|wave| soaking && (wave.started_at.is_some() || blind)) else {
            return Err(format!("no wave is soaking; the phase is {}", phase.as_str()));
        };
        for verdict in self.input.status.slos.iter().filter_map(|slo| slo.verdict.as_ref()) {
            match verdict.known() {
                Some(Verdict::Deviating) => return Err("a deviation is not promoted past".into()),
                // A newer controller's word may mean anything; this one's own stands there after the next look (R38).
                None => return Err(format!("verdict {verdict} is not known here: create another one")),
                Some(Verdict::Healthy | Verdict::Inconclusive | Verdict::NoData | Verdict::Uncalibrated) => {}
            }
        }
        wave.promoted = Some(word);
        Ok(format!("wave {} ends as soon as its tenants are ready", wave.name))
    }

    fn revert(&mut self, action: &Action) -> Result<String, String> {
        let asked = action.spec.version.clone().unwrap_or_default();
        let phase = self.honoured.course.phase;
        let completed = phase == Phase::Completed && self.honoured.course.stable.as_ref() == Some(&asked);
        if phase.is_reverting() {
            return Err("a revert is under way already".into());
        }
        if !completed {
            self.must_be_under_way(action)?;
            if !phase.is_under_way() {
                let phase = phase.as_str();
                return Err(format!("version {asked} has not started; the phase is {phase}"));
            }
        }
        let why = Some(action.spec.reason.clone()).filter(|reason| !reason.is_empty());
        self.honoured.manual = Some(ManualRevert {
            version: asked.clone(),
            by: action.spec.requested_by.clone(),
            why: why.unwrap_or_else(|| "no reason given".into()),
        });
        Ok(match self.gates().revert_of(&asked) {
            None => format!("version {asked} is taken out and rejected"),
            Some((why, _)) => format!("version {asked} is held: {why}"),
        })
    }

    fn acknowledge(&mut self, action: &Action) -> Result<String, String> {
        let subject = action.spec.subject.as_deref().unwrap_or_default();
        if let Some(hub) = subject.strip_prefix(HUB_SUBJECT) {
            return self.take_over(hub);
        }
        let asked = action.spec.version.as_deref().unwrap_or_default();
        let speaks_of = [
            Some(self.input.spec().version.as_str()),
            self.honoured.course.candidate.as_deref(),
            self.honoured.course.stable.as_deref(),
        ];
        if !speaks_of.contains(&Some(asked)) {
            return Err(format!("version {asked} is neither wanted, nor under way, nor the stable one"));
        }
        let (mut acknowledged, effect) = self.gates().acknowledge(subject, asked, &self.word(action))?;
        acknowledged.drain(..acknowledged.len().saturating_sub(ACKNOWLEDGED_MAX));
        self.honoured.acknowledged = acknowledged;
        Ok(effect)
    }

    /// Markers that another hub wrote for a Rollout of this name are this one's from here on (R48).
    fn take_over(&mut self, hub: &str) -> Result<String, String> {
        let marked = self.input.fleet.tenants.iter().filter_map(hub_of);
        let found: BTreeSet<&str> = marked.collect();
        let taken = &mut self.honoured.other_hubs;
        if taken.iter().any(|known| known == hub) {
            return Err(format!("the markers of hub {hub} are taken over already"));
        }
        if !found.contains(hub) {
            let found: Vec<&str> = found.into_iter().take(4).collect();
            let found = if found.is_empty() {
                "no other hub's are".into()
            } else {
                format!("there are {}", found.join(", "))
            };
            return Err(format!(
                "no tenant carries a marker of hub {hub:?} for a Rollout of this name; {found}"
            ));
        }
        if taken.len() >= OTHER_HUBS_MAX {
            return Err(format!("{OTHER_HUBS_MAX} hubs are taken over already"));
        }
        taken.push(hub.to_owned());
        Ok(format!("markers of hub {hub} for a Rollout of this name are this one's"))
    }

    fn retry(&mut self, action: &Action) -> Result<String, String> {
        let asked = action.spec.version.as_deref().unwrap_or_default();
        let course = &self.honoured.course;
        let goes_out = course.revert.as_ref().is_some_and(|revert| revert.version == asked);
        if course.phase.is_reverting() && goes_out {
            return Err(format!("version {asked} is being reverted; retry when that is done"));
        }
        let reports = self.input.elsewhere.reports;
        let done = Ok(format!("version {asked} is not rejected any more"));
        if reports.iter().any(|report| report.status.closed_by.as_ref() == Some(&action.name)) {
            return done; // a crash came between report and status
        }
        let open =
            reports.iter().filter(|r| r.spec.version == asked && (r.status.rejects() || rejects_for_some(r)));
        let mut closed = Vec::new();
        for report in open {
            let mut status = report.status.clone();
            status.closed_by = Some(action.name.clone());
            status.outcome.get_or_insert(Outcome::RevertedPartly);
            let spec = about(self.input.asked.name, &report.spec.version);
            closed.push(ReportWrite { name: report.name.clone(), spec, status });
        }
        if closed.is_empty() {
            return Err(format!("version {asked} is not rejected"));
        }
        self.honoured.ledger = self.honoured.ledger.clone().with(closed);
        self.honoured.course.rejections = Rejections::read(self.input, &self.honoured.ledger);
        done
    }
}

/// The version is rejected for single tenants (R22); a Retry is for them too.
fn rejects_for_some(report: &Report) -> bool {
    report.status.closed_by.is_none() && !report.status.rejected_for.is_empty()
}

/// Creation timestamps have whole seconds; what they are compared with must have them too.
fn whole_second(at: Timestamp) -> Timestamp {
    at.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor)).unwrap_or(at)
}
