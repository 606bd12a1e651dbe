//! The schema as the migrations make it, replayed from the first one on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::op::{Action, Column, Constraint, Op};

/// A CHECK that proves a column to be filled.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub column: String,
    pub valid: bool,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub columns: BTreeMap<String, Column>,
    pub proofs: BTreeMap<String, Proof>,
    /// CHECK constraints by name, each with the names in its expression.
    pub checks: BTreeMap<String, Vec<String>>,
    /// Primary keys and unique constraints by name, with their columns in order.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Foreign keys by name, with their columns.
    pub foreign: BTreeMap<String, Vec<String>>,
}

/// What a change finds: facts that are gone once it is applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    /// The table is made in the same file: nobody else sees it yet.
    pub fresh: bool,
    /// The column that it is made to.
    pub column: Option<Column>,
    /// Whether a CHECK reads that column.
    pub checked: bool,
    /// Whether an index starts with the columns of the foreign key that it adds.
    pub indexed: bool,
    /// The columns of the index that it drops.
    pub index: Option<Vec<String>>,
}

/// All that is known of the schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    pub tables: BTreeMap<String, Table>,
    /// Index to its table and columns.
    pub indexes: BTreeMap<String, (String, Vec<String>)>,
    /// Tables made by the file that is being read: nobody else sees them yet.
    pub fresh: BTreeSet<String>,
}

impl Schema {
    /// The table an action is made to; an index is looked up.
    pub fn table_of(&self, action: &Action) -> Option<String> {
        let by_index = |name: &str| self.indexes.get(name).map(|(table, _)| table.clone());
        match (&action.table, &action.op) {
            (None, Op::DropIndex { name, .. } | Op::RenameIndex { from: name, .. }) => by_index(name),
            (Some(name), _) => match name.strip_prefix("index:") {
                Some(index) => by_index(index),
                None => Some(name.clone()),
            },
            (None, _) => None,
        }
    }

    /// What an action finds.
    pub fn before(&self, action: &Action) -> Before {
        let table = action.table.as_ref().and_then(|name| self.tables.get(name));
        let (column, leading): (Option<&str>, &[String]) = match &action.op {
            Op::DropColumn { name, .. }
            | Op::ChangeType { name, .. }
            | Op::SetNotNull { name }
            | Op::DropNotNull { name }
            | Op::Default { name, .. }
            | Op::Modify { from: name, .. }
            | Op::RenameColumn { from: name, .. } => (Some(name), &[]),
            Op::AddConstraint { kind: Constraint::Foreign, columns, .. } => (None, columns),
            _ => (None, &[]),
        };
        Before {
            fresh: matches!(action.op, Op::CreateTable { .. })
                || action.table.as_ref().is_some_and(|table| self.fresh.contains(table)),
            column: column.and_then(|name| table?.columns.get(name)).cloned(),
            checked: column.is_some_and(|name| table.is_some_and(|table| table.checked(name))),
            indexed: !leading.is_empty() && self.indexed(action.table.as_deref(), leading),
            index: match &action.op {
                Op::DropIndex { name, .. } => self.indexes.get(name).map(|(_, columns)| columns.clone()),
                _ => None,
            },
        }
    }

    /// Whether an index or a key of the table starts with these columns, in whatever order.
    fn indexed(&self, table: Option<&str>, columns: &[String]) -> bool {
        let Some(name) = table else { return false };
        let mine = self.indexes.values().filter(|(owner, _)| owner == name).map(|(_, columns)| columns);
        let keys = self.tables.get(name).into_iter().flat_map(|table| table.keys.values());
        mine.chain(keys).any(|index| leads(index, columns))
    }

    /// Forgets what holds within one file only.
    pub fn next_file(&mut self) {
        self.fresh.clear();
        for column in self.tables.values_mut().flat_map(|table| table.columns.values_mut()) {
            column.perhaps.clear();
        }
    }

    /// Does what an action does that a condition may skip: a column may have its old type afterwards, or the new one. A
    /// later file finds the new one, for that is what a guard is there to ensure.
    pub fn perhaps(&mut self, action: &Action) {
        let (old, new) = match &action.op {
            Op::ChangeType { name, .. } => (name, name),
            Op::Modify { from, column } => (from, &column.name),
            _ => return self.apply(action),
        };
        let table = self.table_of(action).unwrap_or_default();
        let before = self.tables.get(&table).and_then(|table| table.columns.get(old)).cloned();
        self.apply(action);
        let after = self.tables.get_mut(&table).and_then(|table| table.columns.get_mut(new));
        if let Some(after) = after {
            let Column { kind, perhaps, .. } = before.unwrap_or_default();
            after.perhaps = perhaps;
            after.perhaps.push(if kind.is_empty() { "unknown".into() } else { kind });
        }
    }

