//! The tenants' metrics. One page for Prometheus with counters of every tenant, which follow the version the tenant
//! *really* runs: it is read from the objects' status, never from what somebody wished for. A tenant's counters start at
//! zero again whenever its version changes, as a restarted program's do.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use fastrand::Rng;
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, ResourceExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::background;
use super::traffic::{Behaviour, Traffic};
use crate::kinds::{Kind, TENANT_LABEL};

/// The running exporter; it ends when dropped.
#[derive(Debug)]
pub struct Exporter {
    address: String,
    world: Arc<Mutex<World>>,
    _tasks: Vec<AbortOnDropHandle<Result<()>>>,
}

impl Exporter {
    /// Watches the tenants of all kinds and serves `/metrics`. To be called on the background runtime.
    pub async fn start(client: Client, seed: u64) -> Result<Self> {
        let world =
            World { chance: Rng::with_seed(seed), live: HashMap::new(), rules: Vec::new(), down: false };
        let world = Arc::new(Mutex::new(world));
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for the exporter")?;
        let address = listener.local_addr()?.to_string();
        let router = Router::new().route("/metrics", get(metrics)).with_state(Arc::clone(&world));
        let mut tasks = vec![background::spawn(async move { Ok(axum::serve(listener, router).await?) })];
        for kind in Kind::ALL {
            tasks.push(background::spawn(follow(client.clone(), kind, Arc::clone(&world))));
        }
        Ok(Self { address, world, _tasks: tasks })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The part of the world whose tenants' ids (`namespace/name`) start with `prefix`.
    pub fn within(&self, prefix: &str) -> Scope {
        Scope { prefix: prefix.into(), world: Arc::clone(&self.world) }
    }

    /// Whether the page answers 503 to everybody.
    pub fn set_down(&self, down: bool) {
        lock(&self.world).down = down;
    }

    /// The version a tenant (`namespace/name`) was last seen to run wholly.
    pub fn version_of(&self, id: &str) -> Option<String> {
        lock(&self.world).live.get(id).map(|live| live.version.clone())
    }
}

/// What a suite says about its own tenants; the latest word counts.
#[derive(Clone, Debug)]
pub struct Scope {
    prefix: String,
    world: Arc<Mutex<World>>,
}

impl Scope {
    /// Tenants behave so while they run `version`.
    pub fn behave(&self, version: &str, behaviour: Behaviour) {
        self.rule(Subject::Version(version.into()), behaviour);
    }

    /// One tenant (`namespace/name`) behaves so at any version; goes before what is said of a version.
    pub fn behave_tenant(&self, id: &str, behaviour: Behaviour) {
        self.rule(Subject::Tenant(id.into()), behaviour);
    }

    /// A shared outage: this share of all requests fails, whatever the version. Ends with [`Self::calm`], or at 0.
    pub fn outage(&self, ratio: f64) {
        self.rule(Subject::Outage, Behaviour::errors(ratio));
    }

    /// Forgets all that was said: everybody behaves by default.
    pub fn calm(&self) {
        let mut world = lock(&self.world);
        world.advance();
        world.rules.retain(|rule| rule.prefix != self.prefix);
    }

    fn rule(&self, subject: Subject, behaviour: Behaviour) {
        let mut world = lock(&self.world);
        world.advance();
        world.rules.retain(|rule| {
            rule.prefix != self.prefix || rule.subject != subject || behaviour.tenants.is_some()
        });
        world.rules.push(Rule { prefix: self.prefix.clone(), subject, behaviour });
    }
}

#[derive(Debug)]
struct World {
    chance: Rng,
    live: HashMap<String, Live>,
    rules: Vec<Rule>,
    down: bool,
}

/// A tenant that runs.
#[derive(Debug)]
struct Live {
    kind: Kind,
    version: String,
    since: Instant,
    advanced: Instant,
    traffic: Traffic,
    silent: bool,
}

#[derive(Debug)]
struct Rule {
    prefix: String,
    subject: Subject,
    behaviour: Behaviour,
}

#[derive(Clone, Debug, PartialEq)]
enum Subject {
    Version(String),
    Tenant(String),
    Outage,
}

impl World {
    /// Lets every tenant's traffic go on until now.
    fn advance(&mut self) {
        let now = Instant::now();
        let default = Behaviour::default();
        for (id, live) in &mut self.live {
            let behaviour = behaviour(&self.rules, id, &live.version, now - live.since).unwrap_or(&default);
            let outage = outage(&self.rules, id);
            live.traffic.advance(behaviour, outage, now - live.advanced, &mut self.chance);
            live.silent = behaviour.silent;
            live.advanced = now;
        }
    }

