//! The rules of migrations.md section 1, one function a group. Pure.

use crate::{
    Dialect, Finding, Work,
    effect::Effect,
    files::Pair,
    op::{Action, Constraint, Op},
    unwrap::Leaf,
};

/// A statement with what was found of it.
pub(crate) struct Read<'a> {
    pub leaf: &'a Leaf,
    pub actions: &'a [Action],
    pub effects: &'a [Effect],
    /// Whether each action's table is made in the same file.
    pub fresh: &'a [bool],
}

/// A file as the rules see it.
pub(crate) struct File<'a> {
    pub pair: &'a Pair,
    pub dialect: Dialect,
    pub version: (u16, u16, u16),
    pub transactional: bool,
    pub statements: &'a [Read<'a>],
}

/// All findings of a file.
pub(crate) fn findings(file: &File<'_>) -> Vec<Finding> {
    let mut out = whole(file);
    for read in file.statements {
        for ((action, effect), fresh) in read.actions.iter().zip(read.effects).zip(read.fresh) {
            let found = of_action(action, effect, *fresh, file);
            out.extend(found.into_iter().map(|(rule, fix)| Finding {
                rule,
                line: read.leaf.line,
                what: brief(&read.leaf.sql),
                fix,
            }));
        }
        let mut push =
            |rule, fix| out.push(Finding { rule, line: read.leaf.line, what: brief(&read.leaf.sql), fix });
        if read.leaf.guarded && !read.actions.is_empty() {
            push("guard-skips-change", "the worst case is reviewed: the change may be a no-op");
        }
        if read.leaf.looped
            && file.transactional
            && read.effects.iter().any(|effect| effect.work == Work::Dml)
        {
            push(
                "loop-batch-in-one-tx",
                "a job, or COMMIT in a procedure: batches in one transaction keep their row locks",
            );
        }
    }
    out
}

/// A statement's first words.
pub(crate) fn brief(sql: &str) -> String {
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(100) {
        Some((at, _)) => format!("{}...", &flat[..at]),
        None => flat,
    }
}

fn concurrently(op: &Op) -> bool {
    matches!(
        op,
        Op::CreateIndex { concurrently: true, .. }
            | Op::DropIndex { concurrently: true, .. }
            | Op::Reindex { concurrently: true }
            | Op::Detach { concurrently: true, .. }
    )
}

/// Rules on the file as a whole.
fn whole(file: &File<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut push = |rule, line, what: String, fix| out.push(Finding { rule, line, what, fix });
    if file.dialect == Dialect::Postgresql && file.pair.misplaced_prefix() {
        let what = format!(
            "{} mentions the prefix, but not as its first bytes, so morph runs it in a transaction",
            file.pair.up.name
        );
        push("ntx-prefix-misplaced", 1, what, "make the first line exactly `-- morph:nontransactional`");
    }
    match &file.pair.down {
        None => push(
            "missing-down",
            1,
            format!("no down file for {}", file.pair.up.name),
            "add one, so that the pair is reversible",
        ),
        Some(down)
            if crate::split::split(&down.sql, file.dialect).is_empty() && !file.statements.is_empty() =>
        {
            push(
                "noop-down",
                1,
                format!("{} holds no statement", down.name),
                "write what takes the up file back",
            );
        }
        Some(_) => {}
    }
    let ddl: Vec<&Read<'_>> = file
        .statements
        .iter()
        .filter(|read| read.effects.iter().any(|effect| effect.lock != crate::Lock::None))
        .collect();
    if !file.transactional && file.statements.len() > 1 && file.dialect == Dialect::Postgresql {
        for read in &ddl {
            if read.actions.iter().any(|action| concurrently(&action.op)) {
                push(
                    "ntx-multi-statement",
                    read.leaf.line,
                    brief(&read.leaf.sql),
                    "one statement a file: several in one query are a transaction, where CONCURRENTLY fails",
                );
            }
        }
    }
    let tables: std::collections::BTreeSet<_> = ddl
        .iter()
        .flat_map(|read| read.actions.iter().filter_map(|action| action.table.as_deref()))
        .collect();
    if tables.len() > 1 {
        let names = tables.into_iter().collect::<Vec<_>>().join(", ");
        push("one-thing-per-file", 1, format!("it changes {names}"), "one change a file (seed 004)");
    }
    if file.dialect == Dialect::Mysql && ddl.len() > 1 {
        push(
            "mysql-ddl-autocommit",
            1,
            format!("{} statements, each committed alone", ddl.len()),
            "one statement a file, or each with a guard: a failure half-way is not recorded",
        );
    }
    together(file, &mut out);
    order(file, &mut out);
    out
}

