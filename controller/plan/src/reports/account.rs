//! What a `DeviationReport` tells a post-mortem: SLOs with their queries, counts of both arms, harm, times, requests,
//! changes. Told once at the decision, and added to for two hours. No decision reads any of it. Pure.

mod steps;
mod words;

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::{
    report::{Appended, DeviationReportStatus, Outcome, SloAccount, WORST_MAX, WaveCount, WorstTenant},
    rollout::Comparison,
    scalars::Span,
    status::{Brake, Transition, VERSIONS_MAX, VersionCount},
    words::TransitionReason,
};
use breakwater_slo::{State, TenantId};
use jiff::Timestamp;
pub(crate) use steps::take;
pub(super) use steps::trace;

use super::{Ledger, Reports, Scene};
use crate::{
    asked,
    deviation::Found,
    judged::{instant, verdict},
    observed::{Readiness, Tenant},
    roster::{Roster, Standing, after, own},
    said::clip,
    tell::transition,
    trace::{self, Felt, Trace, WINDOW_SECONDS, neat},
};

/// The window around the decision, on either side.
const WINDOW: Span = Span::seconds(WINDOW_SECONDS);
/// A report is added to when so much more was counted, in seconds.
const APPEND_EVERY_SECONDS: i64 = 300;

/// The first account of a deviation.
pub(super) fn open(
    scene: &Scene<'_, '_>,
    brakes: &[Brake],
    traces: &[Arc<Trace>],
    found: &Found,
    outcome: Outcome,
) -> DeviationReportStatus {
    let evidence = found.slo.and_then(|i| scene.judged.evidence[i].as_ref());
    let mut status = DeviationReportStatus {
        outcome: Some(outcome),
        reason: found.reason.clone(),
        message: clip(&found.message),
        slo: found.slo.map(|i| scene.input.slos()[i].name.clone()),
        value: evidence.and_then(|e| e.value),
        baseline: evidence.and_then(|e| e.baseline),
        limit: evidence.and_then(|e| e.limit),
        window: evidence.map(|e| Span::seconds(e.window_seconds)),
        requested_by: found.by.clone(),
        wave: scene.course.wave_name().to_owned(),
        started_at: scene.course.started_at,
        decided_at: Some(scene.input.now),
        waves: touched(scene),
        ..DeviationReportStatus::default()
    };
    tell_all(scene, brakes, traces, &mut status, found);
    status
}

/// A deviation that only held is reverted now: the account is of this moment from here on.
pub(super) fn turn_to_revert(
    scene: &Scene<'_, '_>,
    brakes: &[Brake],
    traces: &[Arc<Trace>],
    status: &mut DeviationReportStatus,
    found: &Found,
) {
    status.revert_decided_at = Some(scene.input.now);
    status.waves = touched(scene);
    if !found.by.is_empty() {
        status.requested_by.clone_from(&found.by);
    }
    tell_all(scene, brakes, traces, status, found);
}

/// The same version deviates for another reason, or more is done about it.
pub(super) fn append(scene: &Scene<'_, '_>, status: &mut DeviationReportStatus, found: &Found, turns: bool) {
    let last = status.appended.last().map(|more| (&more.reason, &more.message));
    let (reason, message) = last.unwrap_or((&status.reason, &status.message));
    let next = clip(&found.message);
    if (turns || *reason != found.reason) && *message != next {
        status.appended.push(Appended { at: scene.input.now, reason: found.reason.clone(), message: next });
    }
}

/// The traces from which what is felt from now on is added to what was.
pub(super) fn pinned(scene: &Scene<'_, '_>, traces: &[Arc<Trace>]) -> Vec<Arc<Trace>> {
    let now = scene.input.now.as_second();
    let pin = |trace: &Arc<Trace>| {
        let mut pinned = trace.clone();
        Arc::make_mut(&mut pinned).pin(now);
        pinned
    };
    traces.iter().map(pin).collect()
}

