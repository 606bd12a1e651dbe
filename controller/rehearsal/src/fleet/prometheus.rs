//! What Prometheus would answer: the queries that Breakwater itself forms, answered from the model.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use breakwater_crds::RolloutSpec;
use breakwater_operator::{
    clock::Clock,
    telemetry::{Counts, Grid, Labels, ReadError, Sink, sink::label_text},
    tenants::lens::Lens,
};
use breakwater_plan::promql::{Matchers, Measure, Queries, ROW_LABEL, Row};
use breakwater_plan::study::coarse_seconds;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::DynamicObject;

use super::{
    Fleet, chance,
    draws::{Draws, Known},
    lie::{Distorted, HOST, Lie, refusal, status},
    shape::Shape,
    traffic::{Population, Requests, Tenant},
};

/// How often the synthetic Prometheus scrapes, in seconds.
pub const SCRAPE_SECONDS: i64 = 15;
/// Most points of a series in one answer: Prometheus's own limit.
const POINTS_MAX: usize = 11_000;
const WEEK: i64 = 7 * 86_400;

/// What a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Step { seconds: i64 },
    History,
    Scrapes,
    Edges,
}

/// One SLO's part.
struct Series {
    measure: Measure,
    is_latency: bool,
    edge: String,
    /// Labels per tenant: total, bad or good, now.
    labels: Vec<[Box<str>; 3]>,
}

/// The synthetic Prometheus of one rehearsal.
#[derive(Clone)]
pub struct Metrics {
    fleet: Fleet,
    clock: Clock,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    asks: HashMap<String, (usize, Ask)>,
    series: Vec<Series>,
    names: Names,
    lie: Option<Lie>,
    draws: Draws,
}

/// How tenants are named in metrics.
struct Names {
    lens: Lens,
    shape: Shape,
    labels: Vec<Vec<String>>,
}

impl Metrics {
    /// Knows the queries of `spec`; the error says what of it cannot be asked.
    pub fn new(
        fleet: Fleet,
        spec: &RolloutSpec,
        shape: Shape,
        lens: Lens,
        clock: Clock,
    ) -> Result<Self, String> {
        let names =
            Names { lens, shape, labels: spec.slos.iter().map(|slo| slo.tenant_labels.clone()).collect() };
        let draws = Draws::default();
        let shared = Shared { asks: HashMap::new(), series: Vec::new(), names, lie: None, draws };
        let metrics = Self { fleet, clock, shared: Arc::new(Mutex::new(shared)) };
        metrics.learn(spec)?;
        Ok(metrics)
    }

    /// Learns the queries of an edited spec, beside those it knows: a controller that refuses an edit asks on as before.
    pub fn learn(&self, spec: &RolloutSpec) -> Result<(), String> {
        let matchers = spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
        let matchers = Matchers::parse(matchers).map_err(|_| "spec.prometheus.matchers cannot be parsed")?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, slo) in spec.slos.iter().enumerate() {
            let queries = Queries::new(slo, &matchers, &format!("spec.slos[{index}]"))
                .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
            let seconds = queries.step_seconds(Some(SCRAPE_SECONDS)).ok_or("the step is not known")?;
            if shared.asks.contains_key(&queries.step(seconds)) {
                continue;
            }
            let (known, coarse) = (shared.series.len(), coarse_seconds(seconds));
            let asks = [
                (Some(queries.step(seconds)), Ask::Step { seconds }),
                (Some(queries.step(coarse)), Ask::Step { seconds: coarse }),
                (queries.history(), Ask::History),
                (queries.scrapes(), Ask::Scrapes),
                (queries.edges(), Ask::Edges),
            ];
            for (query, ask) in asks {
                shared.asks.extend(query.map(|query| (query, (known, ask))));
            }
            let threshold = slo.latency.as_ref().map(|latency| latency.threshold.as_str());
            shared.names.labels.push(slo.tenant_labels.clone());
            shared.series.push(Series {
                measure: queries.measure(),
                is_latency: threshold.is_some(),
                edge: threshold.map_or_else(String::new, edge),
                labels: Vec::new(),
            });
        }
        Ok(())
    }

    /// From now on Prometheus fails like this, or not any more.
    pub fn lie(&self, lie: Option<Lie>) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lie = lie;
    }

    fn answer(&self, promql: &str, grid: Grid, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((slo, ask)) = shared.asks.get(promql).copied() else {
            return Err(status(400, "bad_data: the rehearsal knows only the queries that Breakwater forms"));
        };
        if grid.steps > POINTS_MAX {
            return Err(status(400, "bad_data: exceeded maximum resolution of 11,000 points per timeseries"));
        }
        let lie = shared.lie;
        if let Some(error) = lie.and_then(refusal) {
            return Err(error);
        }
        let fleet = self.fleet.lock();
        let malformed = |why: String| ReadError::Malformed { host: HOST.into(), why };
        let Some(lie) = lie else { return shared.pour(slo, ask, &fleet, grid, sink).map_err(malformed) };
        let mut distorted = Distorted::new(lie, sink);
        shared.pour(slo, ask, &fleet, grid, &mut distorted).map_err(malformed)?;
        distorted.end(grid.first)
    }

    /// Waits as long as a slow Prometheus takes to be given up.
    async fn wait(&self) -> Result<(), ReadError> {
        let lie = self.shared.lock().unwrap_or_else(PoisonError::into_inner).lie;
        if let Some(error) = lie.filter(|lie| *lie == Lie::Slow).and_then(refusal) {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return Err(error);
        }
        Ok(())
    }
}

