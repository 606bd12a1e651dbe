//! When a tenant is ready, by kind (rule R3): one object says it all, and a stale status never counts. Pure.

use breakwater_crds::rollout::Resource;
use breakwater_text::cut;
use jiff::Timestamp;
use serde_json::Value;

use super::path::Segment;

/// Kinds whose readiness is known here; every other kind is judged by its conditions, as kstatus does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// `apps` Deployment.
    Deployment,
    /// `apps` `StatefulSet`.
    StatefulSet,
    /// `apps` `DaemonSet`.
    DaemonSet,
    /// `installation.mattermost.com` Mattermost.
    Mattermost,
    /// Argo CD's `argoproj.io` Application.
    Application,
    /// Flux's `helm.toolkit.fluxcd.io` `HelmRelease`.
    HelmRelease,
    /// Flux's `kustomize.toolkit.fluxcd.io` Kustomization.
    Kustomization,
    /// Argo Rollouts' `argoproj.io` Rollout.
    ArgoRollout,
    /// Any other kind: condition `Ready`, as in kstatus.
    Conditions,
}

/// Whether an object's status speaks of its present generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generations {
    /// The kind always reports `status.observedGeneration`.
    Always,
    /// The kind has none (Argo CD): a rule must compare versions.
    Never,
    /// Not known here: where it is, it must be equal.
    Perhaps,
}

/// What a ready rule says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Ready; `since` when the object itself says so in a way that can be trusted.
    Ready {
        /// The object's own word.
        since: Option<Timestamp>,
    },
    /// Not ready: why, in a few words.
    NotReady(String),
}

/// The parts of an object that are judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// The object without its metadata.
    pub data: &'a Value,
    /// The version that its fields hold.
    pub version: &'a str,
}

impl Known {
    /// The kinds that are known, by API group and name.
    const ALL: [(&'static str, &'static str, Self); 8] = [
        ("apps", "Deployment", Self::Deployment),
        ("apps", "StatefulSet", Self::StatefulSet),
        ("apps", "DaemonSet", Self::DaemonSet),
        ("installation.mattermost.com", "Mattermost", Self::Mattermost),
        ("argoproj.io", "Application", Self::Application),
        ("argoproj.io", "Rollout", Self::ArgoRollout),
        ("helm.toolkit.fluxcd.io", "HelmRelease", Self::HelmRelease),
        ("kustomize.toolkit.fluxcd.io", "Kustomization", Self::Kustomization),
    ];

    /// Names of the kinds that are known.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(|(_, name, _)| name)
    }

    /// The kind, if it is known here; `Conditions` if not.
    pub fn of(resource: &Resource) -> Self {
        let group = resource.api_version.split_once('/').map_or("", |(group, _)| group);
        let known = Self::ALL.into_iter().find(|(of, name, _)| *of == group && *name == resource.kind);
        known.map_or(Self::Conditions, |(.., known)| known)
    }

    /// Whether the kind reports `observedGeneration`.
    pub const fn generations(self) -> Generations {
        match self {
            Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::ArgoRollout
            | Self::HelmRelease
            | Self::Kustomization => Generations::Always,
            Self::Application => Generations::Never,
            // Mattermost's operator writes it in newer releases only; its status names the version.
            Self::Mattermost | Self::Conditions => Generations::Perhaps,
        }
    }

    /// The rule that is built in for this kind.
    pub fn judge(self, object: &Judged<'_>) -> Verdict {
        if let Err(stale) = self.fresh(object) {
            return Verdict::NotReady(stale);
        }
        let verdict = match self {
            Self::Deployment => deployment(object),
            Self::StatefulSet => stateful_set(object),
            Self::DaemonSet => daemon_set(object),
            Self::Mattermost => mattermost(object),
            Self::Application => application(object),
            Self::ArgoRollout => argo_rollout(object),
            Self::HelmRelease => helm_release(object),
            Self::Kustomization => kustomization(object),
            Self::Conditions => conditions(object),
        };
        match verdict {
            Ok(since) => Verdict::Ready { since },
            Err(reason) => Verdict::NotReady(reason),
        }
    }

    /// Whether the kind's own rule tells that its controller has seen a change at this path. Generations move with `spec` alone, never
    /// with labels, annotations or the data of a `ConfigMap`; without generations only what the status repeats is seen.
    pub fn sees(self, path: &[Segment]) -> bool {
        let key = |index: usize| match path.get(index) {
            Some(Segment::Key(key) | Segment::Item { key, .. }) => key.as_str(),
            None => "",
        };
        let in_spec = key(0) == "spec";
        match self {
            Self::Application => in_spec && matches!(key(1), "source" | "sources"),
            Self::Mattermost => in_spec && matches!(key(1), "version" | "image") && path.len() == 2,
            Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::ArgoRollout
            | Self::HelmRelease
            | Self::Kustomization
            | Self::Conditions => in_spec,
        }
    }

    /// Asleep by its own spec, where `tenants.dormant` says nothing else: paused or suspended, so that its controller does nothing,
    /// or scaled to nothing, so that readiness is nobody's. It joins on waking (R4).
    pub fn is_asleep(self, object: &Value) -> bool {
        let spec = |key: &str| object.get("spec").and_then(|spec| spec.get(key));
        let set = |key: &str| spec(key).and_then(Value::as_bool) == Some(true);
        let none = || spec("replicas").and_then(Value::as_i64) == Some(0);
        match self {
            Self::Deployment | Self::ArgoRollout => set("paused") || none(),
            Self::StatefulSet | Self::Mattermost => none(),
            Self::HelmRelease | Self::Kustomization => set("suspend"),
            Self::DaemonSet | Self::Application => false,
            Self::Conditions => set("paused") || set("suspend"),
        }
    }

    /// `Err` when the status speaks of another generation (or may do so) than the present one.
    pub fn fresh(self, object: &Judged<'_>) -> Result<(), String> {
        let observed = object.observed_generation();
        match (self.generations(), observed, object.generation) {
            (Generations::Always | Generations::Perhaps, Some(observed), Some(generation)) => {
                if observed == generation {
                    Ok(())
                } else {
                    Err(format!("status is of generation {observed}, not {generation}"))
                }
            }
            (Generations::Always, _, _) => Err("status has no observedGeneration yet".into()),
            (Generations::Never | Generations::Perhaps, _, _) => Ok(()),
        }
    }
}

