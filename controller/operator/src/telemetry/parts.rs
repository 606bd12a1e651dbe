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
