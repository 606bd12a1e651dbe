//! Burn rates, the sharp path, bounds, update cost: what speaks, when, and in which words.

use crate::bed::{Bed, api_errors, counted, silent, tenants};
use breakwater_slo::{
    Action, Arm, Config, GUILTY_MAX, Guard, Kind, Reading, Sample, Series, Step, TenantId, Verdict,
};

fn fleet(candidates: u64, bad: f64, baseline_bad: f64) -> Vec<Sample> {
    let mut samples = tenants(candidates, Arm::Candidate, bad, 1_000.0);
    samples.extend(tenants(20, Arm::Baseline, baseline_bad, 1_000.0));
    samples
}

#[test]
fn r10_before_the_first_warm_candidate_there_is_no_verdict_and_no_hold() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(3, &tenants(20, Arm::Baseline, 500.0, 1_000.0)).missing(2);
    bed.minutes(3, &tenants(20, Arm::Warming, 500.0, 1_000.0));
    assert_eq!(bed.state.evidence(&bed.config, bed.now_seconds), None);
    assert_eq!(bed.state.baseline_coverage().share(), None, "nobody is left in the baseline");
    bed.minutes(1, &silent(2, Arm::Baseline, Series::Absent));
    assert_eq!(bed.state.baseline_coverage().share(), Some(0.0), "which is checked instead");
    bed.minutes(1, &fleet(1, 0.0, 0.0));
    assert!(bed.state.evidence(&bed.config, bed.now_seconds).is_some());
}

#[test]
fn r10_a_warm_candidate_that_was_never_read_is_waited_for_and_then_no_data() {
    let mut bed = Bed::new(api_errors());
    bed.state.begin(bed.now_seconds);
    assert_eq!((bed.evidence().verdict, bed.evidence().action), (Verdict::Inconclusive, Action::None));
    bed.now_seconds += 241;
    assert_eq!((bed.evidence().verdict, bed.evidence().action), (Verdict::NoData, Action::Hold));
}

#[test]
fn r11_the_worst_verdict_of_several_slos_wins() {
    use Verdict::{Deviating, Healthy, Inconclusive, NoData};
    for (verdicts, combined) in [
        (&[][..], None),
        (&[Healthy, Healthy], Some(Healthy)),
        (&[Healthy, Inconclusive], Some(Inconclusive)),
        (&[NoData, Inconclusive, Healthy], Some(NoData)),
        (&[NoData, Deviating, Inconclusive], Some(Deviating)),
    ] {
        assert_eq!(Verdict::combine(verdicts.iter().copied()), combined, "{verdicts:?}");
    }
}

#[test]
fn a_healthy_candidate_is_inconclusive_until_the_shortest_page_window_is_full() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(4, &fleet(3, 2.0, 2.0));
    assert_eq!((bed.evidence().verdict, bed.evidence().action), (Verdict::Inconclusive, Action::None));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: watched for 4m of 5m: 0.2% against 0.2% baseline (burn rate 0.4x, limit 6x) over 6h and 30m, 12k requests");
    bed.minutes(1, &fleet(3, 2.0, 2.0));
    assert_eq!((bed.evidence().verdict, bed.evidence().action), (Verdict::Healthy, Action::None));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 0.2% against 0.2% baseline (burn rate 0.4x, limit 6x) over 6h and 30m, 15k requests");
}

#[test]
fn r30_a_sharp_deviation_says_value_limit_windows_requests_and_tenants() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(3, &fleet(2, 180.0, 6.0));
    let evidence = bed.evidence();
    assert_eq!((evidence.verdict, evidence.action), (Verdict::Deviating, Action::Deviate));
    assert_eq!(evidence.guard, Some(Guard::Sharp));
    assert_eq!((evidence.window_seconds, evidence.bad, evidence.requests), (300, 1_080.0, 6_000.0));
    assert_eq!(evidence.guilty_total, 2);
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 18.0% against 0.6% baseline (burn rate 36x, limit 14.4x) over 5m and 1m, 6000 requests, 2 tenants");
}

