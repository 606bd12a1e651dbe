//! Whether the release deviates, and the report that says so before the first write (rules R4, R11, R14, R19). Pure.

use breakwater_crds::{
    report::{Appended, DeviationReportSpec, DeviationReportStatus, Outcome, WaveCount, WorstTenant},
    rollout::DeviationAction,
    scalars::Span,
    status::{Phase, RevertStatus},
};
use breakwater_slo::{Action, Evidence, Guard};

use crate::{
    draft::{Draft, clip},
    fleet::{self, Standing},
    observed::Cause,
    outcome::ReportWrite,
    revert::{self, clamp},
};

/// How many failed tenants are looked at to learn the cause.
const DIAGNOSED: usize = 5;
/// Most tenants named in a report.
const WORST_MAX: usize = 32;
/// Most further deviations kept in a report.
const APPENDED_MAX: usize = 16;

/// A deviation as found.
struct Found {
    reason: &'static str,
    message: String,
    slo: Option<usize>,
    by: String,
    manual: bool,
}

/// Looks for a deviation of the version under way, and answers it as `onDeviation` says.
pub(crate) fn decide(draft: &mut Draft<'_>) {
    let under_way = draft.status.phase.is_under_way();
    let completed = draft.status.phase == Phase::Completed && draft.manual.is_some();
    let version = if completed { draft.manual.as_ref().map(|m| m.0.clone()) } else { draft.status.candidate_version.clone() };
    let Some(version) = version.filter(|_| under_way || completed) else { return };
    let Some(found) = manual(draft).or_else(|| already_rejected(draft, &version)).or_else(|| measured(draft)).or_else(|| failures(draft))
    else {
        return;
    };
    if draft.observed.spec.spec.on_deviation.action == DeviationAction::Hold && !found.manual {
        if open_report(draft, &version).is_none() {
            draft.tell("Deviation", true, found.message.clone());
        }
        write_report(draft, &version, &found, Outcome::Held);
        draft.hold("Deviating", false, found.message);
        return;
    }
    draft.tell("Deviation", true, found.message.clone());
    write_report(draft, &version, &found, Outcome::Reverting);
    if completed {
        forget_stable(draft, &version);
    }
    if !draft.status.rejected.contains(&version) {
        draft.status.rejected.insert(0, version.clone());
        draft.status.rejected.truncate(breakwater_crds::status::VERSIONS_MAX);
    }
    revert::start(draft, &version, false, found.message);
    draft.muster();
}

fn manual(draft: &mut Draft<'_>) -> Option<Found> {
    let (version, by, why) = draft.manual.take()?;
    let message = format!("{by} reverts {version}: {why}");
    Some(Found { reason: "Manual", message, slo: None, by, manual: true })
}

/// A report rejects the version although it is under way: a crash came between the two writes, or a human wrote it.
fn already_rejected(draft: &Draft<'_>, version: &str) -> Option<Found> {
    let report = draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.rejects())?;
    draft.out.contains(version).then(|| Found {
        reason: "Rejected",
        message: format!("DeviationReport {} rejects {version}: {}", report.name, report.status.message),
        slo: None,
        by: String::new(),
        manual: true,
    })
}

/// An SLO's guard deviates.
fn measured(draft: &Draft<'_>) -> Option<Found> {
    let wave = draft.wave_name();
    draft.evidence.iter().enumerate().find_map(|(i, evidence)| {
        let evidence = evidence.as_ref().filter(|evidence| evidence.action == Action::Deviate)?;
        Some(Found {
            reason: guard_reason(evidence),
            message: evidence.sentence(&draft.observed.spec.spec.slos[i].name, wave),
            slo: Some(i),
            by: String::new(),
            manual: false,
        })
    })
}

