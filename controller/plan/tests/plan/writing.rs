//! R24, R28, R36, R39: what may be written, and what a crash between any two writes changes (nothing).

use breakwater_crds::words::Word;
use breakwater_crds::{RolloutStatus, Verb, status::Phase};
use breakwater_plan::observed::{Claim, Reading};
use serde_json::json;

use crate::world::{World, marker, minutes, store};

#[test]
fn r24_a_contested_tenant_is_confirmed_then_left_alone_named_and_holds_but_never_reverts() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.set_version("a0", "1.0.0");
    world.sim("a0").tenant.foreign_owner = Some("argocd-controller".into());
    let first = world.think();
    assert_eq!(
        (first.confirm.len(), world.condition("Held").0),
        (1, false),
        "one look at a cache is not enough"
    );
    world.turn();
    assert_eq!((world.condition("Held").1.as_str(), world.status.counts.contested), ("Contested", 1));
    assert_eq!(
        world.status.message,
        "1 tenants contested: argocd-controller changed the version of tenants/a0"
    );
    assert!(world.condition("Stalled").0);
    world.writes.clear();
    world.pass(minutes(60));
    assert_eq!((world.writes.len(), world.reports.len(), world.version_of("a0")), (0, 0, "1.0.0"));
    world.set_version("a0", "2.0.0");
    world.until_phase(Phase::Completed);
}

#[test]
fn r24_a_tenant_under_another_rollouts_marker_is_claimed_and_one_whose_rollout_is_gone_is_free() {
    for (claim, version, claimed) in [(Claim::Other, "1.0.0", 1), (Claim::Gone, "2.0.0", 0)] {
        let mut world = World::usual("2.0.0");
        let now = world.now;
        let foreign =
            breakwater_plan::observed::Marker { claim: claim.clone(), ..marker("1.0.0", "0.8.0", "x", now) };
        world.sim("a0").tenant.marker = Some(Box::new(foreign));
        world.until_phase(Phase::Completed);
        assert_eq!((world.version_of("a0"), world.status.counts.claimed), (version, claimed), "{claim:?}");
        if claim == Claim::Gone {
            assert_eq!(&*world.marker("a0").previous, "1.0.0", "what the other recorded is not ours");
        } else {
            assert_eq!(world.status.counts.live, 12);
        }
    }
}

#[test]
fn r24_an_owner_that_has_not_released_the_version_keeps_the_rollout_pending_and_is_told_how_to() {
    for (owner, snippet) in [
        ("argocd-controller", "RespectIgnoreDifferences=true"),
        ("kustomize-controller", "ssa: IfNotPresent"),
        ("helm", "values"),
        ("kubectl", "takeFrom: [kubectl]"),
    ] {
        let mut world = World::usual("2.0.0");
        world.sim("a0").tenant.foreign_owner = Some(owner.into());
        world.sim("c0").tenant.foreign_owner = Some(owner.into());
        world.pass(minutes(30));
        assert_eq!(
            (world.status.phase, world.condition("Stalled").1.as_str()),
            (Phase::Pending, "OwnerNotReleased")
        );
        let message = &world.status.message;
        assert!(
            message.starts_with(&format!("2 tenants' versions are owned by {owner} (2)"))
                && message.contains(snippet),
            "{message}"
        );
        assert!(world.writes.is_empty());
    }
}

#[test]
fn r24_what_terminates_or_cannot_be_read_is_never_touched() {
    let mut world = World::usual("6.6.6");
    world.sim("a0").tenant.terminating = true;
    world.sim("b0").tenant.version = Reading::Unreadable("fields disagree".into());
    world.until("ring 0 is updated", |world| world.on("6.6.6") == 2);
    world.sim("a1").tenant.terminating = true; // in mid-rollout: its revert is not tried
    world.until_phase(Phase::Reverted);
    assert_eq!((world.version_of("a1"), world.status.counts.unreadable), ("6.6.6", 1));
}

#[test]
fn r39_a_tenant_in_a_namespace_that_does_not_consent_is_neither_updated_nor_reverted() {
    let mut world = World::usual("6.6.6");
    world.sim("a0").tenant.consented = false;
    world.until("ring 0 is updated", |world| world.on("6.6.6") == 2);
    world.sim("a1").tenant.consented = false;
    world.until_phase(Phase::Reverted);
    assert_eq!((world.version_of("a0"), world.version_of("a1")), ("1.0.0", "6.6.6"));
    assert_eq!(
        world.status.troubled.iter().filter(|tenant| tenant.reason.as_str() == "NoConsent").count(),
        2
    );
}

