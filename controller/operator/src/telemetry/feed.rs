//! One background task per Rollout that reads what is wanted and keeps it until it was evaluated; the reconcile takes
//! what is there and never waits for Prometheus. I/O.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use breakwater_plan::{
    observed::{Sight, SloReading},
    study::Study,
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, task::AbortHandle};

use super::{
    Telemetry, chosen::Chosen, due::STEPS_PER_PASS, ids::TenantIds, read::SloTelemetry, studying::Studying,
};
use crate::{clock::Clock, tasks::Alarm};

/// Shortest and longest pause between two passes that no new wish cuts short.
const PAUSES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(1);
/// Pause after a pass in which something could not be read.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(10);
/// How often an SLO is looked at that works, and one that does not.
const SIGHT_EVERY: SignedDuration = SignedDuration::from_mins(1);
const SIGHT_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// Most instants whose week before is kept, per SLO: one per wave and a few more.
const HISTORY_MAX: usize = 40;

/// What a Rollout wants read. Small to compare: the ids are shared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Tenants by their names in metrics.
    pub ids: Arc<TenantIds>,
    /// Per SLO, in the spec's order: steps after this instant. Empty or `None`: nothing is watched yet (R10).
    pub after: Vec<Option<Timestamp>>,
    /// After a restart: so many seconds before `after` once again, for the short windows.
    pub refill_seconds: i64,
    /// Instants whose seven days before are wanted (R14).
    pub history: Vec<Timestamp>,
    /// Whether the SLOs are to be looked at as they are (R10).
    pub sight: bool,
    /// The look at the past that is wanted.
    pub study: Option<Arc<Study>>,
    /// Whose past it is of; `None`: everybody's.
    pub chosen: Option<Arc<Chosen>>,
    /// Looks whose results are still of use, by the start of their wave.
    pub studied: Vec<Timestamp>,
}

/// The handle: say what is wanted, take what is there. Dropping it ends the task.
#[derive(Debug)]
pub struct Feed {
    wanted: watch::Sender<Wanted>,
    held: Arc<Vec<Mutex<Held>>>,
    changed: watch::Receiver<u64>,
    task: AbortHandle,
}

/// What was read for one SLO and not yet evaluated.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) reading: SloReading,
    refilled: bool,
    /// Whether `recent` was seen by a plan.
    handed_over: bool,
}

