//! What holds for every stream.

use crate::bed::{self, Bed, Noise, START_SECONDS, STEP_SECONDS, api_errors, counted};
use breakwater_slo::{
    Action, Against, Arm, Comparison, Config, Counts, Discard, Doubt, Edges, Evidence, Frozen, Kind, Past,
    Reading, Sample, Series, Side, State, Step, Tail, TenantId, Verdict,
};
use proptest::prelude::*;

fn any_series() -> impl Strategy<Value = Series> {
    prop_oneof![
        6 => (0.0..1.0_f64, 0.0..1e4_f64).prop_map(|(share, total)| {
            Series::Counted(Counts { bad: share * total, total })
        }),
        1 => (any::<f64>(), any::<f64>()).prop_map(|(bad, total)| Series::Counted(Counts { bad, total })),
        1 => Just(Series::Idle),
        1 => Just(Series::Absent),
        1 => Just(Series::Discarded(Discard::Restart)),
        1 => Just(Series::Discarded(Discard::Invalid)),
    ]
}

fn any_sample(tenant: u64) -> impl Strategy<Value = Sample> {
    let arm = prop_oneof![4 => Just(Arm::Candidate), 4 => Just(Arm::Baseline), 1 => Just(Arm::Warming)];
    let own =
        prop_oneof![4 => (1e-4..0.1_f64).prop_map(Some), 1 => any::<f64>().prop_map(Some), 1 => Just(None)];
    (arm, any_series(), prop::bool::weighted(0.9), prop::bool::weighted(0.1), own).prop_map(
        move |(arm, series, instrumented, burned_before, own)| Sample {
            tenant: TenantId(tenant),
            arm,
            series,
            instrumented,
            burned_before,
            own,
            usual: own.map(|own| own * 1e4),
        },
    )
}

#[derive(Debug, Clone)]
enum Owned {
    Counts(Vec<Sample>),
    Values(Vec<f64>),
    Missing,
}

impl Owned {
    fn reading(&self) -> Reading<'_> {
        match self {
            Self::Counts(samples) => Reading::Counts(samples),
            Self::Values(values) => Reading::Values(values),
            Self::Missing => Reading::Missing("time-out"),
        }
    }
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    (any_sample(1), any_sample(2), any_sample(3), any_sample(4)).prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

fn any_reading() -> impl Strategy<Value = Owned> {
    prop_oneof![
        8 => any_samples().prop_map(Owned::Counts),
        1 => prop::collection::vec(any::<f64>(), 0..3).prop_map(Owned::Values),
        1 => Just(Owned::Missing),
    ]
}

fn any_config() -> impl Strategy<Value = Config> {
    let limit = Kind::Limit { max: Some(1.0), min: Some(-1.0), for_seconds: 180 };
    prop_oneof![
        4 => Just(api_errors()),
        1 => Just(Config::ratio(0.99, 5)),
        1 => Just(Config::ratio(0.95, 240).rounded_to_steps()),
        1 => Just(Config { kind: limit, ..api_errors() }),
        // Never checked: must not panic either.
        1 => (any::<f64>(), any::<i64>(), any::<i64>(), any::<f64>()).prop_map(|(objective, step, window, factor)| {
            let mut config = Config::ratio(objective, step);
            config.page[0].long_seconds = window;
            config.page[1].factor = factor;
            config
        }),
    ]
}

/// Everything that a planner may say of the comparison.
fn any_comparison() -> impl Strategy<Value = Comparison> {
    let against = prop_oneof![
        Just(Against::Others),
        Just(Against::Both),
        Just(Against::History { chosen: true }),
        Just(Against::History { chosen: false }),
    ];
    let armed = (against, 0..5_u64).prop_map(|(against, own)| {
        let shape = Some(Edges { seconds: vec![0.0, 1.0], phi: 1.25 });
        Comparison::Armed(Frozen { against, shape, ..bed::frozen(0..own) }.into())
    });
    let doubt = any::<bool>().prop_map(|guards| Doubt { reason: "ümlaut ".repeat(50), guards });
    prop_oneof![
        2 => Just(Comparison::Off),
        1 => Just(Comparison::Pending("no history".into())),
        1 => doubt.prop_map(Comparison::Uncalibrated),
        4 => armed,
    ]
}

