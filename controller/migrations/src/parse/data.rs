//! Statements on rows. Pure.

use super::{
    cursor::{Cursor, Reason},
    one,
};
use crate::{
    lex::Kind,
    op::{Action, Op, Parsed},
};

/// Reads what changes or reads rows, if it is that.
pub(super) fn data(cursor: &mut Cursor<'_, '_>) -> Result<Option<Parsed>, Reason> {
    if cursor.peek("WITH") {
        return with(cursor).map(Some);
    }
    let parsed = if cursor.eat("UPDATE") {
        cursor.any(&["LOW_PRIORITY", "IGNORE", "ONLY"]);
        update(cursor)?
    } else if cursor.any(&["DELETE FROM ONLY", "DELETE FROM"]) {
        one(Some(cursor.name()?), Op::Delete { bounded: bounded(cursor) })
    } else if cursor.eat("DELETE") {
        // MySQL's form for several tables: before FROM stand aliases, so all tables behind it are taken.
        let from = cursor.rest.iter().position(|t| t.is("FROM")).map_or(0, |at| at + 1);
        let op = Op::Delete { bounded: bounded(cursor) };
        all(joined(&cursor.of(&cursor.rest[from..]))?, &op)
    } else if cursor.any(&["INSERT IGNORE INTO", "INSERT INTO", "REPLACE INTO", "INSERT"]) {
        let ignore = cursor.sql.get(..13).is_some_and(|head| head.eq_ignore_ascii_case("INSERT IGNORE"));
        let idempotent = ignore || ["CONFLICT", "DUPLICATE", "EXISTS"].iter().any(|word| cursor.has(word));
        one(Some(cursor.name()?), Op::Insert { idempotent })
    } else if cursor.eat("MERGE INTO") {
        one(Some(cursor.name()?), Op::Update { bounded: false, blanks: false })
    } else if cursor.any(&["TRUNCATE TABLE", "TRUNCATE"]) {
        return truncate(cursor).map(Some);
    } else if cursor.eat("REFRESH MATERIALIZED VIEW") {
        let concurrently = cursor.eat("CONCURRENTLY");
        one(Some(cursor.name()?), Op::RefreshView { concurrently })
    } else if cursor.any(&["SELECT", "VALUES", "TABLE"]) || cursor.peek("(") {
        return select(cursor).map(Some);
    } else {
        return Ok(None);
    };
    Ok(Some(parsed))
}

fn truncate(cursor: &mut Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let cascade = cursor.has("CASCADE");
    let mut parsed = Parsed::default();
    for mut part in cursor.list() {
        part.eat("ONLY");
        parsed.actions.push(Action { table: Some(part.name()?), op: Op::Truncate { cascade } });
    }
    Ok(parsed)
}

fn update(cursor: &mut Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let Some(set) = cursor.rest.iter().position(|t| t.is("SET")) else {
        return Err(cursor.unread("an UPDATE without SET"));
    };
    let tables = if cursor.mysql() { joined(&cursor.of(&cursor.rest[..set]))? } else { vec![cursor.name()?] };
    let end = cursor.rest.iter().position(|t| t.is("WHERE")).unwrap_or(cursor.rest.len());
    let blanks =
        cursor.rest[..end].windows(2).any(|two| two[0].is("=") && (two[1].is("NULL") || two[1].text == "''"));
    Ok(all(tables, &Op::Update { bounded: bounded(cursor), blanks }))
}

/// The same change to each table.
fn all(tables: Vec<String>, op: &Op) -> Parsed {
    let actions = tables.into_iter().map(|table| Action { table: Some(table), op: op.clone() }).collect();
    Parsed { actions, ..Parsed::default() }
}

