//! Weeks in seconds: the shipped controller on an in-memory API server, a virtual clock and a synthetic fleet.

pub mod apiserver;
pub mod fleet;
pub mod outcome;
pub mod time;
