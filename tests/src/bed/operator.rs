//! The operators of the custom kinds, played by one loop: a change is taken up, and after a while reported done.
//! A version that ends in `-stuck` is never done; one that ends in `-fail` is reported as failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::background;
use crate::kinds::{Kind, READY_AFTER, TENANT_LABEL};

/// How long a change takes where the tenant does not say.
const DEFAULT_DELAY: Duration = Duration::from_millis(300);
/// Writes at once.
const WRITERS: usize = 16;
/// How often a refused status is written again, and after what pause: enough for an API server to come back.
const ATTEMPTS: usize = 120;
const RETRY: Duration = Duration::from_millis(500);

/// The running operator; it ends when dropped.
#[derive(Debug)]
pub struct Operator {
    _tasks: Vec<AbortOnDropHandle<Result<()>>>,
}

impl Operator {
    /// Plays the operators of all custom kinds. To be called on the background runtime.
    pub fn start(client: &Client) -> Self {
        let writers = Arc::new(Semaphore::new(WRITERS));
        let custom = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Deployment);
        let tasks = custom.map(|kind| background::spawn(operate(client.clone(), kind, Arc::clone(&writers))));
        Self { _tasks: tasks.collect() }
    }
}

/// The order each tenant was given last. A newer order, or none, makes the end of an older one void.
type Orders = Arc<Mutex<HashMap<String, String>>>;

async fn operate(client: Client, kind: Kind, writers: Arc<Semaphore>) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let config = watcher::Config::default().labels(TENANT_LABEL);
    let mut objects = watcher(api, config).default_backoff().touched_objects().boxed();
    let orders = Orders::default();
    let mut changes = tokio::task::JoinSet::new();
    loop {
        // The stream never ends; an error is retried by it, after a while.
        let Ok(Some(object)) = objects.try_next().await else { continue };
        while changes.try_join_next().is_some() {}
        let value = serde_json::to_value(&object)?;
        let order = order(kind, &object, &value);
        if is_new(&orders, &key(&object), order.as_deref()) {
            let order = order.unwrap_or_default();
            let change =
                Change { client: client.clone(), kind, object, value, order, orders: Arc::clone(&orders) };
            changes.spawn(change.carry_out(Arc::clone(&writers)));
        }
    }
}

/// What is to be done for an object: named by its generation or, where writing the status counts as a generation too,
/// by its version. `None`: it runs what it is asked to, asks for nothing, or is going away.
fn order(kind: Kind, object: &DynamicObject, value: &Value) -> Option<String> {
    let wanted = kind.wanted(value)?;
    if object.metadata.deletion_timestamp.is_some() || kind.running(value).as_ref() == Some(&wanted) {
        return None;
    }
    let name = if kind == Kind::Application { wanted } else { object.metadata.generation?.to_string() };
    Some(format!("{} {name}", object.uid().unwrap_or_default()))
}

/// Notes the order; whether it is one, and not under way already.
fn is_new(orders: &Orders, key: &str, order: Option<&str>) -> bool {
    let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
    match order {
        None => {
            orders.remove(key);
            false
        }
        Some(order) => orders.insert(key.into(), order.into()).as_deref() != Some(order),
    }
}

fn key(object: &DynamicObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// One change of one tenant.
struct Change {
    client: Client,
    kind: Kind,
    object: DynamicObject,
    value: Value,
    order: String,
    orders: Orders,
}

impl Change {
    async fn carry_out(self, writers: Arc<Semaphore>) {
        let version = self.kind.wanted(&self.value).unwrap_or_default();
        self.write(&writers, self.kind.working_status(&self.value, None)).await;
        let delay = self.object.annotations().get(READY_AFTER).and_then(|text| text.parse().ok());
        tokio::time::sleep(delay.map_or(DEFAULT_DELAY, Duration::from_millis)).await;
        if version.ends_with("-fail") {
            let error = format!("cannot run {version}");
            self.write(&writers, self.kind.working_status(&self.value, Some(&error))).await;
        } else if !version.ends_with("-stuck") {
            self.write(&writers, self.kind.settled_status(&self.value)).await;
        }
    }

    /// Writes the status, until it is written or the tenant was asked for something else.
    async fn write(&self, writers: &Semaphore, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        for _ in 0..ATTEMPTS {
            // The semaphore is never closed, so there is always a permit in the end.
            let _permit = writers.acquire().await;
            if !self.is_latest() {
                return;
            }
            match self.patch(&patch).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.is_not_found() => return,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    async fn patch(&self, patch: &Patch<Value>) -> kube::Result<DynamicObject> {
        let (name, namespace) = (self.object.name_any(), self.object.namespace().unwrap_or_default());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &namespace, &self.kind.resource());
        let params = PatchParams { field_manager: Some("operator".into()), ..PatchParams::default() };
        match self.kind {
            Kind::Application => api.patch(&name, &params, patch).await,
            Kind::Deployment | Kind::Mattermost | Kind::HelmRelease | Kind::Tenant => {
                api.patch_status(&name, &params, patch).await
            }
        }
    }

    fn is_latest(&self) -> bool {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get(&key(&self.object)) == Some(&self.order)
    }
}
