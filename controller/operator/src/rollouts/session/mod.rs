//! What is remembered of one Rollout between two reconciles, in three values: what was accepted, what planning gets back,
//! what is owed to the API server. All of it can be lost without changing an outcome (R28). I/O through its parts.

mod acceptance;
mod memory;
mod owed;
mod parsed;

use breakwater_crds::Rollout;
use tokio::time::Instant;

pub(super) use acceptance::{Acceptance, InForce};
pub(super) use memory::Memory;
pub(super) use owed::{Due, Owed};
pub(super) use parsed::AlertSpec;

use super::{context::Context, key::Key};

/// The memory of one Rollout.
pub(super) struct Session {
    pub(super) key: Key,
    pub(super) accepted: Acceptance,
    pub(super) memory: Memory,
    pub(super) owed: Owed,
}

impl Session {
    pub(super) fn new(key: Key) -> Self {
        Self { key, accepted: Acceptance::new(), memory: Memory::default(), owed: Owed::default() }
    }

    /// Meets the Rollout: one that was deleted and created again is met as for the first time. True where that is so, and
    /// what others know is of the former one.
    pub(super) fn meet(&mut self, rollout: &Rollout) -> bool {
        let is_another = self.accepted.is_of_another(rollout);
        if is_another {
            *self = Self::new(self.key.clone());
        }
        is_another
    }

    /// Follows the newest spec.
    pub(super) async fn follow(&mut self, context: &Context, rollout: &Rollout) -> Result<(), kube::Error> {
        let findings = self.memory.findings().clone();
        let adopted = self.accepted.follow(context, &self.key, &findings, rollout).await?;
        if let Some(adopted) = adopted {
            self.memory.take_spec(adopted.is_redefined);
        }
        Ok(())
    }

    /// True while the fleet's first list is on its way, for a few seconds at most.
    pub(super) fn is_listing(&self, now: Instant) -> bool {
        self.accepted.in_force().is_some_and(|in_force| in_force.is_listing(now))
    }
}
