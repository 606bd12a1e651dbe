//! From a step's buckets, tenant by tenant, to tails by arm: nothing of one tenant outlives the step (analysis.md 2). Pure.

use breakwater_slo::{Arm, Counts, Sample, Series, Tail};

use crate::observed::Slower;

/// Pools what lay above each edge.
#[derive(Debug)]
pub struct Pool {
    tails: Vec<Tail>,
}

impl Pool {
    /// Begins a step; no edges, no tails.
    pub fn new(slower: &Slower) -> Self {
        let tail = |edge: &f64| Tail { edge_seconds: *edge, ..Tail::default() };
        Self { tails: slower.edges().iter().map(tail).collect() }
    }

    /// Adds a tenant: `above` and `own` say of an edge, in seconds, how many events were slower, and what share of them
    /// was before its update. Where one of them is not known the tenant is in neither arm of that edge: no news, and not
    /// good news. Whoever weighs nothing in the comparison weighs nothing here.
    pub fn add(
        &mut self,
        sample: &Sample,
        above: impl Fn(f64) -> Option<f64>,
        own: impl Fn(f64) -> Option<f64>,
    ) {
        let Series::Counted(Counts { bad: _, total }) = sample.series else { return };
        if sample.burned_before || sample.arm == Arm::Warming {
            return;
        }
        for tail in &mut self.tails {
            if let Some((above, own)) = above(tail.edge_seconds).zip(own(tail.edge_seconds)) {
                // In single precision a part can be larger than the whole by a ten-millionth.
                tail.add(sample.arm, above.min(total), total, own);
            }
        }
    }

    /// The tails, edges ascending.
    pub fn tails(self) -> Vec<Tail> {
        self.tails
    }
}

#[cfg(test)]
mod tests {
    use breakwater_slo::TenantId;

    use super::*;

    fn sample(arm: Arm, total: f64) -> Sample {
        Sample {
            tenant: TenantId(1),
            arm,
            series: Series::Counted(Counts { bad: 0.0, total }),
            instrumented: true,
            burned_before: false,
            own: Some(0.01),
            usual: None,
        }
    }

    #[test]
    fn arms_are_pooled_edge_by_edge_in_units_of_each_tenants_own() {
        let mut pool = Pool::new(&Slower::new([0.25, 1.0].into(), []));
        pool.add(&sample(Arm::Candidate, 100.0), |edge| Some(30.0 / edge), |_| Some(0.5));
        pool.add(&sample(Arm::Candidate, 10.0), |_| Some(4.0), |edge| (edge < 0.5).then_some(0.1));
        pool.add(&sample(Arm::Baseline, 10.0), |edge| (edge > 0.5).then_some(1.0), |_| Some(0.2));
        let tails = pool.tails();
        let side = |side: breakwater_slo::Side| (side.bad, side.exposure, side.requests);
        assert_eq!(side(tails[0].candidate), (104.0, 51.0, 110.0), "no more above an edge than there are");
        assert_eq!(side(tails[0].baseline), (0.0, 0.0, 0.0), "an edge that is not there is no good news");
        assert_eq!(side(tails[1].candidate), (30.0, 50.0, 100.0));
        assert_eq!(side(tails[1].baseline), (1.0, 2.0, 10.0));
    }

    #[test]
    fn r14_who_burned_before_warms_up_or_was_not_counted_is_in_no_arm() {
        let mut pool = Pool::new(&Slower::new([0.25].into(), []));
        let good = sample(Arm::Candidate, 100.0);
        for none in [
            Sample { burned_before: true, ..good },
            Sample { arm: Arm::Warming, ..good },
            Sample { series: Series::Idle, ..good },
            Sample { series: Series::Absent, ..good },
        ] {
            pool.add(&none, |_| Some(1.0), |_| Some(0.5));
        }
        assert_eq!(pool.tails(), [Tail { edge_seconds: 0.25, ..Tail::default() }]);
    }
}
