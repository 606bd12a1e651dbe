//! Reading past steps of one SLO, in bounded chunks and in order, by the very query of its steps. I/O.

use std::{sync::Arc, time::Duration};

use breakwater_plan::{observed::Counted, promql::Queries, study::Look};
use tokio::time::Instant;

use super::{
    ReadError,
    ids::TenantIds,
    read::Counts,
    sheet::{Grid, Sheet},
};

/// Most fields of a sheet, tenants times steps: some 10 MB, and an answer of some 30.
const FIELDS_MAX: usize = 200_000;
/// Most steps of a query: Prometheus refuses more than 11,000 points of a series.
const STEPS_MAX: usize = 1_000;

/// The past of one SLO.
pub(super) struct Past {
    pub(super) source: Arc<dyn Counts>,
    pub(super) queries: Queries,
}

/// What is still to be read of a look.
pub(super) struct Chunks {
    next: i64,
    look: Look,
    steps: usize,
    ids: Arc<TenantIds>,
    sheet: Sheet,
    took: Duration,
}

impl Past {
    /// Begins to read.
    pub(super) fn chunks(&self, look: Look, ids: &Arc<TenantIds>) -> Chunks {
        let tenants = ids.tenants().len().max(1);
        Chunks {
            next: look.from_seconds + look.step_seconds,
            look,
            steps: (FIELDS_MAX / tenants).clamp(1, STEPS_MAX),
            ids: ids.clone(),
            sheet: Sheet::new(self.queries.measure(), self.queries.labels().into()),
            took: Duration::ZERO,
        }
    }
}

impl Chunks {
    /// Reads the next chunk and hands over its steps; false when all is read. A Prometheus that refuses a chunk, or cannot
    /// bear it, is asked for half of it; at one step its reason is returned.
    pub(super) async fn read(
        &mut self,
        past: &Past,
        each: &mut (dyn FnMut(i64, &Counted) + Send),
    ) -> Result<bool, String> {
        let Look { until_seconds, step_seconds, .. } = self.look;
        if self.next > until_seconds {
            return Ok(false);
        }
        let left = usize::try_from((until_seconds - self.next) / step_seconds + 1).unwrap_or(1);
        let query = past.queries.step(step_seconds);
        let began = Instant::now();
        let mut steps = self.steps.min(left);
        loop {
            let grid = Grid { first: self.next, step_seconds, steps };
            self.sheet.begin(&self.ids, grid);
            let answer = past.source.query_range(&query, grid, &mut self.sheet).await;
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
            each(end, &Counted::from(self.sheet.line(line)));
        }
        self.next += step_seconds * i64::try_from(steps).unwrap_or(1);
        Ok(true)
    }

    /// How many steps were read.
    pub(super) fn done(&self, look: Look) -> i64 {
        (self.next - look.from_seconds) / look.step_seconds.max(1) - 1
    }

    /// How long the last chunk took; so long it is well to pause.
    pub(super) fn took(&self) -> Duration {
        self.took
    }
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
