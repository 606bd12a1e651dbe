//! The queries around a SLO's selectors, and the check of what users wrote into them (analysis.md 1). Pure.
//!
//! One query per SLO and step serves all tenants: an instant query at the step's end, whose rows carry in the label
//! [`ROW_LABEL`] what they are. Matchers of the Rollout are put into every selector of the parsed expression, never
//! pasted into text.

mod edge;
mod frame;
mod past;
mod selector;
mod shape;

use std::sync::Arc;

use breakwater_crds::slo::{Errors, Latency, Slo, Step, Unit};
use breakwater_text::figure;
pub use edge::{check_edges, edge_seconds, le, threshold, unit};
use edge::{le_pattern, threshold_seconds};
use frame::{Frame, named, row, union};
pub use past::narrowed;
pub use selector::{Matchers, Refusal, Selector};
use selector::{guarded, le_matcher};
pub use shape::shape_edges;

use crate::spec::FieldError;

/// The label in which a row says what it is.
pub const ROW_LABEL: &str = "breakwater";
/// Value of [`ROW_LABEL`] on the rows of further bucket edges, and the label in which each says which edge it is.
pub const EDGE_LABEL: &str = "le";
/// Shortest and longest step, in seconds.
pub const STEP_SECONDS: std::ops::RangeInclusive<i64> = 5..=300;
/// Step of recorded series and of `query` where `auto` is said: what `breakwater rules` prints.
const RECORDED_STEP_SECONDS: i64 = 60;
/// Windows, in seconds, over which samples are counted to learn the scrape interval.
const SCRAPE_WINDOWS: [u32; 3] = [300, 60, 15];
/// Most samples of a series in a second that are taken for scrapes.
const SAMPLES_PER_SECOND_MAX: f64 = 10.0;
/// A sample bears the time at which its scrape began, and is there once that has ended: on a busy machine seconds later.
const LAG_SECONDS_MIN: i64 = 4;
/// Value of [`ROW_LABEL`] on the row that proves five minutes of samples.
const OLD_ROW: &str = "old";
/// Value of [`ROW_LABEL`] on the row that says which share of the series that change falls again and again.
const FALLS_ROW: &str = "falls";
/// In so many seconds a series must change, and fall, so many times to be counted there.
const FALLS_WINDOW: u32 = 900;
const FALLS_MIN: u32 = 3;
/// From this share on the total is taken for no counter.
const FALLS_SHARE: f64 = 0.5;

/// What a row of an answer is, by its [`ROW_LABEL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// All events of the step.
    Total,
    /// Bad events of the step.
    Bad,
    /// Events at most as slow as the threshold.
    Good,
    /// Events at most as slow as a further edge: which of [`Queries::edges_of_shape`].
    Edge(u8),
    /// The number of series of the total that have a sample in this step. Without a `Total` beside it, none of them, nor
    /// of their targets, had one a step before: a restart, or a gap.
    Now,
}

impl Row {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Bad => "bad",
            Self::Good => "good",
            Self::Edge(_) => EDGE_LABEL,
            Self::Now => "now",
        }
    }

    /// From the label's value; an edge is told by its other label, see [`Row::edge`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Total, Self::Bad, Self::Good, Self::Now].into_iter().find(|row| row.as_str() == text)
    }

    /// The row of the edge that a value of [`EDGE_LABEL`] says in its unit, however it is spelt, among these, in seconds.
    pub fn edge(le: &str, unit: Unit, edges: &[f64]) -> Option<Self> {
        let seconds = edge_seconds(le, unit)?;
        let at = edges.iter().position(|edge| edge::is_same(seconds, *edge))?;
        u8::try_from(at).ok().map(Self::Edge)
    }
}

/// How the rows of a step are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// `Total`, `Bad` and `Now`.
    Counters,
    /// `Total` and `Bad`, as recorded.
    Recorded,
    /// `Total`, `Good`, `Now`, and `Edge`s where the shape is compared.
    Histogram,
    /// Plain values, no tenants.
    Values,
}

