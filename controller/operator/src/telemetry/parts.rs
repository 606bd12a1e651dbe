//! What the rows of one tenant in one step say about it (analysis.md 1 and 4). Pure.

use breakwater_plan::promql::{Measure, Row};
use breakwater_slo::{Counts, Discard, Series};

/// How far a sum of fractions may stray from what it should be, relative to the total.
const ROUNDING: f64 = 1e-9;

/// The rows of one tenant in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parts {
    total: f64,
    /// Bad, or good of a histogram.
    part: f64,
    has_total: bool,
    has_part: bool,
    has_now: bool,
    /// The same row twice, or one that should not be there.
    doubtful: bool,
}

impl Parts {
    /// Takes a row in; `None` is one that should not be there.
    pub fn take(&mut self, row: Option<Row>, value: f64) {
        match row {
            Some(Row::Total) => {
                self.doubtful |= self.has_total;
                (self.total, self.has_total) = (value, true);
            }
            Some(Row::Bad | Row::Good) => {
                self.doubtful |= self.has_part;
                (self.part, self.has_part) = (value, true);
            }
            Some(Row::Now) => self.has_now = true,
            // Kept beside these, see `Buckets`.
            Some(Row::Edge(_)) => {}
            None => self.doubtful = true,
        }
    }

    /// Notes that nothing can be made of this tenant.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Whether there were rows.
    pub fn is_there(&self) -> bool {
        self.has_total || self.has_part || self.has_now || self.doubtful
    }

    /// What they say.
    pub fn series(self, measure: Measure) -> Series {
        let Self { total, part, has_total, has_part, has_now, doubtful } = self;
        let invalid = Series::Discarded(Discard::Invalid);
        if doubtful {
            return invalid;
        }
        if !has_total {
            return match (has_part, has_now) {
                // Bad events of a tenant without events.
                (true, false) => invalid,
                // Samples now and none one step before.
                (_, true) => Series::Discarded(Discard::Restart),
                (false, false) => Series::Absent,
            };
        }
        let bad = match measure {
            Measure::Histogram if has_part => total - part,
            // A histogram without the threshold's bucket would look wholly bad.
            Measure::Histogram => return invalid,
            Measure::Counters | Measure::Recorded | Measure::Values if has_part => part,
            Measure::Counters | Measure::Recorded | Measure::Values => 0.0,
        };
        match Counts::checked(rounded(bad, total), total) {
            Ok(counts) if counts.total > 0.0 => Series::Counted(counts),
            Ok(_) => Series::Idle,
            Err(_) => invalid,
        }
    }
}

/// What was counted up to each further edge, tenant by tenant. Two spellings of one edge are two rows, and their sum counts.
#[derive(Debug, Default)]
pub struct Buckets {
    edges: usize,
    counts: Vec<f64>,
}

/// Stands for a bucket that is not there.
const ABSENT: f64 = -1.0;

fn is_absent(count: f64) -> bool {
    count < 0.0
}

impl Buckets {
    /// Wipes them for so many tenants (or tenants times steps) with so many edges each.
    pub fn begin(&mut self, tenants: usize, edges: usize) {
        self.edges = edges;
        self.counts.clear();
        self.counts.resize(tenants * edges, ABSENT);
    }

    /// Takes a row in; what is no count spoils the bucket.
    pub fn take(&mut self, place: usize, edge: u8, value: f64) {
        let edge = usize::from(edge);
        if edge >= self.edges {
            return;
        }
        if let Some(count) = self.counts.get_mut(place * self.edges + edge) {
            let counted = if value >= 0.0 { value } else { f64::NAN };
            *count = if is_absent(*count) { counted } else { *count + counted };
        }
    }

    fn row(&self, place: usize) -> &[f64] {
        self.counts.get(place * self.edges..(place + 1) * self.edges).unwrap_or_default()
    }

    /// What the buckets of a step say of a tenant whose other rows say `series`: above each edge, ascending, how many events
    /// were slower; the first `below` edges are below the threshold. `None` where they contradict each other: each holds all
    /// of the one before (analysis.md 4).
    pub fn of_step(
        &self,
        place: usize,
        series: Counts,
        below: usize,
    ) -> Option<impl Iterator<Item = Option<f64>>> {
        let Counts { bad, total } = series;
        let row = self.row(place);
        let (faster, slower) = row.split_at(below.min(row.len()));
        let (good, all) = ([total - bad], [total]);
        let mut least = 0.0_f64;
        for count in faster.iter().chain(&good).chain(slower).chain(&all).filter(|count| !is_absent(**count))
        {
            // Sums of fractions stray in the last digits. What is no number is not at least anything.
            let grows = *count >= least - total * ROUNDING;
            if !grows {
                return None;
            }
            least = least.max(*count);
        }
        Some(self.above(place, total))
    }

    /// Above each edge how many events were slower, whatever the buckets are: of sums over days, which are estimates.
    pub fn above(&self, place: usize, total: f64) -> impl Iterator<Item = Option<f64>> {
        let above = move |count: &f64| (*count >= 0.0).then(|| (total - count).clamp(0.0, total.max(0.0)));
        self.row(place).iter().map(above)
    }
}

