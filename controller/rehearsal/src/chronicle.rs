//! Keeps what is seen of a Rollout over time, and sums it up as an [`Outcome`](crate::outcome::Outcome). Pure but for what it is shown.

use std::collections::BTreeMap;

use breakwater_crds::{
    RolloutStatus,
    report::Attribution,
    status::{Phase, Transition},
    words::ConditionType,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    fleet::{Population, harm},
    outcome::{
        By, Event, EventReason, Frame, Hold, SloFrame, VersionOutcome, VersionResult, WaveFrame, WaveState,
    },
};

/// Most events of a timeline.
const EVENTS_MAX: usize = 1_000;
/// Most frames.
const FRAMES_MAX: usize = 2_000;

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Chronicle {
    pub(crate) timeline: Vec<Event>,
    pub(crate) frames: Vec<Frame>,
    versions: Vec<Version>,
    /// Transitions as the status held them last.
    told: Vec<Transition>,
    held: Option<Hold>,
    frame_every: SignedDuration,
}

/// What was seen of one version.
#[derive(Debug, Default)]
struct Version {
    name: String,
    asked_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    detected_at: Option<Timestamp>,
    back_at: Option<Timestamp>,
    reverted_at: Option<Timestamp>,
    reason: Option<String>,
    attribution: Option<Attribution>,
    wave: Option<String>,
    partly: bool,
    superseded: bool,
    longest_hold: Option<Hold>,
}

impl Chronicle {
    /// An empty one for a rehearsal of at most `until`.
    pub(crate) fn new(until: SignedDuration) -> Self {
        let spread = until.as_secs() / i64::try_from(FRAMES_MAX * 3 / 4).unwrap_or(1);
        Self {
            timeline: Vec::new(),
            frames: Vec::new(),
            versions: Vec::new(),
            told: Vec::new(),
            held: None,
            frame_every: SignedDuration::from_secs(spread.max(3_600)),
        }
    }

    /// Notes what the scenario did.
    pub(crate) fn scenario(&mut self, at: Timestamp, verb: &'static str, message: String) {
        let reason = EventReason::Act(verb);
        self.event(Event { at, by: By::Scenario, reason, message, warning: false });
    }

    /// Notes that a version was asked for.
    pub(crate) fn asked(&mut self, version: &str, at: Timestamp) {
        if self.versions.iter().all(|known| known.name != version) {
            self.versions.push(Version { name: version.into(), asked_at: at, ..Version::default() });
        }
    }

    fn event(&mut self, event: Event) {
        if self.timeline.len() < EVENTS_MAX {
            self.timeline.push(event);
        }
    }

    /// Looks at the status as it is at `now`; how many events of the timeline are new comes back.
    pub(crate) fn look(&mut self, status: &RolloutStatus, now: Timestamp) -> usize {
        let before = self.timeline.len();
        self.transitions(&status.history);
        self.follow(status, now);
        self.follow_hold(status, now);
        self.frame(status, now);
        self.timeline.len() - before
    }

    /// Takes what is new in the status's bounded history.
    fn transitions(&mut self, history: &[Transition]) {
        let known = |one: &Transition| self.told.contains(one);
        let from = history.iter().rposition(known).map_or(0, |last| last + 1);
        for one in &history[from..] {
            self.event(Event {
                at: one.at,
                by: By::Controller,
                reason: EventReason::Transition(one.reason.clone()),
                message: one.message.clone(),
                warning: one.warning,
            });
        }
        self.told = history.to_vec();
    }

    fn version(&mut self, name: Option<&str>) -> Option<&mut Version> {
        let name = name?;
        self.versions.iter_mut().find(|known| known.name == name)
    }

    fn follow(&mut self, status: &RolloutStatus, now: Timestamp) {
        let candidate = status.candidate_version.as_deref();
        if let Some(candidate) = candidate {
            for version in &mut self.versions {
                let was_under_way = version.started_at.is_some()
                    && version.completed_at.is_none()
                    && version.detected_at.is_none();
                version.superseded |= was_under_way && version.name != candidate;
            }
        }
        if let Some(version) = self.version(candidate)
            && status.waves.iter().any(|wave| wave.started_at.is_some())
        {
            version.started_at = version.started_at.or(status.started_at);
            version.superseded = false;
        }
        if status.phase == Phase::Completed
            && let Some(version) = self.version(status.stable_version.as_deref())
        {
            version.completed_at = version.completed_at.or(status.completed_at).or(Some(now));
        }
        let Some(revert) = &status.revert else { return };
        let wave = status.wave.clone();
        if let Some(version) = self.version(Some(&revert.version)) {
            version.detected_at.get_or_insert(revert.decided_at);
            version.back_at = version.back_at.or(revert.back_at);
            version.reverted_at = revert.finished_at;
            version.reason.get_or_insert_with(|| revert.message.clone());
            version.attribution = revert.attribution;
            version.partly = revert.failed > 0;
            version.wave = version.wave.take().or(wave);
        }
    }

