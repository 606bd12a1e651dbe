//! The increment's expectation under the null, computed exactly over a grid (analysis.md 5), and its odd cases.

use breakwater_slo::{GAIN_COUNT, GAINS, PHI_MIN, Side, Test};
use proptest::prelude::*;

/// Rounding of sums over thousands of terms.
const ROUNDING: f64 = 1e-9;

fn side(bad: f64, exposure: f64) -> Side {
    Side { bad, exposure, requests: exposure }
}

/// `E exp(phi_min * inc)`: the dispersion is taken out again, so that the undivided increment, the worst case, is checked.
/// Increments are linear in both counts, so the expectation is a product of two moments.
struct Moments {
    per_bad: f64,
    per_baseline_bad: f64,
    constant: f64,
}

fn moments(test: &Test, j: usize, n_c: f64, n_b: f64) -> Moments {
    let at = |bad, baseline_bad| {
        let increments = test.increments(side(bad, n_c), side(baseline_bad, n_b)).unwrap();
        increments[j] * PHI_MIN
    };
    let constant = at(0.0, 0.0);
    Moments { per_bad: at(1.0, 0.0) - constant, per_baseline_bad: at(0.0, 1.0) - constant, constant }
}

fn binomial(n: u32, p: f64, x: f64) -> f64 {
    let mut pmf = (1.0 - p).powi(i32::try_from(n).unwrap());
    let mut sum = 0.0;
    for k in 0..=n {
        sum += pmf * (x * f64::from(k)).exp();
        if k < n {
            pmf *= f64::from(n - k) / f64::from(k + 1) * (p / (1.0 - p));
        }
    }
    sum
}

/// Summed from the mass function until nothing is left, not from the closed form that the proof uses.
fn poisson(mean: f64, x: f64) -> f64 {
    let (mut pmf, mut sum, mut k) = ((-mean).exp(), 0.0, 0.0);
    loop {
        let term = pmf * f64::exp(x * k);
        sum += term;
        k += 1.0;
        pmf *= mean / k;
        if k > mean * x.exp() * 2.0 + 50.0 && term < 1e-18 * sum {
            return sum;
        }
    }
}

fn grid(mut each: impl FnMut(&Test, f64, f64, u32, u32)) {
    for ratio in [1.0, 1.2, 2.0] {
        for absolute in [0.0, 5e-4, 0.02, 0.2] {
            let test = Test::new(ratio, absolute, PHI_MIN).unwrap();
            for n_c in [1, 2, 7, 40, 150] {
                for n_b in [1, 3, 20, 200] {
                    for p in [0.0, 1e-4, 0.002, 0.03, 0.2, 0.4, 0.6] {
                        each(&test, p, (ratio * p + absolute).min(1.0), n_c, n_b);
                    }
                }
            }
        }
    }
}

#[test]
fn r13_the_increments_expectation_is_at_most_one_for_binomial_counts() {
    let (mut cells, mut most) = (0, 0.0_f64);
    grid(|test, p, border, n_c, n_b| {
        // At the border, and within the null.
        for p_c in [border, border * 0.5, 0.0] {
            // A share of 1 has no ratio of masses; just below it is the same case.
            let p_c = p_c.min(1.0 - 1e-12);
            for (j, gain) in GAINS.iter().enumerate() {
                let m = moments(test, j, f64::from(n_c), f64::from(n_b));
                let mean =
                    m.constant.exp() * binomial(n_c, p_c, m.per_bad) * binomial(n_b, p, m.per_baseline_bad);
                assert!(mean <= 1.0 + ROUNDING, "{test:?} p {p} p_c {p_c} n {n_c} {n_b} g {gain}: {mean}");
                (cells, most) = (cells + 1, most.max(mean));
            }
        }
    });
    println!("{cells} cells, greatest expectation {most:.12}");
    assert!(cells > 30_000 && most > 0.999_999, "the border is reached: {most}");
}

#[test]
fn r13_the_increments_expectation_is_one_at_the_border_for_poisson_counts_and_less_within() {
    let mut least_at_border = 1.0_f64;
    grid(|test, p, _, n_c, n_b| {
        let (n_c, n_b) = (f64::from(n_c), f64::from(n_b));
        let tolerated = test.increments(side(0.0, n_c), side(0.0, n_b)).unwrap();
        let has_absolute = tolerated[0] < 0.0;
        for (j, gain) in GAINS.iter().enumerate() {
            let m = moments(test, j, n_c, n_b);
            // The absolute margin's mean, found from the constant: d*n*(e^A - 1) = -constant.
            let absolute = if has_absolute { -m.constant / m.per_bad.exp_m1() } else { 0.0 };
            let ratio = -f64::exp_m1(m.per_baseline_bad) * n_b / (m.per_bad.exp_m1() * n_c);
            for share in [1.0, 0.7, 0.0] {
                let mean_c = share * (n_c * ratio * p + absolute);
                let mean =
                    m.constant.exp() * poisson(mean_c, m.per_bad) * poisson(n_b * p, m.per_baseline_bad);
                assert!(mean <= 1.0 + ROUNDING, "{test:?} p {p} n {n_c} {n_b} g {gain}: {mean}");
                if share >= 1.0 {
                    least_at_border = least_at_border.min(mean);
                }
            }
        }
    });
    assert!(least_at_border > 1.0 - 1e-6, "{least_at_border}");
}

