//! `DeviationReport`: a version's deviation, written before the first write of its revert; it *is* the rejection (R19).
//! Its parts that are not read by any decision, such as charts and harm, are in [`account`].

pub mod account;
mod bound;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    names,
    status::{Transition, VersionCount},
    words::{DeviationReason, Word},
};
pub use account::{ArmCounts, Chart, Harm, LeftOut, SloAccount, WorstTenant};

/// Largest status of a report, in bytes of JSON.
pub const REPORT_MAX_BYTES: usize = 240 * 1024;
/// Most tenants named as the worst.
pub const WORST_MAX: usize = 50;
/// Most further deviations kept.
pub const APPENDED_MAX: usize = 16;
/// Most requests of people, and of alerts, kept.
pub const ACTIONS_MAX: usize = 32;
/// Most other transitions kept.
pub const CHANGES_MAX: usize = 64;
/// Most firing alerts kept.
pub const ALERTS_MAX: usize = 32;
/// Most tenants that a version may be rejected for alone (R22): each of them is listed, since the list is the rejection.
pub const REJECTED_FOR_MAX: usize = 256;
/// Most migrations whose way down is listed.
pub const DOWN_STEPS_MAX: usize = 64;
/// Most bytes of the SQL of all steps down.
pub const DOWN_SQL_MAX: usize = 32 * 1024;
/// Most tenants named that did not come back.
pub const NOT_BACK_MAX: usize = 32;

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
        printcolumn(name = "Investigation", type_ = "string", json_path = ".spec.investigation.state"),
        printcolumn(name = "Wave", type_ = "string", json_path = ".status.wave"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
    ),
    x_kube(validation = kube::core::Rule::new("self.rollout == oldSelf.rollout")
        .message("rollout is immutable")
        .field_path(".rollout")),
    x_kube(validation = kube::core::Rule::new("self.version == oldSelf.version")
        .message("version is immutable")
        .field_path(".version"))
)]
#[serde(rename_all = "camelCase")]
pub struct DeviationReportSpec {
    /// Name of the Rollout, in the same namespace.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 52)))]
    pub rollout: String,
    /// The version that deviated.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 128)))]
    pub version: String,
    /// What people found out. Theirs alone: the controller reads it and never writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub investigation: Option<Investigation>,
}

impl DeviationReportSpec {
    /// True once people have answered it, for every later version or for this one (`fixedIn`): it stands in nobody's
    /// way any more (`gates.openDeviations`).
    pub fn is_answered_for(&self, version: &str) -> bool {
        self.investigation.as_ref().is_some_and(|found| {
            found.state != InvestigationState::Open || found.fixed_in.as_deref() == Some(version)
        })
    }
}

/// What people found out about a deviation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.state != 'Fixed' || (has(self.fixedIn) && self.fixedIn != '')")
        .message("fixedIn is required for state Fixed: the version that mends it")
        .field_path(".fixedIn"))
)]
#[serde(rename_all = "camelCase")]
pub struct Investigation {
    /// How it stands; any state but `Open` closes the report for `gates.openDeviations`.
    #[serde(default)]
    pub state: InvestigationState,
    /// The version that mends it; required for `Fixed`. Beside `Open` it lets this version alone start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(max = 128)))]
    pub fixed_in: Option<String>,
    /// What was found, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 8192)))]
    pub notes: String,
}

/// How an investigation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum InvestigationState {
    /// Nobody has answered it.
    #[default]
    Open,
    /// The release was the cause; it is known why.
    Attributed,
    /// The release was not the cause.
    NotAttributed,
    /// The release was the cause, and a version mends it.
    Fixed,
}

names!(InvestigationState { Open, Attributed, NotAttributed, Fixed });

