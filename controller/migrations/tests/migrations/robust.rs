//! No input makes the reviewer panic, and nothing that cannot be read is called safe.

use std::collections::BTreeMap;

use breakwater_migrations::{Dialect, Impact, Input, Lock, Migration, Revert, Review, Work, analyse};
use proptest::prelude::*;

fn review_of(dialect: Dialect, up: &[u8], down: Option<&[u8]>) -> Review {
    let base = b"CREATE TABLE posts (id varchar(26) PRIMARY KEY, props varchar(100), n integer, parentid varchar(26));";
    let mut files = BTreeMap::from([
        ("000001_base.up.sql".to_owned(), base.to_vec()),
        ("000002_it.up.sql".to_owned(), up.to_vec()),
    ]);
    if let Some(down) = down {
        files.insert("000002_it.down.sql".into(), down.to_vec());
    }
    let server_version = if dialect == Dialect::Mysql { "8.0.36" } else { "15.4" };
    let rows = BTreeMap::from([("posts".to_owned(), 10_000_000)]);
    let input = Input { rows, ..Input::new(files, dialect, server_version, 1, 2) };
    analyse(&input).expect("reviewed")
}

fn pg(up: &str) -> Migration {
    review_of(Dialect::Postgresql, up.as_bytes(), None).migrations.remove(0)
}

fn my(up: &str) -> Migration {
    review_of(Dialect::Mysql, up.as_bytes(), None).migrations.remove(0)
}

fn broken(found: &Migration, rule: &str) -> bool {
    found.findings.iter().any(|finding| finding.rule.name() == rule)
}

#[test]
fn odd_files_are_read() {
    assert_eq!(pg("\u{feff}-- a comment\r\nALTER TABLE posts ADD COLUMN x text\r\n").statements.len(), 1);
    assert_eq!(pg("-- nothing\n/* at all */").impact, Impact::Quiet);
    assert_eq!(pg("").revert, Revert::RevertSafe);
    let invalid = review_of(Dialect::Postgresql, b"ALTER TABLE posts ADD COLUMN \xff text;", None);
    assert_eq!((invalid.impact, invalid.revert), (Impact::Unknown, Revert::Unknown));
}

