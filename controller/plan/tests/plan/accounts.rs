//! What a `DeviationReport` holds for a post-mortem.

use breakwater_crds::words::Word;
use breakwater_crds::{
    Outcome, Verb,
    report::{Chart, DeviationReportStatus, REPORT_MAX_BYTES, account::POINTS_MAX},
    status::Phase,
};
use jiff::Timestamp;
use serde_json::json;

use crate::world::{World, minutes, seconds};

/// 2.0.0 is good for an hour of its first wave, and bad from then on; since when is returned.
fn turns_bad() -> (World, Timestamp) {
    turns_bad_in(World::usual("2.0.0"))
}

fn turns_bad_in(mut world: World) -> (World, Timestamp) {
    let mut waves = world.json["waves"].clone();
    waves[0]["soak"] = json!("3h");
    world.edit(json!({ "waves": waves }));
    world.until_wave("one", Phase::Soaking);
    for _ in 0..20 {
        world.pass(minutes(3));
    }
    let bad_since = world.now;
    world.sim("a0").versions.push((bad_since, "6.6.6".into()));
    world.sim("a1").versions.push((bad_since, "6.6.6".into()));
    (world, bad_since)
}

fn report(world: &World) -> &DeviationReportStatus {
    &world.reports[0].status
}

fn chart(world: &World) -> &Chart {
    report(world).slos[0].chart.as_ref().unwrap()
}

#[test]
fn the_first_account_says_what_was_asked_what_was_found_and_who_felt_it_since_when() {
    let (mut world, bad_since) = turns_bad();
    world.firing = vec!["SlowTenant{severity=page}".into()];
    world.act(Verb::Hold, json!({"reason": "a look"}));
    world.until_phase(Phase::Reverting);
    let report = report(&world);
    let slo = &report.slos[0];
    assert!(slo.query.contains("errors_total") && slo.query.contains("requests_total"), "{}", slo.query);
    assert_eq!(
        (slo.measures.as_str(), slo.candidates, slo.others),
        ("errors_total of requests_total", 3, 10)
    );
    assert_eq!((slo.verdict.as_ref().map(Word::as_str), slo.limits.len()), (Some("Deviating"), 6));
    assert!(slo.judge.is_some() && report.slo.as_deref() == Some("api-errors"));
    assert_eq!(report.compared_with, "10 tenants that were not updated yet, at the same time");
    let first = report.first_harm_at.unwrap();
    assert!((bad_since - minutes(1)..=bad_since).contains(&first), "{first} against {bad_since}");
    assert!(report.first_harm_at < report.detected_at && report.detected_at < report.decided_at);
    let worst: Vec<&str> = report.worst.iter().map(|worst| worst.tenant.as_str()).collect();
    assert_eq!(worst, ["tenants/a0", "tenants/a1"]);
    let harm = slo.harm.as_ref().unwrap();
    assert_eq!((harm.tenants, harm.bad > harm.excess, harm.excess > 900.0), (2, true, true), "{harm:?}");
    assert!(report.actions[0].message.starts_with("Hold act-1 by ada"), "{:?}", report.actions);
    assert!(report.brakes[0].contains("a look"), "{:?}", report.brakes);
    assert_eq!(report.alerts, ["SlowTenant{severity=page}"]);
    assert!(
        report.changes.iter().any(|change| change.reason.as_str() == "Deviation"),
        "{:?}",
        report.changes
    );
    let versions: Vec<(&str, u32)> =
        report.versions.iter().map(|found| (found.version.as_str(), found.tenants)).collect();
    assert_eq!((versions, report.known_since), (vec![("1.0.0", 10), ("2.0.0", 3)], None));
}

#[test]
fn counts_of_both_arms_are_added_until_two_hours_after_the_decision_and_then_the_report_rests() {
    let (mut world, bad_since) = turns_bad();
    world.until_phase(Phase::Reverting);
    let decided = report(&world).decided_at.unwrap();
    world.until_phase(Phase::Reverted);
    for _ in 0..60 {
        world.pass(minutes(3));
    }
    let chart = chart(&world);
    let end = chart.at(chart.len()).unwrap();
    assert!((decided + minutes(118)..=decided + minutes(120)).contains(&end), "{end} after {decided}");
    assert!(chart.len() <= POINTS_MAX);
    let share = |at: Timestamp| {
        let index = usize::try_from(at.duration_since(chart.start).as_mins()).unwrap();
        (chart.candidates.share(index).unwrap(), chart.baseline.share(index).unwrap())
    };
    assert_eq!(share(bad_since - minutes(5)), (0.001, 0.001));
    let (bad, good) = share(bad_since + minutes(2));
    assert!(bad > 0.3 && good < 0.002, "{bad} {good}");
    assert_eq!(share(decided + minutes(60)), (0.001, 0.001), "the touched ones have recovered");
    assert_eq!(world.last.as_ref().unwrap().watch_since, None, "nothing is read any more");
    let settled = world.reports.clone();
    world.pass(minutes(30));
    assert_eq!(world.reports, settled);
}

