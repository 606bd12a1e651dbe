//! What a plan says: the status to store, then what to write, whom to tell, when to look again. Pure.

use std::sync::Arc;

use breakwater_crds::{
    action::RolloutActionStatus,
    report::{DeviationReportSpec, DeviationReportStatus},
    status::{RolloutStatus, Transition},
};
use breakwater_slo::{State, TenantId};
use jiff::Timestamp;

use crate::{
    alerts::Standing,
    frozen::Freeze,
    observed::{Errand, Marker, Tenant},
    roster::Place,
    study::Study,
    trace::Trace,
};

/// Everything that is to happen next. Order of execution: reports, status, then the rest (R28).
#[derive(Debug, Clone)]
pub struct Plan {
    /// The whole new status.
    pub status: RolloutStatus,
    /// True when the status holds a decision that must be stored before any tenant is written (R28);
    /// otherwise storing it may wait for its turn (R27).
    pub decided: bool,
    /// `DeviationReports` to create or update, before the status.
    pub reports: Vec<ReportWrite>,
    /// Tenants to write, in this order, pipelined; what is not yet sent of an older plan is dropped.
    pub writes: Vec<Write>,
    /// Jobs to make, if they are not there.
    pub jobs: Vec<JobWrite>,
    /// Tenants that must be read afresh before the next plan can be sure.
    pub confirm: Vec<TenantId>,
    /// Failed tenants whose cause should be looked up.
    pub diagnose: Vec<TenantId>,
    /// Results for the actions' own statuses; written after the Rollout's.
    pub results: Vec<ActionResult>,
    /// New transitions: each is an Event and a log line.
    pub transitions: Vec<Transition>,
    /// The judges' states, in order of the SLOs; handed back with the next observation.
    pub judges: Vec<State>,
    /// What both arms counted of late, in order of the SLOs; handed back with the next observation.
    pub traces: Vec<Arc<Trace>>,
    /// Since when counts are wanted, if they are: steps after this, or after what was evaluated or traced.
    pub watch_since: Option<Timestamp>,
    /// Instants at which the seven days before are wanted (wave starts).
    pub history_wanted: Vec<Timestamp>,
    /// Whether the SLOs are to be looked at as they are: the next write is the first of a wave (R10).
    pub wants_sight: bool,
    /// The look at the past that the newest wave's comparison waits for.
    pub study: Option<Arc<Study>>,
    /// What is to be stored of the newest wave's start, after everything else; nothing waits for it.
    pub freeze: Option<Freeze>,
    /// Names of `RolloutStates` that are of no use any more.
    pub outlived: Vec<String>,
    /// When to plan again even if nothing happens; `None`: only on events.
    pub wake_at: Option<Timestamp>,
    /// What the rollout waits for, in one sentence; "nothing to do" has a reason.
    pub waiting: String,
    /// Where each tenant stands, in the order in which the tenants were observed.
    pub places: Vec<Place>,
    /// The arm of each tenant for alerts, in the same order; empty where no alert is asked about, or no version is under way.
    pub arms: Vec<Standing>,
}

impl Plan {
    /// End of the last step of an SLO that is not wanted again, in unix seconds.
    pub fn read_until_seconds(&self, slo: usize) -> Option<i64> {
        let judged = self.judges.get(slo).and_then(State::until_seconds);
        judged.max(self.traces.get(slo).and_then(|trace| trace.until_seconds()))
    }
}

/// A `DeviationReport` to create (if absent) and whose status to write.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportWrite {
    /// Its name: `{rollout}-{hash of version}-{n}`.
    pub name: String,
    /// What it is about.
    pub spec: DeviationReportSpec,
    /// The whole new account.
    pub status: DeviationReportStatus,
}

/// One guarded patch of one tenant (R24).
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The tenant as it was observed; its uid and resourceVersion guard the patch.
    pub tenant: Tenant,
    /// The version to write; `marker.target` is the same.
    pub version: Arc<str>,
    /// The marker to write with it. `written_at` is set by the executor when it sends.
    pub marker: Marker,
    /// Why.
    pub purpose: Purpose,
}

/// A Job to make for a tenant (`revert.downJob`, `beforeUpdateJob`).
#[derive(Debug, Clone, PartialEq)]
pub struct JobWrite {
    /// The tenant.
    pub tenant: Tenant,
    /// What it is for.
    pub errand: Errand,
}

/// Why a tenant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The wanted version goes in.
    Advance,
    /// A rejected version goes out.
    Revert,
}

/// A result for an action's own status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionResult {
    /// The action's name.
    pub name: String,
    /// Its UID, so that a namesake gets nothing.
    pub uid: String,
    /// What became of it.
    pub status: RolloutActionStatus,
}
