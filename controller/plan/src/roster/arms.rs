//! Which arm a tenant is in: of the judge during a step, and of alerts now (R10, R14, R15, analysis.md 2). Pure.

use breakwater_slo::Arm;
use jiff::Timestamp;

use super::{Place, Roster, Standing, after, own};
use crate::{
    alerts,
    course::Course,
    input::Input,
    observed::{Marker, Readiness, Tenant},
};

/// Where a tenant stood *during* a step, by the times on it; late steps are judged by what it was then.
pub(crate) fn arm(
    input: &Input<'_>,
    course: &Course,
    (tenant, place): (&Tenant, &Place),
    (start, end): (Timestamp, Timestamp),
) -> Option<Arm> {
    let written = own(tenant).map(|marker| marker.written_at);
    // A write in the future says nothing about the past: a clock was fast, or the marker is forged.
    let untouched_then = written.is_some_and(|at| at >= end && at <= input.now);
    let verifying = course.revert.as_ref().filter(|_| course.phase.is_reverting());
    if verifying.is_some() && place.standing.is_updated() && !untouched_then {
        return None; // it was not reverted: not ours
    }
    match &place.standing {
        Standing::Returned { warm_at } => {
            let since = verifying?.verifying_since?;
            (*warm_at <= start && since <= start).then_some(Arm::Candidate)
        }
        Standing::Ready { .. } | Standing::Updating { .. } | Standing::Failed | Standing::Unready
            if untouched_then =>
        {
            Some(Arm::Baseline)
        }
        Standing::Ready { warm_at } if *warm_at <= start => Some(Arm::Candidate),
        Standing::Ready { .. } | Standing::Updating { .. } => written.map(|_| Arm::Warming),
        // It had its time and users are still on it: what they feel is the release.
        Standing::Failed | Standing::Unready => Some(Arm::Candidate),
        Standing::Pending | Standing::NotReleased => {
            is_baseline(input, course, tenant, start).then_some(Arm::Baseline)
        }
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
fn is_baseline(input: &Input<'_>, course: &Course, tenant: &Tenant, start: Timestamp) -> bool {
    let stable = course.stable.as_deref();
    let unverified = |marker: &Marker| marker.target != marker.previous && stable != Some(&*marker.target);
    if own(tenant).is_some_and(unverified) {
        return false;
    }
    match &tenant.readiness {
        Readiness::Ready { since } => after(*since, input.spec().tenants.warm_up) <= start,
        Readiness::NotReady { .. } => false,
    }
}

/// The arm of each tenant for alerts, in the roster's order; none where no alert is asked about, or no version is under way.
pub(crate) fn alert_arms(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> Vec<alerts::Standing> {
    if input.spec().alerts.is_empty() || !course.phase.is_under_way() {
        return Vec::new();
    }
    roster.fleet().map(|(tenant, place)| alert_arm(input, course, tenant, place)).collect()
}

/// The arm of one tenant for alerts about the version under way: a candidate is one that we wrote it to.
fn alert_arm(input: &Input<'_>, course: &Course, tenant: &Tenant, place: &Place) -> alerts::Standing {
    let candidate = |warm_at| match own(tenant) {
        Some(marker) => alerts::Standing::Candidate { written_at: marker.written_at, warm_at },
        None => alerts::Standing::Neither,
    };
    match &place.standing {
        Standing::Ready { warm_at } => candidate(Some(*warm_at)),
        Standing::Updating { .. } | Standing::Failed | Standing::Unready => candidate(None),
        Standing::Pending | Standing::NotReleased if is_baseline(input, course, tenant, input.now) => {
            alerts::Standing::Baseline
        }
        Standing::Pending
        | Standing::NotReleased
        | Standing::Ignored
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
        | Standing::Returned { .. }
        | Standing::ReturnFailed => alerts::Standing::Neither,
    }
}
