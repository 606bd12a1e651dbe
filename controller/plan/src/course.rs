//! The course of a Rollout: which version goes in or out, how far it is, and which versions are rejected. Pure.
//!
//! A course is a value. A step that changes it returns the next one; [`tell`](crate::tell) alone makes a status of the last.

mod begin;
mod choose;
mod owners;
mod rejections;
mod way;

use breakwater_crds::{
    release::Lane,
    scalars::Span,
    status::{Adoption, Phase, RevertStatus, SoakedDay, WaveStatus},
};
use jiff::Timestamp;

pub(crate) use self::{
    begin::{begin, forget_stable, nobody},
    choose::choose,
    owners::owners_sentence,
    rejections::Rejections,
    way::{Way, is_known},
};
use crate::{gate, input::Input, said::clip};

/// Where a Rollout is on its road.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    /// The place on the road.
    pub(crate) phase: Phase,
    /// `spec.version`: what Git wants.
    pub(crate) wish: String,
    /// The last version that completed.
    pub(crate) stable: Option<String>,
    /// The version that is under way, or the one that an adoption's approval speaks of.
    pub(crate) candidate: Option<String>,
    /// How fast it travels.
    pub(crate) lane: Lane,
    /// The version that waits for it.
    pub(crate) queued: Option<String>,
    /// Versions that may not stay, for all or for single tenants.
    pub(crate) rejections: Rejections,
    /// When the version under way started.
    pub(crate) started_at: Option<Timestamp>,
    /// When the last wave was passed and watching went on alone.
    pub(crate) watching_since: Option<Timestamp>,
    /// When the last version completed.
    pub(crate) completed_at: Option<Timestamp>,
    /// Name of the wave in flight.
    pub(crate) wave: Option<String>,
    /// The waves, in the spec's order and number.
    pub(crate) waves: Vec<WaveStatus>,
    /// Seconds in which every SLO was Healthy, by day.
    pub(crate) soaked_days: Vec<SoakedDay>,
    /// What an adoption found.
    pub(crate) adoption: Option<Adoption>,
    /// The revert under way, or the last one.
    pub(crate) revert: Option<RevertStatus>,
    /// Name of the open report of the version under way.
    pub(crate) report: Option<String>,
    /// A version starts in this very plan: all evidence is of another one.
    pub(crate) starts: bool,
}

impl Course {
    /// The course as it was stored, with the waves as the spec has them now.
    pub(crate) fn stored(input: &Input<'_>, rejections: Rejections) -> Self {
        let status = input.status;
        // Absent only where somebody else wrote the status.
        let started_at = status.started_at.or(status.phase.is_under_way().then_some(input.now));
        Self {
            phase: status.phase,
            wish: input.spec().version.clone(),
            stable: status.stable_version.clone(),
            candidate: status.candidate_version.clone(),
            lane: status.lane,
            queued: status.queued.clone(),
            rejections,
            started_at,
            watching_since: status.watching_since,
            completed_at: status.completed_at,
            wave: status.wave.clone(),
            waves: waves(input),
            soaked_days: status.soaked_days.clone(),
            adoption: status.adoption.clone(),
            revert: status.revert.clone(),
            report: status.report.clone(),
            starts: false,
        }
    }

