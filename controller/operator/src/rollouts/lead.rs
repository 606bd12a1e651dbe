//! Leading: the watches and the reconciles of one term, and their end. I/O.

use std::{collections::BTreeSet, sync::Arc};

use breakwater_crds::{DeviationReport, Rollout, RolloutAction};
use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        Controller, WatchStreamExt as _, controller,
        reflector::{self, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    context::{Context, Guarded, Key, Options, Parts},
    reconcile,
};
use crate::{client::Clients, execute::Executor, http::Metrics, lease::Lease, stop::Stop, tenants::Tenants};

/// Rollouts that are reconciled at once.
const CONCURRENCY: u16 = 16;

/// What a term is led with.
pub struct Leader {
    /// The API clients.
    pub clients: Clients,
    /// The lease, read at each write.
    pub lease: Lease,
    /// The executor of all writes.
    pub executor: Executor,
    /// The stop ConfigMap.
    pub stop: Stop,
    /// Metrics.
    pub metrics: Metrics,
    /// Settings.
    pub options: Options,
    /// Who this process is, for Events.
    pub identity: String,
}

/// What is known while a term runs; the webhook asks it.
pub type Office = Arc<Context>;

impl Leader {
    /// Leads until `end` is cancelled: watches, reconciles, and waits for reconciles that run. `opened` is told the
    /// context once the watches have listed.
    pub async fn lead(&self, end: CancellationToken, opened: impl FnOnce(Office) + Send) {
        let client = &self.clients.watches;
        let (wake, woken) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let actions = mirror::<RolloutAction>(client, &mut tasks, wake.clone(), |action| action.spec.rollout.clone());
        let reports = mirror::<DeviationReport>(client, &mut tasks, wake.clone(), |report| report.spec.rollout.clone());
        let listed = async {
            let (a, b) = tokio::join!(actions.wait_until_ready(), reports.wait_until_ready());
            a.is_ok() && b.is_ok()
        };
        tokio::select! {
            ready = listed => if !ready { return },
            () = end.cancelled() => return,
        }
        let context = Arc::new(Context::new(Parts {
            clients: self.clients.clone(),
            lease: self.lease.clone(),
            tenants: Tenants::new(self.clients.watches.clone(), self.clients.requests.clone()),
            executor: self.executor.clone(),
            actions,
            reports,
            stop: self.stop.clone(),
            metrics: self.metrics.clone(),
            options: self.options.clone(),
            instance: self.identity.clone(),
            wake: wake.clone(),
        }));
        tasks.spawn(wake_on_stop(context.clone()));
        opened(context.clone());
        let (reader, rollouts) = rollouts(client, context.clone());
        let triggers = futures::stream::unfold(woken, |mut woken| async move { Some((woken.recv().await?.object(), woken)) });
        Controller::for_stream(rollouts, reader)
            .with_config(controller::Config::default().concurrency(CONCURRENCY))
            .reconcile_on(triggers)
            .graceful_shutdown_on(end.cancelled_owned())
            .run(reconcile::reconcile, reconcile::after_error, context)
            .for_each(|_| std::future::ready(())) // errors are logged where they are answered
            .await;
    }
}

/// The Rollouts, and what goes with those that are gone.
fn rollouts(
    client: &Client,
    context: Arc<Context>,
) -> (Store<Guarded>, impl Stream<Item = Result<Guarded, watcher::Error>> + Send + use<>) {
    let (reader, writer) = reflector::store::<Guarded>();
    let store = reader.clone();
    let events = watcher(Api::<Guarded>::all(client.clone()), watcher::Config::default()).default_backoff();
    let objects = events
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => {
                let key = |object: &Guarded| Key { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
                context.keep(&store.state().iter().map(|object| key(object)).collect::<BTreeSet<Key>>());
            }
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Err(error) => tracing::warn!(%error, "watching Rollouts"),
        })
        .applied_objects();
    (reader, objects)
}

/// Mirrors all objects of a kind and wakes the Rollout that each speaks of.
fn mirror<K>(
    client: &Client,
    tasks: &mut JoinSet<()>,
    wake: mpsc::UnboundedSender<Key>,
    rollout: impl Fn(&K) -> String + Send + 'static,
) -> Store<DeserializeGuard<K>>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (reader, writer) = reflector::store::<DeserializeGuard<K>>();
    let events = watcher(Api::<DeserializeGuard<K>>::all(client.clone()), watcher::Config::default()).default_backoff();
    tasks.spawn(events.reflect(writer).touched_objects().for_each(move |object| {
        match object {
            Ok(DeserializeGuard(Ok(object))) => {
                let namespace = object.meta().namespace.clone().unwrap_or_default();
                let _ = wake.send(Key { namespace, name: rollout(&object) }); // closed only at the end of the term
            }
            Ok(DeserializeGuard(Err(error))) => tracing::warn!(%error, "an object of ours cannot be decoded"),
            Err(error) => tracing::warn!(%error, "watching {}", K::kind(&())),
        }
        std::future::ready(())
    }));
    reader
}

/// The stop concerns every Rollout at once (R36).
async fn wake_on_stop(context: Arc<Context>) {
    let mut stop = context.stop.clone();
    while stop.changed().await.is_ok() {
        if stop.borrow().is_some() {
            context.executor.halt();
        } else {
            context.executor.resume();
        }
        for (key, _) in context.sessions() {
            let _ = context.wake.send(key); // closed only at the end of the term
        }
    }
}