/// The parsed SLI: nothing in it can fail any more.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one per SLO, at most eight per Rollout")]
enum Sli {
    Counters {
        bad: Selector,
        total: Selector,
    },
    Recorded {
        bad: Selector,
        total: Selector,
    },
    /// The threshold is in seconds; `slower` are the buckets of further edges.
    Histogram {
        threshold: f64,
        unit: Unit,
        total: Selector,
        good: Selector,
        buckets: Selector,
        native: Selector,
        slower: Option<Selector>,
    },
    Values {
        query: String,
    },
}

/// All queries of one SLO.
#[derive(Debug, Clone, PartialEq)]
pub struct Queries {
    sli: Sli,
    labels: Vec<String>,
    step: Step,
    /// Further bucket edges that are asked for, in seconds, ascending.
    edges: Arc<[f64]>,
}

impl Queries {
    /// Parses the SLO's `PromQL` and puts `matchers` into every selector; `path` is the SLO's own
    /// (`spec.slos[0]`), for the errors.
    pub fn new(slo: &Slo, matchers: &Matchers, path: &str) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let sli = parse_sli(slo, matchers, path, &mut errors);
        check_labels(slo, path, &mut errors);
        match sli {
            Some(sli) if errors.is_empty() => {
                let labels = slo.tenant_labels.clone();
                Ok(Self { sli, labels, step: slo.step, edges: Arc::default() })
            }
            _ => Err(errors),
        }
    }

    /// The same queries with rows for these further bucket edges, in seconds; of a histogram only. The error says which
    /// edges cannot be asked for.
    pub fn with_edges(&self, edges: &[f64]) -> Result<Self, Refusal> {
        let Sli::Histogram { threshold, unit, total, good, buckets, native, slower: _ } = &self.sli else {
            return Ok(self.clone());
        };
        let patterns: Vec<String> = edges.iter().map(|edge| le_pattern(*edge, *unit)).collect();
        let slower =
            if patterns.is_empty() { None } else { Some(buckets.with(&le_matcher(&patterns.join("|"))?)) };
        let [total, good, buckets, native] = [total, good, buckets, native].map(Selector::clone);
        let (threshold, unit) = (*threshold, *unit);
        let sli = Sli::Histogram { threshold, unit, total, good, buckets, native, slower };
        Ok(Self { sli, labels: self.labels.clone(), step: self.step, edges: edges.into() })
    }

    /// The further bucket edges that are asked for, in seconds, ascending.
    pub fn edges_of_shape(&self) -> &Arc<[f64]> {
        &self.edges
    }

    /// The unit of the values of [`EDGE_LABEL`].
    pub const fn unit(&self) -> Unit {
        match self.sli {
            Sli::Histogram { unit, .. } => unit,
            Sli::Counters { .. } | Sli::Recorded { .. } | Sli::Values { .. } => Unit::Seconds,
        }
    }

    /// How many of them are below the threshold.
    pub fn edges_below(&self) -> usize {
        match &self.sli {
            Sli::Histogram { threshold, .. } => self.edges.iter().filter(|edge| *edge < threshold).count(),
            Sli::Counters { .. } | Sli::Recorded { .. } | Sli::Values { .. } => 0,
        }
    }

    /// How the rows of [`Queries::step`] are to be read.
    pub const fn measure(&self) -> Measure {
        match self.sli {
            Sli::Counters { .. } => Measure::Counters,
            Sli::Recorded { .. } => Measure::Recorded,
            Sli::Histogram { .. } => Measure::Histogram,
            Sli::Values { .. } => Measure::Values,
        }
    }

    /// The labels that, joined by `/`, name a tenant.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The query of one step of `step_seconds`, to be asked at its end.
    pub fn step(&self, step_seconds: i64) -> String {
        let by = self.by();
        match &self.sli {
            Sli::Counters { bad, total } => {
                let frame = Frame { total, labels: &self.labels, step_seconds };
                union([
                    row(Row::Total, &format!("sum{by}({})", frame.increase(total))),
                    row(Row::Bad, &format!("sum{by}({})", frame.increase(bad))),
                    row(Row::Now, &format!("count{by}({})", frame.now(total))),
                ])
            }
            Sli::Histogram { total, good, slower, .. } => {
                let frame = Frame { total, labels: &self.labels, step_seconds };
                let rows = [
                    row(Row::Total, &format!("sum{by}({})", frame.increase(total))),
                    row(Row::Good, &format!("sum{by}({})", frame.increase_of_bucket(good))),
                    row(Row::Now, &format!("count{by}({})", frame.now(total))),
                ];
                let edges = slower.as_ref().map(|slower| self.edge_rows(&frame.increase_of_bucket(slower)));
                union(rows.into_iter().chain(edges))
            }
            Sli::Recorded { bad, total } => union([
                row(Row::Total, &format!("sum{by}(last_over_time({total}[{step_seconds}s]))")),
                row(Row::Bad, &format!("sum{by}(last_over_time({bad}[{step_seconds}s]))")),
            ]),
            Sli::Values { query } => query.clone(),
        }
    }

    /// Most samples of one series in windows of several lengths, from which [`scrape_seconds`] learns the scrape
    /// interval. `None` where no counters are scraped.
    pub fn scrapes(&self) -> Option<String> {
        let total = match &self.sli {
            Sli::Counters { total, .. } | Sli::Histogram { total, .. } => total,
            Sli::Recorded { .. } | Sli::Values { .. } => return None,
        };
        // A second less than it is called: a window that is closed on both sides would hold one sample more, were both ends on one.
        let counts = SCRAPE_WINDOWS.map(|window| {
            named(&window.to_string(), &format!("max(count_over_time({total}[{}s]))", window - 1))
        });
        let old = named(OLD_ROW, &format!("group(last_over_time({total}[60s] offset 4m))"));
        // A pod that crashes restarts its counters, one after the other; a gauge falls in half of its changes.
        let often = |what: &str| format!("count({what}({total}[{FALLS_WINDOW}s]) >= {FALLS_MIN})");
        let falls = named(FALLS_ROW, &format!("{} / {}", often("resets"), often("changes")));
        Some(union(counts.into_iter().chain([old, falls])))
    }

    /// Why the total of an SLO counts nothing, from the answer to [`Queries::scrapes`]: it falls too often for a counter.
    pub fn check_counter<'a>(
        &self,
        rows: impl IntoIterator<Item = (&'a str, f64)>,
        path: &str,
    ) -> Option<FieldError> {
        let (field, total) = match &self.sli {
            Sli::Counters { total, .. } => ("errors.total", total),
            Sli::Histogram { total, .. } => ("latency.histogram", total),
            Sli::Recorded { .. } | Sli::Values { .. } => return None,
        };
        let falls = rows.into_iter().find(|(name, _)| *name == FALLS_ROW)?.1;
        (falls >= FALLS_SHARE).then(|| FieldError {
            path: format!("{path}.{field}"),
            message: format!(
                "{total} falls again and again in {} of its series, so it is no counter; give the counter itself, or record the \
                 counts of one step and use errors.recorded",
                figure::percent(falls)
            ),
        })
    }

    /// One row per tenant and edge: the buckets of all edges at once.
    fn edge_rows(&self, buckets: &str) -> String {
        named(EDGE_LABEL, &format!("sum{}({buckets})", self.by_edge()))
    }

    fn by_edge(&self) -> String {
        format!(" by ({}, {EDGE_LABEL}) ", self.labels.join(", "))
    }

    /// The histogram's bucket edges (label `le`, row `edge`), how many series have each, and whether there are native ones (row `native`).
    pub fn edges(&self) -> Option<String> {
        let Sli::Histogram { buckets, native, .. } = &self.sli else { return None };
        Some(union([
            named("edge", &format!("count by ({EDGE_LABEL}) ({buckets})")),
            named("native", &format!("group({native})")),
        ]))
    }

    /// How long a step is, in seconds; `None` while `auto` and the scrape interval is not known.
    pub fn step_seconds(&self, scrape_seconds: Option<i64>) -> Option<i64> {
        match (self.step, &self.sli) {
            (Step::Fixed(span), _) => {
                Some(span.as_seconds().clamp(*STEP_SECONDS.start(), *STEP_SECONDS.end()))
            }
            (Step::Auto, Sli::Recorded { .. } | Sli::Values { .. }) => Some(RECORDED_STEP_SECONDS),
            (Step::Auto, Sli::Counters { .. } | Sli::Histogram { .. }) => {
                scrape_seconds.map(auto_step_seconds)
            }
        }
    }

    fn by(&self) -> String {
        format!(" by ({}) ", self.labels.join(", "))
    }
}

