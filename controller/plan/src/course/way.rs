//! Where a tenant goes back to: its own last verified version, else the stable one (R17, R22). Pure.

use std::sync::Arc;

use breakwater_crds::status::KNOWN_VERSIONS_MAX;
use breakwater_slo::TenantId;

use super::Rejections;
use crate::{
    gate,
    input::Input,
    observed::Tenant,
    roster::{Standing, own},
};

/// Whether the Rollout has seen a version itself. Markers are all there is while it knows none, after an upgrade or with a wiped
/// status, and where a fleet has more versions than are kept.
pub(crate) fn is_known(known: &[String], version: &str) -> bool {
    known.is_empty() || known.len() >= KNOWN_VERSIONS_MAX || known.iter().any(|one| one == version)
}

/// Which versions tenants may go back to.
#[derive(Clone, Copy)]
pub(crate) struct Way<'c, 'a> {
    input: &'c Input<'a>,
    rejections: &'c Rejections,
    stable: Option<&'c str>,
}

impl<'c, 'a> Way<'c, 'a> {
    pub(crate) fn new(input: &'c Input<'a>, rejections: &'c Rejections, stable: Option<&'c str>) -> Self {
        Self { input, rejections, stable }
    }

    /// The version that a tenant goes back to, where `recorded` is the one that it came from by its marker: never one that is
    /// rejected, be it for this tenant alone, or withdrawn, or that this Rollout never saw.
    pub(crate) fn safe<'v>(&self, tenant: TenantId, recorded: &'v str) -> Option<&'v str>
    where
        'c: 'v,
    {
        let known = is_known(&self.input.status.known_versions, recorded).then_some(recorded);
        known.filter(|version| self.fits(tenant, version)).or_else(|| self.fallback(tenant))
    }

    /// Not rejected, be it for this tenant alone, and not withdrawn.
    fn fits(&self, tenant: TenantId, version: &str) -> bool {
        let rejected =
            self.rejections.is_out(version) || self.rejections.spared.since(tenant, version).is_some();
        !rejected && gate::withdrawn(self.input, version).is_none()
    }

    fn fallback(&self, tenant: TenantId) -> Option<&'c str> {
        self.stable.filter(|stable| self.fits(tenant, stable))
    }

    /// True where the tenant has a version to go back to.
    pub(crate) fn has_safe(&self, tenant: &Tenant) -> bool {
        own(tenant).is_some_and(|marker| self.safe(tenant.id, &marker.previous).is_some())
    }

    /// What a forward write records as the version to come back to (R17). Where every one is rejected the fix still goes
    /// in; a revert then finds no safe version, and says so.
    pub(crate) fn previous(&self, tenant: &Tenant) -> Option<Arc<str>> {
        let present = tenant.version.version()?;
        let touched =
            own(tenant).filter(|marker| marker.target == *present && self.stable != Some(&**present));
        // What it runs now was seen; what its marker says is a claim.
        let (recorded, safe) = match touched {
            Some(marker) => (&marker.previous, self.safe(tenant.id, &marker.previous)),
            None if self.fits(tenant.id, present) => (present, Some(&**present)),
            None => (present, self.fallback(tenant.id)),
        };
        let safe = safe.unwrap_or(recorded);
        Some(if *safe == **recorded { recorded.clone() } else { safe.into() })
    }

    /// True for a tenant that `wanted` is rejected for alone, wherever it stands on its way back: no wave waits for it. Not
    /// where it stays on the version all the same, because nobody knows another one for it.
    pub(crate) fn is_spared(&self, tenant: &Tenant, standing: &Standing, wanted: &str) -> bool {
        standing.is_live()
            && !standing.is_updated()
            && self.rejections.spared.since(tenant.id, wanted).is_some()
            && !self.rejections.is_out(wanted)
    }
}
