//! The comparison through the judge: what it finds, what it leaves alone, and in which words.

use crate::bed::{self, Bed, Noise, api_errors, counted, frozen, owned, silent, tenants};
use breakwater_slo::{
    Action, Against, Arm, Comparison, Doubt, Edges, Frozen, Guard, Members, PHI_MIN, Past, Reading, Sample,
    Series, Side, State, Step, Tail, TenantId, Verdict, combine, replay,
};

/// Candidates and baseline tenants, Poisson counts around these means; own ratios are 0.2 %.
fn noisy(noise: &mut Noise, candidates: u64, ratio: f64, baseline_ratio: f64) -> Vec<Sample> {
    let mut one = |tenant, arm, ratio: f64| {
        let total = noise.poisson(200.0);
        owned(counted(tenant, arm, noise.poisson(200.0 * ratio).min(total), total), 0.002)
    };
    let candidate: Vec<Sample> = (0..candidates).map(|n| one(n, Arm::Candidate, ratio)).collect();
    candidate.into_iter().chain((100..120).map(|n| one(n, Arm::Baseline, baseline_ratio))).collect()
}

fn armed_bed(candidates: u64) -> Bed {
    let mut bed = Bed::new(api_errors());
    bed.state.compare(Comparison::Armed(frozen(0..candidates).into()));
    bed
}

/// Minutes until the judge deviates, at most `most`.
fn until_deviating(
    bed: &mut Bed,
    most: usize,
    mut samples: impl FnMut(usize) -> Vec<Sample>,
) -> Option<usize> {
    (1..=most).find(|minute| {
        bed.minutes(1, &samples(*minute));
        bed.evidence().action == Action::Deviate
    })
}

#[test]
fn r30_a_steady_rise_below_every_burn_rate_is_found_and_told() {
    let mut noise = Noise::new(1);
    let mut bed = armed_bed(10);
    let minutes = until_deviating(&mut bed, 600, |_| noisy(&mut noise, 10, 0.0048, 0.002));
    assert!(minutes.is_some_and(|minutes| minutes < 120), "{minutes:?}");
    let evidence = bed.evidence();
    assert_eq!((evidence.guard, evidence.verdict), (Some(Guard::Comparison), Verdict::Deviating));
    assert!(evidence.ln_e >= evidence.ln_limit);
    assert!(evidence.value.unwrap() > 1.2 * evidence.baseline.unwrap());
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 0.5% against 0.2% baseline (2.3x, limit 1.2x) over 23m, 46k requests, certainty 99.1%");
}

#[test]
fn a_rise_that_the_margin_allows_is_not_found_and_neither_is_one_of_the_whole_fleet() {
    let mut noise = Noise::new(2);
    let mut bed = armed_bed(10);
    bed.config.compare.ratio = 3.0;
    assert_eq!(until_deviating(&mut bed, 1_000, |_| noisy(&mut noise, 10, 0.0048, 0.002)), None);
    let mut bed = armed_bed(10);
    let fleet = |minute: usize| if minute % 300 < 40 { 0.004 } else { 0.002 };
    assert_eq!(
        until_deviating(&mut bed, 1_000, |minute| noisy(&mut noise, 10, fleet(minute), fleet(minute))),
        None
    );
    assert_eq!(bed.evidence().verdict, Verdict::Healthy);
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 0.2% against 0.2% baseline (burn rate 0.4x, limit 6x) over 6h and 30m, 705k requests; could detect >= 1.6x (0.4%)");
}

