//! `Rollout`: what Git owns. Shapes and defaults are product.md 2.1's; a field is here once it works.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    gates::Gates,
    job::TenantJob,
    release::Lane,
    scalars::{IntOrPercent, Percent, Span, Times},
    selector::LabelSelector,
    slo::Slo,
};

/// Advances `version` over the tenants wave by wave, watches the SLOs, and reverts by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, kube::KubeSchema),
    kube(
        group = "breakwater.dev",
        version = "v1alpha1",
        kind = "Rollout",
        namespaced,
        shortname = "bro",
        category = "breakwater",
        status = "crate::status::RolloutStatus",
        doc = "Brings one version to a fleet of tenants wave by wave, watches what users feel, and takes it out again by itself.",
        validation = ("self.metadata.name.size() <= 52", "metadata.name must have at most 52 characters: report and action names are made of it"),
        printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
        printcolumn(name = "Phase", type_ = "string", json_path = ".status.summary"),
        printcolumn(name = "Wave", type_ = "string", json_path = ".status.progress.wave"),
        printcolumn(name = "Updated", type_ = "string", json_path = ".status.progress.updated"),
        printcolumn(name = "Soak-Left", type_ = "string", json_path = ".status.progress.soakLeft"),
        printcolumn(name = "Stable", type_ = "string", json_path = ".status.stableVersion", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
    ),
    x_kube(validation = kube::core::Rule::new("self.waves.filter(w, !has(w.selector) && !has(w.percent)).size() <= 1")
        .message("waves: at most one wave may have neither selector nor percent")
        .field_path(".waves")),
    x_kube(validation = kube::core::Rule::new("self.waves.filter(w, !has(w.selector) && !has(w.percent)).all(w, w.name == self.waves[self.waves.size() - 1].name)")
        .message("waves: the wave with neither selector nor percent takes the rest and must be the last")
        .field_path(".waves")),
    // 33.3 + 33.3 + 33.4 is a little above 100 in binary.
    x_kube(validation = kube::core::Rule::new("self.waves.map(w, has(w.percent) ? w.percent : 0.0).sum() <= 100.000001")
        .message("waves: the percents must sum to at most 100")
        .field_path(".waves"))
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// The wanted version; changing it asks for a rollout.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9._+]*[A-Za-z0-9])?$"))
    )]
    pub version: String,
    /// Whether a Rollout without history waits for an Approve (`Approve`) or starts (`Start`).
    #[serde(default)]
    pub adopt: Adopt,
    /// What a new version does while another is under way: wait (`Queue`) or take over (`Supersede`).
    #[serde(default)]
    pub on_new_version: OnNewVersion,
    /// How versions compare, to tell tenants that are ahead.
    #[serde(default)]
    pub version_order: VersionOrder,
    /// The tenants and how to read and write them.
    pub tenants: Tenants,
    /// The waves, in order.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub waves: Vec<Wave>,
    /// What becomes of tenants that no wave takes.
    #[serde(default)]
    pub unmatched: Unmatched,
    /// Share of all live tenants that no selector matches, above 0% and up to 50%, that is kept on the baseline until the
    /// last wave has soaked, so that there is always somebody to compare with at the same time; then they are updated too, as a
    /// wave named `holdout`. Needs a last wave without selector and percent, from which they are drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<Percent>,
    /// How long the SLOs are watched after the last wave's soak.
    #[serde(default = "three_days")]
    pub watch_after: Span,
    /// When updates may start.
    #[serde(default)]
    pub schedule: Schedule,
    /// Where the SLOs are measured; defaults to the controller's `--prometheus-url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    /// What users feel.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub slos: Vec<Slo>,
    /// How candidates are compared with a baseline.
    #[serde(default)]
    pub judge: Judge,
    /// Alerts that hold or revert, as Alertmanager's webhook brings them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16)))]
    pub alerts: Vec<Alert>,
    /// What a deviation does.
    #[serde(default)]
    pub on_deviation: OnDeviation,
    /// How a revert is done.
    #[serde(default)]
    pub revert: Revert,
    /// Run for a tenant before its version is written, where the Release's migrations are not `Quiet`: for SQL that is to
    /// run beforehand. The version follows once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_update_job: Option<TenantJob>,
    /// What must be true before a version may start.
    #[serde(default)]
    pub gates: Gates,
    /// The hold that Git can say.
    #[serde(default)]
    pub paused: bool,
}

