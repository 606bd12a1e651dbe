//! The judge as its callers see it: a small fleet's steps go in, evidence comes out.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic, its helpers as well")]

mod bed;
mod comparison;
mod config;
mod differential;
mod guards;
mod increment;
mod no_data;
mod properties;
mod remembering;
mod series;
