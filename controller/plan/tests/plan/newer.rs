//! R38: words of a newer controller in what this one reads. They are kept, and they let nothing pass.

use breakwater_crds::{
    Verb,
    action::ActionResult,
    status::{Phase, Transition},
    words::{Impact, RevertSafety, TransitionReason, Word},
};
use serde_json::json;

use crate::{
    releases::release,
    world::{World, minutes},
};

/// A word that no vocabulary has.
const NEWER: &str = "Becalmed";

#[test]
fn r38_nobody_is_promoted_past_a_verdict_that_only_a_newer_controller_knows() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.status.slos[0].verdict = Some(Word::from(NEWER));
    let asked = world.act(Verb::Promote, json!({"version": "2.0.0"}));
    world.turn();
    let (result, why) = &world.answers[&asked];
    assert_eq!(*result, ActionResult::Refused, "{why}");
    assert!(why.contains(NEWER), "{why}");
    assert_eq!(world.status.waves[0].promoted, None);
    let again = world.act(Verb::Promote, json!({"version": "2.0.0"}));
    world.turn();
    assert_eq!(world.answers[&again].0, ActionResult::Honoured, "this controller has judged it since");
}

#[test]
fn r38_what_a_newer_controllers_gate_was_acknowledged_for_opens_none_of_ours() {
    let mut world = World::usual("2.0.0");
    world.releases = vec![release("2.0.0", Impact::Downtime, RevertSafety::RevertSafe)];
    world.turn();
    world.act(Verb::Hold, json!({}));
    world.act(Verb::Acknowledge, json!({"subject": "migrations", "version": "2.0.0", "reason": "looked at"}));
    let mut newer = World::usual("2.0.0");
    newer.releases.clone_from(&world.releases);
    world.turn();
    newer.status.acknowledged.clone_from(&world.status.acknowledged);
    newer.status.acknowledged[0].subject = Word::from(NEWER);
    newer.pass(minutes(60));
    assert_eq!(newer.status.summary, "Pending (Migrations)", "{}", newer.status.message);
    assert_eq!(newer.status.acknowledged[0].subject.as_str(), NEWER);
}

#[test]
fn r38_a_newer_controllers_hold_ends_by_name_and_its_transitions_stay_in_the_history() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.act(Verb::Hold, json!({}));
    world.turn();
    let held = world.status.conditions.iter_mut().find(|condition| condition.reason == "Held").unwrap();
    held.reason = NEWER.into();
    let at = held.last_transition_time;
    let (reason, message) = (Word::from(NEWER), "nobody here knows".to_owned());
    let seq = world.status.history.last().map_or(0, |told| told.seq) + 1;
    world.status.history.push(Transition { seq, at, reason: reason.clone(), message, warning: true });
    world.act(Verb::Lift, json!({"subject": "act-1"}));
    world.turn();
    let told = &world.status.history;
    let resumed = told.iter().find(|told| told.reason == TransitionReason::Resumed).unwrap();
    assert_eq!(resumed.message, format!("{NEWER} is over"));
    assert!(told.iter().any(|told| told.reason == reason && told.warning), "{told:?}");
    world.until_phase(Phase::Completed);
}
