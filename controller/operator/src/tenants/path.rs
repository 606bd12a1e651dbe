//! Field paths with list keys, and the format in which a field holds a version. Pure.

use std::fmt;

use breakwater_text::cut;
use serde_json::Value;

/// Most characters of a path; the CRD says the same.
const MAX_PATH: usize = 256;
/// Most segments of a path.
const MAX_SEGMENTS: usize = 32;
/// Most characters of a version; the CRD says the same.
const MAX_VERSION: usize = 128;
/// Stands for the version in a [`Format`].
const PLACEHOLDER: &str = "{version}";

/// Where a field stands: `spec.version`, `spec.template.spec.containers[name=app].image`,
/// `metadata.annotations["a.b/c"]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Into a map, by key.
    Key(String),
    /// Into a list of maps, to the one item whose `key` is `value`.
    Item {
        /// The list key, such as `name`.
        key: String,
        /// Its value, such as `app`.
        value: String,
    },
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing, or nothing where a key must stand.
    #[error("path {path:?}: a key is missing at position {at}")]
    MissingKey {
        /// The path.
        path: String,
        /// Where, in bytes from its start.
        at: usize,
    },
    /// A character that has no meaning there.
    #[error(
        "path {path:?}: {found:?} at position {at} cannot be read; put keys with dots or blanks into [\"...\"]"
    )]
    Unexpected {
        /// The path.
        path: String,
        /// Where, in bytes from its start.
        at: usize,
        /// What stands there.
        found: char,
    },
    /// `[0]`: positions in lists change, keys do not.
    #[error("path {path:?}: items of lists are found by key, such as containers[name=app], not by position")]
    Position {
        /// The path.
        path: String,
    },
    /// A bracket or a quotation that never ends.
    #[error("path {path:?}: the bracket at position {at} is not closed")]
    Unclosed {
        /// The path.
        path: String,
        /// Where it opens, in bytes from the path's start.
        at: usize,
    },
    /// More than fits.
    #[error("path {path:?} is longer than {MAX_PATH} characters or {MAX_SEGMENTS} segments")]
    TooLong {
        /// The path, cut.
        path: String,
    },
}

/// Why a value could not be read at a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such key.
    #[error("{0} is absent")]
    Absent(String),
    /// No item of the list has the key's value.
    #[error("{0} is in no item of the list")]
    NoItem(String),
    /// Several items have it.
    #[error("{0} is in more than one item of the list")]
    Ambiguous(String),
    /// Something else than the path says.
    #[error("{at} is {found}, not {wanted}")]
    WrongType {
        /// The path so far.
        at: String,
        /// What is there.
        found: &'static str,
        /// What the path says.
        wanted: &'static str,
    },
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'a> {
    /// The value.
    pub value: &'a Value,
    /// Positions of the list items on the way, one per [`Segment::Item`].
    pub positions: Vec<u16>,
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let too_long = || PathError::TooLong { path: cut::chars(text, 40).to_owned() };
        if text.len() > MAX_PATH {
            return Err(too_long());
        }
        let mut parser = Parser { text, at: 0 };
        let mut segments = vec![Segment::Key(parser.bare_key()?)];
        while let Some(next) = parser.peek() {
            segments.push(match next {
                '.' => {
                    parser.at += 1;
                    Segment::Key(parser.bare_key()?)
                }
                '[' => parser.bracket()?,
                found => return Err(parser.unexpected(found)),
            });
            if segments.len() > MAX_SEGMENTS {
                return Err(too_long());
            }
        }
        Ok(Self { segments })
    }

    /// A path of these segments; for paths that are derived, not read.
    pub fn of(segments: impl IntoIterator<Item = Segment>) -> Self {
        Self { segments: segments.into_iter().collect() }
    }

    /// Its steps, outermost first; never empty.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// True when it leads through maps only, so that a merge patch can write it.
    pub fn is_map_path(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment, Segment::Key(_)))
    }

    /// Number of list items on its way.
    pub fn items(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, Segment::Item { .. })).count()
    }

    /// Finds the value and the positions of the list items on the way.
    pub fn read<'a>(&self, root: &'a Value) -> Result<Found<'a>, ReadError> {
        let mut value = root;
        let mut positions = Vec::with_capacity(self.items());
        for (depth, segment) in self.segments.iter().enumerate() {
            let until = |count: usize| Self::of(self.segments[..count].iter().cloned()).to_string();
            match segment {
                Segment::Key(key) => {
                    let map = value.as_object().ok_or_else(|| match value {
                        Value::Null => ReadError::Absent(until(depth)),
                        other => wrong(until(depth), other, "a map"),
                    })?;
                    value = map.get(key).ok_or_else(|| ReadError::Absent(until(depth + 1)))?;
                }
                Segment::Item { key, value: wanted } => {
                    let list = value.as_array().ok_or_else(|| wrong(until(depth), value, "a list"))?;
                    let mut matching =
                        list.iter().enumerate().filter(|(_, item)| is_text(item.get(key), wanted));
                    let (position, item) =
                        matching.next().ok_or_else(|| ReadError::NoItem(until(depth + 1)))?;
                    if matching.next().is_some() {
                        return Err(ReadError::Ambiguous(until(depth + 1)));
                    }
                    // A list of more than 65,535 items does not fit into an object of 1.5 MiB with keys.
                    positions.push(u16::try_from(position).map_err(|_| ReadError::NoItem(until(depth + 1)))?);
                    value = item;
                }
            }
        }
        Ok(Found { value, positions })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Key(key) if is_bare(key) => {
                    f.write_str(if depth == 0 { "" } else { "." })?;
                    f.write_str(key)?;
                }
                Segment::Key(key) => write!(f, "[{}]", Quoted(key))?,
                Segment::Item { key, value } if is_bare(value) => write!(f, "[{key}={value}]")?,
                Segment::Item { key, value } => write!(f, "[{key}={}]", Quoted(value))?,
            }
        }
        Ok(())
    }
}

