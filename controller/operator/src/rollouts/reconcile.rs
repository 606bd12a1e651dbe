//! observe -> plan -> store -> execute -> tell, for one Rollout at a time.

use std::{sync::Arc, time::Duration};

use breakwater_crds::{Rollout, RolloutStatus, status::Phase};
use breakwater_plan::{Observed, Plan, observed::Reading, plan};
use jiff::Timestamp;
use kube::{
    Resource as _, ResourceExt as _,
    runtime::{
        controller::Action,
        events::{Event, EventType},
    },
};

use super::{
    context::{Context, Guarded, Key},
    frozen, observe, reports,
    session::Session,
    store,
};
use crate::execute::{Outcome, Problem};

/// Longest time without another look: what is measured, and what changes, wakes sooner.
const LOOK_AGAIN: Duration = Duration::from_mins(2);
/// Pause after an error of the API server.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Pause after an edit came in between.
const AFTER_CONFLICT: Duration = Duration::from_millis(20);
/// Pause while a fleet is listed for the first time.
const LISTING: Duration = Duration::from_millis(200);
/// Tenants that are read afresh per reconcile.
const CONFIRM_MAX: usize = 64;
/// Status writes that are no transitions are this much rarer while nothing moves: every 5 minutes by default (R27).
const CALM: u32 = 30;

/// Why a reconcile is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReconcileError {
    /// The API server did not do as asked.
    #[error("rollout {namespace}/{name}: {step}: {source}")]
    Api {
        /// The Rollout's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Which step.
        step: &'static str,
        /// What it said.
        source: kube::Error,
    },
}

/// One turn for one Rollout.
pub(super) async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let key = Key { namespace: object.meta().namespace.clone().unwrap_or_default(), name: object.name_any() };
    let began = tokio::time::Instant::now();
    let failed = |step| {
        let (namespace, name) = (key.namespace.clone(), key.name.clone());
        move |source| ReconcileError::Api { namespace, name, step, source }
    };
    let Some(fence) = context.leader.lease.guard() else { return Ok(Action::await_change()) };
    if let Err(invalid) = &object.0 {
        tracing::warn!(namespace = key.namespace, name = key.name, error = %invalid, "this Rollout cannot be decoded and stands still");
        let why = format!("this Rollout cannot be decoded: {}", invalid.error);
        if let Some(accepted) = &context.session(&key).lock().await.accepted {
            accepted.pipeline.replace(Vec::new());
        }
        store::undecodable(context.client(), &key.namespace, &key.name, &why)
            .await
            .map_err(failed("say that it is undecodable"))?;
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    let session = context.session(&key);
    let mut session = session.lock().await;
    let Some(rollout) = observe::rollout(&context, &key).await.map_err(failed("read"))? else {
        // Where it is gone the watch tells, and this is not called again; a stray 404 must not end the watching.
        return Ok(Action::requeue(AFTER_ERROR));
    };
    session.follow(&context, &rollout).await.map_err(failed("keep the accepted spec"))?;
    if session.is_listing(began) {
        return Ok(Action::requeue(LISTING)); // most fleets are listed within a moment; a hold would only be noise
    }
    frozen::recall(&context, &mut session, &rollout).await;
    ask_for_reports(&context, &mut session, &rollout).await.map_err(failed("read its reports"))?;
    if let Session { accepted: Some(accepted), evidence, key, .. } = &mut *session {
        evidence.refresh(&context, key, &accepted.checked).await;
    }
    let before = session.carried.as_ref().or(rollout.status.as_ref()).and_then(|status| status.started_at);
    let Some(mut plan) = think(&context, &mut session, &rollout, fence.epoch) else {
        refuse(&context, &mut session, &rollout).await.map_err(failed("say what is refused"))?;
        return Ok(Action::requeue(LOOK_AGAIN));
    };
    // A version and the Release that withdraws it may come in the same moment.
    let starts = plan.status.phase.is_under_way() && plan.status.started_at != before;
    if starts && context.releases.is_behind(&key.namespace).await.map_err(failed("look for Releases"))? {
        session.judges = std::mem::take(&mut plan.judges);
        return Ok(Action::requeue(LISTING));
    }
    session.remember(&mut plan);
    keep(&context, &mut session, &rollout).await.map_err(failed("store the decision"))?;
    act(&context, &mut session, &mut plan).await;
    tell(&context, &mut session, &rollout, &plan).await.map_err(failed("answer actions"))?;
    frozen::keep(&context, &mut session, &rollout, &plan).await;
    context.leader.metrics.reconcile(began.elapsed());
    let owed = session.frozen.is_owed(&plan).then_some(AFTER_ERROR);
    let next = next_look(&plan, context.now());
    Ok(Action::requeue(owed.map_or(next, |owed| owed.min(next))))
}

