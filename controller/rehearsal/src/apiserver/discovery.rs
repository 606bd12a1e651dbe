//! What is served: the answers that clients find plurals and scopes by. Pure.

use serde_json::{Value, json};

use super::{
    failure::Failure,
    kinds::{Kinds, Scope},
};

/// Answers `/api/v1` and `/apis/group/version`.
pub(super) fn resources(kinds: &Kinds, group: &str, version: &str) -> Result<Value, Failure> {
    let mut resources = Vec::new();
    for kind in kinds.of_group(group, version) {
        let namespaced = kind.scope == Scope::Namespaced;
        resources.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": namespaced, "kind": kind.kind,
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        }));
        let scale = kind.scale.as_ref().map(|_| ("scale", "Scale"));
        let status = kind.has_status.then_some(("status", kind.kind.as_str()));
        for (part, shown) in status.into_iter().chain(scale) {
            resources.push(json!({
                "name": format!("{}/{part}", kind.plural), "singularName": "", "namespaced": namespaced,
                "kind": shown, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    if resources.is_empty() {
        return Err(Failure::no_such_path());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}),
    )
}

/// Answers `/api`, `/apis`, `/apis/group` and `/version`.
pub(super) fn groups(kinds: &Kinds, path: &str) -> Result<Value, Failure> {
    let group = |group: &str, version: &str| {
        let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": [version], "preferredVersion": version})
    };
    match path.trim_matches('/') {
        "api" => Ok(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "version" => Ok(json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0-rehearsal"})),
        "apis" => {
            let groups: Vec<Value> = kinds.groups().into_iter().map(|(g, v)| group(g, v)).collect();
            Ok(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        one => {
            let name = one.trim_start_matches("apis/");
            let found = kinds.groups().into_iter().find(|(group, _)| *group == name);
            found.map(|(name, version)| group(name, version)).ok_or_else(Failure::no_such_path)
        }
    }
}
