//! What the controller serves: Alertmanager's webhook, health, metrics. I/O.

pub mod health;
pub mod metrics;
pub mod serve;
pub mod webhook;

pub use metrics::Metrics;
pub use serve::{HttpState, router, serve};
pub use webhook::{AlertPull, AlertTarget, AlertTargets, Alerts, Stored};
