//! Two load tests in, what is worse out: on runs made up by a seed, whose files are under `tests/data`.

#![allow(clippy::unwrap_used, reason = "what cannot be read or made ends the test")]

mod common;
mod figures;
mod fixtures;
mod verdicts;
