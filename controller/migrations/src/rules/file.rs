//! Rules on a file as a whole, and on what follows what in it. Pure.

use std::collections::BTreeSet;

use super::{File, at, change::concurrently};
use crate::{Dialect, Finding, Lock, Rule, Work, op::Op, read::Read};

/// All of them.
pub(super) fn whole(file: &File<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    pair(file, &mut out);
    shape(file, &mut out);
    together(file, &mut out);
    timeouts(file, &mut out);
    transactions(file, &mut out);
    order(file, &mut out);
    out
}

/// The prefix and the down file.
fn pair(file: &File<'_>, out: &mut Vec<Finding>) {
    let up = &file.pair.up.name;
    if file.postgresql() && file.pair.misplaced_prefix() {
        let what = format!(
            "{up} mentions the prefix, but not as its first bytes, so morph runs it in a transaction"
        );
        let fix = "make the first line exactly `-- morph:nontransactional`";
        out.push(Finding::of(Rule::NtxPrefixMisplaced, 1, what, fix));
    }
    let Some(down) = &file.pair.down else {
        let what = format!("no down file for {up}");
        return out.push(Finding::of(Rule::MissingDown, 1, what, "add one, so that the pair is reversible"));
    };
    if !file.reads.is_empty() && crate::split::split(&down.sql, file.dialect).is_empty() {
        let what = format!("{} holds no statement", down.name);
        out.push(Finding::of(Rule::NoopDown, 1, what, "write what takes the up file back"));
    }
}

/// Whether a statement changes a table: its schema or its rows.
fn changes(read: &Read) -> bool {
    read.steps.iter().any(|step| {
        !matches!(step.action.op, Op::Select { .. } | Op::Session { .. } | Op::Transaction { .. })
            && (step.effect.lock > Lock::AccessShare || matches!(step.action.op, Op::CreateTable { .. }))
    })
}

/// How many statements and tables a file holds.
fn shape(file: &File<'_>, out: &mut Vec<Finding>) {
    let changing: Vec<&Read> = file.reads.iter().filter(|read| changes(read)).collect();
    if file.postgresql() && !file.transactional && file.reads.len() > 1 {
        let fix = "one statement a file: several in one query are a transaction, where CONCURRENTLY fails";
        let apart = |read: &&&Read| read.steps.iter().any(|step| concurrently(&step.action.op));
        out.extend(changing.iter().filter(apart).map(|read| at(read, Rule::NtxMultiStatement, fix)));
    }
    let tables: BTreeSet<&str> = changing
        .iter()
        .flat_map(|read| &read.steps)
        .filter(|step| !matches!(step.action.op, Op::Select { .. }))
        .filter_map(|step| step.action.table.as_deref())
        .collect();
    if tables.len() > 1 {
        let what = format!("it changes {}", tables.into_iter().collect::<Vec<_>>().join(", "));
        out.push(Finding::of(Rule::OneThingPerFile, 1, what, "one change a file (seed 004)"));
    }
    if file.dialect == Dialect::Mysql && changing.len() > 1 {
        let what = format!("{} statements, each committed alone", changing.len());
        let fix = "one statement a file, or each with a guard: a failure half-way is not recorded";
        out.push(Finding::of(Rule::MysqlDdlAutocommit, 1, what, fix));
    }
}

/// Several statements on one table.
fn together(file: &File<'_>, out: &mut Vec<Finding>) {
    let (mut rewritten, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    for read in file.reads {
        let rewrites =
            read.steps.iter().filter(|step| step.effect.work == Work::Rewrite && !step.before.fresh);
        let tables: BTreeSet<_> = rewrites.filter_map(|step| step.action.table.as_deref()).collect();
        if tables.iter().any(|table| rewritten.contains(table)) {
            let fix = "one ALTER with commas: each rewrite is a pass of its own (seed 002, note 3)";
            out.push(at(read, Rule::MultipleAlterSameTable, fix));
        }
        rewritten.extend(tables);
        for step in &read.steps {
            match &step.action.op {
                Op::DropTable { .. } => _ = dropped.insert(&step.action.table),
                Op::CreateTable { .. } if dropped.contains(&step.action.table) => {
                    let fix = "a plain CREATE TABLE: dropping it first loses its rows";
                    out.push(at(read, Rule::CreateForce, fix));
                }
                _ => {}
            }
        }
    }
}

/// The first strong lock without a bound on the wait for it, and the first long one without a bound on the work.
fn timeouts(file: &File<'_>, out: &mut Vec<Finding>) {
    if !file.postgresql() {
        return;
    }
    let (mut waits, mut works) = (true, true);
    for read in file.reads {
        for step in &read.steps {
            if let Op::Session { lock_timeout, statement_timeout, .. } = step.action.op {
                (waits, works) = (waits && !lock_timeout, works && !statement_timeout);
            }
            let (lock, work) = (step.effect.lock, step.effect.work);
            if waits && !step.before.fresh && lock.blocks_reads() {
                waits = false;
                let fix =
                    "SET LOCAL lock_timeout, and try again: behind one long query everything else waits";
                out.push(at(read, Rule::NoLockTimeout, fix));
            }
            if works && !step.before.fresh && lock.blocks_writes() && work != Work::Catalog {
                works = false;
                let fix = "SET LOCAL statement_timeout: else the runner's own ends it (morph's is 300 s)";
                out.push(at(read, Rule::NoStatementTimeout, fix));
            }
        }
    }
}

/// BEGIN and COMMIT where morph's own transaction is, or a BEGIN that nothing ends.
fn transactions(file: &File<'_>, out: &mut Vec<Finding>) {
    let mut open = None;
    for read in file.reads {
        for step in &read.steps {
            let Op::Transaction { begin } = step.action.op else { continue };
            open = begin.then_some(read);
            if file.transactional {
                let fix = "remove it: morph's transaction holds the file";
                out.push(at(read, Rule::ExplicitTxInFile, fix));
            }
        }
    }
    if let (Some(read), false) = (open, file.transactional) {
        out.push(at(read, Rule::ExplicitTxInFile, "COMMIT what it begins: morph does not"));
    }
}

/// What follows a strong lock in one transaction.
fn order(file: &File<'_>, out: &mut Vec<Finding>) {
    if !file.transactional {
        return;
    }
    let mut strong = false;
    for read in file.reads {
        let others = || read.steps.iter().filter(|step| !step.before.fresh);
        let work = others().map(|step| step.effect.work).max();
        if strong && work.is_some_and(|work| work != Work::Catalog) {
            let (rule, fix) = if work == Some(Work::Dml) {
                (Rule::DmlAfterDdl, "separate files: the DDL's lock is kept while the rows change")
            } else if read.steps.iter().any(|step| matches!(step.action.op, Op::Validate { .. })) {
                (Rule::ValidateWhileBlocking, "VALIDATE in a file of its own")
            } else {
                (Rule::MoreAfterAccessExclusive, "separate files: the lock is kept to the end of the file")
            };
            out.push(at(read, rule, fix));
        }
        strong |= others().any(|step| step.effect.lock.blocks_writes());
    }
}
