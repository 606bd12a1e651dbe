//! `Release`: facts about one version, and the evidence for it (product.md 2; rules R19, R21, R23). What is in `spec` is
//! evidence; what follows from it the controller works out, so nobody can just claim a pass.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    names,
    scalars::Span,
    words::{Impact, LoadTestVerdict, RevertSafety, Word},
};

/// Most migrations whose verdicts the status lists, the worst first.
pub const MIGRATIONS_LISTED_MAX: usize = 32;
/// Most metrics of a load test that the status names.
pub const METRICS_LISTED_MAX: usize = 8;
/// Most tables whose largest tenant the status names.
pub const ROWS_LISTED_MAX: usize = 16;
/// Longest sentence in a Release's status, in bytes.
pub const SENTENCE_MAX: usize = 1024;

/// One version and the evidence about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, kube::KubeSchema),
    kube(
        group = "breakwater.dev",
        version = "v1alpha1",
        kind = "Release",
        namespaced,
        doc = "Facts about one version, and the evidence about it: what its migrations lock, whether it can be reverted, how its load test went.",
        shortname = "brl",
        category = "breakwater",
        status = "ReleaseStatus",
        printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
        printcolumn(name = "Lane", type_ = "string", json_path = ".spec.lane"),
        printcolumn(name = "Impact", type_ = "string", json_path = ".status.migrations.impact"),
        printcolumn(name = "Revert", type_ = "string", json_path = ".status.migrations.revert"),
        printcolumn(name = "Load-Test", type_ = "string", json_path = ".status.loadTest"),
        printcolumn(name = "Withdrawn", type_ = "string", json_path = ".spec.withdrawn"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
    ),
    x_kube(validation = kube::core::Rule::new("self.version == oldSelf.version")
        .message("version is immutable: a Release speaks of one version; create another one")
        .field_path(".version"))
)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// The version it speaks of.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9._+]*[A-Za-z0-9])?$"))
    )]
    pub version: String,
    /// Names of the Rollouts that it is for, in the same namespace; none: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 64), inner(length(min = 1, max = 52)), extend("x-kubernetes-list-type" = "set")))]
    pub rollouts: Vec<String>,
    /// How fast it may travel; never how little it is watched.
    #[serde(default)]
    pub lane: Lane,
    /// Why this version is never to be rolled out, nor gone back to. It waits with that reason for ever; where it is under
    /// way already nothing advances, and a human decides on a revert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 1024)))]
    pub withdrawn: Option<String>,
    /// Names of the `DeviationReport`s that this version answers: they do not keep it from starting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set")))]
    pub fixes: Vec<String>,
    /// Since when the builds of the Rollout that `gates.soak` names have held all that this version holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub includes_since: Option<Timestamp>,
    /// Its schema migrations. Without them nobody knows what they do: `gates.migrations` is not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Migrations>,
    /// Its load tests against the last stable version, one per configuration: all of them must pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub load_tests: Vec<LoadTest>,
}

/// How fast a version may travel. Watching and reverting are the same in every lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Lane {
    /// As the waves say.
    #[default]
    Normal,
    /// Takes over from the version under way, and soaks as `laneSoak.patch` says.
    Patch,
    /// The same with `laneSoak.emergency`; needs one Acknowledge (`emergency`), and then neither windows nor approvals, and
    /// gates only warn. Freezes hold it all the same.
    Emergency,
}

names!(Lane { Normal, Patch, Emergency });

/// Schema migrations, as morph-style files (`000066_name.up.sql`, `000066_name.down.sql`), from the first one on, so that old
/// types are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("!has(self.to) || self.to >= self.from", "to must not be before from"))
)]
#[serde(rename_all = "camelCase")]
pub struct Migrations {
    /// The server's kind.
    pub dialect: Dialect,
    /// The server's version, as it says it: `15.4`, `8.0.36`.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 64)))]
    pub server_version: String,
    /// The last migration that every version which may be running has applied: those after it are reviewed. Where the
    /// running version has a Release of its own, its `to` stands before this.
    #[serde(default)]
    #[cfg_attr(feature = "kube", schemars(range(max = 999_999)))]
    pub from: u32,
    /// This version's last migration; default: the last of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(max = 999_999)))]
    pub to: Option<u32>,
    /// The last migration of the last ESR, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(max = 999_999)))]
    pub last_esr: Option<u32>,
    /// `ConfigMap`s of the same namespace whose entries are the files; several, for size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 32), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set")))]
    pub config_maps: Vec<String>,
    /// Files by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "kube", schemars(schema_with = "inline_schema"))]
    pub inline: BTreeMap<String, String>,
    /// Rows by table, lower case, of the largest tenant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "kube", schemars(schema_with = "rows_schema"))]
    pub rows: BTreeMap<String, u64>,
    /// Where rows are counted that differ by tenant: of each table the largest tenant counts. It stands before `rows`, and
    /// while it cannot be read the verdicts are `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_from: Option<RowsFrom>,
    /// Tables that are large whatever their rows say; default: what the reviewer takes for large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 64), inner(length(min = 1, max = 128))))]
    pub large_tables: Vec<String>,
    /// What only the application's authors know of a migration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 64)))]
    pub overrides: Vec<Override>,
}

/// Where the rows of tenants' tables are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("has(self.metric) != has(self.labelPrefix)", "exactly one of metric and labelPrefix must be given"))
)]
#[serde(rename_all = "camelCase")]
pub struct RowsFrom {
    /// A metric in the Prometheus of the Release's Rollouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<RowsMetric>,
    /// Labels of the tenants' objects: this and the table's name, such as `rows.example.com/` of `rows.example.com/posts: "11470022"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 253)))]
    pub label_prefix: Option<String>,
}

