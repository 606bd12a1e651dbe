//! The rounds that alerts are gone through by, whether or not anything comes in. I/O through [`Alerts`].

use std::{sync::Arc, time::Duration};

use super::Alerts;
use crate::clock::Clock;

/// How often remembered alerts are decided on again, for those that had not fired for long enough.
const REDECIDE_EVERY: Duration = Duration::from_secs(5);
/// How often Prometheus is asked for the alerts that fire.
const PULL_EVERY: Duration = Duration::from_mins(1);

/// Decides again on what is remembered, for ever.
pub(crate) async fn redecide_for_ever(alerts: Arc<Alerts>, clock: Clock) {
    loop {
        tokio::time::sleep(REDECIDE_EVERY).await;
        if let Err(error) = alerts.redecide(None, clock()).await {
            tracing::debug!(%error, "remembered alerts wait");
        }
    }
}

/// Asks Prometheus for the alerts that fire, for ever.
pub(crate) async fn pull_for_ever(alerts: Arc<Alerts>, clock: Clock) {
    loop {
        tokio::time::sleep(PULL_EVERY).await;
        alerts.pull(clock()).await;
    }
}
