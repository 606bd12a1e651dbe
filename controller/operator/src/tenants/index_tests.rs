//! Interleavings of the two watches, of writes and of reads. Pure.

use serde_json::json;

use super::{
    super::lens::tests::{at, lens, object, thing, with},
    *,
};

const NOW: &str = "2026-03-01T00:00:00Z";

struct Bed {
    index: Index,
    surroundings: Arc<RwLock<Surroundings>>,
    changes: watch::Receiver<u64>,
}

fn bed() -> Bed {
    let surroundings = Arc::new(RwLock::new(Surroundings::default()));
    surroundings
        .write()
        .unwrap()
        .namespaces
        .insert("a".into(), [("breakwater.dev/rollouts-from".into(), "ops".into())].into());
    let tenants = with(
        with(thing(), "namespaceSelector", json!({})),
        "selector",
        json!({"matchLabels": {"app": "chat"}}),
    );
    let index = Index::new(Arc::new(lens(&tenants)), surroundings.clone());
    let changes = index.changes();
    Bed { index, surroundings, changes }
}

/// A tenant `name` at a revision, with a version, ready if its status says the same.
fn seen(name: &str, revision: u64, version: &str, status: &str) -> DynamicObject {
    object(
        &json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": revision.to_string(), "labels": {"app": "chat"}},
        "spec": {"version": version}, "status": {"version": status}}),
    )
}

fn relabelled(name: &str, revision: u64) -> DynamicObject {
    let mut object = seen(name, revision, "1", "1");
    object.metadata.labels = Some([("app".to_owned(), "other".to_owned())].into());
    object
}

impl Bed {
    fn apply(&self, origin: Origin, object: &DynamicObject) {
        self.index.apply(origin, object, at(NOW));
    }

