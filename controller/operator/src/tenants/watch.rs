//! Watches that are shared by all Rollouts that look at the same objects. I/O: lists and watches.
//!
//! One watch per (kind, namespaces, label selector). Objects are digested for every subscriber at the event and then
//! dropped, so nothing is cached: a subscriber that joins makes the watch list anew.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use breakwater_crds::rollout::Resource;
use futures::{FutureExt as _, Stream, StreamExt};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    discovery::{Scope, pinned_kind},
    error::DiscoveryError,
    runtime::watcher::{self, Event, watcher},
};
use tokio::sync::Notify;

use super::index::{Index, Origin};
use crate::clock::Clock;

/// Objects per page where the server cannot stream lists; large pages fragment the heap (980 B per tenant instead of
/// 300 B, measured).
const PAGE: u32 = 50;
/// A server that promised to stream a list and says nothing for so long cannot do it (aggregated API servers).
const LIST_SILENCE: Duration = Duration::from_secs(30);
/// After so many failures in a row the list is made anew, and until then it is not relied on.
const FAILURES: u32 = 3;
/// Subscribers that join within this time share one list.
const JOIN: Duration = Duration::from_millis(20);
/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The kind.
    pub resource: Resource,
    /// One namespace; `None`: all.
    pub namespace: Option<String>,
    /// Label selector in the form of a query; empty: all objects.
    pub selector: String,
}

/// Why, and whether at all, a list may not be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// It has listed once and runs.
    pub complete: bool,
    /// If not: why.
    pub reason: String,
    begun: bool,
}

impl Sight {
    /// Nothing was seen yet.
    pub fn new(reason: &str) -> Self {
        Self { complete: false, reason: reason.into(), begun: false }
    }

    /// All was listed.
    pub const fn complete() -> Self {
        Self { complete: true, reason: String::new(), begun: false }
    }
}

/// One subscriber of one watch.
#[derive(Debug)]
pub struct Feed {
    origin: Origin,
    index: Arc<Index>,
    sight: Mutex<Sight>,
    served: Mutex<Option<ApiResource>>,
}

impl Feed {
    /// Feeds `index` as its `origin`.
    pub fn new(origin: Origin, index: Arc<Index>) -> Self {
        let sight = Mutex::new(Sight::new("the tenants are being listed"));
        Self { origin, index, sight, served: Mutex::default() }
    }

    /// What it sees.
    pub fn sight(&self) -> Sight {
        lock(&self.sight).clone()
    }

    /// Plural and group of the kind, once discovered.
    pub fn served(&self) -> Option<ApiResource> {
        lock(&self.served).clone()
    }
}

/// A mutex whose data are whole between any two statements, so that a panic elsewhere does not matter.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running watch and those who look through it.
#[derive(Debug)]
pub struct Running {
    key: StreamKey,
    feeds: Mutex<Vec<Arc<Feed>>>,
    restart: Notify,
}

impl Running {
    /// A watch that nobody looks through yet.
    pub fn new(key: StreamKey) -> Self {
        Self { key, feeds: Mutex::default(), restart: Notify::new() }
    }

    /// Joins; the watch lists anew for the newcomer.
    pub fn join(&self, feed: Arc<Feed>) {
        lock(&self.feeds).push(feed);
        self.restart.notify_one();
    }

    /// Leaves; true when nobody is left.
    pub fn leave(&self, feed: &Arc<Feed>) -> bool {
        let mut feeds = lock(&self.feeds);
        feeds.retain(|other| !Arc::ptr_eq(other, feed));
        feeds.is_empty()
    }

    /// Runs until it is aborted.
    pub async fn run(self: Arc<Self>, client: Client, clock: Clock) {
        loop {
            let resource = self.discover(&client).await;
            let api: Api<DynamicObject> = match &self.key.namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            let open = |config| watcher(api.clone(), config).boxed();
            let hear = |news| self.hear(news, &resource, &clock);
            follow(open, &self.key.selector, &self.restart, hear).await;
        }
    }

    /// Finds plural and scope, however long it takes.
    async fn discover(&self, client: &Client) -> ApiResource {
        let Resource { api_version, kind } = &self.key.resource;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let mut failures = 0;
        loop {
            let trouble = match pinned_kind(client, &gvk).await {
                Ok((resource, capabilities)) => match capabilities.scope {
                    Scope::Namespaced => return resource,
                    Scope::Cluster => {
                        format!("kind {kind} of {api_version} is cluster-scoped: tenants have namespaces")
                    }
                },
                Err(error) if is_missing(&error) => {
                    format!("kind {kind} of {api_version} is not served by this cluster: install its CRD")
                }
                Err(error) => format!("discovery of kind {kind} of {api_version} fails: {error}"),
            };
            self.despair(&trouble, true);
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        }
    }

