//! R4: who is ready, who is late, and whose fault that is.

use breakwater_crds::{Verb, status::Phase};
use breakwater_plan::observed::Cause;
use serde_json::json;

use crate::progress::waves;
use crate::world::{World, minutes, sim};

#[test]
fn r4_failures_are_borne_up_to_a_limit_then_deviate_unless_infrastructure_is_the_cause() {
    let application = Cause::Application("c: CrashLoopBackOff".into());
    let infrastructure = Cause::Infrastructure("0/3 nodes are available".into());
    for (failing, cause, phase, held) in [
        (2, &application, Phase::Soaking, "None"),
        (3, &application, Phase::Reverting, "None"),
        (3, &Cause::Unknown, Phase::Reverting, "None"),
        (3, &infrastructure, Phase::Advancing, "Infrastructure"),
    ] {
        let all = json!([{"name": "all", "soak": "3h", "maxConcurrent": 10, "maxFailures": "20%"}]);
        let mut world = World::new(waves(&all), [0, 0, 10]);
        world.cause = cause.clone();
        world.turn();
        for i in 0..failing {
            world.sim(&format!("c{i}")).ready_at = None;
        }
        world.pass(minutes(1));
        world.pass(minutes(10));
        world.pass(minutes(10));
        assert_eq!(world.condition("Held").1, held, "{failing} {cause:?}");
        let reverting = world.status.phase.is_reverting() || world.status.phase == Phase::Reverted;
        assert!(reverting == (phase == Phase::Reverting), "{failing} {cause:?}: {:?}", world.status.phase);
        match phase {
            Phase::Reverting => {
                assert_eq!(world.reports[0].status.reason.as_str(), "TooManyFailures");
                assert!(
                    world.reports[0]
                        .status
                        .message
                        .starts_with("3 of 10 tenants of wave all failed, more than 2")
                );
            }
            _ => assert_eq!(world.status.phase, phase),
        }
        if held == "Infrastructure" {
            assert!(world.told("Held") <= 2, "a cause that is looked up again and again is told once");
            for i in 0..failing {
                world.sim(&format!("c{i}")).ready_at = Some(world.now);
            }
            world.pass(minutes(1));
            assert_eq!((world.condition("Held").1.as_str(), world.told("Resumed")), ("None", 1));
        }
    }
}

/// A machine that slept for an hour finds every deadline over, and no tenant that had the time which they grant.
#[test]
fn r4_a_clock_that_steps_makes_nobody_late() {
    for (steps_are_seen, failed) in [(true, 0), (false, 6)] {
        let all = json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}]);
        let mut world = World::new(waves(&all), [0, 0, 6]);
        world.turn();
        for sim in &mut world.sims {
            sim.ready_at = None;
        }
        world.now += minutes(60);
        world.stepped_to = steps_are_seen.then_some(world.now);
        world.turn();
        assert_eq!((world.on("2.0.0"), world.status.counts.failed), (6, failed));
        world.pass(minutes(9));
        assert_eq!(world.reports.is_empty(), steps_are_seen);
        if steps_are_seen {
            world.pass(minutes(2));
            world.pass(minutes(1));
            let message = &world.reports[0].status.message;
            assert!(message.contains("0 of 1 replicas updated"), "who is late is named, and why: {message}");
        }
    }
}

/// A fast clock that was set right, in a process that does not know of it, or a stranger's hand.
#[test]
fn r4_a_marker_of_the_future_neither_stalls_a_wave_nor_hides_a_tenant_in_the_baseline() {
    let all = json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}]);
    let mut world = World::new(waves(&all), [0, 0, 6]);
    world.turn();
    let late = world.now + minutes(600);
    for sim in &mut world.sims {
        sim.ready_at = None;
        sim.tenant.marker.as_mut().unwrap().written_at = late;
    }
    world.pass(minutes(5));
    assert_eq!(world.status.counts.failed, 0);
    world.pass(minutes(6));
    assert_eq!(world.status.counts.failed, 6);
    world.pass(minutes(1));
    world.pass(minutes(1));
    assert_eq!(world.reports.len(), 1, "{:?}", world.status.message);
}

