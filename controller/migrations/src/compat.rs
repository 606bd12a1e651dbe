//! The old binary on the new schema (migrations.md 1.3), and whether a change can be taken back. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    effect::postgresql::split_type,
    op::{Action, Constraint, Op},
    schema::Schema,
};

/// How the binary before the upgrade fares on the schema after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OldBinary {
    /// It works as before.
    Works,
    /// The schema is only widened: it reads as before unless it depends on the type; only the application's authors know
    /// (seed 002's query 9).
    WorksIfWidened,
    /// It may meet what it does not expect.
    May,
    /// Some of its statements fail.
    Breaks,
    /// Not known.
    Unknown,
}

/// What a down script can give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reversible {
    /// Schema and data.
    Yes,
    /// The schema, but not the data that was in it.
    SchemaOnly,
    /// Nothing.
    No,
    /// Not known.
    Unknown,
}

/// The table of section 1.3: the verdict and its reason.
pub(crate) fn old_binary(action: &Action, schema: &Schema) -> (OldBinary, &'static str) {
    use OldBinary::{Breaks, May, Works};
    match &action.op {
        Op::AddColumn { column, .. } if column.not_null && column.default.is_none() && !column.volatile => {
            (Breaks, "its INSERTs leave the new column out, which must be filled")
        }
        Op::AddColumn { column, .. } if column.unique || column.check || column.references.is_some() => {
            (May, "its writes can violate the new constraint")
        }
        Op::AddColumn { .. } => (Works, "it does not name the new column"),
        Op::DropColumn { .. } => (Breaks, "it still names the dropped column"),
        Op::DropTable { .. } | Op::DropView { .. } => (Breaks, "it still names what was dropped"),
        Op::RenameTable { .. } | Op::RenameColumn { .. } => (Breaks, "it still uses the old name"),
        Op::ChangeType { name, to, .. } => changed(action, name, to, schema),
        Op::Modify { from, column } if *from != column.name => (Breaks, "it still uses the old name"),
        Op::Modify { from, column } => changed(action, from, &column.kind, schema),
        Op::AddConstraint { kind: Constraint::Primary, .. }
        | Op::DropConstraint { kind: Some(Constraint::Primary), .. } => {
            (Breaks, "its ON CONFLICT clauses may name another key")
        }
        Op::AddConstraint { .. }
        | Op::SetNotNull { .. }
        | Op::CreateIndex { unique: true, .. }
        | Op::Domain => (May, "its writes can violate the new constraint"),
        Op::DropConstraint { .. } => (May, "its ON CONFLICT clauses may name the dropped constraint"),
        Op::DropNotNull { .. } => (May, "it can meet a NULL where there was none"),
        Op::EnumAddValue { .. } => (May, "it can read a value that it does not know"),
        Op::EnumRenameValue => (Breaks, "it still uses the old value"),
        Op::Insert { .. } | Op::Update { .. } => (May, "it can meet data that it does not expect"),
        Op::Delete { .. } | Op::Truncate => (May, "the rows stay away when the binary goes back"),
        Op::DropIndex { .. } => (Works, "slower where it used the index"),
        Op::CreateTrigger { .. } | Op::DropTrigger { .. } => (May, "its writes now run another trigger"),
        Op::DropOther { .. }
        | Op::CreateView { replace: true, .. }
        | Op::CreateOther { what: "CREATE FUNCTION" | "CREATE PROCEDURE", .. } => {
            (May, "it may call what was dropped or replaced")
        }
        Op::DropDatabase => (Breaks, "its data are gone"),
        Op::RewriteTable { .. }
        | Op::Catalog { .. }
        | Op::Default { .. }
        | Op::Validate { .. }
        | Op::Attach { .. }
        | Op::CreateTable { .. }
        | Op::CreateIndex { .. }
        | Op::RenameIndex { .. }
        | Op::Reindex { .. }
        | Op::CreateView { .. }
        | Op::RefreshView { .. }
        | Op::CreateOther { .. }
        | Op::Select { .. }
        | Op::LockTable { .. }
        | Op::VacuumFull
        | Op::Cluster
        | Op::Analyze
        | Op::Session { .. }
        | Op::Transaction { .. } => (Works, "it sees nothing of it"),
        Op::Detach { .. } => (Breaks, "the partition's rows are gone from the table"),
    }
}

/// A column's type: wider, narrower, or another.
fn changed(action: &Action, name: &str, to: &str, schema: &Schema) -> (OldBinary, &'static str) {
    let old = action
        .table
        .as_ref()
        .and_then(|table| schema.tables.get(table))
        .and_then(|table| table.columns.get(name));
    let (target, new) = split_type(to);
    let texts = ["text", "mediumtext", "longtext", "tinytext"];
    if target == "json" || target == "jsonb" {
        return (
            OldBinary::WorksIfWidened,
            "text became JSON, which it reads as text, unless it relies on the type",
        );
    }
    let Some(old) = old else {
        return if texts.contains(&target.as_str()) || (target == "varchar" && new.is_empty()) {
            (OldBinary::Works, "text of any length holds what it writes")
        } else {
            (
                OldBinary::May,
                "the old type is not known, so neither is whether it holds what the old binary writes",
            )
        };
    };
    let (from, size) = split_type(&old.kind);
    let textual = |kind: &str| kind == "varchar" || texts.contains(&kind);
    let wider = match (size.first(), new.first()) {
        (_, None) => !(texts.contains(&from.as_str()) && target == "tinytext"),
        (Some(old), Some(new)) => new >= old,
        (None, Some(_)) => false,
    };
    let integers = ["smallint", "integer", "bigint"];
    let rank = |kind: &str| integers.iter().position(|one| *one == kind);
    if (textual(&from) && textual(&target) && wider) || (from == target && wider) {
        (OldBinary::Works, "the column is only wider")
    } else if rank(&from).is_some() && rank(&from) < rank(&target) {
        (
            OldBinary::WorksIfWidened,
            "the column is wider, but the old code may read it into a smaller integer",
        )
    } else {
        (OldBinary::May, "what it writes may not fit the new type")
    }
}

/// What can be given back, whatever a down script says.
pub(crate) fn reversible(action: &Action) -> Reversible {
    match &action.op {
        Op::DropColumn { .. } | Op::DropTable { .. } | Op::DropDatabase => Reversible::SchemaOnly,
        Op::Update { .. } | Op::Delete { .. } | Op::Truncate => Reversible::No,
        _ => Reversible::Yes,
    }
}
