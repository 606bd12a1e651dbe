//! How long 350 files take, beside squawk's linter over the same PostgreSQL files in the same process.
//!
//! `cargo run --release -p breakwater-migrations --example review`

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use breakwater_migrations::{Dialect, Input, analyse};

/// How many files, ups and downs.
const FILES: usize = 350;

/// The tests' files, repeated under other numbers.
fn files(folder: &str, count: usize) -> BTreeMap<String, Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v6").join(folder);
    let mut names: Vec<_> =
        fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    let mut out = BTreeMap::new();
    for (at, path) in names.iter().cycle().take(count).enumerate() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let rest = name.split_once('_').map_or(name.as_str(), |(_, rest)| rest);
        out.insert(format!("{:06}_{rest}", at / 2 + 1), fs::read(path).unwrap_or_default());
    }
    out
}

/// The same files with their statements inside something, as most of Mattermost's are.
fn wrapped(files: &BTreeMap<String, Vec<u8>>, wrap: impl Fn(&str) -> String) -> BTreeMap<String, Vec<u8>> {
    let of = |bytes: &Vec<u8>| wrap(&String::from_utf8_lossy(bytes)).into_bytes();
    files.iter().map(|(name, bytes)| (name.clone(), of(bytes))).collect()
}

/// The least of ten runs, milliseconds.
fn least_ms(mut run: impl FnMut()) -> f64 {
    let one = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1000.0
    };
    (0..10).map(one).fold(f64::INFINITY, f64::min)
}

fn reviewed_ms(dialect: Dialect, version: &str, files: &BTreeMap<String, Vec<u8>>) -> f64 {
    let to = u32::try_from(files.len() / 2).unwrap_or(1);
    let rows = BTreeMap::from([("posts".to_owned(), 11_470_022)]);
    let input = Input { rows, ..Input::new(files.clone(), dialect, version, 0, to) };
    least_ms(|| match analyse(&input) {
        Ok(review) => assert!(!review.migrations.is_empty(), "nothing was reviewed"),
        Err(problems) => eprintln!("{problems:?}"),
    })
}

fn main() {
    let (postgresql, mysql) = (files("postgresql", FILES / 2 / 2 * 2), files("mysql", FILES / 2 / 2 * 2));
    let ours_ms = reviewed_ms(Dialect::Postgresql, "15.4", &postgresql);
    let mysql_ms = reviewed_ms(Dialect::Mysql, "8.0.36", &mysql);
    let wrapped_ms = reviewed_ms(
        Dialect::Postgresql,
        "15.4",
        &wrapped(&postgresql, |sql| {
            format!("DO $$ BEGIN IF (SELECT count(*) FROM pg_class) > 0 THEN\n{sql}\nEND IF; END $$;")
        }),
    ) + reviewed_ms(
        Dialect::Mysql,
        "8.0.36",
        &wrapped(&mysql, |sql| {
            let sql = sql.replace('\'', "''");
            format!(
                "SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS) > 0, '{sql}', 'SELECT 1'));\nPREPARE p FROM @s;\nEXECUTE p;\nDEALLOCATE PREPARE p;"
            )
        }),
    );
    let squawk_ms = least_ms(|| {
        for bytes in postgresql.values() {
            let text = String::from_utf8_lossy(bytes);
            let file = squawk_syntax::SourceFile::parse(&text);
            let _found = squawk_linter::Linter::with_default_rules().lint(&file, &text);
        }
    });
    let count = postgresql.len() + mysql.len();
    println!("{count} files reviewed in {:.1} ms", ours_ms + mysql_ms);
    println!("the same in DO blocks and prepared strings: {wrapped_ms:.1} ms");
    println!(
        "PostgreSQL half: {ours_ms:.2} ms; squawk's linter: {squawk_ms:.2} ms; ratio {:.2}",
        ours_ms / squawk_ms
    );
}