type Judgement = Result<Option<Timestamp>, String>;

impl<'a> Judged<'a> {
    fn int(&self, pointer: &str) -> Option<i64> {
        self.data.pointer(pointer).and_then(Value::as_i64)
    }

    /// Argo Rollouts writes it as text.
    fn observed_generation(&self) -> Option<i64> {
        let pointer = "/status/observedGeneration";
        self.int(pointer).or_else(|| self.text(pointer).and_then(|text| text.parse().ok()))
    }

    /// Counts that are zero are left out of many statuses.
    fn count(&self, pointer: &str) -> i64 {
        self.int(pointer).unwrap_or(0)
    }

    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.data.pointer(pointer).and_then(Value::as_str)
    }

    fn condition(&self, kind: &str) -> Option<Condition<'a>> {
        let list = self.data.pointer("/status/conditions")?.as_array()?;
        list.iter().map(Condition).find(|condition| condition.text("type") == Some(kind))
    }
}

/// One entry of `status.conditions`.
#[derive(Clone, Copy)]
struct Condition<'a>(&'a Value);

impl<'a> Condition<'a> {
    fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key).and_then(Value::as_str)
    }

    fn is(self, status: &str) -> bool {
        self.text("status") == Some(status)
    }

    fn time(self, key: &str) -> Option<Timestamp> {
        self.text(key).and_then(|text| text.parse().ok())
    }

    /// `Ready is False: ImagePullBackOff: back-off pulling image`.
    fn describe(self) -> String {
        let part = |key: &str| self.text(key).filter(|text| !text.is_empty()).map(|text| format!(": {text}"));
        let (kind, status) = (self.text("type").unwrap_or("?"), self.text("status").unwrap_or("?"));
        let text = format!(
            "{kind} is {status}{}{}",
            part("reason").unwrap_or_default(),
            part("message").unwrap_or_default()
        );
        cut::chars(&text, 160).to_owned()
    }
}

fn at_least(have: i64, want: i64, what: &str) -> Result<(), String> {
    if have >= want { Ok(()) } else { Err(format!("{have} of {want} replicas {what}")) }
}

