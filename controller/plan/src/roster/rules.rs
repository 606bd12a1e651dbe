//! Where one tenant stands: the marker, the version, the readiness, and nothing else (R3, R4, R17, R22, R24, R34, R39). Pure.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use breakwater_crds::{
    rollout::{RolloutSpec, VersionOrder},
    scalars::Span,
    status::WaveStatus,
};
use jiff::Timestamp;

use super::{Standing, after, own};
use crate::{
    course::{Course, Rejections, is_known},
    gate,
    input::Input,
    observed::{Clock, Marker, Readiness, Reading, Tenant},
    version::is_ahead,
};

/// How many times the longest that its migrations may take a tenant has to become ready (R4).
const MIGRATING: i64 = 3;

/// What standing depends on beside the tenant itself.
pub(super) struct Ground<'c> {
    pub(super) spec: &'c RolloutSpec,
    /// The version that goes in: the candidate, or the wanted one while none is under way.
    pub(super) wanted: &'c str,
    pub(super) rejections: &'c Rejections,
    /// Versions that this Rollout has seen itself; none: nobody knows yet.
    known: &'c [String],
    /// The last version that completed, where a revert goes whose own previous version is rejected.
    stable: Option<&'c str>,
    /// When the revert under way, or the one that is done, was decided; `None` on the road forward.
    pub(super) reverting_since: Option<Timestamp>,
    pub(super) waves: &'c [WaveStatus],
    /// When the version under way started.
    started_at: Option<Timestamp>,
    clock: Clock,
    /// How long a tenant has to become ready: a server that migrates is not.
    progress_deadline: Span,
    now: Timestamp,
    /// Versions that are later than the wanted one, as far as was asked: a fleet has few, and reading one is dear.
    ahead: RefCell<BTreeMap<Arc<str>, bool>>,
}

impl<'c> Ground<'c> {
    pub(super) fn of(input: &'c Input<'_>, course: &'c Course) -> Self {
        let spec = input.spec();
        let longest = gate::longest(input, course.wanted());
        let migrating = longest.map(|longest| Span::seconds(longest.as_seconds().saturating_mul(MIGRATING)));
        Self {
            spec,
            wanted: course.wanted(),
            rejections: &course.rejections,
            known: &input.status.known_versions,
            stable: course.stable.as_deref(),
            reverting_since: course.reverting_since(),
            waves: &course.waves,
            started_at: course.started_at,
            clock: input.clock,
            progress_deadline: spec.tenants.progress_deadline.max(migrating.unwrap_or(Span::seconds(0))),
            now: input.now,
            ahead: RefCell::default(),
        }
    }

    /// True where every tenant stands alike on both.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let Self { spec: _, wanted, rejections, stable, reverting_since, waves, started_at, .. } = self;
        *wanted == other.wanted
            && *rejections == other.rejections
            && *stable == other.stable
            && *reverting_since == other.reverting_since
            && *waves == other.waves
            && *started_at == other.started_at
    }

    fn is_ahead(&self, found: &Arc<str>) -> bool {
        let mut ahead = self.ahead.borrow_mut();
        if let Some(known) = ahead.get(found) {
            return *known;
        }
        *ahead.entry(found.clone()).or_insert_with(|| is_ahead(found, self.wanted))
    }
}

pub(super) fn standing(tenant: &Tenant, ground: &Ground<'_>) -> Standing {
    let own = own(tenant);
    let wanted_here = tenant.selected && !tenant.excluded;
    if tenant.terminating || (own.is_none() && !wanted_here) {
        return Standing::Ignored;
    }
    if tenant.marker.as_deref().is_some_and(|marker| marker.claim.is_foreign()) {
        return Standing::Claimed;
    }
    if !tenant.consented {
        return Standing::Unconsented;
    }
    let Reading::Version(version) = &tenant.version else { return Standing::Unreadable };
    if let Some(marker) = own {
        if marker.target != *version {
            return if tenant.confirmed { Standing::Contested } else { Standing::Unsure };
        }
        if ground.rejections.is_out(version) && goes_back(tenant, marker, ground) {
            return Standing::Outgoing;
        }
        if goes_back_alone(tenant, marker, ground) {
            return Standing::Outgoing;
        }
        let returned = returned(tenant, marker, ground);
        if let Some(standing) = returned.or_else(|| returning_alone(tenant, marker, ground)) {
            return standing;
        }
    }
    if !wanted_here {
        return Standing::Ignored;
    }
    if tenant.dormant {
        return Standing::Dormant;
    }
    if **version == *ground.wanted {
        return updated(tenant, own, ground);
    }
    if is_spared(tenant, ground) {
        return Standing::Spared;
    }
    let order = ground.spec.version_order;
    if own.is_none() && order == VersionOrder::SemVer && ground.is_ahead(version) {
        return Standing::Ahead;
    }
    if own.is_none() && tenant.foreign_owner.is_some() {
        return Standing::NotReleased;
    }
    Standing::Pending
}

/// True where a tenant on a rejected version is a matter of the way back: it has a safe version to go to, or none is
/// wanted either. Without one, the fix that is wanted is the only way out.
fn goes_back(tenant: &Tenant, marker: &Marker, ground: &Ground<'_>) -> bool {
    ground.rejections.is_out(ground.wanted) || has_way_back(tenant, marker, ground)
}

