//! The way back of a version: carried through, then verified (rules R18, R20). Pure.

use breakwater_crds::{
    report::{Attribution, Outcome},
    scalars::Span,
    status::{Phase, RevertStatus},
    words::{DeviationReason, Severity, TransitionReason},
};
use breakwater_slo::{State, Verdict};
use jiff::Timestamp;

use super::{Ground, Judges, Moves};
use crate::{
    course::Course,
    input::Input,
    judged::{Judged, instant},
    observed::{Listing, Tenant},
    reports::Entry,
    roster::{Roster, Standing, after},
    said::Said,
};

/// How many times `verifyFor` a verification without data may take before it ends without an answer.
const BLIND_VERIFICATIONS: i64 = 3;

/// Goes on with the revert under way: until all are back, then until the SLOs have told whether it helped.
pub(super) fn carry_through<'a>(ground: Ground<'_, 'a>, course: Course) -> Moves<'a> {
    let Some(revert) = course.revert.clone() else {
        // A forged status; the reports and markers know.
        let mut moves = Moves::none(course.enter(Phase::Pending));
        moves.said.wait("the status names no version to revert; asking the reports and the tenants");
        return moves;
    };
    let Ground { input, roster, .. } = ground;
    let stuck = stuck(ground, &course, &revert);
    let returned = clamp(roster.count(|s| matches!(s, Standing::Returned { .. })));
    let lost = roster.count(|s| matches!(s, Standing::ReturnFailed | Standing::Contested)) + stuck;
    let revert = RevertStatus {
        // Once all are back that stands, whoever is excluded, or gone, while the SLOs are watched.
        reverted: if revert.back_at.is_some() { revert.reverted.max(returned) } else { returned },
        failed: clamp(lost),
        ..revert
    };
    if course.phase != Phase::Reverting {
        return verify(ground, course, revert, Said::default());
    }
    let moving =
        |s: &Standing| matches!(s, Standing::Outgoing | Standing::Returning { .. } | Standing::Unsure);
    let on_the_way = roster.count(moving).saturating_sub(stuck);
    let (back, left) = (revert.reverted, revert.failed);
    let mut said = Said::default();
    if on_the_way > 0 || !input.fleet.in_flight.is_empty() || !input.is_complete() {
        said.wait(format!("{back} of {} tenants are back{}", back as usize + on_the_way, unfinished(input)));
        said.wake(input.deadline(revert.decided_at, input.spec().revert.tenant_deadline));
        return Moves { said, ..Moves::none(Course { revert: Some(revert), ..course }) };
    }
    let message = format!("{back} tenants are back, {left} are not");
    said.tell(TransitionReason::RevertedTenants, message);
    let revert = RevertStatus { back_at: Some(input.now), ..revert };
    verify(ground, course.enter(Phase::Verifying), revert, said)
}

/// Tenants that cannot go back: without a safe version, or refused by admission for longer than a tenant may take.
fn stuck(ground: Ground<'_, '_>, course: &Course, revert: &RevertStatus) -> usize {
    let input = ground.input;
    let late = input.deadline(revert.decided_at, input.spec().revert.tenant_deadline) <= input.now;
    let refused = |tenant: &Tenant| late && input.fleet.problems.contains_key(&tenant.id);
    let way = course.way(input);
    let outgoing = ground.roster.fleet().filter(|(_, place)| place.standing == Standing::Outgoing);
    outgoing.filter(|(tenant, _)| refused(tenant) || !way.has_safe(tenant)).count()
}

/// What a revert waits for beside the tenants that it counts.
fn unfinished(input: &Input<'_>) -> String {
    let writes = input.fleet.in_flight.len();
    match &input.fleet.listing {
        Listing::Incomplete(why) => format!("; the list of tenants is not whole: {why}"),
        Listing::Complete if writes > 0 => format!("; {writes} writes are under way"),
        Listing::Complete => String::new(),
    }
}

/// Watches the reverted tenants for `verifyFor` once they are warm (R20).
fn verify<'a>(ground: Ground<'_, 'a>, course: Course, revert: RevertStatus, mut said: Said) -> Moves<'a> {
    let (input, now) = (ground.input, ground.input.now);
    if revert.by_spec || revert.reverted == 0 {
        return finish(input, course, revert, None, said);
    }
    let span = input.spec().revert.verify_for;
    let Some(since) = revert.verifying_since else {
        return begin_verifying(ground, course, revert, said);
    };
    let end = after(since, span);
    if now >= end {
        let answer = recovered(ground.judged).filter(|_| judged_until(input, ground.judged) >= Some(end));
        // Without data nobody can tell; a patch release must not wait for that for ever.
        let last = after(since, patience(input));
        if answer.is_some() || now >= last {
            return finish(input, course, revert, answer, said);
        }
        said.wake(last);
    }
    said.wake(end);
    said.wait(format!("watching until {end} whether the revert helped"));
    Moves { said, ..Moves::none(Course { revert: Some(revert), ..course }) }
}

/// How long a verification waits for data, which some metrics have late.
fn patience(input: &Input<'_>) -> Span {
    let blind = input.spec().revert.verify_for.as_seconds().saturating_mul(BLIND_VERIFICATIONS);
    let delay = input.spec().slos.iter().map(|slo| slo.delay.as_seconds()).max().unwrap_or(0);
    Span::seconds(blind.saturating_add(delay))
}