/// The guard's name for machines.
pub(crate) fn guard_reason(evidence: &Evidence) -> &'static str {
    match evidence.guard {
        Some(Guard::BurnRate { .. }) => "BurnRate",
        Some(Guard::Sharp) => "SharpPath",
        Some(Guard::Limit) => "Limit",
        Some(Guard::UpdateCost) => "UpdateCost",
        Some(Guard::TelemetryLost) => "TelemetryLost",
        Some(Guard::NoData(_)) => "NoData",
        None => "Inconclusive",
    }
}

/// More tenants of a wave failed than it bears: a deviation, or a hold where the cause is plainly infrastructure (R4).
fn failures(draft: &mut Draft<'_>) -> Option<Found> {
    let last = draft.current_wave().unwrap_or(draft.status.waves.len().saturating_sub(1));
    for wave in 0..=last {
        let total = draft.places.iter().filter(|p| p.wave == Some(wave) && p.standing.is_live()).count();
        let failed: Vec<usize> = (0..draft.places.len())
            .filter(|i| draft.places[*i].wave == Some(wave) && draft.places[*i].standing == Standing::Failed)
            .collect();
        let spec = draft.observed.spec.spec.waves.get(wave)?;
        let allowed = spec.max_failures.of(total);
        if failed.len() <= allowed {
            continue;
        }
        let (names, ids) = (spec.name.clone(), failed.iter().take(DIAGNOSED).map(|i| draft.observed.tenants[*i].id));
        let ids: Vec<_> = ids.collect();
        let causes: Vec<&Cause> = ids.iter().filter_map(|id| draft.observed.causes.get(id)).collect();
        let message = format!("{} of {total} tenants of wave {names} failed, more than {allowed}", failed.len());
        if causes.len() < ids.len() {
            draft.hold("TooManyFailures", false, format!("{message}; looking up why"));
            draft.diagnose.extend(ids);
            return None;
        }
        let infrastructure = causes.iter().find_map(|cause| match cause {
            Cause::Infrastructure(what) => Some(what.clone()),
            Cause::Application(_) | Cause::Unknown => None,
        });
        if let Some(what) = infrastructure.filter(|_| causes.iter().all(|c| matches!(c, Cause::Infrastructure(_)))) {
            draft.hold("Infrastructure", false, format!("{message}, because of infrastructure: {what}"));
            draft.diagnose.extend(ids); // asked again, so that the hold ends with its cause
            return None;
        }
        let how = causes.iter().find_map(|cause| match cause {
            Cause::Application(how) => Some(format!(": {how}")),
            Cause::Infrastructure(_) | Cause::Unknown => None,
        });
        let message = format!("{message}{}", how.unwrap_or_default());
        return Some(Found { reason: "TooManyFailures", message, slo: None, by: String::new(), manual: false });
    }
    None
}

/// A completed version is taken out: the stable one is again what most of its tenants came from (R19).
fn forget_stable(draft: &mut Draft<'_>, version: &str) {
    let mut tally = std::collections::BTreeMap::<&str, u32>::new();
    for (tenant, _) in draft.fleet() {
        if let Some(marker) = fleet::own(tenant).filter(|marker| *marker.target == *version && *marker.previous != *version) {
            *tally.entry(&marker.previous).or_default() += 1;
        }
    }
    let most = tally.into_iter().max_by_key(|(_, tenants)| *tenants).map(|(version, _)| version.to_owned());
    draft.status.stable_version = most;
    draft.status.candidate_version = Some(version.to_owned());
}

/// Name and account of the report that is open for this version, if one is.
fn open_report(draft: &Draft<'_>, version: &str) -> Option<(String, DeviationReportStatus)> {
    let open = draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.closed_by.is_none())?;
    let pending = draft.reports.get(&open.name).map(|write| write.status.clone());
    Some((open.name.clone(), pending.unwrap_or_else(|| open.status.clone()))).filter(|(_, s)| s.closed_by.is_none())
}

