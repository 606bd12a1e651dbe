//! The judge of Breakwater: counts per tenant and step in, [`Evidence`] with a [`Verdict`] out (analysis.md 1, 3, 4).
//!
//! Pure: no I/O, no clock, no randomness, no Kubernetes. Time comes in as unix seconds.
//!
//! 1. [`check`] a [`Config`] once, where the specification is parsed.
//! 2. [`State::begin`] when the first candidate is warm (R10), [`State::begin_wave`] when a wave starts.
//! 3. [`State::feed`] every step once, in order; [`State::feed_recent`] after a restart of the process.
//! 4. [`State::evidence`] whenever a verdict is wanted; [`Verdict::combine`] over the SLOs of a rollout (R11).
//!
//! The guards of section 3 are here. The sequential comparison of section 2 will be fed by the same [`Step`]s (they
//! hold counts per tenant and arm), keep its sums in [`State`], and speak as a further [`Guard`].

mod config;
mod evidence;
mod judge;
mod reading;
mod recent;
mod state;
mod text;
mod window;

pub use config::{Config, ConfigError, Kind, Pair, Problem, Sharp, check};
pub use evidence::{Action, Coverage, Evidence, GUILTY_MAX, Guard, NoData, Verdict};
pub use judge::{BAD_MIN, COVERAGE_MIN, TELEMETRY_LOST_SECONDS, stale_after_seconds};
pub use reading::{Arm, Counts, CountsError, Discard, Reading, Sample, Series, Step, TenantId};
pub use state::State;
