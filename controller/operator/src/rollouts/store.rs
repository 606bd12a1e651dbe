//! What a plan leaves in the API beside tenants: reports, the status, answers to actions, Events. I/O.

use std::collections::HashMap;

use breakwater_crds::{
    DeviationReport, Rollout, RolloutAction, RolloutState, RolloutStatus, state::STATE_OF_LABEL,
};
use breakwater_plan::{
    frozen::Shard,
    observed::Report,
    outcome::{ActionResult, ReportWrite},
};
use jiff::Timestamp;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::tenants::lens::FIELD_MANAGER;

/// Answered actions that are kept per Rollout.
const ACTIONS_KEPT: usize = 500;
/// How long answered actions are kept.
const ACTIONS_KEPT_DAYS: i64 = 90;

/// Every write of ours is under one field manager.
pub(super) fn as_us() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

/// Creates a report if it is absent and writes its account; what is stored comes back. Of one that is there the status
/// alone is written: what people found out (`spec.investigation`) is theirs.
pub(super) async fn report(
    client: &Client,
    namespace: &str,
    write: &ReportWrite,
) -> Result<Report, kube::Error> {
    let api: Api<DeviationReport> = Api::namespaced(client.clone(), namespace);
    let fresh = DeviationReport::new(&write.name, write.spec.clone());
    let mut stored = match api.create(&as_us(), &fresh).await {
        Ok(created) => created,
        Err(kube::Error::Api(status)) if status.code == 409 => api.get(&write.name).await?,
        Err(error) => return Err(error),
    };
    stored.status = Some(write.status.clone());
    let stored = api.replace_status(&write.name, &as_us(), &stored).await?;
    Ok(Report { name: stored.name_any(), spec: stored.spec, status: stored.status.unwrap_or_default() })
}

/// Creates a shard of what was frozen, if it is absent. One that is there holds the same: its name says so.
pub(super) async fn state(client: &Client, rollout: &Rollout, shard: Shard) -> Result<(), kube::Error> {
    let api: Api<RolloutState> = Api::namespaced(client.clone(), &rollout.namespace().unwrap_or_default());
    let mut fresh = RolloutState::new(&shard.name, shard.spec);
    fresh.metadata.labels = Some([(STATE_OF_LABEL.to_owned(), rollout.name_any())].into());
    fresh.metadata.owner_references = rollout.controller_owner_ref(&()).map(|owner| vec![owner]);
    match api.create(&as_us(), &fresh).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes a shard of what was frozen.
pub(super) async fn forget_state(client: &Client, namespace: &str, name: &str) -> Result<(), kube::Error> {
    let api: Api<RolloutState> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
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
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => Ok(()),
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
    let horizon = now - jiff::SignedDuration::from_hours(24 * ACTIONS_KEPT_DAYS);
    let mut newest_first: Vec<_> = answered.iter().collect();
    newest_first.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    let surplus = newest_first.iter().enumerate().filter(|(i, (_, at))| *i >= ACTIONS_KEPT || *at < horizon);
    let api: Api<RolloutAction> = Api::namespaced(client.clone(), namespace);
    for (_, (name, _)) in surplus.take(8) {
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
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

/// How long what this process wrote is believed over the cache.
const OVERLAY: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// Reports as cached, their accounts overlaid by what this process wrote a moment ago and the cache may not show yet.
/// What people found out is always the cache's.
pub(super) fn overlay(
    cached: Vec<Report>,
    written: &mut HashMap<String, (Report, Timestamp)>,
    now: Timestamp,
) -> Vec<Report> {
    let shown = |own: &Report| cached.iter().any(|it| it.name == own.name && it.status == own.status);
    written.retain(|_, (own, at)| now.duration_since(*at) < OVERLAY && !shown(own));
    let unseen = written.values().filter(|(own, _)| cached.iter().all(|it| it.name != own.name));
    let mut reports: Vec<Report> = unseen.map(|(own, _)| own.clone()).collect();
    reports.extend(cached.into_iter().map(|report| match written.get(&report.name) {
        Some((own, _)) => Report { status: own.status.clone(), ..report },
        None => report,
    }));
    reports
}

#[cfg(test)]
mod tests {
    use breakwater_crds::{
        DeviationReportSpec, DeviationReportStatus, Outcome,
        report::{Investigation, InvestigationState},
    };

    use super::*;

    fn report(name: &str, outcome: Outcome, answer: Option<InvestigationState>) -> Report {
        let investigation = answer.map(|state| Investigation { state, ..Investigation::default() });
        let spec = DeviationReportSpec { rollout: "app".into(), version: "2".into(), investigation };
        let status = DeviationReportStatus { outcome: Some(outcome), ..DeviationReportStatus::default() };
        Report { name: name.into(), spec, status }
    }

    #[test]
    fn what_people_found_out_is_seen_at_once_and_what_we_wrote_is_believed_over_the_cache() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let own = |name: &str| (name.to_owned(), (report(name, Outcome::Reverted, None), now));
        let mut written = HashMap::from([own("a"), own("b")]);
        let cached = vec![report("a", Outcome::Reverting, Some(InvestigationState::Fixed))];
        let mut seen = overlay(cached.clone(), &mut written, now);
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        let told = [
            report("a", Outcome::Reverted, Some(InvestigationState::Fixed)),
            report("b", Outcome::Reverted, None),
        ];
        assert_eq!(seen, told);
        let later = now + OVERLAY;
        assert_eq!(overlay(cached.clone(), &mut written, later), cached, "until the cache must have it");
    }
}
