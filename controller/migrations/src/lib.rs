//! The reviewer of schema migrations: SQL files in; locks, durations, compatibility and reversibility out (migrations.md).
//!
//! Pure: no I/O, no clock, no server, no Kubernetes. [`analyse()`] takes an [`Input`] and gives a [`Review`] whose two
//! verdicts a gate can ask for: [`Impact`] and [`Revert`]. Unknown is never safe: what cannot be read is `Unknown`, with
//! what could not be read.
//!
//! The way of a file: `files` (names, prefix, pairs) -> `split` (statements) -> `unwrap` (DO, EXECUTE, PREPARE, routines)
//! -> `parse` (changes) -> `effect` (locks and work, against `schema`) -> `cost` (ranges) -> `compat`, `decide` and
//! `revert` (verdicts) -> `rules` (findings) -> `folder` and `report` (the range).
//!
//! # For a program that embeds it
//! [`Input::new`] takes files as `(name, bytes)` pairs from wherever they are, a `ConfigMap`'s `data` for instance; all of
//! them from the first migration on, for old column types come from replaying them. [`number_of`] turns `66` or `v6.0`
//! into a migration's number, and [`last_number`] is the newest. The same number at both ends is an empty range: quiet,
//! and safe to revert. [`Review::summary`] is the part that fits a status: verdicts, the longest duration in seconds, the
//! first reasons. The same input gives the same review, byte for byte. Nothing here needs the feature `measure`.
//!
//! ```
//! use std::collections::BTreeMap;
//! use breakwater_migrations::{Dialect, Impact, Input, Revert, analyse};
//!
//! let files = BTreeMap::from([
//!     ("000001_posts.up.sql".to_owned(), b"CREATE TABLE posts (id varchar(26) PRIMARY KEY);".to_vec()),
//!     ("000002_pin.up.sql".to_owned(), b"ALTER TABLE posts ADD COLUMN pinned boolean;".to_vec()),
//!     ("000002_pin.down.sql".to_owned(), b"ALTER TABLE posts DROP COLUMN pinned;".to_vec()),
//! ]);
//! let review = analyse(&Input::new(files, Dialect::Postgresql, "15.4", 1, 2)).expect("can be read");
//! let summary = review.summary(3);
//! assert_eq!((summary.impact, summary.revert), (Impact::Quiet, Revert::RevertSafe));
//! ```

mod analyse;
mod binary;
mod compat;
mod cost;
mod decide;
mod dialect;
mod down;
mod effect;
mod files;
mod folder;
mod input;
mod lex;
mod lock;
#[cfg(feature = "measure")]
pub mod measure;
mod migration;
mod op;
mod parse;
mod problem;
mod range;
mod read;
mod reasons;
mod report;
mod revert;
mod review;
mod rows;
mod rule;
mod rules;
mod schema;
mod split;
mod sqltype;
mod summary;
mod unwrap;

pub use analyse::analyse;
pub use binary::{OldBinary, Reversible};
pub use cost::{Estimate, in_words};
pub use dialect::Dialect;
pub use input::{Input, Large, Override};
pub use lock::{Blocked, Lock, Work};
pub use problem::Problem;
pub use range::{last_number, number_of};
pub use review::{Decision, DownStep, Finding, Impact, Migration, Revert, Review, Statement};
pub use rows::{Rows, read_rows};
pub use rule::Rule;
pub use summary::Summary;
