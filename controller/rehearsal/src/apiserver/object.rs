//! A stored object: the value, and its text as it goes over the wire, made once per write. Pure.

use serde_json::Value;

/// One version of one object.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) value: Value,
    pub(super) json: String,
    pub(super) version: u64,
}

impl Stored {
    pub(super) fn new(mut value: Value, version: u64) -> Self {
        value["metadata"]["resourceVersion"] = Value::from(version.to_string());
        let json = value.to_string();
        Self { value, json, version }
    }

    pub(super) fn uid(&self) -> &str {
        self.value.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        text(&self.value, "namespace")
    }

    pub(super) fn name(&self) -> &str {
        text(&self.value, "name")
    }
}

/// A text of the metadata; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}
