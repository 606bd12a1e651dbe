//! What every reconcile shares. No decision is made here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use breakwater_crds::{DeviationReport, Rollout, RolloutAction};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Client,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::sync::mpsc;

use super::{events::Recorder, lead::Leader, session::Session};
use crate::{
    ground::Ground,
    releases::Releases,
    tenants::{Reach, Tenants},
};

/// A Rollout as the watch brings it: one that does not decode stops itself only.
pub(super) type Guarded = DeserializeGuard<Rollout>;

/// Names a Rollout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    pub(super) fn object(&self) -> ObjectRef<Guarded> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

/// Settings of all reconciles.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether there is a Prometheus for Rollouts that name none.
    pub has_prometheus: bool,
    /// Shortest time between two status writes that are no transitions, while advancing or reverting (R27).
    pub status_interval: Duration,
    /// Time limit of one tenant write.
    pub write_timeout: Duration,
    /// The user that this controller acts as, for the actions that it creates.
    pub user: String,
}

/// What every reconcile shares while this process leads.
pub struct Context {
    pub(super) leader: Leader,
    pub(super) tenants: Tenants,
    pub(super) actions: Store<DeserializeGuard<RolloutAction>>,
    pub(super) reports: Store<DeserializeGuard<DeviationReport>>,
    pub(super) releases: Arc<Releases>,
    pub(super) jobs: Store<Job>,
    pub(super) recorder: Recorder,
    pub(super) wake: mpsc::UnboundedSender<Key>,
    sessions: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Session>>>>,
}

impl Context {
    pub(super) fn new(
        leader: Leader,
        actions: Store<DeserializeGuard<RolloutAction>>,
        reports: Store<DeserializeGuard<DeviationReport>>,
        releases: Arc<Releases>,
        jobs: Store<Job>,
        wake: mpsc::UnboundedSender<Key>,
    ) -> Self {
        let Ground { clients, clock, .. } = &leader.ground;
        let recorder = Recorder::new(clients.requests.clone(), clock.clone(), leader.identity.clone());
        let tenants = Tenants::new(clients.watches.clone(), Reach::Cluster, clock.clone());
        Self { leader, tenants, actions, reports, releases, jobs, recorder, wake, sessions: Mutex::default() }
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        (self.leader.ground.clock)()
    }

    pub(super) fn client(&self) -> &Client {
        &self.leader.ground.clients.requests
    }

    /// The memory of one Rollout, made when it is first seen.
    pub(super) fn session(&self, key: &Key) -> Arc<tokio::sync::Mutex<Session>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions
            .entry(key.clone())
            .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Session::new(key.clone()))))
            .clone()
    }

    /// Every Rollout that is known.
    pub(super) fn sessions(&self) -> Vec<(Key, Arc<tokio::sync::Mutex<Session>>)> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().map(|(key, session)| (key.clone(), session.clone())).collect()
    }

    /// Follows which Rollouts exist: the memory of others goes, and with it their pipelines; their markers are free.
    pub(super) fn keep(&self, existing: &BTreeSet<Key>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|key, _| {
            let kept = existing.contains(key);
            if !kept {
                self.leader.metrics.forget(&key.namespace, &key.name);
            }
            kept
        });
        drop(sessions);
        self.tenants.set_rollouts(existing.iter().map(|key| (key.namespace.as_str(), key.name.as_str())));
    }

    /// Ends sending for good and waits for what was sent; true when all of it was answered.
    pub(super) async fn drain(&self, within: Duration) -> bool {
        let drains = self.sessions().into_iter().map(|(_, session)| async move {
            let session = session.lock().await;
            match &session.accepted {
                Some(accepted) => accepted.pipeline.drain(within).await,
                None => true,
            }
        });
        futures::future::join_all(drains).await.into_iter().all(|drained| drained)
    }
}
