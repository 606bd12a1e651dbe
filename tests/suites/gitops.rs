//! Life beside other hands: owners of fields, fights over them, other Rollouts, other namespaces.

use anyhow::{Result, ensure};
use breakwater_tests::scene::PATIENCE;
use breakwater_tests::{Scene, Tenant, eventually};
use serde_json::{Value, json};

const TWO_WAVES: &str = r"
version: 1.1.0
waves:
  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 15s, maxConcurrent: 2}
  - {name: rest, soak: 5s, maxConcurrent: 2}
";

fn says(status: &Value, words: &[&str]) -> bool {
    status["message"].as_str().is_some_and(|said| words.iter().all(|word| said.contains(word)))
}

#[tokio::test]
async fn r24_a_version_owned_by_a_manager_that_did_not_release_it_is_left_alone_and_the_way_out_is_told()
-> Result<()> {
    Scene::play("owner", async |scene| {
        let tenant = |i: usize| Tenant::new(scene.namespace(), &format!("t-{i}"), "1.0.0");
        let tenants: Vec<Tenant> = (0..3).map(tenant).collect();
        scene.deploy(&tenants, "argocd-controller").await?;
        scene.all_run("1.0.0").await?;
        scene.is_measured(3).await?;
        let app = scene.rollout("{version: 1.1.0, waves: [{name: all, soak: 5s, maxConcurrent: 3}]}").await?;
        let status = app.is_held("OwnerNotReleased").await?;
        ensure!(status["phase"] == "Pending" && status["counts"]["notReleased"] == 3, "{status}");
        let way_out = ["argocd-controller (3)", "RespectIgnoreDifferences", "takeFrom: [argocd-controller]"];
        ensure!(says(&status, &way_out), "{}", status["message"]);
        ensure!(scene.recorder().moves() == 0, "{}", scene.recorder().story());
        app.edit("tenants: {takeFrom: [argocd-controller]}").await?;
        app.completes("1.1.0").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn r24_a_version_taken_back_is_contested_and_neither_fought_nor_reverted() -> Result<()> {
    Scene::play("contest", async |scene| {
        let tenant = |(ring, i): (&str, usize)| {
            let name = format!("{ring}-{i}");
            Tenant::new(scene.namespace(), &name, "1.0.0").ring(ring).sidecar("mesh", "registry.local/mesh:7")
        };
        scene.has_tenants([("canary", 0), ("canary", 1), ("rest", 0), ("rest", 1)].map(tenant)).await?;
        let fields = r#"
tenants:
  fields: [{path: "spec.template.spec.containers[name=app].image", format: "registry.local/app:{version}"}]
"#;
        let app = scene.rollout(&format!("{TWO_WAVES}{fields}")).await?;
        app.is_at("Soaking", "canary").await?;
        scene.fleet().set_version(scene.namespace(), "canary-0", "1.0.0").await?;
        let status = app.is_held("Contested").await?;
        ensure!(says(&status, &["kubectl-edit", "canary-0"]), "{}", status["message"]);
        ensure!(status["phase"] == "Soaking" && status["counts"]["contested"] == 1, "{status}");
        scene.fleet().set_version(scene.namespace(), "canary-0", "1.1.0").await?;
        app.completes("1.1.0").await?;
        let way = scene.recorder().way_of(&scene.id("canary-0"));
        ensure!(way == ["1.0.0", "1.1.0", "1.0.0", "1.1.0"], "it was fought: {way:?}");
        let object = scene.fleet().object(scene.namespace(), "canary-1").await?;
        let mesh = object.pointer("/spec/template/spec/containers/0/image");
        ensure!(mesh == Some(&json!("registry.local/mesh:7")), "{mesh:?}");
        ensure!(scene.reports().await?.is_empty(), "it was reverted");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r24_a_contested_tenant_is_left_alone_by_a_revert_too_and_named() -> Result<()> {
    Scene::play("partly", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene.rollout(&TWO_WAVES.replace("soak: 15s", "soak: 20m")).await?;
        app.is_at("Soaking", "canary").await?;
        scene.fleet().set_version(scene.namespace(), "canary-0", "0.9.0").await?;
        app.is_held("Contested").await?;
        scene.act("Revert", json!({"version": "1.1.0", "reason": "try"})).await?;
        let status = app.is_in(&["RevertedPartly"]).await?;
        scene.runs(&[("canary-0", "0.9.0"), ("canary-1", "1.0.0"), ("rest-0", "1.0.0")]).await?;
        let troubled = status["troubled"].to_string();
        ensure!(troubled.contains("canary-0") && troubled.contains("Contested"), "{troubled}");
        let way = scene.recorder().way_of(&scene.id("canary-0"));
        ensure!(way == ["1.0.0", "1.1.0", "0.9.0"], "it was fought: {way:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r24_a_tenant_under_another_rollouts_marker_is_claimed_until_that_one_is_gone() -> Result<()> {
    Scene::play("claim", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 1)]).await?;
        let one = "{version: 1.1.0, watchAfter: 5s, waves: [{name: all, soak: 5s, maxConcurrent: 3}]}";
        let app = scene.rollout(one).await?;
        app.completes("1.1.0").await?;
        let rival = scene.rollout_named("rival", &one.replace("1.1.0", "1.2.0")).await?;
        let status = rival.counts("claimed", 3).await?;
        ensure!(status["counts"]["live"] == 0 && status["phase"] == "Pending", "{status}");
        ensure!(scene.recorder().asked("1.2.0").is_empty(), "a claimed tenant was touched");
        app.is_deleted().await?;
        rival.completes("1.2.0").await?;
        scene.all_run("1.2.0").await
    })
    .await
}

#[tokio::test]
async fn r39_a_namespace_that_has_not_consented_is_not_touched() -> Result<()> {
    Scene::play("consent", async |scene| {
        let far = scene.area().another_namespace("far").await?;
        for namespace in [scene.namespace(), &far] {
            scene.label_namespace(namespace, json!({"scene": scene.namespace()})).await?;
        }
        let near = |i: usize| Tenant::new(scene.namespace(), &format!("near-{i}"), "1.0.0").ring("canary");
        let distant = |i: usize| Tenant::new(&far, &format!("far-{i}"), "1.0.0").ring("rest");
        scene.has_tenants((0..2).map(near).chain((0..2).map(distant))).await?;
        let spread = "tenants: {namespaceSelector: {matchLabels: {scene: $NAMESPACE}}}\n";
        let waves = TWO_WAVES
            .replace("name: rest, soak: 5s", "name: rest, soak: 5s, optional: true, approval: Before");
        let app = scene.rollout(&format!("{waves}{spread}")).await?;
        // Nobody is left for the last wave, so it is passed at once, and all that is left is watched.
        let status = app.completes("1.1.0").await?;
        ensure!(status["counts"]["unconsented"] == 2, "{}", status["counts"]);
        let touched = scene.recorder().asked("1.1.0");
        ensure!(touched.iter().all(|tenant| tenant.starts_with(&scene.id(""))), "{touched:?}");
        consents(scene, &far, &app).await
    })
    .await
}

/// With the label the next version goes there as well.
async fn consents(
    scene: &Scene,
    far: &str,
    app: &breakwater_tests::scene::rollout::Rollout<'_>,
) -> Result<()> {
    scene.label_namespace(far, json!({"breakwater.dev/rollouts-from": scene.namespace()})).await?;
    app.wants("1.2.0").await?;
    app.is_in(&["AwaitingApproval"]).await?;
    scene.act("Approve", json!({"version": "1.2.0", "wave": "rest"})).await?;
    app.completes("1.2.0").await?;
    eventually("the far ones run 1.2.0", PATIENCE, async || scene.fleet().all_run(far, "1.2.0").await).await
}
