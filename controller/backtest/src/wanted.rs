//! What is asked of a backtest, and what a first look at Prometheus found. Pure, data.

use std::sync::Arc;

use breakwater_crds::Percent;
use breakwater_plan::spec::Checked;

use crate::{inject::Inject, outcome::instant};

/// What is asked for.
pub struct Wanted<'a> {
    /// `(namespace, name)` of the Rollout.
    pub rollout: (&'a str, &'a str),
    /// Its spec.
    pub checked: &'a Checked,
    /// Indices of the SLOs that are asked for.
    pub slos: Vec<usize>,
    /// After this, unix seconds.
    pub from_seconds: i64,
    /// Up to this.
    pub until_seconds: i64,
    /// The faults.
    pub injects: Vec<Inject>,
    /// Share of the tenants that a selector wave is taken to have.
    pub selector_share: Percent,
    /// Another draw than the rollout's own.
    pub seed: Option<u64>,
}

impl Wanted<'_> {
    /// What to say of an SLO whose total has no series in all that time.
    pub fn no_series(&self) -> String {
        let (from, until) = (instant(self.from_seconds), instant(self.until_seconds));
        format!(
            "NoHistory: its total has no series from {from} to {until}; check the selector, --from and --prometheus"
        )
    }
}

/// What the first look at an SLO found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its index in the spec.
    pub slo: usize,
    /// The tenants that its series name, of all that time.
    pub names: Vec<Arc<str>>,
    /// Unix seconds from which on there are series.
    pub first_seconds: i64,
    /// Length of a step, in seconds.
    pub step_seconds: i64,
    /// How long after its end a step is read by the controller, in seconds.
    pub lag_seconds: i64,
}