/// The version that it came from, or the stable one, is rejected neither for all nor for it alone.
fn has_way_back(tenant: &Tenant, marker: &Marker, ground: &Ground<'_>) -> bool {
    let is_safe = |version: &str| {
        !ground.rejections.is_out(version) && ground.rejections.spared.since(tenant.id, version).is_none()
    };
    (is_known(ground.known, &marker.previous) && is_safe(&marker.previous))
        || ground.stable.is_some_and(is_safe)
}

/// The wanted version is rejected for this tenant, and not for all.
pub(super) fn is_spared(tenant: &Tenant, ground: &Ground<'_>) -> bool {
    ground.rejections.spared.since(tenant.id, ground.wanted).is_some()
        && !ground.rejections.is_out(ground.wanted)
}

/// True where a tenant's version is rejected for it alone, and it has another one to go to.
fn goes_back_alone(tenant: &Tenant, marker: &Marker, ground: &Ground<'_>) -> bool {
    ground.rejections.spared.since(tenant.id, &marker.target).is_some()
        && !ground.rejections.is_out(&marker.target)
        && has_way_back(tenant, marker, ground)
}

/// Standing of a tenant that was written back alone and is not ready yet. Past its deadline another version than the one
/// that is rejected for it may mend it.
fn returning_alone(tenant: &Tenant, marker: &Marker, ground: &Ground<'_>) -> Option<Standing> {
    let since = ground.rejections.spared.first(tenant.id)?;
    // Who came from the version that is wanted now, and goes to it, is on its way forward.
    let forward = *marker.target == *ground.wanted && !is_spared(tenant, ground);
    if marker.target != marker.previous || marker.written_at < since || tenant.dormant || forward {
        return None;
    }
    match &tenant.readiness {
        Readiness::Ready { .. } => None,
        Readiness::NotReady { .. } => {
            let deadline =
                ground.clock.deadline(marker.written_at, ground.spec.revert.tenant_deadline, ground.now);
            if ground.now < deadline {
                Some(Standing::Returning { deadline })
            } else {
                (marker.ready_before && is_spared(tenant, ground)).then_some(Standing::ReturnFailed)
            }
        }
    }
}

/// Standing of a tenant that the revert under way wrote back: its marker asks for its own previous version.
fn returned(tenant: &Tenant, marker: &Marker, ground: &Ground<'_>) -> Option<Standing> {
    let since = ground.reverting_since?;
    if marker.target != marker.previous || marker.written_at < since {
        return None;
    }
    let tenants = &ground.spec.tenants;
    Some(match &tenant.readiness {
        Readiness::Ready { since } => Standing::Returned { warm_at: after(*since, tenants.warm_up) },
        // A sleeper is written without waiting (R18).
        Readiness::NotReady { .. } if tenant.dormant => {
            Standing::Returned { warm_at: marker.written_at.min(ground.now) }
        }
        Readiness::NotReady { .. } => {
            let deadline =
                ground.clock.deadline(marker.written_at, ground.spec.revert.tenant_deadline, ground.now);
            if ground.now < deadline {
                Standing::Returning { deadline }
            } else if marker.ready_before {
                Standing::ReturnFailed
            } else {
                // It had its time, and is as it was.
                Standing::Returned { warm_at: deadline }
            }
        }
    })
}

/// Standing of a tenant that is on the wanted version, by whoever's hand.
fn updated(tenant: &Tenant, own: Option<&Marker>, ground: &Ground<'_>) -> Standing {
    let tenants = &ground.spec.tenants;
    match &tenant.readiness {
        Readiness::Ready { since } => {
            let since = ready_since(*since, own, ground);
            Standing::Ready { warm_at: after(since, tenants.warm_up) }
        }
        Readiness::NotReady { .. } => {
            // Nobody knows when somebody else wrote it: the rollout's start is the earliest that counts.
            let from = own.map(|marker| marker.written_at).or(ground.started_at);
            let deadline = from.map(|from| ground.clock.deadline(from, ground.progress_deadline, ground.now));
            if deadline.is_some_and(|deadline| deadline <= ground.now) {
                if own.is_none_or(|marker| marker.ready_before) {
                    Standing::Failed
                } else {
                    Standing::Unready
                }
            } else {
                Standing::Updating { deadline }
            }
        }
    }
}

/// Since when a tenant is ready. After a restart of the controller the observation may be young; a wave that was
/// complete after the tenant's write is the witness of an older one.
fn ready_since(seen: Timestamp, own: Option<&Marker>, ground: &Ground<'_>) -> Timestamp {
    own.and_then(|marker| seen_complete(marker, ground.waves)).map_or(seen, |at| seen.min(at))
}

/// When the marker's wave was complete with it: all of its tenants, bar the failed ones, were ready then.
pub(crate) fn seen_complete(marker: &Marker, waves: &[WaveStatus]) -> Option<Timestamp> {
    let complete = waves.iter().find(|wave| *wave.name == *marker.wave)?.completed_at;
    complete.filter(|at| marker.written_at <= *at)
}
