//! The name of a Rollout. Pure.

use std::fmt;

use breakwater_crds::Rollout;
use kube::{ResourceExt as _, core::DeserializeGuard, runtime::reflector::ObjectRef};

/// A Rollout as the watch brings it: one that does not decode stops itself only.
pub(super) type Guarded = DeserializeGuard<Rollout>;

/// Names a Rollout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of an object as the watch brings it.
    pub(super) fn of(object: &Guarded) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }

    /// The same for kube's controller.
    pub(super) fn object(&self) -> ObjectRef<Guarded> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