#[test]
fn r36_a_stop_halts_every_write_at_once_reverts_included_and_watching_goes_on() {
    for by_action in [true, false] {
        let mut world = World::usual("6.6.6");
        world.until_phase(Phase::Reverting);
        let left = world.on("6.6.6");
        world.sims.extend((0..3).map(|i| {
            let mut sim = crate::world::sim(&format!("d{i}"), None, "6.6.6", world.now);
            sim.tenant.marker = Some(Box::new(marker("6.6.6", "1.0.0", "rest", world.now)));
            sim
        }));
        let name = by_action.then(|| world.act(Verb::Stop, json!({"reason": "network maintenance"})));
        world.stopped = (!by_action).then(|| "ConfigMap breakwater-stop exists".into());
        world.writes.clear();
        for _ in 0..10 {
            world.pass(minutes(5));
        }
        assert_eq!((world.writes.len(), world.on("6.6.6")), (0, left + 3));
        assert_eq!(world.condition("Held").1, "Stopped");
        match name {
            Some(name) => drop(world.act(Verb::Lift, json!({ "subject": name }))),
            None => world.stopped = None,
        }
        world.until_phase(Phase::Reverted);
        assert_eq!(world.on("6.6.6"), 0);
    }
}

#[test]
fn r36_a_stop_before_anything_and_in_mid_wave_writes_nothing() {
    let mut world = World::usual("2.0.0");
    world.stopped = Some("ConfigMap breakwater-stop cannot be read".into());
    world.pass(minutes(60));
    assert!(world.writes.is_empty());
    world.stopped = None;
    world.until_wave("two", Phase::Advancing);
    world.stopped = Some("ConfigMap breakwater-stop exists".into());
    let before = world.writes.len();
    world.pass(minutes(60));
    assert_eq!((world.writes.len(), world.condition("Held").1.as_str()), (before, "Stopped"));
}

#[test]
fn actions_add_up_outlive_versions_and_are_honoured_once_with_an_answer() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    let hold = world.act(Verb::Hold, json!({"reason": "demo", "until": world.now + minutes(30)}));
    let again = world.act(Verb::Hold, json!({"reason": "another"}));
    let early = world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "two"}));
    let unknown = world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "nine"}));
    let expired = world.act(Verb::Hold, json!({"expiresAt": world.now}));
    world.turn();
    assert_eq!(world.status.brakes.len(), 2);
    assert_eq!(world.answers[&early].1, "wave two needs no approval");
    assert_eq!(world.answers[&unknown].1, "there is no wave \"nine\"; the waves are one, two, rest");
    assert!(world.answers[&expired].1.contains("expired"));
    world.pass(minutes(40));
    assert_eq!((world.status.brakes.len(), world.status.brakes[0].name.as_str()), (1, again.as_str()));
    assert_eq!(world.told("Lifted"), 1);
    let lift = world.act(Verb::Lift, json!({ "subject": hold }));
    world.turn();
    assert_eq!(world.answers[&lift].1, format!("{hold} is not in force; in force are {again}"));
    world.created_at = world.now + minutes(1); // the Rollout is another one by now
    let old = world.act(Verb::Lift, json!({ "subject": again }));
    world.turn();
    assert!(world.answers[&old].1.contains("older than the Rollout"));
}

/// The words that wait for approvals are said once, and each approval serves its wave and version only.
#[test]
fn approvals_before_and_after_a_wave_are_asked_for_once_and_serve_one_version() {
    let mut world = World::usual("2.0.0");
    let mut waves = world.json["waves"].clone();
    waves[0]["approval"] = json!("After");
    waves[1]["approval"] = json!("Before");
    world.edit(json!({ "waves": waves, "onNewVersion": "Supersede" }));
    world.until_phase(Phase::AwaitingApproval);
    assert_eq!(world.status.message, "wave one of 2.0.0 waits for an approval before it ends");
    world.disturb("a0", Some(minutes(3))); // the wait is interrupted
    world.pass(minutes(1));
    world.until_phase(Phase::AwaitingApproval);
    let wrong = world.act(Verb::Approve, json!({"version": "1.9.0", "wave": "one"}));
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "one"}));
    world.pass(minutes(10));
    assert_eq!(world.status.message, "wave two of 2.0.0 waits for an approval before it starts");
    assert!(world.condition("Ready").0, "R29");
    assert_eq!(
        (world.told("ApprovalNeeded"), world.answers[&wrong].1.as_str()),
        (2, "version 1.9.0 is not under way, 2.0.0 is")
    );
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "two"}));
    world.until_wave("two", Phase::Soaking);
    world.edit(json!({"version": "3.0.0"}));
    world.until_phase(Phase::AwaitingApproval);
    assert_eq!((world.status.wave.as_deref(), world.told("ApprovalNeeded")), (Some("one"), 3));
}

/// What is left of a turn when the controller dies in it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Crash {
    /// Reports are stored, the status is not.
    BeforeStatus,
    /// The status is stored, no write is sent.
    BeforeWrites,
    /// Half of the writes are sent.
    AmongWrites,
    /// All is done but the answers to actions.
    BeforeAnswers,
}

