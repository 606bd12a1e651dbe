//! Tenants: watched, digested into a compact index, read afresh, and the guarded requests that write them.
//! I/O: reads, lists and watches; never a write.
//!
//! Pure: [`path`], [`patch`], [`ready`], [`rules`], [`fields`], [`lens`], [`diagnose`]. Shared state without I/O: [`index`].
//! Watches: [`watch`].

pub mod diagnose;
pub mod fields;
pub mod index;
mod interner;
pub mod lens;
pub mod marks;
pub mod patch;
pub mod path;
pub mod ready;
pub mod rules;
pub mod watch;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use breakwater_crds::identity::RolloutIdentity;
use breakwater_plan::{
    observed::{Cause, Listing, Tenant},
    outcome::Write,
};
use breakwater_slo::TenantId;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Resource as _,
    api::{ApiResource, DynamicObject, ListParams},
    core::PartialObjectMeta,
    runtime::{watcher, watcher::Event},
};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch as signal},
    task::AbortHandle,
};

use crate::{clock::Clock, tasks::Alarm};

use self::{
    index::{Index, Origin},
    lens::{FIELD_MANAGER, Lens, Surroundings},
    patch::{MarkerText, PatchError},
    ready::Known,
    watch::{Feed, News, Running, Sight, StreamKey, follow, lock},
};

/// Time limit of one read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Most pods that a diagnosis looks at.
const MAX_PODS: u32 = 10;

/// All watched tenants of all Rollouts. Cheap to clone.
#[derive(Clone)]
pub struct Tenants {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    clock: Clock,
    alarm: Alarm,
    surroundings: Arc<RwLock<Surroundings>>,
    namespaces: Mutex<Sight>,
    /// One per Rollout, by namespace and name; dead ones are swept when another subscribes.
    cores: Mutex<BTreeMap<(String, String), Weak<Core>>>,
    streams: Mutex<HashMap<StreamKey, (Arc<Running>, AbortHandle)>>,
    namespace_watch: Mutex<Option<AbortHandle>>,
}

/// One Rollout's view of its tenants. Clones share it; when the last one is dropped its watches stop, unless other
/// Rollouts look through them.
#[derive(Clone)]
pub struct Subscription {
    core: Arc<Core>,
}

struct Core {
    shared: Arc<Shared>,
    index: Arc<Index>,
    feeds: [(StreamKey, Arc<Feed>); 2],
}

/// Why a tenant could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its kind was not found by discovery yet.
    #[error("tenant {0} cannot be read: its kind is not known to be served yet")]
    NotServed(String),
    /// The API server answered with an error, or not at all.
    #[error("read of tenant {tenant}: {source}")]
    Api {
        /// Which.
        tenant: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// It took longer than ten seconds.
    #[error("read of tenant {0}: no answer in {READ_TIMEOUT:?}")]
    Timeout(String),
}

impl Tenants {
    /// Nothing is watched until somebody subscribes. `alarm` is told should a watch panic.
    pub fn new(client: Client, clock: Clock, alarm: Alarm) -> Self {
        let shared = Shared {
            client,
            clock,
            alarm,
            surroundings: Arc::default(),
            namespaces: Mutex::new(Sight::new("the namespaces are being listed")),
            cores: Mutex::default(),
            streams: Mutex::default(),
            namespace_watch: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Watches the tenants of the lens's Rollout. With a lens equal to that of a living subscription the index is the
    /// same one, so subscribe anew before dropping the old subscription. Must be called inside a tokio runtime.
    pub fn subscribe(&self, lens: Lens) -> Subscription {
        let shared = &self.shared;
        self.watch_namespaces();
        let name = (lens.namespace().to_owned(), lens.name().to_owned());
        let mut cores = lock(&shared.cores);
        cores.retain(|_, core| core.strong_count() > 0);
        let former = cores.get(&name).and_then(Weak::upgrade);
        if let Some(core) = &former
            && **core.index.lens() == lens
        {
            return Subscription { core: core.clone() };
        }
        let core = Arc::new(Core::new(shared.clone(), lens));
        if let Some(former) = former {
            core.index.inherit(&former.index);
        }
        cores.insert(name, Arc::downgrade(&core));
        drop(cores);
        for (key, feed) in &core.feeds {
            shared.join(key, feed.clone());
        }
        Subscription { core }
    }

    /// Says which Rollouts of a hub exist, by namespace and name: a marker of any other is no claim (R24).
    pub fn set_rollouts<'a>(&self, hub: &str, rollouts: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let both = |(namespace, name): (&str, &str)| {
            [hub, ""].map(|hub| RolloutIdentity { hub, namespace, name }.label())
        };
        let labels = Some(rollouts.into_iter().flat_map(both).collect());
        {
            let mut surroundings = self.shared.surroundings.write().unwrap_or_else(PoisonError::into_inner);
            if surroundings.rollouts == labels {
                return;
            }
            surroundings.rollouts = labels;
        }
        self.shared.place_again(None);
    }

