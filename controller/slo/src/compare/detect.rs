//! Which ratio would have been found with the traffic so far (analysis.md 2, R7). Pure.
//!
//! # Formula
//! Had the candidates' rate been `R/r0` times what the margin just tolerates, from the wave's start on, then `ln S_j` of
//! an alternative would by now have the mean `R*G_j - C_j` and the variance `R*V_j + U_j`, with sums over the steps
//! ```text
//! G = (n_c*y + d*m_c/r0) * A / phi        y = e_b/n_b
//! C = (e_b*b + d*m_c*(exp(A) - 1)) / phi
//! V = (n_c*y + d*m_c/r0) * A^2 / phi      U = e_b*b^2 / phi
//! ```
//! where `n_c`, `m_c` are the exposure and the requests of the *wave's own* tenants: a wave without any requests has
//! excluded nothing, whatever went on in earlier ones. (Where counts are `phi` times as dispersed as Poisson ones, so is
//! their sum; it is divided by `phi` twice.) `C_j` begins with what `S_j` lacked at the wave's start.
//! The ratio `R` would have been found with probability 95 % where, for one alternative at least,
//! `R*G - C - 1.645*sqrt(R*V + U) >= ln(7/share) - ln(v*alpha)`; the smallest such `R` is a root of a square equation.
//!
//! # Assumptions
//! The normal distribution for sums of many steps; the step's own estimate of the baseline's rate, in which all sums
//! are linear. `R` counts from the baseline's rate *and* what `margin.absolute` adds to it (over `r0`), since a multiple of
//! nearly nothing is nothing that users feel. What is told is what that comes to as a share of requests, `R * unit` with
//! `unit = (Y + d*M/r0) / M` (`Y` and `M` the sums of `n_c*y` and `m_c`), and as a multiple of the baseline's rate alone,
//! `R * (1 + d*M/(r0*Y))`. `mustDetect` is `R`, so the share that it asks for is `mustDetect * unit`.
//! An effect that begins later is the business of the restarts and not of this number.
//!
//! # Ratchet
//! The smallest so far is kept: what would have been found by yesterday would have been found, and a night with
//! little traffic does not undo it.

use serde::Serialize;

use super::increment::{GAIN_COUNT, Test};
use super::mixture::Mixture;
use crate::reading::Side;

/// From here on a ratio says no more than the share.
const RATIO_MAX: f64 = 1_000.0;
/// One-sided 95 % quantile of the normal distribution.
const QUANTILE: f64 = 1.644_853_626_951_472_6;

/// With fewer bad events at the baseline's rate a multiple of them says nothing, and only the share is told.
const USUAL_MIN: f64 = 3.0;

/// What would have been found with 95 % probability by now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detectable {
    /// As a share of the candidates' requests, in `[0, 1]`.
    pub share: f64,
    /// Times the baseline's rate; `None` where that is next to nothing.
    pub ratio: Option<f64>,
    /// `R`, and the share that `R = 1` stands for.
    #[serde(skip)]
    best: f64,
    #[serde(skip)]
    unit: f64,
}

impl Detectable {
    /// The share that `mustDetect` comes to: so many times the baseline's and what `margin.absolute` adds to it.
    pub fn must_share(&self, must_detect: f64) -> f64 {
        (must_detect * self.unit).min(1.0)
    }

    /// `mustDetect` would have been found.
    pub fn excludes(&self, must_detect: f64) -> bool {
        self.best <= must_detect
    }
}

/// Sums since the wave's start, per alternative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Detect {
    pub(crate) gain: [f64; GAIN_COUNT],
    pub(crate) cost: [f64; GAIN_COUNT],
    pub(crate) gain_var: [f64; GAIN_COUNT],
    pub(crate) cost_var: [f64; GAIN_COUNT],
    /// Bad events that the candidates would have had at the baseline's rate, and their requests.
    pub(crate) usual: f64,
    pub(crate) requests: f64,
    /// The smallest `R` so far; infinite where there is none.
    pub(crate) best: f64,
    /// The share of requests that `R = 1` stood for when it was found, and how many times the baseline's that was; 0: no matter.
    pub(crate) unit: f64,
    pub(crate) lift: f64,
}

impl Default for Detect {
    fn default() -> Self {
        Self::begin(&Mixture::default(), 0.0)
    }
}

impl Detect {
    /// At a wave's start, where the pooled evidence stands as it does and `hourly` mass is to come within the hour.
    pub(crate) fn begin(pooled: &Mixture, hourly: f64) -> Self {
        let zero = [0.0; GAIN_COUNT];
        let lacks = |ln_s: f64| -ln_s.max(hourly.ln()).max(-1e9);
        Self {
            gain: zero,
            cost: pooled.ln_s.map(lacks),
            gain_var: zero,
            cost_var: zero,
            usual: 0.0,
            requests: 0.0,
            best: f64::INFINITY,
            unit: 0.0,
            lift: 0.0,
        }
    }

    /// Takes a step. `needed`: the right-hand side above.
    pub(crate) fn add(&mut self, test: &Test, wave: Side, baseline: Side, needed: f64) {
        if wave.exposure <= 0.0 || wave.requests <= 0.0 || baseline.exposure <= 0.0 {
            return;
        }
        let tolerated = test.absolute * wave.requests;
        let usual = wave.exposure * (baseline.bad / baseline.exposure);
        let expected = usual + tolerated / test.ratio;
        let mut sums = *self;
        sums.usual += usual;
        sums.requests += wave.requests;
        for j in 0..GAIN_COUNT {
            let (a, b) = test.slopes(j, wave.exposure, baseline.exposure);
            sums.gain[j] += expected * a / test.phi;
            sums.cost[j] += (baseline.bad * b + tolerated * a.exp_m1()) / test.phi;
            sums.gain_var[j] += expected * a * a / test.phi;
            sums.cost_var[j] += baseline.bad * b * b / test.phi;
            let ratio = sums.smallest(j, needed);
            sums.best = ratio.map_or(sums.best, |ratio| sums.best.min(ratio.max(test.ratio)));
        }
        if sums.best < self.best {
            let all = sums.usual + test.absolute / test.ratio * sums.requests;
            sums.unit = all / sums.requests;
            sums.lift = if sums.usual < USUAL_MIN { 0.0 } else { all / sums.usual };
        }
        if sums.gain.iter().chain(&sums.cost).chain([&sums.usual, &sums.requests]).all(|sum| sum.is_finite())
        {
            *self = sums;
        }
    }

    /// The greater root of `(R*G - C - needed)^2 = z^2*(R*V + U)`.
    fn smallest(&self, j: usize, needed: f64) -> Option<f64> {
        let (gain, cost) = (self.gain[j], self.cost[j] + needed);
        if gain <= 0.0 {
            return None;
        }
        let z2 = QUANTILE * QUANTILE;
        let a = gain * gain;
        let half_b = gain * cost + 0.5 * z2 * self.gain_var[j];
        let c = cost * cost - z2 * self.cost_var[j];
        let root = (half_b + (half_b * half_b - a * c).max(0.0).sqrt()) / a;
        root.is_finite().then_some(root)
    }

    pub(crate) fn detectable(&self) -> Option<Detectable> {
        let Self { best, unit, lift, .. } = *self;
        let ratio = Some(best * lift).filter(|ratio| (1.0..RATIO_MAX).contains(ratio));
        best.is_finite().then(|| Detectable { share: (best * unit).min(1.0), ratio, best, unit })
    }
}
