//! R12: what cannot be read never passes and never reverts.

use crate::bed::{Bed, INVALID, RESTARTED, api_errors, sample, silent, tenants};
use breakwater_slo::{
    Action, Arm, Counts, CountsError, Guard, NoData, Reading, Sample, Series, Verdict, stale_after_seconds,
};

fn burning() -> Vec<Sample> {
    [tenants(10, Arm::Candidate, 500.0, 1_000.0), tenants(10, Arm::Baseline, 0.0, 1_000.0)].concat()
}

fn calm() -> Vec<Sample> {
    [tenants(10, Arm::Candidate, 1.0, 1_000.0), tenants(10, Arm::Baseline, 1.0, 1_000.0)].concat()
}

fn why(bed: &Bed) -> Option<NoData> {
    let evidence = bed.evidence();
    if evidence.verdict == Verdict::NoData {
        assert_eq!(evidence.action, Action::Hold);
    }
    match evidence.guard {
        Some(Guard::NoData(why)) => Some(why),
        _ => None,
    }
}

#[test]
fn r12_a_missing_step_is_no_data_and_ends_with_the_first_good_one() {
    for samples in [calm(), burning()] {
        let mut bed = Bed::new(api_errors());
        let before = bed.minutes(30, &samples).evidence().verdict;
        bed.missing(1);
        assert_eq!(why(&bed), Some(NoData::Missing));
        bed.minutes(5, &samples);
        assert_eq!(bed.evidence().verdict, before);
    }
    let mut bed = Bed::new(api_errors());
    bed.minutes(1, &calm()).missing(1);
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: no data: time-out, in the last step of 1m");
}

#[test]
fn r12_an_empty_answer_and_a_reading_of_the_wrong_kind_are_no_data() {
    for reading in [Reading::Counts(&[]), Reading::Values(&[1.0]), Reading::Values(&[])] {
        let mut bed = Bed::new(api_errors());
        bed.minutes(5, &burning()).feed(reading);
        assert_eq!(why(&bed), Some(NoData::Missing));
    }
}

#[test]
fn r12_an_old_step_and_one_from_the_future_are_no_data() {
    for (step_seconds, delay_seconds) in [(5, 0), (15, 0), (60, 0), (300, 0), (60, 900)] {
        let mut config = api_errors();
        (config.step_seconds, config.delay_seconds) = (step_seconds, delay_seconds);
        let mut bed = Bed::new(config);
        bed.minutes(100, &calm());
        let end = bed.now_seconds;
        let limit = stale_after_seconds(step_seconds) + delay_seconds;
        assert!(limit >= 180 && limit >= 4 * step_seconds);
        assert_eq!(bed.state.stale_at_seconds(&bed.config), Some(end + limit + 1));
        for (age, expected) in [
            (0, None),
            (limit, None),
            (limit + 1, Some(NoData::Stale)),
            (-step_seconds - 1, Some(NoData::Future)),
        ] {
            bed.now_seconds = end + age;
            assert_eq!(why(&bed), expected, "{step_seconds}s, {age}s old");
        }
    }
}

#[test]
fn r12_coverage_counts_what_is_there_idle_and_restarted_but_not_what_is_absent_or_invalid() {
    let nan = Series::Counted(Counts { bad: f64::NAN, total: 1.0 });
    let upside_down = Series::Counted(Counts { bad: 2.0, total: 1.0 });
    for (series, covered) in [
        (Series::Counted(Counts { bad: 0.0, total: 1.0 }), true),
        (Series::Idle, true),
        (RESTARTED, true),
        (Series::Absent, false),
        (INVALID, false),
        (nan, false),
        (upside_down, false),
    ] {
        for arm in [Arm::Candidate, Arm::Baseline] {
            let mut samples = calm();
            let expected = match arm {
                Arm::Candidate => NoData::CandidateCoverage,
                _ => NoData::BaselineCoverage,
            };
            let mut of_arm = samples.iter_mut().filter(|sample| sample.arm == arm);
            of_arm.next().unwrap().series = series;
            let mut bed = Bed::new(api_errors());
            bed.minutes(5, &samples);
            assert_eq!(why(&bed), None, "9 of 10 are enough");
            let mut of_arm = samples.iter_mut().filter(|sample| sample.arm == arm);
            of_arm.nth(1).unwrap().series = series;
            bed.minutes(1, &samples);
            assert_eq!(why(&bed), (!covered).then_some(expected), "{series:?} in {arm:?}");
        }
    }
}

