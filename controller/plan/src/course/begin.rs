//! From nothing, or from a stable version, to a version under way: adoption, gates, start, rejection (R19, R33). Pure.

use std::collections::BTreeMap;

use breakwater_crds::{
    report::Outcome,
    rollout::{Adopt, Unmatched},
    scalars::Span,
    status::{Adoption, Phase, TelemetryCount, VERSIONS_MAX, VersionCount},
    words::{HoldReason, Severity, TransitionReason},
};

use super::{
    Course,
    owners::{owners, owners_sentence},
};
use crate::{
    gate::{self, Gates, Passage},
    input::Input,
    observed::{Listing, Readiness, Tenant},
    roster::{Roster, Standing, after, hold_for_hub, own},
    said::Said,
    sight,
};

/// How soon another Rollout's soak is looked at again.
const SOAK_AGAIN: Span = Span::seconds(30);

/// The course of a Rollout that nothing is under way in, once its fleet was counted.
pub(crate) fn begin(
    input: &Input<'_>,
    course: Course,
    roster: &Roster<'_>,
    gates: &Gates<'_, '_>,
    other_hubs: &[String],
) -> (Course, Said) {
    let mut said = Said::default();
    if let Listing::Incomplete(why) = &input.fleet.listing {
        said.hold(HoldReason::FleetUnknown, why.clone());
        return (course, said);
    }
    if let Some(why) = hold_for_hub(input, roster, other_hubs) {
        said.hold(HoldReason::OtherHub, why);
        return (course, said);
    }
    let live = roster.count(Standing::is_live);
    if live == 0 {
        said.wait(nobody(roster));
        return (course.enter(Phase::Pending), said);
    }
    if course.stable.is_some() {
        return go_on(input, course, roster, gates);
    }
    let versions = versions(input, &course, roster);
    if asks(input, &course, roster) {
        return ask(input, course, roster, versions);
    }
    let (course, said) = learn(course, versions, live, roster);
    // Who had no safe version may have one now.
    let adopted = Roster::call(input, &course);
    let known = course.clone();
    let (course, more) = go_on(input, course, &adopted, &gates.under(&known));
    (course, said.and(more))
}

/// What becomes of the wanted version on a fleet whose stable version is known.
fn go_on(input: &Input<'_>, course: Course, roster: &Roster<'_>, gates: &Gates<'_, '_>) -> (Course, Said) {
    let wanted = course.wish.clone();
    let live = roster.count(Standing::is_live);
    if course.rejections.is_out(&wanted) {
        return reject(input, course, roster);
    }
    if is_there(input, &course, roster) {
        let mut said = Said::default();
        let message = format!("all {live} tenants are on {wanted} already");
        said.tell(TransitionReason::Completed, message);
        let course = Course {
            phase: Phase::Completed,
            stable: Some(wanted),
            candidate: None,
            adoption: None,
            completed_at: Some(input.now),
            ..course
        };
        return (course, said);
    }
    let mut said = before_start(input, &wanted, roster, gates);
    if !said.holds.is_empty() {
        return (course.enter(Phase::Pending), said);
    }
    let message = format!("version {wanted} is under way over {live} tenants");
    said.tell(TransitionReason::Started, message);
    (Course { adoption: None, ..course.start(input, &wanted) }, said)
}

/// Why there is nobody to update.
pub(crate) fn nobody(roster: &Roster<'_>) -> String {
    let n = |which: Standing| roster.count(|standing| *standing == which);
    format!(
        "no live tenant: {} match spec.tenants but are dormant, {} ahead, {} claimed, {} unreadable, {} without consent, {} in no wave",
        n(Standing::Dormant),
        n(Standing::Ahead),
        n(Standing::Claimed),
        n(Standing::Unreadable),
        n(Standing::Unconsented),
        n(Standing::Unmatched)
    )
}

