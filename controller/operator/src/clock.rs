//! The one clock, and whether it steps: every other module is given the time.

use std::sync::{Arc, Mutex, PoisonError};

use breakwater_plan::observed::Clock as Known;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall-clock time, as whoever needs it is given it: a rehearsal has its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock.
pub fn system() -> Clock {
    Arc::new(now)
}

/// Wall-clock time now.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// How far the two clocks may be apart between two looks: more is a step. NTP slews both alike; what is left is a reading that came late.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(10);

/// Notices steps of the wall clock (set by hand, by NTP, by a machine that slept) by comparing it with the monotonic one.
///
/// Time limits are wall-clock instants, because they outlive the process. A step forward makes all of them late at once,
/// although nobody had the time that they grant; the planner's [`Known`] says what it makes of that.
#[derive(Debug, Default)]
pub struct Steps(Mutex<Option<Seen>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Both clocks at the last look.
    last: (Timestamp, Instant),
    /// The term of that look.
    epoch: i64,
    known: Known,
}

impl Steps {
    /// Looks at the clock, which says `now`, in the term `epoch`.
    pub fn look(&self, now: Timestamp, epoch: i64) -> Known {
        // Written at once, whole.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = step(*seen, now, Instant::now(), epoch);
        *seen = Some(next);
        next.known
    }
}

/// What is known after a look at both clocks.
fn step(seen: Option<Seen>, wall: Timestamp, monotonic: Instant, epoch: i64) -> Seen {
    let mut known = seen.map_or(Known { began: wall, stepped_to: None }, |seen| seen.known);
    if seen.is_some_and(|seen| seen.epoch != epoch) {
        known.began = wall;
    }
    if let Some(Seen { last: (last_wall, last_monotonic), .. }) = seen {
        let passed = monotonic.saturating_duration_since(last_monotonic);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        let stepped = wall.duration_since(last_wall).saturating_sub(passed);
        if stepped.abs() > TOLERANCE {
            tracing::warn!(seconds = stepped.as_secs(), "the clock has stepped; time limits begin anew");
            known.stepped_to = Some(wall);
        }
    }
    Seen { last: (wall, monotonic), epoch, known }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_step_is_what_the_monotonic_clock_has_not_seen() {
        let (mut seen, monotonic) = (None, Instant::now());
        let wall = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut look = |at, after| {
            seen = Some(step(seen, wall(at), monotonic + Duration::from_secs(after), 7));
            seen.unwrap().known.stepped_to
        };
        assert_eq!(look(1_000_000, 0), None, "the first look");
        assert_eq!(look(1_086_402, 86_400), None, "slewed by two seconds in a day");
        assert_eq!(look(1_090_062, 86_460), Some(wall(1_090_062)), "an hour forth");
        assert_eq!(look(1_090_122, 86_520), Some(wall(1_090_062)), "even since");
        assert_eq!(look(1_086_582, 86_580), Some(wall(1_086_582)), "an hour back");
        assert_eq!(seen.unwrap().known.began, wall(1_000_000));
        let later = step(seen, wall(1_086_642), monotonic + Duration::from_mins(1_444), 8).known;
        assert_eq!(
            later,
            Known { began: wall(1_086_642), stepped_to: Some(wall(1_086_582)) },
            "a term of its own, after another controller's; the step is not forgotten"
        );
    }
}
