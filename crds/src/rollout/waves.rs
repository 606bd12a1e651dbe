//! The waves: who is in one, how it advances, what its candidates are compared with.

use serde::{Deserialize, Serialize};

use crate::{
    names,
    release::Lane,
    scalars::{IntOrPercent, Span},
    selector::LabelSelector,
};

/// An ordered group of tenants, updated together, then soaked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("!(has(self.selector) && has(self.percent))", "a wave has either selector or percent, not both")),
    // The API server compares whole numbers with `minimum` as whole numbers, so 0 would pass 0.001.
    x_kube(validation = kube::core::Rule::new("!has(self.percent) || self.percent > 0.0")
        .message("percent must be above 0")
        .field_path(".percent"))
)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// Name of the wave, unique in the Rollout; edits know it by this.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub name: String,
    /// Tenants by label; the first matching wave wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Percent of all live tenants that no selector matches, above 0 and up to 100: at most so many, rounded down, at least one, and
    /// never all that are left while later waves exist. They are drawn when the wave starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 0.0, max = 100.0)))]
    pub percent: Option<f64>,
    /// Time that the wave must spend updated and ready, with data and without deviation.
    pub soak: Span,
    /// The soak of versions in other lanes (`Release.spec.lane`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_soak: Option<LaneSoak>,
    /// Most tenants that may be updated but not ready at once.
    #[serde(default = "one")]
    pub max_concurrent: IntOrPercent,
    /// Most tenants that may fail before it is a deviation.
    #[serde(default = "two_percent")]
    pub max_failures: IntOrPercent,
    /// Most tenants of the wave that somebody else may have changed (`Contested`) before everything holds; they are listed, and
    /// nobody waits for them. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_contested: Option<IntOrPercent>,
    /// Whether the wave may be empty.
    #[serde(default)]
    pub optional: bool,
    /// Whether a human must approve: `Before` the wave starts or `After` its soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What the candidates are compared with from this wave's start on.
    #[serde(default)]
    pub baseline: Baseline,
}

impl Wave {
    /// How long a version of this lane soaks.
    pub fn soak_in(&self, lane: Lane) -> Span {
        let of = self.lane_soak.unwrap_or_default();
        let patch = of.patch.unwrap_or(self.soak);
        match lane {
            Lane::Normal => self.soak,
            Lane::Patch => patch,
            Lane::Emergency => of.emergency.unwrap_or(patch),
        }
    }
}

/// A wave's soak by lane; what is left out is as in the lane before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LaneSoak {
    /// Of a patch release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Span>,
    /// Of an emergency release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Span>,
}

/// What candidates are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Baseline {
    /// Tenants that wait, while there are any, and the own past as well where there are fewer than five candidates. Where
    /// nobody waits any more, the own past alone, which then only holds.
    #[default]
    Auto,
    /// Tenants that wait, at the same time.
    Others,
    /// The same tenants in the same minutes of the week before their update.
    History,
    /// Both, and they must agree.
    Both,
}

names!(Baseline { Auto, Others, History, Both });

/// When a wave needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Approval {
    /// Before its first tenant is written.
    Before,
    /// After its soak, before the next wave starts.
    After,
}

/// What becomes of tenants that no wave takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Unmatched {
    /// They join the last wave.
    #[default]
    LastWave,
    /// They are counted and left alone.
    Ignore,
    /// The rollout does not start while there are any.
    Refuse,
}

const fn one() -> IntOrPercent {
    IntOrPercent::Int(1)
}

const fn two_percent() -> IntOrPercent {
    IntOrPercent::Percent(2)
}
