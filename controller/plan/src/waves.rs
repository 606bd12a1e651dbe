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

/// How far a wave is, as far as it matters to who is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How its tenants are drawn, if by percent.
    pub draw: Draw,
    /// It is behind us.
    pub is_passed: bool,
}

/// How the tenants of a percent wave are drawn: all three by the order of identities, so that nobody changes place with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// So many as the percentage says, the lowest of those that are left: before it starts, and after its percentage was edited.
    Anew,
    /// Those up to this one: it has started, and who comes later joins by the same order.
    UpTo(TenantId),
    /// By the band of all identities that the percentage is: as 0.1.0 drew, in a wave that started under it.
    Band,
}

impl Progress {
    /// A wave that has not started.
    pub const AHEAD: Self = Self { draw: Draw::Anew, is_passed: false };
}

/// The wave of each tenant, in their order; `None`: no wave takes it.
///
/// A percentage means at most so many of the tenants that no selector takes: rounded down, at least one, and never all that are left
/// while later waves exist, so that somebody is left to compare with (R5).
pub fn assign(
    spec: &RolloutSpec,
    tenants: &[Drawn],
    progress: impl Fn(usize) -> Progress,
) -> Vec<Option<usize>> {
    let waves = &spec.waves;
    let rest = waves.iter().position(|wave| wave.selector.is_none() && wave.percent.is_none());
    let fallback = rest.or(match spec.unmatched {
        Unmatched::LastWave => waves.len().checked_sub(1),
        Unmatched::Ignore | Unmatched::Refuse => None,
    });
    let mut assigned: Vec<Option<usize>> = tenants.iter().map(|tenant| tenant.bound).collect();
    deal(waves, tenants, &mut assigned, &progress);
    for wave in &mut assigned {
        *wave = wave.or(fallback);
    }
    fill_empty_percent_waves(waves, tenants, &mut assigned, |wave| progress(wave).is_passed);
    if spec.holdout.is_some() {
        fill_empty_holdout(waves.len(), tenants, &mut assigned);
    }
    assigned
}

/// Deals the tenants that nothing binds out to the percent waves, in the waves' order.
fn deal(
    waves: &[Wave],
    tenants: &[Drawn],
    assigned: &mut [Option<usize>],
    progress: &impl Fn(usize) -> Progress,
) {
    let has_selector = |wave: usize| waves.get(wave).is_some_and(|wave| wave.selector.is_some());
    let all = tenants.iter().filter(|tenant| !tenant.bound.is_some_and(has_selector)).count();
    let free = tenants.iter().enumerate().filter(|(_, tenant)| tenant.bound.is_none());
    let mut free: Vec<(TenantId, usize)> = free.map(|(at, tenant)| (tenant.draw, at)).collect();
    for (wave, percent) in waves.iter().enumerate().filter_map(|(at, wave)| Some((at, wave.percent?))) {
        let taken = match progress(wave).draw {
            Draw::UpTo(last) => part(&mut free, |draw| draw <= last),
            Draw::Band => part(&mut free, |draw| band(waves, draw) == Some(wave)),
            Draw::Anew => {
                let bound = tenants.iter().filter(|tenant| tenant.bound == Some(wave)).count();
                let spare = usize::from(wave + 1 < waves.len());
                let wanted =
                    at_most(percent, all).saturating_sub(bound).min(free.len().saturating_sub(spare));
                lowest(&mut free, wanted)
            }
        };
        free.drain(..taken).for_each(|(_, at)| assigned[at] = Some(wave));
    }
}

/// Brings those for whom it is true to the front; how many they are.
fn part(free: &mut [(TenantId, usize)], is_in: impl Fn(TenantId) -> bool) -> usize {
    let mut taken = 0;
    for at in 0..free.len() {
        if is_in(free[at].0) {
            free.swap(taken, at);
            taken += 1;
        }
    }
    taken
}

/// Brings the lowest `wanted` to the front.
fn lowest(free: &mut [(TenantId, usize)], wanted: usize) -> usize {
    if let Some(last) = wanted.checked_sub(1).filter(|last| *last < free.len()) {
        free.select_nth_unstable(last);
    }
    wanted
}

/// So many percent, rounded down, at least one of some.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count, not below 0"
)]
fn at_most(percent: f64, all: usize) -> usize {
    // A hair more: 33 percent of 100 is 33, also where floating point says 32.999...
    let share = (all as f64 * percent / 100.0 + 1e-9).floor() as usize;
    share.max(1).min(all)
}

