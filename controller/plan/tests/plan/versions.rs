//! R23, R32 to R34: which version, and what a fleet without history is.

use breakwater_crds::words::Word;
use breakwater_crds::{RolloutStatus, Verb, action::ActionResult, status::Phase};
use serde_json::json;

use crate::world::{World, marker, minutes, spec};

fn asking(version: &str, rings: [usize; 3]) -> World {
    let mut spec = spec(version);
    spec["adopt"] = json!("Approve");
    World::new(spec, rings)
}

#[test]
fn r23_a_new_version_queues_the_newest_wins_and_starts_when_the_one_under_way_is_done() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    for version in ["2.1.0", "3.0.0"] {
        world.edit(json!({ "version": version }));
        world.pass(minutes(1));
        assert_eq!(
            (world.status.candidate_version.as_deref(), world.status.queued.as_deref()),
            (Some("2.0.0"), Some(version))
        );
    }
    assert_eq!(world.told("Queued"), 2);
    world.until("the queued one starts", |world| world.status.candidate_version.as_deref() == Some("3.0.0"));
    assert_eq!(
        (world.status.stable_version.as_deref(), world.status.queued.as_deref()),
        (Some("2.0.0"), None)
    );
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("3.0.0"), world.writes.iter().any(|(.., version)| version == "2.1.0")), (13, false));
}

#[test]
fn r23_a_version_that_waits_is_forgotten_when_git_takes_it_back() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.edit(json!({"version": "3.0.0"}));
    world.turn();
    world.edit(json!({"version": "2.0.0"}));
    world.turn();
    assert_eq!(world.status.queued, None);
}

#[test]
fn r23_a_version_that_supersedes_starts_from_the_first_wave_with_fresh_evidence() {
    let mut world = World::usual("2.0.0");
    world.edit(json!({"onNewVersion": "Supersede"}));
    world.until_wave("two", Phase::Soaking);
    world.pass(minutes(4));
    world.edit(json!({"version": "3.0.0"}));
    world.turn();
    assert_eq!((world.status.wave.as_deref(), world.status.phase), (Some("one"), Phase::Advancing));
    assert_eq!(
        (world.status.slos[0].verdict.as_ref().map(Word::as_str), world.told("Superseded")),
        (None, 1)
    );
    world.until("the second wave is next", |world| world.status.wave.as_deref() == Some("two"));
    assert!(world.status.waves[0].soaked_seconds >= 20 * 60);
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("3.0.0"), world.status.rejected.len()), (13, 0));
}

#[test]
fn r23_during_a_revert_the_revert_is_finished_first() {
    let mut world = World::usual("6.6.6");
    world.answers_reports = true;
    world.edit(json!({"onNewVersion": "Supersede"}));
    world.until_phase(Phase::Reverting);
    world.edit(json!({"version": "2.0.0"}));
    world.until_phase(Phase::Verifying);
    assert_eq!((world.on("1.0.0"), world.status.queued.as_deref()), (13, Some("2.0.0")));
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("2.0.0"), world.told("Reverted")), (13, 1));
}

#[test]
fn r32_the_stable_version_changes_only_when_a_version_completed() {
    let mut world = World::usual("2.0.0");
    world.turn();
    while world.status.phase != Phase::Completed {
        assert_eq!(world.status.stable_version.as_deref(), Some("1.0.0"), "{:?}", world.status.phase);
        assert_eq!(world.status.candidate_version.as_deref(), Some("2.0.0"));
        world.pass(minutes(3));
    }
    assert_eq!(
        (world.status.stable_version.as_deref(), world.status.candidate_version.as_deref()),
        (Some("2.0.0"), None)
    );
}

