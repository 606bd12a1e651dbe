//! The language of the end-to-end suites: a scene has a fleet, a controller and a recorder, and reads like a story.
//!
//! Most scenes share one bed and one controller, each in namespaces of its own; a scene that kills parts plays alone
//! ([`Scene::alone`]). The controller is installed from the chart, as a user installs it, and runs under the chart's
//! own service account. A [`Recorder`] watches the tenants from the API server itself, so that order, concurrency and
//! soak are never taken from our own word.

pub mod control;
pub mod invariants;
pub mod recorder;
pub mod rollout;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Event, Namespace};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::bed::Bed;
use crate::{Area, Fleet, Kind, Tenant, eventually};
use control::{Control, Tempo};
use recorder::Recorder;
use rollout::Rollout;

/// How long anything may take; generous, for machines that compile beside it.
pub const PATIENCE: Duration = Duration::from_mins(4);
/// The field manager that created the fleet's objects; every scene's Rollout may take the version over from it.
pub const DEPLOYER: &str = "deployer";
/// The field manager of the Rollouts themselves.
const GITOPS: &str = "gitops";
/// Beds of their own at once: each is a whole control plane.
static ALONE: Semaphore = Semaphore::const_new(4);

/// What every scene's Rollout says unless the scene says otherwise; `$NAMES` are filled in by [`Scene::expand`].
const BASE: &str = r#"
adopt: Start
tenants:
  resource: {apiVersion: apps/v1, kind: Deployment}
  warmUp: 5s
  progressDeadline: 60s
  takeFrom: [deployer]
prometheus: {url: $PROMETHEUS, matchers: 'installation=~"$NAMESPACE.*"'}
slos:
  - name: errors
    errors: {bad: 'app_requests_total{code="500"}', total: app_requests_total}
    objective: 99%
    tenantLabels: [installation]
    step: 5s
    burnRate: {page: [{long: 30s, short: 10s, factor: 20}], hold: []}
    sharp: {long: 30s, short: 10s, factor: 14.4, minBad: 10}
watchAfter: 10s
judge: {comparison: Disabled}
revert: {verifyFor: 15s, tenantDeadline: 60s}
"#;

/// Where a scene plays.
enum Stage {
    Shared(&'static Bed, &'static Control),
    // Fields go in this order: the controller first, then what it talks to.
    Own(Box<Control>, Box<Bed>),
}

/// One story: its stage, its namespaces, what it has seen.
pub struct Scene {
    recorder: Recorder,
    kind: Kind,
    area: Area,
    stage: Stage,
}

impl Scene {
    /// Plays on the shared bed, whose controller nobody harms. What fails is told with the state it left.
    pub async fn play(name: &str, story: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        Self::play_with(name, Kind::Deployment, story).await
    }

    /// The same with tenants of another kind.
    pub async fn play_with(
        name: &str,
        kind: Kind,
        story: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let bed = Bed::shared().await?;
        let control = Control::shared(bed).await?;
        Self::begin(name, kind, Stage::Shared(bed, control)).await?.run(story).await
    }

    /// Plays on a bed of its own, whose parts may be killed, with a lease of seconds.
    pub async fn alone(name: &str, story: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let _permit = ALONE.acquire().await?;
        Self::shown(name, None, story).await
    }

    /// The same, with a build of the controller that is there already.
    pub async fn shown(
        name: &str,
        program: Option<&Path>,
        story: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let bed = Box::new(Bed::own().await?);
        let control = Box::new(Control::install(&bed, Tempo::Hasty, program).await?);
        Self::begin(name, Kind::Deployment, Stage::Own(control, bed)).await?.run(story).await
    }

    async fn begin(name: &str, kind: Kind, stage: Stage) -> Result<Self> {
        let area = stage.bed().area(name).await?;
        let recorder = Recorder::start(stage.bed(), kind, area.namespace()).await?;
        let scene = Self { recorder, kind, area, stage };
        scene.bind("alice", "breakwater-operator").await?;
        scene.bind("carol", "breakwater-viewer").await?;
        Ok(scene)
    }

