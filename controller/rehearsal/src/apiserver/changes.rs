//! A counter and those who wait for it. They wake in the order in which they began to wait, whereas tokio's `watch` draws
//! that order by lot, and with it who hears first of what happened.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

/// The counter's owner.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    at: AtomicU64,
    moved: Notify,
}

impl Counter {
    /// Moves to another number; the same one is no news.
    pub(super) fn set(&self, to: u64) {
        if self.0.at.swap(to, Ordering::Relaxed) != to {
            self.0.moved.notify_waiters();
        }
    }

    /// Wakes all who wait, whatever the number.
    pub(super) fn wake(&self) {
        self.0.moved.notify_waiters();
    }

    /// Moves on by one.
    pub(super) fn advance(&self) {
        self.set(self.0.at.load(Ordering::Relaxed).wrapping_add(1));
    }

    /// Whoever waits from now on.
    pub(super) fn changes(&self) -> Changes {
        let counter = self.clone();
        let seen = counter.0.at.load(Ordering::Relaxed);
        Changes { counter, seen }
    }
}

/// Waits for changes of a counter.
#[derive(Debug, Clone)]
pub struct Changes {
    counter: Counter,
    seen: u64,
}

impl Changes {
    /// Resolves when the counter is another than when it was seen last, or all are woken.
    pub async fn changed(&mut self) {
        let mut moved = pin!(self.counter.0.moved.notified());
        moved.as_mut().enable(); // before looking, so that nothing is missed
        if self.counter.0.at.load(Ordering::Relaxed) == self.seen {
            moved.await;
        }
        self.seen = self.counter.0.at.load(Ordering::Relaxed);
    }

    /// What happened so far is known.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.counter.0.at.load(Ordering::Relaxed);
    }
}
