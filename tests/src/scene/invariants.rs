//! What every write and every status of Breakwater keeps to, whatever the scene is about. Pure.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::kinds::Kind;

/// Prefix of Breakwater's own labels and annotations.
const OWN: &str = "breakwater.dev/";
/// Largest status (R27).
const STATUS_MAX_BYTES: usize = 64 * 1024;
/// Breakwater's field manager.
const MANAGER: &str = "breakwater";

/// What is wrong with a change of a tenant's marker, which is Breakwater's hand: the version and the marker are all
/// that may differ (R24), and the marker speaks of the version beside it (R17).
pub fn violation(kind: Kind, before: &Value, after: &Value) -> Option<String> {
    if before["metadata"]["uid"] != after["metadata"]["uid"] || marker(before) == marker(after) {
        return None;
    }
    let name = format!("{}/{}", text(after, "namespace"), text(after, "name"));
    let wanted = kind.wanted(after).unwrap_or_default();
    let mut undone = after.clone();
    kind.set_version(&mut undone, &kind.wanted(before).unwrap_or_default());
    if undone["spec"] != before["spec"] {
        return Some(format!(
            "{name}: more than the version changed: {} became {}",
            before["spec"], after["spec"]
        ));
    }
    if foreign(before) != foreign(after) {
        return Some(format!(
            "{name}: labels or annotations changed: {} became {}",
            foreign(before),
            foreign(after)
        ));
    }
    let target =
        after["metadata"]["annotations"]["breakwater.dev/target-version"].as_str().unwrap_or_default();
    if target != wanted {
        return Some(format!("{name}: the marker says {target}, the version is {wanted}"));
    }
    (!owns_its_write(after)).then(|| format!("{name}: the marker was not written by the manager {MANAGER}"))
}

/// A status is bounded (R27), and whatever it tells it tells in words (R31), once.
pub fn of_status(status: &Value) -> Result<()> {
    let bytes = status.to_string().len();
    ensure!(bytes <= STATUS_MAX_BYTES, "the status has {bytes} bytes");
    let history = status["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    for entry in history {
        let spoken = |field: &str| entry[field].as_str().is_some_and(|text| !text.is_empty());
        ensure!(
            spoken("reason") && spoken("message") && spoken("at"),
            "a wordless entry of the history: {entry}"
        );
    }
    let same =
        |pair: &&[Value]| pair[0]["reason"] == pair[1]["reason"] && pair[0]["message"] == pair[1]["message"];
    let twice = history.windows(2).find(same);
    ensure!(twice.is_none(), "told twice: {twice:?}");
    ensure!(
        status["message"].as_str().is_some_and(|said| !said.is_empty()),
        "the status says nothing: {status}"
    );
    Ok(())
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Breakwater's own annotations.
fn marker(object: &Value) -> Value {
    split(object, true)
}

/// Labels and annotations of everybody else; Kubernetes' own revision counter aside.
fn foreign(object: &Value) -> Value {
    split(object, false)
}

fn split(object: &Value, own: bool) -> Value {
    let mut kept = serde_json::Map::new();
    for field in ["labels", "annotations"] {
        for (key, value) in object["metadata"][field].as_object().into_iter().flatten() {
            let kubernetes = key.starts_with("deployment.kubernetes.io/");
            if key.starts_with(OWN) == own && !kubernetes {
                kept.insert(format!("{field}/{key}"), value.clone());
            }
        }
    }
    Value::Object(kept)
}

fn owns_its_write(object: &Value) -> bool {
    let managers = object["metadata"]["managedFields"].as_array();
    managers.is_some_and(|managers| managers.iter().any(|entry| entry["manager"] == MANAGER))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Tenant;

    fn written(change: impl FnOnce(&mut Value)) -> Option<String> {
        let before = Kind::Deployment.object(&Tenant::new("ns", "a", "1").sidecar("mesh", "mesh:7"));
        let mut after = before.clone();
        Kind::Deployment.set_version(&mut after, "2");
        after["metadata"]["annotations"] = json!({"breakwater.dev/target-version": "2"});
        after["metadata"]["managedFields"] = json!([{"manager": "breakwater"}]);
        change(&mut after);
        violation(Kind::Deployment, &before, &after)
    }

    #[test]
    fn a_version_and_its_marker_may_change_and_nothing_else() {
        assert_eq!(written(|_| {}), None);
        assert!(written(|after| after["spec"]["replicas"] = 3.into()).is_some());
        assert!(
            written(|after| after["spec"]["template"]["spec"]["containers"][0]["image"] = "mesh:8".into())
                .is_some()
        );
        assert!(written(|after| after["metadata"]["labels"]["app"] = "other".into()).is_some());
        assert!(written(|after| after["metadata"]["managedFields"] = json!([])).is_some());
        assert!(written(|after| Kind::Deployment.set_version(after, "3")).is_some());
    }
}
