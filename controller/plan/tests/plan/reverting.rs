//! R17 to R20: how a version gets out.

use breakwater_crds::{
    Outcome, RolloutStatus, Verb,
    report::Attribution,
    status::Phase,
    words::{DeviationReason, Trouble},
};
use breakwater_plan::observed::{Claim, Fleet};
use serde_json::json;

use crate::world::{Behaviour, World, marker, minutes, sim};

/// In mid-revert of 6.6.6: the first batch is written.
fn reverting() -> World {
    let mut world = World::usual("6.6.6");
    world.edit(json!({"waves": [{"name": "all", "soak": "1h", "maxConcurrent": "100%"}]}));
    world.until_phase(Phase::Reverting);
    world
}

#[test]
fn r17_the_first_write_carries_the_marker_and_a_revert_goes_to_each_tenants_own_previous_version() {
    let mut world = World::usual("6.6.6");
    for (name, version) in [("a1", "0.9.0"), ("a2", "1.0.0-rc1")] {
        world.set_version(name, version);
    }
    world.until("all of ring 0 is updated", |world| world.on("6.6.6") == 3);
    let found = world.marker("a1");
    assert_eq!((&*found.target, &*found.previous, &*found.wave, found.epoch), ("6.6.6", "0.9.0", "one", 7));
    assert_eq!(found.claim, Claim::Own);
    world.until_phase(Phase::Reverted);
    assert_eq!(
        [world.version_of("a0"), world.version_of("a1"), world.version_of("a2")],
        ["1.0.0", "0.9.0", "1.0.0-rc1"]
    );
    let kept = world.marker("a1");
    assert_eq!((&*kept.target, &*kept.previous), ("0.9.0", "0.9.0"), "the marker stays after Reverted");
}

#[test]
fn r17_a_tenant_of_a_version_that_was_superseded_keeps_its_recorded_previous() {
    let mut world = World::usual("2.0.0");
    world.edit(json!({"onNewVersion": "Supersede"}));
    world.until_wave("one", Phase::Soaking);
    world.edit(json!({"version": "6.6.6"}));
    world.until("ring 0 is on the newer one", |world| world.on("6.6.6") == 3);
    assert_eq!(&*world.marker("a0").previous, "1.0.0");
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("1.0.0"), 13);
}

#[test]
fn r17_the_touched_set_is_the_marker_and_not_the_selector() {
    let mut world = World::usual("6.6.6");
    world.until_wave("one", Phase::Soaking);
    world.sim("a0").tenant.selected = false;
    world.sim("a1").tenant.excluded = true;
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("6.6.6"), 0);
}

#[test]
fn r17_a_wave_that_an_edit_takes_away_leaves_nobody_behind() {
    let mut world = World::usual("6.6.6");
    world.until_wave("one", Phase::Soaking);
    world.edit(json!({"unmatched": "Ignore", "waves": [{"name": "few", "percent": 0.001, "soak": "1h"}]}));
    for sim in &mut world.sims {
        sim.tenant.selector_wave = None;
    }
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("6.6.6"), 0);
}

#[test]
fn r17_newest_wave_first_without_a_barrier_and_never_to_a_rejected_version() {
    let mut world = World::usual("2.0.0");
    world.until_wave("rest", Phase::Soaking);
    world.act(Verb::Revert, json!({"version": "2.0.0", "reason": "tickets"}));
    world.writes.clear();
    world.until_phase(Phase::Reverted);
    let order: String = world.writes.iter().map(|(_, _, name, _)| &name[..1]).collect();
    assert_eq!(order, "ccccccbbbbaaa");
    // 1.0.0 is what they came from; a report rejects it too: the stable version would do, were it not the same.
    let mut world = World::usual("6.6.6");
    world.until_wave("one", Phase::Soaking);
    world.reject("1.0.0");
    world.until_phase(Phase::RevertedPartly);
    assert_eq!(world.on("6.6.6"), 3);
    assert_eq!(
        (world.status.troubled[0].reason.as_str(), world.status.counts.to_revert),
        ("NoSafeVersion", 3)
    );
}

