//! Reading past steps of one SLO, in bounded chunks and in order, by the very query of its steps; sums over a week, in
//! parts where Prometheus refuses the whole; and how far back its data reach. I/O.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use breakwater_crds::state::EDGES_MAX;
use breakwater_plan::{
    observed::{Counted, Slower},
    promql::Queries,
    study::{Look, Week},
};
use breakwater_slo::{Counts as Events, TenantId};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    ReadError,
    ids::TenantIds,
    read::Counts,
    sheet::{Grid, Sheet},
    sink::Rows,
};

/// Most fields of a sheet, tenants times steps: some 10 MB, and an answer of some 30.
const FIELDS_MAX: usize = 200_000;
/// Most steps of a query: Prometheus refuses more than 11,000 points of a series.
const STEPS_MAX: usize = 1_000;
/// Most bytes of a list of names; a query of counters holds it a dozen times.
const NAMES_MAX: usize = 16 << 10;
/// Hours of a week that are summed in one query: all, and less where Prometheus refuses that.
const PART_HOURS: [u32; 4] = [7 * 24, 24, 6, 1];
/// How exactly the oldest sample is looked for, in seconds.
const OLDEST_WITHIN: i64 = 3_600;

/// The past of one SLO.
pub struct Past {
    pub(super) source: Arc<dyn Counts>,
    /// What is asked together: of different tenants each.
    queries: Vec<Queries>,
    /// How many of [`PART_HOURS`] are too large.
    refused: AtomicUsize,
}

/// What is still to be read of a look.
pub struct Chunks {
    next: i64,
    look: Look,
    steps: usize,
    ids: Arc<TenantIds>,
    sheet: Sheet,
    took: Duration,
}

impl Past {
    /// Of all tenants.
    pub(super) fn new(source: Arc<dyn Counts>, queries: Queries) -> Self {
        Self { source, queries: vec![queries], refused: AtomicUsize::new(0) }
    }

    /// Of these tenants only.
    pub(super) fn of(self, names: &[Arc<str>]) -> Self {
        let queries = self.queries.iter().flat_map(|queries| queries.of_tenants(names, NAMES_MAX)).collect();
        Self { queries, ..self }
    }

    /// The queries; where they are of parts, of the first. There is always one: no list of names has no parts.
    pub(super) fn queries(&self) -> &Queries {
        &self.queries[0]
    }

    fn sheet(&self) -> Sheet {
        Sheet::of(self.queries())
    }

    /// Bad and total of the seven days before `at`, by tenant, and what was slower than the edges of a latency's shape; none
    /// for a `query`. A Prometheus that refuses so much is
    /// asked for less at once, with a pause after each part as long as that took; one that cannot bear it, the next time.
    pub(super) async fn week(&self, at: Timestamp, ids: &Arc<TenantIds>) -> Result<Week, String> {
        loop {
            let refused = self.refused.load(Ordering::Relaxed);
            match self.sum(at.as_second(), PART_HOURS[refused % PART_HOURS.len()], ids).await {
                Ok(sums) => return Ok(sums.week(self.queries().edges_of_shape())),
                Err(Failed::Answer(why)) => return Err(why),
                Err(Failed::Asking(why)) => {
                    // After the smallest the largest comes again: perhaps it was something else.
                    let next = if is_too_much(&why) { (refused + 1) % PART_HOURS.len() } else { refused };
                    self.refused.store(next, Ordering::Relaxed);
                    if next == 0 || !is_refusal(&why) {
                        return Err(why.to_string());
                    }
                }
            }
        }
    }

    async fn sum(&self, at: i64, hours: u32, ids: &Arc<TenantIds>) -> Result<Sums, Failed> {
        let (mut sums, mut sheet) = (Sums::default(), self.sheet());
        let parts = i64::from(PART_HOURS[0] / hours.max(1));
        for part in 0..parts {
            let end = at - part * i64::from(hours) * 3_600;
            let instant = Timestamp::from_second(end).map_err(|why| Failed::Answer(why.to_string()))?;
            let began = Instant::now();
            sheet.begin(ids, Grid::instant(end));
            for queries in &self.queries {
                let Some(query) = queries.totals(hours, part == 0) else { return Ok(sums) };
                self.source.query(&query, instant, &mut sheet).await.map_err(Failed::Asking)?;
            }
            sheet.end().map_err(Failed::Answer)?;
            sums.add(&sheet.totals());
            if part + 1 < parts {
                tokio::time::sleep(began.elapsed()).await;
            }
        }
        Ok(sums)
    }

    /// Unix seconds from which on there are samples, between `from` and `until`, to the hour; `None`: there are none at
    /// `until` either.
    pub(super) async fn oldest(&self, from: i64, until: i64) -> Result<Option<i64>, ReadError> {
        if self.is_there(from).await? {
            return Ok(Some(from));
        }
        if !self.is_there(until).await? {
            return Ok(None);
        }
        let (mut absent, mut present) = (from, until);
        while present - absent > OLDEST_WITHIN {
            let middle = absent + (present - absent) / 2;
            if self.is_there(middle).await? {
                present = middle;
            } else {
                absent = middle;
            }
        }
        Ok(Some(present))
    }

