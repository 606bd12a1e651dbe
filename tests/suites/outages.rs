//! Prometheus goes and comes back; counters are born with errors in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use breakwater_tests::Scene;
use breakwater_tests::bed::background;
use breakwater_tests::scene::recorder::between;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

#[tokio::test]
async fn r7_r12_without_prometheus_a_soak_is_held_and_resumed_and_no_step_counts_twice() -> Result<()> {
    Scene::alone("blind", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene
            .rollout(
                "
                version: 1.1.0
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 30s, maxConcurrent: 2}
                  - {name: rest, soak: 5s, maxConcurrent: 2}
                ",
            )
            .await?;
        app.until("canary has soaked a while", |status| {
            status["phase"] == "Soaking" && status["slos"][0]["verdict"] == "Healthy"
        })
        .await?;
        let prometheus = scene.bed().prometheus();
        prometheus.process().kill();
        let killed = Instant::now();
        let held = app.is_held("NoData").await?;
        ensure!(held["phase"] == "Soaking", "{}", held["phase"]);
        let outage = killed.elapsed();
        prometheus.process().restart()?;
        prometheus.ready().await?;
        app.completes("1.1.0").await?;
        let (canary, rest) = (scene.ring("canary", 2), scene.ring("rest", 2));
        let ready = scene.recorder().all_ready("1.1.0", &canary).context("canary was ready")?;
        let next = scene.recorder().first_asked("1.1.0", &rest).context("rest was written")?;
        let soaked = between(ready, next).saturating_sub(outage);
        ensure!(soaked >= Duration::from_secs(30), "{soaked:?} of soak beside {outage:?} without data");
        ensure!(scene.reports().await?.is_empty() && app.told("Reverting").await? == 0, "it was reverted");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn f11_each_step_is_judged_once_also_after_prometheus_was_killed_for_a_moment() -> Result<()> {
    Scene::alone("flap", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene
            .rollout(
                "
                version: 1.1.0
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 45s, maxConcurrent: 2}
                  - {name: rest, soak: 5s, maxConcurrent: 2}
                ",
            )
            .await?;
        for _ in 0..3 {
            app.until("it is healthy", |status| {
                status["phase"] == "Soaking" && status["slos"][0]["verdict"] == "Healthy"
            })
            .await?;
            scene.bed().prometheus().process().restart()?;
            scene.bed().prometheus().ready().await?;
            scene.control().controller().process().restart()?;
            judged_once(&app.status().await?)?;
        }
        app.is_in(&["Watching"]).await?;
        judged_once(&app.status().await?)?;
        app.completes("1.1.0").await?;
        ensure!(scene.reports().await?.is_empty(), "it was reverted");
        Ok(())
    })
    .await
}

/// No more steps were counted than there was time since the first candidate was warm.
fn judged_once(status: &serde_json::Value) -> Result<()> {
    let evidence = &status["slos"][0]["evidence"];
    let number = |field: &str| evidence[field].as_i64().unwrap_or_default();
    let time = (number("untilSeconds") - number("begunSeconds")) / 5;
    ensure!(number("exposedSteps") <= time + 1, "{} steps in {time} steps of time", number("exposedSteps"));
    Ok(())
}

/// Counters of our own: the total of each tenant grows steadily, and the errors are not there at all until they are
/// born, all at once, as a program's counter is when its first error comes after a restart.
#[derive(Debug)]
struct Newborn {
    tenants: Vec<String>,
    begun: Instant,
    errors: AtomicU64,
}

/// Requests a second of each tenant.
const RATE: f64 = 100.0;

async fn page(State(newborn): State<Arc<Newborn>>) -> String {
    let total = newborn.begun.elapsed().as_secs_f64() * RATE;
    let errors = newborn.errors.load(Ordering::Relaxed);
    let lines = newborn.tenants.iter().map(|tenant| {
        let bad = if errors > 0 {
            format!("born_errors_total{{installation=\"{tenant}\"}} {errors}\n")
        } else {
            String::new()
        };
        format!("born_requests_total{{installation=\"{tenant}\"}} {total:.0}\n{bad}")
    });
    lines.collect()
}

async fn serve(newborn: Arc<Newborn>) -> Result<(String, AbortOnDropHandle<std::io::Result<()>>)> {
    background::run(|| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let router = Router::new().route("/metrics", get(page)).with_state(newborn);
        Ok((address, background::spawn(async move { axum::serve(listener, router).await })))
    })
    .await
}

#[tokio::test]
async fn the_first_errors_of_a_series_born_after_a_restart_are_counted() -> Result<()> {
    Scene::play("newborn", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let candidates = Arc::new(newborn(scene.ring("canary", 2)));
        let others = Arc::new(newborn(scene.ring("rest", 2)));
        let (first, _first) = serve(Arc::clone(&candidates)).await?;
        let (second, _second) = serve(others).await?;
        let area = scene.namespace();
        scene.bed().prometheus().scrape(&format!("{area}-candidates"), &first)?;
        scene.bed().prometheus().scrape(&format!("{area}-others"), &second)?;
        let app = scene
            .rollout(
                "
                version: 1.1.0
                slos:
                  - name: born
                    errors: {bad: born_errors_total, total: born_requests_total}
                    objective: 99%
                    tenantLabels: [installation]
                    step: 5s
                    burnRate: {page: [{long: 10s, short: 10s, factor: 20}], hold: []}
                    sharp: {long: 60s, short: 30s, factor: 5, minBad: 10}
                waves:
                  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 20m, maxConcurrent: 2}
                  - {name: rest, soak: 5s, maxConcurrent: 2}
                ",
            )
            .await?;
        let canary = scene.ring("canary", 2);
        // Longer than the short window, so that a busy machine that reads several steps at once still sees it.
        let watched = Duration::from_secs(40);
        scene.sees("canary has soaked a while", |seen| seen.has_run("1.1.0", &canary, watched)).await?;
        // 400 errors of 3000 requests in thirty seconds; none of them seen by increase() of a series that was not there.
        candidates.errors.store(400, Ordering::Relaxed);
        app.reverts("1.1.0").await?;
        let reports = scene.reports().await?;
        ensure!(reports.len() == 1 && reports[0]["status"]["slo"] == "born", "{reports:?}");
        Ok(())
    })
    .await
}

fn newborn(tenants: Vec<String>) -> Newborn {
    Newborn { tenants, begun: Instant::now(), errors: AtomicU64::new(0) }
}
