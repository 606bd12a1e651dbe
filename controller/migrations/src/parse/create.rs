//! CREATE and DROP. Pure.

use super::{
    alter::{constraint, option},
    column::column,
    cursor::{Cursor, Reason},
    one,
};
use crate::op::{Action, Object, Op, Parsed};

/// After `CREATE`.
pub(super) fn create(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let replace = cursor.eat("OR REPLACE");
    cursor.any(&["GLOBAL", "LOCAL"]);
    cursor.any(&["TEMPORARY", "TEMP", "UNLOGGED"]);
    if cursor.eat("TABLE") {
        return table(cursor);
    }
    let unique = cursor.eat("UNIQUE");
    let special = cursor.any(&["FULLTEXT", "SPATIAL"]);
    if cursor.eat("INDEX") {
        return index(cursor, unique, special);
    }
    if cursor.eat("MATERIALIZED VIEW") {
        return view(cursor, true, replace);
    }
    if cursor.any(&["RECURSIVE VIEW", "VIEW"]) {
        return view(cursor, false, replace);
    }
    if cursor.any(&["CONSTRAINT TRIGGER", "TRIGGER"]) {
        let on = cursor.rest.iter().position(|t| t.is("ON")).ok_or("a trigger without ON")?;
        cursor.rest = &cursor.rest[on + 1..];
        return Ok(one(Some(cursor.name()?), Op::CreateTrigger { replace }));
    }
    if cursor.eat("DOMAIN") {
        let constrained = cursor.has("CHECK") || cursor.has("NOT");
        return Ok(one(None, Op::Domain { made: true, constrained }));
    }
    let kinds = [
        ("TYPE", Object::Other),
        ("SEQUENCE", Object::Other),
        ("EXTENSION", Object::Other),
        ("SCHEMA", Object::Other),
        ("FUNCTION", Object::Routine),
        ("PROCEDURE", Object::Routine),
        ("DEFINER", Object::Routine),
        ("AGGREGATE", Object::Other),
        ("ROLE", Object::Other),
        ("PUBLICATION", Object::Other),
        ("STATISTICS", Object::Other),
        ("COLLATION", Object::Other),
    ];
    let is_type = cursor.peek("TYPE");
    if let Some((_, what)) = kinds.iter().find(|(word, _)| cursor.eat(word)) {
        let idempotent = replace || cursor.eat("IF NOT EXISTS");
        let what = if is_type && cursor.has("ENUM") { Object::Enum } else { *what };
        return Ok(one(None, Op::CreateOther { what, idempotent }));
    }
    Err(cursor.unread("this kind of CREATE is not known"))
}

fn table(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let table = cursor.name()?;
    let (mut columns, mut references) = (Vec::new(), Vec::new());
    let mut parsed = Parsed::default();
    if cursor.peek("(") {
        let inner = cursor.parens()?;
        let inner = cursor.of(inner);
        for mut part in inner.list() {
            let skip = ["INDEX", "KEY", "FULLTEXT", "SPATIAL", "LIKE"].iter().any(|word| part.peek(word));
            if skip {
                if part.any(&["INDEX", "KEY"])
                    && let Ok(name) = part.name()
                    && part.peek("(")
                {
                    let columns = part.columns()?;
                    let op = Op::CreateIndex {
                        name: Some(name),
                        unique: false,
                        columns,
                        concurrently: false,
                        if_not_exists,
                        special: false,
                    };
                    parsed.actions.push(Action { table: Some(table.clone()), op });
                }
                continue;
            }
            if let Some(op) = constraint(&mut part)? {
                if let Op::AddConstraint { references: Some(other), .. } = &op {
                    references.push(other.clone());
                }
                parsed.actions.push(Action { table: Some(table.clone()), op });
                continue;
            }
            let column = column(&mut part)?;
            references.extend(column.references.clone());
            columns.push(column);
        }
    }
    let from_query = cursor.has("SELECT") || (cursor.has("AS") && columns.is_empty());
    parsed.actions.insert(
        0,
        Action { table: Some(table), op: Op::CreateTable { columns, references, if_not_exists, from_query } },
    );
    Ok(parsed)
}

