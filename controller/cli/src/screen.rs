//! Standard error while a command works: a line that moves on a terminal, plain lines elsewhere. I/O.

use std::io::{IsTerminal as _, Write as _};

use crate::plugin::paint::Paint;

/// Cells of the bar.
const BAR: usize = 24;

/// Standard error.
#[derive(Debug)]
pub struct Screen {
    paint: Paint,
    moves: bool,
    /// Whether a moving line stands there.
    open: bool,
}

impl Screen {
    /// Colours and a moving line where it is a terminal that wants them.
    pub fn of_stderr(no_color: bool) -> Self {
        let moves = std::io::stderr().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { paint: Paint::new(moves && !no_color && !refused), moves, open: false }
    }

    /// Whether a line can move.
    pub const fn moves(&self) -> bool {
        self.moves
    }

    /// A line that stays.
    pub fn line(&mut self, text: &str) {
        self.end();
        write(&format!("{}\n", self.paint.apply(text)));
    }

    /// A line that the next one replaces; only where a line can move.
    pub fn moving(&mut self, text: &str) {
        if self.moves {
            write(&format!("\r{text}\x1b[K"));
            self.open = true;
        }
    }

    /// How far it is, in `[0, 1]`, with words behind.
    pub fn bar(&mut self, share: f64, words: &str) {
        self.moving(&format!("{} {:>3.0}%  {words}", bar(share), share.clamp(0.0, 1.0) * 100.0));
    }

    /// Takes the moving line away.
    pub fn end(&mut self) {
        if self.open {
            write("\r\x1b[K");
            self.open = false;
        }
    }
}

/// A bar that is so full.
pub fn bar(share: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of cells")]
    let full = ((share * BAR as f64) as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

fn write(text: &str) {
    // Whoever closed standard error does not want to know.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
