//! `Rollout`: what Git owns. Shapes and defaults are product.md 2.1's; a field is here once it works.

mod alerts;
mod deviation;
mod judge;
mod prometheus;
mod schedule;
mod tenants;
mod waves;

use serde::{Deserialize, Serialize};

pub use self::{
    alerts::{Alert, AlertAction},
    deviation::{DeviationAction, OnDeviation, Revert, Scope},
    judge::{Comparison, Judge, OnInsufficient},
    prometheus::{BASELINE_SAMPLE, Flavor, Prometheus, SecretRef},
    schedule::{Freeze, Schedule, Window},
    tenants::{Field, Resource, Tenants},
    waves::{Approval, Baseline, LaneSoak, Unmatched, Wave},
};
use crate::{
    gates::Gates,
    job::TenantJob,
    scalars::{Percent, Span},
    slo::Slo,
};

/// Advances `version` over the tenants wave by wave, watches the SLOs, and reverts by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, kube::KubeSchema),
    kube(
        group = "breakwater.dev",
        version = "v1alpha1",
        kind = "Rollout",
        namespaced,
        shortname = "bro",
        category = "breakwater",
        status = "crate::status::RolloutStatus",
        doc = "Brings one version to a fleet of tenants wave by wave, watches what users feel, and takes it out again by itself.",
        validation = ("self.metadata.name.size() <= 52", "metadata.name must have at most 52 characters: report and action names are made of it"),
        printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
        printcolumn(name = "Phase", type_ = "string", json_path = ".status.summary"),
        printcolumn(name = "Wave", type_ = "string", json_path = ".status.progress.wave"),
        printcolumn(name = "Updated", type_ = "string", json_path = ".status.progress.updated"),
        printcolumn(name = "Soak-Left", type_ = "string", json_path = ".status.progress.soakLeft"),
        printcolumn(name = "Stable", type_ = "string", json_path = ".status.stableVersion", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
    ),
    x_kube(validation = kube::core::Rule::new("self.waves.filter(w, !has(w.selector) && !has(w.percent)).size() <= 1")
        .message("waves: at most one wave may have neither selector nor percent")
        .field_path(".waves")),
    x_kube(validation = kube::core::Rule::new("self.waves.filter(w, !has(w.selector) && !has(w.percent)).all(w, w.name == self.waves[self.waves.size() - 1].name)")
        .message("waves: the wave with neither selector nor percent takes the rest and must be the last")
        .field_path(".waves")),
    // 33.3 + 33.3 + 33.4 is a little above 100 in binary.
    x_kube(validation = kube::core::Rule::new("self.waves.map(w, has(w.percent) ? w.percent : 0.0).sum() <= 100.000001")
        .message("waves: the percents must sum to at most 100")
        .field_path(".waves"))
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// The wanted version; changing it asks for a rollout.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9._+]*[A-Za-z0-9])?$"))
    )]
    pub version: String,
    /// Whether a Rollout without history waits for an Approve (`Approve`) or starts (`Start`).
    #[serde(default)]
    pub adopt: Adopt,
    /// What a new version does while another is under way: wait (`Queue`) or take over (`Supersede`).
    #[serde(default)]
    pub on_new_version: OnNewVersion,
    /// How versions compare, to tell tenants that are ahead.
    #[serde(default)]
    pub version_order: VersionOrder,
    /// The tenants and how to read and write them.
    pub tenants: Tenants,
    /// The waves, in order.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub waves: Vec<Wave>,
    /// What becomes of tenants that no wave takes.
    #[serde(default)]
    pub unmatched: Unmatched,
    /// Share of all live tenants that no selector matches, above 0% and up to 50%, that is kept on the baseline until the
    /// last wave has soaked, so that there is always somebody to compare with at the same time; then they are updated too, as a
    /// wave named `holdout`. Needs a last wave without selector and percent, from which they are drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<Percent>,
    /// How long the SLOs are watched after the last wave's soak.
    #[serde(default = "three_days")]
    pub watch_after: Span,
    /// When updates may start.
    #[serde(default)]
    pub schedule: Schedule,
    /// Where the SLOs are measured; defaults to the controller's `--prometheus-url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    /// What users feel.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub slos: Vec<Slo>,
    /// How candidates are compared with a baseline.
    #[serde(default)]
    pub judge: Judge,
    /// Alerts that hold or revert, as Alertmanager's webhook brings them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16)))]
    pub alerts: Vec<Alert>,
    /// What a deviation does.
    #[serde(default)]
    pub on_deviation: OnDeviation,
    /// How a revert is done.
    #[serde(default)]
    pub revert: Revert,
    /// Run for a tenant before its version is written, where the Release's migrations are not `Quiet`: for SQL that is to
    /// run beforehand. The version follows once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_update_job: Option<TenantJob>,
    /// What must be true before a version may start.
    #[serde(default)]
    pub gates: Gates,
    /// The hold that Git can say.
    #[serde(default)]
    pub paused: bool,
}

/// How a Rollout without history begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Adopt {
    /// Waits for an Approve of the first wave.
    #[default]
    Approve,
    /// Starts at once.
    Start,
}

/// What a new version does while another is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum OnNewVersion {
    /// It waits; the newest wins.
    #[default]
    Queue,
    /// It takes over, from the first wave.
    Supersede,
}

/// How versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum VersionOrder {
    /// As semantic versions.
    #[default]
    SemVer,
    /// Not at all.
    None,
}

const fn thirty_minutes() -> Span {
    Span::seconds(1_800)
}

/// Name of the wave that `spec.holdout` stands for.
pub const HOLDOUT: &str = "holdout";

impl RolloutSpec {
    /// The waves as they are gone through: those of the spec, and the holdout as the last.
    pub fn all_waves(&self) -> Vec<Wave> {
        let holdout = self.holdout.zip(self.waves.last()).map(|(share, last)| Wave {
            name: HOLDOUT.to_owned(),
            selector: None,
            percent: Some(share.as_ratio() * 100.0),
            soak: Span::seconds(0),
            lane_soak: None,
            optional: true, // a small fleet may have none to spare
            approval: None,
            baseline: Baseline::Auto,
            ..last.clone()
        });
        self.waves.iter().cloned().chain(holdout).collect()
    }
}

const fn three_days() -> Span {
    Span::seconds(259_200)
}