/// The percent wave into whose band, stacked in wave order, a draw falls.
fn band(waves: &[Wave], draw: TenantId) -> Option<usize> {
    let percent = draw.0 as f64 / 2.0_f64.powi(64) * 100.0;
    let mut upper = 0.0;
    waves.iter().position(|wave| {
        upper += wave.percent.unwrap_or(0.0);
        wave.percent.is_some() && percent < upper
    })
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

#[cfg(test)]
mod tests {
    use breakwater_crds::marker::stable_hash;
    use serde_json::json;

    use super::*;

    fn spec(percents: &[f64]) -> RolloutSpec {
        let drawn = percents.iter().enumerate();
        let mut waves: Vec<_> = drawn
            .map(|(at, percent)| json!({"soak": "1d", "name": format!("w{at}"), "percent": percent}))
            .collect();
        waves.push(json!({"soak": "1d", "name": "rest"}));
        let tenants = json!({"resource": {"apiVersion": "apps/v1", "kind": "Deployment"}, "selector": {}});
        let spec = json!({"version": "1.0.0", "tenants": tenants, "slos": [], "waves": waves});
        serde_json::from_value(spec).unwrap()
    }

    fn fleet(size: usize) -> Vec<Drawn> {
        (0..size)
            .map(|n| Drawn { draw: TenantId(stable_hash(&["t", &n.to_string()])), bound: None })
            .collect()
    }

    fn sizes(spec: &RolloutSpec, tenants: &[Drawn], progress: impl Fn(usize) -> Progress) -> Vec<usize> {
        let waves = assign(spec, tenants, progress);
        (0..spec.waves.len()).map(|wave| waves.iter().filter(|own| **own == Some(wave)).count()).collect()
    }

    #[test]
    fn r5_a_percentage_means_at_most_so_many_at_least_one_and_never_all() {
        for (percents, size, expected) in [
            (&[60.0][..], 4, vec![2, 2]),
            (&[10.0], 24, vec![2, 22]),
            (&[100.0], 5, vec![4, 1]),
            (&[33.0], 100, vec![33, 67]),
            (&[1.0, 9.0, 40.0], 1_000, vec![10, 90, 400, 500]),
            (&[10.0, 10.0], 3, vec![1, 1, 1]),
            (&[10.0, 50.0], 2, vec![1, 1, 0]),
            (&[50.0], 1, vec![1, 0]),
            (&[50.0], 0, vec![0, 0]),
        ] {
            assert_eq!(
                sizes(&spec(percents), &fleet(size), |_| Progress::AHEAD),
                expected,
                "{percents:?} of {size}"
            );
        }
    }

    #[test]
    fn r5_who_is_bound_counts_and_whom_a_selector_takes_does_not() {
        let mut selected = spec(&[50.0]);
        selected.waves[1].selector =
            Some(serde_json::from_value(json!({"matchLabels": {"ring": "a"}})).unwrap());
        let mut tenants = fleet(20);
        tenants[..10].iter_mut().for_each(|tenant| tenant.bound = Some(1));
        tenants[10..13].iter_mut().for_each(|tenant| tenant.bound = Some(0));
        assert_eq!(
            sizes(&selected, &tenants, |_| Progress::AHEAD),
            [5, 15],
            "half of ten, three of them bound already"
        );
    }

    #[test]
    fn r5_once_a_wave_has_started_who_comes_and_goes_moves_nobody() {
        let spec = spec(&[20.0, 20.0]);
        let before = fleet(50);
        let waves = assign(&spec, &before, |_| Progress::AHEAD);
        let last = |wave: usize| {
            before
                .iter()
                .zip(&waves)
                .filter(|(_, own)| **own == Some(wave))
                .map(|(tenant, _)| tenant.draw)
                .max()
                .unwrap()
        };
        let started = |wave: usize| match wave {
            0 | 1 => Progress { draw: Draw::UpTo(last(wave)), is_passed: wave == 0 },
            _ => Progress::AHEAD,
        };
        for size in [10, 50, 400] {
            let after = fleet(size);
            let now = assign(&spec, &after, started);
            assert!(now.iter().zip(&waves).all(|(now, then)| now == then), "{size}");
        }
        let arrived = sizes(&spec, &fleet(400), started)[0];
        assert!((30..150).contains(&arrived), "{arrived} of 400: who comes later joins by the same order");
    }

    #[test]
    fn r5_a_wave_that_started_under_0_1_0_keeps_its_band() {
        let spec = spec(&[25.0]);
        let quarter = |tenant: &Drawn| tenant.draw.0 < u64::MAX / 4;
        let tenants = fleet(40);
        let waves = assign(&spec, &tenants, |_| Progress { draw: Draw::Band, is_passed: false });
        assert!(tenants.iter().zip(waves).all(|(tenant, wave)| wave == Some(usize::from(!quarter(tenant)))));
    }
}
