//! What a Release's evidence comes to: its `ConfigMap`s in, verdicts out. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use breakwater_crds::{
    ReleaseSpec, ReleaseStatus, Span,
    release::{
        Dialect, LoadTestStatus, METRICS_LISTED_MAX, MIGRATIONS_LISTED_MAX, MigrationStatus,
        Migrations as MigrationsSpec, MigrationsStatus, OldBinary, ROWS_LISTED_MAX, Report, SENTENCE_MAX,
        TableRows,
    },
    report::DownStep,
};
use breakwater_loadtest::{Comparison, Rules, Run, Verdict, compare};
use breakwater_migrations::{self as migrations, Impact, Revert, Review, analyse, last_number};
use breakwater_plan::release::{LoadTest, Migration, Migrations, Release};
use breakwater_text::cut;

use super::rows::Largest;

/// Most bytes of a report of a load test, unpacked.
const REPORT_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// What is said of a Release that says nothing of migrations.
const NO_MIGRATIONS: &str = "has no spec.migrations: nobody knows what they do";
/// Longest reason of a migration, in bytes.
const REASON_MAX: usize = 240;

/// The entries of a `ConfigMap`; or why it cannot be read.
pub type Map = Result<BTreeMap<String, Vec<u8>>, String>;

/// The evidence that a Release only names.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Its `ConfigMap`s.
    pub maps: HashMap<String, Map>,
    /// The largest tenants by table; or why nobody knows. `None`: it does not ask.
    pub rows: Option<Result<Largest, String>>,
}

/// What a Release comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessed {
    /// For the planner.
    pub release: Release,
    /// For people.
    pub status: ReleaseStatus,
}

/// What a Release says without any evidence: `unread` is why nobody knows yet what that comes to.
pub(super) fn plain(name: &str, spec: &ReleaseSpec, unread: &str) -> Release {
    let load_test = |test: &breakwater_crds::release::LoadTest| LoadTest {
        name: test.name.clone(),
        verdict: Verdict::NoData,
        message: unread.to_owned(),
    };
    Release {
        name: name.to_owned(),
        version: spec.version.clone(),
        lane: spec.lane,
        withdrawn: spec.withdrawn.clone(),
        fixes: spec.fixes.clone(),
        includes_since: spec.includes_since,
        migrations: Err(spec.migrations.as_ref().map_or(NO_MIGRATIONS, |_| unread).to_owned()),
        load_tests: spec.load_tests.iter().map(load_test).collect(),
    }
}

/// Works out what a Release's evidence comes to.
pub fn assess(name: &str, generation: i64, spec: &ReleaseSpec, named: &Named) -> Assessed {
    let maps = &named.maps;
    let (migrations, reviewed) = match spec.migrations.as_ref().map(|evidence| review(evidence, named)) {
        None => (Err(NO_MIGRATIONS.to_owned()), None),
        Some(Ok((migrations, status))) => (Ok(migrations), Some(status)),
        Some(Err(why)) => {
            let status = MigrationsStatus {
                impact: Impact::Unknown.into(),
                revert: Revert::Unknown.into(),
                message: cut::marked(&why, SENTENCE_MAX).into_owned(),
                ..MigrationsStatus::default()
            };
            (Err(why), Some(status))
        }
    };
    let (load_tests, compared): (Vec<LoadTest>, Vec<LoadTestStatus>) =
        spec.load_tests.iter().map(|test| load_test(test, maps)).unzip();
    let release = Release { migrations, load_tests, ..plain(name, spec, "") };
    let worst = release.load_tests.iter().map(|test| test.verdict).max();
    let mut status = ReleaseStatus {
        observed_generation: generation,
        message: String::new(),
        migrations: reviewed,
        load_test: worst.map(Into::into),
        load_tests: compared,
    };
    status.message = sentence(spec, &status);
    Assessed { release, status }
}

fn sentence(spec: &ReleaseSpec, status: &ReleaseStatus) -> String {
    if let Some(why) = &spec.withdrawn {
        return cut::marked(&format!("withdrawn: {why}"), SENTENCE_MAX).into_owned();
    }
    let migrations = match &status.migrations {
        None => "no migrations given".to_owned(),
        Some(reviewed) => {
            format!("migrations are {} and {}: {}", reviewed.impact, reviewed.revert, reviewed.message)
        }
    };
    let worst = status
        .load_test
        .as_ref()
        .and_then(|worst| status.load_tests.iter().find(|test| test.verdict == *worst));
    let tests = worst.map_or_else(
        || "no load test given".to_owned(),
        |test| format!("load test {} is {}: {}", test.name, test.verdict, test.message),
    );
    cut::marked(&format!("{migrations}; {tests}"), SENTENCE_MAX).into_owned()
}

