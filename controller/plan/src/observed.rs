//! Everything that a plan is made of: one value, read once, so that planning needs no I/O. Pure.

mod slower;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use breakwater_crds::{
    Span,
    action::RolloutActionSpec,
    report::{DeviationReportSpec, DeviationReportStatus},
    status::RolloutStatus,
};
use breakwater_slo::{State, TenantId};
use jiff::{SignedDuration, Timestamp};

pub use slower::{Counted, Slower};

use crate::{
    frozen::{Kept, Thawed},
    outcome::Purpose,
    release::{Release, Soaked},
    roster::after,
    spec::Checked,
    study::{Studied, Week},
    trace::Trace,
};

/// One Rollout and all that is known of its fleet at one instant, by where it comes from.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The Rollout as people and Git ask for it.
    pub asked: Asked<'a>,
    /// The stored status, freshly read.
    pub status: &'a RolloutStatus,
    /// What is known of the controller's clock.
    pub clock: Clock,
    /// Lease epoch of this controller (R26).
    pub epoch: i64,
    /// Id of the hub that this controller runs in (R48).
    pub hub: &'a str,
    /// The tenants.
    pub fleet: Fleet<'a>,
    /// What was measured, and what was frozen of it.
    pub measured: Measured<'a>,
    /// What was decided elsewhere, by people, reviewers and other Rollouts.
    pub elsewhere: Elsewhere<'a>,
}

/// What the controller has seen of its wall clock, by comparing it with the monotonic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// When this term of the controller first looked at it, as the clock said then: before, another one led, by a clock of its own.
    pub began: Timestamp,
    /// Right after its last step in this process's life, if it has stepped.
    pub stepped_to: Option<Timestamp>,
}

/// How far ahead of the clock a limit may begin and be taken at its word: two clocks differ by as much.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(1);

impl Clock {
    /// When a time limit ends that began at `at`, by a clock that may have been wrong.
    ///
    /// A limit that began before a step counts from the step, since nobody had the time that was left out. One that begins well
    /// in the future was written by a clock that was fast, or by a stranger's hand; it counts from where this term knows the
    /// time, so that it ends, and not at once.
    pub(crate) fn deadline(self, at: Timestamp, limit: Span, now: Timestamp) -> Timestamp {
        let begin = if at.duration_since(now) > AHEAD_MAX {
            self.began.max(self.stepped_to.unwrap_or(self.began)).min(now)
        } else {
            self.stepped_to.map_or(at, |stepped| at.max(stepped.min(now)))
        };
        after(begin, limit)
    }
}

/// The Rollout as people and Git ask for it.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The Rollout's namespace.
    pub namespace: &'a str,
    /// The Rollout's name.
    pub name: &'a str,
    /// When the Rollout object was created; older actions are not for it.
    pub created_at: Timestamp,
    /// `metadata.generation` of the newest spec.
    pub generation: i64,
    /// The accepted spec: the newest one that was valid (R9).
    pub spec: &'a Checked,
    /// Why the newest spec was refused, if it was; `spec` is then an older one.
    pub refused: Option<&'a str>,
    /// Name of the `ControllerRevision` that keeps `spec`.
    pub revision: Option<&'a str>,
    /// `RolloutActions` of this Rollout without a result of their own, oldest first.
    pub actions: &'a [Action],
    /// Why every write is stopped, if the stop `ConfigMap` exists or cannot be read (R36).
    pub stopped: Option<&'a str>,
}

/// The tenants, and what is under way with them.
#[derive(Debug, Clone)]
pub struct Fleet<'a> {
    /// Whether `tenants` is all there is.
    pub listing: Listing,
    /// The tenants, in no particular order.
    pub tenants: &'a [Tenant],
    /// Tenants whose write was sent and not answered yet; they count as busy (R2).
    pub in_flight: &'a HashSet<TenantId>,
    /// Tenants whose last write was refused or rewritten by the API server's admission, and how.
    pub problems: &'a HashMap<TenantId, String>,
    /// Why failed tenants are not ready, as far as it was looked up (R4).
    pub causes: &'a HashMap<TenantId, Cause>,
    /// Jobs of this Rollout's tenants.
    pub jobs: &'a HashMap<TenantId, Vec<Job>>,
}

