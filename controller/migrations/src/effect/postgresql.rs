//! PostgreSQL's lock table: migrations.md 5.1 and 5.2 as data, with where each row is from. Pure.
//!
//! Sources: "Explicit Locking" 13.3.1, the reference pages of each command, `AlterTableGetLockLevel` in tablecmds.c; and
//! the server itself: `--measure` replays the forms on a PostgreSQL and compares.

use super::{Effect, Facts};
use crate::{
    Lock, Work,
    op::{Action, Column, Constraint, Op},
    schema::Table,
    sqltype::split_type,
};

/// Why a constraint on a domain is not known.
const DOMAIN_USERS: &str =
    "a domain's constraint is checked in every table that uses it, and those are not known";

/// The forms that the lock table tells apart, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AddColumn,
    AddColumnComputed,
    AddColumnConstrained,
    AddColumnCheck,
    AddColumnReferences,
    DropColumn,
    DropColumnForeignKey,
    ChangeTypeRewrite,
    ChangeTypeRechecked,
    ChangeTypeCatalog,
    Default,
    SetNotNull,
    SetNotNullProved,
    DropNotNull,
    AddCheck,
    AddCheckNotValid,
    AddForeignKey,
    AddForeignKeyNotValid,
    AddKey,
    AddUniqueUsingIndex,
    AddPrimaryKeyUsingIndex,
    Validate,
    DropConstraint,
    DropConstraintForeignKey,
    RewriteTable,
    AttachPartition,
    AttachPartition11,
    DetachPartition,
    DetachPartitionConcurrently,
    Rename,
    RenameIndex,
    CreateIndex,
    CreateIndexConcurrently,
    DropIndex,
    DropIndexConcurrently,
    Reindex,
    ReindexConcurrently,
    CreateTrigger,
    DropTrigger,
    CreateTable,
    CreateTableAs,
    DropTable,
    DropTableForeignKey,
    Truncate,
    TruncateCascade,
    CreateMaterializedView,
    CreateView,
    ReplaceView,
    RefreshMaterializedView,
    RefreshMaterializedViewConcurrently,
    Dml,
    Select,
    SelectForUpdate,
    Analyze,
    NoTable,
}

impl Form {
    /// What its row says.
    fn effect(self) -> Effect {
        let row = &ROWS[self as usize];
        let replans = matches!(self, Self::Reindex);
        Effect { lock: row.lock, other: row.other, work: row.work, replans, ..Effect::default() }
    }
}

// Each form has the row of its own number.
const _: () = {
    assert!(ROWS.len() == Form::NoTable as usize + 1);
    let mut at = 0;
    while at < ROWS.len() {
        assert!(ROWS[at].form as usize == at);
        at += 1;
    }
};

/// A row of the lock table.
struct Row {
    form: Form,
    lock: Lock,
    other: Option<Lock>,
    work: Work,
    #[allow(dead_code, reason = "read by whoever checks the table, and by the docs")]
    source: &'static str,
}

impl Row {
    const fn new(form: Form, lock: Lock, other: Option<Lock>, work: Work, source: &'static str) -> Self {
        Self { form, lock, other, work, source }
    }
}

