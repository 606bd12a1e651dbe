//! The writes back: every marked tenant that is on a version that must go, in every phase (R17, R18). Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use breakwater_crds::words::HoldReason;

use super::{
    Ground, Returns,
    errand::{Asking, Before, Errands},
    first, write,
};
use crate::{
    course::Course,
    observed::{Errand, Tenant},
    outcome::{JobWrite, Purpose},
    roster::{Standing, own},
};

/// Plans them: newest wave first, without a barrier. Sleepers are written without waiting for a place.
pub(super) fn write_back(ground: Ground<'_, '_>, course: &Course) -> Returns {
    let Ground { input, roster, .. } = ground;
    let mut returns = Returns::default();
    let touched = roster.count(|s| {
        matches!(
            s,
            Standing::Outgoing
                | Standing::Returning { .. }
                | Standing::ReturnFailed
                | Standing::Returned { .. }
        )
    });
    if touched == 0 {
        return returns;
    }
    if let Some(why) = ground.honoured.stopped(input) {
        let outgoing = roster.count(|s| *s == Standing::Outgoing);
        if outgoing > 0 && !ground.held.iter().any(|hold| hold.reason == HoldReason::Stopped) {
            let message = format!("{outgoing} tenants would go back: {why}");
            returns.said.hold(HoldReason::Stopped, message);
        }
        return returns;
    }
    let ready = ready_to_return(ground, course);
    let busy = roster.count(|s| matches!(s, Standing::Returning { .. }))
        + input.fleet.in_flight.len()
        + ready.errands.running;
    let places = input.spec().revert.max_concurrent.of(touched).saturating_sub(busy);
    for i in way_back(ground, &ready.tenants, places) {
        let (tenant, _) = roster.at(i);
        let (Some(marker), Some((target, before))) = (own(tenant), ready.tenants.get(&i)) else {
            continue;
        };
        if let Some(errand) = before {
            returns.jobs.push(JobWrite { tenant: tenant.clone(), errand: errand.clone() });
        } else {
            let versions = (target.clone(), target.clone());
            let back = write(input, course, tenant, versions, &marker.wave, Purpose::Revert);
            returns.writes.push(back);
        }
    }
    returns.said = ready.errands.holds();
    returns
}

/// Who may go back: where to, and the Job that is to be made first.
struct Ready {
    tenants: HashMap<usize, (Arc<str>, Option<Errand>)>,
    errands: Errands,
}

fn ready_to_return(ground: Ground<'_, '_>, course: &Course) -> Ready {
    let mut ready = Ready { tenants: HashMap::new(), errands: Errands::default() };
    let (mut asking, mut names) = (Asking::new(ground, course), BTreeSet::<Arc<str>>::new());
    let way = course.way(ground.input);
    let outgoing = ground.roster.fleet().enumerate();
    for (i, (tenant, _)) in outgoing.filter(|(_, (_, place))| place.standing == Standing::Outgoing) {
        let Some(marker) = own(tenant) else { continue };
        let Some(target) = way.safe(tenant.id, &marker.previous) else { continue };
        let target = names.get(target).cloned().unwrap_or_else(|| target.into());
        names.insert(target.clone());
        let before = asking.before_return(tenant, &target);
        if ready.errands.note(tenant, &before) {
            let job = if let Before::Job(errand) = before { Some(errand) } else { None };
            ready.tenants.insert(i, (target, job));
        }
    }
    ready
}

fn never_ready(tenant: &Tenant) -> bool {
    own(tenant).is_some_and(|marker| !marker.ready_before)
}

/// Who goes back now: all sleepers, and as many others as there are places, newest wave first. Within a wave those who never were
/// ready go last: nobody sees them come back, so that each takes its place for the whole deadline.
fn way_back<T>(ground: Ground<'_, '_>, ready: &HashMap<usize, T>, places: usize) -> Vec<usize> {
    let Ground { input, roster, .. } = ground;
    let outgoing = |asleep: bool| {
        let fleet = roster.fleet().enumerate();
        let outgoing =
            fleet.filter(move |(i, (tenant, _))| tenant.dormant == asleep && ready.contains_key(i));
        outgoing.map(|(i, (tenant, place))| (tenant.id, (Reverse(place.wave), never_ready(tenant)), i))
    };
    let mut order = first(input, usize::MAX, outgoing(true));
    order.extend(first(input, places, outgoing(false)));
    order
}