fn is_sound(evidence: &Evidence) -> Result<(), TestCaseError> {
    let Evidence { verdict, action, value, baseline, limit, requests, bad, guilty, reason, .. } = evidence;
    prop_assert_eq!(*verdict == Verdict::Deviating, *action == Action::Deviate);
    prop_assert!(*verdict != Verdict::NoData || *action == Action::Hold);
    prop_assert!(*verdict != Verdict::Healthy || *action == Action::None);
    let numbers = [*value, *baseline, *limit, Some(*requests), Some(*bad)];
    prop_assert!(numbers.into_iter().flatten().all(f64::is_finite), "{:?}", evidence);
    prop_assert!(guilty.iter().all(|(_, counts)| counts.bad <= counts.total && counts.total > 0.0));
    prop_assert!(*verdict != Verdict::Uncalibrated || *action == Action::Hold);
    prop_assert!(
        evidence.ln_e.is_none_or(f64::is_finite)
            && evidence
                .detectable
                .is_none_or(|seen| seen.ratio.is_none_or(f64::is_finite) && (0.0..=1.0).contains(&seen.share))
    );
    prop_assert!(evidence.alone.len() <= evidence.guilty_total.max(32));
    prop_assert!(!reason.is_empty() && reason.len() < 600, "{}", reason);
    Ok(())
}

fn fed(config: &Config, readings: &[Owned]) -> State {
    let mut state = State::default();
    for (step, reading) in (1_i64..).zip(readings) {
        let end_seconds = START_SECONDS.saturating_add(step.saturating_mul(config.step_seconds));
        state.feed(config, &Step::new(end_seconds, reading.reading()));
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_stream_panics_or_makes_unsound_evidence(
        config in any_config(),
        steps in prop::collection::vec((prop_oneof![3 => Just(60_i64), 1 => any::<i64>()], any_reading()), 0..40),
        now_seconds in any::<i64>(),
        comparison in any_comparison(),
        numbers in any::<(f64, f64, f64)>(),
    ) {
        let mut config = config;
        (config.compare.shape, config.compare.traffic) = (numbers.0 > 0.0, (numbers.1 > 0.0).then_some(1.5));
        let mut state = State::default();
        state.compare(comparison);
        let mut end_seconds = START_SECONDS;
        let past = Some(Past { bad: numbers.0, exposure: numbers.1, good: numbers.2, usual: numbers.0 });
        let tail = Tail { candidate: Side { bad: numbers.0, exposure: numbers.1, requests: 1.0 }, ..Tail::default() };
        for (gap_seconds, reading) in &steps {
            end_seconds = end_seconds.saturating_add(*gap_seconds);
            let step = Step { past, tails: &[tail], ..Step::new(end_seconds, reading.reading()) };
            state.feed(&config, &step);
            state.feed_recent(&config, &Step::new(end_seconds, reading.reading()));
            for now_seconds in [now_seconds, end_seconds] {
                if let Some(evidence) = state.evidence(&config, now_seconds) {
                    is_sound(&evidence)?;
                }
            }
        }
    }

    #[test]
    fn r12_missing_steps_alone_never_deviate_and_never_pass(config in any_config(), count in 0_i64..100) {
        let mut state = State::default();
        state.begin(START_SECONDS);
        for step in 1..=count {
            let end_seconds = START_SECONDS.saturating_add(step.saturating_mul(config.step_seconds));
            state.feed(&config, &Step::new(end_seconds, Reading::Missing("time-out")));
            let evidence = state.evidence(&config, end_seconds);
            let verdict = evidence.map(|evidence| evidence.verdict);
            prop_assert!(matches!(verdict, Some(Verdict::NoData | Verdict::Inconclusive)), "{:?}", verdict);
        }
    }

    #[test]
    fn feeding_a_step_twice_changes_nothing(readings in prop::collection::vec(any_reading(), 1..30)) {
        let config = api_errors();
        let state = fed(&config, &readings);
        let mut again = state.clone();
        for (step, reading) in (1_i64..).zip(&readings) {
            for late_seconds in [0, -30, 30] {
                let end_seconds = START_SECONDS + step * STEP_SECONDS + late_seconds;
                again.feed(&config, &Step::new(end_seconds, reading.reading()));
                again.feed_recent(&config, &Step::new(end_seconds.min(START_SECONDS + step * STEP_SECONDS), reading.reading()));
            }
        }
        prop_assert_eq!(format!("{:?}", again), format!("{:?}", state));
    }

    #[test]
    fn a_trip_through_json_and_a_refill_give_equal_evidence(
        config in any_config(),
        readings in prop::collection::vec(any_reading(), 1..60),
    ) {
        let state = fed(&config, &readings);
        let json = serde_json::to_string(&state).expect("state serialises");
        let mut back: State = serde_json::from_str(&json).expect("state reads back");
        prop_assert_eq!(&back, &state);
        for (step, reading) in (1_i64..).zip(&readings) {
            let end_seconds = START_SECONDS.saturating_add(step.saturating_mul(config.step_seconds));
            back.feed_recent(&config, &Step::new(end_seconds, reading.reading()));
        }
        let now_seconds = state.until_seconds().unwrap_or(START_SECONDS);
        prop_assert_eq!(back.evidence(&config, now_seconds), state.evidence(&config, now_seconds));
    }

    #[test]
    fn the_order_of_samples_means_nothing(
        readings in prop::collection::vec((any_samples(), any_samples()).prop_map(|(a, b)| {
            let shift = |sample: Sample| Sample { tenant: TenantId(sample.tenant.0 + 10), ..sample };
            a.into_iter().chain(b.into_iter().map(shift)).collect::<Vec<_>>()
        }), 1..20),
        turn in 0_usize..8,
    ) {
        let config = api_errors();
        let turned: Vec<Owned> = readings.iter().map(|samples| {
            let mut samples = samples.clone();
            samples.rotate_left(turn);
            samples.reverse();
            Owned::Counts(samples)
        }).collect();
        let straight: Vec<Owned> = readings.into_iter().map(Owned::Counts).collect();
        let now_seconds = START_SECONDS + i64::try_from(straight.len()).unwrap_or(0) * STEP_SECONDS;
        let (one, other) = (fed(&config, &straight), fed(&config, &turned));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.evidence(&config, now_seconds), other.evidence(&config, now_seconds));
    }

    #[test]
    fn a_burn_at_twenty_times_is_found_within_the_long_window(
        healthy_minutes in 0_usize..400,
        candidates in 1_u64..6,
        requests in 20.0..2_000.0_f64,
    ) {
        let mut bed = Bed::new(api_errors());
        let fleet = |ratio: f64| -> Vec<Sample> {
            let of = |arm, first: u64, ratio: f64| {
                (first..first + candidates).map(move |tenant| counted(tenant, arm, requests * ratio, requests))
            };
            of(Arm::Candidate, 0, ratio).chain(of(Arm::Baseline, 100, 0.002)).collect()
        };
        bed.minutes(healthy_minutes, &fleet(0.002));
        let mut minutes = 0;
        while minutes == 0 || bed.evidence().action != Action::Deviate {
            bed.minutes(1, &fleet(0.1));
            minutes += 1;
            prop_assert!(minutes <= 60, "{}", bed.sentence());
        }
    }
}