/// Begins to watch once the last of the reverted tenants is warm.
fn begin_verifying<'a>(
    ground: Ground<'_, 'a>,
    course: Course,
    revert: RevertStatus,
    mut said: Said,
) -> Moves<'a> {
    let now = ground.input.now;
    let warm = ground.roster.places().iter().filter_map(|place| place.standing.returned_warm_at());
    if let Some(warm) = warm.max().filter(|warm| *warm > now) {
        said.wait(format!("the reverted tenants are warm at {warm}"));
        said.wake(warm);
        return Moves { said, ..Moves::none(Course { revert: Some(revert), ..course }) };
    }
    let span = ground.input.spec().revert.verify_for;
    let message = format!("the SLOs are watched for {span} to see whether the revert helped");
    said.tell(TransitionReason::Verifying, message.clone());
    said.wait(message);
    said.wake(after(now, span));
    let revert = RevertStatus { verifying_since: Some(now), ..revert };
    let course = Course { revert: Some(revert), ..course };
    Moves { judges: Judges::Restart, said, ..Moves::none(course) }
}

/// Whether the SLOs are as before; `None` while there are too few data to say (R20).
fn recovered(judged: &Judged) -> Option<Attribution> {
    let spoke = judged.evidence.iter().flatten().any(|evidence| evidence.guard.is_some());
    match Verdict::combine(judged.evidence.iter().flatten().map(|evidence| evidence.verdict))? {
        Verdict::Healthy => Some(Attribution::Attributed),
        Verdict::Deviating => Some(Attribution::NotAttributed),
        Verdict::Inconclusive => spoke.then_some(Attribution::NotAttributed),
        Verdict::NoData | Verdict::Uncalibrated => None,
    }
}

/// What spoke against the version: an attribution speaks of that only, whatever else is well (R20).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accuser {
    Slos,
    Readiness,
    /// Somebody who need not have said why.
    Somebody,
}

fn accuser(input: &Input<'_>, version: &str) -> Accuser {
    let reports = input.elsewhere.reports.iter().filter(|report| report.spec.version == version);
    let newest = reports.max_by_key(|report| report.status.decided_at);
    match newest.and_then(|report| report.status.reason.known()) {
        Some(DeviationReason::TooManyFailures) => Accuser::Readiness,
        Some(DeviationReason::Manual | DeviationReason::Rejected) => Accuser::Somebody,
        _ => Accuser::Slos,
    }
}

/// Whether the release was the cause, and in which words.
fn attribute(
    accuser: Accuser,
    revert: &RevertStatus,
    recovered: Option<Attribution>,
) -> (Option<Attribution>, &'static str) {
    use Attribution::{Attributed, NotAttributed};
    match (accuser, recovered) {
        _ if revert.by_spec || revert.reverted == 0 => (recovered, "the SLOs were not asked"),
        (_, Some(NotAttributed)) => (recovered, "the SLOs did not recover, so look for another cause"),
        (Accuser::Readiness, _) if revert.failed == 0 => {
            (Some(Attributed), "its tenants are ready again, so the release was the cause")
        }
        (Accuser::Readiness, _) => {
            (Some(NotAttributed), "tenants are not ready without it either, so look for another cause")
        }
        (Accuser::Somebody, Some(Attributed)) => {
            (None, "the SLOs are healthy, and did not ask for the revert")
        }
        (Accuser::Slos, Some(Attributed)) => (recovered, "the SLOs recovered, so the release was the cause"),
        (Accuser::Slos | Accuser::Somebody, None) => (None, "the SLOs were not asked"),
    }
}

/// Up to when every SLO is judged.
fn judged_until(input: &Input<'_>, judged: &Judged) -> Option<Timestamp> {
    let until = judged.judges.iter().map(State::until_seconds).min()??;
    // A step ends on its grid: the last one inside the span may end up to a step before the span does.
    let step = input.measured.readings.iter().map(|reading| reading.step_seconds).max().unwrap_or(0);
    Some(instant(until.saturating_add(step)))
}

/// Ends a revert, with what the SLOs said of it.
fn finish<'a>(
    input: &Input<'a>,
    course: Course,
    revert: RevertStatus,
    attribution: Option<Attribution>,
    mut said: Said,
) -> Moves<'a> {
    let (attribution, answer) = attribute(accuser(input, &revert.version), &revert, attribution);
    let revert = RevertStatus { finished_at: Some(input.now), attribution, ..revert };
    let whole = revert.failed == 0;
    let (phase, outcome, reason) = match (revert.by_spec, whole) {
        (true, _) => (Phase::Completed, None, TransitionReason::Completed),
        (false, true) => (Phase::Reverted, Some(Outcome::Reverted), TransitionReason::Reverted),
        (false, false) => {
            let outcome = Some(Outcome::RevertedPartly);
            (Phase::RevertedPartly, outcome, TransitionReason::RevertedPartly)
        }
    };
    let RevertStatus { version, reverted, failed, .. } = &revert;
    let back = format!("version {version} is out of {reverted} tenants, {failed} are not back; {answer}");
    let grave = !whole || attribution == Some(Attribution::NotAttributed);
    let severity = if grave { Severity::Warning } else { Severity::Normal };
    said.tell_as(reason, severity, back.clone());
    // What Git took back, Git may ask for again: from here on nobody rejects it.
    let listed = course.rejections.listed.contains(version);
    let frees = revert.by_spec && !listed;
    let rejections = course.rejections.clone();
    let rejections = if frees { rejections.without(version) } else { rejections };
    let entry = outcome.map(|outcome| Entry::Reverted { outcome, revert: revert.clone(), answer: back });
    let course = Course { phase, candidate: None, revert: Some(revert), rejections, ..course };
    let roster = frees.then(|| Roster::call(input, &course));
    Moves { roster, entry, said, ..Moves::none(course) }
}

/// A count for the API.
pub(crate) fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
