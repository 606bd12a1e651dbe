//! Whether the release deviates, and the report that says so before the first write (rules R4, R11, R14, R19). Pure.

use breakwater_crds::{
    report::{Appended, DeviationReportSpec, DeviationReportStatus, Outcome, WaveCount, WorstTenant},
    rollout::{DeviationAction, Wave},
    scalars::Span,
    status::{Condition, ConditionStatus, Phase, RevertStatus},
};
use breakwater_slo::{Action, Evidence, Guard};

use crate::{
    conditions,
    draft::{Draft, clip},
    fleet::{self, Standing},
    observed::{Cause, Marker, Tenant},
    outcome::ReportWrite,
    revert,
};

/// How many failed tenants are looked at to learn the cause.
const DIAGNOSED: usize = 5;
/// Most tenants named in a report.
const WORST_MAX: usize = 32;
/// Most further deviations kept in a report.
const APPENDED_MAX: usize = 16;

/// A deviation as found.
struct Found {
    reason: String,
    message: String,
    slo: Option<usize>,
    by: String,
    manual: bool,
}

/// Looks for a deviation of the version under way, and answers it as `onDeviation` says.
pub(crate) fn decide(draft: &mut Draft<'_>) {
    let under_way = draft.status.phase.is_under_way();
    let completed = draft.status.phase == Phase::Completed && draft.manual.is_some();
    let version = if completed {
        draft.manual.as_ref().map(|m| m.0.clone())
    } else {
        draft.status.candidate_version.clone()
    };
    let Some(version) = version.filter(|_| under_way || completed) else { return };
    let Some(found) = manual(draft)
        .or_else(|| already_rejected(draft, &version))
        .or_else(|| measured(draft))
        .or_else(|| failures(draft))
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
    revert::start(draft, &version, false, &found.message);
    draft.muster();
}

fn manual(draft: &mut Draft<'_>) -> Option<Found> {
    let (version, by, why) = draft.manual.take()?;
    let message = format!("{by} reverts {version}: {why}");
    Some(Found { reason: "Manual".into(), message, slo: None, by, manual: true })
}

/// A report rejects the version although it is under way: a crash came between the two writes, or a human wrote it.
/// What it says stands.
fn already_rejected(draft: &Draft<'_>, version: &str) -> Option<Found> {
    let report = draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.rejects())?;
    let or = |text: &str, otherwise: String| if text.is_empty() { otherwise } else { text.to_owned() };
    draft.out.contains(version).then(|| Found {
        reason: or(&report.status.reason, "Rejected".into()),
        message: or(&report.status.message, format!("DeviationReport {} rejects {version}", report.name)),
        slo: None,
        by: report.status.requested_by.clone(),
        manual: true,
    })
}

/// An SLO's guard deviates.
fn measured(draft: &Draft<'_>) -> Option<Found> {
    let wave = draft.wave_name();
    draft.evidence.iter().enumerate().find_map(|(i, evidence)| {
        let evidence = evidence.as_ref().filter(|evidence| evidence.action == Action::Deviate)?;
        Some(Found {
            reason: guard_reason(evidence).into(),
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
        Some(Guard::Comparison) => "Comparison",
        Some(Guard::Uncalibrated) => "Uncalibrated",
        None => "Inconclusive",
    }
}

/// More tenants of a wave failed than it bears: a deviation, or a hold where the cause is plainly infrastructure (R4).
fn failures(draft: &mut Draft<'_>) -> Option<Found> {
    if !draft.is_complete() {
        return None; // of a part of the fleet any share may be failed
    }
    let waves = &draft.observed.spec.spec.waves;
    let last = draft.current_wave().unwrap_or(waves.len().saturating_sub(1));
    let mut totals = vec![0_usize; waves.len()];
    let mut failed = vec![Vec::new(); waves.len()];
    for (tenant, place) in draft.fleet().filter(|(_, place)| place.standing.is_live()) {
        let Some(wave) = place.wave else { continue };
        totals[wave] += 1;
        // Whose version somebody else wrote says nothing about this rollout: nobody knows how long it has had.
        if place.standing == Standing::Failed && fleet::own(tenant).is_some() {
            failed[wave].push(tenant);
        }
    }
    let over = (0..=last).find(|wave| failed[*wave].len() > waves[*wave].max_failures.of(totals[*wave]))?;
    excess(draft, &waves[over], totals[over], &mut failed[over])
}

/// What more failed tenants than a wave bears come to, once their cause is known.
fn excess(draft: &mut Draft<'_>, wave: &Wave, total: usize, failed: &mut [&Tenant]) -> Option<Found> {
    let allowed = wave.max_failures.of(total);
    let message =
        format!("{} of {total} tenants of wave {} failed, more than {allowed}", failed.len(), wave.name);
    let was_ready =
        |t: &Tenant| fleet::own(t).is_some_and(|m| fleet::seen_complete(m, &draft.status.waves).is_some());
    let deadline = draft.observed.spec.spec.tenants.progress_deadline;
    let held = held_for_failures(draft);
    let lasted = held.is_some_and(|held| fleet::after(held.last_transition_time, deadline) <= draft.now);
    if !lasted && failed.iter().filter(|tenant| !was_ready(tenant)).count() <= allowed {
        // A node that is drained takes ready tenants away for a moment: they have the deadline of an update to return.
        let until = fleet::after(held.map_or(draft.now, |held| held.last_transition_time), deadline);
        draft.hold(
            "TooManyFailures",
            false,
            format!("{message}; they were ready before and have until {until}"),
        );
        draft.wake(Some(until));
        return None;
    }
    failed.sort_unstable_by_key(|tenant| tenant.id);
    let ids = failed.iter().take(DIAGNOSED).map(|tenant| tenant.id);
    let causes: Vec<&Cause> = ids.clone().filter_map(|id| draft.observed.causes.get(&id)).collect();
    let (mut infrastructure, mut how) = (Vec::new(), String::new());
    for cause in &causes {
        match cause {
            Cause::Infrastructure(what) => infrastructure.push(what),
            Cause::Application(what) if how.is_empty() => how = format!(": {what}"),
            Cause::Application(_) | Cause::Unknown => {}
        }
    }
    if causes.len() < ids.len() {
        let again = held.is_some_and(|held| held.reason == "Infrastructure");
        let reason = if again { "Infrastructure" } else { "TooManyFailures" };
        draft.diagnose.extend(ids);
        draft.hold(reason, false, format!("{message}; looking up why"));
        None
    } else if infrastructure.len() == causes.len() {
        draft.diagnose.extend(ids); // asked again, so that the hold ends with its cause
        draft.hold(
            "Infrastructure",
            false,
            format!("{message}, because of infrastructure: {}", infrastructure[0]),
        );
        None
    } else {
        let message = format!("{message}{how}");
        Some(Found { reason: "TooManyFailures".into(), message, slo: None, by: String::new(), manual: false })
    }
}

/// The hold for failed tenants that stands, if one does; its age is that of the failures.
fn held_for_failures<'a>(draft: &Draft<'a>) -> Option<&'a Condition> {
    let held = draft
        .observed
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == "Held" && c.status == ConditionStatus::True);
    held.filter(|held| conditions::is_same_hold(&held.reason, "TooManyFailures"))
}

