//! Jobs before writes (`revert.downJob`, `beforeUpdateJob`): made once for a tenant and a change of its version, found again
//! by their annotations. I/O but for [`template`] and [`read`].

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::{identity::RolloutIdentity, job::TenantJob, marker};
use breakwater_plan::{
    observed::{Errand, Job as Seen, JobState, Tenant},
    outcome::{JobWrite, Purpose},
};
use breakwater_slo::TenantId;
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Namespace};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};

mod words;

use self::words::Words;
use crate::tenants::lens::FIELD_MANAGER;

/// Label of every Job: the marker's hash of its Rollout.
pub const JOB_OF: &str = "breakwater.dev/job-of";
/// Label by which a namespace lets Rollouts of another one run Jobs in it.
pub const JOBS_FROM: &str = "breakwater.dev/jobs-from";
const TENANT: &str = "breakwater.dev/job-tenant";
const PURPOSE: &str = "breakwater.dev/job-purpose";
const NEWER: &str = "breakwater.dev/job-newer";
const OLDER: &str = "breakwater.dev/job-older";
const OF: &str = "breakwater.dev/job-of-change";
/// How long a Job stays once it has ended, where its template does not say, in seconds.
const KEPT_SECONDS: i64 = 86_400;
/// Most bytes of a tenant's name in a Job's.
const NAME_MAX: usize = 36;

/// Whose Jobs: the Rollout.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Jobs of one Rollout, by tenant: each where, and under the name that, this controller makes it.
pub fn read<'a>(
    of: Of<'_>,
    tenants: &[Tenant],
    jobs: impl Iterator<Item = &'a Arc<Job>>,
) -> HashMap<TenantId, Vec<Seen>> {
    let label = RolloutIdentity::local(of.namespace, of.name).label();
    let mut found: HashMap<TenantId, Vec<(Made, Seen)>> = HashMap::new();
    for job in jobs.filter(|job| job.labels().get(JOB_OF) == Some(&label)) {
        if let Some((tenant, errand)) = errand(job) {
            let made =
                Made { namespace: job.namespace().unwrap_or_default().into(), name: job.name_any().into() };
            found.entry(tenant).or_default().push((made, Seen { errand, state: state(job) }));
        }
    }
    let mine = |tenant: &Tenant| {
        let found = found.get(&tenant.id)?.iter();
        let own = found.filter(|(made, seen)| made.is_of(tenant, &seen.errand)).map(|(_, seen)| seen.clone());
        let own: Vec<Seen> = own.collect();
        (!own.is_empty()).then_some((tenant.id, own))
    };
    tenants.iter().filter_map(mine).collect()
}

/// Where a Job is.
struct Made {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Made {
    /// Whether the controller would make a tenant's Job for this change there and under this name: another one with its label and
    /// annotations is somebody else's, whatever came of it (S4).
    fn is_of(&self, tenant: &Tenant, errand: &Errand) -> bool {
        let Errand { purpose, newer, older, of } = errand;
        self.namespace == tenant.namespace && *self.name == *name(tenant, *purpose, newer, older, *of)
    }
}

fn errand(job: &Job) -> Option<(TenantId, Errand)> {
    let said = |name: &str| job.annotations().get(name).map(String::as_str);
    let tenant = TenantId(u64::from_str_radix(said(TENANT)?, 16).ok()?);
    let purpose =
        [Purpose::Advance, Purpose::Revert].into_iter().find(|p| Some(word(*p)) == said(PURPOSE))?;
    let (newer, older, of) = (said(NEWER)?.into(), said(OLDER)?.into(), said(OF)?.parse().ok()?);
    Some((tenant, Errand { purpose, newer, older, of }))
}

fn state(job: &Job) -> JobState {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut holds = conditions.filter(|condition| condition.status == "True");
    match holds.find(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed")) {
        Some(condition) if condition.type_ == "Complete" => JobState::Succeeded,
        Some(condition) => {
            let word = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            let why = word(&condition.reason)
                .zip(word(&condition.message))
                .map(|(reason, message)| format!("{reason}: {message}"));
            JobState::Failed(format!(
                "Job {}: {}",
                job.name_any(),
                why.unwrap_or_else(|| "no reason given".into())
            ))
        }
        None => JobState::Running,
    }
}

const fn word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Advance => "beforeUpdate",
        Purpose::Revert => "down",
    }
}

/// Makes a tenant's Job, if it is not there. An error says why it cannot be, for people.
pub async fn make(client: &Client, of: Of<'_>, template: &TenantJob, write: &JobWrite) -> Result<(), String> {
    let namespace = &*write.tenant.namespace;
    if *namespace != *of.namespace {
        consents(client, namespace, of.namespace).await?;
    }
    let job = self::template(of, template, write)?;
    let resource = ApiResource::erase::<Job>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let job: DynamicObject = serde_json::from_value(job).map_err(|error| format!("it is no Job: {error}"))?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&params, &job).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(kube::Error::Api(status)) => Err(format!("it cannot be made in {namespace}: {}", status.message)),
        Err(error) => Err(format!("it cannot be made in {namespace}: {error}")),
    }
}

/// A namespace other than the Rollout's own lets nobody run Jobs in it unless it says so (R39).
async fn consents(client: &Client, namespace: &str, from: &str) -> Result<(), String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found =
        api.get_metadata(namespace).await.map_err(|error| format!("namespace {namespace}: {error}"))?;
    if found.labels().get(JOBS_FROM).is_some_and(|label| label == from) {
        return Ok(());
    }
    Err(format!("namespace {namespace} lets no Rollout of {from} run Jobs: label it {JOBS_FROM}={from}"))
}

/// The Job of a tenant and a change of its version; an error where a tenant's name in metrics, or a version, may not stand in it.
pub fn template(of: Of<'_>, template: &TenantJob, write: &JobWrite) -> Result<Value, String> {
    let JobWrite { tenant, errand: Errand { purpose, newer, older, of: change } } = write;
    let mut spec = template.spec.clone();
    Words::of(tenant, newer, older).fill(&mut spec)?;
    if let Some(spec) = spec.as_object_mut() {
        spec.entry("activeDeadlineSeconds").or_insert(json!(template.deadline.as_seconds()));
        spec.entry("ttlSecondsAfterFinished").or_insert(json!(KEPT_SECONDS));
    }
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name(tenant, *purpose, newer, older, *change),
            "namespace": &*tenant.namespace,
            "labels": {JOB_OF: RolloutIdentity::local(of.namespace, of.name).label(), "app.kubernetes.io/managed-by": "breakwater"},
            "annotations": {
                marker::ROLLOUT_REF: format!("{}/{}", of.namespace, of.name),
                TENANT: format!("{:016x}", tenant.id.0), PURPOSE: word(*purpose),
                NEWER: &**newer, OLDER: &**older, OF: change.to_string(),
            },
        },
        "spec": spec,
    }))
}

/// The same for everybody who looks: a Job is made once.
fn name(tenant: &Tenant, purpose: Purpose, newer: &str, older: &str, of: Timestamp) -> String {
    let parts = [
        &*tenant.namespace,
        &*tenant.name,
        &*tenant.object.uid,
        word(purpose),
        newer,
        older,
        &of.to_string(),
    ];
    let shown: String =
        tenant.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(NAME_MAX).collect();
    let kind = if purpose == Purpose::Revert { "down" } else { "before" };
    format!("bw-{kind}-{}-{:016x}", shown.trim_matches('-'), marker::stable_hash(&parts)).to_lowercase()
}

#[cfg(test)]
mod tests;
