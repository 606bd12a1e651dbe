//! Virtual time: tokio's paused clock, and one wall clock derived from it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use breakwater_operator::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The time of one rehearsal. Tasks sleep by tokio's clock, which runs ahead whenever all of them wait; the wall clock
/// follows it and can be stepped, as an operator's does.
#[derive(Debug, Clone)]
pub struct VirtualTime {
    origin: Timestamp,
    began: Instant,
    stepped_ms: Arc<AtomicI64>,
}

impl VirtualTime {
    /// Begins at `origin`. Must be called inside a runtime whose clock is paused.
    pub fn begin(origin: Timestamp) -> Self {
        Self { origin, began: Instant::now(), stepped_ms: Arc::default() }
    }

    /// How long the rehearsal has run, whatever the wall clock says.
    pub fn elapsed(&self) -> SignedDuration {
        SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX)
    }

    /// The true time: as if the wall clock had never been stepped.
    pub fn truth(&self) -> Timestamp {
        self.origin.checked_add(self.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// What the wall clock of a controller says.
    pub fn now(&self) -> Timestamp {
        let stepped = SignedDuration::from_millis(self.stepped_ms.load(Ordering::Relaxed));
        self.truth().checked_add(stepped).unwrap_or(Timestamp::MAX)
    }

    /// Steps the wall clock, forth or back.
    pub fn step(&self, by: SignedDuration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(0);
        self.stepped_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The wall clock, for a controller.
    pub fn clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.now())
    }

    /// The true time, for the world around it: the API server's stamps, scrapes.
    pub fn true_clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.truth())
    }

    /// Waits until the rehearsal has run for `elapsed`.
    pub async fn sleep_until(&self, elapsed: SignedDuration) {
        let after = std::time::Duration::try_from(elapsed).unwrap_or_default();
        tokio::time::sleep_until(self.began + after).await;
    }
}
