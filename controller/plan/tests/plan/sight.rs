//! R10, R33: nothing is written blind.

use breakwater_crds::{Verb, status::Phase};
use serde_json::json;

use crate::world::{LookedAt, World, minutes, spec};

#[test]
fn r10_before_anybody_has_looked_nothing_is_written_and_nothing_holds() {
    for looked_at in [LookedAt::Never, LookedAt::At("2026-03-02T09:54:00Z".parse().unwrap())] {
        let mut world = World::usual("2.0.0");
        world.looked_at = looked_at;
        world.pass(minutes(0));
        let plan = world.last.clone().unwrap();
        assert!(plan.wants_sight, "{looked_at:?}");
        assert_eq!((world.status.phase, world.condition("Held").0), (Phase::Advancing, false));
        assert_eq!(world.status.message, "wave one waits: the SLOs are looked at before the first write");
        assert!(world.writes.is_empty());
        world.looked_at = LookedAt::Now;
        world.pass(minutes(0));
        assert_eq!(world.writes.len(), 2, "{looked_at:?}");
    }
}

#[test]
fn r10_an_slo_that_shows_nothing_holds_the_first_write_until_it_does() {
    let mut world = World::usual("2.0.0");
    world.outages.push((world.now, world.now + minutes(90)));
    world.pass(minutes(0));
    world.pass(minutes(60));
    assert_eq!(world.condition("Held"), (true, "NoData".into()));
    assert_eq!(world.status.message, "api-errors: connection refused");
    assert!(world.writes.is_empty());
    world.pass(minutes(31));
    assert_eq!((world.condition("Held").0, world.writes.len()), (false, 2));
}

#[test]
fn r10_each_wave_is_looked_at_before_its_own_first_write() {
    let mut world = World::usual("2.0.0");
    for name in ["b1", "b2"] {
        let id = world.sim(name).tenant.id;
        world.uninstrumented.insert(id);
    }
    world.until("wave one is passed", |world| world.status.waves[0].passed_at.is_some());
    world.pass(minutes(1));
    assert_eq!(world.condition("Held"), (true, "Uninstrumented".into()));
    let says = "api-errors: 2 of the 4 ready tenants of wave two have no series, such as tenants/b";
    assert!(world.status.message.starts_with(says), "{}", world.status.message);
    assert_eq!(world.names_on("2.0.0"), ["a0", "a1", "a2"]);
    assert!(world.last.as_ref().unwrap().wants_sight);
    world.uninstrumented.clear();
    world.until_phase(Phase::Completed);
}

#[test]
fn r10_a_tenant_that_is_not_ready_before_keeps_no_wave_from_starting_for_want_of_series() {
    let mut world = World::usual("2.0.0");
    world.disturb("a1", None);
    let broken = world.sim("a1").tenant.id;
    world.uninstrumented.insert(broken);
    world.pass(minutes(0));
    assert_eq!((world.condition("Held").0, world.writes.len()), (false, 2));
}

#[test]
fn r10_a_human_may_start_a_wave_that_nobody_can_watch() {
    let mut world = World::usual("2.0.0");
    world.outages.push((world.now, world.now + minutes(90)));
    world.pass(minutes(0));
    let early = world.act(Verb::Promote, json!({"version": "2.0.0"}));
    world.pass(minutes(1));
    assert_eq!(world.answers[&early].1, "wave one ends as soon as its tenants are ready");
    assert_eq!(world.writes.len(), 2);

    // There is nothing to be promoted past while it is only not known yet.
    let mut world = World::usual("2.0.0");
    world.looked_at = LookedAt::Never;
    world.pass(minutes(0));
    let early = world.act(Verb::Promote, json!({"version": "2.0.0"}));
    world.pass(minutes(1));
    assert_eq!(world.answers[&early].1, "no wave is soaking; the phase is Advancing");
    assert!(world.writes.is_empty());
}

#[test]
fn r10_between_waves_no_wave_is_promoted_that_has_not_started() {
    let mut world = World::usual("2.0.0");
    world.until("wave one is nearly soaked", |world| world.status.waves[0].soaked_seconds > 17 * 60);
    world.looked_at = LookedAt::Never;
    world.until("wave one is passed", |world| world.status.waves[0].passed_at.is_some());
    world.outages.push((world.now, world.now + minutes(90)));
    world.pass(minutes(10));
    assert_eq!(world.condition("Held"), (true, "NoData".into()));
    let early = world.act(Verb::Promote, json!({"version": "2.0.0"}));
    world.pass(minutes(1));
    assert_eq!(world.answers[&early].1, "no wave is soaking; the phase is Advancing");
    assert_eq!(world.status.waves[1].promoted, None);
}

#[test]
fn b1_an_adoption_counts_the_tenants_that_each_slo_measures() {
    let mut first = spec("2.0.0");
    first["adopt"] = json!("Approve");
    let mut world = World::new(first.clone(), [3, 4, 6]);
    world.looked_at = LookedAt::Never;
    world.pass(minutes(0));
    assert_eq!((world.status.phase, world.told("Adopting")), (Phase::Pending, 0));
    assert_eq!(world.status.message, "the fleet is counted: versions, owners and telemetry");
    world.looked_at = LookedAt::Now;
    let silent = world.sim("c5").tenant.id;
    world.uninstrumented.insert(silent);
    world.pass(minutes(0));
    assert_eq!((world.status.phase, world.told("Adopting")), (Phase::Adopting, 1));
    assert_eq!(
        world.status.message,
        "found 13 tenants: 13 on 1.0.0; api-errors measures 12; approve wave one of 2.0.0 to begin"
    );
    let telemetry = &world.status.adoption.as_ref().unwrap().telemetry;
    assert_eq!((telemetry[0].slo.as_str(), telemetry[0].measured), ("api-errors", 12));
    assert_eq!(telemetry[0].message, "1 have no series, such as tenants/c5");

    let mut world = World::new(first, [3, 4, 6]);
    world.outages.push((world.now, world.now + minutes(90)));
    world.pass(minutes(0));
    let telemetry = &world.status.adoption.as_ref().unwrap().telemetry;
    assert_eq!((telemetry[0].measured, telemetry[0].message.as_str()), (0, "connection refused"));
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "one"}));
    world.pass(minutes(1));
    assert_eq!((world.condition("Held").1.as_str(), world.writes.len()), ("NoData", 0));
}
