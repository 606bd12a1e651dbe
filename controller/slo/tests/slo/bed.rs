//! A small fleet that feeds a judge: steps of one minute from a fixed time on.

use breakwater_slo::{
    Against, Arm, Config, Counts, Discard, Evidence, Frozen, Members, PHI_MIN, Reading, Sample, Series,
    State, Step, TenantId,
};

/// 2025-01-06 00:00:00 UTC, a whole number of every step.
pub const START_SECONDS: i64 = 1_736_121_600;
pub const STEP_SECONDS: i64 = 60;

pub fn api_errors() -> Config {
    Config::ratio(0.995, STEP_SECONDS)
}

pub fn sample(tenant: u64, arm: Arm, series: Series) -> Sample {
    Sample {
        tenant: TenantId(tenant),
        arm,
        series,
        instrumented: true,
        burned_before: false,
        own: None,
        usual: None,
    }
}

pub fn counted(tenant: u64, arm: Arm, bad: f64, total: f64) -> Sample {
    sample(tenant, arm, Series::Counted(Counts { bad, total }))
}

/// `n` tenants of an arm, each with these counts; ids of the arms differ.
pub fn tenants(n: u64, arm: Arm, bad: f64, total: f64) -> Vec<Sample> {
    let first = match arm {
        Arm::Candidate => 0,
        Arm::Baseline => 1_000_000,
        Arm::Warming => 2_000_000,
    };
    (0..n).map(|tenant| counted(first + tenant, arm, bad, total)).collect()
}

pub fn silent(n: u64, arm: Arm, series: Series) -> Vec<Sample> {
    tenants(n, arm, 0.0, 0.0).into_iter().map(|sample| Sample { series, ..sample }).collect()
}

pub const RESTARTED: Series = Series::Discarded(Discard::Restart);
pub const INVALID: Series = Series::Discarded(Discard::Invalid);

/// A judge and its clock.
pub struct Bed {
    pub config: Config,
    pub state: State,
    pub now_seconds: i64,
}

impl Bed {
    pub fn new(config: Config) -> Self {
        Self { config, state: State::default(), now_seconds: START_SECONDS }
    }

    pub fn feed(&mut self, reading: Reading<'_>) -> &mut Self {
        self.now_seconds += self.config.step_seconds;
        self.state.feed(&self.config, &Step::new(self.now_seconds, reading));
        self
    }

    pub fn minutes(&mut self, minutes: usize, samples: &[Sample]) -> &mut Self {
        for _ in 0..minutes {
            self.feed(Reading::Counts(samples));
        }
        self
    }

    pub fn missing(&mut self, minutes: usize) -> &mut Self {
        for _ in 0..minutes {
            self.feed(Reading::Missing("time-out"));
        }
        self
    }

    pub fn values(&mut self, values: &[&[f64]]) -> &mut Self {
        for values in values {
            self.feed(Reading::Values(values));
        }
        self
    }

    pub fn evidence(&self) -> Evidence {
        self.state.evidence(&self.config, self.now_seconds).expect("a candidate was fed")
    }

    pub fn sentence(&self) -> String {
        self.evidence().sentence("api-errors", "early")
    }
}

/// A small generator (xorshift, Marsaglia 2003), so that a failure names its seed.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed))
    }

    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Poisson by Knuth's product of uniforms.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0.0);
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }
}

/// The sample with its own ratio before.
pub fn owned(sample: Sample, own: f64) -> Sample {
    Sample { own: Some(own), ..sample }
}

/// Frozen for a first of two waves that has these tenants.
pub fn frozen(own: std::ops::Range<u64>) -> Frozen {
    Frozen {
        against: Against::Others,
        phi: PHI_MIN,
        phi_tenant: PHI_MIN,
        phi_past: PHI_MIN,
        phi_traffic: 2.0,
        shape: None,
        planned_hours: 24 * 14,
        planned_waves: 2,
        waves: vec![Members::from(own.map(TenantId).collect::<Vec<_>>())],
    }
}
