//! What a `DeviationReport` tells a post-mortem: SLOs with their queries, counts of both arms, harm, times, requests,
//! changes. Told once at the decision, and added to for two hours. No decision reads any of it. Pure.

mod steps;
mod words;

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::{
    report::{DeviationReportStatus, Outcome, SloAccount, WORST_MAX, WaveCount, WorstTenant},
    rollout::Comparison,
    scalars::Span,
    status::{Transition, VERSIONS_MAX, VersionCount},
    words::TransitionReason,
};
use breakwater_slo::{State, TenantId};
use jiff::Timestamp;
pub(crate) use steps::{take, trace, watch_since};

use crate::{
    deviation::Found,
    draft::{Draft, clip},
    fleet::{self, Standing},
    judging::{self, instant},
    observed::{Readiness, Tenant},
    report,
    trace::{self, Felt, Trace, WINDOW_SECONDS, neat},
};

/// The window around the decision, on either side.
const WINDOW: Span = Span::seconds(WINDOW_SECONDS);
/// A report is added to when so much more was counted, in seconds.
const APPEND_EVERY_SECONDS: i64 = 300;

/// The first account of a deviation.
pub(crate) fn open(draft: &mut Draft<'_>, found: &Found, outcome: Outcome) -> DeviationReportStatus {
    pin(draft);
    let evidence = found.slo.and_then(|i| draft.evidence[i].as_ref());
    let mut status = DeviationReportStatus {
        outcome: Some(outcome),
        reason: found.reason.clone(),
        message: clip(&found.message),
        slo: found.slo.map(|i| draft.observed.spec.spec.slos[i].name.clone()),
        value: evidence.and_then(|e| e.value),
        baseline: evidence.and_then(|e| e.baseline),
        limit: evidence.and_then(|e| e.limit),
        window: evidence.map(|e| Span::seconds(e.window_seconds)),
        requested_by: found.by.clone(),
        wave: draft.wave_name().to_owned(),
        started_at: draft.status.started_at,
        decided_at: Some(draft.now),
        waves: touched(draft),
        ..DeviationReportStatus::default()
    };
    tell_all(draft, &mut status, found);
    status
}

/// A deviation that only held is reverted now: the account is of this moment from here on.
pub(crate) fn turn_to_revert(draft: &mut Draft<'_>, status: &mut DeviationReportStatus, found: &Found) {
    pin(draft);
    status.revert_decided_at = Some(draft.now);
    status.waves = touched(draft);
    if !found.by.is_empty() {
        status.requested_by.clone_from(&found.by);
    }
    tell_all(draft, status, found);
}

/// What is felt from now on is added to what was.
fn pin(draft: &mut Draft<'_>) {
    let now = draft.now.as_second();
    draft.traces.iter_mut().for_each(|trace| Arc::make_mut(trace).pin(now));
}

/// Everything that is known at the moment of the decision.
fn tell_all(draft: &Draft<'_>, status: &mut DeviationReportStatus, found: &Found) {
    let judged = found.slo.and_then(|i| draft.judges[i].until_seconds()).map(instant);
    status.detected_at = Some(judged.map_or(draft.now, |judged| judged.min(draft.now)));
    status.slos = (0..draft.observed.spec.spec.slos.len()).map(|i| slo(draft, i)).collect();
    let others = status.slos.iter().map(|slo| slo.others).max().unwrap_or(0);
    let wave = draft.observed.spec.spec.waves.iter().find(|wave| wave.name == draft.wave_name());
    let is_compared = draft.observed.spec.spec.judge.comparison == Comparison::Enabled;
    status.compared_with =
        words::compared_with(others, wave.map(|wave| wave.baseline).filter(|_| is_compared));
    status.generation = Some(draft.observed.generation);
    status.revision = draft.observed.revision.map(str::to_owned);
    status.versions = versions(draft);
    status.brakes = draft.status.brakes.iter().map(crate::tell::brake).collect();
    status.alerts = draft.observed.firing.to_vec();
    let begins = draft.now.as_second().saturating_sub(WINDOW_SECONDS);
    let since = draft.traces.iter().filter_map(|trace| trace.since_seconds()).max();
    let started = status.started_at.map_or(i64::MIN, Timestamp::as_second);
    status.known_since = since.filter(|since| *since > begins.max(started)).map(instant);
    sum_up(draft, status);
    tell_changes(draft, status);
}

