//! The truth about harm, from the model itself and not from what was measured. Pure.

use std::collections::BTreeSet;

use super::traffic::{Population, Tenant};

/// Length of a slice that is looked at, in seconds.
const SLICE: i64 = 60;
/// Below this, in added share of bad, slow or nearly slow requests, nobody feels anything.
const FELT: f64 = 1e-4;

/// What a version did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Harm {
    /// Tenants that were ever on it.
    pub tenants: BTreeSet<usize>,
    /// Unix seconds of the first slice in which somebody felt it.
    pub first: Option<i64>,
    /// Minutes that tenants spent on it while its fault showed, summed over tenants.
    pub tenant_minutes: f64,
    /// Failed, slow and nearly slow requests in excess.
    pub excess: f64,
}

/// Sums the harm of a version up to `until` (unix seconds).
pub fn of(all: &Population, version: &str, until: i64) -> Harm {
    let mut harm = Harm::default();
    let fault = all.faults.get(version);
    for (index, tenant) in all.tenants.iter().enumerate() {
        for (n, run) in tenant.runs.iter().enumerate().filter(|(_, run)| &*run.version == version) {
            harm.tenants.insert(index);
            if fault.is_none_or(|fault| !all.affected(tenant, fault)) {
                continue;
            }
            let to = tenant.runs.get(n + 1).map_or(until, |next| next.from).min(until);
            let mut at = run.from;
            while at < to {
                add(all, tenant, at, SLICE.min(to - at), &mut harm);
                at += SLICE;
            }
        }
    }
    harm
}

fn add(all: &Population, tenant: &Tenant, at: i64, seconds: i64, harm: &mut Harm) {
    let middle = at + seconds / 2;
    let (with, without) = (all.expected(tenant, middle, true), all.expected(tenant, middle, false));
    let lost = (without.rate - with.rate).max(0.0);
    let slower = (with.slow - without.slow).max(0.0) + (with.near - without.near).max(0.0);
    let added = (with.errors - without.errors).max(0.0) + slower;
    let excess = (with.rate * added + lost) * seconds as f64;
    let felt = added > FELT || lost > without.rate * FELT;
    if felt && without.rate > 0.0 {
        harm.first = Some(harm.first.map_or(at, |first| first.min(at)));
        harm.tenant_minutes += seconds as f64 / 60.0;
        harm.excess += excess;
    }
}
