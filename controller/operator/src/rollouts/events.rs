//! Events of Rollouts, stamped by the controller's clock. I/O.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use breakwater_crds::marker::stable_hash;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event as Stored, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::events::{Event, EventType},
};

use crate::clock::Clock;

/// How long after its last occurrence an Event that occurs again is counted on, as in client-go.
const SERIES: SignedDuration = SignedDuration::from_mins(6);
/// Who reports.
const REPORTER: &str = "breakwater";

/// Namespace and name of what an Event is about, its type and its reason.
type Key = (String, String, &'static str, String);

/// Stores Events. kube's own recorder reads the system's clock, which a rehearsal has not.
pub(super) struct Recorder {
    client: Client,
    clock: Clock,
    /// The process that reports.
    instance: String,
    /// The last of each kind, and when it occurred.
    series: Mutex<BTreeMap<Key, (Stored, Timestamp)>>,
}

impl Recorder {
    pub(super) fn new(client: Client, clock: Clock, instance: String) -> Self {
        Self { client, clock, instance, series: Mutex::default() }
    }

    /// Stores an Event about an object: a new one, or another occurrence of one that was stored a moment ago.
    pub(super) async fn publish(&self, event: &Event, about: &ObjectReference) -> Result<(), kube::Error> {
        let now = (self.clock)();
        let key = key(event, about);
        let known = {
            let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            series.retain(|_, (_, at)| now.duration_since(*at) <= SERIES);
            series.get(&key).map(|(stored, _)| stored.clone())
        };
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let events: Api<Stored> = Api::namespaced(self.client.clone(), namespace);
        let stored = if let Some(known) = known {
            let again = occurred_again(known, now);
            events.patch(&again.name_any(), &PatchParams::default(), &Patch::Merge(&again)).await?;
            again
        } else {
            let first = self.first(event, about, now);
            events.create(&PostParams::default(), &first).await?;
            first
        };
        self.series.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (stored, now));
        Ok(())
    }

    fn first(&self, event: &Event, about: &ObjectReference, now: Timestamp) -> Stored {
        // Several may occur in one instant, so the name is of what is said as well.
        let instant = now.as_nanosecond().to_string();
        let hash = stable_hash(&[&instant, &event.reason, event.note.as_deref().unwrap_or_default()]);
        let stem = about.name.as_deref().unwrap_or(REPORTER);
        Stored {
            metadata: ObjectMeta {
                namespace: about.namespace.clone(),
                name: Some(format!("{stem}.{hash:016x}")),
                ..ObjectMeta::default()
            },
            action: Some(event.action.clone()),
            reason: Some(event.reason.clone()),
            note: event.note.clone(),
            type_: Some(type_of(event).into()),
            event_time: Some(MicroTime(now)),
            regarding: Some(about.clone()),
            related: event.secondary.clone(),
            reporting_controller: Some(REPORTER.into()),
            reporting_instance: Some(self.instance.clone()),
            ..Stored::default()
        }
    }
}

fn key(event: &Event, about: &ObjectReference) -> Key {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&about.namespace), text(&about.name), type_of(event), event.reason.clone())
}

const fn type_of(event: &Event) -> &'static str {
    match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    }
}

fn occurred_again(known: Stored, now: Timestamp) -> Stored {
    let count = known.series.as_ref().map_or(2, |series| series.count.saturating_add(1));
    Stored { series: Some(EventSeries { count, last_observed_time: MicroTime(now) }), ..known }
}
