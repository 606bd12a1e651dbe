//! Objects, and what happened to them: one counter of versions, a bounded log per kind. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    kinds::KindId,
    object::Stored,
    request::{Subresource, Verb},
};

/// Most events that are kept per kind; who watches from before the oldest is told 410.
const EVENTS_MAX: usize = 20_000;
/// Most lists whose further pages are kept.
const PAGES_MAX: usize = 64;

type Key = (String, String);

/// All objects of all kinds.
#[derive(Debug, Default)]
pub(super) struct Store {
    version: u64,
    born: u64,
    objects: BTreeMap<KindId, BTreeMap<Key, Arc<Stored>>>,
    logs: BTreeMap<KindId, Log>,
    pages: VecDeque<(u64, Arc<[Arc<Stored>]>)>,
    writes: Option<Vec<Write>>,
    /// By user and kind.
    counts: BTreeMap<(String, String), u64>,
}

#[derive(Debug, Default)]
struct Log {
    /// Up to this version events are forgotten.
    compacted: u64,
    events: VecDeque<Event>,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) before: Option<Arc<Stored>>,
    /// `None`: removed.
    pub(super) after: Option<Arc<Stored>>,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new object.
    Created,
    /// Another version of it.
    Changed,
    /// It is gone.
    Removed,
}

/// A write that changed something, for those who check what a controller did.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// When, by the server's clock.
    pub at: Timestamp,
    /// By whom.
    pub user: String,
    /// How.
    pub verb: Verb,
    /// What it did.
    pub change: Change,
    /// The kind.
    pub kind: String,
    /// The subresource, if one was written.
    pub subresource: Option<Subresource>,
    /// The object before.
    pub before: Option<serde_json::Value>,
    /// The object after.
    pub after: Option<serde_json::Value>,
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// A version that nothing has yet.
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// A UID that nothing has yet.
    pub(super) fn next_uid(&mut self) -> String {
        self.born += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.born)
    }

    /// Five characters for a generated name.
    pub(super) fn next_suffix(&mut self) -> String {
        self.born += 1;
        format!("{:05x}", self.born)
    }

    pub(super) fn get(&self, kind: KindId, namespace: &str, name: &str) -> Option<&Arc<Stored>> {
        self.objects.get(&kind)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub(super) fn of_kind(&self, kind: KindId) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    /// All objects that name `uid` as an owner.
    pub(super) fn owned_by(&self, uid: &str) -> Vec<(KindId, Arc<Stored>)> {
        let owned = |stored: &Stored| {
            let owners = stored.value.pointer("/metadata/ownerReferences").and_then(|o| o.as_array());
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
        };
        let all = self.objects.iter().flat_map(|(kind, objects)| objects.values().map(|o| (*kind, o)));
        all.filter(|(_, stored)| owned(stored)).map(|(kind, stored)| (kind, stored.clone())).collect()
    }

    /// Puts an object in, over what was there.
    pub(super) fn set(&mut self, kind: KindId, stored: Stored) -> Arc<Stored> {
        let key = (stored.namespace().to_owned(), stored.name().to_owned());
        let stored = Arc::new(stored);
        let before = self.objects.entry(kind).or_default().insert(key, stored.clone());
        self.log(kind, Event { version: stored.version, before, after: Some(stored.clone()) });
        stored
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, kind: KindId, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        let objects = self.objects.get_mut(&kind)?;
        let before = objects.remove(&(namespace.to_owned(), name.to_owned()))?;
        let version = self.next_version();
        // What a watcher is told last carries the version of the removal.
        let last = Arc::new(Stored::new(before.value.clone(), version));
        self.log(kind, Event { version, before: Some(last.clone()), after: None });
        Some(last)
    }

    fn log(&mut self, kind: KindId, event: Event) {
        let log = self.logs.entry(kind).or_default();
        log.events.push_back(event);
        if log.events.len() > EVENTS_MAX
            && let Some(oldest) = log.events.pop_front()
        {
            log.compacted = oldest.version;
        }
    }

    pub(super) fn compact(&mut self) {
        let version = self.version;
        for log in self.logs.values_mut() {
            log.events.clear();
            log.compacted = version;
        }
        self.pages.clear();
    }

    /// Events of a kind after `version`, oldest first; `None` where some of them are forgotten.
    pub(super) fn since(&self, kind: KindId, version: u64) -> Option<impl Iterator<Item = &Event>> {
        let log = self.logs.get(&kind);
        if log.is_some_and(|log| version < log.compacted) {
            return None;
        }
        let events = log.map(|log| &log.events);
        let from = events.map_or(0, |events| events.partition_point(|event| event.version <= version));
        Some(events.into_iter().flat_map(move |events| events.range(from..)))
    }

    /// Keeps the rest of a list for its further pages.
    pub(super) fn keep_page(&mut self, version: u64, rest: Arc<[Arc<Stored>]>) -> u64 {
        self.born += 1;
        let token = self.born;
        self.pages.push_back((token, rest));
        if self.pages.len() > PAGES_MAX {
            self.pages.pop_front();
        }
        debug_assert!(version <= self.version);
        token
    }

    pub(super) fn page(&self, token: u64) -> Option<Arc<[Arc<Stored>]>> {
        self.pages.iter().find(|(known, _)| *known == token).map(|(_, rest)| rest.clone())
    }

    pub(super) fn record(&mut self) {
        self.writes.get_or_insert_default();
    }

    pub(super) fn writes_of(&self, user: &str, kind: &str) -> u64 {
        self.counts.get(&(user.to_owned(), kind.to_owned())).copied().unwrap_or(0)
    }

    pub(super) fn note(&mut self, user: &str, kind: &str, write: impl FnOnce() -> Write) {
        *self.counts.entry((user.to_owned(), kind.to_owned())).or_default() += 1;
        if let Some(writes) = &mut self.writes {
            writes.push(write());
        }
    }

    pub(super) fn writes(&self) -> &[Write] {
        self.writes.as_deref().unwrap_or_default()
    }
}
