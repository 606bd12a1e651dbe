//! Digests of whole objects, rule by rule. Pure.

use serde_json::json;

use super::*;
use crate::tenants::marks::Hubs;

pub fn spec(tenants: &Value) -> RolloutSpec {
    serde_json::from_value(json!({
        "version": "2.0.0",
        "tenants": tenants,
        "waves": [
            {"name": "community", "selector": {"matchLabels": {"ring": "community"}}, "soak": "1d"},
            {"name": "half", "percent": 50, "soak": "1d"},
            {"name": "rest", "soak": "1d"},
        ],
        "slos": [{"name": "errors", "errors": {"bad": "rate(e[1m])", "total": "rate(t[1m])"}, "objective": "99.9%"}],
    }))
    .unwrap()
}

pub fn thing() -> Value {
    json!({"resource": {"apiVersion": "x.io/v1", "kind": "Thing"}, "fields": [{"path": "spec.version"}],
        "ready": "object.status.version == version"})
}

pub fn with(mut base: Value, key: &str, value: Value) -> Value {
    base.as_object_mut().unwrap().insert(key.into(), value);
    base
}

/// The label that the Rollout writes.
fn own_label() -> String {
    RolloutIdentity { hub: "hub", namespace: "ops", name: "app" }.label()
}

pub fn lens(tenants: &Value) -> Lens {
    Lens::compile(&Hubs::only("hub"), "ops", "app", &spec(tenants)).unwrap()
}

pub fn object(value: &Value) -> DynamicObject {
    let mut object = json!({"apiVersion": "x.io/v1", "kind": "Thing",
        "metadata": {"namespace": "a", "name": "t", "uid": "u", "resourceVersion": "5", "generation": 1}});
    merge(&mut object, value);
    serde_json::from_value(object).unwrap()
}

fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            from.iter().for_each(|(key, value)| merge(to.entry(key.clone()).or_insert(Value::Null), value));
        }
        (to, from) => *to = from.clone(),
    }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn digest(tenants: &Value, value: &Value) -> Tenant {
    lens(tenants).digest(&object(value), at("2026-03-01T00:00:00Z")).unwrap().tenant
}

fn reading(tenant: &Tenant) -> String {
    match &tenant.version {
        Reading::Version(version) => version.to_string(),
        Reading::Unreadable(reason) => format!("unreadable: {reason}"),
    }
}

#[test]
fn b4_kinds_and_paths_as_people_write_them_are_told_how_they_are_written() {
    for (tenants, path, message) in [
        // From `kubectl get`, and from JSON patches.
        (
            json!({"resource": {"apiVersion": "apps/v1", "kind": "deployments"}}),
            "spec.tenants.resource.kind",
            "\"deployments\" is not a kind, which begins with a capital; did you mean Deployment?",
        ),
        (
            with(thing(), "fields", json!([{"path": "/spec/version"}])),
            "spec.tenants.fields[0].path",
            "\"/spec/version\" is a JSON pointer; write it as spec.version",
        ),
    ] {
        let errors = Lens::compile(&Hubs::only("hub"), "ops", "app", &spec(&tenants)).unwrap_err();
        assert_eq!((errors[0].path.as_str(), errors[0].message.as_str()), (path, message));
    }
}

