//! Whether a down file takes back what its up file does. Pure.

use crate::{
    Finding, Revert, compat,
    op::{Action, Op},
    read::Step,
    rule::Rule,
};

/// What a down file is worth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fidelity {
    /// Changes of the up that nothing in the down takes back.
    pub missing: Vec<String>,
    /// What comes back in another shape than it had.
    pub reshaped: Vec<String>,
    /// What the down loses of what was written since.
    pub loses: Vec<String>,
    /// Guards that ask the wrong place, so that the down may do nothing.
    pub doubts: Vec<String>,
}

impl Fidelity {
    /// The rules that it breaks.
    pub fn report(&self, findings: &mut Vec<Finding>) {
        let mut say = |rule, fix, words: &str, all: &[String]| {
            let what = |one: &String| Finding::of(rule, 1, format!("the down {words} {one}"), fix);
            findings.extend(all.iter().map(what));
        };
        say(Rule::DownNotInverse, "a new migration that mends it", "leaves out", &self.missing);
        say(Rule::DownNotInverse, "a new migration that mends it", "brings back", &self.reshaped);
        say(Rule::DownDataLoss, "revert the binary and skip the down", "loses", &self.loses);
    }

    /// The verdict where it does not take everything back, and why.
    pub fn verdict(&self) -> Option<(Revert, String)> {
        let all = |words: &str, all: &[String]| format!("the down file {words} {}", all.join(", "));
        if !self.missing.is_empty() {
            Some((Revert::Unknown, all("leaves out", &self.missing)))
        } else if !self.doubts.is_empty() {
            Some((Revert::Unknown, all("may do nothing:", &self.doubts)))
        } else if !self.reshaped.is_empty() {
            Some((Revert::Unknown, all("brings back", &self.reshaped)))
        } else if !self.loses.is_empty() {
            Some((Revert::RevertLosesData, all("loses", &self.loses)))
        } else {
            None
        }
    }
}

/// Compares the two files' changes.
pub(crate) fn fidelity(up: &[&Step], down: &[Action]) -> Fidelity {
    let mut found = Fidelity::default();
    for step in up {
        let action = &step.action;
        let inside = !matches!(action.op, Op::CreateTable { .. }) && step.before.fresh;
        if inside || !needs_inverse(&action.op) {
            continue;
        }
        match down.iter().find(|back| inverse(action, back)) {
            None => found.missing.push(described(action)),
            Some(back) => {
                found.reshaped.extend(reshaped(step, back));
                found.loses.extend(narrowed(action, back));
            }
        }
    }
    for back in down {
        match &back.op {
            Op::DropColumn { name, .. } => found.loses.push(format!("what was written to {name} since")),
            Op::DropTable { .. } => {
                found.loses.push(format!("the rows of {}", back.table.as_deref().unwrap_or("the table")));
            }
            Op::Truncate { .. } | Op::Delete { bounded: false } => {
                found.loses.push("the rows it deletes".into());
            }
            Op::Update { blanks: true, .. } => found.loses.push("what its UPDATE blanks".into()),
            _ => {}
        }
    }
    found
}

/// What an inverse brings back otherwise than it was: a column's type, an index's columns.
fn reshaped(step: &Step, back: &Action) -> Option<String> {
    let table = back.table.as_deref().unwrap_or("the table");
    match (&step.before.column, &step.before.index, &back.op) {
        (Some(old), _, Op::AddColumn { column: new, .. } | Op::Modify { column: new, .. })
            if !compat::same_type(&old.kind, &new.kind) =>
        {
            Some(format!("column {table}.{} as {}, which was {}", old.name, new.kind, old.kind))
        }
        (Some(old), _, Op::ChangeType { to, .. }) if !compat::same_type(&old.kind, to) => {
            Some(format!("column {table}.{} as {to}, which was {}", old.name, old.kind))
        }
        (_, Some(old), Op::CreateIndex { columns, .. }) if old != columns => {
            Some(format!("an index of {}, which was one of {}", columns.join(", "), old.join(", ")))
        }
        _ => None,
    }
}

/// Where the inverse of a type change goes back to a type that may not hold what was written since.
fn narrowed(action: &Action, back: &Action) -> Option<String> {
    let (wide, name, narrow) = match (&action.op, &back.op) {
        (Op::ChangeType { to, name, .. }, Op::ChangeType { to: back, .. }) => (to, name, back),
        (Op::Modify { column, .. }, Op::Modify { column: back, .. }) => {
            (&column.kind, &back.name, &back.kind)
        }
        _ => return None,
    };
    (!compat::fits(wide, narrow)).then(|| {
        format!(
            "what does not fit {name} as {narrow}: what was written since as {wide} is cut, or makes it fail"
        )
    })
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
        | (Op::Insert { .. }, Op::Delete { .. } | Op::Truncate { .. })
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
        Op::Update { .. } | Op::Delete { .. } | Op::Insert { .. } => format!("the change of rows in {table}"),
        Op::CreateIndex { name: Some(name), .. } | Op::DropIndex { name, .. } => format!("index {name}"),
        Op::AddColumn { column, .. } => format!("column {table}.{}", column.name),
        Op::DropColumn { name, .. } | Op::ChangeType { name, .. } => format!("column {table}.{name}"),
        _ => format!("a change of {table}"),
    }
}