    async fn run(self, story: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let result = match story(&self).await {
            Ok(()) => self.check().await,
            failed => failed,
        };
        if let Err(error) = &result {
            eprintln!("\n=== {} failed: {error:#}\n{}", self.namespace(), self.epitaph().await);
        }
        result
    }

    /// What must be true of every scene: the recorder's invariants, statuses of bounded size that speak (R27, R31),
    /// and a controller that never panicked.
    async fn check(&self) -> Result<()> {
        self.recorder.keeps_the_rules()?;
        for rollout in self.rollouts(self.namespace()).list(&ListParams::default()).await? {
            invariants::of_status(&rollout.data["status"])?;
        }
        let log = std::fs::read(self.control().controller().process().log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let panic = log.find("panicked at").map(|at| log[at..].chars().take(500).collect::<String>());
        ensure!(panic.is_none(), "the controller panicked: {panic:?}");
        Ok(())
    }

    /// The state a failed scene leaves: every Rollout's status, the last events, the controller's last words.
    async fn epitaph(&self) -> String {
        let mut statuses = String::new();
        let rollouts = self.rollouts(self.namespace()).list(&ListParams::default()).await;
        for rollout in rollouts.into_iter().flatten() {
            let mut status = rollout.data["status"].clone();
            strip_evidence(&mut status);
            let yaml = serde_yaml::to_string(&status).unwrap_or_default();
            let name = rollout.metadata.name.unwrap_or_default();
            statuses.extend(["--- status of ", &name, "\n", &yaml]);
        }
        let (events, story) = (self.last_events(20).await, self.recorder.story());
        let log = self.control().last_words(self.namespace());
        format!("{statuses}--- events\n{events}--- what tenants did\n{story}--- controller: {log}\n")
    }

    async fn last_events(&self, count: usize) -> String {
        let api: Api<Event> = Api::namespaced(self.client(), self.namespace());
        let mut events = api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        events.retain(|event| event.involved_object.kind.as_deref() == Some("Rollout"));
        events.sort_by_key(|event| {
            event.metadata.resource_version.as_ref().and_then(|v| v.parse::<u64>().ok())
        });
        let lines = events.iter().rev().take(count).rev().map(|event| {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            format!("{} {}: {}\n", text(&event.type_), text(&event.reason), text(&event.message))
        });
        lines.collect()
    }

    /// Waits until each of these reasons was told by an Event on a Rollout (R31).
    pub async fn has_events(&self, reasons: &[&str]) -> Result<()> {
        eventually(&format!("events {reasons:?}"), PATIENCE, async || {
            let events = self.last_events(usize::MAX).await;
            let told = |reason: &&&str| events.lines().any(|line| line.contains(&format!(" {reason}: ")));
            let missing: Vec<_> = reasons.iter().filter(|reason| !told(reason)).collect();
            ensure!(missing.is_empty(), "no {missing:?} in\n{events}");
            Ok(())
        })
        .await
    }

    /// The bed it plays on.
    pub fn bed(&self) -> &Bed {
        self.stage.bed()
    }

    /// The installed controller.
    pub fn control(&self) -> &Control {
        self.stage.control()
    }

    /// Its tenants' namespace, which is the Rollouts' too.
    pub fn namespace(&self) -> &str {
        self.area.namespace()
    }

    /// Its part of the bed.
    pub fn area(&self) -> &Area {
        &self.area
    }

    /// How its tenants behave.
    pub fn tenants(&self) -> &crate::bed::exporter::Scope {
        self.area.tenants()
    }

    /// What its tenants did, as the API server told it.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// An admin's client.
    pub fn client(&self) -> Client {
        self.area.client()
    }

    /// Its tenants.
    pub fn fleet(&self) -> Fleet {
        self.area.fleet(self.kind)
    }

    /// `namespace/name`, as metrics call a tenant.
    pub fn id(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace())
    }

