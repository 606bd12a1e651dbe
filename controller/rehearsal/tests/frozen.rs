//! What a wave starts from outlives the controller, on the bed: stored once, read back, gone when another version starts.

#![expect(clippy::expect_used, reason = "a test's set-up that fails is a failed test")]

use breakwater_crds::{Rollout, RolloutStatus, Span, words::Verdict};
use breakwater_rehearsal::{bed::Bed, fleet::FleetSpec};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// How often the test looks.
const TICK: SignedDuration = SignedDuration::from_secs(20);

fn rollout() -> Rollout {
    let rollout = json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "version": "1.0.0", "adopt": "Start", "onNewVersion": "Supersede",
            "tenants": {
                "resource": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "selector": {"matchLabels": {"app": "shop"}}, "warmUp": "1m", "takeFrom": ["helm"],
            },
            "waves": [{"name": "first", "percent": 40, "soak": "7d"}, {"name": "rest", "soak": "5m"}],
            "watchAfter": "5m",
            "judge": {"history": "1d"},
            "slos": [{
                "name": "errors", "errors": {"bad": "http_requests_total{code=~\"5..\"}", "total": "http_requests_total"},
                "objective": "99.5%", "tenantLabels": ["namespace", "tenant"], "step": "1m",
            }],
            "prometheus": {"url": "http://prometheus.frozen"},
        },
    });
    serde_json::from_value(rollout).expect("a Rollout")
}

fn fleet() -> FleetSpec {
    let mut fleet = FleetSpec { tenants: 12, ..FleetSpec::default() };
    fleet.traffic.median = 600.0;
    fleet.traffic.zipf = 0.0;
    fleet.update.ready_after = Span::seconds(20);
    fleet
}

fn status(bed: &Bed) -> RolloutStatus {
    bed.rollout().and_then(|rollout| rollout.status).unwrap_or_default()
}

async fn until(bed: &Bed, what: &str, done: impl Fn(&Bed) -> bool) {
    let end = bed.time.elapsed() + SignedDuration::from_hours(6);
    while !done(bed) {
        assert!(bed.time.elapsed() < end, "{what}: not within six hours: {:?}", status(bed));
        bed.time.sleep_until(bed.time.elapsed() + TICK).await;
    }
}

fn states(bed: &Bed, version: &str) -> Vec<Value> {
    let states = bed.api.list("RolloutState").into_iter();
    states.filter(|state| state["spec"]["version"] == version).collect()
}

fn frozen(bed: &Bed) -> u32 {
    status(bed).waves.first().map_or(0, |wave| wave.frozen)
}

async fn story() {
    let mut bed = Bed::make(&rollout(), &fleet(), 7).expect("a bed");
    bed.start_controller().expect("a controller");
    until(&bed, "adopted", |bed| status(bed).stable_version.is_some()).await;
    bed.edit(json!({"version": "1.1.0"})).await.expect("an edit");
    until(&bed, "frozen", |bed| frozen(bed) == 1).await;
    until(&bed, "judged", |bed| status(bed).slos[0].is(Verdict::Healthy)).await;
    let stored = states(&bed, "1.1.0");
    let [state] = stored.as_slice() else { panic!("{} states", stored.len()) };
    let uid = bed.rollout().and_then(|rollout| rollout.metadata.uid).expect("a UID");
    assert_eq!(state["metadata"]["ownerReferences"][0]["uid"], uid);
    assert!(state["spec"]["tenants"].as_u64().is_some_and(|tenants| tenants > 0), "{state}");
    assert!(state["spec"]["slos"][0]["learned"]["phi"].as_f64().is_some_and(|phi| phi >= 1.25), "{state}");

    bed.start_controller().expect("another controller");
    for _ in 0..60 {
        bed.time.sleep_until(bed.time.elapsed() + TICK).await;
        let slo = &status(&bed).slos[0];
        assert!(!slo.is(Verdict::Uncalibrated), "armed at once: {}", slo.message);
        assert_eq!((frozen(&bed), states(&bed, "1.1.0")), (1, stored.clone()), "nothing is frozen again");
    }

    bed.edit(json!({"version": "1.2.0"})).await.expect("an edit");
    until(&bed, "another version", |bed| !states(bed, "1.2.0").is_empty()).await;
    assert!(states(&bed, "1.1.0").is_empty(), "what was frozen for another version goes");
    bed.kill_controllers();
}

#[test]
fn r28_what_a_wave_starts_from_is_stored_once_and_read_back_by_the_next_controller() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(story());
    runtime.shutdown_background();
}
