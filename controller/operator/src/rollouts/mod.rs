//! One reconcile per Rollout: observe -> plan -> store -> execute -> tell.

mod context;
mod events;
mod evidence;
mod frozen;
mod lead;
mod observe;
mod reconcile;
mod reports;
mod revisions;
mod session;
mod source;
mod store;
mod targets;
mod watching;
mod writer;

pub use context::{Context, Key, Options};
pub use lead::{Leader, Office};
pub(crate) use source::counts_of;
pub use targets::Targets;
