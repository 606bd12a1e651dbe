//! Two time ranges of a Prometheus instead of reports: the queries, and a [`Run`] of their answers. Pure.
//!
//! A range is asked as a whole, which gives the figures and the calls, and in [`PARTS`] parts, whose scatter gives the noise
//! within the run. Histograms are `mattermost_api_time` by `handler` and `mattermost_db_store_time` by `method`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    run::{Graph, Kind, Measured, Run},
    stats::squares,
};

/// Parts of a range.
pub const PARTS: u32 = 8;
/// Points of a graph.
pub const POINTS: u32 = 120;

/// What a row of an instant query's answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// A time of [`Kind::TIMES`], seconds.
    Time(Kind),
    /// Calls behind a family's times, by its average's kind.
    Calls(Kind),
}

/// One instant query by handler or method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What it answers.
    pub figure: Figure,
    /// The label that names the rows.
    pub label: &'static str,
    /// `PromQL`, to be evaluated at `at_seconds`.
    pub promql: String,
    /// Unix seconds: the end of the stretch.
    pub at_seconds: i64,
    /// Which part of the range; none: the whole.
    pub part: Option<u32>,
}

/// One range query over the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its name, by which [`Graph::kind`] knows it.
    pub name: &'static str,
    /// `PromQL` that gives one series.
    pub promql: String,
    /// Unix seconds of the first point.
    pub first_seconds: i64,
    /// Seconds between two.
    pub step_seconds: i64,
    /// How many.
    pub points: u32,
}

/// A stretch of time, unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    from_seconds: i64,
    until_seconds: i64,
}

/// Shortest range: its parts must hold several scrapes.
const SHORTEST_SECONDS: i64 = 600;
/// Longest: two weeks.
const LONGEST_SECONDS: i64 = 14 * 86_400;

impl Range {
    /// From one instant to a later one.
    pub fn new(from: Timestamp, until: Timestamp) -> Result<Self, String> {
        let (from_seconds, until_seconds) = (from.as_second(), until.as_second());
        let length = until_seconds - from_seconds;
        if (SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&length) {
            Ok(Self { from_seconds, until_seconds })
        } else {
            Err(format!("{from} to {until}: must be 10 minutes to 14 days, the earlier first"))
        }
    }

    fn length(self) -> i64 {
        self.until_seconds - self.from_seconds
    }

    /// The queries by handler and method, of the whole and of the parts. `matchers` go into every selector, such as
    /// `namespace="load"`.
    pub fn queries(self, matchers: &str) -> Vec<Query> {
        let part_seconds = self.length() / i64::from(PARTS);
        let parts = (0..PARTS)
            .map(|part| (Some(part), self.from_seconds + part_seconds * i64::from(part + 1), part_seconds));
        let stretches = std::iter::once((None, self.until_seconds, self.length())).chain(parts);
        stretches
            .flat_map(|(part, at_seconds, seconds)| stretch(matchers, part, at_seconds, seconds))
            .collect()
    }

    /// The range queries of the whole server.
    pub fn series(self, matchers: &str) -> Vec<Series> {
        let step_seconds = (self.length() / i64::from(POINTS)).max(15);
        let window = (step_seconds * 2).max(60);
        let of = |metric: &str| format!("{metric}{{{matchers}}}");
        let rate = |metric: &str| format!("sum(rate({}[{window}s]))", of(metric));
        let ratio = |metric: &str| {
            format!("{} / {}", rate(&format!("{metric}_sum")), rate(&format!("{metric}_count")))
        };
        let p99 = |metric: &str| {
            format!(
                "histogram_quantile(0.99, sum by (le) (rate({}[{window}s])))",
                of(&format!("{metric}_bucket"))
            )
        };
        let errors = format!(
            "(sum(rate(mattermost_api_time_count{{{}}}[{window}s])) or vector(0)) / {}",
            joined(matchers, "status_code=~\"5..\""),
            rate("mattermost_api_time_count")
        );
        let all = [
            ("Avg API times", ratio(API)),
            ("P99 API times", p99(API)),
            ("Avg store times", ratio(STORE)),
            ("P99 store times", p99(STORE)),
            ("Request rate", rate("mattermost_api_time_count")),
            ("Error share", errors),
            ("CPU", rate("mattermost_process_cpu_seconds_total")),
            ("Memory", format!("sum({})", of("mattermost_process_resident_memory_bytes"))),
            ("Goroutines", format!("sum({})", of("go_goroutines"))),
        ];
        let first_seconds = self.from_seconds + window;
        let points = u32::try_from((self.until_seconds - first_seconds) / step_seconds).unwrap_or(0) + 1;
        all.into_iter()
            .map(|(name, promql)| Series { name, promql, first_seconds, step_seconds, points })
            .collect()
    }

    /// The run that the answers make. A part in which nothing was called gives nothing.
    pub fn run(self, label: &str, answers: &Answers) -> Run {
        let mut times: BTreeMap<Kind, BTreeMap<String, Measured>> = BTreeMap::new();
        for ((figure, part), rows) in &answers.rows {
            let (Figure::Time(kind), None) = (figure, part) else { continue };
            let family = if matches!(kind, Kind::ApiAverage | Kind::ApiP99) {
                Kind::ApiAverage
            } else {
                Kind::StoreAverage
            };
            let calls = answers.rows.get(&(Figure::Calls(family), None));
            let measured = |(name, value): (&String, &f64)| {
                let calls =
                    calls.and_then(|calls| calls.get(name)).copied().filter(|calls| calls.is_finite());
                (name.clone(), Measured { value: *value, calls, noise: answers.noise(*kind, name) })
            };
            times.insert(*kind, rows.iter().map(measured).collect());
        }
        Run {
            label: label.to_owned(),
            start: Timestamp::from_second(self.from_seconds).ok(),
            end: Timestamp::from_second(self.until_seconds).ok(),
            times,
            graphs: answers.graphs.clone(),
            supported_users: None,
        }
    }
}

