//! Who owns the versions and has not released them, and how they would (R24). Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use breakwater_crds::status::{OwnerCount, VERSIONS_MAX};

use crate::roster::{Roster, Standing};

/// Managers that own versions and have not released them.
pub(super) fn owners(roster: &Roster<'_>) -> Vec<OwnerCount> {
    let mut tally: BTreeMap<&str, u32> = BTreeMap::new();
    for (tenant, place) in roster.fleet() {
        if let (Some(owner), Standing::NotReleased) = (&tenant.foreign_owner, &place.standing) {
            *tally.entry(owner).or_default() += 1;
        }
    }
    let count =
        |(manager, tenants): (&str, u32)| OwnerCount { manager: manager.into(), tenants, released: false };
    let mut owners: Vec<OwnerCount> = tally.into_iter().map(count).collect();
    owners.sort_by_key(|owner| Reverse(owner.tenants));
    owners.truncate(VERSIONS_MAX);
    owners
}

/// Owners that have not released the version, and how they would (R24).
pub(crate) fn owners_sentence(roster: &Roster<'_>) -> String {
    let owners = owners(roster);
    let n: u32 = owners.iter().map(|owner| owner.tenants).sum();
    let listed: Vec<String> =
        owners.iter().take(3).map(|o| format!("{} ({})", o.manager, o.tenants)).collect();
    let first = owners.first().map(|owner| owner.manager.clone()).unwrap_or_default();
    let listed = listed.join(", ");
    format!("{n} tenants' versions are owned by {listed}; {}", snippet(&first))
}

/// The exact words that release a field, for the deployers that are known.
fn snippet(manager: &str) -> String {
    let yaml = match manager {
        m if m.starts_with("argocd") => {
            "release it with syncOptions [RespectIgnoreDifferences=true] and ignoreDifferences [{managedFieldsManagers: [breakwater]}]"
        }
        m if m.contains("kustomize-controller") || m.contains("flux") => {
            "release it with the annotation kustomize.toolkit.fluxcd.io/ssa: IfNotPresent, or by leaving the field out of the manifest"
        }
        m if m.contains("helm") => "release it by leaving the version out of the values, or take it over",
        _ => "release it by leaving the field out of what it applies, or take it over",
    };
    format!("{yaml}; then: takeFrom: [{manager}]")
}