    fn only(&self) -> Tenant {
        let mut all = self.index.snapshot();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn woke(&mut self) -> bool {
        let woke = self.changes.has_changed().unwrap();
        self.changes.mark_unchanged();
        woke
    }
}

#[test]
fn r17_a_tenant_relabelled_out_of_the_selector_stays_known_by_its_marker() {
    // The two watches are not ordered among themselves: both interleavings end alike.
    for marker_first in [true, false] {
        let bed = bed();
        bed.apply(Origin::Selector, &seen("t", 1, "1", "1"));
        bed.apply(Origin::Marker, &seen("t", 1, "1", "1"));
        assert!(bed.only().selected);
        // The selector's watch shows the last state that matched, under the new revision.
        let (gone, moved) = (seen("t", 2, "1", "1"), relabelled("t", 2));
        if marker_first {
            bed.apply(Origin::Marker, &moved);
            bed.index.delete(Origin::Selector, &gone);
        } else {
            bed.index.delete(Origin::Selector, &gone);
            assert!(!bed.only().selected);
            bed.apply(Origin::Marker, &moved);
        }
        assert!(!bed.only().selected);
        bed.index.delete(Origin::Marker, &moved);
        assert!(bed.index.is_empty());
    }
}

#[test]
fn a_tenant_that_comes_back_into_the_selector_is_not_lost_by_a_late_delete() {
    let bed = bed();
    bed.apply(Origin::Selector, &seen("t", 1, "1", "1"));
    bed.apply(Origin::Marker, &seen("t", 1, "1", "1"));
    bed.apply(Origin::Marker, &relabelled("t", 2));
    bed.apply(Origin::Marker, &seen("t", 3, "1", "1"));
    bed.index.delete(Origin::Selector, &seen("t", 2, "1", "1"));
    assert!(bed.only().selected);
    bed.apply(Origin::Selector, &seen("t", 3, "1", "1"));
    assert!(bed.only().selected);
}

#[test]
fn the_index_never_goes_back_to_an_older_state() {
    let bed = bed();
    bed.apply(Origin::Selector, &seen("t", 5, "1", "1"));
    assert!(bed.index.apply_written(&seen("t", 9, "2", "1"), at(NOW)));
    assert!(bed.only().confirmed);
    bed.apply(Origin::Selector, &seen("t", 7, "1", "1"));
    let tenant = bed.only();
    assert_eq!((tenant.version.version().map(|v| &**v), &*tenant.object.resource_version), (Some("2"), "9"));
    assert!(tenant.confirmed);
    // The watch brings the very state that was read: it stays confirmed. A newer one is not.
    bed.apply(Origin::Selector, &seen("t", 9, "2", "1"));
    assert!(bed.only().confirmed);
    bed.apply(Origin::Selector, &seen("t", 10, "2", "2"));
    assert!(!bed.only().confirmed);
}

#[test]
fn r25_what_a_read_does_not_find_is_gone_and_an_answer_alone_brings_nothing_to_life() {
    let bed = bed();
    bed.apply(Origin::Selector, &seen("t", 5, "1", "1"));
    bed.index.gone(bed.only().id);
    assert!(bed.index.is_empty());
    assert!(!bed.index.apply_written(&seen("t", 6, "2", "1"), at(NOW)));
    assert!(bed.index.is_empty());
    // A namesake is a new object.
    let mut namesake = seen("t", 8, "1", "1");
    bed.apply(Origin::Selector, &seen("t", 7, "1", "1"));
    namesake.metadata.uid = Some("other".into());
    assert!(bed.index.apply_written(&namesake, at(NOW)));
    assert_eq!(&*bed.only().object.uid, "other");
}

#[test]
fn what_vanished_while_the_watch_was_away_is_gone_after_the_next_list() {
    let bed = bed();
    for name in ["x", "y", "z"] {
        bed.apply(Origin::Selector, &seen(name, 1, "1", "1"));
    }
    bed.apply(Origin::Marker, &seen("z", 1, "1", "1"));
    bed.index.begin_list(Origin::Selector);
    bed.apply(Origin::Selector, &seen("y", 1, "1", "1"));
    assert_eq!(bed.index.len(), 3);
    bed.index.end_list(Origin::Selector);
    let mut names: Vec<_> = bed.index.with(|all| all.iter().map(|tenant| tenant.name.to_string()).collect());
    names.sort();
    assert_eq!(names, ["y", "z"]);
    for tenant in bed.index.snapshot() {
        assert_eq!(bed.index.get(tenant.id), Some(tenant)); // swap_remove kept the map right
    }
}

#[test]
fn r7_ready_since_does_not_move_while_the_tenant_stays_ready_at_its_version() {
    let bed = bed();
    let since = |bed: &Bed| match bed.only().readiness {
        Readiness::Ready { since } => Some(since.to_string()),
        Readiness::NotReady { .. } => None,
    };
    for (revision, version, status, now, expected) in [
        (1, "1", "1", "2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
        (2, "1", "1", "2026-01-02T00:00:00Z", Some("2026-01-01T00:00:00Z")),
        (3, "1", "0", "2026-01-03T00:00:00Z", None),
        (4, "1", "1", "2026-01-04T00:00:00Z", Some("2026-01-04T00:00:00Z")),
        (5, "2", "2", "2026-01-05T00:00:00Z", Some("2026-01-05T00:00:00Z")),
    ] {
        bed.index.apply(Origin::Selector, &seen("t", revision, version, status), at(now));
        assert_eq!(since(&bed).as_deref(), expected, "revision {revision}");
    }
}

#[test]
fn r7_an_edited_spec_does_not_start_every_warm_up_anew() {
    let (former, edited) = (bed(), bed());
    former.index.apply(Origin::Selector, &seen("t", 1, "1", "1"), at("2026-01-01T00:00:00Z"));
    edited.index.inherit(&former.index);
    edited.apply(Origin::Selector, &seen("t", 2, "1", "1"));
    assert_eq!(edited.only().readiness, Readiness::Ready { since: at("2026-01-01T00:00:00Z") });
    edited.index.inherit(&former.index);
    edited.index.end_list(Origin::Selector);
    edited.index.end_list(Origin::Marker);
    assert!(edited.index.read().inherited.is_empty());
}

#[test]
fn only_what_a_plan_may_depend_on_wakes_it() {
    let mut bed = bed();
    bed.apply(Origin::Selector, &seen("t", 1, "1", "1"));
    assert!(bed.woke());
    bed.apply(Origin::Selector, &seen("t", 2, "1", "1"));
    assert!(!bed.woke());
    assert_eq!(&*bed.only().object.resource_version, "2");
    bed.index.apply_written(&seen("t", 2, "1", "1"), at(NOW));
    assert!(bed.woke());
    bed.apply(Origin::Selector, &seen("t", 3, "2", "1"));
    assert!(bed.woke());
}

#[test]
fn r39_a_namespace_that_withdraws_its_consent_is_seen_at_once() {
    let mut bed = bed();
    bed.apply(Origin::Selector, &seen("t", 1, "1", "1"));
    assert!(bed.only().consented && bed.only().selected);
    bed.woke();
    bed.surroundings.write().unwrap().namespaces.insert("a".into(), [].into());
    bed.index.place_again(Some("b"));
    assert!(!bed.woke());
    bed.index.place_again(Some("a"));
    assert!(bed.woke());
    assert!(!bed.only().consented && bed.only().selected);
    bed.surroundings.write().unwrap().namespaces.clear();
    bed.index.place_again(None);
    assert!(!bed.only().selected);
}

#[test]
fn a_tenant_costs_less_than_half_a_kilobyte() {
    // Measured here are the fixed parts; the texts of one tenant (name, uid, resourceVersion) are about 150 bytes more.
    let fixed = size_of::<Tenant>() + size_of::<Entry>() + 16;
    assert!(fixed <= 320, "{fixed} bytes");
}
