//! R10 to R14: what is watched, and what its absence does.

use breakwater_crds::status::Phase;
use breakwater_crds::words::Word;
use serde_json::json;

use crate::world::{Behaviour, World, merged, minutes, sim, spec};

fn verdict(world: &World) -> Option<&str> {
    world.status.slos.first().and_then(|slo| slo.verdict.as_ref().map(Word::as_str))
}

#[test]
fn r10_before_the_first_warm_candidate_there_is_neither_a_verdict_nor_a_hold() {
    let mut world = World::usual("2.0.0");
    world.turn();
    let (from, to) = (world.now, world.now + minutes(600));
    world.outages.push((from, to)); // Prometheus is gone since the first write
    world.turn();
    assert_eq!((verdict(&world), world.condition("Held").0, world.on("2.0.0")), (None, false, 2));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(1));
    assert_eq!((verdict(&world), world.condition("Held").0), (None, false), "warming up");
    world.pass(minutes(6));
    assert_eq!((verdict(&world), world.condition("Held").1.as_str()), (Some("NoData"), "NoData"));
    assert_eq!(world.on("2.0.0"), 3, "nothing advances without data");
}

#[test]
fn r10_a_number_out_of_bounds_before_any_candidate_is_warm_is_not_the_releases() {
    let query =
        json!({"name": "queue", "query": "max(queue)", "limit": {"max": 0.4, "for": "3m"}, "step": "1m"});
    let mut world = World::new(merged(spec("2.0.0"), json!({"slos": [query]})), [3, 4, 6]);
    world.behaviours.insert("1.0.0".into(), Behaviour { errors: 0.5, ready_after: Some(30) });
    world.behaviours.insert("2.0.0".into(), Behaviour { errors: 0.0, ready_after: Some(540) });
    world.turn();
    world.pass(minutes(8));
    assert_eq!((world.status.phase, world.condition("Held").0), (Phase::Advancing, false));
    assert!(world.reports.is_empty(), "{:?}", world.reports);
}

type Arrange = fn(&mut World);

#[test]
fn r10_the_slos_are_watched_in_every_phase_of_the_road() {
    let bad = Behaviour { errors: 0.5, ready_after: Some(30) };
    let arrangements: [(&str, Arrange); 5] = [
        ("held", |world| {
            world.until_wave("one", Phase::Soaking);
            world.act(breakwater_crds::Verb::Hold, json!({}));
        }),
        ("outside windows", |world| {
            world.until_wave("two", Phase::Advancing);
            let (from, to) = (world.now, world.now + minutes(6000));
            world.edit(json!({"schedule": {"deny": [{"from": from, "to": to}]}}));
        }),
        ("waiting for an approval", |world| {
            world.edit(json!({"waves": [{"name": "one", "selector": {}, "soak": "10m", "maxConcurrent": 9}, {"name": "rest", "soak": "1h", "approval": "Before"}]}));
            world.until_phase(Phase::AwaitingApproval);
        }),
        ("watching", |world| world.until_phase(Phase::Watching)),
        ("with an invalid edit", |world| {
            world.until_wave("two", Phase::Soaking);
            world.refused = Some("no".into());
        }),
    ];
    for (what, arrange) in arrangements {
        let mut world = World::usual("2.0.0");
        arrange(&mut world);
        world.pass(minutes(4));
        world.behaviours.insert("2.0.0".into(), bad);
        world.until_within(what, minutes(30), |world| world.status.phase.is_reverting());
        world.until_phase(Phase::Reverted);
        assert_eq!(world.on("2.0.0"), 0, "{what}");
    }
}

#[test]
fn r10_a_stopped_rollout_is_watched_and_reverts_once_the_stop_is_lifted() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    let stop = world.act(breakwater_crds::Verb::Stop, json!({}));
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.5;
    world.until_phase(Phase::Reverting);
    world.pass(minutes(30));
    assert_eq!((world.on("2.0.0"), world.condition("Held").1.as_str()), (3, "Stopped"));
    assert!(world.status.summary.contains("Stopped"), "{}", world.status.summary);
    world.act(breakwater_crds::Verb::Lift, json!({ "subject": stop }));
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("2.0.0"), 0);
}

#[test]
fn r11_one_deviating_slo_beats_another_without_data_and_a_healthy_one() {
    let slo = spec("6.6.6")["slos"][0].clone();
    let query =
        json!({"name": "queue", "query": "max(queue)", "limit": {"max": 0.4, "for": "10m"}, "step": "1m"});
    let mut world = World::new(merged(spec("6.6.6"), json!({"slos": [query, slo]})), [3, 4, 6]);
    world.until_phase(Phase::Reverting);
    assert_eq!(world.reports[0].status.slo.as_deref(), Some("api-errors"));
}

#[test]
fn r11_no_data_of_one_slo_holds_although_the_other_is_healthy() {
    let slo = spec("2.0.0")["slos"][0].clone();
    let other = merged(slo.clone(), json!({"name": "web-errors"}));
    let mut world = World::new(merged(spec("2.0.0"), json!({"slos": [slo, other]})), [3, 4, 6]);
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    world.delays = vec![0, 3600];
    world.pass(minutes(10));
    let verdicts: Vec<_> =
        world.status.slos.iter().map(|slo| slo.verdict.as_ref().unwrap().to_string()).collect();
    assert_eq!(
        (verdicts, world.condition("Held").1.as_str()),
        (vec!["Healthy".into(), "NoData".to_owned()], "NoData")
    );
}

