//! How one Rollout looks at its tenants: compiled once from the spec, then every object is digested at its watch
//! event and dropped. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use breakwater_crds::{
    LabelSelector, RolloutSpec,
    identity::{RolloutIdentity, TenantIdentity},
    marker,
    rollout::{Resource, Tenants as TenantsSpec},
};
use breakwater_plan::{
    observed::{Claim, Marker, ObjectFacts, Readiness, Reading, Tenant},
    spec::FieldError,
};
use breakwater_slo::TenantId;
use jiff::Timestamp;
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::Value;

use super::{
    fields::{
        Derived, Fields, Found, check_seen, compile_fields, error, image_path, read_given,
        read_only_container,
    },
    interner::Interner,
    marks::{Hubs, Marks, Stranger, damaged, stranger},
    patch::Assignment,
    path::{Path, Segment},
    ready::{Generations, Judged, Known, Verdict},
    rules::{Rule, Scope},
};

/// Field manager of every write of ours.
pub const FIELD_MANAGER: &str = "breakwater";
/// What is needed to read tenants: everything of the spec that a digest depends on. Equal lenses digest equally.
#[derive(Debug)]
pub struct Lens {
    source: Source,
    marks: Marks,
    known: Known,
    fields: Fields,
    exclude: Option<Rule>,
    id: Option<Rule>,
    ready: Option<Rule>,
    dormant: Option<Rule>,
    interner: Mutex<Interner>,
}

impl PartialEq for Lens {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// What a lens is compiled from.
#[derive(Debug, Clone, PartialEq)]
struct Source {
    hubs: Hubs,
    namespace: String,
    name: String,
    tenants: TenantsSpec,
    waves: Vec<Option<LabelSelector>>,
}

/// One object, digested.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// The tenant. `selected` says only whether the labels match; [`Lens::place`] does the rest.
    pub tenant: Tenant,
    /// The marker's label, if it may be that of another Rollout of this hub.
    pub foreign: Option<Arc<str>>,
    /// Where the version stands, if that was derived from the object.
    pub derived: Option<Arc<Derived>>,
    /// When an untouched tenant was created, if nothing says since when it is ready: who sees it for the first time,
    /// after a restart, takes it as ready since then, or the baseline would be cold for a whole warm-up.
    pub born: Option<Timestamp>,
}

/// What surrounds the tenants and changes without them.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Labels of every namespace that exists.
    pub namespaces: HashMap<String, BTreeMap<String, String>>,
    /// Marker labels of all Rollouts that exist; `None`: not known yet, so every marker is taken as somebody's.
    pub rollouts: Option<HashSet<String>>,
}

