//! How far the old binary and the old data are lost, as two scales from good to bad. Pure, data.

use serde::{Deserialize, Serialize};

/// How the binary before the upgrade fares on the schema after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OldBinary {
    /// It works as before.
    Works,
    /// The schema is only widened: it reads as before unless it depends on the type; only the application's authors know
    /// (seed 002's query 9).
    WorksIfWidened,
    /// It may meet what it does not expect.
    May,
    /// Some of its statements fail.
    Breaks,
    /// Not known.
    Unknown,
}

impl OldBinary {
    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::WorksIfWidened => "works if the type does not matter",
            Self::May => "may fail",
            Self::Breaks => "breaks",
            Self::Unknown => "not known",
        }
    }
}

/// What a down script can give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reversible {
    /// Schema and data.
    Yes,
    /// The schema, but not the data that was in it.
    SchemaOnly,
    /// Nothing.
    No,
    /// Not known.
    Unknown,
}
