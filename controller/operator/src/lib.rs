//! The only I/O of Breakwater: observe -> plan -> execute -> status; lease, Prometheus, webhook.

pub mod alerts;
mod backoff;
pub mod client;
pub mod clock;
pub mod execute;
pub mod ground;
pub mod http;
mod jobs;
pub mod lease;
pub mod metrics;
pub mod program;
pub mod releases;
pub mod rollouts;
pub mod run;
pub mod stop;
pub mod tasks;
pub mod telemetry;
pub mod tenants;
