//! The plain client: guarded patches of the twin fleet, as many at once as the controller has, and watches like the
//! controller's beside them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::http::Request;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use super::tape::Facts;
use super::{CONNECTIONS, now};
use crate::kinds::Kind;

/// The value of the marker's label on the twin fleet: of no Rollout that exists, and as long as a real one.
const LABEL: &str = "bench-0123456789abcdef0123456789";

/// Writes without thinking.
pub(super) struct Bare {
    client: Client,
    namespace: String,
    _watches: [AbortOnDropHandle<()>; 2],
}

impl Bare {
    /// Will write the objects of `namespace`; opens the two watches that the controller has on its own fleet.
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let resource = Kind::Tenant.resource();
        let by_selector = Api::namespaced_with(client.clone(), namespace, &resource);
        let by_marker = Api::all_with(client.clone(), &resource);
        let marker = format!("breakwater.dev/rollout={LABEL}");
        let watches = [(by_selector, "app=tenant"), (by_marker, &*marker)];
        let watches =
            watches.map(|(api, labels)| AbortOnDropHandle::new(tokio::spawn(look(api, labels.into()))));
        Self { client, namespace: namespace.into(), _watches: watches }
    }

    /// Patches all these objects to `version`.
    pub(super) async fn write(&self, objects: Vec<(String, Facts)>, version: &str) -> Result<()> {
        let patches = stream::iter(objects)
            .map(async |(name, facts)| self.patch(&name, &facts, version).await)
            .buffer_unordered(CONNECTIONS);
        patches.try_collect().await
    }

    /// Patches one object again and again, alone on its connection, until it is dropped; each latency goes to `told`.
    pub(super) async fn probe(
        &self,
        name: &str,
        mut facts: Facts,
        mut told: impl FnMut(Duration),
    ) -> Result<()> {
        for round in 0_u64.. {
            let began = Instant::now();
            let answer = self.patch_text(name, &facts, &format!("1.0.{round}")).await?;
            told(began.elapsed());
            let object: DynamicObject =
                serde_json::from_str(&answer).context("read the answer to a patch")?;
            facts.resource_version = object.metadata.resource_version.unwrap_or_default();
        }
        Ok(())
    }

    async fn patch(&self, name: &str, facts: &Facts, version: &str) -> Result<()> {
        self.patch_text(name, facts, version).await.map(drop)
    }

    /// The same request as the controller's, byte for byte but for the names.
    async fn patch_text(&self, name: &str, facts: &Facts, version: &str) -> Result<String> {
        let body = json!({
            "metadata": {
                "uid": facts.uid,
                "resourceVersion": facts.resource_version,
                "labels": {"breakwater.dev/rollout": LABEL},
                "annotations": {
                    "breakwater.dev/rollout-ref": format!("{}/none", self.namespace),
                    "breakwater.dev/target-version": version,
                    "breakwater.dev/previous-version": facts.version,
                    "breakwater.dev/wave": "all",
                    "breakwater.dev/written-at": now(),
                    "breakwater.dev/epoch": "1",
                },
            },
            "spec": {"version": version},
        });
        let path = format!(
            "/apis/test.breakwater.dev/v1/namespaces/{}/tenants/{name}?fieldManager=breakwater&fieldValidation=Strict&timeout=5000ms",
            self.namespace
        );
        let request = Request::patch(path)
            .header("accept", "application/json")
            .header("content-type", "application/merge-patch+json")
            .body(body.to_string().into_bytes())?;
        self.client.request_text(request).await.with_context(|| format!("patch {}/{name}", self.namespace))
    }
}

async fn look(api: Api<DynamicObject>, labels: String) {
    let config = watcher::Config::default().labels(&labels);
    // Whatever it brings is read and dropped; an error is retried after a while.
    watcher(api, config).default_backoff().for_each(|_| std::future::ready(())).await;
}
