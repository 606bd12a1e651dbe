//! Tenants by their names in metrics. Pure.

use std::sync::Arc;

use breakwater_crds::marker::stable_hash;
use breakwater_plan::observed::Tenant;
use breakwater_slo::TenantId;

/// Most names that a text names.
const NAMED_MAX: usize = 5;

/// Tenants by their name in metrics: 24 bytes each, for names are kept as hashes. Two names of one hash are taken for
/// one name of two tenants, which tells neither: nothing is ever counted for the wrong tenant of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantIds {
    /// In order of the hashes: the tenant's place in `tenants`.
    by_hash: Box<[(u64, u32)]>,
    /// In order.
    tenants: Box<[TenantId]>,
    /// In order of the hashes.
    shared: Box<[Shared]>,
    /// One of the names, for messages.
    example: Option<Arc<str>>,
}

/// A name of several tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shared {
    hash: u64,
    /// One of the names.
    name: Arc<str>,
    /// Places of the tenants who share it.
    places: Box<[u32]>,
}

/// Whose a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The tenant's in this place.
    One(u32),
    /// Several tenants': which of such names.
    Several(u32),
}

impl TenantIds {
    /// From names and tenants; a name of two tenants tells neither.
    pub fn new(names: impl IntoIterator<Item = (Arc<str>, TenantId)>) -> Self {
        let mut all: Vec<(u64, Arc<str>, TenantId)> =
            names.into_iter().map(|(name, id)| (stable_hash(&[&name]), name, id)).collect();
        let example = all.iter().map(|(_, name, _)| name).min().cloned();
        all.sort_by_key(|(hash, ..)| *hash);
        let mut tenants: Vec<TenantId> = all.iter().map(|(.., id)| *id).collect();
        tenants.sort_unstable();
        tenants.dedup();
        // At most 2^32 tenants: a fleet is bounded by what the API server holds.
        let place = |id: &TenantId| tenants.binary_search(id).ok().and_then(|at| u32::try_from(at).ok());
        let (mut by_hash, mut shared) = (Vec::with_capacity(all.len()), Vec::new());
        for sharers in all.chunk_by(|(one, ..), (other, ..)| one == other) {
            match sharers {
                [(hash, _, id)] => by_hash.extend(place(id).map(|place| (*hash, place))),
                [(hash, name, _), ..] => shared.push(Shared {
                    hash: *hash,
                    name: Arc::clone(name),
                    places: sharers.iter().filter_map(|(.., id)| place(id)).collect(),
                }),
                [] => {}
            }
        }
        Self { by_hash: by_hash.into(), tenants: tenants.into(), shared: shared.into(), example }
    }

    /// One of the names; `None` where there are no tenants.
    pub fn example(&self) -> Option<&str> {
        self.example.as_deref()
    }

    /// From the fleet: `tenants.id`, or `namespace/name`.
    pub fn of(tenants: &[Tenant]) -> Self {
        Self::new(tenants.iter().map(|tenant| (metric_id(tenant), tenant.id)))
    }

    /// Names that more than one tenant has, with them, in order.
    pub fn ambiguous(&self) -> Option<String> {
        let mut names: Vec<&Arc<str>> = self.shared.iter().map(|shared| &shared.name).collect();
        names.sort_unstable();
        let some =
            names.iter().take(NAMED_MAX).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| {
            format!("{} names in metrics belong to more than one tenant each, such as {some}: tenants.id must differ", names.len())
        })
    }

    /// How many names more than one tenant has.
    pub fn shared_names(&self) -> usize {
        self.shared.len()
    }

    /// Whether there are no tenants.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// The tenants, in order; a place is an index into them.
    pub fn tenants(&self) -> &[TenantId] {
        &self.tenants
    }

    /// Whose a name is; `None`: nobody's.
    pub fn owner(&self, name: &str) -> Option<Owner> {
        let hash = stable_hash(&[name]);
        if let Ok(at) = self.by_hash.binary_search_by_key(&hash, |(hash, _)| *hash) {
            return Some(Owner::One(self.by_hash[at].1));
        }
        let at = self.shared.binary_search_by_key(&hash, |shared| shared.hash).ok()?;
        u32::try_from(at).ok().map(Owner::Several)
    }

    /// The places of those who share a name.
    pub fn sharers(&self, name: u32) -> &[u32] {
        self.shared.get(name as usize).map_or(&[], |shared| &shared.places)
    }
}

/// A tenant's name in metrics.
pub fn metric_id(tenant: &Tenant) -> Arc<str> {
    let Tenant { metric_id, namespace, name, .. } = tenant;
    metric_id.clone().unwrap_or_else(|| format!("{namespace}/{name}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_two_tenants_are_reported_and_belong_to_both() {
        let ids = TenantIds::new([
            ("a".into(), TenantId(9)),
            ("c".into(), TenantId(4)),
            ("c".into(), TenantId(3)),
            ("b".into(), TenantId(2)),
        ]);
        assert_eq!(ids.tenants(), [2, 3, 4, 9].map(TenantId));
        assert_eq!(
            (ids.owner("a"), ids.owner("b"), ids.owner("x")),
            (Some(Owner::One(3)), Some(Owner::One(0)), None)
        );
        let Some(Owner::Several(shared)) = ids.owner("c") else { panic!("not shared") };
        let mut sharers = ids.sharers(shared).to_vec();
        sharers.sort_unstable();
        assert_eq!(sharers, [1, 2]);
        assert_eq!(ids.shared_names(), 1);
        assert!(ids.ambiguous().unwrap().contains("\"c\""));
        assert_eq!(TenantIds::new([("a".into(), TenantId(1))]).ambiguous(), None);
        assert!(TenantIds::default().is_empty());
    }
}
