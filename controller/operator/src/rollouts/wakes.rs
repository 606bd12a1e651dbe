//! Which Rollouts are to be reconciled: a set, so that however much happens each waits once. No I/O.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use super::key::Key;

/// Rollouts that wait for a reconcile, each once, in the order of their first wake. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Wakes {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Key>,
    known: HashSet<Key>,
}

impl Wakes {
    /// Asks for a reconcile; one that waits already is enough.
    pub(super) fn wake(&self, key: Key) {
        {
            let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if !waiting.known.insert(key.clone()) {
                return;
            }
            waiting.order.push_back(key);
        }
        self.shared.came.notify_one();
    }

    /// The next one, once there is one. A wake while it is reconciled makes it wait again. For one caller at a time.
    pub(super) async fn next(&self) -> Key {
        loop {
            let came = self.shared.came.notified();
            if let Some(key) = self.take() {
                return key;
            }
            came.await;
        }
    }

    fn take(&self) -> Option<Key> {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = waiting.order.pop_front()?;
        waiting.known.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "ops".into(), name: name.into() }
    }

    #[tokio::test]
    async fn many_wakes_are_one_and_none_is_lost() {
        let wakes = Wakes::default();
        for _ in 0..1_000 {
            wakes.wake(key("a"));
            wakes.wake(key("b"));
        }
        assert_eq!((wakes.next().await, wakes.next().await), (key("a"), key("b")));
        assert_eq!(wakes.next().now_or_never(), None);
        let (waits, other) = (wakes.clone(), tokio::spawn(async move { wakes.next().await }));
        tokio::task::yield_now().await;
        waits.wake(key("a"));
        assert_eq!(
            other.await.unwrap(),
            key("a"),
            "one that comes while nobody waits in line wakes the waiter"
        );
        waits.wake(key("a"));
        assert_eq!(waits.next().await, key("a"), "once it was taken it may wait again");
    }
}
