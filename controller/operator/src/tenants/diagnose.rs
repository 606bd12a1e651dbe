//! Why a tenant's pods are not ready: infrastructure, or the release (rule R4). Pure.

use breakwater_plan::observed::Cause;
use breakwater_text::cut;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Reasons of a waiting container that the image registry or the node answers for.
const IMAGE: [&str; 5] =
    ["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"];
/// Reasons of a whole pod that the node answers for.
const NODE: [&str; 8] = [
    "Evicted",
    "NodeLost",
    "NodeShutdown",
    "Terminated",
    "Preempting",
    "UnexpectedAdmissionError",
    "OutOfcpu",
    "OutOfmemory",
];

/// Label with the revision of a `StatefulSet` that a pod was made from.
const REVISION: &str = "controller-revision-hash";

/// The cause that the pods show. One pod that crashes is enough for `Application`: only what is *plainly*
/// infrastructure may excuse a release.
pub fn cause_of<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Cause {
    let mut infrastructure = None;
    for pod in pods {
        match cause_of_pod(pod) {
            application @ Cause::Application(_) => return application,
            found @ Cause::Infrastructure(_) => {
                infrastructure.get_or_insert(found);
            }
            Cause::Unknown => {}
        }
    }
    infrastructure.unwrap_or(Cause::Unknown)
}

/// The same of a `StatefulSet` whose template has this revision. A pod of another revision says nothing about the present one,
/// but may keep it back: where it is not ready, its controller waits for it and does not replace it (kubernetes#67250).
pub fn cause_in_set(revision: &str, pods: &[Pod]) -> Cause {
    let of = |pod: &Pod| pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION).cloned());
    let is_other = |pod: &&Pod| of(pod).is_some_and(|of| of != revision);
    match cause_of(pods.iter().filter(|pod| !is_other(pod))) {
        Cause::Unknown => pods.iter().filter(is_other).find_map(stuck).unwrap_or(Cause::Unknown),
        found => found,
    }
}

/// A pod that somebody has to delete, with the command.
fn stuck(pod: &Pod) -> Option<Cause> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions.filter(|c| c.type_ == "Ready").any(|c| c.status == "True");
    if is_ready || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("?");
    let why = match cause_of_pod(pod) {
        Cause::Application(how) | Cause::Infrastructure(how) => format!(" ({how})"),
        Cause::Unknown => String::new(),
    };
    Some(Cause::Infrastructure(short(&format!(
        "a StatefulSet does not replace its pod of another revision: kubectl delete pod {name} -n {namespace}{why}"
    ))))
}

fn cause_of_pod(pod: &Pod) -> Cause {
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    if pod.metadata.deletion_timestamp.is_some() {
        return Cause::Unknown;
    }
    let Some(status) = &pod.status else {
        return Cause::Unknown;
    };
    let condition = |kind: &str| {
        let mut list = status.conditions.iter().flatten();
        list.find(|condition| condition.type_ == kind && condition.status == "False")
    };
    if let Some(reason) = status.reason.as_deref().filter(|reason| NODE.contains(reason)) {
        return Cause::Infrastructure(format!("pod {name}: {reason}"));
    }
    if let Some(scheduled) = condition("PodScheduled") {
        let message = scheduled.message.as_deref().unwrap_or_default();
        let reason = scheduled.reason.as_deref().unwrap_or("Unschedulable");
        return Cause::Infrastructure(short(&format!("pod {name}: {reason}: {message}")));
    }
    let all =
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let causes: Vec<Cause> = all.map(|container| cause_of_container(name, container)).collect();
    if let Some(found) = causes.iter().find(|cause| matches!(cause, Cause::Application(_))) {
        return found.clone();
    }
    if let Some(found) = causes.into_iter().find(|cause| matches!(cause, Cause::Infrastructure(_))) {
        return found;
    }
    // Volumes are mounted and the sandbox is made before any container starts.
    if let Some(sandbox) = condition("PodReadyToStartContainers") {
        let message = sandbox.message.as_deref().unwrap_or("volumes or network are not ready");
        return Cause::Infrastructure(short(&format!("pod {name}: {message}")));
    }
    Cause::Unknown
}