/// Everything that is known at the moment of the decision.
fn tell_all(
    scene: &Scene<'_, '_>,
    brakes: &[Brake],
    traces: &[Arc<Trace>],
    status: &mut DeviationReportStatus,
    found: &Found,
) {
    let (input, now) = (scene.input, scene.input.now);
    let judged = found.slo.and_then(|i| scene.judged.judges[i].until_seconds()).map(instant);
    status.detected_at = Some(judged.map_or(now, |judged| judged.min(now)));
    status.slos = (0..input.slos().len()).map(|i| slo(scene, i)).collect();
    let others = status.slos.iter().map(|slo| slo.others).max().unwrap_or(0);
    let wave = input.spec().waves.iter().find(|wave| wave.name == scene.course.wave_name());
    let is_compared = input.spec().judge.comparison == Comparison::Enabled;
    status.compared_with =
        words::compared_with(others, wave.map(|wave| wave.baseline).filter(|_| is_compared));
    status.generation = Some(input.asked.generation);
    status.revision = input.asked.revision.map(str::to_owned);
    status.versions = versions(scene.roster);
    status.brakes = brakes.iter().map(asked::sentence).collect();
    status.alerts = input.measured.firing.to_vec();
    let begins = now.as_second().saturating_sub(WINDOW_SECONDS);
    let since = traces.iter().filter_map(|trace| trace.since_seconds()).max();
    // The first whole step begins up to one step after the version's start; what is later than the next was read and is lost.
    let step = (0..input.slos().len()).map(|slo| input.step_seconds(slo)).max().unwrap_or(0);
    let started = status.started_at.map_or(i64::MIN, |at| at.as_second().saturating_add(2 * step));
    status.known_since = since.filter(|since| *since > begins.max(started)).map(instant);
    sum_up(scene, traces, status);
    tell_changes(scene, status);
}

/// Tenants touched so far, by wave.
fn touched(scene: &Scene<'_, '_>) -> Vec<WaveCount> {
    let waves = &scene.input.spec().waves;
    let mut touched = vec![0_u32; waves.len()];
    for (tenant, place) in scene.roster.fleet().filter(|(_, place)| place.standing.is_updated()) {
        if let Some(wave) = place.wave.filter(|_| own(tenant).is_some()) {
            touched[wave] += 1;
        }
    }
    let waves = waves.iter().zip(touched);
    waves.map(|(wave, touched)| WaveCount { name: wave.name.clone(), touched }).collect()
}

/// One SLO as it was configured, asked and judged.
fn slo(scene: &Scene<'_, '_>, index: usize) -> SloAccount {
    let (input, judged) = (scene.input, scene.judged);
    let (spec, step) = (&input.slos()[index], input.step_seconds(index));
    let evidence = judged.evidence.get(index).and_then(Option::as_ref);
    let is_compared = input.spec().judge.comparison == Comparison::Enabled;
    let judge = judged.judges.get(index).filter(|judge| **judge != State::default());
    let mut account = SloAccount {
        name: spec.name.clone(),
        measures: words::measures(spec),
        objective: spec.objective,
        limits: words::limits(&input.asked.spec.judge(index, step.max(1)), is_compared),
        query: words::query(input.asked.spec, index, step),
        step: (step > 0).then(|| Span::seconds(step)),
        judge: judge.and_then(|judge| serde_json::to_value(judge).ok()),
        ..SloAccount::default()
    };
    if let Some(evidence) = evidence {
        account.verdict = Some(verdict(evidence).into());
        account.message = evidence.sentence(&spec.name, scene.course.wave_name());
        (account.value, account.baseline, account.limit) =
            (evidence.value, evidence.baseline, evidence.limit);
        account.window = Some(Span::seconds(evidence.window_seconds));
        account.candidates = evidence.coverage.tenants;
        account.others = evidence.baseline_coverage.tenants;
        account.ln_e = evidence.ln_e.filter(|ln_e| ln_e.is_finite());
    }
    if let Some(status) = judged.slos.get(index) {
        (account.certainty, account.detectable) = (status.certainty, status.detectable);
    }
    account
}

