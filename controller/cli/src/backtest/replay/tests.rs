use breakwater_crds::words::HoldReason;
use breakwater_plan::observed::Slower;
use breakwater_slo::{Design, Learner, Members};

use super::*;

const STEP: i64 = 300;
const DAYS: i64 = 4;

fn spec() -> RolloutSpec {
    let text = "{version: 1.0.0, tenants: {resource: {apiVersion: apps/v1, kind: Deployment}, selector: {}}, \
                slos: [], waves: [{name: early, percent: 40, soak: 1d}, {name: rest, soak: 1d}]}";
    serde_yaml::from_str(text).unwrap()
}

fn split() -> Split {
    let arm = |tenant| if tenant < 8 { Arm::Candidate } else { Arm::Baseline };
    let candidates: Vec<TenantId> = (0..8).map(TenantId).collect();
    Split {
        wave: 0,
        name: "early".into(),
        arms: (0..20).map(|tenant| (TenantId(tenant), arm(tenant))).collect(),
        begun: vec![candidates.clone().into()],
        candidates,
        baseline: 12,
    }
}

/// A step of twenty tenants, a thousand requests each, four or so of them bad; candidates' times `times`.
fn step(end_seconds: i64, times: f64) -> Counted {
    (0..20)
        .map(|tenant| {
            let noise = (inject::draw(1, TenantId(tenant), end_seconds) * 5.0).floor() + 2.0;
            let bad = if tenant < 8 { noise * times } else { noise };
            (TenantId(tenant), Series::Counted(Counts { bad, total: 1_000.0 }))
        })
        .collect()
}

fn week() -> Week {
    let usual = Counts { bad: 8_064.0, total: 2_016_000.0 };
    Week::new((0..20).map(|tenant| (TenantId(tenant), usual)).collect())
}

/// The same with an edge below and one above the threshold; candidates have so many times as many above the lower one.
fn shaped(end_seconds: i64, slower: f64) -> Counted {
    let counted = step(end_seconds, 1.0);
    let above = counted.as_slice().iter().flat_map(|(tenant, _)| {
        let noise = (inject::draw(2, *tenant, end_seconds) * 51.0).floor() + 75.0;
        [Some(if tenant.0 < 8 { noise * slower } else { noise }), Some(1.0)]
    });
    let slower = Slower::new([0.25, 1.0].into(), above.collect::<Vec<_>>());
    counted.with_slower(slower)
}

fn shaped_week() -> Week {
    let above = [Some(201_600.0), Some(2_016.0)].repeat(20);
    week().with_slower(Slower::new([0.25, 1.0].into(), above))
}

fn shaped_config() -> Config {
    let mut config = Config::ratio(0.99, STEP);
    config.compare.shape = true;
    config
}

fn learned_shape() -> Learned {
    let (config, split, week) = (shaped_config(), split(), shaped_week());
    let waves = vec![split.own()];
    let design = Design { against: Against::Others, planned_hours: 100, planned_waves: 2, waves };
    let sampler = Sampler::new(&config, &split.arms, &week, STEP);
    let mut learner = Learner::new(config.clone(), design, 0, DAYS * 86_400);
    let mut read = Vec::new();
    for end in (1..=DAYS * 86_400 / STEP).map(|n| n * STEP) {
        let counted = shaped(end, 1.0);
        sampler.take(&counted, &mut read);
        learner.step(end, &read, &sampler.tails(&counted, &read, |_, _, above| above));
    }
    learner.finish().unwrap()
}

fn tried_shape(config: &Config, slower: f64) -> WaveOutcome {
    let (spec, week, split) = (spec(), shaped_week(), split());
    let from_seconds = DAYS * 86_400;
    let trial = Trial {
        spec: &spec,
        slo: "latency",
        config,
        week: &week,
        from_seconds,
        until_seconds: from_seconds + 86_400,
        injects: &["+12%".parse().unwrap()],
        seed: 0,
        threshold_seconds: Some(0.5),
    };
    let mut watch = Watch::new(&trial, &split, Some(Ok(learned_shape())));
    for end in (1..=86_400 / STEP).map(|n| from_seconds + n * STEP) {
        watch.step(end, &shaped(end, slower));
    }
    watch.finish().0
}

#[test]
fn a_shape_is_replayed_as_it_will_be_judged_and_says_at_which_edges() {
    let config = shaped_config();
    let quiet = tried_shape(&config, 1.0);
    assert!(quiet.alarms.is_empty() && quiet.shape_edges == [0.25, 1.0], "{quiet:?}");
    let apart = tried_shape(&config, 1.8);
    assert!(apart.alarms[0].sentence.contains("requests over 250 ms: 1"), "{:?}", apart.alarms);
    assert!(tried_shape(&Config::ratio(0.99, STEP), 1.8).alarms.is_empty(), "it was not asked for");
}

#[test]
fn a_fault_moves_requests_over_the_edges_below_the_threshold_and_over_none_above() {
    let now = Counts { bad: 30.0, total: 100.0 };
    // Twenty of ninety good ones went bad; thirty of the ninety were below the edge.
    assert!((slower_below(now, 20.0, 70.0) - 20.0 * 30.0 / 90.0).abs() < 1e-12);
    assert!(slower_below(now, 0.0, 70.0).abs() < 1e-12);
    assert!(slower_below(Counts { bad: 9.0, total: 9.0 }, 0.0, 9.0).abs() < 1e-12, "nobody was good");
}

