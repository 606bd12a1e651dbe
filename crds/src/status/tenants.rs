//! Counts of tenants, and the few that are named.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Approved, is_zero};
use crate::{
    report::Attribution,
    words::{Trouble, Word},
};

/// The fleet in numbers; the first three count live tenants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Tenants that count for waves.
    pub live: u32,
    /// Those on the wanted version.
    pub updated: u32,
    /// Those that are ready there.
    pub ready: u32,
    /// Past their deadline.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// Asleep, left alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub dormant: u32,
    /// Ahead of the wanted version, left alone (R34).
    #[serde(skip_serializing_if = "is_zero")]
    pub ahead: u32,
    /// Under another Rollout's marker, left alone (R24).
    #[serde(skip_serializing_if = "is_zero")]
    pub claimed: u32,
    /// Marked by us, changed by somebody else, left alone (R24).
    #[serde(skip_serializing_if = "is_zero")]
    pub contested: u32,
    /// The version's field belongs to a manager not in `takeFrom` (R24).
    #[serde(skip_serializing_if = "is_zero")]
    pub not_released: u32,
    /// In a namespace that has not consented (R39).
    #[serde(skip_serializing_if = "is_zero")]
    pub unconsented: u32,
    /// The version could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u32,
    /// In no wave (`unmatched`).
    #[serde(skip_serializing_if = "is_zero")]
    pub unmatched: u32,
    /// Without any series in any SLO.
    #[serde(skip_serializing_if = "is_zero")]
    pub uninstrumented: u32,
    /// Tenants on a rejected version that still have to go back.
    #[serde(skip_serializing_if = "is_zero")]
    pub to_revert: u32,
    /// Tenants that the wanted version is rejected for alone, and that are not on it (R22).
    #[serde(skip_serializing_if = "is_zero")]
    pub spared: u32,
}

/// A tenant that a human may want to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TroubledTenant {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its wave.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wave: String,
    /// `Failed`, `Contested`, `Claimed`, `OwnerNotReleased`, `RevertFailed`, `NoSafeVersion`, `PreviousUnknown`, `Unreadable`, `NoConsent`,
    /// `Reverted`, `WriteRefused`.
    pub reason: Word<Trouble>,
    /// More words: the owner, what is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What was found on a fleet without history (R33).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Adoption {
    /// Versions and how many tenants are on each, most common first, at most 16.
    pub versions: Vec<VersionCount>,
    /// Field managers of the version and how many tenants each owns, at most 16.
    pub owners: Vec<OwnerCount>,
    /// How much of the fleet each SLO measures, in the spec's order, at most 8.
    pub telemetry: Vec<TelemetryCount>,
    /// The approval, once given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approved>,
}

/// Tenants on one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VersionCount {
    /// The version.
    pub version: String,
    /// How many.
    pub tenants: u32,
}

/// How much of a fleet one SLO measures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TelemetryCount {
    /// Name of the SLO.
    pub slo: String,
    /// How many live tenants have series; all of them where the SLO has a value for the whole.
    pub measured: u32,
    /// Why not all, with an example.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Tenants whose version one manager owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OwnerCount {
    /// The field manager.
    pub manager: String,
    /// How many.
    pub tenants: u32,
    /// Whether the version may be taken from it.
    pub released: bool,
}

/// A revert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RevertStatus {
    /// The version that is taken out.
    pub version: String,
    /// True where a human asked through Git by setting `spec.version` back: rejects nothing (R19).
    #[serde(default)]
    pub by_spec: bool,
    /// Why.
    pub message: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When all were back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_at: Option<Timestamp>,
    /// When the reverted tenants were warm and the verification began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifying_since: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Tenants that went back.
    #[serde(default)]
    pub reverted: u32,
    /// Tenants that did not become ready again in time.
    #[serde(default)]
    pub failed: u32,
    /// Whether it helped (R20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
}
