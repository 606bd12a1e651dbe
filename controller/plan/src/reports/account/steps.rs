//! Which steps go into the traces, and on which side each tenant was: the judge's own samples while a version is under
//! way, and everybody whom it touched while it goes out and for two hours after. Pure.

use std::sync::Arc;

use breakwater_crds::{report::Outcome, scalars::Span};
use breakwater_slo::{Arm, Compare, Config, Counts, Kind, Reading, Series, TenantId};
use jiff::Timestamp;

use super::{Ledger, Scene};
use crate::{
    course::Course,
    input::Input,
    judged::instant,
    observed::{Readiness, SloReading, StepData, Tenant},
    roster::{Place, after, own},
    trace::{self, Frame, Side, Trace, WINDOW_SECONDS},
};

/// `margin.absolute: auto`, as a share of the error budget (analysis.md 1).
const AUTO_MARGIN: f64 = 0.1;
/// How long after the window its last steps are waited for, in seconds.
const GRACE_SECONDS: i64 = 900;

/// The judge's own samples of one step: candidates and baseline as it took them.
pub(crate) fn take(
    trace: &mut Arc<Trace>,
    config: &Config,
    reading: &SloReading,
    step: &breakwater_slo::Step<'_>,
) {
    let frame = frame(config, step.end_seconds);
    match step.reading {
        Reading::Counts(samples) => {
            let seen = samples.iter().filter_map(|sample| {
                let side = match sample.arm {
                    Arm::Candidate if sample.burned_before => return None,
                    Arm::Candidate => Side::Candidate,
                    Arm::Baseline => Side::Baseline,
                    Arm::Warming => return None,
                };
                Some((sample.tenant, side, counted(sample.series)?))
            });
            Arc::make_mut(trace).take(frame, seen, |tenant| usual(reading, tenant));
        }
        Reading::Values(values) => {
            Arc::make_mut(trace).take_values(frame, worst_of(config, values));
        }
        Reading::Missing(_) => {}
    }
}

/// The traces with the steps that are read while a version goes out, and for two hours after: there the judge looks at the
/// returned tenants alone, and an account at everybody whom the version touched.
pub(crate) fn trace(scene: &Scene<'_, '_>, end: &Scene<'_, '_>, ledger: &Ledger<'_>) -> Vec<Arc<Trace>> {
    let (input, course) = (scene.input, scene.course);
    // A version that starts in this plan is traced anew.
    if end.course.starts && !course.starts {
        return end.judged.traces.clone();
    }
    let Some(out) = aftermath(input, course, ledger, course.report.as_deref()) else {
        return scene.judged.traces.clone();
    };
    let definitions = &input.asked.spec.definitions;
    let known = |i: usize| scene.judged.slos.get(i).is_some_and(|slo| slo.definition == definitions[i]);
    let traced = |i: usize| {
        let reading = input.reading(i).filter(|reading| reading.step_seconds > 0);
        let carried = reading.and_then(|reading| reading.trace.clone()).filter(|_| known(i));
        let mut trace = carried.unwrap_or_default();
        if let Some(reading) = reading {
            take_all(scene, i, reading, &out, &mut trace);
        }
        trace
    };
    (0..input.slos().len()).map(traced).collect()
}

/// A version that goes or went out, while its account is still added to.
struct Aftermath {
    version: String,
    decided_at: Timestamp,
}

/// What went out last, if that is still accounted for; `current` is the name of its report.
fn aftermath(
    input: &Input<'_>,
    course: &Course,
    ledger: &Ledger<'_>,
    current: Option<&str>,
) -> Option<Aftermath> {
    if course.phase.is_under_way() {
        return None;
    }
    let (version, status) = ledger.named(current?)?;
    let decided_at = status.moment().filter(|_| status.outcome.is_none_or(Outcome::is_revert))?;
    let over = after(decided_at, Span::seconds(WINDOW_SECONDS + GRACE_SECONDS));
    let version = version.to_owned();
    (course.phase.is_reverting() || input.now < over).then_some(Aftermath { version, decided_at })
}