    async fn is_there(&self, at: i64) -> Result<bool, ReadError> {
        let Some(query) = self.queries().presence() else { return Ok(false) };
        let (mut rows, at) = (Rows::default(), Timestamp::from_second(at).unwrap_or_default());
        self.source.query(&query, at, &mut rows).await?;
        Ok(!rows.0.is_empty())
    }

    /// Begins to read.
    pub fn chunks(&self, look: Look, ids: &Arc<TenantIds>) -> Chunks {
        let tenants = ids.tenants().len().max(1);
        Chunks {
            next: look.from_seconds + look.step_seconds,
            look,
            steps: (FIELDS_MAX / tenants).clamp(1, STEPS_MAX),
            ids: ids.clone(),
            sheet: self.sheet(),
            took: Duration::ZERO,
        }
    }
}

impl Chunks {
    /// Reads the next chunk and hands over its steps; false when all is read. A Prometheus that refuses a chunk, or cannot
    /// bear it, is asked for half of it; at one step its reason is returned.
    pub async fn read(
        &mut self,
        past: &Past,
        each: &mut (dyn FnMut(i64, &Counted) + Send),
    ) -> Result<bool, String> {
        let Look { until_seconds, step_seconds, .. } = self.look;
        if self.next > until_seconds {
            return Ok(false);
        }
        let left = usize::try_from((until_seconds - self.next) / step_seconds + 1).unwrap_or(1);
        let queries: Vec<String> = past.queries.iter().map(|queries| queries.step(step_seconds)).collect();
        let began = Instant::now();
        let mut steps = self.steps.min(left);
        loop {
            let grid = Grid { first: self.next, step_seconds, steps };
            self.sheet.begin(&self.ids, grid);
            let mut answer = Ok(());
            for query in &queries {
                answer = past.source.query_range(query, grid, &mut self.sheet).await;
                if answer.is_err() {
                    break;
                }
            }
            match answer {
                Ok(()) => break,
                Err(why) if steps > 1 && is_too_much(&why) => steps /= 2,
                Err(why) => return Err(why.to_string()),
            }
        }
        self.sheet.end()?;
        self.steps = self.steps.min(steps);
        self.took = began.elapsed();
        for line in 0..steps {
            let end = self.next.saturating_add(i64::try_from(line).unwrap_or(0).saturating_mul(step_seconds));
            each(end, &self.sheet.line(line));
        }
        self.next += step_seconds * i64::try_from(steps).unwrap_or(1);
        Ok(true)
    }

    /// How many steps were read.
    pub fn done(&self, look: Look) -> i64 {
        (self.next - look.from_seconds) / look.step_seconds.max(1) - 1
    }

    /// How long the last chunk took; so long it is well to pause.
    pub fn took(&self) -> Duration {
        self.took
    }
}

/// Sums over parts of a week.
#[derive(Default)]
struct Sums(HashMap<TenantId, (Events, [Option<f64>; EDGES_MAX])>);

impl Sums {
    /// Adds a part. What is not known of one part is not known of the whole.
    fn add(&mut self, part: &Week) {
        let edges = part.slower().edges();
        for (place, (tenant, counts)) in part.counts().as_slice().iter().enumerate() {
            let (sum, above) = self.0.entry(*tenant).or_insert((Events::default(), [Some(0.0); EDGES_MAX]));
            (sum.bad, sum.total) = (sum.bad + counts.bad, sum.total + counts.total);
            for (above, edge) in above.iter_mut().zip(edges) {
                *above = above.zip(part.slower().above(place, *edge)).map(|(sum, more)| sum + more);
            }
        }
    }

    fn week(self, edges: &Arc<[f64]>) -> Week {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_unstable_by_key(|(tenant, _)| *tenant);
        let above = all.iter().flat_map(|(_, (_, above))| above.iter().take(edges.len()).copied());
        let slower = Slower::new(edges.clone(), above);
        Week::new(all.iter().map(|(tenant, (sum, _))| (*tenant, *sum)).collect()).with_slower(slower)
    }
}

/// Why there is no sum.
enum Failed {
    /// Prometheus could not be asked, or refused.
    Asking(ReadError),
    /// The answer is no good.
    Answer(String),
}

/// It says that it will not, and at once.
fn is_refusal(why: &ReadError) -> bool {
    matches!(why, ReadError::TooLarge { .. } | ReadError::Status { status: 400 | 413 | 422, .. })
}

/// A smaller query may do.
fn is_too_much(why: &ReadError) -> bool {
    match why {
        ReadError::TimedOut { .. } | ReadError::TooLarge { .. } => true,
        ReadError::Status { status, .. } => matches!(status, 400 | 413 | 422 | 500 | 503 | 504),
        ReadError::Settings(_)
        | ReadError::Unreachable { .. }
        | ReadError::Malformed { .. }
        | ReadError::Warning { .. } => false,
    }
}

#[cfg(test)]
mod tests;
