//! Which version is under way: adoption, start, queue, supersede, manual revert, rejection (R19, R23, R32-R34). Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use breakwater_crds::{
    release::Lane,
    report::Outcome,
    rollout::{Adopt, OnNewVersion, Unmatched},
    scalars::Span,
    status::{Adoption, OwnerCount, Phase, VERSIONS_MAX, VersionCount, WaveStatus},
    words::{HoldReason, TransitionReason},
};
use breakwater_slo::{State, TenantId};

use crate::{
    deviation,
    draft::Draft,
    fleet::{self, Place, Standing},
    gate::{self, Passage},
    observed::{Fleet, Tenant},
    revert, road, spared,
};

/// How soon another Rollout's soak is looked at again.
const SOAK_AGAIN: Span = Span::seconds(30);

/// Follows `spec.version`: what is rejected, queued, superseded, or taken back by Git.
pub(crate) fn version(draft: &mut Draft<'_>) {
    read_rejections(draft);
    if draft.manual.is_some() {
        return; // what was asked for by name comes first; what Git says waits for it
    }
    let wanted = draft.observed.spec.spec.version.clone();
    match draft.status.phase {
        Phase::Reverting | Phase::Verifying => {
            let out = draft.status.revert.as_ref().map(|revert| revert.version.clone());
            draft.out.extend(out.clone());
            let waits = !draft.out.contains(&wanted) && Some(&wanted) != draft.status.stable_version.as_ref();
            draft.status.queued = waits.then_some(wanted);
        }
        Phase::Advancing | Phase::Soaking | Phase::AwaitingApproval | Phase::Watching => {
            under_way(draft, &wanted);
        }
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
        .filter(|report| {
            report.spec.rollout == draft.observed.name && report.status.rejects() && !closed(&report.name)
        })
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
    spared::read(draft);
}

fn under_way(draft: &mut Draft<'_>, wanted: &str) {
    let Some(candidate) = draft.status.candidate_version.clone() else {
        draft.enter(Phase::Pending); // a forged status; start again from what the tenants say
        return;
    };
    if candidate == *wanted {
        draft.status.queued = None;
    } else if draft.out.contains(wanted) || gate::withdrawn(draft, wanted).is_some() {
        draft.status.queued = None; // the one under way goes on
    } else if draft.status.stable_version.as_deref() == Some(wanted) {
        let message = format!("spec.version was set back from {candidate} to the stable version {wanted}");
        draft.status.queued = None;
        match gate::revert_of(draft, &candidate) {
            Some((why, _)) => draft.hold_above_all(HoldReason::RevertGated, format!("{message}: {why}")),
            None => revert::start(draft, &candidate, true, &message),
        }
    } else {
        // A patch of what is under way is wanted because of what is under way (R23).
        let patch = gate::lane(draft, wanted) != Lane::Normal;
        match draft.observed.spec.spec.on_new_version {
            OnNewVersion::Queue if !patch => {
                queue(draft, wanted, format!("version {wanted} waits until {candidate} is done"));
            }
            OnNewVersion::Queue | OnNewVersion::Supersede => supersede(draft, wanted, &candidate),
        }
    }
}

/// Lets a version wait for the one under way; told once.
fn queue(draft: &mut Draft<'_>, wanted: &str, why: String) {
    if draft.status.queued.as_deref() != Some(wanted) {
        draft.tell(TransitionReason::Queued, why);
    }
    draft.status.queued = Some(wanted.to_owned());
}

/// Lets a version take over, unless a gate keeps it waiting.
fn supersede(draft: &mut Draft<'_>, wanted: &str, candidate: &str) {
    let mut warned = Vec::new();
    for passage in gate::before_start(draft, wanted) {
        match passage {
            Passage::Shut(_, why) => return queue(draft, wanted, why),
            Passage::Warned(reason, why) => warned.push((reason, why)),
            Passage::Open => {}
        }
    }
    for (reason, why) in warned {
        draft.tell(reason, why);
    }
    let message = format!("version {wanted} takes over from {candidate}, from the first wave");
    draft.tell(TransitionReason::Superseded, message);
    start(draft, wanted);
}

fn idle(draft: &mut Draft<'_>, wanted: &str) {
    draft.status.queued = None;
    keep_approval(draft, wanted);
    let phase = draft.status.phase;
    let begins = matches!(phase, Phase::Pending | Phase::Adopting);
    let settled = matches!(phase, Phase::Reverted | Phase::RevertedPartly);
    // What an adoption found on most tenants is stable, but that is no rollout that completed.
    let completed = !begins || draft.status.completed_at.is_some();
    if draft.out.contains(wanted) {
        if !settled {
            draft.enter(Phase::Pending);
        }
    } else if draft.status.stable_version.as_deref() == Some(wanted) && completed {
        if phase != Phase::Completed {
            draft.tell(TransitionReason::Completed, format!("version {wanted} is the stable one, as before"));
            draft.enter(Phase::Completed);
        }
    } else if !begins {
        draft.enter(Phase::Pending);
    }
}

/// The approval of an adoption is for one version, which stands as the candidate until it starts; another version
/// asks anew.
fn keep_approval(draft: &mut Draft<'_>, wanted: &str) {
    let approved_for = draft.status.candidate_version.take();
    let approved = draft.status.adoption.as_ref().is_some_and(|adoption| adoption.approved.is_some());
    if approved && approved_for.as_deref() == Some(wanted) {
        draft.status.candidate_version = approved_for;
    } else if approved {
        draft.status.adoption = None;
        draft.status.stable_version = None;
    }
}

/// From nothing, or from a stable version, to a version under way.
pub(crate) fn begin(draft: &mut Draft<'_>) {
    let wanted = draft.observed.spec.spec.version.clone();
    if let Fleet::Incomplete(why) = &draft.observed.fleet {
        draft.hold(HoldReason::FleetUnknown, why.clone());
        return;
    }
    let live = draft.count(Standing::is_live);
    if live == 0 {
        draft.enter(Phase::Pending);
        draft.waiting = nobody(draft);
        return;
    }
    if draft.status.stable_version.is_none() && !adopt(draft, &wanted, live) {
        return;
    }
    if draft.out.contains(&wanted) {
        reject(draft, &wanted);
    } else if is_there(draft, &wanted) {
        draft.tell(TransitionReason::Completed, format!("all {live} tenants are on {wanted} already"));
        (draft.status.adoption, draft.status.candidate_version) = (None, None);
        draft.status.stable_version = Some(wanted);
        draft.status.completed_at = Some(draft.now);
        draft.enter(Phase::Completed);
    } else if may_start(draft, &wanted) {
        start(draft, &wanted);
        draft.status.adoption = None;
        draft.tell(TransitionReason::Started, format!("version {wanted} is under way over {live} tenants"));
        draft.muster();
        road::advance(draft);
    } else {
        draft.enter(Phase::Pending);
    }
}

/// Why there is nobody to update.
pub(crate) fn nobody(draft: &Draft<'_>) -> String {
    let n = |which: Standing| draft.count(|standing| *standing == which);
    format!(
        "no live tenant: {} match spec.tenants but are dormant, {} ahead, {} claimed, {} unreadable, {} without consent, {} in no wave",
        n(Standing::Dormant),
        n(Standing::Ahead),
        n(Standing::Claimed),
        n(Standing::Unreadable),
        n(Standing::Unconsented),
        n(Standing::Unmatched)
    )
}

/// True when every live tenant is on the wanted version: ready, or found there by the adoption.
fn is_there(draft: &Draft<'_>, wanted: &str) -> bool {
    let found = draft.status.stable_version.as_deref() == Some(wanted);
    let there =
        |standing: &Standing| matches!(standing, Standing::Ready { .. }) || (found && standing.is_updated());
    let asked = |(tenant, place): &(&Tenant, &Place)| {
        place.standing.is_live() && !spared::is_spared(draft, tenant, &place.standing)
    };
    let mut asked = draft.fleet().filter(asked).map(|(_, place)| there(&place.standing)).peekable();
    asked.peek().is_some() && asked.all(|there| there)
}

/// The wanted version is rejected: nothing goes in, and what is left of a revert whose status was lost is carried
/// through (R18, R19).
fn reject(draft: &mut Draft<'_>, wanted: &str) {
    let message = format!("version {wanted} is rejected and is not rolled out");
    draft.tell(TransitionReason::Rejected, message.clone());
    let on_it = |tenant: &Tenant| tenant.version.version().is_some_and(|version| **version == *wanted);
    let left = draft.fleet().any(|(tenant, place)| place.standing == Standing::Outgoing && on_it(tenant));
    let reports = draft.observed.reports.iter();
    let mut open = reports
        .filter(|r| r.spec.version == wanted && matches!(r.status.outcome, None | Some(Outcome::Reverting)));
    let open = open.find(|report| report.status.rejects());
    (draft.status.adoption, draft.status.candidate_version) = (None, None);
    if !left && open.is_none() {
        draft.enter(Phase::Reverted);
        return;
    }
    draft.status.report = open.map(|report| report.name.clone());
    draft.status.started_at.get_or_insert(draft.now);
    if draft.status.stable_version.as_deref() == Some(wanted) {
        deviation::forget_stable(draft, wanted);
    }
    draft.status.candidate_version = Some(wanted.to_owned());
    let why = open.map(|report| report.status.message.clone()).filter(|why| !why.is_empty());
    draft.waiting.clone_from(&message);
    revert::start(draft, wanted, false, &why.unwrap_or(message));
    draft.muster();
}

/// What must be true before the first tenant is touched: deviations answered, owners released, every tenant in a wave.
fn may_start(draft: &mut Draft<'_>, wanted: &str) -> bool {
    let mut warned = Vec::new();
    for passage in gate::before_start(draft, wanted) {
        match passage {
            Passage::Shut(reason, why) => {
                draft.hold(reason, why);
                // What another Rollout soaks comes by itself.
                let again = (reason == HoldReason::SoakGate).then(|| fleet::after(draft.now, SOAK_AGAIN));
                draft.wake(again);
            }
            Passage::Warned(reason, why) => warned.push((reason, why)),
            Passage::Open => {}
        }
    }
    let (held, unmatched) =
        (draft.count(|s| *s == Standing::NotReleased), draft.count(|s| *s == Standing::Unmatched));
    if held > 0 {
        let message = crate::tell::owners_sentence(draft);
        draft.hold(HoldReason::OwnerNotReleased, message);
    }
    if unmatched > 0 && draft.observed.spec.spec.unmatched == Unmatched::Refuse {
        draft.hold(
            HoldReason::Unmatched,
            format!("{unmatched} tenants are in no wave, and spec.unmatched is Refuse"),
        );
    }
    let may = draft.holds.is_empty();
    if may {
        for (reason, why) in warned {
            draft.tell(reason, why);
        }
    }
    may
}

/// Learns the stable version of a fleet without history (R33). False while a human is asked.
fn adopt(draft: &mut Draft<'_>, wanted: &str, live: usize) -> bool {
    let known = draft.fleet().any(|(tenant, _)| fleet::own(tenant).is_some());
    let versions = versions(draft, wanted);
    let approved = draft.status.adoption.as_ref().is_some_and(|adoption| adoption.approved.is_some());
    let asks = draft.observed.spec.spec.adopt == Adopt::Approve && !draft.out.contains(wanted);
    if asks && !known && !approved && !all_on(draft, wanted) {
        let found: Vec<String> =
            versions.iter().take(4).map(|v| format!("{} on {}", v.tenants, v.version)).collect();
        let first = &draft.observed.spec.spec.waves[0].name;
        draft.waiting =
            format!("found {live} tenants: {}; approve wave {first} of {wanted} to begin", found.join(", "));
        if draft.status.phase != Phase::Adopting {
            draft.tell(TransitionReason::Adopting, draft.waiting.clone());
            draft.enter(Phase::Adopting);
        }
        let owners = owners(draft);
        draft.status.adoption = Some(Adoption { versions, owners, approved: None });
        return false;
    }
    if let Some(stable) = versions.first().map(|found| found.version.clone()) {
        draft.tell(TransitionReason::Adopted, format!("{stable} is the stable version of {live} tenants"));
        draft.status.stable_version = Some(stable);
        draft.muster(); // who had no safe version may have one now
    }
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
        // What a rival wrote over ours was verified by nobody.
        let ours = !matches!(place.standing, Standing::Contested | Standing::Unsure);
        let live = place.standing.is_live() || matches!(place.standing, Standing::Ahead | Standing::Dormant);
        let counts = ours && live;
        let Some(version) = tenant.version.version().filter(|_| counts) else { continue };
        let withdrawn = |version: &str| gate::withdrawn(draft, version).is_some();
        let unverified =
            draft.out.contains(&**version) || withdrawn(version) || (**version == *wanted && !whole);
        let version = match fleet::own(tenant) {
            Some(marker) if unverified => &*marker.previous,
            _ => &**version,
        };
        if !draft.out.contains(version) && !withdrawn(version) {
            *tally.entry(version).or_default() += 1;
        }
    }
    let mut versions: Vec<VersionCount> = tally
        .into_iter()
        .map(|(version, tenants)| VersionCount { version: version.into(), tenants })
        .collect();
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
    let count =
        |(manager, tenants): (&str, u32)| OwnerCount { manager: manager.into(), tenants, released: false };
    let mut owners: Vec<OwnerCount> = tally.into_iter().map(count).collect();
    owners.sort_by_key(|owner| std::cmp::Reverse(owner.tenants));
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
    draft.status.lane = gate::lane(draft, wanted);
    draft.status.queued = None;
    draft.status.started_at = Some(draft.now);
    draft.status.watching_since = None;
    draft.status.revert = None;
    draft.status.report = None;
    draft.status.slos = Vec::new();
    draft.judges = vec![State::default(); draft.observed.spec.spec.slos.len()];
    draft.traces = vec![Arc::default(); draft.judges.len()];
    draft.evidence = vec![None; draft.judges.len()];
    draft.enter(Phase::Advancing);
}

/// Where a tenant goes back to: its own last verified version, never one that is rejected, be it for it alone (R17, R22).
pub(crate) fn safe_version<'t>(draft: &'t Draft<'_>, tenant: TenantId, recorded: &'t str) -> Option<&'t str> {
    let fits = |version: &&str| {
        let rejected = draft.out.contains(*version) || draft.spared.since(tenant, version).is_some();
        !rejected && gate::withdrawn(draft, version).is_none()
    };
    Some(recorded).filter(fits).or(draft.status.stable_version.as_deref().filter(fits))
}

/// What a forward write records as the version to come back to (R17). Where every one is rejected the fix still goes
/// in; a revert then finds no safe version, and says so.
pub(crate) fn previous_version(draft: &Draft<'_>, tenant: &Tenant) -> Option<std::sync::Arc<str>> {
    let present = tenant.version.version()?;
    let stable = draft.status.stable_version.as_deref();
    let recorded = fleet::own(tenant)
        .filter(|marker| marker.target == *present && stable != Some(&**present))
        .map_or(present, |marker| &marker.previous);
    let safe = safe_version(draft, tenant.id, recorded).unwrap_or(recorded);
    Some(if *safe == **recorded { recorded.clone() } else { safe.into() })
}
