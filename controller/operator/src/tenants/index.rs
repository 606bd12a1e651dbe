//! The compact index of one Rollout's tenants, between the watches and the planner. No I/O; shared between tasks.
//!
//! Two watches fill it: by the spec's selector and by the marker's label. A tenant is known while either knows it, so
//! one that is relabelled out of the selector is still there to be reverted (R17). Lock order: index, then
//! surroundings.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use breakwater_plan::observed::{Readiness, Tenant};
use breakwater_slo::TenantId;
use jiff::Timestamp;
use kube::api::DynamicObject;
use tokio::sync::watch;

use super::fields::Derived;
use super::lens::{Digest, Lens, Surroundings};

/// Which watch speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The one by the spec's selector.
    Selector,
    /// The one by the marker's label.
    Marker,
}

impl Origin {
    const fn known(self) -> u8 {
        match self {
            Self::Selector => 1,
            Self::Marker => 2,
        }
    }

    /// Set for what the running list has shown.
    const fn listed(self) -> u8 {
        self.known() << 2
    }
}

/// The tenants of one Rollout.
#[derive(Debug)]
pub struct Index {
    lens: Arc<Lens>,
    surroundings: Arc<RwLock<Surroundings>>,
    inner: RwLock<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    tenants: Vec<Tenant>,
    /// Beside each tenant, what only the index needs.
    entries: Vec<Entry>,
    by_id: HashMap<TenantId, u32>,
    /// Until both watches have listed: the tenants that were ready under the former lens.
    inherited: HashMap<TenantId, Tenant>,
    /// Watches that have listed, as bits of [`Origin`].
    ended: u8,
    /// Counts changes of who is a tenant and how metrics call it.
    names: u64,
}

#[derive(Debug)]
struct Entry {
    /// Bits of [`Origin`].
    origins: u8,
    labels_match: bool,
    /// The resourceVersion as a number; 0 if it is none.
    revision: u64,
    foreign: Option<Arc<str>>,
    derived: Option<Arc<Derived>>,
}

/// The order of an object's states. Kubernetes promises since 1.35 (KEP-5504) what etcd always did: newer is greater.
fn revision(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(0)
}

impl Index {
    /// An empty index.
    pub fn new(lens: Arc<Lens>, surroundings: Arc<RwLock<Surroundings>>) -> Self {
        Self { lens, surroundings, inner: RwLock::default(), changes: watch::Sender::new(0) }
    }

    /// Takes over since when tenants are ready, so that an edited spec does not start every warm-up anew.
    pub fn inherit(&self, former: &Self) {
        let ready = |tenant: &&Tenant| matches!(tenant.readiness, Readiness::Ready { .. });
        let inherited =
            former.with(|all| all.iter().filter(ready).map(|tenant| (tenant.id, tenant.clone())).collect());
        self.write().inherited = inherited;
    }

    /// The lens through which it was filled.
    pub const fn lens(&self) -> &Arc<Lens> {
        &self.lens
    }

    /// Runs `f` on all tenants, in no particular order (mostly in that of their ids). Watches wait meanwhile, so `f` must not.
    pub fn with<R>(&self, f: impl FnOnce(&[Tenant]) -> R) -> R {
        f(&self.read().tenants)
    }

    /// Changes whenever a tenant comes or goes, or metrics call it otherwise; in a whole wave it does not.
    pub fn names(&self) -> u64 {
        self.read().names
    }

    /// A copy of all tenants; texts are shared.
    pub fn snapshot(&self) -> Vec<Tenant> {
        self.with(<[Tenant]>::to_vec)
    }

    /// A copy of one tenant.
    pub fn get(&self, id: TenantId) -> Option<Tenant> {
        let inner = self.read();
        inner.by_id.get(&id).map(|at| inner.tenants[*at as usize].clone())
    }

    /// How many tenants are known.
    pub fn len(&self) -> usize {
        self.read().tenants.len()
    }

