//! The plan in the making: the new status, what stands in the way, what is to be written. Pure.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use breakwater_crds::{
    status::{BrakeKind, MESSAGE_MAX, Phase, RolloutStatus, Transition, WaveStatus},
    words::{HoldReason, Severity, TransitionReason},
};
use breakwater_slo::{Evidence, State};
use jiff::Timestamp;

use crate::{
    fleet::{self, Context, Place, Standing},
    gate,
    observed::{Claim, Fleet, Marker, Observed, Tenant},
    outcome::{JobWrite, Purpose, ReportWrite, Write},
    spared::Spared,
    trace::Trace,
};

/// Why nothing advances. It ends by itself with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    /// One word for machines.
    pub(crate) reason: HoldReason,
    /// The sentence.
    pub(crate) message: String,
}

/// A stretch of time that every SLO has judged, the slowest deciding (R7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Up to where it was judged before.
    pub(crate) before: Timestamp,
    /// Up to where the last step that was late or missing reaches.
    pub(crate) late: Option<Timestamp>,
    /// Up to where it is judged now.
    pub(crate) until: Timestamp,
}

/// Everything that planning fills in.
pub(crate) struct Draft<'a> {
    pub(crate) observed: &'a Observed<'a>,
    pub(crate) now: Timestamp,
    pub(crate) status: RolloutStatus,
    /// Versions that may not stay on any marked tenant: rejected ones, and the one that is taken out.
    pub(crate) out: BTreeSet<String>,
    /// Versions that are rejected for single tenants (R22).
    pub(crate) spared: Spared,
    pub(crate) places: Vec<Place>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) judges: Vec<State>,
    pub(crate) traces: Vec<Arc<Trace>>,
    pub(crate) evidence: Vec<Option<Evidence>>,
    pub(crate) reports: BTreeMap<String, ReportWrite>,
    pub(crate) writes: Vec<Write>,
    pub(crate) jobs: Vec<JobWrite>,
    pub(crate) diagnose: Vec<breakwater_slo::TenantId>,
    pub(crate) transitions: Vec<Transition>,
    pub(crate) wakes: Vec<Timestamp>,
    pub(crate) waiting: String,
    /// What of the time was judged since the last plan, by every SLO.
    pub(crate) judged: Option<Judged>,
    /// Versions that tenants run, each with the one they came from: asked for once, and by few.
    pub(crate) running: OnceCell<BTreeSet<(&'a str, Option<&'a str>)>>,
    /// A Revert that an action asked for: its name, who, why.
    pub(crate) manual: Option<(String, String, String)>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(observed: &'a Observed<'a>, now: Timestamp) -> Self {
        let mut status = observed.status.clone();
        status.observed_generation = observed.generation;
        status.epoch = status.epoch.max(observed.epoch);
        status.accepted_revision = observed.revision.map(str::to_owned);
        if status.phase.is_under_way() {
            status.started_at.get_or_insert(now); // absent only where somebody else wrote the status
        }
        let mut draft = Self {
            observed,
            now,
            status,
            out: BTreeSet::new(),
            spared: Spared::default(),
            places: Vec::new(),
            holds: Vec::new(),
            judges: Vec::new(),
            traces: Vec::new(),
            evidence: Vec::new(),
            reports: BTreeMap::new(),
            writes: Vec::new(),
            jobs: Vec::new(),
            diagnose: Vec::new(),
            transitions: Vec::new(),
            wakes: Vec::new(),
            waiting: String::new(),
            judged: None,
            running: OnceCell::new(),
            manual: None,
        };
        draft.follow_waves();
        draft
    }

    /// Keeps the status's waves in the spec's order and number. Waves are known by name; nothing moves back because
    /// of an edit: what stands before the wave in flight counts as passed (R9).
    fn follow_waves(&mut self) {
        let old = std::mem::take(&mut self.status.waves);
        let specs = &self.observed.spec.spec.waves;
        self.status.waves = specs
            .iter()
            .map(|spec| {
                let known = old.iter().find(|wave| wave.name == spec.name).cloned();
                let known =
                    known.map(|wave| WaveStatus { soaked_seconds: wave.soaked_seconds.max(0), ..wave });
                known.unwrap_or_else(|| WaveStatus { name: spec.name.clone(), ..WaveStatus::default() })
            })
            .collect();
        let reached = self.wave_in_flight().or_else(|| self.last_started()).unwrap_or(0);
        let now = self.now;
        for wave in &mut self.status.waves[..reached] {
            wave.passed_at.get_or_insert(now);
        }
    }

    fn wave_in_flight(&self) -> Option<usize> {
        self.status.waves.iter().position(|wave| wave.started_at.is_some() && wave.passed_at.is_none())
    }

    fn last_started(&self) -> Option<usize> {
        self.status.waves.iter().rposition(|wave| wave.started_at.is_some())
    }

    /// The wave whose concurrency counts: the one in flight, or the last one that was (R6).
    pub(crate) fn writing_wave(&self) -> Option<usize> {
        self.wave_in_flight().or_else(|| self.last_started())
    }

    /// True for a wave whose tenants may be on the version while `current` is in flight: itself and those before, and
    /// such as were passed before an edit put them behind.
    pub(crate) fn is_reached(&self, wave: Option<usize>, current: usize) -> bool {
        let passed = |wave: usize| self.status.waves.get(wave).is_some_and(|wave| wave.passed_at.is_some());
        wave.is_some_and(|wave| wave <= current || passed(wave))
    }

    /// The version that goes in, or is wanted while none does.
    pub(crate) fn wanted(&self) -> &str {
        self.status.candidate_version.as_deref().unwrap_or(&self.observed.spec.spec.version)
    }

    /// Looks at every tenant again.
    pub(crate) fn muster(&mut self) {
        // Whoever did not get ready again stays listed until another version is under way.
        let out = matches!(self.status.phase, Phase::Reverted | Phase::RevertedPartly);
        let reverting = self.status.phase.is_reverting() || out;
        let context = Context {
            spec: self.observed.spec,
            wanted: self.status.candidate_version.as_deref().unwrap_or(&self.observed.spec.spec.version),
            out: &self.out,
            spared: &self.spared,
            stable: self.status.stable_version.as_deref(),
            reverting_since: self
                .status
                .revert
                .as_ref()
                .filter(|_| reverting)
                .map(|revert| revert.decided_at),
            waves: &self.status.waves,
            started_at: self.status.started_at,
            migrating: gate::longest(self, self.wanted()),
            now: self.now,
            ahead: std::cell::RefCell::default(),
        };
        self.places = fleet::muster(self.observed.tenants, &context);
    }

    /// Tenants with their places.
    pub(crate) fn fleet(&self) -> impl Iterator<Item = (&'a Tenant, &Place)> {
        self.observed.tenants.iter().zip(&self.places)
    }

    /// How many tenants stand as `which` says.
    pub(crate) fn count(&self, which: impl Fn(&Standing) -> bool) -> usize {
        self.places.iter().filter(|place| which(&place.standing)).count()
    }

    /// Index of the first wave that is not passed.
    pub(crate) fn current_wave(&self) -> Option<usize> {
        self.status.waves.iter().position(|wave| wave.passed_at.is_none())
    }

    /// Name of the wave in flight, or of the last one.
    pub(crate) fn wave_name(&self) -> &str {
        let index = self.current_wave().or(self.status.waves.len().checked_sub(1));
        index.map_or("", |index| &self.status.waves[index].name)
    }

    /// Adds a hold.
    pub(crate) fn hold(&mut self, reason: HoldReason, message: impl Into<String>) {
        self.holds.push(Hold { reason, message: clip(&message.into()) });
    }

    /// Adds a hold that is told before all others.
    pub(crate) fn hold_above_all(&mut self, reason: HoldReason, message: impl Into<String>) {
        self.hold(reason, message);
        self.holds.rotate_right(1);
    }

    /// Tells a transition once, as loud as its word usually is.
    pub(crate) fn tell(&mut self, reason: TransitionReason, message: impl Into<String>) {
        self.tell_as(reason, reason.severity(), message);
    }

    /// Tells a transition once.
    pub(crate) fn tell_as(
        &mut self,
        reason: TransitionReason,
        severity: Severity,
        message: impl Into<String>,
    ) {
        let (message, warning) = (clip(&message.into()), severity == Severity::Warning);
        self.transitions.push(Transition { at: self.now, reason: reason.into(), message, warning });
    }

    /// Looks again at `at`, if that is to come.
    pub(crate) fn wake(&mut self, at: Option<Timestamp>) {
        self.wakes.extend(at.filter(|at| *at > self.now));
    }

    /// Why no write at all may be sent (R36), if so.
    pub(crate) fn stopped(&self) -> Option<String> {
        let brakes =
            self.status.brakes.iter().find(|brake| brake.kind == BrakeKind::Stop).map(crate::tell::brake);
        self.observed.stopped.map(str::to_owned).or(brakes)
    }

    /// True when the list of tenants may be relied on.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.observed.fleet, Fleet::Complete)
    }

    /// Moves to a phase.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.status.phase = phase;
    }

    /// Plans one write. `written_at` is a lower bound: the executor puts in the time of sending, if later.
    pub(crate) fn write(
        &mut self,
        tenant: &Tenant,
        version: Arc<str>,
        previous: Arc<str>,
        wave: &str,
        purpose: Purpose,
    ) {
        let decided = match purpose {
            Purpose::Advance => self.status.started_at,
            Purpose::Revert => {
                let alone = tenant.version.version().and_then(|v| self.spared.since(tenant.id, v));
                alone.max(self.status.revert.as_ref().map(|revert| revert.decided_at))
            }
        };
        let marker = Marker {
            claim: Claim::Own,
            target: version.clone(),
            previous,
            wave: wave.into(),
            written_at: decided.map_or(self.now, |decided| decided.max(self.now)),
            epoch: self.observed.epoch,
        };
        self.writes.push(Write { tenant: tenant.clone(), version, marker, purpose });
    }
}

/// Cuts a message to what the status may carry (R27).
pub(crate) fn clip(text: &str) -> String {
    clip_to(text, MESSAGE_MAX)
}

/// Cuts a text to `max` bytes, at a character's edge, and makes spaces of control characters, as the status does.
pub(crate) fn clip_to(text: &str, max: usize) -> String {
    let text = text.replace(char::is_control, " ");
    if text.len() <= max {
        return text;
    }
    let end = text.floor_char_boundary(max.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}