    /// Does what the action does.
    pub fn apply(&mut self, action: &Action) {
        let Some(name) = self.table_of(action) else { return };
        match &action.op {
            Op::CreateTable { columns, if_not_exists, .. } => self.create(&name, columns, *if_not_exists),
            Op::CreateView { materialized: true, .. } => {
                self.fresh.insert(name);
            }
            Op::DropTable { .. } => {
                self.tables.remove(&name);
                self.indexes.retain(|_, (table, _)| *table != name);
            }
            Op::RenameTable { to } => {
                if let Some(table) = self.tables.remove(&name) {
                    self.tables.insert(to.clone(), table);
                }
                self.indexes
                    .values_mut()
                    .filter(|(table, _)| *table == name)
                    .for_each(|index| index.0.clone_from(to));
            }
            Op::CreateIndex { name: Some(index), columns, .. } => {
                self.indexes.insert(index.clone(), (name, columns.clone()));
            }
            Op::DropIndex { name: index, .. } => {
                self.indexes.remove(index);
            }
            Op::RenameIndex { from, to } => {
                if let Some(index) = self.indexes.remove(from) {
                    self.indexes.insert(to.clone(), index);
                }
            }
            other => self.tables.entry(name.clone()).or_default().apply(&name, other),
        }
    }

    fn create(&mut self, name: &str, columns: &[Column], if_not_exists: bool) {
        if if_not_exists && self.tables.contains_key(name) && !self.fresh.contains(name) {
            return;
        }
        let mut table = Table::default();
        for column in columns {
            table.add(name, column);
        }
        self.tables.insert(name.into(), table);
        self.fresh.insert(name.into());
    }
}

/// Whether an index starts with these columns, in whatever order.
pub(crate) fn leads(index: &[String], columns: &[String]) -> bool {
    index.get(..columns.len()).is_some_and(|head| columns.iter().all(|column| head.contains(column)))
}

impl Table {
    /// Whether a CHECK reads the column.
    pub fn checked(&self, column: &str) -> bool {
        self.checks.values().any(|names| names.iter().any(|name| name == column))
    }

    /// Adds a column with the constraints in its declaration, under the names that PostgreSQL gives them.
    fn add(&mut self, table: &str, column: &Column) {
        let name = &column.name;
        let own = || vec![name.clone()];
        if column.primary {
            self.keys.insert(format!("{table}_pkey"), own());
        }
        if column.unique {
            self.keys.insert(format!("{table}_{name}_key"), own());
        }
        if column.check {
            self.checks.insert(format!("{table}_{name}_check"), own());
        }
        if column.references.is_some() {
            self.foreign.insert(format!("{table}_{name}_fkey"), own());
        }
        self.columns.insert(name.clone(), column.clone());
    }

    fn constrain(&mut self, table: &str, name: Option<&String>, kind: Constraint, columns: &[String]) {
        let (target, ending) = match kind {
            Constraint::Check => (&mut self.checks, "check"),
            Constraint::Unique => (&mut self.keys, "key"),
            Constraint::Primary => (&mut self.keys, "pkey"),
            Constraint::Foreign => (&mut self.foreign, "fkey"),
            Constraint::Exclude | Constraint::NotNull => return,
        };
        let unnamed = || match kind {
            Constraint::Primary => format!("{table}_{ending}"),
            _ => format!("{table}_{}_{ending}", columns.join("_")),
        };
        target.insert(name.cloned().unwrap_or_else(unnamed), columns.to_vec());
    }

    fn apply(&mut self, table: &str, op: &Op) {
        match op {
            Op::AddColumn { column, if_not_exists }
                if !(*if_not_exists && self.columns.contains_key(&column.name)) =>
            {
                self.add(table, column);
            }
            Op::DropColumn { name, .. } => {
                self.columns.remove(name);
                // What stands on a column goes with it.
                self.checks.retain(|_, names| !names.contains(name));
                self.keys.retain(|_, names| !names.contains(name));
                self.foreign.retain(|_, names| !names.contains(name));
            }
            Op::RenameColumn { from, to } => {
                if let Some(column) = self.columns.remove(from) {
                    self.columns.insert(to.clone(), Column { name: to.clone(), ..column });
                }
                let renamed = |name: &mut String| {
                    if name == from {
                        name.clone_from(to);
                    }
                };
                self.checks
                    .values_mut()
                    .chain(self.keys.values_mut())
                    .chain(self.foreign.values_mut())
                    .flatten()
                    .for_each(renamed);
            }
            Op::ChangeType { name, to, .. } => {
                let column = self
                    .columns
                    .entry(name.clone())
                    .or_insert_with(|| Column { name: name.clone(), ..Column::default() });
                column.kind.clone_from(to);
            }
            Op::Modify { from, column } => {
                self.columns.remove(from);
                self.add(table, column);
            }
            Op::SetNotNull { name } | Op::DropNotNull { name } => {
                if let Some(column) = self.columns.get_mut(name) {
                    column.not_null = matches!(op, Op::SetNotNull { .. });
                }
            }
            Op::AddConstraint { name, kind, columns, not_valid, proves_not_null, .. } => {
                self.constrain(table, name.as_ref(), *kind, columns);
                if let (Some(name), Some(column)) = (name, proves_not_null) {
                    self.proofs.insert(name.clone(), Proof { column: column.clone(), valid: !not_valid });
                }
            }
            Op::Validate { name } => {
                if let Some(proof) = self.proofs.get_mut(name) {
                    proof.valid = true;
                }
            }
            Op::DropConstraint { name, .. } => {
                self.proofs.remove(name);
                self.checks.remove(name);
                self.keys.remove(name);
                self.foreign.remove(name);
            }
            _ => {}
        }
    }
}
