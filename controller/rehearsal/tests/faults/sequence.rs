//! A seed decides everything: two runs make the same requests at the same instants, in the same order.

use std::sync::{Arc, Mutex, PoisonError};

use breakwater_crds::{Percent, Rollout, Span, status::Phase};
use breakwater_rehearsal::{
    apiserver::{Call, Fate, Fates},
    bed::Bed,
    fleet::{Fault, FleetSpec},
    time::VirtualTime,
};
use jiff::SignedDuration;
use serde_json::json;

/// Every call of the controllers and when it was made.
struct Log {
    time: VirtualTime,
    calls: Mutex<Vec<String>>,
}

impl Fates for Log {
    fn fate(&self, call: &Call) -> Fate {
        let Call { index, verb, kind, namespace, name, subresource } = call;
        let line =
            format!("{} {index} {verb:?} {kind} {namespace}/{name} {subresource:?}", self.time.truth());
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Fate::Pass
    }
}

fn rollout() -> Rollout {
    let rollout = json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "version": "1.0.0", "adopt": "Start", "onNewVersion": "Supersede",
            "tenants": {
                "resource": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "selector": {"matchLabels": {"app": "shop"}}, "warmUp": "1m", "progressDeadline": "10m",
            },
            "waves": [{"name": "first", "percent": 40, "soak": "1h"}, {"name": "rest", "soak": "10m"}],
            "watchAfter": "10m", "revert": {"verifyFor": "10m"},
            "judge": {"history": "1d"},
            "alerts": [{"matchers": ["severity=\"page\""], "tenantLabel": "tenant", "action": "Hold"}],
            "slos": [{
                "name": "errors", "errors": {"bad": "http_requests_total{code=~\"5..\"}", "total": "http_requests_total"},
                "objective": "99.5%", "tenantLabels": ["namespace", "tenant"], "step": "1m",
            }],
            "prometheus": {"url": "http://prometheus.example"},
        },
    });
    serde_json::from_value(rollout).expect("a Rollout")
}

fn fleet() -> FleetSpec {
    let mut fleet = FleetSpec { tenants: 12, ..FleetSpec::default() };
    fleet.traffic.median = 600.0;
    fleet.traffic.zipf = 0.0;
    fleet.update.ready_after = Span::seconds(40);
    fleet
}

async fn sleep(bed: &Bed, hours: i64) {
    bed.time.sleep_until(bed.time.elapsed() + SignedDuration::from_hours(hours)).await;
}

/// Ten hours: a version that completes while watches break, an API server that goes away, another controller, tenants that come
/// and go, and a version that crashes in some tenants and is reverted.
async fn hours() -> Vec<String> {
    let mut bed = Bed::make(&rollout(), &fleet(), 7).expect("a bed");
    let log = Arc::new(Log { time: bed.time.clone(), calls: Mutex::default() });
    bed.set_fates(log.clone());
    bed.start_controller().expect("a controller");
    sleep(&bed, 1).await;
    bed.edit(json!({"version": "1.1.0"})).await.expect("an edit");
    sleep(&bed, 1).await;
    bed.api.hang_up();
    sleep(&bed, 1).await;
    bed.api_away(true);
    sleep(&bed, 1).await;
    bed.api_away(false);
    bed.add_tenants(2).expect("tenants");
    sleep(&bed, 1).await;
    bed.api.compact();
    bed.api.hang_up();
    bed.start_controller().expect("a controller");
    sleep(&bed, 3).await;
    bed.remove_tenants(1);
    let fault = Fault {
        errors: Some(Percent::of_ratio(0.3)),
        crash_loop: Some(Percent::of_ratio(0.3)),
        ..Fault::default()
    };
    bed.fleet.lock().faults.insert("1.2.0".into(), fault);
    bed.edit(json!({"version": "1.2.0"})).await.expect("an edit");
    sleep(&bed, 2).await;
    let status = bed.rollout().and_then(|rollout| rollout.status).expect("a status");
    assert_eq!(
        (status.phase, status.stable_version.as_deref()),
        (Phase::Reverted, Some("1.1.0")),
        "{status:?}"
    );
    bed.kill_controllers();
    let calls = std::mem::take(&mut *log.calls.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(calls.len() > 1_000, "{} calls", calls.len());
    calls
}

fn play() -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let calls = runtime.block_on(hours());
    runtime.shutdown_background();
    calls
}

#[test]
fn two_runs_make_the_same_requests_at_the_same_instants_in_the_same_order() {
    let first = play();
    let second = play();
    for (at, (one, other)) in first.iter().zip(&second).enumerate() {
        assert_eq!(one, other, "request {at}, after {:#?}", &first[at.saturating_sub(5)..at]);
    }
    assert_eq!(first.len(), second.len());
}
