//! What a request is refused with: a `Status`, as the API writes it. Pure.

use serde_json::{Value, json};

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    /// Machine-readable reason, such as `NotFound`; empty where the server gives none.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
    /// `details.causes`: field and message.
    pub causes: Vec<(String, String)>,
    /// `details.retryAfterSeconds`.
    pub retry_after: u32,
}

impl Failure {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), causes: Vec::new(), retry_after: 0 }
    }

    pub(super) fn not_found(resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} {name:?} not found"))
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(super) fn conflict(resource: &str, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} {name:?}: {why}"))
    }

    pub(super) fn outdated(resource: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn invalid(kind: &str, name: &str, causes: Vec<(String, String)>) -> Self {
        let said: Vec<String> = causes.iter().map(|(field, why)| format!("{field}: {why}")).collect();
        let message = format!("{kind} {name:?} is invalid: {}", said.join(", "));
        Self { causes, ..Self::new(422, "Invalid", message) }
    }

    pub(super) fn expired() -> Self {
        Self::new(410, "Expired", "too old resource version")
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let causes: Vec<Value> = self
            .causes
            .iter()
            .map(
                |(field, message)| json!({"reason": "FieldValueInvalid", "field": field, "message": message}),
            )
            .collect();
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
            "details": {"causes": causes, "retryAfterSeconds": self.retry_after},
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        status
    }
}