#[test]
fn the_sharp_path_takes_two_guilty_tenants_unless_there_is_one_candidate_only() {
    // (candidates that fail, all candidates, action, guilty)
    for (failing, all, action, guilty) in [
        (1, 1, Action::Deviate, 1),
        (1, 2, Action::Hold, 1),
        (2, 3, Action::Deviate, 2),
        (1, 5, Action::Hold, 1),
    ] {
        let mut samples = tenants(all, Arm::Candidate, 0.0, 1_000.0);
        for sample in samples.iter_mut().take(failing) {
            *sample = counted(sample.tenant.0, Arm::Candidate, 900.0, 1_000.0);
        }
        samples.extend(tenants(20, Arm::Baseline, 1.0, 1_000.0));
        let mut bed = Bed::new(api_errors());
        bed.minutes(2, &samples);
        let evidence = bed.evidence();
        assert_eq!((evidence.action, evidence.guilty_total), (action, guilty), "{failing} of {all}");
        assert_eq!(evidence.guard, Some(Guard::Sharp));
        assert_eq!(evidence.verdict == Verdict::Deviating, action == Action::Deviate);
    }
}

#[test]
fn a_tenant_with_one_stray_error_is_not_the_second_guilty_one() {
    let mut bed = Bed::new(api_errors());
    let base = tenants(20, Arm::Baseline, 0.0, 1_000.0);
    let calm = [counted(0, Arm::Candidate, 0.0, 500.0), counted(1, Arm::Candidate, 0.0, 10.0)];
    let torn = [counted(0, Arm::Candidate, 500.0, 500.0), counted(1, Arm::Candidate, 1.0, 10.0)];
    bed.minutes(2, &[&calm[..], &base].concat()).minutes(2, &[&torn[..], &base].concat());
    let evidence = bed.evidence();
    assert_eq!((evidence.action, evidence.guilty_total), (Action::Hold, 1), "2 of 40, not 2 of 20");
    assert_eq!(evidence.guilty[0].0, TenantId(0));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 49.1% against 0% baseline (burn rate 98.2x, limit 14.4x) over 5m and 1m, 2040 requests, 1 tenant; one tenant alone");
}

#[test]
fn r13_a_burst_of_two_tenants_holds_and_what_fails_in_a_second_minute_deviates() {
    let base = tenants(20, Arm::Baseline, 1.0, 1_000.0);
    let minute = |bad: [f64; 3]| {
        let of = |(tenant, bad): (u64, f64)| counted(tenant, Arm::Candidate, bad, 1_000.0);
        [(0..3).zip(bad).map(of).collect::<Vec<_>>(), base.clone()].concat()
    };
    let calm = minute([0.0; 3]);
    let mut bed = Bed::new(api_errors());
    bed.minutes(60, &calm).minutes(1, &minute([900.0, 0.0, 0.0])).minutes(1, &minute([0.0, 900.0, 0.0]));
    assert_eq!((bed.evidence().action, bed.evidence().guard), (Action::Hold, Some(Guard::Sharp)));
    assert!(bed.sentence().ends_with("; only once so far: holding"), "{}", bed.sentence());
    bed.minutes(1, &minute([900.0, 0.0, 0.0]));
    assert!(bed.sentence().ends_with("2 tenants; only once so far: holding"), "{}", bed.sentence());
    bed.minutes(1, &minute([900.0, 900.0, 0.0]));
    assert_eq!(bed.evidence().action, Action::Deviate, "{}", bed.sentence());
    // One candidate that is all there is.
    let only = |bad: f64| [vec![counted(0, Arm::Candidate, bad, 1_000.0)], base.clone()].concat();
    let mut bed = Bed::new(api_errors());
    bed.minutes(60, &only(0.0)).minutes(1, &only(900.0));
    assert_eq!(bed.evidence().action, Action::Hold);
    bed.minutes(1, &only(900.0));
    assert_eq!(bed.evidence().action, Action::Deviate);
    // So young that the five minutes stand for the page's hour as well.
    let mut bed = Bed::new(api_errors());
    bed.minutes(4, &only(0.0)).minutes(1, &only(900.0));
    assert_eq!(bed.evidence().action, Action::Hold, "{}", bed.sentence());
    bed.minutes(3, &only(0.0));
    assert_ne!(bed.evidence().action, Action::Deviate, "{}", bed.sentence());
    bed.minutes(1, &only(900.0));
    assert_eq!(bed.evidence().action, Action::Deviate, "{}", bed.sentence());
    // Steps as long as the window: there is no second look within it.
    let mut bed = Bed::new(Config { step_seconds: 300, ..api_errors() });
    bed.feed(Reading::Counts(&fleet(2, 180.0, 6.0)));
    assert_eq!(bed.evidence().action, Action::Deviate, "{}", bed.sentence());
}

