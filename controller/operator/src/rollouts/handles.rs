//! What a term and its reconciles hold on to, made once per process. No decision is made here.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::Client;

use crate::{
    clock::Steps, execute::Executor, ground::Ground, lease::Lease, metrics::Metrics, stop::Stop,
    telemetry::Reach,
};

/// Settings of all reconciles.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which Prometheus may be asked.
    pub reach: Arc<Reach>,
    /// Shortest time between two status writes that are no transitions, while advancing or reverting (R27).
    pub status_interval: Duration,
    /// Time limit of one tenant write.
    pub write_timeout: Duration,
    /// Id of the hub that it runs in (R48).
    pub hub: String,
    /// The user that this controller acts as, for the actions that it creates.
    pub user: String,
}

/// What a term is led with. Cheap to clone.
#[derive(Clone)]
pub struct Handles {
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
    /// Steps of the clock.
    pub steps: Arc<Steps>,
    /// Who this process is, for Events.
    pub identity: String,
}

impl Handles {
    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        (self.ground.clock)()
    }

    /// For every request that has an end.
    pub(super) fn client(&self) -> &Client {
        &self.ground.clients.requests
    }
}
