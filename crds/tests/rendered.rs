//! What is checked in is what the types say, and what the types say is bounded.
#![cfg(feature = "kube")]

use std::path::Path;

use breakwater_crds::{Release, Rollout, RolloutAction, render};
use serde_json::Value;

#[test]
fn the_rendered_files_are_those_that_are_checked_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for render::File { path, text } in render::files(|path| std::fs::read_to_string(root.join(path))).unwrap()
    {
        let found = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(
            found == text,
            "{} is stale: run `cargo run -p breakwater-crds --features kube --bin render-crds`",
            path.display()
        );
    }
}

#[test]
fn every_example_is_read_by_the_types_without_losing_a_field() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut read = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let written: Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let back = match written["kind"].as_str() {
            Some("Rollout") => {
                serde_json::to_value(serde_json::from_value::<Rollout>(written.clone()).unwrap())
            }
            Some("RolloutAction") => {
                serde_json::to_value(serde_json::from_value::<RolloutAction>(written.clone()).unwrap())
            }
            Some("Release") => {
                serde_json::to_value(serde_json::from_value::<Release>(written.clone()).unwrap())
            }
            kind => panic!("{} is a {kind:?}", path.display()),
        };
        let lost = lost(&written["spec"], &back.unwrap()["spec"], "spec");
        assert!(lost.is_empty(), "{}: {lost:?}", path.display());
        read += 1;
    }
    assert!(read >= 10, "{read} examples");
}

/// Fields that are written but did not come back, save those that are empty or false there anyway.
fn lost(written: &Value, back: &Value, path: &str) -> Vec<String> {
    match (written, back) {
        (Value::Object(fields), _) => fields
            .iter()
            .flat_map(|(name, value)| lost(value, &back[name], &format!("{path}.{name}")))
            .collect(),
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            let pairs = items.iter().zip(others).enumerate();
            pairs.flat_map(|(i, (item, other))| lost(item, other, &format!("{path}[{i}]"))).collect()
        }
        (_, Value::Null) => vec![path.to_owned()],
        _ => Vec::new(),
    }
}

#[test]
fn r27_every_list_and_string_of_a_spec_is_bounded() {
    for crd in render::definitions() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        unbounded(&schema["openAPIV3Schema"]["properties"]["spec"], &format!("{}.spec", crd.spec.names.kind));
    }
}

/// Panics at the first property that somebody could fill without end.
fn unbounded(schema: &Value, path: &str) {
    let has = |key: &str| !schema[key].is_null();
    assert!(!has("nullable"), "{path} takes null, which counts as given in rules");
    match schema["type"].as_str() {
        Some("string") => assert!(has("maxLength") || has("enum"), "{path} has no maxLength"),
        Some("array") => assert!(has("maxItems"), "{path} has no maxItems"),
        Some("integer" | "number") => assert!(has("format") || has("maximum"), "{path} has no maximum"),
        Some("boolean" | "object") | None => {}
        Some(other) => panic!("{path} is a {other}"),
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(property, &format!("{path}.{name}"));
    }
    if has("items") {
        unbounded(&schema["items"], &format!("{path}[]"));
    }
    if has("additionalProperties") {
        assert!(has("maxProperties"), "{path} has no maxProperties");
        unbounded(&schema["additionalProperties"], &format!("{path}.*"));
    }
}
