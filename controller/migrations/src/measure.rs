//! `--measure`: the files replayed on a scratch PostgreSQL, the server's word beside the analysis'. Not pure: the one
//! module that talks, behind a feature.
//!
//! It creates a database of its own and drops it again; it opens no other for writing. Each statement runs in a
//! transaction: before COMMIT, `pg_locks` says what it holds, a second connection tries to read and to write the table,
//! and `pg_class.relfilenode` says whether the table was written anew. What must not run in a transaction is run alone,
//! and its lock cannot be seen: that is said, not guessed.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{Client, Config, NoTls};
use serde::Serialize;

use crate::{Blocked, Input, Lock, Problem, Review, Statement, Work};

/// How long the second connection waits for a lock before it counts as blocked.
const TRY_MS: u32 = 100;

/// What the server showed of one statement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The migration.
    pub number: u32,
    /// The statement.
    pub sql: String,
    /// The table.
    pub table: Option<String>,
    /// The strongest lock that the server held on it.
    pub lock: Option<String>,
    /// The strongest lock that blocks writes to a table that the statement does not name first.
    pub other_lock: Option<String>,
    /// Whether a second connection could not read.
    pub reads_blocked: Option<bool>,
    /// Whether it could not write.
    pub writes_blocked: Option<bool>,
    /// Whether the table has another file than before.
    pub rewritten: Option<bool>,
    /// How long it took, milliseconds.
    pub took_ms: f64,
    /// Where the analysis says something else: one sentence each.
    pub disagreements: Vec<String>,
    /// What could not be measured, and why.
    pub not_measured: Option<String>,
}

/// Replays a review's statements. `before` are the statements of the migrations before its range; `rows` are generated
/// into each table that is empty, up to that many.
pub fn measure(url: &str, before: &[String], review: &Review, rows: u32) -> Result<Vec<Measured>, String> {
    if review.dialect != crate::Dialect::Postgresql {
        return Err("--measure: only PostgreSQL is measured: leave it out for MySQL".into());
    }
    let reviewed = review.migrations.iter().flat_map(|one| one.statements.iter().map(|one| &one.sql));
    stays_inside(before.iter().chain(reviewed))?;
    let config: Config = url.parse().map_err(|why| {
        format!("--measure: the URL cannot be read: {why}: write postgres://user@host/postgres")
    })?;
    let mut admin = connect(&config)?;
    // The process id and the server's clock make the name one that nobody has.
    let name = admin
        .query_one("SELECT 'breakwater_scratch_' || pg_backend_pid() || '_' || (extract(epoch FROM clock_timestamp()) * 1000)::bigint", &[])
        .map_err(|why| said(&why))?
        .get::<_, String>(0);
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .map_err(|why| format!("cannot create the scratch database: {}", said(&why)))?;
    let mut scratch = config.clone();
    scratch.dbname(&name);
    let result = replay(&scratch, before, review, rows);
    let dropped = admin
        .batch_execute(&format!("DROP DATABASE {name}"))
        .map_err(|why| format!("cannot drop {name}: {}", said(&why)));
    result.and_then(|measured| dropped.map(|()| measured))
}

/// What reaches beyond the database it runs in.
#[rustfmt::skip]
const BEYOND: [&str; 14] = [
    "DROP DATABASE", "ALTER DATABASE", "CREATE DATABASE", "CREATE ROLE", "ALTER ROLE", "DROP ROLE", "CREATE USER",
    "ALTER USER", "DROP USER", "TABLESPACE", "ALTER SYSTEM", "DBLINK", "COPY ", "PG_TERMINATE_BACKEND",
];

/// Refuses statements that would change more of the server than the scratch database.
fn stays_inside<'a>(texts: impl Iterator<Item = &'a String>) -> Result<(), String> {
    for text in texts {
        let flat = text.to_uppercase().split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(words) = BEYOND.iter().find(|words| flat.contains(*words)) {
            let shown = crate::reasons::brief(text);
            return Err(format!("`{shown}` is not replayed: {words} reaches beyond a scratch database"));
        }
    }
    Ok(())
}

/// The statements of the migrations before a range, to set the scratch database up.
pub fn statements_before(input: &Input) -> Result<Vec<String>, Vec<Problem>> {
    let before = crate::files::pairs(input)?.into_iter().filter(|pair| pair.number <= input.from);
    Ok(before.flat_map(|pair| crate::split::split(&pair.up.sql, input.dialect)).map(|raw| raw.sql).collect())
}

fn connect(config: &Config) -> Result<Client, String> {
    let mut config = config.clone();
    config.connect_timeout(std::time::Duration::from_secs(10));
    config.connect(NoTls).map_err(|why| format!("cannot connect: {}", said(&why)))
}

fn said(why: &postgres::Error) -> String {
    why.as_db_error().map_or_else(|| why.to_string(), |error| error.message().to_owned())
}

