//! From the types to the checked-in files: the `CustomResourceDefinitions` as `crds/yaml` and the chart carry them, and the
//! documents' tables of words. Pure: documents are read by the caller's function.

mod tables;

use std::{
    io,
    path::{Path, PathBuf},
};

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

/// Why nothing could be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A definition does not render.
    #[error(transparent)]
    Yaml(#[from] serde_yaml::Error),
    /// A document cannot be read.
    #[error("{path}: {source}")]
    Document {
        /// The document.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A document lacks a pair of marker comments.
    #[error("{path} has no marker comments for {name}")]
    Unmarked {
        /// The document.
        path: &'static str,
        /// The table.
        name: &'static str,
    },
}

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

/// Every file that is rendered from the types, in whole or in part; `read` reads a path below the repository's root.
pub fn files(read: impl Fn(&Path) -> io::Result<String>) -> Result<Vec<File>, RenderError> {
    let mut files = yaml()?;
    for section in tables::sections() {
        let path = PathBuf::from(section.path);
        let at = files.iter().position(|file| file.path == path);
        let mut file = match at {
            Some(at) => files.swap_remove(at),
            None => match read(&path) {
                Ok(text) => File { path, text },
                Err(source) => return Err(RenderError::Document { path: section.path, source }),
            },
        };
        let unmarked = || RenderError::Unmarked { path: section.path, name: section.name };
        file.text = section.placed_in(&file.text).ok_or_else(unmarked)?;
        files.push(file);
    }
    Ok(files)
}

fn yaml() -> Result<Vec<File>, serde_yaml::Error> {
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
