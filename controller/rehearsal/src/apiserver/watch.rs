//! Watches: events after a version, selected, until the time-out the client asked for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ApiServer, Inner,
    failure::Failure,
    line::Never,
    object::Stored,
    request::{Query, Target},
    selector::Selector,
    store::Event,
};

/// Longest watch, and the one of clients that name none.
const TIMEOUT_MAX: Duration = Duration::from_mins(30);

/// The version up to which the watches of a line tell what happened.
#[derive(Debug, Clone)]
pub(super) struct Held(Arc<AtomicU64>);

impl Default for Held {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl Held {
    pub(super) fn hold(&self, version: u64) {
        self.0.store(version, Ordering::Relaxed);
    }

    pub(super) fn release(&self) {
        self.hold(u64::MAX);
    }

    fn version(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A watch that was accepted.
#[derive(Debug)]
pub(super) struct Watch {
    target: Target,
    selector: Selector,
    /// What was already told.
    version: u64,
    /// Lines that are told first.
    first: Vec<u8>,
    bookmarks: bool,
    timeout: Duration,
    ended: bool,
}

/// Opens a watch.
pub(super) fn open(inner: &Inner, target: &Target, query: &Query) -> Result<Watch, Failure> {
    let selector = super::verbs::selector(target, query)?;
    let initial = query.is("sendInitialEvents");
    let text = query.text("resourceVersion");
    let asked = if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let asked = asked.ok_or_else(|| Failure::bad_request(format!("invalid resourceVersion {text:?}")))?;
    let bookmarks = query.is("allowWatchBookmarks");
    if initial && !bookmarks {
        return Err(Failure::invalid(
            "ListOptions",
            "",
            vec![(
                "sendInitialEvents".into(),
                "Forbidden: sendInitialEvents requires setting allowWatchBookmarks to true".into(),
            )],
        ));
    }
    let seconds = query.number("timeoutSeconds").map_or(TIMEOUT_MAX, Duration::from_secs);
    let mut watch = Watch {
        target: target.clone(),
        selector,
        version: asked,
        first: Vec::new(),
        bookmarks,
        timeout: seconds.min(TIMEOUT_MAX),
        ended: false,
    };
    // Without a version, and with 0, the state as it is comes first, as added objects.
    if initial || asked == 0 {
        watch.version = inner.store.version();
        let mut lines = Vec::new();
        for stored in inner.store.of_kind(target.kind).filter(|stored| watch.sees(stored)) {
            line(&mut lines, "ADDED", &stored.json);
        }
        if initial {
            bookmark(&mut lines, inner, &watch.target, watch.version, true);
        }
        watch.first = lines;
    } else if inner.store.since(target.kind, asked).is_none() {
        watch.expire();
    }
    Ok(watch)
}

impl Watch {
    fn sees(&self, stored: &Stored) -> bool {
        (self.target.namespace.is_empty() || stored.namespace() == self.target.namespace)
            && self.selector.matches(&stored.value)
    }

    /// Tells that what is asked for is forgotten; nothing follows.
    fn expire(&mut self) {
        line(&mut self.first, "ERROR", &Failure::expired().status().to_string());
        self.ended = true;
    }

    /// Everything that is new, up to a version.
    fn news(&mut self, inner: &Inner, held: u64) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.first);
        if self.ended {
            return lines;
        }
        let Some(events) = inner.store.since(self.target.kind, self.version) else {
            self.expire();
            lines.append(&mut self.first);
            return lines;
        };
        for event in events.take_while(|event| event.version <= held) {
            self.tell(event, &mut lines);
        }
        self.version = self.version.max(inner.store.version().min(held));
        lines
    }

    /// An object that comes into view is added, one that leaves it is deleted, whatever happened to it.
    fn tell(&self, event: &Event, lines: &mut Vec<u8>) {
        let seen = |stored: &Option<Arc<Stored>>| stored.as_ref().is_some_and(|s| self.sees(s));
        match (seen(&event.before), seen(&event.after), &event.before, &event.after) {
            (false, true, _, Some(after)) => line(lines, "ADDED", &after.json),
            (true, true, _, Some(after)) => line(lines, "MODIFIED", &after.json),
            (true, false, Some(before), None) => line(lines, "DELETED", &before.json),
            // What is told is the object as it was seen last, with the version of the change.
            (true, false, Some(before), Some(_)) => {
                line(lines, "DELETED", &Stored::new(before.value.clone(), event.version).json);
            }
            _ => {}
        }
    }
}

fn line(lines: &mut Vec<u8>, kind: &str, object: &str) {
    lines.extend_from_slice(b"{\"type\":\"");
    lines.extend_from_slice(kind.as_bytes());
    lines.extend_from_slice(b"\",\"object\":");
    lines.extend_from_slice(object.as_bytes());
    lines.extend_from_slice(b"}\n");
}

fn bookmark(lines: &mut Vec<u8>, inner: &Inner, target: &Target, version: u64, initial: bool) {
    let kind = inner.kinds.at(target.kind);
    let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
    if initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object: Value = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
    line(lines, "BOOKMARK", &object.to_string());
}

/// The body of a watch.
pub(super) fn stream(
    server: ApiServer,
    watch: Watch,
    held: Held,
    cut: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Never>> + Send + 'static {
    let ends_at = Instant::now() + watch.timeout;
    let changes = server.changes();
    let hung_up = server.hung_up.changes();
    futures::stream::unfold(Some((server, watch, changes)), move |state| {
        let mut hung_up = hung_up.clone();
        let (held, cut) = (held.clone(), cut.clone());
        async move {
            let (server, mut watch, mut changes) = state?;
            loop {
                if cut.is_cancelled() {
                    std::future::pending::<()>().await;
                }
                changes.mark_unchanged();
                let lines = watch.news(&server.lock(), held.version());
                if !lines.is_empty() {
                    let next = (!watch.ended).then_some((server, watch, changes));
                    return Some((Ok(Bytes::from(lines)), next));
                }
                tokio::select! {
                    biased;
                    () = cut.cancelled() => {}
                    () = hung_up.changed() => return None,
                    () = changes.changed() => {}
                    () = tokio::time::sleep_until(ends_at) => {
                        let mut last = Vec::new();
                        if watch.bookmarks {
                            bookmark(&mut last, &server.lock(), &watch.target, watch.version, false);
                        }
                        return (!last.is_empty()).then(|| (Ok(Bytes::from(last)), None));
                    }
                }
            }
        }
    })
}
