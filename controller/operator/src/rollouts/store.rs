//! What a plan leaves in the API beside tenants and reports: the status, what was frozen, answers to actions. I/O.

use breakwater_crds::{Rollout, RolloutAction, RolloutState, RolloutStatus, state::STATE_OF_LABEL};
use breakwater_plan::{frozen::Shard, outcome::ActionResult};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::tenants::lens::FIELD_MANAGER;

/// Answered actions that are kept per Rollout.
const ACTIONS_KEPT: usize = 500;
/// How long answered actions are kept.
const ACTIONS_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Every write of ours is under one field manager.
pub(super) fn as_us() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

/// Creates a shard of what was frozen, if it is absent. One that is there holds the same: its name says so.
pub(super) async fn state(client: &Client, rollout: &Rollout, shard: Shard) -> Result<(), kube::Error> {
    let api: Api<RolloutState> = Api::namespaced(client.clone(), &rollout.namespace().unwrap_or_default());
    let mut fresh = RolloutState::new(&shard.name, shard.spec);
    fresh.metadata.labels = Some([(STATE_OF_LABEL.to_owned(), rollout.name_any())].into());
    fresh.metadata.owner_references = rollout.controller_owner_ref(&()).map(|owner| vec![owner]);
    match api.create(&as_us(), &fresh).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes a shard of what was frozen.
pub(super) async fn forget_state(client: &Client, namespace: &str, name: &str) -> Result<(), kube::Error> {
    let api: Api<RolloutState> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Stores the status, guarded by the resourceVersion that was read (R28); the stored object comes back.
pub(super) async fn status(
    client: &Client,
    rollout: &Rollout,
    status: &RolloutStatus,
) -> Result<Rollout, kube::Error> {
    let api: Api<Rollout> = Api::namespaced(client.clone(), &rollout.namespace().unwrap_or_default());
    let mut next = rollout.clone();
    next.metadata.managed_fields = None;
    next.status = Some(status.clone());
    api.replace_status(&rollout.name_any(), &as_us(), &next).await
}

/// Answers an action in its own status; one that is gone needs no answer.
pub(super) async fn answer(
    client: &Client,
    namespace: &str,
    result: &ActionResult,
) -> Result<(), kube::Error> {
    let api: Api<RolloutAction> = Api::namespaced(client.clone(), namespace);
    let body = json!({"metadata": {"uid": result.uid}, "status": result.status});
    match api
        .patch_status(
            &result.name,
            &PatchParams { field_manager: as_us().field_manager, ..PatchParams::default() },
            &Patch::Merge(&body),
        )
        .await
    {
        Ok(_) => Ok(()),
        // Gone, or a namesake with another UID.
        Err(kube::Error::Api(status))
            if status.is_not_found() || status.is_conflict() || status.is_invalid() =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Forgets answered actions beyond the newest 500 or 90 days, a few at a time.
pub(super) async fn forget_actions(
    client: &Client,
    namespace: &str,
    answered: &[(String, Timestamp)],
    now: Timestamp,
) -> Result<(), kube::Error> {
    let horizon = now.checked_sub(ACTIONS_KEPT_FOR).unwrap_or(Timestamp::MIN);
    let mut newest_first: Vec<_> = answered.iter().collect();
    newest_first.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    let surplus = newest_first.iter().enumerate().filter(|(i, (_, at))| *i >= ACTIONS_KEPT || *at < horizon);
    let api: Api<RolloutAction> = Api::namespaced(client.clone(), namespace);
    for (_, (name, _)) in surplus.take(8) {
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Says on an object that cannot be decoded that it stops itself, and why.
pub(super) async fn undecodable(
    client: &Client,
    namespace: &str,
    name: &str,
    why: &str,
) -> Result<(), kube::Error> {
    let api: Api<kube::api::DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &kube::api::ApiResource::erase::<Rollout>(&()));
    let body = json!({"status": {"summary": "Pending (Undecodable)", "message": why}});
    api.patch_status(
        name,
        &PatchParams { field_manager: as_us().field_manager, ..PatchParams::default() },
        &Patch::Merge(&body),
    )
    .await
    .map(drop)
}