    /// Reads a tenant past every cache and brings the index up to date (R25). `None`: it is gone, or the index does not
    /// know it. Another uid is a new object, and what is returned.
    pub async fn read(&self, subscription: &Subscription, id: TenantId) -> Result<Option<Tenant>, ReadError> {
        let index = &subscription.core.index;
        let Some(tenant) = index.get(id) else {
            return Ok(None);
        };
        match self.get(subscription, &tenant).await? {
            Some(object) => {
                index.apply_written(&object, (self.shared.clock)());
            }
            None => index.gone(id),
        }
        Ok(index.get(id))
    }

    /// Why a failed tenant is not ready, as far as its pods tell (R4); for workloads of `apps` only.
    pub async fn diagnose(&self, subscription: &Subscription, id: TenantId) -> Cause {
        match Known::of(subscription.core.index.lens().resource()) {
            Known::Deployment | Known::StatefulSet | Known::DaemonSet => {}
            Known::Mattermost
            | Known::Application
            | Known::HelmRelease
            | Known::Kustomization
            | Known::ArgoRollout
            | Known::Conditions => return Cause::Unknown,
        }
        let Some(tenant) = subscription.core.index.get(id) else {
            return Cause::Unknown;
        };
        let Ok(Some(object)) = self.get(subscription, &tenant).await else {
            return Cause::Unknown;
        };
        let selector = object.data.pointer("/spec/selector").cloned().unwrap_or_default();
        let Ok(selector) = serde_json::from_value::<breakwater_crds::LabelSelector>(selector) else {
            return Cause::Unknown;
        };
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), &tenant.namespace);
        let parameters = ListParams::default().labels(&selector.query()).limit(MAX_PODS);
        match tokio::time::timeout(READ_TIMEOUT, pods.list(&parameters)).await {
            Ok(Ok(list)) => {
                let revision = object.data.pointer("/status/updateRevision").and_then(Value::as_str);
                match revision {
                    Some(revision) => diagnose::cause_in_set(revision, &list.items),
                    None => diagnose::cause_of(&list.items),
                }
            }
            Ok(Err(_)) | Err(_) => Cause::Unknown,
        }
    }

    async fn get(
        &self,
        subscription: &Subscription,
        tenant: &Tenant,
    ) -> Result<Option<DynamicObject>, ReadError> {
        let name = || full_name(tenant);
        let resource = subscription.served().ok_or_else(|| ReadError::NotServed(name()))?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.shared.client.clone(), &tenant.namespace, &resource);
        match tokio::time::timeout(READ_TIMEOUT, api.get_opt(&tenant.name)).await {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(error)) => Err(ReadError::Api { tenant: name(), source: Box::new(error) }),
            Err(_elapsed) => Err(ReadError::Timeout(name())),
        }
    }

    /// Labels of namespaces give `namespaceSelector` and consent (R39).
    fn watch_namespaces(&self) {
        let mut running = lock(&self.shared.namespace_watch);
        if running.is_none() {
            let follow = follow_namespaces(self.shared.client.clone(), Arc::downgrade(&self.shared));
            *running = Some(self.shared.alarm.spawn("watch of namespaces", follow));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.namespace_watch).take() {
            task.abort();
        }
    }
}

impl Shared {
    fn join(&self, key: &StreamKey, feed: Arc<Feed>) {
        let mut streams = lock(&self.streams);
        let (running, _) = streams.entry(key.clone()).or_insert_with(|| {
            let running = Arc::new(Running::new(key.clone()));
            let run = running.clone().run(self.client.clone(), self.clock.clone());
            let task = self.alarm.spawn("watch of tenants", run);
            (running, task)
        });
        running.join(feed);
    }

    fn leave(&self, key: &StreamKey, feed: &Arc<Feed>) {
        let mut streams = lock(&self.streams);
        if let Some((running, task)) = streams.get(key)
            && running.leave(feed)
        {
            task.abort();
            streams.remove(key);
        }
    }

    fn place_again(&self, namespace: Option<&str>) {
        let cores: Vec<_> = lock(&self.cores).values().filter_map(Weak::upgrade).collect();
        for core in cores {
            core.index.place_again(namespace);
        }
    }

    /// Changes the namespaces; what is looked at again is only what `change` names, or all.
    fn change_namespaces(
        &self,
        namespace: Option<&str>,
        change: impl FnOnce(&mut HashMap<String, BTreeMap<String, String>>) -> bool,
    ) {
        let changed = {
            let mut surroundings = self.surroundings.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut surroundings.namespaces)
        };
        if changed {
            self.place_again(namespace);
        }
    }

    fn set_sight(&self, sight: Sight) {
        let mut known = lock(&self.namespaces);
        let changed = *known != sight;
        *known = sight;
        drop(known);
        if changed {
            let cores: Vec<_> = lock(&self.cores).values().filter_map(Weak::upgrade).collect();
            for core in cores {
                core.index.notify();
            }
        }
    }
}

