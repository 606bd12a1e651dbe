//! What stands behind the two programs: `breakwater` (the controller) and `kubectl-breakwater` (the plugin).
//!
//! The binaries are tables of contents; arguments are parsed here once, into checked values.

pub mod backtest;
pub mod cluster;
pub mod loadtest;
pub mod logging;
pub mod migrations;
pub mod plugin;
pub mod prometheus;
pub mod rehearse;
mod screen;
pub mod settings;

/// Makes ring the process's one TLS provider: first thing in `main`, for kube and the Prometheus client would each
/// panic for want of a choice. A second call changes nothing.
pub fn install_crypto() {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}
