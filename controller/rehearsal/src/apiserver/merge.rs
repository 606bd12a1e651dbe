//! Patches: merge patch (RFC 7396) and JSON patch (RFC 6902). Pure.

use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

use super::failure::Failure;

/// Applies a JSON merge patch.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Applies a JSON patch, as a whole or not at all.
pub(super) fn json(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|why| Failure::bad_request(format!("error decoding patch: {why}")))?;
    let mut patched = target.clone();
    for step in patch.0 {
        let step = lenient(&patched, step);
        json_patch::patch(&mut patched, &[step]).map_err(|_| {
            // As 1.34 answers a failed `test` and a path that is not there.
            Failure::new(422, "Invalid", "the server rejected our request due to an error in our request")
        })?;
    }
    *target = patched;
    Ok(())
}

/// The real server replaces a field that is not there by adding it, against RFC 6902, section 4.3; seen on 1.34.
fn lenient(target: &Value, step: PatchOperation) -> PatchOperation {
    match step {
        PatchOperation::Replace(replace)
            if replace
                .path
                .parent()
                .and_then(|parent| parent.resolve(target).ok())
                .is_some_and(Value::is_object) =>
        {
            PatchOperation::Add(AddOperation { path: replace.path, value: replace.value })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_sets_removes_and_replaces_lists() {
        let mut object = json!({"a": 1, "b": {"c": [1, 2], "d": 3}});
        merge(&mut object, &json!({"a": null, "b": {"c": [3], "e": {"f": null, "g": 1}}}));
        assert_eq!(object, json!({"b": {"c": [3], "d": 3, "e": {"g": 1}}}));
    }

    #[test]
    fn a_json_patch_whose_test_fails_changes_nothing() {
        let mut object = json!({"a": 1, "l": [1]});
        let patch =
            json!([{"op": "replace", "path": "/l/0", "value": 2}, {"op": "test", "path": "/a", "value": 2}]);
        assert_eq!(json(&mut object, &patch).expect_err("the test fails").code, 422);
        assert_eq!(object, json!({"a": 1, "l": [1]}));
        json(&mut object, &json!([{"op": "replace", "path": "/b", "value": 2}]))
            .expect("as the real server does");
        assert_eq!(object, json!({"a": 1, "b": 2, "l": [1]}));
        let nowhere = json!([{"op": "replace", "path": "/c/d", "value": 2}]);
        assert_eq!(json(&mut object, &nowhere).expect_err("no parent").code, 422);
    }
}