async fn follow_namespaces(client: Client, shared: Weak<Shared>) {
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client);
    let mut listing = HashMap::new();
    let mut hear = |news: News<PartialObjectMeta<Namespace>>| {
        let Some(shared) = shared.upgrade() else {
            return; // The task is aborted with it.
        };
        match news {
            News::Event(Event::Init) => listing.clear(),
            News::Event(Event::InitApply(namespace)) => listing.extend(labels_of(namespace)),
            News::Event(Event::InitDone) => {
                let all = std::mem::take(&mut listing);
                shared
                    .change_namespaces(None, |namespaces| std::mem::replace(namespaces, all) != *namespaces);
                shared.set_sight(Sight::complete());
            }
            News::Event(Event::Apply(namespace)) => {
                if let Some((name, labels)) = labels_of(namespace) {
                    shared.change_namespaces(Some(&name), |namespaces| {
                        namespaces.insert(name.clone(), labels.clone()).as_ref() != Some(&labels)
                    });
                }
            }
            News::Event(Event::Delete(namespace)) => {
                if let Some((name, _)) = labels_of(namespace) {
                    shared.change_namespaces(Some(&name), |namespaces| namespaces.remove(&name).is_some());
                }
            }
            News::Trouble { reason, lost } => {
                tracing::warn!(lost, "watch of namespaces fails: {reason}");
                if lost || !lock(&shared.namespaces).complete {
                    shared.set_sight(Sight::new(&format!("watch of namespaces fails: {reason}")));
                }
            }
        }
    };
    // Namespaces are always served: a 404 is some proxy's word, and passes.
    loop {
        follow(|config| watcher(api.clone(), config).boxed(), "", &Notify::new(), &mut hear).await;
    }
}

fn labels_of(namespace: PartialObjectMeta<Namespace>) -> Option<(String, BTreeMap<String, String>)> {
    Some((namespace.metadata.name?, namespace.metadata.labels.unwrap_or_default()))
}

fn full_name(tenant: &Tenant) -> String {
    format!("{}/{}", tenant.namespace, tenant.name)
}

impl Core {
    fn new(shared: Arc<Shared>, lens: Lens) -> Self {
        let by_selector = StreamKey {
            resource: lens.resource().clone(),
            namespace: (!lens.leaves_home()).then(|| lens.namespace().to_owned()),
            selector: lens.selector().query(),
        };
        // The marker is looked for everywhere: an edited spec must not hide what was touched (R17).
        let by_marker = StreamKey {
            resource: lens.resource().clone(),
            namespace: None,
            selector: lens.marks().selector(),
        };
        let index = Arc::new(Index::new(Arc::new(lens), shared.surroundings.clone()));
        let feed = |origin| Arc::new(Feed::new(origin, index.clone()));
        let feeds = [(by_selector, feed(Origin::Selector)), (by_marker, feed(Origin::Marker))];
        Self { shared, index, feeds }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        for (key, feed) in &self.feeds {
            self.shared.leave(key, feed);
        }
    }
}

impl Subscription {
    /// The tenants.
    pub fn index(&self) -> &Arc<Index> {
        &self.core.index
    }

    /// Whether the index is all there is.
    pub fn listing(&self) -> Listing {
        let namespaces = lock(&self.core.shared.namespaces).clone();
        if !namespaces.complete {
            return Listing::Incomplete(namespaces.reason);
        }
        let blind = self.core.feeds.iter().map(|(_, feed)| feed.sight()).find(|sight| !sight.complete);
        blind.map_or(Listing::Complete, |sight| Listing::Incomplete(sight.reason))
    }

    /// Tells when the tenants or the fleet's completeness changed.
    pub fn changed(&self) -> signal::Receiver<u64> {
        self.core.index.changes()
    }

    /// Plural and group of the tenants' kind, once discovered.
    pub fn served(&self) -> Option<ApiResource> {
        self.core.feeds.iter().find_map(|(_, feed)| feed.served())
    }

    /// The guarded request that carries out `write` (R24), sent at `written_at`; the server gives up, and commits
    /// nothing, after `timeout` (R26).
    pub fn patch_request(
        &self,
        write: &Write,
        written_at: Timestamp,
        timeout: Duration,
    ) -> Result<http::Request<Vec<u8>>, PatchError> {
        let tenant = &write.tenant;
        if tenant.terminating {
            return Err(PatchError::Terminating(full_name(tenant)));
        }
        let resource = self.served().ok_or_else(|| PatchError::NotServed(full_name(tenant)))?;
        let lens = self.core.index.lens();
        let derived = self.core.index.derived_of(tenant.id);
        let fields =
            lens.assignments(derived.as_deref(), &write.version).ok_or_else(|| PatchError::Unreadable {
                tenant: full_name(tenant),
                reason: tenant
                    .version
                    .version()
                    .map_or("its version cannot be read", |_| "its container is not known")
                    .into(),
            })?;
        let text = MarkerText::of(lens.identity(), write, written_at);
        let patch = patch::build(&tenant.object, &fields, &text);
        let url = DynamicObject::url_path(&resource, Some(&tenant.namespace));
        // A Go duration; names of objects need no escaping in a path.
        let uri = format!(
            "{url}/{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&timeout={}ms",
            tenant.name,
            timeout.as_millis()
        );
        http::Request::patch(uri)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, patch.content_type())
            .body(patch.body())
            .map_err(|error| PatchError::Request { tenant: full_name(tenant), reason: error.to_string() })
    }
}
