//! What a review says. Data only; written as camelCase.

pub use breakwater_crds::words::{Impact, RevertSafety as Revert};
use serde::Serialize;

use crate::{Blocked, Dialect, Estimate, Lock, OldBinary, Reversible, Work};

/// The seeds' decision table (001, 003): large table, and whether other operations go on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// Small, and others go on: nothing to do.
    Nothing,
    /// Large, and others go on: publish the SQL for off-hours, inform SRE.
    PublishForOffHours,
    /// Large, and others go on, but its SQL is not right to run beforehand: the old binary would fail, or the shipped
    /// statement would (migrations.md 0.10).
    UpgradeOffHours,
    /// Small, but others wait: report the block, performance team.
    ReportBlock,
    /// Large, and others wait: unavoidable downtime; performance team first, inform SRE, hold the wave.
    UnavoidableDowntime,
    /// Not known which: ask before anything else.
    Ask,
}

impl Decision {
    /// What to do, as the seeds say it.
    pub fn action(self) -> &'static str {
        match self {
            Self::Nothing => "nothing to do",
            Self::PublishForOffHours => "publish the SQL for off-hours, inform SRE",
            Self::UpgradeOffHours => "upgrade off-hours (its SQL is not to be run beforehand), inform SRE",
            Self::ReportBlock => "report the block to the performance team",
            Self::UnavoidableDowntime => {
                "unavoidable downtime: performance team first, inform SRE, hold the wave"
            }
            Self::Ask => "not known: find out before it enters a wave",
        }
    }
}

/// A rule that a file breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Where: the file's line, from 1.
    pub line: usize,
    /// What was found.
    pub what: String,
    /// The safe alternative.
    pub fix: &'static str,
    /// Whether its author has marked it as seen (`-- nolint:concurrentIndex`): the verdicts are the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub acknowledged: bool,
}

/// One statement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The line where it, or what it stands in, starts.
    pub line: usize,
    /// Its text.
    pub sql: String,
    /// What it stands in: `DO`, `EXECUTE`, `PREPARE`, `CALL name`.
    pub within: Vec<String>,
    /// Whether a condition may skip it: the review says what happens if not.
    pub guarded: bool,
    /// The table, lower case: of several, the one that weighs most.
    pub table: Option<String>,
    /// All tables that it names, in its order.
    pub tables: Vec<String>,
    /// That table's rows, where given.
    pub rows: Option<u64>,
    /// The strongest lock on the table.
    pub lock: Lock,
    /// The lock on another table (a foreign key's, a partition), if one is taken.
    pub other_lock: Option<Lock>,
    /// Reads.
    pub reads: Blocked,
    /// Writes.
    pub writes: Blocked,
    /// What the server does.
    pub work: Work,
    /// For how long it works.
    pub duration: Option<Estimate>,
    /// For how long its lock is held: in a transactional file, to the file's end.
    pub lock_held: Option<Estimate>,
    /// The seeds' decision table.
    pub decision: Decision,
    /// When it may run.
    pub impact: Impact,
    /// The old binary afterwards.
    pub old_binary: OldBinary,
    /// Whether its result leaves the old binary as it was, so that it may run before the upgrade (it can still lock: seed 002, note 2).
    pub safe_before_upgrade: bool,
    /// Whether running it beforehand makes the shipped one do nothing: only then it is in the off-hours SQL.
    pub becomes_no_op: bool,
    /// What can be taken back.
    pub reversible: Reversible,
    /// Why all this, one sentence each.
    pub reasons: Vec<String>,
}

impl Statement {
    /// What others feel of it, in the words of the v6.0 analysis (seed 002).
    pub fn felt(&self) -> &'static str {
        match (self.reads, self.writes) {
            (Blocked::Unknown, _) | (_, Blocked::Unknown) => "what it blocks is not known",
            (Blocked::Whole, _) => "no reads nor writes for the whole duration",
            (_, Blocked::Whole) => "no writes for the whole duration",
            (Blocked::Brief, _) => "reads and writes wait briefly",
            (_, Blocked::Brief) => "writes wait briefly",
            (_, Blocked::MatchedRows) => "only the rows it changes are locked",
            _ => "reads and writes go on",
        }
    }
}

/// One migration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// Its number.
    pub number: u32,
    /// Its name, without number and ending.
    pub name: String,
    /// Whether one transaction holds the whole file.
    pub transactional: bool,
    /// The statements, unwrapped.
    pub statements: Vec<Statement>,
    /// How long the file takes.
    pub duration: Option<Estimate>,
    /// When it may run.
    pub impact: Impact,
    /// What a revert over it needs.
    pub revert: Revert,
    /// The reasons of the two verdicts.
    pub reasons: Vec<String>,
    /// Rules it breaks.
    pub findings: Vec<Finding>,
}

/// A part of the down SQL.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DownStep {
    /// The migration's number.
    pub number: u32,
    /// The down file.
    pub file: String,
    /// Its text.
    pub sql: String,
}

/// The review of a range of migrations.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// The server's kind.
    pub dialect: Dialect,
    /// The server's version.
    pub server_version: String,
    /// After this one.
    pub from: u32,
    /// Up to this one.
    pub to: u32,
    /// The worst of the migrations' impacts.
    pub impact: Impact,
    /// The worst of the migrations' reverts.
    pub revert: Revert,
    /// How long all files take.
    pub duration: Option<Estimate>,
    /// The reasons of the two verdicts, the worst first.
    pub reasons: Vec<String>,
    /// The migrations, in order.
    pub migrations: Vec<Migration>,
    /// Rules that the folder breaks: numbers, the list file, the other dialect's folder, files that were shipped before.
    pub findings: Vec<Finding>,
    /// What to run off-hours beforehand, where that is right.
    pub off_hours_sql: Vec<String>,
    /// The down files, in the order to run them: the last migration first.
    pub down_sql: Vec<DownStep>,
    /// The text for SRE, where they are to be told.
    pub inform_sre: Option<String>,
    /// What no analysis of SQL can see.
    pub limits: Vec<&'static str>,
}

impl Review {
    /// The number of the first migration that is reviewed.
    pub fn first(&self) -> u32 {
        self.migrations.first().map_or(self.to, |one| one.number)
    }
}