#[test]
fn r17_a_tenant_that_was_never_touched_is_listed_and_left_alone() {
    let mut world = World::usual("6.6.6");
    world.until_wave("one", Phase::Soaking);
    let now = world.now;
    world.sims.push(sim("born", None, "6.6.6", now));
    world.until_phase(Phase::Reverted);
    assert_eq!(world.version_of("born"), "6.6.6");
    let listed = world.status.troubled.iter().find(|tenant| tenant.name == "born").unwrap();
    assert_eq!(listed.reason, Trouble::NoSafeVersion);
}

#[test]
fn r18_a_revert_waits_for_no_window_hold_approval_pause_or_soak() {
    let mut world = World::usual("6.6.6");
    let mut waves = world.json["waves"].clone();
    waves[1]["approval"] = json!("Before");
    world.edit(json!({ "waves": waves }));
    world.until_wave("one", Phase::Soaking);
    world.act(Verb::Hold, json!({}));
    let (from, to) = (world.now, world.now + minutes(6000));
    world.edit(json!({"paused": true, "schedule": {"deny": [{"from": from, "to": to}]}}));
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("6.6.6"), 0);
}

#[test]
fn r18_a_revert_has_its_own_concurrency_and_a_late_tenant_gives_its_place_back() {
    let mut world = reverting();
    assert_eq!(world.on("1.0.0"), 3);
    world.behaviours.get_mut("1.0.0").unwrap().ready_after = None;
    world.pass(minutes(1));
    assert_eq!(world.on("1.0.0"), 6);
    world.pass(minutes(9));
    assert_eq!(world.on("1.0.0"), 6);
    world.pass(minutes(1));
    assert_eq!((world.on("1.0.0"), world.status.revert.as_ref().unwrap().failed), (9, 3));
    world.until_phase(Phase::RevertedPartly);
    assert_eq!((world.on("1.0.0"), world.status.troubled[0].reason.as_str()), (13, "RevertFailed"));
    assert_eq!(world.reports[0].status.outcome, Some(Outcome::RevertedPartly));
    assert!(world.condition("Stalled").0);
}

#[test]
fn r18_a_sleeper_is_written_without_waiting_for_a_place() {
    let mut world = World::usual("6.6.6");
    world.edit(json!({"waves": [{"name": "all", "soak": "1h", "maxConcurrent": "100%"}]}));
    world.until_wave("all", Phase::Soaking);
    for name in ["a0", "a1", "b0", "b1", "c0"] {
        world.sim(name).tenant.dormant = true;
    }
    world.until_phase(Phase::Reverting);
    assert_eq!(world.on("1.0.0"), 8);
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("6.6.6"), 0);
}

#[test]
fn r18_what_admission_refuses_takes_nobodys_place_and_ends_as_failed() {
    let mut world = reverting();
    let refused = 4; // more than may go back at once
    let left = world.sims.iter().filter(|sim| sim.version() == "6.6.6").take(refused);
    world.problems = left.map(|sim| (sim.tenant.id, "admission webhook says no".into())).collect();
    world.until_phase(Phase::RevertedPartly);
    assert_eq!(world.on("6.6.6"), refused);
    world.problems.clear();
    world.turn();
    assert_eq!(world.status.phase, Phase::RevertedPartly);
    world.pass(minutes(1));
    world.pass(minutes(1));
    assert_eq!(world.on("6.6.6"), 0, "level-triggered: what is left goes back later too");
}

#[test]
fn r18_it_is_level_triggered_also_after_reverted_and_survives_edits() {
    let mut world = reverting();
    world.edit(json!({"version": "2.0.0", "waves": [{"name": "other", "soak": "1h"}]}));
    world.turn();
    assert_eq!((world.status.phase, world.status.queued.as_deref()), (Phase::Reverting, Some("2.0.0")));
    world.edit(json!({"version": "6.6.6"}));
    world.until_phase(Phase::Reverted);
    let now = world.now;
    let late = world.sim("a0");
    late.tenant.marker = Some(Box::new(marker("6.6.6", "1.0.0", "all", now))); // a zombie's write that slipped through
    world.set_version("a0", "6.6.6");
    world.pass(minutes(1));
    assert_eq!(world.version_of("a0"), "1.0.0");
}