/// A completed version is taken out: the stable one is again what most of its tenants came from (R19).
pub(crate) fn forget_stable(draft: &mut Draft<'_>, version: &str) {
    let mut tally = std::collections::BTreeMap::<&str, u32>::new();
    for (tenant, _) in draft.fleet() {
        let came_from = |marker: &&Marker| {
            *marker.target == *version
                && *marker.previous != *version
                && !draft.out.contains(&*marker.previous)
        };
        if let Some(marker) = fleet::own(tenant).filter(came_from) {
            *tally.entry(&marker.previous).or_default() += 1;
        }
    }
    let most = tally.into_iter().max_by_key(|(_, tenants)| *tenants).map(|(version, _)| version.to_owned());
    draft.status.stable_version = most;
    draft.status.candidate_version = Some(version.to_owned());
}

/// Name and account of the report that is open for this version, if one is.
fn open_report(draft: &Draft<'_>, version: &str) -> Option<(String, DeviationReportStatus)> {
    let open =
        draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.closed_by.is_none())?;
    let pending = draft.reports.get(&open.name).map(|write| write.status.clone());
    Some((open.name.clone(), pending.unwrap_or_else(|| open.status.clone())))
        .filter(|(_, s)| s.closed_by.is_none())
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
    let unchanged =
        draft.observed.reports.iter().any(|report| report.name == name && report.status == status);
    if !unchanged {
        let spec =
            DeviationReportSpec { rollout: draft.observed.name.to_owned(), version: version.to_owned() };
        draft.reports.insert(name.clone(), ReportWrite { name, spec, status });
    }
}

/// `{rollout}-{hash of version}-{n}`, n counting on from the reports there are.
fn report_name(draft: &Draft<'_>, version: &str) -> String {
    let hash = breakwater_crds::marker::stable_hash(&[version]) >> 32;
    let stem = format!("{}-{hash:08x}-", draft.observed.name);
    let taken = draft
        .observed
        .reports
        .iter()
        .filter_map(|report| report.name.strip_prefix(&stem)?.parse::<u32>().ok());
    format!("{stem}{}", taken.max().unwrap_or(0) + 1)
}

/// The first account of a deviation.
fn account(draft: &Draft<'_>, found: &Found, outcome: Outcome) -> DeviationReportStatus {
    let evidence = found.slo.and_then(|i| draft.evidence[i].as_ref());
    let mut touched = vec![0_u32; draft.observed.spec.spec.waves.len()];
    for (tenant, place) in draft.fleet().filter(|(_, place)| place.standing.is_updated()) {
        if let Some(wave) = place.wave.filter(|_| fleet::own(tenant).is_some()) {
            touched[wave] += 1;
        }
    }
    let waves = draft.observed.spec.spec.waves.iter().zip(touched);
    let waves = waves.map(|(wave, touched)| WaveCount { name: wave.name.clone(), touched });
    DeviationReportStatus {
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
        Some(WorstTenant {
            tenant: format!("{}/{}", tenant.namespace, tenant.name),
            bad: counts.bad,
            total: counts.total,
        })
    });
    worst.collect()
}

/// Ends the account of a revert.
pub(crate) fn close_report(draft: &mut Draft<'_>, version: &str, outcome: Outcome, revert: &RevertStatus) {
    let name = draft.status.report.clone();
    let report = draft.observed.reports.iter().find(|report| Some(&report.name) == name.as_ref());
    let report = report.or_else(|| {
        draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.closed_by.is_none())
    });
    let Some((name, mut status)) = report.map(|report| (report.name.clone(), report.status.clone())) else {
        return;
    };
    status.outcome = Some(outcome);
    status.finished_at = revert.finished_at;
    status.reverted = revert.reverted;
    status.failed = revert.failed;
    status.attribution = revert.attribution;
    store_report(draft, name, version, status);
}
