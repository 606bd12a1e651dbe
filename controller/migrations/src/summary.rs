//! A review in so few words that they fit a status or a page's line. Pure.

use serde::Serialize;

use crate::{Impact, Revert, Review};

/// The part of a [`Review`] that a gate and a status need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// After this migration.
    pub from: u32,
    /// Up to this one.
    pub to: u32,
    /// When the range may run.
    pub impact: Impact,
    /// What a revert over it needs.
    pub revert: Revert,
    /// How long all files take at the most, in whole seconds, rounded up; `None` where that is not known.
    pub duration_most_s: Option<u64>,
    /// The first reasons of the two verdicts.
    pub reasons: Vec<String>,
    /// How many more reasons there are.
    pub more_reasons: usize,
    /// What to run off-hours beforehand, where that is right.
    pub off_hours_sql: Vec<String>,
    /// The down files by name, in the order to run them.
    pub down_files: Vec<String>,
}

impl Review {
    /// The summary, with at most so many reasons.
    pub fn summary(&self, reasons_max: usize) -> Summary {
        let seconds = |ms: f64| {
            let seconds = (ms / 1000.0).ceil().max(0.0);
            // Whole, not negative, and far below 2^53.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
            let whole = seconds as u64;
            whole
        };
        Summary {
            from: self.from,
            to: self.to,
            impact: self.impact,
            revert: self.revert,
            duration_most_s: self.duration.map(|all| seconds(all.most_ms)),
            reasons: self.reasons.iter().take(reasons_max).cloned().collect(),
            more_reasons: self.reasons.len().saturating_sub(reasons_max),
            off_hours_sql: self.off_hours_sql.clone(),
            down_files: self.down_sql.iter().map(|step| step.file.clone()).collect(),
        }
    }
}
