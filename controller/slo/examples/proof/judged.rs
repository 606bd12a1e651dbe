//! The shipped judge as a controller uses it: own ratios, dispersions and calibration from the days before, evidence of
//! the release, tenant by tenant and pooled. Pure.

use std::sync::Arc;

use breakwater_slo::{
    Action, Against, Arm, Comparison, Config, Counts, Dispersion, Evidence, Exposed, Frozen, Guard, Members,
    PHI_MIN, Reading, Sample, Series, Side, State, Step, TenantId, own_ratios, replay,
};

use crate::rivals::{Minute, add};
use crate::streams::{Fleet, HISTORY_MINUTES};

/// 2025-01-06 00:00:00 UTC.
const START_SECONDS: i64 = 1_736_121_600;

/// The SLO that is watched: 99.5 %, steps of a minute.
pub fn api_errors() -> Config {
    Config::ratio(0.995, 60)
}

/// End of a minute; negative ones lie before the rollout.
pub fn end_seconds(minute: usize, is_history: bool) -> i64 {
    let minute = i64::try_from(minute).unwrap_or(i64::MAX);
    let history = i64::try_from(HISTORY_MINUTES).unwrap_or(0);
    let offset = if is_history { minute - history } else { minute };
    START_SECONDS + 60 * (offset + 1)
}

/// Samples of a minute.
pub fn samples<'a>(
    counts: &'a [Counts],
    own: &'a [Option<f64>],
    is_candidate: &'a [bool],
) -> impl Iterator<Item = Sample> + 'a {
    counts.iter().zip(own).zip(is_candidate).zip(0..).map(|(((counts, own), is_candidate), tenant)| Sample {
        tenant: TenantId(tenant),
        arm: if *is_candidate { Arm::Candidate } else { Arm::Baseline },
        series: if counts.total > 0.0 { Series::Counted(*counts) } else { Series::Idle },
        instrumented: true,
        burned_before: false,
        own: *own,
        usual: None,
    })
}

/// The arms of a minute, pooled: for the rivals.
pub fn pooled(counts: &[Counts], own: &[Option<f64>], is_candidate: &[bool]) -> Minute {
    let mut minute = Minute::default();
    let mut controls = is_candidate.iter().filter(|is_candidate| **is_candidate).count();
    for ((counts, own), is_candidate) in counts.iter().zip(own).zip(is_candidate) {
        let exposure = own.unwrap_or(0.0) * counts.total;
        let side = Side { bad: counts.bad, exposure, requests: counts.total };
        if *is_candidate {
            add(&mut minute.candidate, *counts);
            minute.candidate_side.add(side);
        } else {
            add(&mut minute.baseline, *counts);
            minute.baseline_side.add(side);
            if controls > 0 {
                controls -= 1;
                add(&mut minute.control, *counts);
            }
        }
    }
    minute
}

/// The seven days before a rollout, minute by minute, tenant by tenant.
pub struct History {
    tenants: usize,
    counts: Vec<Counts>,
}

impl History {
    /// Watches the fleet for seven days.
    pub fn watch(fleet: &mut Fleet) -> Self {
        let tenants = fleet.len();
        let mut counts = Vec::with_capacity(tenants * HISTORY_MINUTES);
        let nobody = vec![false; tenants];
        for minute in 0..HISTORY_MINUTES {
            fleet.minute(minute, &nobody, 1.0, &mut counts);
        }
        Self { tenants, counts }
    }

    /// Each tenant's own ratio.
    pub fn own(&self) -> Vec<Option<f64>> {
        let mut sums = vec![Counts::default(); self.tenants];
        for minute in self.counts.chunks_exact(self.tenants) {
            for (sum, counts) in sums.iter_mut().zip(minute) {
                add(sum, *counts);
            }
        }
        let own = own_ratios(sums.iter().copied());
        sums.iter().map(|sum| own.and_then(|own| own.ratio(*sum))).collect()
    }

