//! From counts to verdicts: which arm a tenant was in, the judge's evidence, and the holds it asks for (R7, R10-R14). Pure.

use std::sync::Arc;

use breakwater_crds::{
    report::DeviationReportStatus,
    rollout::Baseline,
    scalars::Span,
    status::{Compared, Phase, SloStatus},
    words::{self, HoldReason, TransitionReason},
};
use breakwater_slo::{
    Action, Against, Arm, Comparison, Config, Evidence, Kind, NoData, Reading, Sample, Series, State, Tail,
    Verdict,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    account,
    before::Before,
    comparing,
    deviation::guard_reason,
    draft::{Draft, Judged},
    fleet::{self, Place, Standing},
    observed::{Counted, Marker, Readiness, Report, SloReading, Slower, StepData, Tenant},
    spared,
    spec::{alpha_share, is_per_tenant},
    study::Pool,
    trace::Trace,
};

/// After how long without data the condition `Blind` says so (analysis.md 4).
pub(crate) const BLIND_AFTER: Span = Span::seconds(1_800);
/// How long before its own update a tenant is looked at (R14).
const WEEK: Span = Span::seconds(7 * 86_400);
/// Slack in what counts as judged on time, on top of the reading lag and two steps (R7).
const ON_TIME_SLACK_SECONDS: i64 = 5;

