//! The reviewer of schema migrations: SQL files in; locks, durations, compatibility and reversibility out (migrations.md).
//!
//! Pure: no I/O, no clock, no server, no Kubernetes. [`analyse`] takes an [`Input`] and gives a [`Review`] whose two
//! verdicts a gate can ask for: [`Impact`] and [`Revert`]. Unknown is never safe: what cannot be read is `Unknown`, with
//! what could not be read.
//!
//! The way of a file: `files` (names, prefix, pairs) -> `split` (statements) -> `unwrap` (DO, EXECUTE, PREPARE, routines)
//! -> `parse` (changes) -> `effect` (locks and work, against `schema`) -> `cost` (ranges) -> `compat` and `down` (revert)
//! -> `rules` (findings) -> `report` (the range).

mod analyse;
mod compat;
mod cost;
mod down;
mod effect;
mod files;
mod input;
mod lex;
mod lock;
#[cfg(feature = "measure")]
pub mod measure;
mod op;
mod parse;
mod report;
mod review;
mod rows;
mod rules;
mod schema;
mod split;
mod unwrap;

pub use analyse::analyse;
pub use compat::{OldBinary, Reversible};
pub use cost::{Estimate, in_words};
pub use input::{Dialect, Input, Large, Override, Problem};
pub use lock::{Blocked, Lock, Work};
pub use review::{Decision, DownStep, Finding, Impact, Migration, Revert, Review, Statement};
pub use rows::{Rows, read_rows};
