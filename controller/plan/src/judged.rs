//! Judged: from counts to evidence, verdicts, and the holds that they ask for (R7, R10-R14). Pure.

mod before;
pub(crate) mod comparing;
mod sample;
mod soak;

use std::sync::Arc;

use breakwater_crds::{
    report::DeviationReportStatus,
    rollout::Baseline,
    scalars::Span,
    status::{Compared, Phase, SloStatus},
    words::{DeviationReason, HoldReason, TransitionReason, Verdict as VerdictWord},
};
use breakwater_slo::{
    Action, Against, Comparison, Config, Evidence, Guard, Kind, NoData, Reading, State, Tail, TenantId,
    Verdict,
};
use jiff::Timestamp;

pub(crate) use self::{sample::guard_limit, soak::Stretch};
use crate::{
    course::Course,
    input::Input,
    observed::{Report, SloReading, StepData},
    reports,
    roster::{Roster, Standing, after},
    said::{Said, clip},
    spec::{alpha_share, is_per_tenant},
    trace::Trace,
};

/// After how long without data the condition `Blind` says so (analysis.md 4).
pub(crate) const BLIND_AFTER: Span = Span::seconds(1_800);
/// How long before its own update a tenant is looked at (R14).
const WEEK: Span = Span::seconds(7 * 86_400);

/// What the SLOs come to. Lists are in the spec's order.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    /// What is told of each SLO.
    pub(crate) slos: Vec<SloStatus>,
    /// The judges' states.
    pub(crate) judges: Vec<State>,
    /// What both arms counted of late, for accounts.
    pub(crate) traces: Vec<Arc<Trace>>,
    /// What each SLO says; `None` where there is no verdict yet.
    pub(crate) evidence: Vec<Option<Evidence>>,
    /// Candidates that never had a series, of the SLO where most are.
    pub(crate) uninstrumented: u32,
    /// What of the time was judged since the last plan, by every SLO.
    pub(crate) stretch: Option<Stretch>,
}

impl Judged {
    /// Nothing is judged; `slos` is what is told.
    fn blank(input: &Input<'_>, slos: Vec<SloStatus>) -> Self {
        let n = input.slos().len();
        Self {
            slos,
            judges: vec![State::default(); n],
            traces: vec![Arc::default(); n],
            evidence: vec![None; n],
            uninstrumented: 0,
            stretch: None,
        }
    }

    /// Nothing, where a version starts: the evidence is of another one.
    pub(crate) fn again(input: &Input<'_>, before: &Course, turned: &Course) -> Option<Self> {
        (turned.starts && !before.starts).then(|| Self::blank(input, Vec::new()))
    }

    /// The verdict of all SLOs together; `None` while one of them has none.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let spoken = self.evidence.iter().all(Option::is_some);
        let verdicts = self.evidence.iter().flatten().map(|evidence| evidence.verdict);
        Verdict::combine(verdicts).filter(|_| spoken)
    }
}

