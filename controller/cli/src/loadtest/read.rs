//! Both sides from a Prometheus, by the queries of `breakwater-loadtest`, one after the other. I/O through [`Counts`].

use breakwater_loadtest::{
    Run,
    prometheus::{Answers, Range},
};
use breakwater_operator::telemetry::{Counts, Grid, Labels, Rows, Sink};
use jiff::Timestamp;

use super::args::Sides;

/// How far it is: of which stretch, and the share of all that is to be asked.
pub(super) type Progress<'a> = dyn FnMut(&str, f64) + Send + 'a;

/// The points of a single series.
#[derive(Default)]
struct Points {
    values: Vec<(f64, f64)>,
    series: usize,
}

impl Sink for Points {
    fn series(&mut self, _labels: Labels<'_>) -> Result<(), String> {
        self.series += 1;
        if self.series > 1 {
            Err("it has several series, where one was asked for".to_owned())
        } else {
            Ok(())
        }
    }

    fn sample(&mut self, at: f64, value: f64) {
        self.values.push((at, value));
    }
}

/// Asks for all stretches of both sides.
pub(super) async fn sides(
    source: &impl Counts,
    ranges: &Sides<Vec<(String, Range)>>,
    matchers: &str,
    progress: &mut Progress<'_>,
) -> Result<Sides<Vec<Run>>, String> {
    let all = (ranges.base.len() + ranges.candidate.len()) as f64;
    let mut runs = Vec::new();
    for (text, range) in ranges.base.iter().chain(&ranges.candidate) {
        let (before, label) = (runs.len() as f64, format!("stretch {}", runs.len() + 1));
        let mut forward = |share: f64| progress(text, (before + share) / all);
        runs.push(one(source, &label, *range, matchers, &mut forward).await?);
    }
    let candidate = runs.split_off(ranges.base.len());
    Ok(Sides { base: runs, candidate })
}

async fn one(
    source: &impl Counts,
    label: &str,
    range: Range,
    matchers: &str,
    progress: &mut (dyn FnMut(f64) + Send),
) -> Result<Run, String> {
    let (queries, series) = (range.queries(matchers), range.series(matchers));
    let all = (queries.len() + series.len()) as f64;
    let mut answers = Answers::default();
    for (done, query) in queries.iter().enumerate() {
        progress(done as f64 / all);
        let at = Timestamp::from_second(query.at_seconds).map_err(|why| why.to_string())?;
        let mut rows = Rows::default();
        let asked = source.query(&query.promql, at, &mut rows).await;
        asked.map_err(|why| format!("{why}\nquery: {}", query.promql))?;
        answers.take(query, rows.0.iter().map(|row| (row.label(query.label).to_owned(), row.value)));
    }
    for (done, series) in series.iter().enumerate() {
        progress((queries.len() + done) as f64 / all);
        let steps = usize::try_from(series.points).unwrap_or(1);
        let grid = Grid { first: series.first_seconds, step_seconds: series.step_seconds, steps };
        let mut points = Points::default();
        let asked = source.query_range(&series.promql, grid, &mut points).await;
        asked.map_err(|why| format!("{why}\nquery: {}", series.promql))?;
        answers.graph(series, points.values);
    }
    Ok(range.run(label, &answers))
}
