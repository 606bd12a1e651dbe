//! Chance without state: numbers from a seed and coordinates. Pure.
//!
//! The mixing function is `SplitMix64`'s finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
//! OOPSLA 2014).

use std::sync::LazyLock;

/// Mixes coordinates into a seed.
pub fn mix(seed: u64, coordinates: &[u64]) -> u64 {
    coordinates.iter().fold(seed, |state, one| finalise(state ^ one.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn finalise(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in the open interval from 0 to 1.
pub fn uniform(bits: u64) -> f64 {
    // 52 bits: with one more the largest would be rounded to 1.
    ((bits >> 12) as f64 + 0.5) / 4_503_599_627_370_496.0
}

/// Cells of the table of normal quantiles.
const CELLS: usize = 1_024;

/// Quantiles of the standard normal at multiples of a cell; the outermost are never read.
static QUANTILES: LazyLock<Box<[f64]>> =
    LazyLock::new(|| (0..=CELLS).map(|n| quantile(n as f64 / CELLS as f64)).collect());

/// Standard normal: its quantile at a uniform draw, from a straight line within each of a thousand cells, and by the
/// formula in the two outermost.
pub fn normal(bits: u64) -> f64 {
    let cell = (bits >> 54) as usize;
    if cell == 0 || cell == CELLS - 1 {
        return quantile(uniform(bits));
    }
    let share = (bits << 10 >> 11) as f64 / 9_007_199_254_740_992.0;
    let from = QUANTILES[cell];
    from + share * (QUANTILES[cell + 1] - from)
}

/// The standard normal's quantile by Acklam's rational approximation, right to nine digits; infinite at 0 and 1.
fn quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
        1.0,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let at = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = p.min(1.0 - p);
    if tail < 0.024_25 {
        let q = (-2.0 * tail.ln()).sqrt();
        return at(&C, q) / at(&D, q) * (0.5 - p).signum();
    }
    let q = p - 0.5;
    q * at(&A, q * q) / at(&B, q * q)
}

/// Below this mean a Poisson number is drawn exactly; from there on as a rounded normal one, whose third moment is off
/// by a fifth of a standard deviation at most, and less the larger the mean.
const EXACT_BELOW: f64 = 24.0;

/// Poisson numbers of one mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Poisson {
    mean: f64,
    /// The probability of none where draws are exact, the standard deviation where they are not.
    aid: f64,
}

impl Poisson {
    /// Of this mean; of no mean, always none.
    pub fn of(mean: f64) -> Self {
        if mean.is_nan() || mean <= 0.0 {
            return Self { mean: 0.0, aid: 1.0 };
        }
        Self { mean, aid: if mean < EXACT_BELOW { (-mean).exp() } else { mean.sqrt() } }
    }

    /// Draws one.
    pub fn draw(self, bits: u64) -> f64 {
        let Self { mean, aid } = self;
        if mean >= EXACT_BELOW {
            #[expect(clippy::cast_possible_truncation, reason = "means are requests of minutes")]
            return (mean + aid * normal(bits) + 0.5).max(0.0) as i64 as f64;
        }
        // By inversion: the smallest count whose cumulated probability exceeds the draw.
        let draw = uniform(bits);
        let (mut count, mut probability, mut cumulated) = (0.0, aid, aid);
        while draw > cumulated && count < 200.0 {
            count += 1.0;
            probability *= mean / count;
            cumulated += probability;
        }
        count
    }
}

/// Noise that moves slowly: standard normal at multiples of `block`, and a blend of its neighbours between them.
pub fn drift(seed: u64, at: i64, block: i64) -> f64 {
    let (left, share) = (at.div_euclid(block), at.rem_euclid(block) as f64 / block as f64);
    let value = |n: i64| normal(mix(seed, &[n.cast_unsigned()]));
    // Scaled so that the variance is the same everywhere, not half as large in the middle.
    let (a, b) = (1.0 - share, share);
    (a * value(left) + b * value(left + 1)) / (a * a + b * b).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(sample: impl Iterator<Item = f64>) -> (f64, f64) {
        let all: Vec<f64> = sample.collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64)
    }

    #[test]
    fn poisson_numbers_have_their_mean_as_variance() {
        for mean in [0.02, 0.5, 3.0, 20.0, 30.0, 400.0] {
            let poisson = Poisson::of(mean);
            let (found, variance) = moments((0..40_000_u64).map(|n| poisson.draw(mix(7, &[n]))));
            // Five standard errors of each, at least.
            let error = 5.0 * (mean / 40_000.0).sqrt();
            assert!((found - mean).abs() < error, "{mean}: {found}");
            assert!(
                (variance / mean - 1.0).abs() < 0.05 + 5.0 / (40_000.0 * mean).sqrt(),
                "{mean}: {variance}"
            );
        }
        for nothing in [0.0, f64::NAN, -1.0] {
            assert!(Poisson::of(nothing).draw(u64::MAX) < 0.5, "{nothing}");
        }
    }

    #[test]
    fn normal_numbers_are_normal_to_their_tails() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (1e-6, -4.753_424_309), (0.02, -2.053_748_911)] {
            assert!((quantile(p) - z).abs() < 1e-7, "{p}: {}", quantile(p));
        }
        for n in 1..1_000_u64 {
            // As close as a straight line within a cell is.
            let bits = u64::MAX / 1_000 * n;
            let exact = quantile(uniform(bits));
            assert!((normal(bits) - exact).abs() < 0.03, "{n}: {} {exact}", normal(bits));
        }
        let all: Vec<f64> = (0..200_000_u64).map(|n| normal(mix(1, &[n]))).collect();
        let (mean, variance) = moments(all.iter().copied());
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        let beyond = all.iter().filter(|z| z.abs() > 3.0).count() as f64 / 200_000.0;
        assert!((beyond / 0.0027 - 1.0).abs() < 0.2, "{beyond}");
        assert!((normal(0).abs() < 10.0) && normal(u64::MAX).abs() < 10.0);
    }

    #[test]
    fn drift_is_standard_normal_and_moves_slowly() {
        let (mean, variance) = moments((0..20_000_i64).map(|n| drift(3, n * 1_500, 3_600)));
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.1, "{mean} {variance}");
        let steps = moments((0..20_000_i64).map(|n| drift(3, n * 60 + 60, 3_600) - drift(3, n * 60, 3_600)));
        assert!(steps.1 < 0.01, "a minute moves it by {}", steps.1.sqrt());
    }
}
