use breakwater_slo::{Counts, Discard};

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

fn latency_sheet() -> Sheet {
    let slo = serde_json::json!({"name": "s", "objective": "99%", "tenantLabels": ["tenant"],
        "latency": {"histogram": "h", "threshold": "500ms"}});
    let slo = serde_json::from_value(slo).unwrap();
    let queries = Queries::new(&slo, &breakwater_plan::promql::Matchers::none(), "x").unwrap();
    Sheet::of(&queries.with_edges(&[0.25, 1.0]).unwrap())
}

#[test]
fn edges_come_together_by_tenant_and_line_and_buckets_that_do_not_grow_discard_the_tenant() {
    let mut sheet = latency_sheet();
    let grid = Grid { first: END, step_seconds: 60, steps: 2 };
    let at = |line: i64| (END + line * 60) as f64;
    for _ in 0..2 {
        sheet.begin(&ids(), grid);
        for tenant in ["a", "b"] {
            put(&mut sheet, &[("tenant", tenant), (ROW_LABEL, "total")], &[(at(0), 100.0), (at(1), 10.0)]);
            put(&mut sheet, &[("tenant", tenant), (ROW_LABEL, "good")], &[(at(0), 70.0), (at(1), 7.0)]);
        }
        let edge = |tenant, le| [("le", le), ("tenant", tenant), (ROW_LABEL, "le")];
        put(&mut sheet, &edge("a", "0.250"), &[(at(0), 40.0), (at(1), 4.0)]);
        put(&mut sheet, &edge("a", "1.0"), &[(at(0), 90.0)]);
        put(&mut sheet, &edge("b", "1"), &[(at(0), 60.0), (at(1), 9.0)]);
        sheet.end().unwrap();
        let above = |counted: &Counted| {
            [0, 1].map(|place| [0.25, 1.0].map(|edge| counted.slower().above(place, edge)))
        };
        let first = sheet.line(0);
        let invalid = Series::Discarded(Discard::Invalid);
        assert_eq!(first.as_slice(), [(TenantId(1), counted(30.0, 100.0)), (TenantId(2), invalid)]);
        assert_eq!(above(&first), [[Some(60.0), Some(10.0)], [None, None]]);
        let second = sheet.line(1);
        assert_eq!(second.as_slice(), [(TenantId(1), counted(3.0, 10.0)), (TenantId(2), counted(3.0, 10.0))]);
        assert_eq!(
            above(&second),
            [[Some(6.0), None], [None, Some(1.0)]],
            "an edge that is not there is not known"
        );
    }
}

#[test]
fn an_edge_that_nobody_asked_for_should_not_be_there() {
    let mut sheet = latency_sheet();
    sheet.begin(&ids(), Grid::instant(END));
    let row = |le| [("le", le), ("tenant", "a"), (ROW_LABEL, "le")];
    for le in ["0.75", "+Inf", "x", ""] {
        put(&mut sheet, &row(le), &[(END as f64, 1.0)]);
    }
    sheet.end().unwrap();
    assert_eq!(sheet.line(0).as_slice(), [(TenantId(1), Series::Discarded(Discard::Invalid))]);
}

#[test]
fn r14_history_keeps_what_can_be_counted() {
    let mut sheet = sheet(Measure::Counters, &["tenant"]);
    let rows = vec![("a", "total", 10.0), ("a", "bad", 1.0), ("b", "total", 0.0), ("x", "total", 1.0)];
    fill(&mut sheet, &ids(), rows);
    assert_eq!(sheet.totals().counts().as_slice(), [(TenantId(1), Counts { bad: 1.0, total: 10.0 })]);
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
    assert_eq!(sheet.line(0).as_slice(), [(TenantId(1), counted(0.0, 5.0))]);
    assert_eq!(sheet.line(1).as_slice(), [(TenantId(2), Series::Discarded(Discard::Restart))]);
    assert_eq!(sheet.line(2).as_slice(), [(TenantId(1), counted(1.0, 7.0))]);
    for wrong in [at(-1), at(3), at(1) + 20.0, f64::NAN, f64::INFINITY] {
        sheet.begin(&ids(), grid);
        put(&mut sheet, &[("tenant", "a"), (ROW_LABEL, "total")], &[(wrong, 1.0)]);
        assert!(sheet.end().unwrap_err().starts_with("asked for 1700000040 to 1700000160"), "{wrong}");
    }
}