/// What was measured, and what was frozen of it.
#[derive(Debug, Clone)]
pub struct Measured<'a> {
    /// One entry per SLO of the spec, in its order.
    pub readings: &'a [SloReading],
    /// Alerts of the spec's rules that fire, in words; for the account of a deviation only.
    pub firing: &'a [String],
    /// What was frozen and is stored; `None`: it was not read yet.
    pub kept: Option<&'a Thawed>,
}

/// What was decided elsewhere, by people, reviewers and other Rollouts.
#[derive(Debug, Clone)]
pub struct Elsewhere<'a> {
    /// `DeviationReports` of this Rollout's name, in no particular order.
    pub reports: &'a [Report],
    /// Releases that are for this Rollout, assessed, whatever version they speak of.
    pub releases: &'a [Release],
    /// Why Releases cannot be read, if so: then nobody knows what they say.
    pub releases_unread: Option<&'a str>,
    /// Why no version may start on what is known of Releases: one that the API has was not assessed as it is now.
    pub releases_behind: Option<&'a str>,
    /// How the Rollout that `gates.soak` names has fared, or why nobody knows; `None`: it was not read yet.
    pub soaked: Option<&'a Result<Soaked, String>>,
}

/// A Job that is run for a tenant before its version is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it is for.
    pub errand: Errand,
    /// How it stands.
    pub state: JobState,
}

/// What a Job is for: one change of one tenant's version. Each has one Job, whoever looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Before which write.
    pub purpose: Purpose,
    /// The later version.
    pub newer: Arc<str>,
    /// The earlier one.
    pub older: Arc<str>,
    /// Which change of that kind: the time of the write that it takes back, or of the version's start.
    pub of: Timestamp,
}

/// How a Job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It runs, or waits for a place.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed for good, or could not be made: why.
    Failed(String),
}

/// Whether the list of tenants may be relied on. Unknown is never safe: an incomplete one holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// All watches have listed once and run.
    Complete,
    /// They have not, or the kind is missing: why.
    Incomplete(String),
}

/// One tenant, pruned to what decisions and writes need.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Stable hash of the Rollout's and the tenant's namespace and name: identity, percent draw and order at once (R5).
    pub id: TenantId,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What the guarded patch needs beside the version.
    pub object: ObjectFacts,
    /// The tenant's name in metrics; `None`: `namespace/name`.
    pub metric_id: Option<Arc<str>>,
    /// The version that all version fields agree on.
    pub version: Reading,
    /// True while selector and namespace selector match; a marked tenant stays known without (R17).
    pub selected: bool,
    /// Index in the spec's waves of the first wave whose selector matches.
    pub selector_wave: Option<u8>,
    /// `exclude` says so.
    pub excluded: bool,
    /// `dormant` says so.
    pub dormant: bool,
    /// Has a deletion timestamp; never touched (R24).
    pub terminating: bool,
    /// Its namespace is the Rollout's own or consents (R39).
    pub consented: bool,
    /// Whether it is ready *at its present version*, with no stale status (R3).
    pub readiness: Readiness,
    /// The marker, if there is one.
    pub marker: Option<Box<Marker>>,
    /// A field manager that owns a version field and is neither ours nor in `takeFrom` (R24).
    pub foreign_owner: Option<Arc<str>>,
    /// True when this very resourceVersion came from a read that bypassed every cache.
    pub confirmed: bool,
}

/// The version as read from the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// All fields hold this version.
    Version(Arc<str>),
    /// A field is absent, does not fit its format, or fields disagree: why.
    Unreadable(Arc<str>),
}