    /// Ids of the tenants `<ring>-0`, `<ring>-1`, ...
    pub fn ring(&self, ring: &str, count: usize) -> Vec<String> {
        (0..count).map(|i| self.id(&format!("{ring}-{i}"))).collect()
    }

    /// Creates tenants on 1.0.0 named `<ring>-<i>`, with label `ring`, and waits until they run and are measured.
    pub async fn has_fleet(&self, rings: &[(&str, usize)]) -> Result<()> {
        let tenant =
            |ring: &str, i: usize| Tenant::new(self.namespace(), &format!("{ring}-{i}"), "1.0.0").ring(ring);
        let tenants = rings.iter().flat_map(|&(ring, count)| (0..count).map(move |i| tenant(ring, i)));
        self.has_tenants(tenants).await
    }

    /// Creates these tenants, as the deployer, and waits until they run and are measured.
    pub async fn has_tenants(&self, tenants: impl IntoIterator<Item = Tenant>) -> Result<()> {
        let tenants: Vec<Tenant> = tenants.into_iter().collect();
        self.deploy(&tenants, DEPLOYER).await?;
        let awake: Vec<&Tenant> = tenants.iter().filter(|tenant| tenant.replicas > 0).collect();
        eventually("the fleet runs", PATIENCE, async || {
            for tenant in &awake {
                let object = self.fleet().object(&tenant.namespace, &tenant.name).await?;
                let running = self.kind.running(&object);
                ensure!(running.as_ref() == Some(&tenant.version), "{} runs {running:?}", tenant.id());
            }
            Ok(())
        })
        .await?;
        self.is_measured(awake.len()).await
    }

    /// Creates tenants as a field manager would, and does not wait.
    pub async fn deploy(&self, tenants: &[Tenant], manager: &str) -> Result<()> {
        let params = PostParams { field_manager: Some(manager.into()), ..PostParams::default() };
        for tenant in tenants {
            let object: DynamicObject = serde_json::from_value(self.kind.object(tenant))?;
            let created = self.fleet().api(&tenant.namespace).create(&params, &object).await;
            created.with_context(|| format!("create {}", tenant.id()))?;
        }
        Ok(())
    }

    /// Waits until Prometheus has had `count` tenants of this scene for ten seconds: enough for a baseline.
    pub async fn is_measured(&self, count: usize) -> Result<()> {
        let selector = format!("app_requests_total{{installation=~\"{}.*\",code=\"200\"}}", self.namespace());
        let query = format!("count({selector} offset 10s)");
        eventually("the fleet is measured", PATIENCE, async || {
            let seen = self.bed().prometheus().value(&query).await?;
            ensure!(seen >= count as f64, "{seen} of {count} tenants");
            Ok(())
        })
        .await
    }

