//! One migration: its statements read, their effects added up, its verdicts. Pure.

use crate::{
    Dialect, Estimate, Impact, Input, Lock, Migration, OldBinary, Statement, Work, compat, cost, decide,
    effect::{Effect, Facts, effect, mysql},
    files::Pair,
    op::{Action, Column, Op, Parsed},
    read::{Read, Step, statements},
    reasons, revert,
    rule::Rule,
    rules::{self, File},
    schema::{Before, Schema},
    unwrap::Leaf,
};

/// What one file is read with.
pub(crate) struct Reader<'a> {
    pub input: &'a Input,
    pub server: (u16, u16, u16),
    pub pair: &'a Pair,
}

impl Reader<'_> {
    /// Reads the up file, and moves the schema on.
    pub fn migration(&self, schema: &mut Schema) -> Migration {
        let transactional = self.pair.transactional(self.input.dialect);
        let mut reads: Vec<Read> = Vec::new();
        for (at, (leaf, parsed)) in statements(&self.pair.up, self.input.dialect).into_iter().enumerate() {
            reads.push(self.statement(at, leaf, parsed, schema));
        }
        guarded_together(&mut reads);
        if transactional {
            decide::hold_to_the_end(&mut reads);
        }
        for read in &mut reads {
            decide::decide(&mut read.statement, read.refused.as_deref(), &self.input.large);
        }
        let file = File {
            pair: self.pair,
            dialect: self.input.dialect,
            version: self.server,
            transactional,
            style: self.input.style,
            reads: &reads,
        };
        let mut findings = rules::findings(&file);
        let (revert, mut reasons) = revert::revert(self.pair, self.input.dialect, &reads, &mut findings);
        let fails =
            findings.iter().any(|one| matches!(one.rule, Rule::ConcurrentlyInTx | Rule::NtxMultiStatement));
        if let Some(why) = &self.pair.up.broken {
            reasons.push(format!("{}: {why}", self.pair.up.name));
        } else if fails {
            reasons.push(
                "it fails on the server as it is written: CONCURRENTLY cannot run in a transaction".into(),
            );
        }
        let unknown = fails || self.pair.up.broken.is_some();
        let worst = reads.iter().map(|one| one.statement.impact).max().unwrap_or(Impact::Quiet);
        let durations: Vec<_> = reads.iter().map(|one| one.statement.duration).collect();
        Migration {
            number: self.pair.number,
            name: self.pair.name.clone(),
            transactional,
            duration: durations.into_iter().try_fold(Estimate::default(), |sum, one| Some(sum.plus(one?))),
            impact: if unknown { Impact::Unknown } else { worst },
            revert,
            reasons,
            findings,
            statements: reads.into_iter().map(|one| one.statement).collect(),
        }
    }

    fn statement(&self, at: usize, leaf: Leaf, parsed: Result<Parsed, String>, schema: &mut Schema) -> Read {
        let (statement, parsed) = match parsed {
            Ok(parsed) => (Statement::blank(&leaf), parsed),
            Err(why) => (Statement::unread(&leaf, &why), Parsed::default()),
        };
        let Parsed { actions, algorithm, lock } = parsed;
        let mut out = Read { leaf, steps: Vec::new(), algorithm, lock, refused: None, statement };
        let (instant, rekeyed) = match self.input.dialect {
            Dialect::Mysql => mysql::whole(&actions, &self.facts(schema)),
            Dialect::Postgresql => (false, false),
        };
        for mut action in actions {
            action.table = schema.table_of(&action).or(action.table);
            let before = schema.before(&action);
            let facts = Facts { instant, rekeyed, ..self.facts(schema) };
            let mut effect = effect(&action, &facts);
            if self.input.dialect == Dialect::Mysql {
                let (algorithm, lock) = (out.algorithm.as_deref(), out.lock.as_deref());
                out.refused = out.refused.or_else(|| mysql::asked(algorithm, lock, &facts, &mut effect));
            }
            self.add(&mut out.statement, out.steps.is_empty(), &action, &effect, &before);
            if out.leaf.guarded {
                schema.perhaps(&action);
            } else {
                schema.apply(&action);
            }
            out.steps.push(Step { action, effect, before });
        }
        if !out.steps.is_empty() {
            out.statement.becomes_no_op =
                out.leaf.guarded || out.steps.iter().all(|step| rules::repeatable(&step.action.op));
        }
        self.overridden(at, &mut out.statement);
        let drops_index = out.steps.iter().any(|step| matches!(step.action.op, Op::DropIndex { .. }));
        out.statement.safe_before_upgrade =
            out.statement.old_binary <= OldBinary::WorksIfWidened && !drops_index && out.refused.is_none();
        out
    }

    fn facts<'s>(&self, schema: &'s Schema) -> Facts<'s> {
        let (dialect, version) = (self.input.dialect, self.server);
        Facts { dialect, version, schema, instant: true, rekeyed: false, utc: false }
    }

    /// Adds one change to its statement: the strictest part of a statement decides.
    fn add(&self, into: &mut Statement, first: bool, action: &Action, effect: &Effect, before: &Before) {
        let rows = action.table.as_ref().and_then(|table| self.input.rows.get(table)).copied();
        let rows = if before.fresh { Some(0) } else { rows };
        let bounded = matches!(
            action.op,
            Op::Insert { .. } | Op::Update { bounded: true, .. } | Op::Delete { bounded: true }
        );
        let counted = if bounded && effect.work == Work::Dml { Some(1000) } else { rows };
        let duration = cost::estimate(self.input.dialect, effect.work, counted);
        let other = action.table.as_ref().is_some_and(|table| !into.tables.contains(table));
        into.duration = match (into.duration, duration) {
            _ if first || effect.work > into.work => duration,
            (old, _) if effect.work < into.work => old,
            (Some(old), Some(new)) if other => Some(old.plus(new)),
            (Some(old), Some(new)) => Some(if old.most_ms > new.most_ms { old } else { new }),
            _ => None,
        };
        into.work = into.work.max(effect.work);
        self.touched(into, action.table.as_ref(), rows);
        if before.fresh {
            into.say("the table is made in the same file: nobody waits for it");
        } else {
            into.lock = into.lock.max(effect.lock);
            into.reads = into.reads.max(effect.reads());
            into.writes = into.writes.max(effect.writes());
        }
        if effect.other.is_some_and(|other| other != Lock::AccessShare) && refers(&action.op) {
            into.other_lock = into.other_lock.max(effect.other);
        }
        if let Some(note) = &effect.note {
            into.say(note);
        }
        let olds = before.column.iter().flat_map(Column::each);
        let each = olds.map(|old| compat::old_binary(action, Some(&old)));
        let (old_binary, why) =
            each.max_by_key(|(verdict, _)| *verdict).unwrap_or_else(|| compat::old_binary(action, None));
        // A table that the same file makes is one that the old binary does not know.
        let old_binary = if before.fresh { OldBinary::Works } else { old_binary };
        if old_binary > OldBinary::Works {
            into.say(&reasons::of_old_binary(why));
        }
        into.old_binary = into.old_binary.max(old_binary);
        into.reversible = into.reversible.max(compat::reversible(action));
    }

    /// Notes a table; the one that weighs most gives the statement its rows. A table of which nobody said how many it has
    /// weighs more than a small one.
    fn touched(&self, into: &mut Statement, table: Option<&String>, rows: Option<u64>) {
        let Some(table) = table else { return };
        if !into.tables.contains(table) {
            into.tables.push(table.clone());
        }
        let weight = |table: &String, rows: Option<u64>| {
            let class = if rows != Some(0) && self.input.large.is(Some(table), rows) {
                2
            } else {
                u8::from(rows.is_none())
            };
            (class, rows)
        };
        if into.table.as_ref().is_none_or(|old| weight(table, rows) > weight(old, into.rows)) {
            (into.table, into.rows) = (Some(table.clone()), rows);
        }
    }

    fn overridden(&self, at: usize, statement: &mut Statement) {
        let mine = self.input.overrides.iter().filter(|one| {
            one.migration == self.pair.number && one.statement.is_none_or(|number| number == at + 1)
        });
        for one in mine {
            statement.old_binary = one.old_binary;
            statement.say(&reasons::of_override(&one.reason));
        }
    }
}