/// A text in double quotes, with `\` before quotes and before itself.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn wrong(at: String, found: &Value, wanted: &'static str) -> ReadError {
    ReadError::WrongType { at, found: type_name(found), wanted }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Only texts are list keys here: a JSON patch tests them by value, and a number is not its text.
fn is_text(value: Option<&Value>, wanted: &str) -> bool {
    value.and_then(Value::as_str) == Some(wanted)
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(is_key_char)
}

fn is_key_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '$')
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn unexpected(&self, found: char) -> PathError {
        PathError::Unexpected { path: self.text.into(), at: self.at, found }
    }

    fn bare_key(&mut self) -> Result<String, PathError> {
        let rest = &self.text[self.at..];
        let key: String = rest.chars().take_while(|c| is_key_char(*c)).collect();
        if key.is_empty() {
            return Err(match rest.chars().next() {
                Some(found) if !matches!(found, '.' | '[') => self.unexpected(found),
                Some(_) | None => PathError::MissingKey { path: self.text.into(), at: self.at },
            });
        }
        self.at += key.len();
        Ok(key)
    }

    /// `["a key"]`, `[name=app]` or `[name="an item"]`, from the opening bracket on.
    fn bracket(&mut self) -> Result<Segment, PathError> {
        let open = self.at;
        let unclosed = || PathError::Unclosed { path: self.text.into(), at: open };
        self.at += 1;
        let segment = if self.peek() == Some('"') {
            Segment::Key(self.quoted(open)?)
        } else {
            let key = self.bare_key()?;
            match self.peek() {
                Some('=') => self.at += 1,
                Some(']') if key.chars().all(|c| c.is_ascii_digit()) => {
                    return Err(PathError::Position { path: self.text.into() });
                }
                Some(found) => return Err(self.unexpected(found)),
                None => return Err(unclosed()),
            }
            let value = if self.peek() == Some('"') { self.quoted(open)? } else { self.bare_value()? };
            Segment::Item { key, value }
        };
        match self.peek() {
            Some(']') => self.at += 1,
            Some(found) => return Err(self.unexpected(found)),
            None => return Err(PathError::Unclosed { path: self.text.into(), at: open }),
        }
        Ok(segment)
    }

    /// A list key's value may hold dots without quotes: `[host=a.example]`.
    fn bare_value(&mut self) -> Result<String, PathError> {
        let rest = &self.text[self.at..];
        let value: String = rest.chars().take_while(|c| is_key_char(*c) || *c == '.').collect();
        if value.is_empty() {
            return Err(PathError::MissingKey { path: self.text.into(), at: self.at });
        }
        self.at += value.len();
        Ok(value)
    }

    fn quoted(&mut self, open: usize) -> Result<String, PathError> {
        let mut out = String::new();
        let mut escaped = false;
        for (offset, c) in self.text[self.at..].char_indices().skip(1) {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    self.at += offset + 1;
                    return if out.is_empty() {
                        Err(PathError::MissingKey { path: self.text.into(), at: self.at })
                    } else {
                        Ok(out)
                    };
                }
                c => {
                    out.push(c);
                    escaped = false;
                }
            }
        }
        Err(PathError::Unclosed { path: self.text.into(), at: open })
    }
}

/// How a field holds the version: `registry.example/app:{version}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Format {
    prefix: String,
    suffix: String,
}

/// Why a text is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("format {0:?} must hold {PLACEHOLDER} exactly once and no other braces")]
pub struct FormatError(String);

