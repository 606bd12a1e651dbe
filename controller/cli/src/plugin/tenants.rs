//! `tenants`: who is on what, read from the tenants' own markers. [`row`] and [`render`] are pure.

use std::collections::BTreeMap;

use breakwater_crds::{Rollout, marker, rollout::Tenants, status::TroubledTenant};
use breakwater_operator::{
    clock,
    tenants::marks::{Hubs, Marks},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, ObjectMeta},
    core::{GroupVersion, GroupVersionKind},
    discovery::{self, Scope},
};
use serde::Serialize;

use super::{
    args::{self, Form},
    failure::{self, Doing, Failure},
    output::Output,
    session::{self, Session},
    text,
};

/// One tenant as its marker shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The wave in which it was touched.
    pub wave: String,
    /// The version that the last write asked for.
    pub target_version: String,
    /// Its last verified version, where a revert takes it.
    pub previous_version: String,
    /// When the last write was sent.
    pub written_at: Option<Timestamp>,
    /// `namespace/name` of another Rollout, if it has touched the tenant.
    pub claimed_by: String,
}

/// Runs the command.
pub async fn run(session: &Session, output: Output, args: args::Tenants) -> Result<(), Failure> {
    let rollout = match &args.name {
        Some(name) => session.rollout(name).await?,
        None => session.only_rollout().await?,
    };
    if args.trouble {
        return trouble(output, &rollout, args.wave.as_deref());
    }
    let tenants = &rollout.spec.tenants;
    let resource = discover(session, tenants).await?;
    let rows = read(session, &rollout, &resource, args.chunk_size).await?;
    let rows: Vec<Row> =
        rows.into_iter().filter(|row| args.wave.as_ref().is_none_or(|wave| row.wave == *wave)).collect();
    match output.machine() {
        Some(Form::Name) => {
            let kind = format!("{}.{}", resource.plural, resource.group);
            let lines = rows
                .iter()
                .map(|row| format!("{}/{} -n {}", kind.trim_end_matches('.'), row.name, row.namespace));
            output.print(&lines.collect::<Vec<_>>().join("\n"))
        }
        Some(form) => output.value(form, &rows),
        None if rows.is_empty() => {
            eprintln!(
                "No tenants: no {} matches tenants.selector{}.",
                resource.kind,
                in_wave(args.wave.as_deref())
            );
            Ok(())
        }
        None => output.print(&render(&rows, clock::now())),
    }
}

fn in_wave(wave: Option<&str>) -> String {
    wave.map(|wave| format!(" and was touched in wave {wave}")).unwrap_or_default()
}

/// The tenants that the status lists, with the reason.
fn trouble(output: Output, rollout: &Rollout, wave: Option<&str>) -> Result<(), Failure> {
    let listed = rollout.status.as_ref().map(|status| status.troubled.as_slice()).unwrap_or_default();
    let shown: Vec<&TroubledTenant> =
        listed.iter().filter(|tenant| wave.is_none_or(|wave| tenant.wave == wave)).collect();
    match output.machine() {
        Some(form) => output.value(form, &shown),
        None if shown.is_empty() => {
            eprintln!("No tenants in trouble.");
            Ok(())
        }
        None => {
            let rows = shown.iter().map(|tenant| {
                let TroubledTenant { namespace, name, wave, reason, message } = tenant;
                [namespace.clone(), name.clone(), text::or_dash(wave), format!("✖ {reason}"), message.clone()]
            });
            output.print(&text::table(["NAMESPACE", "NAME", "WAVE", "REASON", "MESSAGE"], rows))
        }
    }
}

/// The kind's plural and scope come from the cluster, never from guessing.
async fn discover(session: &Session, tenants: &Tenants) -> Result<ApiResource, Failure> {
    let named = &tenants.resource;
    let words = format!("{} {}", named.api_version, named.kind);
    let version: GroupVersion = named
        .api_version
        .parse()
        .map_err(|error| Failure::usage(format!("tenants.resource {words}: {error}")))?;
    let kind = GroupVersionKind::gvk(&version.group, &version.version, &named.kind);
    let (resource, capabilities) =
        discovery::pinned_kind(&session.client, &kind).await.map_err(|error| match &error {
            kube::Error::Discovery(_) => {
                Failure::usage(format!("the cluster serves no {words}: is its CRD installed?"))
            }
            kube::Error::Api(status) if status.code == 404 => {
                Failure::usage(format!("the cluster serves no {words}: is its CRD installed?"))
            }
            error => failure::explain(error, Doing { verb: "discover", resource: &words, namespace: None }),
        })?;
    if capabilities.scope == Scope::Cluster {
        return Err(Failure::usage(format!("{words} is not namespaced, so it cannot be a tenant")));
    }
    Ok(resource)
}

/// Whatever the selector takes, and whatever carries the Rollout's marker: the touched set is the marker (R17).
async fn read(
    session: &Session,
    rollout: &Rollout,
    resource: &ApiResource,
    chunk_size: u32,
) -> Result<Vec<Row>, Failure> {
    let marks = Marks::of(&hubs(rollout), &rollout.namespace().unwrap_or_default(), &rollout.name_any());
    let marked = marks.selector();
    let mut rows = BTreeMap::new();
    for namespace in namespaces(session, rollout).await? {
        for query in [rollout.spec.tenants.selector.query(), marked.clone()] {
            let params = ListParams::default().labels(&query).limit(chunk_size);
            for row in pages(session, resource, namespace.as_deref(), params, &marks).await? {
                rows.insert((row.namespace.clone(), row.name.clone()), row);
            }
        }
    }
    Ok(rows.into_values().collect())
}