/// Charts, harm and the tenants that felt it, as far as the traces know.
fn sum_up(scene: &Scene<'_, '_>, traces: &[Arc<Trace>], status: &mut DeviationReportStatus) {
    let Some(moment) = status.moment().map(Timestamp::as_second) else { return };
    let horizon = moment.saturating_add(WINDOW_SECONDS);
    for (account, trace) in status.slos.iter_mut().zip(traces) {
        trace.draw(&mut account.chart, horizon);
        if trace.pinned_seconds() == Some(moment) {
            account.harm = trace.harm();
        }
    }
    let mine = |trace: &&Arc<Trace>| trace.pinned_seconds() == Some(moment);
    let first = traces.iter().filter(mine).filter_map(|trace| trace.first_harm_seconds()).min();
    status.first_harm_at = first.map(instant).or(status.first_harm_at);
    if let Some((worst, left)) = worst(scene, traces, status, moment) {
        status.worst = worst;
        status.left_out.retain(|out| out.what != "worst");
        status.leave_out("worst", left);
    } else if status.worst.is_empty() {
        status.worst = guilty(scene, status);
    }
}

/// The tenants that felt it most and how many more there are: of the SLO that spoke, or of the one with most harm.
fn worst(
    scene: &Scene<'_, '_>,
    traces: &[Arc<Trace>],
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
    let trace = traces.get(spoke.or_else(most)?)?;
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
    let names = names(scene.roster, felt.iter().map(|(id, _)| *id));
    let worst = felt.iter().filter_map(|(id, felt)| Some(tenant(names.get(id)?.clone(), felt)));
    Some((worst.collect(), left))
}

/// The tenants that the guard names, where no trace knows better.
fn guilty(scene: &Scene<'_, '_>, status: &DeviationReportStatus) -> Vec<WorstTenant> {
    let slos = scene.input.slos();
    let spoke = slos.iter().position(|slo| Some(&slo.name) == status.slo.as_ref());
    let Some(evidence) = spoke.and_then(|i| scene.judged.evidence.get(i)?.as_ref()) else {
        return Vec::new();
    };
    let names = names(scene.roster, evidence.guilty.iter().map(|(id, _)| *id));
    let guilty = evidence.guilty.iter().filter_map(|(id, counts)| {
        let (bad, total) = (neat(counts.bad), neat(counts.total));
        Some(WorstTenant { tenant: names.get(id)?.clone(), bad, total, excess: None, since: None })
    });
    guilty.collect()
}