/// One open report per (rollout, version): written anew, or appended to.
fn write_report(draft: &mut Draft<'_>, version: &str, found: &Found, outcome: Outcome) {
    let (name, status) = match open_report(draft, version) {
        Some((name, mut status)) if status.outcome.is_some() => {
            let again = status.outcome != Some(outcome) || found.reason != status.reason;
            if again && status.message != found.message {
                status.appended.push(Appended { at: draft.now, message: clip(&found.message) });
                let surplus = status.appended.len().saturating_sub(APPENDED_MAX);
                status.appended.drain(..surplus);
            }
            status.outcome = Some(outcome);
            (name, status)
        }
        Some((name, _)) => (name, account(draft, found, outcome)),
        None => (report_name(draft, version), account(draft, found, outcome)),
    };
    draft.status.report = Some(name.clone());
    store_report(draft, name, version, status);
}

fn store_report(draft: &mut Draft<'_>, name: String, version: &str, status: DeviationReportStatus) {
    let unchanged = draft.observed.reports.iter().any(|report| report.name == name && report.status == status);
    if !unchanged {
        let spec = DeviationReportSpec { rollout: draft.observed.name.to_owned(), version: version.to_owned() };
        draft.reports.insert(name.clone(), ReportWrite { name, spec, status });
    }
}

/// `{rollout}-{hash of version}-{n}`, n counting on from the reports there are.
fn report_name(draft: &Draft<'_>, version: &str) -> String {
    let hash = breakwater_crds::marker::stable_hash(&[version]) >> 32;
    let stem = format!("{}-{hash:08x}-", draft.observed.name);
    let taken = draft.observed.reports.iter().filter_map(|report| report.name.strip_prefix(&stem)?.parse::<u32>().ok());
    format!("{stem}{}", taken.max().unwrap_or(0) + 1)
}

/// The first account of a deviation.
fn account(draft: &Draft<'_>, found: &Found, outcome: Outcome) -> DeviationReportStatus {
    let evidence = found.slo.and_then(|i| draft.evidence[i].as_ref());
    let waves = draft.observed.spec.spec.waves.iter().enumerate().map(|(i, wave)| WaveCount {
        name: wave.name.clone(),
        touched: clamp(draft.fleet().filter(|(t, p)| p.wave == Some(i) && p.standing.is_updated() && fleet::own(t).is_some()).count()),
    });
    DeviationReportStatus {
        outcome: Some(outcome),
        reason: found.reason.into(),
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
        finished_at: None,
        waves: waves.collect(),
        reverted: 0,
        failed: 0,
        worst: evidence.map_or_else(Vec::new, |evidence| worst(draft, evidence)),
        attribution: None,
        closed_by: None,
        appended: Vec::new(),
    }
}

fn worst(draft: &Draft<'_>, evidence: &Evidence) -> Vec<WorstTenant> {
    let named = |id| draft.observed.tenants.iter().find(|tenant| tenant.id == id);
    let worst = evidence.guilty.iter().take(WORST_MAX).filter_map(|(id, counts)| {
        let tenant = named(*id)?;
        Some(WorstTenant { tenant: format!("{}/{}", tenant.namespace, tenant.name), bad: counts.bad, total: counts.total })
    });
    worst.collect()
}

/// Ends the account of a revert.
pub(crate) fn close_report(draft: &mut Draft<'_>, version: &str, outcome: Outcome, revert: &RevertStatus) {
    let name = draft.status.report.clone();
    let report = draft.observed.reports.iter().find(|report| Some(&report.name) == name.as_ref());
    let report = report.or_else(|| draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.closed_by.is_none()));
    let Some((name, mut status)) = report.map(|report| (report.name.clone(), report.status.clone())) else { return };
    status.outcome = Some(outcome);
    status.finished_at = revert.finished_at;
    status.reverted = revert.reverted;
    status.failed = revert.failed;
    status.attribution = revert.attribution;
    store_report(draft, name, version, status);
}
