//! The way back: decided once, carried through, verified (rules R17-R20). Pure.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use breakwater_crds::{
    report::{Attribution, Outcome},
    scalars::Span,
    status::{Phase, RevertStatus},
    words::{HoldReason, Severity, TransitionReason},
};
use breakwater_slo::Verdict;
use jiff::Timestamp;

use crate::{
    choose,
    draft::{Draft, clip},
    errand::{self, Asking, Before, Errands},
    fleet::{self, Standing},
    judging,
    observed::{Errand, Tenant},
    outcome::Purpose,
    report, road,
};

/// How many times `verifyFor` a verification without data may take before it ends without an answer.
const BLIND_VERIFICATIONS: i64 = 3;

/// Decides to take `version` out. What is written follows from that, level-triggered.
pub(crate) fn start(draft: &mut Draft<'_>, version: &str, by_spec: bool, message: &str) {
    draft.tell(TransitionReason::Reverting, message);
    draft.out.insert(version.to_owned());
    draft.status.revert = Some(RevertStatus {
        version: version.to_owned(),
        by_spec,
        message: clip(message),
        decided_at: draft.now,
        back_at: None,
        verifying_since: None,
        finished_at: None,
        reverted: 0,
        failed: 0,
        attribution: None,
    });
    draft.enter(Phase::Reverting);
}

/// Goes on with the revert under way: until all are back, then until the SLOs have told whether it helped.
pub(crate) fn carry_through(draft: &mut Draft<'_>) {
    let Some(mut revert) = draft.status.revert.clone() else {
        // A forged status; the reports and markers know.
        draft.waiting = "the status names no version to revert; asking the reports and the tenants".into();
        draft.enter(Phase::Pending);
        return;
    };
    let stuck = stuck(draft, &revert);
    let returned = clamp(draft.count(|s| matches!(s, Standing::Returned { .. })));
    // Once all are back that stands, whoever is excluded, or gone, while the SLOs are watched.
    revert.reverted = if revert.back_at.is_some() { revert.reverted.max(returned) } else { returned };
    revert.failed = clamp(draft.count(|s| matches!(s, Standing::ReturnFailed | Standing::Contested)) + stuck);
    if draft.status.phase == Phase::Reverting {
        let moving =
            |s: &Standing| matches!(s, Standing::Outgoing | Standing::Returning { .. } | Standing::Unsure);
        let on_the_way = draft.count(moving).saturating_sub(stuck);
        if on_the_way > 0 || !draft.observed.in_flight.is_empty() || !draft.is_complete() {
            draft.waiting =
                format!("{} of {} tenants are back", revert.reverted, revert.reverted as usize + on_the_way);
            let last = fleet::after(revert.decided_at, draft.observed.spec.spec.revert.tenant_deadline);
            draft.wake(Some(last));
            draft.status.revert = Some(revert);
            return;
        }
        revert.back_at = Some(draft.now);
        draft.tell(
            TransitionReason::RevertedTenants,
            format!("{} tenants are back, {} are not", revert.reverted, revert.failed),
        );
        draft.enter(Phase::Verifying);
    }
    verify(draft, &mut revert);
    draft.status.revert = Some(revert);
}

/// Tenants that cannot go back: without a safe version, or refused by admission for longer than a tenant may take.
fn stuck(draft: &Draft<'_>, revert: &RevertStatus) -> usize {
    let late = fleet::after(revert.decided_at, draft.observed.spec.spec.revert.tenant_deadline) <= draft.now;
    let refused = |tenant: &Tenant| late && draft.observed.problems.contains_key(&tenant.id);
    let outgoing = draft.fleet().filter(|(_, place)| place.standing == Standing::Outgoing);
    outgoing.filter(|(tenant, _)| refused(tenant) || !has_safe_version(draft, tenant)).count()
}

/// True where the tenant has a version to go back to.
pub(crate) fn has_safe_version(draft: &Draft<'_>, tenant: &Tenant) -> bool {
    fleet::own(tenant)
        .is_some_and(|marker| choose::safe_version(draft, tenant.id, &marker.previous).is_some())
}