    /// The same, elsewhere on the road.
    pub(crate) fn enter(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// A version is under way, from the first wave, with fresh evidence.
    pub(crate) fn start(self, input: &Input<'_>, version: &str) -> Self {
        // An adoption's approval is an approval of the first wave of the same version.
        let approved = self.adoption.as_ref().and_then(|adoption| adoption.approved.clone());
        let names = input.spec().waves.iter().map(|wave| wave.name.clone());
        let mut waves: Vec<WaveStatus> =
            names.map(|name| WaveStatus { name, ..WaveStatus::default() }).collect();
        if let Some(first) = waves.first_mut() {
            first.approved_before = approved;
        }
        Self {
            phase: Phase::Advancing,
            candidate: Some(version.to_owned()),
            lane: gate::lane(input, version),
            queued: None,
            started_at: Some(input.now),
            watching_since: None,
            waves,
            revert: None,
            report: None,
            starts: true,
            ..self
        }
    }

    /// `version` is taken out. What is written follows from that, level-triggered.
    pub(crate) fn take_out(self, version: &str, by_spec: bool, message: &str, now: Timestamp) -> Self {
        let revert = RevertStatus {
            version: version.to_owned(),
            by_spec,
            message: clip(message),
            decided_at: now,
            back_at: None,
            verifying_since: None,
            finished_at: None,
            reverted: 0,
            failed: 0,
            attribution: None,
        };
        let rejections = self.rejections.clone().with(version);
        Self { phase: Phase::Reverting, revert: Some(revert), rejections, ..self }
    }

    /// The version that goes in, or is wanted while none does.
    pub(crate) fn wanted(&self) -> &str {
        self.candidate.as_deref().unwrap_or(&self.wish)
    }

    /// When the revert under way, or the one that is done, was decided; `None` on the road forward. Whoever did not get
    /// ready again stays listed until another version is under way.
    pub(crate) fn reverting_since(&self) -> Option<Timestamp> {
        let out = matches!(self.phase, Phase::Reverted | Phase::RevertedPartly);
        let revert = self.revert.as_ref().filter(|_| self.phase.is_reverting() || out);
        revert.map(|revert| revert.decided_at)
    }

    /// True while SLOs are watched for decisions.
    pub(crate) fn is_watched(&self) -> bool {
        self.phase.is_under_way() || self.phase.is_reverting()
    }

    /// Which versions a tenant may go back to.
    pub(crate) fn way<'c, 'a>(&'c self, input: &'c Input<'a>) -> Way<'c, 'a> {
        Way::new(input, &self.rejections, self.stable.as_deref())
    }

    /// The wave whose concurrency counts: the one in flight, or the last one that was (R6).
    pub(crate) fn writing_wave(&self) -> Option<usize> {
        in_flight(&self.waves).or_else(|| last_started(&self.waves))
    }

    /// True for a wave whose tenants may be on the version while `current` is in flight: itself and those before, and
    /// such as were passed before an edit put them behind.
    pub(crate) fn is_reached(&self, wave: Option<usize>, current: usize) -> bool {
        let passed = |wave: usize| self.waves.get(wave).is_some_and(|wave| wave.passed_at.is_some());
        wave.is_some_and(|wave| wave <= current || passed(wave))
    }

    /// Index of the first wave that is not passed.
    pub(crate) fn current_wave(&self) -> Option<usize> {
        self.waves.iter().position(|wave| wave.passed_at.is_none())
    }

    /// Name of the wave in flight, or of the last one.
    pub(crate) fn wave_name(&self) -> &str {
        let index = self.current_wave().or(self.waves.len().checked_sub(1));
        index.map_or("", |index| &self.waves[index].name)
    }

    /// How long a wave of the version under way soaks (R35).
    pub(crate) fn soak_of(&self, wave: &breakwater_crds::rollout::Wave) -> Span {
        wave.soak_in(self.lane)
    }
}

/// The status's waves in the spec's order and number. Waves are known by name; nothing moves back because of an edit:
/// what stands before the wave in flight counts as passed (R9).
fn waves(input: &Input<'_>) -> Vec<WaveStatus> {
    let old = &input.status.waves;
    let follow = |name: &String| match old.iter().find(|wave| wave.name == *name) {
        Some(known) => WaveStatus { soaked_seconds: known.soaked_seconds.max(0), ..known.clone() },
        None => WaveStatus { name: name.clone(), ..WaveStatus::default() },
    };
    let mut waves: Vec<WaveStatus> = input.spec().waves.iter().map(|spec| follow(&spec.name)).collect();
    let reached = in_flight(&waves).or_else(|| last_started(&waves)).unwrap_or(0);
    for wave in &mut waves[..reached] {
        wave.passed_at.get_or_insert(input.now);
    }
    waves
}

fn in_flight(waves: &[WaveStatus]) -> Option<usize> {
    waves.iter().position(|wave| wave.started_at.is_some() && wave.passed_at.is_none())
}

fn last_started(waves: &[WaveStatus]) -> Option<usize> {
    waves.iter().rposition(|wave| wave.started_at.is_some())
}
