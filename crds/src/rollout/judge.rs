//! How sure the comparison must be, and what it must have been able to see.

use serde::{Deserialize, Serialize};

use crate::scalars::{Percent, Span, Times};

/// How candidates are compared with a baseline, minute by minute, for as long as the rollout takes (analysis.md 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.alpha.matches('[1-9]') && !self.alpha.startsWith('100')")
        .message("alpha must be above 0% and below 100%")
        .field_path(".alpha")),
    x_kube(validation = kube::core::Rule::new("self.history.matches('[1-9]')")
        .message("history must be longer than 0")
        .field_path(".history"))
)]
#[serde(rename_all = "camelCase")]
pub struct Judge {
    /// `Enabled`, or `Disabled`: then burn rates, the sharp path, limits and alerts watch alone.
    #[serde(default)]
    pub comparison: Comparison,
    /// Probability that the comparison ever reverts a version that is no worse, over all its waves and SLOs.
    #[serde(default = "one_percent")]
    pub alpha: Percent,
    /// A wave ends only when so many times the baseline's errors would have been found by now, counted from the baseline
    /// and what `margin.absolute` adds to it (over `margin.ratio`): `status.slos[].mustDetectShare` says what share that comes to.
    #[serde(default = "two_times")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1.01, max = 1000.0)))]
    pub must_detect: f64,
    /// Multiple of a wave's soak after which `onInsufficient` decides.
    #[serde(default)]
    pub max_soak: Times,
    /// What becomes of a wave whose traffic was too little to find `mustDetect` within `maxSoak`.
    #[serde(default)]
    pub on_insufficient: OnInsufficient,
    /// How far back the past is read: for what is usual, for how bursty it is, and for the replay that arms the comparison.
    #[serde(default = "seven_days")]
    pub history: Span,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            comparison: Comparison::default(),
            alpha: one_percent(),
            must_detect: two_times(),
            max_soak: Times::default(),
            on_insufficient: OnInsufficient::default(),
            history: seven_days(),
        }
    }
}

/// Whether candidates are compared with a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Comparison {
    /// They are.
    #[default]
    Enabled,
    /// They are not.
    Disabled,
}

/// What becomes of a wave that had too little traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum OnInsufficient {
    /// It waits until a human promotes it.
    #[default]
    Hold,
    /// It ends.
    Advance,
}

fn one_percent() -> Percent {
    Percent::of_ratio(0.01)
}

const fn two_times() -> f64 {
    2.0
}

const fn seven_days() -> Span {
    Span::seconds(604_800)
}
