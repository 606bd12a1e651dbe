//! The model: how many requests a tenant had in a step, how many of them bad or slow. Pure.

use std::{collections::BTreeMap, sync::Arc};

use breakwater_crds::{Percent, Span};

use super::{
    chance::{drift, mix, normal, uniform},
    draws::Known,
    fault::Fault,
    spec::FleetSpec,
};

/// Length of the blocks of slow noise, in seconds.
const BLOCK: i64 = 3 * 3_600;
/// The time of day and slow noise move on once in so many seconds: by two or three parts in a hundred at most.
pub const SLICE: i64 = 600;
/// Nearly slow requests per slow one.
const NEAR: f64 = 2.0;
/// Most runs that are remembered per tenant; older ones are beyond what any query asks for.
const RUNS_MAX: usize = 32;

/// What draws of one tenant and step are for.
#[derive(Debug, Clone, Copy)]
enum Stream {
    TrafficDrift = 4,
    QualityDrift,
    Crash,
    Affected,
}

/// A tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its ring, if it is in one.
    pub ring: Option<String>,
    /// Whether it sleeps.
    pub dormant: bool,
    /// Unix seconds from which it is gone.
    pub gone_at: Option<i64>,
    /// What it ran, oldest first.
    pub runs: Vec<Run>,
    key: u64,
    /// Requests per second on average.
    rate: f64,
    errors: f64,
    slow: f64,
    /// Seconds by which its day is later than UTC's.
    zone: i64,
}

/// A time on one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The version.
    pub version: Arc<str>,
    /// Unix seconds from which it serves.
    pub from: i64,
}

/// Requests of one tenant in one step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Requests {
    /// All.
    pub total: f64,
    /// Of these failed.
    pub bad: f64,
    /// Of these slower than the threshold.
    pub slow: f64,
    /// How many are to be expected between a half of the threshold and the threshold, see [`super::buckets`].
    pub near: f64,
}

/// What is to be expected of one tenant at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Requests per second.
    pub rate: f64,
    /// Share that fails.
    pub errors: f64,
    /// Share that is slow.
    pub slow: f64,
    /// Share that is nearly slow: between a half of the threshold and the threshold.
    pub near: f64,
}

/// What is to be expected of one tenant in one slice, whatever it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calm {
    expected: Expected,
    /// Whether its traffic is above its average.
    peak: bool,
}

/// An outage that all tenants share, whatever their version.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// Unix seconds.
    pub from: i64,
    /// Unix seconds.
    pub to: i64,
    /// Share of requests that fail meanwhile.
    pub errors: Percent,
}

/// All tenants, and what is wrong.
#[derive(Debug, Clone)]
pub struct Population {
    /// What they are like.
    pub spec: FleetSpec,
    /// The tenants, in order of their names.
    pub tenants: Vec<Tenant>,
    /// Faults by version.
    pub faults: BTreeMap<String, Fault>,
    /// Outages that all share.
    pub outages: Vec<Outage>,
    seed: u64,
    made: usize,
    namespace: String,
}

impl Population {
    /// Makes the tenants of a fleet, born at `now` (unix seconds).
    pub fn new(spec: FleetSpec, namespace: &str, seed: u64, now: i64) -> Self {
        let count = spec.tenants;
        let namespace = spec.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        let mut all = Self {
            spec,
            tenants: Vec::new(),
            faults: BTreeMap::new(),
            outages: Vec::new(),
            seed,
            made: 0,
            namespace,
        };
        for _ in 0..count {
            all.add(now);
        }
        all
    }