    fn apply(&mut self, kind: Kind, object: &DynamicObject) {
        let id = id(object);
        let value = serde_json::to_value(object).unwrap_or_default();
        let replicas = value.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
        if replicas == Some(0) {
            self.live.remove(&id);
            return;
        }
        let Some(version) = kind.running(&value) else { return };
        if self.live.get(&id).is_none_or(|live| live.version != version) {
            let now = Instant::now();
            let live =
                Live { kind, version, since: now, advanced: now, traffic: Traffic::default(), silent: false };
            self.live.insert(id, live);
        }
    }

    fn page(&mut self) -> Result<String> {
        self.advance();
        let mut page =
            String::from("# TYPE app_requests_total counter\n# TYPE app_request_seconds histogram\n");
        for (id, live) in self.live.iter().filter(|(_, live)| !live.silent) {
            live.traffic.render(id, &mut page)?;
        }
        writeln!(page, "# TYPE app_installations gauge\napp_installations {}", self.live.len())?;
        Ok(page)
    }
}

/// What was said last of the tenant, else of its version.
fn behaviour<'a>(rules: &'a [Rule], id: &str, version: &str, age: Duration) -> Option<&'a Behaviour> {
    let holds = |rule: &&Rule| {
        let Behaviour { tenants, after, .. } = &rule.behaviour;
        id.starts_with(&rule.prefix) && age >= *after && tenants.as_ref().is_none_or(|ids| ids.contains(id))
    };
    let of_tenant = |rule: &&Rule| matches!(&rule.subject, Subject::Tenant(tenant) if tenant == id);
    let of_version = |rule: &&Rule| matches!(&rule.subject, Subject::Version(said) if said == version);
    let latest = || rules.iter().rev().filter(holds);
    let rule = latest().find(of_tenant).or_else(|| latest().find(of_version));
    rule.map(|rule| &rule.behaviour)
}

fn outage(rules: &[Rule], id: &str) -> f64 {
    let outages = rules.iter().filter(|rule| rule.subject == Subject::Outage && id.starts_with(&rule.prefix));
    outages.map(|rule| rule.behaviour.error_ratio).fold(0.0, f64::max)
}

async fn metrics(State(world): State<Arc<Mutex<World>>>) -> Result<String, StatusCode> {
    let mut world = lock(&world);
    if world.down {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    world.page().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Keeps the world in step with the objects of one kind.
async fn follow(client: Client, kind: Kind, world: Arc<Mutex<World>>) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &kind.resource());
    let config = watcher::Config::default().labels(&format!("{TENANT_LABEL},metrics!=off"));
    let mut events = watch(api, config).default_backoff().boxed();
    let mut listed = HashSet::new();
    loop {
        // The stream never ends; an error is retried by it, after a while.
        let Ok(Some(event)) = events.try_next().await else { continue };
        let mut world = lock(&world);
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.insert(id(&object));
                world.apply(kind, &object);
            }
            Event::InitDone => world.live.retain(|id, live| live.kind != kind || listed.contains(id)),
            Event::Apply(object) => world.apply(kind, &object),
            Event::Delete(object) => drop(world.live.remove(&id(&object))),
        }
    }
}

fn id(object: &DynamicObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