/// One turn of a controller that dies in it.
fn crash(world: &mut World, at: Crash) {
    let (status, actions): (RolloutStatus, _) = (world.status.clone(), world.actions.clone());
    let plan = world.think();
    store(&mut world.reports, &plan);
    match at {
        Crash::BeforeStatus => (world.status, world.actions) = (status, actions),
        Crash::BeforeWrites => world.actions = actions,
        Crash::AmongWrites => {
            world.actions = actions;
            world.execute(&plan.writes[..plan.writes.len().div_ceil(2)]);
        }
        Crash::BeforeAnswers => {
            world.actions = actions;
            world.execute(&plan.writes);
        }
    }
    world.restart();
}

/// What a life comes to: every tenant's version, the stable one, the reports.
#[derive(Debug, PartialEq)]
struct End {
    tenants: Vec<(String, String)>,
    stable: Option<String>,
    reports: Vec<(String, Option<breakwater_crds::Outcome>, bool)>,
}

/// A life with an approval, a hold, a bad version, a retry and a fix; the controller dies in every n-th turn.
fn life(crashes: Option<(Crash, usize)>) -> End {
    let mut world = World::usual("6.6.6");
    let mut waves = world.json["waves"].clone();
    waves[1]["approval"] = json!("Before");
    world.edit(json!({ "waves": waves }));
    let mut turns = 0;
    let mut live = |world: &mut World, done: &dyn Fn(&World) -> bool| {
        let end = world.now + minutes(60 * 12);
        while !done(world) {
            assert!(world.now < end, "{crashes:?}: {} {}", world.status.summary, world.status.message);
            turns += 1;
            match crashes {
                Some((at, every)) if turns % every == 0 => crash(world, at),
                _ => world.turn(),
            }
            world.now += minutes(2);
            world.settle_tenants();
        }
    };
    live(&mut world, &|world| world.status.phase == Phase::Reverted);
    world.act(Verb::Retry, json!({"version": "6.6.6"}));
    live(&mut world, &|world| world.status.phase == Phase::Soaking);
    world.act(Verb::Revert, json!({"version": "6.6.6", "reason": "tickets"}));
    live(&mut world, &|world| world.status.phase == Phase::Reverted);
    world.answer_reports();
    world.edit(json!({"version": "2.0.0"}));
    let hold = world.act(Verb::Hold, json!({"reason": "demo"}));
    live(&mut world, &|world| world.status.brakes.len() == 1 && world.actions.is_empty());
    world.act(Verb::Lift, json!({ "subject": hold }));
    live(&mut world, &|world| world.status.phase == Phase::AwaitingApproval);
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "two"}));
    live(&mut world, &|world| world.status.phase == Phase::Completed);
    let tenants =
        world.sims.iter().map(|sim| (sim.tenant.name.to_string(), sim.version().to_owned())).collect();
    let reports = world
        .reports
        .iter()
        .map(|r| (r.name.clone(), r.status.outcome, r.status.closed_by.is_some()))
        .collect();
    End { tenants, stable: world.status.stable_version.clone(), reports }
}

#[test]
fn r28_a_crash_between_any_two_calls_changes_nothing_about_the_outcome() {
    let undisturbed = life(None);
    assert_eq!((undisturbed.stable.as_deref(), undisturbed.reports.len()), (Some("2.0.0"), 2));
    for at in [Crash::BeforeStatus, Crash::BeforeWrites, Crash::AmongWrites, Crash::BeforeAnswers] {
        for every in [2, 3, 5] {
            assert_eq!(life(Some((at, every))), undisturbed, "{at:?} in every {every}th turn");
        }
    }
}

#[test]
fn r28_a_status_decision_stands_before_the_first_write_that_rests_on_it() {
    let mut world = World::usual("6.6.6");
    let mut seen = 0;
    while world.status.phase != Phase::Reverted {
        let before = world.status.clone();
        let plan = world.think(); // the oracle compares every plan with the status before it
        if before.phase != plan.status.phase && !plan.writes.is_empty() {
            seen += 1;
        }
        world.execute(&plan.writes);
        world.now += minutes(1);
        world.settle_tenants();
    }
    assert!(seen >= 2, "the start and the revert both write at once");
    assert_eq!(world.on("1.0.0"), 13);
}

#[test]
fn r28_the_evidence_goes_on_from_the_checkpoint_after_a_restart() {
    let mut world = World::usual("2.0.0");
    world.until("it soaks", |world| world.status.waves.first().is_some_and(|wave| wave.soaked_seconds > 0));
    world.pass(minutes(2));
    let (soaked, evidence) = (world.status.waves[0].soaked_seconds, world.status.slos[0].evidence.clone());
    assert!(soaked > 0 && evidence.is_some());
    world.restart();
    world.pass(minutes(1));
    assert_eq!(world.status.slos[0].verdict.as_ref().map(Word::as_str), Some("Healthy"));
    assert_eq!((world.told("Held"), world.status.waves[0].soaked_seconds), (0, soaked + 60));
}