/// True when every live tenant is on the wanted version: ready, or found there by the adoption.
fn is_there(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> bool {
    let found = course.stable.as_ref() == Some(&course.wish);
    let way = course.way(input);
    let there =
        |standing: &Standing| matches!(standing, Standing::Ready { .. }) || (found && standing.is_updated());
    let asked = roster.fleet().filter(|(tenant, place)| {
        place.standing.is_live() && !way.is_spared(tenant, &place.standing, course.wanted())
    });
    let mut asked = asked.map(|(_, place)| there(&place.standing)).peekable();
    asked.peek().is_some() && asked.all(|there| there)
}

/// The wanted version is rejected: nothing goes in, and what is left of a revert whose status was lost is carried
/// through (R18, R19).
fn reject(input: &Input<'_>, course: Course, roster: &Roster<'_>) -> (Course, Said) {
    let wanted = course.wish.clone();
    let message = format!("version {wanted} is rejected and is not rolled out");
    let mut said = Said::default();
    said.tell(TransitionReason::Rejected, &message);
    let on_it = |tenant: &Tenant| tenant.version.version().is_some_and(|version| **version == *wanted);
    let left = roster.fleet().any(|(tenant, place)| place.standing == Standing::Outgoing && on_it(tenant));
    let mut open =
        input.elsewhere.reports.iter().filter(|r| {
            r.spec.version == wanted && matches!(r.status.outcome, None | Some(Outcome::Reverting))
        });
    let open = open.find(|report| report.status.rejects());
    if !left && open.is_none() {
        return (Course { phase: Phase::Reverted, adoption: None, candidate: None, ..course }, said);
    }
    let course = if course.stable.as_ref() == Some(&wanted) {
        let stable = forget_stable(&course, roster, &wanted);
        Course { stable, ..course }
    } else {
        course
    };
    let course = Course {
        adoption: None,
        candidate: Some(wanted.clone()),
        report: open.map(|report| report.name.clone()),
        started_at: course.started_at.or(Some(input.now)),
        ..course
    };
    let why = open.map(|report| report.status.message.clone()).filter(|why| !why.is_empty());
    let why = why.unwrap_or_else(|| message.clone());
    said.tell(TransitionReason::Reverting, &why);
    said.wait(message);
    (course.take_out(&wanted, false, &why, input.now), said)
}

/// What must be true before the first tenant is touched: deviations answered, owners released, every tenant in a wave.
/// Without a hold the version may start, and the warnings are told.
fn before_start(input: &Input<'_>, wanted: &str, roster: &Roster<'_>, gates: &Gates<'_, '_>) -> Said {
    let (mut said, mut warned) = (Said::default(), Vec::new());
    for passage in gates.before_start(wanted) {
        match passage {
            Passage::Shut(reason, why) => {
                // What another Rollout soaks comes by itself.
                if reason == HoldReason::SoakGate {
                    said.wake(after(input.now, SOAK_AGAIN));
                }
                said.hold(reason, why);
            }
            Passage::Warned(reason, why) => warned.push((reason, why)),
            Passage::Open => {}
        }
    }
    if roster.count(|s| *s == Standing::NotReleased) > 0 {
        said.hold(HoldReason::OwnerNotReleased, owners_sentence(roster));
    }
    let unmatched = roster.count(|s| *s == Standing::Unmatched);
    if unmatched > 0 && input.spec().unmatched == Unmatched::Refuse {
        let message = format!("{unmatched} tenants are in no wave, and spec.unmatched is Refuse");
        said.hold(HoldReason::Unmatched, message);
    }
    if said.holds.is_empty() {
        for (reason, why) in warned {
            said.tell_as(reason, Severity::Warning, why);
        }
    }
    said
}

/// True where a human is to say that a fleet without history may be led.
fn asks(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> bool {
    let wanted = &course.wish;
    let known = roster.fleet().any(|(tenant, _)| own(tenant).is_some());
    let approved = course.adoption.as_ref().is_some_and(|adoption| adoption.approved.is_some());
    let asks = input.spec().adopt == Adopt::Approve && !course.rejections.is_out(wanted);
    asks && !known && !approved && !all_on(roster, wanted)
}

/// Tells what was found, and waits in `Adopting` for an approval (R33).
fn ask(
    input: &Input<'_>,
    course: Course,
    roster: &Roster<'_>,
    versions: Vec<VersionCount>,
) -> (Course, Said) {
    let Some(telemetry) = sight::of_fleet(input, roster) else {
        let mut said = Said::default();
        said.wait("the fleet is counted: versions, owners and telemetry");
        return (course, said);
    };
    let live = roster.count(Standing::is_live);
    let found: Vec<String> =
        versions.iter().take(4).map(|v| format!("{} on {}", v.tenants, v.version)).collect();
    let (first, found) = (&input.spec().waves[0].name, found.join(", "));
    let waiting = format!(
        "found {live} tenants: {found}; {}{}; approve wave {first} of {} to begin",
        measured(&telemetry),
        unready(roster),
        course.wish
    );
    let mut said = Said::default();
    if course.phase != Phase::Adopting {
        said.tell(TransitionReason::Adopting, &waiting);
    }
    said.wait(waiting);
    let adoption = Some(Adoption { versions, owners: owners(roster), telemetry, approved: None });
    (Course { phase: Phase::Adopting, adoption, ..course }, said)
}

/// How many tenants each SLO measures.
fn measured(telemetry: &[TelemetryCount]) -> String {
    let each: Vec<String> =
        telemetry.iter().map(|count| format!("{} measures {}", count.slo, count.measured)).collect();
    each.join(", ")
}

/// Learns the stable version of a fleet without history: the most common one (R33).
fn learn(course: Course, versions: Vec<VersionCount>, live: usize, roster: &Roster<'_>) -> (Course, Said) {
    let mut said = Said::default();
    let stable = versions.into_iter().next().map(|found| found.version);
    if let Some(stable) = &stable {
        let message = format!("{stable} is the stable version of {live} tenants{}", unready(roster));
        said.tell(TransitionReason::Adopted, message);
    }
    (Course { stable, ..course }, said)
}

/// Tenants that are not ready as they are found: they will not be judged by their readiness, and people want to know before.
fn unready(roster: &Roster<'_>) -> String {
    let reason = |tenant: &'_ Tenant| match &tenant.readiness {
        Readiness::NotReady { reason } => Some(reason.clone()),
        Readiness::Ready { .. } => None,
    };
    let live = roster.fleet().filter(|(_, place)| place.standing.is_live());
    let mut found = live.filter_map(|(tenant, _)| Some((tenant, reason(tenant)?)));
    let Some((tenant, reason)) = found.next() else { return String::new() };
    let (n, one) = (1 + found.count(), format!("{}/{}", tenant.namespace, tenant.name));
    format!("; {n} are not ready, such as {one} ({reason}), and will not be judged by readiness")
}

fn all_on(roster: &Roster<'_>, wanted: &str) -> bool {
    let mut live = roster.fleet().filter(|(_, place)| place.standing.is_live());
    live.all(|(tenant, _)| tenant.version.version().is_some_and(|version| **version == *wanted))
}

/// Verified versions and their tenants, most common first. A marked tenant on a version that is not verified counts
/// by the one it came from (R33).
fn versions(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> Vec<VersionCount> {
    let wanted = &course.wish;
    let whole = all_on(roster, wanted);
    let unfit =
        |version: &str| course.rejections.is_out(version) || gate::withdrawn(input, version).is_some();
    let mut tally: BTreeMap<&str, u32> = BTreeMap::new();
    for (tenant, place) in roster.fleet() {
        // What a rival wrote over ours was verified by nobody.
        let ours = !matches!(place.standing, Standing::Contested | Standing::Unsure);
        let live = place.standing.is_live() || matches!(place.standing, Standing::Ahead | Standing::Dormant);
        let Some(version) = tenant.version.version().filter(|_| ours && live) else { continue };
        let unverified = unfit(version) || (**version == **wanted && !whole);
        let version = match own(tenant) {
            Some(marker) if unverified => &*marker.previous,
            _ => &**version,
        };
        if !unfit(version) {
            *tally.entry(version).or_default() += 1;
        }
    }
    let count = |(version, tenants): (&str, u32)| VersionCount { version: version.into(), tenants };
    let mut versions: Vec<VersionCount> = tally.into_iter().map(count).collect();
    versions.sort_by(|a, b| (b.tenants, &b.version).cmp(&(a.tenants, &a.version)));
    versions.truncate(VERSIONS_MAX);
    versions
}

/// A completed version is taken out: the stable one is again what most of its tenants came from (R19).
pub(crate) fn forget_stable(course: &Course, roster: &Roster<'_>, version: &str) -> Option<String> {
    let mut tally = BTreeMap::<&str, u32>::new();
    for (tenant, _) in roster.fleet() {
        let marker = own(tenant).filter(|marker| {
            *marker.target == *version
                && *marker.previous != *version
                && !course.rejections.is_out(&marker.previous)
        });
        if let Some(marker) = marker {
            *tally.entry(&marker.previous).or_default() += 1;
        }
    }
    tally.into_iter().max_by_key(|(_, tenants)| *tenants).map(|(version, _)| version.to_owned())
}