    /// What is frozen at the start of each wave: its dispersion is of the split that it makes.
    pub fn freeze(&self, own: &[Option<f64>], waves: &[Vec<usize>], planned_hours: u32) -> Vec<Frozen> {
        let mut splits = vec![Dispersion::default(); waves.len()];
        let mut each = vec![Dispersion::default(); self.tenants];
        let flags: Vec<Vec<bool>> = (1..=waves.len()).map(|upto| self.flags(&waves[..upto])).collect();
        for (minute, counts) in self.counts.chunks_exact(self.tenants).enumerate() {
            let end = end_seconds(minute, true);
            for (split, flags) in splits.iter_mut().zip(&flags) {
                let Minute { candidate_side: candidate, baseline_side: baseline, .. } =
                    pooled(counts, own, flags);
                split.add(end, 60, Exposed { candidate, baseline });
            }
            let side = |counts: &Counts, own: &Option<f64>| Side {
                bad: counts.bad,
                exposure: own.unwrap_or(0.0) * counts.total,
                requests: counts.total,
            };
            let mut all = Side::default();
            counts.iter().zip(own).for_each(|(counts, own)| all.add(side(counts, own)));
            for ((dispersion, counts), own) in each.iter_mut().zip(counts).zip(own) {
                let candidate = side(counts, own);
                let baseline = Side {
                    bad: all.bad - candidate.bad,
                    exposure: all.exposure - candidate.exposure,
                    requests: all.requests - candidate.requests,
                };
                dispersion.add(end, 60, Exposed { candidate, baseline });
            }
        }
        let mut tenants = Dispersion::default();
        for one in &each {
            tenants.merge(one);
        }
        let members: Vec<Members> = waves.iter().map(|wave| members(wave)).collect();
        let frozen = |(wave, split): (usize, &Dispersion)| Frozen {
            // A dispersion that nobody could estimate leaves the comparison without increments.
            phi: split.phi().unwrap_or(f64::NAN),
            phi_tenant: tenants.phi().unwrap_or(f64::NAN),
            planned_hours,
            planned_waves: u32::try_from(waves.len()).unwrap_or(1),
            waves: members[..=wave].to_vec(),
            ..frozen_at(PHI_MIN, Vec::new())
        };
        splits.iter().enumerate().map(frozen).collect()
    }

    /// Replays the first wave's split and the last one's; true where comparison and guards would have cried wolf.
    pub fn doubts(
        &self,
        config: &Config,
        own: &[Option<f64>],
        frozen: &[Frozen],
        waves: &[Vec<usize>],
    ) -> (bool, bool) {
        let ends = [1, waves.len()];
        let distinct = if waves.len() == 1 { &ends[..1] } else { &ends[..] };
        let replays = distinct.iter().map(|upto| {
            let flags = self.flags(&waves[..*upto]);
            let minutes = self.counts.chunks_exact(self.tenants);
            let all: Vec<Sample> = minutes.flat_map(|counts| samples(counts, own, &flags)).collect();
            let steps = all
                .chunks_exact(self.tenants)
                .enumerate()
                .map(|(minute, samples)| Step::new(end_seconds(minute, true), Reading::Counts(samples)));
            let armed = Comparison::Armed(Arc::new(frozen[*upto - 1].clone()));
            let replay = replay(config, armed, steps);
            (replay.comparison_fired(), replay.guard_fired())
        });
        replays.fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1))
    }

    fn flags(&self, waves: &[Vec<usize>]) -> Vec<bool> {
        let mut flags = vec![false; self.tenants];
        waves.iter().flatten().for_each(|tenant| flags[*tenant] = true);
        flags
    }
}

/// A wave's own tenants.
pub fn members(wave: &[usize]) -> Members {
    Members::from(wave.iter().map(|tenant| TenantId(*tenant as u64)).collect::<Vec<_>>())
}

/// Frozen for one wave and 14 days, every dispersion the same.
pub fn frozen_at(phi: f64, waves: Vec<Members>) -> Frozen {
    Frozen {
        against: Against::Others,
        phi,
        phi_tenant: phi,
        phi_past: phi,
        phi_traffic: phi,
        shape: None,
        planned_hours: 14 * 24,
        planned_waves: 1,
        waves,
    }
}

/// What the judge says in one minute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    /// The comparison would revert: its evidence passes the limit of the configured alpha.
    pub comparison: bool,
    /// A guard (page, sharp path) would.
    pub guard: bool,
    /// Evidence passes the limit at alpha 0.1 %.
    pub sure: bool,
}

/// Feeds a minute and looks.
pub fn look(state: &mut State, config: &Config, step: &Step<'_>) -> Said {
    state.feed(config, step);
    let Some(evidence) = state.evidence(config, step.end_seconds) else { return Said::default() };
    let Evidence { action, guard, ln_e, ln_limit, .. } = evidence;
    let passes = |limit: f64| ln_e.is_some_and(|ln_e| ln_e >= limit);
    Said {
        comparison: ln_limit.is_some_and(passes),
        guard: action == Action::Deviate && guard != Some(Guard::Comparison),
        sure: passes(1_000_f64.ln()),
    }
}
