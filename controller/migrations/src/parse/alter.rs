//! ALTER TABLE of both dialects. Pure.

use super::{
    column::{column, type_name},
    cursor::{Cursor, Reason},
};
use crate::{
    Dialect, Lock,
    op::{Action, Constraint, Op, Parsed, Rewrite},
};

/// After `ALTER TABLE`.
pub(super) fn table(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    cursor.eat("IF EXISTS");
    cursor.eat("ONLY");
    let table = cursor.name()?;
    cursor.eat("*");
    let mut parsed = Parsed::default();
    for mut part in cursor.list() {
        if part.mysql() && option(&mut part, &mut parsed)? {
            continue;
        }
        let ops = if part.mysql() { mysql(&mut part)? } else { vec![postgresql(&mut part)?] };
        part.any(&["CASCADE", "RESTRICT"]);
        part.end()?;
        parsed.actions.extend(ops.into_iter().map(|op| Action { table: Some(table.clone()), op }));
    }
    if parsed.actions.is_empty() {
        return Err("it changes nothing that is known".into());
    }
    Ok(parsed)
}

/// MySQL's `ALGORITHM=` and `LOCK=`.
pub(super) fn option(part: &mut Cursor<'_, '_>, parsed: &mut Parsed) -> Result<bool, Reason> {
    let target = if part.eat("ALGORITHM") {
        &mut parsed.algorithm
    } else if part.eat("LOCK") {
        &mut parsed.lock
    } else {
        return Ok(false);
    };
    part.eat("=");
    *target = Some(part.name()?.to_uppercase());
    Ok(true)
}

fn postgresql(part: &mut Cursor<'_, '_>) -> Result<Op, Reason> {
    if part.eat("ADD") {
        return add(part);
    }
    if part.eat("DROP") {
        return drop(part);
    }
    if part.eat("RENAME") {
        return rename(part);
    }
    if part.eat("ALTER CONSTRAINT") {
        part.rest = &[];
        return Ok(CATALOG);
    }
    if part.any(&["ALTER COLUMN", "ALTER"]) {
        return alter_column(part);
    }
    if part.eat("VALIDATE CONSTRAINT") {
        return Ok(Op::Validate { name: part.name()? });
    }
    if part.eat("ATTACH PARTITION") {
        let child = part.name()?;
        part.rest = &[];
        return Ok(Op::Attach { child });
    }
    if part.eat("DETACH PARTITION") {
        let child = part.name()?;
        let concurrently = part.eat("CONCURRENTLY");
        part.eat("FINALIZE");
        return Ok(Op::Detach { child, concurrently });
    }
    form(part)
}

/// A form that changes the catalogue only, under the strongest lock.
const CATALOG: Op = Op::Catalog { lock: Lock::AccessExclusive };

/// The forms that name no column: section 5.1's rows after VALIDATE.
fn form(part: &mut Cursor<'_, '_>) -> Result<Op, Reason> {
    let light = || Op::Catalog { lock: Lock::ShareUpdateExclusive };
    let trigger = ["ENABLE TRIGGER", "DISABLE TRIGGER", "ENABLE REPLICA TRIGGER", "ENABLE ALWAYS TRIGGER"];
    let op = if part.any(&trigger) {
        Op::Catalog { lock: Lock::ShareRowExclusive }
    } else if part.any(&["CLUSTER ON", "SET WITHOUT CLUSTER"]) {
        light()
    } else if part.any(&["SET LOGGED", "SET UNLOGGED", "SET TABLESPACE", "SET ACCESS METHOD"]) {
        Op::RewriteTable { what: Rewrite::Files }
    } else if part.any(&["SET", "RESET"]) && part.peek("(") {
        let quick =
            ["fillfactor", "toast", "autovacuum_", "log_autovacuum", "parallel_workers", "n_distinct"];
        let mut inner = part.clone();
        let options = inner.parens()?;
        let options = part.of(options).list();
        let all = options.iter().all(|one| {
            one.rest
                .first()
                .and_then(crate::lex::Token::name)
                .is_some_and(|name| quick.iter().any(|l| name.starts_with(l)))
        });
        if all { light() } else { CATALOG }
    } else if part.eat("SCHEMA") {
        Op::RenameTable { to: format!("{} (schema)", part.name()?) }
    } else if part.any(&[
        "REPLICA IDENTITY",
        "ENABLE ROW LEVEL SECURITY",
        "DISABLE ROW LEVEL SECURITY",
        "FORCE ROW LEVEL SECURITY",
        "NO FORCE ROW LEVEL SECURITY",
        "INHERIT",
        "NO INHERIT",
        "OF",
        "NOT OF",
        "OWNER TO",
        "ENABLE RULE",
        "DISABLE RULE",
        "ENABLE REPLICA RULE",
        "ENABLE ALWAYS RULE",
        "WITHOUT OIDS",
    ]) {
        CATALOG
    } else {
        return Err(part.unread("this form of ALTER TABLE is not known"));
    };
    part.rest = &[];
    Ok(op)
}

