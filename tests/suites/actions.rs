//! What people ask for by `RolloutActions`, and who may.

use anyhow::{Result, ensure};
use breakwater_tests::Scene;
use breakwater_tests::scene::rollout::wave;
use serde_json::json;

/// A soak that no scene waits for: it ends by a promotion, or not at all.
const WAVES: &str = r"
version: 1.1.0
watchAfter: 5s
waves:
  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 20m, maxConcurrent: 2}
  - {name: rest, soak: 5s, maxConcurrent: 1, approval: Before}
";

const RINGS: [(&str, usize); 2] = [("canary", 2), ("rest", 3)];

async fn honoured(scene: &Scene, verb: &str, fields: serde_json::Value) -> Result<()> {
    let (result, said) = scene.act(verb, fields).await?;
    ensure!(result == "Honoured", "{verb}: {said}");
    Ok(())
}

#[tokio::test]
async fn approvals_serve_one_version_and_come_from_who_may_give_them_in_their_own_name() -> Result<()> {
    Scene::play("approve", async |scene| {
        scene.has_fleet(&RINGS).await?;
        scene.bind("bob", "breakwater-may-hold").await?;
        let app = scene.rollout(WAVES).await?;
        app.is_at("Soaking", "canary").await?;
        honoured(scene, "Promote", json!({"version": "1.1.0"})).await?;
        app.is_at("AwaitingApproval", "rest").await?;
        let approval = json!({"version": "1.1.0", "wave": "rest"});
        for (user, name, needle) in [
            ("carol", "carol", "forbidden"),
            ("bob", "bob", "may not approve"),
            ("alice", "bob", "must be the user who asks"),
        ] {
            let refused = scene.ask(user, name, "Approve", approval.clone()).await;
            let said = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
            ensure!(said.contains(needle), "{user} in the name of {name}: {said:?}");
        }
        let (result, said) = scene.act("Approve", json!({"version": "1.2.0", "wave": "rest"})).await?;
        ensure!(result == "Refused" && said.contains("1.2.0"), "{result}: {said}");
        let touched = scene.recorder().asked("1.1.0");
        ensure!(touched.len() == 2, "an approval for another version did something: {touched:?}");
        honoured(scene, "Approve", approval).await?;
        let status = app.completes("1.1.0").await?;
        let approved = wave(&status, "rest").map(|wave| wave["approvedBefore"]["by"].clone());
        ensure!(approved == Some(json!("alice")), "{approved:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r36_holds_keep_and_stops_stop_until_they_are_lifted_by_name() -> Result<()> {
    Scene::play("brakes", async |scene| {
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(WAVES).await?;
        app.is_at("Soaking", "canary").await?;
        let hold = scene.ask("alice", "alice", "Hold", json!({"reason": "ticket 17"})).await?;
        app.is_held("Held").await?;
        honoured(scene, "Approve", json!({"version": "1.1.0", "wave": "rest"})).await?;
        honoured(scene, "Promote", json!({"version": "1.1.0"})).await?;
        let status = app.is_held("Held").await?;
        ensure!(status["message"].as_str().is_some_and(|said| said.contains("ticket 17")), "{status}");
        ensure!(scene.recorder().asked("1.1.0").len() == 2, "a held rollout advanced");
        honoured(scene, "Lift", json!({"subject": hold})).await?;
        let rest = scene.ring("rest", 3);
        scene.sees("rest is in mid-wave", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        stops(scene).await?;
        app.completes("1.1.0").await.map(drop)
    })
    .await
}

/// Nothing is written under a Stop, not even a revert that was asked for; what was asked for comes after it.
async fn stops(scene: &Scene) -> Result<()> {
    let app = scene.named("app");
    let stop = scene.ask("alice", "alice", "Stop", json!({"reason": "the network is odd"})).await?;
    app.is_held("Stopped").await?;
    let moves = scene.recorder().moves();
    honoured(scene, "Revert", json!({"version": "1.1.0", "reason": "try"})).await?;
    app.is_in(&["Reverting"]).await?;
    let hold = scene.ask("alice", "alice", "Hold", json!({"reason": "one more look"})).await?;
    app.until("has seen the hold", |status| {
        status["brakes"].as_array().is_some_and(|brakes| brakes.len() == 2)
    })
    .await?;
    ensure!(scene.recorder().moves() == moves, "written under a stop:\n{}", scene.recorder().story());
    honoured(scene, "Lift", json!({"subject": stop, "lifts": "Stop"})).await?;
    app.reverts("1.1.0").await?;
    scene.all_run("1.0.0").await?;
    honoured(scene, "Lift", json!({"subject": hold})).await?;
    honoured(scene, "Retry", json!({"version": "1.1.0"})).await?;
    app.is_at("Soaking", "canary").await?;
    honoured(scene, "Approve", json!({"version": "1.1.0", "wave": "rest"})).await?;
    honoured(scene, "Promote", json!({"version": "1.1.0"})).await
}

#[tokio::test]
async fn r19_a_revert_by_hand_rejects_until_a_retry_and_spec_paused_holds_from_git() -> Result<()> {
    Scene::play("retry", async |scene| {
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(&WAVES.replace(", approval: Before", "").replace("20m", "5s")).await?;
        let rest = scene.ring("rest", 3);
        scene.sees("rest is in mid-wave", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        honoured(scene, "Revert", json!({"version": "1.1.0", "reason": "users are cross"})).await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        let report = scene.reports().await?.remove(0);
        let status = &report["status"];
        ensure!(status["reason"] == "Manual" && status["requestedBy"] == "alice", "{status}");
        app.edit("paused: true").await?;
        honoured(scene, "Retry", json!({"version": "1.1.0"})).await?;
        app.is_held("Paused").await?;
        ensure!(scene.recorder().asked("1.0.0").len() == scene.recorder().asked("1.1.0").len(), "it went on");
        app.edit("paused: false").await?;
        app.completes("1.1.0").await?;
        let closed = &scene.reports().await?[0]["status"]["closedBy"];
        ensure!(closed.as_str().is_some_and(|name| name.starts_with("retry-")), "{closed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r19_setting_the_version_back_in_git_reverts_and_rejects_nothing() -> Result<()> {
    Scene::play("setback", async |scene| {
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(WAVES).await?;
        app.is_at("Soaking", "canary").await?;
        app.wants("1.0.0").await?;
        let status = app.completes("1.0.0").await?;
        scene.all_run("1.0.0").await?;
        ensure!(status["rejected"].is_null() && scene.reports().await?.is_empty(), "{}", status["rejected"]);
        app.wants("1.1.0").await?;
        app.is_at("Soaking", "canary").await.map(drop)
    })
    .await
}