    fn hear(&self, news: News<DynamicObject>, resource: &ApiResource, clock: &Clock) {
        let feeds = lock(&self.feeds).clone();
        match news {
            News::Event(Event::Init) => {
                for feed in feeds {
                    *lock(&feed.served) = Some(resource.clone());
                    lock(&feed.sight).begun = true;
                    feed.index.begin_list(feed.origin);
                }
            }
            News::Event(Event::InitApply(object)) => {
                for feed in feeds.iter().filter(|feed| lock(&feed.sight).begun) {
                    feed.index.apply(feed.origin, &object, clock());
                }
            }
            News::Event(Event::InitDone) => {
                for feed in feeds {
                    // One that joined in the middle waits for the next list, which its joining has asked for.
                    let was = std::mem::replace(
                        &mut *lock(&feed.sight),
                        Sight::new("the tenants are being listed"),
                    );
                    if was.begun {
                        *lock(&feed.sight) = Sight::complete();
                        feed.index.end_list(feed.origin);
                    }
                }
            }
            News::Event(Event::Apply(object)) => {
                for feed in feeds.iter().filter(|feed| lock(&feed.sight).complete) {
                    feed.index.apply(feed.origin, &object, clock());
                }
            }
            News::Event(Event::Delete(object)) => {
                for feed in feeds.iter().filter(|feed| lock(&feed.sight).complete) {
                    feed.index.delete(feed.origin, &object);
                }
            }
            News::Trouble { reason, lost } => {
                let kind = &self.key.resource.kind;
                self.despair(&format!("watch of kind {kind} fails: {reason}"), lost);
            }
        }
    }

    /// Tells the subscribers that nothing is sure; `lost`: not even what they have seen already.
    fn despair(&self, reason: &str, lost: bool) {
        tracing::warn!(kind = self.key.resource.kind, namespace = self.key.namespace, lost, "{reason}");
        for feed in lock(&self.feeds).clone() {
            let mut sight = lock(&feed.sight);
            let news = (lost || !sight.complete) && (sight.complete || sight.reason != reason);
            if news {
                *sight = Sight { complete: false, reason: reason.into(), begun: sight.begun };
                drop(sight);
                feed.index.notify();
            }
        }
    }
}

/// What a watch has to tell.
pub enum News<K> {
    /// As from kube.
    Event(Event<K>),
    /// It failed; it goes on trying.
    Trouble {
        /// Why.
        reason: String,
        /// The next thing will be a new list.
        lost: bool,
    },
}

/// Lists and watches, again and again, until the kind is no longer served.
pub async fn follow<K, S>(
    open: impl Fn(watcher::Config) -> S,
    selector: &str,
    restart: &Notify,
    mut hear: impl FnMut(News<K>),
) where
    S: Stream<Item = watcher::Result<Event<K>>> + Unpin,
{
    let mut streaming = true;
    let mut failures = 0;
    loop {
        // Whoever joined until here is served by the list that now begins.
        let _ = restart.notified().now_or_never();
        let mut stream = open(config(selector, streaming));
        let mut listed = false;
        let end = loop {
            let patience = if streaming && !listed { LIST_SILENCE } else { Duration::MAX };
            let item = tokio::select! {
                biased;
                () = restart.notified() => break End::Joined,
                item = tokio::time::timeout(patience, stream.next()) => item,
            };
            match item {
                Ok(Some(Ok(event))) => {
                    failures = 0;
                    listed |= matches!(event, Event::InitDone);
                    hear(News::Event(event));
                }
                Ok(Some(Err(error))) => match trouble(&error, streaming && !listed) {
                    Trouble::CannotStream => break End::CannotStream,
                    Trouble::Missing => break End::Missing(error.to_string()),
                    Trouble::Expired => {}
                    Trouble::Passing => {
                        failures += 1;
                        let lost = failures >= FAILURES;
                        hear(News::Trouble { reason: error.to_string(), lost });
                        tokio::time::sleep(pause(failures)).await;
                        if lost {
                            break End::Lost;
                        }
                    }
                },
                Ok(None) => break End::Lost,
                Err(_silence) => break End::CannotStream,
            }
        };
        match end {
            End::Joined => tokio::time::sleep(JOIN).await,
            End::CannotStream => streaming = false,
            End::Lost => {}
            End::Missing(reason) => {
                hear(News::Trouble { reason, lost: true });
                tokio::time::sleep(pause(1)).await;
                return;
            }
        }
    }
}

/// Why a stream was left.
enum End {
    Joined,
    CannotStream,
    Lost,
    Missing(String),
}

/// What an error of a watch means.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    CannotStream,
    Missing,
    /// 410: kube's watcher lists anew by itself.
    Expired,
    Passing,
}

fn trouble(error: &watcher::Error, starting_to_stream: bool) -> Trouble {
    let code = match error {
        watcher::Error::WatchError(status) => status.code,
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => status.code,
            _ => 0,
        },
        watcher::Error::NoResourceVersion => 0,
    };
    match code {
        // Without the feature gate WatchList, sendInitialEvents is an invalid option.
        400 | 422 if starting_to_stream => Trouble::CannotStream,
        404 => Trouble::Missing,
        410 => Trouble::Expired,
        _ => Trouble::Passing,
    }
}

fn is_missing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.is_not_found(),
        kube::Error::Discovery(
            DiscoveryError::MissingKind(_)
            | DiscoveryError::MissingApiGroup(_)
            | DiscoveryError::MissingResource(_)
            | DiscoveryError::EmptyApiGroup(_),
        ) => true,
        _ => false,
    }
}

fn config(selector: &str, streaming: bool) -> watcher::Config {
    let config = watcher::Config::default().page_size(PAGE);
    let config = if streaming { config.streaming_lists() } else { config };
    if selector.is_empty() { config } else { config.labels(selector) }
}

/// 1, 2, 4 ... 30 s.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(5)).min(MAX_PAUSE)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
