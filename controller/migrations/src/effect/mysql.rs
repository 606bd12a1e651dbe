//! InnoDB's online DDL: migrations.md 5.3 as data. Pure.
//!
//! Sources: MySQL 5.7 Reference Manual 14.13.1 and 8.0 Reference Manual 17.12.1, "Online DDL Operations", read row by row
//! but for CHECK, which they do not list; seed 002's rows confirm the 5.7 column where they name a lock.

use super::{Effect, Facts};
use crate::{
    Dialect, Lock, Work,
    effect::postgresql::split_type,
    lex::{Kind, lex},
    op::{Action, Column, Constraint, Op},
    schema::Table,
};

/// How the server goes about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The dictionary only.
    Metadata,
    /// In place; an index is built, and writes go on.
    Index,
    /// In place; the table is rebuilt, and writes go on.
    Rebuild,
    /// In place rebuild, but writes wait.
    RebuildShared,
    /// The table is copied, and writes wait.
    Copy,
}

/// One operation: 5.7's way, 8.0's way, and the first 8.0 version that does it instantly.
pub(super) struct Online {
    pub form: &'static str,
    pub v57: Way,
    pub v80: Way,
    pub instant: Option<(u16, u16, u16)>,
}

const fn online(form: &'static str, v57: Way, v80: Way, instant: Option<(u16, u16, u16)>) -> Online {
    Online { form, v57, v80, instant }
}

