//! What a change does to those who use the table meanwhile: locks, work, blocked reads and writes. Pure.

pub(crate) mod mysql;
mod postgresql;

use crate::{
    Blocked, Dialect, Lock, Work,
    op::{Action, Op},
    schema::Schema,
};

/// What the tables below need to know.
pub(crate) struct Facts<'a> {
    pub dialect: Dialect,
    pub version: (u16, u16, u16),
    pub schema: &'a Schema,
    /// MySQL: whether all of the statement can be instant. One part that is not takes the others with it (8.0 manual 17.12.1).
    pub instant: bool,
    /// MySQL: whether the statement drops a primary key and adds another, which is done in place.
    pub rekeyed: bool,
    /// Whether sessions run in UTC: then timestamps change their zone without a rewrite (12+). Not known from SQL.
    pub utc: bool,
}

/// What one change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub lock: Lock,
    pub other: Option<Lock>,
    pub work: Work,
    pub note: Option<String>,
    /// Whether reads wait for more than the table's lock: it holds the indexes, and every query looks at all of a table's
    /// indexes when it is planned.
    pub replans: bool,
    /// MySQL: the operation that this version does instantly.
    pub instant: Option<mysql::Form>,
}

impl Default for Effect {
    fn default() -> Self {
        Self { lock: Lock::None, other: None, work: Work::Catalog, note: None, replans: false, instant: None }
    }
}

impl Effect {
    pub fn unknown(why: &str) -> Self {
        Self { lock: Lock::Unknown, work: Work::Unknown, note: Some(why.into()), ..Self::default() }
    }

    fn blocked(&self, blocks: bool) -> Blocked {
        match (blocks, self.work) {
            (true, Work::Unknown) => Blocked::Unknown,
            (true, Work::Catalog) => Blocked::Brief,
            (true, _) => Blocked::Whole,
            (false, _) => Blocked::No,
        }
    }

    pub fn reads(&self) -> Blocked {
        // REINDEX holds its indexes ACCESS EXCLUSIVE: measured on PostgreSQL 15.
        self.blocked(self.lock.blocks_reads() || self.replans)
    }

    pub fn writes(&self) -> Blocked {
        match self.blocked(self.lock.blocks_writes()) {
            Blocked::No if matches!(self.lock, Lock::RowExclusive | Lock::NextKey | Lock::RowShare) => {
                Blocked::MatchedRows
            }
            blocked => blocked,
        }
    }
}

/// The effect of a change on this server.
pub(crate) fn effect(action: &Action, facts: &Facts<'_>) -> Effect {
    let of = |facts: &Facts<'_>| match facts.dialect {
        Dialect::Postgresql => postgresql::effect(action, facts),
        Dialect::Mysql => mysql::effect(action, facts),
    };
    let (Op::ChangeType { name, .. } | Op::Modify { from: name, .. }) = &action.op else { return of(facts) };
    let table = action.table.as_ref().and_then(|table| facts.schema.tables.get_key_value(table));
    let column = table.and_then(|(_, table)| table.columns.get(name));
    let (Some((table, whole)), Some(column)) = (table, column) else { return of(facts) };
    // Each type that the column may have now: the worst counts.
    let others = column.each().skip(1).map(|other| {
        let mut whole = whole.clone();
        whole.columns.insert(name.clone(), other);
        let schema = Schema { tables: [(table.clone(), whole)].into(), ..Schema::default() };
        of(&Facts { schema: &schema, ..*facts })
    });
    others.fold(
        of(facts),
        |worst, other| {
            if (other.work, other.lock) > (worst.work, worst.lock) { other } else { worst }
        },
    )
}
