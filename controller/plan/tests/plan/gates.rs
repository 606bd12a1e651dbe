//! `spec.gates.openDeviations`: a deviation that nobody answered keeps other versions from starting.

use breakwater_crds::{
    Verb,
    report::{Investigation, InvestigationState},
    status::Phase,
};
use serde_json::json;

use crate::world::{World, minutes};

/// 6.6.6 was taken out, and its patch release 2.0.0 is wanted.
fn reverted() -> World {
    let mut world = World::usual("6.6.6");
    world.until_phase(Phase::Reverted);
    world.edit(json!({"version": "2.0.0"}));
    world
}

fn answer(world: &mut World, state: InvestigationState, fixed_in: Option<&str>) {
    let fixed_in = fixed_in.map(str::to_owned);
    world.reports[0].spec.investigation =
        Some(Investigation { state, fixed_in, notes: "a cache was keyed wrongly".into() });
}

fn waits(world: &mut World) {
    for _ in 0..5 {
        world.pass(minutes(30));
        assert_eq!((world.status.phase, world.on("2.0.0")), (Phase::Pending, 0), "{}", world.status.message);
    }
}

#[test]
fn a_version_waits_while_a_deviation_of_another_one_is_open_and_says_how_it_would_not() {
    let mut world = reverted();
    waits(&mut world);
    let name = world.reports[0].name.clone();
    assert_eq!(
        world.status.message,
        format!(
            "version 2.0.0 waits: DeviationReport {name} of 6.6.6 is open; close it: \
             kubectl breakwater report {name} -n ops --close fixed --in 2.0.0"
        )
    );
    assert_eq!(world.status.summary, "Pending (OpenDeviations)");
    for (type_, holds) in [("Held", true), ("Stalled", true), ("Ready", false)] {
        assert_eq!(world.condition(type_), (holds, "OpenDeviations".to_owned()), "{type_}");
    }
    let told = world.transitions.iter().filter(|told| told.message.starts_with("OpenDeviations: "));
    assert_eq!(told.count(), 1);
}

#[test]
fn any_answer_lets_it_start_and_one_that_is_open_lets_the_named_version_alone_start() {
    for (state, fixed_in, starts) in [
        (InvestigationState::Fixed, Some("2.0.0"), true),
        (InvestigationState::Attributed, None, true),
        (InvestigationState::NotAttributed, None, true),
        (InvestigationState::Open, Some("2.0.0"), true),
        (InvestigationState::Open, Some("3.0.0"), false),
        (InvestigationState::Open, None, false),
    ] {
        let mut world = reverted();
        answer(&mut world, state, fixed_in);
        if starts {
            world.until_phase(Phase::Completed);
            assert_eq!(world.on("2.0.0"), 13);
        } else {
            waits(&mut world);
        }
        let found = world.reports[0].spec.investigation.clone().unwrap();
        assert_eq!((found.state, found.notes.as_str()), (state, "a cache was keyed wrongly"), "theirs alone");
    }
}

#[test]
fn warn_starts_and_tells_once_ignore_says_nothing() {
    for (gate, told) in [("Warn", 1), ("Ignore", 0)] {
        let mut world = reverted();
        world.edit(json!({"gates": {"openDeviations": gate}}));
        world.until_phase(Phase::Completed);
        assert_eq!((world.on("2.0.0"), world.told("OpenDeviations")), (13, told), "{gate}");
    }
}

#[test]
fn a_retry_closes_what_it_retries() {
    let mut world = reverted();
    waits(&mut world);
    world.edit(json!({"version": "6.6.6"}));
    world.behaviours.get_mut("6.6.6").unwrap().errors = 0.0;
    world.act(Verb::Retry, json!({"version": "6.6.6"}));
    world.until_phase(Phase::Completed);
    world.edit(json!({"version": "2.0.0"}));
    world.until("the next one starts", |world| world.status.phase.is_under_way());
}

#[test]
fn a_deviation_that_only_holds_never_blocks_its_own_version_and_blocks_the_next() {
    let mut world = World::usual("2.0.0");
    world.edit(json!({"onDeviation": {"action": "Hold"}, "onNewVersion": "Supersede"}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(4));
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.5;
    world.until("it deviates", |world| !world.reports.is_empty());
    world.edit(json!({"version": "3.0.0"}));
    world.turn();
    assert_eq!(
        (world.status.candidate_version.as_deref(), world.status.queued.as_deref(), world.told("Queued")),
        (Some("2.0.0"), Some("3.0.0"), 1)
    );
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.0;
    world.until("its own version goes on", |world| world.status.wave.as_deref() == Some("two"));
    answer(&mut world, InvestigationState::NotAttributed, None);
    world.until("and then the next takes over", |world| {
        world.status.candidate_version.as_deref() == Some("3.0.0")
    });
}

#[test]
fn going_back_to_the_stable_version_asks_nobody() {
    let mut world = reverted();
    waits(&mut world);
    world.edit(json!({"version": "1.0.0"}));
    world.pass(minutes(1));
    assert_eq!(world.status.phase, Phase::Completed);
}
