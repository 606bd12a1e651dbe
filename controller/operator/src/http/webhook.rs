//! Alertmanager's webhook: alerts come in, are remembered, and what they ask for is stored as a `RolloutAction`
//! before the 2xx (R15). I/O through [`AlertTargets`]; the decision itself is [`breakwater_plan::alerts::decide`].

mod memory;
mod pull;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use breakwater_crds::{
    action::{RolloutActionSpec, Source, Verb},
    marker::stable_hash,
    rollout::AlertAction,
};
use breakwater_plan::alerts::{AlertRule, AlertTenant, Decision, Firing, decide};
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use jiff::Timestamp;
use memory::Memory;
pub use memory::{ALERTS_MAX, REMEMBERED};
pub use pull::AlertPull;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{
    HttpState,
    metrics::{Metrics, WebhookResult},
};

/// The one version of Alertmanager's payload that there has been since 2018.
const PAYLOAD_VERSION: &str = "4";
/// Most names of stored actions that are remembered, to spare the API server repeats.
const STORED_MAX: usize = 4_096;
/// Most firing alerts that are told of one Rollout: one more than a report names, so that it says that there are more.
const FIRING_MAX: usize = breakwater_crds::report::ALERTS_MAX + 1;
/// Longest reason of an action, in characters: the CRD's limit.
const REASON_MAX: usize = 1_024;

/// A Rollout that alerts may speak of.
#[derive(Debug, Clone)]
pub struct AlertTarget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The candidate version while it is under way; `None`: alerts are remembered, nothing is decided.
    pub version: Option<String>,
    /// When that version's rollout started (`status.startedAt`), so that a retried version is guarded anew.
    pub started_at: Option<Timestamp>,
    /// `spec.alerts`, parsed.
    pub rules: Arc<[AlertRule]>,
    /// Its tenants.
    pub tenants: Arc<[AlertTenant]>,
}

/// Whether an action was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It was created.
    Created,
    /// An action of this name was there already.
    AlreadyThere,
}

/// What the webhook needs of the cluster.
pub trait AlertTargets: Send + Sync + 'static {
    /// The Rollouts, or the one of this namespace and name; an error while the watches have not listed.
    fn targets<'a>(
        &'a self,
        only: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<Vec<AlertTarget>, String>>;

    /// Remembers which alerts of a Rollout's rules fire, in words, for the account of a deviation.
    fn heard<'a>(&'a self, namespace: &'a str, name: &'a str, firing: Vec<String>) -> BoxFuture<'a, ()>;

    /// The Rollouts under way whose alerts are to be asked for; none while this replica does not lead.
    fn pulls(&self) -> BoxFuture<'_, Vec<AlertPull>>;

    /// Creates a `RolloutAction`; a name that exists is no error. The future ends once it is durable.
    fn store<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        spec: RolloutActionSpec,
    ) -> BoxFuture<'a, Result<Stored, String>>;
}

/// Why alerts could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The body is not what Alertmanager sends.
    #[error("not a payload of Alertmanager: {0}")]
    Malformed(String),
    /// No such Rollout.
    #[error("there is no Rollout {0}")]
    Unknown(String),
    /// The cluster's state is not known, or an action could not be stored; try again.
    #[error("try again: {0}")]
    Unavailable(String),
}

/// The firing alerts in memory and who is to hear of them.
pub struct Alerts {
    targets: Arc<dyn AlertTargets>,
    requested_by: String,
    metrics: Metrics,
    memory: Mutex<Memory>,
    stored: Mutex<HashSet<String>>,
    /// Whether anybody was told of alerts that fire, and must hear when they do not any more.
    heard: AtomicBool,
}

/// Alertmanager's payload, as far as it is read.
#[derive(Debug, Deserialize)]
struct Payload {
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

impl Alerts {
    /// `requested_by` is this controller's own user, `system:serviceaccount:<namespace>:<name>`; an alert that was not
    /// repeated for `remembered` is forgotten.
    pub fn new(
        targets: Arc<dyn AlertTargets>,
        requested_by: String,
        remembered: Duration,
        metrics: Metrics,
    ) -> Self {
        let memory = Mutex::new(Memory::new(remembered));
        Self {
            targets,
            requested_by,
            metrics,
            memory,
            stored: Mutex::default(),
            heard: AtomicBool::new(false),
        }
    }

