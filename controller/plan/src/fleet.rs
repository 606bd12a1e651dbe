//! Where every tenant stands: one look at each, then its wave (rules R3-R6, R17, R24, R34, R39). Pure.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use breakwater_crds::{rollout::VersionOrder, scalars::Span, status::WaveStatus};
use jiff::Timestamp;

use crate::{
    observed::{Claim, Marker, Readiness, Reading, Tenant},
    spared::Spared,
    spec::Checked,
    version::is_ahead,
    waves::{self, Drawn},
};

/// What standing depends on beside the tenant itself.
#[derive(Debug)]
pub struct Context<'a> {
    /// The spec.
    pub spec: &'a Checked,
    /// The version that goes in: the candidate, or the wanted one while none is under way.
    pub wanted: &'a str,
    /// Versions that may not stay on any marked tenant.
    pub out: &'a BTreeSet<String>,
    /// Versions that are rejected for single tenants.
    pub spared: &'a Spared,
    /// The last version that completed, where a revert goes whose own previous version is rejected.
    pub stable: Option<&'a str>,
    /// When the revert under way, or the one that is done, was decided; `None` on the road forward.
    pub reverting_since: Option<Timestamp>,
    /// The waves so far, by index as in the spec.
    pub waves: &'a [WaveStatus],
    /// When the version under way started.
    pub started_at: Option<Timestamp>,
    /// The longest that the migrations to the wanted version may take, where that is known.
    pub migrating: Option<Span>,
    /// The time.
    pub now: Timestamp,
    /// Versions that are later than the wanted one, as far as was asked: a fleet has few, and reading one is dear.
    pub ahead: RefCell<BTreeMap<Arc<str>, bool>>,
}

/// How many times the longest that its migrations may take a tenant has to become ready (R4).
const MIGRATING: i64 = 3;

impl Context<'_> {
    /// Time to become ready: a server that migrates is not.
    fn progress_deadline(&self) -> Span {
        let migrating =
            self.migrating.map(|longest| Span::seconds(longest.as_seconds().saturating_mul(MIGRATING)));
        self.spec.spec.tenants.progress_deadline.max(migrating.unwrap_or(Span::seconds(0)))
    }

    fn is_ahead(&self, found: &Arc<str>) -> bool {
        let mut ahead = self.ahead.borrow_mut();
        if let Some(known) = ahead.get(found) {
            return *known;
        }
        *ahead.entry(found.clone()).or_insert_with(|| is_ahead(found, self.wanted))
    }
}

/// Where a tenant stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No tenant of this Rollout, or one that left: not selected, excluded, being deleted.
    Ignored,
    /// Asleep; joins on waking.
    Dormant,
    /// Under another Rollout's marker.
    Claimed,
    /// In a namespace that has not consented.
    Unconsented,
    /// Its version cannot be read.
    Unreadable,
    /// On a later version than the wanted one.
    Ahead,
    /// In no wave.
    Unmatched,
    /// Marked by us and changed by somebody else.
    Contested,
    /// Looks contested, and must be read afresh to be sure.
    Unsure,
    /// Its version belongs to a manager that has not released it.
    NotReleased,
    /// Waits for the wanted version.
    Pending,
    /// On the wanted version, not ready yet.
    Updating {
        /// When it counts as failed.
        deadline: Option<Timestamp>,
    },
    /// On the wanted version, past its deadline.
    Failed,
    /// On the wanted version and ready.
    Ready {
        /// When its numbers begin to say something.
        warm_at: Timestamp,
    },
    /// The wanted version is rejected for it alone, and it is not on it (R22).
    Spared,
    /// On a version that must go.
    Outgoing,
    /// Written back, not ready yet.
    Returning {
        /// When it gives its place to the next.
        deadline: Timestamp,
    },
    /// Written back, not ready in time.
    ReturnFailed,
    /// Written back and ready.
    Returned {
        /// When its numbers begin to say something.
        warm_at: Timestamp,
    },
}

impl Standing {
    /// True for tenants that waves count.
    pub const fn is_live(&self) -> bool {
        match self {
            Self::Contested
            | Self::Unsure
            | Self::NotReleased
            | Self::Pending
            | Self::Updating { .. }
            | Self::Failed
            | Self::Ready { .. }
            | Self::Spared
            | Self::Outgoing
            | Self::Returning { .. }
            | Self::ReturnFailed
            | Self::Returned { .. } => true,
            Self::Ignored
            | Self::Dormant
            | Self::Claimed
            | Self::Unconsented
            | Self::Unreadable
            | Self::Ahead
            | Self::Unmatched => false,
        }
    }

    /// When a ready tenant on the wanted version is warm.
    pub fn ready_warm_at(&self) -> Option<Timestamp> {
        if let Self::Ready { warm_at } = self { Some(*warm_at) } else { None }
    }