/// Watches the reverted tenants for `verifyFor` once they are warm (R20).
fn verify(draft: &mut Draft<'_>, revert: &mut RevertStatus) {
    if revert.by_spec || revert.reverted == 0 {
        finish(draft, revert, None);
        return;
    }
    let Some(since) = revert.verifying_since else {
        let warm = draft.places.iter().filter_map(|place| place.standing.returned_warm_at());
        if let Some(warm) = warm.max().filter(|warm| *warm > draft.now) {
            draft.waiting = format!("the reverted tenants are warm at {warm}");
            draft.wake(Some(warm));
        } else {
            let span = draft.observed.spec.spec.revert.verify_for;
            revert.verifying_since = Some(draft.now);
            draft.judges.iter_mut().for_each(breakwater_slo::State::restart);
            draft.waiting = format!("the SLOs are watched for {span} to see whether the revert helped");
            draft.tell(TransitionReason::Verifying, draft.waiting.clone());
            draft.wake(Some(fleet::after(draft.now, span)));
        }
        return;
    };
    let span = draft.observed.spec.spec.revert.verify_for;
    let end = fleet::after(since, span);
    draft.waiting = format!("watching until {end} whether the revert helped");
    if draft.now < end {
        draft.wake(Some(end));
        return;
    }
    if let Some(answer) = recovered(draft).filter(|_| judged_until(draft) >= Some(end)) {
        finish(draft, revert, Some(answer));
        return;
    }
    // Without data nobody can tell; a patch release must not wait for that for ever.
    let last = fleet::after(since, Span::seconds(span.as_seconds().saturating_mul(BLIND_VERIFICATIONS)));
    if draft.now < last {
        draft.wake(Some(last));
    } else {
        finish(draft, revert, None);
    }
}

/// Whether the SLOs are as before; `None` while there are too few data to say (R20).
fn recovered(draft: &Draft<'_>) -> Option<Attribution> {
    let spoke = draft.evidence.iter().flatten().any(|evidence| evidence.guard.is_some());
    match Verdict::combine(draft.evidence.iter().flatten().map(|evidence| evidence.verdict))? {
        Verdict::Healthy => Some(Attribution::Attributed),
        Verdict::Deviating => Some(Attribution::NotAttributed),
        Verdict::Inconclusive => spoke.then_some(Attribution::NotAttributed),
        Verdict::NoData | Verdict::Uncalibrated => None,
    }
}

/// Up to when every SLO is judged.
fn judged_until(draft: &Draft<'_>) -> Option<Timestamp> {
    let until = draft.judges.iter().map(breakwater_slo::State::until_seconds).min()??;
    // A step ends on its grid: the last one inside the span may end up to a step before the span does.
    let step = draft.observed.readings.iter().map(|reading| reading.step_seconds).max().unwrap_or(0);
    Some(judging::instant(until.saturating_add(step)))
}

fn finish(draft: &mut Draft<'_>, revert: &mut RevertStatus, attribution: Option<Attribution>) {
    revert.finished_at = Some(draft.now);
    revert.attribution = attribution;
    let whole = revert.failed == 0;
    let (phase, told, outcome) = match (revert.by_spec, whole) {
        (true, _) => (Phase::Completed, TransitionReason::Completed, None),
        (false, true) => (Phase::Reverted, TransitionReason::Reverted, Some(Outcome::Reverted)),
        (false, false) => {
            (Phase::RevertedPartly, TransitionReason::RevertedPartly, Some(Outcome::RevertedPartly))
        }
    };
    let answer = match attribution {
        Some(Attribution::Attributed) => "the SLOs recovered, so the release was the cause",
        Some(Attribution::NotAttributed) => "the SLOs did not recover, so look for another cause",
        None => "the SLOs were not asked",
    };
    let version = &revert.version;
    let back = format!(
        "version {version} is out of {} tenants, {} are not back; {answer}",
        revert.reverted, revert.failed
    );
    let helped = whole && attribution != Some(Attribution::NotAttributed);
    let severity = if helped { Severity::Normal } else { Severity::Warning };
    draft.tell_as(told, severity, back.clone());
    if let Some(outcome) = outcome {
        report::close(draft, version, outcome, revert, &back);
    }
    draft.status.candidate_version = None;
    draft.enter(phase);
    if revert.by_spec && !draft.status.rejected.contains(version) {
        draft.out.remove(version); // what Git took back, Git may ask for again: from here on nobody rejects it
        draft.muster();
    }
}