/// Two clocks differ by a second now and then, which is no step: chaos once found every tenant late by it.
#[test]
fn r4_a_clock_a_second_back_makes_nobody_late() {
    let mut world = World::new(waves(&json!([{"name": "all", "soak": "2h", "maxConcurrent": 2}])), [0, 0, 6]);
    world.pass(minutes(90));
    world.now -= jiff::SignedDuration::from_secs(1);
    world.turn();
    assert_eq!((world.on("2.0.0"), world.status.counts.failed), (2, 0));
}

/// The controller before had a clock five minutes fast: its tenants have their whole time in the next one's term.
#[test]
fn r4_a_term_after_one_with_a_fast_clock_finds_nobody_late() {
    let mut world = World::new(waves(&json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}])), [0, 0, 6]);
    world.pass(minutes(90));
    let ahead = world.now + minutes(5);
    for sim in &mut world.sims {
        sim.ready_at = None;
        sim.tenant.marker.as_mut().unwrap().written_at = ahead;
    }
    world.restart();
    world.turn();
    world.pass(minutes(3));
    assert_eq!((world.on("2.0.0"), world.status.counts.failed), (6, 0));
    world.pass(minutes(15));
    assert_eq!(world.status.counts.failed, 6);
}

#[test]
fn a3_who_was_not_ready_before_is_not_judged_by_readiness() {
    let all = json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}]);
    for (unready, held) in [(2, "None"), (6, "NeverReady")] {
        let mut world = World::new(waves(&all), [0, 0, 6]);
        let never: Vec<String> = (0..unready).map(|i| format!("c{i}")).collect();
        for name in &never {
            world.disturb(name, None);
        }
        world.turn();
        let told = world.transitions.iter().find(|told| told.reason.as_str() == "Adopted").unwrap();
        assert!(told.message.contains(&format!("{unready} are not ready, such as")), "{}", told.message);
        for name in &never {
            world.sim(name).ready_at = None;
        }
        for _ in 0..8 {
            world.pass(minutes(10));
        }
        assert!(world.reports.is_empty(), "{:?}", world.status.message);
        assert_eq!((world.on("2.0.0"), world.status.counts.failed), (6, 0));
        assert_eq!(world.condition("Held").1, held);
        assert_eq!(world.status.troubled.len(), unready);
        assert!(world.status.troubled.iter().all(|tenant| tenant.reason.as_str() == "NotReadyBefore"));
        let phase = if held == "None" { Phase::Soaking } else { Phase::Advancing };
        assert_eq!(world.status.phase, phase);
    }
}

#[test]
fn a3_an_outage_of_both_versions_holds_and_reverts_nothing() {
    let two = json!([
        {"name": "early", "selector": {"matchLabels": {"ring": "0"}}, "soak": "2h", "maxConcurrent": 9},
        {"name": "rest", "soak": "2h"},
    ]);
    for (elsewhere, reverts) in [(6, false), (0, true)] {
        let mut world = World::new(waves(&two), [4, 0, 6]);
        world.turn();
        let down = (0..4).map(|i| format!("a{i}")).chain((0..elsewhere).map(|i| format!("c{i}")));
        for name in down.collect::<Vec<_>>() {
            world.disturb(&name, None);
        }
        for _ in 0..4 {
            world.pass(minutes(10));
        }
        assert_eq!(!world.reports.is_empty(), reverts, "{:?}", world.status.message);
        if !reverts {
            assert_eq!(world.condition("Held").1, "FleetUnready");
            let message = &world.status.message;
            assert!(
                message.contains("6 of 6 tenants that were not updated are not ready either"),
                "{message}"
            );
        }
    }
}

/// A third of the fleet never was ready, updated or not: that excuses no version that breaks the others.
#[test]
fn a3_who_never_was_ready_anywhere_excuses_no_version() {
    let two = json!([
        {"name": "early", "selector": {"matchLabels": {"ring": "0"}}, "soak": "2h", "maxConcurrent": 99},
        {"name": "rest", "soak": "2h"},
    ]);
    for (breaks, reverts) in [(10, true), (0, false)] {
        let mut world = World::new(waves(&two), [15, 0, 30]);
        let never = (0..5).map(|i| format!("a{i}")).chain((0..10).map(|i| format!("c{i}")));
        never.collect::<Vec<_>>().iter().for_each(|name| world.disturb(name, None));
        world.turn();
        for i in 0..5 {
            world.sim(&format!("a{i}")).ready_at = None;
        }
        (5..5 + breaks).for_each(|i| world.disturb(&format!("a{i}"), None));
        for _ in 0..4 {
            world.pass(minutes(10));
        }
        assert_eq!(!world.reports.is_empty(), reverts, "{}", world.status.message);
    }
}

