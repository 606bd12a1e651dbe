//! Each rule of migrations.md section 1: a file that breaks it, and one like it that does not.

use std::collections::{BTreeMap, BTreeSet};

use breakwater_migrations::{Dialect, Impact, Input, Revert, Review, analyse};

const PG_BASE: &str = "CREATE TABLE posts (id varchar(26) PRIMARY KEY, props varchar(100), n integer, kind varchar(20) CHECK (kind <> ''), author varchar(26), filled text NOT NULL);
CREATE TABLE users (id varchar(26) PRIMARY KEY, name varchar(64) UNIQUE, team varchar(26));
CREATE TABLE big (id integer) PARTITION BY RANGE (id);
CREATE INDEX posts_author ON posts (author);
CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM posts;
CREATE VIEW names AS SELECT name FROM users;
";
const MY_BASE: &str = "CREATE TABLE Posts (Id varchar(26) PRIMARY KEY, Props text, N int, Kind varchar(20), Filled text NOT NULL);
CREATE TABLE Users (Id varchar(26) PRIMARY KEY, Name varchar(64));
";

/// An input of a base and one migration after it.
fn input(dialect: Dialect, version: &str, up: &str, down: Option<&str>) -> Input {
    let base = if dialect == Dialect::Mysql { MY_BASE } else { PG_BASE };
    let mut files = BTreeMap::from([
        ("000001_base.up.sql".to_owned(), base.as_bytes().to_vec()),
        ("000001_base.down.sql".to_owned(), b"SELECT 1;".to_vec()),
        ("000002_it.up.sql".to_owned(), up.as_bytes().to_vec()),
    ]);
    if let Some(down) = down {
        files.insert("000002_it.down.sql".into(), down.as_bytes().to_vec());
    }
    let rows = BTreeMap::from([("posts".to_owned(), 10_000_000), ("users".to_owned(), 10)]);
    Input { rows, ..Input::new(files, dialect, version, 1, 2) }
}

fn pg(up: &str) -> Review {
    analyse(&input(Dialect::Postgresql, "15.4", up, Some("SELECT 1;"))).expect("reviewed")
}

fn my(up: &str) -> Review {
    analyse(&input(Dialect::Mysql, "8.0.36", up, Some("SELECT 1;"))).expect("reviewed")
}

fn down(dialect: Dialect, up: &str, back: &str) -> Review {
    let version = if dialect == Dialect::Mysql { "8.0.36" } else { "15.4" };
    analyse(&input(dialect, version, up, Some(back))).expect("reviewed")
}

fn rules(review: &Review) -> BTreeSet<&'static str> {
    review
        .migrations
        .iter()
        .flat_map(|one| &one.findings)
        .chain(&review.findings)
        .map(|one| one.rule.name())
        .collect()
}

/// How a text is reviewed.
type Of = fn(&str) -> Review;

