//! The judge replayed over a recorded past: no cluster, no release. What was counted in; false alarms, and how soon faults
//! are found, out.
//!
//! Pure: no I/O, no clock. Whoever reads the past hands it over as values, in this order:
//!
//! 1. [`Wanted`] says what is asked for, and [`Found`] which tenants and steps each SLO turned out to have.
//! 2. [`Backtest::new`] draws the waves ([`split`]) and parts the past: the first part teaches, the judge is tried on the rest.
//! 3. Per SLO a [`Replay`] says which [`Look`](breakwater_plan::study::Look)s are to be read. [`Lessons`] take the steps of
//!    those that teach, [`Watches`] the steps of what is tried: one judge per wave, and one more per fault ([`inject`]).
//! 4. [`Backtest::outcome`] is what it came to ([`outcome`]).
//!
//! Each step is read once for all waves and faults. The judge is the controller's own ([`breakwater_slo::State`]), fed by its own
//! samplers and lessons ([`breakwater_plan::study`]).

pub mod inject;
pub mod outcome;
mod past;
mod replay;
mod sentence;
pub mod split;
mod trial;
mod wanted;

pub use inject::Inject;
pub use outcome::{Outcome, instant};
pub use replay::{Backtest, Lessons, Replay, Replayed, Taught};
pub use trial::{Trial, Watch, Watches};
pub use wanted::{Found, Wanted};
