//! observe -> plan -> store -> execute -> tell, for one Rollout at a time.

use std::{sync::Arc, time::Duration};

use breakwater_crds::Rollout;
use breakwater_plan::Plan;
use jiff::Timestamp;
use kube::runtime::controller::Action;
use tokio::time::Instant;

use super::{
    context::Context,
    frozen,
    key::{Guarded, Key},
    observe, reports,
    session::Session,
    sessions::Entry,
    store, tell,
    think::{Arrived, Thought, think},
    view::{AlertView, Board, View},
};

/// Longest time without another look: what is measured, and what changes, wakes sooner.
const LOOK_AGAIN: Duration = Duration::from_mins(2);
/// Pause after an error of the API server.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Pause after an edit came in between.
const AFTER_CONFLICT: Duration = Duration::from_millis(20);
/// Pause while a fleet is listed for the first time, or Releases are behind.
const LISTING: Duration = Duration::from_millis(200);

/// Why a reconcile is tried again.
#[derive(Debug, thiserror::Error)]
#[error("rollout {key}: {step}")]
pub(super) struct ReconcileError {
    key: Key,
    #[source]
    step: StepError,
}

/// The step that the API server did not let pass, and what it said.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("it cannot be decoded, and that could not be said on it: {0}")]
    SayUndecodable(#[source] kube::Error),
    #[error("it could not be read: {0}")]
    Read(#[source] kube::Error),
    #[error("the accepted spec could not be kept or read back: {0}")]
    Accept(#[source] kube::Error),
    #[error("its reports could not be read: {0}")]
    ReadReports(#[source] kube::Error),
    #[error("what is refused could not be said on it: {0}")]
    Refuse(#[source] kube::Error),
    #[error("the decision could not be stored: {0}")]
    Store(#[source] kube::Error),
    #[error("actions could not be answered: {0}")]
    Answer(#[source] kube::Error),
}

impl StepError {
    fn cause(&self) -> &kube::Error {
        match self {
            Self::SayUndecodable(cause)
            | Self::Read(cause)
            | Self::Accept(cause)
            | Self::ReadReports(cause)
            | Self::Refuse(cause)
            | Self::Store(cause)
            | Self::Answer(cause) => cause,
        }
    }
}

/// One turn for one Rollout.
pub(super) async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let (key, began) = (Key::of(&object), Instant::now());
    let Some(fence) = context.handles.lease.guard() else { return Ok(Action::await_change()) };
    let entry = context.sessions.entry(&key);
    let turned = match &object.0 {
        Ok(_) => turn(&context, &entry, fence.epoch, began).await,
        Err(invalid) => stand_still(&context, &entry, &key, &invalid.error).await,
    };
    turned.map_err(|step| ReconcileError { key, step })
}

/// The steps of a turn.
async fn turn(context: &Context, entry: &Entry, epoch: i64, began: Instant) -> Result<Action, StepError> {
    let Entry { session, board } = entry;
    let mut session = session.lock().await;
    let session = &mut *session;
    let Some(rollout) = observe::rollout(context, &session.key).await.map_err(StepError::Read)? else {
        // The watch tells of one that is gone, and then no turn comes; a stray 404 must not end the turns.
        return Ok(Action::requeue(AFTER_ERROR));
    };
    if session.meet(&rollout) {
        board.publish(None);
    }
    session.follow(context, &rollout).await.map_err(StepError::Accept)?;
    if session.is_listing(began) {
        return Ok(Action::requeue(LISTING)); // most fleets are listed within a moment; a hold would only be noise
    }
    frozen::recall(context, session, &rollout).await;
    read_reports(context, session, &rollout).await.map_err(StepError::ReadReports)?;
    refresh_evidence(context, session).await;
    let behind = observe::releases_behind(context, session, &rollout).await;
    let actions = observe::actions(&context.mirrors.actions, &session.key);
    let arrived = Arrived { actions: &actions.open, releases_behind: behind.as_deref(), epoch };
    let Some(Thought { mut plan, alerts }) = think(context, session, board, &rollout, &arrived) else {
        tell::refuse(context, session, &rollout).await.map_err(StepError::Refuse)?;
        publish(context, session, board, None);
        return Ok(Action::requeue(LOOK_AGAIN));
    };
    tell::store_decision(context, session, &rollout).await.map_err(StepError::Store)?;
    publish(context, session, board, Some(alerts));
    act(context, session, &mut plan);
    tell::tell(context, session, &rollout, &plan, &actions).await.map_err(StepError::Answer)?;
    frozen::keep(context, session, &rollout, &plan).await;
    context.handles.metrics.reconcile(began.elapsed());
    let owed = session.memory.frozen().is_owed(&plan).then_some(AFTER_ERROR);
    let soon = behind.is_some().then_some(LISTING);
    Ok(Action::requeue(next_look(&plan, context.handles.now(), [owed, soon])))
}

/// A Rollout that does not decode keeps what it has, and nothing more is written for it.
async fn stand_still(
    context: &Context,
    entry: &Entry,
    key: &Key,
    why: &impl std::fmt::Display,
) -> Result<Action, StepError> {
    tracing::warn!(rollout = %key, error = %why, "this Rollout cannot be decoded and stands still");
    if let Some(in_force) = entry.session.lock().await.accepted.in_force() {
        in_force.hands().withhold();
    }
    let why = format!("this Rollout cannot be decoded: {why}");
    let said = store::undecodable(context.handles.client(), &key.namespace, &key.name, &why).await;
    said.map_err(StepError::SayUndecodable)?;
    Ok(Action::requeue(LOOK_AGAIN))
}

/// Reads the reports that the cache should have and has not.
async fn read_reports(
    context: &Context,
    session: &mut Session,
    rollout: &Rollout,
) -> Result<(), kube::Error> {
    let Session { key, memory, owed, .. } = session;
    let named = memory.status_of(rollout).and_then(|status| status.report.as_deref());
    let cached = reports::cached(&context.mirrors.reports, key);
    owed.read_reports(context, key, &cached, named).await
}

/// Takes what is known of versions beside their tenants.
async fn refresh_evidence(context: &Context, session: &mut Session) {
    let Session { key, accepted, memory, .. } = session;
    if let Some(in_force) = accepted.in_force() {
        memory.evidence_mut().refresh(context, key, in_force.checked()).await;
    }
}

/// Hangs up what others may know from now on.
fn publish(context: &Context, session: &Session, board: &Board, alerts: Option<AlertView>) {
    let Session { key, accepted, memory, .. } = session;
    let status = memory.planned().cloned().unwrap_or_default();
    if let Some(in_force) = accepted.in_force() {
        let shared_names = in_force.watching().shared_names();
        context.handles.metrics.rollout(&key.namespace, &key.name, &status, shared_names);
    }
    board.publish(Some(View {
        uid: accepted.uid().to_owned(),
        status,
        alerts,
        hands: accepted.in_force().map(|in_force| in_force.hands().clone()),
    }));
}

/// Hands out what the plan asks for; all of it is done in the background, and comes back as what the next plan observes.
fn act(context: &Context, session: &Session, plan: &mut Plan) {
    let Some(in_force) = session.accepted.in_force() else { return };
    in_force.hands().pipeline.replace(std::mem::take(&mut plan.writes)); // ten thousand of them: moved, not copied
    let known = session.memory.findings().causes(context.handles.now());
    in_force.hands().desk.ask(plan, &known);
}

fn next_look(plan: &Plan, now: Timestamp, sooner: [Option<Duration>; 2]) -> Duration {
    let until = plan.wake_at.map(|at| at.duration_since(now).unsigned_abs().max(Duration::from_millis(50)));
    let soon = plan.decided.then_some(Duration::from_millis(50));
    [until, soon].into_iter().chain(sooner).flatten().min().unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)
}

/// After an error: soon. A conflict only says that somebody edited meanwhile: at once, with a fresh look.
pub(super) fn after_error(_: Arc<Guarded>, error: &ReconcileError, _: Arc<Context>) -> Action {
    let conflict = matches!(error.step.cause(), kube::Error::Api(status) if status.is_conflict());
    let pause = if conflict { AFTER_CONFLICT } else { AFTER_ERROR };
    tracing::warn!(%error, "tried again in {pause:?}");
    Action::requeue(pause)
}
