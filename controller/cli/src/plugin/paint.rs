//! Colours, laid over finished text so that no layout has to know of them. Pure but for [`Paint::of_stdout`].

use std::io::IsTerminal as _;

/// Done, or as it should be.
pub const DONE: char = '✔';
/// Going on.
pub const GOING: char = '◌';
/// Waits for somebody.
pub const PAUSED: char = '॥';
/// A deviation, a revert, a failure.
pub const BAD: char = '✖';
/// Needs a look.
pub const WARN: char = '⚠';
/// Not yet.
pub const IDLE: char = '•';

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours where standard output is a terminal that wants them (<https://no-color.org>).
    pub fn of_stdout(no_color: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { on: !no_color && !refused && !dumb && std::io::stdout().is_terminal() }
    }

    /// Colours or none, whatever the output is.
    pub const fn new(on: bool) -> Self {
        Self { on }
    }

    /// The text with each glyph and the word behind it in the glyph's colour.
    pub fn apply(self, text: &str) -> String {
        if !self.on {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len() + 256);
        let mut rest = text;
        while let Some((at, colour)) = rest.char_indices().find_map(|(at, c)| Some((at, colour(c)?))) {
            let painted = &rest[at..];
            let length = glyph_and_word(painted);
            out.extend([&rest[..at], "\x1b[", colour, "m", &painted[..length], "\x1b[0m"]);
            rest = &painted[length..];
        }
        out.push_str(rest);
        out
    }
}

/// The SGR code of a glyph.
const fn colour(glyph: char) -> Option<&'static str> {
    match glyph {
        DONE => Some("32"),
        GOING => Some("36"),
        PAUSED | WARN => Some("33"),
        BAD => Some("31"),
        IDLE => Some("90"),
        _ => None,
    }
}

/// Length in bytes of a leading glyph, one space and the word behind it.
fn glyph_and_word(text: &str) -> usize {
    let glyph = text.chars().next().map_or(0, char::len_utf8);
    match text[glyph..].strip_prefix(' ') {
        Some(word) if word.starts_with(|c: char| !c.is_whitespace()) => {
            glyph + 1 + word.find(char::is_whitespace).unwrap_or(word.len())
        }
        _ => glyph,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glyph_colours_itself_and_its_word() {
        let text = "a ✔ Passed  x ✖\n";
        assert_eq!(Paint::new(true).apply(text), "a \x1b[32m✔ Passed\x1b[0m  x \x1b[31m✖\x1b[0m\n");
        assert_eq!(Paint::new(false).apply(text), text);
    }
}