/// form, lock on the target, lock on another table, work, source.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row::new(Form::AddColumn, Lock::AccessExclusive, None, Work::Catalog, "5.1; no default or one value for all rows, 11+"),
    Row::new(Form::AddColumnComputed, Lock::AccessExclusive, None, Work::Rewrite, "5.1; volatile default, serial, identity, stored; any default up to 10"),
    Row::new(Form::AddColumnConstrained, Lock::AccessExclusive, None, Work::IndexBuild, "5.1; UNIQUE, PRIMARY KEY"),
    Row::new(Form::AddColumnCheck, Lock::AccessExclusive, None, Work::Scan, "5.1"),
    Row::new(Form::AddColumnReferences, Lock::AccessExclusive, Some(Lock::ShareRowExclusive), Work::Catalog, "5.1; new column holds NULLs, no check to run"),
    Row::new(Form::DropColumn, Lock::AccessExclusive, None, Work::Catalog, "5.1; seed 002 PG 11, 13"),
    Row::new(Form::DropColumnForeignKey, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "measured on 15, as DROP CONSTRAINT"),
    Row::new(Form::ChangeTypeRewrite, Lock::AccessExclusive, None, Work::Rewrite, "5.1; seed 002 PG 1-9"),
    Row::new(Form::ChangeTypeRechecked, Lock::AccessExclusive, None, Work::Scan, "a CHECK on the column is built anew and every row checked: measured on 15"),
    Row::new(Form::ChangeTypeCatalog, Lock::AccessExclusive, None, Work::Catalog, "5.2; seed 002 PG 26"),
    Row::new(Form::Default, Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::SetNotNull, Lock::AccessExclusive, None, Work::Scan, "5.1"),
    Row::new(Form::SetNotNullProved, Lock::AccessExclusive, None, Work::Catalog, "5.1; 12+ with a valid CHECK"),
    Row::new(Form::DropNotNull, Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::AddCheck, Lock::AccessExclusive, None, Work::Scan, "5.1"),
    Row::new(Form::AddCheckNotValid, Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::AddForeignKey, Lock::ShareRowExclusive, Some(Lock::ShareRowExclusive), Work::Scan, "5.1"),
    Row::new(Form::AddForeignKeyNotValid, Lock::ShareRowExclusive, Some(Lock::ShareRowExclusive), Work::Catalog, "5.1"),
    Row::new(Form::AddKey, Lock::AccessExclusive, None, Work::IndexBuild, "5.1"),
    Row::new(Form::AddUniqueUsingIndex, Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::AddPrimaryKeyUsingIndex, Lock::AccessExclusive, None, Work::Scan, "5.1; columns that may be NULL are scanned"),
    Row::new(Form::Validate, Lock::ShareUpdateExclusive, Some(Lock::RowShare), Work::Scan, "5.1"),
    Row::new(Form::DropConstraint, Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::DropConstraintForeignKey, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "measured on 15: the referenced table loses its triggers"),
    Row::new(Form::RewriteTable, Lock::AccessExclusive, None, Work::Rewrite, "5.1; SET TABLESPACE, LOGGED, ACCESS METHOD, VACUUM FULL, CLUSTER"),
    Row::new(Form::AttachPartition, Lock::ShareUpdateExclusive, Some(Lock::AccessExclusive), Work::Scan, "5.1; 12+; the other is the partition"),
    Row::new(Form::AttachPartition11, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Scan, "5.1"),
    Row::new(Form::DetachPartition, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "5.1"),
    Row::new(Form::DetachPartitionConcurrently, Lock::ShareUpdateExclusive, Some(Lock::AccessExclusive), Work::Catalog, "5.1; 14+; the partition is locked strongly at the end"),
    Row::new(Form::Rename, Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::RenameIndex, Lock::ShareUpdateExclusive, None, Work::Catalog, "ALTER INDEX; 12+"),
    Row::new(Form::CreateIndex, Lock::Share, None, Work::IndexBuild, "5.1; seed 002 PG 14-24"),
    Row::new(Form::CreateIndexConcurrently, Lock::ShareUpdateExclusive, None, Work::IndexBuild, "5.1"),
    Row::new(Form::DropIndex, Lock::AccessExclusive, None, Work::Catalog, "5.1; seed 002 PG 15-25"),
    Row::new(Form::DropIndexConcurrently, Lock::ShareUpdateExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::Reindex, Lock::Share, None, Work::IndexBuild, "5.1; ACCESS EXCLUSIVE on the index: queries that plan with it wait"),
    Row::new(Form::ReindexConcurrently, Lock::ShareUpdateExclusive, None, Work::IndexBuild, "5.1; 12+"),
    Row::new(Form::CreateTrigger, Lock::ShareRowExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::DropTrigger, Lock::AccessExclusive, None, Work::Catalog, "DropTriggers takes ACCESS EXCLUSIVE: trigger.c"),
    Row::new(Form::CreateTable, Lock::None, Some(Lock::ShareRowExclusive), Work::Catalog, "5.1; the other is what a foreign key references"),
    Row::new(Form::CreateTableAs, Lock::None, None, Work::Dml, "reads its sources under ACCESS SHARE"),
    Row::new(Form::DropTable, Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(Form::DropTableForeignKey, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "measured on 15, as DROP CONSTRAINT"),
    Row::new(Form::Truncate, Lock::AccessExclusive, None, Work::Catalog, "5.1; new empty files: relfilenode changes, no row is written"),
    Row::new(Form::TruncateCascade, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "TRUNCATE; the others are all that reference it"),
    Row::new(Form::CreateMaterializedView, Lock::None, Some(Lock::AccessShare), Work::Dml, "5.1"),
    Row::new(Form::CreateView, Lock::None, Some(Lock::AccessShare), Work::Catalog, "5.1"),
    Row::new(Form::ReplaceView, Lock::AccessExclusive, Some(Lock::AccessShare), Work::Catalog, "CREATE VIEW"),
    Row::new(Form::RefreshMaterializedView, Lock::AccessExclusive, Some(Lock::AccessShare), Work::Rewrite, "5.1"),
    Row::new(Form::RefreshMaterializedViewConcurrently, Lock::Exclusive, Some(Lock::AccessShare), Work::Dml, "5.1"),
    Row::new(Form::Dml, Lock::RowExclusive, None, Work::Dml, "5.1; seed 002 PG 10, 12"),
    Row::new(Form::Select, Lock::AccessShare, None, Work::Catalog, "13.3.1"),
    Row::new(Form::SelectForUpdate, Lock::RowShare, None, Work::Dml, "5.1"),
    Row::new(Form::Analyze, Lock::ShareUpdateExclusive, None, Work::Scan, "13.3.1"),
    Row::new(Form::NoTable, Lock::None, None, Work::Catalog, "types, sequences, functions, settings"),
];

