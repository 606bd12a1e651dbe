//! Fleets churn, and fleets are found as they are.

use anyhow::{Result, ensure};
use breakwater_tests::{Scene, Tenant};
use serde_json::json;

const WAVES: &str = r"
version: 1.1.0
tenants:
  selector: {matchLabels: {app: tenant}}
  dormant: object.spec.replicas == 0
waves:
  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 10s, maxConcurrent: 2}
  - {name: rest, soak: 20s, maxConcurrent: 1}
";

/// Pause of a rival between two rounds: several writes of every tenant fall into each update.
const RIVALS_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

#[tokio::test]
async fn r6_tenants_that_come_go_move_sleep_and_return_fail_no_rollout() -> Result<()> {
    Scene::play("churn", async |scene| {
        let fresh = |name: &str, ring: &str| Tenant::new(scene.namespace(), name, "1.0.0").ring(ring);
        let rings = ["canary-0", "canary-1", "rest-0", "rest-1", "rest-2", "rest-3", "rest-4"];
        let sleeper = fresh("sleeper", "rest").replicas(0);
        let awake = rings.iter().map(|name| fresh(name, name.split('-').next().unwrap_or_default()));
        scene.has_tenants(awake.chain([sleeper])).await?;
        let app = scene.rollout(WAVES).await?;
        app.is_at("Soaking", "canary").await?;
        app.counts("dormant", 1).await?;
        scene.deploy(&[fresh("canary-new", "canary")], "deployer").await?;
        scene.runs(&[("canary-new", "1.1.0")]).await?;
        let rest: Vec<String> = scene.ring("rest", 5);
        scene.sees("rest is in mid-wave", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        // One goes, one is made anew on the old version, one leaves the selector, one comes to a wave that is passed.
        let [gone, anew, left] = untouched(scene, &rest)?;
        scene.fleet().delete(scene.namespace(), &gone).await?;
        scene.fleet().delete(scene.namespace(), &anew).await?;
        scene.patch_tenant(&left, "kubectl-label", json!({"metadata": {"labels": {"app": "other"}}})).await?;
        scene.deploy(&[fresh("late", "canary")], "deployer").await?;
        deploy_again(scene, &fresh(&anew, "rest")).await?;
        app.is_at("Soaking", "rest").await?;
        scene.runs(&[("late", "1.1.0"), (&anew, "1.1.0")]).await?;
        scene.patch_tenant("sleeper", "kubectl-scale", json!({"spec": {"replicas": 1}})).await?;
        scene.runs(&[("sleeper", "1.1.0")]).await?;
        app.completes("1.1.0").await?;
        scene.runs(&[(&left, "1.0.0")]).await?;
        ensure!(scene.reports().await?.is_empty(), "churn was taken for a deviation");
        Ok(())
    })
    .await
}

/// Names of three tenants that the rollout has not come to: the last ones, as it writes one at a time.
fn untouched(scene: &Scene, ring: &[String]) -> Result<[String; 3]> {
    let asked = scene.recorder().asked("1.1.0");
    let name = |id: &&String| id.rsplit('/').next().unwrap_or_default().to_owned();
    let left: Vec<String> =
        ring.iter().filter(|id| !asked.contains(id)).take(3).map(|id| name(&id)).collect();
    left.try_into().map_err(|left| anyhow::anyhow!("only {left:?} are untouched"))
}

/// Creates a tenant whose namesake is on its way out.
async fn deploy_again(scene: &Scene, tenant: &Tenant) -> Result<()> {
    breakwater_tests::eventually("it is created again", breakwater_tests::scene::PATIENCE, async || {
        scene.deploy(std::slice::from_ref(tenant), "deployer").await
    })
    .await
}

#[tokio::test]
async fn r17_r18_a_tenant_relabelled_out_of_the_selector_or_asleep_is_still_reverted() -> Result<()> {
    Scene::play("relabel", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene.rollout(&WAVES.replace("soak: 10s", "soak: 20m")).await?;
        app.is_at("Soaking", "canary").await?;
        scene
            .patch_tenant("canary-0", "kubectl-label", json!({"metadata": {"labels": {"app": "other"}}}))
            .await?;
        scene.patch_tenant("canary-1", "kubectl-scale", json!({"spec": {"replicas": 0}})).await?;
        scene.act("Revert", json!({"version": "1.1.0", "reason": "try"})).await?;
        app.reverts("1.1.0").await?;
        let wanted = scene.fleet().wanted(scene.namespace()).await?;
        ensure!(wanted["canary-0"] == "1.0.0" && wanted["canary-1"] == "1.0.0", "{wanted:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r33_r34_a_mixed_fleet_is_counted_and_waits_for_an_approval_and_who_is_ahead_is_left_alone()
-> Result<()> {
    Scene::play("adopt", async |scene| {
        let tenant = |(i, version): (usize, &str)| Tenant::new(scene.namespace(), &format!("t-{i}"), version);
        let fleet = ["1.0.0", "1.0.0", "1.0.0", "0.9.0", "2.0.0"];
        scene.has_tenants(fleet.into_iter().enumerate().map(tenant)).await?;
        let app = scene
            .rollout("{version: 1.1.0, adopt: Approve, waves: [{name: all, soak: 5s, maxConcurrent: 4}]}")
            .await?;
        let status = app.is_in(&["Adopting"]).await?;
        let found = status["adoption"]["versions"].to_string();
        ensure!(found.contains(r#"{"tenants":3,"version":"1.0.0"}"#), "{found}");
        let said = status["message"].as_str().unwrap_or_default();
        ensure!(said.contains("3 on 1.0.0") && said.contains("1 on 0.9.0"), "{said}");
        let (result, said) = scene.act("Approve", json!({"version": "1.2.0", "wave": "all"})).await?;
        ensure!(result == "Refused", "{said}");
        ensure!(scene.recorder().moves() == 0, "{}", scene.recorder().story());
        scene.act("Approve", json!({"version": "1.1.0", "wave": "all"})).await?;
        let status = app.completes("1.1.0").await?;
        ensure!(status["counts"]["ahead"] == 1, "{}", status["counts"]);
        scene.runs(&[("t-0", "1.1.0"), ("t-3", "1.1.0"), ("t-4", "2.0.0")]).await?;
        let previous =
            scene.recorder().metadata(&scene.id("t-3"), "/annotations/breakwater.dev~1previous-version");
        ensure!(previous.as_deref() == Some("0.9.0"), "{previous:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r33_a_fleet_that_is_on_the_wanted_version_already_is_completed_without_a_write() -> Result<()> {
    Scene::play("already", async |scene| {
        scene.has_fleet(&[("all", 2)]).await?;
        let app = scene.rollout("{version: 1.0.0, adopt: Approve, waves: [{name: all, soak: 5s}]}").await?;
        app.completes("1.0.0").await?;
        ensure!(scene.recorder().moves() == 0, "{}", scene.recorder().story());
        let marker = scene.recorder().metadata(&scene.id("all-0"), "/labels/breakwater.dev~1rollout");
        ensure!(marker.is_none(), "it was touched: {marker:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r25_a_rival_that_writes_other_fields_all_the_time_costs_retries_and_nothing_else() -> Result<()> {
    Scene::play("rival", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 4)]).await?;
        let app = scene.rollout(&WAVES.replace("maxConcurrent: 1", "maxConcurrent: 2")).await?;
        let names: Vec<String> =
            ["canary-0", "canary-1", "rest-0", "rest-1", "rest-2", "rest-3"].map(String::from).into();
        let rival = async {
            for turn in 0_u64.. {
                for name in &names {
                    let busy = json!({"metadata": {"annotations": {"rival.example/turn": turn.to_string()}}});
                    scene.patch_tenant(name, "rival", busy).await?;
                }
                tokio::time::sleep(RIVALS_PAUSE).await; // a rival, not a denial of service to the other suites
            }
            Ok::<(), anyhow::Error>(())
        };
        tokio::select! {
            lost = rival => lost?,
            done = app.completes("1.1.0") => drop(done?),
        }
        let asked = scene.recorder().asked("1.1.0");
        ensure!(asked.len() == 6, "each tenant is written once: {asked:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r37_a_rollout_deleted_in_mid_wave_leaves_tenants_as_they_are_and_its_successor_goes_on() -> Result<()>
{
    Scene::play("orphans", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 4)]).await?;
        let app = scene.rollout(WAVES).await?;
        let rest = scene.ring("rest", 4);
        scene.sees("rest is in mid-wave", |seen| seen.first_asked("1.1.0", &rest).is_some()).await?;
        app.is_deleted().await?;
        let moves = scene.recorder().moves();
        let app = scene.rollout(WAVES).await?;
        app.completes("1.1.0").await?;
        for tenant in scene.ring("canary", 2).iter().chain(&rest) {
            let way = scene.recorder().way_of(tenant);
            ensure!(way == ["1.0.0", "1.1.0"], "{tenant}: {way:?}");
            let previous = scene.recorder().metadata(tenant, "/annotations/breakwater.dev~1previous-version");
            ensure!(previous.as_deref() == Some("1.0.0"), "{tenant} would go back to {previous:?}");
        }
        ensure!(scene.recorder().moves() >= moves, "it moved back");
        Ok(())
    })
    .await
}
