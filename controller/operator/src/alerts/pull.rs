//! The alerts as Prometheus itself tells them, asked for once a minute (R15): without Alertmanager's webhook they work
//! alone, with it they are the same alerts. While Prometheus cannot be asked, nothing is known, so nothing changes. I/O
//! through [`Counts`].

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use breakwater_plan::{
    alerts::{AlertRule, pulled},
    promql::Matchers,
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use super::{
    Alerts,
    memory::{ALERTS_MAX, Asked, LABELS_MAX},
};
use crate::telemetry::{Counts, Labels, Sink};

/// Most Rollouts whose alerts are asked for at once.
const CONCURRENCY: usize = 64;
/// How long one Rollout's alerts are waited for, all rules together: the next round is due in a minute, and nobody waits for another
/// one's Prometheus (S1).
const WITHIN: Duration = Duration::from_secs(20);

/// A Rollout whose alerts are asked for.
#[derive(Clone)]
pub struct AlertPull {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.alerts`, parsed.
    pub rules: Arc<[AlertRule]>,
    /// `prometheus.matchers`.
    pub matchers: Matchers,
    /// Its Prometheus.
    pub source: Arc<dyn Counts>,
}

impl Alerts {
    /// Asks for the alerts of every Rollout under way, rule by rule. What they ask for is decided by the next
    /// [`Alerts::redecide`].
    pub async fn pull(&self, now: Timestamp) {
        let pulls = self.targets.pulls();
        let asked: HashSet<Asked> =
            pulls.iter().flat_map(|pull| pull.rules.iter().map(|rule| asked(pull, rule))).collect();
        self.memory().keep_pulled(&asked);
        let in_time = async |pull: &AlertPull| {
            if tokio::time::timeout(WITHIN, self.pull_one(pull, now)).await.is_err() {
                tracing::debug!(
                    namespace = pull.namespace,
                    rollout = pull.name,
                    "alerts are not known: no answer in time"
                );
            }
        };
        stream::iter(&pulls).for_each_concurrent(CONCURRENCY, in_time).await;
    }

    async fn pull_one(&self, pull: &AlertPull, now: Timestamp) {
        for rule in pull.rules.iter() {
            let AlertPull { namespace, name, .. } = pull;
            let rows = match ask(pull, rule, now).await {
                Ok(rows) => rows,
                Err(why) => {
                    tracing::debug!(%namespace, rollout = %name, alert = rule.text(), why, "alerts are not known");
                    continue;
                }
            };
            let (mut memory, asked) = (self.memory(), asked(pull, rule));
            let firing = pulled(rows, memory.pulled(&asked), now);
            memory.pull(asked, firing);
        }
    }
}

fn asked(pull: &AlertPull, rule: &AlertRule) -> Asked {
    (pull.namespace.clone(), pull.name.clone(), rule.text().to_owned())
}

type Row = (BTreeMap<String, String>, f64);

async fn ask(pull: &AlertPull, rule: &AlertRule, now: Timestamp) -> Result<Vec<Row>, String> {
    let query = rule.query(&pull.matchers).map_err(|refusal| refusal.to_string())?;
    let mut found = Found { at: now.as_second() as f64, rows: Vec::new(), wrong_time: None };
    pull.source.query(&query, now, &mut found).await.map_err(|why| why.to_string())?;
    match found.wrong_time {
        Some(at) => Err(format!("asked for {}, answered for {at}", now.as_second())),
        None => Ok(found.rows),
    }
}

/// The rows of an answer.
struct Found {
    at: f64,
    rows: Vec<Row>,
    wrong_time: Option<f64>,
}

impl Sink for Found {
    fn series(&mut self, labels: Labels<'_>) -> Result<(), String> {
        // Each alert is two rows.
        if self.rows.len() >= 2 * ALERTS_MAX {
            return Err(format!("more than {ALERTS_MAX} alerts"));
        }
        if labels.as_str().len() > LABELS_MAX {
            return Err(format!("an alert has more than {LABELS_MAX} bytes of labels"));
        }
        let mut all = BTreeMap::new();
        labels.each(|name, value| _ = all.insert(name.to_owned(), value.to_owned()))?;
        self.rows.push((all, f64::NAN));
        Ok(())
    }

    fn sample(&mut self, at: f64, value: f64) {
        if (at - self.at).abs() > 0.5 || at.is_nan() {
            self.wrong_time.get_or_insert(at);
        }
        if let Some((_, held)) = self.rows.last_mut() {
            *held = value;
        }
    }
}

#[cfg(test)]
mod tests;
