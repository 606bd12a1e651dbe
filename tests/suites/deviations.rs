//! What users feel: errors, latency, alerts, and what is not the release's fault.

use std::time::Duration;

use anyhow::{Result, ensure};
use breakwater_tests::bed::alertmanager::Receiver;
use breakwater_tests::bed::traffic::Behaviour;
use breakwater_tests::scene::control::WEBHOOK_TOKEN;
use breakwater_tests::{Scene, Tenant};
use serde_json::json;

const WAVES: &str = r"
version: 1.1.0
revert: {maxConcurrent: 1}
waves:
  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 10s, maxConcurrent: 2}
  - {name: early, selector: {matchLabels: {ring: early}}, soak: 15s, maxConcurrent: 3}
  - {name: rest, soak: 5s, maxConcurrent: 3}
";

/// Long enough for a warm-up and both windows of the sharp path's short one.
const WATCHED: Duration = Duration::from_secs(20);

const RINGS: [(&str, usize); 3] = [("canary", 2), ("early", 3), ("rest", 2)];

#[tokio::test]
async fn r18_r19_r20_errors_in_wave_two_revert_all_that_was_touched_and_stay_out_until_a_patch() -> Result<()>
{
    Scene::play("errors", async |scene| {
        scene.has_fleet(&RINGS).await?;
        scene.tenants().behave("1.1.0", Behaviour::errors(0.8).only(scene.ring("early", 3)));
        let app = scene.rollout(WAVES).await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        newest_wave_went_first(scene)?;
        attributed_with_numbers(scene).await?;
        stays_out(scene).await?;
        waits_until_the_report_is_closed(scene).await?;
        app.completes("1.1.1").await?;
        scene.all_run("1.1.1").await?;
        let status = app.status().await?;
        ensure!(status["rejected"] == json!(["1.1.0"]), "{}", status["rejected"]);
        Ok(())
    })
    .await
}

/// All that came was taken back, early before canary; rest was never touched.
fn newest_wave_went_first(scene: &Scene) -> Result<()> {
    let (came, mut left) = (scene.recorder().asked("1.1.0"), scene.recorder().asked("1.0.0"));
    let place = |tenant: &String| !scene.ring("early", 3).contains(tenant);
    ensure!(left.is_sorted_by_key(place), "not newest first: {left:?}");
    ensure!(came.iter().all(|tenant| !scene.ring("rest", 2).contains(tenant)), "rest was touched: {came:?}");
    ensure!(came.len() >= 4, "both waves were touched: {came:?}");
    let mut came = came;
    came.sort();
    left.sort();
    ensure!(came == left, "{came:?} came, {left:?} left");
    Ok(())
}

async fn attributed_with_numbers(scene: &Scene) -> Result<()> {
    let reports = scene.reports().await?;
    let [report] = reports.as_slice() else { anyhow::bail!("{} reports", reports.len()) };
    let status = &report["status"];
    ensure!(report["spec"] == json!({"rollout": "app", "version": "1.1.0"}), "{}", report["spec"]);
    ensure!(status["outcome"] == "Reverted" && status["attribution"] == "Attributed", "{status}");
    ensure!(status["wave"] == "early" && status["slo"] == "errors" && status["failed"] == 0, "{status}");
    ensure!(status["value"].as_f64() > status["limit"].as_f64(), "{status}");
    let touched = scene.recorder().asked("1.1.0").len();
    ensure!(status["reverted"].as_u64() == u64::try_from(touched).ok(), "{touched} touched, {status}");
    let said = status["message"].as_str().unwrap_or_default();
    ensure!(
        ["errors of wave early", "%", "limit", "requests"].iter().all(|part| said.contains(part)),
        "{said}"
    );
    Ok(())
}

/// The patch release waits for people's answer, says so, and starts with it; the answer stays theirs.
async fn waits_until_the_report_is_closed(scene: &Scene) -> Result<()> {
    let app = scene.named("app");
    app.wants("1.1.1").await?;
    let status = app.is_held("OpenDeviations").await?;
    let said = status["message"].as_str().unwrap_or_default();
    ensure!(status["phase"] == "Pending" && said.contains("--close fixed --in 1.1.1"), "{said}");
    scene.reports_are_closed("1.1.1").await?;
    app.is_in(&["Advancing", "Soaking"]).await?;
    let found = &scene.reports().await?[0]["spec"]["investigation"];
    ensure!(*found == json!({"state": "Fixed", "fixedIn": "1.1.1", "notes": "found"}), "{found}");
    Ok(())
}

/// Applying the same manifest again, and deleting and re-creating the Rollout, roll nothing.
async fn stays_out(scene: &Scene) -> Result<()> {
    let moves = scene.recorder().moves();
    let manifest = scene.manifest("app", WAVES)?;
    scene.apply(&manifest).await?;
    let app = scene.named("app");
    app.reverts("1.1.0").await?;
    app.is_deleted().await?;
    scene.apply(&manifest).await?;
    let status = app.reverts("1.1.0").await?;
    ensure!(status["stableVersion"] == "1.0.0", "{}", status["stableVersion"]);
    ensure!(scene.recorder().moves() == moves, "{}", scene.recorder().story());
    Ok(())
}

