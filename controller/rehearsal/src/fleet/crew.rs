//! Plays the tenants' own operators: takes each change of a version, and makes the tenant ready after a while.

use std::{collections::HashMap, sync::Arc, time::Duration};

use breakwater_operator::{clock::Clock, tenants::lens::Lens};
use breakwater_plan::observed::Reading;
use futures::StreamExt as _;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::json;

use super::{Fleet, shape::Shape};
use crate::apiserver::Kind;

/// Runs all tenants.
pub struct Crew {
    client: Client,
    fleet: Fleet,
    shape: Shape,
    lens: Lens,
    clock: Clock,
}

impl Crew {
    /// The operators of `fleet`; `lens` is how a version is read from an object.
    pub fn new(client: Client, fleet: Fleet, shape: Shape, lens: Lens, clock: Clock) -> Self {
        Self { client, fleet, shape, lens, clock }
    }

    /// Works until the client ends.
    pub async fn run(self) {
        let kind = self.shape.kind();
        let resource = resource(&kind);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let crew = Arc::new(self);
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut events = watcher(api, watcher::Config::default()).boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => crew.take(&kind, object, &mut seen),
                Ok(Event::Delete(object)) => crew.bury(&object, &mut seen),
                Ok(Event::Init | Event::InitDone) => {}
                // The API server may be away in a rehearsal; the watcher comes back by itself, paced by this pause.
                Err(_) => tokio::time::sleep(Duration::from_secs(5)).await,
            }
        }
    }

    fn take(self: &Arc<Self>, kind: &Kind, object: DynamicObject, seen: &mut HashMap<String, String>) {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name) else {
            return;
        };
        let Some(version) = self.version(&object) else { return };
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        let state = format!("{generation} {version}");
        if seen.get(&uid) == Some(&state) {
            return;
        }
        let is_new = seen.insert(uid.clone(), state).is_none();
        let (after, crashes) = {
            let fleet = self.fleet.lock();
            let Some(index) = fleet.find(namespace, name) else { return };
            let same = fleet.tenants[index].runs.last().is_some_and(|run| *run.version == *version);
            let after = if same { Duration::ZERO } else { duration(fleet.ready_after(index)) };
            (after, fleet.crashes(index, &version))
        };
        if crashes {
            return;
        }
        let (crew, kind) = (self.clone(), kind.clone());
        let settle = async move {
            if !after.is_zero() || !is_new {
                tokio::time::sleep(after).await;
            }
            // The API server may be away in a rehearsal: an operator tries again.
            while crew.settle(&kind, &object, &version).await.is_err() {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        };
        tokio::spawn(settle);
    }

    /// Writes the status of a ready tenant, unless it was changed again meanwhile.
    async fn settle(&self, kind: &Kind, object: &DynamicObject, version: &str) -> Result<(), kube::Error> {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let name = object.metadata.name.clone().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &resource(kind));
        let Some(now) = api.get_opt(&name).await? else { return Ok(()) };
        let unchanged =
            now.metadata.uid == object.metadata.uid && self.version(&now).as_deref() == Some(version);
        if !unchanged {
            return Ok(());
        }
        let at = (self.clock)();
        {
            let mut fleet = self.fleet.lock();
            if let Some(index) = fleet.find(&namespace, &name) {
                fleet.runs(index, version, at.as_second());
            }
        }
        let value = serde_json::to_value(&now).map_err(kube::Error::SerdeError)?;
        let stamp = jiff::Timestamp::from_second(at.as_second()).unwrap_or(at).to_string();
        let patch = Patch::Merge(json!({"status": self.shape.ready_status(&value, version, &stamp)}));
        let params = PatchParams { field_manager: Some("tenant-operator".into()), ..PatchParams::default() };
        let patched = if kind.has_status {
            api.patch_status(&name, &params, &patch).await
        } else {
            api.patch(&name, &params, &patch).await
        };
        match patched {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()), // gone meanwhile
            patched => patched.map(drop),
        }
    }

    fn bury(&self, object: &DynamicObject, seen: &mut HashMap<String, String>) {
        if let Some(uid) = &object.metadata.uid {
            seen.remove(uid);
        }
        let at = (self.clock)().as_second();
        let (namespace, name) = (object.metadata.namespace.as_deref(), object.metadata.name.as_deref());
        let mut fleet = self.fleet.lock();
        if let Some(index) = fleet.find(namespace.unwrap_or_default(), name.unwrap_or_default()) {
            fleet.tenants[index].gone_at.get_or_insert(at);
        }
    }

    fn version(&self, object: &DynamicObject) -> Option<String> {
        let digest = self.lens.digest(object, (self.clock)())?;
        match digest.tenant.version {
            Reading::Version(version) => Some(version.to_string()),
            Reading::Unreadable(_) => None,
        }
    }
}

/// A kind as kube's dynamic API names it.
pub(crate) fn resource(kind: &Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind);
    ApiResource::from_gvk_with_plural(&gvk, &kind.plural)
}

fn duration(span: breakwater_crds::Span) -> Duration {
    Duration::from_secs(span.as_seconds().unsigned_abs())
}
