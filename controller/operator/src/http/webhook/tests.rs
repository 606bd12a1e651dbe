use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::Request;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::*;
use crate::{
    alerts::kit::{Cluster, alerts, at, clock, cluster, payload},
    http::serve::router,
    metrics::Metrics,
    telemetry::Secret,
};

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
