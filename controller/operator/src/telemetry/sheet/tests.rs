use breakwater_slo::Discard;

use super::*;
use crate::telemetry::sink::label_text;

const END: i64 = 1_700_000_040;

type Rows<'a> = Vec<(&'a str, &'a str, f64)>;

fn ids() -> Arc<TenantIds> {
    Arc::new(TenantIds::new([
        ("a".into(), TenantId(1)),
        ("b".into(), TenantId(2)),
        ("c".into(), TenantId(3)),
        ("c".into(), TenantId(4)),
    ]))
}

fn sheet(measure: Measure, labels: &[&str]) -> Sheet {
    Sheet::new(measure, labels.iter().map(|label| (*label).to_owned()).collect())
}

fn put(sheet: &mut Sheet, labels: &[(&str, &str)], samples: &[(f64, f64)]) {
    sheet.series(Labels::new(&label_text(labels.iter().copied()))).unwrap();
    for (at, value) in samples {
        sheet.sample(*at, *value);
    }
}

fn fill(sheet: &mut Sheet, ids: &Arc<TenantIds>, rows: Rows<'_>) -> StepData {
    sheet.begin(ids, Grid::instant(END));
    for (tenant, kind, value) in rows {
        put(sheet, &[("tenant", tenant), (ROW_LABEL, kind)], &[(1_700_000_040.0, value)]);
    }
    sheet.end().map_or_else(StepData::Missing, |()| sheet.step_data())
}

fn read(measure: Measure, rows: Rows<'_>) -> StepData {
    fill(&mut sheet(measure, &["tenant"]), &ids(), rows)
}

fn counted(bad: f64, total: f64) -> Series {
    Series::Counted(Counts { bad, total })
}

fn counts(all: &[(u64, Series)]) -> StepData {
    StepData::Counts(all.iter().map(|(id, series)| (TenantId(*id), *series)).collect())
}

#[test]
fn rows_come_together_by_tenant_in_any_order_and_the_next_answer_starts_anew() {
    let (mut sheet, ids) = (sheet(Measure::Counters, &["tenant"]), ids());
    let rows = vec![("b", "total", 5.0), ("a", "total", 9.0), ("a", "bad", 1.0), ("b", "now", 1.0)];
    let both = counts(&[(1, counted(1.0, 9.0)), (2, counted(0.0, 5.0))]);
    assert_eq!(fill(&mut sheet, &ids, rows.clone()), both);
    assert_eq!(fill(&mut sheet, &ids, rows.iter().rev().copied().collect()), both);
    assert_eq!(fill(&mut sheet, &ids, rows[..1].to_vec()), counts(&[(2, counted(0.0, 5.0))]));
    let other = Arc::new(TenantIds::new([("a".into(), TenantId(7))]));
    assert_eq!(fill(&mut sheet, &other, rows), counts(&[(7, counted(1.0, 9.0))]), "the tenants are others");
}