const API: &str = "mattermost_api_time";
const STORE: &str = "mattermost_db_store_time";

fn joined(matchers: &str, more: &str) -> String {
    if matchers.trim().is_empty() { more.to_owned() } else { format!("{matchers},{more}") }
}

fn stretch(matchers: &str, part: Option<u32>, at_seconds: i64, seconds: i64) -> Vec<Query> {
    let families = [
        (API, "handler", Kind::ApiAverage, Kind::ApiP99),
        (STORE, "method", Kind::StoreAverage, Kind::StoreP99),
    ];
    let mut queries = Vec::new();
    for (metric, label, average, p99) in families {
        let grown = |suffix: &str| format!("increase({metric}{suffix}{{{matchers}}}[{seconds}s])");
        let sum = |suffix: &str| format!("sum by ({label}) ({})", grown(suffix));
        let mean = format!("{} / ({} > 0)", sum("_sum"), sum("_count"));
        let quantile = format!("histogram_quantile(0.99, sum by (le, {label}) ({}))", grown("_bucket"));
        let mut query = |figure, promql| queries.push(Query { figure, label, promql, at_seconds, part });
        query(Figure::Time(average), mean);
        query(Figure::Time(p99), quantile);
        if part.is_none() {
            query(Figure::Calls(average), sum("_count"));
        }
    }
    queries
}

/// The answers of one range.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    rows: BTreeMap<(Figure, Option<u32>), BTreeMap<String, f64>>,
    graphs: Vec<Graph>,
}

impl Answers {
    /// Takes the rows of a query: the label's value, and the figure.
    pub fn take(&mut self, query: &Query, rows: impl IntoIterator<Item = (String, f64)>) {
        let rows = rows.into_iter().filter(|(name, _)| !name.is_empty()).collect();
        self.rows.insert((query.figure, query.part), rows);
    }

    /// Takes the points of a series: unix seconds and figure.
    pub fn graph(&mut self, series: &Series, values: Vec<(f64, f64)>) {
        self.graphs.push(Graph { name: series.name.to_owned(), values });
    }

    /// Standard deviation of the logarithm of the mean of the parts, where half of them have a figure.
    fn noise(&self, kind: Kind, name: &str) -> Option<f64> {
        let logarithms: Vec<f64> = (0..PARTS)
            .filter_map(|part| self.rows.get(&(Figure::Time(kind), Some(part)))?.get(name))
            .filter(|value| value.is_finite() && **value > 0.0)
            .map(|value| value.ln())
            .collect();
        let count = logarithms.len() as f64;
        (count * 2.0 >= f64::from(PARTS)).then(|| (squares(&logarithms) / (count - 1.0) / count).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Range {
        Range::new(
            Timestamp::from_second(1_767_571_200).unwrap(),
            Timestamp::from_second(1_767_578_400).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn the_queries_are_these() {
        let queries = range().queries("namespace=\"load\"");
        assert_eq!(queries.len(), 6 + 4 * 8);
        let told = |query: &Query| {
            format!("{:?} {} @{}: {}", query.figure, query.label, query.at_seconds, query.promql)
        };
        let mut all: Vec<String> = queries[..10].iter().map(told).collect();
        all.extend(range().series("namespace=\"load\"").iter().map(|series| {
            format!("{} x{}/{}s: {}", series.name, series.points, series.step_seconds, series.promql)
        }));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn every_query_is_promql_with_matchers_and_without() {
        for matchers in ["", "namespace=\"load\",pod=~\"app-.*\""] {
            let queries = range().queries(matchers).into_iter().map(|query| query.promql);
            for promql in queries.chain(range().series(matchers).into_iter().map(|series| series.promql)) {
                assert!(promql_parser::parser::parse(&promql).is_ok(), "{promql}");
            }
        }
    }

    #[test]
    fn every_series_is_known_by_its_name_and_a_range_has_a_length() {
        for series in range().series("") {
            assert!(
                Graph { name: series.name.into(), values: Vec::new() }.kind().is_some(),
                "{}",
                series.name
            );
        }
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(Range::new(at(0), at(599)).is_err() && Range::new(at(700), at(0)).is_err());
    }

    #[test]
    fn answers_make_a_run_with_calls_and_noise() {
        let mut answers = Answers::default();
        for query in range().queries("") {
            let value = match (query.figure, query.part) {
                (Figure::Calls(_), _) => 1_000.0,
                (Figure::Time(_), None) => 0.1,
                (Figure::Time(_), Some(part)) => {
                    if part % 2 == 0 {
                        0.1
                    } else {
                        0.12
                    }
                }
            };
            answers.take(&query, [("createPost".to_owned(), value), (String::new(), 1.0)]);
        }
        let run = range().run("v2", &answers);
        let measured = run.times[&Kind::ApiAverage]["createPost"];
        assert_eq!(
            (measured.value, measured.calls, run.times[&Kind::ApiAverage].len()),
            (0.1, Some(1_000.0), 1)
        );
        let noise = measured.noise.unwrap();
        assert!((0.03..0.04).contains(&noise), "{noise}");
        assert_eq!(run.length_seconds(), Some(7_200.0));
    }
}
