//! What an object must be like before it is stored, and what of it a path may write. Pure.

use serde_json::{Map, Value};

use super::{
    failure::Failure,
    kinds::{Generation, Kind},
    object::{Stored, text},
    request::{Subresource, Verb},
    verbs::Say,
};

/// The kind and the version that an object says must be those of its path.
pub(super) fn check_type(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let (api_version, name) = (object["apiVersion"].as_str(), object["kind"].as_str());
    if !object.is_object() || name.is_some_and(|name| name != kind.kind) {
        return Err(Failure::bad_request(format!(
            "the object provided is no {} ({})",
            kind.kind,
            name.unwrap_or("no kind")
        )));
    }
    if api_version.is_some_and(|found| found != kind.api_version()) {
        return Err(Failure::bad_request(
            "the API version in the data does not match the expected API version",
        ));
    }
    Ok(())
}

/// Prunes, fills in and checks an object by its kind's schema; what is unknown is an error where the client asks for it.
pub(super) fn admit(kind: &Kind, say: &Say<'_>, new: &mut Value, old: Option<&Value>) -> Result<(), Failure> {
    drop_empty(&mut new["metadata"], &["labels", "annotations", "finalizers", "ownerReferences"]);
    if !kind.custom {
        drop_empty(new, &["data", "binaryData"]);
    }
    let Some(schema) = &kind.schema else { return Ok(()) };
    let mut unknown = Vec::new();
    schema.prune(new, "", &mut unknown);
    schema.fill(new);
    if !unknown.is_empty() && say.query.text("fieldValidation") == "Strict" {
        let fields: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        return Err(Failure::bad_request(format!("strict decoding error: {}", fields.join(", "))));
    }
    let causes = schema.check(new, old, "");
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid(&kind.qualified(), text(new, "name"), causes))
    }
}

/// Go's types with `omitempty` do not say what is empty.
fn drop_empty(object: &mut Value, fields: &[&str]) {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, value| !fields.contains(&name.as_str()) || !is_empty(value));
    }
}

/// Takes out who owns what.
pub(super) fn drop_managed(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
}

/// A resourceVersion and a UID in what is sent are preconditions.
pub(super) fn check_preconditions(kind: &Kind, old: &Stored, new: &Value, verb: Verb) -> Result<(), Failure> {
    let name = text(new, "name");
    if !name.is_empty() && name != old.name() {
        let why =
            format!("the name of the object ({name}) does not match the name on the URL ({})", old.name());
        return Err(Failure::bad_request(why));
    }
    let (uid, version) = (text(new, "uid"), text(new, "resourceVersion"));
    if !uid.is_empty() && uid != old.uid() {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid());
        return Err(Failure::conflict(&kind.resource(), old.name(), &why));
    }
    if version.is_empty() && !kind.unconditional && verb == Verb::Update {
        let why = "Invalid value: 0x0: must be specified for an update".to_owned();
        return Err(Failure::invalid(
            &kind.qualified(),
            old.name(),
            vec![("metadata.resourceVersion".into(), why)],
        ));
    }
    if !version.is_empty() && version != "0" && version != old.version.to_string() {
        return Err(Failure::outdated(&kind.resource(), old.name()));
    }
    Ok(())
}

/// Keeps what the path may not write: the status beside it, or all but the status; identity always.
pub(super) fn settle(kind: &Kind, subresource: Option<Subresource>, old: &Value, new: &mut Value) {
    let keep = |new: &mut Value, field: &str| match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => {
            if let Some(fields) = new.as_object_mut() {
                fields.remove(field);
            }
        }
    };
    match subresource {
        Some(Subresource::Status) => {
            let status = new.get("status").cloned();
            *new = old.clone();
            match (status, new.as_object_mut()) {
                (Some(status), _) => new["status"] = status,
                (None, Some(fields)) => drop(fields.remove("status")),
                (None, None) => {}
            }
        }
        None | Some(Subresource::Scale) if kind.has_status => keep(new, "status"),
        None | Some(Subresource::Scale) => {}
    }
    for field in ["apiVersion", "kind"] {
        keep(new, field);
    }
    let metadata = &old["metadata"];
    for field in [
        "uid",
        "name",
        "namespace",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        match (metadata.get(field), new["metadata"].as_object_mut()) {
            (Some(value), _) => new["metadata"][field] = value.clone(),
            (None, Some(fields)) => drop(fields.remove(field)),
            (None, None) => {}
        }
    }
    new["metadata"]["resourceVersion"] = metadata["resourceVersion"].clone();
}

/// Whether two objects differ in nothing but when somebody wrote.
pub(super) fn same(old: &Value, new: &Value) -> bool {
    let but_owners = |object: &Value| {
        let mut object = object.clone();
        drop_managed(&mut object);
        object
    };
    let entries = |object: &Value| {
        let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let but_time = |entry: &Value| {
            let mut entry = entry.clone();
            entry["time"] = Value::Null;
            entry
        };
        list.map(|list| list.iter().map(but_time).collect::<Vec<_>>())
    };
    but_owners(old) == but_owners(new) && entries(old) == entries(new)
}

/// Whether a change counts as one of the spec.
pub(super) fn moves_generation(kind: &Kind, old: &Value, new: &Value) -> bool {
    let outside = |object: &Value| {
        let mut fields: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
        fields.remove("metadata");
        if kind.has_status {
            fields.remove("status");
        }
        fields
    };
    let annotations = |object: &Value| object["metadata"].get("annotations").cloned();
    match kind.generation {
        Generation::None => false,
        Generation::Spec => outside(old) != outside(new),
        Generation::SpecAndAnnotations => {
            outside(old) != outside(new) || annotations(old) != annotations(new)
        }
    }
}

/// How many finalizers keep an object.
pub(super) fn finalizers(object: &Value) -> usize {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).map_or(0, Vec::len)
}

/// Who owns what is not declared cannot be told: that is an error of the server, seen on 1.34.
pub(super) fn check_declared(kind: &Kind, intent: &Value) -> Result<(), Failure> {
    let undeclared = kind.schema.as_ref().and_then(|schema| schema.undeclared(intent, ""));
    undeclared.map_or(Ok(()), |why| {
        Err(Failure::new(500, "", format!("failed to create typed patch object: {why}")))
    })
}