impl Counts for Metrics {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            self.wait().await?;
            // Nobody knows what is to come.
            let at = at.min((self.clock)());
            self.answer(promql, Grid::instant(at.as_second()), sink)
        })
    }

    fn query_range<'a>(
        &'a self,
        promql: &'a str,
        grid: Grid,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            self.wait().await?;
            let known = (self.clock)().as_second().saturating_sub(grid.first).div_euclid(grid.step_seconds);
            let steps = usize::try_from(known.saturating_add(1)).unwrap_or(0).min(grid.steps);
            self.answer(promql, Grid { steps, ..grid }, sink)
        })
    }
}

impl Shared {
    fn pour(
        &mut self,
        slo: usize,
        ask: Ask,
        fleet: &Population,
        grid: Grid,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        if grid.steps == 0 {
            return Ok(());
        }
        match ask {
            Ask::Scrapes => scrapes(grid.first, sink),
            Ask::Edges => edges(&self.series[slo].edge, grid.first, sink),
            Ask::Step { .. } if self.series[slo].measure == Measure::Values => values(grid, sink),
            Ask::Step { seconds } => {
                self.label(slo, fleet);
                if grid.steps > 1 {
                    return self.series[slo].range(fleet, grid, seconds, sink);
                }
                let drawn = self.draws.step(fleet, grid.first, seconds);
                self.series[slo].instant(fleet, grid.first, sink, |index, _| (drawn[index], true))
            }
            Ask::History => {
                self.label(slo, fleet);
                self.series[slo]
                    .instant(fleet, grid.first, sink, |_, tenant| (week(fleet, tenant, grid.first), false))
            }
        }
    }

    /// Makes the labels of tenants that have none yet.
    fn label(&mut self, slo: usize, fleet: &Population) {
        let Self { series, names, .. } = self;
        let series = &mut series[slo];
        for tenant in &fleet.tenants[series.labels.len()..] {
            let id = names.id(tenant);
            let part = if series.measure == Measure::Histogram { Row::Good } else { Row::Bad };
            series.labels.push([Row::Total, part, Row::Now].map(|row| labels(&names.labels[slo], &id, row)));
        }
    }
}

impl Series {
    /// Total, and bad or good.
    fn measured(&self, requests: Requests) -> (f64, f64) {
        let Requests { total, bad, slow } = requests;
        let hit = if self.is_latency { slow } else { bad };
        (total, if self.measure == Measure::Histogram { total - hit } else { hit })
    }

    /// The rows of an instant; `requests` says a tenant's, and whether they are of a step.
    fn instant(
        &self,
        fleet: &Population,
        at: i64,
        sink: &mut dyn Sink,
        mut requests: impl FnMut(usize, &Tenant) -> (Requests, bool),
    ) -> Result<(), String> {
        let stamp = at as f64;
        for (index, (tenant, labels)) in fleet.tenants.iter().zip(&self.labels).enumerate() {
            if tenant.gone_at.is_some_and(|gone| gone < at) || tenant.dormant {
                continue;
            }
            let (requests, of_step) = requests(index, tenant);
            let (total, part) = self.measured(requests);
            let [of_total, of_part, of_now] = labels;
            sink.series(Labels::new(of_total))?;
            sink.sample(stamp, total);
            sink.series(Labels::new(of_part))?;
            sink.sample(stamp, part);
            // Nobody reads it where there is a total; a real answer holds it all the same.
            if total <= 0.0 && of_step && self.measure != Measure::Recorded {
                sink.series(Labels::new(of_now))?;
                sink.sample(stamp, 1.0);
            }
        }
        Ok(())
    }

