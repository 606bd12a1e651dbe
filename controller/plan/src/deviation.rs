//! Whether the release deviates, and what is done about it (rules R4, R11, R14, R19). Pure.

use breakwater_crds::{
    gates::Gate,
    report::{DownStep, InvestigationState, Outcome},
    rollout::{DeviationAction, Wave},
    status::{Condition, Phase},
    words::{ConditionType, DeviationReason, HoldReason, TransitionReason, Word},
};
use breakwater_slo::{Action, Evidence, Guard, Verdict};

use crate::{
    conditions,
    draft::{Draft, clip},
    fleet::{self, Standing},
    gate,
    observed::{Cause, Marker, Tenant},
    report, revert,
    spared::{self, Alone},
    spec::{alpha_share, is_per_tenant},
};

/// How many failed tenants are looked at to learn the cause.
const DIAGNOSED: usize = 5;

/// A deviation as found.
pub(crate) struct Found {
    /// One word for machines.
    pub(crate) reason: Word<DeviationReason>,
    /// The sentence with the numbers (R30).
    pub(crate) message: String,
    /// Index of the SLO that spoke, if one did.
    pub(crate) slo: Option<usize>,
    /// Who asked for it, where somebody did.
    pub(crate) by: String,
    /// It was asked for, or stands already: no policy softens it.
    pub(crate) manual: bool,
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
    let alone = spared::look(draft, &version);
    let Some(found) = manual(draft)
        .or_else(|| already_rejected(draft, &version))
        .or_else(|| waiting(draft, &version))
        .or_else(|| measured(draft, &alone))
        .or_else(|| failures(draft))
    else {
        return spared::send_back(draft, &version, &alone);
    };
    if draft.observed.spec.spec.on_deviation.action == DeviationAction::Hold && !found.manual {
        if report::open(draft, &version).is_none() {
            draft.tell(TransitionReason::Deviation, found.message.clone());
        }
        report::write(draft, &version, &found, Outcome::Held);
        draft.hold(HoldReason::Deviating, found.message);
        return;
    }
    if let Some((why, steps)) = forbidden(draft, &version) {
        return wait(draft, &version, &found, why, steps);
    }
    draft.tell(TransitionReason::Deviation, found.message.clone());
    report::write(draft, &version, &found, Outcome::Reverting);
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

/// Why the schema forbids a revert, and what takes it down. That the Release which said so is gone does not allow it.
fn forbidden(draft: &Draft<'_>, version: &str) -> Option<(String, Vec<DownStep>)> {
    let remembered = || {
        let (_, status) = report::open(draft, version)?;
        let is_gone = draft.observed.releases.iter().all(|release| release.version != version);
        let asks = draft.observed.spec.spec.gates.migrations == Gate::Require;
        // A Release that spoke left steps, known or not; that none could be listed leaves nothing.
        let waits = !status.revert_waits_for.is_empty() && !status.down_steps.is_empty();
        (is_gone && asks && waits).then_some((status.revert_waits_for, status.down_steps))
    };
    gate::revert_of(draft, version).or_else(remembered)
}

/// The schema forbids the revert (R21): it is written down with the way down, and holds until somebody acknowledges it, or
/// answers the report.
fn wait(draft: &mut Draft<'_>, version: &str, found: &Found, why: String, steps: Vec<DownStep>) {
    let known = report::open(draft, version).is_some_and(|(_, status)| status.revert_waits_for == clip(&why));
    if !known {
        draft.tell(TransitionReason::RevertGated, format!("{}; {why}", found.message));
    }
    report::write(draft, version, found, Outcome::Held);
    report::gate(draft, version, &why, steps);
    draft.hold_above_all(HoldReason::RevertGated, why);
}

/// A revert that waits goes on as soon as it may, whatever the SLOs say by then.
fn waiting(draft: &Draft<'_>, version: &str) -> Option<Found> {
    let (name, status) =
        report::open(draft, version).filter(|(_, status)| !status.revert_waits_for.is_empty())?;
    let stored = draft.observed.reports.iter().find(|report| report.name == name);
    let answered = stored.and_then(|report| report.spec.investigation.as_ref());
    if answered.is_some_and(|found| found.state != InvestigationState::Open) {
        return None;
    }
    Some(Found {
        reason: status.reason,
        message: status.message,
        slo: None,
        by: status.requested_by,
        manual: true,
    })
}

fn manual(draft: &mut Draft<'_>) -> Option<Found> {
    let (version, by, why) = draft.manual.take()?;
    let message = format!("{by} reverts {version}: {why}");
    Some(Found { reason: DeviationReason::Manual.into(), message, slo: None, by, manual: true })
}

/// A report rejects the version although it is under way: a crash came between the two writes, or a human wrote it.
/// What it says stands.
fn already_rejected(draft: &Draft<'_>, version: &str) -> Option<Found> {
    let report = draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.rejects())?;
    let (reason, message) = (&report.status.reason, &report.status.message);
    draft.out.contains(version).then(|| Found {
        reason: if reason.is_empty() { DeviationReason::Rejected.into() } else { reason.clone() },
        message: if message.is_empty() {
            format!("DeviationReport {} rejects {version}", report.name)
        } else {
            message.clone()
        },
        slo: None,
        by: report.status.requested_by.clone(),
        manual: true,
    })
}