#[test]
fn a_spec_that_cannot_be_followed_is_refused_with_every_reason() {
    let kind = |api: &str, kind: &str| json!({"resource": {"apiVersion": api, "kind": kind}});
    for (tenants, path, message) in [
        (kind("x.io/v1", "Thing"), "spec.tenants.fields", "not known where a Thing keeps its version"),
        (
            with(thing(), "fields", json!([{"path": "status.version"}])),
            "spec.tenants.fields[0].path",
            "cannot hold a version",
        ),
        (
            with(thing(), "fields", json!([{"path": "metadata.name"}])),
            "spec.tenants.fields[0].path",
            "cannot hold a version",
        ),
        (with(thing(), "fields", json!([{"path": "spec"}])), "spec.tenants.fields[0].path", "a whole part"),
        (
            with(thing(), "fields", json!([{"path": "metadata.labels[\"breakwater.dev/rollout\"]"}])),
            "spec.tenants.fields[0].path",
            "own",
        ),
        (
            with(thing(), "fields", json!([{"path": "spec.a"}, {"path": "spec.a.b"}])),
            "spec.tenants.fields[1].path",
            "lie in each other",
        ),
        (
            with(thing(), "fields", json!([{"path": "spec.a", "format": "no version"}])),
            "spec.tenants.fields[0].format",
            "{version}",
        ),
        (with(thing(), "exclude", json!("object.a ==")), "spec.tenants.exclude", "not a CEL expression"),
        (with(thing(), "dormant", json!("version == '1'")), "spec.tenants.dormant", "only ready knows it"),
        (with(thing(), "ready", json!("object.status.ok")), "spec.tenants.ready", "must name version"),
        (
            with(
                kind("argoproj.io/v1alpha1", "Application"),
                "ready",
                json!("object.status.observedGeneration == 1"),
            ),
            "spec.tenants.ready",
            "must name version",
        ),
    ] {
        let errors = Lens::compile(&Hubs::only("hub"), "ops", "app", &spec(&tenants)).unwrap_err();
        let found = errors.iter().any(|error| error.path == path && error.message.contains(message));
        assert!(found, "{path}: {errors:?}");
    }
    assert!(
        Lens::compile(
            &Hubs::only("hub"),
            "ops",
            "app",
            &spec(&kind("installation.mattermost.com/v1beta1", "Mattermost"))
        )
        .is_ok()
    );
    assert!(
        Lens::compile(
            &Hubs::only("hub"),
            "ops",
            "app",
            &spec(&with(kind("apps/v1", "Deployment"), "ready", json!("object.status.ok")))
        )
        .is_ok()
    );
}

#[test]
fn lenses_are_equal_when_digests_are() {
    assert_eq!(lens(&thing()), lens(&with(thing(), "warmUp", json!("1h"))));
    assert_ne!(lens(&thing()), lens(&with(thing(), "dormant", json!("object.spec.off"))));
}

#[test]
fn a_version_is_read_only_if_every_field_agrees() {
    let two = with(
        thing(),
        "fields",
        json!([{"path": "spec.version"}, {"path": "spec.c[name=app].image", "format": "r/app:{version}"}]),
    );
    for (value, expected) in [
        (json!({"spec": {"version": "1", "c": [{"name": "x"}, {"name": "app", "image": "r/app:1"}]}}), "1"),
        (
            json!({"spec": {"version": "1", "c": [{"name": "app", "image": "r/app:2"}]}}),
            "unreadable: fields disagree: spec.version holds 1, spec.c[name=app].image 2",
        ),
        (
            json!({"spec": {"version": "1", "c": []}}),
            "unreadable: spec.c[name=app] is in no item of the list",
        ),
        (
            json!({"spec": {"version": "1", "c": [{"name": "app", "image": "q/app:2"}]}}),
            "unreadable: spec.c[name=app].image is \"q/app:2\", which does not fit r/app:{version}",
        ),
        (json!({"spec": {"version": 1}}), "unreadable: spec.version is not a text"),
    ] {
        assert_eq!(reading(&digest(&two, &value)), expected);
    }
    let positions = digest(
        &two,
        &json!({"spec": {"version": "1", "c": [{"name": "x"}, {"name": "app", "image": "r/app:1"}]}}),
    );
    assert_eq!(&*positions.object.positions, &[1]);
}