#[test]
fn r12_an_answer_that_is_empty_strange_or_for_another_time_is_missing() {
    let missing = |data| match data {
        StepData::Missing(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(read(Measure::Counters, vec![])), "empty answer");
    for (at, says) in [(1_700_000_041.0, "asked for 1700000040"), (f64::NAN, "NaN")] {
        let mut sheet = sheet(Measure::Counters, &["tenant"]);
        sheet.begin(&ids(), Grid::instant(END));
        put(&mut sheet, &[("tenant", "a"), (ROW_LABEL, "now")], &[(1_700_000_040.4, 1.0)]);
        put(&mut sheet, &[("tenant", "a"), (ROW_LABEL, "total")], &[(at, 1.0)]);
        let why = sheet.end().unwrap_err();
        assert!(why.contains(says), "{why}");
    }
    let strangers = vec![("x", "total", 1.0), ("x", "now", 1.0)];
    let (mut sheet, ids) = (sheet(Measure::Counters, &["tenant"]), ids());
    for _ in 0..2 {
        let why = missing(fill(&mut sheet, &ids, strangers.clone()));
        assert!(why.contains("1 names such as \"x\""), "{why}");
    }
}

#[test]
fn names_of_two_tenants_tell_neither() {
    let invalid = Series::Discarded(Discard::Invalid);
    let data = read(Measure::Counters, vec![("c", "total", 1.0), ("c", "now", 1.0)]);
    assert_eq!(data, counts(&[(3, invalid), (4, invalid)]));
}

#[test]
fn labels_join_by_slashes_and_an_absent_one_is_empty() {
    let ids = Arc::new(TenantIds::new([("n/a".into(), TenantId(7)), ("/b".into(), TenantId(8))]));
    let mut sheet = sheet(Measure::Counters, &["ns", "tenant"]);
    sheet.begin(&ids, Grid::instant(END));
    put(&mut sheet, &[("tenant", "a"), (ROW_LABEL, "total"), ("ns", "n")], &[(1_700_000_040.0, 4.0)]);
    put(&mut sheet, &[("tenant", "b"), (ROW_LABEL, "total")], &[(1_700_000_040.0, 5.0)]);
    sheet.end().unwrap();
    assert_eq!(sheet.step_data(), counts(&[(7, counted(0.0, 4.0)), (8, counted(0.0, 5.0))]));
    assert!(sheet.series(Labels::new("{\"ns\":1}")).is_err());
}

#[test]
fn r12_values_that_are_no_numbers_are_missing() {
    assert_eq!(read(Measure::Values, vec![("a", "", 4.0)]), StepData::Values(vec![4.0]));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(read(Measure::Values, vec![("a", "", value)]), StepData::Missing(_)), "{value}");
    }
    let many = vec![("a", "", 0.0); VALUES_MAX + 1];
    assert!(matches!(read(Measure::Values, many), StepData::Missing(_)));
}

#[test]
fn r14_history_keeps_what_can_be_counted() {
    let mut sheet = sheet(Measure::Counters, &["tenant"]);
    let rows = vec![("a", "total", 10.0), ("a", "bad", 1.0), ("b", "total", 0.0), ("x", "total", 1.0)];
    fill(&mut sheet, &ids(), rows);
    assert_eq!(sheet.totals().as_slice(), [(TenantId(1), Counts { bad: 1.0, total: 10.0 })]);
}

#[test]
fn a_range_is_a_line_per_step_and_other_times_spoil_it() {
    let mut sheet = sheet(Measure::Counters, &["tenant"]);
    let grid = Grid { first: END, step_seconds: 60, steps: 3 };
    sheet.begin(&ids(), grid);
    let at = |line: i64| (END + line * 60) as f64;
    put(&mut sheet, &[("tenant", "a"), (ROW_LABEL, "total")], &[(at(0), 5.0), (at(2), 7.0)]);
    put(&mut sheet, &[("tenant", "a"), (ROW_LABEL, "bad")], &[(at(2), 1.0)]);
    put(&mut sheet, &[("tenant", "b"), (ROW_LABEL, "now")], &[(at(1), 1.0)]);
    sheet.end().unwrap();
    assert_eq!(sheet.line(0), [(TenantId(1), counted(0.0, 5.0))]);
    assert_eq!(sheet.line(1), [(TenantId(2), Series::Discarded(Discard::Restart))]);
    assert_eq!(sheet.line(2), [(TenantId(1), counted(1.0, 7.0))]);
    for wrong in [at(-1), at(3), at(1) + 20.0, f64::NAN, f64::INFINITY] {
        sheet.begin(&ids(), grid);
        put(&mut sheet, &[("tenant", "a"), (ROW_LABEL, "total")], &[(wrong, 1.0)]);
        assert!(sheet.end().unwrap_err().starts_with("asked for 1700000040 to 1700000160"), "{wrong}");
    }
}
