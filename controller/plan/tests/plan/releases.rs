//! Releases: what their evidence keeps from starting and from going back (R21), withdrawals, Jobs before writes.

use breakwater_crds::{Outcome, Verb, action::ActionResult, release::Lane, report::DownStep, status::Phase};
use breakwater_plan::{
    observed::JobState,
    outcome::Purpose,
    release::{Impact, LoadTest, Migration, Migrations, Release, Revert, Soaked, Verdict},
};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, merged, minutes, spec};

fn migration(number: u32, impact: Impact, revert: Revert) -> Migration {
    let down = DownStep {
        number,
        file: format!("{number:06}_m.down.sql"),
        sql: format!("ALTER TABLE t{number} ADD c int;"),
    };
    let reason = format!("t{number} is changed");
    Migration { number, name: "m".into(), impact, revert, longest_seconds: Some(60), reason, down }
}

pub fn release(version: &str, impact: Impact, revert: Revert) -> Release {
    Release {
        name: format!("app-{version}"),
        version: version.into(),
        lane: Lane::Normal,
        withdrawn: None,
        fixes: Vec::new(),
        includes_since: None,
        migrations: Ok(Migrations { from: 4, to: 5, files: vec![migration(5, impact, revert)] }),
        load_tests: vec![LoadTest {
            name: "pg".into(),
            verdict: Verdict::Pass,
            message: "nothing is worse".into(),
        }],
    }
}

fn world(version: &str, impact: Impact, revert: Revert) -> World {
    let mut world = World::usual(version);
    world.releases = vec![release(version, impact, revert)];
    world
}

fn waits(world: &mut World, reason: &str) {
    for _ in 0..3 {
        world.pass(minutes(60));
        assert_eq!(world.status.summary, format!("Pending ({reason})"), "{}", world.status.message);
    }
    assert!(world.writes.is_empty());
}

fn acknowledge(world: &mut World, subject: &str, version: &str) -> (ActionResult, String) {
    let name =
        world.act(Verb::Acknowledge, json!({"subject": subject, "version": version, "reason": "looked at"}));
    world.turn();
    world.answers[&name].clone()
}

#[test]
fn quiet_and_safe_migrations_ask_nobody() {
    let mut world = world("2.0.0", Impact::Quiet, Revert::RevertSafe);
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
}

#[test]
fn r21_what_blocks_or_leaves_no_way_back_waits_for_an_acknowledgement() {
    for (impact, revert, says) in [
        (Impact::Downtime, Revert::RevertSafe, "Downtime"),
        (Impact::Unknown, Revert::RevertSafe, "Unknown"),
        (
            Impact::OffHours,
            Revert::RevertSafe,
            "OffHours, and no window of spec.schedule.allow is marked offHours",
        ),
        (Impact::Quiet, Revert::RevertNeedsDown, "RevertNeedsDown"),
        (Impact::Quiet, Revert::RevertLosesData, "RevertLosesData"),
        (Impact::Quiet, Revert::Unknown, "Unknown"),
    ] {
        let mut world = world("2.0.0", impact, revert);
        waits(&mut world, "Migrations");
        let told = format!(
            "version 2.0.0 waits: from 1.0.0 it is {says} (migration 5 m of Release app-2.0.0: t5 is changed); pass it: \
             kubectl breakwater acknowledge app migrations -n ops --version 2.0.0 --reason WHY"
        );
        assert_eq!(world.status.message, told);
        let (result, message) = acknowledge(&mut world, "migrations", "2.0.0");
        assert_eq!(result, ActionResult::Honoured, "{message}");
        world.until_phase(Phase::Completed);
    }
}

#[test]
fn r21_warn_tells_once_ignore_says_nothing_and_without_a_release_nobody_asks() {
    for (gate, told) in [("Warn", 1), ("Ignore", 0)] {
        let mut world = world("2.0.0", Impact::Unknown, Revert::Unknown);
        world.edit(json!({"gates": {"migrations": gate}}));
        world.until_phase(Phase::Completed);
        assert_eq!(world.told("Migrations"), told, "{gate}");
    }
    let mut world = World::usual("2.0.0");
    world.releases = vec![release("9.9.9", Impact::Unknown, Revert::Unknown)];
    world.until_phase(Phase::Completed);
}

