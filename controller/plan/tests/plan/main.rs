//! The planner in a small world of its own: every rule by number, then anything at random.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod accounts;
mod arms;
mod chaos;
mod comparing;
mod frozen;
mod gates;
mod hubs;
mod newer;
mod oracles;
mod progress;
mod readiness;
mod releases;
mod reverting;
mod scope;
mod shape;
mod sight;
mod telling;
mod trust;
mod versions;
mod watching;
mod world;
mod writing;