impl Reading {
    /// The version, if it could be read.
    pub fn version(&self) -> Option<&Arc<str>> {
        match self {
            Self::Version(version) => Some(version),
            Self::Unreadable(_) => None,
        }
    }
}

/// Whether a tenant is ready at its present version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is, at least since this instant (the observation's, or the object's own word).
    Ready {
        /// Since when, as far as is known.
        since: Timestamp,
    },
    /// It is not: why.
    NotReady {
        /// A short reason for people, such as `2 of 3 replicas updated`.
        reason: Arc<str>,
    },
}

/// What the guarded patch needs (R24).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectFacts {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
    /// Positions of the list items on the version fields' paths, in order of fields and of list keys.
    pub positions: Arc<[u16]>,
    /// Whether `metadata.labels` exists (JSON patch cannot add into an absent map).
    pub has_labels: bool,
    /// Whether `metadata.annotations` exists.
    pub has_annotations: bool,
}

/// The marker on a tenant (R17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Whose it is.
    pub claim: Claim,
    /// Version that the last write asked for.
    pub target: Arc<str>,
    /// Last verified version, where a revert goes.
    pub previous: Arc<str>,
    /// Wave in which it was touched.
    pub wave: Arc<str>,
    /// When the write was sent.
    pub written_at: Timestamp,
    /// Lease epoch of the writer.
    pub epoch: i64,
    /// Whether the tenant was ready before it left its last verified version. Who was not is not judged by its readiness after.
    pub ready_before: bool,
}

/// Whose marker it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This Rollout's.
    Own,
    /// Another, existing Rollout's: the tenant is `Claimed`.
    Other,
    /// That of a Rollout of this name that another hub leads, with the hub's id: `Claimed` until somebody takes it over (R48).
    Hub(Arc<str>),
    /// A Rollout's that is gone: free.
    Gone,
}

impl Claim {
    /// True for a tenant that somebody else leads.
    pub const fn is_foreign(&self) -> bool {
        match self {
            Self::Other | Self::Hub(_) => true,
            Self::Own | Self::Gone => false,
        }
    }
}

/// A `RolloutAction` that waits to be honoured.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Its UID.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// What it asks.
    pub spec: RolloutActionSpec,
}

/// A `DeviationReport` as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub spec: DeviationReportSpec,
    /// The account so far.
    pub status: DeviationReportStatus,
}

/// What was read for one SLO since the last plan.
#[derive(Debug, Clone, Default)]
pub struct SloReading {
    /// The judge's state that the last plan returned; `None` after a restart: the status's checkpoint is taken.
    pub state: Option<State>,
    /// The trace that the last plan returned; `None` after a restart.
    pub trace: Option<Arc<Trace>>,
    /// Steps after `status.slos[].evaluatedUntil`, in order, each exactly once.
    pub steps: Vec<Step>,
    /// Steps at or before it, in order: after a restart they refill the short windows only.
    pub recent: Vec<Step>,
    /// Why nothing newer could be read; the steps are fetched later (R12).
    pub error: Option<String>,
    /// Length of a step, in seconds; known once the scrape interval was asked for.
    pub step_seconds: i64,
    /// How long after its end a step is read, in seconds: two scrape intervals, or 90 s, and the SLO's `delay`.
    pub lag_seconds: i64,
    /// Bad and total over seven days before the keyed instant (a wave's start), by tenant (R14).
    pub history: HashMap<Timestamp, Week>,
    /// What came of the looks at the past, by the start of the wave that each was for; or why nothing did.
    pub studies: HashMap<Timestamp, Result<Arc<Studied>, String>>,
    /// What was frozen and is stored, by the start of the wave: it stands before `history` and `studies`.
    pub kept: HashMap<Timestamp, Kept>,
    /// How much of the look at the past that is under way is done, in `[0, 1]`.
    pub study_progress: Option<f64>,
    /// What the SLO says of the fleet as it is, while a plan [wants it](crate::Plan::wants_sight).
    pub sight: Option<Sight>,
}