    /// True when none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells when something changed that a plan may depend on; a new resourceVersion alone is nothing.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes those who wait for changes.
    pub(super) fn notify(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A watch starts to list all it knows.
    pub fn begin_list(&self, origin: Origin) {
        for entry in &mut self.write().entries {
            entry.origins &= !origin.listed();
        }
    }

    /// A watch has listed all: what it knew before and did not list vanished while nobody looked.
    pub fn end_list(&self, origin: Origin) {
        let mut inner = self.write();
        let mut at = 0;
        while at < inner.entries.len() {
            let origins = inner.entries[at].origins;
            let vanished = origins & origin.known() != 0 && origins & origin.listed() == 0;
            if !vanished || !inner.forget(at, origin) {
                at += 1;
            }
        }
        inner.ended |= origin.known();
        if inner.ended == Origin::Selector.known() | Origin::Marker.known() {
            inner.inherited = HashMap::new();
        }
        inner.order();
        drop(inner);
        self.notify();
    }

    /// A watch shows an object, in a list or because it changed.
    pub fn apply(&self, origin: Origin, object: &DynamicObject, now: Timestamp) {
        if self.is_known(origin, object) {
            return;
        }
        if let Some(digest) = self.lens.digest(object, now) {
            self.upsert(digest, Some(origin));
        }
    }

    /// A watch says that an object is out of its sight: deleted, or (selector watch) relabelled. The object it shows
    /// is the last one that matched, under a newer resourceVersion, so nothing else of it is believed.
    pub fn delete(&self, origin: Origin, object: &DynamicObject) {
        let meta = &object.metadata;
        let (Some(namespace), Some(name)) = (meta.namespace.as_deref(), meta.name.as_deref()) else {
            return;
        };
        let newer = revision(meta.resource_version.as_deref().unwrap_or_default());
        let mut inner = self.write();
        let Some(at) = inner.find(self.lens.tenant_id(namespace, name)) else {
            return;
        };
        if !inner.forget(at, origin) && origin == Origin::Selector && newer > inner.entries[at].revision {
            inner.entries[at].labels_match = false;
            inner.tenants[at].selected = false;
        }
        drop(inner);
        self.notify();
    }

    /// Takes over an object that was just written or read past every cache. It tells whether the object is (still)
    /// one of the index.
    pub fn apply_written(&self, object: &DynamicObject, now: Timestamp) -> bool {
        let Some(mut digest) = self.lens.digest(object, now) else {
            return false;
        };
        digest.tenant.confirmed = true;
        self.upsert(digest, None)
    }

    /// A read found nothing: the tenant is gone (R25), whatever a watch may still say.
    pub fn gone(&self, id: TenantId) {
        let mut inner = self.write();
        if let Some(at) = inner.find(id) {
            inner.remove(at);
        }
        drop(inner);
        self.notify();
    }

    /// Looks at the namespaces (or one of them) and the other Rollouts again.
    pub fn place_again(&self, namespace: Option<&str>) {
        let mut changed = false;
        {
            let mut inner = self.write();
            let surroundings = self.surroundings.read().unwrap_or_else(PoisonError::into_inner);
            let Inner { tenants, entries, .. } = &mut *inner;
            for (tenant, entry) in tenants.iter_mut().zip(entries) {
                if namespace.is_some_and(|namespace| *tenant.namespace != *namespace) {
                    continue;
                }
                let claim = |tenant: &Tenant| tenant.marker.as_ref().map(|marker| marker.claim.clone());
                let before = (tenant.selected, tenant.consented, claim(tenant));
                self.lens.place(tenant, entry.labels_match, entry.foreign.as_deref(), &surroundings);
                changed |= before != (tenant.selected, tenant.consented, claim(tenant));
            }
        }
        if changed {
            self.notify();
        }
    }

    /// Where the tenant's version stands, if that is derived from the object. It may be of a newer state than a plan:
    /// the planned resourceVersion in the patch makes that a conflict, and the tenant is read again (R25).
    pub(super) fn derived_of(&self, id: TenantId) -> Option<Arc<Derived>> {
        let inner = self.read();
        inner.find(id).and_then(|at| inner.entries[at].derived.clone())
    }

    /// The same object in the same state is not digested twice: both watches bring every marked tenant.
    fn is_known(&self, origin: Origin, object: &DynamicObject) -> bool {
        let meta = &object.metadata;
        let (Some(namespace), Some(name)) = (meta.namespace.as_deref(), meta.name.as_deref()) else {
            return true;
        };
        let mut inner = self.write();
        let Some(at) = inner.find(self.lens.tenant_id(namespace, name)) else {
            return false;
        };
        let known = &inner.tenants[at].object;
        let same = meta.uid.as_deref() == Some(&*known.uid)
            && meta.resource_version.as_deref() == Some(&*known.resource_version);
        if same {
            inner.entries[at].origins |= origin.known() | origin.listed();
        }
        same
    }

    fn upsert(&self, digest: Digest, origin: Option<Origin>) -> bool {
        let Digest { mut tenant, foreign, derived, born } = digest;
        let labels_match = tenant.selected;
        let bits = origin.map_or(0, |origin| origin.known() | origin.listed());
        let mut inner = self.write();
        {
            let surroundings = self.surroundings.read().unwrap_or_else(PoisonError::into_inner);
            self.lens.place(&mut tenant, labels_match, foreign.as_deref(), &surroundings);
        }
        let revision = revision(&tenant.object.resource_version);
        let entry = Entry { origins: bits, labels_match, revision, foreign, derived };
        let Some(at) = inner.find(tenant.id) else {
            // What no watch knows (a write's answer that overtook the deletion) is not brought back to life.
            if origin.is_none() {
                return false;
            }
            if let Some(former) = inner.inherited.remove(&tenant.id) {
                keep_since(&former, &mut tenant);
            } else if let Some(born) = born {
                tenant.readiness = Readiness::Ready { since: born };
            }
            inner.push(tenant, entry);
            drop(inner);
            self.notify();
            return true;
        };
        inner.entries[at].origins |= bits;
        if revision < inner.entries[at].revision {
            return true; // An echo of the past: the other watch, or our own write, was faster.
        }
        let old = &mut inner.tenants[at];
        keep_since(old, &mut tenant);
        // Something read past the caches stays so until another state replaces it.
        tenant.confirmed |= old.confirmed && old.object.resource_version == tenant.object.resource_version;
        let changed = differs(old, &tenant);
        let renamed = old.metric_id != tenant.metric_id;
        *old = tenant;
        inner.names += u64::from(renamed);
        let origins = inner.entries[at].origins;
        inner.entries[at] = Entry { origins, ..entry };
        drop(inner);
        if changed {
            self.notify();
        }
        true
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // Each change is complete before the next line that could panic.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready since when: while a tenant stays ready at its version that does not move, and never lies before the write
/// that made it so. After not being ready it is the object's own word, or the observation's time.
fn keep_since(old: &Tenant, new: &mut Tenant) {
    if old.object.uid != new.object.uid || old.version != new.version {
        return;
    }
    let written_at = new.marker.as_ref().map_or(Timestamp::MIN, |marker| marker.written_at);
    if let (Readiness::Ready { since: before }, Readiness::Ready { since }) =
        (&old.readiness, &mut new.readiness)
    {
        // The lens puts no readiness before its write, but for one in the future.
        let is_past = written_at <= *since;
        *since = if is_past { (*before).max(written_at) } else { *before };
    }
}

/// Whether a plan may depend on the difference.
fn differs(old: &Tenant, new: &Tenant) -> bool {
    let Tenant {
        id: _,
        namespace: _,
        name: _,
        object,
        metric_id,
        version,
        selected,
        selector_wave,
        excluded,
        dormant,
        terminating,
        consented,
        readiness,
        marker,
        foreign_owner,
        confirmed,
    } = new;
    old.object.uid != object.uid
        || old.metric_id != *metric_id
        || old.version != *version
        || old.selected != *selected
        || old.selector_wave != *selector_wave
        || old.excluded != *excluded
        || old.dormant != *dormant
        || old.terminating != *terminating
        || old.consented != *consented
        || old.readiness != *readiness
        || old.marker != *marker
        || old.foreign_owner != *foreign_owner
        || (*confirmed && !old.confirmed)
}

impl Inner {
    fn find(&self, id: TenantId) -> Option<usize> {
        self.by_id.get(&id).map(|at| *at as usize)
    }

    fn push(&mut self, tenant: Tenant, entry: Entry) {
        // More than 2^32 tenants do not fit into any cluster, nor into memory.
        let at = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        self.names += 1;
        self.by_id.insert(tenant.id, at);
        self.tenants.push(tenant);
        self.entries.push(entry);
    }

    /// Takes back one watch's word; true when nobody knows the tenant any more and it was removed.
    fn forget(&mut self, at: usize, origin: Origin) -> bool {
        self.entries[at].origins &= !(origin.known() | origin.listed());
        let unknown = self.entries[at].origins & (Origin::Selector.known() | Origin::Marker.known()) == 0;
        if unknown {
            self.remove(at);
        }
        unknown
    }

    fn remove(&mut self, at: usize) {
        self.names += 1;
        let removed = self.tenants.swap_remove(at);
        self.entries.swap_remove(at);
        self.by_id.remove(&removed.id);
        if let Some(moved) = self.tenants.get(at) {
            let at = u32::try_from(at).unwrap_or(u32::MAX); // As in `push`.
            self.by_id.insert(moved.id, at);
        }
    }

    /// Puts all in the order of their ids, in which counts come: to look one up after the other is then a walk.
    fn order(&mut self) {
        let mut all: Vec<(Tenant, Entry)> = self.tenants.drain(..).zip(self.entries.drain(..)).collect();
        all.sort_unstable_by_key(|(tenant, _)| tenant.id);
        (self.tenants, self.entries) = all.into_iter().unzip();
        // As in `push`.
        let at = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.by_id = self.tenants.iter().enumerate().map(|(i, tenant)| (tenant.id, at(i))).collect();
        self.tenants.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.by_id.shrink_to_fit();
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
