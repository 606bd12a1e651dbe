//! R22: a tenant that is guilty by itself goes back alone, and the version is rejected for it and nobody else.

use breakwater_crds::{
    Outcome, RolloutStatus, Verb,
    status::Phase,
    words::{DeviationReason, TransitionReason, Trouble},
};
use breakwater_plan::observed::Fleet;
use serde_json::{Value, json};

use crate::world::{Behaviour, World, merged, minutes, sim, spec, store};

/// Twenty-four tenants; 2.0.0 fails for a0.
fn world(patch: Value) -> World {
    let json = merged(spec("2.0.0"), json!({"onDeviation": {"scope": "Tenant"}}));
    let mut world = World::new(merged(json, patch), [6, 6, 12]);
    world.ail("a0", "2.0.0", 0.9);
    world
}

/// The same, once a0 is back and ready.
fn spared(patch: Value) -> World {
    let mut world = world(patch);
    world.until("a0 is spared", |world| world.status.counts.spared == 1);
    world
}

/// The versions that were written to a tenant, in order.
fn way(world: &World, name: &str) -> Vec<String> {
    world.writes.iter().filter(|(_, _, of, _)| of == name).map(|(.., version)| version.clone()).collect()
}

fn reason(world: &World, name: &str) -> Option<Trouble> {
    world.status.troubled.iter().find(|tenant| tenant.name == name)?.reason.known()
}

#[test]
fn r22_one_tenant_that_burns_goes_back_alone_and_all_others_go_on_to_the_end() {
    let mut world = spared(json!({}));
    assert_eq!((world.version_of("a0"), world.on("2.0.0")), ("1.0.0", 5));
    assert_eq!(reason(&world, "a0"), Some(Trouble::Reverted));
    let report = &world.reports[0].status;
    assert_eq!((report.outcome, report.reason.as_str()), (Some(Outcome::TenantsReverted), "SharpPath"));
    assert_eq!((report.rejected_for.len(), report.rejected_for[0].tenant.as_str()), (1, "tenants/a0"));
    assert!(
        report.message.contains("against 0.1% baseline")
            && report.message.ends_with("tenants/a0 goes back alone: 2.0.0 is rejected for it"),
        "{}",
        report.message
    );
    assert!(world.status.rejected.is_empty() && world.told("TenantReverting") == 1);
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("2.0.0"), world.on("1.0.0")), (23, 1));
    assert_eq!(world.status.stable_version.as_deref(), Some("2.0.0"));
    world.pass(minutes(600));
    assert_eq!(way(&world, "a0"), ["2.0.0", "1.0.0"], "it is not tried again");
    assert_eq!((world.status.counts.spared, world.status.rejected_for, world.reports.len()), (1, 1, 1));
    let for_its_sake = |message: &str| message.starts_with("SharpPath") || message.starts_with("Reverting");
    let mut held = world.transitions.iter().filter(|told| told.reason == TransitionReason::Held);
    assert!(!held.any(|told| for_its_sake(&told.message)), "nobody was held for its sake");
}

#[test]
fn r22_at_scope_release_the_same_tenant_holds_and_nobody_goes_back() {
    let mut world = world(json!({"onDeviation": {"scope": "Release"}}));
    world.until("it holds", |world| world.condition("Held").1 == "SharpPath");
    assert_eq!((world.on("1.0.0"), world.reports.len()), (18, 0));
}

#[test]
fn r22_one_tenant_that_carries_the_comparison_alone_goes_back_alone() {
    let compared = json!({"judge": {"comparison": "Enabled", "mustDetect": 4}});
    let mut world = world(compared);
    for version in ["1.0.0", "2.0.0"] {
        world.behaviours.insert(version.into(), Behaviour { errors: 0.004, ready_after: Some(30) });
    }
    world.ail("a0", "2.0.0", 0.03);
    world.turn();
    world.until("a0 is back", |world| world.status.counts.spared == 1);
    let report = &world.reports[0].status;
    assert_eq!(
        (report.reason.as_str(), report.rejected_for[0].reason.as_str()),
        ("Comparison", "Comparison")
    );
    assert!(report.message.contains("certainty 99."), "{}", report.message);
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("2.0.0"), world.reports.len()), (23, 1));
}