/// Which objects are tenants, and how their version is read, written and judged ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tenants {
    /// The kind of the tenants; any namespaced one.
    pub resource: Resource,
    /// Namespaces of the tenants; omitted: the Rollout's own; `{}`: all. Others than the own must consent by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Which objects of the kind; omitted: all.
    #[serde(default)]
    pub selector: LabelSelector,
    /// CEL over `object`: true leaves the object out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub exclude: String,
    /// CEL over `object`: the tenant's name in metrics; default `namespace/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub id: String,
    /// Where the version stands; default by kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])))]
    pub fields: Vec<Field>,
    /// CEL over `object` and `version`: true when the tenant is ready; default by kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub ready: String,
    /// CEL over `object`: true when the tenant sleeps and is left alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub dormant: String,
    /// Time after ready in which a tenant's numbers say nothing.
    #[serde(default = "ten_minutes")]
    pub warm_up: Span,
    /// Time to become ready before a tenant counts as failed.
    #[serde(default = "thirty_minutes")]
    pub progress_deadline: Span,
    /// Field managers that the version may be taken over from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set")))]
    pub take_from: Vec<String>,
}

/// A kind of object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("!self.apiVersion.startsWith('breakwater.dev/')")
        .message("apiVersion: Breakwater's own kinds cannot be tenants")
        .field_path(".apiVersion"))
)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// `group/version`, or `v1`.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 1, max = 253),
            regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9a-z]+$")
        )
    )]
    pub api_version: String,
    /// The kind, such as `Deployment`.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))
    )]
    pub kind: String,
}

/// One field that holds the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    // A Rollout moves versions; it must not be a way to write owners, finalizers, a status or a marker (R39).
    x_kube(validation = kube::core::Rule::new(r"!self.path.matches('^(apiVersion|kind|metadata|status)([.\\[]|$)') || self.path.matches('^metadata[.](annotations|labels)[.\\[]')")
        .message("path must not lead into apiVersion, kind, status, or metadata other than annotations and labels")
        .field_path(".path")),
    x_kube(validation = kube::core::Rule::new("!self.path.contains('breakwater.dev/')")
        .message("path must not lead to Breakwater's own marker")
        .field_path(".path"))
)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Path with list keys: `spec.version`, `spec.template.spec.containers[name=app].image`, `metadata.annotations["a.b/c"]`.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 1, max = 256),
            regex(
                pattern = r#"^[-A-Za-z0-9_$/]+(\.[-A-Za-z0-9_$/]+|\["[^"\\]+"\]|\[[-A-Za-z0-9_$/]+=([-A-Za-z0-9_$/.]+|"[^"\\]+")\])*$"#
            )
        )
    )]
    pub path: String,
    /// The value, with `{version}` in place of the version: `registry.example/app:{version}`.
    #[serde(default = "bare_version")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 9, max = 256), regex(pattern = "^[^{}]*\\{version\\}[^{}]*$"))
    )]
    pub format: String,
}

/// An ordered group of tenants, updated together, then soaked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("!(has(self.selector) && has(self.percent))", "a wave has either selector or percent, not both")),
    // The API server compares whole numbers with `minimum` as whole numbers, so 0 would pass 0.001.
    x_kube(validation = kube::core::Rule::new("!has(self.percent) || self.percent > 0.0")
        .message("percent must be above 0")
        .field_path(".percent"))
)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// Name of the wave, unique in the Rollout; edits know it by this.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub name: String,
    /// Tenants by label; the first matching wave wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Percent of all live tenants that no selector matches, above 0 and up to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 0.0, max = 100.0)))]
    pub percent: Option<f64>,
    /// Time that the wave must spend updated and ready, with data and without deviation.
    pub soak: Span,
    /// The soak of versions in other lanes (`Release.spec.lane`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_soak: Option<LaneSoak>,
    /// Most tenants that may be updated but not ready at once.
    #[serde(default = "one")]
    pub max_concurrent: IntOrPercent,
    /// Most tenants that may fail before it is a deviation.
    #[serde(default = "two_percent")]
    pub max_failures: IntOrPercent,
    /// Whether the wave may be empty.
    #[serde(default)]
    pub optional: bool,
    /// Whether a human must approve: `Before` the wave starts or `After` its soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What the candidates are compared with from this wave's start on.
    #[serde(default)]
    pub baseline: Baseline,
}

