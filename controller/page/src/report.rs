//! A `DeviationReport` as people read it: one HTML file with charts, Markdown for a ticket. Pure.

mod facts;
mod html;
mod markdown;
mod plot;

use breakwater_crds::{DeviationReportSpec, DeviationReportStatus};
pub use facts::{DOWN_STEPS, attribution, figures, headline, investigation, outcome, rejected_for, times};
pub use html::html;
pub use markdown::markdown;

/// A report and its name.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it is about, and what people found out.
    pub spec: &'a DeviationReportSpec,
    /// The controller's account.
    pub status: &'a DeviationReportStatus,
}

#[cfg(test)]
mod tests;
