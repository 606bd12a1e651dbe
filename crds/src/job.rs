//! A Job that a Rollout runs for a tenant: `revert.downJob`, `beforeUpdateJob`.

use serde::{Deserialize, Serialize};

use crate::scalars::Span;

/// A Job that is run once for a tenant and a change of its version, in the tenant's namespace. A namespace other than the
/// Rollout's own consents by the label `breakwater.dev/jobs-from: <namespace of the Rollout>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.deadline.matches('[1-9]')")
        .message("deadline must be longer than 0")
        .field_path(".deadline"))
)]
#[serde(rename_all = "camelCase")]
pub struct TenantJob {
    /// `spec` of a `batch/v1` Job. In its strings `{tenant}`, `{namespace}`, `{newer}` and `{older}` stand for the tenant's name and
    /// namespace, the later version and the one before; `{id}` for the tenant's name in metrics.
    #[cfg_attr(feature = "kube", schemars(schema_with = "any_object"))]
    pub spec: serde_json::Value,
    /// Time for a Job to complete, retries included; after it the Job has failed.
    #[serde(default = "one_hour")]
    pub deadline: Span,
}

const fn one_hour() -> Span {
    Span::seconds(3_600)
}

#[cfg(feature = "kube")]
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
