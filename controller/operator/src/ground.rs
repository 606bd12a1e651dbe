//! What the controller stands on: an API server, the time, and counts. A rehearsal gives its own.

use std::sync::Arc;

use breakwater_crds::rollout::Prometheus;

use crate::{client::Clients, clock::Clock, telemetry::Counts};

/// Makes the source of counts of a Rollout in a namespace, from its `spec.prometheus`.
pub type CountsOf = Arc<dyn Fn(&str, Option<&Prometheus>) -> Arc<dyn Counts> + Send + Sync>;

/// What the controller stands on.
#[derive(Clone)]
pub struct Ground {
    /// The API server.
    pub clients: Clients,
    /// The time.
    pub clock: Clock,
    /// Where counts come from.
    pub counts: CountsOf,
}
