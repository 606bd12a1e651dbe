//! Tokens of both dialects: words, names, strings, numbers and marks, with their place in the text. Pure, total: any text has tokens.

use crate::Dialect;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare word: keyword or name.
    Word,
    /// A quoted name.
    Quoted,
    /// A string: quotes or dollars.
    Text,
    /// A string, a name or a comment that the text's end cut off.
    Unclosed,
    Number,
    /// A MySQL user variable with its `@`.
    Variable,
    /// Anything else, one character or one of `::`, `:=`, `||`.
    Mark,
}

/// One token; `at` is its byte offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub at: usize,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Whether it is this keyword, whatever its case.
    pub fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Mark) && self.text.eq_ignore_ascii_case(word)
    }

    /// The name it stands for: folded to lower case, for both dialects' files are compared with each other and with
    /// row counts whose case is the operator's.
    pub fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_lowercase()),
            Kind::Quoted => self.text.get(1..self.text.len() - 1).map(str::to_lowercase),
            _ => None,
        }
    }

    /// A string's content.
    pub fn content(&self, dialect: Dialect) -> Option<String> {
        if self.kind != Kind::Text {
            return None;
        }
        if self.text.starts_with('$') {
            let tag = self.text[1..].find('$')? + 2;
            return self.text.get(tag..self.text.len() - tag).map(Into::into);
        }
        let escapes = dialect == Dialect::Mysql || self.text.starts_with(['e', 'E']);
        let open = self.text.find(['\'', '"'])?;
        let quote = self.text[open..].chars().next()?;
        Some(unescape(self.text.get(open + 1..self.text.len() - 1)?, quote, escapes))
    }
}

fn unescape(inner: &str, quote: char, escapes: bool) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(one) = chars.next() {
        if one == quote {
            chars.next();
            out.push(quote);
        } else if one == '\\' && escapes {
            match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            }
        } else {
            out.push(one);
        }
    }
    out
}

/// The tokens of a text, without white space and comments.
pub(crate) fn lex(text: &str, dialect: Dialect) -> Vec<Token<'_>> {
    let mut out = Vec::with_capacity(text.len() / 6);
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(skipped) = blank(rest, first, dialect) {
            let (length, closed) = skipped;
            if !closed {
                out.push(Token { kind: Kind::Unclosed, text: rest, at });
            }
            at += length;
            continue;
        }
        let (kind, length) = token(rest, first, dialect);
        out.push(Token { kind, text: &rest[..length], at });
        at += length;
    }
    out
}

/// White space or a comment: its length, and whether it is closed. MySQL runs what stands in `/*! ... */`, so only the
/// marks are skipped there.
fn blank(rest: &str, first: char, dialect: Dialect) -> Option<(usize, bool)> {
    let line = |rest: &str| rest.find('\n').unwrap_or(rest.len());
    let bytes = rest.as_bytes();
    match first {
        '\u{feff}' => Some((3, true)),
        _ if first.is_whitespace() => Some((first.len_utf8(), true)),
        '-' if rest.starts_with("--") => match dialect {
            Dialect::Mysql if bytes.get(2).is_some_and(|third| !third.is_ascii_whitespace()) => None,
            _ => Some((line(rest), true)),
        },
        '#' if dialect == Dialect::Mysql => Some((line(rest), true)),
        '*' if dialect == Dialect::Mysql && rest.starts_with("*/") => Some((2, true)),
        '/' if rest.starts_with("/*!") && dialect == Dialect::Mysql => {
            let digits = rest[3..].bytes().take_while(u8::is_ascii_digit).count();
            Some((3 + digits, true))
        }
        '/' if rest.starts_with("/*") => Some(comment(rest, dialect)),
        _ => None,
    }
}

/// A block comment; PostgreSQL's nest.
fn comment(rest: &str, dialect: Dialect) -> (usize, bool) {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (1, 2);
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return (at, true);
                }
            }
            b"/*" if dialect == Dialect::Postgresql => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    (rest.len(), false)
}

fn token(rest: &str, first: char, dialect: Dialect) -> (Kind, usize) {
    let mysql = dialect == Dialect::Mysql;
    match first {
        '\'' => quoted(rest, 0, '\'', mysql, Kind::Text),
        '"' if mysql => quoted(rest, 0, '"', true, Kind::Text),
        '"' => quoted(rest, 0, '"', false, Kind::Quoted),
        '`' => quoted(rest, 0, '`', false, Kind::Quoted),
        'e' | 'E' if !mysql && rest[1..].starts_with('\'') => quoted(rest, 1, '\'', true, Kind::Text),
        'b' | 'B' | 'x' | 'X' | 'n' | 'N' if rest[1..].starts_with('\'') => {
            quoted(rest, 1, '\'', mysql, Kind::Text)
        }
        '$' if !mysql => dollar(rest),
        '@' if mysql => {
            (Kind::Variable, 1 + rest[1..].find(|one| !(part(one) || one == '@')).unwrap_or(rest.len() - 1))
        }
        _ if first.is_ascii_digit() => {
            (Kind::Number, rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'.').count())
        }
        _ if first.is_alphabetic() || first == '_' => (Kind::Word, word(rest)),
        _ => {
            let pair = ["::", ":=", "||", "<<", ">>"].iter().any(|pair| rest.starts_with(pair));
            (Kind::Mark, if pair { 2 } else { first.len_utf8() })
        }
    }
}

fn part(one: char) -> bool {
    one.is_alphanumeric() || one == '_' || one == '$'
}

fn word(rest: &str) -> usize {
    rest.find(|one| !part(one)).unwrap_or(rest.len())
}

fn quoted(rest: &str, open: usize, quote: char, escapes: bool, kind: Kind) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    let mut at = open + 1;
    while let Some(one) = bytes.get(at) {
        if *one == b'\\' && escapes {
            at += 2;
        } else if char::from(*one) == quote && one.is_ascii() {
            if bytes.get(at + 1) != Some(one) {
                return (kind, at + 1);
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    (Kind::Unclosed, rest.len())
}

fn dollar(rest: &str) -> (Kind, usize) {
    let tag =
        1 + rest[1..].find(|one: char| !(one.is_alphanumeric() || one == '_')).unwrap_or(rest.len() - 1);
    if !rest[tag..].starts_with('$') || rest[1..].starts_with(|one: char| one.is_ascii_digit()) {
        return (Kind::Mark, 1);
    }
    let tag = &rest[..=tag];
    match rest[tag.len()..].find(tag) {
        Some(end) => (Kind::Text, end + 2 * tag.len()),
        None => (Kind::Unclosed, rest.len()),
    }
}

/// The parts between commas outside parentheses.
pub(crate) fn commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let (mut depth, mut start, mut out) = (0_i32, 0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" if token.kind == Kind::Mark => depth += 1,
            ")" if token.kind == Kind::Mark => depth -= 1,
            "," if token.kind == Kind::Mark && depth == 0 => {
                out.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(&tokens[start..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_quotes_nest_and_comments_nest() {
        let text = "a /* b /* c */ d */ $x$ $$ ; $$ $x$ 'it''s' -- end";
        let tokens = lex(text, Dialect::Postgresql);
        assert_eq!(
            tokens.iter().map(|token| token.kind).collect::<Vec<_>>(),
            [Kind::Word, Kind::Text, Kind::Text]
        );
        assert_eq!(tokens[1].content(Dialect::Postgresql).as_deref(), Some(" $$ ; $$ "));
        assert_eq!(tokens[2].content(Dialect::Postgresql).as_deref(), Some("it's"));
    }
}