/// Rows of one list, page by page; of an object only the metadata is read, and only the row is kept.
async fn pages(
    session: &Session,
    resource: &ApiResource,
    namespace: Option<&str>,
    mut params: ListParams,
    marks: &Marks,
) -> Result<Vec<Row>, Failure> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(session.client.clone(), namespace, resource),
        None => Api::all_with(session.client.clone(), resource),
    };
    let named = format!("{}.{}", resource.plural, resource.group);
    let doing = Doing { verb: "list", resource: named.trim_end_matches('.'), namespace };
    let mut rows = Vec::new();
    loop {
        let page = api.list_metadata(&params).await.map_err(|error| failure::explain(&error, doing))?;
        rows.extend(page.items.iter().map(|object| row(&object.metadata, marks)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(rows),
        }
    }
}

/// Namespaces to read; `None` is all of them in one list.
async fn namespaces(session: &Session, rollout: &Rollout) -> Result<Vec<Option<String>>, Failure> {
    let Some(selector) = &rollout.spec.tenants.namespace_selector else {
        return Ok(vec![rollout.namespace()]);
    };
    let query = selector.query();
    if query.is_empty() {
        return Ok(vec![None]);
    }
    let api: Api<Namespace> = Api::all(session.client.clone());
    let doing = Doing { verb: "list", resource: "namespaces", namespace: None };
    let found = session::list(&api, doing, ListParams::default().labels(&query)).await?;
    Ok(found.iter().map(|namespace| Some(namespace.name_any())).collect())
}

/// The hubs that the controller leads the Rollout under, as it says.
fn hubs(rollout: &Rollout) -> Hubs {
    let status = rollout.status.as_ref();
    let told = status.map(|status| Hubs { own: status.hub.clone(), taken: status.other_hubs.clone() });
    told.unwrap_or_default()
}

/// What a tenant's metadata say to the Rollout whose markers are `marks`.
pub fn row(metadata: &ObjectMeta, marks: &Marks) -> Row {
    let labels = metadata.labels.as_ref();
    let marked = labels.and_then(|labels| labels.get(marker::ROLLOUT_LABEL));
    let annotation = |key: &str| {
        metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(key))
            .cloned()
            .unwrap_or_default()
    };
    let own = |key: &str| {
        if marked.is_some_and(|marked| marks.include(marked)) { annotation(key) } else { String::new() }
    };
    let claimed_by = match marked {
        Some(other) if !marks.include(other) => {
            let named = annotation(marker::ROLLOUT_REF);
            if named.is_empty() { other.clone() } else { named }
        }
        _ => String::new(),
    };
    Row {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        wave: own(marker::WAVE),
        target_version: own(marker::TARGET_VERSION),
        previous_version: own(marker::PREVIOUS_VERSION),
        written_at: own(marker::WRITTEN_AT).parse().ok(),
        claimed_by,
    }
}

/// Tenants as a table; ends with a newline.
pub fn render(rows: &[Row], now: Timestamp) -> String {
    let cells = rows.iter().map(|row| {
        let Row { namespace, name, wave, target_version, previous_version, written_at, claimed_by } = row;
        let claimed =
            if claimed_by.is_empty() { String::new() } else { format!("⚠ touched by {claimed_by}") };
        [
            namespace.clone(),
            name.clone(),
            text::or_dash(wave),
            text::or_dash(target_version),
            text::or_dash(previous_version),
            text::or_dash(text::ago(*written_at, now)),
            claimed,
        ]
    });
    text::table(["NAMESPACE", "NAME", "WAVE", "VERSION", "PREVIOUS", "WRITTEN", "NOTE"], cells) + "\n"
}

#[cfg(test)]
mod tests {
    use breakwater_crds::identity::RolloutIdentity;

    use super::*;
    use crate::plugin::tree::tests::NOW;

    fn tenant(name: &str, label: Option<&str>) -> ObjectMeta {
        let annotations = [
            (marker::ROLLOUT_REF, "ops/other"),
            (marker::TARGET_VERSION, "10.5.2"),
            (marker::PREVIOUS_VERSION, "10.5.1"),
            (marker::WAVE, "early"),
            (marker::WRITTEN_AT, "2026-03-10T11:00:00Z"),
        ];
        ObjectMeta {
            namespace: Some("tenants".into()),
            name: Some(name.into()),
            labels: label.map(|label| BTreeMap::from([(marker::ROLLOUT_LABEL.to_owned(), label.to_owned())])),
            annotations: label.map(|_| annotations.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn r17_wave_and_versions_are_the_own_markers() {
        let ours = RolloutIdentity { hub: "hub", namespace: "ops", name: "app" }.label();
        let tenants = [tenant("t-1", Some(&ours)), tenant("t-2", None), tenant("t-3", Some("theirs"))];
        let marks = Marks::of(&Hubs::only("hub"), "ops", "app");
        let rows: Vec<Row> = tenants.iter().map(|tenant| row(tenant, &marks)).collect();
        insta::assert_snapshot!(render(&rows, NOW.parse().unwrap()));
    }
}