/// Tenants touched so far, by wave.
fn touched(draft: &Draft<'_>) -> Vec<WaveCount> {
    let waves = &draft.observed.spec.spec.waves;
    let mut touched = vec![0_u32; waves.len()];
    for (tenant, place) in draft.fleet().filter(|(_, place)| place.standing.is_updated()) {
        if let Some(wave) = place.wave.filter(|_| fleet::own(tenant).is_some()) {
            touched[wave] += 1;
        }
    }
    let waves = waves.iter().zip(touched);
    waves.map(|(wave, touched)| WaveCount { name: wave.name.clone(), touched }).collect()
}

/// One SLO as it was configured, asked and judged.
fn slo(draft: &Draft<'_>, index: usize) -> SloAccount {
    let spec = &draft.observed.spec.spec.slos[index];
    let step = draft.observed.readings.get(index).map_or(0, |reading| reading.step_seconds);
    let evidence = draft.evidence.get(index).and_then(Option::as_ref);
    let is_compared = draft.observed.spec.spec.judge.comparison == Comparison::Enabled;
    let judge = draft.judges.get(index).filter(|judge| **judge != State::default());
    let mut account = SloAccount {
        name: spec.name.clone(),
        measures: words::measures(spec),
        objective: spec.objective,
        limits: words::limits(&draft.observed.spec.judge(index, step.max(1)), is_compared),
        query: words::query(draft.observed.spec, index, step),
        step: (step > 0).then(|| Span::seconds(step)),
        judge: judge.and_then(|judge| serde_json::to_value(judge).ok()),
        ..SloAccount::default()
    };
    if let Some(evidence) = evidence {
        account.verdict = Some(judging::word(evidence.verdict).into());
        account.message = evidence.sentence(&spec.name, draft.wave_name());
        (account.value, account.baseline, account.limit) =
            (evidence.value, evidence.baseline, evidence.limit);
        account.window = Some(Span::seconds(evidence.window_seconds));
        account.candidates = evidence.coverage.tenants;
        account.others = evidence.baseline_coverage.tenants;
        account.ln_e = evidence.ln_e.filter(|ln_e| ln_e.is_finite());
    }
    if let Some(status) = draft.status.slos.get(index) {
        (account.certainty, account.detectable) = (status.certainty, status.detectable);
    }
    account
}

/// Charts, harm and the tenants that felt it, as far as the traces know.
fn sum_up(draft: &Draft<'_>, status: &mut DeviationReportStatus) {
    let Some(moment) = status.moment().map(Timestamp::as_second) else { return };
    let horizon = moment.saturating_add(WINDOW_SECONDS);
    for (account, trace) in status.slos.iter_mut().zip(&draft.traces) {
        trace.draw(&mut account.chart, horizon);
        if trace.pinned_seconds() == Some(moment) {
            account.harm = trace.harm();
        }
    }
    let mine = |trace: &&Arc<Trace>| trace.pinned_seconds() == Some(moment);
    let first = draft.traces.iter().filter(mine).filter_map(|trace| trace.first_harm_seconds()).min();
    status.first_harm_at = first.map(instant).or(status.first_harm_at);
    if let Some((worst, left)) = worst(draft, status, moment) {
        status.worst = worst;
        status.left_out.retain(|out| out.what != "worst");
        status.leave_out("worst", left);
    } else if status.worst.is_empty() {
        status.worst = guilty(draft, status);
    }
}

