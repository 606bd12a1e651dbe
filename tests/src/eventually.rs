//! Waiting for a state, with a deadline and a useful last word. No fixed sleeps in suites: poll.

use std::fmt::Display;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);

/// Polls `probe` until it answers `Ok`, at most for `timeout`. A probe's `Err` is the state it saw instead; the
/// last one is reported when time runs out. A probe that hangs counts as time running out.
pub async fn eventually<T, E: Display>(
    what: &str,
    timeout: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + timeout;
    let mut last = String::from("the first look never ended");
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left.max(POLL), probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => last = format!("{seen:#}"),
            Err(_) => {
                anyhow::bail!("not within {timeout:?}: {what}; a look hung, the last state seen: {last}")
            }
        }
        if Instant::now() >= deadline {
            anyhow::bail!("not within {timeout:?}: {what}; last seen: {last}");
        }
        tokio::time::sleep(POLL).await;
    }
}
