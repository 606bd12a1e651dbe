//! Releases: followed ([`follow`]), the evidence that they name read ([`evidence`]), assessed ([`assess()`]), their status written.
//! What is known of them is here. I/O but for the assessment.
//!
//! What a Release says by itself - its version, lane, whether it is withdrawn - is known as soon as the watch brings it; its
//! evidence is read in a task of its own, and nobody waits for another one's. A Release that cannot be decoded is one whose
//! evidence nobody knows; Releases that cannot be listed keep versions from starting.

mod assess;
mod evidence;
mod follow;
mod rows;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use assess::{Assessed, Map, Named, assess};
use breakwater_crds::{Release, ReleaseSpec, ReleaseStatus, release::is_for};
use breakwater_plan::release::Release as Facts;
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use tokio::sync::{Semaphore, watch};

use crate::ground::Ground;

/// Most Releases whose rows are counted at once.
const ROWS_AT_ONCE: usize = 4;
/// How long the evidence of those that were listed first is waited for.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// Why nobody knows yet what the evidence of a Release comes to.
const READING: &str = "its evidence is being read";

/// Where a Release is: namespace and name.
type Place = (String, String);

/// Every Release, assessed.
pub struct Releases {
    ground: Ground,
    known: Mutex<BTreeMap<Place, Known>>,
    /// Why they cannot be listed.
    unread: Mutex<Option<String>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// True once they were listed, or could not be.
    looked: watch::Sender<bool>,
    counting: Semaphore,
}

/// One of them.
struct Known {
    object: DynamicObject,
    rollouts: Vec<String>,
    facts: Facts,
    /// What is to stand in its status; `None` while the evidence of its present spec is read.
    status: Option<ReleaseStatus>,
}

/// What a noted Release asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Nothing: it is known as it is.
    Nothing,
    /// Its evidence is to be read, and its status written.
    Reading,
}

impl Releases {
    /// None yet.
    pub fn new(ground: Ground) -> Arc<Self> {
        Arc::new(Self {
            ground,
            known: Mutex::default(),
            unread: Mutex::default(),
            changes: watch::Sender::new(0),
            looked: watch::Sender::new(false),
            counting: Semaphore::new(ROWS_AT_ONCE),
        })
    }