/// MySQL's table references, `a JOIN b ON ..., c`: which of them change is not told apart.
fn joined(refs: &Cursor<'_, '_>) -> Result<Vec<String>, Reason> {
    let mut refs = refs.clone();
    let mut tables = vec![refs.name()?];
    let end = refs.rest.iter().position(|t| t.is("WHERE")).unwrap_or(refs.rest.len());
    let mut depth = 0_usize;
    for (at, token) in refs.rest[..end].iter().enumerate() {
        depth = (depth + usize::from(token.is("("))).saturating_sub(usize::from(token.is(")")));
        let next =
            ["JOIN", "STRAIGHT_JOIN"].iter().any(|word| token.is(word)) || (depth == 0 && token.is(","));
        if next && let Ok(name) = refs.of(&refs.rest[at + 1..]).name() {
            tables.push(name);
        }
    }
    tables.sort_unstable();
    tables.dedup();
    Ok(tables)
}

/// Whether a statement touches few rows for sure: a LIMIT, or one key's value. A WHERE on a column that is or is not
/// yet filled is no bound (seed 004).
fn bounded(cursor: &Cursor<'_, '_>) -> bool {
    let at = cursor.rest.iter().position(|t| t.is("WHERE"));
    let key = at.is_some_and(|at| {
        let part = &cursor.rest[at + 1..];
        let literal = |kind| matches!(kind, Kind::Text | Kind::Number);
        part.len() == 3
            && (part[0].is("id") || part[0].is("name"))
            && part[1].is("=")
            && literal(part[2].kind)
    });
    key || cursor.has("LIMIT")
}

/// A query with common table expressions: what any part of it changes.
fn with(cursor: &mut Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let mut parsed = Parsed::default();
    for (at, token) in cursor.rest.iter().enumerate() {
        let mut part = cursor.of(&cursor.rest[at..]);
        let opens = at == 0
            || cursor.rest[at - 1].is("(")
            || cursor.rest[at - 1].is(")")
            || cursor.rest[at - 1].is("MATERIALIZED");
        let changes = ["UPDATE", "DELETE", "INSERT", "MERGE"].iter().any(|word| token.is(word));
        if opens
            && changes
            && let Some(found) = data(&mut part)?
        {
            parsed.actions.extend(found.actions);
        }
    }
    if parsed.actions.is_empty() { select(cursor) } else { Ok(parsed) }
}

fn select(cursor: &Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let call = cursor.rest.windows(2).find(|two| {
        two[1].is("(") && two[0].kind == Kind::Word && {
            let name = two[0].text.to_lowercase();
            !READS.contains(&name.as_str()) && !READS_STARTING.iter().any(|start| name.starts_with(start))
        }
    });
    if let Some(call) = call {
        return Err(format!("it calls `{}`, and what that function does is not in the text", call[0].text));
    }
    let locking =
        cursor.rest.windows(2).any(|two| two[0].is("FOR") && (two[1].is("UPDATE") || two[1].is("SHARE")));
    let from = cursor.rest.iter().position(|t| t.is("FROM"));
    let source = from.and_then(|at| cursor.rest.get(at + 1)).and_then(crate::lex::Token::name);
    // The catalogue is nobody's table.
    let catalogue = source.is_some_and(|name| name == "information_schema" || name.starts_with("pg_"));
    let table = from.filter(|_| !catalogue).and_then(|at| cursor.of(&cursor.rest[at + 1..]).name().ok());
    Ok(one(table, Op::Select { locking }))
}

/// What may stand before a parenthesis in a query that only reads: keywords, and functions that change nothing.
#[rustfmt::skip]
const READS: [&str; 62] = [
    "select", "from", "where", "and", "or", "not", "in", "exists", "as", "on", "using", "any", "all", "some", "values",
    "case", "when", "then", "else", "over", "filter", "by", "union", "except", "intersect", "having", "distinct", "join",
    "lateral", "count", "max", "min", "sum", "avg", "coalesce", "nullif", "greatest", "least", "lower", "upper", "length",
    "trim", "substring", "substr", "replace", "concat", "cast", "now", "if", "ifnull", "database", "schema", "version",
    "char_length", "row_number", "unnest", "generate_series", "format", "round", "abs", "to_regclass", "varchar",
];

/// The same, by how their names start.
const READS_STARTING: [&str; 8] =
    ["current_", "array", "string_", "json", "pg_get_", "regexp_", "date_", "to_"];