/// A wave's soak by lane; what is left out is as in the lane before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LaneSoak {
    /// Of a patch release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Span>,
    /// Of an emergency release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Span>,
}

impl Wave {
    /// How long a version of this lane soaks.
    pub fn soak_in(&self, lane: Lane) -> Span {
        let of = self.lane_soak.unwrap_or_default();
        let patch = of.patch.unwrap_or(self.soak);
        match lane {
            Lane::Normal => self.soak,
            Lane::Patch => patch,
            Lane::Emergency => of.emergency.unwrap_or(patch),
        }
    }
}

/// What candidates are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Baseline {
    /// Tenants that wait, while there are any, and the own past as well where there are fewer than five candidates. Where
    /// nobody waits any more, the own past alone, which then only holds.
    #[default]
    Auto,
    /// Tenants that wait, at the same time.
    Others,
    /// The same tenants in the same minutes of the week before their update.
    History,
    /// Both, and they must agree.
    Both,
}

/// How candidates are compared with a baseline, minute by minute, for as long as the rollout takes (analysis.md 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.alpha.matches('[1-9]') && !self.alpha.startsWith('100')")
        .message("alpha must be above 0% and below 100%")
        .field_path(".alpha")),
    x_kube(validation = kube::core::Rule::new("self.history.matches('[1-9]')")
        .message("history must be longer than 0")
        .field_path(".history"))
)]
#[serde(rename_all = "camelCase")]
pub struct Judge {
    /// `Enabled`, or `Disabled`: then burn rates, the sharp path, limits and alerts watch alone.
    #[serde(default)]
    pub comparison: Comparison,
    /// Probability that the comparison ever reverts a version that is no worse, over all its waves and SLOs.
    #[serde(default = "one_percent")]
    pub alpha: Percent,
    /// A wave ends only when so many times the baseline's errors would have been found by now, counted from the baseline
    /// and what `margin.absolute` adds to it (over `margin.ratio`): `status.slos[].mustDetect` says what that comes to.
    #[serde(default = "two_times")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1.01, max = 1000.0)))]
    pub must_detect: f64,
    /// Multiple of a wave's soak after which `onInsufficient` decides.
    #[serde(default)]
    pub max_soak: Times,
    /// What becomes of a wave whose traffic was too little to find `mustDetect` within `maxSoak`.
    #[serde(default)]
    pub on_insufficient: OnInsufficient,
    /// How far back the past is read: for what is usual, for how bursty it is, and for the replay that arms the comparison.
    #[serde(default = "seven_days")]
    pub history: Span,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            comparison: Comparison::default(),
            alpha: one_percent(),
            must_detect: two_times(),
            max_soak: Times::default(),
            on_insufficient: OnInsufficient::default(),
            history: seven_days(),
        }
    }
}

/// Whether candidates are compared with a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Comparison {
    /// They are.
    #[default]
    Enabled,
    /// They are not.
    Disabled,
}

/// What becomes of a wave that had too little traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum OnInsufficient {
    /// It waits until a human promotes it.
    #[default]
    Hold,
    /// It ends.
    Advance,
}

/// When a wave needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Approval {
    /// Before its first tenant is written.
    Before,
    /// After its soak, before the next wave starts.
    After,
}

/// What becomes of tenants that no wave takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Unmatched {
    /// They join the last wave.
    #[default]
    LastWave,
    /// They are counted and left alone.
    Ignore,
    /// The rollout does not start while there are any.
    Refuse,
}

/// How a Rollout without history begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Adopt {
    /// Waits for an Approve of the first wave.
    #[default]
    Approve,
    /// Starts at once.
    Start,
}

/// What a new version does while another is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum OnNewVersion {
    /// It waits; the newest wins.
    #[default]
    Queue,
    /// It takes over, from the first wave.
    Supersede,
}

/// How versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum VersionOrder {
    /// As semantic versions.
    #[default]
    SemVer,
    /// Not at all.
    None,
}