impl Format {
    /// Reads a format.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let refuse = || FormatError(text.to_owned());
        let (prefix, suffix) = text.split_once(PLACEHOLDER).ok_or_else(refuse)?;
        if [prefix, suffix].iter().any(|part| part.contains(['{', '}'])) {
            return Err(refuse());
        }
        Ok(Self { prefix: prefix.into(), suffix: suffix.into() })
    }

    /// The value of a field that holds `version`.
    pub fn write(&self, version: &str) -> String {
        format!("{}{version}{}", self.prefix, self.suffix)
    }

    /// The version that a field's value holds; `None` when the value does not fit.
    pub fn read<'a>(&self, value: &'a str) -> Option<&'a str> {
        let version = value.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        is_version(version).then_some(version)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACEHOLDER}{}", self.prefix, self.suffix)
    }
}

/// True for what the CRD takes as `spec.version`; anything else could not be asked for, nor gone back to.
pub fn is_version(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '+');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= MAX_VERSION
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_read_and_printed_the_same() {
        for text in [
            "spec.version",
            "spec.template.spec.containers[name=app].image",
            "metadata.annotations[\"a.b/c\"]",
            "spec.ports[name=8080].x",
            "spec.rules[host=\"a b\\\"c\"].x",
        ] {
            assert_eq!(Path::parse(text).map(|path| path.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_wrong_path_says_what_is_wrong_and_where() {
        for (text, message) in [
            ("", "a key is missing at position 0"),
            ("spec..x", "a key is missing at position 5"),
            ("spec.containers[0].image", "by key, such as containers[name=app], not by position"),
            ("spec.containers[name=app", "is not closed"),
            ("spec.containers[name", "is not closed"),
            ("spec.containers[\"name", "is not closed"),
            ("spec.containers[name=].x", "a key is missing at position 21"),
            ("spec version", "' ' at position 4"),
            ("spec.a*", "'*' at position 6"),
        ] {
            let error = Path::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn reading_finds_the_value_and_the_positions_or_says_why_not() {
        let object = json!({"spec": {"v": "1", "n": null, "c": [{"name": "a"}, {"name": "b", "image": "x"}, {"name": "d"}, {"name": "d"}]}});
        let read = |text: &str| {
            Path::parse(text)
                .unwrap()
                .read(&object)
                .map(|f| (f.value.clone(), f.positions))
                .map_err(|e| e.to_string())
        };
        assert_eq!(read("spec.v"), Ok((json!("1"), vec![])));
        assert_eq!(read("spec.c[name=b].image"), Ok((json!("x"), vec![1])));
        assert_eq!(read("spec.c[name=a].image"), Err("spec.c[name=a].image is absent".into()));
        assert_eq!(read("spec.c[name=e].image"), Err("spec.c[name=e] is in no item of the list".into()));
        assert_eq!(
            read("spec.c[name=d].image"),
            Err("spec.c[name=d] is in more than one item of the list".into())
        );
        assert_eq!(read("spec.v.x"), Err("spec.v is a string, not a map".into()));
        assert_eq!(read("spec.v[name=a]"), Err("spec.v is a string, not a list".into()));
        assert_eq!(read("spec.n.x"), Err("spec.n is absent".into()));
    }

    #[test]
    fn a_format_reads_only_what_it_could_have_written() {
        let format = Format::parse("r.io/app:{version}-ee").unwrap();
        assert_eq!(format.read("r.io/app:1.2-ee"), Some("1.2"));
        for value in
            ["r.io/app:1.2", "r.io/app:-ee", "app:1.2-ee", "r.io/app:1.2@sha256:ab-ee", "r.io/app:$-ee"]
        {
            assert_eq!(format.read(value), None, "{value}");
        }
        for text in ["", "app", "{version}{version}", "{x}{version}", "{version"] {
            assert!(Format::parse(text).is_err(), "{text}");
        }
    }

    fn segment() -> impl Strategy<Value = Segment> {
        prop_oneof![
            "[ -~]{1,8}".prop_map(Segment::Key),
            ("[a-z]{1,5}", "[ -~]{1,8}").prop_map(|(key, value)| Segment::Item { key, value }),
        ]
    }

    proptest! {
        #[test]
        fn every_path_survives_printing_and_parsing(first in "[a-z]{1,8}", rest in prop::collection::vec(segment(), 0..6)) {
            let path = Path::of(std::iter::once(Segment::Key(first)).chain(rest));
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }

        #[test]
        fn every_text_is_a_path_or_an_error_and_never_a_panic(text in ".{0,40}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }

        #[test]
        fn every_version_survives_its_format(prefix in "[^{}]{0,8}", suffix in "[^{}]{0,8}", version in "[A-Za-z0-9]([-A-Za-z0-9._+]{0,8}[A-Za-z0-9])?") {
            let format = Format::parse(&format!("{prefix}{{version}}{suffix}")).unwrap();
            let value = format.write(&version);
            prop_assert_eq!(format.read(&value), Some(version.as_str()));
        }
    }
}
