//! What a plan needs that nobody mirrors, read afresh: the Rollout, what was frozen, whether Releases are behind. I/O.

use breakwater_crds::{Rollout, RolloutAction, RolloutState, state::STATE_OF_LABEL};
use breakwater_plan::{frozen::Stored, observed::Action};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::ListParams, core::DeserializeGuard, runtime::reflector::Store};

use super::{context::Context, key::Key, session::Session, starts};

/// Objects of what was frozen per page: each has up to 1 MiB.
const STATES_PER_PAGE: u32 = 8;
/// Most pages of them.
const STATE_PAGES_MAX: usize = 300;

/// The Rollout as it is now, not as it was cached; `None` if it is gone or going.
pub(super) async fn rollout(context: &Context, key: &Key) -> Result<Option<Rollout>, kube::Error> {
    let api: Api<Rollout> = Api::namespaced(context.handles.client().clone(), &key.namespace);
    let found = api.get_opt(&key.name).await?;
    Ok(found.filter(|rollout| rollout.metadata.deletion_timestamp.is_none()))
}

/// What the actions of one Rollout are.
pub(super) struct Actions {
    /// Those without an answer, oldest first.
    pub(super) open: Vec<Action>,
    /// Names and times of those with one.
    pub(super) answered: Vec<(String, Timestamp)>,
}

pub(super) fn actions(store: &Store<DeserializeGuard<RolloutAction>>, key: &Key) -> Actions {
    let mut actions = Actions { open: Vec::new(), answered: Vec::new() };
    for object in store.state() {
        let Ok(action) = &object.0 else { continue };
        if action.namespace().as_deref() != Some(&key.namespace) || action.spec.rollout != key.name {
            continue;
        }
        let created_at = action.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
        if action.status.as_ref().is_some_and(|status| status.result.is_some()) {
            actions.answered.push((action.name_any(), created_at));
        } else {
            let (uid, name) = (action.uid().unwrap_or_default(), action.name_any());
            actions.open.push(Action { uid, name, created_at, spec: action.spec.clone() });
        }
    }
    actions.open.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
    actions
}

/// Why a version may not start for want of Releases, where the next plan could start one: the API has some that were not
/// assessed as they are now, or cannot be asked.
pub(super) async fn releases_behind(
    context: &Context,
    session: &Session,
    rollout: &Rollout,
) -> Option<String> {
    let checked = session.accepted.in_force()?.checked();
    let status = session.memory.status_of(rollout);
    if !status.is_none_or(|status| starts::may_start(status, &checked.spec.version)) {
        return None;
    }
    let Key { namespace, name } = &session.key;
    match context.mirrors.releases.behind(namespace, name).await {
        Ok(behind) => behind,
        Err(error) => Some(format!("Releases cannot be asked for: {error}")),
    }
}

/// What was frozen and is stored of one Rollout, as it is now. Read where it is needed and not watched: it is written
/// once, by this controller, and is large. What cannot be decoded, or belongs to a namesake that is gone, is left out.
pub(super) async fn states(context: &Context, key: &Key, uid: &str) -> Result<Vec<Stored>, kube::Error> {
    let api: Api<DeserializeGuard<RolloutState>> =
        Api::namespaced(context.handles.client().clone(), &key.namespace);
    let mut params =
        ListParams::default().labels(&format!("{STATE_OF_LABEL}={}", key.name)).limit(STATES_PER_PAGE);
    let mut stored = Vec::new();
    for _ in 0..STATE_PAGES_MAX {
        let page = api.list(&params).await?;
        for object in page.items {
            match object.0 {
                Ok(state) if state.owner_references().iter().any(|owner| owner.uid == uid) => {
                    stored.push((state.name_any(), state.spec));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(namespace = key.namespace, name = key.name, %error, "a RolloutState cannot be decoded");
                }
            }
        }
        let Some(next) = page.metadata.continue_.filter(|next| !next.is_empty()) else { break };
        params = params.continue_token(&next);
    }
    Ok(stored)
}
