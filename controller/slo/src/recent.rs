//! Counts per candidate over the sharp path's long window: which tenants are guilty. Kept in memory only. Pure.
//!
//! Every candidate *with requests* in the window is kept, not only those with bad ones: a tenant's share of bad
//! events needs all of its events, also those of the minutes before its first bad one. Without them a tenant with
//! a thousand good requests a minute and one bad would be as guilty as one that fails altogether.
//!
//! Rows lie densely in order of tenants, each a ring of slots: a step is a walk along rows and samples, without
//! allocation unless a tenant is new. 88 bytes a tenant for the default window.

use std::sync::Arc;

use crate::compare::ordered::Ordered;
use crate::config::{Config, whole_steps};
use crate::reading::{Arm, Counts, Sample, Series, TenantId};
use crate::window::{Tally, without_worst, worst_slots};

/// Most slots per tenant; coarser than the pooled windows, since there is one row per tenant.
const SLOTS_MAX: i64 = 10;
/// Rows without events that are kept beside as many as there are with events, before they are thrown out.
const IDLE_ROWS: usize = 64;

/// Short windows of the candidates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    until_seconds: Option<i64>,
    /// Shared between copies of the state, and copied when one of them takes a step.
    rows: Arc<Rows>,
}

#[derive(Debug, Clone, Default)]
struct Rows {
    /// Slots of a row, and the seconds of a slot: rows of another division are thrown away.
    slots: usize,
    slot_seconds: i64,
    /// Number of the newest slot: unix seconds over its width.
    newest: i64,
    /// Ascending.
    tenants: Vec<TenantId>,
    /// One ring per tenant, in the same order; slot `number` lies at `number` modulo `slots`.
    sums: Vec<Tally>,
    /// Tenants that a step brings, until they are merged.
    fresh: Vec<(TenantId, Tally)>,
}

impl Recent {
    /// Adds the step that ends at `end_seconds`, unless it, or a later one, is in already.
    pub(crate) fn feed(&mut self, config: &Config, end_seconds: i64, samples: &Ordered<'_>) {
        let step = config.step();
        if self.until_seconds.is_some_and(|until| end_seconds.saturating_sub(until) < step) {
            return;
        }
        self.until_seconds = Some(end_seconds);
        let steps = whole_steps(config.sharp.long_seconds, step);
        let steps_per_slot = whole_steps(steps, SLOTS_MAX);
        let slots = usize::try_from(whole_steps(steps, steps_per_slot)).unwrap_or(1);
        let slot_seconds = step.saturating_mul(steps_per_slot);
        let number = end_seconds.saturating_sub(step).div_euclid(slot_seconds);
        let rows = Arc::make_mut(&mut self.rows);
        if (rows.slots, rows.slot_seconds) != (slots, slot_seconds) {
            *rows = Rows { slots, slot_seconds, newest: number, ..Rows::default() };
        }
        rows.advance(number);
        let with_events = rows.add(samples);
        if rows.tenants.len() > 2 * with_events + IDLE_ROWS {
            rows.compact();
        }
    }

    /// Forgets what was counted of these tenants.
    pub(crate) fn forgive(&mut self, tenants: &[TenantId]) {
        let rows = Arc::make_mut(&mut self.rows);
        for tenant in tenants {
            if let Ok(at) = rows.tenants.binary_search(tenant) {
                rows.sums[at * rows.slots..(at + 1) * rows.slots].fill(Tally::default());
            }
        }
    }

    /// Tenants with a bad event whose share of bad events is `limit` or more: most bad events beyond the limit first.
    pub(crate) fn guilty(&self, limit: f64) -> Vec<(TenantId, Counts)> {
        self.beyond(limit, 0)
    }

    /// Those of them that would be guilty without their worst `seconds` as well: what fails fails again, a burst does not.
    /// Where the window has no room for that, all of them.
    pub(crate) fn lasting(&self, limit: f64, seconds: i64) -> Vec<(TenantId, Counts)> {
        let Rows { slots, slot_seconds, .. } = *self.rows;
        self.beyond(limit, worst_slots(seconds, slot_seconds, slots))
    }

    /// Guilty, with so many of the worst slots left out of account.
    fn beyond(&self, limit: f64, worst: usize) -> Vec<(TenantId, Counts)> {
        let rows = &*self.rows;
        let mut guilty: Vec<(TenantId, Counts)> = Vec::new();
        for (tenant, slots) in rows.tenants.iter().zip(rows.sums.chunks_exact(rows.slots.max(1))) {
            let sum = Tally::sum(slots);
            let is_beyond = |tally: Tally| tally.holds_bad(1) && tally.counts().ratio() >= Some(limit);
            if is_beyond(sum)
                && (worst == 0 || is_beyond(Tally::sum(&without_worst(slots.to_vec(), worst, limit))))
            {
                guilty.push((*tenant, sum.counts()));
            }
        }
        let excess = |counts: &Counts| Tally::of(*counts).excess(limit);
        guilty.sort_by(|(a_id, a), (b_id, b)| excess(b).total_cmp(&excess(a)).then(a_id.cmp(b_id)));
        guilty
    }
}

impl Rows {
    /// Goes on to slot `number`: what is older than the window is forgotten.
    fn advance(&mut self, number: i64) {
        let passed = usize::try_from(number.saturating_sub(self.newest)).unwrap_or(0);
        if passed >= self.slots {
            self.sums.fill(Tally::default());
        } else {
            for back in 0..passed {
                let slot = self.place(number - i64::try_from(back).unwrap_or(0));
                for sum in self.sums.iter_mut().skip(slot).step_by(self.slots) {
                    *sum = Tally::default();
                }
            }
        }
        self.newest = self.newest.max(number);
    }

