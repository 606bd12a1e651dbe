//! The road forward: waves, soak, windows, newer versions on the way.

use anyhow::{Context, Result, ensure};
use breakwater_tests::bed::traffic::Behaviour;
use breakwater_tests::scene::recorder::between;
use breakwater_tests::scene::rollout::wave;
use breakwater_tests::{Kind, Scene, Tenant};
use std::time::Duration;

const SOAK: Duration = Duration::from_secs(15);

const THREE_WAVES: &str = r"
version: 1.1.0
waves:
  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 15s, maxConcurrent: 1}
  - {name: early, selector: {matchLabels: {ring: early}}, soak: 15s, maxConcurrent: 2}
  - {name: rest, soak: 15s, maxConcurrent: 3}
";

#[tokio::test]
async fn r1_r2_r7_three_waves_go_in_order_few_at_a_time_and_soak_before_the_next() -> Result<()> {
    Scene::play("waves", async |scene| {
        scene.has_fleet(&[("canary", 2), ("early", 3), ("rest", 4)]).await?;
        let app = scene.rollout(THREE_WAVES).await?;
        app.completes("1.1.0").await?;
        scene.all_run("1.1.0").await?;
        let seen = scene.recorder();
        let waves = [scene.ring("canary", 2), scene.ring("early", 3), scene.ring("rest", 4)];
        let asked = seen.asked("1.1.0");
        ensure!(asked.len() == 9, "each tenant is written once: {asked:?}");
        for (members, most) in waves.iter().zip([1, 2, 3]) {
            let at_once = seen.most_at_once("1.1.0", members);
            ensure!(at_once <= most, "{at_once} of {members:?} were on their way at once");
        }
        for pair in waves.windows(2) {
            let ready = seen.all_ready("1.1.0", &pair[0]).context("a wave came to run the version")?;
            let next = seen.first_asked("1.1.0", &pair[1]).context("the next wave was written")?;
            ensure!(ready < next, "the next wave was written before the one before it was ready");
            ensure!(between(ready, next) >= SOAK, "the wave soaked for {:?} only", between(ready, next));
        }
        let marker =
            |name: &str| seen.metadata(&scene.id("early-1"), &format!("/annotations/breakwater.dev~1{name}"));
        ensure!(marker("previous-version").as_deref() == Some("1.0.0"), "{:?}", marker("previous-version"));
        ensure!(marker("wave").as_deref() == Some("early"), "{:?}", marker("wave"));
        let told =
            ["Started", "WaveStarted", "WaveUpdated", "SoakStarted", "WavePassed", "Watching", "Completed"];
        scene.has_events(&told).await
    })
    .await
}

