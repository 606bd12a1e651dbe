//! Versions that may not stay: for all tenants (R19), or for single ones (R22). A report *is* the rejection. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use breakwater_crds::{identity::TenantIdentity, report::RejectedFor, status::VERSIONS_MAX};
use breakwater_slo::TenantId;
use jiff::Timestamp;

use crate::{input::Input, reports::Ledger};

/// What is rejected, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rejections {
    /// Versions that may not stay on any marked tenant: rejected ones, and the one that is taken out.
    pub(crate) out: BTreeSet<String>,
    /// The rejected ones, newest first, at most 16.
    pub(crate) listed: Vec<String>,
    /// Versions that are rejected for single tenants.
    pub(crate) spared: Spared,
}

impl Rejections {
    /// A version is rejected while a report about it says so, unless this very plan closes it (R19).
    pub(crate) fn read(input: &Input<'_>, ledger: &Ledger<'_>) -> Self {
        let mut rejecting: Vec<_> = ledger
            .of_rollout(input.asked.name)
            .filter(|(report, status)| report.status.rejects() && status.rejects())
            .map(|(report, _)| report)
            .collect();
        rejecting.sort_by(|a, b| (b.status.decided_at, &b.name).cmp(&(a.status.decided_at, &a.name)));
        let mut seen = BTreeSet::new();
        let versions = rejecting.iter().map(|report| report.spec.version.clone());
        let listed = versions.filter(|version| seen.insert(version.clone())).take(VERSIONS_MAX).collect();
        let out = rejecting.iter().map(|report| report.spec.version.clone()).collect();
        Self { out, listed, spared: Spared::read(input, ledger) }
    }

    /// With one more version that may not stay on anybody.
    #[must_use]
    pub(crate) fn with(mut self, version: &str) -> Self {
        self.out.insert(version.to_owned());
        self
    }

    /// Without a version that Git took back: from here on nobody rejects it.
    #[must_use]
    pub(crate) fn without(mut self, version: &str) -> Self {
        self.out.remove(version);
        self
    }

    /// With a version on the list of the rejected ones.
    #[must_use]
    pub(crate) fn listing(mut self, version: &str) -> Self {
        if !self.listed.iter().any(|listed| listed == version) {
            self.listed.insert(0, version.to_owned());
            self.listed.truncate(VERSIONS_MAX);
        }
        self
    }

    /// With a version that is rejected for these tenants alone.
    #[must_use]
    pub(crate) fn sparing(mut self, tenants: &[TenantId], version: &str, at: Timestamp) -> Self {
        let version: Arc<str> = version.into();
        for tenant in tenants {
            if self.spared.since(*tenant, &version).is_none() {
                self.spared.by_tenant.entry(*tenant).or_default().push((version.clone(), at));
            }
        }
        self
    }

    /// True where a version may not stay on any marked tenant.
    pub(crate) fn is_out(&self, version: &str) -> bool {
        self.out.contains(version)
    }
}

/// Which versions are rejected for which tenants alone, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spared {
    by_tenant: HashMap<TenantId, Vec<(Arc<str>, Timestamp)>>,
}

impl Spared {
    /// What the open reports say, this plan's included.
    fn read(input: &Input<'_>, ledger: &Ledger<'_>) -> Self {
        let mut spared = Self::default();
        for (report, status) in ledger.of_rollout(input.asked.name) {
            if status.closed_by.is_none() && !status.rejected_for.is_empty() {
                let version: Arc<str> = report.spec.version.as_str().into();
                status.rejected_for.iter().for_each(|rejected| spared.add(input, &version, rejected));
            }
        }
        spared
    }

    /// Since when a version is rejected for a tenant alone, if it is.
    pub(crate) fn since(&self, tenant: TenantId, version: &str) -> Option<Timestamp> {
        let rejected = self.by_tenant.get(&tenant)?;
        rejected.iter().find(|(rejected, _)| **rejected == *version).map(|(_, since)| *since)
    }

    /// The tenants that a version is rejected for alone.
    pub(crate) fn tenants<'s>(&'s self, version: &'s str) -> impl Iterator<Item = TenantId> + Clone + 's {
        let rejected = move |(id, versions): (&TenantId, &Vec<(Arc<str>, Timestamp)>)| {
            versions.iter().any(|(rejected, _)| **rejected == *version).then_some(*id)
        };
        self.by_tenant.iter().filter_map(rejected)
    }

    /// When the first version was rejected for a tenant alone, if one is.
    pub(crate) fn first(&self, tenant: TenantId) -> Option<Timestamp> {
        self.by_tenant.get(&tenant)?.iter().map(|(_, since)| *since).min()
    }

    fn add(&mut self, input: &Input<'_>, version: &Arc<str>, rejected: &RejectedFor) {
        // What is no `namespace/name` names nobody.
        let Some((namespace, name)) = rejected.tenant.split_once('/') else { return };
        let kind = &*input.spec().tenants.resource.kind;
        let tenant = TenantIdentity { cluster: "", kind, namespace, name };
        let id = TenantId(tenant.draw(input.asked.namespace, input.asked.name));
        self.by_tenant.entry(id).or_default().push((Arc::clone(version), rejected.at));
    }
}