#[test]
fn an_acknowledgement_is_for_what_was_said_and_for_that_version() {
    let mut world = world("2.0.0", Impact::Downtime, Revert::RevertSafe);
    world.turn();
    for (subject, version, why) in [
        (
            "loadTest",
            "2.0.0",
            "gate loadTest has nothing against version 2.0.0: there is nothing to acknowledge",
        ),
        (
            "migration",
            "2.0.0",
            "there is no gate \"migration\"; the gates are migrations, loadTest, openDeviations, soak, revert, emergency",
        ),
        ("migrations", "3.0.0", "version 3.0.0 is neither wanted, nor under way, nor the stable one"),
    ] {
        assert_eq!(acknowledge(&mut world, subject, version), (ActionResult::Refused, why.to_owned()));
    }
    world.act(Verb::Hold, json!({}));
    assert_eq!(acknowledge(&mut world, "migrations", "2.0.0").0, ActionResult::Honoured);
    let mut changed = World::usual("2.0.0");
    changed.status = world.status.clone();
    changed.status.phase = Phase::Pending;
    changed.status.candidate_version = None;
    changed.status.brakes.clear();
    changed.releases = vec![release("2.0.0", Impact::Unknown, Revert::RevertSafe)];
    waits(&mut changed, "Migrations");
}

#[test]
fn r8_off_hours_migrations_start_in_windows_marked_so_alone() {
    let mut world = world("2.0.0", Impact::OffHours, Revert::RevertSafe);
    world.edit(json!({"schedule": {"allow": [
        {"cron": "0 9 * * *", "duration": "8h"}, {"cron": "0 1 * * *", "duration": "3h", "offHours": true},
    ]}}));
    world.pass(minutes(1)); // 10:01, inside the first
    assert!(world.writes.is_empty(), "{}", world.status.message);
    assert!(world.status.message.contains("outside every off-hours window"), "{}", world.status.message);
    world.until("night", |world| !world.writes.is_empty());
    let hour = world.writes[0].0.to_zoned(jiff::tz::TimeZone::UTC).hour();
    assert!((1..4).contains(&hour), "{hour}");
    let mut quiet = self::world("2.0.0", Impact::Quiet, Revert::RevertSafe);
    quiet.edit(json!({"schedule": {"allow": [{"cron": "0 9 * * *", "duration": "8h"}]}}));
    quiet.pass(minutes(1));
    assert!(!quiet.writes.is_empty());
}

#[test]
fn load_tests_must_all_pass_where_they_are_required() {
    let tests = |verdicts: &[Verdict]| -> Vec<LoadTest> {
        let one = |(i, verdict): (usize, &Verdict)| LoadTest {
            name: format!("t{i}"),
            verdict: *verdict,
            message: "p99 of GetPosts is 1.4x".into(),
        };
        verdicts.iter().enumerate().map(one).collect()
    };
    for (gate, verdicts, starts, told) in [
        ("Require", vec![Verdict::Pass, Verdict::Pass], true, 0),
        ("Require", vec![Verdict::Pass, Verdict::Warn], true, 1),
        ("Require", vec![Verdict::Pass, Verdict::Fail], false, 0),
        ("Require", vec![Verdict::NoData, Verdict::Pass], false, 0),
        ("Require", vec![], false, 0),
        ("Warn", vec![Verdict::Fail], true, 1),
        ("Warn", vec![], true, 1),
        ("Ignore", vec![Verdict::Fail], true, 0),
    ] {
        let mut world = world("2.0.0", Impact::Quiet, Revert::RevertSafe);
        world.releases[0].load_tests = tests(&verdicts);
        world.edit(json!({"gates": {"loadTest": gate}}));
        if starts {
            world.until_phase(Phase::Completed);
            assert_eq!(world.told("LoadTest"), told, "{gate} {verdicts:?}");
        } else {
            waits(&mut world, "LoadTest");
            assert_eq!(acknowledge(&mut world, "loadTest", "2.0.0").0, ActionResult::Honoured);
            world.until_phase(Phase::Completed);
        }
    }
}

