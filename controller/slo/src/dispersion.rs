//! From the days before a wave: each tenant's own ratio, and how bursty the counts are (analysis.md 2). Pure.

use crate::compare::increment::PHI_MIN;
use crate::compare::ordered::{pooled, weighed};
use crate::reading::{Counts, Sample, Side};

/// Events of history that the fleet's ratio weighs in a tenant's own, `k*q`.
const PRIOR_BAD: f64 = 50.0;
/// Bad events that a fleet without any is taken to have had: none seen is not none possible.
const FLOOR_BAD: f64 = 0.5;
/// Lengths of the blocks, in seconds: 1 (or one step, where that is shorter), 10, 60, 240 minutes.
const BLOCKS_SECONDS: [i64; 4] = [60, 600, 3_600, 14_400];
/// Blocks that a length needs before it is believed.
const BLOCKS_MIN: u32 = 12;
/// Variance, in events, that a block needs: it goes on until it has it, since the square of one rare event's residual
/// says nothing.
const BLOCK_EVENTS_MIN: f64 = 1.0;
/// Safety on the estimate.
const SAFETY: f64 = 1.25;

/// Own ratios of tenants, from their counts of 7 days or more before the wave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Own {
    /// The fleet's ratio, `q`.
    pub fleet: f64,
}

/// The shrinkage of own ratios: `q_i = (e_i + k*q)/(n_i + k)`, `k = 50/q`, `q = sum e/sum n`.
///
/// With `q` so small that nothing was ever bad, `k` has no value; then half a bad event is taken to have happened
/// (`q = 0.5/sum n`), so every tenant has nearly the same tiny ratio. That is sound: the test only asks for exposures
/// up to a common factor, and the factor stays comparable with tenants that are frozen in a later wave. `None` without
/// any request. Counts that cannot be counted are left out.
pub fn own_ratios(counts: impl IntoIterator<Item = Counts>) -> Option<Own> {
    let (mut bad, mut total) = (0.0, 0.0);
    for counts in counts {
        if let Ok(counts) = Counts::checked(counts.bad, counts.total) {
            bad += counts.bad;
            total += counts.total;
        }
    }
    let fleet = f64::max(bad, FLOOR_BAD) / total;
    (fleet.is_finite() && fleet > 0.0).then_some(Own { fleet: fleet.min(1.0) })
}

impl Own {
    /// `q_i` of a tenant; `None` for counts that cannot be counted or without any request: it had no history.
    pub fn ratio(self, counts: Counts) -> Option<f64> {
        let Counts { bad, total } = Counts::checked(counts.bad, counts.total).ok()?;
        let weight = PRIOR_BAD / self.fleet;
        (total > 0.0).then(|| (bad + PRIOR_BAD) / (total + weight)).filter(|ratio| *ratio > 0.0)
    }
}

/// Both arms of one step, pooled, in standardised exposures.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Exposed {
    /// The candidates.
    pub candidate: Side,
    /// The baseline.
    pub baseline: Side,
}

/// What a step's samples come to, exactly as the comparison sees them.
pub fn exposed(samples: &[Sample]) -> Exposed {
    let (candidate, baseline) = pooled(samples.iter(), weighed);
    Exposed { candidate, baseline }
}

