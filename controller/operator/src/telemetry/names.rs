//! Which tenants the recorded series name, and since when there are any: for who has metrics and no cluster. I/O.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    read::SloTelemetry,
    sheet::Grid,
    sink::{Labels, Sink},
};

/// How far apart the instants are at which is looked: a tenant that lives less than that may be missed.
const EVERY_SECONDS: i64 = 3_600;
/// Most instants of a query: a day.
const INSTANTS_MAX: i64 = 24;
/// Most tenants.
pub const NAMES_MAX: usize = 200_000;

/// Tenants as the series name them.
#[derive(Debug, Default)]
pub struct Names {
    all: BTreeSet<Arc<str>>,
    first_seconds: Option<i64>,
}

impl Names {
    /// The names: labels joined by slashes, as in `tenants.id`; in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.all.iter()
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Nobody has series.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The first instant at which anybody had series, in unix seconds, to the hour.
    pub fn first_seconds(&self) -> Option<i64> {
        self.first_seconds
    }
}

impl SloTelemetry {
    /// Looks who has series in `(from_seconds, until_seconds]`, hour by hour and a day at a time, oldest first. `each` is
    /// told up to which second it has come.
    pub async fn names(
        &self,
        from_seconds: i64,
        until_seconds: i64,
        each: &mut (dyn FnMut(i64) + Send),
    ) -> Result<Names, String> {
        let mut found = Found { names: Names::default(), labels: self.past().queries().labels().into() };
        let Some(query) = self.past().queries().tenants() else { return Ok(found.names) };
        let mut next = from_seconds.saturating_add(EVERY_SECONDS).min(until_seconds);
        while next <= until_seconds {
            let left = (until_seconds - next) / EVERY_SECONDS + 1;
            let steps = usize::try_from(left.clamp(1, INSTANTS_MAX)).unwrap_or(1);
            let grid = Grid { first: next, step_seconds: EVERY_SECONDS, steps };
            self.past().source.query_range(&query, grid, &mut found).await.map_err(|why| why.to_string())?;
            each(grid.last());
            next = grid.last().saturating_add(EVERY_SECONDS);
        }
        Ok(found.names)
    }
}

/// Collects names as an answer comes in.
struct Found {
    names: Names,
    labels: Arc<[String]>,
}

impl Sink for Found {
    fn series(&mut self, labels: Labels<'_>) -> Result<(), String> {
        let mut parts = vec![String::new(); self.labels.len()];
        labels.each(|name, value| {
            if let Some(at) = self.labels.iter().position(|label| label == name) {
                value.clone_into(&mut parts[at]);
            }
        })?;
        let name = parts.join("/");
        if !self.names.all.contains(&*name) {
            if self.names.all.len() >= NAMES_MAX {
                return Err(format!("more than {NAMES_MAX} tenants"));
            }
            self.names.all.insert(name.into());
        }
        Ok(())
    }

    fn sample(&mut self, at: f64, _: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "seconds since the epoch")]
        let at = at.round() as i64;
        self.names.first_seconds = Some(self.names.first_seconds.map_or(at, |first| first.min(at)));
    }
}
