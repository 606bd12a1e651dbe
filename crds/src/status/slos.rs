//! What each SLO says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::is_zero;
use crate::{
    rollout::Baseline,
    scalars::Span,
    words::{Verdict, Word},
};

/// One SLO's verdict and its evidence.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SloStatus {
    /// Its name.
    pub name: String,
    /// `Healthy`, `Deviating`, `Inconclusive`, `Uncalibrated`, `NoData`; absent before the first warm candidate (R10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Word<Verdict>>,
    /// The sentence with the numbers (R30).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Measured on the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Measured on the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// The limit of the guard that is nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The window of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// The smallest ratio of candidates to baseline that would have been found by now with 95 % probability; absent where the
    /// baseline has next to no bad requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// The same as a share of bad requests, in `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detectable_share: Option<f64>,
    /// The share that `judge.mustDetect` comes to: so many times the baseline's and what `margin.absolute` adds to it, since a
    /// multiple of nearly nothing is nothing that users feel. A wave ends only once `detectableShare` is at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_detect_share: Option<f64>,
    /// What the comparison goes by at present; absent where it may not speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// How certain the comparison is that the candidates are worse, in `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certainty: Option<f64>,
    /// Natural logarithm of the comparison's evidence; absent where it may not speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ln_e: Option<f64>,
    /// Where this SLO's evidence alone would be a deviation, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ln_limit: Option<f64>,
    /// Since when there is no data (R12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_data_since: Option<Timestamp>,
    /// End of the last step that was judged, each exactly once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluated_until: Option<Timestamp>,
    /// How many times its evidence started anew under the version under way, each time with less of alpha: after an edit, or
    /// since another judge, before an upgrade, had stored it.
    #[serde(skip_serializing_if = "is_zero")]
    pub anew: u32,
    /// Hash of the SLO's definition: an edited one starts anew (R9).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub definition: String,
    /// The judge's running sums, opaque; fed again from `evaluatedUntil` after a restart (R28).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(extend("x-kubernetes-preserve-unknown-fields" = true, "type" = "object")))]
    pub evidence: Option<serde_json::Value>,
}

impl SloStatus {
    /// True where this is its verdict.
    pub fn is(&self, verdict: Verdict) -> bool {
        self.verdict.as_ref().is_some_and(|said| *said == verdict)
    }
}

/// What an SLO's comparison goes by: dispersion and edges are frozen at a wave's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// `Others`, `History` or `Both`: what `waves[].baseline` comes to now. Once nobody waits any more `Auto` is `History`.
    pub with: Baseline,
    /// False where it only holds: `History` that nobody chose.
    pub reverts: bool,
    /// How many times as bursty as counting noise the past was: the evidence is divided by it, so the judge is that much slower.
    pub dispersion: f64,
    /// Bucket edges, in seconds, at which the shape of a latency is compared; none: the threshold alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16)))]
    pub edges: Vec<f64>,
}
