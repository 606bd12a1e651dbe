use std::sync::Mutex;

use breakwater_plan::promql::Matchers;
use breakwater_slo::Series;
use futures::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::telemetry::{Labels, Sink, sink::label_text};

/// Tenants a to d, one event a minute of which none is bad; it bears so many steps or hours at once, and has data since
/// an instant.
struct Frail {
    asked: Mutex<Vec<(String, Grid)>>,
    steps_max: usize,
    hours_max: u32,
    since: i64,
    refuses_with: u16,
}

impl Frail {
    fn new(steps_max: usize, hours_max: u32, since: i64) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), steps_max, hours_max, since, refuses_with: 422 })
    }

    fn answer(&self, query: &str, grid: Grid, sink: &mut dyn Sink) -> Result<(), ReadError> {
        self.asked.lock().unwrap().push((query.to_owned(), grid));
        let refusal = |status| ReadError::Status { host: "h".into(), status, why: "too many samples".into() };
        let hours =
            PART_HOURS.into_iter().find(|hours| query.contains(&format!("[{hours}h:1h]"))).unwrap_or(1);
        if grid.steps > self.steps_max {
            return Err(refusal(422));
        }
        if query.contains("increase") && hours > self.hours_max {
            return Err(refusal(self.refuses_with));
        }
        for tenant in ["a", "b", "c", "d"].into_iter().filter(|name| {
            !query.contains("t=~")
                || query.contains(&format!("\"{name}"))
                || query.contains(&format!("|{name}"))
        }) {
            let ends = (0..grid.steps).map(|line| grid.at(line)).filter(|end| *end >= self.since);
            let ends: Vec<i64> = ends.collect();
            if ends.is_empty() {
                continue;
            }
            sink.series(Labels::new(&label_text([("t", tenant), ("breakwater", "total")]))).unwrap();
            let events = if query.contains("increase") { f64::from(hours) * 60.0 } else { 1.0 };
            for end in ends {
                sink.sample(Timestamp::from_second(end).unwrap().as_second() as f64, events);
            }
        }
        Ok(())
    }
}

impl Counts for Frail {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move { self.answer(promql, Grid::instant(at.as_second()), sink) })
    }

    fn query_range<'a>(
        &'a self,
        promql: &'a str,
        grid: Grid,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move { self.answer(promql, grid, sink) })
    }
}

fn past(source: &Arc<Frail>) -> Past {
    let slo =
        json!({"name": "s", "objective": "99%", "tenantLabels": ["t"], "errors": {"bad": "e", "total": "r"}});
    let queries =
        Queries::new(&serde_json::from_value(slo).unwrap(), &Matchers::none(), "spec.slos[0]").unwrap();
    Past::new(Arc::clone(source) as Arc<dyn Counts>, queries)
}

fn ids(names: &[&str]) -> Arc<TenantIds> {
    Arc::new(TenantIds::new(names.iter().zip(1..).map(|(name, id)| ((*name).into(), TenantId(id)))))
}

/// Reads a look; the ends of its steps and how many tenants each counted.
async fn read(past: &Past, look: Look, ids: &Arc<TenantIds>) -> Result<Vec<(i64, usize)>, String> {
    let (mut chunks, mut steps) = (past.chunks(look, ids), Vec::new());
    let mut take = |end: i64, counted: &Counted| {
        let counted = counted.as_slice().iter().filter(|(_, series)| matches!(series, Series::Counted(_)));
        steps.push((end, counted.count()));
    };
    while chunks.read(past, &mut take).await? {}
    Ok(steps)
}

const LOOK: Look = Look { from_seconds: 60_000, until_seconds: 66_000, step_seconds: 60 };

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_asked_for_by_halves_and_every_step_is_told_once() {
    for bears in [1, 7, 99, 1_000] {
        let source = Frail::new(bears, 168, 0);
        let steps = read(&past(&source), LOOK, &ids(&["a", "b", "c", "d"])).await.unwrap();
        let wanted: Vec<(i64, usize)> = (1..=100).map(|n| (60_000 + n * 60, 4)).collect();
        assert_eq!(steps, wanted, "{bears}");
    }
    let source = Frail::new(0, 168, 0);
    let refused = read(&past(&source), LOOK, &ids(&["a"])).await.unwrap_err();
    assert_eq!(refused, "h: HTTP 422: too many samples", "the reason, once a single step is too much");
    assert!(source.asked.lock().unwrap().len() < 10);
}