/// What an SLO's newest step says of the fleet as it is, before anybody is a candidate (R10).
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// When Prometheus was asked.
    pub at: Timestamp,
    /// What there is, or why there would be nothing to judge by.
    pub seen: Result<Seen, String>,
}

/// What an SLO has to judge by.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Series of these tenants, in order of their ids.
    Tenants(Arc<[TenantId]>),
    /// Values of a `query`.
    Value,
}

/// One step's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its end, in seconds since the epoch, a multiple of the step.
    pub end_seconds: i64,
    /// When it was fetched, so that late steps count as evidence and not as soak (R7).
    pub fetched_at: Timestamp,
    /// What was read.
    pub data: StepData,
}

/// What was read in one step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepData {
    /// By tenant; tenants that are not in it had no series.
    Counts(Counted),
    /// The values of a `query` SLO.
    Values(Vec<f64>),
    /// Prometheus answered, and it was no good: why.
    Missing(String),
}

/// Something by tenant, in order of the tenants' ids. Shared: a reading is handed from plan to plan until it was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct ByTenant<T>(Arc<[(TenantId, T)]>);

impl<T> ByTenant<T> {
    /// From pairs in any order; of a tenant that is in them twice, one stays.
    pub fn new(mut pairs: Vec<(TenantId, T)>) -> Self {
        if !pairs.is_sorted_by(|(one, _), (other, _)| one < other) {
            pairs.sort_by_key(|(tenant, _)| *tenant);
            pairs.dedup_by_key(|(tenant, _)| *tenant);
        }
        Self(pairs.into())
    }

    /// In order of the tenants' ids.
    pub fn as_slice(&self) -> &[(TenantId, T)] {
        &self.0
    }

    /// What there is of one tenant.
    pub fn get(&self, tenant: TenantId) -> Option<&T> {
        self.walk().get(tenant)
    }

    /// Looks tenants up one after the other.
    pub fn walk(&self) -> Walk<'_, T> {
        Walk { pairs: &self.0, next: 0 }
    }
}

impl<T: Copy> From<&[(TenantId, T)]> for ByTenant<T> {
    /// From pairs that are mostly in order already: one allocation then.
    fn from(pairs: &[(TenantId, T)]) -> Self {
        if pairs.is_sorted_by(|(one, _), (other, _)| one < other) {
            Self(pairs.into())
        } else {
            Self::new(pairs.to_vec())
        }
    }
}

impl<T> FromIterator<(TenantId, T)> for ByTenant<T> {
    fn from_iter<I: IntoIterator<Item = (TenantId, T)>>(pairs: I) -> Self {
        Self::new(pairs.into_iter().collect())
    }
}

/// Looks tenants up in a [`ByTenant`]: for one that follows on the last in a step, for others by halving.
#[derive(Debug)]
pub struct Walk<'a, T> {
    pairs: &'a [(TenantId, T)],
    next: usize,
}

impl<'a, T> Walk<'a, T> {
    /// What there is of one tenant.
    pub fn get(&mut self, tenant: TenantId) -> Option<&'a T> {
        self.find(tenant).map(|(_, found)| found)
    }

    /// The same with its place in order of the ids.
    pub(crate) fn find(&mut self, tenant: TenantId) -> Option<(usize, &'a T)> {
        let here = self.pairs.get(self.next).filter(|(here, _)| *here == tenant);
        if here.is_none() {
            self.next = self.pairs.binary_search_by_key(&tenant, |(tenant, _)| *tenant).ok()?;
        }
        let (_, found) = self.pairs.get(self.next)?;
        self.next += 1;
        Some((self.next - 1, found))
    }
}

/// Why a failed tenant is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Plainly infrastructure (unschedulable, image pull, volume): which.
    Infrastructure(String),
    /// Its own pods crash or do not become ready: how.
    Application(String),
    /// Nothing could be learnt.
    Unknown,
}
