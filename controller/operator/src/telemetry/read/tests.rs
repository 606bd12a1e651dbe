use std::sync::Mutex;

use breakwater_plan::observed::Seen;
use breakwater_slo::TenantId;
use serde_json::json;

use super::*;
use crate::telemetry::Sample;

type Script = dyn Fn(&str, i64) -> Result<Rows, ReadError> + Send + Sync;

/// A source that answers from a function and remembers what it was asked.
struct Scripted {
    asked: Mutex<Vec<(String, i64)>>,
    script: Box<Script>,
}

impl Counts for Scripted {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        self.asked.lock().unwrap().push((promql.to_owned(), at.as_second()));
        let answer = (self.script)(promql, at.as_second());
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer?.pour(sink).unwrap();
            Ok(())
        })
    }

    fn query_range<'a>(
        &'a self,
        _: &'a str,
        _: Grid,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async { Err(down()) })
    }
}

fn source(script: impl Fn(&str, i64) -> Result<Rows, ReadError> + Send + Sync + 'static) -> Arc<Scripted> {
    Arc::new(Scripted { asked: Mutex::default(), script: Box::new(script) })
}

fn sample(labels: &[(&str, &str)], value: f64, at: i64) -> Sample {
    let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Sample { labels, value, at: Timestamp::from_second(at).unwrap().as_second() as f64 }
}

fn row(kind: &str, value: f64, at: i64) -> Sample {
    sample(&[("t", "a"), (ROW_LABEL, kind)], value, at)
}

fn fine(at: i64) -> Rows {
    Rows(vec![row("total", 9.0, at), row("bad", 1.0, at), row("now", 1.0, at)])
}

/// Scrapes every 15 s.
fn scrapes(at: i64) -> Rows {
    Rows(vec![row("300", 20.0, at), row("60", 4.0, at), row("old", 1.0, at)])
}

fn down() -> ReadError {
    ReadError::TimedOut { host: "h".into(), seconds: 30 }
}

fn telemetry(source: &Arc<Scripted>, slo: serde_json::Value) -> Telemetry {
    let slo = serde_json::from_value(slo).unwrap();
    Telemetry::new(Arc::clone(source) as Arc<dyn Counts>, &[slo], "").unwrap()
}

fn errors() -> serde_json::Value {
    json!({"name": "s", "objective": "99%", "tenantLabels": ["t"], "errors": {"bad": "e", "total": "r"}})
}

fn ids() -> Arc<TenantIds> {
    Arc::new(TenantIds::new([("a".into(), TenantId(1))]))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn ends(steps: &[Step]) -> Vec<i64> {
    steps.iter().map(|step| step.end_seconds).collect()
}

#[tokio::test]
async fn r12_reading_stops_at_what_cannot_be_read_and_goes_on_there_in_order() {
    let healed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&healed);
    let source = source(move |query, at| match at {
        _ if query.contains("count_over_time") => Ok(scrapes(at)),
        6_180 if !flag.load(std::sync::atomic::Ordering::SeqCst) => Err(down()),
        _ => Ok(fine(at)),
    });
    let mut telemetry = telemetry(&source, errors());
    let slo = &mut telemetry.slos()[0];
    let first = slo.read(at(6_000), at(6_400), &ids()).await;
    assert_eq!((ends(&first.steps), first.step_seconds), (vec![6_060, 6_120], 60));
    assert_eq!(first.error.as_deref(), Some("h: no answer within 30 s"));
    healed.store(true, std::sync::atomic::Ordering::SeqCst);
    let second = slo.read(at(6_120), at(6_400), &ids()).await;
    assert_eq!((ends(&second.steps), second.error), (vec![6_180, 6_240, 6_300, 6_360], None));
    let counted = breakwater_slo::Series::Counted(breakwater_slo::Counts { bad: 1.0, total: 9.0 });
    assert!(
        second
            .steps
            .iter()
            .all(|s| s.data == StepData::Counts([(TenantId(1), counted)].into_iter().collect()))
    );
    assert_eq!(slo.read(at(6_360), at(6_400), &ids()).await.steps, []);
}

