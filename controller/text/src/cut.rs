//! Bounds on text: by bytes where it is stored, by characters where it is shown. Pure.
//!
//! No cut parts a character. What is stored in an object says that it was cut by a last `…`; what is shown in a sentence
//! ends in `...`.

use std::borrow::Cow;

/// Stands for what a stored text lost.
const MARK: char = '…';
/// Stands for what a shown text lost.
pub const DOTS: &str = "...";

/// The beginning of a text, `max` bytes at most.
pub fn bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// The beginning of a text, `max` characters at most.
pub fn chars(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}

/// A text of `max` bytes at most, three or more; one that was longer ends in `…`.
pub fn marked(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}{MARK}", bytes(text, room(max))))
}

/// The text with spaces in place of control characters: each of these takes six bytes of JSON, and a terminal obeys them.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// What an object stores of a text from outside: [`plain`], and [`marked`] where it is longer than `max` bytes.
pub fn stored(text: &str, max: usize) -> String {
    let mut text = text.to_owned();
    store(&mut text, max);
    text
}

/// [`stored`], in place.
pub fn store(text: &mut String, max: usize) {
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
    if text.len() > max {
        text.truncate(text.floor_char_boundary(room(max)));
        text.push(MARK);
    }
}

/// A text of `max` characters at most; one that was longer ends in `...` after them.
pub fn dotted(text: &str, max: usize) -> Cow<'_, str> {
    let head = chars(text, max);
    if head.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned(format!("{head}{DOTS}")) }
}

/// The first words of a text on one line, [`dotted`] after `max` characters.
pub fn brief(text: &str, max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    dotted(&line, max).into_owned()
}

/// Bytes that are left beside the mark.
const fn room(max: usize) -> usize {
    max.saturating_sub(MARK.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cut_parts_a_character_or_passes_its_bound() {
        let text = "aé€𝄞".repeat(3);
        for max in 0..40 {
            assert!(bytes(&text, max).len() <= max && text.starts_with(bytes(&text, max)));
            assert_eq!(chars(&text, max).chars().count(), max.min(12));
        }
        for max in 3..40 {
            let cut = marked(&text, max);
            assert!(cut.len() <= max, "{cut} of {max}");
            assert_eq!(cut.ends_with('…'), text.len() > max);
        }
    }

    #[test]
    fn a_stored_text_has_no_control_characters_and_says_that_it_was_cut() {
        assert_eq!(stored("a\tb\u{1b}[31m\n", 20), "a b [31m ");
        assert_eq!(stored("0123456789", 10), "0123456789");
        assert_eq!(stored("0123456789", 9), "012345…");
        assert_eq!(stored("ééééé", 8), "éé…", "the second byte of a character is not kept alone");
        assert_eq!(plain("nothing to do"), Cow::Borrowed("nothing to do"));
    }

    #[test]
    fn a_shown_text_is_one_line_and_ends_in_dots_where_it_goes_on() {
        assert_eq!(brief("ALTER  TABLE\n\tposts", 20), "ALTER TABLE posts");
        assert_eq!(brief("ALTER  TABLE\n\tposts", 11), "ALTER TABLE...");
        assert_eq!((dotted("ééé", 3), dotted("ééé", 2)), ("ééé".into(), "éé...".into()));
    }
}