fn index(mut cursor: Cursor<'_, '_>, unique: bool, special: bool) -> Result<Parsed, Reason> {
    let concurrently = cursor.eat("CONCURRENTLY");
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let name = if cursor.peek("ON") { None } else { Some(cursor.name()?) };
    if cursor.mysql() && cursor.eat("USING") {
        cursor.name()?;
    }
    cursor.need("ON")?;
    cursor.eat("ONLY");
    let table = cursor.name()?;
    if cursor.eat("USING") {
        cursor.name()?;
    }
    let columns = cursor.columns()?;
    let mut parsed =
        one(Some(table), Op::CreateIndex { name, unique, columns, concurrently, if_not_exists, special });
    while cursor.mysql() && !cursor.done() {
        if !option(&mut cursor, &mut parsed)? {
            if cursor.any(&["USING", "COMMENT"]) {
                cursor.rest = cursor.rest.get(1..).unwrap_or_default();
            } else if !cursor.any(&["VISIBLE", "INVISIBLE"]) {
                return Err(cursor.unread("this index option is not known"));
            }
        }
    }
    Ok(parsed)
}

fn view(mut cursor: Cursor<'_, '_>, materialized: bool, replace: bool) -> Result<Parsed, Reason> {
    let replace = cursor.eat("IF NOT EXISTS") || replace;
    Ok(one(Some(cursor.name()?), Op::CreateView { materialized, replace }))
}

/// After `DROP`.
pub(super) fn drop(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    if cursor.any(&["TEMPORARY TABLE", "TABLE"]) {
        return names(&mut cursor, |if_exists| Op::DropTable { if_exists });
    }
    if cursor.eat("INDEX") {
        return drop_index(cursor);
    }
    if cursor.eat("MATERIALIZED VIEW") {
        return names(&mut cursor, |if_exists| Op::DropView { if_exists, materialized: true });
    }
    if cursor.eat("VIEW") {
        return names(&mut cursor, |if_exists| Op::DropView { if_exists, materialized: false });
    }
    if cursor.any(&["DATABASE", "SCHEMA"]) {
        return Ok(one(None, Op::DropDatabase));
    }
    if cursor.eat("TRIGGER") {
        let if_exists = cursor.eat("IF EXISTS");
        cursor.name()?;
        let table = if cursor.eat("ON") { Some(cursor.name()?) } else { None };
        return Ok(one(table, Op::DropTrigger { if_exists }));
    }
    let kinds = [
        "TYPE",
        "FUNCTION",
        "PROCEDURE",
        "SEQUENCE",
        "EXTENSION",
        "DOMAIN",
        "ROLE",
        "AGGREGATE",
        "PUBLICATION",
        "STATISTICS",
    ];
    if cursor.any(&kinds) {
        return Ok(one(None, Op::DropOther { if_exists: cursor.eat("IF EXISTS") }));
    }
    Err(cursor.unread("this kind of DROP is not known"))
}

fn names(cursor: &mut Cursor<'_, '_>, op: impl Fn(bool) -> Op) -> Result<Parsed, Reason> {
    let if_exists = cursor.eat("IF EXISTS");
    let mut parsed = Parsed::default();
    for mut part in cursor.list() {
        let table = Some(part.name()?);
        part.any(&["CASCADE", "RESTRICT"]);
        part.end()?;
        parsed.actions.push(Action { table, op: op(if_exists) });
    }
    Ok(parsed)
}

fn drop_index(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let concurrently = cursor.eat("CONCURRENTLY");
    let if_exists = cursor.eat("IF EXISTS");
    if cursor.mysql() {
        let name = cursor.name()?;
        cursor.need("ON")?;
        let mut parsed = one(Some(cursor.name()?), Op::DropIndex { name, concurrently, if_exists });
        while option(&mut cursor, &mut parsed)? {}
        cursor.end()?;
        return Ok(parsed);
    }
    let mut parsed = Parsed::default();
    for mut part in cursor.list() {
        let name = part.name()?;
        part.any(&["CASCADE", "RESTRICT"]);
        part.end()?;
        parsed.actions.push(Action { table: None, op: Op::DropIndex { name, concurrently, if_exists } });
    }
    Ok(parsed)
}
