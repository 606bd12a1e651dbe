//! Counts from Prometheus: what is due, the one query per SLO and step, and what its answer means.
//!
//! An answer is a stream: [`body`] cuts it into series as it comes in, [`parse`] reads each, and a [`sink`] takes it:
//! mostly a [`sheet`], which knows the [`order`] of the rows from the last time and the tenants by their [`ids`], and says
//! what their [`parts`] mean. All of these are pure, as is [`due`]. I/O: [`client`] speaks HTTP, [`read`] asks in order,
//! [`feed`] does so in the background, so that a slow Prometheus never blocks a revert.

pub mod body;
pub mod chosen;
pub mod client;
pub mod due;
pub mod feed;
pub mod ids;
mod names;
pub mod order;
pub mod parse;
pub mod parts;
mod past;
pub mod reach;
pub mod read;
pub mod sheet;
mod sight;
pub mod sink;
mod studying;

pub use chosen::Chosen;
pub use client::{Prometheus, Secret, Settings};
pub use feed::{Feed, Wanted};
pub use ids::TenantIds;
pub use names::Names;
pub use past::{Chunks, Past};
pub use reach::Reach;
pub use read::{Counts, SloTelemetry, Telemetry};
pub use sheet::{Grid, Sheet};
pub use sink::{Labels, Rows, Sample, Sink};

/// Why a query has no answer that could be used. Each is fetched again later (R12).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The client could not be made of its settings.
    #[error("prometheus settings: {0}")]
    Settings(String),
    /// No answer: refused, reset, unknown host, certificate.
    #[error("{host}: no answer: {why}")]
    Unreachable {
        /// The URL's host.
        host: String,
        /// The causes, outermost first.
        why: String,
    },
    /// No answer in time.
    #[error("{host}: no answer within {seconds} s")]
    TimedOut {
        /// The URL's host.
        host: String,
        /// The limit.
        seconds: u64,
    },
    /// Another status than 200.
    #[error("{host}: HTTP {status}{}{why}", if why.is_empty() { "" } else { ": " })]
    Status {
        /// The URL's host.
        host: String,
        /// The status code.
        status: u16,
        /// Prometheus's own words; empty where somebody else answered: a foreign body is never repeated (S2).
        why: String,
    },
    /// The answer is more than is read.
    #[error("{host}: the answer has more than {mebibytes} MiB; use recorded series")]
    TooLarge {
        /// The URL's host.
        host: String,
        /// The limit.
        mebibytes: usize,
    },
    /// The answer is not what the API promises: HTML, truncated, another shape.
    #[error("{host}: not an answer of Prometheus: {why}")]
    Malformed {
        /// The URL's host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// Prometheus says that the answer is incomplete or doubtful: never evidence.
    #[error("{host}: answered with a warning: {why}")]
    Warning {
        /// The URL's host.
        host: String,
        /// The first warning.
        why: String,
    },
}