#[test]
fn the_soak_of_another_rollout_is_waited_for() {
    let mut world = world("2.0.0", Impact::Quiet, Revert::RevertSafe);
    world.edit(json!({"gates": {"soak": {"rollout": {"name": "community"}, "atLeast": "3w"}}}));
    waits(&mut world, "SoakGate");
    assert!(world.status.message.contains("has no spec.includesSince"), "{}", world.status.message);
    let since = world.now - SignedDuration::from_hours(24 * 30);
    world.releases[0].includes_since = Some(since);
    waits(&mut world, "SoakGate");
    let day = since.as_second().div_euclid(86_400);
    let soaked =
        |days: i64| Soaked { days: (1..=days).map(|n| (day + n, 86_400)).collect(), open: Vec::new() };
    world.soaked = Some(Ok(Soaked { open: vec![("community-1".into(), world.now)], ..soaked(25) }));
    waits(&mut world, "SoakGate");
    world.soaked = Some(Ok(soaked(20)));
    waits(&mut world, "SoakGate");
    assert!(
        world.status.message.contains("Rollout community has soaked it for 20d of 3w since"),
        "{}",
        world.status.message
    );
    world.soaked = Some(Ok(soaked(21)));
    world.until_phase(Phase::Completed);
}

#[test]
fn a_withdrawn_version_never_starts_whoever_acknowledges_what() {
    let mut world = world("2.0.0", Impact::Quiet, Revert::RevertSafe);
    world.releases[0].withdrawn = Some("it loses drafts".into());
    waits(&mut world, "Withdrawn");
    assert_eq!(world.status.message, "version 2.0.0 is withdrawn by Release app-2.0.0: it loses drafts");
    assert_eq!(acknowledge(&mut world, "migrations", "2.0.0").0, ActionResult::Refused);
    waits(&mut world, "Withdrawn");
}

#[test]
fn a_version_that_is_withdrawn_under_way_stops_there_and_is_nowhere_gone_back_to() {
    let mut world = world("2.0.0", Impact::Quiet, Revert::RevertSafe);
    world.until_wave("one", Phase::Soaking);
    world.releases[0].withdrawn = Some("it loses drafts".into());
    for _ in 0..5 {
        world.pass(minutes(60));
    }
    assert_eq!((world.on("2.0.0"), world.status.summary.as_str()), (3, "Soaking (Withdrawn)"));
    world.act(Verb::Revert, json!({"version": "2.0.0", "reason": "drafts"}));
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("1.0.0"), 13);
}

#[test]
fn a_release_answers_the_deviations_that_it_fixes() {
    let mut world = World::usual("6.6.6");
    world.until_phase(Phase::Reverted);
    world.edit(json!({"version": "2.0.0"}));
    waits_pending(&mut world);
    let fixes = vec![world.reports[0].name.clone()];
    world.releases = vec![Release { fixes, ..release("2.0.0", Impact::Quiet, Revert::RevertSafe) }];
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
}

fn waits_pending(world: &mut World) {
    world.pass(minutes(60));
    assert_eq!(world.status.summary, "Pending (OpenDeviations)");
}

/// 6.6.6 drops a column, was acknowledged, and is bad.
fn deviating(patch: serde_json::Value) -> World {
    let mut world = World::usual("6.6.6");
    let slo = merged(world.json["slos"][0].clone(), json!({"updateCost": {"max": "100%"}}));
    world.edit(json!({"slos": [slo]}));
    world.edit(patch);
    world.releases = vec![release("6.6.6", Impact::Quiet, Revert::RevertLosesData)];
    world.turn();
    assert_eq!(acknowledge(&mut world, "migrations", "6.6.6").0, ActionResult::Honoured);
    world
}

