//! Which steps are due: aligned multiples of the step, each exactly once, in order. Pure.

use breakwater_plan::promql::lag_seconds;
use jiff::Timestamp;

/// Most steps that one pass reads.
pub const STEPS_PER_PASS: usize = 60;
/// Most steps that refill the short windows after a restart: six hours of minutes.
pub const RECENT_MAX: usize = 360;
/// Lag where there are no scrapes to ask about (recorded series, queries): one rule evaluation of a minute, and a half.
pub const UNKNOWN_LAG_SECONDS: i64 = 90;

/// The rhythm of one SLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// Length of a step, in seconds, at least 1.
    pub step_seconds: i64,
    /// How long after its end a step is read, in seconds.
    pub lag_seconds: i64,
}

impl Rhythm {
    /// From the step and the scrape interval, if it is known.
    pub fn new(step_seconds: i64, scrape_seconds: Option<i64>) -> Self {
        Self {
            step_seconds: step_seconds.max(1),
            lag_seconds: scrape_seconds.map_or(UNKNOWN_LAG_SECONDS, lag_seconds),
        }
    }

    /// The same for a metric that comes so much later than its scrapes.
    #[must_use]
    pub const fn delayed(self, delay_seconds: i64) -> Self {
        Self { lag_seconds: self.lag_seconds.saturating_add(delay_seconds), ..self }
    }

    /// Ends of the steps that lie wholly after `after` and are old enough at `now`, oldest first, at most
    /// [`STEPS_PER_PASS`].
    pub fn due(self, after: Timestamp, now: Timestamp) -> Vec<i64> {
        let Self { step_seconds, lag_seconds } = self;
        let from = ceil(seconds_up(after), step_seconds).saturating_add(step_seconds);
        let until = now.as_second().saturating_sub(lag_seconds);
        ends(from, until, step_seconds).take(STEPS_PER_PASS).collect()
    }

    /// When the first step that lies wholly after `after` is old enough to be read.
    pub fn due_at(self, after: Timestamp) -> Timestamp {
        let Self { step_seconds, lag_seconds } = self;
        let end = ceil(seconds_up(after), step_seconds).saturating_add(step_seconds);
        Timestamp::from_second(end.saturating_add(lag_seconds)).unwrap_or(Timestamp::MAX)
    }

    /// Ends of the steps in the `span_seconds` up to `until`, oldest first, at most [`RECENT_MAX`], the newest of them.
    pub fn recent(self, until: Timestamp, span_seconds: i64) -> Vec<i64> {
        let step = self.step_seconds;
        let last = until.as_second().div_euclid(step) * step;
        let most = i64::try_from(RECENT_MAX).unwrap_or(i64::MAX);
        let steps = (span_seconds.max(0) / step).min(most);
        ends(last - (steps - 1).max(0) * step, last, step).take(usize::try_from(steps).unwrap_or(0)).collect()
    }
}

fn ends(from: i64, until: i64, step: i64) -> impl Iterator<Item = i64> {
    std::iter::successors(Some(from), move |end| end.checked_add(step)).take_while(move |end| *end <= until)
}

fn ceil(seconds: i64, step: i64) -> i64 {
    -(-seconds).div_euclid(step) * step
}

/// Whole seconds, rounded up: a step that began within the second of `after` is not wholly after it.
fn seconds_up(at: Timestamp) -> i64 {
    at.as_second() + i64::from(at.subsec_nanosecond() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Rhythm = Rhythm { step_seconds: 60, lag_seconds: 30 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn r10_each_step_is_due_once_in_order_and_only_when_old_enough() {
        assert_eq!(MINUTE.due(at(600), at(689)), Vec::<i64>::new());
        assert_eq!(MINUTE.due(at(600), at(690)), [660]);
        assert_eq!(MINUTE.due(at(600), at(820)), [660, 720, 780]);
        assert_eq!(MINUTE.due(at(601), at(820)), [720, 780], "a step that began before is left out");
        assert_eq!(MINUTE.due(Timestamp::from_nanosecond(600_000_000_001).unwrap(), at(820)), [720, 780]);
        assert_eq!(MINUTE.due(at(900), at(600)), Vec::<i64>::new(), "a clock that went back");
        for after in [600, 601, 659] {
            let due_at = MINUTE.due_at(at(after));
            assert_eq!(MINUTE.due(at(after), due_at).len(), 1, "{after}");
            assert_eq!(
                MINUTE.due(at(after), due_at - jiff::SignedDuration::from_secs(1)).len(),
                0,
                "{after}"
            );
        }
        let mut all = Vec::new();
        let mut after = at(0);
        for _ in 0..4 {
            let due = MINUTE.due(after, at(12_030));
            after = at(due.last().copied().unwrap_or(after.as_second()));
            all.extend(due);
        }
        assert_eq!(all, (1..=200).map(|n| n * 60).collect::<Vec<_>>());
    }

    #[test]
    fn a_pass_is_bounded() {
        assert_eq!(MINUTE.due(at(0), at(1_000_000)).len(), STEPS_PER_PASS);
        assert_eq!(MINUTE.recent(at(1_000_000), i64::MAX).len(), RECENT_MAX);
    }

    #[test]
    fn after_a_restart_the_short_windows_are_refilled_up_to_what_was_evaluated() {
        assert_eq!(MINUTE.recent(at(600), 180), [480, 540, 600]);
        assert_eq!(MINUTE.recent(at(659), 180), [480, 540, 600]);
        assert_eq!(MINUTE.recent(at(600), 0), Vec::<i64>::new());
    }

    #[test]
    fn the_lag_is_two_scrapes_and_ninety_seconds_where_they_are_slow_or_unknown() {
        assert_eq!(Rhythm::new(60, Some(15)).lag_seconds, 30);
        assert_eq!(Rhythm::new(120, Some(30)).lag_seconds, 90);
        assert_eq!(Rhythm::new(60, None).lag_seconds, UNKNOWN_LAG_SECONDS);
    }
}
