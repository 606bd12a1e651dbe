//! Which figures of both sides belong together, and what is known of the traffic behind them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    buckets::Place,
    graphs,
    rules::Rules,
    run::{Kind, Measured, Run},
    stats::mean,
};

/// Name of a family's figure over all handlers or methods, read off a graph.
pub(crate) const ALL: &str = "all together";
/// Least figure that has a logarithm here: a nanosecond.
const TINY: f64 = 1e-9;
/// Quantile 0.99 of the standard normal distribution.
const Z99: f64 = 2.326_348;
/// Standard deviation of ln p99 of `n` lognormal times, over sigma and times the root of n: `sqrt(p (1-p)) / phi(z)`
/// (asymptotic variance of a sample quantile: van der Vaart, Asymptotic Statistics, 21.2).
const P99_SPREAD: f64 = 3.733;

/// One metric of both sides.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub kind: Kind,
    pub name: String,
    /// Natural logarithms of the figures, a run each (of an error share: of it and 0.1 %).
    pub base: Vec<f64>,
    pub candidate: Vec<f64>,
    /// Variance of such a logarithm within a run, where it is known from parts, graphs or calls.
    pub within: Option<f64>,
    /// Calls a run.
    pub calls: Option<f64>,
    /// Share of the family's calls.
    pub share: Option<f64>,
    /// Where the sides stand among the buckets.
    pub places: (Place, Place),
}

impl Pair {
    /// Mean of the candidate less that of the base; positive where more was measured.
    pub fn difference(&self) -> f64 {
        mean(&self.candidate) - mean(&self.base)
    }

    /// Whether it is of the whole server.
    pub fn is_whole(&self) -> bool {
        self.name == ALL || !self.kind.is_time()
    }

    /// A side's figure in its unit.
    pub fn figure(&self, logarithms: &[f64]) -> Option<f64> {
        let figure = mean(logarithms).exp();
        let figure =
            if self.kind == Kind::ErrorShare { (figure - graphs::ERROR_OFFSET).max(0.0) } else { figure };
        (!logarithms.is_empty() && figure.is_finite()).then_some(figure)
    }

    /// Whether there is something to test.
    pub fn is_testable(&self) -> bool {
        let resolved = !matches!(self.places, (Place::Last, Place::Last) | (Place::First, Place::First));
        !self.base.is_empty() && !self.candidate.is_empty() && resolved
    }
}

/// All times by handler and method.
pub(crate) fn times(base: &[&Run], candidate: &[&Run], rules: &Rules) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (average, p99) in [(Kind::ApiAverage, Kind::ApiP99), (Kind::StoreAverage, Kind::StoreP99)] {
        let calls = calls(base, candidate, average, p99, rules);
        let total: f64 = calls.values().sum();
        for kind in [average, p99] {
            for name in names(base, candidate, kind, rules) {
                let known = calls.get(name).copied();
                let mut pair = Pair {
                    kind,
                    name: name.to_owned(),
                    base: logarithms(base, kind, name, rules),
                    candidate: logarithms(candidate, kind, name, rules),
                    within: None,
                    calls: known,
                    share: known.filter(|_| total > 0.0).map(|calls| calls / total),
                    places: (place(base, kind, name, rules), place(candidate, kind, name, rules)),
                };
                pair.within = within(base, candidate, &pair, (average, p99));
                pairs.push(pair);
            }
        }
    }
    pairs
}

fn measured<'a>(runs: &'a [&'a Run], kind: Kind, name: &'a str) -> impl Iterator<Item = &'a Measured> {
    runs.iter().filter_map(move |run| run.times.get(&kind)?.get(name))
}

