//! The past in two parts: one teaches, the judge is tried on the other. Pure.

use breakwater_crds::Span;
use breakwater_plan::study::Look;

use crate::{outcome::instant, wanted::Wanted};

/// Shortest time that can be read.
const SHORTEST_SECONDS: i64 = 3_600;

/// Both parts, in unix seconds.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units stand last in names")]
pub(crate) struct Part {
    pub(crate) from_seconds: i64,
    /// Up to here the past teaches; from here on the judge is tried.
    pub(crate) watched_seconds: i64,
    pub(crate) until_seconds: i64,
}

impl Part {
    /// `judge.history` teaches, as in the controller; of a past that is shorter than twice that, half.
    pub(crate) fn of(wanted: &Wanted<'_>, from_seconds: i64) -> Result<Self, String> {
        let length = wanted.until_seconds - from_seconds;
        if length < SHORTEST_SECONDS {
            let at = instant(from_seconds);
            return Err(format!("NoHistory: the data begin at {at}, less than an hour before the end"));
        }
        let taught = wanted.checked.spec.judge.history.as_seconds().min(length / 2);
        // A whole hour is a whole number of steps of every length that divides it.
        let watched = (from_seconds + taught).div_euclid(3_600) * 3_600;
        let watched_seconds = if watched > from_seconds { watched } else { from_seconds + taught };
        Ok(Self { from_seconds, watched_seconds, until_seconds: wanted.until_seconds })
    }

    /// Refuses a fault that would begin after the end.
    pub(crate) fn check(self, wanted: &Wanted<'_>) -> Result<(), String> {
        let length = Span::seconds(self.until_seconds - self.watched_seconds);
        let late = |start: Span| start >= length;
        match wanted.injects.iter().find(|inject| inject.start.is_some_and(late)) {
            None => Ok(()),
            Some(inject) => Err(format!(
                "--inject {inject}: start must be less than the {length} that are left after the part that teaches; \
                 go further back with --from"
            )),
        }
    }

    /// The look at what is watched, in the SLO's own steps.
    pub(crate) fn watched(self, step_seconds: i64) -> Look {
        let aligned = |seconds: i64| seconds.div_euclid(step_seconds) * step_seconds;
        Look {
            from_seconds: aligned(self.watched_seconds),
            until_seconds: aligned(self.until_seconds),
            step_seconds,
        }
    }

    /// Length of the part that teaches.
    pub(crate) fn taught_seconds(self) -> i64 {
        self.watched_seconds - self.from_seconds
    }
}