#[test]
fn r18_a_fleet_that_is_not_all_known_reverts_what_is_known_and_does_not_end() {
    let mut world = reverting();
    world.fleet = Fleet::Incomplete("listing".into());
    for _ in 0..30 {
        world.pass(minutes(1));
    }
    assert_eq!((world.on("6.6.6"), world.status.phase), (0, Phase::Reverting));
    world.fleet = Fleet::Complete;
    world.until_phase(Phase::Reverted);
}

#[test]
fn r19_a_report_rejects_a_version_for_good_until_a_retry_closes_it() {
    let mut world = World::usual("6.6.6");
    world.answers_reports = true;
    world.until_phase(Phase::Reverted);
    assert_eq!(world.reports.len(), 1);
    assert_eq!(
        world.reports[0].name,
        format!("app-{:08x}-1", breakwater_crds::marker::stable_hash(&["6.6.6"]) >> 32)
    );
    assert_eq!(world.status.rejected, ["6.6.6"]);
    // Deleted and created again from Git: no status, only the report and the markers.
    world.status = RolloutStatus::default();
    world.restart();
    world.writes.clear();
    world.pass(minutes(5));
    assert_eq!((world.status.phase, world.writes.len()), (Phase::Reverted, 0));
    assert_eq!(world.status.stable_version.as_deref(), Some("1.0.0"));
    world.edit(json!({"version": "2.0.0"}));
    world.until_wave("one", Phase::Soaking);
    world.edit(json!({"version": "6.6.6"}));
    world.pass(minutes(1));
    assert_eq!(
        world.status.candidate_version.as_deref(),
        Some("2.0.0"),
        "a rejected version does not even queue"
    );
    assert_eq!(world.status.queued, None);
    world.until("the other one completes", |world| world.status.stable_version.as_deref() == Some("2.0.0"));
    world.pass(minutes(1));
    assert_eq!(world.status.phase, Phase::Reverted);
    let retry = world.act(Verb::Retry, json!({"version": "6.6.6"}));
    world.until("it is tried again", |world| world.status.phase.is_under_way());
    assert_eq!(world.answers[&retry].1, "version 6.6.6 is not rejected any more");
    assert_eq!(world.reports[0].status.closed_by.as_deref(), Some(retry.as_str()));
    world.until_phase(Phase::Reverted);
    assert_eq!((world.reports.len(), world.on("2.0.0")), (2, 13), "one report per time");
}

#[test]
fn r19_a_hold_on_deviation_writes_a_report_that_rejects_nothing_and_ends_with_its_cause() {
    let mut world = World::usual("2.0.0");
    world.edit(json!({"onDeviation": {"action": "Hold"}}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(4));
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.5;
    world.until("it deviates", |world| !world.reports.is_empty());
    world.pass(minutes(60));
    assert_eq!(
        (world.on("2.0.0"), world.condition("Held").1.as_str(), world.told("Deviation")),
        (3, "Deviating", 1)
    );
    assert_eq!((world.reports.len(), world.reports[0].status.outcome), (1, Some(Outcome::Held)));
    assert!(world.status.rejected.is_empty() && world.condition("Deviating").0);
    world.behaviours.get_mut("2.0.0").unwrap().errors = 0.0;
    world.until("it recovers", |world| !world.condition("Held").0);
    world.until_phase(Phase::Completed);
    assert_eq!(world.reports[0].status.outcome, Some(Outcome::Held));
}

#[test]
fn r19_a_held_deviation_that_is_reverted_later_appends_to_the_same_report() {
    let mut world = World::usual("6.6.6");
    world.edit(json!({"onDeviation": {"action": "Hold"}}));
    world.until("it deviates", |world| !world.reports.is_empty());
    world.act(Verb::Revert, json!({"version": "6.6.6", "reason": "enough"}));
    world.until_phase(Phase::Reverted);
    assert_eq!((world.reports.len(), world.reports[0].status.appended.len()), (1, 1));
    assert_eq!(world.reports[0].status.appended[0].message, "ada reverts 6.6.6: enough");
}

#[test]
fn r19_setting_the_version_back_to_the_stable_one_is_a_revert_that_rejects_nothing() {
    let mut world = World::usual("2.0.0");
    world.until_wave("two", Phase::Soaking);
    world.edit(json!({"version": "1.0.0"}));
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("1.0.0"), world.reports.len(), world.status.rejected.len()), (13, 0, 0));
    assert_eq!(world.status.stable_version.as_deref(), Some("1.0.0"));
    assert!(world.condition("Ready").0);
    world.edit(json!({"version": "2.0.0"}));
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
}

