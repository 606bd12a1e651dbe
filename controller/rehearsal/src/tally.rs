//! Sums many rehearsals up. Pure.

use crate::outcome::{
    Distribution, FaultOutcome, Interval, Outcome, Quantiles, VersionOutcome, VersionResult,
};

/// One in twenty intervals misses the truth.
const ALPHA: f64 = 0.05;

/// Of runs with seeds from `first_seed` on.
pub(crate) fn of(scenario: &str, first_seed: u64, outcomes: &[Outcome]) -> Distribution {
    let all = || outcomes.iter().flat_map(|outcome| &outcome.versions);
    let began = |version: &&VersionOutcome| version.started_at.is_some();
    let healthy = || all().filter(began).filter(|version| version.fault.is_none());
    let reverted = |version: &&VersionOutcome| {
        matches!(version.result, VersionResult::Reverted | VersionResult::RevertedPartly)
    };
    let (healthy_rollouts, false_reverts) = (healthy().count(), healthy().filter(reverted).count());
    let mut names: Vec<(String, String)> = Vec::new();
    for version in all() {
        if let Some(fault) = &version.fault
            && names.iter().all(|(name, _)| *name != version.version)
        {
            names.push((version.version.clone(), fault.clone()));
        }
    }
    let faults = names.into_iter().map(|(name, fault)| {
        let of_it: Vec<&VersionOutcome> =
            all().filter(began).filter(|version| version.version == name).collect();
        fault_outcome(name, fault, &of_it)
    });
    let days = all().filter_map(|version| Some(version.seconds_to_completion? as f64 / 86_400.0));
    Distribution {
        scenario: scenario.to_owned(),
        first_seed,
        runs: outcomes.len(),
        healthy_rollouts,
        false_reverts,
        false_revert_share: share(false_reverts, healthy_rollouts),
        faults: faults.collect(),
        days_to_completion: Quantiles::of(days.collect()),
    }
}

fn fault_outcome(version: String, fault: String, all: &[&VersionOutcome]) -> FaultOutcome {
    let caught: Vec<&&VersionOutcome> = all.iter().filter(|v| v.detected_at.is_some()).collect();
    let quantiles = |value: &dyn Fn(&VersionOutcome) -> f64| {
        Quantiles::of(all.iter().map(|version| value(version)).collect())
    };
    FaultOutcome {
        version,
        fault,
        started: all.len(),
        caught: caught.len(),
        seconds_to_detection: Quantiles::of(
            caught.iter().filter_map(|v| Some(v.seconds_to_detection? as f64)).collect(),
        ),
        tenants_touched: quantiles(&|v| v.tenants_touched as f64),
        tenant_minutes_of_harm: quantiles(&|v| v.tenant_minutes_of_harm),
        excess_bad_events: quantiles(&|v| v.excess_bad_events),
    }
}

/// A share with its exact (Clopper-Pearson) interval.
fn share(hits: usize, of: usize) -> Interval {
    if of == 0 {
        return Interval { estimate: 0.0, lower: 0.0, upper: 1.0 };
    }
    // The ends are where as many hits, or as few, would be seen with probability ALPHA / 2.
    let at_least = |p: f64| 1.0 - below(hits, of, p);
    let at_most = |p: f64| below(hits + 1, of, p);
    let lower = if hits == 0 { 0.0 } else { bisect(|p| at_least(p) > ALPHA / 2.0) };
    let upper = if hits == of { 1.0 } else { bisect(|p| at_most(p) < ALPHA / 2.0) };
    Interval { estimate: hits as f64 / of as f64, lower, upper }
}

/// Where a monotone condition begins to hold between 0 and 1.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// Probability of fewer than `hits` of `of` with chance `p` each.
fn below(hits: usize, of: usize, p: f64) -> f64 {
    let mut log_choose = 0.0_f64;
    let mut sum = 0.0;
    for k in 0..hits.min(of + 1) {
        if k > 0 {
            log_choose += ((of - k + 1) as f64).ln() - (k as f64).ln();
        }
        sum += (log_choose + k as f64 * p.ln() + (of - k) as f64 * (-p).ln_1p()).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_intervals_of_the_tables() {
        // Clopper and Pearson 1934; figures from R's binom.test.
        for (hits, of, lower, upper) in [
            (0, 200, 0.0, 0.01828),
            (1, 20, 0.001_265, 0.2487),
            (10, 20, 0.2720, 0.7280),
            (20, 20, 0.8316, 1.0),
        ] {
            let found = share(hits, of);
            assert!((found.lower - lower).abs() < 5e-5, "{hits}/{of}: {}", found.lower);
            assert!((found.upper - upper).abs() < 5e-5, "{hits}/{of}: {}", found.upper);
        }
    }
}
