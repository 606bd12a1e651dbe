//! Releases: followed, their `ConfigMap`s read, assessed ([`assess`]), their status written. I/O but for that.
//!
//! A Release that cannot be decoded is one whose evidence nobody knows; Releases that cannot be listed keep versions from
//! starting. `ConfigMap`s are not watched - a cluster has many, and few are ours - but asked for again every half minute.

mod assess;
mod rows;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use assess::{Assessed, Map, Named, assess};
use breakwater_crds::{
    Release, ReleaseSpec, ReleaseStatus, Rollout,
    release::{Lane, is_for},
};
use breakwater_plan::release::Release as Facts;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::sync::watch;

use crate::{backoff::Pauses, ground::Ground, tenants::lens::FIELD_MANAGER};

/// How often `ConfigMap`s are asked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Every so many looks rows are counted anew: every ten minutes.
const ROWS_EVERY: u32 = 20;

/// Where a Release is: namespace and name.
type Place = (String, String);

/// Every Release, assessed.
pub struct Releases {
    ground: Ground,
    known: Mutex<BTreeMap<Place, Known>>,
    /// Why they cannot be listed.
    unread: Mutex<Option<String>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// True once they were listed, or could not be.
    looked: watch::Sender<bool>,
}

/// One of them.
struct Known {
    object: DynamicObject,
    rollouts: Vec<String>,
    assessed: Assessed,
}

impl Releases {
    /// None yet.
    pub fn new(ground: Ground) -> Arc<Self> {
        Arc::new(Self {
            ground,
            known: Mutex::default(),
            unread: Mutex::default(),
            changes: watch::Sender::new(0),
            looked: watch::Sender::new(false),
        })
    }

    /// Those that are for a Rollout, in order of their names.
    pub fn of(&self, namespace: &str, rollout: &str) -> Vec<Facts> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Facts> = known
            .iter()
            .filter(|((of, _), one)| of == namespace && is_for(&one.rollouts, rollout))
            .map(|(_, one)| one.assessed.release.clone())
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Why they cannot be listed, if so.
    pub fn unread(&self) -> Option<String> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts changes of what [`Releases::of`] says.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Resolves once they were listed, or could not be.
    pub async fn looked(&self) {
        let _ = self.looked.subscribe().wait_for(|looked| *looked).await; // the sender lives as long as this
    }

    /// True while the API has Releases of a namespace that were not assessed as they are now: a version and the Release that
    /// withdraws it may come in the same moment.
    pub async fn is_behind(&self, namespace: &str) -> Result<bool, kube::Error> {
        let api: Api<Release> = Api::namespaced(self.ground.clients.requests.clone(), namespace);
        let there = match api.list_metadata(&ListParams::default()).await {
            Ok(there) => there.items,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            Err(error) => return Err(error),
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |name: &str, version: Option<String>| {
            known
                .get(&(namespace.to_owned(), name.to_owned()))
                .is_some_and(|one| one.object.resource_version() == version)
        };
        Ok(there.iter().any(|one| !is_known(&one.name_any(), one.resource_version())))
    }

    /// Follows them until it is dropped.
    pub async fn follow(self: Arc<Self>) {
        let watches = self.ground.clients.watches.clone();
        let resource = ApiResource::erase::<Release>(&());
        let api: Api<DynamicObject> = Api::all_with(watches, &resource);
        let mut events = watcher(api, watcher::Config::default()).backoff(Pauses::of("Releases")).boxed();
        let mut again = tokio::time::interval(LOOK_AGAIN);
        let (mut seen, mut looks) = (HashSet::new(), 0_u32);
        loop {
            tokio::select! {
                biased;
                _ = again.tick() => {
                    self.look_again(looks % ROWS_EVERY == 0).await;
                    looks = looks.wrapping_add(1);
                }
                event = events.next() => match event {
                    Some(event) => self.take(event, &mut seen).await,
                    None => return,
                },
            }
        }
    }

    async fn take(
        &self,
        event: Result<watcher::Event<DynamicObject>, watcher::Error>,
        seen: &mut HashSet<Place>,
    ) {
        match event {
            Ok(watcher::Event::Init) => seen.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                seen.insert(place(&object));
                self.keep(object).await;
            }
            Ok(watcher::Event::Apply(object)) => self.keep(object).await,
            Ok(watcher::Event::Delete(object)) => self.forget(|of| *of == place(&object)),
            Ok(watcher::Event::InitDone) => {
                self.forget(|of| !seen.contains(of));
                self.could_read(None);
            }
            Err(error) => {
                tracing::warn!(%error, "watching Releases");
                // What was listed stands while a watch is interrupted: it goes on from there, without another list.
                if let watcher::Error::InitialListFailed(error) = error {
                    self.could_read(unlisted(&error));
                }
            }
        }
    }

