//! `RolloutAction`: one imperative request, immutable, honoured once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{names, status::BrakeKind};

/// Before a hub's id in the subject of an Acknowledge.
pub const HUB_SUBJECT: &str = "hub/";

/// One imperative request about a Rollout of the same namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, kube::KubeSchema),
    kube(
        group = "breakwater.dev",
        version = "v1alpha1",
        kind = "RolloutAction",
        namespaced,
        doc = "One imperative request about a Rollout, immutable, honoured once.",
        shortname = "bra",
        category = "breakwater",
        status = "RolloutActionStatus",
        printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
        printcolumn(name = "Verb", type_ = "string", json_path = ".spec.verb"),
        printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
        printcolumn(name = "By", type_ = "string", json_path = ".spec.requestedBy"),
        printcolumn(name = "Result", type_ = "string", json_path = ".status.result"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
    ),
    x_kube(validation = ("self == oldSelf", "spec is immutable: create another RolloutAction")),
    x_kube(validation = ("!(self.verb in ['Approve', 'Promote', 'Revert', 'Retry', 'Acknowledge']) || has(self.version) || (has(self.subject) && self.subject.startsWith('hub/'))",
        "version is required for Approve, Promote, Revert, Retry and Acknowledge: an action for one version never serves another")),
    x_kube(validation = ("self.verb != 'Approve' || has(self.wave)", "wave is required for Approve")),
    x_kube(validation = ("(self.verb in ['Lift', 'Acknowledge']) == has(self.subject)",
        "subject is required for Lift (the name of the Hold or Stop) and Acknowledge (the gate), and only there")),
    x_kube(validation = ("self.verb != 'Acknowledge' || self.subject in ['migrations', 'loadTest', 'openDeviations', 'soak', 'revert', 'emergency'] || self.subject.matches('^hub/[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$')",
        "subject of an Acknowledge is one of migrations, loadTest, openDeviations, soak, revert, emergency, hub/ID")),
    x_kube(validation = ("self.verb != 'Acknowledge' || (has(self.reason) && self.reason != '')",
        "reason is required for Acknowledge: why the gate may be passed")),
    x_kube(validation = ("!has(self.lifts) || self.verb == 'Lift'", "lifts is for Lift only")),
    x_kube(validation = ("!has(self.until) || self.verb in ['Hold', 'Stop']", "until is for Hold and Stop only"))
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutActionSpec {
    /// Name of the Rollout.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 52), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))
    )]
    pub rollout: String,
    /// What is asked for.
    pub verb: Verb,
    /// The version that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9._+]*[A-Za-z0-9])?$"))
    )]
    pub version: Option<String>,
    /// The wave that is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub wave: Option<String>,
    /// Name of the Hold or Stop that a Lift lifts; for Acknowledge the gate: `migrations`, `loadTest`, `openDeviations`,
    /// `soak`, `revert` (a revert that the schema forbids), `emergency`; or `hub/ID`, to take over the markers of another hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-A-Za-z0-9./]*[A-Za-z0-9])?$"))
    )]
    pub subject: Option<String>,
    /// What kind of brake a Lift lifts; a `Stop` takes the right to stop, and is lifted only where this says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifts: Option<BrakeKind>,
    /// When a Hold or Stop ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub reason: String,
    /// Who asks; admission demands that it is the requesting user.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 512)))]
    pub requested_by: String,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// After this the action is not honoured any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Verb {
    /// Lets a wave start, or end, that waits for it.
    Approve,
    /// Nothing advances; watching goes on.
    Hold,
    /// Ends a Hold or a Stop by name.
    Lift,
    /// The brake: no write at all, reverts included.
    Stop,
    /// Ends this wave's soak now, never past a deviation.
    Promote,
    /// Takes the version out and rejects it.
    Revert,
    /// Closes a rejection, so that the version may be rolled out again.
    Retry,
    /// Passes a gate as it stands now, for one version; or takes over another hub's markers.
    Acknowledge,
}

names!(Verb { Approve, Hold, Lift, Stop, Promote, Revert, Retry, Acknowledge });

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The kind of source: `Alert`, `Ticket`, `Kubectl`.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 64)))]
    pub kind: String,
    /// A reference into it, such as an alert's fingerprint or a link.
    #[serde(rename = "ref", default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub ref_: String,
    /// The person behind a machine that asks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 256)))]
    pub on_behalf_of: String,
}

/// What became of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RolloutActionStatus {
    /// Whether it was honoured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ActionResult>,
    /// The effect, or why there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed_at: Option<Timestamp>,
}

/// Whether an action was honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum ActionResult {
    /// It took effect.
    Honoured,
    /// It did not, and never will.
    Refused,
}

names!(ActionResult { Honoured, Refused });
