//! One reconcile per Rollout: observe -> plan -> store -> execute -> tell.
//!
//! From the bottom up: [`handles`] are made once per process; [`session`] is the memory of one Rollout, [`view`] what others
//! may know of it, [`sessions`] all of them; [`reconcile`] names the steps of a turn; [`term`] leads, and nothing imports it
//! but who starts it.

mod context;
mod desk;
mod events;
mod evidence;
mod findings;
mod frozen;
mod handles;
mod key;
mod mirrors;
mod observe;
mod reconcile;
mod reports;
mod revisions;
mod session;
mod sessions;
mod source;
mod starts;
mod store;
mod targets;
mod tell;
mod term;
mod think;
mod view;
mod wakes;
mod watching;
mod writer;

pub use handles::{Handles, Options};
pub use key::Key;
pub(crate) use source::counts_of;
pub use targets::Targets;
pub use term::{Office, lead};