    /// Adds a tenant on the fleet's first version, and says which.
    pub fn add(&mut self, now: i64) -> usize {
        let spec = &self.spec;
        let number = self.made;
        self.made += 1;
        let key = mix(self.seed, &[number as u64]);
        // Sizes are dealt out at random over the names: the draw of a rank, by a permutation of the fleet.
        let rank = rank_of(number, spec.tenants.max(1), self.seed) as f64 + 1.0;
        let middle = (spec.tenants as f64 / 2.0).max(1.0);
        let rate = spec.traffic.median / 60.0 * (middle / rank).powf(spec.traffic.zipf);
        let differs = |n: u64| (spec.quality.spread * normal(mix(key, &[n]))).exp();
        let zone_hours = uniform(mix(key, &[3])) * f64::from(spec.traffic.zones);
        #[expect(clippy::cast_possible_truncation, reason = "at most a day")]
        let zone = (zone_hours * 3_600.0) as i64;
        let tenant = Tenant {
            name: format!("tenant-{number:05}"),
            namespace: self.namespace.clone(),
            ring: ring(spec, uniform(mix(key, &[4]))),
            dormant: uniform(mix(key, &[5])) < spec.dormant.as_ratio(),
            gone_at: None,
            runs: vec![Run { version: spec.version.as_str().into(), from: now - 30 * 86_400 }],
            key,
            rate,
            errors: (spec.quality.errors.as_ratio() * differs(1)).min(0.5),
            slow: (spec.quality.slow.as_ratio() * differs(2)).min(0.5),
            zone,
        };
        self.tenants.push(tenant);
        self.tenants.len() - 1
    }

    /// Index of a tenant.
    pub fn find(&self, namespace: &str, name: &str) -> Option<usize> {
        let fits = |tenant: &Tenant| tenant.name == name && tenant.namespace == namespace;
        let number: usize = name.strip_prefix("tenant-")?.parse().ok()?;
        // Tenants are never taken out of the list, so a number is a place.
        self.tenants.get(number).filter(|tenant| fits(tenant)).map(|_| number)
    }

    /// Notes that a tenant serves on another version from `now` on.
    pub fn runs(&mut self, tenant: usize, version: &str, now: i64) {
        let runs = &mut self.tenants[tenant].runs;
        if runs.last().is_some_and(|run| &*run.version == version) {
            return;
        }
        runs.push(Run { version: version.into(), from: now });
        if runs.len() > RUNS_MAX {
            runs.remove(0);
        }
    }

    /// Whether a tenant never gets ready on a version.
    pub fn crashes(&self, tenant: usize, version: &str) -> bool {
        let share =
            self.faults.get(version).and_then(|fault| fault.crash_loop).map_or(0.0, Percent::as_ratio);
        uniform(mix(self.tenants[tenant].key, &[Stream::Crash as u64])) < share
    }

    /// Whether a tenant is one of those that a fault concerns.
    pub fn affected(&self, tenant: &Tenant, fault: &Fault) -> bool {
        let share = fault.tenants.map_or(1.0, Percent::as_ratio);
        uniform(mix(tenant.key, &[Stream::Affected as u64])) < share
    }

    /// What is to be expected of a tenant at `at` (unix seconds); with `fault` false as if no version had any.
    pub fn expected(&self, tenant: &Tenant, at: i64, with_fault: bool) -> Expected {
        self.expected_in(tenant, self.calm(tenant, at.div_euclid(SLICE)), at, with_fault)
    }

    /// What is to be expected of a tenant in a slice, by the time of day and by slow noise.
    pub fn calm(&self, tenant: &Tenant, slice: i64) -> Calm {
        // The middle of the slice stands for it.
        let at = slice * SLICE + SLICE / 2;
        let shape = self.shape(tenant, at);
        let slowly = drift(mix(tenant.key, &[Stream::TrafficDrift as u64]), at, BLOCK);
        let worse = drift(mix(tenant.key, &[Stream::QualityDrift as u64]), at, BLOCK);
        let quality = (self.spec.quality.drift * worse).exp();
        let expected = Expected {
            rate: tenant.rate * shape * (1.0 + self.spec.traffic.noise * slowly).max(0.05),
            errors: tenant.errors * quality,
            slow: tenant.slow * quality,
            near: NEAR * tenant.slow * quality,
        };
        Calm { expected, peak: shape > 1.0 }
    }