/// The tenants that felt it most and how many more there are: of the SLO that spoke, or of the one with most harm.
fn worst(
    draft: &Draft<'_>,
    status: &DeviationReportStatus,
    moment: i64,
) -> Option<(Vec<WorstTenant>, usize)> {
    let excess = |slo: &SloAccount| slo.harm.as_ref().map_or(0.0, |harm| harm.budget_minutes);
    let spoke = status.slos.iter().position(|slo| Some(&slo.name) == status.slo.as_ref());
    let most = || {
        let by_harm =
            |(_, a): &(usize, &SloAccount), (_, b): &(usize, &SloAccount)| excess(a).total_cmp(&excess(b));
        status.slos.iter().enumerate().max_by(by_harm).map(|(i, _)| i)
    };
    let trace = draft.traces.get(spoke.or_else(most)?)?;
    if trace.pinned_seconds() != Some(moment) {
        return None; // a trace that began after the decision knows less than the report
    }
    let (felt, all) = trace.worst(WORST_MAX);
    if felt.is_empty() {
        return None;
    }
    let left = all - felt.len();
    let tenant = |name: String, felt: &Felt| WorstTenant {
        tenant: name,
        bad: neat(felt.bad),
        total: neat(felt.total),
        excess: Some(neat(felt.excess)),
        since: felt.since_seconds.map(instant),
    };
    let names = names(draft, felt.iter().map(|(id, _)| *id));
    let worst = felt.iter().filter_map(|(id, felt)| Some(tenant(names.get(id)?.clone(), felt)));
    Some((worst.collect(), left))
}

/// The tenants that the guard names, where no trace knows better.
fn guilty(draft: &Draft<'_>, status: &DeviationReportStatus) -> Vec<WorstTenant> {
    let slos = &draft.observed.spec.spec.slos;
    let spoke = slos.iter().position(|slo| Some(&slo.name) == status.slo.as_ref());
    let Some(evidence) = spoke.and_then(|i| draft.evidence.get(i)?.as_ref()) else { return Vec::new() };
    let names = names(draft, evidence.guilty.iter().map(|(id, _)| *id));
    let guilty = evidence.guilty.iter().filter_map(|(id, counts)| {
        let (bad, total) = (neat(counts.bad), neat(counts.total));
        Some(WorstTenant { tenant: names.get(id)?.clone(), bad, total, excess: None, since: None })
    });
    guilty.collect()
}

/// `namespace/name` of a few tenants, in one pass over the fleet.
fn names(draft: &Draft<'_>, ids: impl Iterator<Item = TenantId>) -> HashMap<TenantId, String> {
    let mut names: HashMap<TenantId, String> = ids.map(|id| (id, String::new())).collect();
    for tenant in draft.observed.tenants {
        if let Some(name) = names.get_mut(&tenant.id) {
            *name = full_name(tenant);
        }
    }
    names.retain(|_, name| !name.is_empty());
    names
}

fn full_name(tenant: &Tenant) -> String {
    format!("{}/{}", tenant.namespace, tenant.name)
}

/// Versions that tenants are on, most common first.
fn versions(draft: &Draft<'_>) -> Vec<VersionCount> {
    let mut tally = HashMap::<&str, u32>::new();
    for (tenant, _) in draft.fleet().filter(|(_, place)| place.standing.is_live()) {
        if let Some(version) = tenant.version.version() {
            *tally.entry(version).or_default() += 1;
        }
    }
    let mut versions: Vec<VersionCount> = tally
        .into_iter()
        .map(|(version, tenants)| VersionCount { version: version.into(), tenants })
        .collect();
    versions.sort_by(|a, b| (b.tenants, &b.version).cmp(&(a.tenants, &a.version)));
    versions.truncate(VERSIONS_MAX);
    versions
}

/// Requests since the version's start, and what else changed in the window, each once and in order.
fn tell_changes(draft: &Draft<'_>, status: &mut DeviationReportStatus) {
    let Some(moment) = status.moment() else { return };
    let from = Timestamp::from_second(moment.as_second().saturating_sub(WINDOW_SECONDS)).unwrap_or(moment);
    let to = fleet::after(moment, WINDOW);
    let started = status.started_at.unwrap_or(from);
    let told: Vec<&Transition> = draft.status.history.iter().chain(&draft.transitions).collect();
    let (asked, else_): (Vec<&Transition>, Vec<&Transition>) =
        told.into_iter().filter(|told| told.at <= to).partition(|told| {
            matches!(
                told.reason.known(),
                Some(TransitionReason::ActionHonoured | TransitionReason::ActionRefused)
            )
        });
    add(&mut status.actions, asked.into_iter().filter(|told| told.at >= started.min(from)));
    add(&mut status.changes, else_.into_iter().filter(|told| told.at >= from));
}

