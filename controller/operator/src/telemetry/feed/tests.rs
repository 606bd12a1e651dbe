use breakwater_slo::TenantId;
use futures::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::{
    tasks::Tasks,
    telemetry::{Counts, Grid, ReadError, Rows, Sample, Sink, due::STEPS_PER_PASS},
};

const NOW: i64 = 1_700_000_000 / 60 * 60 + 100;

fn clock() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW - 100 + seconds).unwrap()
}

/// Answers everything, except while it is held up.
struct Slow(watch::Receiver<bool>);

impl Counts for Slow {
    fn query<'a>(
        &'a self,
        _: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        let mut open = self.0.clone();
        Box::pin(async move {
            let _ = open.wait_for(|open| *open).await;
            let row = |kind: &str| Sample {
                labels: [("t".into(), "a".into()), ("breakwater".into(), kind.into())].into(),
                value: 5.0,
                at: at.as_second() as f64,
            };
            Rows(["total", "bad", "now"].map(row).into()).pour(sink).unwrap();
            Ok(())
        })
    }

    fn query_range<'a>(
        &'a self,
        _: &'a str,
        _: Grid,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async { Ok(()) })
    }
}

fn feed(open: watch::Receiver<bool>) -> Feed {
    feed_of("1m", Arc::new(Slow(open)))
}

fn feed_of(step: &str, source: Arc<dyn Counts>) -> Feed {
    let slo = json!({"name": "s", "objective": "99%", "tenantLabels": ["t"], "step": step,
        "errors": {"bad": "e", "total": "r"}});
    let slos = [serde_json::from_value(slo).unwrap()];
    Feed::spawn(Telemetry::new(source, &slos, "").unwrap(), Arc::new(clock), &Tasks::new().alarm())
}

/// Knows nothing, and counts how often it was asked for the scrape interval.
#[derive(Default)]
struct Young(std::sync::atomic::AtomicUsize);

impl Counts for Young {
    fn query<'a>(
        &'a self,
        query: &'a str,
        _: Timestamp,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        if query.contains("count_over_time") {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Box::pin(async { Ok(()) })
    }

    fn query_range<'a>(
        &'a self,
        _: &'a str,
        _: Grid,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async { Ok(()) })
    }
}

fn wanted(after: i64) -> Wanted {
    let ids = Arc::new(TenantIds::new([("a".into(), TenantId(1))]));
    Wanted {
        ids,
        after: vec![Some(at(after))],
        refill_seconds: 120,
        history: vec![at(-6_000)],
        ..Wanted::default()
    }
}

fn ends(feed: &Feed) -> Vec<i64> {
    feed.readings()[0].steps.iter().map(|step| step.end_seconds - (NOW - 100)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_slow_prometheus_blocks_nobody_and_nothing_is_read_twice() {
    let (open, gate) = watch::channel(false);
    let feed = feed(gate);
    let mut news = feed.news();
    feed.want(wanted(-180));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(ends(&feed), Vec::<i64>::new(), "the reconcile is not held up");
    open.send(true).unwrap();
    news.changed().await.unwrap();
    let reading = feed.readings().remove(0);
    assert_eq!(reading.steps.iter().map(|s| s.end_seconds - (NOW - 100)).collect::<Vec<_>>(), [-120, -60, 0]);
    assert_eq!(reading.recent.iter().map(|s| s.end_seconds - (NOW - 100)).collect::<Vec<_>>(), [-240, -180]);
    assert_eq!((reading.step_seconds, reading.error, reading.history.len()), (60, None, 1));
    assert_eq!(ends(&feed), [-120, -60, 0], "kept until it is evaluated");
    feed.want(wanted(-60));
    assert_eq!(ends(&feed), [0]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(ends(&feed), [0], "each step once");
    assert!(feed.readings()[0].recent.is_empty(), "the refill is handed over once");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded() {
    let (_open, gate) = watch::channel(true);
    let feed = feed(gate);
    feed.want(wanted(-600_000));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(feed.readings()[0].steps.len(), STEPS_PER_PASS);
    feed.want(wanted(-700_000));
    assert_eq!(ends(&feed), Vec::<i64>::new(), "going back in time starts anew");
}

#[tokio::test(start_paused = true)]
async fn an_interval_that_cannot_be_learnt_yet_is_asked_for_at_every_step() {
    let young = Arc::new(Young::default());
    let feed = feed_of("5s", Arc::clone(&young) as Arc<dyn Counts>);
    feed.want(Wanted { after: vec![Some(at(-60))], ..Wanted::default() });
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(young.0.load(std::sync::atomic::Ordering::Relaxed), 13);
    drop(feed);
}

/// A histogram whose edges cannot be asked for at first.
#[derive(Default)]
struct Edgeless(std::sync::atomic::AtomicUsize);

impl Counts for Edgeless {
    fn query<'a>(
        &'a self,
        query: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        let asks_for_edges = query.contains("count by (le)");
        let fails = asks_for_edges && self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let row = |kind: &str, le: Option<&str>, value: f64| Sample {
            labels: [("t", Some("a")), ("breakwater", Some(kind)), ("le", le)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.into(), value?.into())))
                .collect(),
            value,
            at: at.as_second() as f64,
        };
        let rows = match (asks_for_edges, query.contains("(t, le)")) {
            (true, _) => ["0.25", "0.5", "1"].map(|le| row("edge", Some(le), 1.0)).into(),
            (false, true) => vec![
                row("total", None, 10.0),
                row("good", None, 7.0),
                row("le", Some("0.25"), 4.0),
                row("le", Some("1"), 9.0),
            ],
            (false, false) => vec![row("total", None, 10.0), row("good", None, 7.0)],
        };
        Box::pin(async move {
            if fails {
                return Err(ReadError::TimedOut { host: "h".into(), seconds: 30 });
            }
            Rows(rows).pour(sink).unwrap();
            Ok(())
        })
    }

    fn query_range<'a>(
        &'a self,
        _: &'a str,
        _: Grid,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn r14_a_week_waits_until_the_edges_of_its_latency_are_known() {
    let slo = json!({"name": "s", "objective": "99%", "tenantLabels": ["t"], "step": "1m",
        "latency": {"histogram": "h", "threshold": "500ms"}});
    let slos = [serde_json::from_value(slo).unwrap()];
    let source = Arc::new(Edgeless::default());
    let feed =
        Feed::spawn(Telemetry::new(source, &slos, "").unwrap(), Arc::new(clock), &Tasks::new().alarm());
    let ids = Arc::new(TenantIds::new([("a".into(), TenantId(1))]));
    feed.want(Wanted { ids, after: vec![None], history: vec![at(0)], ..Wanted::default() });
    let mut news = feed.news();
    news.changed().await.unwrap();
    let reading = &feed.readings()[0];
    assert!(reading.history.is_empty() && reading.error.as_ref().unwrap().contains("30 s"), "{reading:?}");
    while feed.readings()[0].history.is_empty() {
        news.changed().await.unwrap();
    }
    let week = &feed.readings()[0].history[&at(0)];
    assert_eq!((week.slower().above(0, 0.25), week.slower().above(0, 1.0)), (Some(6.0), Some(1.0)));
}