#[test]
fn nobody_is_guilty_where_the_only_candidate_restarts_after_half_a_minute_of_errors() {
    let base = tenants(20, Arm::Baseline, 1.0, 1_000.0);
    let step = |arm, bad| [vec![counted(0, arm, bad, 1_000.0)], base.clone()].concat();
    let mut bed = Bed::new(Config { step_seconds: 20, ..api_errors() });
    bed.minutes(30, &step(Arm::Candidate, 0.0)).minutes(2, &step(Arm::Candidate, 900.0));
    for _ in 0..3 {
        bed.minutes(1, &step(Arm::Warming, 0.0));
        assert_ne!(bed.evidence().action, Action::Deviate, "{}", bed.sentence());
    }
}

#[test]
fn the_worst_minute_is_the_one_that_exceeds_the_limit_most() {
    // 6 % of a busy minute are within the limit of 7.2 %; the burst of a quiet one is not, and it is but one.
    let base = tenants(20, Arm::Baseline, 1.0, 1_000.0);
    let minute = |bad, total| {
        [(0..2).map(|n| counted(n, Arm::Candidate, bad, total)).collect(), base.clone()].concat()
    };
    let mut bed = Bed::new(api_errors());
    bed.minutes(60, &minute(0.0, 1_000.0)).minutes(4, &minute(0.0, 0.0));
    bed.minutes(1, &minute(60.0, 1_000.0)).minutes(1, &minute(50.0, 60.0));
    assert_eq!(bed.evidence().action, Action::Hold, "{}", bed.sentence());
}

#[test]
fn who_was_forgiven_speaks_against_nobody_and_the_next_one_is_found_as_fast() {
    let mut bed = Bed::new(api_errors());
    let base = tenants(20, Arm::Baseline, 0.0, 1_000.0);
    let torn = |bad: f64| [counted(0, Arm::Candidate, bad, 500.0), counted(1, Arm::Candidate, 0.0, 500.0)];
    let warming = [counted(2, Arm::Warming, 400.0, 500.0)];
    bed.minutes(4, &[&torn(500.0)[..], &warming, &base].concat());
    assert_eq!(bed.evidence().guilty.len(), 1);
    bed.state.forgive(&[TenantId(0)]);
    let evidence = bed.evidence();
    assert_eq!(
        (evidence.verdict, evidence.action),
        (Verdict::Inconclusive, Action::None),
        "{}",
        evidence.reason
    );
    let others = [counted(1, Arm::Candidate, 0.0, 500.0), counted(3, Arm::Candidate, 0.0, 500.0)];
    bed.minutes(5, &[&others[..], &base].concat());
    assert_eq!(bed.evidence().verdict, Verdict::Healthy);
    let both = [counted(1, Arm::Candidate, 500.0, 500.0), counted(3, Arm::Candidate, 500.0, 500.0)];
    bed.minutes(2, &[&both[..], &base].concat());
    assert_eq!(
        (bed.evidence().action, bed.evidence().guilty_total),
        (Action::Deviate, 2),
        "without the forgiven"
    );
}

#[test]
fn the_sharp_path_waits_for_ten_bad_events() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(2, &[tenants(2, Arm::Candidate, 2.0, 4.0), tenants(5, Arm::Baseline, 0.0, 4.0)].concat());
    assert_eq!(bed.evidence().action, Action::None, "8 bad");
    bed.minutes(1, &[tenants(2, Arm::Candidate, 2.0, 4.0), tenants(5, Arm::Baseline, 0.0, 4.0)].concat());
    assert_eq!(bed.evidence().action, Action::Deviate, "12 bad");
}

