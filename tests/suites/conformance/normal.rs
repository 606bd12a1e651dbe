//! What two servers must agree on of an answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// An answer without versions, times and UIDs; of a failure its code and reason; of a list its items.
pub fn normal(answer: &Value) -> Value {
    if answer["kind"] == "Status" {
        return json!({"status": answer["status"], "reason": answer["reason"]});
    }
    if let Some(items) = answer["items"].as_array() {
        let metadata = &answer["metadata"];
        return json!({
            "items": items.iter().map(normal).collect::<Vec<_>>(), "more": metadata["continue"].is_string(),
            "remaining": metadata["remainingItemCount"],
        });
    }
    let metadata = &answer["metadata"];
    let owners: BTreeMap<String, Vec<String>> =
        metadata["managedFields"].as_array().into_iter().flatten().map(share).collect();
    let mut object = json!({"owners": owners, "terminating": metadata["deletionTimestamp"].is_string()});
    for field in ["name", "namespace", "labels", "annotations", "finalizers", "generation"] {
        object[field] = metadata[field].clone();
    }
    // The real server fills in what we need not know of built-in kinds.
    match answer["kind"].as_str() {
        Some("Deployment") => {
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

/// One manager's leaves.
fn share(entry: &Value) -> (String, Vec<String>) {
    let mut leaves = Vec::new();
    flatten(&entry["fieldsV1"], "", &mut leaves);
    leaves.sort();
    let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    (format!("{} {} {}", text("manager"), text("operation"), text("subresource")), leaves)
}

fn flatten(fields: &Value, path: &str, leaves: &mut Vec<String>) {
    let inner: Vec<_> = fields.as_object().into_iter().flatten().filter(|(name, _)| *name != ".").collect();
    if inner.is_empty() {
        leaves.push(path.to_owned());
    }
    for (name, fields) in inner {
        flatten(fields, &format!("{path}/{name}"), leaves);
    }
}
