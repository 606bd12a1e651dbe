//! Migration files in, what they lock, break and lose out: rule by rule, against what was measured, and for any bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[cfg(feature = "measure")]
mod measure;
mod mutate;
mod oracle;
mod robust;
mod rules;
#[cfg(feature = "measure")]
mod server;
