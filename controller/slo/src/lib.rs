//! The judge of Breakwater: counts per tenant and step in, [`Evidence`] with a [`Verdict`] out (analysis.md 1, 3, 4).
//!
//! Pure: no I/O, no clock, no randomness, no Kubernetes. Time comes in as unix seconds.
//!
//! 1. [`check`] a [`Config`] once, where the specification is parsed.
//! 2. [`State::begin`] when the first candidate is warm (R10), [`State::begin_wave`] when a wave starts.
//!    There, and after a restart of the process, [`State::compare`] says whether the comparison may speak.
//! 3. [`State::feed`] every step once, in order; [`State::feed_recent`] after a restart of the process.
//! 4. [`State::evidence`] whenever a verdict is wanted; [`Verdict::combine`] over the SLOs of a rollout (R11).
//!
//! The guards of section 3 and the sequential comparison of section 2 ([`State::compare`]) are fed by the same steps and
//! speak in one [`Evidence`]; [`combine()`] decides over the SLOs of a release.

mod burn;
mod calibrate;
mod combine;
mod compare;
mod config;
mod digits;
mod dispersion;
mod evidence;
mod exact;
mod judge;
mod learn;
mod profile;
mod reading;
mod recent;
mod speak;
mod state;
mod text;
mod window;

pub use burn::BAD_MIN;
pub use calibrate::{Fired, Replay, replay};
pub use combine::{Combined, combine};
pub use compare::detect::Detectable;
pub use compare::increment::{GAIN_COUNT, GAINS, PHI_MIN, Test};
pub use compare::mixture::Mixture;
pub use compare::tenants::KEPT_MAX;
pub use compare::{Against, Comparison, Doubt, Edges, Frozen, Members};
pub use config::{Compare, Config, ConfigError, Kind, Pair, Problem, Sharp, check};
pub use dispersion::{Dispersion, Exposed, Own, exposed, own_ratios};
pub use evidence::{Action, COVERAGE_MIN, Coverage, Evidence, GUILTY_MAX, Guard, NoData, Verdict};
pub use exact::fisher_upper;
pub use judge::{TELEMETRY_LOST_SECONDS, stale_after_seconds};
pub use learn::{Design, Learned, Learner};
pub use profile::{Profile, STRETCH_SECONDS};
pub use reading::{
    Arm, Counts, CountsError, Discard, Past, Reading, Sample, Series, Side, Step, TAILS_MAX, Tail, TenantId,
};
pub use state::State;
