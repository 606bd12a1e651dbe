//! R27, R29 to R31: what the status says, and how much of it there is.

use breakwater_crds::{
    Verb,
    status::{HISTORY_MAX, Phase, STATUS_MAX_BYTES, TROUBLED_MAX},
    words::{ConditionType, TransitionReason, Trouble},
};
use breakwater_plan::observed::Reading;
use serde_json::json;

use crate::world::{World, minutes, seconds, spec};

#[test]
fn r27_the_status_is_bounded_at_a_hundred_thousand_tenants_in_trouble() {
    let mut large = spec("2.0.0");
    large["waves"] = (0..31).map(|i| json!({"name": format!("wave-{i}-{}", "x".repeat(30)), "percent": 3, "soak": "1h", "maxConcurrent": "100%"})).collect();
    let mut world = World::new(large, [0, 0, 100_000]);
    for (i, sim) in world.sims.iter_mut().enumerate() {
        match i % 5 {
            0 => sim.tenant.consented = false,
            1 => sim.tenant.version = Reading::Unreadable("x".repeat(5_000).into()),
            2 => sim.tenant.dormant = true,
            _ => {}
        }
        if i < 40 {
            sim.tenant.version = Reading::Version(format!("0.{i}.0-{}", "y".repeat(100)).into());
        }
    }
    let plan = world.think();
    assert!(serde_json::to_vec(&plan.status).unwrap().len() < STATUS_MAX_BYTES);
    assert_eq!(plan.status.troubled.len(), TROUBLED_MAX);
    assert!(
        plan.status.troubled.iter().all(|tenant| tenant.reason == Trouble::Unreadable),
        "the worst first"
    );
    assert_eq!(
        plan.status.counts.live
            + plan.status.counts.dormant
            + plan.status.counts.unconsented
            + plan.status.counts.unreadable,
        100_000
    );
    assert!(plan.writes.len() > 500);
}

#[test]
fn r27_a_thousand_holds_and_long_words_leave_the_status_bounded() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    for _ in 0..60 {
        world.act(Verb::Hold, json!({"reason": "ж".repeat(1_024), "requestedBy": "u".repeat(512)}));
    }
    for _ in 0..4 {
        world.pass(minutes(1)); // every plan is checked against the bound
    }
    assert_eq!(world.status.brakes.len(), 32);
    let refused = world.answers.values().filter(|(_, words)| words.contains("lift some")).count();
    assert_eq!(refused, 28);
}

#[test]
fn r29_conditions_are_those_of_kstatus_in_every_phase() {
    type Arrange = fn(&mut World);
    let rows: [(&str, Arrange, [&str; 4]); 12] = [
        ("advancing", |world| world.until_phase(Phase::Advancing), ["Ready", "Progressing", "", ""]),
        ("soaking", |world| world.until_phase(Phase::Soaking), ["Ready", "Progressing", "", ""]),
        ("watching", |world| world.until_phase(Phase::Watching), ["Ready", "Progressing", "", ""]),
        ("completed", |world| world.until_phase(Phase::Completed), ["Ready", "", "", ""]),
        (
            "outside windows",
            |world| {
                world.edit(json!({"schedule": {"deny": [{"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}]}}));
            },
            ["Ready", "Progressing", "", ""],
        ),
        ("paused", |world| world.edit(json!({"paused": true})), ["Ready", "", "Held", ""]),
        ("held", |world| drop(world.act(Verb::Hold, json!({}))), ["Ready", "", "Held", ""]),
        ("stopped", |world| drop(world.act(Verb::Stop, json!({}))), ["", "", "Held", ""]),
        (
            "not released",
            |world| world.sim("a0").tenant.foreign_owner = Some("helm".into()),
            ["", "", "Held", "Stalled"],
        ),
        ("adopting", |world| world.edit(json!({"adopt": "Approve"})), ["Ready", "", "", ""]),
        (
            "reverting",
            |world| {
                world.edit(json!({"version": "6.6.6"}));
                world.until_phase(Phase::Reverting);
            },
            ["", "", "", ""],
        ),
        (
            "reverted",
            |world| {
                world.edit(json!({"version": "6.6.6"}));
                world.until_phase(Phase::Reverted);
            },
            ["", "", "", "Stalled"],
        ),
    ];
    for (what, arrange, expected) in rows {
        let mut world = World::usual("2.0.0");
        arrange(&mut world);
        world.pass(seconds(5));
        let names = ["Ready", "Progressing", "Held", "Stalled"];
        let found = names.map(|name| if world.condition(name).0 { name } else { "" });
        assert_eq!(found, expected, "{what}: {}", world.status.message);
        assert!(!world.condition("Reconciling").0, "{what}: the generation is observed");
        assert_eq!(world.status.observed_generation, world.generation);
        assert_eq!(world.condition("Deviating").0, what == "reverting", "{what}");
        assert!(world.condition("Accepted").0);
    }
}

#[test]
fn r29_a_conditions_time_is_that_of_its_last_change() {
    let mut world = World::usual("2.0.0");
    world.until_phase(Phase::Soaking);
    let since = |world: &World| world.status.condition(ConditionType::Ready).unwrap().last_transition_time;
    let ready = since(&world);
    world.pass(minutes(3));
    assert_eq!(since(&world), ready);
    world.act(Verb::Stop, json!({}));
    world.pass(minutes(3));
    assert_eq!(since(&world), world.now);
}

#[test]
fn r30_messages_say_which_slo_value_limit_and_window() {
    let mut world = World::usual("6.6.6");
    world.until_phase(Phase::Reverting);
    let said = world.reports[0].status.message.clone();
    insta::assert_snapshot!(said);
    let report = &world.reports[0].status;
    assert_eq!(
        (report.slo.as_deref(), report.reason.as_str(), report.wave.as_str()),
        (Some("api-errors"), "SharpPath", "one")
    );
    assert!(report.value > report.limit && report.baseline < report.limit && report.window.is_some());
    assert_eq!((report.worst.len(), report.waves[0].touched), (3, 3));
    assert_eq!(world.status.revert.as_ref().unwrap().message, said);
    assert!(
        world
            .transitions
            .iter()
            .any(|told| told.reason == TransitionReason::Deviation && told.warning && told.message == said)
    );
}

#[test]
fn r31_every_transition_is_told_once_in_order_and_the_last_hundred_are_kept() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    for _ in 0..40 {
        let name = world.act(Verb::Hold, json!({}));
        world.pass(seconds(5));
        world.act(Verb::Lift, json!({ "subject": name }));
        world.pass(seconds(5));
    }
    assert_eq!((world.told("Held"), world.told("Resumed"), world.told("ActionHonoured")), (40, 40, 80));
    assert_eq!(world.status.history.len(), HISTORY_MAX);
    let last: Vec<_> =
        world.transitions.iter().rev().take(HISTORY_MAX).rev().map(|told| (told.at, &told.reason)).collect();
    let kept: Vec<_> = world.status.history.iter().map(|told| (told.at, &told.reason)).collect();
    assert_eq!(kept, last);
}

#[test]
fn r31_nothing_is_told_per_tick_or_per_tenant() {
    let mut world = World::usual("2.0.0");
    world.edit(json!({"waves": [{"name": "all", "soak": "3d", "maxConcurrent": 9}]}));
    world.until_wave("all", Phase::Soaking);
    world.until("warm", |world| world.told("SoakStarted") == 1);
    let told = world.transitions.len();
    for _ in 0..100 {
        world.pass(minutes(3));
    }
    assert_eq!(world.transitions.len(), told);
}