#[test]
fn a_page_pair_speaks_once_its_short_window_is_full_and_holds_ten_bad_events() {
    let mut config = api_errors();
    config.sharp.factor = 150.0; // out of the way
    // 10 % = 20x
    for (total, minutes, verdict) in
        [(1_000.0, 4, Verdict::Inconclusive), (1_000.0, 5, Verdict::Deviating), (10.0, 5, Verdict::Healthy)]
    {
        let mut bed = Bed::new(config.clone());
        bed.minutes(
            minutes,
            &[counted(1, Arm::Candidate, total / 10.0, total), counted(9, Arm::Baseline, 0.0, 9.0)],
        );
        assert_eq!(bed.evidence().verdict, verdict, "{total} after {minutes}m");
    }
}

#[test]
fn a_page_pair_falls_silent_soon_after_the_harm_ends() {
    let mut config = api_errors();
    config.sharp.factor = 150.0;
    let mut bed = Bed::new(config);
    bed.minutes(30, &fleet(1, 200.0, 0.0));
    assert_eq!(bed.evidence().verdict, Verdict::Deviating);
    bed.minutes(5, &fleet(1, 0.0, 0.0));
    let Some(Guard::BurnRate { pair, page: true }) = bed.evidence().guard else {
        panic!("{:?}", bed.evidence())
    };
    assert_eq!(pair.short_seconds, 1_800, "the slower pair still burns");
    bed.minutes(26, &fleet(1, 0.0, 0.0));
    assert_eq!(bed.evidence().verdict, Verdict::Healthy, "{}", bed.sentence());
}

#[test]
fn a_hold_pair_holds_and_does_not_deviate() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(120, &fleet(4, 20.0, 0.0));
    let evidence = bed.evidence();
    assert_eq!((evidence.verdict, evidence.action), (Verdict::Inconclusive, Action::Hold));
    assert!(matches!(evidence.guard, Some(Guard::BurnRate { page: false, .. })));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 2.0% against 0% baseline (burn rate 4x, limit 3x) over 1d and 2h, 480k requests, 4 tenants; holding");
}

#[test]
fn missing_steps_do_not_fill_a_window() {
    let mut config = api_errors();
    config.sharp.factor = 150.0;
    let mut bed = Bed::new(config);
    let burning = fleet(1, 200.0, 0.0);
    bed.minutes(60, &burning).missing(10).minutes(4, &burning);
    assert_ne!(
        bed.evidence()
            .guard
            .map(|guard| matches!(guard, Guard::BurnRate { pair, .. } if pair.short_seconds == 300)),
        Some(true)
    );
    bed.minutes(1, &burning);
    assert!(matches!(bed.evidence().guard, Some(Guard::BurnRate { pair, .. }) if pair.short_seconds == 300));
}

#[test]
fn r14_while_the_baseline_burns_as_well_it_is_held_and_not_a_deviation() {
    // Share of bad events of the baseline, per thousand; a third of 14.4x is 24.
    for (baseline_bad, exempt) in [(0.0, false), (23.0, false), (24.0, true), (200.0, true), (1_000.0, true)]
    {
        let mut bed = Bed::new(api_errors());
        bed.minutes(5, &fleet(3, 180.0, baseline_bad));
        let evidence = bed.evidence();
        assert_eq!(evidence.exempt, exempt, "{baseline_bad}");
        let expected = if exempt {
            (Verdict::Inconclusive, Action::Hold)
        } else {
            (Verdict::Deviating, Action::Deviate)
        };
        assert_eq!((evidence.verdict, evidence.action), expected, "{baseline_bad}");
    }
    let mut bed = Bed::new(api_errors());
    bed.minutes(5, &fleet(3, 180.0, 180.0));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 18.0% against 18.0% baseline (burn rate 36x, limit 14.4x) over 5m and 1m, 15k requests, 3 tenants; the baseline burns as well: holding");
}

#[test]
fn r14_a_shared_outage_right_after_the_first_update_never_deviates() {
    // The baseline's long windows dilute an outage with the hours before it, the young candidate's do not.
    for outage_bad in [50.0, 80.0, 150.0, 400.0, 1_000.0] {
        let mut bed = Bed::new(api_errors());
        bed.minutes(600, &fleet(0, 0.0, 0.0)).minutes(6, &fleet(3, 0.0, 0.0));
        for minute in 0..180 {
            let bad = if minute < 20 { outage_bad } else { 0.0 };
            bed.minutes(1, &fleet(3, bad, bad));
            assert_ne!(
                bed.evidence().action,
                Action::Deviate,
                "{outage_bad} minute {minute}: {}",
                bed.sentence()
            );
        }
    }
}