    /// When a tenant that was written back and is ready is warm.
    pub fn returned_warm_at(&self) -> Option<Timestamp> {
        if let Self::Returned { warm_at } = self { Some(*warm_at) } else { None }
    }

    /// When a tenant that is on its way is late.
    pub fn deadline(&self) -> Option<Timestamp> {
        if let Self::Returning { deadline } = self {
            Some(*deadline)
        } else if let Self::Updating { deadline } = self {
            *deadline
        } else {
            None
        }
    }

    /// True for tenants that are on the wanted version.
    pub const fn is_updated(&self) -> bool {
        matches!(self, Self::Updating { .. } | Self::Failed | Self::Ready { .. })
    }
}

/// A tenant's place in the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it stands.
    pub standing: Standing,
    /// Its wave, as an index into the spec's waves; `None` where it is in none.
    pub wave: Option<usize>,
}

/// Places of all tenants, in their order.
pub fn muster(tenants: &[Tenant], context: &Context<'_>) -> Vec<Place> {
    let mut places: Vec<Place> = tenants
        .iter()
        .map(|tenant| Place { standing: standing(tenant, context), wave: marked_wave(tenant, context) })
        .collect();
    assign_waves(tenants, &mut places, context);
    places
}

/// The marker, if it is this Rollout's.
pub fn own(tenant: &Tenant) -> Option<&Marker> {
    tenant.marker.as_deref().filter(|marker| marker.claim == Claim::Own)
}

fn standing(tenant: &Tenant, context: &Context<'_>) -> Standing {
    let own = own(tenant);
    let wanted_here = tenant.selected && !tenant.excluded;
    if tenant.terminating || (own.is_none() && !wanted_here) {
        return Standing::Ignored;
    }
    if tenant.marker.as_deref().is_some_and(|marker| marker.claim == Claim::Other) {
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
        if context.out.contains(&**version) && goes_back(tenant, marker, context) {
            return Standing::Outgoing;
        }
        if goes_back_alone(tenant, marker, context) {
            return Standing::Outgoing;
        }
        let returned = returned(tenant, marker, context);
        if let Some(standing) = returned.or_else(|| returning_alone(tenant, marker, context)) {
            return standing;
        }
    }
    if !wanted_here {
        return Standing::Ignored;
    }
    if tenant.dormant {
        return Standing::Dormant;
    }
    if **version == *context.wanted {
        return updated(tenant, own, context);
    }
    if is_spared(tenant, context) {
        return Standing::Spared;
    }
    let order = context.spec.spec.version_order;
    if own.is_none() && order == VersionOrder::SemVer && context.is_ahead(version) {
        return Standing::Ahead;
    }
    if own.is_none() && tenant.foreign_owner.is_some() {
        return Standing::NotReleased;
    }
    Standing::Pending
}

/// True where a tenant on a rejected version is a matter of the way back: it has a safe version to go to, or none is
/// wanted either. Without one, the fix that is wanted is the only way out.
fn goes_back(tenant: &Tenant, marker: &Marker, context: &Context<'_>) -> bool {
    context.out.contains(context.wanted) || has_way_back(tenant, marker, context)
}

/// The version that it came from, or the stable one, is rejected neither for all nor for it alone.
fn has_way_back(tenant: &Tenant, marker: &Marker, context: &Context<'_>) -> bool {
    let is_safe =
        |version: &str| !context.out.contains(version) && context.spared.since(tenant.id, version).is_none();
    is_safe(&marker.previous) || context.stable.is_some_and(is_safe)
}

/// The wanted version is rejected for this tenant, and not for all.
fn is_spared(tenant: &Tenant, context: &Context<'_>) -> bool {
    context.spared.since(tenant.id, context.wanted).is_some() && !context.out.contains(context.wanted)
}

/// True where a tenant's version is rejected for it alone, and it has another one to go to.
fn goes_back_alone(tenant: &Tenant, marker: &Marker, context: &Context<'_>) -> bool {
    context.spared.since(tenant.id, &marker.target).is_some()
        && !context.out.contains(&*marker.target)
        && has_way_back(tenant, marker, context)
}

/// Standing of a tenant that was written back alone and is not ready yet. Past its deadline another version than the one
/// that is rejected for it may mend it.
fn returning_alone(tenant: &Tenant, marker: &Marker, context: &Context<'_>) -> Option<Standing> {
    let since = context.spared.first(tenant.id)?;
    // Who came from the version that is wanted now, and goes to it, is on its way forward.
    let forward = *marker.target == *context.wanted && !is_spared(tenant, context);
    if marker.target != marker.previous || marker.written_at < since || tenant.dormant || forward {
        return None;
    }
    match &tenant.readiness {
        Readiness::Ready { .. } => None,
        Readiness::NotReady { .. } => {
            let deadline = after(marker.written_at, context.spec.spec.revert.tenant_deadline);
            if context.now < deadline {
                Some(Standing::Returning { deadline })
            } else {
                is_spared(tenant, context).then_some(Standing::ReturnFailed)
            }
        }
    }
}

