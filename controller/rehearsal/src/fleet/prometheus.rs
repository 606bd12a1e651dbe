//! What Prometheus would answer: the queries that Breakwater itself forms, answered from the model.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use breakwater_crds::{RolloutSpec, marker::stable_hash};
use breakwater_operator::{
    clock::Clock,
    telemetry::{Counts, ReadError, Rows, Sample},
    tenants::lens::Lens,
};
use breakwater_plan::promql::{Matchers, Measure, Queries, ROW_LABEL, Row};
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::DynamicObject;

use super::{
    Fleet, chance,
    shape::Shape,
    traffic::{Population, Requests, Tenant},
};

/// How often the synthetic Prometheus scrapes, in seconds.
pub const SCRAPE_SECONDS: i64 = 15;
const WEEK: i64 = 7 * 86_400;

type Labels = Arc<[(Box<str>, Box<str>)]>;

/// The ways in which a Prometheus can fail or lie (testbed.md, F11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Lie {
    /// Nobody answers.
    Away,
    /// No answer within the time limit.
    Slow,
    /// 500 with an HTML page.
    ServerError,
    /// 503 from a proxy.
    Unavailable,
    /// 422: too many samples.
    TooManySamples,
    /// 401.
    Unauthorized,
    /// A success that is no JSON.
    NotJson,
    /// The answer is cut off.
    Truncated,
    /// The answer is larger than is read.
    TooLarge,
    /// A success with a warning: partial data.
    Partial,
    /// No rows.
    Empty,
    /// Every value is NaN.
    Nan,
    /// Every value is infinite.
    Infinite,
    /// Every value is negative.
    Negative,
    /// Half of the tenants are missing.
    HalfTheTenants,
    /// The totals are missing.
    NoTotals,
    /// More bad events than events.
    MoreBadThanTotal,
    /// Every row twice.
    Duplicates,
    /// Rows of tenants that nobody knows.
    Strangers,
    /// Labels that were not asked for.
    OtherLabels,
    /// As of an hour ago.
    Stale,
    /// As of an hour to come.
    Future,
    /// One row of another time.
    MixedTimes,
    /// One number without labels.
    Scalar,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Away,
        Self::Slow,
        Self::ServerError,
        Self::Unavailable,
        Self::TooManySamples,
        Self::Unauthorized,
        Self::NotJson,
        Self::Truncated,
        Self::TooLarge,
        Self::Partial,
        Self::Empty,
        Self::Nan,
        Self::Infinite,
        Self::Negative,
        Self::HalfTheTenants,
        Self::NoTotals,
        Self::MoreBadThanTotal,
        Self::Duplicates,
        Self::Strangers,
        Self::OtherLabels,
        Self::Stale,
        Self::Future,
        Self::MixedTimes,
        Self::Scalar,
    ];
}

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
    /// Label sets per tenant: total, bad or good, now.
    labels: Vec<[Labels; 3]>,
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
    /// The step that was asked for last, its length, and the requests of all tenants in it: every SLO asks for the same.
    last: (i64, i64, Vec<Requests>),
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
        let shared =
            Shared { asks: HashMap::new(), series: Vec::new(), names, lie: None, last: (0, 0, Vec::new()) };
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
            let known = shared.series.len();
            let asks = [
                (Some(queries.step(seconds)), Ask::Step { seconds }),
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

    fn answer(&self, promql: &str, at: Timestamp) -> Result<Rows, ReadError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((slo, ask)) = shared.asks.get(promql).copied() else {
            return Err(status(400, "bad_data: the rehearsal knows only the queries that Breakwater forms"));
        };
        let lie = shared.lie;
        let fleet = self.fleet.lock();
        let rows = match ask {
            Ask::Scrapes => scrapes(at),
            Ask::Edges => edges(&shared.series[slo].edge, at),
            Ask::Step { .. } | Ask::History => shared.counts(slo, ask, &fleet, at),
        };
        distort(lie, rows, at)
    }
}

