//! `RolloutState`: what was frozen at a wave's start and Prometheus will forget (analysis.md, Memory), in shards. Written once
//! by the controller, read back after a restart, never by hand; it goes with its Rollout, and when another version starts.
//!
//! Long rows of numbers are little-endian `f32`, in base64 with padding: a tenant takes 11 bytes and 11 more per SLO, and 5
//! or 6 more for each bucket edge of a latency's shape, at most 22 per SLO.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The format that is written. What carries a higher number is not read, and holds (R38).
pub const FORMAT: u32 = 1;
/// Most bytes of JSON in one shard's `spec`; an object may have 1 MiB.
pub const STATE_MAX_BYTES: usize = 700 * 1024;
/// Most shards of one wave.
pub const SHARDS_MAX: u32 = 64;
/// Most SLOs of a Rollout.
pub const SLOS_MAX: usize = 8;
/// Most bucket edges of a latency's shape.
pub const EDGES_MAX: usize = 4;
/// Most bytes of a doubt's words.
pub const DOUBT_MAX: usize = 1024;

/// Label that names the Rollout of a state, so that a list by label finds them.
pub const STATE_OF_LABEL: &str = "breakwater.dev/state-of";

/// One shard of what was frozen at the start of one wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, kube::KubeSchema),
    kube(
        group = "breakwater.dev",
        version = "v1alpha1",
        kind = "RolloutState",
        namespaced,
        doc = "What was frozen at a wave's start, in shards. The controller's own: written once, never by hand.",
        shortname = "brs",
        category = "breakwater",
        printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
        printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
        printcolumn(name = "Wave", type_ = "string", json_path = ".spec.wave"),
        printcolumn(name = "Shard", type_ = "integer", json_path = ".spec.shard"),
        printcolumn(name = "Of", type_ = "integer", json_path = ".spec.shards"),
        printcolumn(name = "Tenants", type_ = "integer", json_path = ".spec.tenants"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    ),
    x_kube(validation = ("self == oldSelf", "what was frozen does not change"))
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStateSpec {
    /// Format of what follows; 1 today.
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1_000)))]
    pub format: u32,
    /// Name of the Rollout, in the same namespace.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 52)))]
    pub rollout: String,
    /// The version that goes in.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 128)))]
    pub version: String,
    /// The wave.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 40)))]
    pub wave: String,
    /// When the wave started.
    pub wave_started_at: Timestamp,
    /// Which shard this is, from 0.
    #[cfg_attr(feature = "kube", schemars(range(min = 0, max = 63)))]
    pub shard: u32,
    /// How many there are; a wave of which one is missing is not used.
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 64)))]
    pub shards: u32,
    /// Tenants of the wave in this shard.
    #[cfg_attr(feature = "kube", schemars(range(min = 0, max = 1_000_000)))]
    pub tenants: u32,
    /// The SLOs that are counted by tenant, in the order of the members' columns.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 8)))]
    pub slos: Vec<FrozenSlo>,
    /// The wave's tenants, in base64: each its id (8 bytes) and per SLO its bad events and all its events of the seven
    /// days before (4 bytes each). No events at all: -1, no series then; -2, not a tenant of the wave for this SLO.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 720_000)))]
    pub members: String,
    /// Of the same tenants in the same order, in base64: per SLO and each of its `edges` the events of the seven days that
    /// were slower (4 bytes each); -1: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 720_000)))]
    pub slower: String,
}

/// One SLO of a wave's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FrozenSlo {
    /// Its name.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 63)))]
    pub name: String,
    /// Hash of its definition: what was frozen for another one is not used (R9).
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 16)))]
    pub definition: String,
    /// Ratio of bad events over the whole fleet in these seven days, to which the tenants' own are shrunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<f64>,
    /// Bucket edges of a latency's shape, in seconds, ascending: the columns of `slower`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 4)))]
    pub edges: Vec<f64>,
    /// Per edge the ratio of slower events over the whole fleet in these seven days; 0: not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 4)))]
    pub slower_fleet: Vec<f64>,
    /// What the past taught: in the first shard, for SLOs that are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<FrozenLearned>,
}

/// What the past taught about one SLO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FrozenLearned {
    /// Dispersion of candidates against baseline, pooled.
    pub phi: f64,
    /// Dispersion of one tenant against the pooled baseline.
    pub phi_tenant: f64,
    /// Dispersion of the candidates against their own past.
    pub phi_past: f64,
    /// Dispersion of traffic.
    pub phi_traffic: f64,
    /// Dispersion above the bucket edges at which the shape is compared; absent: it is not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phi_shape: Option<f64>,
    /// Those edges, in seconds, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 4)))]
    pub shape: Vec<f64>,
    /// Why the comparison may not be armed; absent: it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<FrozenDoubt>,
    /// The smallest ratio that the replayed traffic would have found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// Steps that were replayed.
    #[cfg_attr(feature = "kube", schemars(range(min = 0, max = 1_000_000_000)))]
    pub replayed: u64,
    /// The candidates' week in stretches of ten minutes, in base64: seconds seen, bad events, exposure, good events and
    /// what was usual, 4 bytes each.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 32_768)))]
    pub profile: String,
}

/// Why an SLO is not calibrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FrozenDoubt {
    /// Which tenants or margin are the cause, as words.
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub reason: String,
    /// Whether a guard beside the comparison would have reverted as well.
    #[serde(default)]
    pub guards: bool,
}