/// `namespace/name` of a few tenants, in one pass over the fleet.
fn names(roster: &Roster<'_>, ids: impl Iterator<Item = TenantId>) -> HashMap<TenantId, String> {
    let mut names: HashMap<TenantId, String> = ids.map(|id| (id, String::new())).collect();
    for (tenant, _) in roster.fleet() {
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
fn versions(roster: &Roster<'_>) -> Vec<VersionCount> {
    let mut tally = HashMap::<&str, u32>::new();
    for (tenant, _) in roster.fleet().filter(|(_, place)| place.standing.is_live()) {
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
fn tell_changes(scene: &Scene<'_, '_>, status: &mut DeviationReportStatus) {
    let Some(moment) = status.moment() else { return };
    let from = Timestamp::from_second(moment.as_second().saturating_sub(WINDOW_SECONDS)).unwrap_or(moment);
    let to = after(moment, WINDOW);
    let started = status.started_at.unwrap_or(from);
    let new = scene.told.iter().map(|told| transition(told, scene.input.now));
    let told = scene.input.status.history.iter().cloned().chain(new);
    let (asked, else_): (Vec<Transition>, Vec<Transition>) =
        told.filter(|told| told.at <= to).partition(is_of_an_action);
    add(&mut status.actions, asked.into_iter().filter(|told| told.at >= started.min(from)));
    add(&mut status.changes, else_.into_iter().filter(|told| told.at >= from));
}

fn is_of_an_action(told: &Transition) -> bool {
    told.reason == TransitionReason::ActionHonoured || told.reason == TransitionReason::ActionRefused
}

/// Adds what is newer than the list and not in it.
fn add(list: &mut Vec<Transition>, more: impl Iterator<Item = Transition>) {
    let newest = list.last().map(|told| told.at);
    // The history cuts messages shorter than a plan that has just told them.
    let same = |a: &Transition, b: &Transition| a.at == b.at && a.reason == b.reason;
    let known = list.clone();
    list.extend(more.filter(|told| {
        newest.is_none_or(|newest| told.at >= newest) && !known.iter().any(|known| same(known, told))
    }));
}

/// Tenants that did not come back.
pub(super) fn not_back(roster: &Roster<'_>) -> Vec<String> {
    let gone = |standing: &Standing| {
        matches!(standing, Standing::ReturnFailed | Standing::Contested | Standing::Outgoing)
    };
    let left = roster.fleet().filter(|(_, place)| gone(&place.standing));
    let mut left: Vec<&Tenant> = left.map(|(tenant, _)| tenant).collect();
    left.sort_unstable_by_key(|tenant| tenant.id);
    left.into_iter().map(full_name).collect()
}

/// Adds to the account what came since: every five minutes, at every change of phase, and once more when two hours
/// are over.
pub(super) fn follow(
    scene: &Scene<'_, '_>,
    ledger: Ledger<'_>,
    current: Option<String>,
    traces: Vec<Arc<Trace>>,
) -> Reports {
    let known = current.as_deref().and_then(|name| Some((name, ledger.named(name)?)));
    let Some((name, (version, known))) = known else {
        return Reports { wants_since: None, writes: ledger.into_writes(), current, traces };
    };
    let (name, version, mut status) = (name.to_owned(), version.to_owned(), known.clone());
    let traces = unpinned(scene, &status, traces);
    let before = scene.input.status.phase;
    let turned = scene.course.phase != before;
    let reverting = scene.course.phase.is_reverting() || before.is_reverting();
    let ledger = if status.moment().is_some() && (is_behind(&traces, &status) || turned && reverting) {
        if reverting {
            tell_way_back(scene, &mut status, &version);
        }
        sum_up(scene, &traces, &mut status);
        tell_changes(scene, &mut status);
        ledger.storing(scene.input.asked.name, name, &version, status)
    } else {
        ledger
    };
    let wants_since = steps::watch_since(scene, &ledger, current.as_deref(), &traces);
    Reports { wants_since, writes: ledger.into_writes(), current, traces }
}

/// Last second of an account: two hours after its moment.
fn horizon(status: &DeviationReportStatus) -> Option<i64> {
    Some(status.moment()?.as_second().saturating_add(WINDOW_SECONDS))
}

/// The traces once an account of a version that is still under way is over.
fn unpinned(
    scene: &Scene<'_, '_>,
    status: &DeviationReportStatus,
    traces: Vec<Arc<Trace>>,
) -> Vec<Arc<Trace>> {
    let over = horizon(status).is_some_and(|horizon| scene.input.now.as_second() >= horizon);
    if !over || !scene.course.phase.is_under_way() {
        return traces;
    }
    let unpin = |mut trace: Arc<Trace>| {
        if trace.pinned_seconds().is_some() {
            Arc::make_mut(&mut trace).unpin();
        }
        trace
    };
    traces.into_iter().map(unpin).collect()
}

/// Whether so much more was counted than the charts show that they are worth a write.
fn is_behind(traces: &[Arc<Trace>], status: &DeviationReportStatus) -> bool {
    let Some(horizon) = horizon(status) else { return false };
    status.slos.iter().zip(traces).any(|(slo, trace)| {
        let Some(drawable) = trace.drawable_seconds(horizon) else { return false };
        let drawn = slo.chart.as_ref().map_or(i64::MIN, trace::end_seconds);
        let last = trace.until_seconds() >= Some(horizon);
        drawable > drawn && (last || drawable.saturating_sub(drawn) >= APPEND_EVERY_SECONDS)
    })
}

/// When the first tenant was written back, and when the last one that came back was ready.
fn tell_way_back(scene: &Scene<'_, '_>, status: &mut DeviationReportStatus, version: &str) {
    let Some(moment) = status.moment() else { return };
    let mut first = status.first_write_at;
    let mut last = status.last_ready_at;
    for (tenant, place) in scene.roster.fleet() {
        let Some(marker) = own(tenant) else { continue };
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
    let all = scene.course.revert.as_ref().is_some_and(|revert| revert.back_at.is_some());
    if status.last_ready_at.is_none() && all {
        status.last_ready_at = last;
    }
}