fn names<'a>(base: &[&'a Run], candidate: &[&'a Run], kind: Kind, rules: &Rules) -> BTreeSet<&'a str> {
    let both = base.iter().chain(candidate).filter_map(|run| run.times.get(&kind));
    both.flat_map(|times| times.keys()).map(String::as_str).filter(|name| !rules.ignores(name)).collect()
}

/// A p99 beyond the last edge stands at that edge; an average that is not finite was not measured.
fn logarithms(runs: &[&Run], kind: Kind, name: &str, rules: &Rules) -> Vec<f64> {
    let usable = |value: f64| match value {
        value if kind.is_p99() && value > rules.buckets.last_seconds() => Some(rules.buckets.last_seconds()),
        value if value.is_finite() && value >= 0.0 => Some(value.max(TINY)),
        _ => None,
    };
    measured(runs, kind, name).filter_map(|measured| usable(measured.value)).map(f64::ln).collect()
}

/// A side stands at the last edge if one of its runs does, in the first bucket if all do.
fn place(runs: &[&Run], kind: Kind, name: &str, rules: &Rules) -> Place {
    if !kind.is_p99() {
        return Place::Between;
    }
    let places: Vec<Place> = measured(runs, kind, name)
        .filter(|measured| !measured.value.is_nan())
        .map(|measured| rules.buckets.place(measured.value))
        .collect();
    match () {
        () if places.contains(&Place::Last) => Place::Last,
        () if !places.is_empty() && places.iter().all(|place| *place == Place::First) => Place::First,
        () => Place::Between,
    }
}

/// Calls a run by name: of the reports, else of the rules.
fn calls(
    base: &[&Run],
    candidate: &[&Run],
    average: Kind,
    p99: Kind,
    rules: &Rules,
) -> BTreeMap<String, f64> {
    let mut known = BTreeMap::new();
    let all = names(base, candidate, average, rules).into_iter().chain(names(base, candidate, p99, rules));
    for name in all.collect::<BTreeSet<_>>() {
        let counted: Vec<f64> = measured(base, average, name)
            .chain(measured(candidate, average, name))
            .filter_map(|measured| measured.calls)
            .filter(|calls| calls.is_finite() && *calls >= 0.0)
            .collect();
        let calls = if counted.is_empty() { rules.calls(average, name) } else { Some(mean(&counted)) };
        if let Some(calls) = calls {
            known.insert(name.to_owned(), calls);
        }
    }
    known
}

/// Variance of a logarithm within a run: from the run's parts, else as of so many lognormal times.
fn within(base: &[&Run], candidate: &[&Run], pair: &Pair, (average, p99): (Kind, Kind)) -> Option<f64> {
    let both = || measured(base, pair.kind, &pair.name).chain(measured(candidate, pair.kind, &pair.name));
    let parts: Vec<f64> = both()
        .filter_map(|measured| measured.noise)
        .filter(|noise| noise.is_finite())
        .map(|noise| noise * noise)
        .collect();
    if !parts.is_empty() {
        return Some(mean(&parts));
    }
    let calls = pair.calls?.max(1.0);
    let typical = |kind| {
        let values: Vec<f64> = measured(base, kind, &pair.name)
            .map(|measured| measured.value)
            .filter(|value| value.is_finite() && *value > 0.0)
            .collect();
        (!values.is_empty()).then(|| mean(&values))
    };
    let sigma = sigma(typical(average), typical(p99));
    let variance = if pair.kind.is_p99() { (P99_SPREAD * sigma).powi(2) } else { (sigma * sigma).exp_m1() };
    Some(variance / calls)
}

/// Of a lognormal distribution: `ln(p99 / mean) = z sigma - sigma^2 / 2`; what cannot be solved is held in bounds.
fn sigma(average: Option<f64>, p99: Option<f64>) -> f64 {
    let (Some(average), Some(p99)) = (average, p99) else { return 1.0 };
    let apart = (p99 / average).ln().max(0.0);
    let root = 2.0f64.mul_add(-apart, Z99 * Z99).max(0.0).sqrt();
    (Z99 - root).clamp(0.3, Z99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_times_follows_from_average_and_p99() {
        let (sigma_in, mean) = (0.8_f64, 0.05_f64);
        let p99 = mean * (Z99 * sigma_in - sigma_in * sigma_in / 2.0).exp();
        assert!((sigma(Some(mean), Some(p99)) - sigma_in).abs() < 1e-6);
        assert!((sigma(None, Some(p99)) - 1.0).abs() < 1e-12);
        assert!((sigma(Some(1.0), Some(1e9)) - Z99).abs() < 1e-12);
    }
}
