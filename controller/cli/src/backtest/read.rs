//! Reading the past of a backtest from Prometheus, by the queries of the controller, and handing it over step by step.
//! I/O through [`Telemetry`]; what is made of it is `breakwater_backtest`'s.

use std::sync::Arc;

use breakwater_backtest::{Backtest, Found, Outcome, Replay, Replayed, Taught, Wanted, instant};
use breakwater_operator::telemetry::{Counts, SloTelemetry, Telemetry, TenantIds, due::Rhythm};
use breakwater_plan::{observed::Counted, study::Look};

/// How far it is: which SLO, and the share of all that is to be read.
pub(super) type Progress<'a> = dyn FnMut(&str, f64) + Send + 'a;

/// Runs it; the error is what kept it from an answer.
pub(super) async fn backtest(
    wanted: &Wanted<'_>,
    source: Arc<dyn Counts>,
    progress: &mut Progress<'_>,
) -> Result<Outcome, String> {
    let spec = &wanted.checked.spec;
    let matchers = spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
    let mut telemetry = Telemetry::new(source, &spec.slos, matchers)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let found = look_round(wanted, telemetry.slos(), progress).await?;
    let backtest = Backtest::new(wanted, &found)?;
    let ids = Arc::new(TenantIds::new(backtest.named().iter().cloned()));
    let mut replayed = Vec::new();
    for found in &found {
        let name = &spec.slos[found.slo].name;
        // The end of the part that teaches is read twice, coarsely and finely: the bar waits for the second time.
        let mut most = 0.0_f64;
        let mut forward = |share: f64| {
            most = most.max(share);
            progress(name, most);
        };
        let replay = backtest.replay(found);
        let one = One { replay: &replay, slo: &telemetry.slos()[found.slo], ids: &ids };
        let done = one.run(&mut forward).await.map_err(|why| format!("{name}: {why}"))?;
        replayed.push((found, done));
    }
    Ok(backtest.outcome(replayed))
}

/// Who has series of each SLO and since when, and in which steps it is read.
async fn look_round(
    wanted: &Wanted<'_>,
    slos: &mut [SloTelemetry],
    progress: &mut Progress<'_>,
) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    let until = instant(wanted.until_seconds);
    for index in &wanted.slos {
        let name = &wanted.checked.spec.slos[*index].name;
        let slo = &mut slos[*index];
        let failed = |why: String| format!("{name}: {why}");
        let length = (wanted.until_seconds - wanted.from_seconds).max(1) as f64;
        let mut each = |at: i64| progress("tenants", (at - wanted.from_seconds) as f64 / length);
        let names = slo.names(wanted.from_seconds, wanted.until_seconds, &mut each).await.map_err(failed)?;
        let first_seconds = names.first_seconds().ok_or_else(|| failed(wanted.no_series()))?;
        let rhythm = slo.learn_rhythm(until).await.map_err(|why| failed(hinted(&why, until)))?;
        let Rhythm { step_seconds, lag_seconds } = rhythm;
        let names: Vec<Arc<str>> = names.iter().cloned().collect();
        if let Some(label) = absent(&wanted.checked.spec.slos[*index].tenant_labels, &names) {
            let why = format!(
                "tenantLabels: no series has the label {label}, so no tenant of a fleet would ever match; names are such as {:?}",
                names[0]
            );
            return Err(failed(why));
        }
        found.push(Found { slo: *index, names, first_seconds, step_seconds, lag_seconds });
    }
    Ok(found)
}

/// A label that is empty in every name: the series do not have it.
fn absent<'a>(labels: &'a [String], names: &[Arc<str>]) -> Option<&'a str> {
    let is_absent = |place: usize| {
        let part = |name: &Arc<str>| name.split('/').nth(place).is_none_or(str::is_empty);
        !names.is_empty() && names.iter().all(part)
    };
    labels.iter().enumerate().find(|(place, _)| is_absent(*place)).map(|(_, label)| label.as_str())
}

/// Why the rhythm is not known, with what to do where nothing is wrong with the SLO.
fn hinted(why: &str, until: jiff::Timestamp) -> String {
    if why.starts_with("the scrape interval") {
        format!("{why}, at {until}: choose --to so that there are data, or give the SLO a fixed step")
    } else {
        why.to_owned()
    }
}

/// One SLO, read for all waves and faults.
struct One<'a> {
    replay: &'a Replay<'a>,
    slo: &'a SloTelemetry,
    ids: &'a Arc<TenantIds>,
}

impl One<'_> {
    async fn run(&self, progress: &mut (dyn FnMut(f64) + Send)) -> Result<Replayed, String> {
        let watched = self.replay.watched();
        let week = self.slo.history(instant(watched.from_seconds), self.ids).await?;
        let mut taught = Taught::default();
        for look in self.replay.looks() {
            let mut lessons = self.replay.lessons(look, &week);
            self.read(look, &mut |end, counted| lessons.step(end, counted), progress).await?;
            taught = taught.and(lessons);
        }
        let trial = self.replay.trial(&week);
        let mut judges = self.replay.watches(&trial, taught);
        self.read(watched, &mut |end, counted| judges.step(end, counted), progress).await?;
        Ok(self.replay.finish(judges))
    }

    /// Reads a look in chunks and hands over its steps, in order.
    async fn read(
        &self,
        look: Look,
        each: &mut (dyn FnMut(i64, &Counted) + Send),
        progress: &mut (dyn FnMut(f64) + Send),
    ) -> Result<(), String> {
        let past = self.slo.past();
        let mut chunks = past.chunks(look, self.ids);
        while chunks.read(&past, &mut *each).await? {
            progress(self.replay.share(look, chunks.done(look)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_a_label_that_no_series_has_is_found() {
        let labels = ["namespace".to_owned(), "deployment".to_owned()];
        let names = |all: &[&str]| all.iter().map(|name| Arc::from(*name)).collect::<Vec<Arc<str>>>();
        assert_eq!(absent(&labels, &names(&["t00/", "t01/"])), Some("deployment"));
        assert_eq!(absent(&labels, &names(&["/a", "/b"])), Some("namespace"));
        assert_eq!(absent(&labels, &names(&["t00/", "t01/a"])), None);
        assert_eq!(absent(&labels[..1], &names(&["a/b"])), None);
    }
}
