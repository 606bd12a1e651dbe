//! The kinds of object a tenant may be, and what each looks like: pure functions from a tenant to its object, and
//! from an object to the version it is asked for and the version it really runs.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};

/// The label that makes an object a tenant of the bed.
pub const TENANT_LABEL: &str = "installation-id";
/// How long after a change the operator reports it done, in milliseconds; an annotation.
pub const READY_AFTER: &str = "test.breakwater.dev/ready-after-ms";
/// The node all pods are on: there is no scheduler.
pub const NODE: &str = "node-0";

const REGISTRY: &str = "registry.local/app";

/// A kind of tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// apps/v1, run by the real deployment controller and kwok.
    Deployment,
    /// installation.mattermost.com/v1beta1
    Mattermost,
    /// helm.toolkit.fluxcd.io/v2
    HelmRelease,
    /// argoproj.io/v1alpha1; has no status subresource.
    Application,
    /// test.breakwater.dev/v1; its containers are an atomic list.
    Tenant,
}

/// A tenant to be created.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The version it is to run: an image tag, chart version or revision.
    pub version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// How many replicas, where the kind has them.
    pub replicas: i32,
    /// A second container, name and image, where the kind has containers. It comes first in the list.
    pub sidecar: Option<(String, String)>,
}

impl Tenant {
    /// One replica, in no ring.
    pub fn new(namespace: &str, name: &str, version: &str) -> Self {
        let labels = [("app", "tenant"), (TENANT_LABEL, name)];
        Self {
            namespace: namespace.into(),
            name: name.into(),
            version: version.into(),
            labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
            annotations: BTreeMap::new(),
            replicas: 1,
            sidecar: None,
        }
    }

    /// Sets the label `ring`.
    #[must_use]
    pub fn ring(self, ring: &str) -> Self {
        self.label("ring", ring)
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Keeps it out of the exporter: for fleets too large to be scraped each second.
    #[must_use]
    pub fn unmeasured(self) -> Self {
        self.label("metrics", "off")
    }

    /// Sets the number of replicas.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Adds a second container.
    #[must_use]
    pub fn sidecar(mut self, name: &str, image: &str) -> Self {
        self.sidecar = Some((name.into(), image.into()));
        self
    }

    /// How long its operator takes over a change (custom resources only; a pod takes 200 ms).
    #[must_use]
    pub fn ready_after(mut self, delay: Duration) -> Self {
        self.annotations.insert(READY_AFTER.into(), delay.as_millis().to_string());
        self
    }

    /// `namespace/name`: what the metrics' label `installation` says.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Deployment, Self::Mattermost, Self::HelmRelease, Self::Application, Self::Tenant];

    /// How the API calls it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Mattermost => ("installation.mattermost.com", "v1beta1", "Mattermost", "mattermosts"),
            Self::HelmRelease => ("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases"),
            Self::Application => ("argoproj.io", "v1alpha1", "Application", "applications"),
            Self::Tenant => ("test.breakwater.dev", "v1", "Tenant", "tenants"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// The object to create for a tenant.
    pub fn object(self, tenant: &Tenant) -> Value {
        let resource = self.resource();
        let Tenant { namespace, name, labels, annotations, .. } = tenant;
        json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
            "spec": self.spec(tenant),
        })
    }

