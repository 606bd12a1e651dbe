//! One step's counts as the judge's samples: which arm each tenant was in, and what is usual by it (R14). Pure.

use breakwater_slo::{Config, Kind, Sample, Series, Tail};
use jiff::Timestamp;

use super::before::Before;
use crate::{
    course::Course,
    input::Input,
    observed::{Counted, SloReading, Slower},
    roster::{Roster, arm},
    study::Pool,
};

/// What samples are taken with.
#[derive(Clone, Copy)]
pub(super) struct Scene<'s, 'a> {
    pub(super) input: &'s Input<'a>,
    pub(super) course: &'s Course,
    pub(super) roster: &'s Roster<'a>,
    pub(super) reading: &'s SloReading,
    pub(super) config: &'s Config,
}

/// A third of the smallest limit that reverts, as a share of bad events: who burned so before is not judged (R14).
pub(crate) fn guard_limit(config: &Config) -> f64 {
    let factors = config.page.iter().map(|pair| pair.factor).chain([config.sharp.factor]);
    match config.kind {
        Kind::Ratio { objective } => factors.fold(f64::INFINITY, f64::min) * (1.0 - objective) / 3.0,
        Kind::Limit { .. } => f64::INFINITY,
    }
}

/// One sample per watched tenant, and the tails of a latency's shape.
pub(super) fn sample(scene: &Scene<'_, '_>, counted: &Counted, end_seconds: i64) -> (Vec<Sample>, Vec<Tail>) {
    let Scene { input, course, roster, reading, config } = *scene;
    let (step_seconds, limit) = (config.step_seconds, guard_limit(config));
    let (Ok(start), Ok(end)) =
        (Timestamp::from_second(end_seconds - step_seconds), Timestamp::from_second(end_seconds))
    else {
        return (Vec::new(), Vec::new());
    };
    let waves = &course.waves;
    let has_started = |wave: &usize| waves.get(*wave).is_some_and(|wave| wave.started_at.is_some());
    let (mut weeks, mut counts) = (Before::new(input, course, reading), counted.walk());
    // What is usual is of the days before the version: an outage that all shared since then is not.
    let first = (0..waves.len()).find(has_started);
    let mut firsts = Before::new(input, course, reading);
    let slower = if config.compare.shape { counted.slower() } else { &Slower::default() };
    let (mut samples, mut pool) = (Vec::with_capacity(roster.places().len()), Pool::new(slower));
    for (tenant, place) in roster.fleet() {
        let Some(arm) = arm(input, course, (tenant, place), (start, end)) else { continue };
        let before = weeks.of(place.wave.filter(has_started), tenant.id);
        let usual = firsts.of(first, tenant.id).or(before);
        let there = counts.find(tenant.id);
        let sample = Sample {
            tenant: tenant.id,
            arm,
            series: there.map_or(Series::Absent, |(_, series)| *series),
            instrumented: before.is_some(),
            burned_before: before
                .and_then(|before| before.counts.ratio())
                .is_some_and(|ratio| ratio >= limit),
            own: usual.and_then(|usual| usual.own()),
            usual: usual.and_then(|usual| usual.usual(step_seconds)),
        };
        if let (Some((place, _)), Some(usual)) = (there, usual) {
            pool.add(&sample, |edge| slower.above(place, edge), |edge| usual.own_above(edge));
        }
        samples.push(sample);
    }
    (samples, pool.tails())
}
