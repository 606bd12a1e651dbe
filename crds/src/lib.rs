//! Breakwater's API, `breakwater.dev/v1alpha1`: plain serde types, and (feature `kube`) the resources made of them.
//!
//! One file per object; [`scalars`] holds the small types that parse once and are checked from then on.

#![allow(
    clippy::duplicated_attributes,
    reason = "inside `cfg_attr` clippy takes the arguments of two columns for twice the same"
)]

pub mod action;
pub mod gates;
pub mod identity;
pub mod job;
pub mod marker;
pub mod release;
#[cfg(feature = "kube")]
pub mod render;
pub mod report;
pub mod rollout;
pub mod scalars;
pub mod selector;
pub mod slo;
pub mod state;
pub mod status;
pub mod words;

pub use action::{RolloutActionSpec, RolloutActionStatus, Verb};
pub use release::{ReleaseSpec, ReleaseStatus};
pub use report::{DeviationReportSpec, DeviationReportStatus, Outcome};
pub use rollout::RolloutSpec;
pub use scalars::{IntOrPercent, Percent, Span};
pub use selector::LabelSelector;
pub use state::RolloutStateSpec;
pub use status::{Condition, Phase, RolloutStatus};

#[cfg(feature = "kube")]
pub use crate::{
    action::RolloutAction, release::Release, render::definitions, report::DeviationReport, rollout::Rollout,
    state::RolloutState,
};

/// The API group of every object here.
pub const GROUP: &str = "breakwater.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