fn deployment(object: &Judged<'_>) -> Judgement {
    let want = object.int("/spec/replicas").unwrap_or(1);
    let progressing = object.condition("Progressing");
    if let Some(condition) = progressing
        && condition.text("reason") == Some("ProgressDeadlineExceeded")
    {
        return Err(condition.describe());
    }
    let updated = object.count("/status/updatedReplicas");
    at_least(updated, want, "updated")?;
    let old = object.count("/status/replicas") - updated;
    if old > 0 {
        return Err(format!("{old} old replicas are still there"));
    }
    at_least(object.count("/status/availableReplicas"), want, "available")?;
    // Progressing's lastUpdateTime is when the new ReplicaSet became available; Available's transition is when the
    // Deployment last came back. Both must speak, else only the observation counts.
    let complete = progressing
        .filter(|condition| condition.text("reason") == Some("NewReplicaSetAvailable"))
        .and_then(|condition| condition.time("lastUpdateTime"));
    let available = object
        .condition("Available")
        .filter(|condition| condition.is("True"))
        .and_then(|condition| condition.time("lastTransitionTime"));
    Ok(complete.zip(available).map(|(complete, available)| complete.max(available)))
}

/// Partitions and `OnDelete` leave replicas on the old revision; such a tenant is not on its version yet.
fn stateful_set(object: &Judged<'_>) -> Judgement {
    let want = object.int("/spec/replicas").unwrap_or(1);
    // When nothing is being rolled, older API servers leave updatedReplicas out.
    let settled = object.text("/status/updateRevision").is_some()
        && object.text("/status/updateRevision") == object.text("/status/currentRevision");
    if !settled {
        at_least(object.count("/status/updatedReplicas"), want, "updated")?;
    }
    at_least(object.count("/status/readyReplicas"), want, "ready")?;
    if let Some(available) = object.int("/status/availableReplicas") {
        at_least(available, want, "available")?;
    }
    let surplus = object.count("/status/replicas") - want;
    if surplus > 0 { Err(format!("{surplus} replicas too many")) } else { Ok(None) }
}

fn daemon_set(object: &Judged<'_>) -> Judgement {
    let want = object.count("/status/desiredNumberScheduled");
    at_least(object.count("/status/updatedNumberScheduled"), want, "updated")?;
    at_least(object.count("/status/numberAvailable"), want, "available")?;
    Ok(None)
}

/// <https://github.com/mattermost/mattermost-operator>, apis/mattermost/v1beta1: `state` is `stable` once the
/// Deployment is rolled out; `version` and `image` are read from the running pods.
fn mattermost(object: &Judged<'_>) -> Judgement {
    if let Some(error) = object.text("/status/error").filter(|error| !error.is_empty()) {
        return Err(cut::chars(error, 160).to_owned());
    }
    let state = object.text("/status/state").unwrap_or("not reported");
    if state != "stable" {
        return Err(format!("state is {state}"));
    }
    for field in ["version", "image"] {
        let wanted = object.text(&format!("/spec/{field}")).filter(|wanted| !wanted.is_empty());
        let found = object.text(&format!("/status/{field}")).unwrap_or("not reported");
        if let Some(wanted) = wanted
            && wanted != found
        {
            return Err(format!("{field} is {found}, not {wanted}"));
        }
    }
    if object.text("/spec/version").is_none_or(str::is_empty)
        && object.text("/status/version") != Some(object.version)
    {
        return Err(format!("version is not {}", object.version));
    }
    let want = object.int("/spec/replicas").unwrap_or_else(|| object.count("/status/replicas"));
    at_least(object.count("/status/updatedReplicas"), want, "updated")?;
    at_least(object.count("/status/replicas"), want, "there")?;
    Ok(None)
}

/// Argo CD has no observedGeneration: what it compared with must be what the spec says now.
fn application(object: &Judged<'_>) -> Judgement {
    if object.data.get("operation").is_some_and(|operation| !operation.is_null()) {
        return Err("an operation is waiting".into());
    }
    for part in ["source", "sources"] {
        let wanted = object.data.pointer(&format!("/spec/{part}")).and_then(without_blanks);
        let compared =
            object.data.pointer(&format!("/status/sync/comparedTo/{part}")).and_then(without_blanks);
        if wanted.is_some() && wanted != compared {
            return Err("not compared with the present source yet".into());
        }
    }
    let phase = object.text("/status/operationState/phase");
    for (what, found, wanted) in [
        ("sync", object.text("/status/sync/status"), "Synced"),
        ("operation", phase.or(Some("Succeeded")), "Succeeded"),
        ("health", object.text("/status/health/status"), "Healthy"),
    ] {
        if found != Some(wanted) {
            return Err(format!("{what} is {}", found.unwrap_or("not reported")));
        }
    }
    Ok(None)
}

