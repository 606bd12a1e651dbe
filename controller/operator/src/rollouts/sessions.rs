//! Every Rollout that is known: its memory, which only its own reconcile locks, and its board, which everybody reads. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    key::Key,
    session::Session,
    view::{Board, View},
};

/// The Rollouts of one term.
#[derive(Default)]
pub struct Sessions {
    entries: Mutex<BTreeMap<Key, Arc<Entry>>>,
}

/// One Rollout.
pub(super) struct Entry {
    /// For its own reconcile alone.
    pub(super) session: tokio::sync::Mutex<Session>,
    /// For everybody.
    pub(super) board: Board,
}

impl Sessions {
    /// One Rollout, made when it is first seen.
    pub(super) fn entry(&self, key: &Key) -> Arc<Entry> {
        self.lock().entry(key.clone()).or_insert_with(|| Entry::new(key)).clone()
    }

    /// One Rollout, if it is known.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Entry>> {
        self.lock().get(key).cloned()
    }

    /// The names of all.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.lock().keys().cloned().collect()
    }

    /// The newest views of all that were planned.
    pub(super) fn views(&self) -> Vec<(Key, Arc<View>)> {
        self.lock().iter().filter_map(|(key, entry)| Some((key.clone(), entry.board.view()?))).collect()
    }

    /// Follows which Rollouts exist; the memory of others goes, and with it their pipelines. Who went is returned.
    pub(super) fn keep(&self, existing: &BTreeSet<Key>) -> Vec<Key> {
        let mut entries = self.lock();
        let gone: Vec<Key> = entries.keys().filter(|key| !existing.contains(key)).cloned().collect();
        for key in &gone {
            entries.remove(key);
        }
        for key in existing {
            entries.entry(key.clone()).or_insert_with(|| Entry::new(key));
        }
        gone
    }

    /// Ends sending for good and waits for what was sent; true when all of it was answered.
    pub(super) async fn drain(&self, within: Duration) -> bool {
        let hands = self.views().into_iter().filter_map(|(_, view)| view.hands.clone());
        let drains = hands.map(|hands| async move { hands.drain(within).await });
        futures::future::join_all(drains).await.into_iter().all(|drained| drained)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(key: &Key) -> Arc<Self> {
        let session = tokio::sync::Mutex::new(Session::new(key.clone()));
        Arc::new(Self { session, board: Board::default() })
    }
}
