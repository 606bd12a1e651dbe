//! What was frozen at waves' starts: read once when a Rollout is taken over, stored when a plan says so. Neither fails a
//! reconcile: a revert waits for none of it. I/O.

use breakwater_crds::{Rollout, RolloutStatus};
use breakwater_plan::{
    Plan,
    frozen::{Stored, Thawed, thaw},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::{
    context::Context,
    key::Key,
    observe,
    session::{InForce, Memory, Session},
    store,
};

/// Pause after what could not be stored.
const TRIED_AGAIN: SignedDuration = SignedDuration::from_mins(1);
/// Objects that are deleted per reconcile.
const FORGET_MAX: usize = 64;

/// What of it a Rollout's memory holds.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// What is stored, as it was read; `None`: it was not read yet.
    kept: Option<Thawed>,
    /// More was stored since.
    is_stale: bool,
    /// Nothing is stored before this.
    pause_until: Option<Timestamp>,
}

impl Frozen {
    /// What is stored, as it was read; `None`: it was not read yet.
    pub(super) fn kept(&self) -> Option<&Thawed> {
        self.kept.as_ref()
    }

    /// True where it could not be read though it is wanted.
    pub(super) fn is_owed(&self, plan: &Plan) -> bool {
        let watched = plan.status.phase.is_under_way() || plan.status.phase.is_reverting();
        watched && (self.kept.is_none() || self.is_stale)
    }
}

/// Reads what is stored, where a version is under way and it is not known; the objects themselves are not kept.
pub(super) async fn recall(context: &Context, session: &mut Session, rollout: &Rollout) {
    let Session { key, accepted, memory, .. } = session;
    let read = match wanted(accepted.in_force(), memory, rollout) {
        Wanted::Not => Frozen::default(),
        Wanted::Known => return,
        Wanted::Read(in_force, status) => match read(context, key, rollout).await {
            Some(stored) => {
                let thawed = thaw(&stored, in_force.checked(), status);
                for why in &thawed.ignored {
                    tracing::warn!(rollout = %key, "a RolloutState is not used: {why}");
                }
                Frozen { kept: Some(thawed), is_stale: false, pause_until: memory.frozen().pause_until }
            }
            None => return,
        },
    };
    *memory.frozen_mut() = read;
}

/// Whether what is frozen is wanted.
enum Wanted<'a> {
    /// Nothing is under way.
    Not,
    /// It is known.
    Known,
    /// It is to be read, for this spec and this status.
    Read(&'a InForce, &'a RolloutStatus),
}

fn wanted<'a>(in_force: Option<&'a InForce>, memory: &'a Memory, rollout: &'a Rollout) -> Wanted<'a> {
    let status = memory.status_of(rollout);
    let watched = status.filter(|status| status.phase.is_under_way() || status.phase.is_reverting());
    let (Some(status), Some(in_force)) = (watched, in_force) else { return Wanted::Not };
    if memory.frozen().kept.is_some() && !memory.frozen().is_stale {
        return Wanted::Known;
    }
    Wanted::Read(in_force, status)
}

/// `None`: it could not be read, and is tried again.
async fn read(context: &Context, key: &Key, rollout: &Rollout) -> Option<Vec<Stored>> {
    match observe::states(context, key, &rollout.uid().unwrap_or_default()).await {
        Ok(stored) => Some(stored),
        // An older chart: there is no such kind, or no right to it. What is watched is watched on from memory (R38).
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_not_found() => {
            tracing::warn!(
                rollout = %key, error = %status,
                "what is frozen at a wave's start cannot be kept: apply this version's CRDs and chart"
            );
            Some(Vec::new())
        }
        Err(error) => {
            tracing::warn!(rollout = %key, %error, "what was frozen could not be read; tried again");
            None
        }
    }
}

/// Forgets and stores what a plan says, after everything else.
pub(super) async fn keep(context: &Context, session: &mut Session, rollout: &Rollout, plan: &Plan) {
    let now = context.handles.now();
    let frozen = session.memory.frozen_mut();
    let nothing = plan.freeze.is_none() && plan.outlived.is_empty();
    if nothing || frozen.pause_until.is_some_and(|until| now < until) {
        return;
    }
    frozen.is_stale = true;
    if let Err(error) = carry_out(context, &session.key, rollout, plan).await {
        frozen.pause_until = now.checked_add(TRIED_AGAIN).ok();
        tracing::warn!(
            rollout = %session.key, %error,
            "what was frozen is not stored; a restart would look at the past anew"
        );
    }
}

async fn carry_out(context: &Context, key: &Key, rollout: &Rollout, plan: &Plan) -> Result<(), kube::Error> {
    let (client, namespace) = (context.handles.client(), &key.namespace);
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
    let wave = &freeze.wave;
    tracing::info!(rollout = %key, wave, count, tenants, "what this wave starts from is stored");
    Ok(())
}