fn cause_of_container(pod: &str, container: &ContainerStatus) -> Cause {
    let name = &container.name;
    let state = container.state.as_ref();
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        let text = short(&format!("pod {pod}, container {name}: {reason}: {message}"));
        return match reason {
            reason if IMAGE.contains(&reason) => Cause::Infrastructure(text),
            "" | "ContainerCreating" | "PodInitializing" => Cause::Unknown,
            _ => Cause::Application(text),
        };
    }
    let ended = state.and_then(|state| state.terminated.as_ref()).filter(|ended| ended.exit_code != 0);
    if let Some(ended) = ended {
        let reason = ended.reason.as_deref().unwrap_or("Error");
        let text = format!("pod {pod}, container {name}: {reason}, exit code {}", ended.exit_code);
        return Cause::Application(text);
    }
    let running = state.is_some_and(|state| state.running.is_some());
    if running && container.started == Some(true) && !container.ready {
        return Cause::Application(format!("pod {pod}, container {name}: runs and is not ready"));
    }
    Cause::Unknown
}

fn short(text: &str) -> String {
    cut::chars(text, 200).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn container(state: &serde_json::Value) -> serde_json::Value {
        json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 1, "started": true, "state": state}]})
    }

    #[test]
    fn a10_a_pod_that_a_stateful_set_does_not_replace_is_named_with_the_command() {
        let crashes = json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]});
        let pod = |revision: &str, status: Value| -> Pod {
            serde_json::from_value(json!({"status": status,
                "metadata": {"name": "db-1", "namespace": "shop", "labels": {"controller-revision-hash": revision}}}))
            .unwrap()
        };
        let ready = || json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let waits = || json!({"conditions": [{"type": "Ready", "status": "False"}]});
        let Cause::Infrastructure(text) = cause_in_set("now", &[pod("now", ready()), pod("other", waits())])
        else {
            panic!("the version is not accused of a pod that does not run it")
        };
        assert!(text.ends_with("kubectl delete pod db-1 -n shop"), "{text}");
        let Cause::Infrastructure(text) = cause_in_set("now", &[pod("other", crashes.clone())]) else {
            panic!()
        };
        assert!(text.contains("-n shop (pod db-1, container c: CrashLoopBackOff"), "{text}");
        let own = cause_in_set("now", &[pod("other", waits()), pod("now", crashes)]);
        assert!(matches!(&own, Cause::Application(how) if !how.contains("delete")), "{own:?}");
        assert_eq!(cause_in_set("now", &[pod("now", waits()), pod("other", ready())]), Cause::Unknown);
    }

    #[test]
    fn r4_pulls_scheduling_volumes_and_nodes_are_infrastructure_and_crashes_are_not() {
        let crash = pod(&container(&json!({"waiting": {"reason": "CrashLoopBackOff"}})));
        let pull =
            pod(&container(&json!({"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}})));
        for (pods, expected) in [
            (vec![pull.clone()], "Infrastructure(\"pod p, container c: ImagePullBackOff: back-off\")"),
            (
                vec![pod(
                    &json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}),
                )],
                "Infrastructure(\"pod p: Unschedulable: 0/3 nodes\")",
            ),
            (
                vec![pod(&json!({"conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]}))],
                "volumes or network",
            ),
            (vec![pod(&json!({"reason": "Evicted"}))], "Infrastructure(\"pod p: Evicted\")"),
            (vec![pull, crash], "Application(\"pod p, container c: CrashLoopBackOff"),
            (
                vec![pod(&container(&json!({"terminated": {"exitCode": 1, "reason": "OOMKilled"}})))],
                "Application(\"pod p, container c: OOMKilled, exit code 1",
            ),
            (
                vec![pod(&container(&json!({"waiting": {"reason": "CreateContainerConfigError"}})))],
                "Application",
            ),
            (vec![pod(&container(&json!({"running": {}})))], "runs and is not ready"),
            (vec![pod(&container(&json!({"waiting": {"reason": "ContainerCreating"}})))], "Unknown"),
            (vec![], "Unknown"),
        ] {
            let found = format!("{:?}", cause_of(&pods));
            assert!(found.contains(expected), "{found} is not {expected}");
        }
    }
}
