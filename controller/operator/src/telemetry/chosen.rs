//! Whose past is read: the wave's tenants, and of a large baseline a draw that stays the same. Pure.

use std::{collections::HashSet, sync::Arc};

use breakwater_crds::marker::stable_hash;
use breakwater_plan::observed::{ByTenant, Tenant};
use breakwater_slo::{Arm, TenantId};

use super::ids::{TenantIds, metric_id};

/// Who was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// They by their names in metrics, and whoever shares one.
    pub ids: Arc<TenantIds>,
    /// Their names in metrics, in order.
    pub names: Vec<Arc<str>>,
    /// Their arms.
    pub arms: ByTenant<Arm>,
}

impl Chosen {
    /// All candidates, and `sample` of the baseline; `None` where that is half of the fleet or more: then all are read.
    pub fn of(arms: &ByTenant<Arm>, tenants: &[Tenant], sample: usize) -> Option<Self> {
        let is_baseline = |(_, arm): &&(TenantId, Arm)| *arm == Arm::Baseline;
        let mut baseline: Vec<(u64, TenantId)> =
            arms.as_slice().iter().filter(is_baseline).map(|(id, _)| (rank(*id), *id)).collect();
        let (all, left_out) = (arms.as_slice().len(), baseline.len().saturating_sub(sample));
        // A list of most names costs more than it spares.
        if sample == 0 || left_out * 2 < all {
            return None;
        }
        baseline.select_nth_unstable(sample - 1);
        let drawn: HashSet<TenantId> = baseline[..sample].iter().map(|(_, id)| *id).collect();
        let arms = arms.as_slice().iter().filter(|(id, arm)| *arm != Arm::Baseline || drawn.contains(id));
        let arms = ByTenant::new(arms.copied().collect());
        let chosen: HashSet<TenantId> = arms.as_slice().iter().map(|(id, _)| *id).collect();
        let mut names: Vec<Arc<str>> =
            tenants.iter().filter(|tenant| chosen.contains(&tenant.id)).map(metric_id).collect();
        names.sort_unstable();
        names.dedup();
        // Who shares a name with a chosen one must be known, or the name would seem to be one tenant's.
        let all = tenants.iter().map(|tenant| (metric_id(tenant), tenant.id));
        let ids = TenantIds::new(all.filter(|(name, _)| names.binary_search(name).is_ok()));
        Some(Self { ids: Arc::new(ids), names, arms })
    }
}

/// The place of a tenant in the draw; unlike the id itself it has nothing to do with the waves that tenants are in.
fn rank(id: TenantId) -> u64 {
    stable_hash(&["baseline", &format!("{:016x}", id.0)])
}

#[cfg(test)]
mod tests {
    use breakwater_plan::observed::{Readiness, Reading};

    use super::*;

    fn tenant(id: u64, name: &str) -> Tenant {
        Tenant {
            id: TenantId(id),
            namespace: "n".into(),
            name: name.into(),
            object: breakwater_plan::observed::ObjectFacts::default(),
            metric_id: Some(name.into()),
            version: Reading::Version("1".into()),
            selected: true,
            selector_wave: None,
            excluded: false,
            dormant: false,
            terminating: false,
            consented: true,
            readiness: Readiness::NotReady { reason: "".into() },
            marker: None,
            foreign_owner: None,
            confirmed: false,
        }
    }

    fn arms(candidates: u64, all: u64) -> ByTenant<Arm> {
        let arm = |id| if id < candidates { Arm::Candidate } else { Arm::Baseline };
        ByTenant::new((0..all).map(|id| (TenantId(id), arm(id))).collect())
    }

    #[test]
    fn a_large_baseline_is_drawn_from_and_the_draw_stays_as_the_fleet_changes() {
        let tenants: Vec<Tenant> = (0..1_000).map(|id| tenant(id, &format!("t{id}"))).collect();
        let chosen = Chosen::of(&arms(50, 1_000), &tenants, 100).unwrap();
        assert_eq!((chosen.names.len(), chosen.arms.as_slice().len()), (150, 150));
        assert!((0..50).all(|id| chosen.arms.get(TenantId(id)) == Some(&Arm::Candidate)));
        assert_eq!(chosen.ids.tenants().len(), 150);
        let fewer = Chosen::of(&arms(50, 990), &tenants[..990], 100).unwrap();
        let both = fewer.names.iter().filter(|name| chosen.names.contains(name)).count();
        assert!(both >= 147, "{both}");
        assert_eq!(Chosen::of(&arms(50, 150), &tenants, 100), None, "everybody");
        assert_eq!(Chosen::of(&arms(500, 1_000), &tenants, 100), None, "most of them");
    }

    #[test]
    fn a_name_that_somebody_else_bears_too_tells_neither() {
        let mut tenants: Vec<Tenant> = (0..20).map(|id| tenant(id, &format!("t{id}"))).collect();
        tenants.push(tenant(99, "t0"));
        let chosen = Chosen::of(&arms(1, 20), &tenants, 5).unwrap();
        assert!(chosen.ids.ambiguous().is_some());
    }
}