#[tokio::test(start_paused = true)]
async fn a_few_tenants_are_read_by_name() {
    let source = Frail::new(1_000, 168, 0);
    let few = past(&source).of(&["a".into(), "c".into()]);
    let steps = read(&few, LOOK, &ids(&["a", "c"])).await.unwrap();
    assert!(steps.len() == 100 && steps.iter().all(|(_, counted)| *counted == 2), "{steps:?}");
    assert!(source.asked.lock().unwrap().iter().all(|(query, _)| query.contains("t=~\"a|c\"")));
}

#[test]
fn what_was_slower_is_summed_over_the_parts_of_a_week_and_what_one_lacks_is_not_known() {
    let edges: Arc<[f64]> = [0.25, 1.0].into();
    let part = |tenants: &[(u64, Option<f64>, Option<f64>)]| {
        let counts = Events { bad: 1.0, total: 10.0 };
        let above = tenants.iter().flat_map(|(_, one, other)| [*one, *other]);
        Week::new(tenants.iter().map(|(tenant, ..)| (TenantId(*tenant), counts)).collect())
            .with_slower(Slower::new(edges.clone(), above))
    };
    let mut sums = Sums::default();
    sums.add(&part(&[(1, Some(4.0), Some(2.0)), (7, Some(3.0), None)]));
    sums.add(&part(&[(1, Some(5.0), Some(1.0)), (3, Some(0.0), Some(0.0)), (7, Some(3.0), Some(1.0))]));
    let week = sums.week(&edges);
    let above = [0, 1, 2].map(|place| [0.25, 1.0].map(|edge| week.slower().above(place, edge)));
    assert_eq!(above, [[Some(9.0), Some(3.0)], [Some(0.0), Some(0.0)], [Some(6.0), None]]);
    let totals: Vec<(u64, f64)> =
        week.counts().as_slice().iter().map(|(tenant, sum)| (tenant.0, sum.total)).collect();
    assert_eq!(totals, [(1, 20.0), (3, 10.0), (7, 20.0)]);
}

#[tokio::test(start_paused = true)]
async fn r14_a_week_that_is_refused_is_summed_from_its_parts() {
    let (at, ids) = (Timestamp::from_second(10_000_000).unwrap(), ids(&["a", "b", "c", "d"]));
    let whole = Events { bad: 0.0, total: 7.0 * 24.0 * 60.0 };
    for bears in PART_HOURS {
        let source = Frail::new(1_000, bears, 0);
        let past = past(&source);
        for _ in 0..2 {
            let week = past.week(at, &ids).await.unwrap();
            assert!(
                week.counts().as_slice().len() == 4
                    && week.counts().as_slice().iter().all(|(_, sum)| *sum == whole)
            );
        }
        let (asked, parts) = (source.asked.lock().unwrap().len(), 168 / bears as usize);
        let refusals = PART_HOURS.iter().position(|hours| *hours == bears).unwrap();
        assert_eq!(asked, refusals + 2 * parts, "what was refused is not asked for again");
    }
    let source = Frail::new(0, 0, 0);
    assert_eq!(past(&source).week(at, &ids).await.unwrap_err(), "h: HTTP 422: too many samples");
    assert_eq!(source.asked.lock().unwrap().len(), PART_HOURS.len());
}

#[tokio::test(start_paused = true)]
async fn r14_a_prometheus_that_cannot_bear_a_week_is_asked_for_less_the_next_time() {
    let (at, ids) = (Timestamp::from_second(10_000_000).unwrap(), ids(&["a"]));
    let source = Arc::new(Frail { refuses_with: 503, ..Arc::into_inner(Frail::new(1_000, 24, 0)).unwrap() });
    let past = past(&source);
    assert!(past.week(at, &ids).await.is_err());
    assert_eq!(source.asked.lock().unwrap().len(), 1);
    assert!(past.week(at, &ids).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn how_far_back_samples_reach_is_found_to_the_hour() {
    let week = (1_000_000, 1_604_800);
    for since in [0, 1_000_000, 1_000_001, 1_300_000, 1_604_800] {
        let source = Frail::new(1, 1, since);
        let oldest = past(&source).oldest(week.0, week.1).await.unwrap().unwrap();
        let exact = since.max(week.0);
        assert!((exact..=exact + OLDEST_WITHIN).contains(&oldest), "{since}: {oldest}");
        assert!(source.asked.lock().unwrap().len() < 12);
    }
    assert_eq!(past(&Frail::new(1, 1, i64::MAX)).oldest(week.0, week.1).await.unwrap(), None);
}
