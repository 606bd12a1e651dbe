//! Leadership by one coordination.k8s.io/v1 Lease (R26). [`decide()`] is pure; [`Election`] does the I/O.
//!
//! Leadership is data that is read at each write ([`Lease::guard`]), never a callback. Every write of the Lease carries
//! the resourceVersion that was read; a merge patch without one lets two win.

mod decide;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as LeaseObject, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::clock::Clock;

pub use decide::{Config, ConfigError, DURATION_MAX, Me, Record, Step, Term, decide, next_epoch};

/// Most requests in one turn: a write that conflicted, a look, and a second write.
const TURN_MAX: usize = 3;

/// Permission to write, as of one instant (R26).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Epoch of the term; goes into every marker and status.
    pub epoch: i64,
    /// The renew deadline: by then every write must have ended.
    pub valid_until: Instant,
}

impl Fence {
    /// Whether a request that is sent `now` and given up after `timeout` ends before the renew deadline.
    pub fn admits(&self, now: Instant, timeout: Duration) -> bool {
        now + timeout <= self.valid_until
    }
}

/// Whoever knows whether this process may write.
pub trait Guard: Send + Sync {
    /// The fence, or `None` if nothing may be written now.
    fn guard(&self) -> Option<Fence>;
}

/// Where this process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Another leads, or nobody that is known of.
    Following {
        /// Who, as far as was read.
        holder: Option<String>,
    },
    /// This process holds the lease, and waits until its predecessor's last write must have ended, and for the epochs
    /// in the statuses.
    Opening {
        /// When the predecessor's last write must have ended.
        opens_at: Instant,
    },
    /// This process leads until the instant in the fence, which each renewal moves on.
    Leading(Fence),
    /// It gave the lease back, or ended without.
    Ended,
}

/// A handle on the lease. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lease {
    standing: watch::Receiver<Standing>,
}

impl Lease {
    /// The fence, while this process leads and its renew deadline has not passed. To be read before each write.
    pub fn guard(&self) -> Option<Fence> {
        match *self.standing.borrow() {
            Standing::Leading(fence) if Instant::now() < fence.valid_until => Some(fence),
            Standing::Leading(_)
            | Standing::Following { .. }
            | Standing::Opening { .. }
            | Standing::Ended => None,
        }
    }

    /// Where this process stands, for people and metrics.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// One that stands as `standing` says.
    #[cfg(test)]
    pub(crate) fn of(standing: watch::Receiver<Standing>) -> Self {
        Self { standing }
    }

    /// Waits for the next change of the standing (each renewal is one); `false` when the election has ended.
    pub async fn changed(&mut self) -> bool {
        self.standing.changed().await.is_ok()
    }
}

impl Guard for Lease {
    fn guard(&self) -> Option<Fence> {
        Self::guard(self)
    }
}

/// Who stands for which Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// `holderIdentity`: names the pod and should be unique (pod name and UID). Should two share it, they still do not
    /// lead together, see [`Term`].
    pub identity: String,
}

/// Reads the highest epoch in any Rollout's status; asked once per term, after the predecessor's last write must have
/// ended. An error is asked again.
pub type HighestEpoch = Arc<dyn Fn() -> BoxFuture<'static, Result<i64, kube::Error>> + Send + Sync>;

/// How an election is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveBack {
    /// All writes were answered: the next leader may start at once.
    Release,
    /// Some were not: the lease must run out by itself.
    Abandon,
}

/// Why an answer about the Lease is of no use.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("lease {name}: {source}")]
    Api { name: String, source: kube::Error },
    #[error("lease {name}: no answer within {after:?}")]
    TimedOut { name: String, after: Duration },
}

/// A term that was claimed.
#[derive(Debug, Clone, Copy)]
struct Office {
    term: Term,
    opens_at: Instant,
    /// Known from `opens_at` on, then kept for the term.
    epoch: Option<i64>,
    /// Renew deadline, from the last renewal that was answered; `None` before the first.
    valid_until: Option<Instant>,
}

/// One candidate's election. Made by [`Election::new`], driven by [`Election::run`].
pub struct Election {
    api: Api<LeaseObject>,
    candidate: Candidate,
    config: Config,
    clock: Clock,
    highest_epoch: HighestEpoch,
    standing: watch::Sender<Standing>,
    /// As last read or written; `None`: there is none.
    object: Option<LeaseObject>,
    /// Whether `object` may be written upon without another look.
    fresh: bool,
    last_change: Instant,
    office: Option<Office>,
}

