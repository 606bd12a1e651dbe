//! Chance without state: numbers from a seed and coordinates. Pure.
//!
//! The mixing function is `SplitMix64`'s finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
//! OOPSLA 2014).

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
    ((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
}

/// Standard normal, by Box and Muller.
pub fn normal(bits: u64) -> f64 {
    let (a, b) = (uniform(bits), uniform(finalise(bits)));
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// Below this mean a Poisson number is drawn exactly; from there on as a rounded normal one, whose third moment is off
/// by a fifth of a standard deviation at most, and less the larger the mean.
const EXACT_BELOW: f64 = 24.0;

/// A Poisson number.
pub fn poisson(mean: f64, bits: u64) -> f64 {
    if mean.is_nan() || mean <= 0.0 {
        return 0.0;
    }
    if mean >= EXACT_BELOW {
        return (mean + mean.sqrt() * normal(bits)).round().max(0.0);
    }
    // By inversion: the smallest count whose cumulated probability exceeds the draw.
    let draw = uniform(bits);
    let (mut count, mut probability) = (0.0, (-mean).exp());
    let mut cumulated = probability;
    while draw > cumulated && count < 200.0 {
        count += 1.0;
        probability *= mean / count;
        cumulated += probability;
    }
    count
}

/// Noise that moves slowly: standard normal at multiples of `block`, and a blend of its neighbours between them.
pub fn drift(seed: u64, at: i64, block: i64) -> f64 {
    let (left, share) = (at.div_euclid(block), at.rem_euclid(block) as f64 / block as f64);
    let value = |n: i64| normal(mix(seed, &[n.cast_unsigned()]));
    // Scaled so that the variance is the same everywhere, not half as large in the middle.
    let (a, b) = (1.0 - share, share);
    (a * value(left) + b * value(left + 1)) / a.hypot(b)
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
            let (found, variance) = moments((0..40_000_u64).map(|n| poisson(mean, mix(7, &[n]))));
            // Five standard errors of each, at least.
            let error = 5.0 * (mean / 40_000.0).sqrt();
            assert!((found - mean).abs() < error, "{mean}: {found}");
            assert!(
                (variance / mean - 1.0).abs() < 0.05 + 5.0 / (40_000.0 * mean).sqrt(),
                "{mean}: {variance}"
            );
        }
        assert_eq!((poisson(0.0, 1), poisson(f64::NAN, 1), poisson(-1.0, 1)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn drift_is_standard_normal_and_moves_slowly() {
        let (mean, variance) = moments((0..20_000_i64).map(|n| drift(3, n * 1_500, 3_600)));
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.1, "{mean} {variance}");
        let steps = moments((0..20_000_i64).map(|n| drift(3, n * 60 + 60, 3_600) - drift(3, n * 60, 3_600)));
        assert!(steps.1 < 0.01, "a minute moves it by {}", steps.1.sqrt());
    }
}
