//! From the types to the checked-in files: the `CustomResourceDefinitions` as `crds/yaml` and the chart carry them. Pure.

use std::path::PathBuf;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::{DeviationReport, Release, Rollout, RolloutAction, RolloutState};

/// Said at the top of every rendered file.
const HEADER: &str =
    "# Rendered by `cargo run -p breakwater-crds --features kube --bin render-crds`. Do not edit.\n";

/// RFC 3339 with a zone, in this millennium: what the API server takes for a `date-time` is wider (no zone, any
/// year) than what can be read back and added to.
const INSTANT: &str =
    r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$";

/// One rendered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path below the repository's root.
    pub path: PathBuf,
    /// What it must hold.
    pub text: String,
}

/// The `CustomResourceDefinitions` in the order in which they are rendered.
pub fn definitions() -> [CustomResourceDefinition; 5] {
    [Rollout::crd(), Release::crd(), RolloutAction::crd(), DeviationReport::crd(), RolloutState::crd()]
        .map(hardened)
}

/// Every file that is rendered from the types.
pub fn files() -> Result<Vec<File>, serde_yaml::Error> {
    let mut files = Vec::new();
    for crd in definitions() {
        let plural = &crd.spec.names.plural;
        let plain = serde_yaml::to_string(&crd)?;
        files.push(File {
            path: format!("charts/breakwater/templates/crds/{plural}.yaml").into(),
            text: template(&plain),
        });
        files
            .push(File { path: format!("crds/yaml/{plural}.yaml").into(), text: format!("{HEADER}{plain}") });
    }
    Ok(files)
}

/// Helm never upgrades a chart's `crds/` folder, so the chart carries them as templates that survive an uninstall.
fn template(plain: &str) -> String {
    let kept =
        plain.replacen("metadata:\n", "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n", 1);
    let escaped = kept.replace("{{", "{{ \"{{\" }}");
    format!("{HEADER}{{{{- if .Values.crds.install }}}}\n{escaped}{{{{- end }}}}\n")
}

/// Closes in `spec` what Rust's types leave open there; the status is only ever written by the controller.
fn hardened(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let schemas = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        if let Some(spec) = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec")) {
            harden(spec);
        }
    }
    crd
}

fn harden(schema: &mut JSONSchemaProps) {
    // `selector: null` would count as given: `has()` is true for it.
    schema.nullable = None;
    if schema.format.as_deref() == Some("date-time") {
        schema.pattern = Some(INSTANT.into());
        schema.max_length = Some(35);
    }
    // serde's integers are checked by `minimum` and `maximum`; unsigned formats are unknown to the API server.
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(harden);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => harden(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(harden),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        harden(values);
    }
}
