//! Which alerts count, and what they do.

use serde::{Deserialize, Serialize};

use crate::scalars::Span;

/// Alerts that speak of the candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.action != 'Revert' || (has(self.tenantLabel) && self.tenantLabel != '')")
        .message("tenantLabel is required for action Revert: an alert without a tenant can only hold")
        .field_path(".tenantLabel"))
)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Matchers in Alertmanager's notation, all of which must hold: `severity="page"`.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 1, max = 8),
            inner(length(min = 1, max = 256), regex(pattern = r"^\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=)"))
        )
    )]
    pub matchers: Vec<String>,
    /// Label that names the tenant, as `tenants.id` does; alerts without it only hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(max = 128), regex(pattern = "^([a-zA-Z_][a-zA-Z0-9_]*)?$"))
    )]
    pub tenant_label: String,
    /// What enough of them do.
    #[serde(default)]
    pub action: AlertAction,
    /// On how many candidates it must fire.
    #[serde(default = "two")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 100_000)))]
    pub min_tenants: u32,
    /// For how long.
    #[serde(rename = "for", default = "two_minutes")]
    pub for_: Span,
}

/// What alerts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum AlertAction {
    /// Nothing advances until a human lifts it.
    #[default]
    Hold,
    /// It is a deviation.
    Revert,
}

const fn two() -> u32 {
    2
}

const fn two_minutes() -> Span {
    Span::seconds(120)
}
