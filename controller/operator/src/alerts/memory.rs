//! The alerts that fire, bounded and forgetful: Alertmanager repeats what goes on. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use breakwater_plan::alerts::Firing;
use jiff::{SignedDuration, Timestamp};

/// Most alerts in memory; the one that was heard of longest ago makes room.
pub const ALERTS_MAX: usize = 10_000;
/// How long an alert is believed without being repeated, by default: an unchanged group is repeated only after
/// `repeat_interval`, so this is the longest `repeat_interval` of a route to this webhook.
pub const REMEMBERED: Duration = Duration::from_hours(1);
/// Most bytes of one alert's labels; a larger one is left out.
pub(super) const LABELS_MAX: usize = 8 << 10;

/// Whose path the alert came by (`None`: everybody's), and its fingerprint.
type Key = (Option<(String, String)>, String);

/// The alerts that fire.
pub struct Memory {
    remembered: SignedDuration,
    alerts: BTreeMap<Key, (Firing, Timestamp)>,
    /// The same by when they were last heard of, oldest first.
    heard: BTreeSet<(Timestamp, Key)>,
    /// What Prometheus said last, by Rollout and rule.
    pulled: BTreeMap<Asked, Vec<Firing>>,
}

/// Namespace and name of a Rollout, and the text of one of its rules.
pub type Asked = (String, String, String);

impl Memory {
    /// An empty one that forgets what was not repeated for `remembered`.
    pub fn new(remembered: Duration) -> Self {
        let remembered = SignedDuration::try_from(remembered).unwrap_or(SignedDuration::MAX);
        Self { remembered, alerts: BTreeMap::new(), heard: BTreeSet::new(), pulled: BTreeMap::new() }
    }

    /// An alert fires, or still fires.
    pub fn fire(&mut self, only: Option<(&str, &str)>, alert: Firing, now: Timestamp) {
        if alert.labels.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > LABELS_MAX {
            return;
        }
        let key = key(only, &alert.fingerprint);
        self.drop_key(&key);
        self.heard.insert((now, key.clone()));
        self.alerts.insert(key, (alert, now));
        while self.alerts.len() > ALERTS_MAX {
            let Some((_, oldest)) = self.heard.pop_first() else { return };
            self.alerts.remove(&oldest);
        }
    }

    /// An alert is over.
    pub fn resolve(&mut self, only: Option<(&str, &str)>, fingerprint: &str) {
        self.drop_key(&key(only, fingerprint));
    }

    /// What Prometheus says fires by one rule, all of it: nothing is pulled that it does not say any more.
    pub fn pull(&mut self, asked: Asked, firing: Vec<Firing>) {
        self.pulled.insert(asked, firing);
    }

    /// What it said last.
    pub fn pulled(&self, asked: &Asked) -> &[Firing] {
        self.pulled.get(asked).map_or(&[], Vec::as_slice)
    }

    /// Forgets what was pulled by rules that nobody asks by any more.
    pub fn keep_pulled(&mut self, asked: &HashSet<Asked>) {
        self.pulled.retain(|known, _| asked.contains(known));
    }

    /// The alerts that fire for this Rollout, pushed or pulled, each once.
    pub fn firing(&mut self, namespace: &str, name: &str, now: Timestamp) -> Vec<Firing> {
        self.forget(now);
        let concerns = |only: &Option<(String, String)>| {
            only.as_ref().is_none_or(|(ns, rollout)| ns == namespace && rollout == name)
        };
        let pushed = self.alerts.iter().filter(|((only, _), _)| concerns(only));
        let mut all: Vec<Firing> = pushed.map(|(_, (alert, _))| alert.clone()).collect();
        let pulled = self.pulled.iter().filter(|((ns, rollout, _), _)| ns == namespace && rollout == name);
        let mut known: HashSet<String> = all.iter().map(|alert| alert.fingerprint.clone()).collect();
        for alert in pulled.flat_map(|(_, firing)| firing) {
            if known.insert(alert.fingerprint.clone()) {
                all.push(alert.clone());
            }
        }
        all
    }

    /// True when nothing fires.
    pub fn is_empty(&mut self, now: Timestamp) -> bool {
        self.forget(now);
        self.alerts.is_empty() && self.pulled.values().all(Vec::is_empty)
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.heard.first() {
            if now.duration_since(*at) <= self.remembered {
                return;
            }
            if let Some((_, key)) = self.heard.pop_first() {
                self.alerts.remove(&key);
            }
        }
    }

    fn drop_key(&mut self, key: &Key) {
        if let Some((_, at)) = self.alerts.remove(key) {
            self.heard.remove(&(at, key.clone()));
        }
    }
}

fn key(only: Option<(&str, &str)>, fingerprint: &str) -> Key {
    (only.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())), fingerprint.to_owned())
}