#[test]
fn what_nests_deeply_is_unknown_and_takes_no_more_than_a_threads_stack() {
    for depth in [15, 45, 95, 1_000] {
        for (open, close) in
            [("Abs (", ")"), ("IN (", ")"), ("CASE WHEN ", " END"), ("NOT ", ""), ("(SELECT ", ")")]
        {
            let nested = format!("{}x{}", open.repeat(depth), close.repeat(depth));
            for text in [
                format!("CREATE INDEX i ON posts (props, {nested}) FOO"),
                format!("UPDATE posts SET n = {nested} FOO"),
            ] {
                for dialect in [Dialect::Postgresql, Dialect::Mysql] {
                    let review = review_of(dialect, text.as_bytes(), None);
                    assert!(depth < 100 || review.impact == Impact::Unknown, "{dialect}, {depth} of {open}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_says_why() {
    for text in [
        "ALTER TABLE posts FROBNICATE",
        "SELECT 'never closed",
        "/* never closed",
        "DO $$ BEGIN EXECUTE sql; END $$",
        "CALL elsewhere()",
        "DO LANGUAGE plperl $$ x $$",
    ] {
        let found = pg(text);
        assert_eq!((found.impact, found.revert), (Impact::Unknown, Revert::Unknown), "{text}");
        assert!(found.statements[0].reasons[0].starts_with("cannot be read: "), "{text}");
    }
    assert_eq!(my("PREPARE p FROM @elsewhere; EXECUTE p;").impact, Impact::Unknown);
}

#[test]
fn a_do_block_and_what_it_executes_are_reviewed() {
    let found = pg(
        "DO $$\nDECLARE n int;\nBEGIN\n  SELECT count(*) INTO n FROM posts;\n  IF n = 0 THEN\n    EXECUTE $q$ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb$q$;\n  END IF;\nEND $$;",
    );
    let alter = found.statements.last().expect("a statement");
    assert_eq!((alter.within.clone(), alter.guarded), (vec!["DO".into(), "EXECUTE".into()], true));
    assert_eq!(found.impact, Impact::Downtime);
}

#[test]
fn mysql_prepared_strings_and_procedures_are_reviewed() {
    let guarded = "SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'Posts') > 0, 'SELECT 1', 'ALTER TABLE Posts MODIFY props JSON;'));\nPREPARE p FROM @s;\nEXECUTE p;\nDEALLOCATE PREPARE p;";
    let found = my(guarded);
    assert_eq!(
        (found.statements.len(), found.statements[0].guarded, found.impact),
        (1, true, Impact::Downtime)
    );
    let procedure = "DELIMITER //\nCREATE PROCEDURE m ()\nBEGIN\n  DECLARE n INT;\n  SELECT COUNT(*) INTO n FROM posts;\n  IF n > 0 THEN\n    ALTER TABLE posts DROP COLUMN parentid;\n  END IF;\nEND//\nDELIMITER ;\nCALL m();\nDROP PROCEDURE m;";
    let found = my(procedure);
    assert!(
        found.statements.iter().any(|one| one.within == ["CALL m"] && one.sql.starts_with("ALTER")),
        "{found:#?}"
    );
    assert_ne!(found.revert, Revert::RevertSafe);
}

#[test]
fn a_transaction_holds_its_locks_to_the_end_of_the_file() {
    let found = pg("ALTER TABLE posts ADD COLUMN x text;\nUPDATE posts SET x = props;");
    assert!(broken(&found, "dml-after-ddl") && broken(&found, "full-table-dml"));
    assert_eq!(found.impact, Impact::Downtime);
    let alone = pg("ALTER TABLE posts ADD COLUMN x text;");
    assert_eq!((alone.impact, alone.revert), (Impact::Quiet, Revert::RevertSafe));
}

#[test]
fn concurrently_is_right_only_alone_and_after_the_prefix() {
    let index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON posts (n);";
    assert_eq!(pg(index).impact, Impact::Unknown);
    assert_eq!(pg(&format!("-- morph:nontransactional\n{index}")).impact, Impact::OffHours);
    assert!(broken(&pg(&format!("\n-- morph:nontransactional\n{index}")), "ntx-prefix-misplaced"));
    assert!(broken(
        &pg(&format!("-- morph:nontransactional\n{index}UPDATE posts SET n = 1;")),
        "ntx-multi-statement"
    ));
}

#[test]
fn only_a_repeatable_index_is_offered_for_off_hours() {
    let guarded = review_of(Dialect::Mysql, b"ALTER TABLE posts MODIFY props JSON;", None);
    let offered = guarded.off_hours_sql.first().expect("one");
    assert!(
        offered.starts_with("-- Ask first") && offered.ends_with("\nALTER TABLE posts MODIFY props JSON;")
    );
    assert!(review_of(Dialect::Mysql, b"CREATE INDEX i ON posts (n);", None).off_hours_sql.is_empty());
}

#[test]
fn one_part_that_is_not_instant_takes_the_others_with_it() {
    let work = |up: &str| my(up).statements[0].work;
    assert_eq!(work("ALTER TABLE posts ADD COLUMN x int, ADD COLUMN y int;"), Work::Catalog);
    assert_eq!(work("ALTER TABLE posts ADD COLUMN x int, ADD INDEX i (n);"), Work::Rewrite);
    assert_eq!(work("ALTER TABLE posts ADD COLUMN x int, ALGORITHM=INPLACE;"), Work::Rewrite);
    let lock = |up: &str| my(up).statements[0].lock;
    assert_eq!(lock("ALTER TABLE posts DROP PRIMARY KEY;"), Lock::Copy);
    assert_eq!(lock("ALTER TABLE posts DROP PRIMARY KEY, ADD PRIMARY KEY (id, n);"), Lock::Online);
    assert_eq!(lock("ALTER TABLE posts CONVERT TO CHARACTER SET utf8mb4;"), Lock::InplaceShared);
    assert_eq!(work("ALTER TABLE posts DEFAULT CHARACTER SET utf8mb4;"), Work::Rewrite);
}

#[test]
fn values_at_the_end_of_a_list_are_instant_while_they_take_as_many_bytes() {
    let list = |count: u32| (0..count).map(|at| format!("'v{at}'")).collect::<Vec<_>>().join(",");
    let appended = |kind: &str, from: u32, to: u32| {
        let (old, new) = (list(from), list(to));
        my(&format!("CREATE TABLE t (k {kind}({old})); ALTER TABLE t MODIFY k {kind}({new});")).statements[1]
            .work
    };
    assert_eq!([appended("enum", 2, 3), appended("enum", 255, 256)], [Work::Catalog, Work::Rewrite]);
    assert_eq!([appended("set", 7, 8), appended("set", 8, 9)], [Work::Catalog, Work::Rewrite]);
}

#[test]
fn a_change_that_a_condition_may_skip_leaves_both_types_possible() {
    let twice = |condition: &str| {
        let alter = "ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb;";
        let found = pg(&format!(
            "DO $$ BEGIN {condition} {alter} {} {alter} END $$;",
            if condition.is_empty() { "" } else { "END IF;" }
        ));
        found.statements.iter().map(|one| one.work).collect::<Vec<_>>()
    };
    assert_eq!(twice(""), [Work::Rewrite, Work::Catalog]);
    assert_eq!(twice("IF true THEN"), [Work::Rewrite, Work::Rewrite]);
    let branches = my(
        "CREATE PROCEDURE m () BEGIN IF 1 THEN ALTER TABLE t MODIFY a JSON; ELSE ALTER TABLE t MODIFY a JSON; END IF; END; CALL m();",
    );
    let works: Vec<_> =
        branches.statements.iter().filter(|one| one.table.is_some()).map(|one| one.work).collect();
    assert_eq!(works, [Work::Rewrite, Work::Rewrite]);
}

#[test]
fn what_one_condition_guards_together_is_not_offered_apart() {
    let offered = |body: &str| {
        let sql = format!("DO $$ BEGIN IF true THEN {body} END IF; END $$;");
        review_of(Dialect::Postgresql, sql.as_bytes(), None).off_hours_sql.len()
    };
    let alter = "ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb;";
    assert_eq!(offered(alter), 1);
    assert_eq!(offered(&format!("{alter} UPDATE posts SET n = 1;")), 0);
}

#[test]
fn a_routine_of_the_file_itself_is_not_missed_by_the_old_binary() {
    let own = "CREATE PROCEDURE m () BEGIN SELECT 1; END; CALL m(); DROP PROCEDURE m;";
    assert_eq!(my(own).revert, Revert::RevertSafe);
    assert_ne!(my("DROP PROCEDURE m;").revert, Revert::RevertSafe);
}

#[test]
fn down_files_are_compared_with_their_ups() {
    let revert =
        |up: &str, down: &str| review_of(Dialect::Postgresql, up.as_bytes(), Some(down.as_bytes())).revert;
    assert_eq!(
        revert(
            "ALTER TABLE posts DROP COLUMN parentid;",
            "ALTER TABLE posts ADD COLUMN parentid varchar(26);"
        ),
        Revert::RevertLosesData
    );
    assert_eq!(revert("CREATE UNIQUE INDEX i ON posts (n);", "DROP INDEX i;"), Revert::RevertNeedsDown);
    assert_eq!(revert("CREATE UNIQUE INDEX i ON posts (n);", "-- forward only"), Revert::Unknown);
    assert_eq!(
        revert("ALTER TABLE posts ALTER COLUMN props TYPE varchar(300);", "-- as it was"),
        Revert::RevertSafe
    );
}

#[test]
fn a_file_of_five_megabytes_is_read() {
    let text = "INSERT INTO posts (id) VALUES ('it''s'); -- a comment\n".repeat(5 * 1024 * 1024 / 54);
    assert!(pg(&text).statements.len() > 90_000);
}

#[test]
fn what_would_overflow_a_stack_is_unknown() {
    let deep = |open: &str, times: usize| format!("SELECT {}", open.repeat(times));
    for text in [
        deep("(", 200_000),
        deep("[", 200_000),
        deep("NOT ", 200_000),
        deep("CASE WHEN ", 100_000),
        deep("1 + ", 100_000),
        deep("a.b->", 900),
        deep("1 + ", 1900),
        deep("- ", 3000),
    ] {
        assert_eq!(pg(&text).impact, Impact::Unknown, "{}", &text[..20]);
    }
    assert_eq!(
        my(&format!("SET @s = {}'x'; PREPARE p FROM @s; EXECUTE p;", "CONCAT(".repeat(100_000))).impact,
        Impact::Unknown
    );
    let itself = format!(
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {} END $$; SELECT f();",
        "PERFORM f(); ".repeat(5)
    );
    assert_eq!(pg(&itself).impact, Impact::Unknown);
}

#[test]
fn a_function_that_is_not_known_to_only_read_is_unknown() {
    assert_eq!(pg("SELECT rebuild_everything();").impact, Impact::Unknown);
    assert_eq!(pg("SELECT count(*) FROM posts;").impact, Impact::Quiet);
    let defined = pg(
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE posts; END $$; SELECT f();",
    );
    assert!(broken(&defined, "drop-table"));
}

const PIECES: [&str; 44] = [
    "ALTER TABLE ",
    "posts ",
    "ADD COLUMN ",
    "x ",
    "text",
    "DEFAULT ",
    "now()",
    "(",
    ")",
    ";",
    "$$",
    "$q$",
    "'",
    "\"",
    "`",
    "--",
    "/*",
    "*/",
    "\n",
    "DO ",
    "BEGIN ",
    "END",
    " IF ",
    "THEN ",
    "LOOP ",
    "EXECUTE ",
    "CREATE ",
    "INDEX ",
    "CONCURRENTLY ",
    "ON ",
    "PROCEDURE p() ",
    "CALL p()",
    "SET @s = ",
    "PREPARE p FROM @s",
    "EXECUTE p",
    "IF(1,'a','b')",
    "||",
    "::",
    ",",
    "DELIMITER //\n",
    "//",
    "é",
    "\u{feff}",
    "CASE WHEN ",
];

/// What every review must say, whatever was put in.
fn holds_together(review: &Review, text: &str) {
    let lines = text.matches('\n').count() + 1;
    for migration in &review.migrations {
        for one in &migration.statements {
            assert!((1..=lines).contains(&one.line), "line {} of {lines}: {text}", one.line);
            if one.lock == Lock::Unknown {
                assert_eq!(one.impact, Impact::Unknown, "{}", one.sql);
                assert!(!one.reasons.is_empty(), "{}", one.sql);
            }
        }
        assert!(migration.findings.iter().all(|one| one.line >= 1 && !one.fix.is_empty()));
    }
    assert!(review.impact != Impact::Unknown || !review.reasons.is_empty(), "no reason for Unknown: {text}");
    assert!(review.revert != Revert::Unknown || !review.reasons.is_empty(), "no reason for Unknown: {text}");
}

#[test]
fn every_statement_that_the_grammar_knows_is_reviewed() {
    let mut seen = 0;
    for entry in crate::mutate::corpus().iter().filter(|one| one.dialect == Dialect::Postgresql) {
        let text = String::from_utf8_lossy(&entry.bytes);
        let file = squawk_syntax::SourceFile::parse(&text);
        // What a block or a call runs is more than one statement.
        if file.errors().is_empty() && !["DO $$", "CALL", "backfill"].iter().any(|word| text.contains(word)) {
            let found = pg(&text);
            assert_eq!(found.statements.len(), file.tree().stmts().count(), "{text}");
            let read = |one: &breakwater_migrations::Statement| one.lock != Lock::Unknown;
            assert!(found.statements.iter().all(read), "{found:#?}");
            seen += found.statements.len();
        }
    }
    assert!(seen > 50, "only {seen} statements were seen");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_sql_in_any_order_never_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = pieces.into_iter().map(|at| PIECES[at]).collect();
        for dialect in [Dialect::Postgresql, Dialect::Mysql] {
            review_of(dialect, text.as_bytes(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn mutants_of_the_corpus_hold_together(seed in any::<u64>()) {
        let corpus = crate::mutate::corpus();
        let (dialect, bytes) = crate::mutate::mutated(&corpus, seed);
        holds_together(&review_of(dialect, &bytes, Some(&bytes)), &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for dialect in [Dialect::Postgresql, Dialect::Mysql] {
            review_of(dialect, &bytes, Some(&bytes));
        }
    }
}