impl Election {
    /// An election that has not begun, and the handle on what will come of it.
    pub fn new(
        client: Client,
        candidate: Candidate,
        config: Config,
        clock: Clock,
        highest_epoch: HighestEpoch,
    ) -> Result<(Self, Lease), ConfigError> {
        config.check()?;
        let (sender, standing) = watch::channel(Standing::Following { holder: None });
        let election = Self {
            api: Api::namespaced(client, &candidate.namespace),
            candidate,
            config,
            clock,
            highest_epoch,
            standing: sender,
            object: None,
            fresh: false,
            last_change: Instant::now(),
            office: None,
        };
        Ok((election, Lease { standing }))
    }

    /// Stands for election until `stop` resolves, then closes the guard and, if asked to, gives the lease back.
    /// Resolve `stop` only when the writes in flight were answered; renewals go on until then.
    pub async fn run(mut self, stop: impl Future<Output = GiveBack> + Send) {
        tokio::pin!(stop);
        let give_back = loop {
            let next = self.turn().await;
            tokio::select! {
                biased;
                give_back = &mut stop => break give_back,
                () = sleep_until(next) => {}
            }
        };
        self.standing.send_replace(Standing::Ended); // the guard closes before anyone may know
        match give_back {
            GiveBack::Release => self.release().await,
            GiveBack::Abandon => tracing::warn!(lease = self.candidate.name, "left to run out"),
        }
    }