#[test]
fn times_and_answer_of_the_way_back_stand_in_it() {
    let (mut world, _) = turns_bad();
    world.until_phase(Phase::Reverted);
    let report = report(&world);
    let (decided, first, last) =
        (report.decided_at.unwrap(), report.first_write_at.unwrap(), report.last_ready_at.unwrap());
    assert!(decided <= first && first < last && last <= report.finished_at.unwrap());
    assert_eq!(last, first + seconds(30), "all three went back at once");
    assert!(report.answer.contains("version 2.0.0 is out of 3 tenants"), "{}", report.answer);
    let told: Vec<&str> = report.changes.iter().map(|change| change.reason.as_str()).collect();
    assert!(told.ends_with(&["RevertedTenants", "Verifying", "Reverted"]), "{told:?}");
    assert_eq!((report.outcome, report.not_back.len()), (Some(Outcome::Reverted), 0));
}

#[test]
fn tenants_that_do_not_come_back_are_named() {
    let (mut world, _) = turns_bad();
    world.behaviours.get_mut("1.0.0").unwrap().ready_after = None;
    world.until_phase(Phase::RevertedPartly);
    assert_eq!(report(&world).not_back.len(), 3);
}

#[test]
fn b3_a_version_that_starts_between_two_steps_has_lost_no_counts() {
    let mut world = World::usual("2.0.0");
    world.now += seconds(17);
    let (mut world, _) = turns_bad_in(world);
    world.until_phase(Phase::Reverting);
    assert_eq!(report(&world).known_since, None);
}

#[test]
fn after_a_restart_it_says_from_when_on_it_knows_and_what_stands_is_kept() {
    let (mut world, _) = turns_bad();
    world.restart();
    world.until_phase(Phase::Reverting);
    let known = report(&world).known_since.unwrap();
    assert!(known > report(&world).decided_at.unwrap() - minutes(20), "{known}");
    let (harm, worst) = (report(&world).slos[0].harm.clone(), report(&world).worst.clone());
    assert!(harm.is_some());
    world.restart();
    world.until_phase(Phase::Reverted);
    assert_eq!((&report(&world).slos[0].harm, &report(&world).worst), (&harm, &worst));
    let after = chart(&world).at(chart(&world).len()).unwrap();
    assert!(after > report(&world).decided_at.unwrap() + minutes(10), "and the counts go on: {after}");
}

#[test]
fn a_deviation_that_held_and_is_reverted_later_is_told_around_the_revert() {
    let mut world = World::usual("6.6.6");
    world.edit(json!({"onDeviation": {"action": "Hold"}}));
    world.until("it deviates", |world| !world.reports.is_empty());
    let held = report(&world).decided_at.unwrap();
    for _ in 0..80 {
        world.pass(minutes(4));
    }
    world.act(Verb::Revert, json!({"version": "6.6.6", "reason": "enough"}));
    world.until_phase(Phase::Reverted);
    let report = report(&world);
    let revert = report.revert_decided_at.unwrap();
    assert_eq!((report.decided_at, report.requested_by.as_str()), (Some(held), "ada"));
    assert!(revert > held + minutes(300) && report.first_write_at >= Some(revert));
    let start = chart(&world).start;
    assert!(start >= revert - minutes(121) && start <= revert - minutes(119), "{start}, {revert}");
    let harm = report.slos[0].harm.as_ref().unwrap();
    assert!(harm.since < Some(held + minutes(1)), "felt since before it held: {harm:?}");
}

#[test]
fn a_query_is_drawn_with_its_values() {
    let mut world = World::usual("6.6.6");
    world.edit(json!({"slos": [{"name": "queue", "query": "max(queue)", "limit": {"max": 0.3, "for": "2m"}, "step": "1m"}]}));
    world.until_phase(Phase::Reverted);
    let slo = &report(&world).slos[0];
    assert_eq!((slo.query.as_str(), slo.limits[0].as_str()), ("max(queue)", "deviation: above 0.3 for 2m"));
    let chart = slo.chart.as_ref().unwrap();
    assert!(chart.values.contains(&Some(0.5)) && chart.candidates.is_empty(), "{chart:?}");
}

#[test]
fn it_is_bounded_whatever_befalls_the_version() {
    let mut world = World::usual("6.6.6");
    let slo = world.json["slos"][0].clone();
    let named = |i: usize| crate::world::merged(slo.clone(), json!({"name": format!("slo-{i}")}));
    world.edit(json!({"slos": (0..8).map(named).collect::<Vec<_>>()}));
    for _ in 0..20 {
        world.act(Verb::Hold, json!({"reason": "x".repeat(1_000), "until": world.now + minutes(1)}));
    }
    world.until_phase(Phase::Reverted);
    for _ in 0..60 {
        world.pass(minutes(3));
    }
    let bytes = serde_json::to_vec(report(&world)).unwrap().len();
    assert!(bytes <= REPORT_MAX_BYTES, "{bytes}");
    assert_eq!(report(&world).slos.iter().filter(|slo| slo.chart.is_some()).count(), 8);
}