#[tokio::test]
async fn r23_r17_a_newer_version_supersedes_in_mid_wave_and_starts_over_from_the_verified_one() -> Result<()>
{
    Scene::play("supersede", async |scene| {
        scene.has_fleet(&[("canary", 2), ("early", 3), ("rest", 2)]).await?;
        let app = scene.rollout(&format!("{THREE_WAVES}onNewVersion: Supersede\n")).await?;
        let early = scene.ring("early", 3);
        scene.sees("early is in mid-wave", |seen| seen.first_asked("1.1.0", &early).is_some()).await?;
        app.wants("1.2.0").await?;
        app.completes("1.2.0").await?;
        scene.all_run("1.2.0").await?;
        let asked = scene.recorder().asked("1.2.0");
        let canary = scene.ring("canary", 2);
        ensure!(asked.len() == 7 && asked[..2].iter().all(|one| canary.contains(one)), "{asked:?}");
        let rest = scene.ring("rest", 2);
        ensure!(scene.recorder().asked("1.1.0").iter().all(|one| !rest.contains(one)), "1.1.0 went on");
        for tenant in canary {
            let previous =
                scene.recorder().metadata(&tenant, "/annotations/breakwater.dev~1previous-version");
            ensure!(previous.as_deref() == Some("1.0.0"), "{tenant} would go back to {previous:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r23_a_newer_version_waits_in_the_queue_until_the_one_under_way_is_done() -> Result<()> {
    Scene::play("queue", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let waves = "
            version: 1.1.0
            watchAfter: 5s
            waves:
              - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 5s, maxConcurrent: 2}
              - {name: rest, soak: 5s, maxConcurrent: 2}
        ";
        let app = scene.rollout(waves).await?;
        app.is_at("Soaking", "canary").await?;
        app.wants("1.2.0").await?;
        app.until("1.2.0 is queued", |status| status["queued"] == "1.2.0").await?;
        app.completes("1.2.0").await?;
        for tenant in scene.ring("rest", 2) {
            let way = scene.recorder().way_of(&tenant);
            ensure!(way == ["1.0.0", "1.1.0", "1.2.0"], "{tenant}: {way:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r8_in_a_freeze_nothing_starts_and_a_revert_still_does() -> Result<()> {
    Scene::play("freeze", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let freeze = "schedule: {deny: [{from: '2020-01-01T00:00:00Z', to: '2099-01-01T00:00:00Z', reason: year end}]}";
        let waves = "
            version: 1.1.0
            waves:
              - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 20m, maxConcurrent: 2}
              - {name: rest, soak: 15s}
        ";
        let app = scene.rollout(waves).await?;
        app.edit(freeze).await?;
        app.until("says why nothing starts", |status| {
            status["phase"] == "Advancing" && status["message"].as_str().is_some_and(|said| said.contains("year end"))
        })
        .await
        .context("the freeze came after the first write")
        .or_else(|error| if scene.recorder().moves() > 0 { Ok(serde_json::Value::Null) } else { Err(error) })?;
        ensure!(scene.recorder().moves() <= 2, "{}", scene.recorder().story());
        app.edit("schedule: {deny: []}").await?;
        app.is_at("Soaking", "canary").await?;
        app.edit(freeze).await?;
        scene.tenants().behave("1.1.0", Behaviour::errors(0.8));
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await
    })
    .await
}

#[tokio::test]
async fn r8_outside_an_allow_window_nothing_starts() -> Result<()> {
    Scene::play("window", async |scene| {
        scene.has_fleet(&[("canary", 2)]).await?;
        // It opens for a minute on the 29th of February.
        let app = scene
            .rollout(
                "
                version: 1.1.0
                schedule: {allow: [{cron: '0 0 29 2 *', duration: 1m}]}
                waves: [{name: all, soak: 5s, maxConcurrent: 2}]
                ",
            )
            .await?;
        app.until("waits for its window", |status| {
            status["phase"] == "Advancing"
                && status["message"].as_str().is_some_and(|said| said.contains("waits"))
        })
        .await?;
        ensure!(scene.recorder().moves() == 0, "{}", scene.recorder().story());
        app.edit("schedule: {allow: []}").await?;
        app.completes("1.1.0").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn r24_in_an_atomic_list_of_containers_the_neighbours_survive_an_update_and_a_revert() -> Result<()> {
    Scene::play_with("atomic", Kind::Tenant, async |scene| {
        let tenant = |i: usize| {
            let ring = if i < 2 { "canary" } else { "rest" };
            Tenant::new(scene.namespace(), &format!("t-{i}"), "1.0.0")
                .ring(ring)
                .sidecar("mesh", "registry.local/mesh:7")
        };
        scene.has_tenants((0..4).map(tenant)).await?;
        let app = scene
            .rollout(
                r#"
                version: 1.1.0
                tenants:
                  resource: {apiVersion: test.breakwater.dev/v1, kind: Tenant}
                  ready: has(object.status.ready) && object.status.ready && object.status.version == version
                  fields:
                    - {path: spec.version}
                    - {path: "spec.containers[name=app].image", format: "registry.local/app:{version}"}
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 5s, maxConcurrent: 2}
                  - {name: rest, soak: 20m, maxConcurrent: 2}
                "#,
            )
            .await?;
        app.is_at("Soaking", "rest").await?;
        for name in ["t-0", "t-3"] {
            neighbours_survived(scene, name, "1.1.0").await?;
        }
        let (result, said) =
            scene.act("Revert", serde_json::json!({"version": "1.1.0", "reason": "try"})).await?;
        ensure!(result == "Honoured", "{said}");
        app.reverts("1.1.0").await?;
        for name in ["t-0", "t-3"] {
            neighbours_survived(scene, name, "1.0.0").await?;
        }
        Ok(())
    })
    .await
}

async fn neighbours_survived(scene: &Scene, name: &str, version: &str) -> Result<()> {
    let object = scene.fleet().object(scene.namespace(), name).await?;
    let containers = &object["spec"]["containers"];
    let expected = serde_json::json!([
        {"name": "mesh", "image": "registry.local/mesh:7"},
        {"name": "app", "image": format!("registry.local/app:{version}")},
    ]);
    ensure!(*containers == expected && object["spec"]["version"] == version, "{name}: {}", object["spec"]);
    Ok(())
}

#[tokio::test]
async fn r9_an_edit_of_waves_acts_on_what_has_not_started() -> Result<()> {
    Scene::play("edit", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let waves = "
            version: 1.1.0
            waves:
              - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 20m, maxConcurrent: 2}
              - {name: rest, soak: 20m, maxConcurrent: 2}
        ";
        let app = scene.rollout(waves).await?;
        app.is_at("Soaking", "canary").await?;
        app.edit(
            "
            waves:
              - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 5s, maxConcurrent: 2}
              - {name: rest, soak: 5s, maxConcurrent: 1}
            ",
        )
        .await?;
        let status = app.completes("1.1.0").await?;
        ensure!(
            wave(&status, "canary").is_some_and(|wave| wave["passedAt"].is_string()),
            "{}",
            status["waves"]
        );
        ensure!(scene.recorder().most_at_once("1.1.0", &scene.ring("rest", 2)) == 1, "two at once");
        Ok(())
    })
    .await
}