    fn spec(self, tenant: &Tenant) -> Value {
        let Tenant { namespace: _, name, version, labels, annotations: _, replicas, sidecar } = tenant;
        let image = image(version);
        let app = json!({"name": "app", "image": image});
        let sidecar = sidecar.as_ref().map(|(name, image)| json!({"name": name, "image": image}));
        let containers: Vec<Value> = sidecar.into_iter().chain([app]).collect();
        match self {
            Self::Deployment => json!({
                "replicas": replicas,
                "revisionHistoryLimit": 1,
                "selector": {"matchLabels": {TENANT_LABEL: name}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"nodeName": NODE, "containers": containers, "terminationGracePeriodSeconds": 0},
                },
            }),
            Self::Mattermost => json!({"image": REGISTRY, "version": version, "replicas": replicas}),
            Self::HelmRelease => json!({
                "interval": "1m",
                "chart": {"spec": {"chart": "app", "version": version,
                    "sourceRef": {"kind": "HelmRepository", "name": "apps"}}},
            }),
            Self::Application => json!({
                "project": "default",
                "source": {"repoURL": "https://git.local/apps", "path": name, "targetRevision": version},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
            }),
            Self::Tenant => json!({"version": version, "replicas": replicas, "containers": containers}),
        }
    }

    /// The version an object is asked to run.
    pub fn wanted(self, object: &Value) -> Option<String> {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).map(String::from);
        match self {
            Self::Deployment => app_tag(object.pointer("/spec/template/spec/containers")),
            Self::Mattermost => text("/spec/version"),
            Self::HelmRelease => text("/spec/chart/spec/version"),
            Self::Application => text("/spec/source/targetRevision"),
            Self::Tenant => app_tag(object.pointer("/spec/containers")).or_else(|| text("/spec/version")),
        }
    }

    /// Writes another version into an object, wherever its kind keeps it.
    pub fn set_version(self, object: &mut Value, version: &str) {
        let mut set =
            |pointer| object.pointer_mut(pointer).into_iter().for_each(|field| *field = version.into());
        match self {
            Self::Deployment => set_app_image(object.pointer_mut("/spec/template/spec/containers"), version),
            Self::Mattermost => set("/spec/version"),
            Self::HelmRelease => set("/spec/chart/spec/version"),
            Self::Application => set("/spec/source/targetRevision"),
            Self::Tenant => {
                set("/spec/version");
                set_app_image(object.pointer_mut("/spec/containers"), version);
            }
        }
    }

    /// The version an object really and wholly runs by its own status; `None` while it changes, and at no replicas.
    pub fn running(self, object: &Value) -> Option<String> {
        let wanted = self.wanted(object)?;
        let at = |pointer| object.pointer(pointer).unwrap_or(&Value::Null);
        let seen =
            self == Self::Application || at("/metadata/generation") == at("/status/observedGeneration");
        let settled = match self {
            Self::Deployment => {
                let all = at("/spec/replicas").as_i64()?;
                let counts = ["/status/replicas", "/status/updatedReplicas", "/status/readyReplicas"];
                all > 0 && counts.iter().all(|count| at(count).as_i64() == Some(all))
            }
            Self::Mattermost => {
                at("/status/state") == "stable"
                    && at("/status/version") == wanted.as_str()
                    && at("/spec/replicas").as_i64() != Some(0)
            }
            Self::HelmRelease => at("/status/lastAttemptedRevision") == wanted.as_str() && is_ready(object),
            Self::Application => {
                at("/status/sync/revision") == wanted.as_str()
                    && at("/status/sync/status") == "Synced"
                    && at("/status/health/status") == "Healthy"
            }
            Self::Tenant => {
                at("/status/ready") == true
                    && at("/status/version") == wanted.as_str()
                    && at("/spec/replicas").as_i64() != Some(0)
            }
        };
        (seen && settled).then_some(wanted)
    }

    /// The status an operator writes while it works on `version`, or fails at it.
    pub fn working_status(self, object: &Value, error: Option<&str>) -> Value {
        let generation = object.pointer("/metadata/generation").cloned().unwrap_or_default();
        let said = error.unwrap_or("");
        match self {
            Self::Deployment => json!({}),
            Self::Mattermost => json!({"state": "reconciling", "error": said}),
            Self::HelmRelease => {
                let reason = if error.is_some() { "UpgradeFailed" } else { "Progressing" };
                json!({"observedGeneration": generation, "conditions": [ready_condition("False", reason, said)]})
            }
            Self::Application => {
                let health = if error.is_some() { "Degraded" } else { "Progressing" };
                json!({"sync": {"status": "OutOfSync"}, "health": {"status": health, "message": said}})
            }
            Self::Tenant => json!({"ready": false, "message": said}),
        }
    }

    /// The status an operator writes when an object runs what it is asked to.
    pub fn settled_status(self, object: &Value) -> Value {
        let generation = object.pointer("/metadata/generation").cloned().unwrap_or_default();
        let version = self.wanted(object).unwrap_or_default();
        let replicas = object.pointer("/spec/replicas").cloned().unwrap_or_else(|| 1.into());
        match self {
            Self::Deployment => json!({}),
            Self::Mattermost => json!({
                "state": "stable", "version": version, "image": REGISTRY, "observedGeneration": generation,
                "replicas": replicas, "updatedReplicas": replicas, "error": "",
            }),
            Self::HelmRelease => json!({
                "observedGeneration": generation, "lastAttemptedRevision": version,
                "conditions": [ready_condition("True", "UpgradeSucceeded", "")],
                "history": [{"chartVersion": version, "status": "deployed"}],
            }),
            Self::Application => json!({
                "sync": {"status": "Synced", "revision": version},
                "health": {"status": "Healthy", "message": ""},
                "operationState": {"phase": "Succeeded", "syncResult": {"revision": version}},
            }),
            Self::Tenant => {
                json!({"observedGeneration": generation, "version": version, "ready": true, "message": ""})
            }
        }
    }
}

/// The image of a version.
pub fn image(version: &str) -> String {
    format!("{REGISTRY}:{version}")
}

fn ready_condition(status: &str, reason: &str, message: &str) -> Map<String, Value> {
    let fields = [("type", "Ready"), ("status", status), ("reason", reason), ("message", message)];
    fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

fn is_ready(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn app_tag(containers: Option<&Value>) -> Option<String> {
    let app = containers?.as_array()?.iter().find(|container| container["name"] == "app")?;
    app["image"].as_str()?.rsplit_once(':').map(|(_, tag)| tag.into())
}

fn set_app_image(containers: Option<&mut Value>, version: &str) {
    let containers = containers.and_then(Value::as_array_mut).into_iter().flatten();
    for app in containers.filter(|container| container["name"] == "app") {
        app["image"] = image(version).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_object_of_any_custom_kind_runs_what_it_is_asked_to() {
        for kind in [Kind::Mattermost, Kind::HelmRelease, Kind::Application, Kind::Tenant] {
            let mut object =
                kind.object(&Tenant::new("ns", "a", "1").sidecar("side", "registry.local/side:9"));
            kind.set_version(&mut object, "2");
            assert_eq!(kind.wanted(&object).as_deref(), Some("2"), "{kind:?}");
            object["status"] = kind.working_status(&object, Some("no"));
            assert_eq!(kind.running(&object), None, "{kind:?}");
            object["status"] = kind.settled_status(&object);
            assert_eq!(kind.running(&object).as_deref(), Some("2"), "{kind:?}");
        }
    }
}
