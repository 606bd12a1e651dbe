//! All suites, in one binary: they share one bed.

mod api;
mod bed;