#[tokio::test]
async fn r12_an_empty_vector_is_a_step_without_data_not_an_error() {
    let source =
        source(|query, at| Ok(if query.contains("count_over_time") { scrapes(at) } else { Rows::default() }));
    let mut telemetry = telemetry(&source, errors());
    let reading = telemetry.slos()[0].read(at(6_000), at(6_100), &ids()).await;
    assert_eq!(reading.steps[0].data, StepData::Missing("empty answer".into()));
    assert_eq!(reading.error, None);
}

#[tokio::test]
async fn the_step_is_not_guessed_while_the_scrape_interval_is_unknown() {
    let source = source(|_, _| Ok(Rows::default()));
    let reading = telemetry(&source, errors()).slos()[0].read(at(6_000), at(9_000), &ids()).await;
    assert!(reading.steps.is_empty() && reading.error.unwrap().contains("scrape interval"));
    let mut fixed = errors();
    fixed["step"] = json!("30s");
    let reading = telemetry(&source, fixed).slos()[0].read(at(6_000), at(6_125), &ids()).await;
    assert_eq!((ends(&reading.steps), reading.step_seconds), (vec![6_030], 30), "read with the careful lag");
}

#[tokio::test]
async fn a7_a_metric_that_comes_late_is_read_so_much_later() {
    let source =
        source(|query, at| Ok(if query.contains("count_over_time") { scrapes(at) } else { fine(at) }));
    let mut late = errors();
    late["delay"] = json!("10m");
    let mut telemetry = telemetry(&source, late);
    let reading = telemetry.slos()[0].read(at(6_000), at(6_760), &ids()).await;
    assert_eq!((ends(&reading.steps), reading.lag_seconds), (vec![6_060, 6_120], 630));
    let asked = source.asked.lock().unwrap();
    assert_eq!(asked[0].1, 6_760 - 30 - 600, "what is learnt is learnt from what is there");
}

#[tokio::test]
async fn a7_a_total_that_is_no_counter_is_never_read() {
    let falls = |at| Rows(scrapes(at).0.into_iter().chain([row("falls", 0.9, at)]).collect());
    let source =
        source(move |query, at| Ok(if query.contains("count_over_time") { falls(at) } else { fine(at) }));
    let reading = telemetry(&source, errors()).slos()[0].read(at(6_000), at(6_760), &ids()).await;
    let error = reading.error.unwrap();
    assert!(
        reading.steps.is_empty() && error.contains("errors.total: ") && error.contains("no counter"),
        "{error}"
    );
}

#[tokio::test]
async fn a_threshold_that_is_no_edge_is_an_error_until_it_is_one() {
    let slo = json!({"name": "s", "objective": "99%", "tenantLabels": ["t"],
        "latency": {"histogram": "h", "threshold": "300ms"}});
    let source = source(|query, at| {
        Ok(match query {
            _ if query.contains("count_over_time") => scrapes(at),
            _ if query.contains("count by (le)") => {
                Rows(vec![sample(&[("le", "0.25"), (ROW_LABEL, "edge")], 1.0, at)])
            }
            _ => Rows::default(),
        })
    });
    let reading = telemetry(&source, slo).slos()[0].read(at(6_000), at(9_000), &ids()).await;
    assert_eq!(
        reading.error.as_deref(),
        Some(
            "spec.slos[0].latency.threshold: \"300ms\" is no bucket edge of h, whose edges are in seconds, since nothing says another unit; choose one of 250ms"
        )
    );
}

