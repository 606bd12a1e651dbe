//! Which arm of an alert each tenant is in: what the planner says of it, and nobody else (R15).

use std::collections::BTreeMap;

use breakwater_crds::status::Phase;
use breakwater_plan::{
    alerts::Standing,
    observed::{Claim, Marker, Readiness, Reading, Tenant},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::world::{World, minutes};

/// On 2.0.0 with its first wave, and a rule that reverts.
fn world() -> World {
    let mut world = World::usual("2.0.0");
    let alert = json!({"matchers": ["severity=page"], "tenantLabel": "tenant", "action": "Revert"});
    world.edit(json!({ "alerts": [alert] }));
    world.until_wave("one", Phase::Soaking);
    world
}

/// What befalls a tenant.
type Change<'a> = &'a dyn Fn(&mut Tenant);

fn arms(world: &mut World) -> BTreeMap<String, Standing> {
    let arms = world.think().arms;
    assert_eq!(arms.len(), world.sims.len());
    world.sims.iter().map(|sim| sim.tenant.name.to_string()).zip(arms).collect()
}

#[test]
fn r15_candidates_are_who_we_wrote_and_the_baseline_who_waits_warm() {
    let mut world = world();
    let of_a = |standing: &Standing| matches!(standing, Standing::Candidate { warm_at: Some(_), .. });
    let arms = arms(&mut world);
    assert!(["a0", "a1", "a2"].iter().all(|name| of_a(&arms[*name])), "{arms:?}");
    assert_eq!(arms.values().filter(|arm| **arm == Standing::Baseline).count(), 10);
}

#[test]
fn r15_who_is_no_tenant_of_the_rollout_is_in_no_arm() {
    let mut world = world();
    let marker = Marker {
        claim: Claim::Other,
        target: "1.0.0".into(),
        previous: "1.0.0".into(),
        wave: "x".into(),
        written_at: world.now,
        epoch: 1,
        ready_before: true,
    };
    let since = world.now - SignedDuration::from_secs(1);
    let each: [(&str, Change<'_>); 8] = [
        ("b0", &|tenant| tenant.excluded = true),
        ("b1", &|tenant| tenant.consented = false),
        ("b2", &|tenant| tenant.marker = Some(Box::new(marker.clone()))),
        ("b3", &|tenant| tenant.dormant = true),
        ("c0", &|tenant| tenant.terminating = true),
        ("c1", &|tenant| tenant.version = Reading::Unreadable("no field".into())),
        ("c2", &|tenant| tenant.version = Reading::Version("9.0.0".into())),
        ("c3", &|tenant| tenant.readiness = Readiness::Ready { since }),
    ];
    for (name, change) in each {
        let sim = world.sims.iter_mut().find(|sim| *sim.tenant.name == *name).unwrap();
        change(&mut sim.tenant);
    }
    let arms = arms(&mut world);
    for (name, _) in each {
        assert_eq!(arms[name], Standing::Neither, "{name}");
    }
    assert_eq!(arms["c4"], Standing::Baseline);
}

#[test]
fn r15_an_instant_at_the_calendars_end_is_no_panic() {
    let mut world = world();
    for (name, since) in [("b0", Timestamp::MAX), ("b1", Timestamp::MIN)] {
        let sim = world.sims.iter_mut().find(|sim| *sim.tenant.name == *name).unwrap();
        sim.tenant.readiness = Readiness::Ready { since };
    }
    let candidate = world.sims.iter_mut().find(|sim| *sim.tenant.name == *"a0").unwrap();
    candidate.tenant.marker.as_mut().unwrap().written_at = Timestamp::MAX;
    let arms = arms(&mut world);
    assert_eq!((arms["b0"], arms["b1"]), (Standing::Neither, Standing::Baseline));
}

#[test]
fn nobody_has_an_arm_where_no_rule_asks_or_nothing_is_under_way() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    assert!(world.think().arms.is_empty());
    let mut world = self::world();
    world.until_phase(Phase::Completed);
    world.pass(minutes(1));
    assert!(world.think().arms.is_empty());
}
