//! Controllers that die, and controllers that were only asleep. Each scene has a bed of its own.

use anyhow::{Context, Result, ensure};
use breakwater_tests::bed::process::Process;
use breakwater_tests::bed::traffic::Behaviour;
use breakwater_tests::scene::PATIENCE;
use breakwater_tests::scene::control::NAMESPACE;
use breakwater_tests::{Scene, eventually};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

const WAVES: &str = r"
version: 1.1.0
revert: {maxConcurrent: 1}
waves:
  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 10s, maxConcurrent: 1}
  - {name: rest, soak: 10s, maxConcurrent: 1}
";

#[tokio::test]
async fn r28_a_controller_killed_at_any_point_of_an_advance_or_a_revert_comes_to_the_same_end() -> Result<()>
{
    Scene::alone("killed", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 4)]).await?;
        let app = scene.rollout(WAVES).await?;
        let (canary, rest) = (scene.ring("canary", 2), scene.ring("rest", 4));
        let controller = scene.control().controller().process();
        let seen = scene.recorder();
        scene.sees("the first write", |seen| seen.first_asked("1.1.0", &canary).is_some()).await?;
        controller.restart()?;
        app.is_at("Soaking", "canary").await?;
        controller.restart()?;
        scene.sees("rest is begun", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        controller.restart()?;
        app.is_in(&["Watching"]).await?;
        controller.restart()?;
        app.completes("1.1.0").await?;
        for tenant in canary.iter().chain(&rest) {
            let way = seen.way_of(tenant);
            ensure!(way == ["1.0.0", "1.1.0"], "{tenant} was written twice: {way:?}");
        }
        reverts_through_kills(scene, controller).await
    })
    .await
}

async fn reverts_through_kills(scene: &Scene, controller: &Process) -> Result<()> {
    let (canary, rest) = (scene.ring("canary", 2), scene.ring("rest", 4));
    scene.tenants().behave("1.2.0", Behaviour::errors(0.8).only(rest.clone()));
    let app = scene.named("app");
    app.wants("1.2.0").await?;
    app.is_in(&["Reverting"]).await?;
    controller.restart()?;
    let back = |n: usize| {
        move |seen: &breakwater_tests::scene::recorder::Recorder| seen.asked("1.1.0").len() >= 6 + n
    };
    scene.sees("one is on its way back", back(1)).await?;
    controller.restart()?;
    scene.sees("two are on their way back", back(2)).await?;
    controller.restart()?;
    app.is_in(&["Verifying"]).await?;
    controller.restart()?;
    app.reverts("1.2.0").await?;
    scene.all_run("1.1.0").await?;
    for tenant in canary.iter().chain(&rest) {
        let way = scene.recorder().way_of(tenant);
        let (touched, spared) = (way == ["1.0.0", "1.1.0", "1.2.0", "1.1.0"], way == ["1.0.0", "1.1.0"]);
        ensure!(touched || (spared && rest.contains(tenant)), "{tenant}: {way:?}");
    }
    let reports = scene.reports().await?;
    ensure!(reports.len() == 1 && reports[0]["status"]["outcome"] == "Reverted", "{reports:?}");
    Ok(())
}