#[test]
fn r33_a_mixed_fleet_waits_in_adopting_says_what_it_found_and_goes_on_once_approved() {
    let mut world = asking("2.0.0", [3, 4, 6]);
    for (name, version) in [("a0", "0.9.0"), ("b0", "0.9.0"), ("c0", "3.0.0")] {
        world.set_version(name, version);
    }
    world.sim("b1").tenant.foreign_owner = Some("kubectl-edit".into());
    world.pass(minutes(60));
    assert_eq!((world.status.phase, world.writes.len(), world.told("Adopting")), (Phase::Adopting, 0, 1));
    assert_eq!(
        world.status.message,
        "found 12 tenants: 10 on 1.0.0, 2 on 0.9.0, 1 on 3.0.0; api-errors measures 12; approve wave one of 2.0.0 to begin"
    );
    let found = world.status.adoption.clone().unwrap();
    assert_eq!(
        (found.versions.len(), found.owners[0].manager.as_str(), found.owners[0].tenants),
        (3, "kubectl-edit", 1)
    );
    let wrong = world.act(Verb::Approve, json!({"version": "2.0.1", "wave": "one"}));
    world.turn();
    assert_eq!(
        world.answers[&wrong],
        (ActionResult::Refused, "version 2.0.1 is not wanted, 2.0.0 is".into())
    );
    world.sim("b1").tenant.foreign_owner = None;
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "one"}));
    world.turn();
    assert_eq!(
        (world.status.phase, world.status.stable_version.as_deref()),
        (Phase::Advancing, Some("1.0.0"))
    );
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("2.0.0"), world.version_of("c0")), (12, "3.0.0"), "R34: who is ahead is left alone");
    assert_eq!(&*world.marker("a0").previous, "0.9.0");
}

#[test]
fn r33_an_approval_of_an_adoption_that_cannot_start_yet_never_serves_another_version() {
    let mut world = asking("2.0.0", [3, 4, 6]);
    world.turn();
    world.sim("a0").tenant.foreign_owner = Some("helm".into());
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "one"}));
    world.turn();
    assert_eq!(
        (world.status.phase, world.condition("Held").1.as_str()),
        (Phase::Pending, "OwnerNotReleased")
    );
    world.edit(json!({"version": "3.0.0"}));
    world.sim("a0").tenant.foreign_owner = None;
    world.pass(minutes(5));
    assert_eq!((world.status.phase, world.writes.len()), (Phase::Adopting, 0));
}

#[test]
fn r33_an_approval_of_an_adoption_that_cannot_start_yet_is_kept_for_its_own_version() {
    let mut world = asking("2.0.0", [3, 4, 6]);
    world.turn();
    world.sim("a0").tenant.foreign_owner = Some("helm".into());
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "one"}));
    world.turn();
    world.pass(minutes(5));
    world.restart();
    world.sim("a0").tenant.foreign_owner = None;
    world.pass(minutes(5));
    assert_eq!(world.status.phase, Phase::Advancing);
}

#[test]
fn r33_a_fleet_that_is_on_the_version_already_is_completed_ready_or_not() {
    let mut world = asking("1.0.0", [3, 4, 6]);
    world.disturb("c0", None);
    world.turn();
    assert_eq!(
        (world.status.phase, world.status.stable_version.as_deref()),
        (Phase::Completed, Some("1.0.0"))
    );
    assert!(world.condition("Ready").0 && world.writes.is_empty());
}

#[test]
fn r33_most_tenants_on_the_wanted_version_are_no_reason_to_forget_the_others() {
    let mut world = World::usual("2.0.0");
    for name in ["b0", "b1", "b2", "b3", "c0", "c1", "c2", "c3"] {
        world.set_version(name, "2.0.0");
    }
    world.sim("a0").tenant.foreign_owner = Some("helm".into());
    world.pass(minutes(5));
    world.pass(minutes(5));
    assert_eq!((world.status.phase, world.status.stable_version.as_deref()), (Phase::Pending, Some("2.0.0")));
    world.sim("a0").tenant.foreign_owner = None;
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
}

/// Wherever the status is lost, the fleet's markers and the reports rebuild it.
#[test]
fn r33_a_status_that_is_lost_on_a_known_fleet_is_rebuilt() {
    for (what, version, at, stable) in [
        ("in the first soak", "2.0.0", Phase::Soaking, "1.0.0"),
        ("watching", "2.0.0", Phase::Watching, "2.0.0"),
        ("completed", "2.0.0", Phase::Completed, "2.0.0"),
        ("reverting", "6.6.6", Phase::Reverting, "1.0.0"),
        ("verifying", "6.6.6", Phase::Verifying, "1.0.0"),
        ("reverted", "6.6.6", Phase::Reverted, "1.0.0"),
    ] {
        let mut world = asking(version, [3, 4, 6]);
        world.turn();
        world.act(Verb::Approve, json!({"version": version, "wave": "one"}));
        world.until_phase(at);
        world.status = RolloutStatus::default();
        world.restart();
        world.turn();
        assert_eq!(world.status.stable_version.as_deref(), Some(stable), "{what}");
        let (end, on) =
            if version == "6.6.6" { (Phase::Reverted, "1.0.0") } else { (Phase::Completed, "2.0.0") };
        world.until_phase(end);
        assert_eq!(world.on(on), 13, "{what}");
        assert!(
            world.reports.iter().all(|report| report.status.finished_at.is_some()),
            "{what}: {:?}",
            world.reports
        );
    }
}

