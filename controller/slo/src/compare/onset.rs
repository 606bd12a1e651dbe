//! Since when it has been worse: the counts that a sentence is about. For words only, no verdict depends on it. Pure.
//!
//! Page's cumulative sum (1954) over the log increments of the nearest alternative: whenever it falls to zero, what came
//! before speaks for the candidate, and the counts begin anew.

use crate::reading::Side;

/// Counts of one tenant since its onset.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Onset {
    sum: f64,
    /// The candidate's counts since.
    pub(crate) candidate: Side,
}

impl Onset {
    /// True where the counts begin anew after this step.
    pub(crate) fn add(&mut self, increment: f64, side: Side) -> bool {
        self.sum += increment;
        let over = self.sum <= 0.0;
        if over {
            *self = Self::default();
        } else {
            self.candidate.add(side);
        }
        over
    }
}

/// Counts of both arms since the onset.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Span {
    /// Start of the first step that counts; none where the last one spoke for the candidate.
    pub(crate) since_seconds: Option<i64>,
    pub(crate) sum: f64,
    pub(crate) candidate: Side,
    pub(crate) baseline: Side,
}

impl Span {
    pub(crate) fn add(&mut self, start_seconds: i64, increment: f64, candidate: Side, baseline: Side) {
        self.sum += increment;
        if self.sum <= 0.0 {
            *self = Self::default();
        } else {
            self.since_seconds.get_or_insert(start_seconds);
            self.candidate.add(candidate);
            self.baseline.add(baseline);
        }
    }

    /// Rate of the candidate over the baseline's, both in units of what was usual; `None` where one cannot be told.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let rate = |side: Side| (side.exposure > 0.0).then(|| side.bad / side.exposure);
        let (candidate, baseline) = (rate(self.candidate)?, rate(self.baseline)?);
        (baseline > 0.0).then(|| candidate / baseline)
    }
}