fn add(part: &mut Cursor<'_, '_>) -> Result<Op, Reason> {
    if let Some(op) = constraint(part)? {
        return Ok(op);
    }
    part.eat("COLUMN");
    let if_not_exists = part.eat("IF NOT EXISTS");
    Ok(Op::AddColumn { column: column(part)?, if_not_exists })
}

/// `[CONSTRAINT name] kind ...`, if one comes next.
pub(super) fn constraint(part: &mut Cursor<'_, '_>) -> Result<Option<Op>, Reason> {
    let mut name = None;
    if part.eat("CONSTRAINT") {
        let unnamed = ["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"].iter().any(|word| part.peek(word));
        name = if unnamed { None } else { Some(part.name()?) };
    }
    let kind = if part.eat("CHECK") {
        Constraint::Check
    } else if part.eat("PRIMARY KEY") {
        Constraint::Primary
    } else if part.any(&["UNIQUE KEY", "UNIQUE INDEX", "UNIQUE"]) {
        Constraint::Unique
    } else if part.eat("FOREIGN KEY") {
        Constraint::Foreign
    } else if part.eat("EXCLUDE") {
        Constraint::Exclude
    } else if name.is_some() && part.eat("NOT NULL") {
        Constraint::NotNull
    } else {
        return if name.is_some() { Err(part.unread("this constraint is not known")) } else { Ok(None) };
    };
    let (mut columns, mut proves) = (Vec::new(), None);
    let using_index = part.eat("USING INDEX");
    if using_index {
        let index = part.name()?;
        name = name.or(Some(index));
    } else if kind == Constraint::Check {
        let inner = part.parens()?;
        let inner = part.of(inner);
        proves = proves_not_null(&inner);
        columns = inner.rest.iter().filter_map(crate::lex::Token::name).collect();
    } else if kind == Constraint::NotNull {
        columns.push(part.name()?);
    } else {
        if !part.peek("(") && part.mysql() && !part.peek("USING") {
            name = Some(part.name()?);
        }
        if kind != Constraint::Exclude {
            if part.eat("USING") {
                part.name()?;
            }
            part.any(&["NULLS NOT DISTINCT", "NULLS DISTINCT"]);
            columns = part.columns()?;
        }
    }
    let references = if part.eat("REFERENCES") { Some(part.name()?) } else { None };
    let not_valid = part.rest.windows(2).any(|two| two[0].is("NOT") && two[1].is("VALID"));
    part.rest = &[];
    Ok(Some(Op::AddConstraint {
        name,
        kind,
        columns,
        references,
        not_valid,
        using_index,
        proves_not_null: proves,
    }))
}

/// `CHECK (c IS NOT NULL)` proves `c`.
fn proves_not_null(inner: &Cursor<'_, '_>) -> Option<String> {
    let mut inner = inner.clone();
    if inner.peek("(") {
        inner = inner.of(inner.clone().parens().ok()?);
    }
    let name = inner.name().ok()?;
    (inner.eat("IS NOT NULL") && inner.done()).then_some(name)
}

fn drop(part: &mut Cursor<'_, '_>) -> Result<Op, Reason> {
    if part.eat("CONSTRAINT") {
        let if_exists = part.eat("IF EXISTS");
        return Ok(Op::DropConstraint { name: part.name()?, kind: None, if_exists });
    }
    part.eat("COLUMN");
    let if_exists = part.eat("IF EXISTS");
    Ok(Op::DropColumn { name: part.name()?, if_exists })
}

fn rename(part: &mut Cursor<'_, '_>) -> Result<Op, Reason> {
    if part.any(&["TO", "AS"]) {
        return Ok(Op::RenameTable { to: part.name()? });
    }
    let constraint = part.eat("CONSTRAINT");
    let index = part.mysql() && part.any(&["INDEX", "KEY"]);
    part.eat("COLUMN");
    let from = part.name()?;
    part.need("TO")?;
    let to = part.name()?;
    Ok(match (constraint, index) {
        (true, _) => CATALOG,
        (_, true) => Op::RenameIndex { from, to },
        _ => Op::RenameColumn { from, to },
    })
}

fn alter_column(part: &mut Cursor<'_, '_>) -> Result<Op, Reason> {
    let name = part.name()?;
    if part.any(&["TYPE", "SET DATA TYPE"]) {
        let to = type_name(part)?;
        if part.eat("COLLATE") {
            part.name()?;
        }
        let using = part.eat("USING").then(|| part.text(part.rest));
        if using.is_some() {
            part.rest = &[];
        }
        return Ok(Op::ChangeType { name, to, using });
    }
    if part.eat("SET NOT NULL") {
        return Ok(Op::SetNotNull { name });
    }
    if part.eat("DROP NOT NULL") {
        return Ok(Op::DropNotNull { name });
    }
    let op = if part.eat("SET DEFAULT") {
        Op::Default { name, set: true }
    } else if part.eat("DROP DEFAULT") {
        Op::Default { name, set: false }
    } else if part.eat("SET STATISTICS") || (part.any(&["SET", "RESET"]) && part.peek("(")) {
        Op::Catalog { lock: Lock::ShareUpdateExclusive }
    } else if part.any(&[
        "SET STORAGE",
        "SET COMPRESSION",
        "STORAGE",
        "COMPRESSION",
        "ADD GENERATED",
        "SET GENERATED",
        "SET VISIBLE",
        "SET INVISIBLE",
        "DROP IDENTITY",
        "DROP EXPRESSION",
        "GENERATED",
        "RESTART",
        "VISIBLE",
        "INVISIBLE",
    ]) {
        CATALOG
    } else {
        return Err(part.unread("this form of ALTER COLUMN is not known"));
    };
    part.rest = &[];
    Ok(op)
}

