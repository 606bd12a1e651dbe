//! Slots: how many requests run at once, over all Rollouts. A revert's request is served before any advance's (R18).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use breakwater_plan::outcome::Purpose;
use tokio::sync::oneshot;

/// All slots.
pub(super) struct Slots {
    /// Slots that advances leave free.
    reserve: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    reverts: VecDeque<oneshot::Sender<Slot>>,
    advances: VecDeque<oneshot::Sender<Slot>>,
}

/// One slot, given back when dropped.
pub(super) struct Slot {
    /// `None` once it was given back.
    slots: Option<Arc<Slots>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            slots.lock().free += 1;
            slots.grant();
        }
    }
}

impl Slots {
    /// `total` slots, of which advances leave `reserve` free; at least one is for each.
    pub(super) fn new(total: usize, reserve: usize) -> Arc<Self> {
        let total = total.max(1);
        let state = State { free: total, reverts: VecDeque::new(), advances: VecDeque::new() };
        Arc::new(Self { reserve: reserve.min(total - 1), state: Mutex::new(state) })
    }

    /// Waits for a slot. Dropping the future gives up the place.
    pub(super) async fn acquire(self: &Arc<Self>, purpose: Purpose) -> Slot {
        loop {
            let (sender, receiver) = oneshot::channel();
            match purpose {
                Purpose::Revert => self.lock().reverts.push_back(sender),
                Purpose::Advance => self.lock().advances.push_back(sender),
            }
            self.grant();
            // A sender is only dropped unused when nobody waits for it; asking again is then right as well.
            if let Ok(slot) = receiver.await {
                return slot;
            }
        }
    }

    /// Hands free slots to those who wait, reverts first.
    fn grant(self: &Arc<Self>) {
        while let Some(waiter) = self.next_waiter() {
            // If the waiter just left, the slot comes back and is free again.
            if let Err(mut slot) = waiter.send(Slot { slots: Some(Arc::clone(self)) }) {
                slot.slots = None;
                self.lock().free += 1;
            }
        }
    }

    /// Takes a free slot for whoever waits first, if there are both.
    fn next_waiter(&self) -> Option<oneshot::Sender<Slot>> {
        let mut state = self.lock();
        state.reverts.retain(|waiter| !waiter.is_closed());
        state.advances.retain(|waiter| !waiter.is_closed());
        let waiter = match state.free {
            0 => None,
            free if free > self.reserve => state.reverts.pop_front().or_else(|| state.advances.pop_front()),
            _ => state.reverts.pop_front(),
        };
        state.free -= usize::from(waiter.is_some());
        waiter
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds it can panic; a poisoned lock would still hold whole values.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn r18_a_revert_is_served_before_advances_that_waited_longer() {
        let slots = Slots::new(2, 1);
        let held = slots.acquire(Purpose::Advance).await;
        assert!(slots.acquire(Purpose::Advance).now_or_never().is_none(), "the last one is kept for reverts");
        let revert = slots.acquire(Purpose::Revert).now_or_never().expect("the reserve");
        let mut advance = Box::pin(slots.acquire(Purpose::Advance));
        assert!((&mut advance).now_or_never().is_none());
        let mut second = Box::pin(slots.acquire(Purpose::Revert));
        assert!((&mut second).now_or_never().is_none());
        drop(held);
        let second = second.now_or_never().expect("free for the revert");
        assert!((&mut advance).now_or_never().is_none());
        drop((revert, second));
        assert!(advance.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_slot_granted_to_one_who_left_is_not_lost() {
        let slots = Slots::new(1, 0);
        for _ in 0..10 {
            let held = slots.acquire(Purpose::Advance).await;
            let mut waiting = Box::pin(slots.acquire(Purpose::Advance));
            assert!((&mut waiting).now_or_never().is_none());
            drop(held); // granted
            drop(waiting); // and not taken
            assert!(slots.acquire(Purpose::Revert).now_or_never().is_some());
        }
    }
}
