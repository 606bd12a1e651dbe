//! What the comparison remembers: through JSON, crashes, strata, waves. Alpha holds through all of it.

use std::sync::Arc;

use crate::bed::{Bed, Noise, START_SECONDS, STEP_SECONDS, api_errors, counted, frozen, owned};
use breakwater_slo::{
    Action, Against, Arm, Comparison, Config, Edges, Frozen, GAIN_COUNT, Guard, KEPT_MAX, Members, Mixture,
    PHI_MIN, Past, Reading, Sample, Side, State, Step, TAILS_MAX, Tail, TenantId,
};
use proptest::prelude::*;

fn armed(frozen: Frozen) -> Comparison {
    Comparison::Armed(Arc::new(frozen))
}

/// Through JSON and back, as a crash does it.
fn crashed(state: &State, comparison: &Comparison) -> State {
    let json = serde_json::to_string(state).expect("state serialises");
    let mut back: State = serde_json::from_str(&json).expect("state reads back");
    assert_eq!(&back, state);
    assert_eq!(serde_json::to_string(&back).expect("it serialises again"), json);
    back.compare(comparison.clone());
    back
}

fn ln_e(state: &State, config: &Config, now_seconds: i64) -> f64 {
    state.evidence(config, now_seconds).and_then(|evidence| evidence.ln_e).expect("it is armed")
}

/// Candidates whose bad events rise with their number, and a baseline; own ratio 1 %.
fn fleet(noise: &mut Noise, candidates: u64, ratio: f64) -> Vec<Sample> {
    let mut one =
        |tenant, arm| owned(counted(tenant, arm, noise.poisson(100.0 * ratio).min(100.0), 100.0), 0.01);
    let mut samples: Vec<Sample> = (0..candidates).map(|tenant| one(tenant, Arm::Candidate)).collect();
    samples.extend((1_000..1_010).map(|tenant| one(tenant, Arm::Baseline)));
    samples
}

/// A stream in which nothing bad ever happens and nothing is tolerated: no increment, so what is left is the mass.
fn quiet(candidates: std::ops::Range<u64>) -> Vec<Sample> {
    let candidates = candidates.map(|tenant| owned(counted(tenant, Arm::Candidate, 0.0, 100.0), 0.01));
    candidates.chain([owned(counted(9_999, Arm::Baseline, 0.0, 100.0), 0.01)]).collect()
}

fn without_margin() -> Config {
    let mut config = api_errors();
    config.compare.absolute = Some(0.0);
    config
}

#[test]
fn r28_a_crash_in_the_middle_changes_nothing_of_what_is_pooled() {
    let comparison = armed(frozen(0..5));
    let mut noise = Noise::new(1);
    let (config, mut state) = (api_errors(), State::default());
    state.compare(comparison.clone());
    let mut other = state.clone();
    for minute in 1..=400 {
        let samples = fleet(&mut noise, 5, 0.012);
        let end_seconds = START_SECONDS + minute * STEP_SECONDS;
        state.feed(&config, &Step::new(end_seconds, Reading::Counts(&samples)));
        other.feed(&config, &Step::new(end_seconds, Reading::Counts(&samples)));
        if minute % 37 == 0 {
            other = crashed(&other, &comparison);
        }
        let (one, two) = (state.evidence(&config, end_seconds), other.evidence(&config, end_seconds));
        let (one, two) = (one.expect("there is one"), two.expect("there is one"));
        // Tenants' evidence is stored to a thousandth of a nat, rounded down.
        let difference = one.ln_e.expect("armed") - two.ln_e.expect("armed");
        assert!((0.0..0.02).contains(&difference), "minute {minute}: {difference}");
        assert_eq!(one.detectable, two.detectable, "exactly");
        assert_eq!((one.verdict, one.guard, one.value), (two.verdict, two.guard, two.value));
    }
}

