//! What Prometheus would answer: the queries that Breakwater itself forms, answered from the model.

mod rows;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use breakwater_crds::{RolloutSpec, slo::Latency};
use breakwater_operator::{
    clock::Clock,
    telemetry::{Counts, Grid, Labels, ReadError, Sink, sink::label_text},
    tenants::lens::Lens,
};
use breakwater_plan::alerts::AlertRule;
use breakwater_plan::promql::{
    EDGE_LABEL, Matchers, Measure, Queries, ROW_LABEL, Row, le, narrowed, shape_edges, threshold, unit,
};
use breakwater_plan::study::coarse_seconds;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::DynamicObject;
use regex::Regex;

use self::rows::{Series, Whom, beside, edges, scrapes, sum, values};
use super::{
    Fleet,
    draws::Draws,
    lie::{Distorted, HOST, Lie, refusal, status},
    shape::Shape,
    traffic::{Population, Tenant},
};

/// How often the synthetic Prometheus scrapes, in seconds.
pub const SCRAPE_SECONDS: i64 = 15;
/// Most points of a series in one answer: Prometheus's own limit.
const POINTS_MAX: usize = 11_000;

/// What a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Step {
        seconds: i64,
    },
    Totals {
        hours: i64,
    },
    Presence,
    /// By the rule in this place.
    Alerts {
        rule: usize,
    },
    Scrapes,
    Edges,
}

/// The synthetic Prometheus of one rehearsal.
#[derive(Clone)]
pub struct Metrics {
    fleet: Fleet,
    clock: Clock,
    shared: Arc<Mutex<Shared>>,
}

/// What a query asks for, and of whom.
#[derive(Clone)]
struct Asked {
    slo: usize,
    ask: Ask,
    /// Whose label fits; `None`: everybody.
    of: Option<(String, Regex)>,
}