/// Feeds what was read: evidence, verdicts, and the holds that they ask for.
pub(crate) fn judge(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> (Judged, Said) {
    // Evidence of another version says nothing of the one that starts.
    let known: &[SloStatus] = if course.starts { &[] } else { &input.status.slos };
    if !course.is_watched() {
        return (Judged::blank(input, known.to_vec()), Said::default());
    }
    let court = Court { input, course, roster, warm: first_warm(input, course, roster) };
    let mut judged = Judged::blank(input, Vec::new());
    let mut said = Said::default();
    for index in 0..input.slos().len() {
        let Ruling { state, trace, evidence, status, stretch, said: more } = court.rule(index, known);
        let uninstrumented = evidence.as_ref().map_or(0, |e| e.coverage.never_instrumented);
        if !course.phase.is_reverting() {
            judged.uninstrumented = judged.uninstrumented.max(uninstrumented);
        }
        judged.stretch = Stretch::both(judged.stretch, stretch);
        judged.slos.push(status);
        judged.judges[index] = state;
        judged.traces[index] = trace;
        judged.evidence[index] = evidence;
        said = said.and(more);
    }
    if !course.phase.is_reverting() {
        said = said.and(hold_for_data(&judged));
    }
    (judged, said)
}

/// What every SLO is judged with.
struct Court<'c, 'a> {
    input: &'c Input<'a>,
    course: &'c Course,
    roster: &'c Roster<'a>,
    /// When the first candidate was warm, if one is: from then on there is a verdict (R10).
    warm: Option<Timestamp>,
}

/// What came of one SLO.
struct Ruling {
    state: State,
    trace: Arc<Trace>,
    evidence: Option<Evidence>,
    status: SloStatus,
    stretch: Option<Stretch>,
    said: Said,
}

/// The word for a verdict.
pub(crate) const fn verdict(evidence: &Evidence) -> VerdictWord {
    match evidence.verdict {
        Verdict::Healthy => VerdictWord::Healthy,
        Verdict::Deviating => VerdictWord::Deviating,
        Verdict::Inconclusive => VerdictWord::Inconclusive,
        Verdict::NoData => VerdictWord::NoData,
        Verdict::Uncalibrated => VerdictWord::Uncalibrated,
    }
}

/// The guard's name, where it deviates.
pub const fn guard_reason(evidence: &Evidence) -> DeviationReason {
    match evidence.guard {
        Some(Guard::BurnRate { .. }) => DeviationReason::BurnRate,
        Some(Guard::Sharp) => DeviationReason::SharpPath,
        Some(Guard::Limit) => DeviationReason::Limit,
        Some(Guard::UpdateCost) => DeviationReason::UpdateCost,
        Some(Guard::TelemetryLost) => DeviationReason::TelemetryLost,
        Some(Guard::NoData(_)) => DeviationReason::NoData,
        Some(Guard::Comparison) => DeviationReason::Comparison,
        Some(Guard::Uncalibrated) => DeviationReason::Uncalibrated,
        None => DeviationReason::Inconclusive,
    }
}

/// The guard's name, where it holds.
pub const fn guard_hold(evidence: &Evidence) -> HoldReason {
    match evidence.guard {
        Some(Guard::BurnRate { .. }) => HoldReason::BurnRate,
        Some(Guard::Sharp) => HoldReason::SharpPath,
        Some(Guard::Limit) => HoldReason::Limit,
        Some(Guard::UpdateCost) => HoldReason::UpdateCost,
        Some(Guard::TelemetryLost) => HoldReason::TelemetryLost,
        Some(Guard::NoData(_)) => HoldReason::NoData,
        Some(Guard::Comparison) => HoldReason::Comparison,
        Some(Guard::Uncalibrated) => HoldReason::Uncalibrated,
        None => HoldReason::Inconclusive,
    }
}

/// What a comparison goes by, as it is told.
fn compared(comparison: &Comparison) -> Option<Compared> {
    let Comparison::Armed(frozen) = comparison else { return None };
    let (with, dispersion) = match frozen.against {
        Against::Others => (Baseline::Others, frozen.phi),
        Against::History { chosen: _ } => (Baseline::History, frozen.phi_past),
        Against::Both => (Baseline::Both, frozen.phi.max(frozen.phi_past)),
    };
    let edges = frozen.shape.as_ref().map_or_else(Vec::new, |edges| edges.seconds.clone());
    let reverts = frozen.against != (Against::History { chosen: false });
    Some(Compared { with, reverts, dispersion: dispersion.min(f64::MAX), edges })
}

/// The stored state, and how often its evidence has started anew. A comparison that another judge stored, before an upgrade, or that somebody broke, starts anew as an
/// edited SLO does: the alpha that it spent is gone (analysis.md 2). The guards' windows, and how far steps were judged, stay.
fn checkpoint(status: &SloStatus) -> (State, u32) {
    let Some(stored) = status.evidence.clone() else { return (State::default(), status.anew) };
    let read = |stored| serde_json::from_value::<State>(stored).ok();
    if let Some(state) = read(stored.clone()) {
        return (state, status.anew);
    }
    let mut guards = stored;
    guards.as_object_mut().map(|sections| sections.remove("compared"));
    (read(guards).unwrap_or_default(), status.anew.saturating_add(1))
}

impl Court<'_, '_> {
    /// Judges one SLO; `known` is what the stored status says of the version under way.
    fn rule(&self, index: usize, known: &[SloStatus]) -> Ruling {
        let (slo, definition) = (&self.input.slos()[index], &self.input.asked.spec.definitions[index]);
        // An edited SLO, and a version that took over, start anew (R9, R23).
        let is_same = |old: &SloStatus| old.name == slo.name && old.definition == *definition;
        let old = known.iter().find(|old| is_same(old)).cloned().unwrap_or_else(|| {
            let edited = known.iter().find(|old| old.name == slo.name);
            SloStatus {
                name: slo.name.clone(),
                definition: definition.clone(),
                anew: edited.map_or(0, |old| old.anew.saturating_add(1)),
                ..SloStatus::default()
            }
        });
        let mut said = Said::default();
        let reading = self.input.reading(index);
        let is_carried = known.get(index).is_some_and(is_same);
        let carried = reading.and_then(|reading| reading.state.clone()).filter(|_| is_carried);
        let (state, anew) = carried.map_or_else(|| checkpoint(&old), |state| (state, old.anew));
        if anew > old.anew {
            said.tell(
                TransitionReason::EvidenceAnew,
                format!(
                    "the comparison of {} was stored by another judge: it starts anew with what is left of alpha",
                    slo.name
                ),
            );
        }
        let trace = reading.and_then(|reading| reading.trace.clone()).filter(|_| is_carried);
        let judge = Judge {
            court: self,
            index,
            state,
            trace: trace.unwrap_or_default(),
            config: self.config(index, anew),
            reading,
            error: self.error(index, reading),
        };
        judge.rule(SloStatus { anew, ..old }, said)
    }

    /// The judge's configuration, once the step's length is known.
    fn config(&self, index: usize, anew: u32) -> Option<Config> {
        let step = self.input.step_seconds(index);
        let compared = self.input.slos().iter().filter(|slo| is_per_tenant(slo)).count();
        (step > 0).then(|| {
            let mut config = self.input.asked.spec.judge(index, step);
            config.compare.weight = alpha_share(compared, anew);
            config
        })
    }

    /// Why there may be nothing to judge by.
    fn error(&self, index: usize, reading: Option<&SloReading>) -> Option<String> {
        let Some(reading) = reading else { return Some("nothing was read yet".to_owned()) };
        let unread = is_per_tenant(&self.input.slos()[index]) && self.is_past_unread(reading);
        let unread = unread.then(|| "the seven days before the wave were not read yet".to_owned());
        reading.error.clone().or(unread)
    }

    fn is_past_unread(&self, reading: &SloReading) -> bool {
        history_wanted(self.input, self.course).iter().any(|at| !reading.history.contains_key(at))
    }

    /// Whose evidence still counts although a report lists them: a crash came between the report and the status, which
    /// keeps how many were forgiven beside the judges' sums.
    fn forgotten(&self) -> Vec<TenantId> {
        let forgiven = usize::try_from(self.input.status.rejected_for).unwrap_or(usize::MAX);
        let listed = self.course.rejections.spared.tenants(self.course.wanted());
        if listed.clone().count() > forgiven { listed.collect() } else { Vec::new() }
    }
}

/// One SLO while it is judged.
struct Judge<'j, 'a> {
    court: &'j Court<'j, 'a>,
    index: usize,
    state: State,
    trace: Arc<Trace>,
    config: Option<Config>,
    reading: Option<&'a SloReading>,
    error: Option<String>,
}

impl Judge<'_, '_> {
    fn rule(mut self, status: SloStatus, said: Said) -> Ruling {
        self.state.forgive(&self.court.forgotten());
        self.feed();
        let before = status.evaluated_until;
        let status = SloStatus { evaluated_until: self.state.until_seconds().map(instant), ..status };
        let (evidence, status, more) = self.speak(status);
        let stretch = match (self.reading, &evidence) {
            (Some(reading), Some(_)) => Stretch::of(reading, before, status.evaluated_until),
            _ => None,
        };
        Ruling { state: self.state, trace: self.trace, evidence, status, stretch, said: said.and(more) }
    }

    /// Feeds new steps, in order. Without the tenants' own history no guard may act, so nothing is fed yet.
    fn feed(&mut self) {
        let (Some(config), Some(reading)) = (self.config.clone(), self.reading) else { return };
        let Court { input, course, roster, warm } = *self.court;
        let warm = warm.map(Timestamp::as_second);
        if let Some(warm) = warm {
            self.state.begin(warm);
        }
        if self.court.is_past_unread(reading) && matches!(config.kind, Kind::Ratio { .. }) {
            return;
        }
        self.state.compare(comparing::comparison(input, course, self.index, reading));
        let recent = reading.recent.iter().map(|step| (step, true));
        for (step, recent) in recent.chain(reading.steps.iter().map(|step| (step, false))) {
            let (samples, tails);
            let no_tails: &[Tail] = &[];
            let (data, tails) = match &step.data {
                StepData::Counts(counts) => {
                    let scene = sample::Scene { input, course, roster, reading, config: &config };
                    (samples, tails) = sample::sample(&scene, counts, step.end_seconds);
                    (Reading::Counts(&samples), &tails[..])
                }
                // A number that nobody's update can have caused says nothing of the release (R10).
                StepData::Values(_) if warm.is_none_or(|warm| step.end_seconds <= warm) => {
                    (Reading::Missing("no candidate is warm yet"), no_tails)
                }
                StepData::Values(values) => (Reading::Values(values), no_tails),
                StepData::Missing(why) => (Reading::Missing(why), no_tails),
            };
            let past = comparing::past(input, course, reading, step.end_seconds, config.step_seconds);
            let step =
                breakwater_slo::Step { past, tails, ..breakwater_slo::Step::new(step.end_seconds, data) };
            if course.phase.is_under_way() {
                reports::take(&mut self.trace, &config, reading, &step);
            }
            if recent {
                self.state.feed_recent(&config, &step);
            } else {
                self.state.feed(&config, &step);
            }
        }
    }

    /// The evidence, the SLO's status with it, and what holds because of it.
    fn speak(&self, status: SloStatus) -> (Option<Evidence>, SloStatus, Said) {
        let Court { input, course, .. } = *self.court;
        let mut said = Said::default();
        let Some(config) = &self.config else {
            return (None, self.unread(status), said);
        };
        if course.phase == Phase::Reverting {
            return (None, status, said); // the decision's evidence stays to be seen until the way back is done
        }
        let Some(evidence) = self.state.evidence(config, input.now.as_second()) else {
            let message = self.error.clone().unwrap_or_default();
            return (None, SloStatus { verdict: None, message, ..status }, said);
        };
        said.wake(self.state.stale_at_seconds(config).map(instant));
        let status = self.told(status, config, &evidence);
        if !course.phase.is_reverting() {
            said = said.and(self.holds(&evidence, &status.message));
        }
        (Some(evidence), status, said)
    }

    /// The status while not even the length of a step is known.
    fn unread(&self, status: SloStatus) -> SloStatus {
        if self.court.warm.is_none() {
            return status;
        }
        let message = self.error.clone().unwrap_or_else(|| "the step length is not known yet".into());
        SloStatus {
            verdict: Some(VerdictWord::NoData.into()),
            message,
            no_data_since: status.no_data_since.or(Some(self.court.input.now)),
            ..status
        }
    }

    /// The status with the evidence.
    fn told(&self, status: SloStatus, config: &Config, evidence: &Evidence) -> SloStatus {
        let Court { input, course, .. } = *self.court;
        let blind = evidence.verdict == Verdict::NoData;
        let sentence = evidence.sentence(&input.slos()[self.index].name, course.wave_name());
        let must = input.spec().judge.must_detect;
        let combined = |ln_e| breakwater_slo::combine(&[(config.compare.weight, ln_e)], 1.0);
        SloStatus {
            verdict: Some(verdict(evidence).into()),
            message: match &self.error {
                Some(error) if blind => clip(&format!("{sentence}: {error}")),
                _ => clip(&sentence),
            },
            value: evidence.value,
            baseline: evidence.baseline,
            limit: evidence.limit,
            window: Some(Span::seconds(evidence.window_seconds)),
            detectable: evidence.detectable.and_then(|detectable| detectable.ratio),
            detectable_share: evidence.detectable.map(|detectable| detectable.share),
            compared: compared(self.state.comparison()),
            must_detect_share: evidence.detectable.map(|detectable| detectable.must_share(must)),
            ln_e: evidence.ln_e,
            ln_limit: evidence.ln_limit,
            certainty: evidence.ln_e.map(|ln_e| combined(ln_e).certainty),
            no_data_since: if blind { status.no_data_since.or(Some(input.now)) } else { None },
            ..status
        }
    }

    /// Holds as the evidence asks, and where too many candidates are not measured at all.
    fn holds(&self, evidence: &Evidence, message: &str) -> Said {
        let mut said = Said::default();
        match evidence.action {
            Action::Hold => said.hold_for(self.index, guard_hold(evidence), message),
            Action::None | Action::Deviate => {}
        }
        let (n, of) = (evidence.coverage.never_instrumented, evidence.coverage.tenants);
        let blind = matches!(evidence.guard, Some(Guard::NoData(NoData::NeverInstrumented)));
        if n.saturating_mul(10) > of && !blind {
            let message =
                format!("{n} of {of} candidates never had a series: check tenantLabels and tenants.id");
            said.hold(HoldReason::Uninstrumented, message);
        }
        said
    }
}

/// Whoever has been warm without a verdict waits for one.
fn hold_for_data(judged: &Judged) -> Said {
    let mut said = Said::default();
    let blind = |slo: &SloStatus| slo.verdict.as_ref().is_some_and(|word| *word == VerdictWord::NoData);
    let silent: Vec<String> = judged
        .slos
        .iter()
        .zip(&judged.evidence)
        .filter(|(slo, evidence)| evidence.is_none() && blind(slo))
        .map(|(slo, _)| format!("{}: {}", slo.name, slo.message))
        .collect();
    if !silent.is_empty() {
        said.hold(HoldReason::NoData, silent.join("; "));
    }
    let blind = judged.slos.iter().filter_map(|slo| slo.no_data_since).min();
    said.wake(blind.map(|since| after(since, BLIND_AFTER)));
    said
}

/// Unix seconds as an instant; a checkpoint can hold any number.
pub(crate) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// When the first candidate was warm, if one is: from then on there is a verdict (R10).
fn first_warm(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> Option<Timestamp> {
    let warm = if course.phase.is_reverting() {
        let returned = roster.count(|standing| matches!(standing, Standing::Returned { .. })) > 0;
        course.revert.as_ref().and_then(|revert| revert.verifying_since).filter(|_| returned)
    } else {
        roster.places().iter().filter_map(|place| place.standing.ready_warm_at()).min()
    };
    warm.filter(|warm| *warm <= input.now)
}

/// Instants whose seven days before are wanted (R14): wave starts, each as [`as_of`].
pub(crate) fn history_wanted(input: &Input<'_>, course: &Course) -> Vec<Timestamp> {
    let watched = course.is_watched();
    let starts = course.waves.iter().filter(|_| watched).filter_map(|wave| wave.started_at);
    let mut wanted: Vec<Timestamp> = starts.map(|started| as_of(input, started)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// As of when a tenant's seven days before a wave's start are read (R14): before any rejected version of this Rollout
/// was there in them. What that one did to its tenants must not excuse the version that mends it.
pub(crate) fn as_of(input: &Input<'_>, started: Timestamp) -> Timestamp {
    let rejected = |report: &Report| {
        let DeviationReportStatus { started_at, decided_at, finished_at, .. } = &report.status;
        let begun = (*started_at)?;
        Some((begun, finished_at.or(*decided_at).unwrap_or(input.now)))
    };
    let spans: Vec<(Timestamp, Timestamp)> = input.elsewhere.reports.iter().filter_map(rejected).collect();
    let mut at = started;
    // Each turn leaves one more of them behind.
    while let Some((begun, _)) = spans.iter().find(|(begun, ended)| *begun < at && after(*ended, WEEK) > at) {
        at = *begun;
    }
    at
}
