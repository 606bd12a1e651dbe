//! The only I/O of Breakwater: observe -> plan -> execute -> status; lease, Prometheus, webhook.

mod backoff;
pub mod client;
pub mod clock;
pub mod execute;
pub mod ground;
pub mod http;
mod intake;
mod jobs;
pub mod lease;
pub mod program;
pub mod releases;
pub mod rollouts;
pub mod run;
pub mod stop;
pub mod telemetry;
pub mod tenants;
