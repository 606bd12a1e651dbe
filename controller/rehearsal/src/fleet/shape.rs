//! What a tenant's object looks like, and the status of a ready one. Pure.

use std::collections::BTreeMap;

use breakwater_crds::{Rollout, RolloutSpec, rollout::Resource};
use breakwater_operator::tenants::path::{Format, Path, Segment};
use serde_json::{Map, Value, json};

use super::{spec::FleetSpec, traffic::Tenant};
use crate::apiserver::Kind;

/// Where an image comes from that only its tag matters of.
const REPOSITORY: &str = "registry.example/app";

/// Makes tenants' objects for one Rollout.
#[derive(Debug, Clone)]
pub struct Shape {
    resource: Resource,
    labels: BTreeMap<String, String>,
    fields: Vec<(Path, Format)>,
    ring_label: String,
    extra_labels: BTreeMap<String, String>,
    template: Value,
    ready_status: Option<Value>,
}

impl Shape {
    /// For the tenants that `rollout` selects. The error says what cannot be made by itself.
    pub fn new(rollout: &Rollout, fleet: &FleetSpec) -> Result<Self, String> {
        let RolloutSpec { tenants, .. } = &rollout.spec;
        let mut fields = Vec::new();
        for field in &tenants.fields {
            let path = Path::parse(&field.path).map_err(|why| format!("spec.tenants.fields: {why}"))?;
            let format = Format::parse(&field.format).map_err(|why| format!("spec.tenants.fields: {why}"))?;
            fields.push((path, format));
        }
        let mut labels = tenants.selector.match_labels.clone();
        for requirement in &tenants.selector.match_expressions {
            if let Some(value) = requirement.values.first() {
                labels.entry(requirement.key.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(Self {
            resource: tenants.resource.clone(),
            labels,
            fields,
            ring_label: fleet.ring_label.clone(),
            extra_labels: fleet.labels.clone(),
            template: fleet.template.clone(),
            ready_status: fleet.ready_status.clone(),
        })
    }

    /// The kind, for the API server to serve.
    pub fn kind(&self) -> Kind {
        let Resource { api_version, kind } = &self.resource;
        let plural = format!("{}s", kind.to_lowercase());
        // Argo's Applications have their status in the object itself.
        Kind::custom(api_version, kind, &plural, kind != "Application")
    }

    /// Whether the kind is built into the API server.
    pub fn is_builtin(&self) -> bool {
        self.resource.api_version == "apps/v1"
    }

    /// A tenant's object on a version.
    pub fn object(&self, tenant: &Tenant, version: &str) -> Value {
        let fill = |text: &str| text.replace("{name}", &tenant.name);
        let mut labels: Map<String, Value> =
            self.labels.iter().chain(&self.extra_labels).map(|(k, v)| (k.clone(), fill(v).into())).collect();
        if let Some(ring) = &tenant.ring {
            labels.insert(self.ring_label.clone(), ring.as_str().into());
        }
        let replicas = i32::from(!tenant.dormant);
        let mut object = json!({
            "apiVersion": self.resource.api_version, "kind": self.resource.kind,
            "metadata": {"name": tenant.name, "namespace": tenant.namespace, "labels": labels},
            "spec": self.spec(&tenant.name, version, replicas),
        });
        for (path, format) in &self.fields {
            place(&mut object, path.segments(), Value::from(format.write(version)));
        }
        overlay(&mut object, &self.template);
        object
    }

    fn spec(&self, name: &str, version: &str, replicas: i32) -> Value {
        match self.resource.kind.as_str() {
            "Deployment" | "StatefulSet" => json!({
                "replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "app", "image": format!("{REPOSITORY}:{version}")}]},
                },
            }),
            "Mattermost" => json!({
                "version": version, "image": REPOSITORY, "replicas": replicas, "ingressName": format!("{name}.example"),
            }),
            "HelmRelease" => json!({
                "interval": "10m", "chart": {"spec": {"chart": "app", "version": version}}, "suspend": replicas == 0,
            }),
            "Application" => json!({
                "project": "default", "destination": {"namespace": name},
                "source": {"repoURL": "https://git.example/app.git", "path": "app", "targetRevision": version},
            }),
            _ => json!({"version": version, "replicas": replicas}),
        }
    }

    /// The status of `object` once it is ready on its version.
    pub fn ready_status(&self, object: &Value, version: &str, time: &str) -> Value {
        if let Some(status) = &self.ready_status {
            return status.clone();
        }
        let generation = &object["metadata"]["generation"];
        let replicas = object["spec"]["replicas"].as_i64().unwrap_or(1);
        let condition = |kind: &str, reason: &str| {
            json!({"type": kind, "status": "True", "reason": reason, "lastUpdateTime": time, "lastTransitionTime": time,
                   "message": ""})
        };
        match self.resource.kind.as_str() {
            "Deployment" => json!({
                "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas,
                "conditions": [condition("Available", "MinimumReplicasAvailable"),
                               condition("Progressing", "NewReplicaSetAvailable")],
            }),
            "StatefulSet" => json!({
                "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas, "currentRevision": version,
                "updateRevision": version,
            }),
            "Mattermost" => json!({
                "state": "stable", "version": version, "image": REPOSITORY, "replicas": replicas,
                "updatedReplicas": replicas, "observedGeneration": generation,
            }),
            "Application" => json!({
                "sync": {"status": "Synced", "comparedTo": {"source": object["spec"]["source"]}},
                "health": {"status": "Healthy"}, "operationState": {"phase": "Succeeded"},
            }),
            "HelmRelease" => json!({
                "observedGeneration": generation, "lastAttemptedRevision": version,
                "conditions": [condition("Ready", "UpgradeSucceeded")],
            }),
            _ => json!({
                "observedGeneration": generation, "version": version, "conditions": [condition("Ready", "AllReady")],
            }),
        }
    }
}

/// Puts a value at a path, and makes what is missing on the way.
fn place(object: &mut Value, path: &[Segment], value: Value) {
    let mut at = object;
    for segment in path {
        at = match segment {
            Segment::Key(key) => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[key.as_str()]
            }
            Segment::Item { key, value } => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let Value::Array(items) = at else { return };
                let found = items.iter().position(|item| item[key.as_str()] == value.as_str());
                let index = found.unwrap_or_else(|| {
                    items.push(json!({ key.as_str(): value }));
                    items.len() - 1
                });
                &mut items[index]
            }
        };
    }
    *at = value;
}

/// Lays `above` over `below`: maps are merged, anything else replaces.
fn overlay(below: &mut Value, above: &Value) {
    match (below, above) {
        (_, Value::Null) => {}
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                overlay(below.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}
