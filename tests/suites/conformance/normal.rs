//! What two servers must agree on of an answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// An answer without versions, times and UIDs; of a failure its code and reason; of a list its items.
pub fn normal(answer: &Value) -> Value {
    if answer["kind"] == "Status" {
        return json!({"status": answer["status"], "reason": answer["reason"]});
    }
    let kind = answer["kind"].as_str().unwrap_or_default();
    let kind = kind.strip_suffix("List").unwrap_or(kind);
    if let Some(items) = answer["items"].as_array() {
        let metadata = &answer["metadata"];
        let items: Vec<Value> = items.iter().map(|item| object(item, kind)).collect();
        let more = metadata["continue"].as_str().is_some_and(|token| !token.is_empty());
        return json!({"items": items, "more": more, "remaining": metadata["remainingItemCount"]});
    }
    object(answer, kind)
}

fn object(answer: &Value, kind: &str) -> Value {
    let metadata = &answer["metadata"];
    let shares = metadata["managedFields"].as_array().into_iter().flatten();
    let owners: BTreeMap<String, Vec<String>> =
        shares.map(|entry| share(answer, entry)).filter(|(_, leaves)| !leaves.is_empty()).collect();
    let terminating = metadata["deletionTimestamp"].is_string();
    let mut object = json!({"said": answer["kind"], "owners": owners, "terminating": terminating});
    for field in ["name", "namespace", "labels", "annotations", "finalizers", "generation"] {
        object[field] = metadata[field].clone();
    }
    // The real server fills in what we need not know of built-in kinds.
    match kind {
        "Deployment" => {
            object["replicas"] = answer["spec"]["replicas"].clone();
            object["image"] =
                answer.pointer("/spec/template/spec/containers/0/image").cloned().unwrap_or_default();
            object["status"] = answer["status"]["observedGeneration"].clone();
        }
        _ => {
            for field in ["spec", "data", "status"] {
                object[field] = answer[field].clone();
            }
        }
    }
    object
}

/// Fields of built-in kinds that the real server fills in, or whose lists and maps it takes as one.
const FILLED: [&str; 5] = [
    "/f:spec/f:progressDeadlineSeconds",
    "/f:spec/f:revisionHistoryLimit",
    "/f:spec/f:selector",
    "/f:spec/f:strategy",
    "/f:template/f:spec/f:",
];

/// One manager's leaves. Whose a map itself is, beside what it holds, is left out: ours does not keep it, and nobody
/// decides by it.
fn share(object: &Value, entry: &Value) -> (String, Vec<String>) {
    let mut leaves = Vec::new();
    flatten(&entry["fieldsV1"], "", Some(object), &mut leaves);
    leaves.retain(|leaf| leaf.ends_with("/f:image") || FILLED.iter().all(|filled| !leaf.contains(filled)));
    leaves.sort();
    let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    (format!("{} {} {}", text("manager"), text("operation"), text("subresource")), leaves)
}

fn flatten(fields: &Value, path: &str, object: Option<&Value>, leaves: &mut Vec<String>) {
    let inner: Vec<_> = fields.as_object().into_iter().flatten().filter(|(name, _)| *name != ".").collect();
    let holds_more = object.and_then(Value::as_object).is_some_and(|fields| !fields.is_empty());
    if inner.is_empty() && !holds_more {
        leaves.push(path.to_owned());
    }
    for (name, fields) in inner {
        let below = name.strip_prefix("f:").and_then(|name| object?.get(name));
        flatten(fields, &format!("{path}/{name}"), below, leaves);
    }
}
