//! How far each wave is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{is_zero, is_zero_i64};

/// One wave of the version under way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WaveStatus {
    /// Its name.
    pub name: String,
    /// Live tenants in it.
    pub total: u32,
    /// Those on the wanted version.
    pub updated: u32,
    /// Those that are ready there.
    pub ready: u32,
    /// Those past their deadline.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// When its first tenant could be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was first complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// When it was first complete and warm: the soak clock's start (R7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_at: Option<Timestamp>,
    /// Soak judged on time so far, in seconds (R7).
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub soaked_seconds: i64,
    /// When it was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Timestamp>,
    /// Who approved its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_before: Option<Approved>,
    /// Who approved its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_after: Option<Approved>,
    /// Who ended its soak early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Approved>,
    /// `RolloutStates` in which what its tenants were like before it is stored; absent: it is not stored yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub frozen: u32,
    /// How its tenants were drawn when it started, where it has a percentage (R5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<WaveDraw>,
}

/// The draw of a percent wave: tenants in the order of their hashes, up to one. Who comes later joins by the same order. A status has
/// up to 32 of them, so each is one short text: the percentage, a blank, and the hash in 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct WaveDraw {
    /// The percentage that was drawn, such as `12.5`; an edited one is drawn anew.
    pub percent: String,
    /// Hash of the last tenant that was drawn; 0 where there was none.
    pub up_to: u64,
}

impl From<String> for WaveDraw {
    /// What is no draw is of no percentage, and so is drawn anew.
    fn from(text: String) -> Self {
        let known = text.split_once(' ').and_then(|(percent, up_to)| {
            let up_to = u64::from_str_radix(up_to, 16).ok()?;
            Some(Self { percent: percent.to_owned(), up_to })
        });
        known.unwrap_or(Self { percent: String::new(), up_to: 0 })
    }
}

impl From<WaveDraw> for String {
    fn from(WaveDraw { percent, up_to }: WaveDraw) -> Self {
        format!("{percent} {up_to:016x}")
    }
}

#[cfg(feature = "kube")]
impl schemars::JsonSchema for WaveDraw {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WaveDraw".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9.]{1,24} [0-9a-f]{16}$"})
    }
}

/// A human's word for a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The `RolloutAction`.
    pub action: String,
}

/// A day's soak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SoakedDay {
    /// The day, in days since 1970-01-01 (UTC).
    pub day: i64,
    /// Seconds of it.
    pub seconds: i64,
}
