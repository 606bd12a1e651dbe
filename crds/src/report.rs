//! `DeviationReport`: a version's deviation, written before the first write of its revert; it *is* the rejection (R19).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened to one version of one Rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, kube::KubeSchema),
    kube(
        group = "breakwater.dev",
        version = "v1alpha1",
        kind = "DeviationReport",
        namespaced,
        doc = "The account of one version's deviation; while it stands open the version is rejected.",
        shortname = "brd",
        category = "breakwater",
        status = "DeviationReportStatus",
        printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
        printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
        printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
        printcolumn(name = "Attribution", type_ = "string", json_path = ".status.attribution"),
        printcolumn(name = "Wave", type_ = "string", json_path = ".status.wave"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
    ),
    x_kube(validation = ("self == oldSelf", "spec is immutable"))
)]
#[serde(rename_all = "camelCase")]
pub struct DeviationReportSpec {
    /// Name of the Rollout, in the same namespace.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 52)))]
    pub rollout: String,
    /// The version that deviated.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 128)))]
    pub version: String,
}

/// The controller's account of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviationReportStatus {
    /// How it stands; absent only between creation and the first status write, and then it rejects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why: `SharpPath`, `BurnRate`, `Limit`, `Alert`, `TooManyFailures`, `Manual`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The sentence with the numbers (R30).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The SLO that spoke, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<String>,
    /// Measured share, rate or number of the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The same of the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// The limit that was passed, in the unit of the guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Window over which it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<crate::Span>,
    /// Who asked, where a human or an alert did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub requested_by: String,
    /// The wave that was in flight.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wave: String,
    /// When the version's first tenant was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the deviation was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When the revert ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Tenants touched, per wave, at the decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveCount>,
    /// Tenants that went back.
    #[serde(default)]
    pub reverted: u32,
    /// Tenants that did not become ready again in time.
    #[serde(default)]
    pub failed: u32,
    /// The worst tenants, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<WorstTenant>,
    /// Whether the SLOs recovered after the revert (R20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// Name of the Retry that closed the rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// Further deviations of the same version, newest last, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub appended: Vec<Appended>,
}

impl DeviationReportStatus {
    /// True while this report keeps its version from being rolled out (R19): any outcome but `Held`, not closed by a Retry.
    pub fn rejects(&self) -> bool {
        self.outcome != Some(Outcome::Held) && self.closed_by.is_none()
    }
}

/// How a deviation was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Outcome {
    /// The revert is under way.
    Reverting,
    /// Every touched tenant is back and ready.
    Reverted,
    /// Some are not.
    RevertedPartly,
    /// It only held.
    Held,
}

/// Whether the release was the cause, judged by whether its revert helped (R20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Attribution {
    /// The SLOs recovered.
    Attributed,
    /// They did not.
    NotAttributed,
}

/// Tenants of a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WaveCount {
    /// The wave.
    pub name: String,
    /// How many of its tenants had been touched.
    pub touched: u32,
}

/// A tenant that felt it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorstTenant {
    /// `namespace/name`.
    pub tenant: String,
    /// Bad events in the window.
    pub bad: f64,
    /// All events in the window.
    pub total: f64,
}

/// A further deviation of the same version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Appended {
    /// When.
    pub at: Timestamp,
    /// Why, with its numbers.
    pub message: String,
}