/// Dispersion of two arms that ought to be alike, from A/A steps.
///
/// # Formula
/// Given `m = e_c + e_b` events, the candidate's are binomial with `pi = n_c/(n_c + n_b)`: a step has the residual
/// `e_c - m*pi` and the variance `m*pi*(1 - pi)`; both are summed over a block; the block's standardised residual
/// squared is `(sum residuals)^2 / sum variances`, 1 on average for counting noise. `phi` is 1.25 times the greatest of
/// its means over blocks of 1, 10, 60 and 240 minutes, at least [`PHI_MIN`]: what is correlated in time shows in the long
/// ones. The baseline's level may move as it likes (day cycles cancel); arms that drift apart raise `phi`.
///
/// # Assumptions
/// The past is as bursty as the days to come. Where it is not, nothing here saves the test: that is what
/// [`crate::replay`] is for. A block goes on until its variance is one event.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dispersion {
    lengths: [Length; BLOCKS_SECONDS.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Length {
    began_seconds: Option<i64>,
    residual: f64,
    variance: f64,
    blocks: u32,
    squares: f64,
}

impl Dispersion {
    /// Takes a step that ends at `end_seconds`. Steps come in order; what cannot be counted is left out.
    pub fn add(&mut self, end_seconds: i64, step_seconds: i64, step: Exposed) {
        let Exposed { candidate, baseline } = step;
        let exposure = candidate.exposure + baseline.exposure;
        let events = candidate.bad + baseline.bad;
        let share = candidate.exposure / exposure;
        let (residual, variance) = (candidate.bad - events * share, events * share * (1.0 - share));
        let usable = candidate.exposure > 0.0 && baseline.exposure > 0.0 && variance >= 0.0;
        if !usable || !residual.is_finite() || !variance.is_finite() {
            return;
        }
        for (length, block_seconds) in self.lengths.iter_mut().zip(BLOCKS_SECONDS) {
            let block_seconds = if block_seconds == BLOCKS_SECONDS[0] {
                block_seconds.min(step_seconds)
            } else {
                block_seconds
            };
            length.add(end_seconds, step_seconds, block_seconds, residual, variance);
        }
    }

    /// Adds what another saw: other days, other splits, other tenants.
    pub fn merge(&mut self, other: &Self) {
        for (length, other) in self.lengths.iter_mut().zip(&other.lengths) {
            length.blocks = length.blocks.saturating_add(other.blocks);
            length.squares += other.squares;
        }
    }

    /// `phi`; `None` before one length has twelve blocks.
    pub fn phi(&self) -> Option<f64> {
        let means = self.lengths.iter().filter(|length| length.blocks >= BLOCKS_MIN);
        let most = means.map(|length| length.squares / f64::from(length.blocks)).reduce(f64::max)?;
        Some((SAFETY * most).max(PHI_MIN))
    }
}

impl Length {
    fn add(&mut self, end_seconds: i64, step_seconds: i64, block_seconds: i64, residual: f64, variance: f64) {
        let start_seconds = end_seconds.saturating_sub(step_seconds);
        let began = *self.began_seconds.get_or_insert(start_seconds);
        self.residual += residual;
        self.variance += variance;
        let is_long = end_seconds.saturating_sub(began) >= block_seconds;
        if is_long && self.variance >= BLOCK_EVENTS_MIN {
            self.squares += self.residual * self.residual / self.variance;
            self.blocks = self.blocks.saturating_add(1);
            (self.began_seconds, self.residual, self.variance) = (None, 0.0, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_much_history_keeps_its_ratio_and_one_with_little_has_the_fleets() {
        let own = own_ratios([Counts { bad: 900.0, total: 1e5 }, Counts { bad: 100.0, total: 9e5 }]).unwrap();
        assert!((own.fleet - 1e-3).abs() < 1e-15);
        let ratio = |bad, total| own.ratio(Counts { bad, total });
        assert!(ratio(9e4, 1e7).is_some_and(|q| (q - 90_050.0 / 10_050_000.0).abs() < 1e-12));
        assert!(ratio(3.0, 10.0).is_some_and(|q| (q - 53.0 / 50_010.0).abs() < 1e-12));
        assert_eq!((ratio(0.0, 0.0), ratio(f64::NAN, 1.0), ratio(2.0, 1.0)), (None, None, None));
    }

    #[test]
    fn a_fleet_without_a_bad_event_has_tiny_ratios_and_not_none() {
        let quiet = Counts { bad: 0.0, total: 1e6 };
        let own = own_ratios([quiet, Counts { bad: f64::NAN, total: 1.0 }, quiet]).unwrap();
        let ratio = own.ratio(quiet).unwrap();
        assert!(ratio > 2.4e-7 && ratio < 2.5e-7, "{ratio}");
        assert_eq!(own_ratios([Counts { bad: 0.0, total: 0.0 }]), None);
        assert_eq!(own_ratios([]), None);
        assert!(own_ratios([Counts { bad: 0.0, total: 0.1 }]).is_some_and(|own| own.fleet <= 1.0));
    }

    fn step(bad: f64, baseline_bad: f64) -> Exposed {
        let side = |bad| Side { bad, exposure: 10.0, requests: 1_000.0 };
        Exposed { candidate: side(bad), baseline: side(baseline_bad) }
    }

    fn of(steps: impl IntoIterator<Item = Exposed>) -> Dispersion {
        let mut dispersion = Dispersion::default();
        for (minute, step) in (1_i64..).zip(steps) {
            dispersion.add(minute * 60, 60, step);
        }
        dispersion
    }

    #[test]
    fn bursts_and_what_drifts_slowly_raise_phi() {
        // Residual 5 of variance 5 a minute, alternating: 5 in minutes, nothing in the long blocks.
        let fast = of((0..600).map(|n| if n % 2 == 0 { step(15.0, 5.0) } else { step(5.0, 15.0) }));
        assert!(fast.phi().is_some_and(|phi| (phi - 6.25).abs() < 1e-9), "{:?}", fast.phi());
        // The same in turns of half a day: 240 minutes add up.
        let slow = of((0..14_400).map(|n| if n / 720 % 2 == 0 { step(15.0, 5.0) } else { step(5.0, 15.0) }));
        assert!(slow.phi().is_some_and(|phi| (phi - 1.25 * 5.0 * 240.0).abs() < 1e-6), "{:?}", slow.phi());
        // One common outage is none of it.
        let common = of((0..600).map(|n| if n == 300 { step(5_000.0, 5_000.0) } else { step(10.0, 10.0) }));
        assert!(common.phi().is_some_and(|phi| (phi - PHI_MIN).abs() < 1e-12));
    }

    #[test]
    fn too_little_says_nothing_and_nonsense_is_left_out() {
        assert_eq!(of([step(1.0, 1.0)]).phi(), None);
        assert_eq!(of((0..10_000).map(|_| step(0.0, 0.0))).phi(), None, "no event, no variance");
        let nonsense = (0..600).map(|_| step(f64::NAN, f64::INFINITY));
        assert_eq!(of(nonsense).phi(), None);
        let mut merged = of((0..8).map(|_| step(10.0, 10.0)));
        assert_eq!(merged.phi(), None);
        merged.merge(&merged.clone());
        assert!(merged.phi().is_some());
    }
}
