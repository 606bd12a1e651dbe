//! Watches the tenants from the API server itself and writes down, in the order of the API server's own watch, every
//! time a tenant is asked for another version, comes to run it, or goes away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::invariants;
use crate::bed::controlplane::client_of;
use crate::bed::{Bed, background};
use crate::kinds::{Kind, TENANT_LABEL};

/// One change of one tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When the watch told it.
    pub at: Instant,
    /// `namespace/name`.
    pub tenant: String,
    /// The version it is asked for; empty once it is gone.
    pub wanted: String,
    /// Whether it wholly runs that.
    pub ready: bool,
}

/// The running recorder; it ends when dropped.
#[derive(Debug)]
pub struct Recorder {
    tape: Arc<Mutex<Tape>>,
    begun: Instant,
    _watch: AbortOnDropHandle<Result<()>>,
}

/// What was seen.
#[derive(Debug, Default)]
struct Tape {
    changes: Vec<Change>,
    objects: BTreeMap<String, Value>,
    violations: Vec<String>,
}

impl Recorder {
    /// Watches the tenants of one kind whose namespaces begin with `prefix`.
    pub async fn start(bed: &Bed, kind: Kind, prefix: &str) -> Result<Self> {
        let kubeconfig = bed.control_plane().api().kubeconfig("admin");
        let client = background::run(|| async move { client_of(&kubeconfig).await }).await?;
        let tape = Arc::new(Mutex::new(Tape::default()));
        let watch = background::spawn(follow(client, kind, prefix.to_owned(), Arc::clone(&tape)));
        Ok(Self { tape, begun: Instant::now(), _watch: watch })
    }

    /// Everything so far, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.tape().changes.clone()
    }

    /// The tenants that were asked for `version`, in order, each as often as it was.
    pub fn asked(&self, version: &str) -> Vec<String> {
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        let mut asked = Vec::new();
        for change in self.changes() {
            let before = last.insert(change.tenant.clone(), change.wanted.clone());
            if change.wanted == version && before.is_some_and(|before| before != version) {
                asked.push(change.tenant);
            }
        }
        asked
    }

    /// The versions a tenant was asked for, in order.
    pub fn way_of(&self, tenant: &str) -> Vec<String> {
        let mut way: Vec<String> = self
            .changes()
            .into_iter()
            .filter(|change| change.tenant == tenant)
            .map(|change| change.wanted)
            .collect();
        way.dedup();
        way
    }

    /// How many tenants, of those named, were asked for `version` and not ready there, at most at any one time.
    pub fn most_at_once(&self, version: &str, tenants: &[String]) -> usize {
        let mut now: BTreeMap<String, bool> = BTreeMap::new();
        let mut most = 0;
        for change in self.changes().into_iter().filter(|change| tenants.contains(&change.tenant)) {
            now.insert(change.tenant, change.wanted == version && !change.ready);
            most = most.max(now.values().filter(|busy| **busy).count());
        }
        most
    }

    /// The first time any of these tenants was asked for `version`.
    pub fn first_asked(&self, version: &str, tenants: &[String]) -> Option<Instant> {
        let mine = |change: &&Change| tenants.contains(&change.tenant) && change.wanted == version;
        self.changes().iter().find(mine).map(|change| change.at)
    }

    /// The time from which on all of these tenants had come to run `version`.
    pub fn all_ready(&self, version: &str, tenants: &[String]) -> Option<Instant> {
        let first = |tenant: &String| {
            let ready =
                |change: &&Change| change.tenant == *tenant && change.wanted == version && change.ready;
            self.changes().iter().find(ready).map(|change| change.at)
        };
        tenants.iter().map(first).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Whether all of these tenants came to run `version` so long ago.
    pub fn has_run(&self, version: &str, tenants: &[String], time: Duration) -> bool {
        self.all_ready(version, tenants).is_some_and(|since| since.elapsed() >= time)
    }

    /// How many changes of versions there were, by whoever's hand.
    pub fn moves(&self) -> usize {
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        let moved = |change: Change| {
            last.insert(change.tenant, change.wanted.clone()).is_some_and(|before| before != change.wanted)
        };
        self.changes().into_iter().map(moved).filter(|moved| *moved).count()
    }

    /// An annotation or a label of a tenant, as last seen, by JSON pointer below `metadata`.
    pub fn metadata(&self, tenant: &str, pointer: &str) -> Option<String> {
        let object = self.tape().objects.get(tenant)?.pointer("/metadata")?.pointer(pointer)?.clone();
        object.as_str().map(String::from)
    }

    /// Whether nothing but versions, markers and statuses was ever changed together with a version.
    pub fn keeps_the_rules(&self) -> Result<()> {
        match self.tape().violations.as_slice() {
            [] => Ok(()),
            violations => bail!("{}", violations.join("; ")),
        }
    }

    /// What happened, a line each, with seconds since the beginning.
    pub fn story(&self) -> String {
        let mut story = String::new();
        for Change { at, tenant, wanted, ready } in self.changes() {
            let seconds = at.saturating_duration_since(self.begun).as_secs_f64();
            let state = if ready { "runs" } else { "goes to" };
            // Writing to a string cannot fail.
            let _ = writeln!(story, "{seconds:7.2}  {tenant} {state} {wanted}");
        }
        story
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time between two instants in whole milliseconds, zero if they are the other way round.
pub fn between(earlier: Instant, later: Instant) -> Duration {
    later.saturating_duration_since(earlier)
}

async fn follow(client: Client, kind: Kind, prefix: String, tape: Arc<Mutex<Tape>>) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &kind.resource());
    let mut events = watch(api, watcher::Config::default().labels(TENANT_LABEL)).default_backoff().boxed();
    loop {
        // The stream never ends; an error is retried by it, after a while.
        let Ok(Some(event)) = events.try_next().await else { continue };
        let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) | Event::InitApply(object) if mine(&object, &prefix) => {
                tape.apply(kind, &object);
            }
            Event::Delete(object) if mine(&object, &prefix) => tape.delete(&object),
            Event::Init | Event::InitDone | Event::Apply(_) | Event::InitApply(_) | Event::Delete(_) => {}
        }
    }
}

fn mine(object: &DynamicObject, prefix: &str) -> bool {
    object.namespace().is_some_and(|namespace| namespace.starts_with(prefix))
}

fn id(object: &DynamicObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

impl Tape {
    fn apply(&mut self, kind: Kind, object: &DynamicObject) {
        let (tenant, value) = (id(object), serde_json::to_value(object).unwrap_or_default());
        let wanted = kind.wanted(&value).unwrap_or_default();
        let ready = kind.running(&value).is_some();
        if let Some(before) = self.objects.get(&tenant) {
            self.violations.extend(invariants::violation(kind, before, &value));
        }
        let last = self.changes.iter().rev().find(|change| change.tenant == tenant);
        if last.is_none_or(|last| (&last.wanted, last.ready) != (&wanted, ready)) {
            self.changes.push(Change { at: Instant::now(), tenant: tenant.clone(), wanted, ready });
        }
        self.objects.insert(tenant, value);
    }

    fn delete(&mut self, object: &DynamicObject) {
        let tenant = id(object);
        self.objects.remove(&tenant);
        self.changes.push(Change { at: Instant::now(), tenant, wanted: String::new(), ready: false });
    }
}
