//! Who may stop, and what others write on tenants: nobody gets more by it than they were given.

use breakwater_crds::{Phase, Verb, action::ActionResult, words::Trouble};
use breakwater_plan::spec::Checked;
use serde_json::json;

use crate::world::{World, minutes};

fn troubled(world: &World, name: &str) -> Vec<String> {
    let of = world.status.troubled.iter().filter(|one| one.name == name);
    of.map(|one| one.reason.to_string()).collect()
}

#[test]
fn s6_a_stop_is_honoured_whoever_holds_what() {
    let mut world = World::usual("2.0.0");
    world.until_phase(Phase::Soaking);
    for _ in 0..33 {
        world.act(Verb::Hold, json!({}));
        world.turn();
    }
    let (result, message) = world.answers["act-33"].clone();
    assert!(result == ActionResult::Refused && message.contains("32 holds"), "{message}");
    for _ in 0..12 {
        let stop = world.act(Verb::Stop, json!({"until": world.now + std::time::Duration::from_hours(240)}));
        world.turn();
        assert_eq!(world.answers[&stop].0, ActionResult::Honoured, "{}", world.answers[&stop].1);
    }
    assert_eq!(world.status.brakes.len(), 32 + 8, "the status is bounded");
}

#[test]
fn s12_who_may_lift_holds_lifts_no_stop() {
    let mut world = World::usual("2.0.0");
    let stop = world.act(Verb::Stop, json!({}));
    world.turn();
    let lift = world.act(Verb::Lift, json!({"subject": stop, "lifts": "Hold"}));
    world.turn();
    let (result, message) = world.answers[&lift].clone();
    assert!(result == ActionResult::Refused && message.contains("spec.lifts must be Stop"), "{message}");
    assert_eq!(world.status.brakes.len(), 1);
}

#[test]
fn s7_a_forged_previous_version_is_not_gone_back_to() {
    let mut world = World::usual("2.0.0");
    world.until_wave("two", Phase::Soaking);
    let forged = |world: &mut World, name: &str| {
        let marker = world.sim(name).tenant.marker.as_mut().unwrap();
        marker.previous = "0.9.0-vulnerable".into();
    };
    forged(&mut world, "a0");
    forged(&mut world, "b1");
    world.pass(minutes(1));
    assert_eq!(troubled(&world, "a0"), [Trouble::PreviousUnknown.as_str()]);
    world.act(Verb::Revert, json!({"version": "2.0.0", "reason": "tried"}));
    world.until_phase(Phase::Reverted);
    assert_eq!((world.on("1.0.0"), world.on("0.9.0-vulnerable")), (13, 0));
}

#[test]
fn s7_a_fleet_of_many_versions_goes_back_to_each_tenants_own() {
    let mut world = World::new(crate::world::spec("2.0.0"), [3, 4, 60]);
    for i in 0..60 {
        world.set_version(&format!("c{i}"), &format!("1.0.{i}"));
    }
    world.until_phase(Phase::Completed);
    world.act(Verb::Revert, json!({"version": "2.0.0", "reason": "tried"}));
    world.until_phase(Phase::Reverted);
    for i in 0..60 {
        assert_eq!(world.version_of(&format!("c{i}")), format!("1.0.{i}"));
    }
}

#[test]
fn s7_a_forged_previous_version_is_not_believed_after_years_of_releases() {
    let mut world = World::usual("2.0.0");
    for minor in 0..14 {
        world.edit(json!({"version": format!("2.{minor}.0")}));
        world.until_phase(Phase::Completed);
    }
    assert!(world.status.known_versions.len() < 10, "{:?}", world.status.known_versions);
    world.sim("a0").tenant.marker.as_mut().unwrap().previous = "0.9.0-vulnerable".into();
    world.act(Verb::Revert, json!({"version": "2.13.0", "reason": "tried"}));
    world.until_phase(Phase::Reverted);
    assert_eq!((world.on("0.9.0-vulnerable"), world.on("2.12.0")), (0, 13));
}

#[test]
fn s8_contested_tenants_hold_a_wave_that_bears_none_and_are_left_behind_by_one_that_does() {
    let mut world = World::usual("2.0.0");
    world.edit(json!({"waves": [
        {"name": "one", "selector": {"matchLabels": {"ring": "0"}}, "soak": "1h", "maxContested": 1},
        {"name": "rest", "soak": "1h", "maxConcurrent": "100%"},
    ]}));
    world.until_phase(Phase::Soaking);
    world.set_version("a1", "1.7.0");
    world.until_phase(Phase::Completed);
    assert_eq!((world.version_of("a1"), world.on("2.0.0")), ("1.7.0", 12));
    assert_eq!(troubled(&world, "a1"), [Trouble::Contested.as_str()]);
    assert_eq!(world.told("Held"), 0);
}

#[test]
fn s1_s2_a_query_has_an_end_and_a_secret_goes_over_tls() {
    let told = |prometheus: serde_json::Value| {
        let mut spec = crate::world::spec("2.0.0");
        spec["prometheus"] = prometheus;
        let checked = Checked::parse(&serde_json::from_value(spec).unwrap());
        checked.err().map_or_else(Vec::new, |errors| errors.iter().map(ToString::to_string).collect())
    };
    let (http, secret) = ("http://prometheus.monitoring:9090", json!({"name": "token"}));
    assert!(told(json!({"url": http, "timeout": "2m"})).is_empty());
    let slow = told(json!({"url": http, "timeout": "3h"}));
    assert!(
        slow.len() == 1 && slow[0].starts_with("spec.prometheus.timeout: 3h must be at most 2m"),
        "{slow:?}"
    );
    for sent in ["bearerTokenSecretRef", "headersSecretRef"] {
        let plain = told(json!({"url": http, sent: secret}));
        assert!(plain.len() == 1 && plain[0].contains("must be https://"), "{plain:?}");
        assert!(told(json!({"url": "https://prometheus", sent: secret})).is_empty());
    }
}
