//! What follows a stored decision: Events, log lines, answers to actions (R31). I/O.

use breakwater_crds::{Rollout, status::Transition};
use breakwater_plan::Plan;
use kube::{
    Resource as _,
    runtime::events::{Event, EventType},
};

use super::{
    context::Context,
    observe::Actions,
    session::{Due, Session},
    store,
};

/// Tells what a plan decided, once it is stored.
pub(super) async fn tell(
    context: &Context,
    session: &mut Session,
    rollout: &Rollout,
    plan: &Plan,
    actions: &Actions,
) -> Result<(), kube::Error> {
    for transition in session.owed.take_events() {
        publish(context, session, rollout, transition).await;
    }
    let (client, namespace) = (context.handles.client(), &session.key.namespace);
    for result in &plan.results {
        store::answer(client, namespace, result).await?;
    }
    store::forget_actions(client, namespace, &actions.answered, context.handles.now()).await
}

/// A transition is a log line, a count, and an Event; one that is not stored holds nothing up.
async fn publish(context: &Context, session: &Session, rollout: &Rollout, transition: Transition) {
    let (namespace, name) = (&session.key.namespace, &session.key.name);
    if transition.warning {
        tracing::warn!(namespace, name, reason = transition.reason.as_str(), "{}", transition.message);
    } else {
        tracing::info!(namespace, name, reason = transition.reason.as_str(), "{}", transition.message);
    }
    context.handles.metrics.transition(&transition.reason);
    let event = Event {
        type_: if transition.warning { EventType::Warning } else { EventType::Normal },
        action: transition.reason.to_string(),
        reason: transition.reason.to_string(),
        note: Some(transition.message),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &rollout.object_ref(&())).await {
        tracing::warn!(namespace, name, %error, "an event was not stored");
    }
}

/// Stores reports, then the status, before anything acts on them (R28); what is no decision waits its turn (R27).
pub(super) async fn store_decision(
    context: &Context,
    session: &mut Session,
    rollout: &Rollout,
) -> Result<(), kube::Error> {
    let Some(status) = session.memory.planned().cloned() else { return Ok(()) };
    let interval = context.handles.options.status_interval;
    let due = session.owed.due(&status, rollout.status.as_ref(), interval, context.handles.now());
    if due == (Due::Status { decides: true })
        && let Some(in_force) = session.accepted.in_force()
    {
        in_force.hands().withhold(); // nothing of an older plan is sent while a decision is on its way
    }
    session.owed.pay(context, rollout, &status, due).await
}

/// Says on a Rollout that never had a valid spec what is wrong with it.
pub(super) async fn refuse(
    context: &Context,
    session: &Session,
    rollout: &Rollout,
) -> Result<(), kube::Error> {
    let why = session.accepted.refused().unwrap_or_default();
    let mut status = rollout.status.clone().unwrap_or_default();
    let generation = rollout.metadata.generation.unwrap_or_default();
    breakwater_plan::refuse(&mut status, generation, why, context.handles.now());
    if rollout.status.as_ref() != Some(&status) {
        tracing::warn!(rollout = %session.key, "spec refused: {why}");
        store::status(context.handles.client(), rollout, &status).await?;
    }
    Ok(())
}