/// `auto`: four scrapes, at least a minute where scrapes are 15 s apart or more, 5 s to 5 min.
pub fn auto_step_seconds(scrape_seconds: i64) -> i64 {
    let four = scrape_seconds.saturating_mul(4);
    let least = if scrape_seconds >= 15 { 60 } else { *STEP_SECONDS.start() };
    four.max(least).clamp(*STEP_SECONDS.start(), *STEP_SECONDS.end())
}

/// How long after its end a step is read: two scrapes, at least 90 s where scrapes are 30 s apart or more. A scrape takes
/// time of its own, however short the interval: at least [`LAG_SECONDS_MIN`].
pub fn lag_seconds(scrape_seconds: i64) -> i64 {
    let two = scrape_seconds.saturating_mul(2);
    if scrape_seconds >= 30 { two.max(90) } else { two.max(LAG_SECONDS_MIN) }
}

/// The scrape interval from the answer to [`Queries::scrapes`]: rows as (value of [`ROW_LABEL`], number).
///
/// A window's estimate is its length over the number of samples; short windows speak with four samples or more, the
/// longest only where samples are five minutes old, since a young Prometheus looks like a slow one.
pub fn scrape_seconds<'a>(rows: impl IntoIterator<Item = (&'a str, f64)>) -> Option<i64> {
    let (mut long, mut short, mut old) = (None, None::<f64>, false);
    for (name, count) in rows {
        if name == OLD_ROW {
            old = true;
        }
        // An interval is believed for as long as the spec stands: one that nobody scrapes at is nonsense.
        let possible = |window: &u32| count <= SAMPLES_PER_SECOND_MAX * f64::from(*window);
        let window = SCRAPE_WINDOWS.into_iter().find(|window| window.to_string() == name).filter(possible);
        match window {
            Some(window @ 300) if count >= 1.0 => long = Some(f64::from(window) / count),
            Some(window) if count >= 4.0 => {
                let estimate = f64::from(window) / count;
                short = Some(short.map_or(estimate, |best: f64| best.min(estimate)));
            }
            _ => {}
        }
    }
    let long = long.filter(|_| old);
    let estimate = match (long, short) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "between 0 and 300: windows over counts of at least one"
    )]
    let seconds = estimate.clamp(1.0, 300.0).round() as i64;
    // Samples come early and late; nobody scrapes every 14 s.
    Some(if seconds < 10 { seconds } else { (seconds + 2) / 5 * 5 })
}

