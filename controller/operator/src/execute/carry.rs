//! One write's way, from its slot to its outcome (R25). I/O.

use std::{sync::Arc, time::Duration};

use breakwater_plan::{observed::Tenant, outcome::Write};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Class, Outcome, REREADS_MAX, WriteError, Written,
    classify::{classify_write, message},
    judge::{Found, judge, judge_answer},
    pipeline::Shared,
    queue::Withheld,
    slots::Slot,
};

/// Pause before the second read of a tenant in conflict, and before the first after an unknown outcome; doubled each time.
const REREAD_BACKOFF: Duration = Duration::from_millis(50);

/// What became of a write, and how long the API server asked to wait.
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) retry_after: Option<Duration>,
}

impl From<Outcome> for Settled {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, retry_after: None }
    }
}

/// Why a tenant must be read again.
struct Doubt {
    message: String,
    /// It may have been committed.
    unknown: bool,
}

/// A write under way.
pub(super) struct Carry<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) write: &'a mut Write,
    pub(super) generation: u64,
    rereads: u32,
}

impl<'a> Carry<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, write: &'a mut Write, generation: u64) -> Self {
        Self { shared, write, generation, rereads: 0 }
    }

    /// Sends, and reads back and sends again while that is called for. The slot is given back between requests.
    pub(super) async fn run(mut self, slot: Slot) -> Settled {
        let mut slot = Some(slot);
        let mut sends = 0..=REREADS_MAX; // each send but the first follows a read
        while sends.next().is_some() {
            let taken = match slot.take() {
                Some(slot) => slot,
                None => self.shared.slots().acquire(self.write.purpose).await,
            };
            let answer = match self.send().await {
                Ok(answer) => answer,
                Err(withheld) => return Outcome::Withheld(withheld).into(),
            };
            drop(taken);
            let doubt = match self.weigh(answer) {
                Ok(settled) => return settled,
                Err(doubt) => doubt,
            };
            match self.read_back(doubt).await {
                Found::Settled(outcome) => return outcome.into(),
                Found::AsPlanned(fresh) => self.write.tenant = *fresh,
            }
        }
        // Not reached: the last send's doubt finds no read left. Said rather than assumed.
        Outcome::Contended { message: "read again too often".into() }.into()
    }

    /// Asks for admission and sends in one breath: nothing is awaited between the fence and the request.
    async fn send(&mut self) -> Result<Result<Written, WriteError>, Withheld> {
        let epoch = self.shared.admit(self.generation)?;
        let written_at = self.shared.now();
        self.write.marker.epoch = epoch;
        self.write.marker.written_at = written_at;
        self.shared.meter().sent(self.write.purpose);
        let after = self.shared.write_timeout();
        let request = self.shared.api().patch(self.write, written_at, after);
        Ok(match timeout(after, request).await {
            Ok(answer) => answer,
            Err(_) => Err(WriteError::TimedOut { tenant: name(&self.write.tenant), after }),
        })
    }

    fn weigh(&self, answer: Result<Written, WriteError>) -> Result<Settled, Doubt> {
        let error = match answer {
            Ok(Written { version }) => return Ok(judge_answer(self.write, version).into()),
            Err(error) => error,
        };
        let message = message(&error);
        match classify_write(&error) {
            Class::Gone => Ok(Outcome::Gone.into()),
            Class::Refused => Ok(Outcome::Refused { message }.into()),
            Class::Busy { retry_after } => Ok(Settled { outcome: Outcome::Busy { message }, retry_after }),
            Class::Conflict => Err(Doubt { message, unknown: false }),
            Class::Unknown => {
                self.shared.trouble();
                Err(Doubt { message, unknown: true })
            }
        }
    }

    /// Reads the tenant until the write's fate is known, or reads are used up. Reads are not writes: neither a stop nor a
    /// lost lease forbids them.
    async fn read_back(&mut self, doubt: Doubt) -> Found {
        let mut unread = None;
        while self.rereads < REREADS_MAX {
            let rounds = if doubt.unknown || unread.is_some() { self.rereads + 1 } else { self.rereads };
            if rounds > 0 {
                sleep(REREAD_BACKOFF * 2_u32.pow(rounds - 1)).await;
            }
            self.rereads += 1;
            match self.read().await {
                Ok(fresh) => return judge(self.write, fresh),
                Err(error) if classify_write(&error) == Class::Gone => return Found::Settled(Outcome::Gone),
                Err(error) => {
                    self.shared.trouble();
                    unread = Some(message(&error));
                }
            }
        }
        Found::Settled(match unread {
            Some(message) => Outcome::Unresolved { message },
            None => Outcome::Contended { message: doubt.message },
        })
    }

    async fn read(&self) -> Result<Option<Tenant>, WriteError> {
        let _slot = self.shared.slots().acquire(self.write.purpose).await;
        let after = self.shared.write_timeout();
        let request = self.shared.api().read(self.write.tenant.id);
        match timeout(after, request).await {
            Ok(answer) => answer,
            Err(_) => Err(WriteError::TimedOut { tenant: name(&self.write.tenant), after }),
        }
    }
}

fn name(tenant: &Tenant) -> String {
    format!("{}/{}", tenant.namespace, tenant.name)
}

/// Books a write that ends, however it ends: a panic must not leave its tenant in flight for ever.
pub(super) async fn carry(shared: Arc<Shared>, mut write: Write, generation: u64, slot: Slot) {
    let forget = Forget { shared: Arc::clone(&shared), write: Some(write.tenant.id) };
    let began = Instant::now();
    let Settled { outcome, retry_after } = Carry::new(&shared, &mut write, generation).run(slot).await;
    shared.meter().settled(write.purpose, &outcome, began.elapsed());
    tracing::debug!(tenant = name(&write.tenant), version = %write.version, purpose = ?write.purpose, ?outcome, "settled");
    forget.defuse();
    shared.settle(write, generation, &outcome, retry_after);
}

struct Forget {
    shared: Arc<Shared>,
    write: Option<breakwater_slo::TenantId>,
}

impl Forget {
    fn defuse(mut self) {
        self.write = None;
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(id) = self.write.take() {
            self.shared.forget(id);
        }
    }
}