/// Sums of fractions stray in the last digits; what is within them is put where it belongs.
fn rounded(bad: f64, total: f64) -> f64 {
    let slack = total * ROUNDING;
    if bad < 0.0 && bad >= -slack {
        0.0
    } else if bad > total && bad <= total + slack {
        total
    } else {
        bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(bad: f64, total: f64) -> Series {
        Series::Counted(Counts { bad, total })
    }

    #[test]
    fn r12_buckets_that_do_not_grow_are_thrown_away_and_one_that_is_not_there_is_not_known() {
        let (some, none) = (Some(9.0), None);
        for (rows, expected) in [
            // Edges below the threshold: 40, 60; good: 70 of 100; above: 80, 90.
            (
                vec![(0, 40.0), (1, 60.0), (2, 80.0), (3, 91.0)],
                Some([Some(60.0), Some(40.0), Some(20.0), some]),
            ),
            (vec![(0, 40.0), (3, 91.0)], Some([Some(60.0), none, none, some])),
            (vec![], Some([none; 4])),
            (vec![(0, 20.0), (0, 20.0), (3, 91.0)], Some([Some(60.0), none, none, some])),
            (
                vec![(1, 70.000_000_01), (2, 69.999_999_99), (3, 100.000_000_01)],
                Some([none, Some(30.0), Some(30.0), Some(0.0)]),
            ),
            (vec![(0, 61.0), (1, 60.0)], None),
            (vec![(1, 71.0)], None),
            (vec![(2, 69.0)], None),
            (vec![(3, 101.0)], None),
            (vec![(0, f64::NAN)], None),
            (vec![(0, -1.0)], None),
            (vec![(0, 1.0), (0, f64::NAN)], None),
            (vec![(3, f64::INFINITY)], None),
        ] {
            let mut buckets = Buckets::default();
            buckets.begin(2, 4);
            for (edge, value) in &rows {
                buckets.take(1, *edge, *value);
            }
            let of = |place| buckets.of_step(place, Counts { bad: 30.0, total: 100.0 }, 2);
            let found = of(1).map(Iterator::collect::<Vec<_>>);
            let rounded = |above: &Option<f64>| above.map(|above| (above * 1e6).round() / 1e6);
            let found = found.map(|above| above.iter().map(rounded).collect::<Vec<_>>());
            assert_eq!(found, expected.map(Vec::from), "{rows:?}");
            assert!(of(0).is_some_and(|mut above| above.all(|above| above.is_none())), "another tenant's");
        }
        let mut buckets = Buckets::default();
        buckets.begin(1, 1);
        buckets.take(0, 7, 1.0);
        buckets.take(9, 0, 1.0);
        assert_eq!(buckets.above(0, 5.0).collect::<Vec<_>>(), [None], "no such edge, no such tenant");
        buckets.take(0, 0, 7.0);
        assert_eq!(buckets.above(0, 5.0).collect::<Vec<_>>(), [Some(0.0)], "estimates may stray");
    }

    #[test]
    fn r12_what_cannot_be_counted_is_discarded_and_zero_bad_is_said() {
        let (restart, invalid) = (Series::Discarded(Discard::Restart), Series::Discarded(Discard::Invalid));
        for (measure, rows, expected) in [
            (Measure::Counters, vec![("total", 9.0), ("bad", 1.0), ("now", 2.0)], counted(1.0, 9.0)),
            (Measure::Counters, vec![("total", 9.0), ("now", 1.0)], counted(0.0, 9.0)),
            (Measure::Counters, vec![("total", 0.0), ("now", 1.0)], Series::Idle),
            (Measure::Counters, vec![("now", 1.0)], restart),
            (Measure::Counters, vec![("bad", 1.0)], invalid),
            (Measure::Counters, vec![("total", f64::NAN), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", f64::INFINITY), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", -1.0), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", 1.0), ("bad", 2.0), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", 1.0), ("total", 1.0), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", 1.0), ("noise", 1.0), ("now", 1.0)], invalid),
            (Measure::Recorded, vec![("total", 2.5), ("bad", 0.5)], counted(0.5, 2.5)),
            (Measure::Recorded, vec![("total", 3.0), ("bad", 3.000_000_000_1)], counted(3.0, 3.0)),
            (Measure::Histogram, vec![("total", 9.0), ("good", 7.0), ("now", 1.0)], counted(2.0, 9.0)),
            (Measure::Histogram, vec![("total", 9.0), ("good", 10.0), ("now", 1.0)], invalid),
            (Measure::Histogram, vec![("total", 9.0), ("now", 1.0)], invalid),
            (Measure::Histogram, vec![("total", 0.0), ("good", 0.0), ("now", 1.0)], Series::Idle),
            (Measure::Counters, vec![], Series::Absent),
        ] {
            let mut parts = Parts::default();
            for (row, value) in &rows {
                parts.take(Row::parse(row), *value);
            }
            assert_eq!(parts.series(measure), expected, "{rows:?}");
            assert_eq!(parts.is_there(), !rows.is_empty());
        }
    }
}