fn review(spec: &MigrationsSpec, named: &Named) -> Result<(Migrations, MigrationsStatus), String> {
    let files = files(spec, &named.maps)?;
    if files.is_empty() {
        return Err("spec.migrations names no file: give configMaps, or inline".to_owned());
    }
    let largest = named.rows.clone().transpose()?.unwrap_or_default();
    let to = spec.to.unwrap_or_else(|| last_number(&files));
    let dialect = match spec.dialect {
        Dialect::PostgreSQL => migrations::Dialect::Postgresql,
        Dialect::MySQL => migrations::Dialect::Mysql,
    };
    let mut input =
        migrations::Input::new(files, dialect, spec.server_version.clone(), spec.from.min(to), to);
    input.last_esr = spec.last_esr;
    let given = spec.rows.iter().map(|(table, rows)| (table.to_lowercase(), *rows));
    input.rows = given.chain(largest.rows()).collect();
    if !spec.large_tables.is_empty() {
        input.large.tables = spec.large_tables.iter().map(|table| table.to_lowercase()).collect();
    }
    input.overrides = spec.overrides.iter().map(override_of).collect();
    let review = analyse(&input)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let rows = concerned(&review, &largest);
    Ok((facts(&review), MigrationsStatus { rows, ..told(&review) }))
}

/// All files, from every `ConfigMap` and inline; one name twice is a doubt.
fn files(spec: &MigrationsSpec, maps: &HashMap<String, Map>) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut files: BTreeMap<String, Vec<u8>> =
        spec.inline.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect();
    for map in &spec.config_maps {
        for (name, bytes) in entries(map, maps)? {
            if files.insert(name.clone(), bytes.clone()).is_some_and(|other| other != *bytes) {
                return Err(format!(
                    "spec.migrations: {name} is there twice, with different contents; ConfigMap {map} is one of them"
                ));
            }
        }
    }
    Ok(files)
}

fn entries<'m>(map: &str, maps: &'m HashMap<String, Map>) -> Result<&'m BTreeMap<String, Vec<u8>>, String> {
    match maps.get(map) {
        Some(Ok(entries)) => Ok(entries),
        Some(Err(why)) => Err(format!("ConfigMap {map}: {why}")),
        None => Err(format!("ConfigMap {map} was not read yet")),
    }
}

fn override_of(spec: &breakwater_crds::release::Override) -> migrations::Override {
    migrations::Override {
        migration: spec.migration,
        statement: spec.statement.map(|statement| usize::try_from(statement).unwrap_or(usize::MAX)),
        old_binary: match spec.old_binary {
            OldBinary::Works => migrations::OldBinary::Works,
            OldBinary::May => migrations::OldBinary::May,
            OldBinary::Breaks => migrations::OldBinary::Breaks,
        },
        reason: spec.reason.clone(),
    }
}

/// What the planner needs of a review.
fn facts(review: &Review) -> Migrations {
    let down = |number: u32| {
        let step = review.down_sql.iter().find(|step| step.number == number);
        step.map_or_else(
            || DownStep { number, file: String::new(), sql: "-- there is no down file".into() },
            |step| DownStep { number, file: step.file.clone(), sql: step.sql.clone() },
        )
    };
    let one = |migration: &migrations::Migration| Migration {
        number: migration.number,
        name: migration.name.clone(),
        impact: migration.impact,
        revert: migration.revert,
        longest_seconds: migration.duration.map(|estimate| whole_seconds(estimate.most_ms)),
        reason: reason(migration),
        down: down(migration.number),
    };
    Migrations { from: review.from, to: review.to, files: review.migrations.iter().map(one).collect() }
}

fn whole_seconds(ms: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
    let seconds = (ms / 1_000.0).ceil() as u64;
    seconds
}

fn reason(migration: &migrations::Migration) -> String {
    let reason = migration.reasons.first().map_or("no reason given", String::as_str);
    cut::marked(reason, REASON_MAX).into_owned()
}