/// The controller's account of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviationReportStatus {
    /// How it stands; absent only between creation and the first status write, and then it rejects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why: `SharpPath`, `BurnRate`, `Limit`, `Alert`, `TooManyFailures`, `Manual`.
    #[serde(default, skip_serializing_if = "Word::is_empty")]
    pub reason: Word<DeviationReason>,
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
    /// When users first felt it, as far as the counts tell: the step with which the bad events of the candidates, or of
    /// one of them, last began to outgrow the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_harm_at: Option<Timestamp>,
    /// End of the step that showed it, or the time of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_at: Option<Timestamp>,
    /// When the deviation was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When the revert was decided, where that came later: the deviation only held before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert_decided_at: Option<Timestamp>,
    /// When the first tenant was written back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_write_at: Option<Timestamp>,
    /// When the last tenant that came back was ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ready_at: Option<Timestamp>,
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
    /// Tenants that the version is rejected for, and for nobody else (R22), in order of time, at most 256. It stands
    /// whatever the outcome is, until a Retry closes the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected_for: Vec<RejectedFor>,
    /// Tenants that did not come back, at most 32: `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_back: Vec<String>,
    /// The tenants that felt it most, at most 50, the worst first: of the SLO that spoke, or of the one with most harm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<WorstTenant>,
    /// Whether the SLOs recovered after the revert (R20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// The same as a sentence, with what came back and what did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// The SLOs as they were configured, asked and judged, and what was counted, in the spec's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slos: Vec<SloAccount>,
    /// From when on the counts are known, where that is later than the charts would begin: earlier ones were lost, as with a
    /// restart of the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_since: Option<Timestamp>,
    /// Whom the candidates were compared with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub compared_with: String,
    /// Generation of the Rollout's spec that was in force at the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The `ControllerRevision` that keeps that spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Versions in the fleet at the decision, most common first, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionCount>,
    /// Holds and stops that were in force at the decision, and whose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brakes: Vec<String>,
    /// What people and alerts asked for since the version started, and what came of it; newest last, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Transition>,
    /// What else changed from two hours before the decision to two hours after; newest last, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Transition>,
    /// Alerts of the Rollout's rules that fired at the decision, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<String>,
    /// What was left out of the lists above for want of room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Why the revert does not happen by itself, where the schema forbids it (R21): it waits for an Acknowledge.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revert_waits_for: String,
    /// What takes the schema down, in this order: the newer binary must run it while the server stands still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down_steps: Vec<DownStep>,
    /// Name of the Retry that closed the rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// Further deviations of the same version, newest last, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub appended: Vec<Appended>,
}

impl DeviationReportStatus {
    /// When what this account is about was decided: the revert, or the deviation that only held.
    pub fn moment(&self) -> Option<Timestamp> {
        self.revert_decided_at.or(self.decided_at)
    }

    /// True while this report keeps its version from being rolled out (R19): it goes or went out for all, not closed by a
    /// Retry.
    pub fn rejects(&self) -> bool {
        self.outcome.is_none_or(Outcome::is_revert) && self.closed_by.is_none()
    }
}

/// One migration's way down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DownStep {
    /// The migration's number.
    pub number: u32,
    /// The down file; empty where there is none.
    pub file: String,
    /// Its SQL, or what is known in place of it.
    pub sql: String,
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
    /// The tenants that were guilty by themselves went back; all others keep the version (R22).
    TenantsReverted,
}

names!(Outcome { Reverting, Reverted, RevertedPartly, Held, TenantsReverted });

impl Outcome {
    /// The version goes, or went, out for all.
    pub const fn is_revert(self) -> bool {
        match self {
            Self::Reverting | Self::Reverted | Self::RevertedPartly => true,
            Self::Held | Self::TenantsReverted => false,
        }
    }
}

/// A tenant that a version is rejected for (R22).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RejectedFor {
    /// `namespace/name`.
    pub tenant: String,
    /// When that was decided.
    pub at: Timestamp,
    /// The guard that spoke: `SharpPath`, `Comparison`.
    #[serde(default, skip_serializing_if = "Word::is_empty")]
    pub reason: Word<DeviationReason>,
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

names!(Attribution { Attributed, NotAttributed });

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

/// A further deviation of the same version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Appended {
    /// When.
    pub at: Timestamp,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Word::is_empty")]
    pub reason: Word<DeviationReason>,
    /// Why, with its numbers.
    pub message: String,
}