#[test]
fn r12_without_coverage_nothing_reverts() {
    let mut bed = Bed::new(api_errors());
    let mut samples = burning();
    bed.minutes(5, &samples);
    assert_eq!(bed.evidence().action, Action::Deviate);
    samples
        .iter_mut()
        .filter(|sample| sample.arm == Arm::Baseline)
        .for_each(|sample| sample.series = Series::Absent);
    bed.minutes(1, &samples);
    assert_eq!(why(&bed), Some(NoData::BaselineCoverage));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: no data: 0 of 10 baseline tenants covered (limit 90.0%) in the last step of 1m");
}

#[test]
fn r12_never_instrumented_tenants_are_counted_and_do_not_lower_the_coverage() {
    let new = |tenant| Sample { instrumented: false, ..sample(tenant, Arm::Candidate, Series::Absent) };
    let mut bed = Bed::new(api_errors());
    bed.minutes(5, &[calm(), (500..505).map(new).collect()].concat());
    let evidence = bed.evidence();
    assert_eq!(evidence.verdict, Verdict::Healthy);
    assert_eq!((evidence.coverage.tenants, evidence.coverage.never_instrumented), (15, 5));
    assert_eq!(evidence.coverage.share(), Some(1.0));

    let mut bed = Bed::new(api_errors());
    bed.minutes(5, &[new(1), new(2)]);
    assert_eq!(why(&bed), Some(NoData::NeverInstrumented), "nothing can be seen of any candidate");
}

#[test]
fn r12_telemetry_is_lost_after_three_minutes_without_the_candidates_series() {
    let gone =
        [silent(10, Arm::Candidate, Series::Absent), tenants(10, Arm::Baseline, 1.0, 1_000.0)].concat();
    let mut bed = Bed::new(api_errors());
    bed.minutes(5, &calm()).minutes(2, &gone);
    assert_eq!(why(&bed), Some(NoData::CandidateCoverage));
    bed.minutes(1, &gone);
    let evidence = bed.evidence();
    assert_eq!((evidence.verdict, evidence.action), (Verdict::NoData, Action::Hold));
    assert_eq!(evidence.guard, Some(Guard::TelemetryLost));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: no data: 0 of 10 candidates covered against 10 of 10 baseline tenants (limit 90.0%) for 3m: telemetry lost");
    bed.minutes(1, &calm());
    assert_eq!(bed.evidence().verdict, Verdict::Healthy);

    // Both gone: that is Prometheus, not the release.
    let both =
        [silent(10, Arm::Candidate, Series::Absent), silent(10, Arm::Baseline, Series::Absent)].concat();
    bed.minutes(5, &both);
    assert_eq!(why(&bed), Some(NoData::CandidateCoverage));
}

#[test]
fn idle_candidates_are_healthy_without_evidence() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(
        10,
        &[silent(5, Arm::Candidate, Series::Idle), tenants(5, Arm::Baseline, 1.0, 1_000.0)].concat(),
    );
    let evidence = bed.evidence();
    assert_eq!((evidence.verdict, evidence.action, evidence.value), (Verdict::Healthy, Action::None, None));
    insta::assert_snapshot!(bed.sentence(), @"api-errors of wave early: no requests, no evidence");
}

#[test]
fn candidates_that_are_gone_are_not_healthy() {
    let mut bed = Bed::new(api_errors());
    bed.minutes(10, &calm()).minutes(1, &tenants(5, Arm::Baseline, 1.0, 1_000.0));
    assert_eq!((bed.evidence().verdict, bed.evidence().action), (Verdict::Inconclusive, Action::None));
}

#[test]
fn counts_that_cannot_be_are_refused() {
    for (bad, total, expected) in [
        (0.0, 0.0, Ok(())),
        (0.5, 0.5, Ok(())),
        (f64::NAN, 1.0, Err(CountsError::NotFinite)),
        (0.0, f64::INFINITY, Err(CountsError::NotFinite)),
        (-0.1, 1.0, Err(CountsError::Negative)),
        (0.0, -1.0, Err(CountsError::Negative)),
        (2.0, 1.0, Err(CountsError::BadAboveTotal { bad: 2.0, total: 1.0 })),
    ] {
        assert_eq!(Counts::checked(bad, total).map(|_| ()), expected);
    }
}
