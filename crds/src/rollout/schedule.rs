//! When a version may advance: windows and freezes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::scalars::Span;

/// When updates may start. Watching and reverting need no window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// IANA time zone of the cron expressions.
    #[serde(default = "utc")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z][-A-Za-z0-9_+/]*$"))
    )]
    pub time_zone: String,
    /// Updates start only inside one of these; none: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16)))]
    pub allow: Vec<Window>,
    /// No update starts inside any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 32)))]
    pub deny: Vec<Freeze>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { time_zone: utc(), allow: Vec::new(), deny: Vec::new() }
    }
}

/// A recurring window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.duration.matches('[1-9]')")
        .message("duration must be longer than 0")
        .field_path(".duration"))
)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it opens: five cron fields.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 9, max = 128),
            regex(pattern = "^[-0-9A-Za-z*/,?#+]+( +[-0-9A-Za-z*/,?#+]+){4}$")
        )
    )]
    pub cron: String,
    /// How long it stays open.
    pub duration: Span,
    /// Whether it lies outside business hours: versions whose migrations are `OffHours` start waves and tenants in such
    /// windows only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off_hours: bool,
}

/// A freeze.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(kube::KubeSchema), x_kube(validation = ("self.from < self.to", "from must be before to")))]
#[serde(rename_all = "camelCase")]
pub struct Freeze {
    /// Its first instant.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 256)))]
    pub reason: String,
}

fn utc() -> String {
    "UTC".into()
}