impl Lens {
    /// Compiles the tenants part of the Rollout `namespace/name` as it is led from a hub; all errors at once.
    pub fn compile(
        hubs: &Hubs,
        namespace: &str,
        name: &str,
        spec: &RolloutSpec,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let tenants = &spec.tenants;
        let known = Known::of(&tenants.resource);
        let fields = compile_fields(tenants, known, &mut errors);
        let mut rule = |field: &str, text: &str| compile_rule(field, text, &mut errors);
        let (exclude, id) = (rule("exclude", &tenants.exclude), rule("id", &tenants.id));
        let (ready, dormant) = (rule("ready", &tenants.ready), rule("dormant", &tenants.dormant));
        for (field, rule) in [("exclude", &exclude), ("id", &id), ("dormant", &dormant)] {
            if rule.as_ref().is_some_and(|rule| rule.names("version")) {
                errors.push(error(field, "names version; only ready knows it".into()));
            }
        }
        if errors.is_empty() {
            errors.extend(check_seen(&fields, known, ready.as_ref(), &tenants.resource));
        }
        if let Some(rule) = &ready {
            errors.extend(check_freshness(known, rule, &tenants.resource));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let source = Source {
            hubs: hubs.clone(),
            namespace: namespace.into(),
            name: name.into(),
            // Only what a digest depends on, so that editing a deadline keeps the index.
            tenants: TenantsSpec {
                warm_up: breakwater_crds::Span::default(),
                progress_deadline: breakwater_crds::Span::default(),
                ..tenants.clone()
            },
            waves: spec.waves.iter().map(|wave| wave.selector.clone()).collect(),
        };
        let marks = Marks::of(hubs, namespace, name);
        Ok(Self { source, marks, known, fields, exclude, id, ready, dormant, interner: Mutex::default() })
    }

    /// The Rollout's namespace.
    pub fn namespace(&self) -> &str {
        &self.source.namespace
    }

    /// The Rollout's name.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The tenants' kind.
    pub fn resource(&self) -> &Resource {
        &self.source.tenants.resource
    }

    /// Which objects of the kind are tenants.
    pub fn selector(&self) -> &LabelSelector {
        &self.source.tenants.selector
    }

    /// True when tenants may be in other namespaces than the Rollout's own.
    pub fn leaves_home(&self) -> bool {
        self.source.tenants.namespace_selector.is_some()
    }

    /// The Rollout as its markers name it.
    pub fn identity(&self) -> RolloutIdentity<&str> {
        RolloutIdentity { hub: &self.source.hubs.own, namespace: self.namespace(), name: self.name() }
    }

    /// The labels of its markers.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// What a write of `version` sets; `None` when the field was to be derived from the object and could not.
    pub fn assignments(&self, derived: Option<&Derived>, version: &str) -> Option<Vec<Assignment>> {
        match &self.fields {
            Fields::Given(fields) => Some(
                fields
                    .iter()
                    .map(|(path, format)| Assignment { path: path.clone(), value: format.write(version) })
                    .collect(),
            ),
            Fields::OnlyContainer => derived.map(|derived| {
                vec![Assignment {
                    path: image_path(&derived.container),
                    value: format!("{}:{version}", derived.repository),
                }]
            }),
        }
    }

    /// The tenant's identity (R5).
    pub fn tenant_id(&self, namespace: &str, name: &str) -> TenantId {
        let tenant = TenantIdentity { cluster: "", kind: &*self.resource().kind, namespace, name };
        TenantId(tenant.draw(self.namespace(), self.name()))
    }

    /// Digests one object as it was seen at `now`. `None` for one without namespace, name, uid or resourceVersion:
    /// no tenant, and nothing that could be guarded.
    pub fn digest(&self, object: &DynamicObject, now: Timestamp) -> Option<Digest> {
        let meta = &object.metadata;
        let (namespace, name) = (meta.namespace.as_deref()?, meta.name.as_deref()?);
        let (uid, resource_version) = (meta.uid.as_deref()?, meta.resource_version.as_deref()?);
        let mut shared = self.lock();
        let Found { version: read, positions, paths, derived } = self.read_version(object);
        let (marker, foreign) = self.read_marker(meta, now, &mut shared);
        let (marker, damage) = match marker {
            Ok(marker) => (marker, None),
            Err(damage) => (None, Some(damage)),
        };
        let scope = Scope::new(object, read.as_deref().unwrap_or_default());
        let ruled = self.apply_rules(&scope);
        // The first doubt wins: a tenant about which anything is unknown is not written.
        let version = match (&read, damage, &ruled) {
            (_, Some(damage), _) => Err(damage),
            (Err(reason), None, _) | (Ok(_), None, Err(reason)) => Err(reason.clone()),
            (Ok(version), None, Ok(_)) => Ok(version.clone()),
        };
        let written_at = marker.as_ref().filter(|m| m.claim == Claim::Own).map(|m| m.written_at);
        let readiness = self.judge(object, &scope, version.as_deref(), now, written_at, &mut shared);
        let ruled = ruled.unwrap_or_default();
        let labels = meta.labels.as_ref().unwrap_or(&NONE);
        let tenant = Tenant {
            id: self.tenant_id(namespace, name),
            namespace: shared.text(namespace),
            name: name.into(),
            object: ObjectFacts {
                uid: uid.into(),
                resource_version: resource_version.into(),
                positions: shared.positions(&positions),
                has_labels: meta.labels.is_some(),
                has_annotations: meta.annotations.is_some(),
            },
            metric_id: ruled.metric_id.map(Arc::from),
            version: match version {
                Ok(version) => Reading::Version(shared.text(&version)),
                Err(reason) => Reading::Unreadable(shared.text(&reason)),
            },
            selected: self.selector().matches(labels),
            selector_wave: self.selector_wave(labels),
            excluded: ruled.excluded,
            dormant: if self.dormant.is_some() { ruled.dormant } else { self.known.is_asleep(&object.data) },
            terminating: meta.deletion_timestamp.is_some(),
            consented: false,
            readiness,
            marker: marker.map(Box::new),
            foreign_owner: self.foreign_owner(meta, &paths).map(|owner| shared.text(owner)),
            confirmed: false,
        };
        let derived = derived.map(|derived| shared.derived(derived));
        let dateless = tenant.marker.is_none() && tenant.readiness == Readiness::Ready { since: now };
        let born = meta.creation_timestamp.as_ref().map(|time| time.0).filter(|_| dateless);
        Some(Digest { tenant, foreign, derived, born })
    }

    /// Fills in what depends on the namespace and on the other Rollouts: `selected`, `consented`, the claim.
    pub fn place(
        &self,
        tenant: &mut Tenant,
        labels_match: bool,
        foreign: Option<&str>,
        surroundings: &Surroundings,
    ) {
        let home = *tenant.namespace == *self.namespace();
        let labels = surroundings.namespaces.get(&*tenant.namespace);
        let in_scope = match &self.source.tenants.namespace_selector {
            None => home,
            Some(selector) => labels.is_some_and(|labels| selector.matches(labels)),
        };
        tenant.selected = labels_match && in_scope;
        let consent = labels.and_then(|labels| labels.get(marker::CONSENT_LABEL));
        tenant.consented = home || consent.is_some_and(|from| from == self.namespace());
        if let (Some(marker), Some(foreign)) = (&mut tenant.marker, foreign) {
            let lives = surroundings.rollouts.as_ref().is_none_or(|rollouts| rollouts.contains(foreign));
            marker.claim = if lives { Claim::Other } else { Claim::Gone };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Interner> {
        // The interner only ever holds copies; a panic while it is held leaves nothing half done.
        self.interner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn selector_wave(&self, labels: &BTreeMap<String, String>) -> Option<u8> {
        let matches =
            |wave: &Option<LabelSelector>| wave.as_ref().is_some_and(|selector| selector.matches(labels));
        self.source.waves.iter().position(matches).and_then(|index| u8::try_from(index).ok())
    }

    fn read_version(&self, object: &DynamicObject) -> Found {
        match &self.fields {
            Fields::Given(fields) => read_given(object, fields),
            Fields::OnlyContainer => read_only_container(object),
        }
    }

    /// An error of any of them makes the tenant unreadable: unknown is never safe.
    fn apply_rules(&self, scope: &Scope<'_>) -> Result<Ruled, String> {
        let truth = |field: &str, rule: &Option<Rule>| match rule {
            Some(rule) => rule.truth(scope).map_err(|reason| format!("tenants.{field}: {reason}")),
            None => Ok(false),
        };
        Ok(Ruled {
            excluded: truth("exclude", &self.exclude)?,
            dormant: truth("dormant", &self.dormant)?,
            metric_id: match &self.id {
                Some(rule) => Some(rule.text(scope).map_err(|reason| format!("tenants.id: {reason}"))?),
                None => None,
            },
        })
    }

    fn judge(
        &self,
        object: &DynamicObject,
        scope: &Scope<'_>,
        version: Result<&str, &String>,
        now: Timestamp,
        written_at: Option<Timestamp>,
        shared: &mut Interner,
    ) -> Readiness {
        let not_ready =
            |reason: &str, shared: &mut Interner| Readiness::NotReady { reason: shared.text(reason) };
        let Ok(version) = version else {
            return not_ready("its version cannot be read", shared);
        };
        let judged = Judged { generation: object.metadata.generation, data: &object.data, version };
        let verdict = match &self.ready {
            None => self.known.judge(&judged),
            Some(rule) => match self.known.fresh(&judged).and_then(|()| rule.truth(scope)) {
                Ok(true) => Verdict::Ready { since: None },
                Ok(false) => Verdict::NotReady("tenants.ready is false".into()),
                Err(reason) => Verdict::NotReady(reason),
            },
        };
        match verdict {
            Verdict::Ready { since } => {
                let since = since.map_or(now, |own| own.min(now));
                // A write in the future (a clock was fast) is not waited for.
                Readiness::Ready { since: written_at.map_or(since, |written| since.max(written.min(now))) }
            }
            Verdict::NotReady(reason) => not_ready(&reason, shared),
        }
    }

    /// The marker, and the label if it may be another Rollout's of this hub. A damaged marker of ours is an error: nobody knows
    /// where a revert would go.
    fn read_marker(
        &self,
        meta: &ObjectMeta,
        now: Timestamp,
        shared: &mut Interner,
    ) -> (Result<Option<Marker>, String>, Option<Arc<str>>) {
        let Some(label) = meta.labels.as_ref().and_then(|labels| labels.get(marker::ROLLOUT_LABEL)) else {
            return (Ok(None), None);
        };
        let own = self.marks.include(label);
        let annotations = meta.annotations.as_ref().unwrap_or(&NONE);
        let text = |key: &str| annotations.get(key).filter(|value| !value.is_empty());
        let written_at = text(marker::WRITTEN_AT).and_then(|value| value.parse::<Timestamp>().ok());
        let epoch = text(marker::EPOCH).and_then(|value| value.parse().ok());
        if own && let Some(key) = damaged(annotations, now) {
            return (Err(format!("its marker is damaged: annotation {key} is missing or cannot be")), None);
        }
        let (claim, is_here) = match (own, stranger(self.identity(), label, annotations)) {
            (true, _) => (Claim::Own, false),
            (false, Stranger::Namesake(hub)) => (Claim::Hub(shared.text(hub)), false),
            (false, Stranger::Elsewhere) => (Claim::Other, false),
            (false, Stranger::Here) => (Claim::Other, true),
        };
        let mut share = |key: &str| shared.text(text(key).map_or("", String::as_str));
        let marker = Marker {
            claim,
            target: share(marker::TARGET_VERSION),
            previous: share(marker::PREVIOUS_VERSION),
            wave: share(marker::WAVE),
            written_at: written_at.unwrap_or(Timestamp::UNIX_EPOCH),
            epoch: epoch.unwrap_or(0),
            ready_before: annotations.get(marker::READY_BEFORE).is_none_or(|text| text != "false"),
        };
        (Ok(Some(marker)), is_here.then(|| shared.text(label)))
    }

    /// The first manager that owns a version field and may not be taken over from. Writers of subresources do not
    /// count: they cannot change the spec.
    fn foreign_owner<'a>(&self, meta: &'a ObjectMeta, paths: &[Path]) -> Option<&'a str> {
        let entries = meta.managed_fields.iter().flatten();
        let foreign = entries
            .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
            .filter(|entry| {
                let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
                fields.is_some_and(|fields| paths.iter().any(|path| owns(fields, path.segments())))
            });
        // A manager without a name is one nobody can release: it is named as such.
        foreign
            .map(|entry| entry.manager.as_deref().filter(|name| !name.is_empty()).unwrap_or("(unnamed)"))
            .find(|manager| {
                *manager != FIELD_MANAGER && !self.source.tenants.take_from.iter().any(|name| name == manager)
            })
    }
}

static NONE: BTreeMap<String, String> = BTreeMap::new();

/// What the rules say.
#[derive(Debug, Default)]
struct Ruled {
    excluded: bool,
    dormant: bool,
    metric_id: Option<String>,
}

/// Whether a `fieldsV1` tree holds the path: `f:key` for map keys, `k:{"name":"app"}` for list items. A node without
/// children owns all below it (a leaf, or an atomic map or list).
fn owns(node: &Value, path: &[Segment]) -> bool {
    let (Some(children), Some((first, rest))) = (node.as_object(), path.split_first()) else {
        return true;
    };
    let child = match first {
        Segment::Key(key) => children.iter().find(|(name, _)| name.strip_prefix("f:") == Some(key)),
        Segment::Item { key, value } => children.iter().find(|(name, _)| {
            let keys: Option<Value> =
                name.strip_prefix("k:").and_then(|keys| serde_json::from_str(keys).ok());
            keys.is_some_and(|keys| keys.get(key).and_then(Value::as_str) == Some(value))
        }),
    };
    child.is_some_and(|(_, child)| {
        child.as_object().is_some_and(serde_json::Map::is_empty) || owns(child, rest)
    })
}

fn compile_rule(field: &str, text: &str, errors: &mut Vec<FieldError>) -> Option<Rule> {
    if text.trim().is_empty() {
        return None;
    }
    Rule::compile(text).map_err(|refusal| errors.push(error(field, refusal.to_string()))).ok()
}

/// R3: a rule must not take a stale status for the present one.
fn check_freshness(known: Known, rule: &Rule, resource: &Resource) -> Option<FieldError> {
    let fresh = match known.generations() {
        Generations::Always => true,
        Generations::Never => rule.names("version"),
        Generations::Perhaps => rule.names("version") || rule.selects("observedGeneration"),
    };
    (!fresh).then(|| {
        let message = format!(
            "must name version, such as object.status.version == version: {} is not known to report observedGeneration",
            resource.kind
        );
        error("ready", message)
    })
}

#[cfg(test)]
#[path = "lens_tests.rs"]
pub(super) mod tests;
