//! Which version is under way: adoption, start, queue, supersede, manual revert, rejection (R19, R23, R32-R34). Pure.

use std::collections::{BTreeMap, BTreeSet};

use breakwater_crds::{
    rollout::{Adopt, OnNewVersion, Unmatched},
    status::{Adoption, OwnerCount, Phase, VERSIONS_MAX, VersionCount, WaveStatus},
};
use breakwater_slo::State;

use crate::{
    draft::Draft,
    fleet::{self, Standing},
    observed::{Claim, Fleet},
    revert, road,
};

/// Follows `spec.version`: what is rejected, queued, superseded, or taken back by Git.
pub(crate) fn version(draft: &mut Draft<'_>) {
    read_rejections(draft);
    let wanted = draft.observed.spec.spec.version.clone();
    match draft.status.phase {
        Phase::Reverting | Phase::Verifying => {
            let out = draft.status.revert.as_ref().map(|revert| revert.version.clone());
            draft.out.extend(out.clone());
            let waits = Some(&wanted) != out.as_ref() && Some(&wanted) != draft.status.stable_version.as_ref();
            draft.status.queued = waits.then_some(wanted);
        }
        Phase::Advancing | Phase::Soaking | Phase::AwaitingApproval | Phase::Watching => under_way(draft, &wanted),
        Phase::Pending | Phase::Adopting | Phase::Completed | Phase::Reverted | Phase::RevertedPartly => {
            idle(draft, &wanted);
        }
    }
}

/// A version is rejected while a report about it says so, unless this very plan closes it (R19).
fn read_rejections(draft: &mut Draft<'_>) {
    let closed = |name: &str| draft.reports.get(name).is_some_and(|write| !write.status.rejects());
    let mut rejecting: Vec<_> = draft
        .observed
        .reports
        .iter()
        .filter(|report| report.spec.rollout == draft.observed.name && report.status.rejects() && !closed(&report.name))
        .collect();
    rejecting.sort_by(|a, b| (b.status.decided_at, &b.name).cmp(&(a.status.decided_at, &a.name)));
    draft.out = rejecting.iter().map(|report| report.spec.version.clone()).collect();
    let mut listed = BTreeSet::new();
    draft.status.rejected = rejecting
        .iter()
        .map(|report| report.spec.version.clone())
        .filter(|version| listed.insert(version.clone()))
        .take(VERSIONS_MAX)
        .collect();
}

fn under_way(draft: &mut Draft<'_>, wanted: &str) {
    let Some(candidate) = draft.status.candidate_version.clone() else {
        draft.enter(Phase::Pending); // a forged status; start again from what the tenants say
        return;
    };
    if candidate == *wanted {
        draft.status.queued = None;
    } else if draft.status.stable_version.as_deref() == Some(wanted) {
        let message = format!("spec.version was set back from {candidate} to the stable version {wanted}");
        draft.status.queued = None;
        revert::start(draft, &candidate, true, message);
    } else if draft.out.contains(wanted) {
        draft.status.queued = None;
        draft.waiting = format!("version {wanted} is rejected, so {candidate} goes on");
    } else {
        match draft.observed.spec.spec.on_new_version {
            OnNewVersion::Queue => {
                if draft.status.queued.as_deref() != Some(wanted) {
                    draft.tell("Queued", false, format!("version {wanted} waits until {candidate} is done"));
                }
                draft.status.queued = Some(wanted.to_owned());
            }
            OnNewVersion::Supersede => {
                draft.tell("Superseded", false, format!("version {wanted} takes over from {candidate}, from the first wave"));
                start(draft, wanted);
            }
        }
    }
}

fn idle(draft: &mut Draft<'_>, wanted: &str) {
    draft.status.queued = None;
    draft.status.candidate_version = None;
    let Some(stable) = draft.status.stable_version.clone() else { return };
    let phase = draft.status.phase;
    if draft.out.contains(wanted) {
        if !matches!(phase, Phase::Reverted | Phase::RevertedPartly) {
            draft.tell("Rejected", true, format!("version {wanted} is rejected and is not rolled out"));
            draft.enter(Phase::Reverted);
        }
    } else if stable == wanted {
        if phase != Phase::Completed {
            draft.enter(Phase::Completed);
        }
    } else if phase != Phase::Pending {
        draft.enter(Phase::Pending);
    }
}

