//! What is said somewhere else about the words is what the words are: runbook, metrics' catalogue, the chart's rules, the
//! admission rules, and the sources of pages and planner.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use breakwater_crds::words::{
    ConditionType, DeviationReason, GateSubject, HoldReason, Impact, LoadTestVerdict, RevertSafety,
    TransitionReason, Trouble, Verdict, Vocabulary,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn words<T: Vocabulary>() -> BTreeSet<&'static str> {
    T::all().iter().map(|word| word.as_str()).collect()
}

/// Files below a folder whose names end in one of these.
fn files(folder: &str, ends: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if ends.iter().any(|end| path.to_string_lossy().ends_with(end)) {
                found.push(path);
            }
        }
    }
    found
}

/// The first cell of each row of a marked table.
fn rows(document: &str, table: &str) -> BTreeSet<String> {
    let text = read(document);
    let (_, rest) = text.split_once(&format!("<!-- {table}: ")).unwrap();
    let (table, _) = rest.split_once("<!-- /").unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(word, _)| word.to_owned()).collect()
}

fn is_told<T: Vocabulary>(document: &str, table: &str) {
    let told = rows(document, table);
    let told: BTreeSet<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(told, words::<T>(), "{table} of {document}: run render-crds");
}

#[test]
fn every_word_has_its_row_in_the_runbook_and_the_metrics_catalogue() {
    const RUNBOOK: &str = "controller/docs/runbook.md";
    const METRICS: &str = "controller/docs/metrics.md";
    is_told::<HoldReason>(RUNBOOK, "hold-reasons");
    is_told::<TransitionReason>(RUNBOOK, "transitions");
    is_told::<Trouble>(RUNBOOK, "troubles");
    is_told::<DeviationReason>(RUNBOOK, "deviation-reasons");
    is_told::<ConditionType>(METRICS, "condition-types");
    is_told::<Verdict>(METRICS, "verdicts");
}

/// `name{label="value",...}` of our metrics in a text.
fn selectors(text: &str) -> Vec<(&str, &str)> {
    let starts = text.match_indices("breakwater_").filter_map(|(at, _)| {
        let (name, rest) = text[at..].split_once(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        let matchers = text[at + name.len()..].strip_prefix('{').and_then(|_| rest.split_once('}'));
        Some((name, matchers.map_or("", |(matchers, _)| matchers)))
    });
    starts.collect()
}

/// Values of a label in the matchers of a selector.
fn values<'a>(matchers: &'a str, label: &str) -> Vec<&'a str> {
    let of_label = matchers.split(',').filter_map(|matcher| {
        let (name, value) = matcher.split_once('=')?;
        let value = value.trim_start_matches('~').trim().trim_matches(['"', '\'']);
        (name.trim().trim_end_matches('!') == label).then_some(value)
    });
    of_label.flat_map(|value| value.split('|')).collect()
}

fn is_crate(name: &str) -> bool {
    let folder = name.strip_prefix("breakwater_").unwrap_or_default();
    !folder.is_empty() && root().join("controller").join(folder).is_dir()
}

#[test]
fn alert_rules_and_documents_ask_for_metrics_and_words_that_there_are() {
    let catalogue = read("controller/docs/metrics.md");
    let mut paths = files("charts", &[".yaml", ".yml", ".tpl", ".txt", ".json"]);
    paths.extend(files("controller/docs", &[".md"]));
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for (name, matchers) in selectors(&text) {
            if is_crate(name) {
                continue; // in a log filter
            }
            let plain = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            let known = [Some(name), plain].into_iter().flatten();
            assert!(
                known.into_iter().any(|name| catalogue.contains(&format!("`{name}`"))),
                "{}: {name} is in no catalogue",
                path.display()
            );
            let asked = [
                ("breakwater_transitions_total", "reason", words::<TransitionReason>()),
                ("breakwater_rollout_condition", "type", words::<ConditionType>()),
                ("breakwater_slo_verdict", "verdict", words::<Verdict>()),
            ];
            for (metric, label, words) in asked {
                let values = if name == metric { values(matchers, label) } else { Vec::new() };
                assert!(values.iter().all(|value| words.contains(value)), "{}: {values:?}", path.display());
            }
        }
    }
}

#[test]
fn selectors_are_found_with_the_values_of_their_labels() {
    let text = "sum(breakwater_slo_verdict{slo=\"a\",verdict=~\"NoData|Deviating\"}) > breakwater_leader\n";
    let found = selectors(text);
    assert_eq!(
        found.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["breakwater_slo_verdict", "breakwater_leader"]
    );
    assert_eq!(values(found[0].1, "verdict"), ["NoData", "Deviating"]);
}

#[test]
fn r21_admission_takes_the_gates_that_there_are() {
    let gates: Vec<String> = GateSubject::ALL.iter().map(|gate| format!("'{}'", gate.as_str())).collect();
    let rule = format!("self.subject in [{}]", gates.join(", "));
    let definition = read("crds/yaml/rolloutactions.yaml").split_whitespace().collect::<Vec<_>>().join(" ");
    // YAML doubles single quotes inside a single-quoted string.
    assert!(definition.contains(&rule) || definition.contains(&rule.replace('\'', "''")), "{rule}");
}

#[test]
fn planner_and_pages_write_no_word_by_hand() {
    let all: BTreeSet<&str> = [
        words::<ConditionType>(),
        words::<DeviationReason>(),
        words::<HoldReason>(),
        words::<Impact>(),
        words::<LoadTestVerdict>(),
        words::<RevertSafety>(),
        words::<TransitionReason>(),
        words::<Trouble>(),
        words::<Verdict>(),
    ]
    .into_iter()
    .flatten()
    .collect();
    for folder in ["controller/plan/src", "controller/page/src"] {
        for path in files(folder, &[".rs"]) {
            if path.file_name().is_some_and(|name| name == "tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in
                text.lines().enumerate().take_while(|(_, line)| !line.contains("#[cfg(test)]"))
            {
                let written = line.split('"').skip(1).step_by(2).find(|quoted| all.contains(quoted));
                assert_eq!(written, None, "{}:{}", path.display(), number + 1);
            }
        }
    }
}
