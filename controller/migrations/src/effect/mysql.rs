//! InnoDB's online DDL: migrations.md 5.3 as data. Pure.
//!
//! Sources: MySQL 5.7 Reference Manual 14.13.1 and 8.0 Reference Manual 17.12.1, "Online DDL Operations", read row by row
//! but for CHECK, which they do not list; seed 002's rows confirm the 5.7 column where they name a lock.

use super::{Effect, Facts};
use crate::{
    Dialect, Lock, Work,
    lex::{Kind, lex},
    op::{Action, Column, Constraint, Op, Rewrite},
    schema::Table,
    sqltype::split_type,
};

/// How the server goes about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
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
struct Online {
    form: Form,
    v57: Way,
    v80: Way,
    instant: Option<(u16, u16, u16)>,
}

const fn online(form: Form, v57: Way, v80: Way, instant: Option<(u16, u16, u16)>) -> Online {
    Online { form, v57, v80, instant }
}

/// The operations that the manual's tables tell apart, in the order of the rows below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    AddIndex,
    DropIndex,
    AddSpecialIndex,
    AddColumn,
    AddColumnPlaced,
    AddColumnAutoIncrement,
    AddColumnStored,
    AddColumnVirtual,
    DropColumn,
    RenameColumn,
    ReorderColumns,
    Default,
    ChangeType,
    ExtendVarchar,
    ChangeNull,
    AppendValue,
    AddPrimaryKey,
    DropPrimaryKey,
    AddForeignKey,
    DropForeignKey,
    AddCheck,
    DropCheck,
    ConvertToCharacterSet,
    DefaultCharacterSet,
    Rebuild,
    RenameTable,
    TableOptions,
}

impl Form {
    fn row(self) -> &'static Online {
        &ROWS[self as usize]
    }
}

// Each form has the row of its own number.
const _: () = {
    assert!(ROWS.len() == Form::TableOptions as usize + 1);
    let mut at = 0;
    while at < ROWS.len() {
        assert!(ROWS[at].form as usize == at);
        at += 1;
    }
};

