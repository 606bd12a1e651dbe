//! Looking at an SLO as it is, before anybody is judged by it: whose series its newest step has, and what its series are
//! called where they are nobody's (R10). I/O.

use std::{collections::BTreeSet, sync::Arc};

use breakwater_plan::observed::{Seen, StepData};
use jiff::{SignedDuration, Timestamp};

use super::{
    due::Rhythm,
    ids::TenantIds,
    read::SloTelemetry,
    sink::{Rows, Sample},
};

/// Most labels that are told of.
const LABELS_MAX: usize = 12;

impl SloTelemetry {
    /// What the newest step says, or why there would be nothing to judge by.
    pub async fn sight(&mut self, now: Timestamp, ids: &Arc<TenantIds>) -> Result<Seen, String> {
        let rhythm = match self.learn_rhythm(now).await {
            Ok(rhythm) => rhythm,
            Err(why) => return Err(self.explained(why, now, None).await),
        };
        let newest = newest(rhythm, now).ok_or("no step is due yet")?;
        let (mut steps, error) = self.steps(&[newest], rhythm, now, ids).await;
        match (error, steps.pop().map(|step| step.data)) {
            (Some(why), _) => Err(why),
            (None, None) => Err("nothing was read".into()),
            (None, Some(StepData::Missing(why))) => Err(self.explained(why, now, Some(ids)).await),
            (None, Some(StepData::Values(values))) if values.is_empty() => {
                Err("the query has no value".into())
            }
            (None, Some(StepData::Values(_))) => Ok(Seen::Value),
            (None, Some(StepData::Counts(counted))) => {
                Ok(Seen::Tenants(counted.as_slice().iter().map(|(id, _)| *id).collect()))
            }
        }
    }

    /// With what would help: nothing is there at all, or which label names these tenants.
    async fn explained(&self, why: String, now: Timestamp, ids: Option<&TenantIds>) -> String {
        let past = self.past();
        let Some((query, total)) = past.queries().some_series().zip(past.queries().total()) else {
            return why;
        };
        let (mut rows, at) = (Rows::default(), self.settled(now));
        match (past.source.query(&query, at, &mut rows).await, ids) {
            (Ok(()), _) if rows.0.is_empty() => {
                format!("nothing matches {total}: check its name, its labels, and prometheus.matchers")
            }
            (Ok(()), Some(ids)) => format!("{why}; {}", labels(&rows.0, ids)),
            (Ok(()), None) | (Err(_), _) => why,
        }
    }
}

fn newest(rhythm: Rhythm, now: Timestamp) -> Option<i64> {
    let Rhythm { step_seconds, lag_seconds } = rhythm;
    let back = SignedDuration::from_secs(lag_seconds.saturating_add(step_seconds.saturating_mul(3)));
    rhythm.due(now.checked_sub(back).ok()?, now).into_iter().next_back()
}

/// Which label names tenants, or else which labels there are.
fn labels(series: &[Sample], ids: &TenantIds) -> String {
    let all = || series.iter().flat_map(|series| &series.labels).filter(|(name, _)| &**name != "__name__");
    if let Some((name, _)) = all().find(|(_, value)| ids.owner(value).is_some()) {
        return format!("tenantLabels: [{name}] would name them");
    }
    let names: BTreeSet<&str> = all().map(|(name, _)| &**name).collect();
    let names: Vec<&str> = names.into_iter().take(LABELS_MAX).collect();
    format!("the labels of the series are {}", names.join(", "))
}
