//! Draws of requests: exact, cheap, and the same whoever asks when. Pure.
//!
//! A Poisson number of requests of which each is bad, slow, both or neither by chance is four independent Poisson numbers
//! (thinning), whose means stay the same as long as nothing happens to the tenant.

use super::{
    chance::{Poisson, mix},
    traffic::{Calm, Expected, Population, Requests, SLICE, Tenant},
};

/// Requests by what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Good = 1,
    Bad,
    Slow,
    BadAndSlow,
}

/// What is known of one tenant, so that it need not be computed for every step again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    calm: Option<(i64, Calm)>,
    /// What the draws are made for, and the step.
    expected: Option<(Expected, i64)>,
    good: Poisson,
    bad: Poisson,
    slow: Poisson,
    both: Poisson,
    near: f64,
}

impl Known {
    /// The requests of the tenant, always the same one, in the step that ends at `end`.
    pub fn requests(&mut self, all: &Population, tenant: &Tenant, end: i64, step_seconds: i64) -> Requests {
        // The middle of the step stands for it.
        let at = end - step_seconds / 2;
        let slice = at.div_euclid(SLICE);
        let calm = match self.calm {
            Some((known, calm)) if known == slice => calm,
            Some(_) | None => all.calm(tenant, slice),
        };
        self.calm = Some((slice, calm));
        self.expect(all.expected_in(tenant, calm, at, true), step_seconds);
        let seed = mix(tenant.key(), &[end.cast_unsigned()]);
        let draw = |of: Poisson, fate: Fate| of.draw(mix(seed, &[fate as u64]));
        let (good, both) = (draw(self.good, Fate::Good), draw(self.both, Fate::BadAndSlow));
        let (bad, slow) = (draw(self.bad, Fate::Bad), draw(self.slow, Fate::Slow));
        let near = self.near;
        Requests { total: good + bad + slow + both, bad: bad + both, slow: slow + both, near }
    }

    fn expect(&mut self, expected: Expected, step_seconds: i64) {
        if self.expected == Some((expected, step_seconds)) {
            return;
        }
        let Expected { rate, errors, slow, near } = expected;
        let mean = rate * step_seconds as f64;
        self.good = Poisson::of(mean * (1.0 - errors) * (1.0 - slow));
        self.bad = Poisson::of(mean * errors * (1.0 - slow));
        self.slow = Poisson::of(mean * (1.0 - errors) * slow);
        self.both = Poisson::of(mean * errors * slow);
        self.near = mean * near;
        self.expected = Some((expected, step_seconds));
    }
}

/// Draws of all tenants, a step at a time.
#[derive(Debug, Default)]
pub struct Draws {
    known: Vec<Known>,
    /// The end and the length of the step that was drawn last.
    step: (i64, i64),
    requests: Vec<Requests>,
}

impl Draws {
    /// The requests of all tenants in a step, in their order. The step that was asked for last is not drawn again: every
    /// SLO asks for the same, and what a tenant runs changes only from now on.
    pub fn step(&mut self, all: &Population, end: i64, step_seconds: i64) -> &[Requests] {
        let tenants = &all.tenants;
        self.known.resize(tenants.len(), Known::default());
        if self.step != (end, step_seconds) || self.requests.len() != tenants.len() {
            let drawn = self.known.iter_mut().zip(tenants);
            self.requests.clear();
            self.requests.extend(drawn.map(|(known, tenant)| known.requests(all, tenant, end, step_seconds)));
            self.step = (end, step_seconds);
        }
        &self.requests
    }
}

#[cfg(test)]
mod tests {
    use breakwater_crds::Percent;

    use super::*;
    use crate::fleet::{Fault, FleetSpec};

    const MONDAY: i64 = 1_767_571_200; // 2026-01-05

    #[test]
    fn what_is_known_of_a_tenant_changes_nothing_but_the_time_it_takes() {
        let mut all =
            Population::new(FleetSpec { tenants: 20, ..FleetSpec::default() }, "tenants", 5, MONDAY);
        all.faults.insert("2".into(), Fault { errors: Some(Percent::of_ratio(0.5)), ..Fault::default() });
        let mut draws = Draws::default();
        for n in 0..200_i64 {
            // Forth, back, in steps of two lengths.
            let (end, step) = (MONDAY + (n * 7 % 113) * 60, if n % 3 == 0 { 30 } else { 60 });
            if n == 100 {
                (0..10).for_each(|tenant| all.runs(tenant, "2", MONDAY + 3_600));
            }
            let found = draws.step(&all, end, step).to_vec();
            let afresh: Vec<Requests> =
                all.tenants.iter().map(|tenant| all.requests(tenant, end, step)).collect();
            assert_eq!(found, afresh);
            assert!(found.iter().all(|r| r.bad <= r.total && r.slow <= r.total && r.bad >= 0.0));
        }
    }
}
