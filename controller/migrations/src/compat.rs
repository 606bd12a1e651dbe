//! The old binary on the new schema (migrations.md 1.3), and whether a change can be taken back. Pure.

use crate::{
    OldBinary, Reversible,
    op::{Action, Column, Constraint, Object, Op},
    sqltype::split_type,
};

/// The table of section 1.3: the verdict and its reason.
pub(crate) fn old_binary(action: &Action, old: Option<&Column>) -> (OldBinary, &'static str) {
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
        Op::RenameTable { .. } | Op::RenameColumn { .. } | Op::RenameSchema => {
            (Breaks, "it still uses the old name")
        }
        Op::ChangeType { to, .. } => changed(old, to),
        Op::Modify { from, column } if *from != column.name => (Breaks, "it still uses the old name"),
        Op::Modify { column, .. } => changed(old, &column.kind),
        Op::AddConstraint { kind: Constraint::Primary, .. }
        | Op::DropConstraint { kind: Some(Constraint::Primary), .. } => {
            (Breaks, "its ON CONFLICT clauses may name another key")
        }
        Op::AddConstraint { .. }
        | Op::SetNotNull { .. }
        | Op::CreateIndex { unique: true, .. }
        | Op::Domain { .. } => (May, "its writes can violate the new constraint"),
        Op::DropConstraint { .. } => (May, "its ON CONFLICT clauses may name the dropped constraint"),
        Op::DropNotNull { .. } => (May, "it can meet a NULL where there was none"),
        Op::EnumAddValue { .. } => (May, "it can read a value that it does not know"),
        Op::EnumRenameValue => (Breaks, "it still uses the old value"),
        Op::Insert { .. } | Op::Update { .. } => (May, "it can meet data that it does not expect"),
        Op::Delete { .. } | Op::Truncate { .. } => (May, "the rows stay away when the binary goes back"),
        Op::DropIndex { .. } => (Works, "slower where it used the index"),
        Op::CreateTrigger { .. } | Op::DropTrigger { .. } => (May, "its writes now run another trigger"),
        Op::DropOther { .. }
        | Op::CreateView { replace: true, materialized: false }
        | Op::CreateOther { what: Object::Routine, idempotent: true } => {
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

const TEXTS: [&str; 4] = ["tinytext", "text", "mediumtext", "longtext"];
const INTEGERS: [&str; 5] = ["tinyint", "smallint", "mediumint", "integer", "bigint"];

fn rank(kinds: &[&str], kind: &str) -> Option<usize> {
    kinds.iter().position(|one| *one == kind)
}

/// MySQL's types that are a list of values.
fn listed(kind: &str) -> bool {
    kind.starts_with("enum") || kind.starts_with("set(")
}

/// Whether two spellings name one type; an integer's display width is no part of it.
pub(crate) fn same_type(one: &str, other: &str) -> bool {
    if listed(one) || listed(other) {
        return one == other;
    }
    let ((one, size), (other, other_size)) = (split_type(one), split_type(other));
    one == other && (size == other_size || rank(&INTEGERS, &one).is_some())
}

/// Whether every value of one type is one of the other. What is not known does not fit.
pub(crate) fn fits(from: &str, to: &str) -> bool {
    if listed(from) || listed(to) {
        // Values that are only appended leave the old ones as they were.
        return from == to
            || to.strip_prefix(from.trim_end_matches(')')).is_some_and(|more| more.starts_with(','));
    }
    let ((from, size), (to, new)) = (split_type(from), split_type(to));
    let sized = match (size.first(), new.first()) {
        (_, None) => true,
        (Some(old), Some(new)) => new >= old,
        (None, Some(_)) => false,
    };
    let text = |kind: &str| kind == "varchar" || TEXTS.contains(&kind);
    if let (Some(old), Some(new)) = (rank(&INTEGERS, &from), rank(&INTEGERS, &to)) {
        return new >= old;
    }
    if let (Some(old), Some(new)) = (rank(&TEXTS, &from), rank(&TEXTS, &to)) {
        return new >= old;
    }
    // A document that was text before is text again; its length is that of the text.
    let document = from.starts_with("json") && (to.starts_with("json") || (text(&to) && new.is_empty()));
    let same = from == to && sized && (size.get(1) == new.get(1) || new.is_empty());
    document || same || (text(&from) && text(&to) && sized && to != "tinytext")
}

/// A column's type: wider, narrower, or another.
fn changed(old: Option<&Column>, to: &str) -> (OldBinary, &'static str) {
    let (target, new) = split_type(to);
    if target == "json" || target == "jsonb" {
        return (
            OldBinary::WorksIfWidened,
            "text became JSON, which it reads as text, unless it relies on the type",
        );
    }
    let Some(old) = old else {
        return if TEXTS.contains(&target.as_str()) || (target == "varchar" && new.is_empty()) {
            (OldBinary::Works, "text of any length holds what it writes")
        } else {
            (
                OldBinary::May,
                "the old type is not known, so neither is whether it holds what the old binary writes",
            )
        };
    };
    let (from, _) = split_type(&old.kind);
    if !fits(&old.kind, to) || from.starts_with("json") {
        (OldBinary::May, "what it writes may not fit the new type")
    } else if from != target && INTEGERS.contains(&from.as_str()) {
        (
            OldBinary::WorksIfWidened,
            "the column is wider, but the old code may read it into a smaller integer",
        )
    } else {
        (OldBinary::Works, "the column is only wider")
    }
}

/// What can be given back, whatever a down script says.
pub(crate) fn reversible(action: &Action) -> Reversible {
    match &action.op {
        Op::DropColumn { .. } | Op::DropTable { .. } | Op::DropDatabase => Reversible::SchemaOnly,
        Op::Update { .. } | Op::Delete { .. } | Op::Truncate { .. } => Reversible::No,
        _ => Reversible::Yes,
    }
}
