//! Follows Releases: each is noted as the watch brings it, and studied in a task of its own. I/O: a watch.
//!
//! `ConfigMap`s are not watched - a cluster has many, and few are ours - but asked for again every half minute.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use breakwater_crds::{Release, ReleaseSpec};
use futures::StreamExt as _;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::backoff::Pauses;

use super::{Asks, Known, Place, Releases, place};

/// How often `ConfigMap`s are asked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Every so many looks rows are counted anew: every ten minutes.
const ROWS_EVERY: u32 = 20;

/// The studies that run, one per Release at most.
#[derive(Default)]
struct Studies {
    running: JoinSet<()>,
    of: BTreeMap<Place, AbortHandle>,
}

impl Studies {
    /// Studies a Release as it is now; what is made of it as it was is broken off.
    fn begin(&mut self, releases: &Arc<Releases>, object: DynamicObject) {
        let (place, releases) = (place(&object), releases.clone());
        let handle = self.running.spawn(async move { releases.study(&object).await });
        if let Some(older) = self.of.insert(place, handle) {
            older.abort();
        }
    }

    fn is_running(&self, place: &Place) -> bool {
        self.of.get(place).is_some_and(|handle| !handle.is_finished())
    }

    /// Resolves when one has ended.
    async fn ended(&mut self) -> Result<(), JoinError> {
        match self.running.join_next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    fn sweep(&mut self) {
        self.of.retain(|_, handle| !handle.is_finished());
    }
}

impl Releases {
    /// Follows them until it is dropped.
    pub async fn follow(self: Arc<Self>) {
        let watches = self.ground.clients.watches.clone();
        let resource = ApiResource::erase::<Release>(&());
        let api: Api<DynamicObject> = Api::all_with(watches, &resource);
        let mut events = watcher(api, watcher::Config::default()).backoff(Pauses::of("Releases")).boxed();
        let mut again = tokio::time::interval(LOOK_AGAIN);
        let (mut seen, mut looks, mut studies) = (HashSet::new(), 0_u32, Studies::default());
        loop {
            tokio::select! {
                biased; // so that a rehearsal plays the same twice; what is rare comes first
                _ = again.tick() => {
                    for object in self.due(looks % ROWS_EVERY == 0, &studies) {
                        studies.begin(&self, object);
                    }
                    looks = looks.wrapping_add(1);
                }
                ended = studies.ended() => {
                    studies.sweep();
                    // A study that panicked leaves a Release unread for good: whoever watches over this task is told.
                    if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
                        std::panic::resume_unwind(panic);
                    }
                }
                event = events.next() => match event {
                    Some(event) => if let Some(object) = self.take(event, &mut seen) {
                        studies.begin(&self, object);
                    },
                    None => return,
                },
            }
        }
    }

    /// Takes an event; a Release that is to be studied comes back.
    fn take(
        &self,
        event: Result<watcher::Event<DynamicObject>, watcher::Error>,
        seen: &mut HashSet<Place>,
    ) -> Option<DynamicObject> {
        match event {
            Ok(watcher::Event::Init) => seen.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                seen.insert(place(&object));
                return self.noted(object);
            }
            Ok(watcher::Event::Apply(object)) => return self.noted(object),
            Ok(watcher::Event::Delete(object)) => self.forget(|of| *of == place(&object)),
            Ok(watcher::Event::InitDone) => {
                self.forget(|of| !seen.contains(of));
                self.could_read(None);
            }
            Err(error) => {
                tracing::warn!(%error, "watching Releases");
                // What was listed stands while a watch is interrupted: it goes on from there, without another list.
                if let watcher::Error::InitialListFailed(error) = error {
                    self.could_read(unlisted(&error));
                }
            }
        }
        None
    }

    fn noted(&self, object: DynamicObject) -> Option<DynamicObject> {
        let asks = self.note(object.clone());
        (asks == Asks::Reading).then_some(object)
    }

    fn could_read(&self, unread: Option<String>) {
        let mut known = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != unread {
            *known = unread;
            self.changed();
        }
        self.looked.send_replace(true);
    }

    fn forget(&self, which: impl Fn(&Place) -> bool) {
        let mut known = self.known();
        let before = known.len();
        known.retain(|place, _| !which(place));
        if known.len() != before {
            self.changed();
        }
    }

    /// Whose `ConfigMap`s are to be asked for again; of those that count rows, which is dear, only where that failed or is due.
    fn due(&self, rows_are_due: bool, studies: &Studies) -> Vec<DynamicObject> {
        let known = self.known();
        let due = |one: &&Known| {
            let counts = one.object.data["spec"]["migrations"].get("rowsFrom").is_some();
            let wanted = rows_are_due || !counts || one.facts.migrations.is_err();
            wanted && !studies.is_running(&place(&one.object)) && names_evidence(&one.object)
        };
        let mut objects: Vec<DynamicObject> =
            known.values().filter(due).map(|one| one.object.clone()).collect();
        drop(known);
        objects.sort_by_key(place);
        objects
    }
}

/// Whether a Release names anything that is to be read.
fn names_evidence(object: &DynamicObject) -> bool {
    let spec = serde_json::from_value::<ReleaseSpec>(object.data["spec"].clone());
    spec.is_ok_and(|spec| {
        let counts = spec.migrations.as_ref().is_some_and(|named| named.rows_from.is_some());
        counts || !spec.config_maps().is_empty()
    })
}

/// Why nobody knows what Releases say. Without the kind there are none.
fn unlisted(error: &kube::Error) -> Option<String> {
    let is_missing = matches!(error, kube::Error::Api(status) if status.is_not_found());
    (!is_missing).then(|| format!("Releases cannot be listed: {error}"))
}
