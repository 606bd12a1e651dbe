use axum::body::{Body, to_bytes};
use breakwater_crds::{rollout::Alert, scalars::Span};
use breakwater_plan::alerts::{Firing, Standing};
use http::Request;
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::*;
use crate::{http::serve::router, telemetry::Secret};

const NOW: i64 = 1_700_000_000;

fn clock() -> Timestamp {
    at(0)
}

/// Minutes from now.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW + minutes * 60).unwrap()
}

/// One Rollout, `ops/app`, with candidates a and b, and what was stored for it.
struct Cluster {
    stored: Mutex<Vec<(String, RolloutActionSpec)>>,
    broken: Mutex<Option<&'static str>>,
    firing: Mutex<Vec<String>>,
    target: Mutex<AlertTarget>,
}

impl AlertTargets for Cluster {
    fn targets<'a>(
        &'a self,
        only: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<Vec<AlertTarget>, String>> {
        let known = only.is_none_or(|only| only == ("ops", "app"));
        let target = self.target.lock().unwrap().clone();
        let broken = self.broken.lock().unwrap().filter(|what| *what == "targets");
        Box::pin(async move {
            broken.map_or(Ok(if known { vec![target] } else { Vec::new() }), |_| Err("not listed".into()))
        })
    }

    fn pulls(&self) -> BoxFuture<'_, Vec<AlertPull>> {
        Box::pin(async { Vec::new() })
    }

    fn heard<'a>(&'a self, namespace: &'a str, name: &'a str, firing: Vec<String>) -> BoxFuture<'a, ()> {
        assert_eq!((namespace, name), ("ops", "app"));
        Box::pin(async move { *self.firing.lock().unwrap() = firing })
    }

    fn store<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
        spec: RolloutActionSpec,
    ) -> BoxFuture<'a, Result<Stored, String>> {
        Box::pin(async move {
            if self.broken.lock().unwrap().is_some_and(|what| what == "store") {
                return Err("etcd is down".into());
            }
            let mut stored = self.stored.lock().unwrap();
            if stored.iter().any(|(known, _)| known == name) {
                return Ok(Stored::AlreadyThere);
            }
            stored.push((name.to_owned(), spec));
            Ok(Stored::Created)
        })
    }
}

fn cluster() -> Arc<Cluster> {
    let alert = Alert {
        matchers: vec!["severity=page".into()],
        tenant_label: "tenant".into(),
        action: AlertAction::Revert,
        min_tenants: 2,
        for_: Span::seconds(120),
    };
    let standing = Standing::Candidate { written_at: at(-60), warm_at: Some(at(-30)) };
    let candidates = ["a", "b"].map(|id| AlertTenant { metric_id: id.into(), standing });
    let baseline = ["c", "d"].map(|id| AlertTenant { metric_id: id.into(), standing: Standing::Baseline });
    let target = AlertTarget {
        namespace: "ops".into(),
        name: "app".into(),
        uid: "uid".into(),
        version: Some("2.0".into()),
        started_at: Some(at(-90)),
        rules: vec![AlertRule::parse(&alert, "spec.alerts[0]").unwrap()].into(),
        tenants: candidates.into_iter().chain(baseline).collect(),
    };
    Arc::new(Cluster {
        stored: Mutex::default(),
        broken: Mutex::default(),
        firing: Mutex::default(),
        target: Mutex::new(target),
    })
}

fn alerts(cluster: &Arc<Cluster>) -> Arc<Alerts> {
    let targets = Arc::clone(cluster) as Arc<dyn AlertTargets>;
    Arc::new(Alerts::new(
        targets,
        "system:serviceaccount:bw:bw".into(),
        REMEMBERED,
        Metrics::new(Arc::new(clock)),
    ))
}

