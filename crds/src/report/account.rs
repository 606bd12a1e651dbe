//! What a post-mortem needs of a deviation and no decision reads: SLOs with their queries, counts, harm.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    scalars::{Percent, Span},
    words::{Verdict, Word},
};

/// Most points of a chart.
pub const POINTS_MAX: usize = 240;
/// Longest query that is kept whole, in bytes.
pub const QUERY_MAX: usize = 4_096;

/// One SLO: as it was configured, asked and judged, and what was counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SloAccount {
    /// Its name.
    pub name: String,
    /// What it measures: `errors: bad of total`, as configured.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub measures: String,
    /// The promised share of good events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Percent>,
    /// Everything that makes it a deviation or a hold, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// The query of one step, verbatim.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Length of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Span>,
    /// The verdict at the decision; absent where nothing was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Word<Verdict>>,
    /// The sentence with its numbers (R30).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Measured on the candidates: a share of bad events in `[0, 1]`, or the value of a `query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The same of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// The limit in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The window over which they were measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// Tenants that were candidates in the last step that was judged.
    #[serde(skip_serializing_if = "is_zero")]
    pub candidates: u32,
    /// Tenants that they were compared with.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: u32,
    /// Natural logarithm of the evidence of the comparison, where one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ln_e: Option<f64>,
    /// Certainty that it follows from that, in `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certainty: Option<f64>,
    /// The smallest ratio to the baseline that the traffic before the decision could have shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// The judge's running sums at the decision, opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(extend("x-kubernetes-preserve-unknown-fields" = true, "type" = "object")))]
    pub judge: Option<serde_json::Value>,
    /// What the candidates' users felt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harm: Option<Harm>,
    /// Counts of both arms around the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
}

/// Counts of both arms from two hours before the decision to two hours after, in equal stretches of whole steps.
///
/// Before the decision the candidates are the tenants that the judge took for such: on the version, and warm. From then
/// on they are all tenants that the version touched, wherever they are on their way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Chart {
    /// Start of the first stretch.
    pub start: Timestamp,
    /// Length of a stretch.
    pub every: Span,
    /// The candidates', per stretch, at most 240.
    #[serde(default, skip_serializing_if = "ArmCounts::is_empty")]
    pub candidates: ArmCounts,
    /// The others', for the same stretches.
    #[serde(default, skip_serializing_if = "ArmCounts::is_empty")]
    pub baseline: ArmCounts,
    /// The worst value per stretch of a `query`, which knows no arms; null where there was none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Option<f64>>,
}

impl Chart {
    /// How many stretches it holds.
    pub fn len(&self) -> usize {
        self.values.len().max(self.candidates.total.len()).max(self.baseline.total.len())
    }

    /// True where it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Start of a stretch; none beyond the calendar.
    pub fn at(&self, index: usize) -> Option<Timestamp> {
        let seconds = i64::try_from(index).ok()?.checked_mul(self.every.as_seconds())?;
        Timestamp::from_second(self.start.as_second().checked_add(seconds)?).ok()
    }
}

/// Events of one arm per stretch. No events: nothing was read, or nobody came.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ArmCounts {
    /// Bad events.
    pub bad: Vec<f64>,
    /// All events.
    pub total: Vec<f64>,
}

impl ArmCounts {
    /// True where there are no stretches.
    pub fn is_empty(&self) -> bool {
        self.total.is_empty()
    }

    /// Share of bad events in a stretch; none without events.
    pub fn share(&self, index: usize) -> Option<f64> {
        let (bad, total) = (*self.bad.get(index)?, *self.total.get(index)?);
        (total > 0.0).then(|| bad / total)
    }
}

/// What users felt, from the first harm on, on tenants that the version touched and that were not back yet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Harm {
    /// From when on it was summed up; absent where nothing was felt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Their bad events.
    pub bad: f64,
    /// All their events.
    pub total: f64,
    /// Bad events beyond what the baseline's ratio, step by step, would have given.
    pub excess: f64,
    /// How many minutes of the whole fleet's error budget that excess spent. An objective's 30 days have 43,200 of them.
    pub budget_minutes: f64,
    /// Tenants with more bad events than the baseline's ratio and their own week before explain.
    pub tenants: u32,
}

/// A tenant that felt it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorstTenant {
    /// `namespace/name`.
    pub tenant: String,
    /// Its bad events since it felt it first, or in the guard's window where nothing else is known.
    pub bad: f64,
    /// All its events in the same time.
    pub total: f64,
    /// Bad events beyond the baseline's ratio in the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<f64>,
    /// When it felt it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Entries of a list that were left out for want of room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Name of the list.
    pub what: String,
    /// How many.
    pub count: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes references")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}
