//! One statement's text as what it changes. Pure, total: what is not read to its last token is an error that says where
//! reading stopped, and the analysis then says `Unknown`.
//!
//! The grammar of PostgreSQL is checked by squawk's parser before our own reading of it counts; for MySQL, sqlparser
//! tells a form that our tables lack from text that is no SQL.

mod alter;
mod column;
mod create;
mod cursor;
mod data;

use breakwater_text::cut;

use self::cursor::{Cursor, Reason};
use crate::{
    Dialect, Lock,
    lex::{Token, lex},
    op::{Action, Object, Op, Parsed, Rewrite},
};

/// How deep a statement may nest, and how many tokens it may have: the grammars recurse, and a stack has an end.
const NESTED_MAX: usize = 100;
const TOKENS_MAX: usize = 4000;
/// How deep sqlparser may go for an explanation: its default of 50 takes more than the 2 MiB of a thread, unoptimised.
const EXPLAINED_MAX: usize = 20;

/// Refuses what the grammars could not hold on a stack. Rows to insert are flat, and may be many.
fn bounded(tokens: &[Token<'_>]) -> Result<(), Reason> {
    let (mut depth, mut most, mut prefixes) = (0_usize, 0_usize, 0_usize);
    for token in tokens {
        if ["(", "[", "CASE"].iter().any(|open| token.is(open)) {
            depth += 1;
        } else if [")", "]", "END"].iter().any(|close| token.is(close)) {
            depth = depth.saturating_sub(1);
        }
        let prefix = ["NOT", "-", "+", "~", "@", "JOIN"].iter().any(|word| token.is(word));
        prefixes = if prefix {
            prefixes + 1
        } else {
            prefixes.saturating_sub(usize::from(depth == 0 && token.is(",")))
        };
        most = most.max(depth).max(if prefix { prefixes } else { 0 });
    }
    if most > NESTED_MAX {
        return Err(format!("it nests more than {NESTED_MAX} deep"));
    }
    let inserts = tokens.first().is_some_and(|first| first.is("INSERT") || first.is("REPLACE"));
    if tokens.len() > TOKENS_MAX && !inserts {
        return Err(format!("it has {} tokens, more than the {TOKENS_MAX} that are read", tokens.len()));
    }
    Ok(())
}

/// Reads one statement.
pub(crate) fn parse(sql: &str, dialect: Dialect) -> Result<Parsed, Reason> {
    let tokens = lex(sql, dialect);
    bounded(&tokens)?;
    if dialect == Dialect::Postgresql && tokens.len() <= TOKENS_MAX {
        grammar(sql)?;
    }
    statement(Cursor { rest: &tokens, sql, dialect }).map_err(|why| match dialect {
        Dialect::Postgresql => why,
        Dialect::Mysql => explained(sql, why),
    })
}

fn grammar(sql: &str) -> Result<(), Reason> {
    let errors = squawk_syntax::SourceFile::parse(sql).errors();
    match errors.first() {
        None => Ok(()),
        Some(error) => {
            let at = usize::from(error.range().start());
            let near = cut::chars(sql.get(at..).unwrap_or_default().trim_start(), 30);
            Err(format!("PostgreSQL's grammar does not allow it: {} near `{near}`", error.message()))
        }
    }
}

fn explained(sql: &str, why: Reason) -> Reason {
    let dialect = sqlparser::dialect::MySqlDialect {};
    let parser = sqlparser::parser::Parser::new(&dialect).with_recursion_limit(EXPLAINED_MAX);
    match parser.try_with_sql(sql).and_then(|mut parser| parser.parse_statements()) {
        Ok(_) => why,
        Err(error) => format!("{why} (and a MySQL parser says: {error})"),
    }
}

fn one(table: Option<String>, op: Op) -> Parsed {
    Parsed { actions: vec![Action { table, op }], ..Parsed::default() }
}

fn statement(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    if cursor.any(&["ALTER TABLE", "ALTER IGNORE TABLE"]) {
        return alter::table(cursor);
    }
    if cursor.eat("CREATE") {
        return create::create(cursor);
    }
    if cursor.eat("DROP") {
        return create::drop(cursor);
    }
    if cursor.eat("ALTER") {
        return alter_other(cursor);
    }
    if cursor.any(&["RENAME TABLE"]) {
        return renames(&cursor);
    }
    match data::data(&mut cursor)? {
        Some(parsed) => Ok(parsed),
        None => session(cursor),
    }
}

/// MySQL's `RENAME TABLE a TO b, ...`.
fn renames(cursor: &Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let mut parsed = Parsed::default();
    for mut part in cursor.list() {
        let table = Some(part.name()?);
        part.need("TO")?;
        parsed.actions.push(Action { table, op: Op::RenameTable { to: part.name()? } });
    }
    Ok(parsed)
}

fn alter_other(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    if cursor.eat("TYPE") {
        let name = cursor.name()?;
        return Ok(if cursor.eat("ADD VALUE") {
            let if_not_exists = cursor.eat("IF NOT EXISTS");
            let ordered = cursor.has("BEFORE") || cursor.has("AFTER");
            one(None, Op::EnumAddValue { ordered, if_not_exists })
        } else if cursor.eat("RENAME VALUE") {
            one(None, Op::EnumRenameValue)
        } else if cursor.any(&["RENAME TO", "OWNER TO", "SET SCHEMA"]) {
            one(None, Op::RenameTable { to: format!("{name} (type)") })
        } else {
            return Err(cursor.unread("this form of ALTER TYPE is not known"));
        });
    }
    if cursor.eat("INDEX") {
        cursor.eat("IF EXISTS");
        let from = cursor.name()?;
        if cursor.eat("RENAME TO") {
            return Ok(one(None, Op::RenameIndex { from, to: cursor.name()? }));
        }
        return Err(cursor.unread("this form of ALTER INDEX is not known"));
    }
    if cursor.eat("DOMAIN") {
        let constrained = cursor.has("CONSTRAINT") || cursor.has("CHECK") || cursor.has("NULL");
        return Ok(one(None, Op::Domain { made: false, constrained }));
    }
    if cursor.any(&["MATERIALIZED VIEW", "VIEW"]) {
        cursor.eat("IF EXISTS");
        let table = Some(cursor.name()?);
        if cursor.any(&["RENAME TO"]) {
            return Ok(one(table, Op::RenameTable { to: cursor.name()? }));
        }
        return Ok(one(table, Op::Catalog { lock: Lock::AccessExclusive }));
    }
    let quiet =
        ["SEQUENCE", "DEFAULT PRIVILEGES", "EXTENSION", "FUNCTION", "PROCEDURE", "ROLE", "USER", "DATABASE"];
    if cursor.any(&quiet) {
        return Ok(one(None, Op::CreateOther { what: Object::Other, idempotent: true }));
    }
    if cursor.eat("SCHEMA") {
        let renames = cursor.has("RENAME");
        let other = Op::CreateOther { what: Object::Other, idempotent: true };
        return Ok(one(None, if renames { Op::RenameSchema } else { other }));
    }
    Err(cursor.unread("this kind of ALTER is not known"))
}

/// What touches no rows: settings, transactions, comments, grants, maintenance.
fn session(mut cursor: Cursor<'_, '_>) -> Result<Parsed, Reason> {
    if cursor.any(&["SET LOCAL", "SET SESSION", "SET GLOBAL", "SET"]) {
        let (lock_timeout, statement_timeout) = (cursor.has("lock_timeout"), cursor.has("statement_timeout"));
        let strict = cursor.sql.to_lowercase().contains("strict_");
        return Ok(one(None, Op::Session { lock_timeout, statement_timeout, strict }));
    }
    if cursor.any(&["RESET", "SHOW", "DISCARD", "USE", "DEALLOCATE", "UNLOCK TABLES", "NOTIFY", "LISTEN"]) {
        return Ok(one(None, Op::Session { lock_timeout: false, statement_timeout: false, strict: false }));
    }
    if cursor.any(&["BEGIN", "START TRANSACTION"]) {
        return Ok(one(None, Op::Transaction { begin: true }));
    }
    if cursor.any(&["COMMIT", "ROLLBACK", "END", "SAVEPOINT", "RELEASE"]) {
        return Ok(one(None, Op::Transaction { begin: false }));
    }
    if cursor.any(&["COMMENT ON", "GRANT", "REVOKE"]) {
        return Ok(one(None, Op::CreateOther { what: Object::Other, idempotent: true }));
    }
    if cursor.any(&["LOCK TABLE", "LOCK TABLES", "LOCK"]) {
        return lock(&cursor);
    }
    if cursor.eat("REINDEX") {
        let options = cursor.peek("(")
            && cursor.clone().parens().is_ok_and(|inner| inner.iter().any(|t| t.is("CONCURRENTLY")));
        if cursor.peek("(") {
            cursor.parens()?;
        }
        let table = cursor.any(&["TABLE"]);
        cursor.any(&["INDEX", "SCHEMA", "DATABASE", "SYSTEM"]);
        let concurrently = cursor.eat("CONCURRENTLY") || options;
        let name = cursor.name()?;
        return Ok(one(
            Some(if table { name } else { format!("index:{name}") }),
            Op::Reindex { concurrently },
        ));
    }
    if cursor.eat("CLUSTER") {
        return Ok(one(cursor.name().ok(), Op::Cluster));
    }
    if cursor.eat("VACUUM") {
        let full = cursor.has("FULL");
        let table = cursor.rest.iter().rev().find_map(Token::name);
        return Ok(one(table, if full { Op::VacuumFull } else { Op::Analyze }));
    }
    if cursor.any(&["ANALYZE TABLE", "ANALYZE", "ANALYSE"]) {
        return Ok(one(cursor.name().ok(), Op::Analyze));
    }
    if cursor.eat("OPTIMIZE TABLE") {
        return Ok(one(Some(cursor.name()?), Op::RewriteTable { what: Rewrite::Files }));
    }
    Err(cursor.unread("this kind of statement is not known"))
}

fn lock(cursor: &Cursor<'_, '_>) -> Result<Parsed, Reason> {
    let modes = [
        ("IN ACCESS SHARE MODE", Lock::AccessShare),
        ("IN ROW SHARE MODE", Lock::RowShare),
        ("IN ROW EXCLUSIVE MODE", Lock::RowExclusive),
        ("IN SHARE UPDATE EXCLUSIVE MODE", Lock::ShareUpdateExclusive),
        ("IN SHARE ROW EXCLUSIVE MODE", Lock::ShareRowExclusive),
        ("IN SHARE MODE", Lock::Share),
        ("IN EXCLUSIVE MODE", Lock::Exclusive),
        ("READ", Lock::Copy),
    ];
    let worst = if cursor.mysql() { Lock::MetadataExclusive } else { Lock::AccessExclusive };
    let mut parsed = Parsed::default();
    for mut part in cursor.list() {
        part.eat("ONLY");
        let table = Some(part.name()?);
        // MySQL's alias.
        if part.eat("AS") || (part.mysql() && !part.done() && !part.peek("READ") && !part.peek("WRITE")) {
            part.name()?;
        }
        let lock = modes.iter().find(|(words, _)| part.eat(words)).map_or(worst, |(_, lock)| *lock);
        parsed.actions.push(Action { table, op: Op::LockTable { lock } });
    }
    // PostgreSQL says the mode once, after the last.
    let last = parsed.actions.last().map(|last| last.op.clone());
    if let (false, Some(op)) = (cursor.mysql(), last) {
        parsed.actions.iter_mut().for_each(|action| action.op = op.clone());
    }
    Ok(parsed)
}
