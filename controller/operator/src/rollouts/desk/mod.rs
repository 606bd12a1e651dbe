//! What a plan asks for beside its writes: tenants read afresh, causes of failures, Jobs. Done in the background, so that
//! neither a reconcile nor a revert waits for it; the next plan observes what came of it. I/O.

mod lane;

use std::{collections::HashMap, sync::Arc, time::Duration};

use breakwater_plan::{
    Plan,
    observed::Cause,
    outcome::{JobWrite, Purpose},
    spec::Checked,
};
use breakwater_slo::TenantId;
use kube::Client;
use lane::Lane;
use tokio::sync::Notify;

use super::{context::Context, findings::Findings, key::Key};
use crate::{
    clock::Clock,
    jobs::{self, Of},
    lease::Lease,
    tenants::{Subscription, Tenants},
};

/// Pause after a read that failed, before the tenant may be asked for again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The background work of one Rollout under one accepted spec. Each kind has its own places, so that reads that hang keep
/// no Job of a revert waiting.
pub(super) struct Desk {
    confirmations: Lane<TenantId>,
    diagnoses: Lane<TenantId>,
    jobs: Lane<JobWrite>,
}

/// What the work needs.
struct Worker {
    key: Key,
    client: Client,
    lease: Lease,
    clock: Clock,
    tenants: Tenants,
    subscription: Subscription,
    checked: Arc<Checked>,
    findings: Findings,
    /// Told when the next plan has something to observe.
    came_back: Arc<Notify>,
}

impl Desk {
    /// An empty one. `came_back` is told when the next plan has something to observe.
    pub(super) fn start(
        context: &Context,
        key: &Key,
        checked: Arc<Checked>,
        subscription: Subscription,
        findings: Findings,
        came_back: Arc<Notify>,
    ) -> Self {
        let worker = Arc::new(Worker {
            key: key.clone(),
            client: context.handles.client().clone(),
            lease: context.handles.lease.clone(),
            clock: context.handles.ground.clock.clone(),
            tenants: context.tenants.clone(),
            subscription,
            checked,
            findings,
            came_back,
        });
        let (confirms, diagnoses, makes) = (worker.clone(), worker.clone(), worker);
        Self {
            confirmations: Lane::start(&context.alarm, "confirmations", move |id| {
                confirms.clone().confirm(id)
            }),
            diagnoses: Lane::start(&context.alarm, "diagnoses", move |id| diagnoses.clone().diagnose(id)),
            jobs: Lane::start(&context.alarm, "jobs", move |write| makes.clone().make(write)),
        }
    }

    /// Swaps what was not begun for what the newest plan asks for; `known` are the causes that need no look.
    pub(super) fn ask(&self, plan: &Plan, known: &HashMap<TenantId, Cause>) {
        self.jobs.replace(plan.jobs.iter().cloned());
        self.confirmations.replace(plan.confirm.iter().copied());
        self.diagnoses.replace(plan.diagnose.iter().copied().filter(|id| !known.contains_key(id)));
    }

    /// Makes no further Job of an older plan.
    pub(super) fn withhold_jobs(&self) {
        self.jobs.replace([]);
    }

    /// Makes no further Job, and waits for those that are being made.
    pub(super) async fn drain(&self) {
        self.jobs.drain().await;
    }
}

impl Worker {
    /// Reads a tenant past every cache (R25); the index holds what came of it.
    async fn confirm(self: Arc<Self>, id: TenantId) {
        if let Err(error) = self.tenants.read(&self.subscription, id).await {
            tracing::warn!(rollout = %self.key, %error, "a tenant could not be read afresh");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        self.came_back.notify_one();
    }

    /// Looks up why a tenant is not ready (R4).
    async fn diagnose(self: Arc<Self>, id: TenantId) {
        let cause = self.tenants.diagnose(&self.subscription, id).await;
        self.findings.learn(id, cause, (self.clock)());
        self.came_back.notify_one();
    }

    /// Makes a tenant's Job while this process leads; the watch tells of one that is there.
    async fn make(self: Arc<Self>, write: JobWrite) {
        let spec = &self.checked.spec;
        let template = match write.errand.purpose {
            Purpose::Revert => spec.revert.down_job.as_ref(),
            Purpose::Advance => spec.before_update_job.as_ref(),
        };
        let Some(template) = template.filter(|_| self.lease.guard().is_some()) else { return };
        let of = Of { namespace: &self.key.namespace, name: &self.key.name };
        if let Err(why) = jobs::make(&self.client, of, template, &write).await {
            let JobWrite { tenant, errand } = write;
            let name = format!("{}/{}", tenant.namespace, tenant.name);
            tracing::warn!(rollout = %self.key, tenant = name, "its Job: {why}");
            self.findings.could_not_make(tenant.id, errand, why, (self.clock)());
            self.came_back.notify_one();
        }
    }
}
