//! Asking for what is due: the steps of each SLO in order, the steps before a restart, the week before a wave. I/O,
//! through [`Counts`], so that a rehearsal serves counts by the same way.

use std::sync::{Arc, Mutex, PoisonError};

use breakwater_crds::slo::{Latency, Slo};
use breakwater_plan::{
    observed::{SloReading, Step, StepData},
    promql::{self, EDGE_LABEL, Matchers, Queries, ROW_LABEL},
    spec::FieldError,
    study::Week,
};
use futures::{StreamExt as _, future::BoxFuture, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::{
    ReadError,
    due::Rhythm,
    ids::TenantIds,
    past::Past,
    sheet::{Grid, Sheet},
    sink::{Rows, Sink},
};

/// Most queries under way at once, per Rollout.
pub const CONCURRENCY: usize = 4;
/// How far before now the scrape interval and the buckets are asked for: a sample that is on its way has arrived.
const SETTLED: SignedDuration = SignedDuration::from_secs(30);

/// A source of counts: Prometheus, or a rehearsal. An answer is poured into a sink, whose content means something only
/// if the source says in the end that the answer is good.
pub trait Counts: Send + Sync + 'static {
    /// Evaluates an expression at an instant, whole seconds. Bounded in time by the source.
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>>;

    /// Evaluates an expression at each of several instants.
    fn query_range<'a>(
        &'a self,
        promql: &'a str,
        grid: Grid,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>>;
}

/// At most so many queries of one Rollout at once, whichever SLO they are of.
struct Limited {
    source: Arc<dyn Counts>,
    permits: Semaphore,
}

impl Counts for Limited {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            // The semaphore is never closed; were it, asking unbounded would be no harm.
            let _permit = self.permits.acquire().await.ok();
            self.source.query(promql, at, sink).await
        })
    }

    fn query_range<'a>(
        &'a self,
        promql: &'a str,
        grid: Grid,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            let _permit = self.permits.acquire().await.ok();
            self.source.query_range(promql, grid, sink).await
        })
    }
}

/// The SLOs of one accepted spec, and what was learnt about their series.
pub struct Telemetry {
    slos: Vec<SloTelemetry>,
}

/// One SLO of them.
pub struct SloTelemetry {
    source: Arc<dyn Counts>,
    queries: Queries,
    latency: Option<Latency>,
    /// How much later than its scrapes the metric is there.
    delay: SignedDuration,
    path: String,
    rhythm: Option<Rhythm>,
    edges_checked: bool,
    /// The weeks before waves.
    weeks: Past,
    /// The sheet of the last answer, for the next one.
    sheet: Mutex<Option<Sheet>>,
}

impl Telemetry {
    /// For a spec's SLOs and `prometheus.matchers`. A new spec needs a new one.
    pub fn new(source: Arc<dyn Counts>, slos: &[Slo], matchers: &str) -> Result<Self, Vec<FieldError>> {
        let matchers = Matchers::parse(matchers)
            .map_err(|refusal| vec![refusal.at("spec.prometheus.matchers", matchers)])?;
        let source: Arc<dyn Counts> = Arc::new(Limited { source, permits: Semaphore::new(CONCURRENCY) });
        let (mut readers, mut errors) = (Vec::with_capacity(slos.len()), Vec::new());
        for (index, slo) in slos.iter().enumerate() {
            let path = format!("spec.slos[{index}]");
            match Queries::new(slo, &matchers, &path) {
                Ok(queries) => readers.push(SloTelemetry {
                    weeks: Past::new(Arc::clone(&source), queries.clone()),
                    source: Arc::clone(&source),
                    queries,
                    latency: slo.latency.clone(),
                    delay: slo.delay.as_duration(),
                    path,
                    rhythm: None,
                    edges_checked: false,
                    sheet: Mutex::default(),
                }),
                Err(why) => errors.extend(why),
            }
        }
        if errors.is_empty() { Ok(Self { slos: readers }) } else { Err(errors) }
    }

    /// The SLOs, in the spec's order; each may be read while another waits.
    pub fn slos(&mut self) -> &mut [SloTelemetry] {
        &mut self.slos
    }
}

impl SloTelemetry {
    /// Length of a step, once known.
    pub fn step_seconds(&self) -> Option<i64> {
        Some(self.rhythm?.step_seconds)
    }

    /// When the first step after `after` can be read, once the rhythm is known.
    pub fn due_at(&self, after: Timestamp) -> Option<Timestamp> {
        Some(self.rhythm?.due_at(after))
    }

    /// Reads the steps that lie after `after` and are due at `now`, oldest first, at most 60. Where one cannot be
    /// read, those before it are returned with the error, and the rest is read the next time (R12).
    pub async fn read(&mut self, after: Timestamp, now: Timestamp, ids: &Arc<TenantIds>) -> SloReading {
        let rhythm = match self.learn_rhythm(now).await {
            Ok(rhythm) => rhythm,
            Err(why) => return SloReading { error: Some(why), ..SloReading::default() },
        };
        let (steps, error) = self.steps(&rhythm.due(after, now), rhythm, now, ids).await;
        let Rhythm { step_seconds, lag_seconds } = rhythm;
        SloReading { steps, error, step_seconds, lag_seconds, ..SloReading::default() }
    }

    /// After a restart: the steps in the `span_seconds` up to `until`, which were evaluated before and refill the
    /// short windows only.
    pub async fn recent(
        &mut self,
        until: Timestamp,
        span_seconds: i64,
        now: Timestamp,
        ids: &Arc<TenantIds>,
    ) -> Result<Vec<Step>, String> {
        let rhythm = self.learn_rhythm(now).await?;
        match self.steps(&rhythm.recent(until, span_seconds), rhythm, now, ids).await {
            (_, Some(why)) => Err(why),
            (steps, None) => Ok(steps),
        }
    }