#[test]
fn r14_one_stray_error_of_a_small_baseline_excuses_nothing() {
    let mut bed = Bed::new(api_errors());
    let candidates = tenants(2, Arm::Candidate, 500.0, 1_000.0);
    bed.minutes(1, &[&candidates[..], &[counted(9, Arm::Baseline, 0.0, 1.0)]].concat());
    bed.minutes(1, &[&candidates[..], &[counted(9, Arm::Baseline, 1.0, 1.0)]].concat());
    assert_eq!(bed.evidence().action, Action::Deviate);
}

#[test]
fn r14_a_tenant_that_burned_before_is_left_out_of_every_guard() {
    let burned = |mut samples: Vec<Sample>| {
        for sample in &mut samples {
            sample.burned_before = true;
        }
        samples
    };
    let mut bed = Bed::new(api_errors());
    let ill = burned(tenants(3, Arm::Candidate, 900.0, 1_000.0));
    let warming = burned(tenants(3, Arm::Warming, 900.0, 1_000.0));
    let alone = [ill, warming, tenants(20, Arm::Baseline, 0.0, 1_000.0)].concat();
    bed.minutes(10, &alone);
    assert_eq!(
        (bed.evidence().verdict, bed.evidence().action),
        (Verdict::NoData, Action::Hold),
        "nobody is left"
    );
    let well = Sample { tenant: TenantId(900), ..tenants(1, Arm::Candidate, 0.0, 1_000.0)[0] };
    bed.minutes(10, &[&alone[..], &[well]].concat());
    assert_eq!((bed.evidence().verdict, bed.evidence().action), (Verdict::Healthy, Action::None));

    // Nor does an ill baseline tenant excuse the candidate.
    let mut bed = Bed::new(api_errors());
    let ill = burned(tenants(20, Arm::Baseline, 900.0, 1_000.0));
    bed.minutes(5, &[ill, tenants(2, Arm::Candidate, 900.0, 1_000.0)].concat());
    assert_eq!(bed.evidence().action, Action::Deviate);
}

#[test]
fn with_no_baseline_left_the_guards_still_speak() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(5, &tenants(40, Arm::Candidate, 300.0, 1_000.0));
    let evidence = bed.evidence();
    assert_eq!((evidence.action, evidence.baseline), (Action::Deviate, None));
    assert_eq!((evidence.guilty.len(), evidence.guilty_total), (GUILTY_MAX, 40));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 30.0%, no baseline (burn rate 60x, limit 14.4x) over 5m and 1m, 200k requests, 40 tenants");
}

#[test]
fn the_worst_tenants_come_first() {
    let mut samples: Vec<Sample> =
        (0..50_u8).map(|n| counted(n.into(), Arm::Candidate, 200.0 + f64::from(n), 1_000.0)).collect();
    samples.push(counted(99, Arm::Candidate, 1.0, 1.0));
    let mut bed = Bed::new(api_errors());
    bed.minutes(2, &samples);
    let evidence = bed.evidence();
    let ids: Vec<u64> = evidence.guilty.iter().map(|(tenant, _)| tenant.0).collect();
    assert_eq!(ids, (0..50).rev().take(GUILTY_MAX).collect::<Vec<_>>());
    assert_eq!((evidence.guilty[0].1.bad, evidence.guilty[0].1.total), (498.0, 2_000.0));
}

#[test]
fn update_cost_holds_per_wave_and_never_deviates() {
    let mut bed = Bed::new(api_errors());
    let warming = |bad, total| [fleet(2, 0.0, 0.0), tenants(1, Arm::Warming, bad, total)].concat();
    bed.minutes(5, &warming(1.0, 10.0));
    assert_eq!(bed.evidence().guard, None, "10 % of 50, but 5 bad events only");
    bed.minutes(5, &warming(1.0, 10.0));
    let evidence = bed.evidence();
    assert_eq!((evidence.verdict, evidence.action), (Verdict::Inconclusive, Action::Hold));
    assert_eq!(evidence.guard, Some(Guard::UpdateCost));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: 10.0% bad during warm-up (limit 5.0%) since the wave began, 100 requests; holding");
    bed.state.begin_wave();
    assert_eq!(bed.evidence().guard, None);
    bed.minutes(5, &warming(5.0, 100.0));
    assert_eq!(bed.evidence().guard, None, "exactly the limit");
}