/// A metric of rows by tenant and table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RowsMetric {
    /// `PromQL` of one series per tenant and table: `max by (installationId, relname) (pg_stat_user_tables_n_live_tup)`.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 2048)))]
    pub query: String,
    /// The label that names the table.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 128), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))
    )]
    pub table_label: String,
    /// The labels that, joined by `/`, name the tenant.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 8), inner(length(min = 1, max = 128))))]
    pub tenant_labels: Vec<String>,
}

/// A kind of database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Dialect {
    /// `PostgreSQL`, 11 to 18.
    PostgreSQL,
    /// `MySQL`, 5.7 and 8.0.
    MySQL,
}

/// What only the application's authors know of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// The migration's number.
    #[cfg_attr(feature = "kube", schemars(range(max = 999_999)))]
    pub migration: u32,
    /// Which of its statements, counted from 1; without it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 999_999)))]
    pub statement: Option<u32>,
    /// How the old binary fares on the new schema.
    pub old_binary: OldBinary,
    /// Why; shown with the verdict.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 512)))]
    pub reason: String,
}

/// How the old binary fares on the new schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum OldBinary {
    /// It works as before.
    Works,
    /// It may meet what it does not expect.
    May,
    /// Some of its statements fail.
    Breaks,
}

/// One load test: runs of the last stable version, and of this one, on the same configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LoadTest {
    /// The configuration's name, unique in the Release: `postgresql-ha`.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub name: String,
    /// Reports of the last stable version; several runs tell the noise.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 16)))]
    pub base: Vec<Report>,
    /// Reports of this version.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 16)))]
    pub candidate: Vec<Report>,
    /// What counts as worse: the YAML that `breakwater loadtest compare --rules` reads; default: its defaults.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 65_536)))]
    pub rules: String,
}

/// A report of a load test, as load-test-ng writes it: an entry of a `ConfigMap` of the same namespace, plain (`data`) or gzip
/// (`binaryData`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Name of the `ConfigMap`.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))
    )]
    pub config_map: String,
    /// The entry.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$")))]
    pub key: String,
}

/// Whether a Release that names these Rollouts is for this one.
pub fn is_for(rollouts: &[String], rollout: &str) -> bool {
    rollouts.is_empty() || rollouts.iter().any(|name| name == rollout)
}

impl ReleaseSpec {
    /// Names of the `ConfigMap`s that hold its evidence, each once.
    pub fn config_maps(&self) -> Vec<&str> {
        let files = self.migrations.iter().flat_map(|migrations| &migrations.config_maps).map(String::as_str);
        let tests = self.load_tests.iter().flat_map(|test| test.base.iter().chain(&test.candidate));
        let mut names: Vec<&str> = files.chain(tests.map(|report| report.config_map.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What the controller worked out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// The generation that this status speaks of.
    pub observed_generation: i64,
    /// All of it in one sentence.
    pub message: String,
    /// The migrations' verdicts, over all that are reviewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<MigrationsStatus>,
    /// The worst verdict of the load tests: `Pass`, `Warn`, `Fail`, `NoData`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_test: Option<Word<LoadTestVerdict>>,
    /// Each load test's verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_tests: Vec<LoadTestStatus>,
}

/// What a review of the migrations says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationsStatus {
    /// The migrations after this one ...
    pub from: u32,
    /// ... up to this one were reviewed.
    pub to: u32,
    /// When they may run: `Quiet`, `OffHours`, `Downtime`, `Unknown`.
    pub impact: Word<Impact>,
    /// What a revert needs: `RevertSafe`, `RevertNeedsDown`, `RevertLosesData`, `Unknown`.
    pub revert: Word<RevertSafety>,
    /// The longest that all of them together may take, at the given numbers of rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<Span>,
    /// Why, the worst first, or what could not be read.
    pub message: String,
    /// The largest tenants, by the tables of the migrations that are listed, at most 16 (`rowsFrom`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<TableRows>,
    /// The migrations that are not `Quiet` and `RevertSafe`, the worst first, at most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<MigrationStatus>,
    /// What to tell SRE, where they are to be told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub inform_sre: String,
}

/// The largest tenant of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TableRows {
    /// The table.
    pub table: String,
    /// Its rows there.
    pub rows: u64,
    /// The tenant.
    pub tenant: String,
}

/// What one migration does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationStatus {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// When it may run.
    pub impact: Word<Impact>,
    /// What a revert over it needs.
    pub revert: Word<RevertSafety>,
    /// Why.
    pub message: String,
}

/// What a load test says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LoadTestStatus {
    /// The configuration's name.
    pub name: String,
    /// `Pass`, `Warn`, `Fail`, `NoData`.
    pub verdict: Word<LoadTestVerdict>,
    /// Why, in a sentence.
    pub message: String,
    /// The metrics that matter, the worst first, at most 8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
}

#[cfg(feature = "kube")]
fn inline_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 512,
        "description": "Files by name: `000066_name.up.sql`.",
        "additionalProperties": {"type": "string", "maxLength": 262_144},
    })
}

#[cfg(feature = "kube")]
fn rows_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 512,
        "description": "Rows by table, lower case, of the largest tenant.",
        "additionalProperties": {"type": "integer", "format": "int64", "minimum": 0},
    })
}
