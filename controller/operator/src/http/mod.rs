//! Stand-in until the real module lands (minutes): metrics that count nothing, health that answers.

use std::time::Duration;
use breakwater_crds::RolloutStatus;
use breakwater_plan::outcome::Purpose;
use crate::execute::{Meter, Outcome};

/// Metrics.
#[derive(Clone, Default, Debug)]
pub struct Metrics {}

impl Metrics {
    /// x
    pub fn forget(&self, _: &str, _: &str) {}
    /// x
    pub fn reconciled(&self, _: Duration) {}
    /// x
    pub fn transition(&self, _: &str) {}
    /// x
    pub fn rollout(&self, _: &str, _: &str, _: &RolloutStatus) {}
    /// x
    pub fn leading(&self, _: bool) {}
}

impl Meter for Metrics {
    fn sent(&self, _: Purpose) {}
    fn settled(&self, _: Purpose, _: &Outcome, _: Duration) {}
}
