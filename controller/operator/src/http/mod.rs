//! What the controller serves: Alertmanager's webhook, health, metrics. Routes and serving alone. I/O.

pub mod health;
pub mod serve;
mod token;
pub mod webhook;

pub use serve::{HttpState, probes, router, serve};
pub(crate) use token::follow as follow_token;