    /// Follows the condition `Held`, and keeps the longest stretch of each version.
    fn follow_hold(&mut self, status: &RolloutStatus, now: Timestamp) {
        let held = status.held();
        let same = |hold: &Hold| held.as_ref().is_some_and(|(reason, _)| *reason == hold.reason);
        if let Some(mut hold) = self.held.take() {
            hold.seconds = now.duration_since(hold.from).as_secs();
            if let Some(version) = self.version(status.candidate_version.as_deref())
                && version.longest_hold.as_ref().is_none_or(|longest| longest.seconds < hold.seconds)
            {
                version.longest_hold = Some(hold.clone());
            }
            self.held = Some(hold).filter(same);
        }
        let since = status.condition(ConditionType::Held).map_or(now, |held| held.last_transition_time);
        if let (None, Some((reason, message))) = (&self.held, &held) {
            let (reason, message) = (reason.clone(), (*message).to_owned());
            self.held = Some(Hold { reason, message, from: since.min(now), seconds: 0 });
        }
    }

    fn frame(&mut self, status: &RolloutStatus, now: Timestamp) {
        let frame = frame(status, now);
        let due = self.frames.last().is_none_or(|last| {
            let moved = (&last.phase, &last.version, &last.held)
                != (&frame.phase, &frame.version, &frame.held)
                || last.waves.iter().map(|wave| wave.state).ne(frame.waves.iter().map(|wave| wave.state));
            moved || now.duration_since(last.at) >= self.frame_every
        });
        if due && self.frames.len() < FRAMES_MAX {
            self.frames.push(frame);
        }
    }

    /// What became of each version, with the fleet's own truth about harm up to `now`.
    pub(crate) fn versions(&self, fleet: &Population, now: Timestamp) -> Vec<VersionOutcome> {
        let faults: BTreeMap<&str, Option<String>> =
            fleet.faults.iter().map(|(version, fault)| (version.as_str(), fault.words())).collect();
        self.versions
            .iter()
            .map(|version| {
                let harm = harm::of(fleet, &version.name, now.as_second());
                let fault = faults.get(version.name.as_str()).cloned().flatten();
                version.outcome(fault, &harm)
            })
            .collect()
    }
}

impl Version {
    fn result(&self) -> VersionResult {
        match (self.detected_at, self.completed_at) {
            (Some(_), _) if self.reverted_at.is_none() => VersionResult::Unfinished,
            (Some(_), _) if self.partly => VersionResult::RevertedPartly,
            (Some(_), _) => VersionResult::Reverted,
            (None, Some(_)) => VersionResult::Completed,
            (None, None) if self.superseded => VersionResult::Superseded,
            (None, None) if self.started_at.is_some() => VersionResult::Unfinished,
            (None, None) => VersionResult::NotStarted,
        }
    }

    fn outcome(&self, fault: Option<String>, harm: &harm::Harm) -> VersionOutcome {
        let seconds =
            |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.duration_since(from?).as_secs());
        let first_harm_at = harm.first.and_then(|second| Timestamp::from_second(second).ok());
        let completed_at = self.completed_at.filter(|_| self.detected_at.is_none());
        VersionOutcome {
            version: self.name.clone(),
            fault,
            asked_at: self.asked_at,
            started_at: self.started_at,
            result: self.result(),
            finished_at: completed_at.or(self.back_at),
            seconds_to_completion: seconds(self.started_at, completed_at),
            first_harm_at,
            detected_at: self.detected_at,
            seconds_to_detection: seconds(first_harm_at, self.detected_at),
            seconds_to_revert: seconds(self.detected_at, self.back_at),
            reason: self.reason.clone(),
            attribution: self.attribution,
            wave: self.wave.clone(),
            tenants_touched: harm.tenants.len(),
            tenant_minutes_of_harm: harm.tenant_minutes,
            excess_bad_events: harm.excess,
            longest_hold: self.longest_hold.clone(),
        }
    }
}

fn frame(status: &RolloutStatus, at: Timestamp) -> Frame {
    let counts = &status.counts;
    Frame {
        at,
        phase: status.phase,
        version: status.candidate_version.clone(),
        held: status.held().map(|(reason, _)| reason),
        live: counts.live,
        updated: counts.updated,
        ready: counts.ready,
        failed: counts.failed,
        to_revert: counts.to_revert,
        waves: status
            .waves
            .iter()
            .map(|wave| WaveFrame {
                total: wave.total,
                updated: wave.updated,
                soaked_seconds: wave.soaked_seconds,
                state: match (wave.started_at, wave.completed_at, wave.passed_at) {
                    (_, _, Some(_)) => WaveState::Passed,
                    (_, Some(_), None) => WaveState::Soaking,
                    (Some(_), None, None) => WaveState::Updating,
                    (None, None, None) => WaveState::Waiting,
                },
            })
            .collect(),
        slos: status
            .slos
            .iter()
            .map(|slo| SloFrame {
                verdict: slo.verdict.clone(),
                value: slo.value,
                baseline: slo.baseline,
                limit: slo.limit,
            })
            .collect(),
    }
}