#[test]
fn r21_a_revert_that_the_schema_forbids_holds_with_the_steps_down_until_it_is_acknowledged() {
    let mut world = deviating(json!({}));
    world.until("it holds", |world| world.status.summary.contains("RevertGated"));
    world.behaviours.get_mut("6.6.6").unwrap().errors = 0.0; // that it got better by itself changes nothing
    for _ in 0..5 {
        world.pass(minutes(60));
    }
    assert!(
        world.status.phase.is_under_way() && world.status.summary.contains("RevertGated"),
        "{}",
        world.status.summary
    );
    assert_eq!((world.on("6.6.6"), world.told("RevertGated")), (3, 1));
    let report = &world.reports[0].status;
    assert_eq!(report.outcome, Some(Outcome::Held));
    assert!(
        report.revert_waits_for.starts_with("going back from 6.6.6 to 1.0.0 is RevertLosesData"),
        "{report:?}"
    );
    assert_eq!(
        report.down_steps,
        [DownStep { number: 5, file: "000005_m.down.sql".into(), sql: "ALTER TABLE t5 ADD c int;".into() }]
    );
    world.restart();
    world.pass(minutes(60));
    assert_eq!(world.on("6.6.6"), 3);
    assert_eq!(acknowledge(&mut world, "revert", "6.6.6").0, ActionResult::Honoured);
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("1.0.0"), 13);
    assert_eq!(
        (world.reports[0].status.outcome, world.reports[0].status.revert_waits_for.as_str()),
        (Some(Outcome::Reverted), "")
    );
}

#[test]
fn r21_a_revert_that_waits_does_not_go_ahead_because_the_release_is_gone() {
    let mut world = deviating(json!({}));
    world.until("it holds", |world| world.status.summary.contains("RevertGated"));
    let releases = std::mem::take(&mut world.releases);
    for _ in 0..3 {
        world.pass(minutes(60));
        assert!(world.status.summary.contains("RevertGated"), "{}", world.status.summary);
    }
    assert_eq!(world.on("6.6.6"), 3);
    world.releases = releases;
    assert_eq!(acknowledge(&mut world, "revert", "6.6.6").0, ActionResult::Honoured);
    world.until_phase(Phase::Reverted);
}

#[test]
fn r21_releases_that_cannot_be_listed_let_nothing_start_nor_go_back_until_they_can() {
    let mut world = World::usual("6.6.6");
    world.releases_unread = Some("Releases cannot be listed: forbidden".into());
    waits(&mut world, "ReleasesUnread");
    world.releases_unread = None;
    world.until_wave("one", Phase::Advancing);
    world.releases_unread = Some("Releases cannot be listed: forbidden".into());
    world.until("it holds", |world| world.status.summary.contains("RevertGated"));
    assert_eq!(world.on("6.6.6"), 3);
    world.releases_unread = None;
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("1.0.0"), 13);
}

#[test]
fn r21_a_version_starts_only_once_its_releases_are_known_as_they_are_now() {
    let mut world = World::usual("2.0.0");
    world.releases_behind = Some("Release app-2.0.0 was not looked at as it is now".into());
    waits(&mut world, "ReleasesBehind");
    assert!(!world.condition("Stalled").0, "it ends by itself");
    world.releases_behind = None;
    world.until_wave("one", Phase::Advancing);
}

#[test]
fn r21_what_is_under_way_is_judged_on_while_the_releases_of_the_next_version_are_read() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(4));
    let before = world.think().read_until_seconds(0).unwrap();
    world.releases_behind = Some("Release app-3.0.0 was not looked at as it is now".into());
    world.edit(json!({"version": "3.0.0", "onNewVersion": "Supersede"}));
    for _ in 0..3 {
        world.pass(minutes(2));
    }
    let plan = world.think();
    assert_eq!(plan.status.candidate_version.as_deref(), Some("2.0.0"));
    assert_eq!(plan.status.queued.as_deref(), Some("3.0.0"));
    assert_eq!((plan.status.slos[0].anew, world.told("EvidenceAnew")), (0, 0));
    assert!(plan.read_until_seconds(0).unwrap() >= before + 300, "the judge goes on from where it was");
    world.releases_behind = None;
    world.until("it takes over", |world| world.status.candidate_version.as_deref() == Some("3.0.0"));
}