#[test]
fn r28_what_is_pooled_goes_on_identical_to_the_last_bit() {
    let comparison = armed(Frozen { against: Against::Both, ..frozen(0..3) });
    let mut noise = Noise::new(2);
    let (config, mut state) = (api_errors(), State::default());
    state.compare(comparison.clone());
    let mut other = state.clone();
    for minute in 1..=300 {
        let samples = fleet(&mut noise, 5, 0.011);
        let past = Past { bad: noise.poisson(5.0), exposure: 5.0, good: 495.0, usual: 495.0 };
        let end_seconds = START_SECONDS + minute * STEP_SECONDS;
        let step = Step { past: Some(past), ..Step::new(end_seconds, Reading::Counts(&samples)) };
        state.feed(&config, &step);
        other.feed(&config, &step);
        other = crashed(&other, &comparison);
        // All but the tenants' section, the last one.
        let pooled = |state: &State| {
            let json = serde_json::to_value(state).expect("state serialises");
            let text = json["compared"].as_str().expect("it is one string").to_owned();
            text.rsplit_once('.').map(|(pooled, _)| pooled.to_owned())
        };
        assert_eq!(pooled(&state), pooled(&other));
    }
}

#[test]
fn r28_tenants_that_were_forgotten_resume_without_mass_and_alpha_holds_through_any_number_of_crashes() {
    // Under the null with no events the evidence is the mass that was handed out: it never passes 1.
    for crash_every in [1, 7, 60, 100_000] {
        let frozen = Frozen { planned_hours: 10, planned_waves: 1, ..frozen(0..100) };
        let comparison = armed(frozen);
        let (config, mut state) = (without_margin(), State::default());
        state.compare(comparison.clone());
        let mut last = 0.0;
        for minute in 1..=900 {
            let end_seconds = START_SECONDS + minute * STEP_SECONDS;
            // Tenants come one after another, joiners among them, and some go for a while.
            let until = u64::try_from(minute).unwrap().min(130);
            let samples: Vec<Sample> = quiet(0..until)
                .into_iter()
                .filter(|s| !(s.tenant.0 + minute.cast_unsigned()).is_multiple_of(9))
                .collect();
            state.feed(&config, &Step::new(end_seconds, Reading::Counts(&samples)));
            let e = ln_e(&state, &config, end_seconds).exp();
            assert!(e <= 1.0 + 1e-9, "crashes every {crash_every}, minute {minute}: {e}");
            if minute % crash_every == 0 {
                state = crashed(&state, &comparison);
                let after = ln_e(&state, &config, end_seconds).exp();
                assert!(after <= e + 1e-12, "a crash adds nothing");
            }
            last = e;
        }
        assert!(last > 0.4 && (crash_every < 1_000 || last > 0.9), "{crash_every}: {last}");
    }
}

#[test]
fn r28_a_tenant_that_was_forgotten_resumes_at_zero_and_gets_the_hourly_share_only() {
    let comparison = armed(Frozen { planned_hours: 10, planned_waves: 1, ..frozen(0..100) });
    let (config, mut state) = (without_margin(), State::default());
    state.compare(comparison.clone());
    let feed = |state: &mut State, minute: i64| {
        let end_seconds = START_SECONDS + minute * STEP_SECONDS;
        state.feed(&config, &Step::new(end_seconds, Reading::Counts(&quiet(0..100))));
        ln_e(state, &config, end_seconds).exp()
    };
    // Half of the evidence is the pool's 1/2, half the tenants' 0.9 * 1/2, but for the worst of them.
    let before = feed(&mut state, 1);
    assert!((before - (0.25 + 0.225 * 0.99)).abs() < 1e-4, "{before}");
    state = crashed(&state, &comparison);
    let after = feed(&mut state, 2);
    let kept = 0.225 * (KEPT_MAX - 1) as f64 / 100.0;
    assert!((after - (0.25 + kept)).abs() < 1e-4, "{after}");
    // An hour later everybody has a twentieth more, the forgotten ones as well.
    let later = feed(&mut state, 62);
    assert!((later - after - 0.05 * (0.5 + 0.45 * 0.99)).abs() < 1e-3, "{later}");
}

