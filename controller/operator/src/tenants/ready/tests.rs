use serde_json::json;

use super::{super::path::Path, *};

#[test]
fn a_chart_is_the_same_whatever_build_metadata_flux_gives_it() {
    for (wanted, attempted, same) in [
        ("104.1.2+up57.0.3", "104.1.2+4fda46fd8c4e", true),
        ("v1.2.3", "1.2.3", true),
        ("1.2.3", "1.2.3+0f1e2d", true),
        ("1.2.3-rc.1", "1.2.3", false),
        ("1.2.3", "1.2.4+0f1e2d", false),
        ("1.2.3", "nothing", false),
    ] {
        assert_eq!(is_same_chart(wanted, attempted), same, "{wanted} {attempted}");
    }
}

fn judge(known: Known, generation: i64, data: &Value) -> Verdict {
    known.judge(&Judged { generation: Some(generation), data, version: "1.0.0" })
}

/// The object is ready; with any one change it is not, for this reason.
fn check(known: Known, ready: &Value, changes: &[(&str, Value, &str)]) {
    assert!(
        matches!(judge(known, 3, ready), Verdict::Ready { .. }),
        "{known:?}: {:?}",
        judge(known, 3, ready)
    );
    for (pointer, value, reason) in changes {
        let mut object = ready.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match object.pointer_mut(parent).unwrap() {
            Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{pointer}: {other}"),
        }
        match judge(known, 3, &object) {
            Verdict::NotReady(found) => assert!(found.contains(reason), "{known:?} {pointer}: {found}"),
            Verdict::Ready { .. } => panic!("{known:?} is ready in spite of {pointer} = {value}"),
        }
    }
    let all_stale = judge(known, 4, ready);
    if known.generations() != Generations::Never {
        assert!(matches!(all_stale, Verdict::NotReady(_)), "{known:?}: a stale status counted");
    }
}

#[test]
fn a11_an_argo_rollout_reports_its_generation_as_text() {
    let ready = json!({"spec": {"replicas": 3}, "status": {"observedGeneration": "3", "phase": "Healthy",
        "replicas": 4, "updatedReplicas": 3, "availableReplicas": 3}});
    check(
        Known::ArgoRollout,
        &ready,
        &[
            ("/status/phase", json!("Progressing"), "phase is Progressing"),
            ("/status/phase", json!("Degraded"), "phase is Degraded"),
            ("/status/observedGeneration", json!("2"), "generation 2, not 3"),
            ("/status/updatedReplicas", json!(1), "1 of 3 replicas updated"),
            ("/status/availableReplicas", json!(2), "2 of 3 replicas available"),
        ],
    );
}

#[test]
fn a3_what_its_own_spec_puts_to_sleep_is_asleep() {
    for (known, spec, asleep) in [
        (Known::Deployment, json!({"paused": true, "replicas": 2}), true),
        (Known::Deployment, json!({"replicas": 0}), true),
        (Known::Deployment, json!({}), false),
        (Known::StatefulSet, json!({"replicas": 0}), true),
        (Known::StatefulSet, json!({"paused": true}), false),
        (Known::HelmRelease, json!({"suspend": true}), true),
        (Known::HelmRelease, json!({"suspend": false}), false),
        (Known::ArgoRollout, json!({"paused": true}), true),
        (Known::Conditions, json!({"suspend": true}), true),
        (Known::Application, json!({"suspend": true}), false),
    ] {
        assert_eq!(known.is_asleep(&json!({"spec": spec})), asleep, "{known:?} {spec}");
    }
}

#[test]
fn a4_a_path_whose_change_no_status_tells_of_is_not_seen() {
    for (known, path, seen) in [
        (Known::Deployment, "spec.template.metadata.labels.version", true),
        (Known::Deployment, "metadata.labels.version", false),
        (Known::HelmRelease, "spec.values.image.tag", true),
        (Known::HelmRelease, "metadata.annotations.version", false),
        (Known::Application, "spec.source.helm.parameters[name=tag].value", true),
        (Known::Application, "spec.sources[chart=app].targetRevision", true),
        (Known::Application, "spec.sourceHydrator.drySource.targetRevision", false),
        (Known::Application, "spec.destination.name", false),
        (Known::Mattermost, "spec.version", true),
        (Known::Mattermost, "spec.mattermostEnv[name=TAG].value", false),
        (Known::Conditions, "data.version", false),
        (Known::Conditions, "spec.version", true),
    ] {
        let path = Path::parse(path).unwrap();
        assert_eq!(known.sees(path.segments()), seen, "{known:?} {path}");
    }
}

