//! From a difference and its noise to a verdict per metric. Pure.

use std::collections::BTreeMap;

use crate::{
    buckets::Place,
    noise::Estimate,
    outcome::{Change, Metric, Verdict},
    pairs::Pair,
    rules::{Limit, Rules},
    run::Kind,
    stats::{benjamini_hochberg, mean, student_quantile, student_tail},
    words::Said,
};

/// A p99 wants so many times the calls of an average: a hundredth of them makes it.
const P99_CALLS: f64 = 10.0;
/// Share of the calls (or more) whose vanishing warns.
const VANISHED_SHARE: f64 = 0.01;
/// Part of the weight that does not look at traffic.
const EVEN: f64 = 0.1;

/// How far the logarithm may move in the bad direction.
fn bound(kind: Kind, share: f64) -> f64 {
    if kind.less_is_worse() { -(1.0 - share).max(1e-9).ln() } else { share.ln_1p() }
}

/// The difference, positive where it is worse.
fn worsening(pair: &Pair) -> f64 {
    if pair.kind.less_is_worse() { -pair.difference() } else { pair.difference() }
}

/// Judges pairs that can be tested, with their estimates. The null of each test is that the true change is at most the
/// margin (TREAT: `McCarthy`, Smyth, Bioinformatics 25, 2009), so no number of calls makes a small change a finding.
pub(crate) fn tested(pairs: &[&Pair], estimates: &[Estimate], rules: &Rules) -> Vec<Metric> {
    let weights = weights(pairs);
    let tail = |sign: f64| -> Vec<f64> {
        let one = |(pair, estimate): (&&Pair, &Estimate)| {
            let margin = bound(pair.kind, rules.limit(pair.kind).margin.0);
            student_tail((sign * worsening(pair) - margin) / estimate.error, estimate.degrees)
        };
        benjamini_hochberg(&pairs.iter().zip(estimates).map(one).collect::<Vec<_>>(), &weights)
    };
    let (worse, better) = (tail(1.0), tail(-1.0));
    let judged = pairs.iter().zip(estimates).zip(worse.iter().zip(&better));
    judged.map(|((pair, estimate), rates)| one(pair, *estimate, rates, rules)).collect()
}

/// Discoveries are wanted where users feel them: averages of what they call first, and within a kind a tenth of the weight is
/// spread evenly, the rest by the root of a metric's share of the calls (evenly where calls are not known). Their mean is 1.
fn weights(pairs: &[&Pair]) -> Vec<f64> {
    let root = |pair: &Pair| pair.share.unwrap_or(0.0).sqrt();
    let mut kinds: BTreeMap<Kind, (f64, f64)> = BTreeMap::new();
    for pair in pairs {
        let (count, roots) = kinds.entry(pair.kind).or_default();
        (*count, *roots) = (*count + 1.0, *roots + root(pair));
    }
    let present: f64 = kinds.keys().copied().map(weight_of).sum();
    let one = |pair: &&Pair| {
        let (count, roots) = kinds.get(&pair.kind).copied().unwrap_or((1.0, 0.0));
        let within = if roots > 0.0 { EVEN + (1.0 - EVEN) * root(pair) * count / roots } else { 1.0 };
        weight_of(pair.kind) / present * pairs.len() as f64 / count * within
    };
    pairs.iter().map(one).collect()
}

/// A kind's part of the weight, relative to the other kinds'.
const fn weight_of(kind: Kind) -> f64 {
    match kind {
        Kind::ApiAverage => 4.0,
        Kind::StoreAverage => 3.0,
        Kind::ApiP99 => 2.0,
        Kind::StoreP99 => 1.0,
        // Of these there is one each.
        Kind::RequestRate
        | Kind::ErrorShare
        | Kind::Cpu
        | Kind::Memory
        | Kind::Goroutines
        | Kind::SupportedUsers => 2.5,
    }
}

/// The smallest ratio at which the average of a typical API handler would be found worse with probability one half, alone among
/// all metrics: of the handlers the median, by their calls where these are known. None without such metrics.
pub(crate) fn detectable(pairs: &[&Pair], estimates: &[Estimate], rules: &Rules) -> Option<f64> {
    let margin = bound(Kind::ApiAverage, rules.limit(Kind::ApiAverage).margin.0);
    let count = pairs.len() as f64;
    let mut ratios: Vec<(f64, f64)> = pairs
        .iter()
        .zip(estimates)
        .zip(weights(pairs))
        .filter(|((pair, _), _)| pair.kind == Kind::ApiAverage)
        .map(|((pair, estimate), weight)| {
            let level = rules.false_discoveries.0 * weight / count;
            let ratio = (margin + student_quantile(level, estimate.degrees) * estimate.error).exp();
            (ratio, pair.share.unwrap_or(1.0))
        })
        .collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = ratios.iter().map(|(_, share)| share).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let middle = ratios.iter().find(|(_, share)| {
        sum += share;
        sum >= half
    });
    middle.map(|(ratio, _)| *ratio).filter(|ratio| ratio.is_finite())
}