fn payload(status: &str, tenants: &[&str], starts_at: Timestamp) -> Vec<u8> {
    let alerts: Vec<_> = tenants
        .iter()
        .map(|tenant| {
            json!({"status": status, "labels": {"alertname": "Errors", "severity": "page", "tenant": tenant},
            "annotations": {"summary": "x"}, "startsAt": starts_at.to_string(), "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://p", "fingerprint": format!("fp-{tenant}")})
        })
        .collect();
    json!({"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": status, "receiver": "bw", "alerts": alerts})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn r15_enough_is_stored_once_before_the_answer_and_a_repeat_finds_it_there() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    for now in [0, 1, 5] {
        assert_eq!(alerts.receive(None, &payload("firing", &["a", "b"], at(-10)), at(now)).await, Ok(1));
    }
    // Another process, as after a restart, comes to the same name.
    let other = self::alerts(&cluster);
    assert_eq!(
        other.receive(Some(("ops", "app")), &payload("firing", &["a", "b"], at(-10)), at(6)).await,
        Ok(1)
    );
    let stored = cluster.stored.lock().unwrap();
    assert_eq!(stored.len(), 1);
    let (name, spec) = &stored[0];
    assert!(name.starts_with("alert-") && name.len() == 22, "{name}");
    assert_eq!(
        (spec.verb, spec.version.as_deref(), spec.rollout.as_str()),
        (Verb::Revert, Some("2.0"), "app")
    );
    assert_eq!(spec.requested_by, "system:serviceaccount:bw:bw");
    let source = spec.source.as_ref().unwrap();
    assert_eq!((source.kind.as_str(), source.ref_.as_str()), ("Alert", "fp-a"));
    assert!(spec.reason.contains("2 of 2 candidates (a, b)"), "{}", spec.reason);
}

