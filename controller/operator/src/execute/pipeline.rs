//! The executor's slots, shared by all Rollouts, and one pipeline per Rollout. I/O.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use breakwater_plan::outcome::Write;
use breakwater_slo::TenantId;
use jiff::Timestamp;
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Meter, Outcome, Problem, Settings, TenantApi,
    carry::carry,
    queue::{Next, Queue, Withheld},
    slots::Slots,
};
use crate::{clock::Clock, lease::Guard, tasks::Alarm};

/// What all pipelines share. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    slots: Arc<Slots>,
    guard: Arc<dyn Guard>,
    clock: Clock,
    meter: Arc<dyn Meter>,
    /// R36: set by the watch of the stop `ConfigMap`.
    stopped: AtomicBool,
}

impl Executor {
    /// `guard` is asked before each write; `clock` stamps markers.
    pub fn new(settings: Settings, guard: Arc<dyn Guard>, clock: Clock, meter: Arc<dyn Meter>) -> Self {
        let slots = Slots::new(settings.max_in_flight, settings.revert_reserve);
        let inner = Inner { settings, slots, guard, clock, meter, stopped: AtomicBool::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// Stops every write of every Rollout at once (R36): whatever is asked for admission from now on is not sent.
    pub fn halt(&self) {
        self.inner.stopped.store(true, Ordering::SeqCst);
    }

    /// Lets writes go on; each Rollout must be planned again.
    pub fn resume(&self) {
        self.inner.stopped.store(false, Ordering::SeqCst);
    }
}

/// What a pipeline, its pump and its writes share.
pub(super) struct Shared {
    executor: Arc<Inner>,
    api: Arc<dyn TenantApi>,
    queue: Mutex<Queue>,
    /// The queue changed: for the pump.
    changed: Notify,
    /// Something was settled: for whoever plans.
    wake: Arc<Notify>,
    /// Something was settled: for whoever drains.
    settled: Notify,
}

impl Shared {
    pub(super) fn slots(&self) -> &Arc<Slots> {
        &self.executor.slots
    }

    pub(super) fn api(&self) -> &dyn TenantApi {
        &*self.api
    }

    pub(super) fn meter(&self) -> &dyn Meter {
        &*self.executor.meter
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.executor.clock)()
    }

    pub(super) fn write_timeout(&self) -> Duration {
        self.executor.settings.write_timeout
    }

    /// The epoch to write under, or why nothing may be written. To be asked immediately before sending.
    pub(super) fn admit(&self, generation: u64) -> Result<i64, Withheld> {
        self.lock().admit(generation, Instant::now(), self.executor.guard.guard(), self.stopped())
    }

    pub(super) fn settle(
        &self,
        write: Write,
        generation: u64,
        outcome: &Outcome,
        retry_after: Option<Duration>,
    ) {
        let wake = self.lock().settle(write, generation, outcome, retry_after, Instant::now());
        if wake {
            self.wake.notify_one(); // at most one is pending: a volley of answers wakes once
        }
        self.settled.notify_waiters();
        self.changed.notify_one();
    }

    pub(super) fn trouble(&self) {
        self.lock().trouble(Instant::now());
    }

    pub(super) fn forget(&self, id: TenantId) {
        self.lock().forget(id);
        self.wake.notify_one();
        self.settled.notify_waiters();
        self.changed.notify_one();
    }

    fn stopped(&self) -> bool {
        self.executor.stopped.load(Ordering::SeqCst)
    }

    fn next(&self) -> Next {
        let stopped = self.stopped();
        self.lock().next(Instant::now(), self.executor.guard.guard(), stopped)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that holds it awaits or panics half-way; a poisoned queue is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One Rollout's writes. Dropping it is a crash: requests in flight are cut off. [`Pipeline::drain`] it first.
pub struct Pipeline {
    shared: Arc<Shared>,
    pump: AbortHandle,
}

impl Pipeline {
    /// A pipeline that writes through `api`, and notifies `wake` when a new plan is due (at most one notification is
    /// pending, however much was settled). `alarm` is told should it panic. Must run inside a tokio runtime.
    pub fn new(executor: &Executor, api: Arc<dyn TenantApi>, wake: Arc<Notify>, alarm: &Alarm) -> Self {
        let shared = Arc::new(Shared {
            executor: Arc::clone(&executor.inner),
            api,
            queue: Mutex::new(Queue::new(executor.inner.settings.clone())),
            changed: Notify::new(),
            wake,
            settled: Notify::new(),
        });
        let pump = alarm.spawn("pump of writes", pump(Arc::clone(&shared)));
        Self { shared, pump }
    }

    /// Swaps everything that is not sent for a newer plan's writes; its reverts go first, in their order, then the rest.
    /// Writes of tenants in flight are left out (their outcome wakes the reconcile), as is everything while
    /// draining or without leadership. A write that met a [`Problem`] waits until it is due again.
    pub fn replace(&self, writes: Vec<Write>) {
        let fence = self.shared.executor.guard.guard();
        self.shared.lock().replace(writes, Instant::now(), fence);
        self.shared.changed.notify_one();
    }

    /// Tenants whose write was sent, or is being sent, and whose outcome is not known yet.
    pub fn in_flight(&self) -> HashSet<TenantId> {
        self.shared.lock().in_flight()
    }

    /// How many writes wait to be sent.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting()
    }

    /// Writes that do not get through, at most [`super::PROBLEMS_MAX`]; cleared when they do.
    pub fn problems(&self) -> HashMap<TenantId, Problem> {
        self.shared.lock().problems()
    }

    /// Ends sending for good, and waits at most `within` for what was sent. `true`: all of it is resolved, and the lease
    /// may be released.
    pub async fn drain(&self, within: Duration) -> bool {
        self.shared.lock().drain();
        self.shared.changed.notify_one();
        let resolved = async {
            loop {
                let settled = self.shared.settled.notified(); // before looking, so that nothing is missed
                if self.shared.lock().idle() {
                    return;
                }
                settled.await;
            }
        };
        timeout(within, resolved).await.is_ok()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Sends what is queued: as a slot comes free, the next write takes it. Ends when it is aborted.
async fn pump(shared: Arc<Shared>) {
    let mut tasks = JoinSet::new(); // dropped with the pump, and its tasks with it
    loop {
        while tasks.try_join_next().is_some() {}
        match shared.next() {
            Next::Idle => shared.changed.notified().await,
            Next::At(due) => tokio::select! {
                biased;
                () = shared.changed.notified() => {}
                () = sleep_until(due) => {}
            },
            Next::Wake => shared.wake.notify_one(),
            Next::Send(purpose) => tokio::select! {
                biased;
                slot = shared.slots().acquire(purpose) => {
                    let taken = shared.lock().take(purpose);
                    if let Some((write, generation)) = taken {
                        tasks.spawn(carry(Arc::clone(&shared), write, generation, slot));
                    }
                }
                // A revert that arrives while an advance waits must not wait in the advance's line.
                () = shared.changed.notified() => {}
            },
        }
    }
}
