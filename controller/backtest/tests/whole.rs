//! A whole backtest over a past that is made up here: no Prometheus, no runtime.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::sync::Arc;

use breakwater_backtest::{Backtest, Found, Outcome, Taught, Wanted, inject, outcome::Calibration};
use breakwater_plan::{
    observed::Counted,
    spec::Checked,
    study::{Look, Week},
};
use breakwater_slo::{Counts, Series, TenantId};

const DAY: i64 = 86_400;
const STEP: i64 = 300;
const TENANTS: usize = 20;

fn checked(judge: &str) -> Checked {
    let spec = "version: 1.0.0\n\
        tenants: {resource: {apiVersion: apps/v1, kind: Deployment}, selector: {}}\n\
        slos: [{name: api, objective: 99%, errors: {bad: http_errors_total, total: http_requests_total}, tenantLabels: [namespace, deployment]}]\n\
        waves: [{name: early, percent: 40, soak: 1d}, {name: rest, soak: 1d}]\n";
    let spec = serde_yaml::from_str(&format!("{spec}judge: {judge}\n")).expect("a spec");
    Checked::parse(&spec).expect("checked")
}

fn wanted<'a>(checked: &'a Checked, faults: &[&str]) -> Wanted<'a> {
    Wanted {
        rollout: ("ops", "app"),
        checked,
        slos: vec![0],
        from_seconds: 0,
        until_seconds: 8 * DAY,
        injects: faults.iter().map(|fault| fault.parse().expect("a fault")).collect(),
        selector_share: "5%".parse().expect("a share"),
        seed: None,
    }
}

fn found(first_seconds: i64) -> Found {
    let names = (0..TENANTS).map(|tenant| Arc::from(format!("tenants/t-{tenant}"))).collect();
    Found { slo: 0, names, first_seconds, step_seconds: STEP, lag_seconds: 90 }
}

/// A thousand requests of each tenant in each step, four or so of them bad.
fn counted(tenants: &[TenantId], end_seconds: i64) -> Counted {
    let of = |tenant: &TenantId| {
        let bad = (inject::draw(1, *tenant, end_seconds) * 5.0).floor() + 2.0;
        (*tenant, Series::Counted(Counts { bad, total: 1_000.0 }))
    };
    tenants.iter().map(of).collect()
}

fn ends(look: Look) -> impl Iterator<Item = i64> {
    (look.from_seconds + look.step_seconds..=look.until_seconds)
        .step_by(usize::try_from(look.step_seconds).expect("a step"))
}

fn run(wanted: &Wanted<'_>, found: &Found) -> Result<Outcome, String> {
    let backtest = Backtest::new(wanted, std::slice::from_ref(found))?;
    let mut tenants: Vec<TenantId> = backtest.named().iter().map(|(_, id)| *id).collect();
    tenants.sort_unstable();
    let usual = Counts { bad: 8_064.0, total: 2_016_000.0 };
    let week = Week::new(tenants.iter().map(|tenant| (*tenant, usual)).collect());
    let replay = backtest.replay(found);
    let mut taught = Taught::default();
    for look in replay.looks() {
        let mut lessons = replay.lessons(look, &week);
        ends(look).for_each(|end| lessons.step(end, &counted(&tenants, end)));
        taught = taught.and(lessons);
    }
    let trial = replay.trial(&week);
    let mut judges = replay.watches(&trial, taught);
    ends(replay.watched()).for_each(|end| judges.step(end, &counted(&tenants, end)));
    let done = replay.finish(judges);
    Ok(backtest.outcome(vec![(found, done)]))
}

#[test]
fn a_quiet_past_arms_the_judge_cries_no_wolf_and_finds_a_fault() {
    let checked = checked("{history: 3d}");
    let outcome = run(&wanted(&checked, &["10x"]), &found(0)).expect("an answer");
    assert_eq!((outcome.rollout.as_str(), outcome.tenants), ("ops/app", TENANTS));
    let [slo] = outcome.slos.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((slo.step_seconds, slo.lag_seconds, slo.waves.len()), (STEP, 90, 2));
    let early = &slo.waves[0];
    assert_eq!((&early.calibration, early.alarms.len()), (&Calibration::Armed, 0), "{early:?}");
    let watched = outcome.until.duration_since(outcome.watched_from).as_secs();
    assert_eq!((early.steps, early.missing_steps), ((watched / STEP).unsigned_abs(), 0));
    assert!(early.faults[0].found.is_some(), "{:?}", early.faults);
}

#[test]
fn without_a_comparison_nothing_is_taught_and_the_guards_are_tried() {
    let checked = checked("{comparison: Disabled, history: 3d}");
    let wanted = wanted(&checked, &["2x"]);
    let found = found(0);
    let backtest = Backtest::new(&wanted, std::slice::from_ref(&found)).expect("tenants");
    assert!(backtest.replay(&found).looks().is_empty());
    let outcome = run(&wanted, &found).expect("an answer");
    assert!(outcome.slos[0].waves.iter().all(|wave| wave.calibration == Calibration::Off), "{outcome:?}");
}

#[test]
fn a_past_that_begins_late_is_told_and_one_that_is_too_short_is_refused() {
    let checked = checked("{history: 3d}");
    let outcome = run(&wanted(&checked, &[]), &found(4 * DAY)).expect("an answer");
    assert_eq!(outcome.from.as_second(), 4 * DAY);
    assert!(outcome.notes[0].starts_with("NoHistory: nothing was recorded before"), "{:?}", outcome.notes);
    let short = run(&wanted(&checked, &[]), &found(8 * DAY - 600)).expect_err("too short");
    assert!(short.contains("less than an hour before the end"), "{short}");
    let late = run(&wanted(&checked, &["2x@start=7d"]), &found(0)).expect_err("after the end");
    assert!(late.starts_with("--inject 2x@start=1w: start must be less than the 5d"), "{late}");
}
