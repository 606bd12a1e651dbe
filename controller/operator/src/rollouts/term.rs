//! Leading: the watches and the reconciles of one term, and their end. On top of this room: nothing in it imports this. I/O.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    runtime::{Controller, WatchStreamExt as _, controller, reflector, watcher},
};
use tokio_util::sync::CancellationToken;

use super::{
    context::Context,
    handles::Handles,
    key::{Guarded, Key},
    mirrors::Mirrors,
    reconcile,
    sessions::Sessions,
    wakes::Wakes,
};
use crate::{
    backoff::Pauses,
    tasks::{Lost, Tasks},
};

/// Longest wait for writes in flight at the end of a term.
const DRAIN: Duration = Duration::from_secs(10);
/// Rollouts that are reconciled at once.
const CONCURRENCY: u16 = 16;

/// What is known while a term runs; the webhook asks it.
pub type Office = Arc<Sessions>;

/// Leads until `end` is cancelled: watches, reconciles, waits for reconciles that run and for writes in flight. `opened` is
/// told what is known once the watches have listed. True when every write was answered.
pub async fn lead(
    handles: Handles,
    end: CancellationToken,
    opened: impl FnOnce(Office) + Send,
) -> Result<bool, Lost> {
    let (mut tasks, wakes) = (Tasks::new(), Wakes::default());
    let mirrors = Mirrors::start(&handles, &mut tasks, &wakes);
    tokio::select! {
        biased;
        lost = tasks.lost() => return Err(lost),
        () = mirrors.listed() => {}
        () = end.cancelled() => return Ok(true),
    }
    let watches = handles.ground.clients.watches.clone();
    let context = Arc::new(Context::new(handles, mirrors, wakes, tasks.alarm()));
    tasks.spawn("wakes on the stop", wake_on_stop(context.clone()));
    tasks.spawn("wakes on Releases", wake_on_releases(context.clone()));
    opened(context.sessions.clone());
    tasks.spawn("watch of Rollouts", follow_rollouts(watches.clone(), context.clone()));
    tokio::select! {
        biased;
        lost = tasks.lost() => Err(lost),
        () = reconcile_until(watches, end, context.clone()) => Ok(context.sessions.drain(DRAIN).await),
    }
}

/// Reconciles whatever is woken, or changes, until `end`; what runs then is waited for.
async fn reconcile_until(watches: Client, end: CancellationToken, context: Arc<Context>) {
    let woken = futures::stream::unfold(context.wakes.clone(), |wakes| async move {
        let key = wakes.next().await;
        Some((key.object(), wakes))
    });
    Controller::new(Api::<Guarded>::all(watches), watcher::Config::default())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(Pauses::of("Rollouts to reconcile"))
        .reconcile_on(woken)
        .graceful_shutdown_on(end.cancelled_owned())
        .run(reconcile::reconcile, reconcile::after_error, context)
        .for_each(|_| std::future::ready(())) // errors are logged where they are answered
        .await;
}

/// Follows which Rollouts exist; what goes with one that is gone goes at once.
async fn follow_rollouts(client: Client, context: Arc<Context>) {
    let (reader, writer) = reflector::store::<Guarded>();
    let events =
        watcher(Api::<Guarded>::all(client), watcher::Config::default()).backoff(Pauses::of("Rollouts"));
    let follow = events.reflect(writer).for_each(|event| {
        match event {
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => {
                context.keep(&reader.state().iter().map(|object| Key::of(object)).collect::<BTreeSet<Key>>());
            }
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Err(error) => tracing::warn!(%error, "watching Rollouts"),
        }
        std::future::ready(())
    });
    follow.await;
}

/// What a Release says concerns the Rollouts of its namespace, most often all of them.
async fn wake_on_releases(context: Arc<Context>) {
    let mut changes = context.mirrors.releases.changes();
    while changes.changed().await.is_ok() {
        context.wake_all();
    }
}

/// The stop concerns every Rollout at once (R36).
async fn wake_on_stop(context: Arc<Context>) {
    let mut stop = context.handles.stop.clone();
    stop.mark_changed(); // what it says already holds as well
    while stop.changed().await.is_ok() {
        if stop.borrow_and_update().is_some() {
            context.handles.executor.halt();
        } else {
            context.handles.executor.resume();
        }
        context.wake_all();
    }
    std::future::pending::<()>().await; // the watch is lost: its owner says so, by its name
}
