//! The real bed: a whole control plane, a fleet of tenants, their metrics and alerts on one machine, without
//! containers, and the controller's own program run against it as a user would run it.
//!
//! A suite asks for [`bed::Bed::shared`] (one per test binary) and an [`bed::Area`] of its own in it, or for
//! [`bed::Bed::own`] when it means to kill parts. Whatever was started ends with the test binary, however that ends.

pub mod bed;
pub mod bench;
pub mod controller;
pub mod eventually;
pub mod fleet;
pub mod kinds;
pub mod scene;
pub mod webhook;

pub use bed::{Area, Bed};
pub use controller::{Controller, ControllerOptions};
pub use eventually::eventually;
pub use fleet::Fleet;
pub use kinds::{Kind, Tenant};
pub use scene::Scene;
pub use webhook::Webhook;

/// Makes ring the process's TLS provider. Called before any client is made; calling it again does nothing.
pub fn install_crypto() {
    // An error says that a provider is there already: the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