    /// The Rollout `app`: [`BASE`], with `extra` merged over it (JSON merge patch, written as YAML), applied.
    pub async fn rollout(&self, extra: &str) -> Result<Rollout<'_>> {
        self.rollout_named("app", extra).await
    }

    /// The same under another name.
    pub async fn rollout_named(&self, name: &str, extra: &str) -> Result<Rollout<'_>> {
        let manifest = self.manifest(name, extra)?;
        self.apply(&manifest).await?;
        Ok(Rollout::new(self, name))
    }

    /// The manifest of a Rollout, not applied.
    pub fn manifest(&self, name: &str, extra: &str) -> Result<Value> {
        let mut spec: Value = serde_yaml::from_str(&self.expand(BASE))?;
        merge(&mut spec, serde_yaml::from_str(&self.expand(extra)).context("read the rollout's YAML")?);
        Ok(json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": name, "namespace": self.namespace()},
            "spec": spec,
        }))
    }

    /// Applies a Rollout's manifest as a `GitOps` tool does: server-side, whole, strictly validated.
    pub async fn apply(&self, manifest: &Value) -> Result<()> {
        let name =
            manifest.pointer("/metadata/name").and_then(Value::as_str).context("a manifest has a name")?;
        let params = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(GITOPS).force()
        };
        let applied = self.rollouts(self.namespace()).patch(name, &params, &Patch::Apply(manifest)).await;
        applied.map(drop).with_context(|| format!("apply rollout {name}"))
    }

    /// A Rollout of this scene by name, whether or not it is there.
    pub fn named(&self, name: &str) -> Rollout<'_> {
        Rollout::new(self, name)
    }

    /// The API of Rollouts in a namespace.
    pub fn rollouts(&self, namespace: &str) -> Api<DynamicObject> {
        own_kind(self.client(), namespace, "Rollout", "rollouts")
    }

    /// The same as a user has it, in the scene's namespace.
    pub async fn rollouts_of(&self, user: &str) -> Result<Api<DynamicObject>> {
        Ok(own_kind(self.bed().client_of(user).await?, self.namespace(), "Rollout", "rollouts"))
    }

    /// The API of another kind of ours, in the scene's namespace.
    pub fn own(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        own_kind(self.client(), self.namespace(), kind, plural)
    }

    /// Applies an object of a kind of ours as a `GitOps` tool does.
    pub async fn put(&self, kind: &str, plural: &str, name: &str, spec: Value) -> Result<()> {
        let object = json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace()}, "spec": spec,
        });
        let params = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(GITOPS).force()
        };
        let applied = self.own(kind, plural).patch(name, &params, &Patch::Apply(object)).await;
        applied.map(drop).with_context(|| format!("apply {kind} {name}"))
    }

    /// The API of `RolloutActions`, as a user has it.
    pub async fn actions(&self, user: &str) -> Result<Api<DynamicObject>> {
        let client = self.bed().client_of(user).await?;
        Ok(own_kind(client, self.namespace(), "RolloutAction", "rolloutactions"))
    }

    /// The `DeviationReports` of this scene, by name.
    pub async fn reports(&self) -> Result<Vec<Value>> {
        let api = own_kind(self.client(), self.namespace(), "DeviationReport", "deviationreports");
        let reports = api.list(&ListParams::default()).await?;
        reports.items.into_iter().map(|report| Ok(serde_json::to_value(report)?)).collect()
    }

    /// Closes every report of the scene as fixed in `version`, as alice does once she has found the cause: while one is
    /// open, other versions wait.
    pub async fn reports_are_closed(&self, version: &str) -> Result<()> {
        let client = self.bed().client_of("alice").await?;
        let api = own_kind(client, self.namespace(), "DeviationReport", "deviationreports");
        let investigation = json!({"state": "Fixed", "fixedIn": version, "notes": "found"});
        let patch = Patch::Merge(json!({"spec": {"investigation": investigation}}));
        for report in self.reports().await? {
            let name = report["metadata"]["name"].as_str().context("a report has a name")?;
            api.patch(name, &PatchParams::default(), &patch)
                .await
                .with_context(|| format!("close {name}"))?;
        }
        Ok(())
    }

    /// Asks for something as alice, who may ask for anything; the answer is awaited and returned: whether it was
    /// honoured, and the words.
    pub async fn act(&self, verb: &str, fields: Value) -> Result<(String, String)> {
        self.act_as("alice", verb, fields).await
    }

    /// The same as somebody else.
    pub async fn act_as(&self, user: &str, verb: &str, fields: Value) -> Result<(String, String)> {
        let name = self.ask(user, user, verb, fields).await?;
        let api = self.actions("admin").await?;
        eventually(&format!("{verb} is answered"), PATIENCE, async || {
            let action = api.get(&name).await?;
            let text = |field: &str| action.data["status"][field].as_str().map(String::from);
            Ok::<_, anyhow::Error>((
                text("result").context("no answer yet")?,
                text("message").unwrap_or_default(),
            ))
        })
        .await
    }

    /// Creates an action as `user` in the name of `requested_by`, and says what it is called.
    pub async fn ask(&self, user: &str, requested_by: &str, verb: &str, fields: Value) -> Result<String> {
        let mut spec = json!({"rollout": "app", "verb": verb, "requestedBy": requested_by});
        merge(&mut spec, fields);
        let action: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "RolloutAction",
            "metadata": {"generateName": format!("{}-", verb.to_lowercase()), "namespace": self.namespace()},
            "spec": spec,
        }))?;
        let params = PostParams::default();
        let created = self.actions(user).await?.create(&params, &action).await;
        let created = created.with_context(|| format!("{user} asks for {verb}"))?;
        created.metadata.name.context("a created action has a name")
    }

    /// Gives a user one of the chart's roles in this scene's namespace.
    pub async fn bind(&self, user: &str, role: &str) -> Result<()> {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }))?;
        let api: Api<RoleBinding> = Api::namespaced(self.client(), self.namespace());
        api.create(&PostParams::default(), &binding).await.map(drop).with_context(|| format!("bind {user}"))
    }

    /// Sets (or, with null, removes) labels of a namespace.
    pub async fn label_namespace(&self, namespace: &str, labels: Value) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client());
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        api.patch(namespace, &PatchParams::default(), &patch).await.map(drop).context("label a namespace")
    }

    /// Merge-patches a tenant as a manager.
    pub async fn patch_tenant(&self, name: &str, manager: &str, patch: Value) -> Result<()> {
        let params = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        let patched = self.fleet().api(self.namespace()).patch(name, &params, &Patch::Merge(patch)).await;
        patched.map(drop).with_context(|| format!("patch {name}"))
    }

    /// Waits until each of these tenants wholly runs its version.
    pub async fn runs(&self, wanted: &[(&str, &str)]) -> Result<()> {
        eventually(&format!("tenants run {wanted:?}"), PATIENCE, async || {
            let running = self.fleet().running(self.namespace()).await?;
            for (name, version) in wanted {
                ensure!(running.get(*name).is_some_and(|is| is == version), "{running:?}");
            }
            Ok(())
        })
        .await
    }

    /// Waits until all tenants of the scene's namespace wholly run `version`.
    pub async fn all_run(&self, version: &str) -> Result<()> {
        eventually(&format!("all run {version}"), PATIENCE, async || {
            self.fleet().all_run(self.namespace(), version).await
        })
        .await
    }

    /// Waits until the recorder has seen something.
    pub async fn sees(&self, what: &str, probe: impl Fn(&Recorder) -> bool) -> Result<()> {
        eventually(what, PATIENCE, async || {
            ensure!(probe(&self.recorder), "{}", self.recorder.story());
            Ok(())
        })
        .await
    }

    /// Fills `$NAMESPACE`, `$PROMETHEUS` and `$ALERTMANAGER` in.
    pub fn expand(&self, text: &str) -> String {
        text.replace("$NAMESPACE", self.namespace())
            .replace("$PROMETHEUS", self.bed().prometheus().url())
            .replace("$ALERTMANAGER", &self.bed().alertmanager().url())
    }
}

impl Stage {
    fn bed(&self) -> &Bed {
        match self {
            Self::Shared(bed, _) => bed,
            Self::Own(_, bed) => bed,
        }
    }

    fn control(&self) -> &Control {
        match self {
            Self::Shared(_, control) => control,
            Self::Own(control, _) => control,
        }
    }
}

/// JSON merge patch (RFC 7396): maps are merged, null removes, everything else replaces.
pub fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, patch) => *into = patch,
    }
}

fn own_kind(client: Client, namespace: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("breakwater.dev", "v1alpha1", kind);
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&gvk, plural))
}

/// The judge's running sums are for machines.
fn strip_evidence(status: &mut Value) {
    for slo in status["slos"].as_array_mut().into_iter().flatten() {
        if let Some(slo) = slo.as_object_mut() {
            slo.remove("evidence");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_merged_replaces_lists_removes_nulls_and_keeps_the_rest() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        merge(&mut value, json!({"a": {"b": null, "e": {"f": 3}}, "d": [3]}));
        assert_eq!(value, json!({"a": {"c": 2, "e": {"f": 3}}, "d": [3]}));
    }
}
