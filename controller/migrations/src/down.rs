//! Whether a down file takes back what its up file does. Pure.

use crate::op::{Action, Op};

/// What a down file is worth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fidelity {
    /// Changes of the up that nothing in the down takes back.
    pub missing: Vec<String>,
    /// What the down loses of what was written since.
    pub loses: Vec<String>,
}

/// Compares the two files' changes.
pub(crate) fn fidelity(up: &[Action], down: &[Action]) -> Fidelity {
    let mut found = Fidelity::default();
    for action in up {
        let made_here = |table: &Option<String>| {
            up.iter().any(|other| matches!(other.op, Op::CreateTable { .. }) && other.table == *table)
        };
        let inside = !matches!(action.op, Op::CreateTable { .. }) && made_here(&action.table);
        if !inside && needs_inverse(&action.op) && !down.iter().any(|back| inverse(action, back)) {
            found.missing.push(described(action));
        }
    }
    for back in down {
        match &back.op {
            Op::DropColumn { name, .. } => found.loses.push(format!("what was written to {name} since")),
            Op::DropTable { .. } => {
                found.loses.push(format!("the rows of {}", back.table.as_deref().unwrap_or("the table")));
            }
            Op::Truncate | Op::Delete { bounded: false } => found.loses.push("the rows it deletes".into()),
            Op::Update { blanks: true, .. } => found.loses.push("what its UPDATE blanks".into()),
            _ => {}
        }
    }
    found
}

fn needs_inverse(op: &Op) -> bool {
    !matches!(
        op,
        Op::Session { .. }
            | Op::Transaction { .. }
            | Op::Select { .. }
            | Op::Analyze
            | Op::VacuumFull
            | Op::Cluster
            | Op::RefreshView { .. }
            | Op::Reindex { .. }
            | Op::LockTable { .. }
            | Op::Validate { .. }
            | Op::CreateOther { .. }
            | Op::DropOther { .. }
            | Op::Catalog { .. }
            | Op::RewriteTable { .. }
    )
}

/// Whether `back` takes `action` back: the opposite change to the same thing.
fn inverse(action: &Action, back: &Action) -> bool {
    let same = action.table == back.table || action.table.is_none() || back.table.is_none();
    let op = match (&action.op, &back.op) {
        (Op::CreateTable { .. }, Op::DropTable { .. })
        | (Op::DropTable { .. }, Op::CreateTable { .. })
        | (Op::CreateView { .. }, Op::DropView { .. })
        | (Op::DropView { .. }, Op::CreateView { .. })
        | (Op::CreateTrigger { .. }, Op::DropTrigger { .. })
        | (Op::DropTrigger { .. }, Op::CreateTrigger { .. })
        | (Op::Insert { .. }, Op::Delete { .. } | Op::Truncate)
        | (Op::Attach { .. }, Op::Detach { .. })
        | (Op::Detach { .. }, Op::Attach { .. }) => true,
        (Op::RenameTable { to }, Op::RenameTable { .. }) => return back.table.as_ref() == Some(to),
        (Op::AddColumn { column, .. }, Op::DropColumn { name, .. })
        | (Op::DropColumn { name, .. }, Op::AddColumn { column, .. }) => column.name == *name,
        (Op::RenameColumn { from, to }, Op::RenameColumn { from: back_from, to: back_to })
        | (Op::RenameIndex { from, to }, Op::RenameIndex { from: back_from, to: back_to }) => {
            from == back_to && to == back_from
        }
        (Op::ChangeType { name, .. }, Op::ChangeType { name: other, .. })
        | (Op::Default { name, .. }, Op::Default { name: other, .. })
        | (Op::SetNotNull { name }, Op::DropNotNull { name: other })
        | (Op::DropNotNull { name }, Op::SetNotNull { name: other }) => name == other,
        (Op::Modify { from, column }, Op::Modify { from: back_from, column: back }) => {
            column.name == *back_from && back.name == *from
        }
        (Op::AddConstraint { name, .. }, Op::DropConstraint { name: other, .. })
        | (Op::DropConstraint { name: other, .. }, Op::AddConstraint { name, .. }) => {
            name.as_ref().is_none_or(|name| name == other)
        }
        (Op::AddConstraint { name, .. }, Op::DropIndex { name: other, .. }) => {
            name.as_ref().is_none_or(|name| name == other)
        }
        (Op::CreateIndex { name, .. }, Op::DropIndex { name: other, .. })
        | (Op::DropIndex { name: other, .. }, Op::CreateIndex { name, .. }) => {
            name.as_ref().is_none_or(|name| name == other)
        }
        _ => false,
    };
    same && op
}

fn described(action: &Action) -> String {
    let table = action.table.as_deref().unwrap_or("the schema");
    match &action.op {
        Op::Update { .. } | Op::Delete { .. } | Op::Insert { .. } => format!("the change of {table}'s rows"),
        Op::CreateIndex { name: Some(name), .. } | Op::DropIndex { name, .. } => format!("index {name}"),
        Op::AddColumn { column, .. } => format!("column {table}.{}", column.name),
        Op::DropColumn { name, .. } | Op::ChangeType { name, .. } => format!("column {table}.{name}"),
        _ => format!("a change of {table}"),
    }
}