#[test]
fn r21_manual_reverts_and_git_are_asked_as_well() {
    let mut world = world("2.0.0", Impact::Quiet, Revert::RevertNeedsDown);
    world.turn();
    acknowledge(&mut world, "migrations", "2.0.0");
    world.until_wave("one", Phase::Soaking);
    let revert = world.act(Verb::Revert, json!({"version": "2.0.0"}));
    world.pass(minutes(1));
    assert!(
        world.answers[&revert].1.starts_with("version 2.0.0 is held: going back"),
        "{:?}",
        world.answers[&revert]
    );
    assert_eq!((world.on("2.0.0"), world.reports.len()), (3, 1));
    let mut world = self::world("2.0.0", Impact::Quiet, Revert::RevertNeedsDown);
    world.turn();
    acknowledge(&mut world, "migrations", "2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.edit(json!({"version": "1.0.0"}));
    for _ in 0..3 {
        world.pass(minutes(30));
        assert!(world.status.summary.contains("RevertGated"), "{}", world.status.summary);
    }
    assert_eq!(acknowledge(&mut world, "revert", "2.0.0").0, ActionResult::Honoured);
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("1.0.0"), 13);
}

#[test]
fn r21_an_answer_of_people_ends_the_wait_and_the_version_goes_on() {
    let mut world = deviating(json!({}));
    world.until("it holds", |world| world.status.summary.contains("RevertGated"));
    world.behaviours.get_mut("6.6.6").unwrap().errors = 0.0;
    world.pass(minutes(600)); // the windows forget
    world.answer_reports();
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("6.6.6"), 13);
}

fn job() -> serde_json::Value {
    json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": []}}}})
}

#[test]
fn r21_with_a_down_job_each_tenant_goes_back_once_its_job_succeeded() {
    let mut world = deviating(json!({"revert": {"downJob": job()}}));
    world.until_phase(Phase::Reverted);
    assert_eq!((world.on("1.0.0"), world.told("RevertGated")), (13, 0));
    let mut names = world.job_names.clone();
    names.sort();
    assert_eq!(names, ["a0", "a1", "a2"]);
    assert!(world.jobs.values().flatten().all(|job| job.errand.purpose == Purpose::Revert));
}

#[test]
fn r21_a_down_job_that_fails_keeps_its_tenant_and_says_so_until_it_is_made_anew() {
    let mut world = deviating(json!({"revert": {"downJob": job()}}));
    world.job_ends = JobState::Failed("BackoffLimitExceeded".into());
    world.until("it holds", |world| world.status.summary == "Reverting (JobFailed)");
    for _ in 0..3 {
        world.pass(minutes(60));
    }
    assert_eq!((world.on("6.6.6"), world.job_names.len()), (3, 3));
    assert!(
        world.status.message.contains("failed: BackoffLimitExceeded, and 2 more"),
        "{}",
        world.status.message
    );
    world.job_ends = JobState::Succeeded;
    world.jobs.clear(); // somebody deleted them
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("1.0.0"), 13);
}

#[test]
fn a_second_revert_of_the_same_version_runs_the_job_again() {
    let mut world = deviating(json!({"revert": {"downJob": job()}}));
    world.until_phase(Phase::Reverted);
    world.act(Verb::Retry, json!({"version": "6.6.6"}));
    world.until("it is under way again", |world| world.status.phase.is_under_way());
    world.until_phase(Phase::Reverted);
    assert_eq!(world.job_names.len(), 6);
}

#[test]
fn a_job_before_an_update_runs_first_where_migrations_are_not_quiet() {
    for (impact, jobs) in [(Impact::OffHours, 13), (Impact::Quiet, 0)] {
        let mut world = World::new(spec("2.0.0"), [3, 4, 6]);
        world.edit(json!({"beforeUpdateJob": job(), "schedule": {"allow": [{"cron": "0 0 * * *", "duration": "24h", "offHours": true}]}}));
        world.releases = vec![release("2.0.0", impact, Revert::RevertSafe)];
        world.until_phase(Phase::Completed);
        assert_eq!((world.on("2.0.0"), world.job_names.len()), (13, jobs), "{impact:?}");
    }
}