fn replay(config: &Config, before: &[String], review: &Review, rows: u32) -> Result<Vec<Measured>, String> {
    let mut one = connect(config)?;
    let mut two = connect(config)?;
    two.batch_execute(&format!("SET lock_timeout = {TRY_MS}")).map_err(|why| said(&why))?;
    for sql in before {
        one.batch_execute(sql)
            .map_err(|why| format!("a statement before the range fails: {}: {sql}", said(&why)))?;
    }
    let mut out = Vec::new();
    for migration in &review.migrations {
        for statement in &migration.statements {
            fill(&mut one, statement, rows);
            out.push(statement_on(&mut one, &mut two, migration.number, statement));
        }
    }
    Ok(out)
}

/// Rows for an empty table, made from its columns' types; a table that takes none stays empty.
fn fill(one: &mut Client, statement: &Statement, rows: u32) {
    let Some(table) = &statement.table else { return };
    let columns = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid \
        WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''";
    let Ok(found) = one.query(columns, &[table]) else { return };
    if found.is_empty()
        || one
            .query_one(&format!("SELECT count(*) FROM \"{table}\""), &[])
            .is_ok_and(|row| row.get::<_, i64>(0) > 0)
    {
        return;
    }
    let (names, values): (Vec<String>, Vec<String>) = found
        .iter()
        .map(|row| (format!("\"{}\"", row.get::<_, String>(0)), value(&row.get::<_, String>(1))))
        .unzip();
    let insert = format!(
        "INSERT INTO \"{table}\" ({}) SELECT {} FROM generate_series(1, {rows}) AS n",
        names.join(", "),
        values.join(", ")
    );
    let _stays_empty = one.batch_execute(&insert);
}

/// An expression for a column's type; text is a JSON number, so that it can become JSON.
fn value(kind: &str) -> String {
    match kind {
        "boolean" => "n % 2 = 0".into(),
        kind if kind.starts_with("timestamp") || kind == "date" => "now()".into(),
        kind if kind.starts_with("json") => "to_jsonb(n)".into(),
        kind if kind.ends_with("[]") || kind == "bytea" => "NULL".into(),
        kind if kind == "inet" || kind == "cidr" => format!("'10.0.0.0'::{kind}"),
        kind => format!("(n % 10000)::text::{kind}"),
    }
}

/// Locks of tables that exist in this session's view: the strongest of each, by name.
const HELD: &str = "SELECT c.relname::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
    JOIN pg_namespace s ON s.oid = c.relnamespace WHERE l.pid = pg_backend_pid() AND l.granted AND s.nspname = 'public'";

fn statement_on(one: &mut Client, two: &mut Client, number: u32, statement: &Statement) -> Measured {
    let mut out = Measured {
        number,
        sql: statement.sql.clone(),
        table: statement.table.clone(),
        lock: None,
        other_lock: None,
        reads_blocked: None,
        writes_blocked: None,
        rewritten: None,
        took_ms: 0.0,
        disagreements: Vec::new(),
        not_measured: None,
    };
    let upper = statement.sql.to_uppercase();
    let alone = upper.contains("CONCURRENTLY") && !upper.starts_with("REFRESH")
        || upper.starts_with("VACUUM")
        || upper.starts_with("REINDEX DATABASE");
    let files_before = filenode(two, statement.table.as_deref());
    let start = std::time::Instant::now();
    if alone {
        out.not_measured =
            Some("it runs outside a transaction, so its lock is gone before it can be seen".into());
        if let Err(why) = one.batch_execute(&statement.sql) {
            out.disagreements.push(format!("the server refuses it: {}", said(&why)));
        }
        out.took_ms = start.elapsed().as_secs_f64() * 1000.0;
        out.rewritten = changed(files_before, filenode(one, statement.table.as_deref()));
        compare(&mut out, statement);
        return out;
    }
    if let Err(why) = one.batch_execute("BEGIN").and_then(|()| one.batch_execute(&statement.sql)) {
        out.disagreements.push(format!("the server refuses it: {}", said(&why)));
        let _closed = one.batch_execute("ROLLBACK");
        return out;
    }
    out.took_ms = start.elapsed().as_secs_f64() * 1000.0;
    if let (Some(table), true) = (&statement.table, files_before.is_some()) {
        out.lock = held(one, table);
        out.reads_blocked = blocked(two, &format!("SELECT 1 FROM \"{table}\" LIMIT 1"));
        out.writes_blocked = blocked(two, &format!("DELETE FROM \"{table}\" WHERE false"));
    }
    out.other_lock = held_elsewhere(one, two, statement);
    out.rewritten = changed(files_before, filenode(one, statement.table.as_deref()));
    if let Err(why) = one.batch_execute("COMMIT") {
        out.disagreements.push(format!("the server refuses to commit it: {}", said(&why)));
    }
    compare(&mut out, statement);
    out
}