#[test]
fn r33_where_every_version_is_rejected_a_fix_still_goes_in() {
    let mut world = World::usual("1.0.1");
    world.answers_reports = true;
    world.reject("1.0.0");
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("1.0.1"), world.status.stable_version.as_deref()), (13, Some("1.0.1")));
    assert_eq!(world.told("Adopted"), 0);
}

#[test]
fn r33_a_completed_version_that_somebody_rejects_by_hand_goes_back() {
    let mut world = World::usual("2.0.0");
    world.until_phase(Phase::Completed);
    world.reject("2.0.0");
    world.until_phase(Phase::Reverted);
    assert_eq!((world.on("1.0.0"), world.status.stable_version.as_deref()), (13, Some("1.0.0")));
}

#[test]
fn r34_a_tenant_ahead_is_left_alone_unless_versions_have_no_order() {
    for (order, on) in [("SemVer", 10), ("None", 13)] {
        let mut world = World::usual("2.0.0");
        world.edit(json!({ "versionOrder": order }));
        for name in ["a0", "b0", "c0"] {
            world.set_version(name, "2.0.1");
        }
        world.until_phase(Phase::Completed);
        assert_eq!(world.on("2.0.0"), on, "{order}");
        assert_eq!(world.status.counts.ahead, 13 - u32::try_from(on).unwrap());
    }
}

#[test]
fn r34_a_touched_tenant_of_a_newer_version_that_was_superseded_is_not_ahead() {
    let mut world = World::usual("2.0.1");
    world.edit(json!({"onNewVersion": "Supersede"}));
    world.until_wave("one", Phase::Soaking);
    world.edit(json!({"version": "2.0.0"}));
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
}

#[test]
fn forged_statuses_lead_to_the_same_end_and_never_panic() {
    let healthy = World::usual("2.0.0");
    let now = healthy.now;
    for forged in [
        json!({"phase": "Soaking"}),
        json!({"phase": "Watching", "candidateVersion": "2.0.0"}),
        json!({"phase": "Reverting"}),
        json!({"phase": "Verifying", "revert": {"version": "9.9.9", "message": "", "decidedAt": "9999-12-30T22:00:00Z"}}),
        json!({"phase": "Completed"}),
        json!({"phase": "Completed", "stableVersion": "1.0.0"}),
        json!({"phase": "Reverted", "stableVersion": "1.0.0"}),
        json!({"phase": "AwaitingApproval", "candidateVersion": "2.0.0", "stableVersion": "1.0.0", "startedAt": "-009999-01-02T01:59:59Z"}),
        json!({"phase": "Soaking", "candidateVersion": "2.0.0", "stableVersion": "1.0.0", "waves": [{"name": "one", "startedAt": now, "completedAt": now, "warmAt": now, "soakedSeconds": i64::MIN}]}),
        json!({"phase": "Soaking", "candidateVersion": "2.0.0", "stableVersion": "1.0.0", "waves": [{"name": "one", "startedAt": now, "soakedSeconds": i64::MAX}],
               "slos": [{"name": "api-errors", "evidence": {"untilSeconds": i64::MAX, "begunSeconds": i64::MIN}, "noDataSince": "9999-12-30T22:00:00Z"}]}),
        json!({"phase": "Adopting", "adoption": {"approved": {"by": "x", "at": now, "action": "y"}}}),
        json!({"phase": "Pending", "candidateVersion": "7.7.7", "rejected": ["2.0.0"], "wave": "none", "queued": "2.0.0"}),
    ] {
        let mut world = World::usual("2.0.0");
        world.status = serde_json::from_value(forged.clone()).unwrap();
        world.sim("c0").tenant.marker =
            Some(Box::new(marker("1.0.0", "1.0.0", "gone", "9999-12-30T22:00:00Z".parse().unwrap())));
        world.until(&forged.to_string(), |world| world.status.phase == Phase::Completed);
        assert!(
            world.on("2.0.0") == 13 || world.status.stable_version.as_deref() != Some("2.0.0"),
            "{forged}"
        );
        assert_eq!(world.on("2.0.0"), 13, "{forged}");
    }
}