#[test]
fn r24_a_deployments_version_is_its_only_containers_tag_and_the_repository_is_kept() {
    let deployment = json!({"resource": {"apiVersion": "apps/v1", "kind": "Deployment"}});
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
    for (value, expected) in [
        (image("r.io:5000/mm/app:10.5.2"), "10.5.2"),
        (image("app"), "unreadable: spec.template.spec.containers[name=app].image is \"app\""),
        (image("r.io:5000/app"), "unreadable"),
        (image("app:1@sha256:ab"), "unreadable"),
        (
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}}),
            "unreadable: it has 2 containers",
        ),
    ] {
        assert!(reading(&digest(&deployment, &value)).starts_with(expected), "{value}");
    }
    let lens = lens(&deployment);
    let digest = lens.digest(&object(&image("r.io:5000/mm/app:10.5.2")), Timestamp::UNIX_EPOCH).unwrap();
    let fields = lens.assignments(digest.derived.as_deref(), "10.6.0").unwrap();
    assert_eq!(fields[0].value, "r.io:5000/mm/app:10.6.0");
    assert_eq!(fields[0].path.to_string(), "spec.template.spec.containers[name=app].image");
    assert_eq!(lens.assignments(None, "10.6.0"), None);
}

#[test]
fn unknown_is_never_safe_so_a_rule_that_cannot_tell_makes_the_tenant_unreadable() {
    let object = json!({"spec": {"version": "1", "off": true}});
    let rule = |field: &str, text: &str| digest(&with(thing(), field, json!(text)), &object);
    assert!(rule("dormant", "object.spec.off").dormant);
    assert!(rule("exclude", "object.spec.off").excluded);
    assert_eq!(rule("id", "object.metadata.name + '-x'").metric_id.as_deref(), Some("t-x"));
    for field in ["dormant", "exclude", "id"] {
        let tenant = rule(field, "object.spec.absent");
        assert!(
            reading(&tenant).starts_with(&format!("unreadable: tenants.{field}: No such key")),
            "{}",
            reading(&tenant)
        );
        assert!(!tenant.dormant && !tenant.excluded);
    }
}

