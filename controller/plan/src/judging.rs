//! From counts to verdicts: which arm a tenant was in, the judge's evidence, and the holds it asks for (R7, R10-R14). Pure.

use std::collections::HashMap;

use breakwater_crds::{scalars::Span, status::{Phase, SloStatus}};
use breakwater_slo::{
    Action, Arm, Config, Counts, Evidence, Kind, NoData, Reading, Sample, Series, State, TenantId, Verdict,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    deviation::guard_reason,
    draft::Draft,
    fleet::{self, Place, Standing},
    observed::{Readiness, SloReading, Step, StepData, Tenant},
    spec::{Checked, is_per_tenant},
};

/// After how long without data the condition `Blind` says so (analysis.md 4).
pub(crate) const BLIND_AFTER: SignedDuration = SignedDuration::from_mins(30);
/// Slack in what counts as judged on time, on top of the reading lag and two steps (R7).
const ON_TIME_SLACK_SECONDS: i64 = 5;

/// Feeds what was read and takes verdicts and holds into the draft.
pub(crate) fn judge(draft: &mut Draft<'_>) {
    let reverting = draft.status.phase.is_reverting();
    let checked = draft.observed.spec;
    draft.evidence = vec![None; checked.spec.slos.len()];
    draft.judges = vec![State::default(); checked.spec.slos.len()];
    if !draft.status.phase.is_under_way() && !reverting {
        return;
    }
    let statuses = std::mem::take(&mut draft.status.slos);
    let mut next = Vec::new();
    for (i, slo) in checked.spec.slos.iter().enumerate() {
        let definition = &checked.definitions[i];
        // An edited SLO starts anew (R9).
        let old = statuses.iter().find(|old| old.name == slo.name && old.definition == *definition);
        let mut status = old.cloned().unwrap_or_else(|| SloStatus {
            name: slo.name.clone(),
            definition: definition.clone(),
            ..SloStatus::default()
        });
        let reading = draft.observed.readings.get(i);
        let mut judge = Judge::new(draft, checked, i, reading, &status);
        judge.feed(draft);
        judge.speak(draft, &mut status);
        draft.judges[i] = judge.state;
        draft.evidence[i] = judge.evidence;
        next.push(status);
    }
    draft.status.slos = next;
    if !reverting {
        hold_for_data(draft);
    }
}

/// One SLO while it is judged.
struct Judge<'a> {
    index: usize,
    state: State,
    config: Option<Config>,
    reading: Option<&'a SloReading>,
    error: Option<String>,
    evidence: Option<Evidence>,
}

impl<'a> Judge<'a> {
    fn new(draft: &Draft<'_>, checked: &Checked, index: usize, reading: Option<&'a SloReading>, status: &SloStatus) -> Self {
        let checkpoint = || status.evidence.clone().and_then(|json| serde_json::from_value(json).ok());
        let edited = status.evidence.is_none() && status.evaluated_until.is_none();
        let carried = reading.and_then(|reading| reading.state.clone()).filter(|_| !edited || status.verdict.is_none());
        let state = carried.or_else(checkpoint).unwrap_or_default();
        let step = reading.map_or(0, |reading| reading.step_seconds);
        let config = (step > 0).then(|| checked.judge(index, step));
        let mut error = reading.map_or_else(|| Some("nothing was read yet".to_owned()), |reading| reading.error.clone());
        if let Some(reading) = reading.filter(|_| is_per_tenant(&checked.spec.slos[index])) {
            let wanted = history_wanted(draft);
            if wanted.iter().any(|at| !reading.history.contains_key(at)) && error.is_none() {
                error = Some("the seven days before the wave were not read yet".into());
            }
        }
        Self { index, state, config, reading, error, evidence: None }
    }

