//! The planner is asked: everything that is known is put into one value, and what the plan leaves is remembered. No I/O.

use std::collections::HashMap;

use breakwater_crds::Rollout;
use breakwater_plan::{
    Observed, Plan,
    alerts::{AlertTenant, Standing},
    observed::{Action, Asked, Elsewhere, Fleet, Job, Measured, Reading, Tenant},
    plan,
};
use breakwater_slo::TenantId;
use jiff::Timestamp;

use super::{
    context::Context,
    findings::Findings,
    key::Key,
    reports,
    session::{InForce, Session},
    view::{AlertView, Board},
};
use crate::{
    execute::{Outcome, Pipeline, Problem},
    jobs::{self, Of},
};

/// What came in since the last plan and is of no use after this one.
pub(super) struct Arrived<'a> {
    /// Actions without an answer, oldest first.
    pub(super) actions: &'a [Action],
    /// Why no version may start for want of Releases.
    pub(super) releases_behind: Option<&'a str>,
    /// Epoch of the lease.
    pub(super) epoch: i64,
}

/// What thinking came to.
pub(super) struct Thought {
    pub(super) plan: Plan,
    /// What alerts are decided by from now on.
    pub(super) alerts: AlertView,
}

/// Observes, plans, and remembers; `None` where no spec was ever accepted. Nothing is awaited between the judges' going out and
/// their coming back, so that no plan can be dropped on the way.
pub(super) fn think(
    context: &Context,
    session: &mut Session,
    board: &Board,
    rollout: &Rollout,
    arrived: &Arrived<'_>,
) -> Option<Thought> {
    let now = context.handles.now();
    let Session { key, accepted, memory, owed } = session;
    let in_force = accepted.in_force()?;
    let reports = owed.overlay(reports::cached(&context.mirrors.reports, key));
    let causes = memory.findings().causes(now);
    let mut readings = in_force.watching().readings(in_force.checked().spec.slos.len());
    memory.lend(&mut readings);
    let status = memory.status_of(rollout).cloned().unwrap_or_default();
    let (stop, firing) = (context.handles.stop.borrow().clone(), board.firing());
    let pipeline = &in_force.hands().pipeline;
    let (in_flight, problems) = (pipeline.in_flight(), problems_of(pipeline));
    let names = in_force.index().names();
    let (mut plan, alerts) = in_force.with_tenants(|tenants| {
        let created = rollout.metadata.creation_timestamp.as_ref();
        let jobs = jobs_of(context, key, in_force, memory.findings(), tenants);
        let observed = Observed {
            asked: Asked {
                namespace: &key.namespace,
                name: &key.name,
                created_at: created.map_or(Timestamp::MIN, |time| time.0),
                generation: rollout.metadata.generation.unwrap_or_default(),
                spec: in_force.checked(),
                refused: accepted.refused(),
                revision: Some(in_force.revision()),
                actions: arrived.actions,
                stopped: stop.as_deref(),
            },
            status: &status,
            clock: context.handles.steps.look(now, arrived.epoch),
            epoch: arrived.epoch,
            hub: &context.handles.options.hub,
            fleet: Fleet {
                listing: in_force.listing(),
                tenants,
                in_flight: &in_flight,
                problems: &problems,
                causes: &causes,
                jobs: &jobs,
            },
            measured: Measured { readings: &readings, firing: &firing, kept: memory.frozen().kept() },
            elsewhere: Elsewhere {
                reports: &reports,
                releases: memory.evidence().releases(),
                releases_unread: memory.evidence().unread(),
                releases_behind: arrived.releases_behind,
                soaked: memory.evidence().soaked(),
            },
        };
        let plan = plan(&observed, now);
        in_force.watching().want(&plan, tenants, names);
        let alerts = alert_view(in_force, &plan.arms, tenants, names);
        (plan, alerts)
    });
    memory.remember(&mut plan);
    owed.take(&mut plan);
    Some(Thought { plan, alerts })
}

/// Jobs of the Rollout's tenants, where it asks for any; one that could not be made counts as failed for a while.
fn jobs_of(
    context: &Context,
    key: &Key,
    in_force: &InForce,
    findings: &Findings,
    tenants: &[Tenant],
) -> HashMap<TenantId, Vec<Job>> {
    let spec = &in_force.checked().spec;
    if spec.revert.down_job.is_none() && spec.before_update_job.is_none() {
        return HashMap::new();
    }
    let of = Of { namespace: &key.namespace, name: &key.name };
    let mut jobs = jobs::read(of, tenants, context.mirrors.jobs.state().iter());
    findings.add_unmade(&mut jobs, context.handles.now());
    jobs
}

/// Writes that do not get through, in words.
fn problems_of(pipeline: &Pipeline) -> HashMap<TenantId, String> {
    pipeline.problems().into_iter().map(|(id, problem)| (id, describe(&problem))).collect()
}

/// Tenants by their names in alerts, each with the planner's word on where it stands.
fn alert_view(in_force: &InForce, arms: &[Standing], tenants: &[Tenant], names: u64) -> AlertView {
    let tenants = if arms.is_empty() {
        [].into()
    } else {
        let ids = in_force.watching().metric_ids(tenants, names);
        let each = ids.iter().zip(arms);
        each.map(|((_, id), arm)| AlertTenant { metric_id: id.clone(), standing: *arm }).collect()
    };
    AlertView { spec: in_force.alerts().clone(), source: in_force.watching().source(), tenants }
}

/// A write that does not get through, in words.
fn describe(problem: &Problem) -> String {
    let what = match &problem.outcome {
        Outcome::Rewritten { found: Reading::Version(found) } => format!("admission rewrote it to {found}"),
        Outcome::Rewritten { found: Reading::Unreadable(why) } => format!("admission rewrote it: {why}"),
        Outcome::Refused { message } => format!("refused: {message}"),
        Outcome::Contended { message } | Outcome::Unresolved { message } => message.clone(),
        Outcome::Busy { message } => format!("the api server is busy: {message}"),
        Outcome::Written
        | Outcome::AlreadyThere
        | Outcome::Gone
        | Outcome::Changed
        | Outcome::Withheld(_) => problem.outcome.label().to_owned(),
    };
    format!("writing {} ({} attempts): {what}", problem.version, problem.attempts)
}