/// Where a condition guards several changes, running one beforehand may make it skip the others: so none is offered.
fn guarded_together(reads: &mut [Read]) {
    let changes = |read: &Read| read.statement.lock > Lock::AccessShare;
    let lines: Vec<usize> = reads.iter().filter(|read| changes(read)).map(|read| read.leaf.line).collect();
    for read in reads.iter_mut().filter(|read| read.leaf.guarded) {
        let together = lines.iter().filter(|line| **line == read.leaf.line).count();
        read.statement.becomes_no_op &= together < 2;
    }
}

/// Whether a change names another table.
fn refers(op: &Op) -> bool {
    match op {
        Op::CreateTable { references, .. } => !references.is_empty(),
        Op::AddColumn { column, .. } => column.references.is_some(),
        Op::AddConstraint { references, .. } => references.is_some(),
        Op::Truncate { cascade } => *cascade,
        // Their rows in the lock table name another lock only where there is a foreign key.
        Op::DropConstraint { .. }
        | Op::DropTable { .. }
        | Op::DropColumn { .. }
        | Op::Attach { .. }
        | Op::Detach { .. } => true,
        _ => false,
    }
}

impl Statement {
    /// A statement of which nothing is said yet.
    fn blank(leaf: &Leaf) -> Self {
        Self {
            line: leaf.line,
            sql: leaf.sql.clone(),
            within: leaf.within.clone(),
            guarded: leaf.guarded,
            table: None,
            tables: Vec::new(),
            rows: None,
            lock: Lock::None,
            other_lock: None,
            reads: crate::Blocked::No,
            writes: crate::Blocked::No,
            work: Work::Catalog,
            duration: None,
            lock_held: None,
            decision: crate::Decision::Nothing,
            impact: Impact::Quiet,
            old_binary: OldBinary::Works,
            safe_before_upgrade: false,
            becomes_no_op: false,
            reversible: crate::Reversible::Yes,
            reasons: Vec::new(),
        }
    }

    /// A statement that cannot be read.
    fn unread(leaf: &Leaf, why: &str) -> Self {
        Self {
            lock: Lock::Unknown,
            reads: crate::Blocked::Unknown,
            writes: crate::Blocked::Unknown,
            work: Work::Unknown,
            old_binary: OldBinary::Unknown,
            reversible: crate::Reversible::Unknown,
            reasons: vec![format!("cannot be read: {why}")],
            ..Self::blank(leaf)
        }
    }
}
