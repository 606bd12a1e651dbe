//! Fleets that are watched: 2,000 requests a minute, 0.2 % errors, and what disturbs them. Nothing is ever wrong with a
//! version unless a factor says so. Pure.

use breakwater_slo::Counts;

use crate::noise::Noise;

/// Minutes of history before a rollout: 7 days.
pub const HISTORY_MINUTES: usize = 7 * 1_440;
/// Minutes of a rollout: 14 days.
pub const ROLLOUT_MINUTES: usize = 14 * 1_440;
/// All tenants together.
const REQUESTS_PER_MINUTE: f64 = 2_000.0;
/// Share of bad requests.
pub const ERROR_RATIO: f64 = 0.002;
/// Standard deviation of the slow noise, in logs, per tenant and common to all.
const SLOW_SD: f64 = 0.5;
const COMMON_SD: f64 = 0.3;
/// The slow noise's time constant.
const SLOW_MINUTES: f64 = 60.0;
/// A tenant has a burst every 600 minutes on average, of this many errors on average (exponential).
const BURST_CHANCE: f64 = 1.0 / 600.0;
const BURST_ERRORS: f64 = 10.0;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// 50 equal tenants, 5 of them candidates; Poisson counts.
    Iid,
    /// Traffic goes by the day, 1 to 9, and the error ratio, 1 to 3; five waves from 2 % to 50 % of the tenants.
    Day,
    /// As iid; each tenant has minutes with many errors, on its own.
    Bursts,
    /// As iid; each tenant's error ratio wanders by half and back within hours, and all together by a third.
    Slow,
    /// 60 tenants, sizes after Zipf, own error ratios from a third to three times the fleet's, four waves from 5 % to
    /// 50 % of the tenants in random order.
    Tenants,
    /// The same with the slow noise.
    NoisyTenants,
}

/// The columns of the table of false reverts.
pub const COLUMNS: [(Weather, &str); 5] = [
    (Weather::Iid, "iid"),
    (Weather::Day, "day cycle, share 2->50 %"),
    (Weather::Bursts, "bursts"),
    (Weather::Slow, "autocorrelated"),
    (Weather::Tenants, "tenants differ, share 5->50 %"),
];

/// One tenant as it is.
#[derive(Debug, Clone, Copy)]
struct Tenant {
    requests: f64,
    ratio: f64,
    slow: f64,
    /// Errors of a burst that are still to come.
    burst: f64,
}

/// A fleet, and the minute that comes next.
#[derive(Debug, Clone)]
pub struct Fleet {
    weather: Weather,
    tenants: Vec<Tenant>,
    common: f64,
    noise: Noise,
}

impl Fleet {
    /// The fleet of a run.
    pub fn new(weather: Weather, mut noise: Noise) -> Self {
        let tenants = match weather {
            Weather::Iid | Weather::Day | Weather::Bursts | Weather::Slow => {
                let tenant = Tenant {
                    requests: REQUESTS_PER_MINUTE / 50.0,
                    ratio: ERROR_RATIO,
                    slow: 0.0,
                    burst: 0.0,
                };
                vec![tenant; 50]
            }
            Weather::Tenants | Weather::NoisyTenants => differing(&mut noise, 60),
        };
        Self { weather, tenants, common: 0.0, noise }
    }

    /// How many tenants there are.
    pub fn len(&self) -> usize {
        self.tenants.len()
    }

    /// Tenants in random order until they have a tenth of the requests; those that would pass it are left out.
    pub fn tenth(&mut self) -> Vec<usize> {
        let all: f64 = self.tenants.iter().map(|tenant| tenant.requests).sum();
        let mut left = 0.1 * all;
        let mut tenth = self.noise.order(self.tenants.len());
        tenth.retain(|tenant| {
            let fits = self.tenants[*tenant].requests <= left * (1.0 + 1e-9);
            left -= if fits { self.tenants[*tenant].requests } else { 0.0 };
            fits
        });
        tenth
    }

    /// Tenants of each wave, in the order in which they are updated, with the minute at which the wave starts.
    pub fn waves(&mut self) -> Vec<(usize, Vec<usize>)> {
        let upto: &[usize] = match self.weather {
            Weather::Iid | Weather::Bursts | Weather::Slow => &[5],
            Weather::Day => &[1, 5, 10, 15, 25],
            Weather::Tenants | Weather::NoisyTenants => &[3, 6, 15, 30],
        };
        let order = self.noise.order(self.tenants.len());
        let mut from = 0;
        let mut waves = Vec::new();
        for (wave, upto) in upto.iter().enumerate() {
            waves.push((wave * ROLLOUT_MINUTES / 5, order[from..*upto].to_vec()));
            from = *upto;
        }
        waves
    }

    /// Counts of each tenant in the next minute, appended to `counts`. Errors of the tenants in `worse` are multiplied.
    pub fn minute(&mut self, minute: usize, worse: &[bool], factor: f64, counts: &mut Vec<Counts>) {
        let Self { weather, tenants, common, noise } = self;
        let phase = minute as f64 / 1_440.0 * std::f64::consts::TAU;
        let (traffic, level) = match weather {
            Weather::Day => (1.0 + 0.8 * phase.sin(), 1.0 + 0.5 * (phase + 1.0).sin()),
            Weather::Iid | Weather::Bursts | Weather::Slow | Weather::Tenants | Weather::NoisyTenants => {
                (1.0, 1.0)
            }
        };
        let is_slow = matches!(weather, Weather::Slow | Weather::NoisyTenants);
        let keep = 1.0 - 1.0 / SLOW_MINUTES;
        let fresh = (1.0 - keep * keep).sqrt();
        if is_slow {
            *common = *common * keep + COMMON_SD * fresh * noise.normal();
        }
        for (tenant, is_worse) in tenants.iter_mut().zip(worse) {
            let mean = tenant.requests * traffic;
            let total = noise.poisson(mean);
            let mut ratio = tenant.ratio * level * if *is_worse { factor } else { 1.0 };
            if is_slow {
                tenant.slow = tenant.slow * keep + SLOW_SD * fresh * noise.normal();
                ratio *= (tenant.slow + *common - 0.5 * (SLOW_SD * SLOW_SD + COMMON_SD * COMMON_SD)).exp();
            }
            let mut bad = noise.poisson(total * ratio) + std::mem::take(&mut tenant.burst);
            if *weather == Weather::Bursts && noise.unit() < BURST_CHANCE {
                // A burst of a minute begins anywhere in it: what is left of it falls into the next.
                let errors = noise.exponential(BURST_ERRORS).ceil();
                let now = (errors * noise.unit()).round();
                bad += now;
                tenant.burst = errors - now;
            }
            counts.push(Counts { bad: bad.min(total), total });
        }
    }
}

/// Sizes after Zipf (`1/rank`), ratios log-normal with a deviation of 0.6, both scaled to the fleet's.
fn differing(noise: &mut Noise, count: usize) -> Vec<Tenant> {
    let sizes: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
    let mut tenants: Vec<Tenant> = (1..=count)
        .map(|rank| Tenant {
            requests: REQUESTS_PER_MINUTE / sizes / rank as f64,
            ratio: (0.6 * noise.normal()).exp(),
            slow: 0.0,
            burst: 0.0,
        })
        .collect();
    let mean: f64 = tenants.iter().map(|tenant| tenant.requests * tenant.ratio).sum();
    for tenant in &mut tenants {
        tenant.ratio *= ERROR_RATIO * REQUESTS_PER_MINUTE / mean;
    }
    tenants
}
