//! The next forward writes: the waves up to the one in flight, in order, under its concurrency (R1, R2, R6). Pure.

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::status::Phase;

use super::{
    Ground,
    errand::{Asking, Before, Errands},
    first, road, write as write_one,
};
use crate::{
    course::Course,
    outcome::{JobWrite, Purpose, Write},
    roster::{Place, Standing},
    said::Said,
};

/// Plans them, with the Jobs that run first.
pub(super) fn write(ground: Ground<'_, '_>, course: &Course) -> (Vec<Write>, Vec<JobWrite>, Said) {
    let Ground { input, roster, held, .. } = ground;
    let (mut writes, mut jobs, mut said) = (Vec::new(), Vec::new(), Said::default());
    let Some(current) = course.writing_wave().filter(|_| held.is_empty()) else {
        return (writes, jobs, said);
    };
    let (closed, until) = road::closed(ground, course);
    said.wake(until);
    if let Some(reason) = closed {
        if course.phase == Phase::Advancing {
            said.wait(reason);
        }
        return (writes, jobs, said);
    }
    let busy = roster.count(|s| matches!(s, Standing::Updating { .. }));
    let is_of_it = |place: &&Place| place.wave == Some(current) && place.standing.is_live();
    let total = roster.places().iter().filter(is_of_it).count();
    let allowed = input.spec().waves[current].max_concurrent.of(total);
    let version: Arc<str> = course.wanted().into();
    let (errands, mut ready) = before_updates(ground, course, current, &version);
    let room = allowed.saturating_sub(busy + input.fleet.in_flight.len() + errands.running);
    let is_ready = |i: &usize| ready.as_ref().is_none_or(|ready| ready.contains_key(i));
    let pending = roster
        .fleet()
        .enumerate()
        .filter(|(i, (_, place))| waits(course, place, current) && is_ready(i))
        .map(|(i, (tenant, place))| (tenant.id, place.wave, i));
    let way = course.way(input);
    for i in first(input, room, pending) {
        let (tenant, place) = roster.at(i);
        let wave = place.wave.map_or("", |wave| &course.waves[wave].name);
        if let Some(Before::Job(errand)) = ready.as_mut().and_then(|ready| ready.remove(&i)) {
            jobs.push(JobWrite { tenant: tenant.clone(), errand });
        } else if let Some(previous) = way.previous(tenant) {
            let versions = (version.clone(), previous);
            writes.push(write_one(input, course, tenant, versions, wave, Purpose::Advance));
        }
    }
    (writes, jobs, said.and(errands.holds()))
}

fn waits(course: &Course, place: &Place, current: usize) -> bool {
    place.standing == Standing::Pending && course.is_reached(place.wave, current)
}

/// What stands before the updates of those who wait; nothing stands before any where there is no `beforeUpdateJob`.
fn before_updates(
    ground: Ground<'_, '_>,
    course: &Course,
    current: usize,
    version: &Arc<str>,
) -> (Errands, Option<HashMap<usize, Before>>) {
    let (mut errands, mut ready) = (Errands::default(), HashMap::new());
    if ground.input.spec().before_update_job.is_none() {
        return (errands, None);
    }
    let mut asking = Asking::new(ground, course);
    for (i, (tenant, place)) in ground.roster.fleet().enumerate() {
        if waits(course, place, current) {
            let before = asking.before_update(tenant, version, course.started_at);
            if errands.note(tenant, &before) {
                ready.insert(i, before);
            }
        }
    }
    (errands, Some(ready))
}