#[rustfmt::skip]
pub(super) const ROWS: &[Online] = &[
    online("ADD INDEX", Way::Index, Way::Index, None),
    online("DROP INDEX", Way::Metadata, Way::Metadata, None),
    // The first FULLTEXT index rebuilds the table; whether it is the first is not known, so the worse is said.
    online("ADD FULLTEXT/SPATIAL INDEX", Way::RebuildShared, Way::RebuildShared, None),
    online("ADD COLUMN", Way::Rebuild, Way::Rebuild, Some((8, 0, 12))),
    online("ADD COLUMN (not last)", Way::Rebuild, Way::Rebuild, Some((8, 0, 29))),
    online("ADD COLUMN AUTO_INCREMENT", Way::RebuildShared, Way::RebuildShared, None),
    online("ADD COLUMN (stored generated)", Way::Copy, Way::Copy, None),
    online("ADD COLUMN (virtual)", Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online("DROP COLUMN", Way::Rebuild, Way::Rebuild, Some((8, 0, 29))),
    online("RENAME COLUMN", Way::Metadata, Way::Metadata, Some((8, 0, 28))),
    online("reorder columns", Way::Rebuild, Way::Rebuild, None),
    online("SET/DROP DEFAULT", Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online("change of data type", Way::Copy, Way::Copy, None),
    online("extend VARCHAR", Way::Metadata, Way::Metadata, None),
    online("change of NULL", Way::Rebuild, Way::Rebuild, None),
    online("append to ENUM/SET", Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online("ADD PRIMARY KEY", Way::Rebuild, Way::Rebuild, None),
    online("DROP PRIMARY KEY", Way::Copy, Way::Copy, None),
    // In place only with foreign_key_checks=0, which a migration file does not show for sure.
    online("ADD FOREIGN KEY", Way::Copy, Way::Copy, None),
    online("DROP FOREIGN KEY", Way::Metadata, Way::Metadata, None),
    // 8.0.16+ enforces CHECK and copies; 5.7 parses and ignores it.
    online("ADD CHECK", Way::Metadata, Way::Copy, None),
    online("DROP CHECK", Way::Metadata, Way::Metadata, None),
    online("CONVERT TO CHARACTER SET", Way::Copy, Way::RebuildShared, None),
    // Rebuilt where the encoding is another than before, which is not known.
    online("DEFAULT CHARACTER SET", Way::Rebuild, Way::Rebuild, None),
    online("ENGINE/FORCE/OPTIMIZE", Way::Rebuild, Way::Rebuild, None),
    online("RENAME TABLE", Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online("table options", Way::Metadata, Way::Metadata, None),
];

/// What an action does on this server.
pub(super) fn effect(action: &Action, facts: &Facts<'_>) -> Effect {
    let table = action.table.as_deref().and_then(|name| facts.schema.tables.get(name));
    let form = match &action.op {
        Op::AddColumn { column, .. } => add_column(column),
        Op::DropColumn { .. } => "DROP COLUMN",
        Op::RenameColumn { .. } => "RENAME COLUMN",
        Op::Modify { from, column } => return modify(from, column, table, facts),
        Op::Default { .. } => "SET/DROP DEFAULT",
        Op::AddConstraint { kind, .. } => match kind {
            Constraint::Primary => "ADD PRIMARY KEY",
            Constraint::Unique => "ADD INDEX",
            Constraint::Foreign => "ADD FOREIGN KEY",
            Constraint::Check | Constraint::Exclude | Constraint::NotNull => "ADD CHECK",
        },
        Op::DropConstraint { kind, .. } => match kind {
            Some(Constraint::Primary) if facts.rekeyed => "ADD PRIMARY KEY",
            Some(Constraint::Primary) => "DROP PRIMARY KEY",
            Some(Constraint::Foreign) => "DROP FOREIGN KEY",
            _ => "DROP CHECK",
        },
        Op::CreateIndex { special: true, .. } => "ADD FULLTEXT/SPATIAL INDEX",
        Op::CreateIndex { .. } => "ADD INDEX",
        Op::DropIndex { .. } | Op::RenameIndex { .. } => "DROP INDEX",
        Op::RenameTable { .. } => "RENAME TABLE",
        Op::RewriteTable { what: "CONVERT TO CHARACTER SET" } => "CONVERT TO CHARACTER SET",
        Op::RewriteTable { what: "DEFAULT CHARACTER SET" } => "DEFAULT CHARACTER SET",
        Op::RewriteTable { .. } => "ENGINE/FORCE/OPTIMIZE",
        Op::Catalog { .. } => "table options",
        Op::LockTable { lock } => return plain("LOCK TABLES", *lock, Work::Catalog),
        Op::Insert { .. } | Op::Update { .. } | Op::Delete { .. } => {
            return plain("DML", Lock::NextKey, Work::Dml);
        }
        Op::Select { locking } => {
            return plain("SELECT", if *locking { Lock::NextKey } else { Lock::None }, Work::Catalog);
        }
        Op::DropTable { .. }
        | Op::Truncate { .. }
        | Op::DropView { .. }
        | Op::CreateTrigger { .. }
        | Op::DropTrigger { .. } => {
            return plain("DROP/TRUNCATE TABLE", Lock::MetadataExclusive, Work::Catalog);
        }
        Op::CreateTable { from_query: true, .. } => return plain("CREATE TABLE AS", Lock::None, Work::Dml),
        Op::CreateTable { .. }
        | Op::CreateView { .. }
        | Op::CreateOther { .. }
        | Op::DropOther { .. }
        | Op::Session { .. }
        | Op::Transaction { .. } => return plain("no table", Lock::None, Work::Catalog),
        Op::Analyze => return plain("ANALYZE TABLE", Lock::Online, Work::Catalog),
        Op::ChangeType { .. }
        | Op::SetNotNull { .. }
        | Op::DropNotNull { .. }
        | Op::Validate { .. }
        | Op::Attach { .. }
        | Op::Detach { .. }
        | Op::Reindex { .. }
        | Op::RefreshView { .. }
        | Op::EnumAddValue { .. }
        | Op::EnumRenameValue
        | Op::Domain { .. }
        | Op::RenameSchema
        | Op::VacuumFull
        | Op::Cluster
        | Op::DropDatabase => {
            return Effect::unknown("not a form that is reviewed on MySQL");
        }
    };
    find(form, facts)
}

fn plain(form: &'static str, lock: Lock, work: Work) -> Effect {
    Effect { form, lock, work, ..Effect::default() }
}

fn find(form: &'static str, facts: &Facts<'_>) -> Effect {
    let Some(row) = ROWS.iter().find(|row| row.form == form) else {
        return Effect::unknown("no row in the table");
    };
    if facts.instant && row.instant.is_some_and(|first| facts.version >= first) {
        return Effect {
            note: Some("instant on this version".into()),
            instant: true,
            ..plain(form, Lock::Online, Work::Catalog)
        };
    }
    in_place(row, facts)
}

/// The way without INSTANT.
fn in_place(row: &Online, facts: &Facts<'_>) -> Effect {
    let form = row.form;
    match if facts.version >= (8, 0, 0) { row.v80 } else { row.v57 } {
        Way::Metadata => plain(form, Lock::Online, Work::Catalog),
        Way::Index => plain(form, Lock::Online, Work::IndexBuild),
        Way::Rebuild => plain(form, Lock::Online, Work::Rewrite),
        Way::RebuildShared => plain(form, Lock::InplaceShared, Work::Rewrite),
        Way::Copy => plain(form, Lock::Copy, Work::Rewrite),
    }
}

/// What `ALGORITHM=` and `LOCK=` make of an effect; why the server refuses them, if it does. What it refuses it refuses
/// before it does anything.
pub(crate) fn asked(
    algorithm: Option<&str>,
    lock: Option<&str>,
    facts: &Facts<'_>,
    effect: &mut Effect,
) -> Option<String> {
    let algorithm = algorithm.filter(|word| *word != "DEFAULT");
    let lock = lock.filter(|word| *word != "DEFAULT");
    let no = |clause: &str, why: &str| {
        Some(format!("the server refuses {clause} before it does anything, so the upgrade stops here: {why}"))
    };
    // A LOCK clause, and ALGORITHM=INPLACE, take what would be instant to the in-place way.
    let slower = algorithm == Some("INPLACE") || (algorithm.is_none() && lock.is_some());
    if let (true, true, Some(row)) = (slower, effect.instant, ROWS.iter().find(|row| row.form == effect.form))
    {
        *effect = in_place(row, facts);
    }
    match algorithm {
        Some("COPY") => (effect.lock, effect.work, effect.instant) = (Lock::Copy, Work::Rewrite, false),
        Some("INPLACE") if effect.lock == Lock::Copy => {
            return no("ALGORITHM=INPLACE", "this change copies the table");
        }
        Some("INSTANT") if !effect.instant => {
            return no("ALGORITHM=INSTANT", "this version does not do this change instantly");
        }
        Some("INSTANT") if lock.is_some() => {
            return no("LOCK with ALGORITHM=INSTANT", "only LOCK=DEFAULT goes with it");
        }
        Some("INPLACE" | "INSTANT") | None => {}
        Some(other) => return no(&format!("ALGORITHM={other}"), "it is none of MySQL's"),
    }
    match lock {
        Some("NONE") if effect.lock.blocks_writes() => {
            return no("LOCK=NONE", "writes have to wait for this change");
        }
        Some("SHARED") => effect.lock = effect.lock.max(Lock::InplaceShared),
        Some("EXCLUSIVE") => effect.lock = Lock::MetadataExclusive,
        Some("NONE") | None => {}
        Some(other) => return no(&format!("LOCK={other}"), "it is none of MySQL's"),
    }
    None
}

fn add_column(column: &Column) -> &'static str {
    if column.is_virtual {
        "ADD COLUMN (virtual)"
    } else if column.auto_increment {
        "ADD COLUMN AUTO_INCREMENT"
    } else if column.volatile && column.default.is_none() {
        "ADD COLUMN (stored generated)"
    } else if column.primary || column.unique || column.references.is_some() {
        "ADD FOREIGN KEY"
    } else if column.volatile {
        "change of data type"
    } else if column.placed {
        "ADD COLUMN (not last)"
    } else {
        "ADD COLUMN"
    }
}

/// Whether a statement's parts can all be instant, and whether it changes the primary key for another.
pub(crate) fn whole(actions: &[Action], facts: &Facts<'_>) -> (bool, bool) {
    let primary = |op: &Op, adds: bool| match op {
        Op::AddConstraint { kind: Constraint::Primary, .. } => adds,
        Op::DropConstraint { kind: Some(Constraint::Primary), .. } => !adds,
        _ => false,
    };
    let any = |adds: bool| actions.iter().any(|action| primary(&action.op, adds));
    let instant = actions.len() < 2 || actions.iter().all(|action| effect(action, facts).instant);
    (instant, any(true) && any(false))
}

/// How many bytes a value of an ENUM or a SET with this list takes.
fn bytes(set: bool, list: &str) -> usize {
    let count = lex(list, Dialect::Mysql).iter().filter(|token| token.kind == Kind::Text).count();
    match (set, count.div_ceil(8)) {
        (true, 5..) => 8,
        (true, bytes) => bytes,
        (false, _) => 1 + usize::from(count > 255),
    }
}

/// MODIFY and CHANGE: by what differs from the old column.
fn modify(from: &str, new: &Column, table: Option<&Table>, facts: &Facts<'_>) -> Effect {
    let Some(old) = table.and_then(|table| table.columns.get(from)) else {
        let why =
            "the column's old type is not known (no migration before this one shows it): a copy is assumed";
        return Effect { note: Some(why.into()), assumed: true, ..find("change of data type", facts) };
    };
    let form = if old.kind != new.kind {
        kind_change(&old.kind, &new.kind)
    } else if new.placed {
        "reorder columns"
    } else if old.not_null != new.not_null {
        "change of NULL"
    } else if from != new.name {
        "RENAME COLUMN"
    } else {
        "SET/DROP DEFAULT"
    };
    Effect { note: Some(format!("from {} to {}", old.kind, new.kind)), ..find(form, facts) }
}

fn kind_change(old: &str, new: &str) -> &'static str {
    let ((from, old_size), (to, new_size)) = (split_type(old), split_type(new));
    // utf8mb4 takes up to 4 bytes a character; a length needs a second byte from 256 on: 63 characters are 252 bytes.
    let class = |size: u64| size * 4 > 255;
    if from == "varchar" && to == "varchar" {
        return match (old_size.first(), new_size.first()) {
            (Some(old), Some(new)) if new >= old && class(*old) == class(*new) => "extend VARCHAR",
            _ => "change of data type",
        };
    }
    let values = |kind: &str| kind.split_once('(').map(|(_, list)| list.trim_end_matches(')').to_owned());
    let listed = ["enum", "set"].iter().any(|word| old.starts_with(word) && new.starts_with(word));
    match (values(old), values(new)) {
        (Some(was), Some(is)) if listed && is.starts_with(&format!("{was},")) => {
            let set = old.starts_with("set");
            if bytes(set, &was) == bytes(set, &is) { "append to ENUM/SET" } else { "change of data type" }
        }
        // The display width of an integer is no part of its type.
        _ if from == to
            && old_size != new_size
            && ["integer", "bigint", "smallint", "tinyint"].contains(&from.as_str()) =>
        {
            "SET/DROP DEFAULT"
        }
        _ => "change of data type",
    }
}