#[test]
fn r22_more_than_max_tenant_reverts_are_a_deviation_of_the_release_and_its_message_says_so() {
    let mut world = spared(json!({}));
    world.ail("a1", "2.0.0", 0.9);
    world.until_phase(Phase::Reverted);
    let report = &world.reports[0].status;
    assert_eq!((world.on("1.0.0"), world.reports.len()), (24, 1));
    assert_eq!((report.outcome, report.rejected_for.len()), (Some(Outcome::Reverted), 1));
    assert!(report.revert_decided_at.is_some());
    let last = &report.appended.last().unwrap().message;
    assert!(
        last.contains("2 tenants are guilty by themselves, more than maxTenantReverts allows (1)"),
        "{last}"
    );
    assert_eq!(world.status.rejected, ["2.0.0"]);
}

#[test]
fn r22_as_many_go_back_alone_as_max_tenant_reverts_says_into_the_same_report() {
    let mut world = spared(json!({"revert": {"maxTenantReverts": 2}}));
    world.ail("a1", "2.0.0", 0.9);
    world.until("both are back", |world| world.status.counts.spared == 2);
    let report = &world.reports[0].status;
    assert_eq!((report.rejected_for.len(), report.appended.len()), (2, 1));
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("2.0.0"), world.reports.len()), (22, 1));
}

#[test]
fn r22_two_that_burn_at_once_are_the_releases_and_so_is_the_only_candidate() {
    let mut both = world(json!({"revert": {"maxTenantReverts": "50%"}}));
    both.ail("a1", "2.0.0", 0.9);
    both.ail("a2", "2.0.0", 0.9);
    both.until_phase(Phase::Reverted);
    assert_eq!(both.on("1.0.0"), 24);

    let json = merged(spec("2.0.0"), json!({"onDeviation": {"scope": "Tenant"}}));
    let mut one = World::new(json, [1, 4, 6]);
    one.ail("a0", "2.0.0", 0.9);
    one.until_phase(Phase::Reverted);
    assert_eq!(one.reports[0].status.rejected_for.len(), 0);
}

#[test]
fn r22_an_hour_that_is_read_at_once_names_the_one_tenant_as_well() {
    let mut world = world(json!({}));
    world.ailing.clear();
    world.until_wave("one", Phase::Soaking);
    world.ail("a0", "2.0.0", 0.9);
    world.outages.push((world.now, world.now + minutes(60)));
    world.until("a0 is back", |world| world.status.counts.spared == 1);
    assert_eq!(
        world.reports[0].status.reason,
        DeviationReason::BurnRate,
        "the page's window is full as well by then"
    );
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 23);
}

#[test]
fn r22_a_spared_tenant_stays_spared_over_a_restart_a_lost_status_and_a_new_rollout() {
    for what in ["restart", "status", "rollout"] {
        let mut world = spared(json!({}));
        if what != "restart" {
            world.status = RolloutStatus::default();
        }
        if what == "rollout" {
            world.created_at = world.now;
        }
        world.restart();
        world.until_phase(Phase::Completed);
        assert_eq!((world.on("2.0.0"), way(&world, "a0").len()), (23, 2), "{what}");
        world.status = RolloutStatus::default();
        world.restart();
        world.turn();
        assert_eq!((world.status.phase, world.status.counts.spared), (Phase::Completed, 1), "{what}");
        assert_eq!(world.status.stable_version.as_deref(), Some("2.0.0"), "{what}");
    }
}

#[test]
fn r22_r28_a_crash_between_any_two_writes_of_the_decision_changes_nothing() {
    for crash in ["before the status", "before the tenant"] {
        let mut world = replay(crash);
        world.restart();
        world.until("a0 is back", |world| world.status.counts.spared == 1);
        assert_eq!((world.reports.len(), world.reports[0].status.rejected_for.len()), (1, 1), "{crash}");
        world.until_phase(Phase::Completed);
        assert_eq!((world.on("2.0.0"), way(&world, "a0").len()), (23, 2), "{crash}");
    }
}

/// Up to the decision, of which only the report, or report and status, were stored.
fn replay(crash: &str) -> World {
    let mut world = world(json!({}));
    loop {
        let status = world.status.clone();
        world.now += minutes(1);
        world.settle_tenants();
        let plan = world.think();
        store(&mut world.reports, &plan);
        if world.reports.is_empty() {
            world.execute(&plan.writes);
            continue;
        }
        if crash == "before the status" {
            world.status = status;
        }
        return world;
    }
}