    /// Those that are for a Rollout, in order of their names.
    pub fn of(&self, namespace: &str, rollout: &str) -> Vec<Facts> {
        let known = self.known();
        let mut found: Vec<Facts> = known
            .iter()
            .filter(|((of, _), one)| of == namespace && is_for(&one.rollouts, rollout))
            .map(|(_, one)| one.facts.clone())
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Why they cannot be listed, if so.
    pub fn unread(&self) -> Option<String> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts changes of what [`Releases::of`] and [`Releases::behind`] say.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Resolves once they were listed, or could not be, and their evidence was read, for as long as that may take: after a
    /// change of leaders a revert must neither wait for it long, nor be held for want of it.
    pub async fn looked(&self) {
        let _ = self.looked.subscribe().wait_for(|looked| *looked).await; // the sender lives as long as this
        let read = async {
            let mut changes = self.changes();
            while self.known().values().any(|one| one.status.is_none()) && changes.changed().await.is_ok() {}
        };
        let _ = tokio::time::timeout(READ_WITHIN, read).await; // what is not known by then is unknown, and holds
    }

    /// Asks the API whether it has Releases that are not known as they are now, or one of a Rollout whose evidence is still
    /// being read; which, in words. A version and the Release that withdraws it may come in the same moment.
    pub async fn behind(&self, namespace: &str, rollout: &str) -> Result<Option<String>, kube::Error> {
        let api: Api<Release> = Api::namespaced(self.ground.clients.requests.clone(), namespace);
        let there = match api.list_metadata(&ListParams::default()).await {
            Ok(there) => there.items,
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let known = self.known();
        Ok(there.iter().find_map(|one| {
            let name = one.name_any();
            match known.get(&(namespace.to_owned(), name.clone())) {
                Some(known) if known.object.resource_version() == one.resource_version() => {
                    let is_read = known.status.is_some() || !is_for(&known.rollouts, rollout);
                    (!is_read).then(|| format!("Release {name}: {READING}"))
                }
                Some(_) | None => Some(format!("Release {name} was not looked at as it is now")),
            }
        }))
    }

    /// Notes a Release as the watch brings it: what it says by itself is known from here on.
    fn note(&self, object: DynamicObject) -> Asks {
        let (place, name) = (place(&object), object.name_any());
        let spec = serde_json::from_value::<ReleaseSpec>(object.data["spec"].clone());
        let mut known = self.known();
        let old = known.get(&place);
        if let Some(Known { object: noted, status: Some(status), .. }) = old
            && noted.data["spec"] == object.data["spec"]
            && says(&object, status)
        {
            // A status that we wrote, a label of somebody's: nothing to assess.
            if let Some(known) = known.get_mut(&place) {
                known.object = object;
            }
            return Asks::Nothing;
        }
        let facts = match &spec {
            Ok(spec) => {
                let plain = assess::plain(&name, spec, READING);
                // What it came to before stands until it is known what it comes to now.
                match old.map(|old| old.facts.clone()) {
                    Some(Facts { migrations, load_tests, .. }) => Facts { migrations, load_tests, ..plain },
                    None => plain,
                }
            }
            Err(error) => undecoded(&object, &format!("cannot be decoded: {error}")).release,
        };
        let rollouts = spec.map(|spec| spec.rollouts).unwrap_or_default();
        let is_news = old.is_none_or(|old| old.facts != facts || old.rollouts != rollouts);
        known.insert(place, Known { object, rollouts, facts, status: None });
        drop(known);
        if is_news {
            self.changed();
        }
        Asks::Reading
    }

    /// Takes what the evidence of a Release came to; it is dropped where the Release says something else by now. The object
    /// comes back, if its status is to be written.
    fn assessed(&self, of: &DynamicObject, assessed: &Assessed) -> Option<DynamicObject> {
        let mut known = self.known();
        let one = known.get_mut(&place(of)).filter(|one| one.object.data["spec"] == of.data["spec"])?;
        let is_news = one.facts != assessed.release || one.status.is_none();
        one.facts = assessed.release.clone();
        one.status = Some(assessed.status.clone());
        let object = (!says(&one.object, &assessed.status)).then(|| one.object.clone());
        drop(known);
        if is_news {
            self.changed();
        }
        object
    }

    /// Takes a Release as it is since its status was written, unless the watch has brought a newer one.
    fn written(&self, before: &DynamicObject, after: DynamicObject) {
        let mut known = self.known();
        let one = known.get_mut(&place(before));
        if let Some(one) = one.filter(|one| one.object.resource_version() == before.resource_version()) {
            one.object = after;
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Place, Known>> {
        // Each change is one insertion, removal or assignment: a poisoned lock holds whole values.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a Release has this status.
fn says(object: &DynamicObject, status: &ReleaseStatus) -> bool {
    let status = serde_json::to_value(status);
    status.is_ok_and(|status| object.data.get("status") == Some(&status))
}

fn place(object: &DynamicObject) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A Release of which nothing but its version is known, and whether it is withdrawn.
fn undecoded(object: &DynamicObject, why: &str) -> Assessed {
    let text = |field: &str| object.data["spec"][field].as_str().map(str::to_owned);
    let release = Facts {
        name: object.name_any(),
        version: text("version").unwrap_or_default(),
        lane: breakwater_crds::release::Lane::Normal,
        withdrawn: text("withdrawn"),
        fixes: Vec::new(),
        includes_since: None,
        migrations: Err(why.to_owned()),
        load_tests: Vec::new(),
    };
    let status = ReleaseStatus {
        observed_generation: object.metadata.generation.unwrap_or_default(),
        message: why.to_owned(),
        ..ReleaseStatus::default()
    };
    Assessed { release, status }
}

#[cfg(test)]
mod tests;