#[test]
fn r12_no_data_holds_is_told_and_ends_by_itself_and_is_never_a_pass_or_a_revert() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    let (from, to) = (world.now, world.now + minutes(90));
    let wake = world.last.as_ref().and_then(|plan| plan.wake_at).unwrap();
    assert!(wake <= from + minutes(5), "nobody looks before {wake} whether data still comes at {from}");
    world.outages.push((from, to));
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.001;
    for _ in 0..8 {
        world.pass(minutes(10));
    }
    assert_eq!((world.status.phase, world.condition("Held").1.as_str()), (Phase::Soaking, "NoData"));
    assert_eq!((world.condition("Blind").0, world.told("Blind"), world.told("Held")), (true, 1, 1));
    assert!(world.status.message.contains("connection refused"), "{}", world.status.message);
    assert!(
        !world.condition("Ready").0 && !world.condition("Stalled").0,
        "R29: not ready, and no human is needed"
    );
    world.pass(minutes(10));
    world.pass(minutes(1));
    assert_eq!(
        (world.condition("Held").0, world.condition("Blind").0, world.told("Resumed")),
        (false, false, 1)
    );
    world.until_phase(Phase::Completed);
}

#[test]
fn r12_candidates_whose_series_are_gone_hold_and_never_instrumented_ones_are_counted_and_limited() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    let id = world.sim("a0").tenant.id;
    world.silent.insert(id);
    world.pass(minutes(2));
    assert!(world.condition("Held").0, "one of three has no series any more");
    assert_eq!(verdict(&world), Some("NoData"));

    let mut world = World::usual("2.0.0");
    world.turn();
    let joiner = sim("a9", Some(0), "1.0.0", world.now); // it comes after the look before the first write
    world.uninstrumented.insert(joiner.tenant.id);
    world.sims.push(joiner);
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    assert_eq!(
        (world.status.counts.uninstrumented, world.condition("Held").1.as_str()),
        (1, "Uninstrumented")
    );
}

#[test]
fn r14_an_outage_that_the_baseline_shares_and_tenants_that_burned_before_are_no_deviation() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    for version in ["1.0.0", "2.0.0"] {
        world.behaviours.get_mut(version).unwrap().errors = 0.4;
    }
    world.pass(minutes(10));
    assert!(world.reports.is_empty() && world.condition("Held").0, "{}", world.status.message);
    for version in ["1.0.0", "2.0.0"] {
        world.behaviours.get_mut(version).unwrap().errors = 0.001;
    }
    world.until_phase(Phase::Completed);

    let mut world = World::usual("2.0.0");
    world.burned_before = ["a0", "a1", "a2"].map(|name| world.sim(name).tenant.id).into_iter().collect();
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.4;
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(15));
    assert!(world.reports.is_empty(), "whoever burned before its update says nothing about the release");
    world.pass(minutes(120));
    assert_eq!((world.status.phase, world.condition("Held").1.as_str()), (Phase::Soaking, "NoData"));
    assert!(world.status.message.contains("all of 3 candidates burned"), "{}", world.status.message);
}

#[test]
fn r14_what_a_rejected_version_did_does_not_excuse_the_version_that_mends_it() {
    let mut world = World::usual("2.0.0");
    world.answers_reports = true;
    let begun = world.now;
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.4;
    world.until_phase(Phase::Reverted);
    world.pass(minutes(60));
    world.edit(json!({"version": "2.0.1"}));
    world.until_wave("one", Phase::Soaking);
    let wanted = world.last.as_ref().unwrap().history_wanted.clone();
    assert!(
        wanted == [world.reports[0].status.started_at.unwrap()],
        "{wanted:?} with the bad one from {begun} on"
    );
    world.until_phase(Phase::Completed);
}

#[test]
fn r14_a_version_that_takes_over_from_a_bad_one_is_not_excused_by_its_victims() {
    let mut world = World::usual("6.6.6");
    world.edit(json!({"onNewVersion": "Supersede", "onDeviation": {"action": "Hold"},
                      "waves": [{"name": "all", "soak": "1h", "maxConcurrent": 3}]}));
    world.until("six of thirteen are on the bad one", |world| world.on("6.6.6") >= 6);
    world.behaviours.insert("6.6.7".into(), Behaviour { errors: 0.5, ready_after: Some(30) });
    world.edit(json!({"version": "6.6.7", "onDeviation": {"action": "Revert"}}));
    world
        .until_within("the new one deviates as well", minutes(40), |world| world.status.phase.is_reverting());
    assert_eq!(world.reports.last().unwrap().spec.version, "6.6.7");
}

#[test]
fn what_an_update_cost_holds_until_a_human_promotes_and_does_not_keep_the_next_wave_from_starting() {
    let mut world = World::usual("2.0.0");
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.08;
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(5));
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.0;
    world.pass(minutes(120));
    assert_eq!((world.condition("Held").1.as_str(), world.on("2.0.0")), ("UpdateCost", 3));
    world.act(breakwater_crds::Verb::Promote, json!({"version": "2.0.0"}));
    world.until_wave("two", Phase::Soaking);
    assert!(!world.condition("Held").0, "{}", world.status.message);
}