/// From nothing, or from a stable version, to a version under way.
pub(crate) fn begin(draft: &mut Draft<'_>) {
    let wanted = draft.observed.spec.spec.version.clone();
    if let Fleet::Incomplete(why) = &draft.observed.fleet {
        draft.hold("FleetUnknown", false, why.clone());
        return;
    }
    let live = draft.count(Standing::is_live);
    if live == 0 {
        draft.enter(Phase::Pending);
        draft.waiting = "no live tenant matches spec.tenants".into();
        return;
    }
    if draft.status.stable_version.is_none() && !adopt(draft, &wanted, live) {
        return;
    }
    if draft.out.contains(&wanted) {
        draft.tell("Rejected", true, format!("version {wanted} is rejected and is not rolled out"));
        draft.enter(Phase::Reverted);
    } else if draft.places.iter().filter(|p| p.standing.is_live()).all(|p| matches!(p.standing, Standing::Ready { .. }))
        && !draft.places.iter().any(|place| place.standing == Standing::Outgoing)
    {
        draft.tell("Completed", false, format!("all {live} tenants are on {wanted} already"));
        draft.status.stable_version = Some(wanted);
        draft.status.completed_at = Some(draft.now);
        draft.enter(Phase::Completed);
    } else if may_start(draft) {
        start(draft, &wanted);
        draft.status.adoption = None;
        draft.tell("Started", false, format!("version {wanted} is under way over {live} tenants"));
        road::advance(draft);
    } else {
        draft.enter(Phase::Pending);
    }
}

/// What must be true before the first tenant is touched: owners released, every tenant in a wave.
fn may_start(draft: &mut Draft<'_>) -> bool {
    let (held, unmatched) =
        (draft.count(|s| *s == Standing::NotReleased), draft.count(|s| *s == Standing::Unmatched));
    if held > 0 {
        let message = crate::tell::owners_sentence(draft);
        draft.hold("OwnerNotReleased", true, message);
    }
    if unmatched > 0 && draft.observed.spec.spec.unmatched == Unmatched::Refuse {
        draft.hold("Unmatched", true, format!("{unmatched} tenants are in no wave, and spec.unmatched is Refuse"));
    }
    draft.holds.is_empty()
}

/// Learns the stable version of a fleet without history (R33). False while a human is asked.
fn adopt(draft: &mut Draft<'_>, wanted: &str, live: usize) -> bool {
    let known = draft.fleet().any(|(tenant, _)| fleet::own(tenant).is_some());
    let versions = versions(draft, wanted);
    let approved = draft.status.adoption.as_ref().is_some_and(|adoption| adoption.approved.is_some());
    if !known && !approved && draft.observed.spec.spec.adopt == Adopt::Approve && !all_on(draft, wanted) {
        let found: Vec<String> = versions.iter().take(4).map(|v| format!("{} on {}", v.tenants, v.version)).collect();
        let first = &draft.observed.spec.spec.waves[0].name;
        draft.waiting =
            format!("found {live} tenants: {}; approve wave {first} of {wanted} to begin", found.join(", "));
        if draft.status.phase != Phase::Adopting {
            draft.tell("Adopting", false, draft.waiting.clone());
            draft.enter(Phase::Adopting);
        }
        let owners = owners(draft);
        draft.status.adoption = Some(Adoption { versions, owners, approved: None });
        return false;
    }
    let stable = versions.first().map_or_else(|| wanted.to_owned(), |v| v.version.clone());
    draft.tell("Adopted", false, format!("{stable} is the stable version of {live} tenants"));
    draft.status.stable_version = Some(stable);
    true
}

fn all_on(draft: &Draft<'_>, wanted: &str) -> bool {
    draft
        .fleet()
        .filter(|(_, place)| place.standing.is_live())
        .all(|(tenant, _)| tenant.version.version().is_some_and(|version| **version == *wanted))
}