#[test]
fn r3_a_stale_status_never_counts_and_ready_is_never_before_the_write() {
    let ready = |value: &Value| digest(&thing(), value).readiness;
    let now = at("2026-03-01T00:00:00Z");
    assert_eq!(
        ready(&json!({"spec": {"version": "1"}, "status": {"version": "1"}})),
        Readiness::Ready { since: now }
    );
    for (value, reason) in [
        (json!({"spec": {"version": "2"}, "status": {"version": "1"}}), "tenants.ready is false"),
        (json!({"spec": {"version": "1"}}), "No such key"),
        (
            json!({"spec": {"version": "1"}, "metadata": {"generation": 2}, "status": {"version": "1", "observedGeneration": 1}}),
            "generation 1, not 2",
        ),
        (json!({"spec": {}}), "cannot be read"),
    ] {
        let Readiness::NotReady { reason: found } = ready(&value) else { panic!("{value}") };
        assert!(found.contains(reason), "{found}");
    }
    let deployment = json!({"resource": {"apiVersion": "apps/v1", "kind": "Deployment"}});
    let since = |written_at: &str| {
        let value = json!({
            "metadata": {"labels": {marker::ROLLOUT_LABEL: own_label()}, "annotations": {
                marker::TARGET_VERSION: "1", marker::PREVIOUS_VERSION: "0", marker::WAVE: "w", marker::EPOCH: "1", marker::WRITTEN_AT: written_at}},
            "spec": {"replicas": 0, "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}},
            "status": {"observedGeneration": 1, "conditions": [
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": "2026-02-02T00:00:00Z"},
                {"type": "Available", "status": "True", "lastTransitionTime": "2026-02-01T00:00:00Z"}]}});
        digest(&deployment, &value).readiness
    };
    assert_eq!(since("2026-01-01T00:00:00Z"), Readiness::Ready { since: at("2026-02-02T00:00:00Z") });
    assert_eq!(since("2026-02-03T00:00:00Z"), Readiness::Ready { since: at("2026-02-03T00:00:00Z") });
}

#[test]
fn r5_identity_is_the_hash_of_names_and_never_of_the_uid() {
    let id = |uid: &str| digest(&thing(), &json!({"metadata": {"uid": uid}})).id;
    assert_eq!(id("u-1"), id("u-2"));
    assert_eq!(id("u-1"), TenantId(marker::stable_hash(&["ops", "app", "a", "t"])));
    assert_eq!(
        digest(&thing(), &json!({"metadata": {"labels": {"ring": "community"}}})).selector_wave,
        Some(0)
    );
    assert_eq!(digest(&thing(), &json!({})).selector_wave, None);
}

#[test]
fn r17_the_marker_is_read_whole_or_the_tenant_is_left_alone() {
    let annotations = json!({marker::TARGET_VERSION: "2", marker::PREVIOUS_VERSION: "1", marker::WAVE: "half",
        marker::EPOCH: "7", marker::WRITTEN_AT: "2026-02-01T00:00:00Z"});
    let marked = |label: &str, annotations: &Value| {
        digest(
            &thing(),
            &json!({"spec": {"version": "2"}, "metadata": {"labels": {marker::ROLLOUT_LABEL: label}, "annotations": annotations}}),
        )
    };
    let own = own_label();
    let tenant = marked(&own, &annotations);
    let expected = Marker {
        claim: Claim::Own,
        target: "2".into(),
        previous: "1".into(),
        wave: "half".into(),
        written_at: at("2026-02-01T00:00:00Z"),
        epoch: 7,
        ready_before: true,
    };
    assert_eq!(tenant.marker.as_deref(), Some(&expected));
    for key in
        [marker::TARGET_VERSION, marker::PREVIOUS_VERSION, marker::WAVE, marker::EPOCH, marker::WRITTEN_AT]
    {
        let tenant = marked(&own, &with(annotations.clone(), key, json!("")));
        assert!(reading(&tenant).contains(key), "{}", reading(&tenant));
        assert_eq!(tenant.marker, None);
    }
    assert_eq!(marked("0123", &json!({})).marker.map(|marker| marker.claim), Some(Claim::Other));
    let before_hubs = RolloutIdentity::local("ops", "app").label();
    assert_eq!(marked(&before_hubs, &annotations).marker.as_deref(), Some(&expected), "R38");
    let strange = RolloutIdentity { hub: "us", namespace: "ops", name: "app" };
    let named = with(annotations.clone(), marker::ROLLOUT_REF, json!(strange.to_string()));
    let claim = |lens: &Lens| {
        let marked = json!({"spec": {"version": "2"}, "metadata": {"labels": {marker::ROLLOUT_LABEL: strange.label()}, "annotations": named}});
        let digest = lens.digest(&object(&marked), at("2026-03-01T00:00:00Z")).unwrap();
        assert_eq!(digest.foreign, None, "whether it is gone nobody here knows");
        digest.tenant.marker.unwrap().claim
    };
    assert_eq!(claim(&lens(&thing())), Claim::Hub("us".into()), "R48");
    let taken = Hubs { own: "hub".into(), taken: vec!["us".into()] };
    assert_eq!(claim(&Lens::compile(&taken, "ops", "app", &spec(&thing())).unwrap()), Claim::Own, "R48");
}

#[test]
fn s7_s8_a_marker_that_this_controller_never_writes_is_damaged_and_one_tenants_trouble() {
    let sound = json!({marker::TARGET_VERSION: "2", marker::PREVIOUS_VERSION: "1", marker::WAVE: "half",
        marker::EPOCH: "7", marker::WRITTEN_AT: "2026-02-01T00:00:00Z"});
    for (key, value) in [
        (marker::WRITTEN_AT, "2999-01-01T00:00:00Z"),
        (marker::WAVE, "Half and half"),
        (marker::EPOCH, "-1"),
        (marker::PREVIOUS_VERSION, "1.0.0\n2"),
        (marker::TARGET_VERSION, &"9".repeat(300)),
    ] {
        let annotations = with(sound.clone(), key, json!(value));
        let marked = json!({"spec": {"version": "2"}, "metadata": {"labels": {marker::ROLLOUT_LABEL: own_label()}, "annotations": annotations}});
        let tenant = digest(&thing(), &marked);
        assert!(reading(&tenant).contains(key), "{}", reading(&tenant));
    }
}

#[test]
fn r24_a_manager_of_a_version_field_that_is_not_released_is_named() {
    let tenants = with(
        with(thing(), "takeFrom", json!(["helm"])),
        "fields",
        json!([{"path": "spec.c[name=app].image"}]),
    );
    let owner = |manager: &str, fields: Value, subresource: &str| {
        let entry = json!({"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields, "subresource": subresource});
        digest(&tenants, &json!({"metadata": {"managedFields": [entry]}}))
            .foreign_owner
            .map(|owner| owner.to_string())
    };
    let exact = json!({"f:spec": {"f:c": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}}}}});
    let atomic = json!({"f:spec": {"f:c": {}}});
    let neighbour =
        json!({"f:spec": {"f:c": {"k:{\"name\":\"side\"}": {".": {}, "f:image": {}}}, "f:x": {}}});
    let presence = json!({"f:spec": {"f:c": {"k:{\"name\":\"app\"}": {".": {}}}}});
    for (manager, fields, subresource, expected) in [
        ("argocd", &exact, "", Some("argocd")),
        ("argocd", &atomic, "", Some("argocd")),
        ("", &exact, "", Some("(unnamed)")),
        ("argocd", &neighbour, "", None),
        ("argocd", &presence, "", None),
        ("argocd", &exact, "status", None),
        ("helm", &exact, "", None),
        ("breakwater", &exact, "", None),
    ] {
        assert_eq!(
            owner(manager, fields.clone(), subresource).as_deref(),
            expected,
            "{manager} {fields} {subresource}"
        );
    }
}