#[test]
fn waves_share_the_mass_and_never_pass_it_whatever_the_plan_becomes() {
    let (config, mut state) = (without_margin(), State::default());
    let mut waves: Vec<Members> = Vec::new();
    let mut minute = 0;
    for wave in 0..12_u64 {
        waves.push(Members::from((wave * 10..wave * 10 + 10).map(TenantId).collect::<Vec<_>>()));
        // The plan was four waves and grew to eight; in fact there are twelve.
        let planned_waves = if wave < 3 { 4 } else { 8 };
        let comparison =
            armed(Frozen { waves: waves.clone(), planned_waves, planned_hours: 5, ..frozen(0..0) });
        state.compare(comparison.clone());
        for _ in 0..90 {
            minute += 1;
            let end_seconds = START_SECONDS + minute * STEP_SECONDS;
            state.feed(&config, &Step::new(end_seconds, Reading::Counts(&quiet(0..wave * 10 + 12))));
            let e = ln_e(&state, &config, end_seconds).exp();
            assert!(e <= 1.0 + 1e-9, "wave {wave}: {e}");
        }
        state = crashed(&state, &comparison);
    }
}

#[test]
fn a_crash_keeps_the_worst_tenants_and_the_sentence_about_them() {
    let frozen = frozen(0..200);
    let comparison = armed(frozen);
    let mut bed = Bed::new(api_errors());
    bed.config.page.clear();
    bed.config.hold.clear();
    bed.config.sharp.factor = 150.0;
    bed.state.compare(comparison.clone());
    let mut noise = Noise::new(5);
    let mut minutes = 0;
    while bed.state.until_seconds().is_none() || bed.evidence().action != Action::Deviate {
        let mut samples = fleet(&mut noise, 200, 0.01);
        for sample in &mut samples[150..152] {
            *sample = owned(counted(sample.tenant.0, Arm::Candidate, 12.0, 100.0), 0.01);
        }
        bed.minutes(1, &samples);
        bed.state = crashed(&bed.state, &comparison);
        minutes += 1;
        assert!(minutes < 60, "{}", bed.sentence());
    }
    let evidence = bed.evidence();
    assert_eq!(evidence.guard, Some(Guard::Comparison));
    let mut guilty: Vec<u64> = evidence.guilty.iter().map(|(tenant, _)| tenant.0).collect();
    guilty.sort_unstable();
    assert_eq!(guilty, [150, 151]);
}

