//! What was observed, with the time, and what is worked out of it at most once per plan. Pure.

use std::{collections::BTreeSet, ops::Deref};

use breakwater_crds::{Span, rollout::RolloutSpec, slo::Slo};
use jiff::Timestamp;

use crate::{
    observed::{Listing, Observed, SloReading},
    roster::own,
};

/// A version that a tenant runs, and the one that it came from by our hand.
type Running<'a> = (&'a str, Option<&'a str>);

/// The observation that a plan is made of. No step changes it.
pub(crate) struct Input<'a> {
    observed: &'a Observed<'a>,
    /// The time.
    pub(crate) now: Timestamp,
    /// What a fleet runs: few versions. Without Releases nobody asks, and no tenant is looked at for it.
    running: BTreeSet<Running<'a>>,
}

impl<'a> Deref for Input<'a> {
    type Target = Observed<'a>;

    fn deref(&self) -> &Observed<'a> {
        self.observed
    }
}

impl<'a> Input<'a> {
    pub(crate) fn new(observed: &'a Observed<'a>, now: Timestamp) -> Self {
        let asks = !observed.elsewhere.releases.is_empty();
        Self { observed, now, running: if asks { pairs(observed) } else { BTreeSet::new() } }
    }

    /// The accepted spec.
    pub(crate) fn spec(&self) -> &'a RolloutSpec {
        &self.observed.asked.spec.spec
    }

    /// The accepted spec's SLOs.
    pub(crate) fn slos(&self) -> &'a [Slo] {
        &self.spec().slos
    }

    /// What was read for one SLO.
    pub(crate) fn reading(&self, slo: usize) -> Option<&'a SloReading> {
        self.observed.measured.readings.get(slo)
    }

    /// Length of an SLO's step, in seconds; 0 while it is not known.
    pub(crate) fn step_seconds(&self, slo: usize) -> i64 {
        self.reading(slo).map_or(0, |reading| reading.step_seconds)
    }

    /// When a time limit that began at `at` ends, by a clock that may have been wrong.
    pub(crate) fn deadline(&self, at: Timestamp, limit: Span) -> Timestamp {
        self.clock.deadline(at, limit, self.now)
    }

    /// True when the list of tenants may be relied on.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.observed.fleet.listing, Listing::Complete)
    }

    /// Versions that tenants of this Rollout run, or came from to `version`, where there are Releases; `version` itself is
    /// not among them.
    pub(crate) fn running(&self, version: &str) -> BTreeSet<&'a str> {
        let of = |(found, previous): &Running<'a>| {
            if *found == version { *previous } else { Some(*found) }
        };
        self.running.iter().filter_map(of).filter(|found| *found != version).collect()
    }
}

fn pairs<'a>(observed: &Observed<'a>) -> BTreeSet<Running<'a>> {
    let mut pairs = BTreeSet::new();
    for tenant in observed.fleet.tenants {
        let own = own(tenant);
        let claimed = tenant.marker.as_deref().is_some_and(|marker| marker.claim.is_foreign());
        let ours = own.is_some() || (tenant.selected && !tenant.excluded);
        let there = tenant.consented && !tenant.terminating && !claimed;
        if let Some(version) = tenant.version.version().filter(|_| ours && there) {
            pairs.insert((&**version, own.map(|marker| &*marker.previous)));
        }
    }
    pairs
}
