//! Leading: the watches and the reconciles of one term, and their end. I/O.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use breakwater_crds::{DeviationReport, RolloutAction, marker};
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
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
    context::{Context, Guarded, Key, Options},
    reconcile,
};
use crate::{
    backoff::Pauses, execute::Executor, ground::Ground, http::Metrics, jobs::JOB_OF, lease::Lease,
    releases::Releases, stop::Stop,
};

/// Longest wait for writes in flight at the end of a term.
const DRAIN: Duration = Duration::from_secs(10);
/// Rollouts that are reconciled at once.
const CONCURRENCY: u16 = 16;

/// What a term is led with.
#[derive(Clone)]
pub struct Leader {
    /// What it stands on.
    pub ground: Ground,
    /// The lease, read at each write.
    pub lease: Lease,
    /// The executor of all writes.
    pub executor: Executor,
    /// The stop `ConfigMap`.
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
    /// Leads until `end` is cancelled: watches, reconciles, waits for reconciles that run and for writes in flight.
    /// `opened` is told the context once the watches have listed. True when every write was answered.
    pub async fn lead(&self, end: CancellationToken, opened: impl FnOnce(Office) + Send) -> bool {
        let client = &self.ground.clients.watches;
        let (wake, woken) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let actions =
            mirror::<RolloutAction>(client, &mut tasks, wake.clone(), |action| action.spec.rollout.clone());
        let reports =
            mirror::<DeviationReport>(client, &mut tasks, wake.clone(), |report| report.spec.rollout.clone());
        let releases = Releases::new(self.ground.clone());
        tasks.spawn(releases.clone().follow());
        let jobs = mirror_jobs(client, &mut tasks, wake.clone());
        let listed = async {
            let (a, b, ()) =
                tokio::join!(actions.wait_until_ready(), reports.wait_until_ready(), releases.looked());
            a.is_ok() && b.is_ok()
        };
        tokio::select! {
            biased;
            () = end.cancelled() => return true,
            ready = listed => if !ready { return true },
        }
        let context = Arc::new(Context::new(self.clone(), actions, reports, releases, jobs, wake.clone()));
        tasks.spawn(wake_on_stop(context.clone()));
        tasks.spawn(wake_on_releases(context.clone()));
        opened(context.clone());
        tasks.spawn(follow_rollouts(client.clone(), context.clone()));
        let triggers =
            futures::stream::unfold(
                woken,
                |mut woken| async move { Some((woken.recv().await?.object(), woken)) },
            );
        Controller::new(Api::<Guarded>::all(client.clone()), watcher::Config::default())
            .with_config(controller::Config::default().concurrency(CONCURRENCY))
            .trigger_backoff(Pauses::of("Rollouts to reconcile"))
            .reconcile_on(triggers)
            .graceful_shutdown_on(end.cancelled_owned())
            .run(reconcile::reconcile, reconcile::after_error, context.clone())
            .for_each(|_| std::future::ready(())) // errors are logged where they are answered
            .await;
        context.drain(DRAIN).await
    }
}

/// Follows which Rollouts exist; what goes with one that is gone goes at once.
async fn follow_rollouts(client: Client, context: Arc<Context>) {
    let (reader, writer) = reflector::store::<Guarded>();
    let events =
        watcher(Api::<Guarded>::all(client), watcher::Config::default()).backoff(Pauses::of("Rollouts"));
    let key =
        |object: &Guarded| Key { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let follow = events.reflect(writer).for_each(|event| {
        match event {
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => {
                context.keep(&reader.state().iter().map(|object| key(object)).collect::<BTreeSet<Key>>());
            }
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Err(error) => tracing::warn!(%error, "watching Rollouts"),
        }
        std::future::ready(())
    });
    follow.await;
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
    let events = watcher(Api::<DeserializeGuard<K>>::all(client.clone()), watcher::Config::default())
        .backoff(Pauses::of(std::any::type_name::<K>()));
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

/// Mirrors the Jobs that were made for tenants, and wakes the Rollout that each is of. Who uses none needs no right to them:
/// nothing waits for the list.
fn mirror_jobs(client: &Client, tasks: &mut JoinSet<()>, wake: mpsc::UnboundedSender<Key>) -> Store<Job> {
    let (reader, writer) = reflector::store::<Job>();
    let events = watcher(Api::<Job>::all(client.clone()), watcher::Config::default().labels(JOB_OF))
        .backoff(Pauses::of("Jobs"));
    let small = events.modify(|job| {
        job.spec = None;
        job.metadata.managed_fields = None;
    });
    tasks.spawn(small.reflect(writer).touched_objects().for_each(move |job| {
        match job {
            Ok(job) => {
                let of = job.annotations().get(marker::ROLLOUT_REF).and_then(|of| of.split_once('/'));
                if let Some((namespace, name)) = of {
                    let key = Key { namespace: namespace.to_owned(), name: name.to_owned() };
                    let _ = wake.send(key); // closed only at the end of the term
                }
            }
            Err(error) => tracing::debug!(%error, "watching Jobs"),
        }
        std::future::ready(())
    }));
    reader
}

/// What a Release says concerns the Rollouts of its namespace, most often all of them.
async fn wake_on_releases(context: Arc<Context>) {
    let mut changes = context.releases.changes();
    while changes.changed().await.is_ok() {
        for (key, _) in context.sessions() {
            let _ = context.wake.send(key); // closed only at the end of the term
        }
    }
}

/// The stop concerns every Rollout at once (R36).
async fn wake_on_stop(context: Arc<Context>) {
    let mut stop = context.leader.stop.clone();
    stop.mark_changed(); // what it says already holds as well
    while stop.changed().await.is_ok() {
        if stop.borrow_and_update().is_some() {
            context.leader.executor.halt();
        } else {
            context.leader.executor.resume();
        }
        for (key, _) in context.sessions() {
            let _ = context.wake.send(key); // closed only at the end of the term
        }
    }
}
