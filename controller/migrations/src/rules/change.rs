//! Rules on one change, and on one statement. Pure.

use super::{File, repeatable};
use crate::{
    Rule, Work,
    op::{Column, Constraint, Object, Op},
    read::{Read, Step},
};

/// A rule that is broken, and the safe alternative.
type Broken = (Rule, &'static str);

const STOP_USING: &str = "stop using it in one release, drop it after the last ESR that does";
const TWO_FILES: &str = "CREATE UNIQUE INDEX CONCURRENTLY, then ADD UNIQUE USING INDEX, in two files";
const NO_FOREIGN_KEY: &str = "no foreign key; else NOT VALID, and VALIDATE in another file";

/// Collects the rules that hold.
#[derive(Default)]
struct Found(Vec<Broken>);

impl Found {
    fn when(&mut self, holds: bool, rule: Rule, fix: &'static str) {
        if holds {
            self.0.push((rule, fix));
        }
    }
}

/// Whether it is a form that fails in a transaction.
pub(super) fn concurrently(op: &Op) -> bool {
    matches!(
        op,
        Op::CreateIndex { concurrently: true, .. }
            | Op::DropIndex { concurrently: true, .. }
            | Op::Reindex { concurrently: true }
            | Op::Detach { concurrently: true, .. }
    )
}

/// Rules on a statement, whatever it changes.
pub(super) fn of_statement(read: &Read, file: &File<'_>) -> Vec<Broken> {
    let mut out = Found::default();
    let lock = read.lock.as_deref();
    let dml = read.steps.iter().any(|step| step.effect.work == Work::Dml);
    let nothing = read.steps.is_empty();
    #[rustfmt::skip]
    let rules = [
        (nothing && read.leaf.unknown.is_some(), Rule::DynamicSql, "write the statement out: what a string put together at run time does is not known"),
        (read.leaf.guarded && !nothing, Rule::GuardSkipsChange, "the worst case is reviewed: the change may be a no-op"),
        (read.leaf.looped && file.transactional && dml, Rule::LoopBatchInOneTx, "a job, or COMMIT in a procedure: batches in one transaction keep their row locks"),
        (read.algorithm.as_deref() == Some("COPY"), Rule::AlgorithmCopy, "leave ALGORITHM out: the server takes the lightest that it can"),
        (matches!(lock, Some("SHARED" | "EXCLUSIVE")), Rule::LockSharedExclusive, "leave LOCK out, or assert LOCK=NONE"),
        (read.refused.is_some(), Rule::AlgorithmUnsupported, "as an assertion it is a safe failure; the change itself needs another way"),
    ];
    for (holds, rule, fix) in rules {
        out.when(holds, rule, fix);
    }
    out.0
}

/// Rules on one change.
pub(super) fn findings(step: &Step, read: &Read, file: &File<'_>) -> Vec<Broken> {
    let mut out = Found::default();
    let op = &step.action.op;
    if file.postgresql() {
        let inside = file.transactional || !read.leaf.within.is_empty();
        let fix = "the prefix `-- morph:nontransactional` and a file of its own, outside DO and functions: it fails in a transaction";
        out.when(inside && concurrently(op), Rule::ConcurrentlyInTx, fix);
    }
    if !file.transactional && !read.leaf.guarded {
        let fix = "IF [NOT] EXISTS or a guard: the file runs again after a failure";
        out.when(!repeatable(op), Rule::NtxNotIdempotent, fix);
    }
    data_and_names(op, step, &mut out);
    // The rest is on tables that others use: one that this file makes is not.
    if !step.before.fresh {
        index(op, file, &mut out);
        column(step, file, &mut out);
        constraint(step, file, &mut out);
    }
    out.0
}

#[rustfmt::skip]
fn index(op: &Op, file: &File<'_>, out: &mut Found) {
    let postgresql = file.postgresql();
    match op {
        Op::CreateIndex { concurrently, if_not_exists, .. } => {
            out.when(postgresql && !concurrently, Rule::IndexNotConcurrent, "CREATE INDEX CONCURRENTLY, alone in a nontransactional file");
            out.when(*concurrently && *if_not_exists, Rule::InvalidIndexHidden, "check pg_index.indisvalid: a failed build leaves an invalid index that IF NOT EXISTS keeps");
            out.when(*concurrently && file.version >= (14, 0, 0) && file.version < (14, 4, 0), Rule::CicCorruptionPg14, "upgrade to 14.4 first: the index can be corrupt");
        }
        Op::DropIndex { concurrently: false, .. } => out.when(postgresql, Rule::IndexDropNotConcurrent, "DROP INDEX CONCURRENTLY, in a file of its own"),
        Op::Reindex { concurrently: false } => out.when(postgresql, Rule::ReindexNotConcurrent, "REINDEX CONCURRENTLY (12+)"),
        Op::Detach { concurrently: false, .. } => out.when(true, Rule::DetachNotConcurrent, "DETACH PARTITION CONCURRENTLY (14+)"),
        Op::VacuumFull | Op::Cluster => out.when(true, Rule::VacuumFull, "pg_repack"),
        Op::LockTable { .. } => out.when(true, Rule::LockTable, "do not (seed 004)"),
        _ => {}
    }
}

#[rustfmt::skip]
fn column(step: &Step, file: &File<'_>, out: &mut Found) {
    let rewrites = step.effect.work == Work::Rewrite;
    let old = step.before.column.as_ref();
    match &step.action.op {
        Op::ChangeType { .. } | Op::Modify { .. } => {
            out.when(rewrites, Rule::ColumnTypeChange, "add a column, backfill by a job, use it from an ESR on, drop the old one in the next (seed 004)");
            out.when(!rewrites, Rule::ColumnTypeChangeSafe, "the catalogue only");
            out.when(file.postgresql() && step.before.checked, Rule::TypeChangeWithCheck, "drop the CHECK, change the type, add the CHECK again NOT VALID, and VALIDATE it in another file");
        }
        Op::AddColumn { column, .. } => added(column, file, out),
        Op::SetNotNull { .. } => out.when(step.effect.work == Work::Scan, Rule::SetNotNull, "CHECK (c IS NOT NULL) NOT VALID; VALIDATE; SET NOT NULL (12+ needs no scan then)"),
        Op::DropNotNull { .. } => out.when(true, Rule::DropNotNull, "roll out readers that know NULL first"),
        Op::DropColumn { .. } => out.when(true, Rule::DropColumn, STOP_USING),
        Op::RenameColumn { .. } => out.when(true, Rule::RenameColumn, "a new one, written by both, and the old one dropped later"),
        _ => {}
    }
    if let Op::Modify { from, column } = &step.action.op {
        out.when(*from != column.name, Rule::RenameColumn, "a new one, written by both, and the old one dropped later");
        out.when(old.is_some_and(|old| old.not_null) && !column.not_null, Rule::DropNotNull, "roll out readers that know NULL first");
        let filled = old.is_some_and(|old| old.not_null) || !column.not_null;
        out.when(!filled && !strict_before(step, file), Rule::MysqlNotNullNonstrict, "a strict sql_mode, set before it: without one NULLs silently become zeroes and empty texts");
    }
}

/// Whether the file has set a strict mode before this change.
fn strict_before(step: &Step, file: &File<'_>) -> bool {
    let steps = file.reads.iter().flat_map(|read| &read.steps).take_while(|one| !std::ptr::eq(*one, step));
    steps.into_iter().any(|one| matches!(one.action.op, Op::Session { strict: true, .. }))
}

#[rustfmt::skip]
fn added(column: &Column, file: &File<'_>, out: &mut Found) {
    let postgresql = file.postgresql();
    let generated = column.volatile && column.default.is_none() && !column.auto_increment;
    out.when(column.volatile && column.default.is_some(), Rule::AddColumnDefaultVolatile, "add it nullable, SET DEFAULT, backfill in batches");
    out.when(column.not_null && column.default.is_none() && !column.volatile && !column.is_virtual, Rule::AddColumnRequired, "nullable, or a constant default, first");
    out.when(column.auto_increment, Rule::AddColumnSerial, "a new table, and a copy");
    out.when(generated, Rule::AddColumnGeneratedStored, "a trigger, or a virtual column");
    out.when(postgresql && column.kind == "json", Rule::AddColumnJson, "jsonb: json has no equality");
    out.when(postgresql && column.unique, Rule::AddUnique, TWO_FILES);
    out.when(column.primary, Rule::AddPrimaryKey, "a unique index concurrently, then PRIMARY KEY USING INDEX");
    out.when(column.references.is_some(), Rule::AddForeignKey, NO_FOREIGN_KEY);
    out.when(postgresql && column.references.is_some() && !column.unique && !column.primary, Rule::FkUnindexed, FK_INDEX);
    out.when(column.check, Rule::AddCheckValid, "add the column, then the CHECK NOT VALID, and VALIDATE in another file");
}

const FK_INDEX: &str =
    "an index that starts with its columns first: each delete of a referenced row reads the whole table";

#[rustfmt::skip]
fn constraint(step: &Step, file: &File<'_>, out: &mut Found) {
    let Op::AddConstraint { kind, not_valid, using_index, columns, .. } = &step.action.op else { return };
    let postgresql = file.postgresql();
    match kind {
        Constraint::Unique => out.when(postgresql && !using_index, Rule::AddUnique, TWO_FILES),
        Constraint::Primary => out.when(true, Rule::AddPrimaryKey, "a unique index concurrently, then PRIMARY KEY USING INDEX, on columns that are NOT NULL"),
        Constraint::Foreign => {
            out.when(!not_valid, Rule::AddForeignKey, NO_FOREIGN_KEY);
            out.when(postgresql && !step.before.indexed && !indexed_here(step, columns, file), Rule::FkUnindexed, FK_INDEX);
        }
        Constraint::Check | Constraint::NotNull => out.when(!not_valid, Rule::AddCheckValid, "NOT VALID, and VALIDATE in another file"),
        Constraint::Exclude => out.when(true, Rule::AddExclusion, "a maintenance window: there is no other way"),
    }
}

/// Whether the same file makes the index that a foreign key wants.
fn indexed_here(step: &Step, wanted: &[String], file: &File<'_>) -> bool {
    file.reads.iter().flat_map(|read| &read.steps).any(|other| match &other.action.op {
        Op::CreateIndex { columns, .. } => {
            other.action.table == step.action.table && crate::schema::leads(columns, wanted)
        }
        _ => false,
    })
}

/// What is wrong on any table, be it new or not.
#[rustfmt::skip]
fn data_and_names(op: &Op, step: &Step, out: &mut Found) {
    let fresh = step.before.fresh;
    match op {
        Op::DropTable { .. } => out.when(!fresh, Rule::DropTable, STOP_USING),
        Op::DropView { materialized, .. } => out.when(true, if *materialized { Rule::DropMatview } else { Rule::DropView }, STOP_USING),
        Op::DropDatabase => out.when(true, Rule::DropDatabase, "never"),
        Op::Truncate { cascade } => {
            out.when(!fresh && !cascade, Rule::Truncate, "delete in batches");
            out.when(*cascade, Rule::TruncateCascade, "name the tables: CASCADE empties every table that references it");
        }
        Op::RenameTable { .. } => out.when(!fresh, Rule::RenameTable, "a new one, written by both, and the old one dropped later; or a view"),
        Op::RenameSchema => out.when(true, Rule::RenameSchema, "do not: the old binary names it in every query"),
        Op::CreateIndex { unique, columns, .. } => out.when(!unique && columns.len() > 3, Rule::IndexWide, "fewer columns"),
        Op::EnumRenameValue => out.when(true, Rule::RenameEnumValue, "add a value"),
        Op::EnumAddValue { ordered, .. } => out.when(!ordered, Rule::EnumAddValueOrder, "say BEFORE or AFTER"),
        Op::CreateOther { what: Object::Enum, .. } => out.when(true, Rule::EnumCreate, "a lookup table, or text with a CHECK: an enum's values cannot be dropped"),
        Op::Update { bounded: false, .. } | Op::Delete { bounded: false } => out.when(!fresh, Rule::FullTableDml, "batches of 100 by id in a job at run time, with the offset kept (seed 004)"),
        Op::Domain { constrained, .. } => out.when(*constrained, Rule::DomainConstraint, "a CHECK on the column"),
        _ => {}
    }
}