/// Adds what is newer than the list and not in it.
fn add<'a>(list: &mut Vec<Transition>, more: impl Iterator<Item = &'a Transition>) {
    let newest = list.last().map(|told| told.at);
    // The history cuts messages shorter than a plan that has just told them.
    let same = |a: &Transition, b: &Transition| a.at == b.at && a.reason == b.reason;
    let known = list.clone();
    let new = more.filter(|told| {
        newest.is_none_or(|newest| told.at >= newest) && !known.iter().any(|known| same(known, told))
    });
    list.extend(new.cloned());
}

/// Tenants that did not come back.
pub(crate) fn not_back(draft: &Draft<'_>) -> Vec<String> {
    let gone = |standing: &Standing| {
        matches!(standing, Standing::ReturnFailed | Standing::Contested | Standing::Outgoing)
    };
    let left = draft.fleet().filter(|(_, place)| gone(&place.standing));
    let mut left: Vec<&Tenant> = left.map(|(tenant, _)| tenant).collect();
    left.sort_unstable_by_key(|tenant| tenant.id);
    left.into_iter().map(full_name).collect()
}

/// Adds to the account what came since: every five minutes, at every change of phase, and once more when two hours
/// are over.
pub(crate) fn follow(draft: &mut Draft<'_>) {
    let Some((name, version, mut status)) = report::current(draft) else { return };
    let Some(moment) = status.moment() else { return };
    let horizon = moment.as_second().saturating_add(WINDOW_SECONDS);
    if draft.now.as_second() >= horizon && draft.status.phase.is_under_way() {
        let over = |trace: &&mut Arc<Trace>| trace.pinned_seconds().is_some();
        draft.traces.iter_mut().filter(over).for_each(|trace| Arc::make_mut(trace).unpin());
    }
    let turned = draft.status.phase != draft.observed.status.phase;
    let reverting = draft.status.phase.is_reverting() || draft.observed.status.phase.is_reverting();
    if !(is_behind(draft, &status, horizon) || turned && reverting) {
        return;
    }
    if reverting {
        tell_way_back(draft, &mut status, &version, moment);
    }
    sum_up(draft, &mut status);
    tell_changes(draft, &mut status);
    report::store(draft, name, &version, status);
}

/// Whether so much more was counted than the charts show that they are worth a write.
fn is_behind(draft: &Draft<'_>, status: &DeviationReportStatus, horizon: i64) -> bool {
    status.slos.iter().zip(&draft.traces).any(|(slo, trace)| {
        let Some(drawable) = trace.drawable_seconds(horizon) else { return false };
        let drawn = slo.chart.as_ref().map_or(i64::MIN, trace::end_seconds);
        let last = trace.until_seconds() >= Some(horizon);
        drawable > drawn && (last || drawable.saturating_sub(drawn) >= APPEND_EVERY_SECONDS)
    })
}

/// When the first tenant was written back, and when the last one that came back was ready.
fn tell_way_back(draft: &Draft<'_>, status: &mut DeviationReportStatus, version: &str, moment: Timestamp) {
    let mut first = status.first_write_at;
    let mut last = status.last_ready_at;
    for (tenant, place) in draft.fleet() {
        let Some(marker) = fleet::own(tenant) else { continue };
        if marker.written_at < moment || *marker.target == *version {
            continue;
        }
        first = Some(first.map_or(marker.written_at, |first| first.min(marker.written_at)));
        if let (Standing::Returned { .. }, Readiness::Ready { since }) = (&place.standing, &tenant.readiness)
        {
            last = last.max(Some((*since).max(marker.written_at)));
        }
    }
    status.first_write_at = first;
    // Once all are back that stands: who restarts later did not come back later.
    let all = draft.status.revert.as_ref().is_some_and(|revert| revert.back_at.is_some());
    if status.last_ready_at.is_none() && all {
        status.last_ready_at = last;
    }
}