/// <https://github.com/argoproj/argo-rollouts>, pkg/apis/rollouts/v1alpha1: `phase` is the controller's own summary. Blue-green keeps
/// old replicas for a while, so that only the new ones are counted.
fn argo_rollout(object: &Judged<'_>) -> Judgement {
    let phase = object.text("/status/phase").unwrap_or("not reported");
    if phase != "Healthy" {
        let message = object.text("/status/message").filter(|message| !message.is_empty());
        let message = message.map(|message| format!(": {message}")).unwrap_or_default();
        return Err(cut::chars(&format!("phase is {phase}{message}"), 160).to_owned());
    }
    let want = object.int("/spec/replicas").unwrap_or(1);
    at_least(object.count("/status/updatedReplicas"), want, "updated")?;
    at_least(object.count("/status/availableReplicas"), want, "available")?;
    Ok(None)
}

/// Go's `omitempty` drops blanks on the way from spec to status; `None` for a blank.
fn without_blanks(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(truth) => truth.then_some(Value::Bool(true)),
        Value::Number(number) => (number.as_f64() != Some(0.0)).then(|| value.clone()),
        Value::String(text) => (!text.is_empty()).then(|| value.clone()),
        Value::Array(items) => {
            let items: Vec<_> =
                items.iter().map(|item| without_blanks(item).unwrap_or(Value::Null)).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(map) => {
            let map: serde_json::Map<_, _> =
                map.iter().filter_map(|(key, value)| Some((key.clone(), without_blanks(value)?))).collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
    }
}

fn helm_release(object: &Judged<'_>) -> Judgement {
    let since = flux_ready(object)?;
    let wanted = object.text("/spec/chart/spec/version").filter(|version| is_exact(version));
    let attempted = object.text("/status/lastAttemptedRevision").unwrap_or("nothing");
    match wanted {
        Some(wanted) if !is_same_chart(wanted, attempted) => {
            Err(format!("the last attempt was at {attempted}, not {wanted}"))
        }
        Some(_) | None => Ok(since),
    }
}

fn kustomization(object: &Judged<'_>) -> Judgement {
    let since = flux_ready(object)?;
    let (applied, attempted) =
        (object.text("/status/lastAppliedRevision"), object.text("/status/lastAttemptedRevision"));
    if attempted.is_some() && applied != attempted {
        return Err(format!(
            "applied is {}, attempted {}",
            applied.unwrap_or("nothing"),
            attempted.unwrap_or("-")
        ));
    }
    Ok(since)
}

/// Flux's toolkit: `Ready` of the present generation, and nothing under way.
fn flux_ready(object: &Judged<'_>) -> Judgement {
    if let Some(condition) = object.condition("Reconciling").filter(|condition| condition.is("True")) {
        return Err(condition.describe());
    }
    condition_ready(object)
}

/// As semantic versions: Flux puts build metadata of its own in the place of the chart's (`1.2.3+up1` is attempted as
/// `1.2.3+0f1e2d`), and takes a leading v off.
fn is_same_chart(wanted: &str, attempted: &str) -> bool {
    fn core(version: &str) -> &str {
        let version = version.strip_prefix('v').unwrap_or(version);
        version.split_once('+').map_or(version, |(core, _)| core)
    }
    core(wanted) == core(attempted)
}

/// A semver range is no version: what is attempted then is for Flux to say.
fn is_exact(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit() || c == 'v')
        && version.split(['-', '+']).next().is_some_and(|core| {
            core.trim_start_matches('v').split('.').all(|part| part.parse::<u64>().is_ok())
                && core.split('.').count() == 3
        })
}

/// As kstatus judges unknown kinds, but stricter: without `Ready` or `Available` nothing is ready.
fn conditions(object: &Judged<'_>) -> Judgement {
    for kind in ["Stalled", "Reconciling"] {
        if let Some(condition) = object.condition(kind).filter(|condition| condition.is("True")) {
            return Err(condition.describe());
        }
    }
    condition_ready(object)
}

fn condition_ready(object: &Judged<'_>) -> Judgement {
    let condition = object
        .condition("Ready")
        .or_else(|| object.condition("Available"))
        .ok_or("no condition Ready or Available is reported")?;
    if !condition.is("True") {
        return Err(condition.describe());
    }
    let observed = condition.0.get("observedGeneration").and_then(Value::as_i64);
    match (observed.or_else(|| object.int("/status/observedGeneration")), object.generation) {
        (Some(observed), Some(generation)) if observed != generation => {
            Err(format!("condition is of generation {observed}, not {generation}"))
        }
        // Ready may have stayed True all along, so its transition time is not when *this* version became ready.
        (Some(_), Some(_)) => Ok(None),
        (None, _) | (_, None) => {
            Err("no observedGeneration is reported: give tenants.ready, and let it compare version".into())
        }
    }
}

#[cfg(test)]
mod tests;