    /// Takes a payload for one Rollout or for all, and stores what it asks for. The number of actions that stand.
    pub async fn receive(
        &self,
        only: Option<(&str, &str)>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<usize, IntakeError> {
        let payload: Payload =
            serde_json::from_slice(body).map_err(|why| IntakeError::Malformed(why.to_string()))?;
        if payload.version != PAYLOAD_VERSION {
            return Err(IntakeError::Malformed(format!("version {:?}, not \"4\"", payload.version)));
        }
        let targets = self.targets.targets(only).await.map_err(IntakeError::Unavailable)?;
        if let (Some((namespace, name)), true) = (only, targets.is_empty()) {
            return Err(IntakeError::Unknown(format!("{namespace}/{name}")));
        }
        {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            for alert in payload.alerts {
                take(&mut memory, only, alert, now);
            }
        }
        self.settle(&targets, now).await
    }

    /// Decides again from memory, for alerts that had not fired for long enough: to be called at each tick. The number
    /// of actions that stand.
    pub async fn redecide(&self, only: Option<(&str, &str)>, now: Timestamp) -> Result<usize, IntakeError> {
        let silent = self.memory.lock().unwrap_or_else(PoisonError::into_inner).is_empty(now);
        if silent && !self.heard.swap(false, Ordering::Relaxed) {
            return Ok(0);
        }
        let targets = self.targets.targets(only).await.map_err(IntakeError::Unavailable)?;
        self.settle(&targets, now).await
    }

    /// Stores what the alerts in memory ask of these Rollouts.
    async fn settle(&self, targets: &[AlertTarget], now: Timestamp) -> Result<usize, IntakeError> {
        let (mut standing, mut failed) = (0, None);
        for target in targets {
            let firing = self.memory.lock().unwrap_or_else(PoisonError::into_inner).firing(
                &target.namespace,
                &target.name,
                now,
            );
            self.targets.heard(&target.namespace, &target.name, told(&firing, &target.rules)).await;
            if firing.is_empty() {
                continue;
            }
            self.heard.store(true, Ordering::Relaxed);
            let Some(version) = &target.version else { continue };
            for rule in target.rules.iter() {
                let Some(decision) = decide(rule, &firing, &target.tenants, now) else { continue };
                // One that fails does not keep the others from being stored; the repeat brings it again.
                match self.store(target, version, rule, decision).await {
                    Ok(()) => standing += 1,
                    Err(why) => failed = Some(why),
                }
            }
        }
        failed.map_or(Ok(standing), |why| Err(IntakeError::Unavailable(why)))
    }

    async fn store(
        &self,
        target: &AlertTarget,
        version: &str,
        rule: &AlertRule,
        decision: Decision,
    ) -> Result<(), String> {
        let AlertTarget { namespace, name: rollout, .. } = target;
        let name = action_name(target, version, rule, decision.action);
        let key = format!("{namespace}/{name}");
        if self.stored.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Ok(());
        }
        let Decision { action, reason, fingerprint } = decision;
        let spec = RolloutActionSpec {
            rollout: rollout.clone(),
            verb: verb(action),
            version: Some(version.to_owned()),
            wave: None,
            subject: None,
            until: None,
            reason: reason.chars().take(REASON_MAX).collect(),
            requested_by: self.requested_by.clone(),
            source: Some(Source { kind: "Alert".to_owned(), ref_: fingerprint, on_behalf_of: String::new() }),
            expires_at: None,
        };
        let verb = spec.verb.as_str();
        if self.targets.store(namespace, &name, spec).await? == Stored::Created {
            tracing::info!(%namespace, %rollout, action = %name, verb, reason, "an alert was stored as an action");
        }
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() >= STORED_MAX {
            // Forgetting costs one refused create per action.
            stored.clear();
        }
        stored.insert(key);
        Ok(())
    }
}

/// The alerts that a rule matches, oldest first, in words: `SlowTenant{severity="page"} since ...`.
fn told(firing: &[Firing], rules: &[AlertRule]) -> Vec<String> {
    let mut mine: Vec<&Firing> =
        firing.iter().filter(|alert| rules.iter().any(|rule| rule.matches(&alert.labels))).collect();
    mine.sort_by_key(|alert| (alert.starts_at, &alert.fingerprint));
    let words = |alert: &Firing| {
        let name = alert.labels.get("alertname").map_or("alert", String::as_str);
        let others = alert.labels.iter().filter(|(label, _)| *label != "alertname");
        let others: Vec<String> = others.map(|(label, value)| format!("{label}={value:?}")).collect();
        format!("{name}{{{}}} since {}", others.join(","), alert.starts_at)
    };
    mine.into_iter().take(FIRING_MAX).map(words).collect()
}

fn take(memory: &mut Memory, only: Option<(&str, &str)>, alert: PayloadAlert, now: Timestamp) {
    let PayloadAlert { status, labels, starts_at, ends_at, fingerprint } = alert;
    let fingerprint: String = if fingerprint.is_empty() {
        breakwater_plan::alerts::fingerprint(&labels)
    } else {
        fingerprint.chars().take(64).collect()
    };
    // A firing alert's end is year one; an end in the past is as good as resolved.
    let over = ends_at.is_some_and(|end| end > starts_at && end <= now);
    if status == Status::Resolved || over {
        memory.resolve(only, &fingerprint);
    } else {
        memory.fire(only, Firing { fingerprint, labels, starts_at }, now);
    }
}

const fn verb(action: AlertAction) -> Verb {
    match action {
        AlertAction::Hold => Verb::Hold,
        AlertAction::Revert => Verb::Revert,
    }
}

/// One name per Rollout, start of a version, rule and verb: a repeat finds its action there already.
fn action_name(target: &AlertTarget, version: &str, rule: &AlertRule, action: AlertAction) -> String {
    let started = target.started_at.map(|at| at.as_second().to_string()).unwrap_or_default();
    let parts = [target.uid.as_str(), version, started.as_str(), rule.text(), verb(action).as_str()];
    format!("alert-{:016x}", stable_hash(&parts))
}

/// `POST /webhook/alertmanager/{namespace}/{rollout}`.
pub async fn one(
    State(state): State<HttpState>,
    Path((namespace, rollout)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    handle(&state, Some((&namespace, &rollout)), &headers, &body).await
}

/// `POST /webhook/alertmanager`.
pub async fn all(State(state): State<HttpState>, headers: HeaderMap, body: Bytes) -> Response {
    handle(&state, None, &headers, &body).await
}

async fn handle(state: &HttpState, only: Option<(&str, &str)>, headers: &HeaderMap, body: &[u8]) -> Response {
    let (status, result, text) = match authorize(state, headers) {
        Err(refused) => refused,
        Ok(()) => match state.alerts.receive(only, body, (state.clock)()).await {
            Ok(0) => (StatusCode::OK, WebhookResult::Kept, "remembered".to_owned()),
            Ok(n) => (StatusCode::OK, WebhookResult::Stored, format!("{n} actions stand")),
            Err(why) => {
                let text = why.to_string();
                match why {
                    IntakeError::Malformed(_) => (StatusCode::BAD_REQUEST, WebhookResult::Malformed, text),
                    IntakeError::Unknown(_) => (StatusCode::NOT_FOUND, WebhookResult::Unknown, text),
                    IntakeError::Unavailable(_) => {
                        tracing::warn!(error = %text, "alerts could not be served");
                        (StatusCode::SERVICE_UNAVAILABLE, WebhookResult::Unavailable, text)
                    }
                }
            }
        },
    };
    state.alerts.metrics.webhook(result);
    (status, text).into_response()
}

/// Without a token the webhook is closed, never open.
fn authorize(state: &HttpState, headers: &HeaderMap) -> Result<(), (StatusCode, WebhookResult, String)> {
    let token = state.token.borrow();
    let Some(token) = token.as_ref().filter(|token| !token.expose().is_empty()) else {
        let text = "the webhook's token is not configured".to_owned();
        return Err((StatusCode::SERVICE_UNAVAILABLE, WebhookResult::Unavailable, text));
    };
    let given = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let (scheme, given) = given.split_at_checked(b"Bearer ".len()).unwrap_or_default();
    if scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(token.expose().as_bytes())) {
        Ok(())
    } else {
        Err((
            StatusCode::UNAUTHORIZED,
            WebhookResult::Unauthorized,
            "the bearer token is missing or wrong".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests;