    /// The rows of a range of steps: series by series, as Prometheus answers.
    fn range(&self, fleet: &Population, grid: Grid, seconds: i64, sink: &mut dyn Sink) -> Result<(), String> {
        let mut measured = Vec::with_capacity(grid.steps);
        for (tenant, labels) in fleet.tenants.iter().zip(&self.labels).filter(|(tenant, _)| !tenant.dormant) {
            let mut known = Known::default();
            let ends = (0..grid.steps).map(|line| grid.at(line));
            let there = ends.take_while(|end| tenant.gone_at.is_none_or(|gone| gone >= *end));
            measured.clear();
            measured
                .extend(there.map(|end| (end, self.measured(known.requests(fleet, tenant, end, seconds)))));
            let [of_total, of_part, of_now] = labels;
            sink.series(Labels::new(of_total))?;
            for (end, (total, _)) in &measured {
                sink.sample(*end as f64, *total);
            }
            sink.series(Labels::new(of_part))?;
            for (end, (_, part)) in &measured {
                sink.sample(*end as f64, *part);
            }
            if self.measure != Measure::Recorded {
                sink.series(Labels::new(of_now))?;
                for (end, _) in measured.iter().filter(|(_, (total, _))| *total <= 0.0) {
                    sink.sample(*end as f64, 1.0);
                }
            }
        }
        Ok(())
    }
}

/// The week before `at`: what was to be expected, hour by hour.
fn week(fleet: &Population, tenant: &Tenant, at: i64) -> Requests {
    let hours = (0..WEEK / 3_600).map(|hour| at - hour * 3_600 - 1_800);
    hours.fold(Requests::default(), |sum, middle| {
        let expected = fleet.expected(tenant, middle, true);
        let total = expected.rate * 3_600.0;
        Requests {
            total: sum.total + total,
            bad: sum.bad + total * expected.errors,
            slow: sum.slow + total * expected.slow,
        }
    })
}

impl Names {
    /// `tenants.id` of a tenant, as the controller reads it.
    fn id(&self, tenant: &Tenant) -> String {
        let plain = format!("{}/{}", tenant.namespace, tenant.name);
        let mut object = self.shape.object(tenant, "0");
        // Digests want an identity; it plays no part in the name.
        object["metadata"]["uid"] = "uid".into();
        object["metadata"]["resourceVersion"] = "1".into();
        let Ok(object) = serde_json::from_value::<DynamicObject>(object) else { return plain };
        let digest = self.lens.digest(&object, Timestamp::UNIX_EPOCH);
        digest.and_then(|digest| digest.tenant.metric_id).map_or(plain, |id| id.to_string())
    }
}

/// The labels of a row: the tenant's name, cut into as many parts as there are labels.
fn labels(names: &[String], id: &str, row: Row) -> Box<str> {
    let parts = id.splitn(names.len().max(1), '/').chain(std::iter::repeat(""));
    let tenant = names.iter().map(String::as_str).zip(parts);
    label_text(tenant.chain([(ROW_LABEL, row.as_str())]))
}

/// A threshold as a bucket's edge: seconds.
fn edge(threshold: &str) -> String {
    let seconds = match threshold.strip_suffix("ms") {
        Some(ms) => ms.parse::<f64>().map(|ms| ms / 1_000.0),
        None => threshold.trim_end_matches('s').parse::<f64>(),
    };
    seconds.map_or_else(|_| threshold.to_owned(), |seconds| seconds.to_string())
}

fn scrapes(at: i64, sink: &mut dyn Sink) -> Result<(), String> {
    let samples = |window: i64| (window / SCRAPE_SECONDS) as f64;
    for (name, value) in [("300", samples(300)), ("60", samples(60)), ("15", samples(15)), ("old", 1.0)] {
        sink.series(Labels::new(&label_text([(ROW_LABEL, name)])))?;
        sink.sample(at as f64, value);
    }
    Ok(())
}

fn edges(threshold: &str, at: i64, sink: &mut dyn Sink) -> Result<(), String> {
    for edge in [threshold, "+Inf"] {
        sink.series(Labels::new(&label_text([(ROW_LABEL, "edge"), ("le", edge)])))?;
        sink.sample(at as f64, 1.0);
    }
    Ok(())
}

/// A `query`: about one.
fn values(grid: Grid, sink: &mut dyn Sink) -> Result<(), String> {
    sink.series(Labels::NONE)?;
    for at in (0..grid.steps).map(|line| grid.at(line)) {
        let value = 1.0 + 0.05 * chance::normal(chance::mix(1, &[at.cast_unsigned()]));
        sink.sample(at as f64, value);
    }
    Ok(())
}
