//! Writes tenants: a pipeline per Rollout, without barriers, fenced by the lease, pre-empted by a revert or a stop. I/O
//! through [`TenantApi`]; the decisions about answers ([`classify()`], [`judge`]) and the queue ([`queue`]) are pure.
//!
//! There are no choices here: what is written is the plan's word (R28). What is not sent yet is replaced by the next plan;
//! what was sent is in flight until it is answered, or read back.

mod carry;
mod classify;
mod judge;
mod pipeline;
mod queue;
mod slots;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use breakwater_plan::{
    observed::{Reading, Tenant},
    outcome::{Purpose, Write},
};
use breakwater_slo::TenantId;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

pub use classify::{Class, classify, is_failed_test};
pub use pipeline::{Executor, Pipeline};
pub use queue::Withheld;

/// Most times that one tenant is read again for one write (R25).
pub const REREADS_MAX: u32 = 5;
/// Most problems kept per pipeline.
pub const PROBLEMS_MAX: usize = 4096;
/// Longest `Retry-After` that is honoured.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Reads and writes tenants of one Rollout. Implemented by `tenants::Subscription`.
pub trait TenantApi: Send + Sync {
    /// Sends one guarded patch (R24): `write.version` and `write.marker`, whose epoch and time are set already. When it
    /// returns `Ok`, the answered object stands in the index. `timeout` is for `?timeout=`; the caller ends the future
    /// then anyway.
    fn patch<'a>(
        &'a self,
        write: &'a Write,
        written_at: Timestamp,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Written, WriteError>>;

    /// Reads a tenant past every cache, and puts it into the index. `None`: there is none.
    fn read(&self, id: TenantId) -> BoxFuture<'_, Result<Option<Tenant>, WriteError>>;
}

/// The answer to a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The version as the answered object holds it; another than was written if admission rewrote it.
    pub version: Reading,
}

/// Why a tenant could not be read or patched.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server said no, or nothing that could be understood.
    #[error("tenant {tenant}: {source}")]
    Api {
        /// `namespace/name`.
        tenant: String,
        /// What came back.
        #[source]
        source: kube::Error,
    },
    /// There was no answer in time; whether it was committed is unknown.
    #[error("tenant {tenant}: no answer within {after:?}")]
    TimedOut {
        /// `namespace/name`.
        tenant: String,
        /// How long was waited.
        after: Duration,
    },
    /// No patch can be made for the tenant; nothing was sent.
    #[error("tenant {tenant}: no patch can be made: {reason}")]
    Unfit {
        /// `namespace/name`.
        tenant: String,
        /// What is missing.
        reason: String,
    },
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, and holds what was written.
    Written,
    /// Not answered or in conflict, but a fresh read shows it holds what was to be written, under our marker.
    AlreadyThere,
    /// Written, and admission changed the value (R24).
    Rewritten {
        /// What it holds now.
        found: Reading,
    },
    /// Turned away for its content or for want of rights; kept as a [`Problem`], tried again with back-off.
    Refused {
        /// The API server's words.
        message: String,
    },
    /// The API server asked for patience; back in the queue, unless the queue was replaced meanwhile.
    Busy {
        /// The API server's words.
        message: String,
    },
    /// Deleted, or another object of the same name (R25).
    Gone,
    /// Somebody changed what the plan was made for; the next plan sees it.
    Changed,
    /// Read again [`REREADS_MAX`] times, and each time in conflict or without an answer; kept as a [`Problem`].
    Contended {
        /// The last answer.
        message: String,
    },
    /// Sent, never answered, and could not be read back; the watch will tell.
    Unresolved {
        /// The last error.
        message: String,
    },
    /// Not sent (again): why.
    Withheld(Withheld),
}

impl Outcome {
    /// Name for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::AlreadyThere => "already_there",
            Self::Rewritten { .. } => "rewritten",
            Self::Refused { .. } => "refused",
            Self::Busy { .. } => "busy",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Contended { .. } => "contended",
            Self::Unresolved { .. } => "unresolved",
            Self::Withheld(_) => "withheld",
        }
    }
}

/// A write that does not get through, for the status and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The version that was to be written.
    pub version: Arc<str>,
    /// Why it was to be written.
    pub purpose: Purpose,
    /// What became of the last attempt: `Rewritten`, `Refused`, `Contended` or `Unresolved`.
    pub outcome: Outcome,
    /// Attempts so far, at least one.
    pub attempts: u32,
    /// Before this the same version is not written again, whatever a plan says.
    pub retry_at: Instant,
}

/// Bounds of the executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most requests at once over all Rollouts, and most writes in flight per Rollout and purpose.
    pub max_in_flight: usize,
    /// How many of them advances leave free, so that a revert finds a slot at once (R18).
    pub revert_reserve: usize,
    /// Time-out of each write and read; at most the lease's `write_timeout` (R26).
    pub write_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_in_flight: 36, revert_reserve: 4, write_timeout: Duration::from_secs(5) }
    }
}

/// Counts writes. Calls are made from many tasks and must not block.
pub trait Meter: Send + Sync {
    /// A patch is being sent.
    fn sent(&self, purpose: Purpose);
    /// A write was settled, `latency` after it was first sent (or withheld).
    fn settled(&self, purpose: Purpose, outcome: &Outcome, latency: Duration);
}

/// Counts nothing.
impl Meter for () {
    fn sent(&self, _: Purpose) {}
    fn settled(&self, _: Purpose, _: &Outcome, _: Duration) {}
}
