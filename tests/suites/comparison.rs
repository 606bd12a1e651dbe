//! The sequential comparison on the real bed: errors that no burn rate sees, a margin that allows them, a fleet that gets
//! worse as a whole, and a Prometheus that goes away in the middle.

use std::time::Duration;

use anyhow::{Result, ensure};
use breakwater_tests::Scene;
use breakwater_tests::bed::traffic::Behaviour;
use serde_json::Value;

const RINGS: [(&str, usize); 2] = [("canary", 2), ("rest", 5)];
/// Steps of five seconds, twelve of them to learn from and twelve to be tried on.
const LEARNT: Duration = Duration::from_secs(150);

/// An SLO that neither a burn rate nor the update's cost of 4 % reaches, and waves that soak until so small a ratio would have been found.
fn rollout(margin: &str, must_detect: f64) -> String {
    format!(
        r#"
version: 1.1.0
waves:
  - {{name: canary, selector: {{matchLabels: {{ring: canary}}}}, soak: 60s, maxConcurrent: 2, baseline: Others}}
  - {{name: rest, soak: 5s, maxConcurrent: 5, baseline: Others}}
judge: {{comparison: Enabled, history: 2m, mustDetect: {must_detect}, maxSoak: 20x, onInsufficient: Advance}}
slos:
  - name: errors
    errors: {{bad: 'app_requests_total{{code="500"}}', total: app_requests_total}}
    objective: 90%
    tenantLabels: [installation]
    step: 5s
    margin: {margin}
    updateCost: {{max: 20%}}
    burnRate: {{page: [{{long: 30s, short: 10s, factor: 9}}], hold: []}}
    sharp: {{long: 30s, short: 10s, factor: 9, minBad: 10}}
"#
    )
}

fn errors(ratio: f64) -> Behaviour {
    Behaviour { requests_per_second: 200.0, ..Behaviour::errors(ratio) }
}

/// A fleet whose old version fails 2 % of its requests and whose new one `ratio`, with a past to learn from.
async fn fleet(scene: &Scene, ratio: f64) -> Result<()> {
    scene.tenants().behave("1.0.0", errors(0.02));
    scene.tenants().behave("1.1.0", errors(ratio));
    scene.has_fleet(&RINGS).await?;
    tokio::time::sleep(LEARNT).await; // a past takes its time
    Ok(())
}

fn certainty(status: &Value) -> f64 {
    status["slos"][0]["certainty"].as_f64().unwrap_or(-1.0)
}

#[tokio::test]
async fn r13_errors_below_every_burn_rate_are_reverted_by_the_comparison_with_its_sentence() -> Result<()> {
    Scene::play("compared", async |scene| {
        fleet(scene, 0.032).await?;
        let app = scene.rollout(&rollout("{absolute: 0.1%}", 1.5)).await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        let report = &scene.reports().await?[0]["status"];
        let said = report["message"].as_str().unwrap_or_default();
        ensure!(report["reason"] == "Comparison", "{report}");
        let parts = [
            "errors of wave canary: ",
            "% against ",
            "% baseline (",
            "x, limit 1.2x) over ",
            " requests, certainty 9",
        ];
        ensure!(parts.iter().all(|part| said.contains(part)), "{said}");
        ensure!(page(scene)?.contains(said), "the page does not say {said}");
        Ok(())
    })
    .await
}

/// The report as `kubectl breakwater report -o html` makes it; left in the folder `BREAKWATER_PAGES`, to be looked at.
fn page(scene: &Scene) -> Result<String> {
    let output = crate::plugin::run(scene, "carol", &["report", "-o", "html"])?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{complaint}");
    let page = String::from_utf8(output.stdout)?;
    ensure!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg"), "{page}");
    if let Some(folder) = std::env::var_os("BREAKWATER_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join("reverted.html"), &page)?;
    }
    Ok(page)
}

#[tokio::test]
async fn r13_a_margin_that_allows_as_much_lets_the_same_version_through() -> Result<()> {
    Scene::play("margin", async |scene| {
        fleet(scene, 0.032).await?;
        let app = scene.rollout(&rollout("{ratio: 2, absolute: 0.1%}", 3.0)).await?;
        app.completes("1.1.0").await?;
        ensure!(scene.reports().await?.is_empty(), "it was reverted");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r14_a_fleet_that_gets_worse_as_a_whole_is_not_reverted() -> Result<()> {
    Scene::play("tide", async |scene| {
        fleet(scene, 0.02).await?;
        let app = scene.rollout(&rollout("{absolute: 0.1%}", 3.0)).await?;
        app.is_at("Soaking", "canary").await?;
        for version in ["1.0.0", "1.1.0"] {
            scene.tenants().behave(version, errors(0.04));
        }
        app.completes("1.1.0").await?;
        ensure!(scene.reports().await?.is_empty(), "it was reverted");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r12_r28_a_prometheus_that_goes_away_in_the_middle_changes_neither_verdict_nor_evidence() -> Result<()>
{
    Scene::alone("ebb", async |scene| {
        fleet(scene, 0.02).await?;
        let app = scene.rollout(&rollout("{absolute: 0.1%}", 3.0)).await?;
        let armed = |status: &Value| status["slos"][0]["verdict"] == "Healthy" && certainty(status) >= 0.0;
        let before = app.until("the comparison speaks", armed).await?;
        let prometheus = scene.bed().prometheus();
        prometheus.process().kill();
        app.is_held("NoData").await?;
        prometheus.process().restart()?;
        prometheus.ready().await?;
        let after = app.until("the comparison speaks again", armed).await?;
        let detectable = |status: &Value| {
            let share = |field: &str| status["slos"][0][field].as_f64().unwrap_or(f64::INFINITY);
            share("detectableShare") / share("mustDetectShare").min(1.0)
        };
        ensure!(detectable(&after) <= detectable(&before), "{before} became {after}");
        app.completes("1.1.0").await?;
        ensure!(scene.reports().await?.is_empty(), "it was reverted");
        Ok(())
    })
    .await
}
