//! Where the figures come from.

use serde::{Deserialize, Serialize};

use crate::scalars::Span;

/// A Prometheus, or what speaks its API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.timeout.matches('[1-9]')")
        .message("timeout must be longer than 0")
        .field_path(".timeout"))
)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Base URL, `http://` or `https://`, without credentials (they belong in a Secret), query or fragment.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s@?#/]+(/[^\s@?#]*)?$"))
    )]
    pub url: String,
    /// Label matchers added to every selector, such as `cluster="eu1"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub matchers: String,
    /// Which dialect of the API; decides on `partial_response`.
    #[serde(default)]
    pub flavor: Flavor,
    /// Secret of the Rollout's namespace whose keys are header names (`X-Scope-OrgID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<SecretRef>,
    /// Secret of the Rollout's namespace with the bearer token under `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret_ref: Option<SecretRef>,
    /// Secret of the Rollout's namespace with the CA under `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// Time limit of one query.
    #[serde(default = "thirty_seconds")]
    pub timeout: Span,
    /// Most tenants of the baseline whose past is read where a wave's comparison is armed: a stable draw of the fleet. The
    /// wave's own tenants are always read.
    #[serde(default = "five_hundred")]
    #[cfg_attr(feature = "kube", schemars(range(min = 10, max = 100_000)))]
    pub baseline_sample: u32,
}

/// Dialects of Prometheus's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Flavor {
    /// Prometheus itself.
    #[default]
    Prometheus,
    /// Thanos: asked with `partial_response=false`.
    Thanos,
    /// Mimir or Cortex.
    Mimir,
    /// `VictoriaMetrics`: asked with `deny_partial_response=1`.
    VictoriaMetrics,
}

/// A Secret of the Rollout's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))
    )]
    pub name: String,
}

/// Default of [`Prometheus::baseline_sample`], also where a Rollout names no Prometheus.
pub const BASELINE_SAMPLE: u32 = 500;

const fn five_hundred() -> u32 {
    BASELINE_SAMPLE
}

const fn thirty_seconds() -> Span {
    Span::seconds(30)
}
