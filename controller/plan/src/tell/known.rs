//! The versions that a revert may go back to: seen on tenants before they were touched, or completed (R17). Pure.
//!
//! A marker stands on an object that others may write: what it calls the previous version is a claim. It is believed where this
//! Rollout itself has seen that version on a tenant that it was about to write. A fleet that is on its way from more versions than are
//! kept is led by its markers, which admission keeps (docs/security.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use breakwater_crds::status::KNOWN_VERSIONS_MAX;

use crate::{
    course::Course,
    input::Input,
    outcome::{Purpose, Write},
    roster::own,
};

/// One of so many marked tenants must name a version for it to be taken from markers alone, once there is a list.
const ONE_OF: usize = 50;

/// The list as it is stored, newest last, with what this plan's writes leave and what is stable.
pub(super) fn versions(input: &Input<'_>, course: &Course, writes: &[Write]) -> Vec<String> {
    let stored = &input.status.known_versions;
    let mut known = stored.clone();
    if known.is_empty() || input.status.epoch != input.epoch {
        for version in from_markers(input, stored.is_empty()) {
            note(&mut known, &version);
        }
    }
    let left = writes.iter().filter(|write| write.purpose == Purpose::Advance);
    let left: BTreeSet<&str> = left.map(|write| &*write.marker.previous).collect();
    for version in left.iter().copied().chain(course.stable.as_deref()) {
        note(&mut known, version);
    }
    // Releases go by for years: what no tenant came from any more is forgotten, before the list is full and says nothing.
    if known.len() >= KNOWN_VERSIONS_MAX && input.is_complete() {
        let markers = input.fleet.tenants.iter().filter_map(own).map(|marker| &*marker.previous);
        let used: BTreeSet<&str> = markers.chain(left).chain(course.stable.as_deref()).collect();
        known.retain(|version| used.contains(version.as_str()));
    }
    known.truncate(KNOWN_VERSIONS_MAX);
    known
}

fn note(known: &mut Vec<String>, version: &str) {
    if !known.iter().any(|one| one == version) {
        known.push(version.to_owned());
    }
}

/// What markers say where the status says nothing: it was wiped (`all`: everything is taken), or an older one was restored and a
/// new term begins (only what many tenants agree on). Most common last.
fn from_markers(input: &Input<'_>, all: bool) -> Vec<Arc<str>> {
    let mut tally: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    let mut marked = 0;
    for marker in input.fleet.tenants.iter().filter_map(own) {
        *tally.entry(&marker.previous).or_default() += 1;
        marked += 1;
    }
    let least = if all { 1 } else { usize::div_ceil(marked, ONE_OF).max(2) };
    let mut common: Vec<(usize, &Arc<str>)> =
        tally.into_iter().filter(|(_, n)| *n >= least).map(|(version, n)| (n, version)).collect();
    common.sort_unstable();
    common.into_iter().map(|(_, version)| version.clone()).collect()
}