/// Writes back every marked tenant that is on a version that must go: newest wave first, without a barrier, in every
/// phase (R18). Sleepers are written without waiting for a place.
pub(crate) fn write_back(draft: &mut Draft<'_>) {
    let touched = draft.count(|s| {
        matches!(
            s,
            Standing::Outgoing
                | Standing::Returning { .. }
                | Standing::ReturnFailed
                | Standing::Returned { .. }
        )
    });
    if touched == 0 {
        return;
    }
    if let Some(why) = draft.stopped() {
        let outgoing = draft.count(|s| *s == Standing::Outgoing);
        if outgoing > 0 && !draft.holds.iter().any(|hold| hold.reason == HoldReason::Stopped) {
            draft.hold(HoldReason::Stopped, format!("{outgoing} tenants would go back: {why}"));
        }
        return;
    }
    let ready = ready_to_return(draft);
    let busy = draft.count(|s| matches!(s, Standing::Returning { .. }))
        + draft.observed.in_flight.len()
        + ready.errands.running;
    let places = draft.observed.spec.spec.revert.max_concurrent.of(touched).saturating_sub(busy);
    let order = way_back(draft, &ready.tenants, places);
    let forward = std::mem::take(&mut draft.writes);
    for i in order {
        let tenant = &draft.observed.tenants[i];
        let (Some(marker), Some((target, before))) = (fleet::own(tenant), ready.tenants.get(&i)) else {
            continue;
        };
        match before {
            Some(errand) => errand::make(draft, tenant, errand.clone()),
            None => {
                draft.write(tenant, target.clone(), target.clone(), &marker.wave.clone(), Purpose::Revert);
            }
        }
    }
    draft.writes.extend(forward);
    ready.errands.hold(draft);
}

/// Who may go back: where to, and the Job that is to be made first.
struct Ready {
    tenants: HashMap<usize, (Arc<str>, Option<Errand>)>,
    errands: Errands,
}

fn ready_to_return(draft: &Draft<'_>) -> Ready {
    let mut ready = Ready { tenants: HashMap::new(), errands: Errands::default() };
    let (mut asking, mut names) = (Asking::default(), BTreeSet::<Arc<str>>::new());
    for (i, (tenant, _)) in draft.fleet().enumerate().filter(|(_, (_, p))| p.standing == Standing::Outgoing) {
        let Some(marker) = fleet::own(tenant) else { continue };
        let Some(target) = choose::safe_version(draft, tenant.id, &marker.previous) else { continue };
        let target = names.get(target).cloned().unwrap_or_else(|| target.into());
        names.insert(target.clone());
        let before = asking.before_return(draft, tenant, &target);
        if ready.errands.note(tenant, &before) {
            let job = if let Before::Job(errand) = before { Some(errand) } else { None };
            ready.tenants.insert(i, (target, job));
        }
    }
    ready
}

/// Who goes back now: all sleepers, and as many others as there are places, newest wave first.
fn way_back<T>(draft: &Draft<'_>, ready: &HashMap<usize, T>, places: usize) -> Vec<usize> {
    let outgoing = |asleep: bool| {
        let outgoing = draft
            .fleet()
            .enumerate()
            .filter(move |(i, (tenant, _))| tenant.dormant == asleep && ready.contains_key(i));
        outgoing.map(|(i, (tenant, place))| (tenant.id, std::cmp::Reverse(place.wave), i))
    };
    let mut order = road::first(draft, usize::MAX, outgoing(true));
    order.extend(road::first(draft, places, outgoing(false)));
    order
}

/// A count for the API.
pub(crate) fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
