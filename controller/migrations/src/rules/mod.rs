//! The rules of migrations.md section 1: each finding with a safe alternative. Pure.
//!
//! `change` holds those on one change, `file` those on a file's order and shape, `guard` those on what a guard asks,
//! `style` those that are off by default; [`crate::folder`] holds those on the folder as a whole.

mod change;
mod file;
pub(crate) mod guard;
mod repeat;
mod style;

pub(crate) use repeat::repeatable;

use breakwater_text::cut::DOTS;

use crate::{Dialect, Finding, Rule, files::Pair, read::Read, reasons::brief};

/// A file as the rules see it.
pub(crate) struct File<'a> {
    pub pair: &'a Pair,
    pub dialect: Dialect,
    pub version: (u16, u16, u16),
    pub transactional: bool,
    /// Whether rules of style count.
    pub style: bool,
    pub reads: &'a [Read],
}

impl File<'_> {
    fn postgresql(&self) -> bool {
        self.dialect == Dialect::Postgresql
    }
}

/// All findings of a file.
pub(crate) fn findings(file: &File<'_>) -> Vec<Finding> {
    let mut out = file::whole(file);
    for text in std::iter::once(&file.pair.up).chain(&file.pair.down) {
        let fix = "INFORMATION_SCHEMA.COLUMNS for a column, with its length in character_maximum_length";
        let found = guard::wrong(text, file.dialect).into_iter();
        out.extend(found.map(|(line, what)| {
            Finding::of(Rule::GuardWrongCatalog, line, format!("{}: {what}", text.name), fix)
        }));
    }
    for read in file.reads {
        for step in &read.steps {
            let found = change::findings(step, read, file);
            out.extend(found.into_iter().map(|(rule, fix)| at(read, rule, fix)));
        }
        out.extend(change::of_statement(read, file).into_iter().map(|(rule, fix)| at(read, rule, fix)));
        if file.style && file.postgresql() {
            out.extend(style::findings(read).into_iter().map(|(rule, fix)| at(read, rule, fix)));
        }
    }
    acknowledge(file, &mut out);
    // A statement with several changes breaks a rule once.
    let mut told = std::collections::BTreeSet::new();
    out.retain(|one| told.insert((one.rule, one.line, one.what.clone())));
    out
}

/// A finding of a statement, shown by its first words.
fn at(read: &Read, rule: Rule, fix: &'static str) -> Finding {
    Finding::of(rule, read.leaf.line, brief(&read.leaf.sql), fix)
}

/// The mark of Mattermost's own check for indexes: its author has seen the finding. The verdict stays (migrations.md 0.9).
const NOLINT: &str = "nolint:concurrentindex";

fn acknowledge(file: &File<'_>, findings: &mut [Finding]) {
    let text = file.pair.up.sql.to_lowercase();
    if !text.contains(NOLINT) {
        return;
    }
    let marked = |line: &str| line.trim_start().starts_with("--") && line.contains(NOLINT);
    let lines: Vec<&str> = text.lines().collect();
    for finding in findings.iter_mut() {
        let before = finding.line.checked_sub(2).and_then(|at| lines.get(at));
        // In a DO block the mark stands inside: before any line that holds the statement's first word.
        let inside = lines.get(finding.line.saturating_sub(1)..).unwrap_or_default().windows(2).any(|two| {
            let shown = finding.what.to_lowercase();
            let next = brief(two[1].trim().trim_end_matches(';'));
            marked(two[0]) && !next.is_empty() && shown.starts_with(next.trim_end_matches(DOTS))
        });
        if matches!(finding.rule, Rule::IndexNotConcurrent | Rule::IndexDropNotConcurrent) {
            finding.acknowledged = before.is_some_and(|line| marked(line)) || inside;
        }
    }
}
