//! Releases over an API server of a few lines: what is known of them, and when.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::to_bytes;
use breakwater_crds::rollout::Prometheus;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{BoxError, service_fn};

use super::*;
use crate::{
    client,
    telemetry::{Counts, Grid, ReadError, Sink},
};

/// A Prometheus that never answers.
struct Silent;

impl Counts for Silent {
    fn query<'a>(
        &'a self,
        _: &'a str,
        _: Timestamp,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(std::future::pending())
    }

    fn query_range<'a>(
        &'a self,
        _: &'a str,
        _: Grid,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(std::future::pending())
    }
}

/// What the API server holds.
#[derive(Default)]
struct Store {
    releases: Mutex<Vec<Value>>,
    writes: AtomicU64,
}

impl Store {
    fn put(&self, mut release: Value) -> Value {
        let revision = self.writes.fetch_add(1, Ordering::SeqCst) + 2;
        release["metadata"]["resourceVersion"] = revision.to_string().into();
        let mut releases = self.releases.lock().unwrap();
        releases.retain(|one| one["metadata"]["name"] != release["metadata"]["name"]);
        releases.push(release.clone());
        release
    }
}

fn release(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "Release", "spec": spec,
        "metadata": {"name": name, "namespace": "ops", "generation": 1, "resourceVersion": "1"},
    })
}

/// A Release whose rows are counted by a Prometheus.
fn counted(name: &str) -> Value {
    let metric = json!({"query": "rows", "tableLabel": "t", "tenantLabels": ["id"]});
    let files = json!({"000001_a.up.sql": "CREATE TABLE t (id int);"});
    let migrations = json!({
        "dialect": "PostgreSQL", "serverVersion": "15.4", "inline": files, "rowsFrom": {"metric": metric},
    });
    release(name, &json!({"version": "2.0.0", "migrations": migrations}))
}

fn rollout() -> Value {
    json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "app", "namespace": "ops", "resourceVersion": "1"},
        "spec": {
            "version": "2.0.0",
            "tenants": {
                "resource": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "selector": {"matchLabels": {"app": "chat"}},
                "fields": [{"path": "spec.version"}],
            },
            "waves": [{"name": "all", "soak": "1h"}],
            "slos": [],
        },
    })
}

async fn serve(store: Arc<Store>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or("").to_owned());
    let body = match (request.method(), path.as_str()) {
        (&Method::GET, _) if query.contains("watch=") => return std::future::pending().await,
        (&Method::GET, path) if path.ends_with("/releases") => list(&store.releases.lock().unwrap().clone()),
        (&Method::GET, path) if path.ends_with("/rollouts") => list(&[rollout()]),
        (&Method::PUT, _) => {
            let bytes = to_bytes(axum::body::Body::new(request.into_body()), 1 << 20).await?;
            store.put(serde_json::from_slice(&bytes)?)
        }
        other => panic!("{other:?} is not served here"),
    };
    Ok(Response::new(Body::from(serde_json::to_vec(&body)?)))
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items})
}

/// Follows the Releases of a store, for so long.
async fn followed(releases: &[Value], seconds: u64) -> (Arc<Releases>, Arc<Store>) {
    let store = Arc::new(Store { releases: Mutex::new(releases.to_vec()), ..Store::default() });
    let served = store.clone();
    let service = service_fn(move |request: Request<Body>| serve(served.clone(), request));
    let clients = client::over(&service, &client::Settings::default());
    let clock = Arc::new(|| Timestamp::from_second(1_700_000_000).unwrap());
    let counts = Arc::new(|_: &str, _: Option<&Prometheus>| Arc::new(Silent) as Arc<dyn Counts>);
    let known = Releases::new(Ground { clients, clock, counts });
    tokio::spawn(known.clone().follow());
    sleep(Duration::from_secs(seconds)).await;
    (known, store)
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_is_known_while_the_rows_of_another_release_are_counted() {
    let withdrawn = release("b", &json!({"version": "1.9.0", "withdrawn": "it loses mail"}));
    let (known, _) = followed(&[counted("a"), withdrawn], 2).await;
    let facts = known.of("ops", "app");
    let said: Vec<_> =
        facts.iter().filter_map(|one| Some((&*one.version, one.withdrawn.as_deref()?))).collect();
    assert_eq!(said, [("1.9.0", "it loses mail")], "{facts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_release_whose_status_we_wrote_ourselves_is_not_behind() {
    let (known, store) = followed(&[release("b", &json!({"version": "1.9.0"}))], 2).await;
    assert_eq!(store.writes.load(Ordering::SeqCst), 1, "its status was written, and no watch told of it");
    assert_eq!(known.behind("ops", "app").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_release_is_behind_while_its_evidence_is_read_and_until_the_watch_brings_it() {
    let (known, store) = followed(&[counted("a")], 2).await;
    let behind = known.behind("ops", "app").await.unwrap();
    assert_eq!(behind.as_deref(), Some("Release a: its evidence is being read"));
    sleep(Duration::from_mins(2)).await;
    assert_eq!(known.behind("ops", "app").await.unwrap(), None, "nobody waits for a Prometheus that hangs");
    let why = known.of("ops", "app")[0].migrations.clone().unwrap_err();
    assert!(why.contains("the rows were not counted within 60s"), "{why}");
    store.put(release("c", &json!({"version": "3.0.0"})));
    let behind = known.behind("ops", "app").await.unwrap();
    assert_eq!(behind.as_deref(), Some("Release c was not looked at as it is now"));
}

#[tokio::test(start_paused = true)]
async fn a_term_opens_with_what_is_known_although_a_prometheus_hangs() {
    for (release, seconds) in [(release("b", &json!({"version": "1.9.0"})), 0), (counted("a"), 10)] {
        let (known, _) = followed(&[release], 0).await;
        let began = tokio::time::Instant::now();
        known.looked().await;
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_withdrawn_at_once_whose_own_rows_are_counted() {
    let mut withdrawn = counted("a");
    withdrawn["spec"]["withdrawn"] = "it loses mail".into();
    let (known, _) = followed(&[withdrawn], 2).await;
    assert_eq!(known.of("ops", "app")[0].withdrawn.as_deref(), Some("it loses mail"));
}
