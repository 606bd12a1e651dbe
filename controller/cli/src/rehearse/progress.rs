//! How far a rehearsal is, on standard error: a line that moves on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};

use breakwater_rehearsal::{
    Progress, Rehearsal,
    outcome::{By, Event, Outcome},
};
use jiff::Timestamp;

use crate::plugin::{
    paint::{BAD, DONE, GOING, Paint, WARN},
    text,
};

/// Cells of the bar.
const BAR: usize = 24;

/// Standard error.
pub(super) struct Screen {
    paint: Paint,
    moves: bool,
    /// Whether a moving line stands there.
    open: bool,
}

impl Screen {
    pub(super) fn of_stderr(no_color: bool) -> Self {
        let moves = std::io::stderr().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { paint: Paint::new(moves && !no_color && !refused), moves, open: false }
    }

    /// Says what is rehearsed.
    pub(super) fn title(&mut self, rehearsal: &Rehearsal) {
        let Rehearsal { fleet, scenario, seed, .. } = rehearsal;
        let about = if scenario.about.is_empty() { String::new() } else { format!(": {}", scenario.about) };
        self.line(&format!("Rehearsing {} on {} tenants, seed {seed}{about}", scenario.name, fleet.tenants));
    }

    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        for event in progress.news {
            self.line(&news(event, progress.started_at));
        }
        if !self.moves {
            return;
        }
        let Progress { at, started_at, until, phase, wave, updated, live, .. } = progress;
        let share =
            at.duration_since(*started_at).as_secs_f64() / until.duration_since(*started_at).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of cells")]
        let full = ((share * BAR as f64) as usize).min(BAR);
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
        let wave = if wave.is_empty() { String::new() } else { format!(" wave {wave}") };
        let line = format!("{bar} {}  {phase}{wave}  {updated}/{live}", day(*at, *started_at));
        self.moving(&line);
    }

    pub(super) fn count(&mut self, done: usize, of: usize, outcome: &Outcome) {
        let line =
            format!("{done} of {of} rehearsals, the last with seed {}: {:?}", outcome.seed, outcome.end);
        if self.moves {
            self.moving(&line);
        } else if done == of || done.is_multiple_of(10) {
            self.line(&line);
        }
    }

    /// Takes the moving line away.
    pub(super) fn end(&mut self) {
        if self.open {
            write("\r\x1b[K");
            self.open = false;
        }
    }

    fn line(&mut self, text: &str) {
        self.end();
        write(&format!("{}\n", self.paint.apply(text)));
    }

    fn moving(&mut self, text: &str) {
        write(&format!("\r{text}\x1b[K"));
        self.open = true;
    }
}

fn write(text: &str) {
    // Whoever closed standard error does not want to know.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// One event on one line.
pub(super) fn news(event: &Event, started_at: Timestamp) -> String {
    let glyph = match (event.by, event.warning, event.reason.as_str()) {
        (By::Scenario, ..) => GOING,
        (By::Controller, _, "Deviating" | "Reverting") => BAD,
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
