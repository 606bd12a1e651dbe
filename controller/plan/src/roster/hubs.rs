//! Tenants that another hub marked for a Rollout of this name: whose they are only a human knows (R48). Pure.

use std::collections::BTreeMap;

use super::{Roster, Standing};
use crate::{
    input::Input,
    observed::{Claim, Tenant},
};

/// The other hub that marked this tenant for a Rollout of this name.
pub(crate) fn hub_of(tenant: &Tenant) -> Option<&str> {
    match &tenant.marker.as_deref()?.claim {
        Claim::Hub(hub) => Some(hub),
        Claim::Own | Claim::Other | Claim::Gone => None,
    }
}

/// Why nothing starts or advances while tenants are marked so: a hub that is rebuilt has another id, and would take its own
/// tenants for a stranger's; a hub that lives would be fought.
pub(crate) fn hold(input: &Input<'_>, roster: &Roster<'_>, taken: &[String]) -> Option<String> {
    if roster.count(|standing| *standing == Standing::Claimed) == 0 {
        return None;
    }
    let mut tally: BTreeMap<&str, (usize, &Tenant)> = BTreeMap::new();
    for (tenant, _) in roster.fleet() {
        if let Some(hub) = hub_of(tenant) {
            tally.entry(hub).or_insert((0, tenant)).0 += 1;
        }
    }
    let (hub, (tenants, one)) = tally.into_iter().max_by_key(|(_, (tenants, _))| *tenants)?;
    let marked = format!(
        "{tenants} tenants, such as {}/{}, carry markers of hub {hub} for a Rollout of this name",
        one.namespace, one.name
    );
    if taken.iter().any(|known| known == hub) {
        return Some(format!("{marked}, and are being taken over"));
    }
    let (name, namespace) = (input.asked.name, input.asked.namespace);
    Some(format!(
        "{marked}; if that hub is gone: kubectl breakwater acknowledge {name} -n {namespace} --hub {hub} --reason WHY; \
         else one of the two wants another name"
    ))
}
