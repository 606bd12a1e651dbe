//! The seven days before a wave: what each tenant was like, and what of that was usual (R14, analysis.md 2). Pure.

use breakwater_slo::{Counts, Own, TenantId, own_ratios};

use crate::observed::{ByTenant, Slower, Walk};

/// The seven days that own ratios are of, in seconds.
const WEEK_SECONDS: f64 = 7.0 * 86_400.0;

/// Bad and total events of every tenant over seven days, and what is usual by them.
#[derive(Debug, Clone, PartialEq)]
pub struct Week {
    counts: ByTenant<Counts>,
    own: Option<Own>,
    slower: Slower,
    /// Per edge of `slower`.
    own_slower: Vec<Option<Own>>,
}

impl Week {
    /// From the sums.
    pub fn new(counts: ByTenant<Counts>) -> Self {
        let own = own_ratios(counts.as_slice().iter().map(|(_, counts)| *counts));
        Self { counts, own, slower: Slower::default(), own_slower: Vec::new() }
    }

    /// With what lay above the edges of a latency's shape, in order of the tenants' ids.
    #[must_use]
    pub fn with_slower(self, slower: Slower) -> Self {
        let counts = self.counts.as_slice();
        let slower = slower.of(counts.len());
        let fleet = |edge: &f64| {
            let above = counts.iter().enumerate().filter_map(|(place, (_, counts))| {
                Some(Counts { bad: slower.above(place, *edge)?, total: counts.total })
            });
            own_ratios(above)
        };
        let own_slower = slower.edges().iter().map(fleet).collect();
        Self { slower, own_slower, ..self }
    }

    /// Of some tenants alone, as they were frozen: what is usual is the whole fleet's, `fleet` of all events being bad, and
    /// `slower_fleet` of them above each edge.
    pub fn frozen(
        counts: ByTenant<Counts>,
        fleet: Option<f64>,
        slower: Slower,
        slower_fleet: &[f64],
    ) -> Self {
        let own = |fleet: f64| (fleet > 0.0 && fleet <= 1.0).then_some(Own { fleet });
        let slower = slower.of(counts.as_slice().len());
        let own_slower = (0..slower.edges().len()).map(|edge| own(*slower_fleet.get(edge)?)).collect();
        Self { counts, own: fleet.and_then(own), slower, own_slower }
    }

    /// Share of bad events over the whole fleet; `None` where nobody had any event.
    pub fn fleet(&self) -> Option<f64> {
        self.own.map(|own| own.fleet)
    }

    /// Share of events above each edge over the whole fleet; `None` where nobody's are known.
    pub fn slower_fleet(&self) -> impl Iterator<Item = Option<f64>> {
        self.own_slower.iter().map(|own| own.map(|own| own.fleet))
    }

    /// The sums.
    pub fn counts(&self) -> &ByTenant<Counts> {
        &self.counts
    }

    /// What lay above the edges, beside [`Week::counts`].
    pub fn slower(&self) -> &Slower {
        &self.slower
    }

    /// Looks tenants up one after the other.
    pub fn walk(&self) -> Weekly<'_> {
        Weekly { week: self, walk: self.counts.walk() }
    }

    /// A tenant's own share of bad events, shrunk to the fleet's; `None` without requests.
    pub fn ratio(&self, counts: Counts) -> Option<f64> {
        self.own?.ratio(counts)
    }

    /// A tenant's good events per step, on average.
    pub fn usual(counts: Counts, step_seconds: i64) -> Option<f64> {
        let usual = (counts.total - counts.bad) * step_seconds as f64 / WEEK_SECONDS;
        Some(usual).filter(|usual| *usual > 0.0)
    }
}

/// A week that is walked through in order of the tenants' ids.
#[derive(Debug)]
pub struct Weekly<'a> {
    week: &'a Week,
    walk: Walk<'a, Counts>,
}

impl<'a> Weekly<'a> {
    /// What there is of one tenant.
    pub fn get(&mut self, tenant: TenantId) -> Option<InWeek<'a>> {
        let (place, counts) = self.walk.find(tenant)?;
        Some(InWeek { week: self.week, place, counts: *counts })
    }
}

/// One tenant in its week.
#[derive(Debug, Clone, Copy)]
pub struct InWeek<'a> {
    week: &'a Week,
    place: usize,
    /// Its events.
    pub counts: Counts,
}

impl InWeek<'_> {
    /// Its own share of bad events, shrunk to the fleet's; `None` without requests.
    pub fn own(&self) -> Option<f64> {
        self.week.ratio(self.counts)
    }

    /// Its own share of events above an edge, shrunk to the fleet's; `None` where that is not known.
    pub fn own_above(&self, edge_seconds: f64) -> Option<f64> {
        let Week { slower, own_slower, .. } = self.week;
        let column = slower.edges().iter().position(|edge| edge.total_cmp(&edge_seconds).is_eq())?;
        let bad = slower.above(self.place, edge_seconds)?;
        (*own_slower.get(column)?)?.ratio(Counts { bad: bad.min(self.counts.total), ..self.counts })
    }

    /// Its good events per step, on average.
    pub fn usual(&self, step_seconds: i64) -> Option<f64> {
        Week::usual(self.counts, step_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ratios_are_of_the_week_and_usual_is_per_step() {
        let counts = Counts { bad: 604.8, total: 604_800.0 };
        let week = Week::new(ByTenant::new(vec![(TenantId(1), counts)]));
        assert!(week.ratio(counts).is_some_and(|ratio| (ratio - 0.001).abs() < 1e-6));
        assert!(Week::usual(counts, 60).is_some_and(|usual| (usual - 59.94).abs() < 1e-9));
        assert_eq!(week.ratio(Counts { bad: 0.0, total: 0.0 }), None);
        assert!(week.walk().get(TenantId(1)).is_some_and(|tenant| tenant.own_above(0.5).is_none()));
    }

    #[test]
    fn a_tenants_own_share_above_an_edge_is_shrunk_to_the_fleets_and_survives_freezing() {
        let total = Counts { bad: 0.0, total: 100_000.0 };
        let counts: ByTenant<Counts> = (0..3).map(|tenant| (TenantId(tenant), total)).collect();
        let above = [Some(30_000.0), Some(10.0), Some(10_000.0), None, Some(20_000.0), Some(20.0)];
        let week = Week::new(counts.clone()).with_slower(Slower::new([0.25, 2.5].into(), above));
        let own = |week: &Week, tenant, edge| week.walk().get(TenantId(tenant)).unwrap().own_above(edge);
        assert!(own(&week, 0, 0.25).is_some_and(|own| (own - 0.3).abs() < 1e-3));
        assert!(own(&week, 1, 0.25).is_some_and(|own| (own - 0.1).abs() < 1e-3));
        // Ten of a hundred thousand are few: half the way to the fleet's 15.
        assert!(own(&week, 0, 2.5).is_some_and(|own| own > 1.3e-4 && own < 1.5e-4));
        assert_eq!((own(&week, 1, 2.5), own(&week, 0, 1.0)), (None, None), "not known, and no edge");
        let fleets: Vec<f64> = week.slower_fleet().map(Option::unwrap).collect();
        let frozen = Week::frozen(counts, week.fleet(), week.slower().clone(), &fleets);
        assert_eq!(frozen, week);
        let unknown = Week::frozen(week.counts().clone(), None, week.slower().clone(), &[0.0, f64::NAN]);
        assert_eq!((own(&unknown, 0, 0.25), own(&unknown, 0, 2.5)), (None, None));
    }
}
