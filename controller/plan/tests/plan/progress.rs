//! R1 to R9: how a version gets in.

use breakwater_crds::status::Phase;

use crate::world::World;

#[test]
fn r1_waves_go_in_order_one_at_a_time_and_the_version_becomes_the_stable_one() {
    let mut world = World::usual("2.0.0");
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
    assert_eq!(world.status.stable_version.as_deref(), Some("2.0.0"));
    let order: String = world.writes.iter().map(|(_, _, name, _)| &name[..1]).collect();
    assert_eq!(order, "aaabbbbcccccc");
    let told: Vec<&str> = world.transitions.iter().map(|told| told.reason.as_str()).collect();
    insta::assert_yaml_snapshot!(told);
}