    /// The same at an instant of the slice, with what the tenant runs and what befalls all.
    pub fn expected_in(&self, tenant: &Tenant, calm: Calm, at: i64, with_fault: bool) -> Expected {
        if tenant.dormant || tenant.gone_at.is_some_and(|gone| gone <= at) {
            return Expected { rate: 0.0, errors: 0.0, slow: 0.0, near: 0.0 };
        }
        let Calm { mut expected, peak } = calm;
        let Some((number, run)) = tenant.run_at(at) else { return expected };
        let since = at - run.from;
        // What it ran at the start it has run for long.
        if number > 0 && since < self.spec.update.blip.as_seconds() {
            expected.errors += self.spec.update.blip_errors.as_ratio();
            expected.slow += self.spec.update.blip_slow.as_ratio();
        }
        if with_fault
            && !self.faults.is_empty()
            && let Some(fault) = self.faults.get(&*run.version)
        {
            self.spoil(tenant, fault, since, peak, &mut expected);
        }
        for outage in self.outages.iter().filter(|outage| outage.from <= at && at < outage.to) {
            expected.errors += outage.errors.as_ratio();
        }
        expected.errors = expected.errors.min(1.0);
        expected.slow = expected.slow.min(1.0);
        expected.near = expected.near.min(1.0 - expected.slow);
        expected
    }

    fn spoil(&self, tenant: &Tenant, fault: &Fault, since: i64, peak: bool, expected: &mut Expected) {
        if !self.affected(tenant, fault) {
            return;
        }
        let shows = fault.shows(since, peak);
        let grown = |factor: f64| 1.0 + (factor - 1.0) * shows;
        expected.errors *= fault.errors_factor.map_or(1.0, grown);
        expected.slow *= fault.slow_factor.map_or(1.0, grown);
        expected.near *= fault.near_factor.map_or(1.0, grown);
        expected.rate *= fault.traffic_factor.map_or(1.0, grown);
        expected.errors += fault.errors.map_or(0.0, Percent::as_ratio) * shows;
        expected.slow += fault.slow.map_or(0.0, Percent::as_ratio) * shows;
    }

    /// The day and the week of a tenant: 1 on average.
    fn shape(&self, tenant: &Tenant, at: i64) -> f64 {
        let local = at + tenant.zone;
        let hour = local.rem_euclid(86_400) as f64 / 86_400.0;
        // The trough is at four in the morning.
        let day = 1.0 - self.spec.traffic.day * (std::f64::consts::TAU * (hour - 4.0 / 24.0)).cos();
        // Unix time began on a Thursday: days 2 and 3 are a weekend.
        let weekend = matches!(local.div_euclid(86_400).rem_euclid(7), 2 | 3);
        let week = self.spec.traffic.week;
        let of_week = if weekend { 1.0 - week } else { 1.0 };
        day * of_week / (1.0 - week * 2.0 / 7.0)
    }

    /// The requests of a tenant in the step that ends at `end`.
    pub fn requests(&self, tenant: &Tenant, end: i64, step_seconds: i64) -> Requests {
        Known::default().requests(self, tenant, end, step_seconds)
    }

    /// How long a tenant takes to be ready on another version.
    pub fn ready_after(&self, tenant: usize) -> Span {
        // Between two thirds and four thirds of what is typical.
        let share = 2.0 / 3.0 + uniform(mix(self.tenants[tenant].key, &[9])) * 2.0 / 3.0;
        #[expect(clippy::cast_possible_truncation, reason = "a span of hours at most")]
        let seconds = (self.spec.update.ready_after.as_seconds() as f64 * share) as i64;
        Span::seconds(seconds)
    }
}

impl Tenant {
    /// What it ran at `at`, and the how manyth of its runs that was.
    pub fn run_at(&self, at: i64) -> Option<(usize, &Run)> {
        self.runs.iter().enumerate().rev().find(|(_, run)| run.from <= at)
    }

    /// What is random about it.
    pub(super) const fn key(&self) -> u64 {
        self.key
    }
}

/// The ring into which a draw falls.
fn ring(spec: &FleetSpec, draw: f64) -> Option<String> {
    let mut upper = 0.0;
    for (name, share) in &spec.rings {
        upper += share.as_ratio();
        if draw < upper {
            return Some(name.clone());
        }
    }
    None
}

