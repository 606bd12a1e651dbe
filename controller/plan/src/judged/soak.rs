//! What of the time counts as soak: what every SLO judged, on time and in one piece (R7). Pure.

use jiff::{SignedDuration, Timestamp};

use super::instant;
use crate::observed::{SloReading, StepData};

/// Slack in what counts as judged on time, on top of the reading lag and two steps (R7).
const ON_TIME_SLACK_SECONDS: i64 = 5;

/// A stretch of time that every SLO has judged, the slowest deciding (R7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Up to where it was judged before.
    pub(crate) before: Timestamp,
    /// Up to where the last step that was late or missing reaches.
    pub(crate) late: Option<Timestamp>,
    /// Up to where it is judged now.
    pub(crate) until: Timestamp,
}

impl Stretch {
    /// What one SLO judged since the last plan, between `before` and `until`.
    pub(super) fn of(
        reading: &SloReading,
        before: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Option<Self> {
        let until = until?;
        Some(Self { before: before.unwrap_or(until), late: late_until(reading, before), until })
    }

    /// What two SLOs both judged. One whose steps were late was fetched before the slower ones that decide, so theirs are
    /// late as well.
    pub(super) fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
        Some(Self { before: a.before.min(b.before), late: a.late.max(b.late), until: a.until.min(b.until) })
    }
}

/// Up to where the last step reaches that was fetched late, could not be read, or was left out.
fn late_until(reading: &SloReading, before: Option<Timestamp>) -> Option<Timestamp> {
    let seconds = reading.lag_seconds.saturating_add(reading.step_seconds.saturating_mul(2));
    let on_time = SignedDuration::from_secs(seconds.saturating_add(ON_TIME_SLACK_SECONDS));
    let mut known = before.map(Timestamp::as_second);
    let mut late = None;
    for step in &reading.steps {
        let start = step.end_seconds.saturating_sub(reading.step_seconds);
        if known.is_some_and(|known| known < start) {
            late = Some(start);
        }
        known = Some(step.end_seconds);
        let end = instant(step.end_seconds);
        if step.fetched_at.duration_since(end) > on_time || matches!(step.data, StepData::Missing(_)) {
            late = Some(step.end_seconds);
        }
    }
    late.map(instant)
}
