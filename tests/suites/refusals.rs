//! What is invalid, or cannot be read at all, stops itself only.

use anyhow::{Context, Result, ensure};
use breakwater_tests::scene::PATIENCE;
use breakwater_tests::scene::rollout::condition;
use breakwater_tests::{Scene, eventually};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

fn waves(ring: &str) -> String {
    format!(
        "version: 1.1.0\n\
         tenants: {{selector: {{matchLabels: {{ring: {ring}}}}}}}\n\
         waves: [{{name: all, soak: 15s, maxConcurrent: 2}}]\n"
    )
}

#[tokio::test]
async fn r9_an_invalid_edit_changes_nothing_but_a_condition() -> Result<()> {
    Scene::play("invalid", async |scene| {
        scene.has_fleet(&[("a", 2), ("b", 1)]).await?;
        let app = scene.rollout(&waves("a")).await?;
        app.is_at("Soaking", "all").await?;
        // The CRD lets it pass; only a parser of PromQL sees it. The version must not come through with it.
        let mut manifest = scene.manifest("app", &waves("a"))?;
        manifest["spec"]["version"] = "1.2.0".into();
        manifest["spec"]["slos"][0]["errors"]["bad"] = "app_requests_total{".into();
        scene.apply(&manifest).await?;
        let refused = |status: &Value| condition(status, "Accepted").is_some_and(|(is, _)| is == "False");
        let status = app.until("the edit is refused", refused).await?;
        ensure!(
            status["message"].as_str().is_some_and(|said| said.contains("slos[0].errors.bad")),
            "{status}"
        );
        let status =
            app.until("1.1.0 goes on to its end", |status| status["stableVersion"] == "1.1.0").await?;
        ensure!(refused(&status) && scene.recorder().asked("1.2.0").is_empty(), "{status}");
        scene.rollout(&waves("a").replace("1.1.0", "1.2.0")).await?;
        app.completes("1.2.0").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn r9_a_rollout_that_was_never_valid_says_so_and_touches_nothing() -> Result<()> {
    Scene::play("never", async |scene| {
        scene.has_fleet(&[("a", 1)]).await?;
        let app = scene.rollout(&format!("{}prometheus: {{matchers: 'cluster='}}", waves("a"))).await?;
        let status = app.until("it is refused", |status| status["message"].is_string()).await?;
        let said = status["message"].as_str().unwrap_or_default();
        ensure!(said.contains("spec.prometheus.matchers"), "{said}");
        ensure!(condition(&status, "Stalled").is_some_and(|(stalled, _)| stalled == "True"), "{status}");
        scene.rollout(&waves("a")).await?;
        app.completes("1.1.0").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn f12_an_undecodable_rollout_stands_still_alone_and_goes_on_once_mended() -> Result<()> {
    Scene::play("undecodable", async |scene| {
        scene.has_fleet(&[("a", 2), ("b", 2)]).await?;
        let broken = scene.rollout_named("broken", &waves("b")).await?;
        broken.is_at("Soaking", "all").await?;
        let moves = scene.recorder().moves();
        // More than any count holds, and nothing that the schema minds.
        set_live(scene, json!(5_000_000_000_i64)).await?;
        eventually("it says that it cannot be read", PATIENCE, async || {
            let status = broken.status().await?;
            let said = status["message"].as_str().context("no message")?;
            ensure!(said.contains("cannot be decoded"), "{said}");
            Ok(())
        })
        .await?;
        let app = scene.rollout(&waves("a")).await?;
        app.completes("1.1.0").await?;
        ensure!(broken.status().await?["stableVersion"] != "1.1.0", "an unreadable one went on");
        ensure!(scene.recorder().moves() == moves + 2, "{}", scene.recorder().story());
        set_live(scene, json!(2)).await?;
        broken.completes("1.1.0").await.map(drop)
    })
    .await
}

async fn set_live(scene: &Scene, live: Value) -> Result<()> {
    let patch = Patch::Merge(json!({"status": {"counts": {"live": live}}}));
    let api = scene.rollouts(scene.namespace());
    // The controller may write in between; the last word is asked for again until it stands.
    eventually("the status is forged", PATIENCE, async || {
        api.patch_status("broken", &PatchParams::default(), &patch).await?;
        let object = api.get("broken").await?;
        ensure!(object.data["status"]["counts"]["live"] == live, "{}", object.data["status"]["counts"]);
        Ok(())
    })
    .await
}
