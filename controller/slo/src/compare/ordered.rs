//! Samples in order of tenants, and what of a sample weighs in the comparison. Pure.

use crate::reading::{Arm, Counts, Sample, Series, Side};

/// Samples of one step in order of tenants, so that sums do not depend on the order in which they came, and rows and
/// samples are walked side by side.
pub(crate) struct Ordered<'a> {
    samples: &'a [Sample],
    /// Empty where the samples are in order already.
    order: &'a [u32],
}

impl<'a> Ordered<'a> {
    /// `scratch` holds the last step's order: most often it is this one's as well.
    pub(crate) fn new(samples: &'a [Sample], scratch: &'a mut Vec<u32>) -> Self {
        if samples.is_sorted_by_key(|sample| sample.tenant) {
            return Self { samples, order: &[] };
        }
        let tenant = |at: &u32| samples.get(*at as usize).map(|sample| sample.tenant);
        if scratch.len() != samples.len() {
            scratch.clear();
            scratch.extend((0..samples.len()).filter_map(|at| u32::try_from(at).ok()));
        }
        if !scratch.is_sorted_by_key(tenant) {
            scratch.sort_unstable_by_key(tenant);
        }
        Self { samples, order: scratch }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a Sample> {
        let (samples, order) = (self.samples, self.order);
        let straight = if order.is_empty() { samples } else { &[] };
        straight.iter().chain(order.iter().filter_map(move |at| samples.get(*at as usize)))
    }
}

/// What the sample weighs in its arm: nothing without its own ratio, without counts, or where it burned before (R14:
/// what it was like then is no measure for now).
pub(crate) fn weighed(sample: &Sample) -> Option<Side> {
    let own = sample.own.filter(|own| own.is_finite() && *own > 0.0 && !sample.burned_before)?;
    match sample.series {
        Series::Counted(Counts { bad, total }) => {
            let Counts { bad, total } = Counts::checked(bad, total).ok()?;
            Some(Side { bad, exposure: total * own, requests: total })
        }
        Series::Idle | Series::Absent | Series::Discarded(_) => None,
    }
}

/// The traffic of the sample against its usual one: successes in place of bad events. No request at all counts as well,
/// where there are series: it is what the test looks for.
pub(crate) fn traffic(sample: &Sample) -> Option<Side> {
    let usual = sample.usual.filter(|usual| usual.is_finite() && *usual > 0.0 && !sample.burned_before)?;
    let good = match sample.series {
        Series::Counted(Counts { bad, total }) => {
            let Counts { bad, total } = Counts::checked(bad, total).ok()?;
            total - bad
        }
        Series::Idle => 0.0,
        Series::Absent | Series::Discarded(_) => return None,
    };
    Some(Side { bad: good, exposure: usual, requests: 0.0 })
}

/// Pooled sides of one step: candidates, baseline.
pub(crate) fn pooled<'a>(
    samples: impl Iterator<Item = &'a Sample>,
    of: impl Fn(&Sample) -> Option<Side>,
) -> (Side, Side) {
    let (mut candidate, mut baseline) = (Side::default(), Side::default());
    for sample in samples {
        if let Some(side) = of(sample) {
            match sample.arm {
                Arm::Candidate => candidate.add(side),
                Arm::Baseline => baseline.add(side),
                Arm::Warming => {}
            }
        }
    }
    (candidate, baseline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::TenantId;

    fn sample(tenant: u64) -> Sample {
        let series = Series::Counted(Counts { bad: 1.0, total: 9.0 });
        let (instrumented, burned_before) = (true, false);
        let tenant = TenantId(tenant);
        let arm = Arm::Candidate;
        Sample { tenant, arm, series, instrumented, burned_before, own: Some(0.1), usual: Some(8.0) }
    }

    #[test]
    fn samples_come_in_order_of_tenants_also_when_another_step_left_its_order() {
        let mut scratch = Vec::new();
        for ids in [vec![3, 1, 2], vec![1, 2, 3], vec![2, 3, 1], vec![9, 8], vec![5, 4, 3, 2], vec![]] {
            let samples: Vec<Sample> = ids.iter().copied().map(sample).collect();
            let ordered = Ordered::new(&samples, &mut scratch);
            let mut sorted = ids.clone();
            sorted.sort_unstable();
            assert_eq!(ordered.iter().map(|sample| sample.tenant.0).collect::<Vec<_>>(), sorted);
        }
    }

    #[test]
    fn what_cannot_be_counted_and_who_burned_before_weighs_nothing() {
        let good = sample(1);
        assert_eq!(weighed(&good), Some(Side { bad: 1.0, exposure: 0.9, requests: 9.0 }));
        assert_eq!(traffic(&good), Some(Side { bad: 8.0, exposure: 8.0, requests: 0.0 }));
        let idle = Sample { series: Series::Idle, ..good };
        assert_eq!((weighed(&idle), traffic(&idle).map(|side| side.bad)), (None, Some(0.0)));
        for none in [
            Sample { burned_before: true, ..good },
            Sample { own: None, usual: None, ..good },
            Sample { own: Some(f64::NAN), usual: Some(f64::INFINITY), ..good },
            Sample { own: Some(0.0), usual: Some(-1.0), ..good },
            Sample { series: Series::Absent, ..good },
            Sample { series: Series::Counted(Counts { bad: 2.0, total: 1.0 }), ..good },
        ] {
            assert_eq!((weighed(&none), traffic(&none)), (None, None), "{none:?}");
        }
    }
}
