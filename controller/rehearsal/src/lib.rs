//! Weeks in seconds: the shipped controller on an in-memory API server, a virtual clock and a synthetic fleet.

pub mod apiserver;
mod approver;
pub mod bed;
mod chronicle;
mod director;
pub mod fleet;
pub mod outcome;
pub mod page;
pub mod process;
pub mod run;
mod tally;
pub mod time;

pub use run::{Progress, Rehearsal, distribution, rehearse};