/// What an action does on this server.
pub(super) fn effect(action: &Action, facts: &Facts<'_>) -> Effect {
    let table = action.table.as_deref().and_then(|name| facts.schema.tables.get(name));
    let form = match &action.op {
        Op::AddColumn { column, .. } => add_column(column, facts),
        Op::DropColumn { name, .. } if refers(table, |_, columns| columns.contains(name)) => {
            Form::DropColumnForeignKey
        }
        Op::DropColumn { .. } => Form::DropColumn,
        Op::ChangeType { name, to, using } => return change_type(name, to, using.as_deref(), table, facts),
        Op::Default { .. } => Form::Default,
        Op::SetNotNull { name } if facts.version >= (12, 0, 0) && proved(name, table) => {
            Form::SetNotNullProved
        }
        Op::SetNotNull { .. } => Form::SetNotNull,
        Op::DropNotNull { .. } => Form::DropNotNull,
        Op::AddConstraint { kind, not_valid, using_index, .. } => {
            add_constraint(*kind, *not_valid, *using_index)
        }
        Op::Validate { .. } => Form::Validate,
        Op::DropConstraint { name, .. } if refers(table, |key, _| key == name) => {
            Form::DropConstraintForeignKey
        }
        Op::DropConstraint { .. } => Form::DropConstraint,
        Op::Catalog { lock } | Op::LockTable { lock } => {
            return Effect { lock: *lock, ..Form::Rename.effect() };
        }
        Op::RewriteTable { .. } | Op::VacuumFull | Op::Cluster => Form::RewriteTable,
        Op::Attach { .. } if facts.version < (12, 0, 0) => Form::AttachPartition11,
        Op::Attach { .. } => Form::AttachPartition,
        Op::Detach { concurrently: true, .. } => Form::DetachPartitionConcurrently,
        Op::Detach { .. } => Form::DetachPartition,
        Op::RenameIndex { .. } if facts.version >= (12, 0, 0) => Form::RenameIndex,
        Op::RenameTable { .. } | Op::RenameColumn { .. } | Op::RenameIndex { .. } => Form::Rename,
        Op::CreateIndex { concurrently: true, .. } => Form::CreateIndexConcurrently,
        Op::CreateIndex { .. } => Form::CreateIndex,
        Op::DropIndex { concurrently: true, .. } => Form::DropIndexConcurrently,
        Op::DropIndex { .. } => Form::DropIndex,
        Op::Reindex { concurrently: true } => Form::ReindexConcurrently,
        Op::Reindex { .. } => Form::Reindex,
        Op::CreateTrigger { .. } => Form::CreateTrigger,
        Op::DropTrigger { .. } => Form::DropTrigger,
        Op::CreateTable { from_query: true, .. } => Form::CreateTableAs,
        Op::CreateTable { .. } => Form::CreateTable,
        Op::DropTable { .. } if refers(table, |_, _| true) => Form::DropTableForeignKey,
        Op::DropTable { .. } | Op::DropView { .. } => Form::DropTable,
        Op::Truncate { cascade: true } => Form::TruncateCascade,
        Op::Truncate { .. } => Form::Truncate,
        Op::CreateView { materialized: true, .. } => Form::CreateMaterializedView,
        Op::CreateView { replace: true, .. } => Form::ReplaceView,
        Op::CreateView { .. } => Form::CreateView,
        Op::RefreshView { concurrently: true } => Form::RefreshMaterializedViewConcurrently,
        Op::RefreshView { .. } => Form::RefreshMaterializedView,
        Op::Insert { .. } | Op::Update { .. } | Op::Delete { .. } => Form::Dml,
        Op::Select { locking: true } => Form::SelectForUpdate,
        Op::Select { .. } => Form::Select,
        Op::Analyze => Form::Analyze,
        Op::Modify { .. } | Op::DropDatabase => {
            return Effect::unknown("not a form that is reviewed on PostgreSQL");
        }
        Op::Domain { made: false, constrained: true } => return Effect::unknown(DOMAIN_USERS),
        Op::CreateOther { .. }
        | Op::DropOther { .. }
        | Op::EnumAddValue { .. }
        | Op::EnumRenameValue
        | Op::Domain { .. }
        | Op::RenameSchema
        | Op::Session { .. }
        | Op::Transaction { .. } => Form::NoTable,
    };
    form.effect()
}