fn reconnects(max: Option<f64>, min: Option<f64>) -> Config {
    Config { kind: Kind::Limit { max, min, for_seconds: 180 }, ..api_errors() }
}

#[test]
fn bounds_count_consecutive_time_and_not_cumulative() {
    let (good, bad): (&[f64], &[f64]) = (&[5.0], &[5.1]);
    for (values, verdict) in [
        (&[good][..], Verdict::Healthy),
        (&[bad, bad], Verdict::Inconclusive),
        (&[bad, bad, bad], Verdict::Deviating),
        (&[bad, bad, good, bad, bad], Verdict::Inconclusive),
        (&[bad, bad, &[f64::NAN], bad, bad], Verdict::Inconclusive),
        (&[bad, bad, bad, &[]], Verdict::NoData),
        (&[bad, bad, bad, &[f64::INFINITY]], Verdict::NoData),
        (&[bad, bad, bad, good], Verdict::Healthy),
        (&[bad, bad, &[5.1, 4.0]], Verdict::Healthy),
    ] {
        let mut bed = Bed::new(reconnects(Some(5.0), None));
        assert_eq!(bed.state.evidence(&bed.config, bed.now_seconds), None);
        assert_eq!(bed.values(values).evidence().verdict, verdict, "{values:?}");
    }
    let mut bed = Bed::new(reconnects(Some(5.0), None));
    bed.values(&[bad, bad]);
    bed.now_seconds += 60;
    assert_eq!(bed.values(&[bad]).evidence().verdict, Verdict::Inconclusive, "a step left out is a gap");
}

#[test]
fn r30_bounds_say_value_bound_and_time() {
    let mut bed = Bed::new(reconnects(Some(5.0), Some(1.0)));
    bed.values(&[&[7.25], &[7.25], &[7.25]]);
    insta::assert_snapshot!(bed.evidence().sentence("reconnects", "early"), @"reconnects of wave early: 7.25 (limit 1 to 5) for 3m (limit 3m)");
    bed.values(&[&[0.5]]);
    assert_eq!(bed.evidence().limit, Some(1.0), "the bound that was crossed");
    insta::assert_snapshot!(bed.evidence().sentence("reconnects", "early"), @"reconnects of wave early: 0.5 (limit 1 to 5) for 4m (limit 3m)");
    bed.values(&[&[2.0]]);
    insta::assert_snapshot!(bed.evidence().sentence("reconnects", "early"), @"reconnects of wave early: 2 (limit 1 to 5) over 3m");
}

#[test]
fn a_restart_of_the_evidence_forgets_all_but_what_was_read() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(10, &fleet(3, 300.0, 0.0));
    let until = bed.state.until_seconds();
    bed.state.restart();
    assert_eq!(bed.state.until_seconds(), until);
    assert_eq!(bed.state.evidence(&bed.config, bed.now_seconds), None);
    bed.minutes(1, &fleet(3, 0.0, 0.0));
    assert_eq!(bed.evidence().verdict, Verdict::Inconclusive);
    assert!(bed.evidence().bad <= 0.0);
}

#[test]
fn steps_of_five_seconds_work_as_steps_of_a_minute_do() {
    let mut bed = Bed::new(Config::ratio(0.995, 5));
    let calm = [tenants(3, Arm::Candidate, 0.0, 100.0), tenants(9, Arm::Baseline, 0.0, 100.0)].concat();
    let torn = [tenants(3, Arm::Candidate, 40.0, 100.0), tenants(9, Arm::Baseline, 0.0, 100.0)].concat();
    bed.minutes(720, &calm);
    assert_eq!(bed.evidence().verdict, Verdict::Healthy);
    let mut steps = 0;
    while bed.evidence().action != Action::Deviate {
        bed.minutes(1, &torn);
        steps += 1;
        assert!(steps <= 24, "{}", bed.sentence());
    }
    assert!(bed.state.until_seconds() == Some(bed.now_seconds));
    bed.feed(Reading::Missing("time-out"));
    assert_eq!(bed.evidence().verdict, Verdict::NoData);
}

