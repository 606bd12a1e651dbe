//! What people asked for, while it matters.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Approved;
use crate::{
    action::ActionResult,
    names,
    words::{GateSubject, Word},
};

/// A Hold or Stop in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Brake {
    /// Name of the `RolloutAction`, by which it is lifted.
    pub name: String,
    /// Which of the two.
    pub kind: BrakeKind,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who.
    pub requested_by: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The two brakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum BrakeKind {
    /// Nothing advances.
    Hold,
    /// Nothing is written.
    Stop,
}

names!(BrakeKind { Hold, Stop });

/// An action whose effect is part of this status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessedAction {
    /// UID of the `RolloutAction`.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Whether it was honoured.
    pub result: ActionResult,
    /// The effect, or why there is none.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A gate that somebody passed for one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// The gate: `migrations`, `loadTest`, `openDeviations`, `soak`, `revert`.
    pub subject: Word<GateSubject>,
    /// The version.
    pub version: String,
    /// Hash of what the gate said: when it says something else, it asks again.
    pub said: String,
    /// Who, when, and by which action.
    #[serde(flatten)]
    pub word: Approved,
}
