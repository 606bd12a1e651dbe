//! Traffic that vanishes: the same test, arms swapped, on successes (analysis.md 3). Pure.
//!
//! # Construction
//! Successes take the place of bad events. A tenant's exposure is its own usual successes per step
//! ([`crate::Sample::usual`]), so an arm's rate is its traffic in units of what its tenants usually have, and day cycles
//! cancel between the arms. The *baseline* stands where the candidate stands otherwise: the null is that the baseline
//! has at most `ratio` times the candidates' rate ([`crate::Compare::traffic`]), the alternatives are that it has
//! `ratio * g` times. No margin per request. A candidate with series and without any request counts as zero successes
//! at full exposure: that is the worst case, not missing data.
//!
//! Against the past it is the same: the tenants' successes in the same minute of the week before, over the sum of their
//! usual ones, stand against what they have now. `V` is the lesser of the two, so both must say it: tenants elsewhere sleep
//! at other hours, and a holiday is in everybody's past. Where no baseline is left, the past alone holds. That both must
//! say it also forgives a usual traffic that is too low since the series are younger than the week.

use super::increment::Test;
use super::mixture::Mixture;
use super::onset::Span;
use crate::reading::{Past, Side};

/// Evidence that candidates lost traffic.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Traffic {
    pub(crate) baseline: Mixture,
    pub(crate) past: Mixture,
    pub(crate) span: Span,
}

impl Traffic {
    /// Takes a step. `candidate` and `baseline` hold successes as bad events, usual ones as exposure.
    pub(crate) fn feed(
        &mut self,
        test: &Test,
        (candidate, baseline): (Side, Side),
        past: Option<Past>,
        restart: f64,
        start_seconds: i64,
    ) {
        self.baseline.restart(restart);
        self.past.restart(restart);
        if let Some(increments) = test.increments(baseline, candidate) {
            self.baseline.grow(&increments);
            self.span.add(start_seconds, increments[0], candidate, baseline);
        }
        let past = past.map(|Past { bad: _, exposure: _, good, usual }| Side {
            bad: good,
            exposure: usual,
            requests: 0.0,
        });
        if let Some(increments) = past.and_then(|past| test.increments(past, candidate)) {
            self.past.grow(&increments);
        }
    }

    /// `V`: the lesser of both.
    pub(crate) fn e(&self) -> f64 {
        self.baseline.e().min(self.past.e())
    }
}
