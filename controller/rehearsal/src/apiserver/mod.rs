//! An API server in memory, as a `tower::Service` under kube's client: no socket, no clock of its own, no chance.
//!
//! It behaves as kube-apiserver 1.34 does in what a controller can see: optimistic concurrency, preconditions,
//! generations, status subresources, finalizers, paged lists, streaming lists, watches with selectors, compaction.
//! `tests/suites/conformance.rs` runs random operations on both and compares. Not modelled, since nothing here depends
//! on it: authentication, RBAC, admission other than what a CRD's schema says, aggregated discovery, protobuf.

mod admission;
mod changes;
mod discovery;
mod failure;
mod kinds;
mod line;
mod merge;
mod object;
mod owners;
mod request;
mod scale;
mod schema;
mod selector;
mod store;
mod verbs;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use breakwater_operator::clock::Clock;
use jiff::Timestamp;
use serde_json::Value;

pub use self::{
    changes::Changes,
    failure::Failure,
    kinds::{Generation, Kind, Scope},
    line::{Call, Fate, Fates, Line, Unharmed},
    request::{Subresource, Verb},
    store::{Change, Write},
};
use self::{changes::Counter, kinds::Kinds, request::Target, store::Store};

/// The server. Clones are handles on the same one.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Mutex<Inner>>,
    changed: Counter,
    /// Moves when every open watch is to end.
    hung_up: Counter,
    clock: Clock,
}

struct Inner {
    kinds: Kinds,
    store: Store,
}

impl ApiServer {
    /// A server with the kinds that are built in and no object but the namespace `default`.
    pub fn new(clock: Clock) -> Self {
        let inner = Arc::new(Mutex::new(Inner { kinds: Kinds::builtin(), store: Store::default() }));
        let server = Self { inner, changed: Counter::default(), hung_up: Counter::default(), clock };
        server.namespace("default", &[]);
        server
    }

    /// Serves one more kind.
    pub fn serve(&self, kind: Kind) {
        self.lock().kinds.add(kind);
    }

    /// Serves the kind that a `CustomResourceDefinition` defines. The error says what of it is not understood.
    pub fn define(&self, crd: &Value) -> Result<(), String> {
        let kind = Kind::of_crd(crd)?;
        self.serve(kind);
        Ok(())
    }

    /// Creates a namespace.
    pub fn namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
            "status": {"phase": "Active"},
        });
        // Made by this very function, so only a second namesake can be refused, and that is there already.
        let _ = self.put(object);
    }

    /// Creates an object, its status included, as a test's set-up does.
    pub fn put(&self, object: Value) -> Result<Value, Failure> {
        let now = self.now();
        let mut inner = self.lock();
        let Inner { kinds, store } = &mut *inner;
        let stored = verbs::put(kinds, store, object, now)?;
        drop(inner);
        self.tell();
        Ok(stored.value.clone())
    }

    /// Puts an object back as another server held it, as a restored etcd does: its UID, owners and times are kept, and
    /// its resourceVersion is this server's.
    pub fn restore(&self, object: Value) -> Result<(), Failure> {
        let mut inner = self.lock();
        let Inner { kinds, store } = &mut *inner;
        verbs::restore(kinds, store, object)?;
        drop(inner);
        self.tell();
        Ok(())
    }

    /// An object as it is now.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let inner = self.lock();
        let kind = inner.kinds.named(kind)?;
        Some(inner.store.get(kind, namespace, name)?.value.clone())
    }

    /// All objects of a kind, in order of namespace and name.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let inner = self.lock();
        let Some(kind) = inner.kinds.named(kind) else { return Vec::new() };
        inner.store.of_kind(kind).map(|stored| stored.value.clone()).collect()
    }

    /// Looks at an object without copying it.
    pub fn look<T>(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        at: impl FnOnce(&Value) -> T,
    ) -> Option<T> {
        let inner = self.lock();
        let kind = inner.kinds.named(kind)?;
        inner.store.get(kind, namespace, name).map(|stored| at(&stored.value))
    }

    /// Changes an object as a rival does: whatever it likes, at once. False where there is no such object.
    pub fn modify(
        &self,
        user: &str,
        (kind, namespace, name): (&str, &str, &str),
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        let Some(id) = inner.kinds.named(kind) else { return false };
        let target = Target { kind: id, namespace: namespace.into(), name: name.into(), subresource: None };
        let changed = verbs::modify(&mut inner, &target, user, now, change);
        drop(inner);
        self.tell();
        changed
    }

    /// Puts a status in the place of an object's own. False where there is no such object.
    pub fn put_status(&self, (kind, namespace, name): (&str, &str, &str), status: &Value) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        let Some(id) = inner.kinds.named(kind) else { return false };
        let target = Target {
            kind: id,
            namespace: namespace.into(),
            name: name.into(),
            subresource: Some(Subresource::Status),
        };
        let put = |object: &mut Value| object["status"] = status.clone();
        let changed = verbs::modify(&mut inner, &target, "sre", now, put);
        drop(inner);
        self.tell();
        changed
    }

    /// Removes an object at once, whatever its finalizers.
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let mut inner = self.lock();
        let Some(kind) = inner.kinds.named(kind) else { return false };
        let was_there = inner.store.remove(kind, namespace, name).is_some();
        drop(inner);
        self.tell();
        was_there
    }

    /// Ends every open watch, as a server does that goes away.
    pub fn hang_up(&self) {
        self.hung_up.advance();
    }

    /// Forgets every past event: who watches from an older version is told 410.
    pub fn compact(&self) {
        self.lock().store.compact();
    }

    /// Keeps a record of every write from now on, for [`ApiServer::writes`].
    pub fn record(&self) {
        self.lock().store.record();
    }

    /// The writes since [`ApiServer::record`], oldest first.
    pub fn writes(&self) -> Vec<Write> {
        self.lock().store.writes().to_vec()
    }

    /// How many writes of a user to a kind changed something.
    pub fn writes_of(&self, user: &str, kind: &str) -> u64 {
        self.lock().store.writes_of(user, kind)
    }

    /// A counter that moves with every change of any object.
    pub fn changes(&self) -> Changes {
        self.changed.changes()
    }

    /// A client's line to the server: every call of `user` goes through `fates`.
    pub fn line(&self, user: &str, fates: Arc<dyn Fates>) -> Line {
        Line::new(self.clone(), user, fates)
    }

    /// A plain client.
    pub fn client(&self, user: &str) -> kube::Client {
        kube::Client::new(self.line(user, Arc::new(Unharmed)), "default")
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let version = self.lock().store.version();
        self.changed.set(version);
    }
}
