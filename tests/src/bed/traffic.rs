//! One tenant's requests, as counters that only grow until a restart. Pure: time and chance come in as arguments.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::time::Duration;

use fastrand::Rng;

/// Upper bounds of the latency buckets, in seconds; `+Inf` follows.
const BOUNDS: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// How a version (or one tenant) behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Mean number of requests per second; the actual number varies.
    pub requests_per_second: f64,
    /// Share of requests answered with 500.
    pub error_ratio: f64,
    /// Share of requests that take 1 s to 2.5 s; the others take less than 250 ms.
    pub slow_ratio: f64,
    /// Only these tenants (`namespace/name`); `None`: all that run the version.
    pub tenants: Option<BTreeSet<String>>,
    /// How long the tenant has run the version before this begins.
    pub after: Duration,
    /// Whether there are no metrics at all.
    pub silent: bool,
}

impl Default for Behaviour {
    /// 20 requests a second, one error in a thousand, one slow in a hundred.
    fn default() -> Self {
        Self {
            requests_per_second: 20.0,
            error_ratio: 0.001,
            slow_ratio: 0.01,
            tenants: None,
            after: Duration::ZERO,
            silent: false,
        }
    }
}

impl Behaviour {
    /// The default, but this share of requests fails.
    pub fn errors(ratio: f64) -> Self {
        Self { error_ratio: ratio, ..Self::default() }
    }

    /// The default, but this share of requests is slow.
    pub fn slow(ratio: f64) -> Self {
        Self { slow_ratio: ratio, ..Self::default() }
    }

    /// No metrics at all.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }

    /// The same, but only of these tenants.
    #[must_use]
    pub fn only(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tenants = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// The same, but only so long after a tenant came to the version.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }
}

/// The counters of one tenant since its last restart.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    good: u64,
    bad: u64,
    /// Not cumulative; the last one is `+Inf`'s.
    buckets: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Traffic {
    /// Lets `elapsed` pass, in an outage in which at least this share of requests fails.
    pub fn advance(&mut self, behaviour: &Behaviour, outage: f64, elapsed: Duration, chance: &mut Rng) {
        let error_ratio = behaviour.error_ratio.max(outage);
        for _ in 0..poisson(behaviour.requests_per_second * elapsed.as_secs_f64(), chance) {
            let counter = if chance.f64() < error_ratio { &mut self.bad } else { &mut self.good };
            *counter += 1;
            let slow = chance.f64() < behaviour.slow_ratio;
            let seconds = if slow { 1.01 + 1.4 * chance.f64() } else { 0.01 + 0.23 * chance.f64() };
            let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
            self.buckets[bucket] += 1;
            self.seconds += seconds;
        }
    }

    /// Appends the counters in Prometheus's text format.
    pub fn render(&self, id: &str, page: &mut String) -> fmt::Result {
        writeln!(page, "app_requests_total{{installation=\"{id}\",code=\"200\"}} {}", self.good)?;
        writeln!(page, "app_requests_total{{installation=\"{id}\",code=\"500\"}} {}", self.bad)?;
        let mut below = 0;
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".into()]);
        for (bound, count) in bounds.zip(self.buckets) {
            below += count;
            writeln!(page, "app_request_seconds_bucket{{installation=\"{id}\",le=\"{bound}\"}} {below}")?;
        }
        writeln!(page, "app_request_seconds_count{{installation=\"{id}\"}} {below}")?;
        writeln!(page, "app_request_seconds_sum{{installation=\"{id}\"}} {}", self.seconds)
    }
}

/// A number of events of this mean: Knuth's product method in slices of at most 30, for which `exp` is exact enough.
pub(super) fn poisson(mean: f64, chance: &mut Rng) -> u64 {
    let mut left = mean.max(0.0);
    let mut count = 0;
    while left > 0.0 {
        let slice = left.min(30.0);
        left -= slice;
        let limit = (-slice).exp();
        let mut product = chance.f64();
        while product > limit {
            count += 1;
            product *= chance.f64();
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_rate_and_ratios() {
        let mut traffic = Traffic::default();
        let mut chance = Rng::with_seed(7);
        let behaviour = Behaviour { error_ratio: 0.1, slow_ratio: 0.2, ..Behaviour::default() };
        for _ in 0..1000 {
            traffic.advance(&behaviour, 0.0, Duration::from_secs(1), &mut chance);
        }
        let (all, slow) = (traffic.good + traffic.bad, traffic.buckets[5]);
        assert!((19_000..21_000).contains(&all), "{all} requests");
        assert!((1_800..2_200).contains(&traffic.bad), "{} errors", traffic.bad);
        assert!((3_700..4_300).contains(&slow), "{slow} slow ones");
    }
}
