//! Tenants that another hub marked for a Rollout of the same name (R48), and the numbers of transitions (R31).

use breakwater_crds::{
    Phase, Verb,
    action::ActionResult,
    words::{ConditionType, HoldReason},
};
use breakwater_plan::observed::{Claim, Marker};
use serde_json::json;

use crate::world::{World, marker, minutes};

/// The reason of the hold in force.
fn held(world: &World) -> String {
    match world.condition(ConditionType::Held.as_str()) {
        (true, reason) => reason,
        (false, _) => String::new(),
    }
}

/// Marks a tenant as the hub `old` did.
fn mark(world: &mut World, name: &str, hub: &str) {
    let now = world.now;
    let foreign = Marker { claim: Claim::Hub(hub.into()), ..marker("1.0.0", "0.9.0", "community", now) };
    world.sim(name).tenant.marker = Some(Box::new(foreign));
}

fn acknowledge(world: &mut World, hub: &str) -> (ActionResult, String) {
    let name =
        world.act(Verb::Acknowledge, json!({"subject": format!("hub/{hub}"), "reason": "rebuilt from Git"}));
    world.turn();
    world.answers[&name].clone()
}

#[test]
fn r48_nothing_starts_on_tenants_that_another_hub_marked_until_somebody_takes_them_over() {
    let mut world = World::usual("2.0.0");
    mark(&mut world, "a0", "old");
    world.pass(minutes(60));
    assert_eq!((world.status.phase, held(&world)), (Phase::Pending, HoldReason::OtherHub.to_string()));
    let message = &world.status.message;
    assert!(message.contains("acknowledge app -n ops --hub old"), "{message}");
    let (result, message) = acknowledge(&mut world, "other");
    assert!(result == ActionResult::Refused && message.contains("there are old"), "{message}");
    let (result, message) = acknowledge(&mut world, "old");
    assert_eq!(result, ActionResult::Honoured, "{message}");
    assert_eq!(world.status.other_hubs, ["old"]);
    assert_eq!(held(&world), HoldReason::OtherHub.to_string(), "until the tenants are read as ours");
    // As tenants are read once their Rollout knows the hub.
    let own = world
        .sim("a0")
        .tenant
        .marker
        .as_ref()
        .map(|marker| Marker { claim: Claim::Own, ..(**marker).clone() });
    world.sim("a0").tenant.marker = own.map(Box::new);
    world.until_phase(Phase::Completed);
    assert_eq!(world.version_of("a0"), "2.0.0");
    assert_eq!(acknowledge(&mut world, "old").0, ActionResult::Refused, "once is enough");
}

#[test]
fn r48_a_second_hub_that_begins_to_mark_tenants_holds_the_version_under_way() {
    let mut world = World::usual("2.0.0");
    world.until_phase(Phase::Soaking);
    mark(&mut world, "c5", "second");
    let writes = world.writes.len();
    world.pass(minutes(60 * 24 * 60));
    assert_eq!(held(&world), HoldReason::OtherHub.to_string());
    assert_eq!(world.writes.len(), writes, "nothing goes on");
}

#[test]
fn r31_numbers_of_transitions_rise_over_a_wiped_and_a_restored_status() {
    let mut world = World::usual("2.0.0");
    world.until_phase(Phase::Soaking);
    let restored = world.status.clone();
    let newest = |world: &World| world.status.history.last().map_or(0, |told| told.seq);
    let first = newest(&world);
    world.until_phase(Phase::Completed);
    let known = newest(&world);
    assert!(known > first && first > 0);
    world.status = breakwater_crds::RolloutStatus::default();
    world.pass(minutes(1));
    assert!(newest(&world) > known, "wiped");
    let known = newest(&world);
    world.status = restored;
    world.act(Verb::Hold, json!({}));
    world.pass(minutes(1));
    assert!(newest(&world) > known, "restored");
}