/// Feeds what was read and takes verdicts and holds into the draft.
pub(crate) fn judge(draft: &mut Draft<'_>) {
    let reverting = draft.status.phase.is_reverting();
    let checked = draft.observed.spec;
    draft.status.counts.uninstrumented = 0;
    draft.evidence = vec![None; checked.spec.slos.len()];
    draft.judges = vec![State::default(); checked.spec.slos.len()];
    draft.traces = vec![Arc::default(); checked.spec.slos.len()];
    if !draft.status.phase.is_under_way() && !reverting {
        return;
    }
    let statuses = std::mem::take(&mut draft.status.slos);
    let mut next = Vec::new();
    for (i, slo) in checked.spec.slos.iter().enumerate() {
        let definition = &checked.definitions[i];
        // An edited SLO, and a version that took over, start anew (R9, R23).
        let is_same = |old: &SloStatus| old.name == slo.name && old.definition == *definition;
        let old = statuses.iter().find(|old| is_same(old));
        let mut status = old.cloned().unwrap_or_else(|| {
            let edited = statuses.iter().find(|old| old.name == slo.name);
            SloStatus {
                name: slo.name.clone(),
                definition: definition.clone(),
                anew: edited.map_or(0, |old| old.anew.saturating_add(1)),
                ..SloStatus::default()
            }
        });
        let known = status.anew;
        let mut judge = Judge::new(draft, i, statuses.get(i).is_some_and(is_same), &mut status);
        if status.anew > known {
            let name = &slo.name;
            let why = format!(
                "the comparison of {name} was stored by another judge: it starts anew with what is left of alpha"
            );
            draft.tell(TransitionReason::EvidenceAnew, why);
        }
        judge.state.forgive(&spared::forgotten(draft));
        judge.feed(draft);
        judge.speak(draft, &mut status);
        draft.judges[i] = judge.state;
        draft.traces[i] = judge.trace;
        draft.evidence[i] = judge.evidence;
        next.push(status);
    }
    draft.status.slos = next;
    if !reverting {
        hold_for_data(draft);
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

/// The stored state. A comparison that another judge stored, before an upgrade, or that somebody broke, starts anew as an
/// edited SLO does: the alpha that it spent is gone (analysis.md 2). The guards' windows, and how far steps were judged, stay.
fn checkpoint(status: &mut SloStatus) -> State {
    let Some(stored) = status.evidence.clone() else { return State::default() };
    let read = |stored| serde_json::from_value::<State>(stored).ok();
    read(stored.clone()).unwrap_or_else(|| {
        status.anew = status.anew.saturating_add(1);
        let mut guards = stored;
        guards.as_object_mut().map(|sections| sections.remove("compared"));
        read(guards).unwrap_or_default()
    })
}

/// One SLO while it is judged.
struct Judge<'a> {
    index: usize,
    state: State,
    trace: Arc<Trace>,
    config: Option<Config>,
    reading: Option<&'a SloReading>,
    error: Option<String>,
    evidence: Option<Evidence>,
}

impl<'a> Judge<'a> {
    /// With the state that the last plan handed out, if that was of this SLO and version; else the checkpoint, or anew.
    fn new(draft: &Draft<'a>, index: usize, is_carried: bool, status: &mut SloStatus) -> Self {
        let checked = draft.observed.spec;
        let reading = draft.observed.readings.get(index);
        let carried = reading.and_then(|reading| reading.state.clone()).filter(|_| is_carried);
        let state = carried.unwrap_or_else(|| checkpoint(status));
        let step = reading.map_or(0, |reading| reading.step_seconds);
        let config = (step > 0).then(|| {
            let mut config = checked.judge(index, step);
            let compared = checked.spec.slos.iter().filter(|slo| is_per_tenant(slo)).count();
            config.compare.weight = alpha_share(compared, status.anew);
            config
        });
        let mut error =
            reading.map_or_else(|| Some("nothing was read yet".to_owned()), |reading| reading.error.clone());
        if let Some(reading) = reading.filter(|_| is_per_tenant(&checked.spec.slos[index])) {
            let wanted = history_wanted(draft);
            if wanted.iter().any(|at| !reading.history.contains_key(at)) && error.is_none() {
                error = Some("the seven days before the wave were not read yet".into());
            }
        }
        let trace = reading.and_then(|reading| reading.trace.clone()).filter(|_| is_carried);
        Self { index, state, trace: trace.unwrap_or_default(), config, reading, error, evidence: None }
    }

    /// Feeds new steps, in order. Without the tenants' own history no guard may act, so nothing is fed yet.
    fn feed(&mut self, draft: &Draft<'_>) {
        let (Some(config), Some(reading)) = (&self.config, self.reading) else { return };
        let warm = first_warm(draft).map(Timestamp::as_second);
        if let Some(warm) = warm {
            self.state.begin(warm);
        }
        let unread = history_wanted(draft).iter().any(|at| !reading.history.contains_key(at));
        if unread && matches!(config.kind, Kind::Ratio { .. }) {
            return;
        }
        self.state.compare(comparing::comparison(draft, self.index, reading));
        for (step, recent) in
            reading.recent.iter().map(|s| (s, true)).chain(reading.steps.iter().map(|s| (s, false)))
        {
            let (samples, tails);
            let no_tails: &[Tail] = &[];
            let (data, tails) = match &step.data {
                StepData::Counts(counts) => {
                    (samples, tails) = sample(draft, reading, counts, step.end_seconds, config);
                    (Reading::Counts(&samples), &tails[..])
                }
                // A number that nobody's update can have caused says nothing of the release (R10).
                StepData::Values(_) if warm.is_none_or(|warm| step.end_seconds <= warm) => {
                    (Reading::Missing("no candidate is warm yet"), no_tails)
                }
                StepData::Values(values) => (Reading::Values(values), no_tails),
                StepData::Missing(why) => (Reading::Missing(why), no_tails),
            };
            let past = comparing::past(draft, reading, step.end_seconds, config.step_seconds);
            let step =
                breakwater_slo::Step { past, tails, ..breakwater_slo::Step::new(step.end_seconds, data) };
            if draft.status.phase.is_under_way() {
                account::take(&mut self.trace, config, reading, &step);
            }
            if recent {
                self.state.feed_recent(config, &step);
            } else {
                self.state.feed(config, &step);
            }
        }
    }

    /// Takes the evidence into the SLO's status.
    fn speak(&mut self, draft: &mut Draft<'_>, status: &mut SloStatus) {
        let before = status.evaluated_until;
        status.evaluated_until = self.state.until_seconds().map(instant);
        let Some(config) = &self.config else {
            let begun = first_warm(draft).is_some();
            if begun {
                status.verdict = Some(words::Verdict::NoData.into());
                status.message =
                    self.error.clone().unwrap_or_else(|| "the step length is not known yet".into());
                status.no_data_since.get_or_insert(draft.now);
            }
            return;
        };
        if draft.status.phase == Phase::Reverting {
            return; // the decision's evidence stays to be seen until the way back is done
        }
        self.evidence = self.state.evidence(config, draft.now.as_second());
        let Some(evidence) = &self.evidence else {
            status.verdict = None;
            status.message = self.error.clone().unwrap_or_default();
            return;
        };
        draft.wake(self.state.stale_at_seconds(config).map(instant));
        let blind = evidence.verdict == Verdict::NoData;
        status.verdict = Some(word(evidence.verdict).into());
        let name = &draft.observed.spec.spec.slos[self.index].name;
        let sentence = evidence.sentence(name, draft.wave_name());
        status.message = match &self.error {
            Some(error) if blind => crate::draft::clip(&format!("{sentence}: {error}")),
            _ => crate::draft::clip(&sentence),
        };
        (status.value, status.baseline, status.limit) = (evidence.value, evidence.baseline, evidence.limit);
        status.window = Some(Span::seconds(evidence.window_seconds));
        let must = draft.observed.spec.spec.judge.must_detect;
        status.detectable = evidence.detectable.and_then(|detectable| detectable.ratio);
        status.detectable_share = evidence.detectable.map(|detectable| detectable.share);
        status.compared = compared(self.state.comparison());
        status.must_detect_share = evidence.detectable.map(|detectable| detectable.must_share(must));
        (status.ln_e, status.ln_limit) = (evidence.ln_e, evidence.ln_limit);
        let combined =
            evidence.ln_e.map(|ln_e| breakwater_slo::combine(&[(config.compare.weight, ln_e)], 1.0));
        status.certainty = combined.map(|combined| combined.certainty);
        match (blind, status.no_data_since) {
            (true, None) => status.no_data_since = Some(draft.now),
            (false, Some(_)) => status.no_data_since = None,
            (true, Some(_)) | (false, None) => {}
        }
        if !draft.status.phase.is_reverting() {
            hold_for_evidence(draft, evidence, &status.message);
        }
        if let Some(reading) = self.reading {
            mark_soak(draft, reading, before, status.evaluated_until);
        }
    }
}

/// The judge's verdict in the API's words.
pub(crate) const fn word(verdict: Verdict) -> words::Verdict {
    match verdict {
        Verdict::Healthy => words::Verdict::Healthy,
        Verdict::Deviating => words::Verdict::Deviating,
        Verdict::Inconclusive => words::Verdict::Inconclusive,
        Verdict::NoData => words::Verdict::NoData,
        Verdict::Uncalibrated => words::Verdict::Uncalibrated,
    }
}

/// Holds as the evidence asks, and where too many candidates are not measured at all.
fn hold_for_evidence(draft: &mut Draft<'_>, evidence: &Evidence, message: &str) {
    match evidence.action {
        Action::Hold => draft.hold(guard_reason(evidence), message),
        Action::None | Action::Deviate => {}
    }
    let coverage = evidence.coverage;
    let uninstrumented = &mut draft.status.counts.uninstrumented;
    *uninstrumented = coverage.never_instrumented.max(*uninstrumented);
    let blind = matches!(evidence.guard, Some(breakwater_slo::Guard::NoData(NoData::NeverInstrumented)));
    if coverage.never_instrumented.saturating_mul(10) > coverage.tenants && !blind {
        let (n, of) = (coverage.never_instrumented, coverage.tenants);
        draft.hold(
            HoldReason::Uninstrumented,
            format!("{n} of {of} candidates never had a series: check tenantLabels and tenants.id"),
        );
    }
}

/// Whoever has been warm without a verdict waits for one.
fn hold_for_data(draft: &mut Draft<'_>) {
    let silent: Vec<String> = draft
        .status
        .slos
        .iter()
        .zip(&draft.evidence)
        .filter(|(slo, evidence)| evidence.is_none() && slo.is(words::Verdict::NoData))
        .map(|(slo, _)| format!("{}: {}", slo.name, slo.message))
        .collect();
    if !silent.is_empty() {
        draft.hold(HoldReason::NoData, silent.join("; "));
    }
    let blind = draft.status.slos.iter().filter_map(|slo| slo.no_data_since).min();
    draft.wake(blind.map(|since| fleet::after(since, BLIND_AFTER)));
}

/// What of the time was judged: on time, in one piece, up to where every SLO is judged (R7). An SLO whose steps were
/// late was fetched before the slower ones that decide, so theirs are late as well.
fn mark_soak(
    draft: &mut Draft<'_>,
    reading: &SloReading,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
) {
    let Some(until) = after else { return };
    let late = late_until(reading, before);
    let before = before.unwrap_or(until);
    draft.judged = Some(match draft.judged {
        None => Judged { before, late, until },
        Some(other) => Judged {
            before: other.before.min(before),
            late: other.late.max(late),
            until: other.until.min(until),
        },
    });
}

/// Up to where the last step reaches that was fetched late, could not be read, or was left out.
fn late_until(reading: &SloReading, before: Option<Timestamp>) -> Option<Timestamp> {
    let seconds = reading.lag_seconds.saturating_add(reading.step_seconds.saturating_mul(2));
    let on_time = SignedDuration::from_secs(seconds.saturating_add(ON_TIME_SLACK_SECONDS));
    let mut known = before.map(Timestamp::as_second);
    let mut late = None;
    for step in &reading.steps {
        let start = step.end_seconds.saturating_sub(reading.step_seconds);
        if known.is_some_and(|known| known < start) {
            late = Some(start);
        }
        known = Some(step.end_seconds);
        let end = instant(step.end_seconds);
        if step.fetched_at.duration_since(end) > on_time || matches!(step.data, StepData::Missing(_)) {
            late = Some(step.end_seconds);
        }
    }
    late.map(instant)
}

/// Unix seconds as an instant; a checkpoint can hold any number.
pub(crate) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// When the first candidate was warm, if one is: from then on there is a verdict (R10).
fn first_warm(draft: &Draft<'_>) -> Option<Timestamp> {
    let warm = if draft.status.phase.is_reverting() {
        let returned = draft.places.iter().any(|place| matches!(place.standing, Standing::Returned { .. }));
        draft.status.revert.as_ref().and_then(|revert| revert.verifying_since).filter(|_| returned)
    } else {
        draft.places.iter().filter_map(|place| place.standing.ready_warm_at()).min()
    };
    warm.filter(|warm| *warm <= draft.now)
}

/// Instants whose seven days before are wanted (R14): wave starts, each as [`as_of`].
pub(crate) fn history_wanted(draft: &Draft<'_>) -> Vec<Timestamp> {
    let watched = draft.status.phase.is_under_way() || draft.status.phase.is_reverting();
    let starts = draft.status.waves.iter().filter(|_| watched).filter_map(|wave| wave.started_at);
    let mut wanted: Vec<Timestamp> = starts.map(|started| as_of(draft, started)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// As of when a tenant's seven days before a wave's start are read (R14): before any rejected version of this Rollout
/// was there in them. What that one did to its tenants must not excuse the version that mends it.
pub(crate) fn as_of(draft: &Draft<'_>, started: Timestamp) -> Timestamp {
    let rejected = |report: &Report| {
        let DeviationReportStatus { started_at, decided_at, finished_at, .. } = &report.status;
        let begun = (*started_at)?;
        Some((begun, finished_at.or(*decided_at).unwrap_or(draft.now)))
    };
    let spans: Vec<(Timestamp, Timestamp)> = draft.observed.reports.iter().filter_map(rejected).collect();
    let mut at = started;
    // Each turn leaves one more of them behind.
    while let Some((begun, _)) =
        spans.iter().find(|(begun, ended)| *begun < at && fleet::after(*ended, WEEK) > at)
    {
        at = *begun;
    }
    at
}

/// A third of the smallest limit that reverts, as a share of bad events: who burned so before is not judged (R14).
pub(crate) fn guard_limit(config: &Config) -> f64 {
    let factors = config.page.iter().map(|pair| pair.factor).chain([config.sharp.factor]);
    match config.kind {
        Kind::Ratio { objective } => factors.fold(f64::INFINITY, f64::min) * (1.0 - objective) / 3.0,
        Kind::Limit { .. } => f64::INFINITY,
    }
}

/// One sample per watched tenant, and the tails of a latency's shape.
fn sample(
    draft: &Draft<'_>,
    reading: &SloReading,
    counted: &Counted,
    end_seconds: i64,
    config: &Config,
) -> (Vec<Sample>, Vec<Tail>) {
    let (step_seconds, limit) = (config.step_seconds, guard_limit(config));
    let (Ok(start), Ok(end)) =
        (Timestamp::from_second(end_seconds - step_seconds), Timestamp::from_second(end_seconds))
    else {
        return (Vec::new(), Vec::new());
    };
    let waves = &draft.status.waves;
    let has_started = |wave: &usize| waves.get(*wave).is_some_and(|wave| wave.started_at.is_some());
    let (mut weeks, mut counts) = (Before::new(draft, reading), counted.walk());
    // What is usual is of the days before the version: an outage that all shared since then is not.
    let first = (0..waves.len()).find(has_started);
    let mut firsts = Before::new(draft, reading);
    let slower = if config.compare.shape { counted.slower() } else { &Slower::default() };
    let (mut samples, mut pool) = (Vec::with_capacity(draft.places.len()), Pool::new(slower));
    for (tenant, place) in draft.fleet() {
        let Some(arm) = arm(draft, tenant, place, start, end) else { continue };
        let before = weeks.of(place.wave.filter(has_started), tenant.id);
        let usual = firsts.of(first, tenant.id).or(before);
        let there = counts.find(tenant.id);
        let sample = Sample {
            tenant: tenant.id,
            arm,
            series: there.map_or(Series::Absent, |(_, series)| *series),
            instrumented: before.is_some(),
            burned_before: before
                .and_then(|before| before.counts.ratio())
                .is_some_and(|ratio| ratio >= limit),
            own: usual.and_then(|usual| usual.own()),
            usual: usual.and_then(|usual| usual.usual(step_seconds)),
        };
        if let (Some((place, _)), Some(usual)) = (there, usual) {
            pool.add(&sample, |edge| slower.above(place, edge), |edge| usual.own_above(edge));
        }
        samples.push(sample);
    }
    (samples, pool.tails())
}

/// Where a tenant stood *during* a step, by the times on it; late steps are judged by what it was then.
fn arm(draft: &Draft<'_>, tenant: &Tenant, place: &Place, start: Timestamp, end: Timestamp) -> Option<Arm> {
    let written = fleet::own(tenant).map(|marker| marker.written_at);
    let untouched_then = written.is_some_and(|at| at >= end);
    let verifying = draft.status.revert.as_ref().filter(|_| draft.status.phase.is_reverting());
    if verifying.is_some() && place.standing.is_updated() && !untouched_then {
        return None; // it was not reverted: not ours
    }
    match &place.standing {
        Standing::Returned { warm_at } => {
            let since = verifying?.verifying_since?;
            (*warm_at <= start && since <= start).then_some(Arm::Candidate)
        }
        Standing::Ready { .. } | Standing::Updating { .. } | Standing::Failed if untouched_then => {
            Some(Arm::Baseline)
        }
        Standing::Ready { warm_at } if *warm_at <= start => Some(Arm::Candidate),
        Standing::Ready { .. } | Standing::Updating { .. } => written.map(|_| Arm::Warming),
        // It had its time and users are still on it: what they feel is the release.
        Standing::Failed => Some(Arm::Candidate),
        Standing::Pending | Standing::NotReleased => baseline(draft, tenant, start),
        Standing::Ignored
        | Standing::Dormant
        | Standing::Claimed
        | Standing::Unconsented
        | Standing::Unreadable
        | Standing::Ahead
        | Standing::Unmatched
        | Standing::Contested
        | Standing::Unsure
        | Standing::Spared
        | Standing::Outgoing
        | Standing::Returning { .. }
        | Standing::ReturnFailed => None,
    }
}

/// The baseline are tenants that wait, warm, on a verified version: one that a superseded version was written to says
/// nothing about what users were used to.
fn baseline(draft: &Draft<'_>, tenant: &Tenant, start: Timestamp) -> Option<Arm> {
    let stable = draft.status.stable_version.as_deref();
    let unverified = |marker: &Marker| marker.target != marker.previous && stable != Some(&*marker.target);
    if fleet::own(tenant).is_some_and(unverified) {
        return None;
    }
    match &tenant.readiness {
        Readiness::Ready { since } => {
            (fleet::after(*since, draft.observed.spec.spec.tenants.warm_up) <= start).then_some(Arm::Baseline)
        }
        Readiness::NotReady { .. } => None,
    }
}
