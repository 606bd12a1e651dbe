//! The evidence that a Release only names: `ConfigMap`s, row counts; read, assessed, and said in its status. I/O.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use breakwater_crds::{
    Release, ReleaseSpec, ReleaseStatus, Rollout,
    release::{RowsFrom, is_for},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
};

use super::{Assessed, Map, Named, Releases, assess, place, rows, undecoded};
use crate::tenants::lens::FIELD_MANAGER;

/// Longest time that the rows of one Release are counted.
const ROWS_WITHIN: Duration = Duration::from_mins(1);

impl Releases {
    /// Works out what a Release comes to as it is now, and says so in its status.
    pub(super) async fn study(&self, object: &DynamicObject) {
        let assessed = self.assess(object).await;
        if let Some(current) = self.assessed(object, &assessed) {
            self.tell(current, &assessed.status).await;
        }
    }

    async fn assess(&self, object: &DynamicObject) -> Assessed {
        let spec = match serde_json::from_value::<ReleaseSpec>(object.data["spec"].clone()) {
            Ok(spec) => spec,
            Err(error) => return undecoded(object, &format!("cannot be decoded: {error}")),
        };
        let (name, generation) = (object.name_any(), object.metadata.generation.unwrap_or_default());
        let named = self.named(&place(object).0, &spec).await;
        let work = tokio::task::spawn_blocking(move || assess(&name, generation, &spec, &named));
        work.await.unwrap_or_else(|error| undecoded(object, &format!("cannot be assessed: {error}")))
    }

    /// Reads the evidence that a Release only names.
    async fn named(&self, namespace: &str, spec: &ReleaseSpec) -> Named {
        let from = spec.migrations.as_ref().and_then(|migrations| migrations.rows_from.as_ref());
        let rows = async {
            match from {
                Some(from) => Some(self.rows(namespace, spec, from).await),
                None => None,
            }
        };
        let (maps, rows) = tokio::join!(self.maps(namespace, spec), rows);
        Named { maps, rows }
    }

    /// Counts the rows of a Release's tenants, a few Releases at once and each for so long: a Prometheus that hangs keeps
    /// nobody else's evidence.
    async fn rows(
        &self,
        namespace: &str,
        spec: &ReleaseSpec,
        from: &RowsFrom,
    ) -> Result<rows::Largest, String> {
        let _permit = self.counting.acquire().await; // never closed
        let counted = tokio::time::timeout(ROWS_WITHIN, self.count(namespace, spec, from)).await;
        counted.unwrap_or_else(|_| {
            Err(format!("spec.migrations.rowsFrom: the rows were not counted within {ROWS_WITHIN:?}"))
        })
    }

    async fn count(
        &self,
        namespace: &str,
        spec: &ReleaseSpec,
        from: &RowsFrom,
    ) -> Result<rows::Largest, String> {
        let api: Api<Rollout> = Api::namespaced(self.ground.clients.requests.clone(), namespace);
        let found = api.list(&ListParams::default()).await;
        let found =
            found.map_err(|error| format!("spec.migrations.rowsFrom: Rollouts cannot be listed: {error}"))?;
        let its = |rollout: &Rollout| is_for(&spec.rollouts, &rollout.name_any());
        let rollouts: Vec<Rollout> = found.items.into_iter().filter(its).collect();
        rows::read(&self.ground, &rollouts, from).await
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

    /// Writes the status; a conflict brings the object again.
    async fn tell(&self, object: DynamicObject, status: &ReleaseStatus) {
        let Ok(status) = serde_json::to_value(status) else { return };
        let (namespace, name) = place(&object);
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
            Ok(stored) => self.written(&object, stored),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => tracing::warn!(namespace, name, %error, "a Release's status was not stored"),
        }
    }
}

fn entries(map: ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = map.data.unwrap_or_default().into_iter().map(|(name, text)| (name, text.into_bytes()));
    let binary = map.binary_data.unwrap_or_default().into_iter().map(|(name, bytes)| (name, bytes.0));
    text.chain(binary).collect()
}