/// Verified versions and their tenants, most common first. A marked tenant on a version that is not verified counts
/// by the one it came from (R33).
fn versions(draft: &Draft<'_>, wanted: &str) -> Vec<VersionCount> {
    let whole = all_on(draft, wanted);
    let mut tally: BTreeMap<&str, u32> = BTreeMap::new();
    for (tenant, place) in draft.fleet() {
        let counts = place.standing.is_live() || matches!(place.standing, Standing::Ahead | Standing::Dormant);
        let Some(version) = tenant.version.version().filter(|_| counts) else { continue };
        let unverified = draft.out.contains(&**version) || (**version == *wanted && !whole);
        let version = match fleet::own(tenant) {
            Some(marker) if unverified => &*marker.previous,
            _ => &**version,
        };
        if !draft.out.contains(version) {
            *tally.entry(version).or_default() += 1;
        }
    }
    let mut versions: Vec<VersionCount> =
        tally.into_iter().map(|(version, tenants)| VersionCount { version: version.into(), tenants }).collect();
    versions.sort_by(|a, b| (b.tenants, &b.version).cmp(&(a.tenants, &a.version)));
    versions.truncate(VERSIONS_MAX);
    versions
}

/// Managers that own versions and have not released them.
pub(crate) fn owners(draft: &Draft<'_>) -> Vec<OwnerCount> {
    let mut tally: BTreeMap<&str, u32> = BTreeMap::new();
    for (tenant, place) in draft.fleet() {
        if let (Some(owner), Standing::NotReleased) = (&tenant.foreign_owner, &place.standing) {
            *tally.entry(owner).or_default() += 1;
        }
    }
    let count = |(manager, tenants): (&str, u32)| OwnerCount { manager: manager.into(), tenants, released: false };
    let mut owners: Vec<OwnerCount> = tally.into_iter().map(count).collect();
    owners.sort_by(|a, b| b.tenants.cmp(&a.tenants));
    owners.truncate(VERSIONS_MAX);
    owners
}

/// Puts a version under way, from the first wave, with fresh evidence.
fn start(draft: &mut Draft<'_>, wanted: &str) {
    // An adoption's approval is an approval of the first wave of the same version.
    let approved = draft.status.adoption.as_ref().and_then(|adoption| adoption.approved.clone());
    let names = draft.observed.spec.spec.waves.iter().map(|wave| wave.name.clone());
    draft.status.waves = names.map(|name| WaveStatus { name, ..WaveStatus::default() }).collect();
    if let Some(first) = draft.status.waves.first_mut() {
        first.approved_before = approved;
    }
    draft.status.candidate_version = Some(wanted.to_owned());
    draft.status.queued = None;
    draft.status.started_at = Some(draft.now);
    draft.status.watching_since = None;
    draft.status.revert = None;
    draft.status.report = None;
    draft.status.slos = Vec::new();
    draft.judges = vec![State::default(); draft.observed.spec.spec.slos.len()];
    draft.evidence = vec![None; draft.judges.len()];
    draft.enter(Phase::Advancing);
}

/// Where a tenant goes back to: its own last verified version, never a rejected one (R17).
pub(crate) fn safe_version<'t>(draft: &'t Draft<'_>, recorded: &'t str) -> Option<&'t str> {
    let fits = |version: &&str| !draft.out.contains(*version);
    Some(recorded).filter(fits).or(draft.status.stable_version.as_deref().filter(fits))
}

/// What a forward write records as the version to come back to (R17).
pub(crate) fn previous_version(draft: &Draft<'_>, tenant: &crate::observed::Tenant) -> Option<std::sync::Arc<str>> {
    let present = tenant.version.version()?;
    let stable = draft.status.stable_version.as_deref();
    let recorded = tenant
        .marker
        .as_deref()
        .filter(|marker| marker.claim == Claim::Own && marker.target == *present && stable != Some(&**present))
        .map_or(present, |marker| &marker.previous);
    safe_version(draft, recorded).map(|version| if *version == **recorded { recorded.clone() } else { version.into() })
}
