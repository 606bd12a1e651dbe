//! What is known of versions beside their tenants: Releases, the soak of another Rollout, Jobs that were made. I/O.

use std::collections::HashMap;

use breakwater_crds::{Rollout, job::TenantJob};
use breakwater_plan::{
    Plan,
    observed::{Errand, Job, JobState},
    outcome::Purpose,
    release::{Release, Soaked},
    spec::Checked,
};
use breakwater_slo::TenantId;
use jiff::{SignedDuration, Timestamp};
use kube::Api;

use super::{
    context::{Context, Key},
    reports,
};
use crate::jobs::{self, Of};

/// Most Jobs that are made per reconcile.
const JOBS_MAX: usize = 64;
/// How long another Rollout's soak is believed.
const SOAKED_AGE: SignedDuration = SignedDuration::from_secs(15);
/// How long a Job that could not be made counts as failed before it is tried again.
const PROBLEM_AGE: SignedDuration = SignedDuration::from_mins(1);

/// What a session remembers of it.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Releases that are for this Rollout.
    pub(super) releases: Vec<Release>,
    /// Why they cannot be read.
    pub(super) unread: Option<String>,
    /// What the Rollout of `gates.soak` has soaked.
    pub(super) soaked: Option<Result<Soaked, String>>,
    changes: Option<u64>,
    soaked_at: Option<Timestamp>,
    problems: HashMap<TenantId, (Errand, String, Timestamp)>,
}

impl Evidence {
    /// Takes what there is now.
    pub(super) async fn refresh(&mut self, context: &Context, key: &Key, checked: &Checked) {
        let changes = *context.releases.changes().borrow();
        if self.changes != Some(changes) {
            self.releases = context.releases.of(&key.namespace, &key.name);
            self.unread = context.releases.unread();
            self.changes = Some(changes);
        }
        let now = context.now();
        let Some(gate) = &checked.spec.gates.soak else {
            (self.soaked, self.soaked_at) = (None, None);
            return;
        };
        if self.soaked_at.is_none_or(|at| now.duration_since(at) >= SOAKED_AGE) {
            self.soaked = Some(soaked(context, key, &gate.rollout.name).await);
            self.soaked_at = Some(now);
        }
    }

    /// Jobs of this Rollout's tenants; one that could not be made counts as failed for a while.
    pub(super) fn jobs(
        &mut self,
        context: &Context,
        key: &Key,
        checked: &Checked,
    ) -> HashMap<TenantId, Vec<Job>> {
        let spec = &checked.spec;
        if spec.revert.down_job.is_none() && spec.before_update_job.is_none() {
            return HashMap::new();
        }
        let now = context.now();
        self.problems.retain(|_, (_, _, at)| now.duration_since(*at) < PROBLEM_AGE);
        let mut jobs = jobs::read(of(key), context.jobs.state().iter());
        for (tenant, (errand, why, _)) in &self.problems {
            let of_it = jobs.entry(*tenant).or_default();
            if of_it.iter().all(|job| job.errand != *errand) {
                of_it.push(Job { errand: errand.clone(), state: JobState::Failed(why.clone()) });
            }
        }
        jobs
    }

    /// Makes Jobs that a plan asks for, a few at a time while this process leads; the next plan asks for the rest.
    pub(super) async fn make(&mut self, context: &Context, key: &Key, checked: &Checked, plan: &Plan) {
        let spec = &checked.spec;
        for write in plan.jobs.iter().take(JOBS_MAX) {
            if context.leader.lease.guard().is_none() {
                return;
            }
            let template: Option<&TenantJob> = match write.errand.purpose {
                Purpose::Revert => spec.revert.down_job.as_ref(),
                Purpose::Advance => spec.before_update_job.as_ref(),
            };
            let Some(template) = template else { continue };
            if let Err(why) = jobs::make(context.client(), of(key), template, write).await {
                let (namespace, tenant) = (&write.tenant.namespace, &write.tenant.name);
                tracing::warn!(
                    rollout = key.name,
                    tenant = format!("{namespace}/{tenant}"),
                    "its Job: {why}"
                );
                self.problems.insert(write.tenant.id, (write.errand.clone(), why, context.now()));
            }
        }
    }
}

const fn of(key: &Key) -> Of<'_> {
    Of { namespace: key.namespace.as_str(), name: key.name.as_str() }
}

/// How another Rollout of the namespace has fared.
async fn soaked(context: &Context, key: &Key, name: &str) -> Result<Soaked, String> {
    let api: Api<Rollout> = Api::namespaced(context.client().clone(), &key.namespace);
    let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
    let status = found.ok_or("there is none of that name")?.status.unwrap_or_default();
    let days = status.soaked_days.iter().map(|day| (day.day, day.seconds)).collect();
    let other = Key { namespace: key.namespace.clone(), name: name.to_owned() };
    let open = reports::cached(&context.reports, &other).into_iter().filter_map(|report| {
        let answered = report.status.closed_by.is_some() || report.spec.is_answered_for("");
        // One whose time is not known stands in the way of whatever is asked about.
        Some((report.name, report.status.decided_at.unwrap_or(Timestamp::MAX))).filter(|_| !answered)
    });
    Ok(Soaked { days, open: open.collect() })
}