impl Counts for Metrics {
    fn query<'a>(&'a self, promql: &'a str, at: Timestamp) -> BoxFuture<'a, Result<Rows, ReadError>> {
        Box::pin(async move {
            let lie = self.shared.lock().unwrap_or_else(PoisonError::into_inner).lie;
            if lie == Some(Lie::Slow) {
                tokio::time::sleep(Duration::from_secs(30)).await;
                return Err(ReadError::TimedOut { host: HOST.into(), seconds: 30 });
            }
            // Nobody knows what is to come.
            let at = at.min((self.clock)());
            self.answer(promql, at)
        })
    }
}

const HOST: &str = "prometheus.rehearsal";

fn status(status: u16, why: &str) -> ReadError {
    ReadError::Status { host: HOST.into(), status, why: why.into() }
}

impl Shared {
    fn counts(&mut self, slo: usize, ask: Ask, fleet: &Population, at: Timestamp) -> Vec<Sample> {
        self.label(slo, fleet);
        if let Ask::Step { seconds } = ask {
            self.draw(fleet, at.as_second(), seconds);
        }
        let (series, drawn) = (&self.series[slo], &self.last.2);
        let stamp = at.as_second() as f64;
        if series.measure == Measure::Values {
            let value = 1.0 + 0.05 * chance::normal(chance::mix(1, &[at.as_second().cast_unsigned()]));
            return vec![Sample { labels: Arc::default(), value, at: stamp }];
        }
        let mut rows = Vec::with_capacity(fleet.tenants.len() * 3);
        for (index, (tenant, labels)) in fleet.tenants.iter().zip(&series.labels).enumerate() {
            if tenant.gone_at.is_some_and(|gone| gone < at.as_second()) || tenant.dormant {
                continue;
            }
            let requests = match ask {
                Ask::Step { .. } => drawn[index],
                Ask::History | Ask::Scrapes | Ask::Edges => week(fleet, tenant, at.as_second()),
            };
            let (total, part) = series.measured(requests);
            let [of_total, of_part, of_now] = labels;
            rows.push(Sample { labels: of_total.clone(), value: total, at: stamp });
            rows.push(Sample { labels: of_part.clone(), value: part, at: stamp });
            // Nobody reads it where there is a total; a real answer holds it all the same.
            if total <= 0.0 && matches!(ask, Ask::Step { .. }) && series.measure != Measure::Recorded {
                rows.push(Sample { labels: of_now.clone(), value: 1.0, at: stamp });
            }
        }
        rows
    }

    /// Draws the requests of a step, unless they were asked for last.
    fn draw(&mut self, fleet: &Population, end: i64, seconds: i64) {
        let (known_end, known_seconds, drawn) = &mut self.last;
        if (*known_end, *known_seconds, drawn.len()) != (end, seconds, fleet.tenants.len()) {
            drawn.clear();
            drawn.extend(fleet.tenants.iter().map(|tenant| fleet.requests(tenant, end, seconds)));
            (*known_end, *known_seconds) = (end, seconds);
        }
    }