    fn place(&self, number: i64) -> usize {
        let slots = i64::try_from(self.slots.max(1)).unwrap_or(1);
        usize::try_from(number.rem_euclid(slots)).unwrap_or(0)
    }

    /// Adds a step to the newest slot; returns how many samples had events.
    fn add(&mut self, samples: &Ordered<'_>) -> usize {
        let (slots, slot) = (self.slots, self.place(self.newest));
        let (mut at, mut with_events) = (0, 0);
        for sample in samples.iter().filter(|sample| sample.arm == Arm::Candidate) {
            let Some(tally) = counted(sample).filter(|tally| !tally.is_empty()) else { continue };
            with_events += 1;
            while self.tenants.get(at).is_some_and(|tenant| *tenant < sample.tenant) {
                at += 1;
            }
            if self.tenants.get(at) == Some(&sample.tenant) {
                self.sums[at * slots + slot].add(tally);
            } else {
                match self.fresh.last_mut() {
                    Some((tenant, sum)) if *tenant == sample.tenant => sum.add(tally),
                    Some(_) | None => self.fresh.push((sample.tenant, tally)),
                }
            }
        }
        if !self.fresh.is_empty() {
            self.merge(slot);
        }
        with_events
    }

    /// Rows of the fresh tenants, among the others.
    fn merge(&mut self, slot: usize) {
        let count = self.tenants.len() + self.fresh.len();
        let mut tenants = Vec::with_capacity(count);
        let mut sums = Vec::with_capacity(count * self.slots);
        let mut known = self.tenants.iter().zip(self.sums.chunks_exact(self.slots)).peekable();
        for (fresh, tally) in self.fresh.drain(..) {
            while let Some((tenant, row)) = known.next_if(|(tenant, _)| **tenant < fresh) {
                tenants.push(*tenant);
                sums.extend_from_slice(row);
            }
            tenants.push(fresh);
            sums.extend((0..self.slots).map(|at| if at == slot { tally } else { Tally::default() }));
        }
        for (tenant, row) in known {
            tenants.push(*tenant);
            sums.extend_from_slice(row);
        }
        (self.tenants, self.sums) = (tenants, sums);
    }

    /// Throws out rows without events.
    fn compact(&mut self) {
        let mut kept = 0;
        for at in 0..self.tenants.len() {
            let row = at * self.slots..(at + 1) * self.slots;
            if self.sums[row.clone()].iter().any(|tally| !tally.is_empty()) {
                self.tenants[kept] = self.tenants[at];
                self.sums.copy_within(row, kept * self.slots);
                kept += 1;
            }
        }
        self.tenants.truncate(kept);
        self.sums.truncate(kept * self.slots);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(recent: &mut Recent, minute: i64, tenants: &[(u64, f64)]) {
        let sample = |(tenant, bad): &(u64, f64)| Sample {
            tenant: TenantId(*tenant),
            arm: Arm::Candidate,
            series: Series::Counted(Counts { bad: *bad, total: 10.0 }),
            instrumented: true,
            burned_before: false,
            own: None,
            usual: None,
        };
        let samples: Vec<Sample> = tenants.iter().map(sample).collect();
        let mut scratch = Vec::new();
        recent.feed(&Config::ratio(0.99, 60), minute * 60, &Ordered::new(&samples, &mut scratch));
    }

    fn guilty(recent: &Recent) -> Vec<(u64, f64, f64)> {
        recent.guilty(0.1).iter().map(|(tenant, counts)| (tenant.0, counts.bad, counts.total)).collect()
    }

    #[test]
    fn a_window_of_five_minutes_forgets_the_sixth_whatever_is_left_out() {
        let mut recent = Recent::default();
        feed(&mut recent, 1, &[(5, 10.0), (1, 10.0)]);
        feed(&mut recent, 2, &[(3, 10.0), (5, 10.0), (3, 0.0)]);
        assert_eq!(guilty(&recent), [(5, 20.0, 20.0), (1, 10.0, 10.0), (3, 10.0, 20.0)]);
        feed(&mut recent, 5, &[(1, 0.0)]);
        assert_eq!(guilty(&recent), [(5, 20.0, 20.0), (1, 10.0, 20.0), (3, 10.0, 20.0)]);
        feed(&mut recent, 6, &[]);
        assert_eq!(guilty(&recent), [(5, 10.0, 10.0), (3, 10.0, 20.0)], "the first minute is gone");
        feed(&mut recent, 2, &[(9, 10.0)]);
        assert_eq!(guilty(&recent).len(), 2, "a minute that is in already");
        feed(&mut recent, 500, &[(4, 10.0)]);
        assert_eq!(guilty(&recent), [(4, 10.0, 10.0)]);
    }

    #[test]
    fn tenants_that_are_gone_do_not_stay_in_memory() {
        let mut recent = Recent::default();
        for minute in 0..200 {
            let all: Vec<(u64, f64)> = (0..100).map(|tenant| (minute * 100 + tenant, 1.0)).collect();
            feed(&mut recent, i64::try_from(minute).unwrap(), &all);
            assert!(recent.rows.tenants.len() <= 600, "{}", recent.rows.tenants.len());
            assert!(recent.rows.tenants.is_sorted());
        }
    }
}
