//! `breakwater migrations review` as its user meets it: what is printed, the exit codes, what errors say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The v6.0 statements of the analysis, one a file.
fn v6(dialect: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/tests/data/v6");
    data.join(dialect).display().to_string()
}

/// Exit code, standard output, standard error.
fn review(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_breakwater"))
        .args(["migrations", "review"])
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

/// The range of the analysis, with its rows.
fn review_v6(dialect: &str, version: &str, more: &[&str]) -> (i32, String, String) {
    let (folder, rows) = (v6(dialect), v6("rows.txt"));
    let own = [&folder, "--from", "1", "--to", "126", "--server-version", version, "--table-rows", &rows];
    review(&[own.as_slice(), more].concat())
}

/// A folder of migrations that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("breakwater-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        for (file, text) in files {
            fs::write(path.join(file), text).expect("a file");
        }
        Self(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn migrations_review_prints_the_table_of_the_v6_analysis() {
    for (dialect, version) in [("postgresql", "11.7"), ("mysql", "5.7.2")] {
        let (code, out, err) = review_v6(dialect, version, &[]);
        assert_eq!((code, err.as_str()), (1, ""));
        insta::assert_snapshot!(format!("v6_{dialect}"), out);
    }
}

#[test]
fn migrations_review_prints_json_markdown_and_a_page() {
    let (_, json, _) = review_v6("postgresql", "11.7", &["-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["impact"], &json["revert"]), (&"Downtime".into(), &"RevertLosesData".into()));
    assert_eq!(json["migrations"].as_array().map(Vec::len), Some(26));
    let (_, markdown, _) = review_v6("mysql", "5.7.2", &["-o", "md"]);
    assert!(markdown.starts_with("## ✖ Downtime, RevertLosesData\n\n| # | QUERY |"), "{markdown}");
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| 0001")).count(), 26);
    let (_, page, _) = review_v6("postgresql", "11.7", &["-o", "html"]);
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("no reads nor writes for the whole duration")
    );
    assert!(!page.contains("http://") && !page.contains("src="), "it stands alone");
}

#[test]
fn migrations_review_exits_0_where_it_is_quiet_and_safe() {
    let folder = Folder::new(
        "quiet",
        &[
            ("000001_posts.up.sql", "CREATE TABLE posts (id varchar(26) PRIMARY KEY);"),
            ("000001_posts.down.sql", "DROP TABLE posts;"),
            ("000002_pin_v7.1.up.sql", "ALTER TABLE posts ADD COLUMN IF NOT EXISTS pinned boolean;"),
            ("000002_pin_v7.1.down.sql", "ALTER TABLE posts DROP COLUMN IF EXISTS pinned;"),
        ],
    );
    let run = |to: &str| review(&[&folder.path(), "--from", "1", "--to", to, "--server-version", "15"]);
    for to in ["2", "v7.1", "2..2"] {
        let (code, out, err) = run(to);
        assert_eq!((code, err.as_str()), (0, ""), "{to}: {out}");
        assert!(out.ends_with("✔ Quiet, RevertSafe\n"), "{out}");
    }
    let (code, _, err) = run("v7.2");
    assert_eq!(code, 2);
    assert!(err.contains("--to: `v7.2` names no migration") && err.contains("000002_pin_v7.1"), "{err}");
}

#[test]
fn migrations_review_writes_the_off_hours_sql() {
    let out = std::env::temp_dir().join(format!("breakwater-cli-{}.sql", std::process::id()));
    let (code, _, err) = review_v6("mysql", "5.7.2", &["--off-hours", &out.display().to_string()]);
    let text = fs::read_to_string(&out).expect("written");
    fs::remove_file(&out).expect("removed");
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(text.contains("\nALTER TABLE Posts MODIFY Props JSON;\n"), "{text}");
    assert!(!text.contains("DROP COLUMN"), "{text}");
}

#[test]
fn migrations_review_compares_with_the_shipped_folder_the_twin_and_the_list() {
    let files = [("000001_a.up.sql", "CREATE TABLE a (id integer);"), ("000001_a.down.sql", "DROP TABLE a;")];
    let (now, was) = (Folder::new("now", &files), Folder::new("was", &files));
    fs::write(was.0.join("000001_a.up.sql"), "CREATE TABLE a (id bigint);").expect("a file");
    fs::write(now.0.join("list"), "postgres/000001_a.up.sql\n").expect("a list");
    let twin = Folder::new("twin", &[("000002_b.up.sql", "SELECT 1;")]);
    let (code, out, _) = review(&[
        &now.path(),
        "--to",
        "1",
        "--server-version",
        "15",
        "--shipped",
        &was.path(),
        "--twin",
        &twin.path(),
        "--list",
        &now.0.join("list").display().to_string(),
        "--style",
    ]);
    assert_eq!(code, 0, "{out}");
    for rule in ["shipped-file-edited", "driver-pair-missing", "sequence-list", "require-table-schema"] {
        assert!(out.contains(&format!("- {rule}: ")), "{rule}: {out}");
    }
}

#[test]
fn migrations_review_says_what_is_wrong_and_what_to_do() {
    let folder = v6("postgresql");
    let bad = Folder::new("bad", &[("rows", "posts 5\nusers many\n"), ("000066.up.sql", "")]);
    let rows = bad.0.join("rows").display().to_string();
    let cases: &[(&[&str], &[&str])] = &[
        (&["/nowhere", "--to", "1"], &["/nowhere: cannot read it", "give the folder"]),
        (&[&folder, "--to", "105x"], &["--to: `105x` names no migration", "near are"]),
        (&[&folder, "--to", "127"], &["up to 126", "000126_v6_26_posts"]),
        (&[&folder, "--to", "126", "--table-rows", &rows], &["rows:2: `users many`", "`posts 11470022`"]),
        (&[&folder, "--to", "126", "--from", "126"], &["nothing comes after migration 126"]),
        (&[&folder, "--to", "126", "--dialect", "oracle"], &["use postgresql or mysql"]),
        (&[&bad.path(), "--to", "66"], &["000066_name.up.sql"]),
    ];
    for (arguments, words) in cases {
        let (code, out, err) = review(&[arguments, ["--server-version", "15"].as_slice()].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        for word in *words {
            assert!(err.contains(word), "{arguments:?} should say `{word}`: {err}");
        }
    }
    let (code, _, err) = review(&[&folder, "--to", "126", "--server-version", "9.6"]);
    assert!(code == 2 && err.contains("PostgreSQL 11 to 18"), "{err}");
}

#[test]
fn migrations_review_documents_its_exit_codes() {
    let (code, out, _) = review(&["--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Exit codes:") && out.contains("2  the input cannot be used"), "{out}");
}
