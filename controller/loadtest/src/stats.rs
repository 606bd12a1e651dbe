//! The statistics: Student's tail, pooled variances, false discoveries. Pure.

use statrs::function::{beta::checked_beta_reg, gamma::digamma};

/// The normal distribution's tail is close enough from here on.
const DEGREES_MAX: f64 = 1e6;

/// Mean; NaN of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sum of squares about the mean.
pub(crate) fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The middle value; NaN of nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The standard deviation of a normal sample, by the median absolute deviation: half of the values may be anything.
pub(crate) fn robust_deviation(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    let middle = median(&mut sorted);
    let mut apart: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    1.482_602 * median(&mut apart)
}

/// P(T > t) of Student's t with so many degrees of freedom.
pub(crate) fn student_tail(t: f64, degrees: f64) -> f64 {
    if t.is_nan() {
        return 1.0;
    }
    let degrees = degrees.clamp(1.0, DEGREES_MAX);
    let x = degrees / t.mul_add(t, degrees);
    // Arguments are in range, so the fraction converges; were it not, no evidence.
    let two_sided = checked_beta_reg(degrees / 2.0, 0.5, x.clamp(0.0, 1.0)).unwrap_or(1.0);
    if t >= 0.0 { two_sided / 2.0 } else { 1.0 - two_sided / 2.0 }
}

/// The t that [`student_tail`] takes to `tail`, between 0 and 10,000.
pub(crate) fn student_quantile(tail: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e4);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if student_tail(middle, degrees) > tail { low = middle } else { high = middle }
    }
    low
}

/// Adjusted p-values after Benjamini and Hochberg (JRSS B 57, 1995), in the order given: rejecting all at or below `q`
/// keeps the expected share of false ones among them at or below `q`, if the tests are independent or positively
/// dependent (Benjamini, Yekutieli, Annals of Statistics 29, 2001): one-sided tests of metrics that share a machine are.
/// Weights whose mean is 1, chosen without a look at the p-values, say where discoveries are wanted: each p-value is divided by
/// its own (Genovese, Roeder, Wasserman, Biometrika 93, 2006).
pub(crate) fn benjamini_hochberg(p: &[f64], weights: &[f64]) -> Vec<f64> {
    let p: Vec<f64> = p.iter().zip(weights).map(|(p, weight)| p / weight).collect();
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    let (count, mut least) = (p.len() as f64, 1.0_f64);
    let mut adjusted = vec![1.0; p.len()];
    for (fewer, at) in order.into_iter().enumerate() {
        least = least.min(p[at] * count / (count - fewer as f64));
        adjusted[at] = least;
    }
    adjusted
}

/// Second derivative of the logarithm of the gamma function (Abramowitz, Stegun 6.4.6 and 6.4.12).
fn trigamma(x: f64) -> f64 {
    let (mut x, mut sum) = (x, 0.0);
    while x < 8.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    sum + 1.0 / x + y / 2.0 + y / x * (1.0 / 6.0 - y * (1.0 / 30.0 - y / 42.0))
}

/// Where [`trigamma`], which falls, has this value, between 0.001 and 10,000.
fn trigamma_inverse(value: f64) -> f64 {
    let (mut low, mut high) = (1e-3_f64.ln(), 1e4_f64.ln());
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if trigamma(middle.exp()) > value { low = middle } else { high = middle }
    }
    low.exp()
}

/// What many sample variances say of where variances lie: scaled inverse chi-square, fitted by the moments of their
/// logarithms (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004, section 6.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prior {
    /// Its weight, in degrees of freedom.
    pub degrees: f64,
    /// Its variance.
    pub variance: f64,
}

/// Fewest variances from which a prior is learnt.
const LEARNT_FROM: usize = 10;

impl Prior {
    /// Nothing learnt: as good as four degrees of freedom at the expected variance.
    pub const UNKNOWN: Self = Self { degrees: 4.0, variance: 1.0 };

    /// Learns from sample variances and their degrees of freedom.
    pub fn learn(variances: &[(f64, f64)]) -> Self {
        let logs: Vec<(f64, f64)> = variances
            .iter()
            .copied()
            .filter(|(variance, degrees)| *variance > 0.0 && *degrees > 0.0)
            .collect();
        if logs.len() < LEARNT_FROM {
            return Self::UNKNOWN;
        }
        let centred: Vec<f64> = logs
            .iter()
            .map(|(variance, degrees)| variance.ln() - digamma(degrees / 2.0) + (degrees / 2.0).ln())
            .collect();
        let expected = mean(&logs.iter().map(|(_, degrees)| trigamma(degrees / 2.0)).collect::<Vec<_>>());
        let spread = squares(&centred) / (centred.len() as f64 - 1.0) - expected;
        let degrees = if spread > 1e-3 { 2.0 * trigamma_inverse(spread) } else { 1e3 };
        let variance = (mean(&centred) + digamma(degrees / 2.0) - (degrees / 2.0).ln()).exp();
        Self { degrees, variance }
    }

    /// The variance of one, given its own: `(variance, degrees of freedom)`.
    pub fn moderate(self, variance: f64, degrees: f64) -> (f64, f64) {
        let all = self.degrees + degrees;
        ((self.degrees * self.variance + degrees * variance) / all, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6 * b.abs().max(1e-3)
    }

    #[test]
    fn the_tail_is_the_tables() {
        for (t, degrees, p) in [
            (2.228_139, 10.0, 0.025),
            (31.820_516, 1.0, 0.01),
            (1.644_854, 1e9, 0.050_000_1),
            (-2.228_139, 10.0, 0.975),
        ] {
            assert!(close(student_tail(t, degrees), p), "{t} {degrees}: {}", student_tail(t, degrees));
        }
        assert!(close(student_tail(f64::NAN, 3.0), 1.0));
        assert!(close(student_quantile(0.025, 10.0), 2.228_139));
        assert!(student_tail(f64::INFINITY, 3.0) < 1e-12);
    }

    #[test]
    fn false_discoveries_are_adjusted_as_in_the_paper() {
        let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.5], &[1.0; 4]);
        let wanted = [0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5];
        assert!(adjusted.iter().zip(wanted).all(|(a, b)| close(*a, b)), "{adjusted:?}");
        assert!(benjamini_hochberg(&[], &[]).is_empty());
        assert!(close(benjamini_hochberg(&[0.01, 0.01], &[1.9, 0.1])[0], 0.02 / 1.9));
    }

    #[test]
    fn trigamma_is_known_at_one_and_inverts() {
        assert!(close(trigamma(1.0), std::f64::consts::PI.powi(2) / 6.0));
        assert!(close(trigamma_inverse(trigamma(2.5)), 2.5));
    }

    #[test]
    fn equal_variances_are_pooled_and_unequal_ones_keep_their_own() {
        let equal = Prior::learn(&[(1.0, 4.0); 40]);
        assert!(equal.degrees > 100.0, "{equal:?}");
        let unequal: Vec<(f64, f64)> = (0..40).map(|n| (10_f64.powi(n % 8 - 4), 4.0)).collect();
        assert!(Prior::learn(&unequal).degrees < 1.0);
        assert_eq!(Prior::learn(&[(1.0, 4.0)]), Prior::UNKNOWN);
    }

    #[test]
    fn half_of_the_values_may_be_anything() {
        assert!(close(robust_deviation(&[-1.0, 0.0, 1.0, 1e9, 0.5]), 0.741_301));
        assert!(robust_deviation(&[]).is_nan());
    }
}
