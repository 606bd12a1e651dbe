//! Alerts that fire: they come from Alertmanager's webhook or are asked of Prometheus, are remembered, and what they ask for
//! is stored as a `RolloutAction` (R15). I/O through [`AlertTargets`]; the decision itself is
//! [`breakwater_plan::alerts::decide`].

#[cfg(test)]
pub(crate) mod kit;
mod memory;
mod payload;
mod pull;
mod rounds;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use breakwater_crds::{
    action::{RolloutActionSpec, Source, Verb},
    marker::stable_hash,
    rollout::AlertAction,
};
use breakwater_plan::alerts::{AlertRule, AlertTenant, Decision, Firing, decide};
use breakwater_text::cut;
use futures::future::BoxFuture;
use jiff::Timestamp;
use memory::Memory;
pub use memory::{ALERTS_MAX, REMEMBERED};
use payload::Payload;
pub use pull::AlertPull;
pub(crate) use rounds::{pull_for_ever, redecide_for_ever};

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

/// What alerts need of the cluster. What is known is answered at once: no alert waits for a Rollout's reconcile.
pub trait AlertTargets: Send + Sync + 'static {
    /// The Rollouts, or the one of this namespace and name; an error while it is not known yet.
    fn targets(&self, only: Option<(&str, &str)>) -> Result<Vec<AlertTarget>, String>;

    /// Remembers which alerts of a Rollout's rules fire, in words, for the account of a deviation.
    fn heard(&self, namespace: &str, name: &str, firing: Vec<String>);

    /// The Rollouts under way whose alerts are to be asked for; none while this replica does not lead.
    fn pulls(&self) -> Vec<AlertPull>;

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
    memory: Mutex<Memory>,
    stored: Mutex<HashSet<String>>,
    /// Whether anybody was told of alerts that fire, and must hear when they do not any more.
    heard: AtomicBool,
}

impl Alerts {
    /// `requested_by` is this controller's own user, `system:serviceaccount:<namespace>:<name>`; an alert that was not
    /// repeated for `remembered` is forgotten.
    pub fn new(targets: Arc<dyn AlertTargets>, requested_by: String, remembered: Duration) -> Self {
        let memory = Mutex::new(Memory::new(remembered));
        Self { targets, requested_by, memory, stored: Mutex::default(), heard: AtomicBool::new(false) }
    }

    /// Takes a payload for one Rollout or for all, and stores what it asks for. The number of actions that stand.
    pub async fn receive(
        &self,
        only: Option<(&str, &str)>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<usize, IntakeError> {
        let payload = Payload::parse(body)?;
        let targets = self.targets.targets(only).map_err(IntakeError::Unavailable)?;
        if let (Some((namespace, name)), true) = (only, targets.is_empty()) {
            return Err(IntakeError::Unknown(format!("{namespace}/{name}")));
        }
        payload.take(&mut self.memory(), only, now);
        self.settle(&targets, now).await
    }

    /// Decides again from memory, for alerts that had not fired for long enough: to be called at each tick. The number
    /// of actions that stand.
    pub async fn redecide(&self, only: Option<(&str, &str)>, now: Timestamp) -> Result<usize, IntakeError> {
        let silent = self.memory().is_empty(now);
        if silent && !self.heard.swap(false, Ordering::Relaxed) {
            return Ok(0);
        }
        let targets = self.targets.targets(only).map_err(IntakeError::Unavailable)?;
        self.settle(&targets, now).await
    }

    /// Stores what the alerts in memory ask of these Rollouts.
    async fn settle(&self, targets: &[AlertTarget], now: Timestamp) -> Result<usize, IntakeError> {
        let (mut standing, mut failed) = (0, None);
        for target in targets {
            let firing = self.memory().firing(&target.namespace, &target.name, now);
            self.targets.heard(&target.namespace, &target.name, told(&firing, &target.rules));
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

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each change is one insertion or removal: a poisoned memory is whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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
            lifts: None,
            until: None,
            reason: cut::chars(&reason, REASON_MAX).to_owned(),
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

#[cfg(test)]
mod tests;
