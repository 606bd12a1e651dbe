//! How far a rehearsal is, on standard error.

use breakwater_crds::words::TransitionReason;
use breakwater_rehearsal::{
    Progress, Rehearsal,
    outcome::{By, Event, Outcome},
};
use jiff::Timestamp;

use crate::{
    plugin::{
        paint::{BAD, DONE, GOING, WARN},
        text,
    },
    screen::{Screen, bar},
};

/// What is said of a rehearsal while it goes on.
pub(super) struct Told(Screen);

impl Told {
    pub(super) fn of_stderr(no_color: bool) -> Self {
        Self(Screen::of_stderr(no_color))
    }

    /// Says what is rehearsed.
    pub(super) fn title(&mut self, rehearsal: &Rehearsal) {
        let Rehearsal { fleet, scenario, seed, .. } = rehearsal;
        let about = if scenario.about.is_empty() { String::new() } else { format!(": {}", scenario.about) };
        self.0
            .line(&format!("Rehearsing {} on {} tenants, seed {seed}{about}", scenario.name, fleet.tenants));
    }

    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        for event in progress.news {
            self.0.line(&news(event, progress.started_at));
        }
        if !self.0.moves() {
            return;
        }
        let Progress { at, started_at, until, phase, wave, updated, live, .. } = progress;
        let share =
            at.duration_since(*started_at).as_secs_f64() / until.duration_since(*started_at).as_secs_f64();
        let bar = bar(share);
        let wave = if wave.is_empty() { String::new() } else { format!(" wave {wave}") };
        let line = format!("{bar} {}  {phase}{wave}  {updated}/{live}", day(*at, *started_at));
        self.0.moving(&line);
    }

    pub(super) fn count(&mut self, done: usize, of: usize, outcome: &Outcome) {
        let line = format!("{done} of {of} rehearsals, the last with seed {}: {}", outcome.seed, outcome.end);
        if self.0.moves() {
            self.0.moving(&line);
        } else if done == of || done.is_multiple_of(10) {
            self.0.line(&line);
        }
    }

    /// Takes the moving line away.
    pub(super) fn end(&mut self) {
        self.0.end();
    }
}

/// One event on one line.
pub(super) fn news(event: &Event, started_at: Timestamp) -> String {
    let glyph = match (event.by, event.warning, event.reason.transition()) {
        (By::Scenario, ..) => GOING,
        (By::Controller, _, Some(TransitionReason::Deviation | TransitionReason::Reverting)) => BAD,
        (By::Controller, true, _) => WARN,
        (By::Controller, false, _) => DONE,
    };
    format!("{}  {glyph} {}: {}", day(event.at, started_at), event.reason, text::plain(&event.message))
}

/// `day 12 14:03`, counted from 0.
pub(super) fn day(at: Timestamp, started_at: Timestamp) -> String {
    let seconds = at.duration_since(started_at).as_secs().max(0);
    format!("day {:>2} {:02}:{:02}", seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60)
}

#[cfg(test)]
mod tests {
    use breakwater_rehearsal::outcome::EventReason;

    use super::*;

    #[test]
    fn a_deviation_and_its_revert_are_told_as_bad_and_what_only_warns_is_not() {
        let glyph = |reason: TransitionReason, warning: bool| {
            let reason = EventReason::Transition(reason.into());
            let at = Timestamp::UNIX_EPOCH;
            let event = Event { at, by: By::Controller, reason, message: String::new(), warning };
            news(&event, at).chars().nth("day  0 00:00  ".len())
        };
        assert_eq!(glyph(TransitionReason::Deviation, true), Some(BAD));
        assert_eq!(glyph(TransitionReason::Reverting, true), Some(BAD));
        assert_eq!(glyph(TransitionReason::Held, true), Some(WARN));
        assert_eq!(glyph(TransitionReason::Completed, false), Some(DONE));
    }
}
