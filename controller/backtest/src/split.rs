//! Which tenants would be candidates in each wave, as far as it is known without a cluster. Pure.
//!
//! Percent waves draw by the stable hash of the rollout itself, as many as of the tenants that have series (R5). Which
//! tenants a selector takes is written on objects, not in metrics: such a wave is taken to have a share of the tenants,
//! drawn by a hash of its own.

use std::sync::Arc;

use breakwater_crds::{Percent, RolloutSpec, identity::TenantIdentity, marker::stable_hash};
use breakwater_plan::{
    observed::ByTenant,
    waves::{Drawn, Progress, assign},
};
use breakwater_slo::{Arm, Members, TenantId};

/// The tenants at the time at which one wave is the newest.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Index of the wave in the spec.
    pub wave: usize,
    /// Its name.
    pub name: String,
    /// Who is a candidate, and who waits; a tenant that no wave takes is in neither.
    pub arms: ByTenant<Arm>,
    /// The tenants of each wave so far, this one last.
    pub begun: Vec<Members>,
    /// Candidates, of this wave and of those before.
    pub candidates: Vec<TenantId>,
    /// How many wait.
    pub baseline: usize,
}

impl Split {
    /// The wave's own tenants.
    pub fn own(&self) -> Members {
        self.begun.last().cloned().unwrap_or_default()
    }
}

/// Identities by which tenants are drawn. Where `tenants.id` is `namespace/name`, and no other draw is asked for, they are
/// the rollout's own: then the backtest has the very tenants that the rollout would take.
pub fn identity(rollout: (&str, &str), spec: &RolloutSpec, seed: Option<u64>, name: &str) -> TenantId {
    let (namespace, rollout) = rollout;
    let own = if spec.tenants.id.is_empty() { name.split_once('/') } else { None };
    if let (Some((of, name)), None) = (own, seed) {
        let kind = &*spec.tenants.resource.kind;
        return TenantId(TenantIdentity { cluster: "", kind, namespace: of, name }.draw(namespace, rollout));
    }
    let seed = seed.map(|seed| seed.to_string());
    let named = own.map_or_else(|| vec![name], |(namespace, name)| vec![namespace, name]);
    let parts: Vec<&str> = [namespace, rollout].into_iter().chain(named).chain(seed.as_deref()).collect();
    TenantId(stable_hash(&parts))
}

/// One split per wave that has tenants, in the waves' order.
pub fn splits(spec: &RolloutSpec, tenants: &[TenantId], selector_share: Percent) -> Vec<Split> {
    let drawn: Vec<Drawn> = tenants
        .iter()
        .map(|tenant| Drawn { draw: *tenant, bound: selected(spec, *tenant, selector_share) })
        .collect();
    let waves = assign(spec, &drawn, |_| Progress::AHEAD);
    let (mut begun, mut splits) = (Vec::new(), Vec::new());
    for (wave, asked) in spec.waves.iter().enumerate() {
        let own = tenants.iter().zip(&waves).filter(|(_, own)| **own == Some(wave));
        let own: Vec<TenantId> = own.map(|(tenant, _)| *tenant).collect();
        let is_empty = own.is_empty();
        begun.push(Members::from(own));
        if is_empty {
            continue;
        }
        let arm = |own: &Option<usize>| Some(if (*own)? <= wave { Arm::Candidate } else { Arm::Baseline });
        let arms: Vec<(TenantId, Arm)> =
            tenants.iter().zip(&waves).filter_map(|(tenant, own)| Some((*tenant, arm(own)?))).collect();
        let candidates: Vec<TenantId> =
            arms.iter().filter(|(_, arm)| *arm == Arm::Candidate).map(|(tenant, _)| *tenant).collect();
        splits.push(Split {
            wave,
            name: asked.name.clone(),
            baseline: arms.len() - candidates.len(),
            arms: ByTenant::new(arms),
            begun: begun.clone(),
            candidates,
        });
    }
    splits
}

/// Names of the waves whose tenants nobody knows without a cluster.
pub fn unknown(spec: &RolloutSpec) -> Vec<&str> {
    spec.waves.iter().filter(|wave| wave.selector.is_some()).map(|wave| &*wave.name).collect()
}

/// The selector wave that a tenant is taken to be in.
fn selected(spec: &RolloutSpec, tenant: TenantId, share: Percent) -> Option<usize> {
    let id = tenant.0.to_string();
    spec.waves.iter().position(|wave| {
        let draw = stable_hash(&["selector", &wave.name, &id]) as f64 / 2.0_f64.powi(64);
        wave.selector.is_some() && draw < share.as_ratio()
    })
}

/// Names and identities of tenants, in the names' order.
pub type Named = Vec<(Arc<str>, TenantId)>;

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(waves: &str) -> RolloutSpec {
        let text = format!(
            "{{version: 1.0.0, tenants: {{resource: {{apiVersion: apps/v1, kind: Deployment}}, selector: {{}}}}, \
             slos: [], waves: {waves}}}"
        );
        serde_yaml::from_str(&text).unwrap()
    }

    fn tenants(spec: &RolloutSpec, seed: Option<u64>) -> Vec<TenantId> {
        (0..1_000).map(|n| identity(("ops", "app"), spec, seed, &format!("tenants/t-{n}"))).collect()
    }

    #[test]
    fn r5_percent_waves_draw_the_rollouts_own_tenants_and_the_last_wave_has_no_baseline() {
        let spec = spec(
            "[{soak: 1d, name: early, percent: 5}, {soak: 1d, name: half, percent: 45}, {soak: 1d, name: rest}]",
        );
        let all = tenants(&spec, None);
        assert_eq!(all[0], TenantId(stable_hash(&["ops", "app", "tenants", "t-0"])));
        let splits = splits(&spec, &all, "5%".parse().unwrap());
        let sizes: Vec<_> =
            splits.iter().map(|split| (&*split.name, split.candidates.len(), split.baseline)).collect();
        insta::assert_debug_snapshot!(sizes);
        assert_eq!(splits[2].begun.iter().map(Members::len).sum::<usize>(), 1_000);
        assert!(splits[1].own().len() < splits[1].candidates.len());
        assert_ne!(tenants(&spec, Some(7)), all, "a seed is another draw");
    }

    #[test]
    fn a_selector_wave_is_a_share_and_says_so() {
        let spec =
            spec("[{soak: 1d, name: friends, selector: {matchLabels: {ring: a}}}, {soak: 1d, name: rest}]");
        assert_eq!(unknown(&spec), ["friends"]);
        let all = tenants(&spec, None);
        let share = |text: &str| splits(&spec, &all, text.parse().unwrap())[0].candidates.len() as f64 / 1e3;
        assert!((share("5%") - 0.05).abs() < 0.02 && (share("30%") - 0.3).abs() < 0.05);
    }

    #[test]
    fn r5_a_small_fleets_first_wave_is_one_tenant_and_an_unmatched_tenant_is_in_no_arm() {
        let mut spec = spec("[{soak: 1d, name: early, percent: 5}, {soak: 1d, name: late, percent: 50}]");
        spec.unmatched = breakwater_crds::rollout::Unmatched::Ignore;
        let few = &tenants(&spec, None)[..8];
        let splits = splits(&spec, few, Percent::default());
        assert_eq!(splits[0].candidates.len(), 1);
        assert!(splits[1].arms.as_slice().len() < 8, "{:?}", splits[1]);
    }
}
