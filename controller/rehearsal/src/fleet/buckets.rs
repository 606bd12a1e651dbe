//! A tenant's latencies as buckets around an SLO's threshold: what is above an edge below it, and above one beyond it. Pure.

use super::chance::{mix, normal};
use super::traffic::Requests;

/// The edges beside the threshold, as multiples of it: the nearest two on each side.
pub const MULTIPLES: [f64; 4] = [0.25, 0.5, 2.0, 4.0];
/// Shares of the slow requests that are slower than twice and four times the threshold.
const FAR: [f64; 2] = [0.3, 0.1];
/// Between a quarter of the threshold and a half of it lie so many times as many as between the half and the threshold.
const NEARER: f64 = 1.5;

/// How many requests were slower than each of the edges; with a seed drawn, without it what is to be expected.
pub fn above(requests: Requests, seed: Option<u64>) -> [f64; 4] {
    let Requests { total, bad: _, slow, near } = requests;
    let draw = |place: u64, mean: f64, variance: f64| match seed {
        Some(seed) => (mean + variance.max(0.0).sqrt() * normal(mix(seed, &[place]))).round().max(0.0),
        None => mean,
    };
    // Counts around these means: Poisson ones below the threshold, a part of the slow ones above it.
    let half = (slow + draw(0, near, near)).min(total);
    let quarter = (half + draw(1, NEARER * near, NEARER * near)).min(total);
    let part = |place: u64, of: f64, share: f64| draw(place, of * share, of * share * (1.0 - share)).min(of);
    let twice = part(2, slow, FAR[0]);
    let four_times = part(3, twice, FAR[1] / FAR[0]);
    [quarter, half, twice, four_times]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_hold_less_and_less_and_on_average_what_is_to_be_expected() {
        let requests = Requests { total: 1_000.0, bad: 3.0, slow: 40.0, near: 80.0 };
        let expected = above(requests, None);
        let wanted = [240.0, 120.0, 12.0, 4.0];
        assert!(
            expected.iter().zip(wanted).all(|(one, other): (&f64, f64)| (one - other).abs() < 1e-9),
            "{expected:?}"
        );
        let mut sums = [0.0; 4];
        for seed in 0..2_000 {
            let drawn = above(requests, Some(mix(seed, &[])));
            assert!(drawn.is_sorted_by(|one, other| one >= other), "{drawn:?}");
            assert!(drawn[1] >= requests.slow && drawn[2] <= requests.slow && drawn[0] <= requests.total);
            assert!(drawn.iter().all(|count| count.fract() == 0.0));
            sums.iter_mut().zip(drawn).for_each(|(sum, count)| *sum += count / 2_000.0);
        }
        for (sum, expected) in sums.iter().zip(expected) {
            assert!((sum / expected - 1.0).abs() < 0.05, "{sums:?}");
        }
        let nothing = Requests { total: 2.0, bad: 0.0, slow: 0.0, near: 0.0 };
        assert!(above(nothing, Some(1)).iter().all(|count| *count <= 0.0));
    }
}