#[test]
fn r22_it_goes_back_while_everything_is_held_and_never_while_stopped() {
    let mut held = world(json!({}));
    held.until_wave("one", Phase::Soaking);
    held.act(Verb::Hold, json!({}));
    held.edit(json!({"paused": true}));
    held.until("a0 is back", |world| world.status.counts.spared == 1);

    let mut stopped = world(json!({}));
    stopped.until_wave("one", Phase::Soaking);
    stopped.stopped = Some("ConfigMap breakwater-stop exists".into());
    for _ in 0..10 {
        stopped.pass(minutes(1));
    }
    assert_eq!((stopped.version_of("a0"), stopped.status.counts.to_revert), ("2.0.0", 1));
    assert_eq!(stopped.reports[0].status.rejected_for.len(), 1, "decided, and written down");
    stopped.stopped = None;
    stopped.until("a0 is back", |world| world.status.counts.spared == 1);
    stopped.until_phase(Phase::Completed);
}

#[test]
fn r22_a_wave_does_not_wait_for_a_spared_tenant_not_even_for_the_only_one_it_has() {
    let mut world = World::new(merged(spec("2.0.0"), json!({"onDeviation": {"scope": "Tenant"}})), [4, 1, 6]);
    world.ail("b0", "2.0.0", 0.9);
    world.behaviours.insert("1.0.0".into(), Behaviour { errors: 0.001, ready_after: None });
    world.until("b0 is written back", |world| world.version_of("b0") == "1.0.0" && !world.reports.is_empty());
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("2.0.0"), reason(&world, "b0")), (10, Some(Trouble::RevertFailed)));
}

#[test]
fn r22_another_version_waits_for_the_report_and_then_finds_an_ordinary_tenant() {
    let mut world = spared(json!({}));
    world.until_phase(Phase::Completed);
    world.edit(json!({"version": "3.0.0"}));
    world.pass(minutes(5));
    assert_eq!(world.condition("Held").1, "OpenDeviations");
    world.answer_reports();
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("3.0.0"), world.status.counts.spared, world.status.rejected_for), (24, 0, 0));
    assert_eq!(&*world.marker("a0").previous, "1.0.0", "a revert would take it to what it had");
    world.edit(json!({"version": "2.0.0", "versionOrder": "None"}));
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("2.0.0"), world.version_of("a0")), (23, "3.0.0"), "rejected for it as before");
}

#[test]
fn r22_a_retry_lets_the_version_in_again_for_the_tenant_it_was_rejected_for() {
    let mut world = spared(json!({}));
    world.ailing.clear();
    let retry = world.act(Verb::Retry, json!({"version": "2.0.0"}));
    world.until_phase(Phase::Completed);
    assert_eq!(world.answers[&retry].1, "version 2.0.0 is not rejected any more");
    assert_eq!(
        (world.on("2.0.0"), way(&world, "a0")),
        (24, vec!["2.0.0".into(), "1.0.0".into(), "2.0.0".into()])
    );
    assert_eq!(world.reports[0].status.closed_by.as_deref(), Some(retry.as_str()));
}

#[test]
fn r22_a_revert_of_all_goes_into_the_same_report_and_leaves_the_spared_where_they_are() {
    let mut world = spared(json!({}));
    world.act(Verb::Revert, json!({"version": "2.0.0", "reason": "tickets"}));
    world.until_phase(Phase::Reverted);
    assert_eq!((world.on("1.0.0"), way(&world, "a0").len(), world.reports.len()), (24, 2, 1));
    let report = &world.reports[0].status;
    assert_eq!((report.outcome, report.reverted), (Some(Outcome::Reverted), 5));
    assert_eq!(world.status.counts.spared, 0, "rejected for all");
}

#[test]
fn r22_who_has_nowhere_to_go_holds_and_a_fleet_that_is_not_all_known_waits() {
    let mut world = self::world(json!({}));
    world.until("a0 is updated", |world| world.version_of("a0") == "2.0.0");
    world.reject("1.0.0");
    world.until("it holds", |world| world.condition("Held").1 == "SharpPath");
    assert_eq!((world.reports.len(), world.version_of("a0")), (1, "2.0.0"), "what it had before is rejected");

    let mut world = self::world(json!({}));
    world.until_wave("one", Phase::Soaking);
    world.fleet = Fleet::Incomplete("listing".into());
    world.pass(minutes(10));
    assert!(world.reports.is_empty() && world.version_of("a0") == "2.0.0");
    world.fleet = Fleet::Complete;
    world.until("a0 is back", |world| world.status.counts.spared == 1);
}

#[test]
fn r22_a_tenant_made_anew_under_the_same_name_is_spared_as_well() {
    let mut world = spared(json!({}));
    let now = world.now;
    world.sims.retain(|sim| &*sim.tenant.name != "a0");
    world.pass(minutes(1));
    world.sims.push(sim("a0", Some(0), "1.0.0", now));
    world.until_phase(Phase::Completed);
    assert_eq!((world.version_of("a0"), world.status.counts.spared), ("1.0.0", 1));
}
