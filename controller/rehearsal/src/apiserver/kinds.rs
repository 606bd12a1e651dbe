//! The kinds that are served: built-in ones, and those that definitions add. Pure.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{scale, schema::Schema};

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In none.
    Cluster,
}

/// What moves `metadata.generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The kind has none.
    None,
    /// Any change outside `metadata` and `status`.
    Spec,
    /// That, and a change of annotations: a Deployment's do, seen on 1.34.
    SpecAndAnnotations,
}

/// One kind.
#[derive(Debug, Clone)]
pub struct Kind {
    /// API group; empty for the core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Name of the kind.
    pub kind: String,
    /// Its name in paths.
    pub plural: String,
    /// Where its objects live.
    pub scope: Scope,
    /// Whether `status` is a subresource.
    pub has_status: bool,
    /// Where what `scale` shows is, if that is a subresource.
    pub scale: Option<scale::Paths>,
    /// What moves its generation.
    pub generation: Generation,
    /// Whether it is defined by a CRD: there is no strategic merge, and who applies what is not declared is refused.
    pub custom: bool,
    /// Whether an update without a resourceVersion goes over whatever is there.
    pub unconditional: bool,
    /// Paths of lists that are maps by these keys, for field ownership; others are atomic.
    pub list_keys: Vec<(&'static str, &'static [&'static str])>,
    /// What its objects must be like; `None`: anything goes.
    pub(super) schema: Option<Arc<Schema>>,
}

impl Kind {
    /// A built-in kind.
    fn builtin(api_version: &str, kind: &str, plural: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            scope: Scope::Namespaced,
            has_status: false,
            scale: None,
            generation: Generation::None,
            custom: false,
            unconditional: kind != "Lease",
            list_keys: Vec::new(),
            schema: None,
        }
    }

    fn workload(kind: &str, plural: &str, generation: Generation) -> Self {
        let list_keys: Vec<(&'static str, &'static [&'static str])> = vec![
            ("spec.template.spec.containers", &["name"]),
            ("spec.template.spec.containers.env", &["name"]),
            ("spec.template.spec.containers.ports", &["containerPort", "protocol"]),
            ("spec.template.spec.initContainers", &["name"]),
            ("spec.template.spec.volumes", &["name"]),
            ("status.conditions", &["type"]),
        ];
        let scale = Some(scale::Paths::workload());
        Self { has_status: true, scale, generation, list_keys, ..Self::builtin("apps/v1", kind, plural) }
    }

    /// The kind that a `CustomResourceDefinition` defines, in its storage version.
    pub fn of_crd(crd: &Value) -> Result<Self, String> {
        let text = |pointer: &str| {
            let found = crd.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            found.ok_or_else(|| format!("the definition has no {pointer}"))
        };
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
        let stored = |version: &&Value| version["storage"].as_bool() == Some(true);
        let version = versions
            .and_then(|versions| versions.iter().find(stored))
            .ok_or("the definition has no stored version")?;
        Ok(Self {
            group: text("/spec/group")?,
            version: version["name"].as_str().ok_or("a version has no name")?.to_owned(),
            kind: text("/spec/names/kind")?,
            plural: text("/spec/names/plural")?,
            scope: if text("/spec/scope")? == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
            has_status: version.pointer("/subresources/status").is_some(),
            scale: version.pointer("/subresources/scale").and_then(scale::Paths::of_crd),
            generation: Generation::Spec,
            custom: true,
            unconditional: false,
            list_keys: Vec::new(),
            schema: Some(Arc::new(Schema::parse(&whole(&version["schema"]["openAPIV3Schema"]))?)),
        })
    }

    /// A custom kind, namespaced, with or without a status subresource.
    pub fn custom(api_version: &str, kind: &str, plural: &str, has_status: bool) -> Self {
        Self {
            has_status,
            generation: Generation::Spec,
            custom: true,
            unconditional: false,
            ..Self::builtin(api_version, kind, plural)
        }
    }

    /// `group/version`, or the version alone.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As errors name it: `deployments.apps`.
    pub(super) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// As errors of validation name it: `Deployment.apps`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

/// A definition's schema with what every object has: rules may ask for the name.
fn whole(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let name = json!({"type": "string"});
    schema["properties"]["apiVersion"] = name.clone();
    schema["properties"]["kind"] = name.clone();
    schema["properties"]["metadata"] = json!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"name": name, "generateName": name},
    });
    schema
}

/// All kinds, each known by its place, which never changes.
#[derive(Debug, Default)]
pub(super) struct Kinds(Vec<Arc<Kind>>);

/// A kind's place.
pub(super) type KindId = usize;

impl Kinds {
    pub(super) fn builtin() -> Self {
        let mut kinds = Self::default();
        kinds.add(Kind { scope: Scope::Cluster, ..Kind::builtin("v1", "Namespace", "namespaces") });
        for (api_version, kind, plural) in [
            ("v1", "ConfigMap", "configmaps"),
            ("v1", "Secret", "secrets"),
            ("apps/v1", "ControllerRevision", "controllerrevisions"),
            ("coordination.k8s.io/v1", "Lease", "leases"),
            ("events.k8s.io/v1", "Event", "events"),
        ] {
            kinds.add(Kind::builtin(api_version, kind, plural));
        }
        kinds.add(Kind { has_status: true, ..Kind::builtin("v1", "Pod", "pods") });
        kinds.add(Kind { has_status: true, ..Kind::builtin("batch/v1", "Job", "jobs") });
        kinds.add(Kind::workload("Deployment", "deployments", Generation::SpecAndAnnotations));
        kinds.add(Kind::workload("StatefulSet", "statefulsets", Generation::Spec));
        kinds
    }

    /// Adds a kind, or replaces its namesake.
    pub(super) fn add(&mut self, kind: Kind) {
        let same = |old: &Arc<Kind>| (&old.group, &old.plural) == (&kind.group, &kind.plural);
        match self.0.iter().position(same) {
            Some(at) => self.0[at] = Arc::new(kind),
            None => self.0.push(Arc::new(kind)),
        }
    }

    pub(super) fn at(&self, id: KindId) -> Arc<Kind> {
        self.0[id].clone()
    }

    /// By the name of the kind; the first of several.
    pub(super) fn named(&self, kind: &str) -> Option<KindId> {
        self.0.iter().position(|known| known.kind == kind)
    }

    pub(super) fn of_path(&self, group: &str, version: &str, plural: &str) -> Option<KindId> {
        self.0.iter().position(|kind| kind.group == group && kind.version == version && kind.plural == plural)
    }

    pub(super) fn of_object(&self, object: &Value) -> Option<KindId> {
        let (api_version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        self.0.iter().position(|known| known.kind == kind && known.api_version() == api_version)
    }

    /// Kinds of a group and version, in order.
    pub(super) fn of_group(&self, group: &str, version: &str) -> impl Iterator<Item = &Kind> {
        let (group, version) = (group.to_owned(), version.to_owned());
        self.0.iter().map(AsRef::as_ref).filter(move |kind| kind.group == group && kind.version == version)
    }

    /// Groups and versions, in order of their first kind.
    pub(super) fn groups(&self) -> Vec<(&str, &str)> {
        let mut groups: Vec<(&str, &str)> = Vec::new();
        for kind in self.0.iter().filter(|kind| !kind.group.is_empty()) {
            if !groups.contains(&(&kind.group, &kind.version)) {
                groups.push((&kind.group, &kind.version));
            }
        }
        groups
    }
}
