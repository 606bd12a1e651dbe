//! How the history's numbers are stored: only where one is another than its place says. A hundred numbers of thirteen digits would
//! take two of the status's 64 KB (R27). Pure.

use serde::{Deserialize as _, Deserializer, Serialize, Serializer, ser::SerializeSeq as _};

use super::Transition;

/// Most bytes of JSON that a stored number takes.
pub(super) const NUMBER_BYTES: usize = r#""seq":-9223372036854775808,"#.len();

impl Transition {
    /// Its number, if none is stored: the time, or one more than `before`, the number of the entry before it.
    pub fn number_after(&self, before: i64) -> i64 {
        before.saturating_add(1).max(self.at.as_millisecond())
    }
}

pub(super) fn serialize<S: Serializer>(history: &[Transition], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(history.len()))?;
    let mut before = 0;
    for told in history {
        if told.seq == told.number_after(before) {
            list.serialize_element(&Unnumbered::of(told))?;
        } else {
            list.serialize_element(told)?;
        }
        before = told.seq;
    }
    list.end()
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Transition>, D::Error> {
    let mut history = Vec::<Transition>::deserialize(deserializer)?;
    let mut before = 0;
    for told in &mut history {
        if told.seq == 0 {
            told.seq = told.number_after(before);
        }
        before = told.seq;
    }
    Ok(history)
}

/// An entry without its number.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Unnumbered(Transition);

impl Unnumbered {
    pub(super) fn of(told: &Transition) -> Self {
        Self(Transition { seq: 0, ..told.clone() })
    }
}