#[test]
fn r19_a_completed_version_is_taken_out_by_an_action_to_what_each_tenant_had() {
    let mut world = World::usual("2.0.0");
    world.answers_reports = true;
    world.set_version("c0", "0.9.0");
    world.until_phase(Phase::Completed);
    world.act(Verb::Revert, json!({"version": "2.0.0", "reason": "data loss"}));
    world.until_phase(Phase::Reverted);
    assert_eq!((world.on("1.0.0"), world.on("0.9.0")), (12, 1));
    assert_eq!(world.status.stable_version.as_deref(), Some("1.0.0"));
    assert_eq!(world.reports[0].status.reason, DeviationReason::Manual);
    world.edit(json!({"version": "3.0.0"}));
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("3.0.0"), 13);
}

#[test]
fn r19_a_revert_asked_for_one_version_never_takes_out_another() {
    for policy in ["Supersede", "Queue"] {
        let mut world = World::usual("2.0.0");
        world.answers_reports = true;
        world.edit(json!({ "onNewVersion": policy }));
        world.until_wave("one", Phase::Soaking);
        world.act(Verb::Revert, json!({"version": "2.0.0"}));
        world.edit(json!({"version": "3.0.0"})); // seen in the very same plan
        world.turn();
        assert_eq!(world.reports[0].spec.version, "2.0.0", "{policy}");
        assert_eq!(world.status.queued.as_deref(), Some("3.0.0"), "{policy}");
        world.until_phase(Phase::Completed);
        assert_eq!(world.on("3.0.0"), 13, "{policy}");
    }
}

#[test]
fn r20_a_revert_that_helps_is_attributed_one_that_does_not_is_not_and_one_without_data_says_neither() {
    let broken = Behaviour { errors: 0.5, ready_after: Some(30) };
    for (what, attribution) in [
        ("helps", Some(Attribution::Attributed)),
        ("does not", Some(Attribution::NotAttributed)),
        ("blind", None),
    ] {
        let mut world = World::usual("6.6.6");
        world.until_phase(Phase::Reverting);
        match what {
            "does not" => drop(world.behaviours.insert("1.0.0".into(), broken)),
            "blind" => world.outages.push((world.now, world.now + minutes(600))),
            _ => {}
        }
        let decided = world.now;
        world.until_phase(Phase::Reverted);
        assert_eq!(world.reports[0].status.attribution, attribution, "{what}");
        assert_eq!(world.status.revert.as_ref().unwrap().attribution, attribution);
        let took = world.now.duration_since(decided);
        assert!(took > minutes(12) && took < minutes(45), "{what}: warm-up and 10m took {took:?}");
        assert_eq!(world.reports[0].status.finished_at, world.status.revert.as_ref().unwrap().finished_at);
    }
}

#[test]
fn r17_tenants_without_a_safe_version_are_taken_out_by_the_fix() {
    let mut world = World::usual("6.6.6");
    world.answers_reports = true;
    world.until_wave("one", Phase::Soaking);
    world.reject("1.0.0");
    world.until_phase(Phase::RevertedPartly);
    world.edit(json!({"version": "2.0.0"}));
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
}
