//! What a deviation does, and how tenants go back.

use serde::{Deserialize, Serialize};

use super::thirty_minutes;
use crate::{
    job::TenantJob,
    scalars::{IntOrPercent, Span},
};

/// What a deviation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.scope != 'Tenant' || self.action == 'Revert'")
        .message("scope Tenant is about whom a revert is for: it needs action Revert")
        .field_path(".scope"))
)]
#[serde(rename_all = "camelCase")]
pub struct OnDeviation {
    /// Revert, or hold.
    #[serde(default)]
    pub action: DeviationAction,
    /// Whom a revert is for: all, or a tenant that is guilty by itself.
    #[serde(default)]
    pub scope: Scope,
}

/// Whom a revert is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Scope {
    /// Every tenant that was touched.
    #[default]
    Release,
    /// A tenant that is guilty by itself goes back alone, and the version is rejected for it (R22). More of them than
    /// `revert.maxTenantReverts`, and every other deviation, are the release's.
    Tenant,
}

/// What a deviation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum DeviationAction {
    /// Every touched tenant goes back to its own last verified version.
    #[default]
    Revert,
    /// Nothing advances while it lasts.
    Hold,
}

/// How a revert is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Revert {
    /// Most tenants that are on their way back at once.
    #[serde(default = "fifty")]
    pub max_concurrent: IntOrPercent,
    /// How long the SLOs are watched afterwards, to see whether it helped.
    #[serde(default = "thirty_minutes")]
    pub verify_for: Span,
    /// Time to become ready before a tenant gives its place to the next and is listed.
    #[serde(default = "thirty_minutes")]
    pub tenant_deadline: Span,
    /// With `onDeviation.scope: Tenant`, most live tenants that go back alone under one version, at least 1 and at most
    /// 256: one more is a deviation of the release.
    #[serde(default = "one_in_a_hundred")]
    pub max_tenant_reverts: IntOrPercent,
    /// Takes a tenant's schema down before its version goes back, where the version before does not run on the new one
    /// (R21). Without it such a revert holds until a human acknowledges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_job: Option<TenantJob>,
}

impl Default for Revert {
    fn default() -> Self {
        Self {
            max_concurrent: fifty(),
            verify_for: thirty_minutes(),
            tenant_deadline: thirty_minutes(),
            max_tenant_reverts: one_in_a_hundred(),
            down_job: None,
        }
    }
}

const fn one_in_a_hundred() -> IntOrPercent {
    IntOrPercent::Percent(1)
}

const fn fifty() -> IntOrPercent {
    IntOrPercent::Int(50)
}
