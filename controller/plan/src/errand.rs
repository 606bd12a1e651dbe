//! A Job before a write: `revert.downJob` takes a schema down, `beforeUpdateJob` runs what is to run beforehand. Pure.
//!
//! A tenant and a change of its version have one Job, whose name says which: whoever looks finds the same. The version is
//! written once it succeeded; a Job that failed keeps the tenant where it is until somebody deletes the Job.

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::words::{HoldReason, Impact};

use crate::{
    draft::Draft,
    fleet,
    gate::{self, WayBack},
    observed::{Errand, JobState, Tenant},
    outcome::{JobWrite, Purpose},
    release,
};

/// What a tenant's write waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing.
    Nothing,
    /// Its Job is to be made.
    Job(Errand),
    /// Its Job runs.
    Running,
    /// Its Job failed: how.
    Failed(String),
    /// The schema forbids it (R21): why.
    Forbidden(String),
}

/// Asks for one tenant after the other; a fleet has few pairs of versions, and each is asked once.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    back: HashMap<(Arc<str>, Arc<str>), WayBack>,
    quiet: HashMap<Arc<str>, bool>,
}

impl Asking {
    /// What stands before a tenant's write back to `older`.
    pub(crate) fn before_return(&mut self, draft: &Draft<'_>, tenant: &Tenant, older: &Arc<str>) -> Before {
        let (Some(newer), Some(marker)) = (tenant.version.version(), fleet::own(tenant)) else {
            return Before::Nothing;
        };
        let pair = (newer.clone(), older.clone());
        let way = self.back.entry(pair).or_insert_with(|| gate::way_back(draft, newer, older));
        match way {
            WayBack::Open => Before::Nothing,
            WayBack::Shut(why) => Before::Forbidden(why.clone()),
            WayBack::ByJob => {
                let (newer, older) = (newer.clone(), older.clone());
                state(draft, tenant, Errand { purpose: Purpose::Revert, newer, older, of: marker.written_at })
            }
        }
    }

    /// What stands before a tenant's write to `newer`, where there is a `beforeUpdateJob`.
    pub(crate) fn before_update(&mut self, draft: &Draft<'_>, tenant: &Tenant, newer: &Arc<str>) -> Before {
        let (Some(older), Some(of)) = (tenant.version.version(), draft.status.started_at) else {
            return Before::Nothing;
        };
        let quiet = self.quiet.entry(older.clone()).or_insert_with(|| {
            let crossing = release::crossing(draft.observed.releases, older, newer);
            crossing.is_none_or(|crossing| crossing.impact == Impact::Quiet)
        });
        if *quiet {
            return Before::Nothing;
        }
        let (newer, older) = (newer.clone(), older.clone());
        state(draft, tenant, Errand { purpose: Purpose::Advance, newer, older, of })
    }
}

fn state(draft: &Draft<'_>, tenant: &Tenant, errand: Errand) -> Before {
    let jobs = draft.observed.jobs.get(&tenant.id);
    match jobs.and_then(|jobs| jobs.iter().find(|job| job.errand == errand)).map(|job| &job.state) {
        None => Before::Job(errand),
        Some(JobState::Running) => Before::Running,
        Some(JobState::Succeeded) => Before::Nothing,
        Some(JobState::Failed(how)) => Before::Failed(how.clone()),
    }
}

/// What came of asking for one tenant after the other.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    /// Jobs that run: each holds a place.
    pub(crate) running: usize,
    /// The first that failed, and how.
    pub(crate) failed: Option<String>,
    /// The first that the schema forbids, and why.
    pub(crate) forbidden: Option<String>,
    count: [usize; 2],
}

impl Errands {
    /// Notes what a tenant waits for; true where it may be written, or its Job made.
    pub(crate) fn note(&mut self, tenant: &Tenant, before: &Before) -> bool {
        match before {
            Before::Nothing | Before::Job(_) => return true,
            Before::Running => self.running += 1,
            Before::Failed(how) => {
                self.count[0] += 1;
                self.failed.get_or_insert_with(|| {
                    format!("the Job of {}/{} failed: {how}", tenant.namespace, tenant.name)
                });
            }
            Before::Forbidden(why) => {
                self.count[1] += 1;
                self.forbidden.get_or_insert_with(|| why.clone());
            }
        }
        false
    }

    /// Holds for what a human must mend.
    pub(crate) fn hold(self, draft: &mut Draft<'_>) {
        let [failed, forbidden] = self.count;
        if let Some(first) = self.failed {
            let more = if failed > 1 { format!(", and {} more", failed - 1) } else { String::new() };
            draft.hold(
                HoldReason::JobFailed,
                format!("{first}{more}; mend it and delete the Job: it is made anew"),
            );
        }
        if let Some(why) = self.forbidden {
            draft.hold(
                HoldReason::RevertGated,
                format!("{forbidden} tenants do not go back by themselves: {why}"),
            );
        }
    }
}

/// Plans to make a tenant's Job.
pub(crate) fn make(draft: &mut Draft<'_>, tenant: &Tenant, errand: Errand) {
    draft.jobs.push(JobWrite { tenant: tenant.clone(), errand });
}
