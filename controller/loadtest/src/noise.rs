//! How much a metric differs between runs of one and the same version. Pure.
//!
//! A run's logarithm has the variance `v = r^2 + w`: `r` between runs (the rules'), `w` within one (its parts, its graph, its calls).
//! With several runs a side the sample variance `s^2` of a metric has few degrees of freedom, so it borrows from all others of
//! its kind: the ratios `s^2 / v` have a prior fitted to all of them, and each is drawn to it by that prior's weight (moderated
//! t-test: Smyth 2004). With one run a side it is `v` itself. Whatever says less than the scatter between the two sides that all metrics
//! of the kind show, by the median absolute deviation, is widened to that scatter (an empirical null: Efron, JASA 99, 2004): machines
//! differ between two days, and most metrics of a release did not change.

use crate::{
    pairs::Pair,
    rules::{Noise, Rules},
    run::Kind,
    stats::{Prior, robust_deviation, squares},
};

/// Degrees of freedom where the variance is a rule's, and calls or parts are known.
const KNOWN_DEGREES: f64 = 30.0;
/// Where nothing is known of a metric's own noise: heavy tails, for rare ones are among them.
const UNKNOWN_DEGREES: f64 = 3.0;
/// Fewest metrics that show a scatter.
const SCATTER_FROM: usize = 10;

/// How sure a pair's difference is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// Standard deviation of the difference of the means.
    pub error: f64,
    /// Its degrees of freedom.
    pub degrees: f64,
    /// Degrees of freedom that the metric's own runs give.
    pub own_degrees: f64,
    /// What one run's deviation may be by the metric's own runs alone, with confidence 95 %; infinite where they do not tell.
    pub own_deviation_most: f64,
}

/// Per kind, how much more the sides scatter than their runs explain; 1 where they do not.
pub(crate) type Widened = Vec<(Kind, f64)>;

/// Estimates for pairs, in their order. `whole`: they are figures of the server, too few to learn from each other, and are widened
/// by what the handlers were: machines that scatter those are not steadier as a whole.
pub(crate) fn estimates(pairs: &[&Pair], rules: &Rules, whole: Option<f64>) -> (Vec<Estimate>, Widened) {
    let mut all =
        vec![
            Estimate { error: 1.0, degrees: 1.0, own_degrees: 0.0, own_deviation_most: f64::INFINITY };
            pairs.len()
        ];
    let mut widened: Vec<(Kind, Option<f64>)> = Vec::new();
    for kind in Kind::ALL {
        let of_kind: Vec<usize> = (0..pairs.len()).filter(|at| pairs[*at].kind == kind).collect();
        let variances: Vec<(f64, f64)> = of_kind
            .iter()
            .map(|at| own(pairs[*at]))
            .map(|(squares, degrees)| (squares / degrees, degrees))
            .collect();
        let expected: Vec<f64> = of_kind.iter().map(|at| expected(pairs[*at], rules.noise)).collect();
        let ratios: Vec<(f64, f64)> = variances
            .iter()
            .zip(&expected)
            .map(|((variance, degrees), expected)| (variance / expected, *degrees))
            .collect();
        let prior = if whole.is_some() { Prior::UNKNOWN } else { Prior::learn(&ratios) };
        for (index, at) in of_kind.iter().enumerate() {
            all[*at] = estimate(pairs[*at], expected[index], ratios[index], prior, rules.noise);
        }
        widened.push((kind, whole.or_else(|| scatter(&of_kind, pairs, &all))));
    }
    // A kind of too few metrics is taken to be as unsteady as the worst that shows it.
    let worst = widened.iter().filter_map(|(_, factor)| *factor).fold(1.0, f64::max);
    let widened: Widened =
        widened.into_iter().map(|(kind, factor)| (kind, factor.unwrap_or(worst))).collect();
    for (at, pair) in pairs.iter().enumerate() {
        let factor = widened.iter().find(|(kind, _)| *kind == pair.kind).map_or(1.0, |(_, factor)| *factor);
        all[at].error *= factor;
    }
    (all, widened)
}

/// Sum of squares within the sides, and its degrees of freedom.
fn own(pair: &Pair) -> (f64, f64) {
    let sides = [&pair.base, &pair.candidate];
    let degrees: usize = sides.iter().map(|side| side.len().saturating_sub(1)).sum();
    (sides.iter().map(|side| squares(side)).sum(), degrees as f64)
}

fn expected(pair: &Pair, noise: Noise) -> f64 {
    let between = if pair.is_whole() { noise.server } else { noise.one_run };
    between.0.powi(2) + pair.within.unwrap_or(0.0)
}

fn estimate(
    pair: &Pair,
    expected: f64,
    (ratio_own, own_degrees): (f64, f64),
    prior: Prior,
    noise: Noise,
) -> Estimate {
    let (variance, degrees) = if own_degrees >= 1.0 {
        let (ratio, degrees) = prior.moderate(ratio_own, own_degrees);
        (expected * ratio, degrees)
    } else {
        (expected, if pair.within.is_some() { KNOWN_DEGREES } else { UNKNOWN_DEGREES })
    };
    let runs = 1.0 / pair.base.len() as f64 + 1.0 / pair.candidate.len() as f64;
    let error = (variance * runs).max(2.0 * noise.least.0.powi(2)).sqrt();
    let own_deviation_most = if own_degrees >= 1.0 {
        (ratio_own * expected * own_degrees / chi_square_low(own_degrees)).sqrt()
    } else {
        f64::INFINITY
    };
    Estimate { error, degrees, own_degrees, own_deviation_most }
}

/// The 5 % quantile of chi-square, a little low for few degrees (Wilson, Hilferty, PNAS 17, 1931).
fn chi_square_low(degrees: f64) -> f64 {
    let spread = 2.0 / (9.0 * degrees);
    degrees * (1.0 - spread - 1.644_854 * spread.sqrt()).max(0.05).powi(3)
}

/// Robust deviation of the standardised differences over what Student's t has (its third quartile is some `1 + 0.4 / degrees`
/// times the normal one's).
fn scatter(of_kind: &[usize], pairs: &[&Pair], estimates: &[Estimate]) -> Option<f64> {
    if of_kind.len() < SCATTER_FROM {
        return None;
    }
    let standardised: Vec<f64> = of_kind
        .iter()
        .map(|at| {
            pairs[*at].difference() / estimates[*at].error / (1.0 + 0.4 / estimates[*at].degrees.max(1.0))
        })
        .collect();
    let factor = robust_deviation(&standardised);
    factor.is_finite().then(|| factor.max(1.0))
}
