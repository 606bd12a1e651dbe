//! The one watch by which both sides are measured: when the API server told of each change of version.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, ApiResource};
use kube::runtime::{WatchStreamExt, watcher, watcher::Event};
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;

use crate::kinds::Kind;

const POLL: Duration = Duration::from_millis(10);

/// As little of a tenant as is needed.
#[derive(Clone, Debug, Deserialize)]
struct Light {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Deserialize)]
struct Spec {
    version: String,
}

impl kube::Resource for Light {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What guards a patch of an object, and the version it is on.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) version: String,
}

/// When the objects of a namespace came to a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lap {
    pub(super) count: usize,
    pub(super) first: Instant,
    pub(super) last: Instant,
}

impl Lap {
    /// From the first write to the last.
    pub(super) fn took(&self) -> Duration {
        self.last - self.first
    }
}

#[derive(Debug, Default)]
struct Place {
    objects: HashMap<String, Facts>,
    laps: HashMap<String, Lap>,
    /// The last one that came to a version, by version.
    latest: HashMap<String, String>,
}

type Places = BTreeMap<String, Place>;

/// The running watch; it ends when dropped.
#[derive(Debug)]
pub(super) struct Tape {
    places: Arc<Mutex<Places>>,
    _watch: AbortOnDropHandle<()>,
}

impl Tape {
    /// Watches all tenants of the bench's kind.
    pub(super) fn start(client: Client) -> Self {
        let places = Arc::new(Mutex::new(Places::new()));
        let task = tokio::spawn(follow(client, Arc::clone(&places)));
        Self { places, _watch: AbortOnDropHandle::new(task) }
    }

    /// Forgets who came to which version when.
    pub(super) fn forget(&self) {
        for place in self.lock().values_mut() {
            place.laps.clear();
            place.latest.clear();
        }
    }

    /// The objects of a namespace as last seen.
    pub(super) fn objects(&self, namespace: &str) -> Vec<(String, Facts)> {
        let objects = |place: &Place| place.objects.iter().map(|(n, f)| (n.clone(), f.clone())).collect();
        self.lock().get(namespace).map(objects).unwrap_or_default()
    }

    /// How many objects of a namespace were seen.
    pub(super) fn len(&self, namespace: &str) -> usize {
        self.lock().get(namespace).map_or(0, |place| place.objects.len())
    }

    /// The object that came to `version` last.
    pub(super) fn latest(&self, namespace: &str, version: &str) -> Option<String> {
        self.lock().get(namespace)?.latest.get(version).cloned()
    }

    /// Waits until `count` objects of a namespace came to `version` since all was forgotten.
    pub(super) async fn until(
        &self,
        namespace: &str,
        version: &str,
        count: usize,
        within: Duration,
    ) -> Result<Lap> {
        let began = Instant::now();
        loop {
            let lap = self.lock().get(namespace).and_then(|place| place.laps.get(version).copied());
            if let Some(lap) = lap.filter(|lap| lap.count >= count) {
                return Ok(lap);
            }
            if began.elapsed() > within {
                let seen = lap.map_or(0, |lap| lap.count);
                bail!("{seen} of {count} tenants of {namespace} came to {version} within {within:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(client: Client, places: Arc<Mutex<Places>>) {
    let api: Api<Light> = Api::all_with(client, &Kind::Tenant.resource());
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    loop {
        // The stream never ends; an error is retried by it, after a while.
        let Ok(Some(event)) = events.try_next().await else { continue };
        if let Event::Apply(object) | Event::InitApply(object) = event {
            note(&mut places.lock().unwrap_or_else(PoisonError::into_inner), object);
        }
    }
}

fn note(places: &mut Places, object: Light) {
    let Light { metadata, spec: Spec { version } } = object;
    let place = places.entry(metadata.namespace.unwrap_or_default()).or_default();
    let name = metadata.name.unwrap_or_default();
    let facts = Facts {
        uid: metadata.uid.unwrap_or_default(),
        resource_version: metadata.resource_version.unwrap_or_default(),
        version: version.clone(),
    };
    let before = place.objects.insert(name.clone(), facts);
    if before.is_none_or(|before| before.version == version) {
        return;
    }
    let now = Instant::now();
    let lap = place.laps.entry(version.clone()).or_insert(Lap { count: 0, first: now, last: now });
    lap.count += 1;
    lap.last = now;
    place.latest.insert(version, name);
}