#[test]
fn r4_a_tenant_that_migrates_has_three_times_as_long() {
    let mut world = world("2.0.0", Impact::Quiet, Revert::RevertSafe);
    let Ok(migrations) = &mut world.releases[0].migrations else { unreachable!() };
    migrations.files[0].longest_seconds = Some(1_800);
    world.behaviours.get_mut("2.0.0").unwrap().ready_after = Some(80 * 60); // progressDeadline is 10m
    world.until_phase(Phase::Completed);
    assert_eq!(world.status.waves.iter().map(|wave| wave.failed).sum::<u32>(), 0);
    let mut world = self::world("2.0.0", Impact::Quiet, Revert::RevertSafe);
    world.behaviours.get_mut("2.0.0").unwrap().ready_after = Some(80 * 60);
    world.until("it is given up", |world| !world.reports.is_empty());
}

/// A version in a lane, with waves that soak for hours, want approvals, and windows.
fn in_lane(lane: Lane) -> World {
    let mut world = world("2.0.0", Impact::Downtime, Revert::RevertSafe);
    world.releases[0].lane = lane;
    let mut waves = world.json["waves"].clone();
    for wave in waves.as_array_mut().unwrap() {
        wave["soak"] = json!("3h");
        wave["laneSoak"] = json!({"patch": "30m", "emergency": "5m"});
        wave["approval"] = json!("Before");
    }
    world.edit(json!({"waves": waves, "schedule": {"allow": [{"cron": "0 9 * * *", "duration": "10h"}]}}));
    world
}

#[test]
fn r35_a_patch_soaks_by_its_lane_and_is_asked_all_the_rest() {
    let mut world = in_lane(Lane::Patch);
    waits(&mut world, "Migrations");
    acknowledge(&mut world, "migrations", "2.0.0");
    world.until("it asks for the approval", |world| world.status.phase == Phase::AwaitingApproval);
    world.act(Verb::Approve, json!({"version": "2.0.0", "wave": "one"}));
    world.until("wave one is passed", |world| world.status.waves[0].passed_at.is_some());
    assert!((1_800..3_600).contains(&world.status.waves[0].soaked_seconds), "{:?}", world.status.waves[0]);
    assert_eq!(world.status.lane, Lane::Patch);
}

#[test]
fn r35_an_emergency_wants_one_acknowledgement_and_then_neither_windows_nor_approvals_nor_gates() {
    let mut world = in_lane(Lane::Emergency);
    world.now += SignedDuration::from_hours(10); // 20:00, outside the window
    waits(&mut world, "Emergency");
    assert_eq!(acknowledge(&mut world, "emergency", "2.0.0").0, ActionResult::Honoured);
    world.until_phase(Phase::Completed);
    let soaked: Vec<i64> = world.status.waves.iter().map(|wave| wave.soaked_seconds).collect();
    assert!(soaked.iter().all(|soaked| (300..1_200).contains(soaked)), "{soaked:?}");
    assert_eq!((world.told("ApprovalNeeded"), world.told("Migrations")), (0, 1));
}

#[test]
fn r35_an_emergency_is_watched_and_reverted_as_any_other_and_a_freeze_holds_it() {
    let mut world = World::usual("6.6.6");
    world.releases =
        vec![Release { lane: Lane::Emergency, ..release("6.6.6", Impact::Quiet, Revert::RevertSafe) }];
    let now = world.now;
    world.edit(json!({"schedule": {"deny": [{"from": now, "to": now + minutes(90), "reason": "year end"}]}}));
    world.turn();
    acknowledge(&mut world, "emergency", "6.6.6");
    world.pass(minutes(60));
    assert!(world.writes.is_empty(), "{}", world.status.message);
    world.until_phase(Phase::Reverted);
}

#[test]
fn r23_a_patch_takes_over_from_what_is_under_way_and_another_version_waits() {
    for (lane, takes_over) in [(Lane::Normal, false), (Lane::Patch, true)] {
        let mut world = World::usual("2.0.0");
        world.until_wave("two", Phase::Soaking);
        world.releases = vec![Release { lane, ..release("3.0.0", Impact::Quiet, Revert::RevertSafe) }];
        world.edit(json!({"version": "3.0.0"}));
        world.turn();
        let is = world.status.candidate_version.as_deref() == Some("3.0.0");
        assert_eq!((is, world.status.queued.is_none()), (takes_over, takes_over), "{lane:?}");
        world.until("it is the stable one", |world| world.status.stable_version.as_deref() == Some("3.0.0"));
    }
}
