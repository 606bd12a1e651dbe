//! The guarded patch of rule R24: the version fields and the marker, and nothing else. Pure.

use breakwater_crds::{identity::RolloutIdentity, marker};
use breakwater_plan::{observed::ObjectFacts, outcome::Write};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::path::{Path, Segment};

/// A patch, and how it is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch {
    /// `application/merge-patch+json`: all fields are on map paths.
    Merge(Value),
    /// `application/json-patch+json`: a field stands in a list.
    Json(Value),
}

impl Patch {
    /// The media type.
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Merge(_) => "application/merge-patch+json",
            Self::Json(_) => "application/json-patch+json",
        }
    }

    /// The body.
    pub fn body(&self) -> Vec<u8> {
        match self {
            Self::Merge(value) | Self::Json(value) => value.to_string().into_bytes(),
        }
    }
}

/// One version field and the value it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Where.
    pub path: Path,
    /// What.
    pub value: String,
}

/// Why no patch could be made; nothing was sent. What merely changed since the plan is no error here but a conflict
/// at the server (R25).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A terminating object is never touched.
    #[error("tenant {0} is being deleted")]
    Terminating(String),
    /// Its version could not be read, so it is not known what to write.
    #[error("tenant {tenant} cannot be written: {reason}")]
    Unreadable {
        /// Which.
        tenant: String,
        /// Why.
        reason: String,
    },
    /// The kind was not found by discovery yet.
    #[error("tenant {0} cannot be written: its kind is not known to be served yet")]
    NotServed(String),
    /// The request could not be put together.
    #[error("request for tenant {tenant}: {reason}")]
    Request {
        /// Which.
        tenant: String,
        /// Why.
        reason: String,
    },
}