#[rustfmt::skip]
const ROWS: &[Online] = &[
    online(Form::AddIndex, Way::Index, Way::Index, None),
    online(Form::DropIndex, Way::Metadata, Way::Metadata, None),
    // The first FULLTEXT index rebuilds the table; whether it is the first is not known, so the worse is said.
    online(Form::AddSpecialIndex, Way::RebuildShared, Way::RebuildShared, None),
    online(Form::AddColumn, Way::Rebuild, Way::Rebuild, Some((8, 0, 12))),
    online(Form::AddColumnPlaced, Way::Rebuild, Way::Rebuild, Some((8, 0, 29))),
    online(Form::AddColumnAutoIncrement, Way::RebuildShared, Way::RebuildShared, None),
    online(Form::AddColumnStored, Way::Copy, Way::Copy, None),
    online(Form::AddColumnVirtual, Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online(Form::DropColumn, Way::Rebuild, Way::Rebuild, Some((8, 0, 29))),
    online(Form::RenameColumn, Way::Metadata, Way::Metadata, Some((8, 0, 28))),
    online(Form::ReorderColumns, Way::Rebuild, Way::Rebuild, None),
    online(Form::Default, Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online(Form::ChangeType, Way::Copy, Way::Copy, None),
    online(Form::ExtendVarchar, Way::Metadata, Way::Metadata, None),
    online(Form::ChangeNull, Way::Rebuild, Way::Rebuild, None),
    online(Form::AppendValue, Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online(Form::AddPrimaryKey, Way::Rebuild, Way::Rebuild, None),
    online(Form::DropPrimaryKey, Way::Copy, Way::Copy, None),
    // In place only with foreign_key_checks=0, which a migration file does not show for sure.
    online(Form::AddForeignKey, Way::Copy, Way::Copy, None),
    online(Form::DropForeignKey, Way::Metadata, Way::Metadata, None),
    // 8.0.16+ enforces CHECK and copies; 5.7 parses and ignores it.
    online(Form::AddCheck, Way::Metadata, Way::Copy, None),
    online(Form::DropCheck, Way::Metadata, Way::Metadata, None),
    online(Form::ConvertToCharacterSet, Way::Copy, Way::RebuildShared, None),
    // Rebuilt where the encoding is another than before, which is not known.
    online(Form::DefaultCharacterSet, Way::Rebuild, Way::Rebuild, None),
    online(Form::Rebuild, Way::Rebuild, Way::Rebuild, None),
    online(Form::RenameTable, Way::Metadata, Way::Metadata, Some((8, 0, 12))),
    online(Form::TableOptions, Way::Metadata, Way::Metadata, None),
];

/// What an action does on this server.
pub(super) fn effect(action: &Action, facts: &Facts<'_>) -> Effect {
    let table = action.table.as_deref().and_then(|name| facts.schema.tables.get(name));
    let form = match &action.op {
        Op::AddColumn { column, .. } => add_column(column),
        Op::DropColumn { .. } => Form::DropColumn,
        Op::RenameColumn { .. } => Form::RenameColumn,
        Op::Modify { from, column } => return modify(from, column, table, facts),
        Op::Default { .. } => Form::Default,
        Op::AddConstraint { kind, .. } => match kind {
            Constraint::Primary => Form::AddPrimaryKey,
            Constraint::Unique => Form::AddIndex,
            Constraint::Foreign => Form::AddForeignKey,
            Constraint::Check | Constraint::Exclude | Constraint::NotNull => Form::AddCheck,
        },
        Op::DropConstraint { kind, .. } => match kind {
            Some(Constraint::Primary) if facts.rekeyed => Form::AddPrimaryKey,
            Some(Constraint::Primary) => Form::DropPrimaryKey,
            Some(Constraint::Foreign) => Form::DropForeignKey,
            _ => Form::DropCheck,
        },
        Op::CreateIndex { special: true, .. } => Form::AddSpecialIndex,
        Op::CreateIndex { .. } => Form::AddIndex,
        Op::DropIndex { .. } | Op::RenameIndex { .. } => Form::DropIndex,
        Op::RenameTable { .. } => Form::RenameTable,
        Op::RewriteTable { what: Rewrite::Charset } => Form::ConvertToCharacterSet,
        Op::RewriteTable { what: Rewrite::DefaultCharset } => Form::DefaultCharacterSet,
        Op::RewriteTable { what: Rewrite::Files } => Form::Rebuild,
        Op::Catalog { .. } => Form::TableOptions,
        Op::LockTable { lock } => return plain(*lock, Work::Catalog),
        Op::Insert { .. } | Op::Update { .. } | Op::Delete { .. } => {
            return plain(Lock::NextKey, Work::Dml);
        }
        Op::Select { locking } => {
            return plain(if *locking { Lock::NextKey } else { Lock::None }, Work::Catalog);
        }
        Op::DropTable { .. }
        | Op::Truncate { .. }
        | Op::DropView { .. }
        | Op::CreateTrigger { .. }
        | Op::DropTrigger { .. } => {
            return plain(Lock::MetadataExclusive, Work::Catalog);
        }
        Op::CreateTable { from_query: true, .. } => return plain(Lock::None, Work::Dml),
        Op::CreateTable { .. }
        | Op::CreateView { .. }
        | Op::CreateOther { .. }
        | Op::DropOther { .. }
        | Op::Session { .. }
        | Op::Transaction { .. } => return plain(Lock::None, Work::Catalog),
        Op::Analyze => return plain(Lock::Online, Work::Catalog),
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

fn plain(lock: Lock, work: Work) -> Effect {
    Effect { lock, work, ..Effect::default() }
}

fn find(form: Form, facts: &Facts<'_>) -> Effect {
    if facts.instant && form.row().instant.is_some_and(|first| facts.version >= first) {
        return Effect {
            note: Some("instant on this version".into()),
            instant: Some(form),
            ..plain(Lock::Online, Work::Catalog)
        };
    }
    in_place(form, facts)
}

/// The way without INSTANT.
fn in_place(form: Form, facts: &Facts<'_>) -> Effect {
    let row = form.row();
    match if facts.version >= (8, 0, 0) { row.v80 } else { row.v57 } {
        Way::Metadata => plain(Lock::Online, Work::Catalog),
        Way::Index => plain(Lock::Online, Work::IndexBuild),
        Way::Rebuild => plain(Lock::Online, Work::Rewrite),
        Way::RebuildShared => plain(Lock::InplaceShared, Work::Rewrite),
        Way::Copy => plain(Lock::Copy, Work::Rewrite),
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
    if let (true, Some(form)) = (slower, effect.instant) {
        *effect = in_place(form, facts);
    }
    match algorithm {
        Some("COPY") => (effect.lock, effect.work, effect.instant) = (Lock::Copy, Work::Rewrite, None),
        Some("INPLACE") if effect.lock == Lock::Copy => {
            return no("ALGORITHM=INPLACE", "this change copies the table");
        }
        Some("INSTANT") if effect.instant.is_none() => {
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

fn add_column(column: &Column) -> Form {
    if column.is_virtual {
        Form::AddColumnVirtual
    } else if column.auto_increment {
        Form::AddColumnAutoIncrement
    } else if column.volatile && column.default.is_none() {
        Form::AddColumnStored
    } else if column.primary || column.unique || column.references.is_some() {
        Form::AddForeignKey
    } else if column.volatile {
        Form::ChangeType
    } else if column.placed {
        Form::AddColumnPlaced
    } else {
        Form::AddColumn
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
    let instant = actions.len() < 2 || actions.iter().all(|action| effect(action, facts).instant.is_some());
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
        return Effect { note: Some(why.into()), ..find(Form::ChangeType, facts) };
    };
    let form = if old.kind != new.kind {
        kind_change(&old.kind, &new.kind)
    } else if new.placed {
        Form::ReorderColumns
    } else if old.not_null != new.not_null {
        Form::ChangeNull
    } else if from != new.name {
        Form::RenameColumn
    } else {
        Form::Default
    };
    Effect { note: Some(format!("from {} to {}", old.kind, new.kind)), ..find(form, facts) }
}

fn kind_change(old: &str, new: &str) -> Form {
    let ((from, old_size), (to, new_size)) = (split_type(old), split_type(new));
    // utf8mb4 takes up to 4 bytes a character; a length needs a second byte from 256 on: 63 characters are 252 bytes.
    let class = |size: u64| size * 4 > 255;
    if from == "varchar" && to == "varchar" {
        return match (old_size.first(), new_size.first()) {
            (Some(old), Some(new)) if new >= old && class(*old) == class(*new) => Form::ExtendVarchar,
            _ => Form::ChangeType,
        };
    }
    let values = |kind: &str| kind.split_once('(').map(|(_, list)| list.trim_end_matches(')').to_owned());
    let listed = ["enum", "set"].iter().any(|word| old.starts_with(word) && new.starts_with(word));
    match (values(old), values(new)) {
        (Some(was), Some(is)) if listed && is.starts_with(&format!("{was},")) => {
            let set = old.starts_with("set");
            if bytes(set, &was) == bytes(set, &is) { Form::AppendValue } else { Form::ChangeType }
        }
        // The display width of an integer is no part of its type.
        _ if from == to
            && old_size != new_size
            && ["integer", "bigint", "smallint", "tinyint"].contains(&from.as_str()) =>
        {
            Form::Default
        }
        _ => Form::ChangeType,
    }
}