/// Whether a table has such a foreign key: the one it references loses triggers with it.
fn refers(table: Option<&Table>, which: impl Fn(&String, &Vec<String>) -> bool) -> bool {
    table.is_some_and(|table| table.foreign.iter().any(|(name, columns)| which(name, columns)))
}

fn add_column(column: &Column, facts: &Facts<'_>) -> Form {
    if column.volatile || (column.default.is_some() && facts.version < (11, 0, 0)) {
        Form::AddColumnComputed
    } else if column.unique || column.primary {
        Form::AddColumnConstrained
    } else if column.check {
        Form::AddColumnCheck
    } else if column.references.is_some() {
        Form::AddColumnReferences
    } else {
        Form::AddColumn
    }
}

fn add_constraint(kind: Constraint, not_valid: bool, using_index: bool) -> Form {
    match kind {
        Constraint::Check | Constraint::NotNull if not_valid => Form::AddCheckNotValid,
        Constraint::Check | Constraint::NotNull => Form::AddCheck,
        Constraint::Foreign if not_valid => Form::AddForeignKeyNotValid,
        Constraint::Foreign => Form::AddForeignKey,
        Constraint::Primary if using_index => Form::AddPrimaryKeyUsingIndex,
        Constraint::Unique if using_index => Form::AddUniqueUsingIndex,
        Constraint::Unique | Constraint::Primary | Constraint::Exclude => Form::AddKey,
    }
}

fn proved(column: &str, table: Option<&Table>) -> bool {
    table.is_some_and(|table| table.proofs.iter().any(|(_, proof)| proof.valid && proof.column == column))
}

/// Section 5.2: what needs no rewrite.
fn change_type(
    name: &str,
    to: &str,
    using: Option<&str>,
    table: Option<&Table>,
    facts: &Facts<'_>,
) -> Effect {
    let rewrite = || Form::ChangeTypeRewrite.effect();
    let plain = using.is_none_or(|using| {
        let bare = using.to_lowercase().replace(['"', '(', ')', ' '], "");
        let target = to.replace(['(', ')', ' '], "");
        bare == name || bare.split_once("::").is_some_and(|(column, cast)| column == name && cast == target)
    });
    let Some(from) = table.and_then(|table| table.columns.get(name)).map(|column| column.kind.as_str())
    else {
        let why = "the column's old type is not known (no migration before this one shows it): a rewrite is assumed";
        return Effect { note: Some(why.into()), ..rewrite() };
    };
    if plain && binary_compatible(from, to, facts.utc) {
        if table.is_some_and(|table| table.checked(name)) {
            let note = Some(format!(
                "from {from} to {to} writes nothing, but a CHECK on the column is checked again"
            ));
            return Effect { note, ..Form::ChangeTypeRechecked.effect() };
        }
        let note = Some(format!("from {from} to {to} changes the catalogue only"));
        return Effect { note, ..Form::ChangeTypeCatalog.effect() };
    }
    Effect { note: Some(format!("from {from} to {to} writes every row anew")), ..rewrite() }
}

fn binary_compatible(from: &str, to: &str, utc: bool) -> bool {
    let ((from, old), (to, new)) = (split_type(from), split_type(to));
    let wider = || match (old.first(), new.first()) {
        (_, None) => true,
        (Some(old), Some(new)) => new >= old,
        (None, Some(_)) => false,
    };
    match (from.as_str(), to.as_str()) {
        ("varchar", "text") | ("cidr", "inet") => true,
        ("text", "varchar") => new.is_empty(),
        ("varchar", "varchar") | ("varbit", "varbit") | ("time", "time") | ("interval", "interval") => {
            wider()
        }
        ("numeric", "numeric") => {
            new.is_empty()
                || (old.len() == new.len() && old.get(1) == new.get(1) && wider() && !old.is_empty())
        }
        ("timestamp" | "timestamp with time zone", "timestamp" | "timestamp with time zone") => {
            (from == to || utc) && wider()
        }
        (from, to) => from == to && old == new,
    }
}