/// Label and annotations of the marker that goes with a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerText {
    label: String,
    annotations: [(&'static str, String); 7],
}

impl MarkerText {
    /// The marker of `write` as the Rollout writes it at `written_at`.
    pub fn of(rollout: RolloutIdentity<&str>, write: &Write, written_at: Timestamp) -> Self {
        let marker = &write.marker;
        Self {
            label: rollout.label(),
            annotations: [
                (marker::ROLLOUT_REF, rollout.to_string()),
                (marker::TARGET_VERSION, write.version.to_string()),
                (marker::PREVIOUS_VERSION, marker.previous.to_string()),
                (marker::WAVE, marker.wave.to_string()),
                (marker::WRITTEN_AT, written_at.to_string()),
                (marker::EPOCH, marker.epoch.to_string()),
                (marker::READY_BEFORE, marker.ready_before.to_string()),
            ],
        }
    }
}

/// The patch that sets `fields` and the marker on the object that `facts` describe, and on no other state of it.
pub fn build(facts: &ObjectFacts, fields: &[Assignment], marker: &MarkerText) -> Patch {
    if fields.iter().all(|field| field.path.is_map_path()) {
        Patch::Merge(merge(facts, fields, marker))
    } else {
        Patch::Json(operations(facts, fields, marker))
    }
}

/// In a merge patch, `metadata.uid` and `resourceVersion` are preconditions: another value is a conflict (409).
fn merge(facts: &ObjectFacts, fields: &[Assignment], marker: &MarkerText) -> Value {
    let annotations: Map<String, Value> =
        marker.annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let mut patch = json!({"metadata": {
        "uid": &*facts.uid,
        "resourceVersion": &*facts.resource_version,
        "labels": {marker::ROLLOUT_LABEL: marker.label},
        "annotations": annotations,
    }});
    for field in fields {
        let keys: Vec<&str> = field
            .path
            .segments()
            .iter()
            .map(|segment| match segment {
                Segment::Key(key) | Segment::Item { key, .. } => key.as_str(),
            })
            .collect();
        set(&mut patch, &keys, &field.value);
    }
    patch
}

fn set(patch: &mut Value, keys: &[&str], value: &str) {
    match (patch, keys) {
        (place, []) => *place = json!(value),
        (Value::Object(map), [key, rest @ ..]) => {
            set(map.entry((*key).to_owned()).or_insert_with(|| json!({})), rest, value);
        }
        // Two fields, one inside the other; the lens refuses that.
        (_, [_, ..]) => {}
    }
}

/// A JSON patch is applied to the object as it is, again at each of the server's own attempts. Replacing
/// `resourceVersion` by the one that was observed makes every difference a conflict (409), as in a merge patch; the
/// tests (422) are for what a conflict could miss: a namesake, and an item that moved.
fn operations(facts: &ObjectFacts, fields: &[Assignment], marker: &MarkerText) -> Value {
    let mut list = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": &*facts.uid}),
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": &*facts.resource_version}),
    ];
    let mut positions = facts.positions.iter();
    let mut writes = Vec::new();
    for field in fields {
        let mut pointer = String::new();
        for segment in field.path.segments() {
            match segment {
                Segment::Key(key) => push(&mut pointer, key),
                Segment::Item { key, value } => {
                    // One position per item: the lens counts them when it reads. Without one the test below fails.
                    push(&mut pointer, &positions.next().map_or("-".into(), u16::to_string));
                    list.push(
                        json!({"op": "test", "path": format!("{pointer}/{}", escape(key)), "value": value}),
                    );
                }
            }
        }
        writes.push(json!({"op": "replace", "path": pointer, "value": field.value}));
    }
    list.append(&mut writes);
    if !facts.has_labels {
        list.push(json!({"op": "add", "path": "/metadata/labels", "value": {}}));
    }
    list.push(json!({"op": "add", "path": format!("/metadata/labels/{}", escape(marker::ROLLOUT_LABEL)), "value": marker.label}));
    if !facts.has_annotations {
        list.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    for (key, value) in &marker.annotations {
        list.push(
            json!({"op": "add", "path": format!("/metadata/annotations/{}", escape(key)), "value": value}),
        );
    }
    Value::Array(list)
}

fn push(pointer: &mut String, part: &str) {
    pointer.push('/');
    pointer.push_str(&escape(part));
}

/// RFC 6901.
fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use breakwater_plan::{
        observed::{Claim, Marker, Readiness, Reading, Tenant},
        outcome::Purpose,
    };
    use breakwater_slo::TenantId;
    use proptest::prelude::*;

    use super::*;

    fn facts(positions: &[u16], maps: bool) -> ObjectFacts {
        ObjectFacts {
            uid: "u-1".into(),
            resource_version: "7".into(),
            positions: positions.into(),
            has_labels: maps,
            has_annotations: maps,
        }
    }

    fn write() -> Write {
        let marker = Marker {
            claim: Claim::Own,
            target: "2".into(),
            previous: "1".into(),
            wave: "early".into(),
            written_at: Timestamp::UNIX_EPOCH,
            epoch: 4,
            ready_before: true,
        };
        Write {
            tenant: Tenant {
                id: TenantId(1),
                namespace: "n".into(),
                name: "t".into(),
                object: facts(&[], true),
                metric_id: None,
                version: Reading::Version("1".into()),
                selected: true,
                selector_wave: None,
                excluded: false,
                dormant: false,
                terminating: false,
                consented: true,
                readiness: Readiness::NotReady { reason: "".into() },
                marker: None,
                foreign_owner: None,
                confirmed: false,
            },
            version: Arc::from("2"),
            marker,
            purpose: Purpose::Advance,
        }
    }

    fn marker_text() -> MarkerText {
        MarkerText::of(APP, &write(), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    const APP: RolloutIdentity<&str> = RolloutIdentity { hub: "hub", namespace: "ops", name: "app" };

    fn assignment(path: &str, value: &str) -> Assignment {
        Assignment { path: Path::parse(path).unwrap(), value: value.into() }
    }

    /// RFC 7396, as far as a patch without null goes.
    fn apply_merge(object: &mut Value, patch: &Value) {
        match (object, patch) {
            (Value::Object(object), Value::Object(patch)) => {
                for (key, value) in patch {
                    apply_merge(object.entry(key.clone()).or_insert_with(|| json!({})), value);
                }
            }
            (object, patch) => *object = patch.clone(),
        }
    }

    /// RFC 6902: `test`, `replace`, `add` into maps; `Err` names the operation that failed.
    fn apply_json(object: &mut Value, operations: &Value) -> Result<(), String> {
        for operation in operations.as_array().unwrap() {
            let (op, path, value) =
                (operation["op"].as_str().unwrap(), operation["path"].as_str().unwrap(), &operation["value"]);
            let failed = || format!("{op} {path}");
            match op {
                "test" if object.pointer(path) == Some(value) => {}
                "replace" => *object.pointer_mut(path).ok_or_else(failed)? = value.clone(),
                "add" => {
                    let (parent, key) = path.rsplit_once('/').unwrap();
                    let parent =
                        object.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(failed)?;
                    parent.insert(key.replace("~1", "/").replace("~0", "~"), value.clone());
                }
                _ => return Err(failed()),
            }
        }
        Ok(())
    }

    #[test]
    fn r24_map_paths_get_a_merge_patch_with_both_guards_and_the_whole_marker() {
        let fields = [assignment("spec.version", "2"), assignment("metadata.annotations[\"x/y\"]", "2")];
        let patch = build(&facts(&[], false), &fields, &marker_text());
        assert_eq!(patch.content_type(), "application/merge-patch+json");
        assert_eq!(
            patch,
            Patch::Merge(json!({
                "metadata": {
                    "uid": "u-1", "resourceVersion": "7",
                    "labels": {"breakwater.dev/rollout": APP.label()},
                    "annotations": {
                        "x/y": "2", "breakwater.dev/rollout-ref": "ops/app@hub", "breakwater.dev/target-version": "2",
                        "breakwater.dev/previous-version": "1", "breakwater.dev/wave": "early",
                        "breakwater.dev/written-at": "2026-01-01T00:00:00Z", "breakwater.dev/epoch": "4",
                        "breakwater.dev/ready-before": "true",
                    },
                },
                "spec": {"version": "2"},
            }))
        );
    }

    #[test]
    fn r24_list_paths_get_a_json_patch_that_tests_uid_and_list_key_and_pins_the_resource_version() {
        let fields = [assignment("spec.c[name=app].image", "r:2")];
        let patch = build(&facts(&[1], false), &fields, &marker_text());
        assert_eq!(patch.content_type(), "application/json-patch+json");
        let object = json!({"metadata": {"uid": "u-1", "resourceVersion": "7"},
            "spec": {"c": [{"name": "side", "image": "s:1"}, {"name": "app", "image": "r:1"}]}});
        let Patch::Json(operations) = patch else { panic!() };
        let mut written = object.clone();
        assert_eq!(apply_json(&mut written, &operations), Ok(()));
        assert_eq!(
            written["spec"],
            json!({"c": [{"name": "side", "image": "s:1"}, {"name": "app", "image": "r:2"}]})
        );
        assert_eq!(written["metadata"]["labels"][marker::ROLLOUT_LABEL], APP.label());
        assert_eq!(written["metadata"]["annotations"].as_object().unwrap().len(), 7);

        let mut namesake = object.clone();
        namesake["metadata"]["uid"] = json!("u-2");
        assert_eq!(apply_json(&mut namesake, &operations), Err("test /metadata/uid".into()));
        let mut moved = object;
        moved["spec"]["c"].as_array_mut().unwrap().swap(0, 1);
        assert_eq!(apply_json(&mut moved, &operations), Err("test /spec/c/1/name".into()));
    }

    fn containers() -> impl Strategy<Value = (Vec<(String, String)>, prop::sample::Index)> {
        (prop::collection::btree_map("[a-z~/]{1,6}", "[a-z:/.0-9]{0,12}", 1..6), any::<prop::sample::Index>())
            .prop_map(|(map, index)| (map.into_iter().collect(), index))
    }

    proptest! {
        #[test]
        fn r24_neighbours_and_all_other_fields_stay_as_they_are((items, chosen) in containers(), maps in any::<bool>(), other in "[a-z~/]{1,6}") {
            let at = chosen.index(items.len());
            let list: Vec<Value> = items.iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
            let mut object = json!({"metadata": {"uid": "u-1", "resourceVersion": "7"}, "spec": {"list": list, "v": "1", "o": {&other: [1, 2]}}});
            if maps {
                object["metadata"]["labels"] = json!({&other: "x"});
                object["metadata"]["annotations"] = json!({&other: "y"});
            }
            let item = Segment::Item { key: "name".into(), value: items[at].0.clone() };
            let path = Path::of([Segment::Key("spec".into()), Segment::Key("list".into()), item, Segment::Key("image".into())]);
            let found = path.read(&object).unwrap().positions;
            let in_list = Assignment { path, value: "new".into() };
            let facts = facts(&found, maps);
            let Patch::Json(operations) = build(&facts, &[assignment("spec.v", "2"), in_list], &marker_text()) else { panic!() };
            let mut by_json = object.clone();
            prop_assert_eq!(apply_json(&mut by_json, &operations), Ok(()));
            let Patch::Merge(patch) = build(&facts, &[assignment("spec.v", "2")], &marker_text()) else { panic!() };
            let mut by_merge = object.clone();
            apply_merge(&mut by_merge, &patch);

            // Undo by hand what may change; nothing else may have.
            by_merge["spec"]["v"] = json!("1");
            by_json["spec"]["v"] = json!("1");
            by_json["spec"]["list"][at]["image"] = json!(items[at].1);
            for written in [&mut by_json, &mut by_merge] {
                let metadata = written["metadata"].as_object_mut().unwrap();
                for map in ["labels", "annotations"] {
                    let ours = metadata[map].as_object_mut().unwrap();
                    ours.retain(|key, _| !key.starts_with("breakwater.dev/"));
                    if !maps {
                        prop_assert!(ours.is_empty());
                        metadata.remove(map);
                    }
                }
                prop_assert_eq!(&*written, &object);
            }
        }
    }
}
