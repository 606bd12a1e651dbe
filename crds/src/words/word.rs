//! A word of the API that may be a newer controller's. Pure.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A closed set of words.
pub trait Vocabulary: Copy + Eq + 'static {
    /// What one of them is called in an error.
    const KIND: &'static str;

    /// All of them.
    fn all() -> &'static [Self];

    /// The word as in the API.
    fn as_str(self) -> &'static str;
}

/// A text that is none of a vocabulary's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no {kind}")]
pub struct UnknownWord {
    /// What was looked for.
    pub kind: &'static str,
    /// The text.
    pub word: Box<str>,
}

/// Looks a text up.
pub(super) fn read<T: Vocabulary>(text: &str) -> Result<T, UnknownWord> {
    let found = T::all().iter().find(|word| word.as_str() == text).copied();
    found.ok_or_else(|| UnknownWord { kind: T::KIND, word: text.into() })
}

/// A word as read from an object. One that this controller does not know was written by a newer one (R38): it is kept byte for
/// byte, and it is never an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Word<T> {
    /// One of the vocabulary.
    Known(T),
    /// A newer controller's, or nobody's.
    Unknown(Box<str>),
}

impl<T: Vocabulary> Word<T> {
    /// The word, where this controller knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Unknown(_) => None,
        }
    }

    /// True where there is none: an empty text.
    pub fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }

    /// The word as in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(word) => word.as_str(),
            Self::Unknown(text) => text,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<T: Vocabulary> From<&str> for Word<T> {
    fn from(text: &str) -> Self {
        read(text).map_or_else(|unknown| Self::Unknown(unknown.word), Self::Known)
    }
}

/// No word at all.
impl<T> Default for Word<T> {
    fn default() -> Self {
        Self::Unknown("".into())
    }
}

impl<T: Vocabulary> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        self.known() == Some(*other)
    }
}

impl<T: Vocabulary> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self::from(&*text))
    }
}

#[cfg(feature = "kube")]
impl<T> schemars::JsonSchema for Word<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Word".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string"})
    }
}
