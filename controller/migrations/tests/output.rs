//! What a review is written as, byte for byte: programs read it. One range for each dialect holds every kind of member.
//!
//! `BREAKWATER_WRITE=1 cargo test -p breakwater-migrations --test output` writes the files anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{collections::BTreeMap, env, fs, path::Path};

use breakwater_migrations::{Dialect, Input, OldBinary, Override, analyse};

/// The up and down files of a range, numbered from 1.
type Range = &'static [(&'static str, Option<&'static str>)];

#[rustfmt::skip]
const POSTGRESQL: Range = &[
    ("CREATE TABLE posts (id varchar(26) PRIMARY KEY, props varchar(100), n integer);\nCREATE TABLE users (id varchar(26) PRIMARY KEY);", Some("DROP TABLE posts; DROP TABLE users;")),
    ("-- nolint:concurrentIndex\nCREATE INDEX posts_n ON posts (n);\nALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb;", Some("DROP INDEX posts_n;")),
    ("-- morph:nontransactional\nCREATE INDEX CONCURRENTLY posts_p ON posts (props); REINDEX TABLE posts;", None),
    ("DO $$ BEGIN IF true THEN ALTER TABLE posts ADD COLUMN a char(3); END IF; END $$;\nUPDATE posts SET n = 1 WHERE n IS NULL;", Some("ALTER TABLE posts DROP COLUMN a;")),
    ("ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES users (id);", Some("ALTER TABLE posts DROP CONSTRAINT f;")),
    ("SELECT f(1);\nDROP TABLE users;\nCREATE TYPE mood AS ENUM ('a');\nALTER TABLE posts SET LOGGED;", Some("CREATE TABLE users (id text);")),
    ("CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1';\nALTER TABLE posts CLUSTER ON posts_p;\nDROP SEQUENCE s;", Some("SELECT 1;")),
];

#[rustfmt::skip]
const MYSQL: Range = &[
    ("CREATE TABLE Posts (Id varchar(26) PRIMARY KEY, Props text, N int, Kind varchar(20));", Some("DROP TABLE Posts;")),
    ("ALTER TABLE Posts ADD COLUMN X text, ALGORITHM=INPLACE, LOCK=NONE;", Some("ALTER TABLE Posts DROP COLUMN X;")),
    ("ALTER TABLE Posts MODIFY Props JSON;\nALTER TABLE Posts MODIFY Kind varchar(40), ADD FULLTEXT INDEX t (Kind);", Some("ALTER TABLE Posts MODIFY Props text;")),
    ("ALTER TABLE Posts CONVERT TO CHARACTER SET utf8mb4;\nALTER TABLE Posts DEFAULT CHARSET utf8mb4;\nOPTIMIZE TABLE Posts;\nALTER TABLE Posts AUTO_INCREMENT = 7;", Some("SELECT 1;")),
    ("SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.STATISTICS WHERE column_name = 'N') > 0, 'ALTER TABLE Posts DROP COLUMN N', 'SELECT 1')); PREPARE p FROM @s; EXECUTE p;", Some("")),
    ("ALTER TABLE Posts DROP PRIMARY KEY, ADD PRIMARY KEY (Id, Kind), ALGORITHM=INSTANT;\nLOCK TABLES Posts WRITE;", Some("SELECT 1;")),
];

/// The range without its first migration, which is what runs already, with all that a review can be told.
fn input(dialect: Dialect, version: &str, range: Range) -> Input {
    let mut files = BTreeMap::new();
    for (at, (up, down)) in range.iter().enumerate() {
        files.insert(format!("{:06}_it.up.sql", at + 1), up.as_bytes().to_vec());
        let down = down.map(|down| (format!("{:06}_it.down.sql", at + 1), down.as_bytes().to_vec()));
        files.extend(down);
    }
    let shipped = BTreeMap::from([("000002_it.up.sql".to_owned(), b"SELECT 1;".to_vec())]);
    let reason = "the application was asked".to_owned();
    let old_binary = OldBinary::WorksIfWidened;
    let last = u32::try_from(range.len()).expect("a short range");
    Input {
        rows: BTreeMap::from([("posts".to_owned(), 10_000_000)]),
        overrides: vec![Override { migration: 4, statement: Some(1), old_binary, reason }],
        last_esr: Some(2),
        shipped,
        twin: Some([1, 2, 3].into()),
        list: Some("000001_it.up.sql\n000099_gone.up.sql\n".into()),
        style: true,
        ..Input::new(files, dialect, version, 1, last)
    }
}

#[test]
fn a_review_is_written_as_it_always_was() {
    let write = env::var_os("BREAKWATER_WRITE").is_some();
    for (name, dialect, version, range) in
        [("postgresql", Dialect::Postgresql, "14.2", POSTGRESQL), ("mysql", Dialect::Mysql, "8.0.36", MYSQL)]
    {
        let review = analyse(&input(dialect, version, range)).expect("reviewed");
        let text = format!("{}\n", serde_json::to_string_pretty(&review).expect("JSON"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/output/{name}.json"));
        if write {
            fs::write(&path, &text).expect("written");
        }
        assert_eq!(text, fs::read_to_string(&path).expect("the file"), "{name}.json");
    }
}