impl Feed {
    /// Starts the task; `alarm` is told should it panic.
    pub fn spawn(mut telemetry: Telemetry, clock: Clock, alarm: &Alarm) -> Self {
        let held: Arc<Vec<Mutex<Held>>> =
            Arc::new(telemetry.slos().iter().map(|_| Mutex::default()).collect());
        let (wanted, mut wishes) = watch::channel(Wanted::default());
        let (told, changed) = watch::channel(0_u64);
        let shared = Arc::clone(&held);
        let task = alarm.spawn("reading of Prometheus", async move {
            let mut studying = Studying::default();
            loop {
                let want = wishes.borrow_and_update().clone();
                let now = clock();
                let news = pass(&mut telemetry, &want, &shared, now).await;
                if news.any {
                    told.send_modify(|n| *n = n.wrapping_add(1));
                }
                let readers = || telemetry.slos().iter().map(SloTelemetry::past).collect();
                studying.follow(&want, readers, &shared, &told, now);
                let pause = if news.failed { PAUSE_AFTER_ERROR } else { news.pause(now) };
                // A new wish is served at once, except after an error: Prometheus is not to be hammered.
                tokio::select! {
                    biased;
                    change = wishes.changed(), if !news.failed => if change.is_err() { return },
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
        Self { wanted, held, changed, task }
    }

    /// Says what is wanted from now on; steps at or before `after` are dropped.
    pub fn want(&self, wanted: Wanted) {
        let before = self.wanted.borrow().after.clone();
        for (index, (slot, after)) in self.held.iter().zip(&wanted.after).enumerate() {
            let steps = &mut lock(slot).reading.steps;
            match (before.get(index).copied().flatten(), after) {
                // Back in time, or nothing any more: what is there does not follow on what is wanted.
                (Some(before), Some(after)) if *after < before => steps.clear(),
                (_, None) => steps.clear(),
                (_, Some(after)) => steps.retain(|step| step.end_seconds > after.as_second()),
            }
        }
        for slot in self.held.iter() {
            let mut held = lock(slot);
            held.reading.history.retain(|at, _| wanted.history.contains(at));
            held.reading.studies.retain(|at, _| wanted.studied.contains(at));
            if held.handed_over {
                held.reading.recent.clear();
            }
            held.reading.sight.take_if(|_| !wanted.sight);
        }
        self.wanted.send_if_modified(|current| {
            let differs = *current != wanted;
            if differs {
                *current = wanted;
            }
            differs
        });
    }

    /// What is there, one reading per SLO in the spec's order, `state` left to the caller. The refill is there until the
    /// next [`Feed::want`], which says that it was taken in.
    pub fn readings(&self) -> Vec<SloReading> {
        let take = |slot: &Mutex<Held>| {
            let mut held = lock(slot);
            held.handed_over = true;
            held.reading.clone()
        };
        self.held.iter().map(take).collect()
    }

    /// Changes whenever something new was read, so that a reconcile can be woken.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct News {
    any: bool,
    failed: bool,
    /// When the next step can be read, if that is known.
    due_at: Option<Timestamp>,
}

impl News {
    fn and(self, other: Self) -> Self {
        Self {
            any: self.any || other.any,
            failed: self.failed || other.failed,
            due_at: self.due_at.into_iter().chain(other.due_at).min(),
        }
    }

    /// Until the next step can be read.
    fn pause(self, now: Timestamp) -> Duration {
        let until =
            self.due_at.map_or(Duration::MAX, |at| at.duration_since(now).try_into().unwrap_or_default());
        until.clamp(*PAUSES.start(), *PAUSES.end())
    }
}

/// One pass over all SLOs at once; each puts down what it has as soon as it has it.
async fn pass(telemetry: &mut Telemetry, want: &Wanted, held: &[Mutex<Held>], now: Timestamp) -> News {
    let each = telemetry.slos().iter_mut().zip(held).enumerate().map(|(index, (slo, slot))| async move {
        let news = if let Some(after) = want.after.get(index).copied().flatten() {
            one(slo, slot, want, after, now).await
        } else {
            let news = history(slo, slot, want, now).await;
            if news.any && !news.failed {
                lock(slot).reading.error = None;
            }
            news
        };
        news.and(sight(slo, slot, want, now).await)
    });
    join_all(each).await.into_iter().fold(News::default(), News::and)
}

async fn one(
    slo: &mut SloTelemetry,
    slot: &Mutex<Held>,
    want: &Wanted,
    after: Timestamp,
    now: Timestamp,
) -> News {
    let mut news = News::default();
    let (newest, room, refilled) = {
        let held = lock(slot);
        let newest = held.reading.steps.last().and_then(|step| Timestamp::from_second(step.end_seconds).ok());
        (
            newest.map_or(after, |end| end.max(after)),
            STEPS_PER_PASS.saturating_sub(held.reading.steps.len()),
            held.refilled,
        )
    };
    if !refilled {
        let recent = if want.refill_seconds > 0 {
            slo.recent(after, want.refill_seconds, now, &want.ids).await
        } else {
            Ok(Vec::new())
        };
        let mut held = lock(slot);
        match recent {
            Ok(recent) => {
                (held.reading.recent, held.refilled, held.handed_over) = (recent, true, false);
            }
            // Steps wait for the refill: windows that are half empty would speak too early.
            Err(why) => {
                held.reading.error = Some(why);
                return News { any: true, failed: true, due_at: None };
            }
        }
        news.any = true;
    }
    if room > 0 {
        let SloReading { steps, error, step_seconds, lag_seconds, .. } =
            slo.read(newest, now, &want.ids).await;
        let mut held = lock(slot);
        news.any |= !steps.is_empty() || held.reading.error != error;
        news.failed |= error.is_some();
        if step_seconds > 0 {
            (held.reading.step_seconds, held.reading.lag_seconds) = (step_seconds, lag_seconds);
        }
        held.reading.steps.extend(steps.into_iter().take(room));
        held.reading.error = error;
        let newest = held.reading.steps.last().and_then(|step| Timestamp::from_second(step.end_seconds).ok());
        // While the rhythm is not known, one step later is soon enough to ask for it again.
        let unknown = SignedDuration::from_secs(held.reading.step_seconds);
        news.due_at =
            slo.due_at(newest.map_or(after, |end| end.max(after))).or_else(|| now.checked_add(unknown).ok());
    }
    news.and(history(slo, slot, want, now).await)
}

/// Looks at the SLO as it is, every minute while that is wanted, and sooner while it does not work.
async fn sight(slo: &mut SloTelemetry, slot: &Mutex<Held>, want: &Wanted, now: Timestamp) -> News {
    if !want.sight {
        return News::default();
    }
    let due = |sight: &Sight| {
        let pause = if sight.seen.is_ok() { SIGHT_EVERY } else { SIGHT_AGAIN };
        sight.at.checked_add(pause).unwrap_or(Timestamp::MAX)
    };
    // One of the future was taken before the clock stepped back.
    let before = lock(slot).reading.sight.clone().filter(|sight| sight.at <= now);
    if let Some(next) = before.as_ref().map(due).filter(|next| *next > now) {
        return News { due_at: Some(next), ..News::default() };
    }
    let seen = slo.sight(now, &want.ids).await;
    // Who waits for a look is woken by it, also where it shows what an old one did.
    let known =
        before.is_some_and(|sight| sight.seen == seen && now.duration_since(sight.at) < 3 * SIGHT_EVERY);
    let sight = Sight { at: now, seen };
    let due_at = Some(due(&sight));
    lock(slot).reading.sight = Some(sight);
    let any = !known;
    News { any, failed: false, due_at }
}

async fn history(slo: &mut SloTelemetry, slot: &Mutex<Held>, want: &Wanted, now: Timestamp) -> News {
    let mut news = News::default();
    for at in want.history.iter().take(HISTORY_MAX) {
        if lock(slot).reading.history.contains_key(at) {
            continue;
        }
        // A week without the edges of a latency's shape would leave the shape out for as long as it is kept.
        let answer = match slo.learn_edges(now).await {
            Ok(()) => slo.history(*at, &want.ids).await,
            Err(why) => Err(why),
        };
        let mut held = lock(slot);
        news.any = true;
        match answer {
            Ok(week) => {
                held.reading.history.insert(*at, week);
            }
            Err(why) => {
                held.reading.error.get_or_insert_with(|| format!("the week before {at}: {why}"));
                news.failed = true;
                return news;
            }
        }
    }
    news
}

/// A poisoned lock holds data as good as any: every write to it is a single assignment.
pub(super) fn lock(slot: &Mutex<Held>) -> MutexGuard<'_, Held> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
