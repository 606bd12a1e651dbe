//! `breakwater` as its user meets it: what is printed, the exit codes, what errors say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod migrations;
mod readme;
