//! A file's text into statements, each with its line. Pure, total.

use breakwater_text::cut;

use crate::{
    Dialect,
    lex::{Kind, Token, lex},
};

/// One statement as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub sql: String,
    pub line: usize,
    /// Why it cannot be read to its end, if so.
    pub broken: Option<String>,
}

/// The statements of a text; comments and empty ones are left out.
pub(crate) fn split(text: &str, dialect: Dialect) -> Vec<Raw> {
    let mut parts = Vec::new();
    let text = undelimited(text, dialect);
    let tokens = lex(&text, dialect);
    let mut lines = Lines { text: &text, at: 0, line: 1 };
    let (mut start, mut depth) = (0, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        depth = nested(&tokens, start, at, depth, dialect);
        if token.is(";") && depth == 0 {
            parts.extend(raw(&text, &tokens[start..at], &mut lines));
            start = at + 1;
        }
    }
    parts.extend(raw(&text, &tokens[start..], &mut lines));
    parts
}

/// How deep in a compound body `tokens[at]` stands, in a statement that starts at `start`.
fn nested(tokens: &[Token<'_>], start: usize, at: usize, depth: usize, dialect: Dialect) -> usize {
    let token = &tokens[at];
    if token.kind != Kind::Word || !tokens[start].is("CREATE") {
        return depth;
    }
    let next = |words: &[&str]| tokens.get(at + 1).is_some_and(|next| words.iter().any(|word| next.is(word)));
    let ended = at > start && tokens[at - 1].is("END");
    if token.is("BEGIN") {
        let routine = tokens[start..at]
            .iter()
            .take(16)
            .any(|token| ["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"].iter().any(|word| token.is(word)));
        return depth + usize::from(routine && (dialect == Dialect::Mysql || next(&["ATOMIC"]) || depth > 0));
    }
    if token.is("CASE") && depth > 0 && !ended {
        return depth + 1;
    }
    if token.is("END") && !next(&["IF", "LOOP", "WHILE", "REPEAT"]) {
        return depth.saturating_sub(1);
    }
    depth
}

fn raw(text: &str, tokens: &[Token<'_>], lines: &mut Lines<'_>) -> Option<Raw> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let line = lines.of(first.at);
    let broken = tokens.iter().find(|token| token.kind == Kind::Unclosed).map(|token| {
        let shown = cut::chars(token.text, 20);
        format!("`{shown}` is never closed")
    });
    // A comment that is never closed, and nothing else, is still something that cannot be read.
    Some(Raw { sql: text[first.at..last.end()].into(), line, broken })
}

/// Counts lines forward only, so that a file of 5 MB is walked once.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, at: usize) -> usize {
        self.line += self.text[self.at..at].matches('\n').count();
        self.at = at;
        self.line
    }
}

/// MySQL's client command `DELIMITER`, undone: its lines go, and the delimiters become semicolons.
fn undelimited(text: &str, dialect: Dialect) -> std::borrow::Cow<'_, str> {
    let is =
        |line: &str| line.trim_start().get(..10).is_some_and(|word| word.eq_ignore_ascii_case("delimiter "));
    if dialect != Dialect::Mysql || !text.lines().any(is) {
        return text.into();
    }
    let mut delimiter = ";".to_owned();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if is(line) {
            line.trim_start()[10..].trim().clone_into(&mut delimiter);
            if delimiter.is_empty() {
                ";".clone_into(&mut delimiter);
            }
        } else if delimiter == ";" {
            out.push_str(line);
        } else {
            out.push_str(&line.replace(&delimiter, ";"));
        }
        out.push('\n');
    }
    out.into()
}
