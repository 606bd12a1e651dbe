//! What every reconcile of a term shares. No decision is made here.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    events::Recorder, handles::Handles, key::Key, mirrors::Mirrors, sessions::Sessions, wakes::Wakes,
};
use crate::{tasks::Alarm, tenants::Tenants};

/// What every reconcile shares while this process leads.
pub(super) struct Context {
    pub(super) handles: Handles,
    pub(super) mirrors: Mirrors,
    pub(super) tenants: Tenants,
    pub(super) recorder: Recorder,
    pub(super) wakes: Wakes,
    pub(super) sessions: Arc<Sessions>,
    pub(super) alarm: Alarm,
}

impl Context {
    pub(super) fn new(handles: Handles, mirrors: Mirrors, wakes: Wakes, alarm: Alarm) -> Self {
        let clock = handles.ground.clock.clone();
        let recorder = Recorder::new(handles.client().clone(), clock, handles.identity.clone());
        let tenants =
            Tenants::new(handles.ground.clients.watches.clone(), handles.ground.clock.clone(), alarm.clone());
        Self { handles, mirrors, tenants, recorder, wakes, sessions: Arc::default(), alarm }
    }

    /// Follows which Rollouts exist: what goes with others goes, and their markers are free.
    pub(super) fn keep(&self, existing: &BTreeSet<Key>) {
        for Key { namespace, name } in self.sessions.keep(existing) {
            self.handles.metrics.forget(&namespace, &name);
        }
        let names = existing.iter().map(|key| (key.namespace.as_str(), key.name.as_str()));
        self.tenants.set_rollouts(&self.handles.options.hub, names);
    }

    /// Asks for a reconcile of every Rollout.
    pub(super) fn wake_all(&self) {
        for key in self.sessions.keys() {
            self.wakes.wake(key);
        }
    }
}