    /// Bad and total of the seven days before `at`, by tenant (R14), and what was slower than the edges of a latency's shape,
    /// once they are known; empty for a `query`.
    pub async fn history(&self, at: Timestamp, ids: &Arc<TenantIds>) -> Result<Week, String> {
        self.weeks.week(at, ids).await
    }

    /// Another reader of the same series, for their past.
    pub fn past(&self) -> Past {
        Past::new(self.source.clone(), self.queries.clone())
    }

    /// The sheet of the last answer, or a new one where that is in use.
    fn sheet(&self) -> Sheet {
        let kept = self.sheet.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(|| Sheet::of(&self.queries))
    }

    /// Keeps a sheet for the next answer: one at most, since steps are mostly read one by one.
    fn keep(&self, sheet: Sheet) {
        *self.sheet.lock().unwrap_or_else(PoisonError::into_inner) = Some(sheet);
    }

    /// The newest instant of which all samples are there.
    pub(super) fn settled(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(SETTLED.saturating_add(self.delay)).unwrap_or(now)
    }

    /// A small answer.
    async fn few(&self, query: &str, at: Timestamp) -> Result<Rows, String> {
        let mut rows = Rows::default();
        self.source.query(query, at, &mut rows).await.map_err(|why| why.to_string())?;
        Ok(rows)
    }

    /// The step and the lag, learnt once; a histogram's threshold must be an edge before anything is read.
    pub async fn learn_rhythm(&mut self, now: Timestamp) -> Result<Rhythm, String> {
        self.learn_edges(now).await?;
        if let Some(rhythm) = self.rhythm {
            return Ok(rhythm);
        }
        let delay = self.delay.as_secs();
        let rhythm = |step, scrape| Rhythm::new(step, scrape).delayed(delay);
        let Some(query) = self.queries.scrapes() else {
            let step = self.queries.step_seconds(None).ok_or("the step is not known")?;
            return Ok(*self.rhythm.insert(rhythm(step, None)));
        };
        let rows = self.few(&query, self.settled(now)).await?;
        let rows = || rows.0.iter().map(|sample| (sample.label(ROW_LABEL), sample.value));
        if let Some(refused) = self.queries.check_counter(rows(), &self.path) {
            return Err(refused.to_string());
        }
        let scrape = promql::scrape_seconds(rows());
        match (self.queries.step_seconds(scrape), scrape) {
            (Some(step), Some(_)) => Ok(*self.rhythm.insert(rhythm(step, scrape))),
            // A fixed step needs no interval; the lag stays the careful one until the interval can be learnt.
            (Some(step), None) => Ok(rhythm(step, None)),
            (None, _) => Err("the scrape interval is not known yet: too few samples of the total".to_owned()),
        }
    }

    /// The bucket edges of a histogram, learnt once: the threshold must be one of them, and the nearest others are read from
    /// then on.
    pub async fn learn_edges(&mut self, now: Timestamp) -> Result<(), String> {
        let (Some(latency), false, Some(query)) = (&self.latency, self.edges_checked, self.queries.edges())
        else {
            return Ok(());
        };
        let rows = self.few(&query, self.settled(now)).await?;
        let edges: Vec<&str> =
            rows.0.iter().map(|row| row.label(EDGE_LABEL)).filter(|le| !le.is_empty()).collect();
        let native = rows.0.iter().any(|row| row.label(ROW_LABEL) == "native");
        if let Some(refused) = promql::check_edges(latency, &edges, native, &self.path) {
            return Err(refused.to_string());
        }
        let counted = rows.0.iter().filter(|row| row.label(ROW_LABEL) != "native");
        let shape = promql::shape_edges(latency, counted.map(|row| (row.label(EDGE_LABEL), row.value)));
        self.queries = self.queries.with_edges(&shape).map_err(|why| why.to_string())?;
        self.weeks = Past::new(Arc::clone(&self.source), self.queries.clone());
        self.sheet = Mutex::default();
        // Without series there was nothing to check; the next pass asks again.
        self.edges_checked = !edges.is_empty();
        Ok(())
    }

    /// Reads steps, a few at once, and stops at the first that has no answer, so that each is read once and in order.
    pub(super) async fn steps(
        &self,
        ends: &[i64],
        rhythm: Rhythm,
        now: Timestamp,
        ids: &Arc<TenantIds>,
    ) -> (Vec<Step>, Option<String>) {
        let query = self.queries.step(rhythm.step_seconds);
        let ask = |end: i64| {
            let query = &query;
            async move {
                let at = Timestamp::from_second(end).map_err(|why| why.to_string())?;
                let mut sheet = self.sheet();
                sheet.begin(ids, Grid::instant(end));
                let answer = self.source.query(query, at, &mut sheet).await.map_err(|why| why.to_string());
                let data =
                    answer.map(|()| sheet.end().map_or_else(StepData::Missing, |()| sheet.step_data()));
                self.keep(sheet);
                data
            }
        };
        let mut answers = stream::iter(ends.iter().copied())
            .map(|end| async move { (end, ask(end).await) })
            .buffered(CONCURRENCY);
        let mut steps = Vec::with_capacity(ends.len());
        while let Some((end_seconds, answer)) = answers.next().await {
            match answer {
                Ok(data) => steps.push(Step { end_seconds, fetched_at: now, data }),
                Err(why) => return (steps, Some(why)),
            }
        }
        (steps, None)
    }
}

#[cfg(test)]
mod tests;
