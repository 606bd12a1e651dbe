//! Counts per candidate over the sharp path's long window: which tenants are guilty. Kept in memory only. Pure.
//!
//! Every candidate *with requests* in the window is kept, not only those with bad ones: a tenant's share of bad
//! events needs all of its events, also those of the minutes before its first bad one. Without them a tenant with
//! a thousand good requests a minute and one bad would be as guilty as one that fails altogether. About 150 bytes each.

use std::collections::BTreeMap;

use crate::config::{Config, whole_steps};
use crate::reading::{Arm, Counts, Sample, Series, TenantId};
use crate::window::Tally;

/// Most slots per tenant; coarser than the pooled windows, since there is one row per tenant.
const SLOTS_MAX: i64 = 10;

/// Short windows of the candidates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    until_seconds: Option<i64>,
    /// Per tenant the slots with events: number (unix seconds over the slot's width), sum. Oldest first.
    tenants: BTreeMap<TenantId, Vec<(i64, Tally)>>,
}

impl Recent {
    /// Adds the step that ends at `end_seconds`, unless it, or a later one, is in already.
    pub(crate) fn feed(&mut self, config: &Config, end_seconds: i64, samples: &[Sample]) {
        let step = config.step();
        if self.until_seconds.is_some_and(|until| end_seconds.saturating_sub(until) < step) {
            return;
        }
        self.until_seconds = Some(end_seconds);
        let steps = whole_steps(config.sharp.long_seconds, step);
        let steps_per_slot = whole_steps(steps, SLOTS_MAX);
        let number = end_seconds.saturating_sub(step).div_euclid(step.saturating_mul(steps_per_slot));
        let oldest = number.saturating_sub(whole_steps(steps, steps_per_slot));
        self.tenants.retain(|_, slots| {
            slots.retain(|(number, _)| *number > oldest);
            !slots.is_empty()
        });
        for sample in samples {
            if let Some(tally) =
                counted(sample).filter(|tally| !tally.is_empty() && sample.arm == Arm::Candidate)
            {
                let slots = self.tenants.entry(sample.tenant).or_default();
                match slots.last_mut() {
                    Some((newest, sum)) if *newest == number => sum.add(tally),
                    Some(_) | None => slots.push((number, tally)),
                }
            }
        }
    }

    /// Tenants with a bad event whose share of bad events is `limit` or more: most bad events beyond the limit first.
    pub(crate) fn guilty(&self, limit: f64) -> Vec<(TenantId, Counts)> {
        let mut guilty: Vec<(TenantId, Counts)> = Vec::new();
        for (tenant, slots) in &self.tenants {
            let mut sum = Tally::default();
            for (_, tally) in slots {
                sum.add(*tally);
            }
            let counts = sum.counts();
            if sum.holds_bad(1) && counts.ratio().is_some_and(|share| share >= limit) {
                guilty.push((*tenant, counts));
            }
        }
        let excess = |counts: &Counts| counts.bad - limit * counts.total;
        guilty.sort_by(|(a_id, a), (b_id, b)| excess(b).total_cmp(&excess(a)).then(a_id.cmp(b_id)));
        guilty
    }
}

/// The counts of a sample that guards may act on, if they can be counted.
pub(crate) fn counted(sample: &Sample) -> Option<Tally> {
    match sample.series {
        Series::Counted(counts) if !sample.burned_before => {
            Counts::checked(counts.bad, counts.total).ok().map(Tally::of)
        }
        Series::Counted(_) | Series::Idle | Series::Absent | Series::Discarded(_) => None,
    }
}
