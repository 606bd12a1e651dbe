//! The increment of the sequential two-sample rate test (analysis.md 2). Pure.
//!
//! # Formula
//! In one step the candidate has `e_c` bad events of exposure `n_c` (raw requests `m_c`), the baseline `e_b` of `n_b`.
//! Null: the candidate's rate is at most `r0` times the baseline's, plus `d` per raw request. For the alternative
//! `r_j = r0 * g_j`:
//! ```text
//! D0 = r0*n_c + n_b ;  Dj = r_j*n_c + n_b ;  b_j = ln(Dj/D0) ;  A_j = ln(g_j) - b_j
//! inc_j = ( min(e_c, h_j)*A_j - e_b*b_j - d*m_c*(exp(A_j) - 1) ) / phi
//! h_j = 3*(r0*n_c + d*m_c) + 8/A_j
//! ```
//! # Why not all events are heard
//! Dividing by `phi` answers noise that is everywhere the same multiple of counting noise. It does not answer a tenant that
//! now and then has a minute of ten or forty errors: for `g = 30` one such minute was evidence enough, whatever `phi`
//! history had. What `h_j` cuts off needs a second step to say so. Where many events are expected (a large fleet,
//! traffic) it cuts nothing off that a ratio of 3 would not show as well. Less evidence is always sound.
//!
//! # Why its expectation is at most 1
//! For independent Poisson counts with means `n_c*r0*p + m_c*d` and `n_b*p`, before the division by `phi`,
//! `ln E exp(inc_j) = p * (r0*n_c*(e^A_j - 1) + n_b*(e^-b_j - 1)) = p * (D0/Dj*(g_j*r0*n_c + n_b) - D0) = 0`,
//! whatever `p` is; below the null's border it is less, since `A_j >= 0`. Binomial counts have smaller exponential
//! moments, `(1 + p*(e^x - 1))^n <= exp(n*p*(e^x - 1))`, so for them it is at most 0. Dividing by `phi >= 1` keeps it
//! there (Jensen), and is exact for counts that are `phi` times Poisson ones. With standardised exposures
//! (`n = sum n_i*q_i`) the same holds for the rates in units of each tenant's own. `tests/increment.rs` computes the
//! expectations.
//!
//! Source: Lindon, Malek, Anytime-Valid Inference for Multinomial Count Data (arXiv 2011.03567); Lindon et al., Rapid
//! Regression Detection in Software Deployments through Sequential Testing (arXiv 2205.14762); the margins are ours.

use crate::reading::Side;

/// Alternatives, as multiples `g` of the margin's ratio; equally weighted.
pub const GAINS: [f64; GAIN_COUNT] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];
/// How many alternatives there are.
pub const GAIN_COUNT: usize = 7;
/// Least dispersion: counts of requests are burstier than counting noise everywhere.
pub const PHI_MIN: f64 = 1.25;

/// A step's bad events are heard up to this many times what the null's border expects, by the exposure ...
const HEARD_TIMES: f64 = 3.0;
/// ... and so many nats more, before the division by the dispersion.
const HEARD_NATS: f64 = 8.0;

/// From so many times the usual bad events of the baseline on, the tide is in.
const TIDE_TIMES: f64 = 2.0;
/// And so many more, so that few events are none.
const TIDE_BAD: f64 = 10.0;

/// The test of one comparison: margins, alternatives, dispersion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    pub(crate) ratio: f64,
    pub(crate) absolute: f64,
    pub(crate) phi: f64,
    rates: [f64; GAIN_COUNT],
    ln_gains: [f64; GAIN_COUNT],
}

/// The baseline has so many times the bad events that are usual for its tenants, and more than chance would give it.
pub fn is_tide(baseline: Side) -> bool {
    baseline.bad >= TIDE_TIMES * baseline.exposure + TIDE_BAD
}

impl Test {
    /// The test with margin `ratio` (`r0`, above 0) and `absolute` (`d`, 0 or more) and dispersion `phi`, raised to
    /// [`PHI_MIN`] where it is less. `None` where one of them is no such number: then nothing can be tested.
    pub fn new(ratio: f64, absolute: f64, phi: f64) -> Option<Self> {
        let usable = ratio.is_finite() && ratio > 0.0 && absolute.is_finite() && absolute >= 0.0;
        (usable && phi.is_finite()).then(|| Self {
            ratio,
            absolute,
            phi: phi.max(PHI_MIN),
            rates: GAINS.map(|gain| ratio * gain),
            ln_gains: GAINS.map(f64::ln),
        })
    }

    /// The log increments, one per alternative. Zero where an arm has no exposure: no information, not good news.
    /// `None` where a count or a result is no number, or a count is negative: the step is no data.
    pub fn increments(&self, candidate: Side, baseline: Side) -> Option<[f64; GAIN_COUNT]> {
        let Side { bad, exposure, requests } = candidate;
        let numbers = [bad, exposure, requests, baseline.bad, baseline.exposure];
        if !numbers.into_iter().all(|number| number.is_finite() && number >= 0.0) {
            return None;
        }
        let mut increments = [0.0; GAIN_COUNT];
        if exposure <= 0.0 || baseline.exposure <= 0.0 {
            return Some(increments);
        }
        let border = self.ratio * exposure + baseline.exposure;
        let tolerated = self.absolute * requests;
        let usual = HEARD_TIMES * (self.ratio * exposure + tolerated);
        for (j, increment) in increments.iter_mut().enumerate() {
            // Dj/D0, in [1, g_j]
            let growth = (self.rates[j] * exposure + baseline.exposure) / border;
            let b = growth.ln();
            // exp(A_j) - 1 = g_j*D0/Dj - 1
            let excess = GAINS[j] / growth - 1.0;
            let a = (self.ln_gains[j] - b).max(0.0);
            let said = (bad * a).min(usual * a + HEARD_NATS);
            *increment = (said - baseline.bad * b - tolerated * excess.max(0.0)) / self.phi;
        }
        increments.iter().all(|increment| increment.is_finite()).then_some(increments)
    }

    /// The same, or, while the tide is in ([`is_tide`]), the lesser of it and of what raw requests say in place of
    /// standardised exposures. An outage that all tenants share adds a share of bad events to each, and so multiplies the
    /// ratios of the good ones more than those of the others; raw requests see that both arms have the same (R14).
    ///
    /// The lesser of two is never above the first, whatever decides on it, so its expectation is at most 1 as well.
    pub fn increments_at(&self, tide: bool, candidate: Side, baseline: Side) -> Option<[f64; GAIN_COUNT]> {
        let mut increments = self.increments(candidate, baseline)?;
        if tide && baseline.requests > 0.0 {
            let raw = |side: Side| Side { exposure: side.requests, ..side };
            let of_raw = self.increments(raw(candidate), raw(baseline))?;
            increments.iter_mut().zip(of_raw).for_each(|(increment, raw)| *increment = increment.min(raw));
        }
        Some(increments)
    }

    /// `(A_j, b_j)` of an alternative at these exposures, both above 0.
    pub(crate) fn slopes(&self, j: usize, exposure: f64, baseline_exposure: f64) -> (f64, f64) {
        let border = self.ratio * exposure + baseline_exposure;
        let b = ((self.rates[j] * exposure + baseline_exposure) / border).ln();
        (self.ln_gains[j] - b, b)
    }
}
