//! The restarting mixture over alternatives: from increments to evidence (analysis.md 2). Pure.
//!
//! # Formula
//! `S_j(0) = 1/2`; a restart adds mass to every `S_j` *before* the step's increment; `S_j *= exp(inc_j)`;
//! `E = mean_j S_j`.
//!
//! # Why the limit is `1/alpha`
//! Each `S_j` plus the mass that is still to come never grows in expectation under the null, and begins at 1 if all
//! restarts together add at most 1/2. So does the mean, and Ville's inequality bounds the probability that it ever
//! reaches `1/alpha` by alpha. (Shin, Ramdas, Rinaldo, E-detectors, arXiv 2203.03532, for the restarts.)

use super::increment::GAIN_COUNT;

/// The evidence of one comparison, in logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// `ln S_j`; negative infinity where there is no mass.
    pub(crate) ln_s: [f64; GAIN_COUNT],
}

impl Default for Mixture {
    /// As at the start: `S_j = 1/2`.
    fn default() -> Self {
        Self { ln_s: [-std::f64::consts::LN_2; GAIN_COUNT] }
    }
}

impl Mixture {
    /// No `ln S_j` passes this: `exp` of it is finite, every limit far below. Cutting evidence off is always sound.
    pub(crate) const LN_MAX: f64 = 600.0;
    /// No mass at all: evidence that was lost resumes here.
    pub const EMPTY: Self = Self { ln_s: [f64::NEG_INFINITY; GAIN_COUNT] };

    /// The same mass for every alternative; none where it is no such number.
    pub(crate) fn of(mass: f64) -> Self {
        let mut mixture = Self::EMPTY;
        mixture.restart(mass);
        mixture
    }

    /// Falls back to where it began, where it is above that.
    pub(crate) fn fall_back(&mut self) {
        for (ln_s, start) in self.ln_s.iter_mut().zip(Self::default().ln_s) {
            *ln_s = ln_s.min(start);
        }
    }

    /// Adds `mass` to every `S_j`.
    pub fn restart(&mut self, mass: f64) {
        if mass > 0.0 {
            let ln_mass = mass.ln();
            for ln_s in &mut self.ln_s {
                let (less, more) = if *ln_s < ln_mass { (*ln_s, ln_mass) } else { (ln_mass, *ln_s) };
                *ln_s = more + (less - more).exp().ln_1p();
            }
        }
    }

    /// `S_j *= exp(inc_j)`.
    pub fn grow(&mut self, increments: &[f64; GAIN_COUNT]) {
        for (ln_s, increment) in self.ln_s.iter_mut().zip(increments) {
            *ln_s = (*ln_s + increment).min(Self::LN_MAX);
        }
    }

    /// `E`, at most `e^600`.
    pub(crate) fn e(&self) -> f64 {
        self.ln_s.iter().map(|ln_s| ln_s.exp()).sum::<f64>() / GAIN_COUNT as f64
    }

    /// `ln E`; negative infinity without mass.
    pub fn ln_e(&self) -> f64 {
        let most = self.ln_s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        let sum: f64 = self.ln_s.iter().map(|ln_s| (ln_s - most).exp()).sum();
        most + (sum / GAIN_COUNT as f64).ln()
    }
}
