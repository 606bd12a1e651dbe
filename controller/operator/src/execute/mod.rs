//! execute: to be filled in.