fn filenode(client: &mut Client, table: Option<&str>) -> Option<(u32, u32)> {
    let query = "SELECT oid, relfilenode FROM pg_class WHERE relname = $1 AND relkind IN ('r', 'm', 'p')";
    client.query_opt(query, &[&table?]).ok().flatten().map(|row| (row.get(0), row.get(1)))
}

/// `None` where there was no table before, or is none after.
fn changed(before: Option<(u32, u32)>, after: Option<(u32, u32)>) -> Option<bool> {
    match (before, after) {
        (Some((oid, file)), Some((same, other))) if oid == same => Some(file != other),
        _ => None,
    }
}

fn held(one: &mut Client, table: &str) -> Option<String> {
    let rows = one.query(HELD, &[]).ok()?;
    let mine = rows.iter().filter(|row| row.get::<_, String>(0) == table);
    mine.filter_map(|row| lock_of(&row.get::<_, String>(1))).max().map(|lock| lock.name().to_owned())
}

/// The strongest lock on any other table that the second connection sees: one that this transaction made has no writers
/// that could wait.
fn held_elsewhere(one: &mut Client, two: &mut Client, statement: &Statement) -> Option<String> {
    let seen = two.query("SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p', 'm')", &[]).ok()?;
    let seen: BTreeSet<String> = seen.iter().map(|row| row.get(0)).collect();
    let rows = one.query(HELD, &[]).ok()?;
    let held = rows.iter().map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)));
    let others = held.filter(|(table, _)| seen.contains(table) && !statement.tables.contains(table));
    let locks = others.filter_map(|(_, mode)| lock_of(&mode));
    locks.filter(|lock| lock.blocks_writes()).max().map(|lock| lock.name().to_owned())
}

fn lock_of(mode: &str) -> Option<Lock> {
    let locks: BTreeMap<&str, Lock> = BTreeMap::from([
        ("AccessShareLock", Lock::AccessShare),
        ("RowShareLock", Lock::RowShare),
        ("RowExclusiveLock", Lock::RowExclusive),
        ("ShareUpdateExclusiveLock", Lock::ShareUpdateExclusive),
        ("ShareLock", Lock::Share),
        ("ShareRowExclusiveLock", Lock::ShareRowExclusive),
        ("ExclusiveLock", Lock::Exclusive),
        ("AccessExclusiveLock", Lock::AccessExclusive),
    ]);
    locks.get(mode).copied()
}

/// Whether a second connection waits longer than [`TRY_MS`]; `None` where it cannot be tried (a view is not written to).
fn blocked(two: &mut Client, sql: &str) -> Option<bool> {
    let tried = two.batch_execute("BEGIN").and_then(|()| two.batch_execute(sql));
    let _closed = two.batch_execute("ROLLBACK");
    match tried {
        Ok(()) => Some(false),
        Err(why) if why.code() == Some(&postgres::error::SqlState::LOCK_NOT_AVAILABLE) => Some(true),
        Err(_) => None,
    }
}

/// Whether the analysis says that others wait for the table.
fn waits(blocked: Blocked) -> bool {
    match blocked {
        Blocked::No | Blocked::MatchedRows => false,
        Blocked::Brief | Blocked::Whole | Blocked::Unknown => true,
    }
}

fn compare(out: &mut Measured, statement: &Statement) {
    let mut differs = |what: &str, server: String, ours: String| {
        if server != ours {
            out.disagreements.push(format!("{what}: the server shows {server}, the analysis says {ours}"));
        }
    };
    if let Some(lock) = &out.lock {
        differs("lock", lock.clone(), statement.lock.name().into());
    }
    let ours = statement.other_lock.filter(|lock| lock.blocks_writes()).map(Lock::name);
    if out.not_measured.is_none() && out.other_lock.as_deref() != ours {
        let word = |lock: Option<&str>| lock.unwrap_or("none").to_owned();
        differs("lock on another table", word(out.other_lock.as_deref()), word(ours));
    }
    if let Some(reads) = out.reads_blocked {
        differs("reads blocked", reads.to_string(), waits(statement.reads).to_string());
    }
    if let Some(writes) = out.writes_blocked {
        differs("writes blocked", writes.to_string(), waits(statement.writes).to_string());
    }
    // TRUNCATE gives the table new, empty files: no row is written, so the analysis does not call it a rewrite.
    let truncates = statement.sql.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("TRUNCATE"));
    if let Some(rewritten) = out.rewritten.filter(|_| !truncates) {
        differs("rewrite", rewritten.to_string(), (statement.work == Work::Rewrite).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_beyond_the_scratch_database_is_refused() {
        let refused = |text: &str| stays_inside([text.to_owned()].iter()).is_err();
        assert!(
            refused("drop  database other")
                && refused("DO $$ BEGIN EXECUTE 'ALTER\nROLE x SUPERUSER'; END $$")
        );
        assert!(!refused("ALTER TABLE t ADD COLUMN x text"));
    }
}
