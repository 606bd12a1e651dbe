//! The clock of the restarts: how much mass was handed out, and when (analysis.md 2). Pure.

/// All restarts together hand out this much; the start hands out as much again.
const MASS_MAX: f64 = 0.5;
const HOUR_SECONDS: i64 = 3_600;

/// Hourly restarts since the first step in which both arms were exposed.
///
/// The rule looks at time only, never at events, so it is predictable, as the proof in [`super::mixture`] needs.
/// What is due adds up to 1/2 after `planned_hours` and then stops, however long holds stretch the rollout; should the
/// plan change, what was handed out stays handed out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Clock {
    /// When it began, unix seconds; none before the first exposure.
    pub(crate) since_seconds: Option<i64>,
    /// Hours that have been served.
    pub(crate) hours: u32,
    /// Mass handed out so far, in `[0, 1/2]`.
    pub(crate) mass: f64,
}

impl Clock {
    /// Goes on to a step that starts at `start_seconds`; returns the mass that is due before its increment.
    pub(crate) fn advance(&mut self, start_seconds: i64, planned_hours: u32) -> f64 {
        let since = *self.since_seconds.get_or_insert(start_seconds);
        let hours = start_seconds.saturating_sub(since).max(0) / HOUR_SECONDS;
        let hours = u32::try_from(hours).unwrap_or(u32::MAX).max(self.hours);
        let due = f64::from(hours - self.hours) * hourly(planned_hours);
        self.hours = hours;
        let before = self.mass;
        self.mass = (before + due).min(MASS_MAX);
        self.mass - before
    }

    /// The mass of an hour that is still to come; zero once all is handed out.
    pub(crate) fn next(&self, planned_hours: u32) -> f64 {
        hourly(planned_hours).min(MASS_MAX - self.mass)
    }
}

/// `1/(2K)`.
fn hourly(planned_hours: u32) -> f64 {
    MASS_MAX / f64::from(planned_hours.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_hand_out_half_and_no_more_however_long_holds_stretch_the_rollout() {
        let mut clock = Clock::default();
        let mut sum = 0.0;
        for minute in 0..200 * 60 {
            sum += clock.advance(minute * 60, 100);
            let hours = (minute / 60) as f64;
            assert!((sum - (hours / 200.0).min(0.5)).abs() < 1e-12, "{minute}");
        }
        assert!(clock.next(100) <= 0.0);
        assert!(clock.advance(i64::MAX, 1) <= 0.0, "nor when the plan becomes shorter");
    }

    #[test]
    fn hours_that_a_gap_left_out_are_made_up_at_once() {
        let mut clock = Clock::default();
        assert!(clock.advance(1_000, 10) <= 0.0);
        assert!((clock.advance(1_000 + 3 * 3_600, 10) - 0.15).abs() < 1e-15);
        assert!(clock.advance(500, 10) <= 0.0, "time never goes back");
    }
}
