//! What a comparison says; a gate reads the verdict and the sentence, people the metrics. Pure.

pub use breakwater_crds::words::LoadTestVerdict as Verdict;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::Kind;

/// What became of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Change {
    /// Within margin and noise.
    Same,
    /// Certainly worse.
    Worse,
    /// Certainly better.
    Better,
    /// At the histogram's last edge on both sides: the true figures are that or more, and not comparable.
    Clamped,
    /// In the histogram's first bucket on both sides: too fast to tell.
    Unresolved,
    /// The base has it, the candidate does not: not an improvement.
    Vanished,
    /// The candidate has it, the base does not.
    New,
    /// Neither side measured anything.
    NoData,
}

breakwater_crds::names!(Change { Same, Worse, Better, Clamped, Unresolved, Vanished, New, NoData });

/// One metric, compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its kind.
    pub kind: Kind,
    /// Handler or method; empty for the whole server.
    pub name: String,
    /// What it counts for.
    pub verdict: Verdict,
    /// What became of it.
    pub change: Change,
    /// The base's figure (geometric mean of its runs), in the kind's unit.
    pub base: Option<f64>,
    /// The candidate's.
    pub candidate: Option<f64>,
    /// Candidate over base.
    pub ratio: Option<f64>,
    /// Whether the candidate's figure is at the histogram's last edge: the ratio is at least that.
    pub at_least: bool,
    /// Standard deviation of the ratio's logarithm: 0.03 is some 3 %.
    pub noise: Option<f64>,
    /// False discovery rate at which it is worse (p-value after Benjamini and Hochberg).
    pub false_discovery_rate: Option<f64>,
    /// Calls a run.
    pub calls: Option<f64>,
    /// Share of all API (or store) calls, in `[0, 1]`.
    pub traffic_share: Option<f64>,
    /// Why it does not fail though it is worse.
    pub spared: Option<String>,
    /// All of it in words.
    pub sentence: String,
}

/// How many metrics became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Put to a test.
    pub compared: usize,
    /// Certainly worse.
    pub worse: usize,
    /// Certainly better.
    pub better: usize,
    /// At the last edge on both sides.
    pub clamped: usize,
    /// In the first bucket on both sides.
    pub unresolved: usize,
    /// Gone.
    pub vanished: usize,
    /// Come.
    pub new: usize,
    /// Measured by neither.
    pub no_data: usize,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Labels of its runs.
    pub runs: Vec<String>,
    /// When the first began.
    pub from: Option<Timestamp>,
    /// When the last ended.
    pub until: Option<Timestamp>,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The answer.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub sentence: String,
    /// The side that is compared with.
    pub base: Side,
    /// The side in question.
    pub candidate: Side,
    /// How many metrics became what.
    pub counts: Counts,
    /// The smallest ratio that would have been found on the average of a typical API handler.
    pub could_detect: Option<f64>,
    /// The few metrics that matter: those that fail, then those that warn, by what users feel of them.
    pub findings: Vec<Metric>,
    /// Names that the candidate no longer has, such as `createPost (API)`; at most `Rules::shown`.
    pub vanished: Vec<String>,
    /// Names that the base does not have; at most `Rules::shown`.
    pub appeared: Vec<String>,
    /// What was wrong with the inputs, and what could not be seen.
    pub notes: Vec<String>,
    /// Every metric; empty in what [`Comparison::bounded`] made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

impl Comparison {
    /// Without the table of all metrics: small enough for a status.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self { metrics: Vec::new(), ..self }
    }
}