fn mysql(part: &mut Cursor<'_, '_>) -> Result<Vec<Op>, Reason> {
    debug_assert!(part.dialect == Dialect::Mysql, "the other dialect has its own");
    if part.eat("ADD") {
        return mysql_add(part);
    }
    if part.eat("DROP") {
        return mysql_drop(part).map(|op| vec![op]);
    }
    let op = if part.eat("RENAME") {
        rename(part)?
    } else if part.any(&["MODIFY COLUMN", "MODIFY"]) {
        let column = column(part)?;
        Op::Modify { from: column.name.clone(), column }
    } else if part.any(&["CHANGE COLUMN", "CHANGE"]) {
        let from = part.name()?;
        Op::Modify { from, column: column(part)? }
    } else if part.any(&["ALTER INDEX", "DISABLE KEYS", "ENABLE KEYS"]) {
        part.rest = &[];
        Op::Catalog { lock: Lock::Online }
    } else if part.any(&["ALTER COLUMN", "ALTER"]) {
        alter_column(part)?
    } else if part.any(&["CONVERT TO CHARACTER SET", "CONVERT TO CHARSET"]) {
        part.rest = &[];
        Op::RewriteTable { what: Rewrite::Charset }
    } else if part.any(&[
        "DEFAULT CHARSET",
        "DEFAULT CHARACTER SET",
        "DEFAULT COLLATE",
        "CHARSET",
        "CHARACTER SET",
        "COLLATE",
    ]) {
        part.rest = &[];
        Op::RewriteTable { what: Rewrite::DefaultCharset }
    } else if part.any(&["ENGINE", "FORCE", "ROW_FORMAT", "KEY_BLOCK_SIZE"]) {
        part.rest = &[];
        Op::RewriteTable { what: Rewrite::Files }
    } else if part.any(&[
        "AUTO_INCREMENT",
        "COMMENT",
        "STATS_PERSISTENT",
        "STATS_AUTO_RECALC",
        "STATS_SAMPLE_PAGES",
    ]) {
        part.rest = &[];
        Op::Catalog { lock: Lock::Online }
    } else {
        return Err(part.unread("this form of ALTER TABLE is not known"));
    };
    Ok(vec![op])
}

fn mysql_add(part: &mut Cursor<'_, '_>) -> Result<Vec<Op>, Reason> {
    if let Some(op) = constraint(part)? {
        return Ok(vec![op]);
    }
    let special =
        part.any(&["FULLTEXT INDEX", "FULLTEXT KEY", "FULLTEXT", "SPATIAL INDEX", "SPATIAL KEY", "SPATIAL"]);
    if special || part.any(&["INDEX", "KEY"]) {
        let name = if part.peek("(") { None } else { Some(part.name()?) };
        if part.eat("USING") {
            part.name()?;
        }
        let columns = part.columns()?;
        part.rest = &[];
        return Ok(vec![Op::CreateIndex {
            name,
            unique: false,
            columns,
            concurrently: false,
            if_not_exists: false,
            special,
        }]);
    }
    part.eat("COLUMN");
    if part.peek("(") {
        let inner = part.parens()?;
        let inner = part.of(inner);
        let add = |mut one: Cursor<'_, '_>| {
            column(&mut one).map(|column| Op::AddColumn { column, if_not_exists: false })
        };
        return inner.list().into_iter().map(add).collect();
    }
    Ok(vec![Op::AddColumn { column: column(part)?, if_not_exists: false }])
}

fn mysql_drop(part: &mut Cursor<'_, '_>) -> Result<Op, Reason> {
    let dropped = |name, kind| Op::DropConstraint { name, kind, if_exists: false };
    Ok(if part.any(&["INDEX", "KEY"]) {
        Op::DropIndex { name: part.name()?, concurrently: false, if_exists: false }
    } else if part.eat("PRIMARY KEY") {
        dropped("primary".into(), Some(Constraint::Primary))
    } else if part.eat("FOREIGN KEY") {
        dropped(part.name()?, Some(Constraint::Foreign))
    } else if part.any(&["CONSTRAINT", "CHECK"]) {
        dropped(part.name()?, Some(Constraint::Check))
    } else {
        part.eat("COLUMN");
        Op::DropColumn { name: part.name()?, if_exists: false }
    })
}