/// Rules on several statements that touch one table, or none of which waits only so long.
fn together(file: &File<'_>, out: &mut Vec<Finding>) {
    let mut rewritten = std::collections::BTreeSet::new();
    let mut dropped = std::collections::BTreeSet::new();
    let mut patient = true;
    for read in file.statements {
        let line = read.leaf.line;
        if read.actions.is_empty() && read.leaf.unknown.is_some() {
            let fix = "write the statement out: what a string put together at run time does is not known";
            out.push(Finding { rule: "dynamic-sql", line, what: brief(&read.leaf.sql), fix });
        }
        let tables: std::collections::BTreeSet<_> = read
            .actions
            .iter()
            .zip(read.effects)
            .filter(|(_, effect)| effect.work == Work::Rewrite)
            .filter_map(|(action, _)| action.table.as_deref())
            .collect();
        if tables.iter().any(|table| rewritten.contains(table)) {
            let fix = "one ALTER with commas: each rewrite is a pass of its own (seed 002, note 3)";
            out.push(Finding { rule: "multiple-alter-same-table", line, what: brief(&read.leaf.sql), fix });
        }
        rewritten.extend(tables);
        for (action, (effect, fresh)) in read.actions.iter().zip(read.effects.iter().zip(read.fresh)) {
            match &action.op {
                Op::DropTable { .. } => _ = dropped.insert(action.table.clone()),
                Op::CreateTable { .. } if dropped.contains(&action.table) => {
                    let fix = "a plain CREATE TABLE: dropping it first loses its rows";
                    out.push(Finding { rule: "create-force", line, what: brief(&read.leaf.sql), fix });
                }
                Op::Session { lock_timeout: true, .. } => patient = false,
                _ => {}
            }
            if patient && !fresh && file.dialect == Dialect::Postgresql && effect.lock.blocks_reads() {
                patient = false;
                let fix =
                    "SET LOCAL lock_timeout, and try again: behind one long query everything else waits";
                out.push(Finding { rule: "no-lock-timeout", line, what: brief(&read.leaf.sql), fix });
            }
        }
    }
}

/// Rules on what follows what in one transaction.
fn order(file: &File<'_>, out: &mut Vec<Finding>) {
    if !file.transactional {
        return;
    }
    let mut strong = false;
    for read in file.statements {
        let work = read
            .effects
            .iter()
            .zip(read.fresh)
            .filter(|(_, fresh)| !**fresh)
            .map(|(effect, _)| effect.work)
            .max();
        if strong && work.is_some_and(|work| work != Work::Catalog) {
            let dml = work == Some(Work::Dml);
            let (rule, fix) = if dml {
                ("dml-after-ddl", "separate files: the DDL's lock is kept while the rows change")
            } else if read.actions.iter().any(|action| matches!(action.op, Op::Validate { .. })) {
                ("validate-while-blocking", "VALIDATE in a file of its own")
            } else {
                ("more-after-access-exclusive", "separate files: the lock is kept to the end of the file")
            };
            out.push(Finding { rule, line: read.leaf.line, what: brief(&read.leaf.sql), fix });
        }
        strong |=
            read.effects.iter().zip(read.fresh).any(|(effect, fresh)| !fresh && effect.lock.blocks_writes());
    }
}