#[tokio::test]
async fn r18_requests_that_become_slow_revert_as_errors_do() -> Result<()> {
    Scene::play("latency", async |scene| {
        scene.has_fleet(&RINGS).await?;
        scene.tenants().behave("1.1.0", Behaviour::slow(0.9).only(scene.ring("early", 3)));
        let slo = r"
slos:
  - name: latency
    latency: {histogram: app_request_seconds, threshold: 500ms}
    objective: 95%
    tenantLabels: [installation]
    step: 5s
    burnRate: {page: [{long: 30s, short: 10s, factor: 6}], hold: []}
    sharp: {long: 30s, short: 10s, factor: 5, minBad: 10}
";
        let app = scene.rollout(&format!("{WAVES}{slo}")).await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        let reports = scene.reports().await?;
        ensure!(reports.len() == 1 && reports[0]["status"]["slo"] == "latency", "{reports:?}");
        ensure!(reports[0]["status"]["attribution"] == "Attributed", "{reports:?}");
        newest_wave_went_first(scene)
    })
    .await
}

#[tokio::test]
async fn r15_an_alert_that_fires_on_candidates_reverts_through_alertmanagers_webhook() -> Result<()> {
    Scene::play("alert", async |scene| {
        scene.has_fleet(&RINGS).await?;
        alerts_when_slow(scene).await?;
        // The SLO counts errors only, so nothing but the alert sees this.
        scene.tenants().behave("1.1.0", Behaviour::slow(0.9).only(scene.ring("early", 3)));
        let alerts = r#"
alerts:
  - matchers: ['severity="page"', 'area="$NAMESPACE"']
    tenantLabel: installation
    action: Revert
    minTenants: 2
    for: 5s
"#;
        let waves = WAVES.replace("soak: 15s", "soak: 20m");
        let app = scene.rollout(&format!("{waves}{alerts}")).await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        let reports = scene.reports().await?;
        ensure!(reports.len() == 1, "{reports:?}");
        let said = reports[0]["status"].to_string();
        ensure!(said.contains("severity"), "the report names the alert's matchers: {said}");
        newest_wave_went_first(scene)
    })
    .await
}

/// Prometheus alerts on slow tenants of this scene, and Alertmanager tells the controller.
async fn alerts_when_slow(scene: &Scene) -> Result<()> {
    let area = scene.namespace();
    let url = format!("{}/webhook/alertmanager", scene.control().controller().url());
    let token = Some(WEBHOOK_TOKEN.to_owned());
    let receiver = Receiver { matchers: vec![format!("area=\"{area}\"")], url, token };
    scene.bed().alertmanager().receiver(area, receiver).await?;
    let rate = |series: &str| format!("sum by (installation) (rate(app_request_seconds_{series}[10s]))");
    let within = rate(&format!("bucket{{le=\"0.5\",installation=~\"{area}.*\"}}"));
    let all = rate(&format!("count{{installation=~\"{area}.*\"}}"));
    let rule = json!({
        "alert": "SlowTenant", "expr": format!("1 - {within} / {all} > 0.3"),
        "labels": {"severity": "page", "area": area},
    });
    let rules = json!({"groups": [{"name": area, "rules": [rule]}]});
    scene.bed().prometheus().rules(area, &rules.to_string()).await
}