#[test]
fn r13_healthy_streams_do_not_deviate_whatever_their_tenants_are_like() {
    for seed in 1..=20 {
        let mut noise = Noise::new(seed);
        let mut bed = armed_bed(10);
        let found = until_deviating(&mut bed, 1_440, |minute| {
            let day = 1.0 + 0.8 * (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
            // Own ratios from 0.1 % to 1 %; the better ones are updated first.
            (0..20_u32)
                .map(|tenant| {
                    let own = 0.001 * f64::from(1 + tenant % 10);
                    let arm = if tenant as usize <= minute / 200 { Arm::Candidate } else { Arm::Baseline };
                    let total = noise.poisson(60.0 * day);
                    let bad = noise.poisson(total * own).min(total);
                    owned(counted(tenant.into(), arm, bad, total), own)
                })
                .collect()
        });
        assert_eq!(found, None, "seed {seed}: {}", bed.sentence());
    }
}

#[test]
fn r12_an_hour_without_data_changes_neither_evidence_nor_verdict() {
    let mut noise = Noise::new(3);
    let mut bed = armed_bed(10);
    bed.minutes(1, &noisy(&mut noise, 10, 0.004, 0.002));
    for _ in 0..20 {
        let samples = noisy(&mut noise, 10, 0.004, 0.002);
        bed.minutes(1, &samples);
    }
    let before = bed.evidence();
    bed.missing(30);
    assert_eq!((bed.evidence().verdict, bed.evidence().ln_e), (Verdict::NoData, before.ln_e));
    let quiet =
        [silent(10, Arm::Candidate, Series::Idle), silent(20, Arm::Baseline, Series::Absent)].concat();
    bed.minutes(5, &quiet);
    assert_eq!(bed.evidence().ln_e, before.ln_e, "an arm without exposure is no information");
    assert_eq!(bed.evidence().detectable, before.detectable);
}

#[test]
fn without_frozen_data_the_guards_speak_alone_and_in_their_own_words() {
    let mut bed = Bed::new(api_errors());
    let mut noise = Noise::new(4);
    for _ in 0..200 {
        let samples = noisy(&mut noise, 10, 0.0048, 0.002);
        bed.minutes(1, &samples);
    }
    let evidence = bed.evidence();
    assert_eq!((evidence.verdict, evidence.ln_e, evidence.detectable), (Verdict::Healthy, None, None));
    assert!(!evidence.reason.contains("detect"));
    assert!(!serde_json::to_string(&bed.state).unwrap().contains("compared"));
}

#[test]
fn r11_what_is_not_calibrated_holds_and_asks_and_never_reverts() {
    use Verdict::{Deviating, Healthy, Inconclusive, NoData, Uncalibrated};
    let healthy =
        [tenants(3, Arm::Candidate, 2.0, 1_000.0), tenants(20, Arm::Baseline, 2.0, 1_000.0)].concat();
    let burning =
        [tenants(3, Arm::Candidate, 300.0, 1_000.0), tenants(20, Arm::Baseline, 2.0, 1_000.0)].concat();
    let doubt =
        |guards| Comparison::Uncalibrated(Doubt { reason: "fired on 3 May for tenant a/b".into(), guards });
    let pending = || Comparison::Pending("no history".into());
    // (what the planner says, samples, verdict, action)
    for (comparison, samples, verdict, action) in [
        (pending(), &healthy, Verdict::Uncalibrated, Action::Hold),
        (pending(), &burning, Verdict::Deviating, Action::Deviate),
        (doubt(false), &healthy, Verdict::Uncalibrated, Action::Hold),
        (doubt(false), &burning, Verdict::Deviating, Action::Deviate),
        (doubt(true), &burning, Verdict::Uncalibrated, Action::Hold),
    ] {
        let mut bed = Bed::new(api_errors());
        bed.state.compare(comparison.clone());
        bed.minutes(10, samples);
        assert_eq!((bed.evidence().verdict, bed.evidence().action), (verdict, action), "{comparison:?}");
        bed.missing(1);
        assert_eq!(bed.evidence().verdict, Verdict::NoData, "no data comes before it");
    }
    let mut bed = Bed::new(api_errors());
    bed.state.compare(doubt(false));
    bed.minutes(10, &healthy);
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: not calibrated, holding: fired on 3 May for tenant a/b; 0.2% against 0.2% baseline (burn rate 0.4x, limit 6x) over 6h and 30m, 30k requests");
    assert_eq!(Verdict::combine([Healthy, Inconclusive, Uncalibrated]), Some(Uncalibrated));
    assert_eq!(Verdict::combine([NoData, Uncalibrated]), Some(NoData));
    assert_eq!(Verdict::combine([Uncalibrated, Deviating]), Some(Deviating));
}

/// Candidates at `ratio`, baseline at 0.2 %, their own past at `past_ratio`; without a baseline where it is `None`.
fn with_past(bed: &mut Bed, noise: &mut Noise, ratio: f64, baseline: Option<f64>, past_ratio: f64) {
    let mut samples = noisy(noise, 5, ratio, baseline.unwrap_or(0.0));
    samples.retain(|sample| sample.arm == Arm::Candidate || baseline.is_some());
    let past = Past { bad: noise.poisson(1_000.0 * past_ratio), exposure: 2.0, good: 998.0, usual: 998.0 };
    bed.now_seconds += 60;
    let step = Step { past: Some(past), ..Step::new(bed.now_seconds, Reading::Counts(&samples)) };
    bed.state.feed(&bed.config, &step);
}

#[test]
fn history_alone_holds_unless_it_was_chosen_and_both_must_agree() {
    let chosen = |chosen| Against::History { chosen };
    // (against, baseline's ratio, past's ratio, action of a candidate at 1 %)
    for (against, baseline, past, action) in [
        (chosen(true), None, 0.002, Action::Deviate),
        (chosen(false), None, 0.002, Action::Hold),
        (chosen(true), Some(0.002), 0.01, Action::None),
        (Against::Both, Some(0.002), 0.002, Action::Deviate),
        (Against::Both, None, 0.002, Action::Hold),
        (Against::Both, Some(0.002), 0.01, Action::Hold),
        (Against::Both, Some(0.01), 0.002, Action::Hold),
        (Against::Both, Some(0.01), 0.01, Action::None),
        (Against::Others, Some(0.01), 0.002, Action::None),
        (Against::Others, None, 0.002, Action::None),
    ] {
        let mut noise = Noise::new(5);
        let mut bed = Bed::new(api_errors());
        bed.config.hold.clear();
        bed.config.page.clear();
        bed.state.compare(Comparison::Armed(Frozen { against, ..frozen(0..5) }.into()));
        for _ in 0..100 {
            with_past(&mut bed, &mut noise, 0.01, baseline, past);
        }
        let case = format!("{against:?} {baseline:?} {past}: {}", bed.sentence());
        assert_eq!(bed.evidence().action, action, "{case}");
        assert_eq!(bed.evidence().guard == Some(Guard::Comparison), action != Action::None, "{case}");
        assert!(bed.evidence().limit.is_none_or(f64::is_finite));
    }
}

#[test]
fn r22_the_guilty_are_named_and_the_one_that_carries_the_release_alone_as_well() {
    let mut bed = armed_bed(20);
    bed.config.page.clear();
    bed.config.hold.clear();
    bed.config.sharp.factor = 150.0;
    let mut noise = Noise::new(6);
    let mut minute = |bed: &mut Bed| {
        let mut samples = noisy(&mut noise, 20, 0.002, 0.002);
        for sample in samples.iter_mut().filter(|sample| sample.tenant.0 == 7) {
            *sample = owned(counted(7, Arm::Candidate, 8.0, 200.0), 0.002);
        }
        bed.minutes(1, &samples);
    };
    let found = (1..100).find(|_| {
        minute(&mut bed);
        bed.evidence().action == Action::Hold
    });
    assert!(found.is_some_and(|minutes| minutes < 10), "{found:?}");
    let evidence = bed.evidence();
    assert_eq!(evidence.guard, Some(breakwater_slo::Guard::Comparison));
    assert!(evidence.reason.ends_with("1 tenant; one tenant alone: holding"), "{}", evidence.reason);
    assert_eq!((evidence.guilty_total, evidence.guilty[0].0), (1, TenantId(7)));
    assert_eq!(evidence.alone, [TenantId(7)]);
    assert!((evidence.guilty[0].1.ratio().unwrap() - 0.04).abs() < 0.01, "its own counts");
    // It is dealt with; the release goes on without it.
    bed.state.forgive(&[TenantId(7)]);
    assert_eq!((bed.evidence().action, bed.evidence().alone.len()), (Action::None, 0));
    for _ in 0..5 {
        minute(&mut bed);
    }
    assert!(bed.evidence().alone.is_empty(), "and stays out");
}

#[test]
fn leavers_keep_their_evidence_frozen() {
    let mut bed = armed_bed(2);
    let ill = [
        owned(counted(0, Arm::Candidate, 1.0, 100.0), 0.002),
        owned(counted(1, Arm::Candidate, 0.0, 100.0), 0.002),
        owned(counted(100, Arm::Baseline, 0.0, 9_000.0), 0.002),
    ];
    bed.minutes(5, &ill);
    let before = bed.evidence().ln_e.unwrap();
    bed.minutes(120, &[ill[2]]);
    assert!((bed.evidence().ln_e.unwrap() - before).abs() < 0.05, "restarts of the pool only");
}

#[test]
fn a_slower_shape_is_found_where_the_threshold_shows_nothing() {
    let mut bed = armed_bed(5);
    bed.config.compare.shape = true;
    let edges = [0.1, 0.25, 0.5, 2.5];
    let shape = Some(Edges { seconds: edges.to_vec(), phi: PHI_MIN });
    bed.state.compare(Comparison::Armed(Frozen { shape, ..frozen(0..5) }.into()));
    let mut noise = Noise::new(8);
    let tail = |bad| Side { bad, exposure: 100.0, requests: 1_000.0 };
    let mut minutes = 0;
    while bed.state.until_seconds().is_none() || bed.evidence().action != Action::Deviate {
        let samples = noisy(&mut noise, 5, 0.002, 0.002);
        let tails = [(0.1, 1.0), (0.25, 1.7), (0.5, 1.0), (2.5, 1.0)].map(|(edge_seconds, slower)| Tail {
            edge_seconds,
            candidate: tail(noise.poisson(100.0 * slower)),
            baseline: tail(noise.poisson(100.0)),
        });
        bed.now_seconds += 60;
        let step = Step { tails: &tails, ..Step::new(bed.now_seconds, Reading::Counts(&samples)) };
        bed.state.feed(&bed.config, &step);
        minutes += 1;
        assert!(minutes < 20, "{}", bed.sentence());
    }
    let sentence = bed.sentence();
    assert!(sentence.starts_with("api-errors of wave early: requests over 250 ms: 16.6% against 10.2% baseline (1.6x, limit 1.2x) over "), "{sentence}");
    let evidence = bed.evidence();
    assert!(evidence.value.is_some_and(|value| value > 0.15) && evidence.bad > 0.15 * evidence.requests);
}

#[test]
fn traffic_that_vanishes_deviates_where_baseline_and_past_agree_and_else_says_nothing() {
    for (now, past_good, action) in [
        (40.0, 1_000.0, Action::Deviate),
        (40.0, 200.0, Action::None),
        (0.0, 1_000.0, Action::Deviate),
        (150.0, 1_000.0, Action::None),
    ] {
        let mut bed = armed_bed(5);
        bed.config.compare.traffic = Some(2.0);
        let one = |tenant, arm, total| Sample {
            usual: Some(200.0),
            ..owned(counted(tenant, arm, 0.0, total), 0.002)
        };
        let mut samples: Vec<Sample> = (0..5).map(|tenant| one(tenant, Arm::Candidate, now)).collect();
        if now <= 0.0 {
            for sample in &mut samples {
                sample.series = Series::Idle;
            }
        }
        samples.extend((100..120).map(|tenant| one(tenant, Arm::Baseline, 200.0)));
        let past = Some(Past { bad: 0.0, exposure: 2.0, good: past_good, usual: 1_000.0 });
        // The clock begins with the first requests of both arms.
        bed.minutes(
            1,
            &[(0..5).map(|n| one(n, Arm::Candidate, 200.0)).collect(), samples[5..].to_vec()].concat(),
        );
        for _ in 0..20 {
            bed.now_seconds += 60;
            bed.state
                .feed(&bed.config, &Step { past, ..Step::new(bed.now_seconds, Reading::Counts(&samples)) });
        }
        assert_eq!(bed.evidence().action, action, "{now} {past_good}: {}", bed.sentence());
        if action == Action::Deviate && now > 0.0 {
            insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: successes at 20.0% of usual against 100.0% baseline (limit 50.0%) over 20m, 4000 requests, certainty over 99.99%");
        }
    }
}

#[test]
fn r7_a_ratio_is_excluded_by_exposure_and_nights_do_not_undo_that() {
    let mut bed = armed_bed(10);
    let mut noise = Noise::new(9);
    assert!(!bed.state.excluded(1_000.0));
    let mut last = f64::INFINITY;
    for minute in 0..1_440 {
        let is_night = minute > 700;
        let samples = noisy(&mut noise, if is_night { 1 } else { 10 }, 0.002, 0.002);
        bed.minutes(1, &samples);
        // Of what is usual and what the margin adds: the ratio to the baseline moves with the baseline.
        let detectable =
            bed.state.detectable().map_or(f64::INFINITY, |seen| seen.share / seen.must_share(1.0));
        assert!(detectable <= last, "a ratchet");
        last = detectable;
    }
    assert!(bed.state.excluded(2.0) && last > 1.2, "{last}");
    let ratio = bed.state.detectable().unwrap().ratio.unwrap();
    assert!(bed.sentence().contains(&format!("could detect >= {ratio:.1}x (")), "{}", bed.sentence());
}

#[test]
fn what_could_be_detected_counts_from_the_baseline_and_must_detect_from_what_the_margin_adds() {
    // 0.2 % of errors and an absolute margin of 0.05 % of the requests: 2x of both is 2.4x of the errors alone.
    let mut noise = Noise::new(12);
    let mut bed = armed_bed(10);
    bed.config.compare.absolute = Some(0.0005);
    for _ in 0..1_440 {
        let samples = noisy(&mut noise, 10, 0.002, 0.002);
        bed.minutes(1, &samples);
    }
    let seen = bed.state.detectable().unwrap();
    let ratio = seen.ratio.unwrap();
    assert!((seen.must_share(2.0) - 0.002 * 2.42).abs() < 0.000_1, "{seen:?}");
    assert!((seen.share / 0.002 - ratio).abs() < 0.05 * ratio, "{seen:?}");
    assert_eq!(seen.excludes(1.5), seen.share <= seen.must_share(1.5));
    // Without any error in the baseline there is a share, but no ratio worth a word.
    let mut bed = armed_bed(10);
    bed.config.compare.absolute = Some(0.0005);
    bed.minutes(1_440, &noisy(&mut noise, 10, 0.0, 0.0));
    assert!(bed.state.excluded(2.0) && bed.state.detectable().unwrap().ratio.is_none());
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 0% against 0% baseline (burn rate 0x, limit 14.4x) over 5m and 1m, 10k requests; could detect >= 0.059%");
}

#[test]
fn r7_a_wave_without_any_requests_has_excluded_nothing() {
    let mut bed = armed_bed(10);
    let mut noise = Noise::new(10);
    for _ in 0..1_000 {
        let samples = noisy(&mut noise, 10, 0.002, 0.002);
        bed.minutes(1, &samples);
    }
    assert!(bed.state.excluded(3.0));
    let waves =
        vec![Members::from((0..10).map(TenantId).collect::<Vec<_>>()), Members::from(vec![TenantId(50)])];
    let second = Frozen { waves, ..frozen(0..10) };
    bed.state.compare(Comparison::Armed(second.clone().into()));
    assert_eq!(bed.state.detectable(), None);
    for _ in 0..100 {
        let mut samples = noisy(&mut noise, 10, 0.002, 0.002);
        samples.push(Sample { own: Some(0.002), ..bed::sample(50, Arm::Candidate, Series::Idle) });
        bed.minutes(1, &samples);
        bed.state.compare(Comparison::Armed(second.clone().into()));
    }
    assert_eq!((bed.state.detectable(), bed.state.excluded(1e9)), (None, false));
    assert!(bed.sentence().ends_with("could not detect any ratio yet"), "{}", bed.sentence());
}

#[test]
fn what_is_detectable_is_what_is_found() {
    // The ratio that 300 minutes could find with 95 %, then streams of that ratio.
    let mut noise = Noise::new(11);
    let mut bed = armed_bed(10);
    for _ in 0..300 {
        let samples = noisy(&mut noise, 10, 0.002, 0.002);
        bed.minutes(1, &samples);
    }
    let ratio = bed.state.detectable().unwrap().ratio.unwrap();
    let mut found = 0;
    for seed in 0..60 {
        let mut noise = Noise::new(100 + seed);
        let mut bed = armed_bed(10);
        bed.config.hold.clear();
        bed.config.page.clear();
        bed.config.sharp.factor = 150.0;
        // With the margin's absolute part, as `R` counts: R/r0 times what is tolerated.
        let worse = ratio / 1.2 * (1.2 * 0.002 + 0.0005);
        found +=
            usize::from(until_deviating(&mut bed, 300, |_| noisy(&mut noise, 10, worse, 0.002)).is_some());
    }
    assert!(found >= 54, "{found} of 60 at {ratio}");
}

#[test]
fn r13_a_replay_says_whether_when_which_guard_and_which_tenants() {
    let config = api_errors();
    let mut noise = Noise::new(12);
    let minutes: Vec<Vec<Sample>> = (0..600)
        .map(|minute| {
            let mut samples = noisy(&mut noise, 10, 0.002, 0.002);
            if minute >= 300 {
                samples[3] = owned(counted(3, Arm::Candidate, 6.0, 200.0), 0.002);
            }
            samples
        })
        .collect();
    let steps = |upto: usize| {
        let all = minutes.iter().take(upto).zip(1_i64..);
        all.map(|(samples, minute)| Step::new(bed::START_SECONDS + 60 * minute, Reading::Counts(samples)))
    };
    let armed = || Comparison::Armed(frozen(0..10).into());
    let calm = replay(&config, armed(), steps(300));
    assert_eq!((calm.steps, calm.fired.len(), calm.held), (300, 0, 0));
    assert!(calm.detectable.is_some_and(|ratio| ratio < 4.0));
    let torn = replay(&config, armed(), steps(600));
    let fired = &torn.fired[0];
    assert!(torn.comparison_fired() && fired.at_seconds > bed::START_SECONDS + 60 * 300);
    assert_eq!(fired.evidence.guilty[0].0, TenantId(3));
    assert!(!replay(&config, Comparison::Off, steps(600)).comparison_fired());
    let outage: Vec<Sample> = noisy(&mut noise, 10, 0.3, 0.002);
    let steps =
        (1_i64..=10).map(|minute| Step::new(bed::START_SECONDS + 60 * minute, Reading::Counts(&outage)));
    assert!(replay(&config, Comparison::Off, steps).guard_fired());
}

#[test]
fn evidence_of_several_slos_is_combined_by_their_weights() {
    let mut bed = armed_bed(10);
    bed.config.compare.weight = 0.5;
    let mut noise = Noise::new(13);
    let found = until_deviating(&mut bed, 300, |_| noisy(&mut noise, 10, 0.006, 0.002));
    assert!(found.is_some());
    let evidence = bed.evidence();
    let ln_e = evidence.ln_e.unwrap();
    assert!(
        combine(&[(0.5, ln_e), (0.5, f64::NEG_INFINITY)], 0.01).deviates,
        "its own limit holds that already"
    );
    assert!((evidence.ln_limit.unwrap() - 200_f64.ln()).abs() < 1e-12);
}

#[test]
fn the_comparison_of_a_limit_says_nothing() {
    let kind = breakwater_slo::Kind::Limit { max: Some(5.0), min: None, for_seconds: 180 };
    let mut bed = Bed::new(breakwater_slo::Config { kind, ..api_errors() });
    bed.state.compare(Comparison::Armed(frozen(0..3).into()));
    bed.values(&[&[1.0]]);
    assert_eq!((bed.evidence().verdict, bed.evidence().ln_e), (Verdict::Healthy, None));
    assert_eq!(State::default().comparison(), &Comparison::Off);
}

#[test]
fn minutes_full_of_errors_of_one_tenant_now_and_then_are_no_deviation_of_the_release() {
    for seed in 1..=4 {
        let mut noise = Noise::new(seed);
        let mut bed = armed_bed(5);
        // Two percent of the requests a tenant, 0.2 % errors; every tenant has a minute of 40 errors every ten hours.
        let found = until_deviating(&mut bed, 3 * 1_440, |minute| {
            (0..50_u64)
                .map(|tenant| {
                    let arm = if tenant < 5 { Arm::Candidate } else { Arm::Baseline };
                    let is_burst = (minute as u64 + 97 * tenant).is_multiple_of(600);
                    let bad = if is_burst { 40.0 } else { noise.poisson(0.08) };
                    owned(counted(tenant, arm, bad, 40.0), 0.002)
                })
                .collect()
        });
        assert_eq!(found, None, "seed {seed}: {}", bed.sentence());
    }
}