/// Standing of a tenant that the revert under way wrote back: its marker asks for its own previous version.
fn returned(tenant: &Tenant, marker: &Marker, context: &Context<'_>) -> Option<Standing> {
    let since = context.reverting_since?;
    if marker.target != marker.previous || marker.written_at < since {
        return None;
    }
    let tenants = &context.spec.spec.tenants;
    Some(match &tenant.readiness {
        Readiness::Ready { since } => Standing::Returned { warm_at: after(*since, tenants.warm_up) },
        // A sleeper is written without waiting (R18).
        Readiness::NotReady { .. } if tenant.dormant => Standing::Returned { warm_at: marker.written_at },
        Readiness::NotReady { .. } => {
            let deadline = after(marker.written_at, context.spec.spec.revert.tenant_deadline);
            if context.now < deadline { Standing::Returning { deadline } } else { Standing::ReturnFailed }
        }
    })
}

/// Standing of a tenant that is on the wanted version, by whoever's hand.
fn updated(tenant: &Tenant, own: Option<&Marker>, context: &Context<'_>) -> Standing {
    let tenants = &context.spec.spec.tenants;
    match &tenant.readiness {
        Readiness::Ready { since } => {
            let since = ready_since(*since, own, context);
            Standing::Ready { warm_at: after(since, tenants.warm_up) }
        }
        Readiness::NotReady { .. } => {
            // Nobody knows when somebody else wrote it: the rollout's start is the earliest that counts.
            let from = own.map(|marker| marker.written_at).or(context.started_at);
            let deadline = from.map(|from| after(from, context.progress_deadline()));
            if deadline.is_some_and(|deadline| deadline <= context.now) {
                Standing::Failed
            } else {
                Standing::Updating { deadline }
            }
        }
    }
}

/// Since when a tenant is ready. After a restart of the controller the observation may be young; a wave that was
/// complete after the tenant's write is the witness of an older one.
fn ready_since(seen: Timestamp, own: Option<&Marker>, context: &Context<'_>) -> Timestamp {
    own.and_then(|marker| seen_complete(marker, context.waves)).map_or(seen, |at| seen.min(at))
}

/// When the marker's wave was complete with it: all of its tenants, bar the failed ones, were ready then.
pub(crate) fn seen_complete(marker: &Marker, waves: &[WaveStatus]) -> Option<Timestamp> {
    let complete = waves.iter().find(|wave| *wave.name == *marker.wave)?.completed_at;
    complete.filter(|at| marker.written_at <= *at)
}

/// The wave that was written down when the tenant was touched for the version that goes in (R5).
fn marked_wave(tenant: &Tenant, context: &Context<'_>) -> Option<usize> {
    let marker = own(tenant)?;
    let keeps = *marker.target == *context.wanted || context.out.contains(&*marker.target);
    let keeps = keeps || is_spared(tenant, context);
    let keeps = keeps || context.reverting_since.is_some_and(|since| marker.written_at >= since);
    keeps.then(|| context.spec.spec.waves.iter().position(|wave| *wave.name == *marker.wave))?
}

/// Gives every live tenant without a written-down wave its own: selector, percent by draw, the rest (R5).
fn assign_waves(tenants: &[Tenant], places: &mut [Place], context: &Context<'_>) {
    let spec = &context.spec.spec;
    let in_spec = |wave: &usize| *wave < spec.waves.len();
    let live: Vec<usize> = (0..tenants.len()).filter(|i| places[*i].standing.is_live()).collect();
    let drawn: Vec<Drawn> = live
        .iter()
        .map(|i| Drawn {
            draw: tenants[*i].id,
            bound: places[*i].wave.or_else(|| tenants[*i].selector_wave.map(usize::from).filter(in_spec)),
        })
        .collect();
    let passed = |wave: usize| context.waves.get(wave).is_some_and(|status| status.passed_at.is_some());
    for (i, wave) in live.into_iter().zip(waves::assign(spec, &drawn, passed)) {
        let place = &mut places[i];
        place.wave = wave;
        if wave.is_none() && (place.standing == Standing::Pending || own(&tenants[i]).is_none()) {
            // What was touched stays known although no wave takes it any more: it is watched, and goes back.
            place.standing = Standing::Unmatched;
        }
    }
}

/// `at` and a span later. Annotations and statuses can hold any instant, also the calendar's last.
pub fn after(at: Timestamp, span: Span) -> Timestamp {
    at.checked_add(span.as_duration()).unwrap_or(Timestamp::MAX)
}

/// When the first of `instants` after `now` is.
pub fn earliest(instants: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> Option<Timestamp> {
    instants.into_iter().filter(|at| *at > now).min()
}