fn learned() -> Learned {
    let config = Config::ratio(0.99, STEP);
    let members: Members = split().own();
    let design =
        Design { against: Against::Others, planned_hours: 100, planned_waves: 2, waves: vec![members] };
    let (week, split) = (week(), split());
    let sampler = Sampler::new(&config, &split.arms, &week, STEP);
    let mut learner = Learner::new(config.clone(), design, 0, DAYS * 86_400);
    let mut read = Vec::new();
    for end in (1..=DAYS * 86_400 / STEP).map(|n| n * STEP) {
        sampler.take(&step(end, 1.0), &mut read);
        learner.step(end, &read, &[]);
    }
    learner.finish().unwrap()
}

fn tried(learned: Option<Result<Learned, String>>, counted: impl Fn(i64) -> Counted) -> WaveOutcome {
    let (spec, config, week, split) = (spec(), Config::ratio(0.99, STEP), week(), split());
    let injects: Vec<Inject> =
        ["1.1x", "3x", "10x@tenant-share=10%,start=6h", "+2%"].map(|text| text.parse().unwrap()).into();
    let from_seconds = DAYS * 86_400;
    let trial = Trial {
        spec: &spec,
        slo: "errors",
        config: &config,
        week: &week,
        from_seconds,
        until_seconds: from_seconds + 2 * 86_400,
        injects: &injects,
        seed: 0,
        threshold_seconds: None,
    };
    let mut watch = Watch::new(&trial, &split, learned);
    for end in (1..=2 * 86_400 / STEP).map(|n| from_seconds + n * STEP) {
        watch.step(end, &counted(end));
    }
    watch.finish().0
}

#[test]
fn a_quiet_past_is_no_alarm_and_faults_are_caught_the_sooner_the_larger_they_are() {
    let outcome = tried(Some(Ok(learned())), |end| step(end, 1.0));
    assert!(outcome.is_good() && outcome.alarms.is_empty() && outcome.held_steps == 0, "{outcome:?}");
    let after: Vec<Option<i64>> =
        outcome.faults.iter().map(|fault| fault.found.as_ref().map(|found| found.after_seconds)).collect();
    assert_eq!(after[0], None, "within the margin");
    assert!(after[1] >= after[3] && after[3].is_some(), "{after:?}");
    let (one, threefold) = (&outcome.faults[2], &outcome.faults[1]);
    assert_eq!((one.tenants, one.starts_at), (1, instant(DAYS * 86_400 + 21_600)));
    assert_eq!(threefold.starts_at, instant(DAYS * 86_400 + 43_200), "a quarter of two days");
    let found = threefold.found.as_ref().unwrap();
    assert!(found.bad_requests > 30.0 && found.sentence.starts_with("errors of wave early: "), "{found:?}");
    assert!(threefold.must_be_found && !outcome.faults[0].must_be_found);
}

#[test]
fn arms_that_part_by_themselves_are_an_alarm_and_hide_a_fault_that_is_no_worse() {
    let parts = DAYS * 86_400 + 7_200;
    let outcome = tried(Some(Ok(learned())), |end| step(end, if end > parts { 4.0 } else { 1.0 }));
    assert!(!outcome.is_good() && outcome.alarms[0].guard == HoldReason::Comparison, "{:?}", outcome.alarms);
    assert!(outcome.alarms[0].at > instant(parts));
    assert_eq!(outcome.faults[0].found, None, "the judge cries without it, too");
}

#[test]
fn r12_steps_without_series_are_missing_and_never_good() {
    let outcome =
        tried(
            Some(Ok(learned())),
            |end| {
                if end % 3_600 == 0 { step(end, 1.0) } else { Counted::new(Vec::new()) }
            },
        );
    assert_eq!((outcome.steps, outcome.missing_steps), (576, 528));
    assert!(outcome.is_blind() && !outcome.is_good() && outcome.alarms.is_empty(), "{outcome:?}");
}

#[test]
fn r13_a_judge_that_could_not_be_armed_is_not_good_and_one_that_is_not_asked_for_is() {
    let pending = tried(Some(Err("too few events".into())), |end| step(end, 1.0));
    assert!(!pending.is_good() && pending.held_steps == pending.steps, "{pending:?}");
    let off = tried(None, |end| step(end, 1.0));
    assert_eq!((off.calibration, off.against, off.held_steps), (Calibration::Off, None, 0));
}

#[test]
fn several_slos_may_pass_the_limit_together() {
    let (one, other) = ([(60, 0.0), (120, 5.0)], [(60, 0.0), (180, 5.0)]);
    let slos = |a, b| [(0.45, a), (0.45, b)];
    assert_eq!(together(&slos(&one[..], &other[..]), 0.01), Some(180));
    assert_eq!(together(&slos(&one[..], &other[..1]), 0.01), None);
    assert_eq!(together(&[], 0.01), None);
}