#[tokio::test]
async fn r14_while_the_baseline_burns_as_well_it_holds_and_does_not_revert() -> Result<()> {
    Scene::play("outage", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 3)]).await?;
        let app = scene
            .rollout(
                "
                version: 1.1.0
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 60s, maxConcurrent: 2}
                  - {name: rest, soak: 5s, maxConcurrent: 3}
                ",
            )
            .await?;
        let canary = scene.ring("canary", 2);
        scene.sees("canary has soaked a while", |seen| seen.has_run("1.1.0", &canary, WATCHED)).await?;
        scene.tenants().outage(0.6);
        let held = app
            .until("is held for the outage", |status| {
                status["message"].as_str().is_some_and(|said| said.contains("the baseline burns as well"))
            })
            .await?;
        ensure!(held["phase"] == "Soaking", "{}", held["phase"]);
        scene.tenants().calm();
        app.completes("1.1.0").await?;
        ensure!(scene.reports().await?.is_empty(), "an outage was taken for the release");
        ensure!(scene.recorder().asked("1.0.0").is_empty(), "{}", scene.recorder().story());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r4_tenants_that_never_become_ready_are_a_deviation() -> Result<()> {
    Scene::play("crashloop", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene
            .rollout(
                "
                version: 1.1.0-crashloop
                tenants: {progressDeadline: 10s}
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 5s, maxConcurrent: 2}
                  - {name: rest, soak: 5s}
                ",
            )
            .await?;
        app.reverts("1.1.0-crashloop").await?;
        scene.all_run("1.0.0").await?;
        let reports = scene.reports().await?;
        ensure!(reports.len() == 1 && reports[0]["status"]["reason"] == "TooManyFailures", "{reports:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r4_what_is_plainly_infrastructure_holds_and_is_left_to_people() -> Result<()> {
    Scene::play("imagepull", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 1)]).await?;
        let app = scene
            .rollout(
                "
                version: 1.1.0-imagepull
                tenants: {progressDeadline: 10s}
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 5s, maxConcurrent: 2}
                  - {name: rest, soak: 5s}
                ",
            )
            .await?;
        app.is_held("Infrastructure").await?;
        ensure!(scene.reports().await?.is_empty(), "it was reverted");
        let fields = json!({"version": "1.1.0-imagepull", "reason": "the registry lacks it"});
        let (result, said) = scene.act("Revert", fields).await?;
        ensure!(result == "Honoured", "{said}");
        app.reverts("1.1.0-imagepull").await?;
        scene.reports_are_closed("1.1.1").await?;
        app.wants("1.1.1").await?;
        app.completes("1.1.1").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn r12_candidates_without_series_hold_and_are_neither_passed_nor_reverted() -> Result<()> {
    Scene::play("silent", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        scene.tenants().behave("1.1.0", Behaviour::silent());
        let app = scene
            .rollout(
                "
                version: 1.1.0
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 10s, maxConcurrent: 2}
                  - {name: rest, soak: 5s, maxConcurrent: 2}
                ",
            )
            .await?;
        let held = app.is_held("NoData").await?;
        ensure!(held["wave"] == "canary", "{}", held["wave"]);
        scene.tenants().calm();
        app.completes("1.1.0").await?;
        ensure!(scene.reports().await?.is_empty(), "it was reverted");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r20_a_revert_that_does_not_help_is_not_attributed_to_the_release() -> Result<()> {
    Scene::play("innocent", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene
            .rollout(
                &WAVES.replace("soak: 10s", "soak: 20m").replace("name: early", "name: none, optional: true"),
            )
            .await?;
        let canary = scene.ring("canary", 2);
        scene.sees("canary runs it", |seen| seen.has_run("1.1.0", &canary, Duration::ZERO)).await?;
        // Something breaks these two, whatever they run.
        for tenant in &canary {
            scene.tenants().behave_tenant(tenant, Behaviour::errors(0.8));
        }
        app.reverts("1.1.0").await?;
        let reports = scene.reports().await?;
        ensure!(reports.len() == 1 && reports[0]["status"]["attribution"] == "NotAttributed", "{reports:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r17_a_tenant_born_on_a_version_that_goes_out_is_listed_and_left_alone() -> Result<()> {
    Scene::play("born", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene.rollout(&WAVES.replace("soak: 10s", "soak: 20m")).await?;
        app.is_at("Soaking", "canary").await?;
        let born = Tenant::new(scene.namespace(), "born", "1.1.0").ring("canary");
        scene.deploy(&[born], "deployer").await?;
        scene.runs(&[("born", "1.1.0")]).await?;
        scene.act("Revert", json!({"version": "1.1.0", "reason": "try"})).await?;
        let status = app.reverts("1.1.0").await?;
        scene.runs(&[("canary-0", "1.0.0"), ("canary-1", "1.0.0"), ("born", "1.1.0")]).await?;
        let listed =
            status["troubled"].as_array().into_iter().flatten().find(|tenant| tenant["name"] == "born");
        ensure!(listed.is_some_and(|tenant| tenant["reason"] == "NoSafeVersion"), "{}", status["troubled"]);
        // The patch takes it along like everybody else.
        scene.reports_are_closed("1.1.1").await?;
        app.wants("1.1.1").await?;
        app.is_at("Soaking", "canary").await?;
        scene.runs(&[("born", "1.1.1")]).await
    })
    .await
}

#[tokio::test]
async fn r19_a_completed_version_is_taken_out_by_hand_too() -> Result<()> {
    Scene::play("late", async |scene| {
        scene.has_fleet(&[("all", 3)]).await?;
        let app = scene
            .rollout("{version: 1.1.0, watchAfter: 1s, waves: [{name: all, soak: 5s, maxConcurrent: 3}]}")
            .await?;
        app.completes("1.1.0").await?;
        let (result, said) = scene.act("Revert", json!({"version": "1.1.0", "reason": "too late"})).await?;
        ensure!(result == "Honoured", "{said}");
        let status = app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        ensure!(status["stableVersion"] == "1.0.0", "{}", status["stableVersion"]);
        Ok(())
    })
    .await
}