/// (rule, breaks it, does not).
#[rustfmt::skip]
const PG: &[(&str, &str, &str)] = &[
    ("index-not-concurrent", "CREATE INDEX i ON posts (n);", "CREATE TABLE t (n integer); CREATE INDEX i ON t (n);"),
    ("index-drop-not-concurrent", "DROP INDEX posts_author;", "-- morph:nontransactional\nDROP INDEX CONCURRENTLY IF EXISTS posts_author;"),
    ("concurrently-in-tx", "CREATE INDEX CONCURRENTLY i ON posts (n);", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY i ON posts (n);"),
    ("concurrently-in-tx", "DROP INDEX CONCURRENTLY posts_author;", "DROP INDEX posts_author;"),
    ("concurrently-in-tx", "-- morph:nontransactional\nDO $$ BEGIN CREATE INDEX CONCURRENTLY i ON posts (n); END $$;", "-- morph:nontransactional\nREINDEX TABLE CONCURRENTLY posts;"),
    ("ntx-multi-statement", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY i ON posts (n); SELECT 1;", "-- morph:nontransactional\nCREATE INDEX i ON posts (n); SELECT 1;"),
    ("ntx-prefix-misplaced", "-- a licence\n-- morph:nontransactional\nCREATE INDEX i ON posts (n);", "-- morph:nontransactional\nCREATE INDEX i ON posts (n);"),
    ("ntx-prefix-misplaced", "--morph: non-transactional\nSELECT 1;", "-- the word nontransactional alone\nSELECT 1;"),
    ("ntx-not-idempotent", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY i ON posts (n);", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON posts (n);"),
    ("ntx-not-idempotent", "-- morph:nontransactional\nALTER TABLE posts ADD COLUMN x text;", "ALTER TABLE posts ADD COLUMN x text;"),
    ("invalid-index-hidden", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON posts (n);", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY i ON posts (n);"),
    ("reindex-not-concurrent", "REINDEX TABLE posts;", "-- morph:nontransactional\nREINDEX TABLE CONCURRENTLY posts;"),
    ("detach-not-concurrent", "ALTER TABLE big DETACH PARTITION big_1;", "-- morph:nontransactional\nALTER TABLE big DETACH PARTITION big_1 CONCURRENTLY;"),
    ("column-type-change", "ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb;", "ALTER TABLE posts ALTER COLUMN props TYPE varchar(300);"),
    ("column-type-change-safe", "ALTER TABLE posts ALTER COLUMN props TYPE varchar(300);", "ALTER TABLE posts ALTER COLUMN other TYPE varchar(300);"),
    ("type-change-with-check", "ALTER TABLE posts ALTER COLUMN kind TYPE varchar(30);", "ALTER TABLE posts ALTER COLUMN props TYPE varchar(300);"),
    ("type-change-with-check", "ALTER TABLE posts ADD CONSTRAINT c CHECK (length(props) > 1); ALTER TABLE posts ALTER COLUMN props TYPE text;", "ALTER TABLE posts DROP CONSTRAINT posts_kind_check; ALTER TABLE posts ALTER COLUMN kind TYPE text;"),
    ("add-column-default-volatile", "ALTER TABLE posts ADD COLUMN x uuid DEFAULT gen_random_uuid();", "ALTER TABLE posts ADD COLUMN x timestamp DEFAULT now();"),
    ("add-column-required", "ALTER TABLE posts ADD COLUMN x text NOT NULL;", "ALTER TABLE posts ADD COLUMN x text NOT NULL DEFAULT '';"),
    ("add-column-serial", "ALTER TABLE posts ADD COLUMN x bigserial;", "ALTER TABLE posts ADD COLUMN x bigint;"),
    ("add-column-serial", "ALTER TABLE posts ADD COLUMN x bigint GENERATED ALWAYS AS IDENTITY;", "CREATE TABLE t (x bigint GENERATED ALWAYS AS IDENTITY);"),
    ("add-column-generated-stored", "ALTER TABLE posts ADD COLUMN x integer GENERATED ALWAYS AS (n * 2) STORED;", "ALTER TABLE posts ADD COLUMN x bigint GENERATED ALWAYS AS IDENTITY;"),
    ("add-column-json", "ALTER TABLE posts ADD COLUMN x json;", "ALTER TABLE posts ADD COLUMN x jsonb;"),
    ("set-not-null", "ALTER TABLE posts ALTER COLUMN n SET NOT NULL;", "ALTER TABLE posts ADD CONSTRAINT c CHECK (n IS NOT NULL) NOT VALID; ALTER TABLE posts VALIDATE CONSTRAINT c; ALTER TABLE posts ALTER COLUMN n SET NOT NULL;"),
    ("drop-not-null", "ALTER TABLE posts ALTER COLUMN filled DROP NOT NULL;", "ALTER TABLE posts ALTER COLUMN filled DROP DEFAULT;"),
    ("add-unique", "ALTER TABLE posts ADD CONSTRAINT u UNIQUE (n);", "ALTER TABLE posts ADD CONSTRAINT u UNIQUE USING INDEX i;"),
    ("add-unique", "ALTER TABLE posts ADD COLUMN x text UNIQUE;", "CREATE TABLE t (x text UNIQUE);"),
    ("add-primary-key", "ALTER TABLE big ADD PRIMARY KEY (id);", "CREATE TABLE t (id integer, PRIMARY KEY (id));"),
    ("add-foreign-key", "ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (author) REFERENCES users (id);", "ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (author) REFERENCES users (id) NOT VALID;"),
    ("fk-unindexed", "ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (kind) REFERENCES users (id);", "ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (author) REFERENCES users (id);"),
    ("fk-unindexed", "ALTER TABLE users ADD FOREIGN KEY (team) REFERENCES posts (id);", "ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES posts (id);"),
    ("fk-unindexed", "ALTER TABLE posts ADD COLUMN x text REFERENCES users (id);", "ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (kind) REFERENCES users (id) NOT VALID; CREATE INDEX i ON posts (kind, n);"),
    ("add-check-valid", "ALTER TABLE posts ADD CONSTRAINT c CHECK (n > 0);", "ALTER TABLE posts ADD CONSTRAINT c CHECK (n > 0) NOT VALID;"),
    ("validate-while-blocking", "ALTER TABLE posts ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE posts VALIDATE CONSTRAINT c;", "ALTER TABLE posts VALIDATE CONSTRAINT c;"),
    ("add-exclusion", "ALTER TABLE posts ADD CONSTRAINT e EXCLUDE USING btree (n WITH =);", "ALTER TABLE posts ADD CONSTRAINT c CHECK (n > 0);"),
    ("drop-column", "ALTER TABLE posts DROP COLUMN n;", "ALTER TABLE posts ALTER COLUMN n DROP DEFAULT;"),
    ("drop-table", "DROP TABLE users;", "DROP VIEW names;"),
    ("drop-view", "DROP VIEW names;", "DROP MATERIALIZED VIEW counts;"),
    ("drop-matview", "DROP MATERIALIZED VIEW counts;", "REFRESH MATERIALIZED VIEW counts;"),
    ("drop-database", "DROP SCHEMA public CASCADE;", "DROP TYPE IF EXISTS t;"),
    ("truncate", "TRUNCATE users;", "DELETE FROM users WHERE id = 'x';"),
    ("truncate-cascade", "TRUNCATE users CASCADE;", "TRUNCATE users;"),
    ("rename-column", "ALTER TABLE posts RENAME COLUMN n TO m;", "ALTER TABLE posts RENAME CONSTRAINT a TO b;"),
    ("rename-table", "ALTER TABLE posts RENAME TO messages;", "ALTER INDEX posts_author RENAME TO i;"),
    ("rename-schema", "ALTER SCHEMA a RENAME TO b;", "ALTER SCHEMA a OWNER TO b;"),
    ("rename-enum-value", "ALTER TYPE mood RENAME VALUE 'a' TO 'b';", "ALTER TYPE mood ADD VALUE 'b' AFTER 'a';"),
    ("create-force", "DROP TABLE IF EXISTS users; CREATE TABLE users (id integer);", "CREATE TABLE IF NOT EXISTS users (id integer);"),
    ("full-table-dml", "UPDATE posts SET n = 1 WHERE n IS NULL;", "UPDATE posts SET n = 1 WHERE id = 'x';"),
    ("full-table-dml", "DO $$ BEGIN DELETE FROM posts; END $$;", "CREATE TABLE t (n integer); UPDATE t SET n = 1;"),
    ("loop-batch-in-one-tx", "DO $$ BEGIN LOOP UPDATE posts SET n = 1 WHERE id IN (SELECT id FROM posts LIMIT 100); EXIT WHEN NOT FOUND; END LOOP; END $$;", "UPDATE posts SET n = 1 WHERE id IN (SELECT id FROM posts LIMIT 100);"),
    ("dml-after-ddl", "ALTER TABLE posts ADD COLUMN x text; UPDATE posts SET x = '';", "UPDATE posts SET n = 1; ALTER TABLE posts ADD COLUMN x text;"),
    ("more-after-access-exclusive", "ALTER TABLE posts ADD COLUMN x text; CREATE INDEX i ON posts (n);", "CREATE TABLE t (n integer); CREATE INDEX i ON t (n);"),
    ("multiple-alter-same-table", "ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb; ALTER TABLE posts ALTER COLUMN n TYPE bigint;", "ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb, ALTER COLUMN n TYPE bigint;"),
    ("one-thing-per-file", "ALTER TABLE posts ADD COLUMN x text; ALTER TABLE users ADD COLUMN x text;", "ALTER TABLE posts ADD COLUMN x text; SELECT count(*) FROM users;"),
    ("one-thing-per-file", "CREATE TABLE a (n integer); CREATE TABLE b (n integer);", "CREATE TABLE a (n integer); CREATE INDEX i ON a (n);"),
    ("lock-table", "LOCK TABLE posts, users IN SHARE MODE;", "SET LOCAL lock_timeout = '1s';"),
    ("no-lock-timeout", "ALTER TABLE posts ADD COLUMN x text;", "SET LOCAL lock_timeout = '1s'; ALTER TABLE posts ADD COLUMN x text;"),
    ("no-statement-timeout", "CREATE INDEX i ON posts (n);", "SET LOCAL statement_timeout = '1min'; CREATE INDEX i ON posts (n);"),
    ("no-statement-timeout", "ALTER TABLE posts ALTER COLUMN n SET NOT NULL;", "ALTER TABLE posts ADD COLUMN x text;"),
    ("explicit-tx-in-file", "BEGIN; ALTER TABLE posts ADD COLUMN x text; COMMIT;", "ALTER TABLE posts ADD COLUMN x text;"),
    ("explicit-tx-in-file", "-- morph:nontransactional\nBEGIN; ALTER TABLE posts ADD COLUMN IF NOT EXISTS x text;", "-- morph:nontransactional\nBEGIN; ALTER TABLE posts ADD COLUMN IF NOT EXISTS x text; COMMIT;"),
    ("dynamic-sql", "DO $$ BEGIN EXECUTE what; END $$;", "DO $$ BEGIN EXECUTE 'DROP VIEW names'; END $$;"),
    ("guard-skips-change", "DO $$ BEGIN IF true THEN ALTER TABLE posts ADD COLUMN x text; END IF; END $$;", "DO $$ BEGIN ALTER TABLE posts ADD COLUMN x text; END $$;"),
    ("guard-wrong-catalog", "DO $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM information_schema.columns WHERE column_name = 'props' AND NOT data_type = 'varchar(256)'; IF n > 0 THEN ALTER TABLE posts ALTER COLUMN props TYPE varchar(256); END IF; END $$;", "DO $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM information_schema.columns WHERE column_name = 'props' AND data_type = 'character varying' AND character_maximum_length = 256; IF n > 0 THEN ALTER TABLE posts ALTER COLUMN props TYPE text; END IF; END $$;"),
    ("guard-wrong-catalog", "DO $$ BEGIN IF (SELECT data_type FROM information_schema.columns WHERE data_type IN ('text', 'varchar')) IS NOT NULL THEN DROP VIEW names; END IF; END $$;", "SELECT count(*) FROM information_schema.columns WHERE data_type IN ('text', 'jsonb');"),
    ("enum-add-value-order", "ALTER TYPE mood ADD VALUE 'b';", "ALTER TYPE mood ADD VALUE 'b' BEFORE 'a';"),
    ("enum-create", "CREATE TYPE mood AS ENUM ('a');", "CREATE TYPE pair AS (a integer, b integer);"),
    ("domain-constraint", "CREATE DOMAIN d AS text CHECK (VALUE <> '');", "CREATE DOMAIN d AS text;"),
    ("vacuum-full", "VACUUM FULL posts;", "VACUUM posts;"),
    ("index-wide", "CREATE INDEX i ON posts (n, id, props, kind);", "CREATE INDEX i ON posts (n, id, props);"),
    ("index-wide", "CREATE TABLE t (a int, b int, c int, d int); CREATE INDEX i ON t (a, b, c, d);", "CREATE UNIQUE INDEX i ON posts (n, id, props, kind);"),
];

#[rustfmt::skip]
const MY: &[(&str, &str, &str)] = &[
    ("ntx-not-idempotent", "ALTER TABLE Posts ADD COLUMN X text;", "SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE column_name = 'X') > 0, 'SELECT 1', 'ALTER TABLE Posts ADD COLUMN X text;')); PREPARE p FROM @s; EXECUTE p; DEALLOCATE PREPARE p;"),
    ("add-primary-key", "ALTER TABLE Posts DROP PRIMARY KEY, ADD PRIMARY KEY (Id, N);", "ALTER TABLE Posts ADD INDEX i (N);"),
    ("drop-not-null", "ALTER TABLE Posts MODIFY Filled text;", "ALTER TABLE Posts MODIFY Props text;"),
    ("rename-column", "ALTER TABLE Posts CHANGE N M int;", "ALTER TABLE Posts CHANGE N N int;"),
    ("algorithm-copy", "ALTER TABLE Posts ADD COLUMN X text, ALGORITHM=COPY;", "ALTER TABLE Posts ADD COLUMN X text, ALGORITHM=INPLACE;"),
    ("lock-shared-exclusive", "ALTER TABLE Posts ADD INDEX i (N), LOCK=SHARED;", "ALTER TABLE Posts ADD INDEX i (N), LOCK=NONE;"),
    ("algorithm-unsupported", "ALTER TABLE Posts MODIFY Props JSON, ALGORITHM=INPLACE;", "ALTER TABLE Posts ADD INDEX i (N), ALGORITHM=INPLACE, LOCK=NONE;"),
    ("algorithm-unsupported", "CREATE INDEX i ON Posts (N) ALGORITHM=INSTANT;", "ALTER TABLE Posts ADD COLUMN X text, ALGORITHM=INSTANT;"),
    ("algorithm-unsupported", "ALTER TABLE Posts MODIFY Props JSON, LOCK=NONE;", "ALTER TABLE Posts MODIFY Props JSON, LOCK=SHARED;"),
    ("algorithm-unsupported", "ALTER TABLE Posts ADD COLUMN X text, ALGORITHM=INSTANT, LOCK=NONE;", "ALTER TABLE Posts ADD COLUMN X text, LOCK=NONE;"),
    ("mysql-ddl-autocommit", "ALTER TABLE Posts ADD COLUMN X text; UPDATE Posts SET X = '';", "ALTER TABLE Posts ADD COLUMN X text; SELECT 1;"),
    ("mysql-not-null-nonstrict", "ALTER TABLE Posts MODIFY Kind varchar(20) NOT NULL;", "SET SESSION sql_mode = 'STRICT_ALL_TABLES'; ALTER TABLE Posts MODIFY Kind varchar(20) NOT NULL;"),
    ("mysql-not-null-nonstrict", "ALTER TABLE Posts MODIFY Unknown varchar(20) NOT NULL;", "ALTER TABLE Posts MODIFY Filled mediumtext NOT NULL;"),
    ("add-foreign-key", "ALTER TABLE Posts ADD CONSTRAINT f FOREIGN KEY (Id) REFERENCES Users (Id);", "ALTER TABLE Posts DROP FOREIGN KEY f;"),
    ("lock-table", "LOCK TABLES Posts WRITE, Users READ;", "UNLOCK TABLES;"),
    ("guard-wrong-catalog", "SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.STATISTICS WHERE table_name = 'Posts' AND column_name = 'N') > 0, 'ALTER TABLE Posts DROP COLUMN N;', 'SELECT 1')); PREPARE p FROM @s; EXECUTE p;", "SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.STATISTICS WHERE table_name = 'Posts' AND index_name = 'i') > 0, 'DROP INDEX i ON Posts;', 'SELECT 1')); PREPARE p FROM @s; EXECUTE p;"),
    ("guard-wrong-catalog", "CREATE PROCEDURE m () BEGIN DECLARE n INT; SELECT COUNT(*) INTO n FROM INFORMATION_SCHEMA.STATISTICS WHERE column_name = 'N'; IF n > 0 THEN ALTER TABLE Posts DROP COLUMN N; END IF; END; CALL m();", "CREATE PROCEDURE m () BEGIN DECLARE n INT; SELECT COUNT(*) INTO n FROM INFORMATION_SCHEMA.COLUMNS WHERE column_name = 'N'; IF n > 0 THEN ALTER TABLE Posts DROP COLUMN N; END IF; END; CALL m();"),
    ("multiple-alter-same-table", "ALTER TABLE Posts MODIFY Props JSON; ALTER TABLE Posts MODIFY Kind text;", "ALTER TABLE Posts MODIFY Props JSON, MODIFY Kind text;"),
];

#[test]
fn each_rule_holds_where_it_should_and_not_where_it_should_not() {
    let mut wrong = Vec::new();
    for (of, table) in [(pg as Of, PG), (my, MY)] {
        for (rule, breaks, keeps) in table {
            let (found, other) = (rules(&of(breaks)), rules(&of(keeps)));
            if !found.contains(rule) {
                wrong.push(format!("{rule} is not found in `{breaks}`, but {found:?}"));
            }
            if other.contains(rule) {
                wrong.push(format!("{rule} is found in `{keeps}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_index_built_concurrently_is_at_risk_on_14_0_to_14_3_only() {
    let sql = "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY i ON posts (n);";
    let on = |version: &str| {
        rules(&analyse(&input(Dialect::Postgresql, version, sql, None)).expect("reviewed"))
            .contains("cic-corruption-pg14")
    };
    assert!(on("14.3") && on("14"));
    assert!(!on("14.4") && !on("13.9") && !on("15.0"));
}

#[test]
fn a_down_file_is_there_and_does_something() {
    let with = |down: Option<&str>| {
        rules(
            &analyse(&input(Dialect::Postgresql, "15.4", "ALTER TABLE posts ADD COLUMN x text;", down))
                .expect("reviewed"),
        )
    };
    assert!(with(None).contains("missing-down"));
    assert!(with(Some("-- forward only")).contains("noop-down"));
    let fine = with(Some("ALTER TABLE posts DROP COLUMN IF EXISTS x;"));
    assert!(!fine.contains("missing-down") && !fine.contains("noop-down"));
}

#[test]
fn a_down_file_that_loses_or_reshapes_says_so() {
    let pg = |up: &str, back: &str| down(Dialect::Postgresql, up, back);
    let to_json = "ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb;";
    let narrowed = pg(to_json, "ALTER TABLE posts ALTER COLUMN props TYPE varchar(100);");
    assert!(rules(&narrowed).contains("down-data-loss"));
    assert_eq!(narrowed.revert, Revert::RevertLosesData);
    let other = pg(to_json, "ALTER TABLE posts ALTER COLUMN props TYPE text;");
    assert!(rules(&other).contains("down-not-inverse") && !rules(&other).contains("down-data-loss"));
    assert_eq!(other.revert, Revert::Unknown);
    let dropped = "ALTER TABLE posts DROP COLUMN author;";
    assert!(
        rules(&pg(dropped, "ALTER TABLE posts ADD COLUMN author varchar(20);")).contains("down-not-inverse")
    );
    assert!(
        !rules(&pg(dropped, "ALTER TABLE posts ADD COLUMN author varchar(26);")).contains("down-not-inverse")
    );
    assert!(
        rules(&pg("DROP INDEX posts_author;", "CREATE INDEX posts_author ON posts (n);"))
            .contains("down-not-inverse")
    );
    assert!(
        !rules(&pg("DROP INDEX posts_author;", "CREATE INDEX posts_author ON posts (author);"))
            .contains("down-not-inverse")
    );
    assert!(
        rules(&pg("ALTER TABLE posts ADD COLUMN x text;", "ALTER TABLE posts DROP COLUMN x;"))
            .contains("down-data-loss")
    );
}

#[test]
fn a_down_file_whose_guard_asks_the_wrong_place_is_not_relied_on() {
    let up = "ALTER TABLE Posts ADD UNIQUE INDEX u (N), ADD COLUMN X text;";
    let guarded = |place: &str| {
        format!(
            "SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.{place} WHERE column_name = 'X') > 0, 'ALTER TABLE Posts DROP COLUMN X, DROP INDEX u;', 'SELECT 1')); PREPARE p FROM @s; EXECUTE p;"
        )
    };
    let wrong = down(Dialect::Mysql, up, &guarded("STATISTICS"));
    assert!(rules(&wrong).contains("guard-wrong-catalog"));
    assert_eq!(wrong.revert, Revert::Unknown, "{:?}", wrong.reasons);
    let right = down(Dialect::Mysql, up, &guarded("COLUMNS"));
    assert!(!rules(&right).contains("guard-wrong-catalog"));
    assert_eq!(right.revert, Revert::RevertLosesData);
}

#[test]
fn a_statement_that_the_server_refuses_is_unknown_and_says_so() {
    let refused = my("ALTER TABLE Posts MODIFY Props JSON, ALGORITHM=INPLACE;");
    assert_eq!(refused.impact, Impact::Unknown);
    assert!(
        refused.reasons.iter().any(|why| why.contains("refuses ALGORITHM=INPLACE")),
        "{:?}",
        refused.reasons
    );
    assert!(refused.off_hours_sql.is_empty());
    assert_eq!(my("ALTER TABLE Posts ADD COLUMN X text, ALGORITHM=INSTANT;").impact, Impact::Quiet);
    let old = analyse(&input(
        Dialect::Mysql,
        "5.7.40",
        "ALTER TABLE Posts ADD COLUMN X text, ALGORITHM=INSTANT;",
        None,
    ));
    assert_eq!(old.expect("reviewed").impact, Impact::Unknown);
}

#[test]
fn all_tables_of_a_statement_are_shown_and_weighed() {
    let drop = pg("DROP TABLE users, posts;");
    let found = &drop.migrations[0].statements[0];
    assert_eq!(found.tables, ["users", "posts"]);
    assert_eq!((found.table.as_deref(), found.rows), (Some("posts"), Some(10_000_000)));
    // Of `other` nobody said how many rows it has.
    let unknown = pg("LOCK TABLE users, other; UPDATE users SET name = '';");
    let lock = &unknown.migrations[0].statements[0];
    assert_eq!((lock.table.as_deref(), lock.rows), (Some("other"), None));
    let mysql = my("UPDATE Users u JOIN Posts p ON p.Id = u.Id SET p.N = 1;");
    assert_eq!(mysql.migrations[0].statements[0].tables, ["posts", "users"]);
    let gone = my("DELETE p FROM Posts p JOIN Users u ON p.Id = u.Id WHERE u.Name = 'x';");
    assert_eq!(gone.migrations[0].statements[0].tables, ["posts", "users"]);
}

#[test]
fn a_mark_acknowledges_a_finding_and_changes_no_verdict() {
    let plain = pg("CREATE INDEX i ON posts (n);");
    let marked = pg("-- nolint:concurrentIndex\nCREATE INDEX i ON posts (n);");
    let elsewhere = pg("-- nolint:concurrentIndex\n\nSELECT 1;\nCREATE INDEX i ON posts (n);");
    let inside = pg("DO $$\nBEGIN\n  -- nolint:concurrentIndex\n  CREATE INDEX i ON posts (n);\nEND $$;");
    let acknowledged = |review: &Review| {
        let findings = &review.migrations[0].findings;
        findings.iter().find(|one| one.rule.name() == "index-not-concurrent").expect("found").acknowledged
    };
    assert_eq!([&plain, &marked, &elsewhere, &inside].map(acknowledged), [false, true, false, true]);
    assert_eq!(marked.impact, plain.impact);
    assert_eq!(marked.impact, Impact::Downtime);
}

#[test]
fn rules_of_style_are_off_by_default() {
    let sql = format!(
        "CREATE TABLE t (a char(3), b varchar(9), c timestamp, d integer, e smallint, f serial, {} text); UPDATE t SET a = 'x', a = 'y';",
        "n".repeat(64)
    );
    let with = |style: bool, sql: &str| {
        let input = Input { style, ..input(Dialect::Postgresql, "15.4", sql, Some("DROP TABLE t;")) };
        rules(&analyse(&input).expect("reviewed"))
    };
    let all = [
        "ban-char-field",
        "prefer-text-field",
        "prefer-timestamp-tz",
        "prefer-bigint-over-int",
        "prefer-bigint-over-smallint",
        "prefer-identity",
        "require-table-schema",
        "identifier-too-long",
        "ban-duplicate-column-assignments",
    ];
    let (on, off) = (with(true, &sql), with(false, &sql));
    for rule in all {
        assert!(on.contains(rule) && !off.contains(rule), "{rule}: {on:?}");
    }
    let clean = with(
        true,
        "CREATE TABLE public.t (a text, c timestamptz, d bigint GENERATED ALWAYS AS IDENTITY); UPDATE t SET a = 'x', d = 1;",
    );
    assert!(all.iter().all(|rule| !clean.contains(rule)), "{clean:?}");
}

#[test]
fn a_shipped_file_is_not_edited() {
    let up = "ALTER TABLE posts ADD COLUMN x text;";
    let with = |name: &str, was: &str| {
        let shipped = BTreeMap::from([(name.to_owned(), was.as_bytes().to_vec())]);
        analyse(&Input { shipped, ..input(Dialect::Postgresql, "15.4", up, None) }).expect("reviewed")
    };
    let said = |review: &Review| review.findings.iter().map(|one| one.what.clone()).collect::<String>();
    assert!(!rules(&with("000002_it.up.sql", up)).contains("shipped-file-edited"));
    assert!(
        said(&with("000002_it.up.sql", "ALTER TABLE posts ADD COLUMN y text;")).contains("statements differ")
    );
    assert!(said(&with("000002_it.up.sql", &format!("-- one\n{up}"))).contains("only its comments"));
    assert!(said(&with("000002_old.up.sql", up)).contains("is gone"));
    // What ran decides what the old types are.
    let base = PG_BASE.replace("props varchar(100)", "props text");
    let shipped = BTreeMap::from([("000001_base.up.sql".to_owned(), base.into_bytes())]);
    let widen = "ALTER TABLE posts ALTER COLUMN props TYPE varchar(300);";
    let edited =
        analyse(&Input { shipped, ..input(Dialect::Postgresql, "15.4", widen, None) }).expect("reviewed");
    assert_eq!((edited.impact, pg(widen).impact), (Impact::Downtime, Impact::Quiet));
    assert!(edited.reasons.iter().any(|why| why.contains("was shipped and is edited")));
}

#[test]
fn the_folder_agrees_with_its_list_and_with_its_twin() {
    let base = || input(Dialect::Postgresql, "15.4", "SELECT 1;", Some("SELECT 1;"));
    let list = |text: &str| {
        rules(&analyse(&Input { list: Some(text.into()), ..base() }).expect("reviewed"))
            .contains("sequence-list")
    };
    let own = "db/migrations/postgres/000001_base.up.sql\ndb/migrations/postgres/000001_base.down.sql\ndb/migrations/postgres/000002_it.up.sql\ndb/migrations/postgres/000002_it.down.sql\ndb/migrations/mysql/000003_other.up.sql\n";
    assert!(!list(own));
    assert!(list(&own.replace("000002_it.up", "000002_if.up")));
    assert!(list(&format!("{own}db/migrations/postgres/000003_gone.up.sql\n")));
    let twin = |numbers: &[u32]| {
        let twin = Some(numbers.iter().copied().collect());
        rules(&analyse(&Input { twin, ..base() }).expect("reviewed")).contains("driver-pair-missing")
    };
    assert!(!twin(&[1, 2]) && !twin(&[2, 3]));
    assert!(twin(&[1]));
}

#[test]
fn gaps_lone_downs_and_collisions_are_told() {
    let mut gap = input(Dialect::Postgresql, "15.4", "SELECT 1;", Some("SELECT 1;"));
    gap.files.insert("000004_late.up.sql".into(), b"SELECT 1;".to_vec());
    gap.files.insert("000004_lat.down.sql".into(), b"SELECT 1;".to_vec());
    assert!(!rules(&analyse(&gap).expect("reviewed")).contains("sequence-gap"));
    gap.to = 4;
    let found = rules(&analyse(&gap).expect("reviewed"));
    assert!(found.contains("sequence-gap") && found.contains("missing-up"));
    gap.files.insert("000004_other.up.sql".into(), b"SELECT 1;".to_vec());
    let problems = analyse(&gap).expect_err("a collision cannot be reviewed");
    assert!(problems[0].to_string().contains("number 4 is taken"), "{problems:?}");
}

#[test]
fn an_empty_range_is_quiet_and_the_same_input_gives_the_same_review() {
    let mut nothing = input(Dialect::Postgresql, "15.4", "DROP TABLE posts;", None);
    nothing.from = 2;
    let review = analyse(&nothing).expect("reviewed");
    assert_eq!(
        (review.impact, review.revert, review.migrations.len()),
        (Impact::Quiet, Revert::RevertSafe, 0)
    );
    let busy = input(
        Dialect::Postgresql,
        "15.4",
        "ALTER TABLE posts ALTER COLUMN n TYPE bigint; DROP TABLE users;",
        None,
    );
    let text = || serde_json::to_string(&analyse(&busy).expect("reviewed")).expect("json");
    assert_eq!(text(), text());
    let summary = analyse(&busy).expect("reviewed").summary(1);
    assert_eq!((summary.impact, summary.revert), (Impact::Downtime, Revert::RevertLosesData));
    assert_eq!((summary.reasons.len(), summary.duration_most_s), (1, Some(1251)));
    assert!(summary.more_reasons > 0);
}
