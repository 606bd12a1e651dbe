//! PostgreSQL's lock table: migrations.md 5.1 and 5.2 as data, with where each row is from. Pure.
//!
//! Sources: "Explicit Locking" 13.3.1, the reference pages of each command, `AlterTableGetLockLevel` in tablecmds.c; and
//! the server itself: `--measure` replays the forms on a PostgreSQL and compares.

use super::{Effect, Facts, Row};
use crate::{
    Lock, Work,
    op::{Action, Column, Constraint, Op},
    schema::Table,
};

/// Why a constraint on a domain is not known.
const DOMAIN_USERS: &str =
    "a domain's constraint is checked in every table that uses it, and those are not known";

// Forms that take their foreign keys with them.
const DROP_COLUMN_FK: &str = "DROP COLUMN (foreign key)";
const DROP_CONSTRAINT_FK: &str = "DROP CONSTRAINT (foreign key)";

/// form, lock on the target, lock on another table, work, source.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row::new("ADD COLUMN", Lock::AccessExclusive, None, Work::Catalog, "5.1; no default or one value for all rows, 11+"),
    Row::new("ADD COLUMN (computed for each row)", Lock::AccessExclusive, None, Work::Rewrite, "5.1; volatile default, serial, identity, stored; any default up to 10"),
    Row::new("ADD COLUMN (constrained)", Lock::AccessExclusive, None, Work::IndexBuild, "5.1; UNIQUE, PRIMARY KEY"),
    Row::new("ADD COLUMN CHECK", Lock::AccessExclusive, None, Work::Scan, "5.1"),
    Row::new("ADD COLUMN REFERENCES", Lock::AccessExclusive, Some(Lock::ShareRowExclusive), Work::Catalog, "5.1; new column holds NULLs, no check to run"),
    Row::new("DROP COLUMN", Lock::AccessExclusive, None, Work::Catalog, "5.1; seed 002 PG 11, 13"),
    Row::new(DROP_COLUMN_FK, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "measured on 15, as DROP CONSTRAINT"),
    Row::new("ALTER COLUMN TYPE (rewrite)", Lock::AccessExclusive, None, Work::Rewrite, "5.1; seed 002 PG 1-9"),
    Row::new("ALTER COLUMN TYPE (rechecked)", Lock::AccessExclusive, None, Work::Scan, "a CHECK on the column is built anew and every row checked: measured on 15"),
    Row::new("ALTER COLUMN TYPE (catalogue only)", Lock::AccessExclusive, None, Work::Catalog, "5.2; seed 002 PG 26"),
    Row::new("SET/DROP DEFAULT", Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new("SET NOT NULL", Lock::AccessExclusive, None, Work::Scan, "5.1"),
    Row::new("SET NOT NULL (proved)", Lock::AccessExclusive, None, Work::Catalog, "5.1; 12+ with a valid CHECK"),
    Row::new("DROP NOT NULL", Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new("ADD CHECK", Lock::AccessExclusive, None, Work::Scan, "5.1"),
    Row::new("ADD CHECK NOT VALID", Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new("ADD FOREIGN KEY", Lock::ShareRowExclusive, Some(Lock::ShareRowExclusive), Work::Scan, "5.1"),
    Row::new("ADD FOREIGN KEY NOT VALID", Lock::ShareRowExclusive, Some(Lock::ShareRowExclusive), Work::Catalog, "5.1"),
    Row::new("ADD UNIQUE/PRIMARY KEY/EXCLUDE", Lock::AccessExclusive, None, Work::IndexBuild, "5.1"),
    Row::new("ADD UNIQUE USING INDEX", Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new("ADD PRIMARY KEY USING INDEX (nullable)", Lock::AccessExclusive, None, Work::Scan, "5.1; columns that may be NULL are scanned"),
    Row::new("VALIDATE CONSTRAINT", Lock::ShareUpdateExclusive, Some(Lock::RowShare), Work::Scan, "5.1"),
    Row::new("DROP CONSTRAINT", Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new(DROP_CONSTRAINT_FK, Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "measured on 15: the referenced table loses its triggers"),
    Row::new("rewrite of the table", Lock::AccessExclusive, None, Work::Rewrite, "5.1; SET TABLESPACE, LOGGED, ACCESS METHOD, VACUUM FULL, CLUSTER"),
    Row::new("ATTACH PARTITION", Lock::ShareUpdateExclusive, Some(Lock::AccessExclusive), Work::Scan, "5.1; 12+; the other is the partition"),
    Row::new("ATTACH PARTITION (11)", Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Scan, "5.1"),
    Row::new("DETACH PARTITION", Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "5.1"),
    Row::new("DETACH PARTITION CONCURRENTLY", Lock::ShareUpdateExclusive, Some(Lock::AccessExclusive), Work::Catalog, "5.1; 14+; the partition is locked strongly at the end"),
    Row::new("RENAME", Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new("RENAME INDEX", Lock::ShareUpdateExclusive, None, Work::Catalog, "ALTER INDEX; 12+"),
    Row::new("CREATE INDEX", Lock::Share, None, Work::IndexBuild, "5.1; seed 002 PG 14-24"),
    Row::new("CREATE INDEX CONCURRENTLY", Lock::ShareUpdateExclusive, None, Work::IndexBuild, "5.1"),
    Row::new("DROP INDEX", Lock::AccessExclusive, None, Work::Catalog, "5.1; seed 002 PG 15-25"),
    Row::new("DROP INDEX CONCURRENTLY", Lock::ShareUpdateExclusive, None, Work::Catalog, "5.1"),
    Row::new("REINDEX", Lock::Share, None, Work::IndexBuild, "5.1; ACCESS EXCLUSIVE on the index: queries that plan with it wait"),
    Row::new("REINDEX CONCURRENTLY", Lock::ShareUpdateExclusive, None, Work::IndexBuild, "5.1; 12+"),
    Row::new("CREATE TRIGGER", Lock::ShareRowExclusive, None, Work::Catalog, "5.1"),
    Row::new("DROP TRIGGER", Lock::AccessExclusive, None, Work::Catalog, "DropTriggers takes ACCESS EXCLUSIVE: trigger.c"),
    Row::new("CREATE TABLE", Lock::None, Some(Lock::ShareRowExclusive), Work::Catalog, "5.1; the other is what a foreign key references"),
    Row::new("CREATE TABLE AS", Lock::None, None, Work::Dml, "reads its sources under ACCESS SHARE"),
    Row::new("DROP TABLE", Lock::AccessExclusive, None, Work::Catalog, "5.1"),
    Row::new("DROP TABLE (foreign key)", Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "measured on 15, as DROP CONSTRAINT"),
    Row::new("TRUNCATE", Lock::AccessExclusive, None, Work::Catalog, "5.1; new empty files: relfilenode changes, no row is written"),
    Row::new("TRUNCATE CASCADE", Lock::AccessExclusive, Some(Lock::AccessExclusive), Work::Catalog, "TRUNCATE; the others are all that reference it"),
    Row::new("CREATE MATERIALIZED VIEW", Lock::None, Some(Lock::AccessShare), Work::Dml, "5.1"),
    Row::new("CREATE VIEW", Lock::None, Some(Lock::AccessShare), Work::Catalog, "5.1"),
    Row::new("CREATE OR REPLACE VIEW", Lock::AccessExclusive, Some(Lock::AccessShare), Work::Catalog, "CREATE VIEW"),
    Row::new("REFRESH MATERIALIZED VIEW", Lock::AccessExclusive, Some(Lock::AccessShare), Work::Rewrite, "5.1"),
    Row::new("REFRESH MATERIALIZED VIEW CONCURRENTLY", Lock::Exclusive, Some(Lock::AccessShare), Work::Dml, "5.1"),
    Row::new("DML", Lock::RowExclusive, None, Work::Dml, "5.1; seed 002 PG 10, 12"),
    Row::new("SELECT", Lock::AccessShare, None, Work::Catalog, "13.3.1"),
    Row::new("SELECT FOR UPDATE", Lock::RowShare, None, Work::Dml, "5.1"),
    Row::new("ANALYZE/VACUUM", Lock::ShareUpdateExclusive, None, Work::Scan, "13.3.1"),
    Row::new("no table", Lock::None, None, Work::Catalog, "types, sequences, functions, settings"),
];

/// What an action does on this server.
pub(super) fn effect(action: &Action, facts: &Facts<'_>) -> Effect {
    let table = action.table.as_deref().and_then(|name| facts.schema.tables.get(name));
    let form = match &action.op {
        Op::AddColumn { column, .. } => add_column(column, facts),
        Op::DropColumn { name, .. } if refers(table, |_, columns| columns.contains(name)) => DROP_COLUMN_FK,
        Op::DropColumn { .. } => "DROP COLUMN",
        Op::ChangeType { name, to, using } => return change_type(name, to, using.as_deref(), table, facts),
        Op::Default { .. } => "SET/DROP DEFAULT",
        Op::SetNotNull { name } if facts.version >= (12, 0, 0) && proved(name, table) => {
            "SET NOT NULL (proved)"
        }
        Op::SetNotNull { .. } => "SET NOT NULL",
        Op::DropNotNull { .. } => "DROP NOT NULL",
        Op::AddConstraint { kind, not_valid, using_index, .. } => {
            add_constraint(*kind, *not_valid, *using_index)
        }
        Op::Validate { .. } => "VALIDATE CONSTRAINT",
        Op::DropConstraint { name, .. } if refers(table, |key, _| key == name) => DROP_CONSTRAINT_FK,
        Op::DropConstraint { .. } => "DROP CONSTRAINT",
        Op::Catalog { lock, what } => return Effect { lock: *lock, form: what, ..Effect::of(row("RENAME")) },
        Op::RewriteTable { .. } | Op::VacuumFull | Op::Cluster => "rewrite of the table",
        Op::Attach { .. } if facts.version < (12, 0, 0) => "ATTACH PARTITION (11)",
        Op::Attach { .. } => "ATTACH PARTITION",
        Op::Detach { concurrently: true, .. } => "DETACH PARTITION CONCURRENTLY",
        Op::Detach { .. } => "DETACH PARTITION",
        Op::RenameIndex { .. } if facts.version >= (12, 0, 0) => "RENAME INDEX",
        Op::RenameTable { .. } | Op::RenameColumn { .. } | Op::RenameIndex { .. } => "RENAME",
        Op::CreateIndex { concurrently: true, .. } => "CREATE INDEX CONCURRENTLY",
        Op::CreateIndex { .. } => "CREATE INDEX",
        Op::DropIndex { concurrently: true, .. } => "DROP INDEX CONCURRENTLY",
        Op::DropIndex { .. } => "DROP INDEX",
        Op::Reindex { concurrently: true } => "REINDEX CONCURRENTLY",
        Op::Reindex { .. } => "REINDEX",
        Op::CreateTrigger { .. } => "CREATE TRIGGER",
        Op::DropTrigger { .. } => "DROP TRIGGER",
        Op::CreateTable { from_query: true, .. } => "CREATE TABLE AS",
        Op::CreateTable { .. } => "CREATE TABLE",
        Op::DropTable { .. } if refers(table, |_, _| true) => "DROP TABLE (foreign key)",
        Op::DropTable { .. } | Op::DropView { .. } => "DROP TABLE",
        Op::Truncate { cascade: true } => "TRUNCATE CASCADE",
        Op::Truncate { .. } => "TRUNCATE",
        Op::CreateView { materialized: true, .. } => "CREATE MATERIALIZED VIEW",
        Op::CreateView { replace: true, .. } => "CREATE OR REPLACE VIEW",
        Op::CreateView { .. } => "CREATE VIEW",
        Op::RefreshView { concurrently: true } => "REFRESH MATERIALIZED VIEW CONCURRENTLY",
        Op::RefreshView { .. } => "REFRESH MATERIALIZED VIEW",
        Op::Insert { .. } | Op::Update { .. } | Op::Delete { .. } => "DML",
        Op::Select { locking: true } => "SELECT FOR UPDATE",
        Op::Select { .. } => "SELECT",
        Op::Analyze => "ANALYZE/VACUUM",
        Op::LockTable { lock } => {
            return Effect { lock: *lock, form: "LOCK TABLE", ..Effect::of(row("RENAME")) };
        }
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
        | Op::Transaction { .. } => "no table",
    };
    Effect::of(row(form))
}

/// Whether a table has such a foreign key: the one it references loses triggers with it.
fn refers(table: Option<&Table>, which: impl Fn(&String, &Vec<String>) -> bool) -> bool {
    table.is_some_and(|table| table.foreign.iter().any(|(name, columns)| which(name, columns)))
}

fn row(form: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.form == form)
}

fn add_column(column: &Column, facts: &Facts<'_>) -> &'static str {
    if column.volatile || (column.default.is_some() && facts.version < (11, 0, 0)) {
        "ADD COLUMN (computed for each row)"
    } else if column.unique || column.primary {
        "ADD COLUMN (constrained)"
    } else if column.check {
        "ADD COLUMN CHECK"
    } else if column.references.is_some() {
        "ADD COLUMN REFERENCES"
    } else {
        "ADD COLUMN"
    }
}

fn add_constraint(kind: Constraint, not_valid: bool, using_index: bool) -> &'static str {
    match kind {
        Constraint::Check | Constraint::NotNull if not_valid => "ADD CHECK NOT VALID",
        Constraint::Check | Constraint::NotNull => "ADD CHECK",
        Constraint::Foreign if not_valid => "ADD FOREIGN KEY NOT VALID",
        Constraint::Foreign => "ADD FOREIGN KEY",
        Constraint::Primary if using_index => "ADD PRIMARY KEY USING INDEX (nullable)",
        Constraint::Unique if using_index => "ADD UNIQUE USING INDEX",
        Constraint::Unique | Constraint::Primary | Constraint::Exclude => "ADD UNIQUE/PRIMARY KEY/EXCLUDE",
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
    let rewrite = || Effect::of(row("ALTER COLUMN TYPE (rewrite)"));
    let plain = using.is_none_or(|using| {
        let bare = using.to_lowercase().replace(['"', '(', ')', ' '], "");
        let target = to.replace(['(', ')', ' '], "");
        bare == name || bare.split_once("::").is_some_and(|(column, cast)| column == name && cast == target)
    });
    let Some(from) = table.and_then(|table| table.columns.get(name)).map(|column| column.kind.as_str())
    else {
        let why = "the column's old type is not known (no migration before this one shows it): a rewrite is assumed";
        return Effect { note: Some(why.into()), assumed: true, ..rewrite() };
    };
    if plain && binary_compatible(from, to, facts.utc) {
        if table.is_some_and(|table| table.checked(name)) {
            let note = Some(format!(
                "from {from} to {to} writes nothing, but a CHECK on the column is checked again"
            ));
            return Effect { note, ..Effect::of(row("ALTER COLUMN TYPE (rechecked)")) };
        }
        let note = Some(format!("from {from} to {to} changes the catalogue only"));
        return Effect { note, ..Effect::of(row("ALTER COLUMN TYPE (catalogue only)")) };
    }
    Effect { note: Some(format!("from {from} to {to} writes every row anew")), ..rewrite() }
}

/// A type's name without its arguments, and the arguments.
pub(crate) fn split_type(kind: &str) -> (String, Vec<u64>) {
    let (head, tail) = kind.split_once('(').unwrap_or((kind, ""));
    let (arguments, after) = tail.split_once(')').unwrap_or((tail, ""));
    let numbers = arguments.split(',').filter_map(|one| one.trim().parse().ok()).collect();
    let name = match format!("{}{after}", head.trim()).as_str() {
        "character varying" => "varchar".into(),
        "int" | "int4" => "integer".into(),
        "int8" => "bigint".into(),
        "bool" => "boolean".into(),
        "decimal" => "numeric".into(),
        "timestamp without time zone" => "timestamp".into(),
        "timestamptz" => "timestamp with time zone".into(),
        "bit varying" => "varbit".into(),
        other => other.to_owned(),
    };
    (name, numbers)
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
