//! What is checked in is what the types say, and what the types say is bounded.
#![cfg(feature = "kube")]

use std::path::Path;

use breakwater_crds::render;
use serde_json::Value;

#[test]
fn the_rendered_files_are_those_that_are_checked_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for render::File { path, text } in render::files().unwrap() {
        let found = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(
            found == text,
            "{} is stale: run `cargo run -p breakwater-crds --features kube --bin render-crds`",
            path.display()
        );
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