#[test]
fn r3_a_deployment_is_ready_when_all_its_replicas_are_new_and_available() {
    let ready = json!({"spec": {"replicas": 3}, "status": {
        "observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
        "conditions": [
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": "2026-01-02T00:00:00Z"},
            {"type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    check(
        Known::Deployment,
        &ready,
        &[
            ("/status/updatedReplicas", json!(2), "2 of 3 replicas updated"),
            ("/status/replicas", json!(4), "1 old replicas"),
            ("/status/availableReplicas", json!(1), "1 of 3 replicas available"),
            ("/status/observedGeneration", json!(2), "generation 2, not 3"),
            ("/status/observedGeneration", Value::Null, "no observedGeneration"),
            (
                "/status/conditions/0",
                json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}),
                "ProgressDeadlineExceeded",
            ),
        ],
    );
    let since = "2026-01-02T00:00:00Z".parse().ok();
    assert_eq!(judge(Known::Deployment, 3, &ready), Verdict::Ready { since });
}

#[test]
fn r3_a_stateful_set_and_a_daemon_set_are_ready_when_all_replicas_are_new() {
    let ready = json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 3, "replicas": 2, "readyReplicas": 2,
        "availableReplicas": 2, "updatedReplicas": 2, "currentRevision": "a", "updateRevision": "b"}});
    check(
        Known::StatefulSet,
        &ready,
        &[
            ("/status/updatedReplicas", json!(1), "1 of 2 replicas updated"),
            ("/status/readyReplicas", json!(1), "1 of 2 replicas ready"),
            ("/status/availableReplicas", json!(0), "available"),
            ("/status/replicas", json!(3), "too many"),
        ],
    );
    let ready = json!({"status": {"observedGeneration": 3, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}});
    check(
        Known::DaemonSet,
        &ready,
        &[
            ("/status/updatedNumberScheduled", json!(1), "updated"),
            ("/status/numberAvailable", json!(1), "available"),
        ],
    );
}

#[test]
fn r3_a_mattermost_is_ready_when_stable_on_the_version_and_image_it_was_asked_for() {
    let ready = json!({"spec": {"version": "1.0.0", "image": "mm/ee", "replicas": 2}, "status": {"observedGeneration": 3,
        "state": "stable", "version": "1.0.0", "image": "mm/ee", "replicas": 2, "updatedReplicas": 2}});
    check(
        Known::Mattermost,
        &ready,
        &[
            ("/status/state", json!("reconciling"), "state is reconciling"),
            ("/status/version", json!("0.9.0"), "version is 0.9.0, not 1.0.0"),
            ("/status/image", json!("mm/te"), "image is mm/te"),
            ("/status/updatedReplicas", json!(1), "1 of 2 replicas updated"),
            ("/status/error", json!("no database"), "no database"),
        ],
    );
}

#[test]
fn r3_an_argo_application_is_ready_when_synced_and_healthy_at_its_present_source() {
    let source = json!({"repoURL": "r", "targetRevision": "1.0.0"});
    let ready = json!({"spec": {"source": {"repoURL": "r", "targetRevision": "1.0.0", "helm": {"parameters": []}}}, "status": {
        "sync": {"status": "Synced", "comparedTo": {"source": source}}, "health": {"status": "Healthy"},
        "operationState": {"phase": "Succeeded"}}});
    check(
        Known::Application,
        &ready,
        &[
            ("/status/sync/status", json!("OutOfSync"), "sync is OutOfSync"),
            (
                "/status/sync/comparedTo",
                json!({"source": {"repoURL": "r", "targetRevision": "0.9.0"}}),
                "not compared",
            ),
            ("/status/health", json!({}), "health is not reported"),
            ("/status/operationState/phase", json!("Running"), "operation is Running"),
            ("/operation", json!({"sync": {}}), "an operation is waiting"),
        ],
    );
}

#[test]
fn r3_flux_objects_are_ready_when_ready_at_this_generation_and_revision() {
    let ready = json!({"spec": {"chart": {"spec": {"version": "1.0.0"}}}, "status": {"observedGeneration": 3,
        "lastAttemptedRevision": "1.0.0+ab", "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 3}]}});
    check(
        Known::HelmRelease,
        &ready,
        &[
            ("/status/lastAttemptedRevision", json!("0.9.0"), "the last attempt was at 0.9.0"),
            (
                "/status/conditions/0",
                json!({"type": "Ready", "status": "False", "reason": "UpgradeFailed"}),
                "UpgradeFailed",
            ),
            (
                "/status/conditions/0",
                json!({"type": "Ready", "status": "True", "observedGeneration": 2}),
                "generation 2",
            ),
        ],
    );
    let ready = json!({"status": {"observedGeneration": 3, "lastAppliedRevision": "m", "lastAttemptedRevision": "m",
        "conditions": [{"type": "Ready", "status": "True"}]}});
    check(Known::Kustomization, &ready, &[("/status/lastAppliedRevision", json!("l"), "applied is l")]);
}

#[test]
fn r3_any_other_kind_is_ready_by_its_conditions_and_never_without_an_observed_generation() {
    let ready =
        json!({"status": {"observedGeneration": 3, "conditions": [{"type": "Ready", "status": "True"}]}});
    check(
        Known::Conditions,
        &ready,
        &[
            ("/status/conditions", json!([]), "no condition Ready"),
            (
                "/status/conditions",
                json!([{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "True", "reason": "Broken"}]),
                "Broken",
            ),
            ("/status/observedGeneration", Value::Null, "give tenants.ready"),
        ],
    );
}