/// A histogram with edges 0.1 to 5, a hundred events, so many up to each edge; `le` as Prometheus 2 and 3 spell it.
fn histogram(query: &str, at: i64) -> Rows {
    let edges = [("0.1", 5.0), ("0.25", 40.0), ("0.5", 70.0), ("1.0", 90.0), ("2.5", 96.0), ("5", 99.0)];
    if query.contains("count_over_time") {
        return scrapes(at);
    }
    if query.contains("count by (le)") {
        let of = |le: &str, series| sample(&[("le", le), (ROW_LABEL, "edge")], series, at);
        let all = edges.iter().map(|(le, _)| of(le, if *le == "2.5" { 2.0 } else { 3.0 }));
        return Rows(all.chain([of("+Inf", 3.0)]).collect());
    }
    let mut rows = vec![row("total", 100.0, at), row("good", 70.0, at), row("now", 1.0, at)];
    // The second of them is there in both spellings.
    let asked: &[(&str, f64)] = &[("0.1", 5.0), ("0.25", 30.0), ("0.250", 10.0), ("1.0", 90.0), ("5", 99.0)];
    if query.contains("(t, le)") {
        rows.extend(
            asked.iter().map(|(le, count)| sample(&[("t", "a"), (ROW_LABEL, "le"), ("le", le)], *count, at)),
        );
    }
    Rows(rows)
}

fn latency(shape: &str) -> serde_json::Value {
    json!({"name": "s", "objective": "99%", "tenantLabels": ["t"], "step": "1m",
        "latency": {"histogram": "h", "threshold": "500ms", "shape": shape}})
}

#[tokio::test]
async fn the_nearest_edges_that_all_series_have_are_read_with_the_same_query_and_with_the_week() {
    let source = source(|query, at| Ok(histogram(query, at)));
    let mut telemetry = telemetry(&source, latency("Enabled"));
    let slo = &mut telemetry.slos()[0];
    let reading = slo.read(at(6_000), at(6_100), &ids()).await;
    let [Step { data: StepData::Counts(counted), .. }] = &reading.steps[..] else { panic!("{reading:?}") };
    assert_eq!(counted.slower().edges(), [0.1, 0.25, 1.0, 5.0], "a part of the series has no 2.5");
    let above = [0.1, 0.25, 1.0, 5.0].map(|edge| counted.slower().above(0, edge));
    assert_eq!(above, [Some(95.0), Some(60.0), Some(10.0), Some(1.0)]);
    let counts = breakwater_slo::Counts { bad: 30.0, total: 100.0 };
    assert_eq!(counted.as_slice(), [(TenantId(1), breakwater_slo::Series::Counted(counts))]);
    let week = slo.history(at(5_000), &ids()).await.unwrap();
    assert_eq!(week.slower().above(0, 0.25), Some(60.0));
    assert!(week.walk().get(TenantId(1)).unwrap().own_above(1.0).is_some_and(|own| (own - 0.1).abs() < 1e-9));
    let asked = source.asked.lock().unwrap();
    let steps = asked.iter().filter(|(query, _)| query.contains("\"total\"") && query.contains("[60s]"));
    assert_eq!(steps.count(), 1, "one query for the step: {asked:?}");
}

#[tokio::test]
async fn without_the_shape_no_further_edge_is_asked_for() {
    let source = source(|query, at| Ok(histogram(query, at)));
    let mut telemetry = telemetry(&source, latency("Disabled"));
    let reading = telemetry.slos()[0].read(at(6_000), at(6_100), &ids()).await;
    let [Step { data: StepData::Counts(counted), .. }] = &reading.steps[..] else { panic!("{reading:?}") };
    assert!(counted.slower().edges().is_empty() && counted.as_slice().len() == 1);
    assert!(source.asked.lock().unwrap().iter().all(|(query, _)| !query.contains("(t, le)")));
}

#[tokio::test]
async fn r14_the_week_before_is_asked_for_as_of_then() {
    let source = source(|_, at| Ok(fine(at)));
    let mut telemetry = telemetry(&source, errors());
    let history = telemetry.slos()[0].history(at(5_000), &ids()).await.unwrap();
    assert_eq!(history.counts().as_slice(), [(TenantId(1), breakwater_slo::Counts { bad: 1.0, total: 9.0 })]);
    assert_eq!(source.asked.lock().unwrap()[0].1, 5_000);
}