/// An SLO's guard deviates, more tenants than may be are guilty by themselves, or the comparisons of all SLOs together
/// deviate: not where what one says is about such tenants and answered by sending them back (R22).
fn measured(draft: &Draft<'_>, alone: &Alone) -> Option<Found> {
    let sentence = |slo: usize| {
        Some(
            draft.evidence[slo]
                .as_ref()?
                .sentence(&draft.observed.spec.spec.slos[slo].name, draft.wave_name()),
        )
    };
    let deviates = |(slo, evidence): (usize, &Option<Evidence>)| {
        let evidence = evidence.as_ref().filter(|_| !alone.answers(slo))?;
        (evidence.action == Action::Deviate).then(|| (slo, sentence(slo), deviation_reason(evidence)))
    };
    let excess = || {
        let (slo, words) = alone.excess.clone()?;
        let message = format!("{}{words}", sentence(slo)?);
        Some((slo, Some(message), deviation_reason(draft.evidence[slo].as_ref()?)))
    };
    let all = || {
        let (slo, message) = together(draft).filter(|_| alone.is_empty())?;
        Some((slo, Some(message), DeviationReason::Comparison))
    };
    let one = || draft.evidence.iter().enumerate().find_map(deviates);
    let (slo, message, reason) = excess().or_else(one).or_else(all)?;
    Some(Found { reason: reason.into(), message: message?, slo: Some(slo), by: String::new(), manual: false })
}

/// Several SLOs, each of them short of its limit, pass it together (analysis.md 2): the one that says most, and the
/// sentence about what it sees. What has no data, or is not calibrated, says nothing.
fn together(draft: &Draft<'_>) -> Option<(usize, String)> {
    let spec = &draft.observed.spec.spec;
    let compared = spec.slos.iter().filter(|slo| is_per_tenant(slo)).count();
    let mut said: Vec<(usize, f64, f64)> = Vec::new();
    for (slo, (evidence, status)) in draft.evidence.iter().zip(&draft.status.slos).enumerate() {
        let usable = |evidence: &&Evidence| match evidence.verdict {
            Verdict::NoData | Verdict::Uncalibrated => false,
            Verdict::Healthy | Verdict::Inconclusive | Verdict::Deviating => true,
        };
        if let Some(ln_e) = evidence.as_ref().filter(usable).and_then(|evidence| evidence.ln_e) {
            said.push((slo, alpha_share(compared, status.anew), ln_e));
        }
    }
    let shares: Vec<(f64, f64)> = said.iter().map(|(_, share, ln_e)| (*share, *ln_e)).collect();
    let combined = breakwater_slo::combine(&shares, spec.judge.alpha.as_ratio());
    let (slo, ..) = *said.iter().max_by(|(_, a, e), (_, b, f)| (a.ln() + e).total_cmp(&(b.ln() + f)))?;
    if !combined.deviates {
        return None;
    }
    let step = draft.observed.readings.get(slo)?.step_seconds;
    let seen = draft.judges.get(slo)?.seen(&draft.observed.spec.judge(slo, step))?;
    let evidence = Evidence { reason: seen, ..draft.evidence[slo].clone()? };
    let sentence = evidence.sentence(&spec.slos[slo].name, draft.wave_name());
    let certainty = (combined.certainty * 1e4).floor() / 1e2;
    Some((slo, format!("{sentence}; together with the other SLOs, certainty {certainty:.2}%")))
}

/// The guard's name where it holds.
pub fn guard_reason(evidence: &Evidence) -> HoldReason {
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

/// The guard's name where it is a deviation.
pub fn deviation_reason(evidence: &Evidence) -> DeviationReason {
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
            HoldReason::TooManyFailures,
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
        let again = held.is_some_and(|held| Word::from(&*held.reason) == HoldReason::Infrastructure);
        let reason = if again { HoldReason::Infrastructure } else { HoldReason::TooManyFailures };
        draft.diagnose.extend(ids);
        draft.hold(reason, format!("{message}; looking up why"));
        None
    } else if infrastructure.len() == causes.len() {
        draft.diagnose.extend(ids); // asked again, so that the hold ends with its cause
        draft.hold(
            HoldReason::Infrastructure,
            format!("{message}, because of infrastructure: {}", infrastructure[0]),
        );
        None
    } else {
        let message = format!("{message}{how}");
        Some(Found {
            reason: DeviationReason::TooManyFailures.into(),
            message,
            slo: None,
            by: String::new(),
            manual: false,
        })
    }
}

/// The hold for failed tenants that stands, if one does; its age is that of the failures.
fn held_for_failures<'a>(draft: &Draft<'a>) -> Option<&'a Condition> {
    let held = draft.observed.status.holds(ConditionType::Held);
    held.filter(|held| conditions::is_for_failures(&held.reason))
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
