//! The files under tests/data are the generator's: `UPDATE_FIXTURES=1 cargo test -p breakwater-loadtest --test loadtest fixtures` writes them.

use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use crate::common::{BUSY, PLAIN, Setup, report, side, traffic};
use breakwater_loadtest::{Comparison, Rules, Run, Verdict, compare};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Names and texts of all files; `.gz` are packed.
fn files() -> Vec<(String, String)> {
    let slower = Setup { fault: Some((BUSY, 1.3)), ..PLAIN };
    let sides = [("base", PLAIN), ("same", PLAIN), ("slower", slower)];
    let mut files = Vec::new();
    for (label, setup) in sides {
        for (n, run) in side(label, 42, 3, setup).iter().enumerate() {
            let packed = if n == 0 { "" } else { ".gz" };
            files.push((format!("{label}-{}.json{packed}", n + 1), report(run, 6)));
        }
    }
    let (api, store) = traffic();
    let mut rules = "# Calls a run, as counted once: the generator's own.\ntraffic:\n".to_owned();
    for (family, calls) in [("api", api), ("store", store)] {
        writeln!(rules, "  {family}:").unwrap();
        for (name, calls) in calls {
            writeln!(rules, "    {name}: {calls}").unwrap();
        }
    }
    files.push(("rules.yaml".to_owned(), rules));
    files
}

fn packed(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn unpacked(bytes: &[u8]) -> String {
    std::io::read_to_string(flate2::read::GzDecoder::new(bytes)).unwrap()
}

fn read(name: &str) -> Run {
    Run::parse(name, &std::fs::read(path(name)).unwrap()).unwrap()
}

fn runs(label: &str) -> Vec<Run> {
    ["1.json", "2.json.gz", "3.json.gz"].map(|file| read(&format!("{label}-{file}"))).into()
}

fn compared(base: &[Run], candidate: &[Run]) -> Comparison {
    compare(base, candidate, &Rules::default())
}

#[test]
fn the_files_are_the_generators() {
    for (name, text) in files() {
        let is_packed = name.strip_suffix(".gz").is_some();
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(path(&name), if is_packed { packed(&text) } else { text.clone().into_bytes() })
                .unwrap();
        }
        let bytes = std::fs::read(path(&name)).unwrap();
        let found = if is_packed { unpacked(&bytes) } else { String::from_utf8(bytes).unwrap() };
        assert!(found == text, "{name} is not what the generator makes: see the head of this file");
    }
}

#[test]
fn the_same_version_passes_and_the_slower_one_fails() {
    assert_eq!(compared(&runs("base"), &runs("same")).verdict, Verdict::Pass);
    let slower = compared(&runs("base"), &runs("slower"));
    assert_eq!(slower.verdict, Verdict::Fail, "{}", slower.sentence);
    assert_eq!(slower.findings[0].name, BUSY);
    let rules = Rules::parse(&std::fs::read_to_string(path("rules.yaml")).unwrap()).unwrap();
    let one = compare(&runs("base")[..1], &runs("slower")[..1], &rules);
    assert_eq!(one.verdict, Verdict::Fail, "{}", one.sentence);
}

#[test]
fn the_answer_keeps_its_shape() {
    let slower = compared(&runs("base"), &runs("slower")).bounded();
    insta::assert_snapshot!(serde_json::to_string_pretty(&slower).unwrap());
    let back: Comparison = serde_json::from_str(&serde_json::to_string(&slower).unwrap()).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&slower).unwrap());
}