#[tokio::test]
async fn r15_too_few_are_remembered_and_a_later_call_makes_them_enough() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    assert_eq!(alerts.receive(None, &payload("firing", &["a"], at(-10)), at(0)).await, Ok(0));
    assert_eq!(
        alerts.receive(None, &payload("firing", &["b"], at(-1)), at(0)).await,
        Ok(0),
        "not for two minutes yet"
    );
    assert_eq!(alerts.redecide(None, at(0)).await, Ok(0));
    assert_eq!(alerts.redecide(None, at(1)).await, Ok(1), "the tick finds them old enough");
    assert_eq!(cluster.stored.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn r15_resolved_alerts_end_the_count_and_so_does_silence() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    assert_eq!(alerts.receive(None, &payload("firing", &["a", "b"], at(-1)), at(0)).await, Ok(0));
    assert_eq!(alerts.receive(None, &payload("resolved", &["a"], at(-1)), at(0)).await, Ok(0));
    assert_eq!(alerts.redecide(None, at(30)).await, Ok(0), "one is left");
    assert_eq!(alerts.receive(None, &payload("firing", &["a"], at(40)), at(40)).await, Ok(0), "fires anew");
    assert_eq!(alerts.redecide(None, at(61)).await, Ok(0), "b was not repeated for an hour");
    assert!(cluster.stored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_account_hears_which_alerts_fire_and_that_they_do_not_any_more() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    let heard = || cluster.firing.lock().unwrap().clone();
    alerts.receive(None, &payload("firing", &["b", "a"], at(-1)), at(0)).await.unwrap();
    let told = |tenant: &str| format!("Errors{{severity=\"page\",tenant=\"{tenant}\"}} since {}", at(-1));
    assert_eq!(heard(), [told("a"), told("b")]);
    alerts.receive(None, &payload("resolved", &["a"], at(-1)), at(1)).await.unwrap();
    assert_eq!(heard(), [told("b")]);
    alerts.redecide(None, at(62)).await.unwrap();
    assert!(heard().is_empty(), "b was not repeated for an hour");
}

#[tokio::test]
async fn r15_nothing_is_decided_without_a_candidate_and_a_retried_version_is_guarded_anew() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    cluster.target.lock().unwrap().version = None;
    assert_eq!(alerts.receive(None, &payload("firing", &["a", "b"], at(-10)), at(0)).await, Ok(0));
    cluster.target.lock().unwrap().version = Some("2.0".into());
    assert_eq!(alerts.redecide(None, at(0)).await, Ok(1));
    cluster.target.lock().unwrap().started_at = Some(at(-80));
    assert_eq!(alerts.redecide(None, at(0)).await, Ok(1));
    assert_eq!(cluster.stored.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_could_not_be_stored_is_tried_again() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    let body = payload("firing", &["a", "b"], at(-10));
    for broken in ["targets", "store"] {
        *cluster.broken.lock().unwrap() = Some(broken);
        let answer = alerts.receive(None, &body, at(0)).await;
        assert!(matches!(answer, Err(IntakeError::Unavailable(_))), "{answer:?}");
    }
    *cluster.broken.lock().unwrap() = None;
    assert_eq!(alerts.receive(None, &body, at(0)).await, Ok(1));
}

/// The status and the text of one call.
async fn call(token: Option<&str>, request: Request<Body>) -> (StatusCode, String) {
    call_on(&cluster(), token, request).await
}

async fn call_on(
    cluster: &Arc<Cluster>,
    token: Option<&str>,
    request: Request<Body>,
) -> (StatusCode, String) {
    let (_ready, ready) = watch::channel(false);
    let (_token, token) = watch::channel(token.map(Secret::new));
    let state = HttpState {
        alerts: alerts(cluster),
        token,
        ready,
        metrics: Metrics::new(Arc::new(clock)),
        clock: Arc::new(clock),
    };
    let response = router(state).oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn post(path: &str, token: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path);
    let request = if token.is_empty() { request } else { request.header(AUTHORIZATION, token) };
    request.body(body.into()).unwrap()
}

const ALL: &str = "/webhook/alertmanager";

#[tokio::test]
async fn without_the_right_token_nothing_is_taken_and_without_any_token_it_is_closed() {
    let body = payload("firing", &["a", "b"], at(-10));
    for (token, given, status) in [
        (Some("s3cret"), "Bearer s3cret", 200),
        (Some("s3cret"), "bearer s3cret", 200),
        (Some("s3cret"), "Bearer wrong", 401),
        (Some("s3cret"), "Bearer s3cre", 401),
        (Some("s3cret"), "Bearer s3crett", 401),
        (Some("s3cret"), "Basic s3cret", 401),
        (Some("s3cret"), "Bearer", 401),
        (Some("s3cret"), "", 401),
        (Some(""), "Bearer ", 503),
        (None, "Bearer ", 503),
        (None, "", 503),
    ] {
        let cluster = cluster();
        let (answer, text) = call_on(&cluster, token, post(ALL, given, body.clone())).await;
        assert_eq!(answer.as_u16(), status, "{token:?} {given:?} {text}");
        assert_eq!(cluster.stored.lock().unwrap().len(), usize::from(status == 200), "{given:?}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn every_body_is_answered() {
    let large = vec![b' '; (1 << 20) + 1];
    let good = payload("firing", &["a"], at(-10));
    let old = String::from_utf8(good.clone()).unwrap().replace("\"version\":\"4\"", "\"version\":\"3\"");
    for (path, body, status) in [
        (ALL, good.clone(), 200),
        ("/webhook/alertmanager/ops/app", good.clone(), 200),
        ("/webhook/alertmanager/ops/none", good.clone(), 404),
        (ALL, old.into_bytes(), 400),
        (ALL, b"".to_vec(), 400),
        (ALL, b"{}".to_vec(), 400),
        (ALL, b"\xff\xfe".to_vec(), 400),
        (ALL, payload("pending", &["a"], at(0)), 400),
        (ALL, large, 413),
        ("/webhook/other", good, 404),
    ] {
        let (answer, text) = call(Some("t"), post(path, "Bearer t", body)).await;
        assert_eq!(answer.as_u16(), status, "{path}: {text}");
    }
    let get = Request::get(ALL).body(Body::empty()).unwrap();
    assert_eq!(call(Some("t"), get).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/metrics", 200)] {
        let (answer, text) = call(None, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.as_u16(), status, "{path}: {text}");
    }
}

#[test]
fn the_memory_is_bounded() {
    let mut memory = Memory::new(REMEMBERED);
    let alert = |n: usize, label: String| Firing {
        fingerprint: format!("{n}"),
        labels: BTreeMap::from([("l".to_owned(), label)]),
        starts_at: at(0),
    };
    memory.fire(None, alert(0, "x".repeat(9_000)), at(0));
    assert!(memory.is_empty(at(0)), "too large");
    for n in 0..=ALERTS_MAX {
        memory.fire(
            None,
            alert(n, String::new()),
            at(0).checked_add(Duration::from_millis(n as u64)).unwrap(),
        );
    }
    let firing = memory.firing("ops", "app", at(1));
    assert_eq!(firing.len(), ALERTS_MAX);
    assert!(!firing.iter().any(|alert| alert.fingerprint == "0"), "the oldest made room");
    memory.fire(Some(("ops", "other")), alert(1, String::new()), at(1));
    assert!(memory.firing("ops", "app", at(1)).len() < memory.firing("ops", "other", at(1)).len());
    assert!(memory.is_empty(at(70)));
}

proptest! {
    #[test]
    fn no_payload_panics(body in proptest::collection::vec(any::<u8>(), 0..300), flip in 0..600_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let alerts = alerts(&cluster());
        let _ = runtime.block_on(alerts.receive(None, &body, at(0)));
        let mut good = payload("firing", &["a", "b"], at(-10));
        let flip = flip % good.len();
        good[flip] ^= 0x11;
        let _ = runtime.block_on(alerts.receive(None, &good, at(0)));
    }
}