#[test]
fn the_margin_that_the_increment_tolerates_is_the_one_that_was_asked_for() {
    for (ratio, absolute) in [(1.0, 0.0), (1.2, 0.0), (1.2, 5e-4), (3.0, 0.1)] {
        let test = Test::new(ratio, absolute, PHI_MIN).unwrap();
        for (n_c, n_b) in [(1.0, 1.0), (3.0, 1e6), (1e6, 3.0), (1e-2, 1e6)] {
            for j in 0..GAIN_COUNT {
                let m = moments(&test, j, n_c, n_b);
                let found = -m.per_baseline_bad.exp_m1() * n_b / (m.per_bad.exp_m1() * n_c);
                assert!((found / ratio - 1.0).abs() < 1e-6, "{ratio} {n_c} {n_b} {j}: {found}");
                let per_request = -m.constant / m.per_bad.exp_m1() / n_c;
                assert!((per_request - absolute).abs() <= 1e-9 * absolute, "{absolute}: {per_request}");
            }
        }
    }
}

#[test]
fn an_arm_without_exposure_is_no_information() {
    let test = Test::new(1.2, 5e-4, PHI_MIN).unwrap();
    for (candidate, baseline) in [
        (side(9.0, 0.0), side(1.0, 10.0)),
        (side(9.0, 10.0), side(1.0, 0.0)),
        (side(0.0, 0.0), side(0.0, 0.0)),
    ] {
        assert_eq!(test.increments(candidate, baseline), Some([0.0; GAIN_COUNT]));
    }
}

#[test]
fn r12_what_is_no_number_is_no_data() {
    let test = Test::new(1.2, 5e-4, PHI_MIN).unwrap();
    let good = side(1.0, 10.0);
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        for bad in [Side { bad: odd, ..good }, Side { exposure: odd, ..good }, Side { requests: odd, ..good }]
        {
            assert_eq!(test.increments(bad, good), None, "{bad:?}");
        }
        for bad in [Side { bad: odd, ..good }, Side { exposure: odd, ..good }] {
            assert_eq!(test.increments(good, bad), None, "{bad:?}");
        }
    }
    assert_eq!(test.increments(side(1.0, f64::MAX), side(1.0, f64::MAX)), None, "a result that overflows");
    for (ratio, absolute, phi) in [
        (f64::NAN, 0.0, 2.0),
        (0.0, 0.0, 2.0),
        (1.2, -1.0, 2.0),
        (1.2, f64::INFINITY, 2.0),
        (1.2, 0.0, f64::NAN),
    ] {
        assert_eq!(Test::new(ratio, absolute, phi), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dispersion_divides_the_increment_and_is_never_less_than_its_least(
        phi in 0.01..50.0_f64, bad in 0.0..100.0_f64, base in 0.0..100.0_f64, n_c in 0.1..1e4_f64, n_b in 0.1..1e4_f64,
    ) {
        let with = |phi| Test::new(1.2, 1e-3, phi).unwrap().increments(side(bad, n_c), side(base, n_b)).unwrap();
        for (one, other) in with(phi).iter().zip(with(PHI_MIN)) {
            prop_assert!((one * phi.max(PHI_MIN) - other * PHI_MIN).abs() < 1e-9 * (1.0 + other.abs()));
        }
    }

    #[test]
    fn any_numbers_give_numbers_or_no_data(
        c in any::<(f64, f64, f64)>(), b in any::<(f64, f64, f64)>(), margin in any::<(f64, f64, f64)>(),
    ) {
        let of = |(bad, exposure, requests)| Side { bad, exposure, requests };
        if let Some(increments) = Test::new(margin.0, margin.1, margin.2).and_then(|test| test.increments(of(c), of(b))) {
            prop_assert!(increments.iter().all(|increment| increment.is_finite()));
        }
    }

    #[test]
    fn more_bad_events_of_the_candidate_are_more_evidence_and_more_of_the_baseline_less(
        n_c in 0.1..1e4_f64, n_b in 0.1..1e4_f64, bad in 0.0..100.0_f64, base in 0.0..100.0_f64, more in 0.1..10.0_f64,
    ) {
        let test = Test::new(1.2, 1e-3, 2.0).unwrap();
        let at = |bad, base| test.increments(side(bad, n_c), side(base, n_b)).unwrap();
        for j in 0..GAIN_COUNT {
            // Beyond what one step is heard for, more is not more.
            prop_assert!(at(bad + more, base)[j] >= at(bad, base)[j]);
            prop_assert!(at(bad, base + more)[j] < at(bad, base)[j]);
        }
    }
}