#[test]
fn healthy_streams_never_deviate_in_a_week_of_minutes() {
    for seed in 1..=4 {
        let mut noise = Noise::new(seed);
        let mut bed = Bed::new(api_errors());
        for minute in 0..10_080_u32 {
            // Day cycle of the traffic and of the errors, 0.1 % to 0.3 %, small tenants; a share that grows.
            let day = (f64::from(minute) / 1_440.0 * std::f64::consts::TAU).sin();
            let (traffic, ratio) = (60.0 * (1.2 + day), 0.002 + 0.001 * day);
            let updated = u64::from(minute / 500);
            let samples: Vec<Sample> = (0..25)
                .map(|tenant| {
                    let arm = if tenant <= updated { Arm::Candidate } else { Arm::Baseline };
                    let total = noise.poisson(traffic).max(1.0);
                    counted(tenant, arm, noise.poisson(total * ratio).min(total), total)
                })
                .collect();
            bed.minutes(1, &samples);
            let evidence = bed.evidence();
            assert_eq!(evidence.action, Action::None, "seed {seed}, minute {minute}: {}", bed.sentence());
        }
    }
}

#[test]
fn the_stored_state_is_bounded() {
    let mut over = false;
    // (requests a minute of a candidate, of the baseline, step, most bytes)
    for (candidate, baseline, step_seconds, bytes_max) in
        [(200.0, 1_800.0, 60, 2_048), (4e4, 3.6e5, 60, 2_560), (4e4, 3.6e5, 5, 3_072), (1e9, 1e9, 60, 4_096)]
    {
        let mut config = Config::ratio(0.995, step_seconds);
        config.page[0].factor = 14.4;
        let mut bed = Bed::new(config);
        let share = step_seconds as f64 / 60.0;
        let whole = |arm, tenant, per_minute: f64| {
            counted(tenant, arm, (per_minute * share * 0.004).round(), (per_minute * share).round())
        };
        let samples = [whole(Arm::Candidate, 1, candidate), whole(Arm::Baseline, 2, baseline)];
        let (mut most, steps) = (0, 4 * 86_400 / step_seconds);
        for step in 0..steps {
            bed.minutes(1, &samples);
            if step % 997 == 0 || step == steps - 1 {
                most = most.max(serde_json::to_string(&bed.state).expect("state serialises").len());
            }
        }
        println!("{candidate}+{baseline} a minute, step {step_seconds}s: {most} bytes");
        over |= most > bytes_max;
    }
    assert!(!over);
}