#[tokio::test]
async fn r26_a_leader_that_was_only_stopped_finds_a_newer_one_and_what_it_wrote_is_taken_back() -> Result<()>
{
    Scene::alone("zombie", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 5)]).await?;
        let second = scene.control().another(&["--identity=second"])?;
        second.answers("/healthz", PATIENCE).await?;
        let rest = scene.ring("rest", 5);
        scene.tenants().behave("1.1.0", Behaviour::errors(0.8).only(rest.clone()));
        let app = scene.rollout(WAVES).await?;
        let first = scene.control().controller().process();
        scene.sees("rest is in mid-wave", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        ensure!(holder(scene).await? != "second", "the second one leads");
        first.stop();
        eventually("the second one leads", PATIENCE, async || {
            let holder = holder(scene).await?;
            ensure!(holder == "second", "{holder} leads");
            Ok(())
        })
        .await?;
        app.is_in(&["Reverting"]).await?;
        first.cont();
        let status = app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        let mut touched = scene.recorder().asked("1.1.0");
        touched.sort();
        touched.dedup();
        let reverted = status["revert"]["reverted"].as_u64();
        ensure!(
            reverted == u64::try_from(touched.len()).ok(),
            "{touched:?} were touched, {reverted:?} counted"
        );
        ensure!(status["epoch"].as_i64() > Some(1), "{}", status["epoch"]);
        ensure!(first.exited().is_none(), "the first one ended: {}", first.last_words());
        scene.reports_are_closed("1.1.1").await?;
        app.wants("1.1.1").await?;
        app.completes("1.1.1").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn r48_a_rebuilt_hub_touches_its_tenants_only_once_somebody_names_the_old_one() -> Result<()> {
    Scene::alone("rebuilt", async |scene| {
        scene.has_fleet(&[("canary", 1), ("rest", 2)]).await?;
        let app = scene.rollout(WAVES).await?;
        let status = app.completes("1.1.0").await?;
        let namespaces: Api<Namespace> = Api::all(scene.client());
        let cluster = namespaces.get("kube-system").await?.metadata.uid.context("no uid")?;
        ensure!(status["hub"] == cluster, "{}", status["hub"]);
        scene.control().controller().process().kill();
        let rebuilt = scene.control().another(&["--identity=rebuilt", "--hub-id=rebuilt"])?;
        rebuilt.answers("/healthz", PATIENCE).await?;
        app.wants("1.2.0").await?;
        let held = app.is_held("OtherHub").await?;
        let message = held["message"].as_str().unwrap_or_default();
        ensure!(message.contains(&format!("--hub {cluster}")), "{message}");
        scene.all_run("1.1.0").await?;
        let fields =
            json!({"subject": format!("hub/{cluster}"), "reason": "the cluster was rebuilt from Git"});
        let (result, words) = scene.act("Acknowledge", fields).await?;
        ensure!(result == "Honoured", "{words}");
        let status = app.completes("1.2.0").await?;
        ensure!(status["otherHubs"] == json!([cluster]), "{}", status["otherHubs"]);
        scene.all_run("1.2.0").await?;
        ensure!(rebuilt.process().exited().is_none(), "it ended: {}", rebuilt.process().last_words());
        Ok(())
    })
    .await
}

async fn holder(scene: &Scene) -> Result<String> {
    let leases: Api<Lease> = Api::namespaced(scene.client(), NAMESPACE);
    let lease = leases.get("breakwater").await?;
    lease.spec.and_then(|spec| spec.holder_identity).context("nobody holds the lease")
}

#[tokio::test]
async fn r33_a_status_that_was_lost_is_rebuilt_from_markers_and_reports() -> Result<()> {
    Scene::alone("wiped", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 4)]).await?;
        let app = scene.rollout(WAVES).await?;
        let rest = scene.ring("rest", 4);
        scene.sees("rest is in mid-wave", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        wipe(scene).await?;
        app.completes("1.1.0").await?;
        for tenant in scene.ring("canary", 2).iter().chain(&rest) {
            let way = scene.recorder().way_of(tenant);
            ensure!(way == ["1.0.0", "1.1.0"], "{tenant}: {way:?}");
        }
        app.wants("1.2.0").await?;
        app.is_at("Soaking", "canary").await?;
        scene.act("Revert", json!({"version": "1.2.0", "reason": "try"})).await?;
        app.is_in(&["Reverting", "Verifying"]).await?;
        wipe(scene).await?;
        let status = app.reverts("1.2.0").await?;
        scene.all_run("1.1.0").await?;
        ensure!(status["stableVersion"] == "1.1.0", "{}", status["stableVersion"]);
        Ok(())
    })
    .await
}

/// Takes the whole status away while nobody looks.
async fn wipe(scene: &Scene) -> Result<()> {
    let controller = scene.control().controller().process();
    controller.kill();
    let patch = Patch::Merge(json!({"status": null}));
    let api = scene.rollouts(scene.namespace());
    let wiped = api.patch_status("app", &PatchParams::default(), &patch).await?;
    ensure!(wiped.data["status"].is_null(), "{}", wiped.data["status"]);
    controller.restart()
}

#[tokio::test]
async fn r36_the_stop_config_map_halts_every_write_at_once_reverts_included() -> Result<()> {
    Scene::alone("brake", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 6)]).await?;
        let app = scene.rollout(WAVES).await?;
        let rest = scene.ring("rest", 6);
        scene.sees("rest is in mid-wave", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        let stops: Api<ConfigMap> = Api::namespaced(scene.client(), NAMESPACE);
        let stop: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "breakwater-stop"}}))?;
        stops.create(&PostParams::default(), &stop).await?;
        app.is_held("Stopped").await?;
        let moves = scene.recorder().moves();
        ensure!(moves < 8, "all was written before the stop");
        scene.control().controller().process().restart()?;
        scene.act("Revert", json!({"version": "1.1.0", "reason": "try"})).await?;
        app.is_in(&["Reverting"]).await?;
        scene.ask("alice", "alice", "Hold", json!({"reason": "time to look"})).await?;
        app.until("has seen the hold", |status| status["brakes"].is_array()).await?;
        ensure!(scene.recorder().moves() == moves, "written under a stop:\n{}", scene.recorder().story());
        stops.delete("breakwater-stop", &DeleteParams::default()).await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await
    })
    .await
}

#[tokio::test]
async fn f6_an_api_server_that_dies_in_an_advance_and_in_a_revert_changes_no_outcome() -> Result<()> {
    Scene::alone("api", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 5)]).await?;
        let rest = scene.ring("rest", 5);
        scene.tenants().behave("1.1.0", Behaviour::errors(0.8).only(rest.clone()));
        let app = scene.rollout(WAVES).await?;
        scene.sees("canary is begun", |seen| !seen.asked("1.1.0").is_empty()).await?;
        scene.bed().control_plane().api().process().restart()?;
        scene.bed().control_plane().api().ready().await?;
        app.is_in(&["Reverting"]).await?;
        scene.bed().control_plane().api().process().restart()?;
        scene.bed().control_plane().api().ready().await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        scene.reports_are_closed("1.1.1").await?;
        app.wants("1.1.1").await?;
        app.completes("1.1.1").await.map(drop)
    })
    .await
}