fn one(pair: &Pair, estimate: Estimate, (worse, better): (&f64, &f64), rules: &Rules) -> Metric {
    let limit = rules.limit(pair.kind);
    let change = if pair.kind == Kind::SupportedUsers {
        by_rule(pair, limit)
    } else if *worse <= rules.false_discoveries.0 {
        Change::Worse
    } else if *better <= rules.false_discoveries.0 {
        Change::Better
    } else {
        Change::Same
    };
    let (verdict, spared) =
        if change == Change::Worse { severity(pair, estimate, limit, rules) } else { (Verdict::Pass, None) };
    let rate = (pair.kind != Kind::SupportedUsers).then_some(*worse);
    let noise = (pair.kind != Kind::SupportedUsers).then_some(estimate.error);
    metric(pair, change, verdict, (noise, rate, spared), rules)
}

/// One figure a run and no noise of its own: the rule's margin is the noise.
fn by_rule(pair: &Pair, limit: Limit) -> Change {
    let margin = bound(pair.kind, limit.margin.0);
    match worsening(pair) {
        apart if apart > margin => Change::Worse,
        apart if apart < -margin => Change::Better,
        _ => Change::Same,
    }
}

/// What a certain worsening counts for, and why it does not fail.
fn severity(pair: &Pair, estimate: Estimate, limit: Limit, rules: &Rules) -> (Verdict, Option<&'static str>) {
    let rise = mean_seconds(&pair.candidate) - mean_seconds(&pair.base);
    if pair.kind.is_time() && !pair.is_whole() && rise < limit.least.0 {
        return (Verdict::Pass, Some("too little time to feel"));
    }
    if worsening(pair) < bound(pair.kind, limit.fail.0) {
        return (Verdict::Warn, Some("less than what fails"));
    }
    if pair.is_whole() {
        return (Verdict::Fail, None);
    }
    let traffic = &rules.traffic;
    let wanted = if pair.kind.is_p99() { traffic.least_calls * P99_CALLS } else { traffic.least_calls };
    match (pair.calls, pair.share) {
        (Some(calls), Some(share)) if share >= traffic.least_share.0 && calls >= wanted => {
            (Verdict::Fail, None)
        }
        (Some(_), _) => (Verdict::Warn, Some("too few calls to fail")),
        (None, _) if estimate.own_degrees < 2.0 => {
            (Verdict::Warn, Some("its traffic is not known, and one run a side cannot tell"))
        }
        (None, _) if estimate.own_deviation_most > rules.noise.quiet.0 => {
            (Verdict::Warn, Some("its traffic is not known, and its runs differ like those of a rare one"))
        }
        (None, _) => (Verdict::Fail, None),
    }
}

fn mean_seconds(logarithms: &[f64]) -> f64 {
    mean(logarithms).exp()
}

/// Judges a pair that cannot be tested. `runs`: of the base and of the candidate.
pub(crate) fn untested(pair: &Pair, runs: (usize, usize), rules: &Rules) -> Metric {
    let change = match (pair.base.is_empty(), pair.candidate.is_empty(), pair.places) {
        (true, true, _) => Change::NoData,
        (true, false, _) => Change::New,
        (false, true, _) => Change::Vanished,
        (false, false, (Place::First, _)) => Change::Unresolved,
        (false, false, (Place::Between | Place::Last, _)) => Change::Clamped,
    };
    // Something users call is gone, or was never called: people know which. Without counts, only what every one of several
    // runs had and none of several has.
    let matters = match pair.share {
        Some(share) => share >= VANISHED_SHARE,
        None => pair.is_whole() || (runs.0 >= 2 && runs.1 >= 2 && pair.base.len() == runs.0),
    };
    let verdict = if change == Change::Vanished && matters { Verdict::Warn } else { Verdict::Pass };
    metric(pair, change, verdict, (None, None, None), rules)
}

fn metric(
    pair: &Pair,
    change: Change,
    verdict: Verdict,
    (noise, rate, spared): (Option<f64>, Option<f64>, Option<&'static str>),
    rules: &Rules,
) -> Metric {
    let (base, candidate) = (pair.figure(&pair.base), pair.figure(&pair.candidate));
    let at_least = pair.places == (Place::Between, Place::Last) || pair.places == (Place::First, Place::Last);
    let said = Said {
        kind: pair.kind,
        name: &pair.name,
        change,
        base,
        candidate,
        at_least,
        noise,
        calls: pair.calls,
        share: pair.share,
        spared,
    };
    let both = (!pair.base.is_empty() && !pair.candidate.is_empty()).then(|| pair.difference().exp());
    Metric {
        kind: pair.kind,
        name: pair.name.clone(),
        verdict,
        change,
        base,
        candidate,
        ratio: both.filter(|ratio| ratio.is_finite()),
        at_least,
        noise: noise.filter(|noise| noise.is_finite()),
        false_discovery_rate: rate,
        calls: pair.calls,
        traffic_share: pair.share,
        spared: spared.map(str::to_owned),
        sentence: said.sentence(rules),
    }
}