    /// Makes the label sets of tenants that have none yet.
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
fn labels(names: &[String], id: &str, row: Row) -> Labels {
    let parts = id.splitn(names.len().max(1), '/').chain(std::iter::repeat(""));
    let tenant = names.iter().zip(parts).map(|(name, part)| (name.as_str().into(), part.into()));
    tenant.chain([(ROW_LABEL.into(), row.as_str().into())]).collect()
}

/// A threshold as a bucket's edge: seconds.
fn edge(threshold: &str) -> String {
    let seconds = match threshold.strip_suffix("ms") {
        Some(ms) => ms.parse::<f64>().map(|ms| ms / 1_000.0),
        None => threshold.trim_end_matches('s').parse::<f64>(),
    };
    seconds.map_or_else(|_| threshold.to_owned(), |seconds| seconds.to_string())
}

fn scrapes(at: Timestamp) -> Vec<Sample> {
    let row = |name: &str, value: f64| Sample {
        labels: [(ROW_LABEL.into(), name.into())].into(),
        value,
        at: at.as_second() as f64,
    };
    let samples = |window: i64| (window / SCRAPE_SECONDS) as f64;
    vec![row("300", samples(300)), row("60", samples(60)), row("15", samples(15)), row("old", 1.0)]
}

fn edges(threshold: &str, at: Timestamp) -> Vec<Sample> {
    let row = |edge: &str| Sample {
        labels: [(ROW_LABEL.into(), "edge".into()), ("le".into(), edge.into())].into(),
        value: 1.0,
        at: at.as_second() as f64,
    };
    vec![row(threshold), row("+Inf")]
}

/// Makes of a true answer what a failing Prometheus makes of it.
fn distort(lie: Option<Lie>, mut rows: Vec<Sample>, at: Timestamp) -> Result<Rows, ReadError> {
    let Some(lie) = lie else { return Ok(Rows(rows)) };
    let host = || HOST.to_owned();
    let malformed = |why: &str| ReadError::Malformed { host: host(), why: why.into() };
    let is = |sample: &Sample, row: Row| sample.label(ROW_LABEL) == row.as_str();
    match lie {
        Lie::Away => return Err(ReadError::Unreachable { host: host(), why: "connection refused".into() }),
        Lie::Slow => return Err(ReadError::TimedOut { host: host(), seconds: 30 }),
        Lie::ServerError => return Err(status(500, "<html><body>Internal Server Error</body></html>")),
        Lie::Unavailable => return Err(status(503, "no healthy upstream")),
        Lie::TooManySamples => return Err(status(422, "query processing would load too many samples")),
        Lie::Unauthorized => return Err(status(401, "Unauthorized")),
        Lie::NotJson => return Err(malformed("it is no JSON: <!DOCTYPE html>")),
        Lie::Truncated => return Err(malformed("it is cut off after 4096 bytes")),
        Lie::TooLarge => return Err(ReadError::TooLarge { host: host(), mebibytes: 256 }),
        Lie::Partial => return Err(ReadError::Warning { host: host(), why: "partial response".into() }),
        Lie::Empty => rows.clear(),
        Lie::Nan => rows.iter_mut().for_each(|row| row.value = f64::NAN),
        Lie::Infinite => rows.iter_mut().for_each(|row| row.value = f64::INFINITY),
        Lie::Negative => rows.iter_mut().for_each(|row| row.value = -row.value - 1.0),
        Lie::HalfTheTenants => {
            let tenant = |row: &Sample| row.labels.first().map(|(_, value)| stable_hash(&[value]));
            rows.retain(|row| tenant(row).is_some_and(|hash| hash % 2 == 0));
        }
        Lie::NoTotals => rows.retain(|row| !is(row, Row::Total)),
        Lie::MoreBadThanTotal => {
            rows.iter_mut()
                .filter(|row| !is(row, Row::Total))
                .for_each(|row| row.value = row.value * 2.0 + 1e12);
        }
        Lie::Duplicates => rows.extend(rows.clone()),
        Lie::Strangers | Lie::OtherLabels => {
            let renamed = |row: &Sample| {
                let rename = |(name, value): &(Box<str>, Box<str>)| match (&**name, lie) {
                    (ROW_LABEL, _) => (name.clone(), value.clone()),
                    (_, Lie::Strangers) => (name.clone(), format!("stranger-{value}").into()),
                    _ => (format!("exported_{name}").into(), value.clone()),
                };
                row.labels.iter().map(rename).collect::<Labels>()
            };
            for row in &mut rows {
                row.labels = renamed(row);
            }
        }
        Lie::Stale => rows.iter_mut().for_each(|row| row.at -= 3_600.0),
        Lie::Future => rows.iter_mut().for_each(|row| row.at += 3_600.0),
        Lie::MixedTimes => rows.iter_mut().take(1).for_each(|row| row.at -= 60.0),
        Lie::Scalar => {
            rows = vec![Sample { labels: Arc::default(), value: 42.0, at: at.as_second() as f64 }];
        }
    }
    Ok(Rows(rows))
}
