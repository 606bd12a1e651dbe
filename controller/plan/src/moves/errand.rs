//! A Job before a write: `revert.downJob` takes a schema down, `beforeUpdateJob` runs what is to run beforehand. Pure.
//!
//! A tenant and a change of its version have one Job, whose name says which: whoever looks finds the same. The version is
//! written once it succeeded; a Job that failed keeps the tenant where it is until somebody deletes the Job.

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::words::{HoldReason, Impact};
use jiff::Timestamp;

use super::Ground;
use crate::{
    course::Course,
    gate::{Gates, WayBack},
    input::Input,
    observed::{Errand, JobState, Tenant},
    outcome::Purpose,
    release,
    roster::own,
    said::Said,
};

/// What a tenant's write waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
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
pub(super) struct Asking<'g, 'a> {
    input: &'g Input<'a>,
    gates: Gates<'g, 'a>,
    back: HashMap<(Arc<str>, Arc<str>), WayBack>,
    quiet: HashMap<Arc<str>, bool>,
}

impl<'g, 'a> Asking<'g, 'a> {
    pub(super) fn new(ground: Ground<'g, 'a>, course: &'g Course) -> Self {
        let Ground { input, honoured, .. } = ground;
        Self { input, gates: honoured.gates(input, course), back: HashMap::new(), quiet: HashMap::new() }
    }

    /// What stands before a tenant's write back to `older`.
    pub(super) fn before_return(&mut self, tenant: &Tenant, older: &Arc<str>) -> Before {
        let (Some(newer), Some(marker)) = (tenant.version.version(), own(tenant)) else {
            return Before::Nothing;
        };
        let (pair, gates) = ((newer.clone(), older.clone()), self.gates);
        let way = self.back.entry(pair).or_insert_with(|| gates.way_back(newer, older));
        match way {
            WayBack::Open => Before::Nothing,
            WayBack::Shut(why) => Before::Forbidden(why.clone()),
            WayBack::ByJob => {
                let (newer, older) = (newer.clone(), older.clone());
                self.state(tenant, Errand { purpose: Purpose::Revert, newer, older, of: marker.written_at })
            }
        }
    }

    /// What stands before a tenant's write to `newer`, which started then, where there is a `beforeUpdateJob`.
    pub(super) fn before_update(
        &mut self,
        tenant: &Tenant,
        newer: &Arc<str>,
        started_at: Option<Timestamp>,
    ) -> Before {
        let (Some(older), Some(of)) = (tenant.version.version(), started_at) else {
            return Before::Nothing;
        };
        let releases = self.input.elsewhere.releases;
        let quiet = self.quiet.entry(older.clone()).or_insert_with(|| {
            let crossing = release::crossing(releases, older, newer);
            crossing.is_none_or(|crossing| crossing.impact == Impact::Quiet)
        });
        if *quiet {
            return Before::Nothing;
        }
        let (newer, older) = (newer.clone(), older.clone());
        self.state(tenant, Errand { purpose: Purpose::Advance, newer, older, of })
    }

    fn state(&self, tenant: &Tenant, errand: Errand) -> Before {
        let jobs = self.input.fleet.jobs.get(&tenant.id);
        match jobs.and_then(|jobs| jobs.iter().find(|job| job.errand == errand)).map(|job| &job.state) {
            None => Before::Job(errand),
            Some(JobState::Running) => Before::Running,
            Some(JobState::Succeeded) => Before::Nothing,
            Some(JobState::Failed(how)) => Before::Failed(how.clone()),
        }
    }
}

/// What came of asking for one tenant after the other.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Jobs that run: each holds a place.
    pub(super) running: usize,
    /// The first that failed, and how.
    pub(super) failed: Option<String>,
    /// The first that the schema forbids, and why.
    pub(super) forbidden: Option<String>,
    count: [usize; 2],
}

impl Errands {
    /// Notes what a tenant waits for; true where it may be written, or its Job made.
    pub(super) fn note(&mut self, tenant: &Tenant, before: &Before) -> bool {
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

    /// What a human must mend.
    pub(super) fn holds(self) -> Said {
        let [failed, forbidden] = self.count;
        let mut said = Said::default();
        if let Some(first) = self.failed {
            let more = if failed > 1 { format!(", and {} more", failed - 1) } else { String::new() };
            let message = format!("{first}{more}; mend it and delete the Job: it is made anew");
            said.hold(HoldReason::JobFailed, message);
        }
        if let Some(why) = self.forbidden {
            let message = format!("{forbidden} tenants do not go back by themselves: {why}");
            said.hold(HoldReason::RevertGated, message);
        }
        said
    }
}
