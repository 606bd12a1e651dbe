//! Alertmanager's payload: parsed, and taken into memory. Pure.

use std::collections::BTreeMap;

use breakwater_plan::alerts::Firing;
use breakwater_text::cut;
use jiff::Timestamp;
use serde::Deserialize;

use super::{IntakeError, memory::Memory};

/// Versions of the payload: Alertmanager's since 2018, and that of alerts that Grafana manages, which has the same fields.
const PAYLOAD_VERSIONS: [&str; 2] = ["4", "1"];

/// Alertmanager's payload, as far as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    version: String,
    alerts: Vec<PayloadAlert>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadAlert {
    status: Status,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

impl Payload {
    /// Parses a request's body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, IntakeError> {
        let payload: Self =
            serde_json::from_slice(body).map_err(|why| IntakeError::Malformed(why.to_string()))?;
        if !PAYLOAD_VERSIONS.contains(&payload.version.as_str()) {
            let known = PAYLOAD_VERSIONS.join(" or ");
            return Err(IntakeError::Malformed(format!("version {:?}, not {known}", payload.version)));
        }
        Ok(payload)
    }

    /// Takes what fires and what is over into memory; `only` names the Rollout whose path it came by.
    pub(super) fn take(self, memory: &mut Memory, only: Option<(&str, &str)>, now: Timestamp) {
        for alert in self.alerts {
            take(memory, only, alert, now);
        }
    }
}

fn take(memory: &mut Memory, only: Option<(&str, &str)>, alert: PayloadAlert, now: Timestamp) {
    let PayloadAlert { status, labels, starts_at, ends_at, fingerprint } = alert;
    let fingerprint: String = if fingerprint.is_empty() {
        breakwater_plan::alerts::fingerprint(&labels)
    } else {
        cut::chars(&fingerprint, 64).to_owned()
    };
    // A firing alert's end is year one; an end in the past is as good as resolved.
    let over = ends_at.is_some_and(|end| end > starts_at && end <= now);
    if status == Status::Resolved || over {
        memory.resolve(only, &fingerprint);
    } else {
        memory.fire(only, Firing { fingerprint, labels, starts_at }, now);
    }
}