    /// Feeds new steps, in order. Without the tenants' own history no guard may act, so nothing is fed yet.
    fn feed(&mut self, draft: &Draft<'_>) {
        let (Some(config), Some(reading)) = (&self.config, self.reading) else { return };
        if let Some(warm) = first_warm(draft) {
            self.state.begin(warm.as_second());
        }
        let unread = history_wanted(draft).iter().any(|at| !reading.history.contains_key(at));
        if unread && matches!(config.kind, Kind::Ratio { .. }) {
            return;
        }
        let limit = guard_limit(config);
        for (step, recent) in reading.recent.iter().map(|s| (s, true)).chain(reading.steps.iter().map(|s| (s, false))) {
            let samples;
            let data = match &step.data {
                StepData::Counts(counts) => {
                    samples = sample(draft, reading, counts, step.end_seconds, config.step_seconds, limit);
                    Reading::Counts(&samples)
                }
                StepData::Values(values) => Reading::Values(values),
                StepData::Missing(why) => Reading::Missing(why),
            };
            let step = breakwater_slo::Step { end_seconds: step.end_seconds, reading: data };
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
        status.evaluated_until = self.state.until_seconds().and_then(|s| Timestamp::from_second(s).ok());
        status.evidence = serde_json::to_value(&self.state).ok();
        let Some(config) = &self.config else {
            let begun = first_warm(draft).is_some();
            if begun {
                status.verdict = Some("NoData".into());
                status.message = self.error.clone().unwrap_or_else(|| "the step length is not known yet".into());
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
        let blind = evidence.verdict == Verdict::NoData;
        status.verdict = Some(format!("{:?}", evidence.verdict));
        let name = &draft.observed.spec.spec.slos[self.index].name;
        let sentence = evidence.sentence(name, draft.wave_name());
        status.message = match &self.error {
            Some(error) if blind => crate::draft::clip(&format!("{sentence}: {error}")),
            _ => crate::draft::clip(&sentence),
        };
        (status.value, status.baseline, status.limit) = (evidence.value, evidence.baseline, evidence.limit);
        status.window = Some(Span::seconds(evidence.window_seconds));
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

/// Holds as the evidence asks, and where too many candidates are not measured at all.
fn hold_for_evidence(draft: &mut Draft<'_>, evidence: &Evidence, message: &str) {
    match evidence.action {
        Action::Hold => draft.hold(guard_reason(evidence), false, message),
        Action::None | Action::Deviate => {}
    }
    let coverage = evidence.coverage;
    draft.status.counts.uninstrumented = coverage.never_instrumented;
    let blind = matches!(evidence.guard, Some(breakwater_slo::Guard::NoData(NoData::NeverInstrumented)));
    if coverage.never_instrumented.saturating_mul(10) > coverage.tenants && !blind {
        let (n, of) = (coverage.never_instrumented, coverage.tenants);
        draft.hold("Uninstrumented", true, format!("{n} of {of} candidates never had a series: check tenantLabels and tenants.id"));
    }
}

/// Whoever has been warm without a verdict waits for one.
fn hold_for_data(draft: &mut Draft<'_>) {
    let silent: Vec<String> = draft
        .status
        .slos
        .iter()
        .zip(&draft.evidence)
        .filter(|(slo, evidence)| evidence.is_none() && slo.verdict.as_deref() == Some("NoData"))
        .map(|(slo, _)| format!("{}: {}", slo.name, slo.message))
        .collect();
    if !silent.is_empty() {
        draft.hold("NoData", false, silent.join("; "));
    }
    let blind = draft.status.slos.iter().filter_map(|slo| slo.no_data_since).min();
    draft.wake(blind.map(|since| since + BLIND_AFTER));
}

/// What of the judged time may count as soak: judged on time, in one piece, up to where every SLO is judged (R7).
fn mark_soak(draft: &mut Draft<'_>, reading: &SloReading, before: Option<Timestamp>, after: Option<Timestamp>) {
    let Some(after) = after else { return };
    let on_time = SignedDuration::from_secs(reading.lag_seconds + 2 * reading.step_seconds + ON_TIME_SLACK_SECONDS);
    let is_late = |step: &&Step| {
        let end = Timestamp::from_second(step.end_seconds).unwrap_or(Timestamp::MIN);
        step.fetched_at.duration_since(end) > on_time || matches!(step.data, StepData::Missing(_))
    };
    let late = reading.steps.iter().filter(is_late).map(|step| step.end_seconds).max();
    let late = late.and_then(|s| Timestamp::from_second(s).ok());
    let from = before.max(late).unwrap_or(after);
    draft.judged = Some(match draft.judged {
        None => (before.unwrap_or(after), from, after),
        // The slowest SLO decides: time counts once every SLO has judged it.
        Some((seen, other, until)) => (seen.min(before.unwrap_or(after)), other.max(late.unwrap_or(other)), until.min(after)),
    });
}

/// When the first candidate was warm, if one is: from then on there is a verdict (R10).
fn first_warm(draft: &Draft<'_>) -> Option<Timestamp> {
    let verifying = draft.status.phase.is_reverting();
    let warm = draft.places.iter().filter_map(|place| match place.standing {
        Standing::Ready { warm_at } if !verifying => Some(warm_at),
        Standing::Returned { .. } if verifying => draft.status.revert.as_ref().and_then(|revert| revert.verifying_since),
        _ => None,
    });
    warm.min().filter(|warm| *warm <= draft.now)
}

/// Wave starts whose seven days before are wanted (R14).
pub(crate) fn history_wanted(draft: &Draft<'_>) -> Vec<Timestamp> {
    let watched = draft.status.phase.is_under_way() || draft.status.phase.is_reverting();
    let mut wanted: Vec<Timestamp> = draft.status.waves.iter().filter(|_| watched).filter_map(|w| w.started_at).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// A third of the smallest limit that reverts, as a share of bad events: who burned so before is not judged (R14).
fn guard_limit(config: &Config) -> f64 {
    let factors = config.page.iter().map(|pair| pair.factor).chain([config.sharp.factor]);
    match config.kind {
        Kind::Ratio { objective } => factors.fold(f64::INFINITY, f64::min) * (1.0 - objective) / 3.0,
        Kind::Limit { .. } => f64::INFINITY,
    }
}

/// One sample per watched tenant.
fn sample(
    draft: &Draft<'_>,
    reading: &SloReading,
    counts: &HashMap<TenantId, Series>,
    end_seconds: i64,
    step_seconds: i64,
    limit: f64,
) -> Vec<Sample> {
    let (Ok(start), Ok(end)) =
        (Timestamp::from_second(end_seconds - step_seconds), Timestamp::from_second(end_seconds))
    else {
        return Vec::new();
    };
    let newest = history_wanted(draft).last().copied();
    let before = |place: &Place, tenant: &Tenant| -> Option<Counts> {
        let started = place.wave.and_then(|wave| draft.status.waves.get(wave)?.started_at).or(newest)?;
        reading.history.get(&started)?.get(&tenant.id).copied()
    };
    draft
        .fleet()
        .filter_map(|(tenant, place)| {
            let arm = arm(draft, tenant, place, start, end)?;
            let before = before(place, tenant);
            Some(Sample {
                tenant: tenant.id,
                arm,
                series: counts.get(&tenant.id).copied().unwrap_or(Series::Absent),
                instrumented: before.is_some(),
                burned_before: before.and_then(Counts::ratio).is_some_and(|ratio| ratio >= limit),
            })
        })
        .collect()
}

/// Where a tenant stood *during* a step, by the times on it; late steps are judged by what it was then.
fn arm(draft: &Draft<'_>, tenant: &Tenant, place: &Place, start: Timestamp, end: Timestamp) -> Option<Arm> {
    let written = fleet::own(tenant).map(|marker| marker.written_at);
    let untouched_then = written.is_some_and(|at| at >= end);
    let verifying = draft.status.revert.as_ref().filter(|_| draft.status.phase.is_reverting());
    match &place.standing {
        Standing::Returned { warm_at } => {
            let since = verifying?.verifying_since?;
            (*warm_at <= start && since <= start).then_some(Arm::Candidate)
        }
        Standing::Ready { .. } | Standing::Updating { .. } if untouched_then => Some(Arm::Baseline),
        Standing::Ready { warm_at } if verifying.is_none() => {
            if *warm_at <= start {
                Some(Arm::Candidate)
            } else {
                written.map(|_| Arm::Warming)
            }
        }
        Standing::Updating { .. } if verifying.is_none() => written.map(|_| Arm::Warming),
        // It had its time and users are still on it: what they feel is the release.
        Standing::Failed if verifying.is_none() => Some(Arm::Candidate),
        Standing::Pending | Standing::NotReleased => match &tenant.readiness {
            Readiness::Ready { since } => {
                let warm = *since + draft.observed.spec.spec.tenants.warm_up.as_duration();
                (warm <= start).then_some(Arm::Baseline)
            }
            Readiness::NotReady { .. } => None,
        },
        _ => None,
    }
}