#[test]
fn after_a_restart_of_the_process_the_sharp_path_holds_until_the_tenants_are_known_again() {
    let samples = fleet(3, 300.0, 0.0);
    let mut bed = Bed::new(api_errors());
    bed.minutes(3, &samples);
    let before = bed.evidence();
    assert_eq!(before.action, Action::Deviate);
    let json = serde_json::to_string(&bed.state).unwrap();
    bed.state = serde_json::from_str(&json).unwrap();
    assert_eq!((bed.evidence().verdict, bed.evidence().action), (Verdict::Inconclusive, Action::Hold));
    assert!(bed.sentence().ends_with("holding until the tenants are known"), "{}", bed.sentence());
    for minutes_ago in [2, 1, 0] {
        let end_seconds = bed.now_seconds - 60 * minutes_ago;
        bed.state.feed_recent(&bed.config, &Step::new(end_seconds, Reading::Counts(&samples)));
    }
    assert_eq!(bed.evidence(), before);
}

#[test]
fn the_stored_form_is_the_documented_one() {
    let mut bed = Bed::new(api_errors());
    bed.config.hold.clear();
    bed.minutes(2, &fleet(1, 2.0, 1.5)).missing(1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&bed.state).unwrap(), @r#"
    {
      "untilSeconds": 1736121780,
      "begunSeconds": 1736121600,
      "exposedSteps": 2,
      "windows": [
        "60/60*1@28935362:",
        "300/60*1@28935362:AEw-B8BginBAEw-B8BginBBAAAA",
        "1800/60*2@14467681:AIg9D4DgkuCCAAAA",
        "3600/60*3@9645120:BIg9D4DgkuC",
        "21600/60*18@1607520:QIg9D4DgkuC"
      ],
      "missing": "time-out",
      "candidate": {
        "tenants": 1,
        "instrumented": 1,
        "covered": 1,
        "neverInstrumented": 0
      },
      "baseline": {
        "tenants": 20,
        "instrumented": 20,
        "covered": 20,
        "neverInstrumented": 0
      }
    }
    "#);
}

#[test]
fn a_spike_that_spends_little_of_the_long_window_pages_nobody() {
    let mut config = api_errors();
    config.sharp.factor = 150.0;
    let mut bed = Bed::new(config);
    bed.minutes(60, &fleet(2, 0.0, 0.0)).minutes(5, &fleet(2, 200.0, 0.0));
    assert_eq!(bed.evidence().action, Action::None, "40x over 5m, 3.1x over 1h: {}", bed.sentence());
}

#[test]
fn a_pair_waits_for_the_whole_of_its_short_window() {
    let mut config = api_errors();
    config.sharp.factor = 150.0;
    config.page.remove(0);
    let mut bed = Bed::new(config);
    bed.minutes(29, &fleet(2, 50.0, 0.0));
    assert_eq!(bed.evidence().verdict, Verdict::Inconclusive);
    bed.minutes(1, &fleet(2, 50.0, 0.0));
    assert_eq!(bed.evidence().verdict, Verdict::Deviating);
}

#[test]
fn one_tenant_that_fails_alone_holds_at_once_and_deviates_when_the_pool_burns_through_a_page_pair() {
    let samples = [
        vec![counted(0, Arm::Candidate, 900.0, 1_000.0), counted(1, Arm::Candidate, 0.0, 1_000.0)],
        tenants(20, Arm::Baseline, 0.0, 1_000.0),
    ]
    .concat();
    let mut bed = Bed::new(api_errors());
    bed.minutes(4, &samples);
    assert_eq!((bed.evidence().action, bed.evidence().guard), (Action::Hold, Some(Guard::Sharp)));
    bed.minutes(1, &samples);
    assert_eq!(bed.evidence().action, Action::Deviate);
    assert!(matches!(bed.evidence().guard, Some(Guard::BurnRate { page: true, .. })));
}

#[test]
fn half_a_bad_event_makes_nobody_guilty() {
    let samples = [
        vec![counted(0, Arm::Candidate, 900.0, 1_000.0), counted(1, Arm::Candidate, 0.4, 1.0)],
        tenants(20, Arm::Baseline, 0.0, 1_000.0),
    ]
    .concat();
    let mut bed = Bed::new(api_errors());
    bed.minutes(2, &samples);
    assert_eq!((bed.evidence().action, bed.evidence().guilty_total), (Action::Hold, 1));
}