    fn could_read(&self, unread: Option<String>) {
        let mut known = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != unread {
            *known = unread;
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
        self.looked.send_replace(true);
    }

    fn forget(&self, which: impl Fn(&Place) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.retain(|place, _| !which(place));
        if known.len() != before {
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Assesses a Release as it is now, and says so in its status.
    async fn keep(&self, object: DynamicObject) {
        let spec = serde_json::from_value::<ReleaseSpec>(object.data["spec"].clone());
        let name = object.name_any();
        let (rollouts, assessed) = match spec {
            Ok(spec) => {
                let named = self.named(&place(&object).0, &spec).await;
                let (generation, rollouts) =
                    (object.metadata.generation.unwrap_or_default(), spec.rollouts.clone());
                let work =
                    tokio::task::spawn_blocking(move || assess(&name, generation, &spec, &named)).await;
                match work {
                    Ok(assessed) => (rollouts, assessed),
                    Err(error) => (rollouts, undecoded(&object, &format!("cannot be assessed: {error}"))),
                }
            }
            Err(error) => (Vec::new(), undecoded(&object, &format!("cannot be decoded: {error}"))),
        };
        self.tell(&object, &assessed.status).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let old = known.insert(place(&object), Known { object, rollouts, assessed: assessed.clone() });
        if old.is_none_or(|old| old.assessed.release != assessed.release) {
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Asks for `ConfigMap`s again; of who counts rows, which is dear, only where that failed or is due.
    async fn look_again(&self, rows_are_due: bool) {
        let objects: Vec<DynamicObject> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let due = |one: &&Known| {
                let counts = one.object.data["spec"]["migrations"].get("rowsFrom").is_some();
                rows_are_due || !counts || one.assessed.release.migrations.is_err()
            };
            known.values().filter(due).map(|one| one.object.clone()).collect()
        };
        for object in objects {
            let spec = serde_json::from_value::<ReleaseSpec>(object.data["spec"].clone());
            let asks = |spec: ReleaseSpec| {
                !spec.config_maps().is_empty()
                    || spec.migrations.is_some_and(|named| named.rows_from.is_some())
            };
            if spec.is_ok_and(asks) {
                self.keep(object).await;
            }
        }
    }

    /// Reads the evidence that a Release only names.
    async fn named(&self, namespace: &str, spec: &ReleaseSpec) -> Named {
        let maps = self.maps(namespace, spec).await;
        let Some(from) = spec.migrations.as_ref().and_then(|migrations| migrations.rows_from.as_ref()) else {
            return Named { maps, rows: None };
        };
        let api: Api<Rollout> = Api::namespaced(self.ground.clients.requests.clone(), namespace);
        let rows = match api.list(&ListParams::default()).await {
            Ok(found) => {
                let its = |rollout: &Rollout| is_for(&spec.rollouts, &rollout.name_any());
                let rollouts: Vec<Rollout> = found.items.into_iter().filter(its).collect();
                rows::read(&self.ground, &rollouts, from).await
            }
            Err(error) => Err(format!("spec.migrations.rowsFrom: Rollouts cannot be listed: {error}")),
        };
        Named { maps, rows: Some(rows) }
    }

    async fn maps(&self, namespace: &str, spec: &ReleaseSpec) -> HashMap<String, Map> {
        let api: Api<ConfigMap> = Api::namespaced(self.ground.clients.requests.clone(), namespace);
        let mut maps = HashMap::new();
        for name in spec.config_maps() {
            let map = match api.get_opt(name).await {
                Ok(Some(map)) => Ok(entries(map)),
                Ok(None) => Err(format!("there is none in namespace {namespace}")),
                Err(error) => Err(format!("cannot be read: {error}")),
            };
            maps.insert(name.to_owned(), map);
        }
        maps
    }

    /// Writes the status where it says something else; a conflict brings the object again.
    async fn tell(&self, object: &DynamicObject, status: &ReleaseStatus) {
        let Ok(status) = serde_json::to_value(status) else { return };
        if object.data.get("status") == Some(&status) {
            return;
        }
        let (namespace, name) = place(object);
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.ground.clients.requests.clone(),
            &namespace,
            &ApiResource::erase::<Release>(&()),
        );
        let mut next = object.clone();
        next.metadata.managed_fields = None;
        next.data["status"] = status;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match api.replace_status(&name, &params, &next).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => tracing::warn!(namespace, name, %error, "a Release's status was not stored"),
        }
    }
}

fn place(object: &DynamicObject) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Why nobody knows what Releases say. Without the kind there are none.
fn unlisted(error: &kube::Error) -> Option<String> {
    let is_missing = matches!(error, kube::Error::Api(status) if status.code == 404);
    (!is_missing).then(|| format!("Releases cannot be listed: {error}"))
}

fn entries(map: ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = map.data.unwrap_or_default().into_iter().map(|(name, text)| (name, text.into_bytes()));
    let binary = map.binary_data.unwrap_or_default().into_iter().map(|(name, bytes)| (name, bytes.0));
    text.chain(binary).collect()
}

/// A Release of which nothing but its version is known, and whether it is withdrawn.
fn undecoded(object: &DynamicObject, why: &str) -> Assessed {
    let text = |field: &str| object.data["spec"][field].as_str().map(str::to_owned);
    let release = Facts {
        name: object.name_any(),
        version: text("version").unwrap_or_default(),
        lane: Lane::Normal,
        withdrawn: text("withdrawn"),
        fixes: Vec::new(),
        includes_since: None,
        migrations: Err(why.to_owned()),
        load_tests: Vec::new(),
    };
    let status = ReleaseStatus {
        observed_generation: object.metadata.generation.unwrap_or_default(),
        message: why.to_owned(),
        ..ReleaseStatus::default()
    };
    Assessed { release, status }
}