    /// Looks and acts until there is nothing to do at once; says when to look again.
    async fn turn(&mut self) -> Instant {
        let again = Instant::now() + self.config.retry;
        for _ in 0..TURN_MAX {
            let step = match self.step().await {
                Ok(step) => step,
                Err(error) => {
                    tracing::warn!(%error, "cannot look at the lease");
                    return again;
                }
            };
            let written = match step {
                Step::Follow { until } => return again.min(until),
                Step::Create { opens_at } => self.take(0, opens_at).await,
                Step::Take { transitions, opens_at } => self.take(transitions, opens_at).await,
                Step::Renew => self.write(self.renewed()).await,
            };
            match written {
                Ok(()) => return self.lead(again).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot write the lease");
                    self.fresh = false; // whether it was committed shows only in what is read next
                    if !conflicts(&error) {
                        return again;
                    }
                }
            }
        }
        again
    }

    /// What to do, after a look if what is known may be old.
    async fn step(&mut self) -> Result<Step, LeaseError> {
        let held = self.office.is_some() && self.fresh;
        if !held {
            self.look().await?;
        }
        let record = self.object.as_ref().map(Record::of);
        let me = Me { identity: &self.candidate.identity, term: self.office.map(|office| office.term) };
        let lost = !record.as_ref().is_some_and(|record| me.holds(record));
        let step = decide(record.as_ref(), self.last_change, Instant::now(), me, &self.config);
        if lost {
            let holder = record.map(|record| record.holder).filter(|holder| !holder.is_empty());
            self.follow(holder);
        }
        Ok(step)
    }

    /// Reads the Lease from etcd (a GET without resourceVersion is never served from a cache).
    async fn look(&mut self) -> Result<(), LeaseError> {
        let found = self.ask(self.api.get_opt(&self.candidate.name)).await?;
        let record = |lease: &Option<LeaseObject>| lease.as_ref().map(Record::of);
        if record(&found) != record(&self.object) {
            self.last_change = Instant::now(); // after the answer: never earlier than the change itself
        }
        self.object = found;
        self.fresh = true;
        Ok(())
    }

    /// Claims a term. The claim is remembered before it is sent: its answer may be lost.
    async fn take(&mut self, transitions: i32, opens_at: Instant) -> Result<(), LeaseError> {
        let acquired = micros((self.clock)());
        let term = Term { transitions, acquired };
        self.office = Some(Office { term, opens_at, epoch: None, valid_until: None });
        let mut lease = self.renewed();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(self.candidate.identity.clone());
        spec.lease_transitions = Some(transitions);
        spec.acquire_time = Some(MicroTime(acquired));
        let written = self.write(lease).await;
        if written.as_ref().is_err_and(conflicts) {
            self.office = None; // certainly not committed: what is read next is not ours, however alike
        }
        written
    }

    /// The Lease as last read, renewed now. Everything that is not ours in it is kept, the resourceVersion above all.
    fn renewed(&self) -> LeaseObject {
        let mut lease = self.object.clone().unwrap_or_else(|| LeaseObject {
            metadata: ObjectMeta { name: Some(self.candidate.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec::default()),
        });
        let spec = lease.spec.get_or_insert_default();
        let now = micros((self.clock)());
        let before = spec.renew_time.take().map(|time| time.0);
        // A write that changes nothing keeps the resourceVersion (seen on 1.34), and followers see a renewal by its
        // stamp: a clock that stands still or steps back must never repeat one.
        let above = before.filter(|before| *before >= now);
        let stamp = above.and_then(|before| before.checked_add(Duration::from_micros(1)).ok()).unwrap_or(now);
        spec.renew_time = Some(MicroTime(stamp));
        // Checked to be at most 300 s.
        spec.lease_duration_seconds = i32::try_from(self.config.duration.as_secs()).ok();
        lease
    }

    /// Creates or replaces the Lease. Success moves the renew deadline, counted from before sending.
    async fn write(&mut self, lease: LeaseObject) -> Result<(), LeaseError> {
        let sent_at = Instant::now();
        let params = PostParams { field_manager: Some("breakwater".into()), ..PostParams::default() };
        let written = match lease.metadata.resource_version {
            Some(_) => self.ask(self.api.replace(&self.candidate.name, &params, &lease)).await?,
            None => self.ask(self.api.create(&params, &lease)).await?,
        };
        self.object = Some(written);
        self.fresh = true;
        self.last_change = Instant::now();
        if let Some(office) = &mut self.office {
            office.valid_until = Some(sent_at + self.config.renew_deadline);
        }
        Ok(())
    }

    /// After a renewal that succeeded: publishes it, and opens the term when its time has come.
    async fn lead(&mut self, again: Instant) -> Instant {
        let Some(Office { term, opens_at, mut epoch, valid_until }) = self.office else { return again };
        if epoch.is_none() && Instant::now() >= opens_at {
            match timeout(self.config.request_timeout(), (self.highest_epoch)()).await {
                Ok(Ok(highest)) => epoch = Some(next_epoch(highest, term.transitions)),
                Ok(Err(error)) => tracing::warn!(%error, "cannot read the epochs in the statuses"),
                Err(_) => tracing::warn!("cannot read the epochs in the statuses: no answer in time"),
            }
            if let Some(epoch) = epoch {
                tracing::info!(lease = self.candidate.name, epoch, "leading");
            }
        }
        self.office = Some(Office { term, opens_at, epoch, valid_until });
        let standing = match (epoch, valid_until) {
            (Some(epoch), Some(valid_until)) => Standing::Leading(Fence { epoch, valid_until }),
            (None, _) | (_, None) => Standing::Opening { opens_at },
        };
        self.standing.send_replace(standing);
        if epoch.is_none() && opens_at > Instant::now() { again.min(opens_at) } else { again }
    }

    /// Nothing is held, as far as was read.
    fn follow(&mut self, holder: Option<String>) {
        if self.office.take().is_some_and(|office| office.valid_until.is_some()) {
            tracing::warn!(lease = self.candidate.name, holder, "lost the lease");
        }
        let standing = Standing::Following { holder };
        self.standing.send_if_modified(|old| {
            let changed = *old != standing;
            *old = standing;
            changed
        });
    }

    /// Gives the lease back, if it is still held. Failing to is no harm: it runs out.
    async fn release(&mut self) {
        for _ in 0..TURN_MAX {
            match self.release_once().await {
                Ok(()) => return,
                Err(error) if conflicts(&error) => self.fresh = false,
                Err(error) => return tracing::warn!(%error, "cannot give the lease back"),
            }
        }
    }

    async fn release_once(&mut self) -> Result<(), LeaseError> {
        let Some(office) = self.office else { return Ok(()) };
        if !self.fresh {
            self.look().await?;
        }
        let me = Me { identity: &self.candidate.identity, term: Some(office.term) };
        if !self.object.as_ref().is_some_and(|lease| me.holds(&Record::of(lease))) {
            return Ok(());
        }
        let mut lease = self.renewed();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.acquire_time = None; // tells a clean release from a holder blanked by hand, see Record::released
        self.write(lease).await?;
        self.office = None;
        tracing::info!(lease = self.candidate.name, "given back");
        Ok(())
    }

    /// Waits for an answer, within bounds.
    async fn ask<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
        let after = self.config.request_timeout();
        let name = || format!("{}/{}", self.candidate.namespace, self.candidate.name);
        match timeout(after, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(LeaseError::Api { name: name(), source }),
            Err(_) => Err(LeaseError::TimedOut { name: name(), after }),
        }
    }
}

/// Somebody else wrote, created or deleted it first: worth a look at once.
fn conflicts(error: &LeaseError) -> bool {
    match error {
        LeaseError::Api { source: kube::Error::Api(status), .. } => {
            status.is_not_found() || status.is_conflict() || status.is_already_exists()
        }
        LeaseError::Api { .. } | LeaseError::TimedOut { .. } => false,
    }
}

/// As a Lease stores it, so that what is read back equals what was written.
fn micros(time: Timestamp) -> Timestamp {
    // Within range: it is nearer to zero than what was given.
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