/// Reads the reports that the cache should have and has not.
async fn ask_for_reports(
    context: &Context,
    session: &mut Session,
    rollout: &Rollout,
) -> Result<(), kube::Error> {
    let Session { key, carried, reports, .. } = session;
    let named = carried.as_ref().or(rollout.status.as_ref()).and_then(|status| status.report.as_deref());
    let cached = reports::cached(&context.reports, key);
    reports.refresh(context.client(), &key.namespace, &cached, named, context.now()).await
}

/// Observes and plans; `None` where no spec was ever accepted.
fn think(context: &Context, session: &mut Session, rollout: &Rollout, epoch: i64) -> Option<Plan> {
    let now = context.now();
    let actions = observe::actions(&context.actions, &session.key);
    let reports = session.reports.overlay(reports::cached(&context.reports, &session.key));
    let causes = session.causes(now);
    let accepted = session.accepted.as_ref()?;
    let jobs = session.evidence.jobs(context, &session.key, &accepted.checked);
    let judges = std::mem::take(&mut session.judges);
    let mut readings = accepted.watching.readings(judges, &session.traces, accepted.checked.spec.slos.len());
    if let Some(kept) = &session.frozen.kept {
        kept.lend(&mut readings);
    }
    let stored = rollout.status.clone().unwrap_or_default();
    let status = session.carried.clone().unwrap_or(stored);
    let stop = context.leader.stop.borrow().clone();
    let in_flight = accepted.pipeline.in_flight();
    let problems =
        accepted.pipeline.problems().into_iter().map(|(id, problem)| (id, describe(&problem))).collect();
    let names = accepted.subscription.index().names();
    let plan = accepted.subscription.index().with(|tenants| {
        let observed = Observed {
            namespace: &session.key.namespace,
            name: &session.key.name,
            created_at: rollout.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0),
            generation: rollout.metadata.generation.unwrap_or_default(),
            spec: &accepted.checked,
            refused: session.refused.as_deref(),
            revision: Some(&accepted.revision),
            status: &status,
            epoch,
            fleet: accepted.subscription.fleet(),
            tenants,
            in_flight: &in_flight,
            actions: &actions.open,
            reports: &reports,
            stopped: stop.as_deref(),
            readings: &readings,
            problems: &problems,
            causes: &causes,
            firing: &session.firing,
            kept: session.frozen.kept.as_ref(),
            releases: &session.evidence.releases,
            releases_unread: session.evidence.unread.as_deref(),
            soaked: session.evidence.soaked.as_ref(),
            jobs: &jobs,
        };
        let plan = plan(&observed, now);
        accepted.watching.want(&plan, tenants, names);
        plan
    });
    session.answered = actions.answered;
    Some(plan)
}

/// Stores reports, then the status, before anything acts on them (R28); what is no decision waits its turn (R27).
async fn keep(context: &Context, session: &mut Session, rollout: &Rollout) -> Result<(), kube::Error> {
    let now = context.now();
    let Some(status) = session.carried.clone() else { return Ok(()) };
    let due = session.stored.as_ref().is_none_or(|(stored, at)| {
        let moving =
            matches!(status.phase, Phase::Advancing | Phase::Reverting) || tells_more(&status, stored);
        let interval = context.leader.options.status_interval * if moving { 1 } else { CALM };
        *stored != status && now.duration_since(*at).unsigned_abs() >= interval
    });
    // Somebody wiped it, or restored an old one: the memory of a Rollout is put back at once.
    let altered = session.confirmed.is_some() && session.confirmed != rollout.status;
    let decides = session.owed || due || altered;
    if !decides && !session.reports.is_owing() {
        return Ok(());
    }
    if session.owed
        && let Some(accepted) = &session.accepted
    {
        accepted.pipeline.replace(Vec::new()); // nothing of an older plan is sent while a decision is on its way
    }
    session.reports.pay(context.client(), &session.key.namespace, now).await?;
    if !decides {
        return Ok(()); // an account goes on long after its last decision
    }
    session.confirmed = store::status(context.client(), rollout, &status).await?.status;
    session.stored = Some((status, now));
    session.owed = false;
    Ok(())
}