/// Every mistake in the SLO's `PromQL`, by field.
pub fn check(slo: &Slo, path: &str) -> Vec<FieldError> {
    Queries::new(slo, &Matchers::none(), path).err().unwrap_or_default()
}

/// Every mistake in `prometheus.matchers`.
pub fn check_matchers(text: &str, path: &str) -> Vec<FieldError> {
    Matchers::parse(text).err().map(|refusal| refusal.at(path, text)).into_iter().collect()
}

fn parse_sli(slo: &Slo, matchers: &Matchers, path: &str, errors: &mut Vec<FieldError>) -> Option<Sli> {
    let Slo { errors: counters, latency, query, .. } = slo;
    match (counters, latency, query) {
        (Some(counters), None, None) => parse_errors(counters, matchers, &format!("{path}.errors"), errors),
        (None, Some(latency), None) => parse_latency(latency, matchers, &format!("{path}.latency"), errors),
        (None, None, Some(query)) => {
            let parsed = selector::expression(query, matchers);
            parsed
                .map_err(|refusal| errors.push(refusal.at(&format!("{path}.query"), query)))
                .ok()
                .map(|query| Sli::Values { query })
        }
        (None, None, None) | (Some(_), ..) | (_, Some(_), _) => {
            errors.push(FieldError {
                path: path.to_owned(),
                message: format!("{:?} must have exactly one of errors, latency and query", slo.name),
            });
            None
        }
    }
}

