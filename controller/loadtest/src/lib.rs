//! Two versions under the same load: reports of load tests in, [`Verdict`] with the few metrics that matter out.
//!
//! Pure: no I/O, no clock, no randomness, no Kubernetes. Files come in as bytes, a Prometheus as the answers to [`prometheus`]'s queries.
//!
//! 1. [`Run::parse`] reads a report, [`Run`]s can be made of a Prometheus's answers too; several a side are welcome and give the noise.
//! 2. [`Rules::parse`] reads what is noise, what fails, and what is known of the traffic; [`Rules::default`] will do.
//! 3. [`compare()`] says for every metric what became of it, and for the whole [`Verdict::Pass`], `Warn`, `Fail` or `NoData`.
//!
//! The statistics are told in `controller/docs/loadtest.md`: logarithms of times, a variance per metric that borrows from all others,
//! a test against the margin that users would not feel, false discoveries controlled, and traffic before anything may fail.

mod buckets;
mod compare;
mod graphs;
mod judge;
mod noise;
mod outcome;
mod pairs;
pub mod prometheus;
mod quantity;
mod report;
mod rules;
mod run;
mod stats;
mod words;

pub use buckets::Buckets;
pub use compare::compare;
pub use outcome::{Change, Comparison, Counts, Metric, Side, Verdict};
pub use quantity::{Seconds, Share};
pub use report::ReportError;
pub use rules::{Limit, Noise, Rules, RulesError, Times, Traffic};
pub use run::{Graph, Kind, Measured, Run};
pub use words::seconds;
