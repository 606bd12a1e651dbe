use serde_json::{Value, from_value, json};

use super::*;

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    entries.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn assessed(spec: Value, maps: &[(&str, Map)]) -> Assessed {
    let spec: ReleaseSpec = from_value(spec).unwrap();
    let maps = maps.iter().map(|(name, map)| ((*name).to_owned(), map.clone())).collect();
    assess("app-2", 3, &spec, &Named { maps, rows: None })
}

fn migrations(extra: &Value) -> Value {
    let mut migrations = json!({"dialect": "PostgreSQL", "serverVersion": "15.4", "from": 1});
    migrations.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"version": "2.0.0", "migrations": migrations})
}

const BASE: (&str, &str) =
    ("000001_base.up.sql", "CREATE TABLE posts (id varchar(26) PRIMARY KEY, props text, old text);");

#[test]
fn r21_the_verdicts_are_the_reviewers_and_the_way_down_comes_with_them() {
    let files = map(&[
        BASE,
        ("000001_base.down.sql", "DROP TABLE posts;"),
        ("000002_drop.up.sql", "ALTER TABLE posts DROP COLUMN old;"),
        ("000002_drop.down.sql", "ALTER TABLE posts ADD COLUMN old text;"),
        ("000003_index.up.sql", "CREATE TABLE drafts (id varchar(26));"),
        ("000003_index.down.sql", "DROP TABLE drafts;"),
    ]);
    let Assessed { release, status } =
        assessed(migrations(&json!({"configMaps": ["m"], "rows": {"Posts": 10}})), &[("m", Ok(files))]);
    let facts = release.migrations.unwrap();
    assert_eq!((facts.from, facts.to, facts.files.len()), (1, 3, 2));
    let drop = &facts.files[0];
    assert!(drop.revert > Revert::RevertSafe, "{drop:?}");
    assert_eq!(
        (drop.down.file.as_str(), drop.down.sql.trim()),
        ("000002_drop.down.sql", "ALTER TABLE posts ADD COLUMN old text;")
    );
    assert_eq!(facts.files[1].revert, Revert::RevertSafe, "{:?}", facts.files[1]);
    let told = status.migrations.unwrap();
    assert_eq!(told.revert, drop.revert);
    assert_eq!(told.listed.iter().map(|one| one.number).collect::<Vec<_>>(), [2]);
    assert_eq!(status.observed_generation, 3);
}

#[test]
fn what_cannot_be_read_is_unknown_and_says_why() {
    let gone = || ("m", Err("there is none in namespace ops".to_owned()));
    for (spec, maps, says) in [
        (json!({"version": "2"}), vec![], "has no spec.migrations"),
        (
            migrations(&json!({"configMaps": ["m"]})),
            vec![gone()],
            "ConfigMap m: there is none in namespace ops",
        ),
        (migrations(&json!({"configMaps": ["m"]})), vec![], "ConfigMap m was not read yet"),
        (migrations(&json!({"to": 5})), vec![], "spec.migrations names no file"),
        (
            migrations(
                &json!({"serverVersion": "9.6", "inline": {BASE.0: BASE.1, "000002_x.up.sql": "SELECT 1;"}}),
            ),
            vec![],
            "9.6",
        ),
        (
            migrations(&json!({"configMaps": ["m"], "inline": {BASE.0: BASE.1}})),
            vec![("m", Ok(map(&[(BASE.0, "DROP TABLE posts;")])))],
            "000001_base.up.sql is there twice, with different contents; ConfigMap m is one of them",
        ),
    ] {
        let Assessed { release, status } = assessed(spec, &maps);
        let why = release.migrations.unwrap_err();
        assert!(why.contains(says), "{why}");
        let told = status.migrations.map(|told| (told.impact, told.revert));
        assert!(told.is_none() || told == Some((Impact::Unknown.into(), Revert::Unknown.into())), "{told:?}");
    }
}

#[test]
fn a_version_without_new_migrations_is_quiet_and_safe() {
    let Assessed { release, status } = assessed(migrations(&json!({"inline": {BASE.0: BASE.1}})), &[]);
    assert_eq!(release.migrations, Ok(Migrations { from: 1, to: 1, files: Vec::new() }));
    let told = status.migrations.unwrap();
    assert_eq!((told.impact.known(), told.revert.known()), (Some(Impact::Quiet), Some(Revert::RevertSafe)));
}

