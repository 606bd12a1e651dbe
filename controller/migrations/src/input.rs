//! What a review is given, checked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Dialect, OldBinary, Problem, Rows};

/// What only the application's authors know of a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    /// The migration's number.
    pub migration: u32,
    /// Which of its statements, counted from 1 as the review counts them; all without it.
    #[serde(default)]
    pub statement: Option<usize>,
    /// How the old binary fares, whatever the analysis says.
    pub old_binary: OldBinary,
    /// Why; it is shown with the verdict.
    pub reason: String,
}

/// A review's input.
#[derive(Clone, Debug)]
pub struct Input {
    /// The files' contents by name: `000066_name.up.sql`. All of them, from the first migration on, so that old types are known.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The server's kind.
    pub dialect: Dialect,
    /// The server's version: `11.7`, `8.0.29`, `15`.
    pub server_version: String,
    /// Numbers after this one are reviewed: the last that the running version has applied.
    pub from: u32,
    /// The last number reviewed.
    pub to: u32,
    /// The last number that the last ESR has, if it is known: everything after it must be backwards compatible (seed 004).
    pub last_esr: Option<u32>,
    /// Rows by table, lower case.
    pub rows: Rows,
    /// Tables that are large whatever their rows say, and from how many rows on a table is.
    pub large: Large,
    /// What only the application's authors know.
    pub overrides: Vec<Override>,
    /// The release before's files by name, if at hand: a shipped file is not edited, and old types come from what ran.
    pub shipped: BTreeMap<String, Vec<u8>>,
    /// The numbers in the other dialect's folder, if there is one.
    pub twin: Option<BTreeSet<u32>>,
    /// The text of `migrations.list`, if there is one.
    pub list: Option<String>,
    /// Whether rules of style are told.
    pub style: bool,
}

impl Input {
    /// The least that a review needs; the rest is as if nothing more were known. `from` is the last number that runs now.
    pub fn new(
        files: BTreeMap<String, Vec<u8>>,
        dialect: Dialect,
        server_version: impl Into<String>,
        from: u32,
        to: u32,
    ) -> Self {
        Self {
            files,
            dialect,
            server_version: server_version.into(),
            from,
            to,
            last_esr: None,
            rows: Rows::new(),
            large: Large::default(),
            overrides: Vec::new(),
            shipped: BTreeMap::new(),
            twin: None,
            list: None,
            style: false,
        }
    }
}

/// What a large table is (seed 003: "like Posts or `ThreadMemberships`").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Large {
    /// Named ones.
    pub tables: Vec<String>,
    /// From so many rows on.
    pub rows: u64,
}

impl Default for Large {
    fn default() -> Self {
        // The seeds name two; by 002's counts Channels, with 264 168 rows, belongs to them too.
        Self { tables: vec!["posts".into(), "threadmemberships".into()], rows: 200_000 }
    }
}

impl Large {
    /// Whether a table is large: by its name, or by the rows that were given.
    pub(crate) fn is(&self, table: Option<&String>, rows: Option<u64>) -> bool {
        table.is_some_and(|table| self.tables.contains(table)) || rows.is_some_and(|rows| rows >= self.rows)
    }
}

/// The version as three numbers, if it is one that is reviewed.
pub(crate) fn version(dialect: Dialect, text: &str) -> Result<(u16, u16, u16), Problem> {
    let bad = |fix: &str| Problem::of("server version", format!("`{text}` cannot be used"), fix);
    let mut parts =
        text.split('.').map(|part| part.bytes().take_while(u8::is_ascii_digit).count()).zip(text.split('.'));
    let mut next = || parts.next().map_or(Ok(0), |(digits, part)| part[..digits].parse::<u16>());
    let (Ok(major), Ok(minor), Ok(patch)) = (next(), next(), next()) else {
        return Err(bad("write it as the server says it, such as 15.4 or 8.0.36"));
    };
    if text.to_lowercase().contains("mariadb") {
        return Err(bad("MariaDB alters tables by rules of its own, which are not in the tables here"));
    }
    match (dialect, major, minor) {
        (Dialect::Postgresql, 11..=18, _) | (Dialect::Mysql, 5, 7) | (Dialect::Mysql, 8, 0) => {
            Ok((major, minor, patch))
        }
        (Dialect::Postgresql, ..) => Err(bad("PostgreSQL 11 to 18 are reviewed")),
        (Dialect::Mysql, ..) => Err(bad("MySQL 5.7 and 8.0 are reviewed")),
    }
}
