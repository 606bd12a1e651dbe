//! Whose a marker is: the labels that this Rollout writes and knows as its own, and what another hub's says (R17, R48). Pure.

use std::collections::BTreeMap;

use breakwater_crds::{identity::RolloutIdentity, marker};
use jiff::{SignedDuration, Timestamp};

/// How far in the future a marker may be: a write of later is none of ours (S8). A controller whose clock was an hour fast, or in
/// another time zone, has marked tenants that a revert must still reach; the planner lets nobody gain by it.
const SKEW: SignedDuration = SignedDuration::from_hours(24);
/// Longest version in a marker, in bytes.
const VERSION_MAX: usize = 256;

/// The hub that this process runs in, and those whose markers somebody took over for a Rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hubs {
    /// Its own id.
    pub own: String,
    /// Ids of the others.
    pub taken: Vec<String>,
}

impl Hubs {
    /// One hub alone.
    pub fn only(own: &str) -> Self {
        Self { own: own.to_owned(), taken: Vec::new() }
    }
}

/// The labels of one Rollout's markers.
#[derive(Debug)]
pub struct Marks {
    /// The written one first; then that of before hubs had names, which is of this cluster, so ours; then those taken over.
    own: Vec<String>,
}

/// Whose a marker is that is not this Rollout's own.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger<'a> {
    /// Another hub's Rollout of the same name.
    Namesake(&'a str),
    /// Another hub's of another name: whether that Rollout still exists nobody here knows.
    Elsewhere,
    /// This hub's, or nobody's.
    Here,
}

impl Marks {
    /// Of the Rollout `namespace/name` under these hubs.
    pub fn of(hubs: &Hubs, namespace: &str, name: &str) -> Self {
        let taken = hubs.taken.iter().map(String::as_str);
        let own = [hubs.own.as_str(), ""].into_iter().chain(taken);
        Self { own: own.map(|hub| RolloutIdentity { hub, namespace, name }.label()).collect() }
    }

    /// Whether a marker's label is this Rollout's.
    pub fn include(&self, label: &str) -> bool {
        self.own.iter().any(|own| own == label)
    }

    /// The selector that finds every tenant that this Rollout touched.
    pub fn selector(&self) -> String {
        format!("{} in ({})", marker::ROLLOUT_LABEL, self.own.join(","))
    }
}

/// Whose the marker is that has the foreign `label`. An annotation that the label does not bear out names no hub: whoever may
/// edit a tenant could write one.
pub(super) fn stranger<'a>(
    own: RolloutIdentity<&str>,
    label: &str,
    annotations: &'a BTreeMap<String, String>,
) -> Stranger<'a> {
    let named = annotations.get(marker::ROLLOUT_REF).and_then(|text| RolloutIdentity::parse(text));
    match named {
        Some(named) if named.hub.is_empty() || named.hub == own.hub || named.label() != label => {
            Stranger::Here
        }
        Some(named) if (named.namespace, named.name) == (own.namespace, own.name) => {
            Stranger::Namesake(named.hub)
        }
        Some(_) => Stranger::Elsewhere,
        None => Stranger::Here,
    }
}

/// The annotation of a marker of ours that is missing, or holds what this controller never writes. A version is whatever a tenant
/// may hold: one line of some length.
pub(super) fn damaged(annotations: &BTreeMap<String, String>, now: Timestamp) -> Option<&'static str> {
    let is = |key: &'static str, fits: fn(&str) -> bool| annotations.get(key).is_some_and(|text| fits(text));
    let past = |text: &String| {
        text.parse::<Timestamp>().is_ok_and(|at| at <= now.saturating_add(SKEW).unwrap_or(now))
    };
    let sound = [
        (marker::TARGET_VERSION, is(marker::TARGET_VERSION, is_line)),
        (marker::PREVIOUS_VERSION, is(marker::PREVIOUS_VERSION, is_line)),
        (marker::WAVE, is(marker::WAVE, is_wave)),
        (marker::WRITTEN_AT, annotations.get(marker::WRITTEN_AT).is_some_and(past)),
        (marker::EPOCH, is(marker::EPOCH, |text| text.parse::<i64>().is_ok_and(|epoch| epoch >= 0))),
    ];
    sound.iter().find(|(_, sound)| !sound).map(|(key, _)| *key)
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.len() <= VERSION_MAX && !text.contains(char::is_control)
}

/// As the API asks of a wave's name.
fn is_wave(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 40 && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: RolloutIdentity<&str> = RolloutIdentity { hub: "eu", namespace: "ops", name: "app" };

    #[test]
    fn r48_a_marker_without_a_hub_is_of_this_cluster_and_so_are_those_taken_over() {
        let hubs = Hubs { own: "eu".into(), taken: vec!["old".into()] };
        let marks = Marks::of(&hubs, "ops", "app");
        for hub in ["eu", "", "old"] {
            assert!(marks.include(&RolloutIdentity { hub, ..OWN }.label()), "{hub}");
        }
        assert!(!marks.include(&RolloutIdentity { hub: "us", ..OWN }.label()));
        assert!(!marks.include(&RolloutIdentity { name: "other", ..OWN }.label()));
        assert_eq!(marks.selector().matches(',').count(), 2);
    }

    #[test]
    fn r48_another_hubs_namesake_is_known_by_its_reference_if_the_label_bears_it_out() {
        let of = |named: RolloutIdentity<&str>, label: &str| {
            let annotations = BTreeMap::from([(marker::ROLLOUT_REF.to_owned(), named.to_string())]);
            match stranger(OWN, label, &annotations) {
                Stranger::Namesake(hub) => format!("namesake of {hub}"),
                other => format!("{other:?}"),
            }
        };
        let us = RolloutIdentity { hub: "us", ..OWN };
        assert_eq!(of(us, &us.label()), "namesake of us");
        assert_eq!(of(us, "0123"), "Here", "a forged reference");
        let other = RolloutIdentity { name: "other", ..us };
        assert_eq!(of(other, &other.label()), "Elsewhere");
        let here = RolloutIdentity { name: "other", ..OWN };
        assert_eq!(of(here, &here.label()), "Here");
    }
}