/// From when on steps are wanted for an account alone, if they are.
pub(super) fn watch_since(
    scene: &Scene<'_, '_>,
    ledger: &Ledger<'_>,
    current: Option<&str>,
    traces: &[Arc<Trace>],
) -> Option<Timestamp> {
    let Aftermath { decided_at, .. } = aftermath(scene.input, scene.course, ledger, current)?;
    let (_, status) = ledger.named(current?)?;
    let horizon = decided_at.as_second().saturating_add(WINDOW_SECONDS);
    let drawn = status.slos.iter().filter_map(|slo| slo.chart.as_ref()).map(trace::end_seconds).min();
    let from = drawn.unwrap_or(i64::MIN).max(decided_at.as_second());
    (from < horizon && !traces.iter().all(|t| t.until_seconds() >= Some(horizon))).then(|| instant(from))
}

fn take_all(
    scene: &Scene<'_, '_>,
    index: usize,
    reading: &SloReading,
    out: &Aftermath,
    trace: &mut Arc<Trace>,
) {
    let config = scene.input.asked.spec.judge(index, reading.step_seconds);
    for step in reading.recent.iter().chain(&reading.steps) {
        if trace.until_seconds() >= Some(step.end_seconds) {
            continue;
        }
        let frame = frame(&config, step.end_seconds);
        match &step.data {
            StepData::Counts(counts) => {
                let seen = scene.roster.fleet().filter_map(|(tenant, place)| {
                    let side = side(tenant, place, out, frame)?;
                    Some((tenant.id, side, counted(*counts.get(tenant.id)?)?))
                });
                let seen: Vec<_> = seen.collect();
                Arc::make_mut(trace).take(frame, seen.iter().copied(), |tenant| usual(reading, tenant));
            }
            StepData::Values(values) => {
                Arc::make_mut(trace).take_values(frame, worst_of(&config, values));
            }
            StepData::Missing(_) => {}
        }
    }
}

/// Where a tenant stood during a step of the way back, by its marker.
fn side(tenant: &Tenant, place: &Place, out: &Aftermath, frame: Frame) -> Option<Side> {
    let Aftermath { version, decided_at } = out;
    let end = instant(frame.end_seconds);
    match own(tenant) {
        Some(marker) if *marker.target == **version => Some(Side::Candidate),
        // A revert writes where it goes as both.
        Some(marker) if marker.written_at >= *decided_at && marker.target == marker.previous => {
            let back = match &tenant.readiness {
                Readiness::Ready { since } => marker.written_at < end && *since < end,
                Readiness::NotReady { .. } => false,
            };
            Some(if back { Side::Back } else { Side::Candidate })
        }
        _ => place.standing.is_live().then_some(Side::Baseline),
    }
}

fn frame(config: &Config, end_seconds: i64) -> Frame {
    let allowed = match config.kind {
        Kind::Ratio { objective } => 1.0 - objective,
        Kind::Limit { .. } => 0.0,
    };
    let Compare { ratio, absolute, .. } = config.compare;
    Frame {
        end_seconds,
        step_seconds: config.step_seconds,
        allowed,
        margin_ratio: ratio,
        margin_absolute: absolute.unwrap_or(allowed * AUTO_MARGIN),
    }
}

fn counted(series: Series) -> Option<Counts> {
    match series {
        Series::Counted(counts) => Some(counts),
        Series::Idle | Series::Absent | Series::Discarded(_) => None,
    }
}

/// A tenant's own ratio in the week before, whichever wave's that was read for.
fn usual(reading: &SloReading, tenant: TenantId) -> Option<f64> {
    let frozen = reading.kept.values().map(|kept| &*kept.week);
    let mut weeks = frozen.chain(reading.history.values());
    weeks.find_map(|week| week.counts().get(tenant)).and_then(|counts| counts.ratio())
}

/// The value that stands for a step: the highest, or the lowest where only `min` bounds it.
fn worst_of(config: &Config, values: &[f64]) -> Option<f64> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    match config.kind {
        Kind::Limit { max: None, .. } => finite.reduce(f64::min),
        Kind::Limit { .. } | Kind::Ratio { .. } => finite.reduce(f64::max),
    }
}