/// Nobody sees them come back: each takes its place for the deadline, after those that are seen, and then is back as it was.
#[test]
fn a3_who_was_not_ready_before_goes_back_last_and_is_no_failure_of_the_revert() {
    let mut edit = waves(&json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}]));
    edit["revert"]["maxConcurrent"] = json!(1);
    let mut world = World::new(edit, [0, 0, 6]);
    let never = ["c0", "c3"];
    for name in never {
        world.disturb(name, None);
    }
    world.turn();
    for name in never {
        world.sim(name).ready_at = None;
    }
    world.pass(minutes(20));
    world.act(Verb::Revert, json!({"version": "2.0.0"}));
    world.writes.clear();
    for _ in 0..60 {
        world.pass(minutes(1));
        for name in never {
            world.sim(name).ready_at = None;
        }
    }
    let mut last: Vec<&str> = world.writes[4..].iter().map(|(_, _, name, _)| &**name).collect();
    last.sort_unstable();
    assert_eq!(last, never);
    world.until_phase(Phase::Reverted);
    assert_eq!((world.on("1.0.0"), world.status.revert.as_ref().unwrap().failed), (6, 0));
}

/// The controller believes a cause for half a minute: the status must not change to and fro for as long as somebody does not come.
#[test]
fn a10_a_cause_that_is_looked_up_again_is_said_meanwhile() {
    let mut world = World::new(waves(&json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}])), [0, 0, 6]);
    world.until("all are updated", |world| world.on("2.0.0") == 6);
    world.act(Verb::Revert, json!({"version": "2.0.0"}));
    world.until("it is written", |world| world.version_of("c0") == "1.0.0");
    world.disturb("c0", None);
    world.cause = Cause::Infrastructure("kubectl delete pod db-1 -n shop".into());
    world.until_phase(Phase::RevertedPartly);
    world.turn();
    let said = |world: &World| world.status.troubled[0].message.clone();
    assert_eq!(said(&world), "kubectl delete pod db-1 -n shop");
    world.causes.clear();
    let plan = world.think();
    assert!(!plan.diagnose.is_empty(), "it is looked up again");
    assert_eq!(plan.status.troubled, world.status.troubled);
}

#[test]
fn a3_a_revert_for_readiness_is_attributed_by_readiness() {
    let mut world = World::new(waves(&json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}])), [0, 0, 6]);
    world.behaviours.get_mut("2.0.0").unwrap().ready_after = None;
    world.cause = Cause::Application("c: CrashLoopBackOff".into());
    world.until_phase(Phase::Reverted);
    let answer = &world.reports[0].status.answer;
    assert!(answer.contains("its tenants are ready again") && !answer.contains("SLOs"), "{answer}");
}

#[test]
fn r4_ready_tenants_that_a_drained_node_takes_away_have_the_deadline_to_come_back() {
    for (back, reverts) in [(Some(minutes(5)), false), (None, true)] {
        let mut world =
            World::new(waves(&json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}])), [0, 0, 6]);
        world.until_wave("all", Phase::Soaking);
        world.pass(minutes(20));
        for name in ["c0", "c1", "c2"] {
            world.disturb(name, back);
        }
        world.turn();
        assert_eq!(world.condition("Held").1, "TooManyFailures");
        for _ in 0..5 {
            world.pass(minutes(4));
        }
        assert_eq!(!world.reports.is_empty(), reverts);
        assert!(!world.condition("Held").0);
    }
}

#[test]
fn r4_a_tenant_that_somebody_else_put_on_the_candidate_is_no_failure_of_the_rollout() {
    let mut world = World::new(waves(&json!([{"name": "all", "soak": "2h", "maxConcurrent": 9}])), [0, 0, 6]);
    world.until_wave("all", Phase::Soaking);
    world.pass(minutes(20));
    let now = world.now;
    for name in ["born-0", "born-1", "born-2"] {
        world.sims.push(sim(name, None, "2.0.0", now));
        world.disturb(name, None);
    }
    world.pass(minutes(30));
    assert!(world.reports.is_empty(), "R6: none of these fails a rollout");
}
