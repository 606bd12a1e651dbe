//! The accepted spec is kept in a `ControllerRevision`, so that an invalid edit changes nothing (rule R9). I/O.

use breakwater_crds::{Rollout, RolloutSpec, marker};
use k8s_openapi::{api::apps::v1::ControllerRevision, apimachinery::pkg::runtime::RawExtension};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};

/// Label that names the Rollout of a revision.
const ROLLOUT: &str = "breakwater.dev/revision-of";
/// Revisions that are kept per Rollout.
const KEPT: usize = 5;

/// Name of the revision that keeps `spec`.
pub(super) fn name(rollout: &Rollout) -> String {
    let json = serde_json::to_string(&rollout.spec).unwrap_or_default();
    format!("{}-{:08x}", rollout.name_any(), marker::stable_hash(&[&json]) >> 32)
}

/// Keeps the spec of `rollout`, once, and forgets the oldest ones.
pub(super) async fn keep(client: &Client, rollout: &Rollout) -> Result<(), kube::Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), &namespace);
    let owner = rollout.controller_owner_ref(&());
    let revision = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(name(rollout)),
            labels: Some([(ROLLOUT.to_owned(), rollout.name_any())].into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        revision: rollout.metadata.generation.unwrap_or_default(),
        data: serde_json::to_value(&rollout.spec).ok().map(RawExtension),
    };
    match api.create(&PostParams::default(), &revision).await {
        Ok(_) => prune(&api, rollout).await,
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}

async fn prune(api: &Api<ControllerRevision>, rollout: &Rollout) -> Result<(), kube::Error> {
    let mine = ListParams::default().labels(&format!("{ROLLOUT}={}", rollout.name_any()));
    let mut all = api.list(&mine).await?.items;
    all.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
    for old in all.into_iter().skip(KEPT) {
        match api.delete(&old.name_any(), &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads an accepted spec back; `None` if it is gone or no longer decodes.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<RolloutSpec>, kube::Error> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
    let revision = api.get_opt(name).await?;
    Ok(revision.and_then(|revision| serde_json::from_value(revision.data?.0).ok()))
}
