//! One reconcile per Rollout: observe -> plan -> store -> execute -> tell.

mod context;
mod lead;
mod observe;
mod reconcile;
mod revisions;
mod session;
mod store;
mod targets;
mod watching;

pub use context::{Key, Options};
pub use lead::{Leader, Office};