/// Whether people would see another verdict or other tenants; the soak and the evidence alone may wait.
fn tells_more(status: &RolloutStatus, stored: &RolloutStatus) -> bool {
    let verdicts =
        |status: &RolloutStatus| status.slos.iter().map(|slo| slo.verdict.clone()).collect::<Vec<_>>();
    status.counts != stored.counts
        || status.troubled != stored.troubled
        || verdicts(status) != verdicts(stored)
}

/// Hands the writes to the pipeline and looks up what the next plan needs.
async fn act(context: &Context, session: &mut Session, plan: &mut Plan) {
    let Some(accepted) = &session.accepted else { return };
    accepted.pipeline.replace(std::mem::take(&mut plan.writes)); // ten thousand of them: moved, not copied
    session.evidence.make(context, &session.key, &accepted.checked, plan).await;
    let subscription = accepted.subscription.clone();
    for id in plan.confirm.iter().take(CONFIRM_MAX) {
        if let Err(error) = context.tenants.read(&subscription, *id).await {
            tracing::warn!(rollout = session.key.name, %error, "a tenant could not be read afresh");
        }
    }
    let known = session.causes(context.now());
    for id in plan.diagnose.iter().filter(|id| !known.contains_key(id)) {
        let cause = context.tenants.diagnose(&subscription, *id).await;
        session.learn(*id, cause, context.now());
    }
    if !plan.confirm.is_empty() || plan.diagnose.iter().any(|id| !known.contains_key(id)) {
        let _ = context.wake.send(session.key.clone()); // closed only while shutting down
    }
}

/// Events, log lines, metrics, and the answers to actions (R31).
async fn tell(
    context: &Context,
    session: &mut Session,
    rollout: &Rollout,
    plan: &Plan,
) -> Result<(), kube::Error> {
    let reference = rollout.object_ref(&());
    for transition in std::mem::take(&mut session.events_owed) {
        let (namespace, name) = (&session.key.namespace, &session.key.name);
        if transition.warning {
            tracing::warn!(namespace, name, reason = transition.reason.as_str(), "{}", transition.message);
        } else {
            tracing::info!(namespace, name, reason = transition.reason.as_str(), "{}", transition.message);
        }
        context.leader.metrics.transition(&transition.reason);
        let event = Event {
            type_: if transition.warning { EventType::Warning } else { EventType::Normal },
            action: transition.reason.to_string(),
            reason: transition.reason.to_string(),
            note: Some(transition.message),
            secondary: None,
        };
        if let Err(error) = context.recorder.publish(&event, &reference).await {
            tracing::warn!(namespace, name, %error, "an event was not stored");
        }
    }
    for result in &plan.results {
        store::answer(context.client(), &session.key.namespace, result).await?;
    }
    store::forget_actions(context.client(), &session.key.namespace, &session.answered, context.now()).await?;
    context.leader.metrics.rollout(&session.key.namespace, &session.key.name, &plan.status);
    Ok(())
}

/// Says on a Rollout that never had a valid spec what is wrong with it.
async fn refuse(context: &Context, session: &mut Session, rollout: &Rollout) -> Result<(), kube::Error> {
    let why = session.refused.clone().unwrap_or_default();
    let mut status = rollout.status.clone().unwrap_or_default();
    breakwater_plan::refuse(
        &mut status,
        rollout.metadata.generation.unwrap_or_default(),
        &why,
        context.now(),
    );
    if rollout.status.as_ref() != Some(&status) {
        tracing::warn!(namespace = session.key.namespace, name = session.key.name, "spec refused: {why}");
        store::status(context.client(), rollout, &status).await?;
    }
    Ok(())
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

fn next_look(plan: &Plan, now: Timestamp) -> Duration {
    let until = plan.wake_at.map(|at| at.duration_since(now).unsigned_abs().max(Duration::from_millis(50)));
    let soon = plan.decided.then_some(Duration::from_millis(50));
    [until, soon, Some(LOOK_AGAIN)].into_iter().flatten().min().unwrap_or(LOOK_AGAIN)
}

/// After an error: soon. A conflict only says that somebody edited meanwhile: at once, with a fresh look.
#[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
pub(super) fn after_error(object: Arc<Guarded>, error: &ReconcileError, _: Arc<Context>) -> Action {
    let ReconcileError::Api { source, .. } = error;
    let conflict = matches!(source, kube::Error::Api(status) if status.code == 409);
    let pause = if conflict { AFTER_CONFLICT } else { AFTER_ERROR };
    tracing::warn!(name = object.name_any(), %error, "tried again in {pause:?}");
    Action::requeue(pause)
}
