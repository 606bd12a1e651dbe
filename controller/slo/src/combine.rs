//! One limit for the SLOs of a release (analysis.md 2, Several SLOs). Pure.

/// Evidence over the SLOs of a release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Combined {
    /// `ln E`; negative infinity without any evidence.
    pub ln_e: f64,
    /// `1 - 1/E`, at least 0: with this certainty the release is worse.
    pub certainty: f64,
    /// `E >= 1/alpha`.
    pub deviates: bool,
}

/// `E = sum v_s*E_s` over pairs of an SLO's weight `v_s` and its `ln E_s` ([`crate::Evidence::ln_e`]); the release deviates
/// at `E >= 1/alpha`.
///
/// Weights are fixed before the first step and sum to at most 1; larger ones are scaled down to that. SLOs may depend on
/// each other in any way: a weighted mean of processes that do not grow in expectation does not either, so this
/// happens with probability at most alpha over the whole release if it is no worse (Ville). What is no number counts
/// as no evidence.
pub fn combine(slos: &[(f64, f64)], alpha: f64) -> Combined {
    let usable = |(weight, ln_e): &&(f64, f64)| weight.is_finite() && *weight > 0.0 && !ln_e.is_nan();
    let terms = || slos.iter().filter(usable);
    let weights: f64 = slos.iter().map(|(weight, _)| *weight).filter(|weight| *weight > 0.0).sum();
    let most = terms().map(|(_, ln_e)| *ln_e).fold(f64::NEG_INFINITY, f64::max).min(f64::MAX);
    if most == f64::NEG_INFINITY || !weights.is_finite() {
        return Combined { ln_e: f64::NEG_INFINITY, certainty: 0.0, deviates: false };
    }
    let sum: f64 = terms().map(|(weight, ln_e)| weight * (ln_e - most).min(0.0).exp()).sum();
    let ln_e = most + (sum / weights.max(1.0)).ln();
    Combined { ln_e, certainty: certainty(ln_e), deviates: alpha > 0.0 && ln_e >= -alpha.ln() }
}

/// `1 - 1/E`, at least 0.
pub(crate) fn certainty(ln_e: f64) -> f64 {
    -(-ln_e.max(0.0)).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_slos_share_one_limit() {
        let ln = |e: f64| e.ln();
        assert!(combine(&[(1.0, ln(100.0))], 0.01).deviates);
        assert!(!combine(&[(0.5, ln(199.0)), (0.5, ln(0.5))], 0.01).deviates);
        assert!(combine(&[(0.5, ln(120.0)), (0.5, ln(81.0))], 0.01).deviates, "neither alone");
        assert!(
            !combine(&[(1.0, ln(101.0)), (1.0, ln(1.0))], 0.01).deviates,
            "weights above 1 are scaled down"
        );
        let one = combine(&[(1.0, ln(1_000.0))], 0.01);
        assert!((one.certainty - 0.999).abs() < 1e-12 && (one.ln_e - ln(1_000.0)).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_is_no_evidence() {
        for slos in [
            &[][..],
            &[(1.0, f64::NAN)],
            &[(f64::NAN, 9.0)],
            &[(-1.0, 9.0)],
            &[(1.0, f64::NEG_INFINITY)],
            &[(f64::INFINITY, 9.0)],
        ] {
            let combined = combine(slos, 0.01);
            assert!(!combined.deviates && combined.certainty <= 0.0, "{slos:?}");
        }
        assert!(!combine(&[(1.0, 9.0)], f64::NAN).deviates && !combine(&[(1.0, 9.0)], 0.0).deviates);
        assert!(combine(&[(1.0, f64::NAN), (0.5, 9.0)], 0.01).deviates);
        assert!(combine(&[(0.5, f64::INFINITY)], 0.01).deviates);
    }
}