/// Rules on one change: name and alternative.
#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "a table of rules: one arm each")]
fn of_action(action: &Action, effect: &Effect, fresh: bool, file: &File<'_>) -> Vec<(&'static str, &'static str)> {
    let postgresql = file.dialect == Dialect::Postgresql;
    let mut out = Vec::new();
    let mut rule = |when: bool, name, fix| if when { out.push((name, fix)); };
    let rewrites = effect.work == Work::Rewrite;
    rule(postgresql && file.transactional && concurrently(&action.op), "concurrently-in-tx", "the prefix `-- morph:nontransactional` and a file of its own: it fails in a transaction");
    if !file.transactional || !postgresql {
        rule(!repeatable(&action.op), "ntx-not-idempotent", "IF [NOT] EXISTS or a guard: the file runs again after a failure");
    }
    match &action.op {
        Op::CreateIndex { concurrently, columns, unique, if_not_exists, .. } => {
            rule(postgresql && !concurrently && !fresh, "index-not-concurrent", "CREATE INDEX CONCURRENTLY, alone in a nontransactional file");
            rule(*concurrently && *if_not_exists, "invalid-index-hidden", "check pg_index.indisvalid: a failed build leaves an invalid index that IF NOT EXISTS keeps");
            rule(*concurrently && file.version >= (14, 0, 0) && file.version < (14, 4, 0), "cic-corruption-pg14", "upgrade to 14.4 first: the index can be corrupt");
            rule(!unique && columns.len() > 3, "index-wide", "fewer columns");
        }
        Op::DropIndex { concurrently: false, .. } => rule(postgresql, "index-drop-not-concurrent", "DROP INDEX CONCURRENTLY, in a file of its own"),
        Op::Reindex { concurrently: false } => rule(true, "reindex-not-concurrent", "REINDEX CONCURRENTLY (12+)"),
        Op::Detach { concurrently: false, .. } => rule(true, "detach-not-concurrent", "DETACH PARTITION CONCURRENTLY (14+)"),
        Op::ChangeType { .. } | Op::Modify { .. } => {
            rule(rewrites, "column-type-change", "add a column, backfill by a job, use it from an ESR on, drop the old one in the next (seed 004)");
            rule(!rewrites, "column-type-change-safe", "the catalogue only");
        }
        Op::AddColumn { column, .. } => {
            rule(column.volatile && column.default.is_some(), "add-column-default-volatile", "add it nullable, SET DEFAULT, backfill in batches");
            rule(column.not_null && column.default.is_none() && !column.volatile, "add-column-required", "nullable, or a constant default, first");
            rule(column.auto_increment || column.kind.contains("serial"), "add-column-serial", "a new table, and a copy");
            rule(column.volatile && column.default.is_none() && !column.auto_increment && !column.kind.contains("serial"), "add-column-generated-stored", "a trigger, or a virtual column");
            rule(postgresql && column.kind == "json", "add-column-json", "jsonb: json has no equality");
            rule(column.unique, "add-unique", "CREATE UNIQUE INDEX CONCURRENTLY, then ADD UNIQUE USING INDEX, in two files");
            rule(column.references.is_some(), "add-foreign-key", "no foreign key; else NOT VALID, and VALIDATE in another file");
        }
        Op::SetNotNull { .. } => rule(effect.work == Work::Scan, "set-not-null", "CHECK (c IS NOT NULL) NOT VALID; VALIDATE; SET NOT NULL (12+ needs no scan then)"),
        Op::DropNotNull { .. } => rule(true, "drop-not-null", "roll out readers that know NULL first"),
        Op::AddConstraint { kind, not_valid, using_index, .. } if !fresh => match kind {
            Constraint::Unique => rule(!using_index, "add-unique", "CREATE UNIQUE INDEX CONCURRENTLY, then ADD UNIQUE USING INDEX, in two files"),
            Constraint::Primary => rule(true, "add-primary-key", "a unique index concurrently, then PRIMARY KEY USING INDEX"),
            Constraint::Foreign => rule(!not_valid, "add-foreign-key", "no foreign key; else NOT VALID, and VALIDATE in another file"),
            Constraint::Check | Constraint::NotNull => rule(!not_valid, "add-check-valid", "NOT VALID, and VALIDATE in another file"),
            Constraint::Exclude => rule(true, "add-exclusion", "a maintenance window: there is no other way"),
        },
        Op::DropColumn { .. } => rule(true, "drop-column", "stop using it in one release, drop it after the last ESR that does"),
        Op::DropTable { .. } => rule(true, "drop-table", "stop using it in one release, drop it after the last ESR that does"),
        Op::DropView { .. } => rule(true, "drop-matview", "stop using it in one release, drop it after the last ESR that does"),
        Op::DropDatabase => rule(true, "drop-database", "never"),
        Op::Truncate => rule(true, "truncate", "delete in batches"),
        Op::RenameTable { .. } => rule(true, "rename-table", "a new one, written by both, and the old one dropped later; or a view"),
        Op::RenameColumn { .. } => rule(true, "rename-column", "a new one, written by both, and the old one dropped later"),
        Op::EnumRenameValue => rule(true, "rename-enum-value", "add a value"),
        Op::EnumAddValue { ordered, .. } => rule(!ordered, "enum-add-value-order", "say BEFORE or AFTER"),
        Op::Update { bounded: false, .. } | Op::Delete { bounded: false } => rule(!fresh, "full-table-dml", "batches of 100 by id in a job at run time, with the offset kept (seed 004)"),
        Op::LockTable { .. } => rule(true, "lock-table", "do not (seed 004)"),
        Op::Transaction { .. } => rule(file.transactional, "explicit-tx-in-file", "remove it: morph's transaction holds the file"),
        Op::VacuumFull | Op::Cluster => rule(true, "vacuum-full", "pg_repack"),
        Op::Domain => rule(true, "domain-constraint", "a CHECK on the column"),
        _ => {}
    }
    out
}

/// Whether a second run does no harm.
pub(crate) fn repeatable(op: &Op) -> bool {
    match op {
        Op::CreateTable { if_not_exists, .. }
        | Op::AddColumn { if_not_exists, .. }
        | Op::CreateIndex { if_not_exists, .. }
        | Op::EnumAddValue { if_not_exists, .. } => *if_not_exists,
        Op::DropTable { if_exists }
        | Op::DropColumn { if_exists, .. }
        | Op::DropConstraint { if_exists, .. }
        | Op::DropIndex { if_exists, .. }
        | Op::DropView { if_exists, .. }
        | Op::DropOther { if_exists, .. }
        | Op::DropTrigger { if_exists } => *if_exists,
        Op::CreateView { replace, .. } | Op::CreateTrigger { replace } => *replace,
        Op::CreateOther { idempotent, .. } | Op::Insert { idempotent } => *idempotent,
        Op::AddConstraint { .. }
        | Op::RenameTable { .. }
        | Op::RenameColumn { .. }
        | Op::RenameIndex { .. }
        | Op::EnumRenameValue
        | Op::Attach { .. }
        | Op::Detach { .. }
        | Op::DropDatabase => false,
        _ => true,
    }
}