/// What people are told of a review.
fn told(review: &Review) -> MigrationsStatus {
    let mut noted: Vec<&migrations::Migration> = review
        .migrations
        .iter()
        .filter(|migration| migration.impact != Impact::Quiet || migration.revert != Revert::RevertSafe)
        .collect();
    noted.sort_by_key(|migration| {
        std::cmp::Reverse((migration.impact.max(of_revert(migration.revert)), migration.number))
    });
    let listed = noted.iter().take(MIGRATIONS_LISTED_MAX).map(|migration| MigrationStatus {
        number: migration.number,
        name: migration.name.clone(),
        impact: migration.impact.into(),
        revert: migration.revert.into(),
        message: reason(migration),
    });
    let listed: Vec<MigrationStatus> = listed.collect();
    let count = review.migrations.len();
    let message = review
        .reasons
        .first()
        .cloned()
        .unwrap_or_else(|| format!("{count} migrations, none of which is in the way"));
    MigrationsStatus {
        from: review.from,
        to: review.to,
        impact: review.impact.into(),
        revert: review.revert.into(),
        longest: review.duration.map(|estimate| {
            Span::seconds(i64::try_from(whole_seconds(estimate.most_ms)).unwrap_or(i64::MAX))
        }),
        message: cut::marked(&message, SENTENCE_MAX).into_owned(),
        listed,
        inform_sre: cut::marked(review.inform_sre.as_deref().unwrap_or_default(), SENTENCE_MAX).into_owned(),
        rows: Vec::new(),
    }
}

/// The largest tenants of the tables that the migrations touch.
fn concerned(review: &Review, largest: &Largest) -> Vec<TableRows> {
    let statements = review.migrations.iter().flat_map(|migration| &migration.statements);
    let touched: BTreeSet<&str> = statements.filter_map(|statement| statement.table.as_deref()).collect();
    let mut rows: Vec<TableRows> =
        largest.told().into_iter().filter(|rows| touched.contains(rows.table.as_str())).collect();
    rows.sort_by_key(|rows| std::cmp::Reverse(rows.rows));
    rows.truncate(ROWS_LISTED_MAX);
    rows
}

/// How bad a revert is, on the scale of impacts: for an order alone.
const fn of_revert(revert: Revert) -> Impact {
    match revert {
        Revert::RevertSafe => Impact::Quiet,
        Revert::RevertNeedsDown => Impact::OffHours,
        Revert::RevertLosesData => Impact::Downtime,
        Revert::Unknown => Impact::Unknown,
    }
}

/// What a load test comes to, for the planner and for people.
fn load_test(
    spec: &breakwater_crds::release::LoadTest,
    maps: &HashMap<String, Map>,
) -> (LoadTest, LoadTestStatus) {
    let (verdict, message, metrics) = match compared(spec, maps) {
        Ok(Comparison { verdict, sentence, findings, .. }) => {
            (verdict, sentence, findings.into_iter().map(|metric| metric.sentence).collect())
        }
        Err(why) => (Verdict::NoData, why, Vec::new()),
    };
    let (name, message) = (spec.name.clone(), cut::marked(&message, SENTENCE_MAX).into_owned());
    let mut status =
        LoadTestStatus { name: name.clone(), verdict: verdict.into(), message: message.clone(), metrics };
    status.metrics.truncate(METRICS_LISTED_MAX);
    (LoadTest { name, verdict, message }, status)
}

fn compared(
    spec: &breakwater_crds::release::LoadTest,
    maps: &HashMap<String, Map>,
) -> Result<Comparison, String> {
    let rules =
        Rules::parse(&spec.rules).map_err(|why| format!("spec.loadTests[{}].rules: {why}", spec.name))?;
    let run = |report: &Report| {
        let Report { config_map, key } = report;
        let bytes = entries(config_map, maps)?
            .get(key)
            .ok_or_else(|| format!("ConfigMap {config_map} has no entry {key}"))?;
        Run::parse_within(&format!("{config_map}/{key}"), bytes, REPORT_MAX_BYTES)
            .map_err(|why| why.to_string())
    };
    let runs = |side: &[Report]| side.iter().map(run).collect::<Result<Vec<Run>, String>>();
    Ok(compare(&runs(&spec.base)?, &runs(&spec.candidate)?, &rules))
}

#[cfg(test)]
mod tests;