/// When updates may start. Watching and reverting need no window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// IANA time zone of the cron expressions.
    #[serde(default = "utc")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z][-A-Za-z0-9_+/]*$"))
    )]
    pub time_zone: String,
    /// Updates start only inside one of these; none: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16)))]
    pub allow: Vec<Window>,
    /// No update starts inside any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 32)))]
    pub deny: Vec<Freeze>,
}

/// A recurring window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.duration.matches('[1-9]')")
        .message("duration must be longer than 0")
        .field_path(".duration"))
)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it opens: five cron fields.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 9, max = 128),
            regex(pattern = "^[-0-9A-Za-z*/,?#+]+( +[-0-9A-Za-z*/,?#+]+){4}$")
        )
    )]
    pub cron: String,
    /// How long it stays open.
    pub duration: Span,
    /// Whether it lies outside business hours: versions whose migrations are `OffHours` start waves and tenants in such
    /// windows only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off_hours: bool,
}

/// A freeze.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(kube::KubeSchema), x_kube(validation = ("self.from < self.to", "from must be before to")))]
#[serde(rename_all = "camelCase")]
pub struct Freeze {
    /// Its first instant.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 256)))]
    pub reason: String,
}

/// A Prometheus, or what speaks its API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.timeout.matches('[1-9]')")
        .message("timeout must be longer than 0")
        .field_path(".timeout"))
)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Base URL, `http://` or `https://`, without credentials (they belong in a Secret), query or fragment.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s@?#/]+(/[^\s@?#]*)?$"))
    )]
    pub url: String,
    /// Label matchers added to every selector, such as `cluster="eu1"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub matchers: String,
    /// Which dialect of the API; decides on `partial_response`.
    #[serde(default)]
    pub flavor: Flavor,
    /// Secret of the Rollout's namespace whose keys are header names (`X-Scope-OrgID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<SecretRef>,
    /// Secret of the Rollout's namespace with the bearer token under `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret_ref: Option<SecretRef>,
    /// Secret of the Rollout's namespace with the CA under `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// Time limit of one query.
    #[serde(default = "thirty_seconds")]
    pub timeout: Span,
    /// Most tenants of the baseline whose past is read where a wave's comparison is armed: a stable draw of the fleet. The
    /// wave's own tenants are always read.
    #[serde(default = "five_hundred")]
    #[cfg_attr(feature = "kube", schemars(range(min = 10, max = 100_000)))]
    pub baseline_sample: u32,
}

/// Default of [`Prometheus::baseline_sample`], also where a Rollout names no Prometheus.
pub const BASELINE_SAMPLE: u32 = 500;

const fn five_hundred() -> u32 {
    BASELINE_SAMPLE
}

/// A Secret of the Rollout's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))
    )]
    pub name: String,
}

/// Dialects of Prometheus's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Flavor {
    /// Prometheus itself.
    #[default]
    Prometheus,
    /// Thanos: asked with `partial_response=false`.
    Thanos,
    /// Mimir or Cortex.
    Mimir,
    /// `VictoriaMetrics`: asked with `deny_partial_response=1`.
    VictoriaMetrics,
}

/// Alerts that speak of the candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.action != 'Revert' || (has(self.tenantLabel) && self.tenantLabel != '')")
        .message("tenantLabel is required for action Revert: an alert without a tenant can only hold")
        .field_path(".tenantLabel"))
)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Matchers in Alertmanager's notation, all of which must hold: `severity="page"`.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 1, max = 8),
            inner(length(min = 1, max = 256), regex(pattern = r"^\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=)"))
        )
    )]
    pub matchers: Vec<String>,
    /// Label that names the tenant, as `tenants.id` does; alerts without it only hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(max = 128), regex(pattern = "^([a-zA-Z_][a-zA-Z0-9_]*)?$"))
    )]
    pub tenant_label: String,
    /// What enough of them do.
    #[serde(default)]
    pub action: AlertAction,
    /// On how many candidates it must fire.
    #[serde(default = "two")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 100_000)))]
    pub min_tenants: u32,
    /// For how long.
    #[serde(rename = "for", default = "two_minutes")]
    pub for_: Span,
}

