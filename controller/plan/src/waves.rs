//! Which wave a tenant is in: by what binds it, by its draw, or with the rest (R5). Pure.

use breakwater_crds::rollout::{RolloutSpec, Unmatched, Wave};
use breakwater_slo::TenantId;

/// A tenant whose wave is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Its identity, which is its draw.
    pub draw: TenantId,
    /// The wave that a marker or a selector binds it to.
    pub bound: Option<usize>,
}

/// The wave of each tenant, in their order; `None`: no wave takes it. `is_passed` says that a wave is behind us.
pub fn assign(
    spec: &RolloutSpec,
    tenants: &[Drawn],
    is_passed: impl Fn(usize) -> bool,
) -> Vec<Option<usize>> {
    let waves = &spec.waves;
    let bands = bands(waves);
    let rest = waves.iter().position(|wave| wave.selector.is_none() && wave.percent.is_none());
    let fallback = rest.or(match spec.unmatched {
        Unmatched::LastWave => waves.len().checked_sub(1),
        Unmatched::Ignore | Unmatched::Refuse => None,
    });
    let wave = |tenant: &Drawn| tenant.bound.or_else(|| by_draw(tenant.draw, &bands)).or(fallback);
    let mut assigned: Vec<Option<usize>> = tenants.iter().map(wave).collect();
    fill_empty_percent_waves(waves, tenants, &mut assigned, is_passed);
    if spec.holdout.is_some() {
        fill_empty_holdout(waves.len(), tenants, &mut assigned);
    }
    assigned
}

/// Upper bounds of the percent waves' bands, stacked in wave order, in percent.
fn bands(waves: &[Wave]) -> Vec<(usize, f64)> {
    let percents = waves.iter().enumerate().filter_map(|(i, wave)| Some((i, wave.percent?)));
    percents
        .scan(0.0, |upper, (wave, percent)| {
            *upper += percent;
            Some((wave, *upper))
        })
        .collect()
}

/// The percent wave into whose band the draw falls.
fn by_draw(draw: TenantId, bands: &[(usize, f64)]) -> Option<usize> {
    let percent = draw.0 as f64 / 2.0_f64.powi(64) * 100.0;
    bands.iter().find(|(_, upper)| percent < *upper).map(|(wave, _)| *wave)
}

/// An empty holdout takes the highest draw of the wave before it, which must keep one for itself.
fn fill_empty_holdout(waves: usize, tenants: &[Drawn], assigned: &mut [Option<usize>]) {
    let Some(rest) = waves.checked_sub(2) else { return };
    let members = |wave: usize| assigned.iter().filter(|own| **own == Some(wave)).count();
    if members(rest + 1) > 0 || members(rest) < 2 {
        return;
    }
    let free = (0..tenants.len()).filter(|i| tenants[*i].bound.is_none() && assigned[*i] == Some(rest));
    if let Some(highest) = free.max_by_key(|i| tenants[*i].draw) {
        assigned[highest] = Some(rest + 1);
    }
}

/// An empty percent wave takes the lowest remaining draw of a later wave, unless it is passed: then nobody is missed,
/// and a tenant that goes moves nobody forward. Only tenants that nothing binds are moved.
fn fill_empty_percent_waves(
    waves: &[Wave],
    tenants: &[Drawn],
    assigned: &mut [Option<usize>],
    is_passed: impl Fn(usize) -> bool,
) {
    let mut members = vec![0_usize; waves.len()];
    for wave in assigned.iter().flatten() {
        if let Some(count) = members.get_mut(*wave) {
            *count += 1;
        }
    }
    for wave in 0..waves.len() {
        if waves[wave].percent.is_none() || members[wave] > 0 || is_passed(wave) {
            continue;
        }
        let free = (0..tenants.len()).filter(|i| tenants[*i].bound.is_none());
        let later = free.filter(|i| assigned[*i].is_some_and(|own| own > wave));
        if let Some(lowest) = later.min_by_key(|i| tenants[*i].draw)
            && let Some(from) = assigned[lowest].replace(wave)
        {
            members[from] -= 1;
            members[wave] += 1;
        }
    }
}
