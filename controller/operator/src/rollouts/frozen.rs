//! What was frozen at waves' starts: read once when a Rollout is taken over, stored when a plan says so. Neither fails a
//! reconcile: a revert waits for none of it. I/O.

use breakwater_crds::Rollout;
use breakwater_plan::{
    Plan,
    frozen::{Thawed, thaw},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::{context::Context, observe, session::Session, store};

/// Pause after what could not be stored.
const TRIED_AGAIN: SignedDuration = SignedDuration::from_mins(1);
/// Objects that are deleted per reconcile.
const FORGET_MAX: usize = 64;

/// What of it a Rollout's memory holds.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// What is stored, as it was read; `None`: it was not read yet.
    pub(super) kept: Option<Thawed>,
    /// More was stored since.
    is_stale: bool,
    /// Nothing is stored before this.
    pause_until: Option<Timestamp>,
}

impl Frozen {
    /// True where it could not be read though it is wanted.
    pub(super) fn is_owed(&self, plan: &Plan) -> bool {
        let watched = plan.status.phase.is_under_way() || plan.status.phase.is_reverting();
        watched && (self.kept.is_none() || self.is_stale)
    }
}

/// Reads what is stored, where a version is under way and it is not known; the objects themselves are not kept.
pub(super) async fn recall(context: &Context, session: &mut Session, rollout: &Rollout) {
    let status = session.carried.as_ref().or(rollout.status.as_ref());
    let watched = status.filter(|status| status.phase.is_under_way() || status.phase.is_reverting());
    let (Some(status), Some(accepted)) = (watched, &session.accepted) else {
        session.frozen = Frozen::default();
        return;
    };
    if session.frozen.kept.is_some() && !session.frozen.is_stale {
        return;
    }
    let (namespace, name) = (&session.key.namespace, &session.key.name);
    let stored = match observe::states(context, &session.key, &rollout.uid().unwrap_or_default()).await {
        Ok(stored) => stored,
        // An older chart: there is no such kind, or no right to it. What is watched is watched on from memory (R38).
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
            tracing::warn!(
                namespace, name, error = %status,
                "what is frozen at a wave's start cannot be kept: apply this version's CRDs and chart"
            );
            Vec::new()
        }
        Err(error) => {
            tracing::warn!(namespace, name, %error, "what was frozen could not be read; tried again");
            return;
        }
    };
    let thawed = thaw(&stored, &accepted.checked, status);
    for why in &thawed.ignored {
        tracing::warn!(namespace, name, "a RolloutState is not used: {why}");
    }
    (session.frozen.kept, session.frozen.is_stale) = (Some(thawed), false);
}

/// Forgets and stores what a plan says, after everything else.
pub(super) async fn keep(context: &Context, session: &mut Session, rollout: &Rollout, plan: &Plan) {
    let now = context.now();
    let nothing = plan.freeze.is_none() && plan.outlived.is_empty();
    if nothing || session.frozen.pause_until.is_some_and(|until| now < until) {
        return;
    }
    session.frozen.is_stale = true;
    if let Err(error) = carry_out(context, session, rollout, plan).await {
        session.frozen.pause_until = now.checked_add(TRIED_AGAIN).ok();
        let (namespace, name) = (&session.key.namespace, &session.key.name);
        tracing::warn!(namespace, name, %error, "what was frozen is not stored; a restart would look at the past anew");
    }
}

async fn carry_out(
    context: &Context,
    session: &Session,
    rollout: &Rollout,
    plan: &Plan,
) -> Result<(), kube::Error> {
    let (client, namespace) = (context.client(), &session.key.namespace);
    for name in plan.outlived.iter().take(FORGET_MAX) {
        store::forget_state(client, namespace, name).await?;
    }
    let Some(freeze) = &plan.freeze else { return Ok(()) };
    let shards = freeze.shards();
    let (count, tenants) =
        (shards.len(), shards.iter().map(|shard| u64::from(shard.spec.tenants)).sum::<u64>());
    for shard in shards {
        store::state(client, rollout, shard).await?;
    }
    let (name, wave) = (&session.key.name, &freeze.wave);
    tracing::info!(namespace, name, wave, count, tenants, "what this wave starts from is stored");
    Ok(())
}