#[test]
fn r27_the_stored_comparison_is_bounded_with_everything_on() {
    let mut config = api_errors();
    (config.compare.shape, config.compare.traffic) = (true, Some(2.0));
    let waves = (0..32).map(|wave| Members::from(vec![TenantId(wave)])).collect();
    let mut state = State::default();
    let tails: Vec<Tail> =
        (1..=TAILS_MAX).map(|edge| Tail { edge_seconds: 0.1 * edge as f64, ..Tail::default() }).collect();
    let seconds = tails.iter().map(|tail| tail.edge_seconds).collect();
    let shape = Some(Edges { seconds, phi: PHI_MIN });
    state.compare(armed(Frozen { against: Against::Both, planned_waves: 32, waves, shape, ..frozen(0..0) }));
    let mut noise = Noise::new(6);
    let side = Side { bad: 7.1, exposure: 9.3, requests: 1_000.7 };
    let tails: Vec<Tail> =
        tails.into_iter().map(|tail| Tail { candidate: side, baseline: side, ..tail }).collect();
    let past = Some(Past { bad: 3.3, exposure: 4.4, good: 900.1, usual: 1_000.3 });
    for minute in 1..=500 {
        let mut samples = fleet(&mut noise, 100, 0.011);
        for sample in &mut samples {
            sample.usual = Some(100.0);
            sample.tenant = TenantId(sample.tenant.0.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
        let end_seconds = START_SECONDS + minute * STEP_SECONDS;
        state.feed(
            &config,
            &Step { past, tails: &tails, ..Step::new(end_seconds, Reading::Counts(&samples)) },
        );
    }
    let json = serde_json::to_value(&state).unwrap();
    let bytes = json["compared"].as_str().unwrap().len();
    println!("comparison {bytes} bytes with {KEPT_MAX} tenants, 32 waves, {TAILS_MAX} edges and traffic");
    assert!(bytes <= 2_640, "{bytes}");
}

/// Tails at these edges, at the first of them the candidates' share so many times the baseline's.
fn tails(noise: &mut Noise, edges: &[f64], slower: f64) -> Vec<Tail> {
    let mut side = |bad: f64| Side { bad: noise.poisson(bad), exposure: 100.0, requests: 1_000.0 };
    let mut tail = |(at, edge): (usize, &f64)| {
        let slower = if at == 0 { slower } else { 1.0 };
        Tail { edge_seconds: *edge, candidate: side(100.0 * slower), baseline: side(100.0) }
    };
    edges.iter().enumerate().map(&mut tail).collect()
}

#[test]
fn r28_a_shape_goes_on_after_a_crash_as_if_nothing_had_happened_and_names_the_same_edge() {
    let edges = [0.1, 0.25, 1.0, 2.5];
    let shape = Some(Edges { seconds: edges.to_vec(), phi: 1.5 });
    let comparison = armed(Frozen { shape, ..frozen(0..5) });
    let mut config = api_errors();
    config.compare.shape = true;
    let (mut through, mut crashing) = (State::default(), State::default());
    for state in [&mut through, &mut crashing] {
        state.compare(comparison.clone());
    }
    let mut noise = Noise::new(11);
    for minute in 1..=60 {
        let samples = fleet(&mut noise, 5, 0.01);
        let tails = tails(&mut noise, &edges, 1.6);
        let end_seconds = START_SECONDS + minute * STEP_SECONDS;
        for state in [&mut through, &mut crashing] {
            state.feed(&config, &Step { tails: &tails, ..Step::new(end_seconds, Reading::Counts(&samples)) });
        }
        crashing = crashed(&crashing, &comparison);
        let (one, other) = (ln_e(&through, &config, end_seconds), ln_e(&crashing, &config, end_seconds));
        // Rounding down loses a thousandth of a nat per crash at most.
        assert!(other <= one + 1e-9 && one - other <= minute as f64 / 1_024.0 + 1e-9, "{one} {other}");
    }
    let words = |state: &State| state.seen(&config).unwrap();
    assert!(words(&through).starts_with("requests over 100 ms: 1"), "{}", words(&through));
    assert_eq!(words(&through), words(&crashing));
}

#[test]
fn a_shape_that_is_heard_from_the_second_wave_on_does_not_make_the_evidence_jump() {
    let edges = [0.1, 1.0];
    let first = armed(frozen(0..5));
    let shape = Some(Edges { seconds: edges.to_vec(), phi: PHI_MIN });
    let second = armed(Frozen { shape, ..frozen(0..5) });
    let mut config = api_errors();
    config.compare.shape = true;
    let mut state = State::default();
    state.compare(first);
    let mut noise = Noise::new(12);
    let mut minute = 0;
    let mut feed = |state: &mut State, slower: f64| {
        minute += 1;
        let (samples, tails) = (fleet(&mut noise, 5, 0.01), tails(&mut noise, &edges, slower));
        let end_seconds = START_SECONDS + minute * STEP_SECONDS;
        state.feed(&config, &Step { tails: &tails, ..Step::new(end_seconds, Reading::Counts(&samples)) });
        ln_e(state, &config, end_seconds)
    };
    // Ever so much slower: nobody calibrated the edges, so nobody hears it, and the rate has the whole share.
    let before = (0..90).map(|_| feed(&mut state, 3.0)).last().unwrap();
    assert!(before < 0.0, "{before}");
    state.compare(second);
    let after = feed(&mut state, 1.0);
    assert!(after <= before + 0.05, "{before} {after}");
    let grown = (0..30).map(|_| feed(&mut state, 3.0)).last().unwrap();
    assert!(grown > 10.0, "{grown}");
}

#[test]
fn a_stored_comparison_that_somebody_broke_is_an_error_and_no_panic() {
    let mut noise = Noise::new(7);
    let (config, mut state) = (api_errors(), State::default());
    state.compare(armed(frozen(0..5)));
    let samples = fleet(&mut noise, 5, 0.011);
    state.feed(&config, &Step::new(START_SECONDS, Reading::Counts(&samples)));
    let json = serde_json::to_value(&state).unwrap();
    let text = json["compared"].as_str().unwrap().to_owned();
    let read = |text: &str| serde_json::from_value::<State>(serde_json::json!({"compared": text})).is_ok();
    assert!(read(&text) && read("2........."));
    for broken in ["", "2", "1.........", "2..........", "2.A........", "2.........é", "2...AAAA......"] {
        assert!(!read(broken), "{broken}");
    }
    for cut in 0..text.len() {
        let _ = read(&text[..cut]);
    }
    for place in 0..text.len() {
        for with in ["A", "_", ".", "9"] {
            let mut other = text.clone();
            other.replace_range(place..=place, with);
            if let Ok(mut state) = serde_json::from_value::<State>(serde_json::json!({"compared": other})) {
                state.compare(armed(frozen(0..5)));
                state.feed(&config, &Step::new(START_SECONDS + 60, Reading::Counts(&samples)));
                let evidence = state.evidence(&config, START_SECONDS + 60).expect("candidates");
                assert!(evidence.ln_e.is_some_and(f64::is_finite), "{other}");
            }
        }
    }
}

#[test]
fn restarts_let_a_late_rise_be_found_about_as_fast_as_an_early_one() {
    let mut sums = [0, 0];
    for (late, sum) in [false, true].into_iter().zip(&mut sums) {
        for seed in 0..8 {
            let mut noise = Noise::new(40 + seed);
            let mut bed = Bed::new(api_errors());
            (bed.config.page, bed.config.hold) = (Vec::new(), Vec::new());
            bed.config.sharp.factor = 75.0;
            bed.state.compare(armed(frozen(0..5)));
            let minute = |noise: &mut Noise, ratio: f64| {
                let worse = fleet(noise, 5, 0.01 * ratio);
                let others = fleet(noise, 0, 0.01);
                worse
                    .into_iter()
                    .filter(|sample| sample.arm == Arm::Candidate)
                    .chain(others)
                    .collect::<Vec<_>>()
            };
            for _ in 0..if late { 3 * 1_440 } else { 0 } {
                let samples = minute(&mut noise, 1.0);
                bed.minutes(1, &samples);
            }
            let began = *sum;
            while bed.state.until_seconds().is_none() || bed.evidence().action != Action::Deviate {
                let samples = minute(&mut noise, 2.0);
                bed.minutes(1, &samples);
                *sum += 1;
                assert!(*sum - began < 300, "{}", bed.sentence());
            }
        }
    }
    println!(
        "twice the errors: {} minutes at once, {} after three days, on average",
        sums[0] / 8,
        sums[1] / 8
    );
    assert!(sums[1] < 3 * sums[0], "{sums:?}");
}

fn any_side() -> impl Strategy<Value = Side> {
    (0.0..50.0_f64, 0.0..50.0_f64, 0.0..1e4_f64).prop_map(|(bad, exposure, requests)| Side {
        bad,
        exposure,
        requests,
    })
}

/// Feeds steps of samples; the evidence at the end.
fn run(config: &Config, comparison: &Comparison, steps: &[Vec<Sample>]) -> f64 {
    let mut state = State::default();
    state.compare(comparison.clone());
    let mut end_seconds = START_SECONDS;
    for samples in steps {
        end_seconds += STEP_SECONDS;
        state.feed(config, &Step::new(end_seconds, Reading::Counts(samples)));
    }
    ln_e(&state, config, end_seconds)
}

fn any_counted(tenant: u64) -> impl Strategy<Value = Sample> {
    let arm = if tenant < 4 { Arm::Candidate } else { Arm::Baseline };
    (0..20_u32, 20..200_u32, 1..50_u32).prop_map(move |(bad, total, own)| {
        owned(counted(tenant, arm, f64::from(bad), f64::from(total)), f64::from(own) / 1e3)
    })
}

fn any_minute() -> impl Strategy<Value = Vec<Sample>> {
    (0..8_u64).map(any_counted).collect::<Vec<_>>()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_strata_means_nothing(
        steps in prop::collection::vec(any_minute(), 1..20), turn in 0..8_usize,
    ) {
        let turned: Vec<Vec<Sample>> = steps.iter().map(|samples| {
            let mut samples = samples.clone();
            samples.rotate_left(turn);
            samples.reverse();
            samples
        }).collect();
        let comparison = armed(frozen(0..4));
        let (one, two) = (run(&api_errors(), &comparison, &steps), run(&api_errors(), &comparison, &turned));
        prop_assert_eq!(one.to_bits(), two.to_bits());
    }

    #[test]
    fn baseline_strata_of_equal_ratio_may_be_merged(steps in prop::collection::vec(any_minute(), 1..20)) {
        let comparison = armed(frozen(0..4));
        let mut merged = steps.clone();
        let mut split = steps;
        for (split, merged) in split.iter_mut().zip(&mut merged) {
            let halved = |sample: &Sample, tenant: u64| {
                let breakwater_slo::Series::Counted(counts) = sample.series else { return *sample };
                owned(counted(tenant, Arm::Baseline, counts.bad / 2.0, counts.total / 2.0), sample.own.unwrap_or(0.1))
            };
            let last = merged[7];
            split[7] = halved(&last, 7);
            split.push(halved(&last, 8));
        }
        let (one, two) = (run(&api_errors(), &comparison, &split), run(&api_errors(), &comparison, &merged));
        prop_assert!((one - two).abs() < 1e-9 * (1.0 + one.abs()), "{one} {two}");
    }

    #[test]
    fn odd_samples_among_good_ones_change_nothing(
        steps in prop::collection::vec(any_minute(), 1..10), odd in any::<(f64, f64, f64)>(),
    ) {
        let comparison = armed(frozen(0..4));
        let mut with = steps.clone();
        for samples in &mut with {
            for (tenant, counts, own) in [
                (90, (odd.0, -odd.1.abs() - 1.0), 0.1), (91, (odd.0.abs() + 2.0, 1.0), 0.1), (92, (f64::NAN, odd.1), 0.1),
                (93, (1.0, 10.0), -odd.2.abs()), (94, (1.0, 10.0), f64::NAN), (95, (0.0, f64::INFINITY), 0.1),
            ] {
                for arm in [Arm::Baseline, Arm::Warming] {
                    samples.push(owned(counted(tenant, arm, counts.0, counts.1), own));
                }
            }
        }
        let (one, two) = (run(&api_errors(), &comparison, &steps), run(&api_errors(), &comparison, &with));
        prop_assert_eq!(one.to_bits(), two.to_bits());
    }

    #[test]
    fn frozen_numbers_that_are_none_leave_the_judge_without_increments(
        steps in prop::collection::vec(any_minute(), 1..10), phi in any::<f64>(), hours in any::<u32>(), waves in any::<u32>(),
    ) {
        let odd = Frozen {
            phi, phi_tenant: phi, phi_past: phi, phi_traffic: phi, shape: Some(Edges { seconds: vec![phi], phi }), planned_hours: hours, planned_waves: waves, ..frozen(0..4)
        };
        let mut config = api_errors();
        (config.compare.shape, config.compare.traffic) = (true, Some(phi));
        let ln_e = run(&config, &armed(odd), &steps);
        prop_assert!(ln_e.is_finite());
        if !phi.is_finite() {
            prop_assert!(ln_e <= 1e-9, "{ln_e}");
        }
    }

    #[test]
    fn a_restart_is_the_sum_of_two_mixtures(
        sides in prop::collection::vec((any_side(), any_side()), 1..30), mass in 1e-6..0.5_f64, at in 0..30_usize,
    ) {
        let test = breakwater_slo::Test::new(1.2, 1e-4, 2.0).expect("sound margins");
        let (mut whole, mut first, mut second) = (Mixture::default(), Mixture::default(), Mixture::EMPTY);
        for (step, (candidate, baseline)) in sides.iter().enumerate() {
            if step == at.min(sides.len() - 1) {
                whole.restart(mass);
                second.restart(mass);
            }
            let increments = test.increments(*candidate, *baseline).expect("sound numbers");
            for mixture in [&mut whole, &mut first, &mut second] {
                mixture.grow(&increments);
            }
        }
        let parts = (first.ln_e().exp() + second.ln_e().exp()).ln();
        prop_assert!((whole.ln_e() - parts).abs() < 1e-9 * (1.0 + parts.abs()), "{} {parts}", whole.ln_e());
        prop_assert!(Mixture::EMPTY.ln_e() < -1e300 && GAIN_COUNT == 7);
    }
}