/// A permutation of `0..count`: the rank of a number, by an affine map whose factor has no divisor in common with it.
fn rank_of(number: usize, count: usize, seed: u64) -> usize {
    let gcd = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let count = count as u64;
    let start = mix(seed, &[11]) % count;
    let factor = (start..start + count).find(|factor| gcd(*factor, count) == 1).unwrap_or(1);
    let rank = (number as u64 % count * factor % count + mix(seed, &[12]) % count) % count;
    usize::try_from(rank).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: i64 = 7 * 86_400;
    const MONDAY: i64 = 1_767_571_200; // 2026-01-05

    fn population(tenants: usize) -> Population {
        Population::new(FleetSpec { tenants, ..FleetSpec::default() }, "tenants", 5, MONDAY)
    }

    #[test]
    fn a_week_has_the_traffic_and_the_errors_that_the_spec_says() {
        let mut all = population(101);
        all.spec.quality.drift = 0.0;
        let tenant = all.tenants.iter().min_by(|a, b| (a.rate - 2.0).abs().total_cmp(&(b.rate - 2.0).abs()));
        let tenant = tenant.expect("a tenant").clone();
        let steps = WEEK / 60;
        let sum = (1..=steps).map(|n| all.requests(&tenant, MONDAY + n * 60, 60)).fold(
            Requests::default(),
            |sum, one| Requests {
                total: sum.total + one.total,
                bad: sum.bad + one.bad,
                slow: sum.slow + one.slow,
                near: sum.near + one.near,
            },
        );
        let wanted = tenant.rate * 60.0;
        assert!(
            (sum.total / steps as f64 / wanted - 1.0).abs() < 0.1,
            "{} of {wanted}",
            sum.total / steps as f64
        );
        assert!((sum.bad / sum.total / tenant.errors - 1.0).abs() < 0.25, "{}", sum.bad / sum.total);
        assert!((sum.slow / sum.total / tenant.slow - 1.0).abs() < 0.1, "{}", sum.slow / sum.total);
    }

    #[test]
    fn sizes_follow_zipf_and_every_rank_is_taken_once() {
        let all = population(300);
        let mut rates: Vec<f64> = all.tenants.iter().map(|tenant| tenant.rate).collect();
        rates.sort_by(|a, b| b.total_cmp(a));
        rates.dedup();
        assert_eq!(rates.len(), 300);
        assert!((rates[0] / rates[9] - 10_f64.powf(0.8)).abs() < 1e-9);
        assert!((rates[149] * 60.0 - 120.0).abs() < 1e-9, "the one in the middle has the median's traffic");
    }

    #[test]
    fn a_fault_shows_where_when_and_as_far_as_it_is_told_to() {
        let mut all = population(50);
        all.faults.insert(
            "2".into(),
            Fault {
                errors: Some(Percent::of_ratio(0.5)),
                after: Some(Span::seconds(3_600)),
                grows_over: Some(Span::seconds(3_600)),
                tenants: Some(Percent::of_ratio(0.5)),
                ..Fault::default()
            },
        );
        for n in 0..50 {
            all.runs(n, "2", MONDAY);
        }
        let errors = |n: usize, seconds: i64| all.expected(&all.tenants[n], MONDAY + seconds, true).errors;
        let hit: Vec<usize> = (0..50).filter(|n| errors(*n, 9_000) > 0.4).collect();
        assert!((15..35).contains(&hit.len()), "{}", hit.len());
        let one = hit[0];
        assert!(errors(one, 3_500) < 0.1 && (0.2..0.4).contains(&errors(one, 5_400)));
    }

    #[test]
    fn what_is_asked_late_or_twice_is_answered_alike() {
        let (mut early, mut late) = (population(20), population(20));
        let before: Vec<Requests> =
            early.tenants.iter().map(|t| early.requests(t, MONDAY + 600, 60)).collect();
        for all in [&mut early, &mut late] {
            for n in 0..20 {
                all.runs(n, "2", MONDAY + 3_600);
            }
        }
        let after: Vec<Requests> = late.tenants.iter().map(|t| late.requests(t, MONDAY + 600, 60)).collect();
        assert_eq!(before, after);
    }
}
