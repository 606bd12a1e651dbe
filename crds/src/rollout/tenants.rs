//! Which objects are tenants, and how their version is read, written and judged ready.

use serde::{Deserialize, Serialize};

use super::thirty_minutes;
use crate::{scalars::Span, selector::LabelSelector};

/// Which objects are tenants, and how their version is read, written and judged ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tenants {
    /// The kind of the tenants; any namespaced one.
    pub resource: Resource,
    /// Namespaces of the tenants; omitted: the Rollout's own; `{}`: all. Others than the own must consent by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Which objects of the kind; omitted: all.
    #[serde(default)]
    pub selector: LabelSelector,
    /// CEL over `object`: true leaves the object out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub exclude: String,
    /// CEL over `object`: the tenant's name in metrics; default `namespace/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub id: String,
    /// Where the version stands; default by kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])))]
    pub fields: Vec<Field>,
    /// CEL over `object` and `version`: true when the tenant is ready; default by kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub ready: String,
    /// CEL over `object`: true when the tenant sleeps and is left alone. By default that is one whose `spec.replicas` is 0 (`Deployment`,
    /// `StatefulSet`, `Mattermost`, Rollout of `argoproj.io`), or whose `spec.paused` or `spec.suspend` is true where the kind has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub dormant: String,
    /// Time after ready in which a tenant's numbers say nothing.
    #[serde(default = "ten_minutes")]
    pub warm_up: Span,
    /// Time to become ready before a tenant counts as failed.
    #[serde(default = "thirty_minutes")]
    pub progress_deadline: Span,
    /// Field managers that the version may be taken over from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set")))]
    pub take_from: Vec<String>,
}

/// A kind of object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("!self.apiVersion.startsWith('breakwater.dev/')")
        .message("apiVersion: Breakwater's own kinds cannot be tenants")
        .field_path(".apiVersion"))
)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// `group/version`, or `v1`.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 1, max = 253),
            regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9a-z]+$")
        )
    )]
    pub api_version: String,
    /// The kind, such as `Deployment`.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))
    )]
    pub kind: String,
}

/// One field that holds the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    // A Rollout moves versions; it must not be a way to write owners, finalizers, a status or a marker (R39).
    x_kube(validation = kube::core::Rule::new(r"!self.path.matches('^(apiVersion|kind|metadata|status)([.\\[]|$)') || self.path.matches('^metadata[.](annotations|labels)[.\\[]')")
        .message("path must not lead into apiVersion, kind, status, or metadata other than annotations and labels")
        .field_path(".path")),
    x_kube(validation = kube::core::Rule::new("!self.path.contains('breakwater.dev/')")
        .message("path must not lead to Breakwater's own marker")
        .field_path(".path"))
)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Path with list keys: `spec.version`, `spec.template.spec.containers[name=app].image`, `metadata.annotations["a.b/c"]`.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 1, max = 256),
            regex(
                pattern = r#"^[-A-Za-z0-9_$/]+(\.[-A-Za-z0-9_$/]+|\["[^"\\]+"\]|\[[-A-Za-z0-9_$/]+=([-A-Za-z0-9_$/.]+|"[^"\\]+")\])*$"#
            )
        )
    )]
    pub path: String,
    /// The value, with `{version}` in place of the version: `registry.example/app:{version}`.
    #[serde(default = "bare_version")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 9, max = 256), regex(pattern = "^[^{}]*\\{version\\}[^{}]*$"))
    )]
    pub format: String,
}

fn bare_version() -> String {
    "{version}".into()
}

const fn ten_minutes() -> Span {
    Span::seconds(600)
}
