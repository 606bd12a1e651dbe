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
    /// Columns that a CHECK, of whatever kind, may read.
    pub checked: bool,
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
            other => self.tables.entry(name).or_default().apply(other),
        }
    }

    fn create(&mut self, name: &str, columns: &[Column], if_not_exists: bool) {
        if if_not_exists && self.tables.contains_key(name) && !self.fresh.contains(name) {
            return;
        }
        let columns = columns.iter().map(|column| (column.name.clone(), column.clone())).collect();
        self.tables.insert(name.into(), Table { columns, ..Table::default() });
        self.fresh.insert(name.into());
    }
}

impl Table {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::AddColumn { column, if_not_exists }
                if !(*if_not_exists && self.columns.contains_key(&column.name)) =>
            {
                self.columns.insert(column.name.clone(), column.clone());
            }
            Op::DropColumn { name, .. } => {
                self.columns.remove(name);
            }
            Op::RenameColumn { from, to } => {
                if let Some(column) = self.columns.remove(from) {
                    self.columns.insert(to.clone(), Column { name: to.clone(), ..column });
                }
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
                self.columns.insert(column.name.clone(), column.clone());
            }
            Op::SetNotNull { name } | Op::DropNotNull { name } => {
                if let Some(column) = self.columns.get_mut(name) {
                    column.not_null = matches!(op, Op::SetNotNull { .. });
                }
            }
            Op::AddConstraint { name, kind, not_valid, proves_not_null, .. } => {
                self.checked |= *kind == Constraint::Check;
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
            }
            _ => {}
        }
    }
}