struct Shared {
    asks: HashMap<String, Asked>,
    /// The same queries as a parser writes them.
    plain: HashMap<String, (usize, Ask)>,
    /// Most samples of an answer.
    samples_max: usize,
    rules: Vec<AlertRule>,
    /// The alerts that fire: labels, and since when, in unix seconds.
    firing: BTreeMap<BTreeMap<String, String>, i64>,
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
        let names = Names { lens, shape, labels: Vec::new() };
        let draws = Draws::default();
        let (asks, plain, samples_max) = (HashMap::new(), HashMap::new(), usize::MAX);
        let (rules, firing) = (Vec::new(), BTreeMap::new());
        let shared =
            Shared { asks, plain, samples_max, rules, firing, series: Vec::new(), names, lie: None, draws };
        let metrics = Self { fleet, clock, shared: Arc::new(Mutex::new(shared)) };
        metrics.learn(spec)?;
        Ok(metrics)
    }

    /// Learns the queries of an edited spec, beside those it knows: a controller that refuses an edit asks on as before.
    pub fn learn(&self, spec: &RolloutSpec) -> Result<(), String> {
        let matchers = spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
        let matchers = Matchers::parse(matchers).map_err(|_| "spec.prometheus.matchers cannot be parsed")?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, alert) in spec.alerts.iter().enumerate() {
            // One that the controller refuses is none that it asks for.
            let Ok(rule) = AlertRule::parse(alert, &format!("spec.alerts[{index}]")) else { continue };
            let query = rule.query(&matchers).map_err(|refusal| refusal.to_string())?;
            let ask = Ask::Alerts { rule: shared.rules.len() };
            shared.rules.push(rule);
            shared.asks.insert(query, Asked { slo: 0, ask, of: None });
        }
        for (index, slo) in spec.slos.iter().enumerate() {
            let queries = Queries::new(slo, &matchers, &format!("spec.slos[{index}]"))
                .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
            let threshold = slo.latency.as_ref().and_then(edge).unwrap_or_default();
            // As the controller asks once it knows the edges.
            let beside = beside(&threshold).map(|edge| (edge.to_string(), 1.0));
            let known =
                beside.iter().map(|(edge, count)| (edge.as_str(), *count)).chain([(&*threshold, 1.0)]);
            let chosen = slo.latency.as_ref().map_or_else(Vec::new, |latency| shape_edges(latency, known));
            let queries = queries.with_edges(&chosen).map_err(|refusal| refusal.to_string())?;
            let seconds = queries.step_seconds(Some(SCRAPE_SECONDS)).ok_or("the step is not known")?;
            if shared.asks.contains_key(&queries.step(seconds)) {
                continue;
            }
            let (known, coarse) = (shared.series.len(), coarse_seconds(seconds));
            let asks = [
                (Some(queries.step(seconds)), Ask::Step { seconds }),
                (Some(queries.step(coarse)), Ask::Step { seconds: coarse }),
                (queries.totals(168, true), Ask::Totals { hours: 168 }),
                (queries.totals(24, true), Ask::Totals { hours: 24 }),
                (queries.totals(24, false), Ask::Totals { hours: 24 }),
                (queries.totals(6, true), Ask::Totals { hours: 6 }),
                (queries.totals(6, false), Ask::Totals { hours: 6 }),
                (queries.totals(1, false), Ask::Totals { hours: 1 }),
                (queries.presence(), Ask::Presence),
                (queries.scrapes(), Ask::Scrapes),
                (queries.edges(), Ask::Edges),
            ];
            for (query, ask) in asks {
                let Some(query) = query else { continue };
                let plain = narrowed(&query, &slo.tenant_labels).map(|(plain, _)| (plain, (known, ask)));
                shared.plain.extend(plain);
                shared.asks.insert(query, Asked { slo: known, ask, of: None });
            }
            shared.names.labels.push(slo.tenant_labels.clone());
            shared.series.push(Series {
                measure: queries.measure(),
                is_latency: slo.latency.is_some(),
                edge: threshold,
                has_shape: !chosen.is_empty(),
                labels: Vec::new(),
                edge_labels: Vec::new(),
            });
        }
        Ok(())
    }

    /// From now on Prometheus fails like this, or not any more.
    pub fn lie(&self, lie: Option<Lie>) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lie = lie;
    }

    /// From now on answers of more samples are refused, as a server's limits do.
    pub fn refuse_above(&self, samples: usize) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).samples_max = samples;
    }

    /// An alert fires from now on, or does not any more.
    pub fn fire(&self, labels: &[(&str, &str)], fires: bool) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if fires {
            shared.firing.entry(labels).or_insert((self.clock)().as_second());
        } else {
            shared.firing.remove(&labels);
        }
    }

    fn answer(&self, promql: &str, grid: Grid, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = shared.asked(promql) else {
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
        let whom = shared.whom(&asked, &fleet);
        if asked.ask.cost(grid).saturating_mul(whom.count(&fleet)) > shared.samples_max {
            return Err(status(422, "execution: query processing would load too many samples into memory"));
        }
        let malformed = |why: String| ReadError::Malformed { host: HOST.into(), why };
        let Some(lie) = lie else {
            return shared.pour(&asked, &whom, &fleet, grid, sink).map_err(malformed);
        };
        let mut distorted = Distorted::new(lie, sink);
        shared.pour(&asked, &whom, &fleet, grid, &mut distorted).map_err(malformed)?;
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

impl Ask {
    /// Samples per tenant, about.
    fn cost(self, grid: Grid) -> usize {
        match self {
            Self::Step { .. } => grid.steps,
            Self::Totals { hours } => usize::try_from(hours).unwrap_or(0),
            Self::Presence | Self::Alerts { .. } | Self::Scrapes | Self::Edges => 0,
        }
    }
}

impl Shared {
    /// What a query asks for; one of a few tenants only is told from the same one of all by the parser.
    fn asked(&mut self, promql: &str) -> Option<Asked> {
        if let Some(asked) = self.asks.get(promql) {
            return Some(asked.clone());
        }
        for labels in &self.names.labels {
            let Some((plain, lists)) = narrowed(promql, labels) else { continue };
            let Some((slo, ask)) = self.plain.get(&plain).copied() else { continue };
            let [(label, list)] = &lists[..] else { continue };
            let of = Some((label.clone(), Regex::new(&format!("^(?:{list})$")).ok()?));
            let asked = Asked { slo, ask, of };
            self.asks.insert(promql.to_owned(), asked.clone());
            return Some(asked);
        }
        None
    }

    fn whom(&mut self, asked: &Asked, fleet: &Population) -> Whom {
        let Some((label, of)) = &asked.of else { return Whom::All };
        self.label(asked.slo, fleet);
        let fits = |labels: &[Box<str>; 3]| {
            let mut fits = false;
            let read =
                Labels::new(&labels[0]).each(|name, value| fits |= name == label && of.is_match(value));
            read.is_ok() && fits
        };
        Whom::Some(self.series[asked.slo].labels.iter().map(fits).collect())
    }

    fn pour(
        &mut self,
        asked: &Asked,
        whom: &Whom,
        fleet: &Population,
        grid: Grid,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        let Asked { slo, ask, .. } = *asked;
        if grid.steps == 0 {
            return Ok(());
        }
        match ask {
            Ask::Scrapes => scrapes(grid.first, sink),
            Ask::Edges => edges(&self.series[slo].edge, grid.first, sink),
            Ask::Alerts { rule } => self.alerts(rule, grid.first, sink),
            Ask::Presence => values(Grid::instant(grid.first), sink),
            Ask::Step { .. } if self.series[slo].measure == Measure::Values => values(grid, sink),
            Ask::Step { seconds } => {
                self.label(slo, fleet);
                if grid.steps > 1 {
                    return self.series[slo].range((fleet, whom), grid, seconds, sink);
                }
                let drawn = self.draws.step(fleet, grid.first, seconds);
                self.series[slo].instant((fleet, whom), grid.first, sink, |index, _| (drawn[index], true))
            }
            Ask::Totals { hours } => {
                self.label(slo, fleet);
                let sum = |_, tenant: &Tenant| (sum(fleet, tenant, grid.first, hours), false);
                self.series[slo].instant((fleet, whom), grid.first, sink, sum)
            }
        }
    }

    /// The alerts that a rule speaks of, and since when they fire.
    fn alerts(&self, rule: usize, at: i64, sink: &mut dyn Sink) -> Result<(), String> {
        let speaks_of = |labels: &BTreeMap<String, String>| self.rules[rule].matches(labels);
        for (labels, since) in self.firing.iter().filter(|(labels, _)| speaks_of(labels)) {
            let own = || labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let firing = [("__name__", "ALERTS"), ("alertstate", "firing")];
            sink.series(Labels::new(&label_text(own().chain(firing))))?;
            sink.sample(at as f64, 1.0);
            sink.series(Labels::new(&label_text(own().chain([("__name__", "ALERTS_FOR_STATE")]))))?;
            sink.sample(at as f64, *since as f64);
        }
        Ok(())
    }

    /// Makes the labels of tenants that have none yet.
    fn label(&mut self, slo: usize, fleet: &Population) {
        let Self { series, names, .. } = self;
        let series = &mut series[slo];
        for tenant in &fleet.tenants[series.labels.len()..] {
            let id = names.id(tenant);
            let part = if series.measure == Measure::Histogram { Row::Good } else { Row::Bad };
            let of = |row: Row, edge: Option<&str>| labels(&names.labels[slo], &id, row, edge);
            series.labels.push([Row::Total, part, Row::Now].map(|row| of(row, None)));
            if series.has_shape {
                let edges = beside(&series.edge).map(|edge| edge.to_string());
                series.edge_labels.push(edges.map(|edge| of(Row::Edge(0), Some(&edge))));
            }
        }
    }
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
fn labels(names: &[String], id: &str, row: Row, edge: Option<&str>) -> Box<str> {
    let parts = id.splitn(names.len().max(1), '/').chain(std::iter::repeat(""));
    let tenant = names.iter().map(String::as_str).zip(parts);
    label_text(tenant.chain([(ROW_LABEL, row.as_str())]).chain(edge.map(|edge| (EDGE_LABEL, edge))))
}

/// A threshold as the label of a bucket's edge, in the histogram's unit.
fn edge(latency: &Latency) -> Option<String> {
    threshold(latency).map(|seconds| le(seconds, unit(latency)))
}

#[cfg(test)]
mod tests;