#[tokio::test]
async fn a_pass_is_bounded_and_so_are_the_queries_under_way() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    struct Counting(AtomicUsize, AtomicUsize);
    impl Counts for Counting {
        fn query<'a>(
            &'a self,
            _: &'a str,
            at: Timestamp,
            sink: &'a mut dyn Sink,
        ) -> BoxFuture<'a, Result<(), ReadError>> {
            Box::pin(async move {
                let running = self.0.fetch_add(1, SeqCst) + 1;
                self.1.fetch_max(running, SeqCst);
                tokio::task::yield_now().await;
                self.0.fetch_sub(1, SeqCst);
                fine(at.as_second()).pour(sink).unwrap();
                Ok(())
            })
        }

        fn query_range<'a>(
            &'a self,
            _: &'a str,
            _: Grid,
            _: &'a mut dyn Sink,
        ) -> BoxFuture<'a, Result<(), ReadError>> {
            Box::pin(async { Err(down()) })
        }
    }
    let source = Arc::new(Counting(AtomicUsize::new(0), AtomicUsize::new(0)));
    let mut slo = errors();
    slo["step"] = json!("1m");
    let slo: Slo = serde_json::from_value(slo).unwrap();
    let mut telemetry =
        Telemetry::new(Arc::clone(&source) as Arc<dyn Counts>, &[slo.clone(), slo.clone(), slo], "").unwrap();
    let ids = ids();
    let all = telemetry.slos().iter_mut().map(|slo| slo.read(at(0), at(1_000_000), &ids));
    for reading in futures::future::join_all(all).await {
        assert_eq!(reading.steps.len(), 60);
    }
    assert_eq!(source.1.load(SeqCst), CONCURRENCY);
}

/// What a look at an SLO comes to, where Prometheus has these series of the total.
async fn sight(series: fn(i64) -> Vec<Sample>, steps: fn(i64) -> Rows) -> Result<Seen, String> {
    let source = source(move |query, at| {
        Ok(match query {
            _ if query.starts_with("topk(") => Rows(series(at)),
            _ if query.contains("count_over_time") && series(at).is_empty() => Rows::default(),
            _ if query.contains("count_over_time") => scrapes(at),
            _ => steps(at),
        })
    });
    telemetry(&source, errors()).slos()[0].sight(at(6_400), &ids()).await
}

#[tokio::test]
async fn r10_a_look_says_whose_series_the_newest_step_has() {
    let seen = sight(|at| vec![row("total", 1.0, at)], fine).await;
    assert_eq!(seen, Ok(Seen::Tenants([TenantId(1)].into())));
}

#[tokio::test]
async fn b1_a_look_that_finds_nobody_says_which_label_names_tenants() {
    let strange = |at| Rows(["total", "bad", "now"].map(|kind| sample(&[(ROW_LABEL, kind)], 1.0, at)).into());
    let named = |at| vec![sample(&[("__name__", "r"), ("code", "200"), ("installation", "a")], 1.0, at)];
    let why = sight(named, strange).await.unwrap_err();
    let nobody =
        "no series belongs to a tenant; 1 names such as \"\" are unknown to tenants.id, which says \"a\"";
    assert_eq!(why, format!("{nobody}; tenantLabels: [installation] would name them"));

    let unnamed = |at| vec![sample(&[("code", "200"), ("pod", "a-1")], 1.0, at)];
    let why = sight(unnamed, strange).await.unwrap_err();
    assert_eq!(why, format!("{nobody}; the labels of the series are code, pod"));

    let why = sight(|_| Vec::new(), strange).await.unwrap_err();
    assert_eq!(why, "nothing matches r: check its name, its labels, and prometheus.matchers");
}