fn parse_errors(sli: &Errors, matchers: &Matchers, path: &str, errors: &mut Vec<FieldError>) -> Option<Sli> {
    let mut parse = |text: &str, field: &str| {
        Selector::parse(text, matchers)
            .and_then(Selector::counts)
            .map_err(|refusal| errors.push(refusal.at(&format!("{path}.{field}"), text)))
            .ok()
    };
    match sli {
        Errors { bad: Some(bad), total: Some(total), recorded: None } => {
            let (bad, total) = (parse(bad, "bad"), parse(total, "total"));
            Some(Sli::Counters { bad: bad?, total: total? })
        }
        Errors { bad: None, total: None, recorded: Some(recorded) } => {
            let (bad, total) =
                (parse(&recorded.bad, "recorded.bad"), parse(&recorded.total, "recorded.total"));
            Some(Sli::Recorded { bad: bad?, total: total? })
        }
        Errors { .. } => {
            errors.push(FieldError {
                path: path.to_owned(),
                message: "give either both bad and total, or recorded alone".to_owned(),
            });
            None
        }
    }
}

fn parse_latency(
    sli: &Latency,
    matchers: &Matchers,
    path: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Sli> {
    let Latency { histogram, matchers: own, threshold, unit: _, shape: _ } = sli;
    let unit = unit(sli);
    let mut keep = |refusal: Refusal, field: &str, value: &str| {
        errors.push(refusal.at(&format!("{path}.{field}"), value));
    };
    let own =
        Matchers::parse(own).and_then(Matchers::without_le).map_err(|r| keep(r, "matchers", &sli.matchers));
    let threshold = threshold_seconds(threshold).map_err(|r| keep(r, "threshold", threshold));
    let named = |suffix: &str| Selector::parse(&format!("{histogram}{suffix}"), matchers);
    let series = named("_count").and_then(|count| Ok((count, named("_bucket")?, named("")?)));
    let series = series.map_err(|r| keep(r, "histogram", histogram));
    let (own, threshold, (count, bucket, native)) = (own.ok()?, threshold.ok()?, series.ok()?);
    let buckets = bucket.with(&own);
    let le =
        le_matcher(&le_pattern(threshold, unit)).map_err(|r| keep(r, "threshold", &sli.threshold)).ok()?;
    Some(Sli::Histogram {
        threshold,
        unit,
        total: count.with(&own),
        good: buckets.with(&le),
        buckets,
        native: native.with(&own),
        slower: None,
    })
}

fn check_labels(slo: &Slo, path: &str, errors: &mut Vec<FieldError>) {
    let mut refuse = |index: usize, label: &str, why: &str| {
        errors.push(FieldError {
            path: format!("{path}.tenantLabels[{index}]"),
            message: format!(
                "{label:?} {why}; name the label that tells tenants apart, such as installationId"
            ),
        });
    };
    for (index, label) in slo.tenant_labels.iter().enumerate() {
        let mut chars = label.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            refuse(index, label, "is not a label name");
        } else if [ROW_LABEL, EDGE_LABEL, "__name__"].contains(&label.as_str()) {
            refuse(index, label, "cannot name a tenant");
        } else if slo.tenant_labels[..index].contains(label) {
            refuse(index, label, "is there twice");
        }
    }
    if slo.query.is_none() && slo.tenant_labels.is_empty() {
        errors.push(FieldError {
            path: format!("{path}.tenantLabels"),
            message: "is empty; name the label that tells tenants apart, such as installationId".to_owned(),
        });
    }
}

/// Re-exported for the checks of other expressions, such as gates: refuses what is too deep to be parsed safely.
pub fn parses(text: &str) -> Result<promql_parser::parser::Expr, String> {
    guarded(text).map_err(|refusal| refusal.to_string())
}

#[cfg(test)]
mod tests;
