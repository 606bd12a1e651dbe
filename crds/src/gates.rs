//! `Rollout.spec.gates`: what must be true before a version may start, and before it may be reverted (R21).

use serde::{Deserialize, Serialize};

use crate::scalars::Span;

/// What must be true before a version may start, and before it may be reverted. Without a Release of the version only
/// `openDeviations` asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Gates {
    /// The Release's migrations block nobody for long, and the version before runs on the schema after them. Asked again
    /// before a revert, where a no holds (R21).
    #[serde(default)]
    pub migrations: Gate,
    /// Every load test of the Release passed.
    #[serde(default = "warn")]
    pub load_test: Gate,
    /// Deviations of this Rollout's other versions have been answered: `DeviationReport.spec.investigation`, the Release's
    /// `fixes`, or a Retry.
    #[serde(default)]
    pub open_deviations: Gate,
    /// Another Rollout has soaked what the Release includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<SoakGate>,
}

impl Default for Gates {
    fn default() -> Self {
        Self { migrations: Gate::default(), load_test: warn(), open_deviations: Gate::default(), soak: None }
    }
}

const fn warn() -> Gate {
    Gate::Warn
}

/// Another Rollout has soaked what a Release includes for so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.atLeast.matches('[1-9]')")
        .message("atLeast must be longer than 0")
        .field_path(".atLeast"))
)]
#[serde(rename_all = "camelCase")]
pub struct SoakGate {
    /// The Rollout whose builds hold it already, in the same namespace.
    pub rollout: RolloutRef,
    /// For how long it must have been Healthy with them, since the Release's `includesSince`.
    pub at_least: Span,
    /// What it does while that is not so.
    #[serde(default)]
    pub gate: Gate,
}

/// A Rollout of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RolloutRef {
    /// Its name.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 52), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))
    )]
    pub name: String,
}

/// What a gate does while it is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Gate {
    /// The version waits.
    #[default]
    Require,
    /// It starts, and that is told.
    Warn,
    /// Nobody asks.
    Ignore,
}
