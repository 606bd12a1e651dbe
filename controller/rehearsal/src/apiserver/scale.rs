//! The scale subresource: an object's size, seen and written as a `Scale` of `autoscaling/v1`. Pure.

use serde_json::{Value, json};

use super::{failure::Failure, kinds::Kind, object::Stored};

/// Where a kind keeps what its `Scale` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// JSON pointer to the wished number.
    pub spec: String,
    /// JSON pointer to the number that there is.
    pub status: String,
    /// JSON pointer to the selector: a text, or `matchLabels`.
    pub selector: Option<String>,
}

impl Paths {
    /// Of workloads.
    pub(super) fn workload() -> Self {
        Self {
            spec: "/spec/replicas".into(),
            status: "/status/replicas".into(),
            selector: Some("/spec/selector/matchLabels".into()),
        }
    }

    /// From a CRD's `subresources.scale`, if its paths are such as the API allows.
    pub(super) fn of_crd(scale: &Value) -> Option<Self> {
        let pointer = |field: &str| Some(scale[field].as_str()?.replace('.', "/"));
        Some(Self {
            spec: pointer("specReplicasPath")?,
            status: pointer("statusReplicasPath")?,
            selector: pointer("labelSelectorPath"),
        })
    }
}

/// Whether the size has an owner once it was written here: not where a custom object had none before. Seen on 1.34. Not
/// as there: a size that stays as it is, or becomes zero, loses no owner.
pub(super) fn is_owned(kind: &Kind, paths: &Paths, old: &Value) -> bool {
    !kind.custom || old.pointer(&paths.spec).is_some_and(|size| !size.is_null())
}

/// An error of the server, where a custom object has no size; seen on 1.34.
pub(super) fn check(kind: &Kind, paths: &Paths, stored: &Stored) -> Result<(), Failure> {
    if kind.custom && stored.value.pointer(&paths.spec).is_none() {
        let path = paths.spec.replace('/', ".");
        return Err(Failure::new(
            500,
            "InternalError",
            format!("the spec replicas field {path:?} does not exist"),
        ));
    }
    Ok(())
}

/// The `Scale` of an object; a size of zero is not said, as `omitempty` has it.
pub(super) fn of(paths: &Paths, stored: &Stored) -> Value {
    let number = |pointer: &str| stored.value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let metadata = &stored.value["metadata"];
    let mut scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}, "spec": {},
        "status": {"replicas": number(&paths.status)},
    });
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        scale["metadata"][field] = metadata[field].clone();
    }
    if number(&paths.spec) != 0 {
        scale["spec"]["replicas"] = number(&paths.spec).into();
    }
    let selector = paths.selector.as_ref().and_then(|selector| stored.value.pointer(selector));
    if let Some(selector) = selector.map(text).filter(|selector| !selector.is_empty()) {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

/// `a=b,c=d` of labels; a text as it is.
fn text(selector: &Value) -> String {
    let pair = |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    match selector {
        Value::Object(labels) => labels.iter().map(pair).collect::<Vec<_>>().join(","),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// The object with the size that a `Scale` says, under the `Scale`'s preconditions.
pub(super) fn into_object(kind: &Kind, paths: &Paths, old: &Stored, scale: &Value) -> Result<Value, Failure> {
    let size = &scale["spec"]["replicas"];
    let size = if size.is_null() { 0 } else { size.as_i64().unwrap_or(-1) };
    if size < 0 {
        let why = format!("Invalid value: {}: must be greater than or equal to 0", scale["spec"]["replicas"]);
        return Err(Failure::invalid(&kind.qualified(), old.name(), vec![("spec.replicas".into(), why)]));
    }
    let mut object = old.value.clone();
    let mut at = &mut object;
    for field in paths.spec.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[field];
    }
    *at = size.into();
    for field in ["uid", "resourceVersion"] {
        object["metadata"][field] = scale["metadata"][field].clone();
    }
    Ok(object)
}