/// What alerts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum AlertAction {
    /// Nothing advances until a human lifts it.
    #[default]
    Hold,
    /// It is a deviation.
    Revert,
}

/// What a deviation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.scope != 'Tenant' || self.action == 'Revert'")
        .message("scope Tenant is about whom a revert is for: it needs action Revert")
        .field_path(".scope"))
)]
#[serde(rename_all = "camelCase")]
pub struct OnDeviation {
    /// Revert, or hold.
    #[serde(default)]
    pub action: DeviationAction,
    /// Whom a revert is for: all, or a tenant that is guilty by itself.
    #[serde(default)]
    pub scope: Scope,
}

/// Whom a revert is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Scope {
    /// Every tenant that was touched.
    #[default]
    Release,
    /// A tenant that is guilty by itself goes back alone, and the version is rejected for it (R22). More of them than
    /// `revert.maxTenantReverts`, and every other deviation, are the release's.
    Tenant,
}

/// What a deviation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum DeviationAction {
    /// Every touched tenant goes back to its own last verified version.
    #[default]
    Revert,
    /// Nothing advances while it lasts.
    Hold,
}

/// How a revert is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Revert {
    /// Most tenants that are on their way back at once.
    #[serde(default = "fifty")]
    pub max_concurrent: IntOrPercent,
    /// How long the SLOs are watched afterwards, to see whether it helped.
    #[serde(default = "thirty_minutes")]
    pub verify_for: Span,
    /// Time to become ready before a tenant gives its place to the next and is listed.
    #[serde(default = "thirty_minutes")]
    pub tenant_deadline: Span,
    /// With `onDeviation.scope: Tenant`, most live tenants that go back alone under one version, at least 1 and at most
    /// 256: one more is a deviation of the release.
    #[serde(default = "one_in_a_hundred")]
    pub max_tenant_reverts: IntOrPercent,
    /// Takes a tenant's schema down before its version goes back, where the version before does not run on the new one
    /// (R21). Without it such a revert holds until a human acknowledges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_job: Option<TenantJob>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { time_zone: utc(), allow: Vec::new(), deny: Vec::new() }
    }
}

impl Default for Revert {
    fn default() -> Self {
        Self {
            max_concurrent: fifty(),
            verify_for: thirty_minutes(),
            tenant_deadline: thirty_minutes(),
            max_tenant_reverts: one_in_a_hundred(),
            down_job: None,
        }
    }
}

const fn one_in_a_hundred() -> IntOrPercent {
    IntOrPercent::Percent(1)
}

const fn two_percent() -> IntOrPercent {
    IntOrPercent::Percent(2)
}

fn bare_version() -> String {
    "{version}".into()
}

fn utc() -> String {
    "UTC".into()
}

fn one_percent() -> Percent {
    Percent::of_ratio(0.01)
}

const fn two_times() -> f64 {
    2.0
}

const fn seven_days() -> Span {
    Span::seconds(604_800)
}

const fn one() -> IntOrPercent {
    IntOrPercent::Int(1)
}

const fn fifty() -> IntOrPercent {
    IntOrPercent::Int(50)
}

const fn two() -> u32 {
    2
}

const fn two_minutes() -> Span {
    Span::seconds(120)
}

const fn ten_minutes() -> Span {
    Span::seconds(600)
}

const fn thirty_minutes() -> Span {
    Span::seconds(1_800)
}

const fn thirty_seconds() -> Span {
    Span::seconds(30)
}

/// Name of the wave that `spec.holdout` stands for.
pub const HOLDOUT: &str = "holdout";

impl RolloutSpec {
    /// The waves as they are gone through: those of the spec, and the holdout as the last.
    pub fn all_waves(&self) -> Vec<Wave> {
        let holdout = self.holdout.zip(self.waves.last()).map(|(share, last)| Wave {
            name: HOLDOUT.to_owned(),
            selector: None,
            percent: Some(share.as_ratio() * 100.0),
            soak: Span::seconds(0),
            lane_soak: None,
            optional: true, // a small fleet may have none to spare
            approval: None,
            baseline: Baseline::Auto,
            ..last.clone()
        });
        self.waves.iter().cloned().chain(holdout).collect()
    }
}

const fn three_days() -> Span {
    Span::seconds(259_200)
}
