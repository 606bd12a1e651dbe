//! Work of one kind, a bounded number at once, in a task of its own; a newer list replaces what was not begun. No I/O of
//! its own.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::Notify, task::AbortHandle};

use crate::tasks::Alarm;

/// Most pieces of work that wait.
pub(super) const WAITING_MAX: usize = 64;
/// Most that are done at once.
pub(super) const AT_ONCE: usize = 8;

/// One kind of work for one Rollout. Dropping it breaks off what is under way.
pub(super) struct Lane<W> {
    shared: Arc<Shared<W>>,
    worker: AbortHandle,
}

struct Shared<W> {
    queue: Mutex<Queue<W>>,
    /// There is something to begin.
    came: Notify,
    /// Something was done.
    done: Notify,
}

struct Queue<W> {
    waiting: VecDeque<W>,
    under_way: Vec<W>,
}

impl<W: Clone + PartialEq + Send + 'static> Lane<W> {
    /// An empty one. Must be called inside a tokio runtime.
    pub(super) fn start<F, D>(alarm: &Alarm, name: &'static str, work: F) -> Self
    where
        F: Fn(W) -> D + Send + 'static,
        D: Future<Output = ()> + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), under_way: Vec::new() });
        let shared = Arc::new(Shared { queue, came: Notify::new(), done: Notify::new() });
        let worker = alarm.spawn(name, run(shared.clone(), work));
        Self { shared, worker }
    }

    /// Swaps what was not begun for the first [`WAITING_MAX`] of `wanted`; what is under way is not begun twice.
    pub(super) fn replace(&self, wanted: impl IntoIterator<Item = W>) {
        {
            let mut queue = self.shared.lock();
            let Queue { waiting, under_way } = &mut *queue;
            *waiting = wanted.into_iter().filter(|one| !under_way.contains(one)).take(WAITING_MAX).collect();
            if waiting.is_empty() {
                return;
            }
        }
        self.shared.came.notify_one();
    }

    /// Begins nothing more, and waits for what is under way.
    pub(super) async fn drain(&self) {
        self.replace([]);
        loop {
            let done = self.shared.done.notified(); // before looking, so that nothing is missed
            if self.shared.lock().under_way.is_empty() {
                return;
            }
            done.await;
        }
    }
}

impl<W> Drop for Lane<W> {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl<W: Clone + PartialEq> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, Queue<W>> {
        // Nothing panics half-way while it is held: a poisoned queue is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Option<W> {
        let mut queue = self.lock();
        let one = queue.waiting.pop_front()?;
        queue.under_way.push(one.clone());
        Some(one)
    }

    fn end(&self, one: &W) {
        self.lock().under_way.retain(|other| other != one);
        self.done.notify_waiters();
    }
}

async fn run<W, F, D>(shared: Arc<Shared<W>>, work: F)
where
    W: Clone + PartialEq,
    F: Fn(W) -> D,
    D: Future<Output = ()>,
{
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(one) = shared.begin()
        {
            let done = work(one.clone());
            under_way.push(async move {
                done.await;
                one
            });
        }
        tokio::select! {
            biased; // so that a rehearsal plays the same twice
            Some(one) = under_way.next() => shared.end(&one),
            () = shared.came.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::tasks::Tasks;

    /// What was begun, and how many at once at most.
    #[derive(Default)]
    struct Seen {
        begun: Mutex<Vec<u32>>,
        at_once: AtomicUsize,
        most: AtomicUsize,
    }

    fn lane(tasks: &Tasks, seen: &Arc<Seen>) -> Lane<u32> {
        let seen = seen.clone();
        Lane::start(&tasks.alarm(), "work", move |one| {
            let seen = seen.clone();
            async move {
                seen.begun.lock().unwrap().push(one);
                let now = seen.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                seen.most.fetch_max(now, Ordering::SeqCst);
                sleep(Duration::from_secs(10)).await; // as a read that times out
                seen.at_once.fetch_sub(1, Ordering::SeqCst);
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn asking_waits_for_nothing_and_no_more_is_under_way_than_may_be() {
        let (tasks, seen) = (Tasks::new(), Arc::<Seen>::default());
        let lane = lane(&tasks, &seen);
        let began = Instant::now();
        lane.replace(0..1_000);
        assert_eq!(began.elapsed(), Duration::ZERO);
        sleep(Duration::from_mins(10)).await;
        assert_eq!(
            *seen.begun.lock().unwrap(),
            (0..64).collect::<Vec<_>>(),
            "the next plan asks for the rest"
        );
        assert_eq!(seen.most.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_list_replaces_what_was_not_begun_and_begins_nothing_twice() {
        let (tasks, seen) = (Tasks::new(), Arc::<Seen>::default());
        let lane = lane(&tasks, &seen);
        lane.replace(0..20);
        sleep(Duration::from_secs(1)).await;
        lane.replace([3, 100]);
        sleep(Duration::from_mins(1)).await;
        assert_eq!(*seen.begun.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 100]);
        lane.replace([3]);
        sleep(Duration::from_secs(1)).await;
        lane.replace([]);
        let began = Instant::now();
        lane.drain().await;
        assert_eq!(began.elapsed(), Duration::from_secs(9), "what is under way ends");
        assert_eq!(seen.begun.lock().unwrap().last(), Some(&3), "what was done may be asked for again");
    }
}