/// A report of one run: some handlers, each called often, at `factor` of the usual times.
fn report(factor: f64) -> String {
    let times = |scale: f64| -> serde_json::Map<String, Value> {
        (1..=20).map(|n| (format!("handler{n}"), json!(format!("{}", 0.01 * f64::from(n) * scale)))).collect()
    };
    json!({
        "Label": "run", "StartTime": "2026-01-01T10:00:00Z", "EndTime": "2026-01-01T12:00:00Z",
        "AvgStoreTimes": times(1.0), "P99StoreTimes": times(3.0), "AvgAPITimes": times(factor), "P99APITimes": times(3.0 * factor),
        "Graphs": [],
    })
    .to_string()
}

#[test]
fn each_load_test_is_compared_by_the_controller_and_the_worst_is_shown() {
    let runs = map(&[
        ("base.json", &report(1.0)),
        ("same.json", &report(1.0)),
        ("slow.json", &report(2.0)),
        ("cut.json", "{\"Label\":"),
    ]);
    let test = |name: &str, key: &str| {
        let of = |key: &str| json!([{"configMap": "runs", "key": key}]);
        json!({"name": name, "base": of("base.json"), "candidate": of(key)})
    };
    let spec = json!({"version": "2", "loadTests": [test("same", "same.json"), test("slow", "slow.json"), test("cut", "cut.json"), test("gone", "x.json")]});
    let Assessed { release, status } = assessed(spec, &[("runs", Ok(runs))]);
    let verdicts: Vec<Verdict> = release.load_tests.iter().map(|test| test.verdict).collect();
    assert!(verdicts[0] < Verdict::Fail, "{:?}", release.load_tests[0]);
    assert!(verdicts[1] > verdicts[0], "{:?}", release.load_tests[1]);
    assert_eq!(verdicts[2..], [Verdict::NoData, Verdict::NoData]);
    assert_eq!(release.load_tests[3].message, "ConfigMap runs has no entry x.json");
    assert_eq!(status.load_test, Some(Verdict::NoData.into()));
    assert!(!status.load_tests[1].metrics.is_empty());
}

#[test]
fn wrong_rules_are_no_data_and_name_the_field() {
    let of = json!([{"configMap": "runs", "key": "base.json"}]);
    let spec = json!({"version": "2", "loadTests": [{"name": "pg", "base": of, "candidate": of, "rules": "api: {average: {marginn: 5%}}"}]});
    let Assessed { release, .. } = assessed(spec, &[("runs", Ok(map(&[("base.json", &report(1.0))])))]);
    assert_eq!(release.load_tests[0].verdict, Verdict::NoData);
    assert!(
        release.load_tests[0].message.starts_with("spec.loadTests[pg].rules: api.average"),
        "{:?}",
        release.load_tests[0]
    );
}

#[test]
fn a_withdrawal_is_what_is_said_first() {
    let Assessed { release, status } = assessed(json!({"version": "2", "withdrawn": "it loses drafts"}), &[]);
    assert_eq!(
        (release.withdrawn.as_deref(), status.message.as_str()),
        (Some("it loses drafts"), "withdrawn: it loses drafts")
    );
}

#[test]
fn the_largest_tenant_counts_and_is_named_and_one_that_cannot_be_asked_is_unknown() {
    let mut largest = Largest::default();
    for (tenant, rows) in [("small/chat", 10.0), ("big/chat", 30_000_000.0)] {
        largest.take("posts", tenant, rows);
        largest.take("jobs", tenant, rows);
    }
    let files = json!({BASE.0: BASE.1, "000002_index.up.sql": "CREATE INDEX idx ON posts (props);"});
    let spec: ReleaseSpec = from_value(migrations(&json!({"inline": files, "rows": {"posts": 10}}))).unwrap();
    let of = |rows| assess("app-2", 1, &spec, &Named { maps: HashMap::new(), rows });
    let (small, large) = (of(None), of(Some(Ok(largest))));
    let seconds =
        |assessed: &Assessed| assessed.release.migrations.as_ref().unwrap().files[0].longest_seconds;
    assert!(seconds(&large) > seconds(&small), "{:?} {:?}", seconds(&large), seconds(&small));
    let told = large.status.migrations.unwrap().rows;
    assert_eq!(told, [TableRows { table: "posts".into(), rows: 30_000_000, tenant: "big/chat".into() }]);
    let unread = of(Some(Err("spec.migrations.rowsFrom.metric: connection refused".into())));
    assert_eq!(unread.release.migrations, Err("spec.migrations.rowsFrom.metric: connection refused".into()));
}