#[test]
fn r39_other_namespaces_must_match_and_consent_and_the_own_one_consents_by_itself() {
    let place = |selector: Option<Value>, namespace: &str, labels: Option<Value>| {
        let lens = lens(&selector.map_or(thing(), |selector| with(thing(), "namespaceSelector", selector)));
        let mut tenant = lens
            .digest(&object(&json!({"metadata": {"namespace": namespace}})), Timestamp::UNIX_EPOCH)
            .unwrap()
            .tenant;
        let labels = labels.map(|labels| serde_json::from_value(labels).unwrap());
        let namespaces = labels.into_iter().map(|labels| (namespace.to_owned(), labels)).collect();
        lens.place(&mut tenant, true, None, &Surroundings { namespaces, rollouts: None });
        (tenant.selected, tenant.consented)
    };
    let consent = json!({"breakwater.dev/rollouts-from": "ops", "tier": "a"});
    assert_eq!(place(None, "ops", None), (true, true));
    assert_eq!(place(None, "a", Some(consent.clone())), (false, true));
    assert_eq!(place(Some(json!({})), "a", Some(consent.clone())), (true, true));
    assert_eq!(
        place(Some(json!({})), "a", Some(json!({"breakwater.dev/rollouts-from": "evil"}))),
        (true, false)
    );
    assert_eq!(place(Some(json!({})), "a", None), (false, false));
    assert_eq!(place(Some(json!({"matchLabels": {"tier": "b"}})), "a", Some(consent)), (false, true));
}

#[test]
fn r24_another_rollouts_marker_is_a_claim_until_that_rollout_is_known_to_be_gone() {
    let lens = lens(&thing());
    let digest = lens
        .digest(
            &object(&json!({"metadata": {"labels": {marker::ROLLOUT_LABEL: "0123"}}})),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
    for (rollouts, expected) in [
        (None, Claim::Other),
        (Some(HashSet::from(["0123".to_owned()])), Claim::Other),
        (Some(HashSet::new()), Claim::Gone),
    ] {
        let mut tenant = digest.tenant.clone();
        lens.place(
            &mut tenant,
            true,
            digest.foreign.as_deref(),
            &Surroundings { rollouts, ..Surroundings::default() },
        );
        assert_eq!(tenant.marker.map(|marker| marker.claim), Some(expected));
    }
}

#[test]
fn an_object_without_identity_is_no_tenant() {
    let bare: DynamicObject = serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": {}})).unwrap();
    assert_eq!(lens(&thing()).digest(&bare, Timestamp::UNIX_EPOCH), None);
}
