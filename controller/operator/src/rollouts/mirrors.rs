//! What is mirrored for all Rollouts of a term: actions, reports, Jobs, Releases; each change wakes whom it speaks of. I/O:
//! watches.

use std::sync::Arc;

use breakwater_crds::{DeviationReport, RolloutAction, marker};
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        reflector::{self, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;

use super::{handles::Handles, key::Key, wakes::Wakes};
use crate::{backoff::Pauses, jobs::JOB_OF, releases::Releases, tasks::Tasks};

/// The mirrors.
pub(super) struct Mirrors {
    pub(super) actions: Store<DeserializeGuard<RolloutAction>>,
    pub(super) reports: Store<DeserializeGuard<DeviationReport>>,
    pub(super) jobs: Store<Job>,
    pub(super) releases: Arc<Releases>,
}

impl Mirrors {
    /// Starts to watch.
    pub(super) fn start(handles: &Handles, tasks: &mut Tasks, wakes: &Wakes) -> Self {
        let client = &handles.ground.clients.watches;
        let actions = mirror::<RolloutAction>(client, tasks, "watch of actions", wakes, |action| {
            action.spec.rollout.clone()
        });
        let reports = mirror::<DeviationReport>(client, tasks, "watch of reports", wakes, |report| {
            report.spec.rollout.clone()
        });
        let releases = Releases::new(handles.ground.clone());
        tasks.spawn("watch of Releases", releases.clone().follow());
        let jobs = mirror_jobs(client, tasks, wakes);
        Self { actions, reports, jobs, releases }
    }

    /// Resolves once what plans depend on was listed.
    pub(super) async fn listed(&self) {
        let listed = tokio::join!(
            self.actions.wait_until_ready(),
            self.reports.wait_until_ready(),
            self.releases.looked()
        );
        if let (Err(_), _, ()) | (_, Err(_), ()) = listed {
            std::future::pending::<()>().await; // its task is lost, and whoever owns that is told
        }
    }
}

/// Mirrors all objects of a kind and wakes the Rollout that each speaks of.
fn mirror<K>(
    client: &Client,
    tasks: &mut Tasks,
    task: &'static str,
    wakes: &Wakes,
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
        .backoff(Pauses::of(task));
    let wakes = wakes.clone();
    tasks.spawn(
        task,
        events.reflect(writer).touched_objects().for_each(move |object| {
            match object {
                Ok(DeserializeGuard(Ok(object))) => {
                    let namespace = object.meta().namespace.clone().unwrap_or_default();
                    wakes.wake(Key { namespace, name: rollout(&object) });
                }
                Ok(DeserializeGuard(Err(error))) => {
                    tracing::warn!(%error, "an object of ours cannot be decoded");
                }
                Err(error) => tracing::warn!(%error, "watching {}", K::kind(&())),
            }
            std::future::ready(())
        }),
    );
    reader
}

/// Mirrors the Jobs that were made for tenants, and wakes the Rollout that each is of. Who uses none needs no right to them:
/// nothing waits for the list.
fn mirror_jobs(client: &Client, tasks: &mut Tasks, wakes: &Wakes) -> Store<Job> {
    let (reader, writer) = reflector::store::<Job>();
    let events = watcher(Api::<Job>::all(client.clone()), watcher::Config::default().labels(JOB_OF))
        .backoff(Pauses::of("Jobs"));
    let small = events.modify(|job| {
        job.spec = None;
        job.metadata.managed_fields = None;
    });
    let wakes = wakes.clone();
    tasks.spawn(
        "watch of Jobs",
        small.reflect(writer).touched_objects().for_each(move |job| {
            match job {
                Ok(job) => {
                    let of = job.annotations().get(marker::ROLLOUT_REF).and_then(|of| of.split_once('/'));
                    if let Some((namespace, name)) = of {
                        wakes.wake(Key { namespace: namespace.to_owned(), name: name.to_owned() });
                    }
                }
                Err(error) => tracing::debug!(%error, "watching Jobs"),
            }
            std::future::ready(())
        }),
    );
    reader
}
