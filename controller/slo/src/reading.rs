//! What the judge is fed: readings of one SLO, step by step, tenant by tenant. Pure.

use serde::{Deserialize, Serialize};

/// Stable hash of a tenant's namespace and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantId(pub u64);

/// Events of one tenant in one step, or of a sum of them. Fractions are allowed (recorded series hold them).
///
/// Build with [`Counts::checked`]; [`crate::State::feed`] discards a sample whose counts would not pass it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Bad events, at most `total`.
    pub bad: f64,
    /// All events.
    pub total: f64,
}

/// Why a pair of numbers is no [`Counts`] (analysis.md 4: such a step is discarded).
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CountsError {
    /// One of them is NaN or infinite.
    #[error("count is not finite")]
    NotFinite,
    /// One of them is below zero.
    #[error("count is negative")]
    Negative,
    /// More bad events than events.
    #[error("{bad} bad of {total} events")]
    BadAboveTotal {
        /// Bad events.
        bad: f64,
        /// All events.
        total: f64,
    },
}

impl Counts {
    /// Counts that can be counted: finite, not negative, not more bad than all.
    pub fn checked(bad: f64, total: f64) -> Result<Self, CountsError> {
        if !bad.is_finite() || !total.is_finite() {
            return Err(CountsError::NotFinite);
        }
        if bad < 0.0 || total < 0.0 {
            return Err(CountsError::Negative);
        }
        if bad > total {
            return Err(CountsError::BadAboveTotal { bad, total });
        }
        Ok(Self { bad, total })
    }

    /// Share of bad events, in `[0, 1]`; `None` without events.
    pub fn ratio(self) -> Option<f64> {
        (self.total > 0.0).then(|| self.bad / self.total)
    }
}

/// Where a tenant stood *during* the step (not when the step is read).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arm {
    /// On the candidate version, ready and past its warm-up.
    Candidate,
    /// Not written yet: what the candidate is compared with.
    Baseline,
    /// Between its write and ready + `warmUp`: belongs to no arm, counts as update cost only.
    Warming,
}

/// Why a tenant's step says nothing although something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Discard {
    /// The total has a sample now and had none one step before: a restart, or a gap in Prometheus. Covered.
    Restart,
    /// NaN, infinite, negative, bad above total, buckets that do not grow, from another time. Not covered.
    Invalid,
}

/// The series of one tenant in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Series {
    /// Events were counted. A missing `bad` beside a present `total` is zero bad events; the reader says so here.
    Counted(Counts),
    /// There are series and no requests. Covered, and no evidence.
    Idle,
    /// There are no series.
    Absent,
    /// Read, and thrown away.
    Discarded(Discard),
}

/// One tenant in one step. At most one sample per tenant and step; the order of samples means nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Whose.
    pub tenant: TenantId,
    /// Where the tenant stood during the step.
    pub arm: Arm,
    /// What was read.
    pub series: Series,
    /// The tenant had series before its update: it counts in the coverage (R12).
    pub instrumented: bool,
    /// It burned at a third of a guard's limit or more in its own 7 days before: no guard acts on it (R14).
    pub burned_before: bool,
    /// The tenant's own share of bad events before its update, shrunk to the fleet's ([`crate::own_ratios`]), frozen at
    /// a wave's start. `None`: not known, so it is in neither arm of the comparison.
    pub own: Option<f64>,
    /// The tenant's usual good events per step, mean over the days before, frozen as well: what [`crate::Compare`]'s
    /// traffic is measured by. `None`: not known, so its traffic is not compared.
    pub usual: Option<f64>,
}

/// What one step of one SLO came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading<'a> {
    /// Counts of every tenant that is watched, series or not. An empty slice is read as `Missing`.
    Counts(&'a [Sample]),
    /// Values of a `query` SLO in this step. Feed them from the first warm candidate on (R10).
    Values(&'a [f64]),
    /// Nothing that can be trusted, and why: query error, time-out, warning of a partial response.
    Missing(&'a str),
}

/// The same tenants in the same minute of the week before *their own* update, pooled: what `History` compares with.
///
/// One arm in one step, pooled.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Side {
    /// Bad events, `sum e_i`.
    pub bad: f64,
    /// Standardised exposure, `sum n_i * q_i`: the bad events that tenants as they were before would have had.
    pub exposure: f64,
    /// Raw requests, `sum n_i`.
    pub requests: f64,
}

impl Side {
    /// Adds another stratum.
    pub fn add(&mut self, other: Self) {
        let Self { bad, exposure, requests } = other;
        self.bad += bad;
        self.exposure += exposure;
        self.requests += requests;
    }
}

/// A minute of the past that serves `R` times (a rollout of three weeks meets it three times) must come divided by `R`:
/// bad and good events, exposure and usual ones. Then the product of its uses has expectation at most 1, since
/// `exp(-e/R * sum b)` is at most the mean of the `exp(-e*b)` (Jensen); counted anew each week it has not, as
/// `E x^2 >= (E x)^2`. What this does not mend: from the second use on the past is known, so the bound holds at any fixed
/// time, but not at any stopping time. That is one more reason why history reverts only where it was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Past {
    /// Bad events, `sum e_i`.
    pub bad: f64,
    /// Standardised exposure, `sum n_i * q_i`, over the same tenants as are candidates in this step.
    pub exposure: f64,
    /// Good events, for the traffic.
    pub good: f64,
    /// `sum` of [`Sample::usual`] over those tenants.
    pub usual: f64,
}

/// Requests slower than one bucket edge, pooled by arm: the shape of a latency (analysis.md 2).
///
/// Pooled by whoever reads the buckets, with [`Tail::add`], so that no bucket is kept per tenant and minute.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tail {
    /// The bucket's edge, in seconds.
    pub edge_seconds: f64,
    /// The candidates' requests above the edge.
    pub candidate: Side,
    /// The baseline's.
    pub baseline: Side,
}

impl Tail {
    /// Adds a tenant that had `above` of `requests` above the edge, and `own` (shrunk) before its update. What cannot
    /// be counted is left out, and so are warming tenants.
    pub fn add(&mut self, arm: Arm, above: f64, requests: f64, own: f64) {
        if Counts::checked(above, requests).is_err() || !own.is_finite() || own <= 0.0 {
            return;
        }
        let side = match arm {
            Arm::Candidate => &mut self.candidate,
            Arm::Baseline => &mut self.baseline,
            Arm::Warming => return,
        };
        side.add(Side { bad: above, exposure: requests * own, requests });
    }
}

/// Most edges of a [`Step`]: further ones are not looked at.
pub const TAILS_MAX: usize = 16;

/// One step: `(end_seconds - step_seconds, end_seconds]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// End of the step, unix seconds.
    pub end_seconds: i64,
    /// What was read for it.
    pub reading: Reading<'a>,
    /// The candidates' own past, where the comparison takes it.
    pub past: Option<Past>,
    /// Tail counts, edges ascending, at most [`TAILS_MAX`], always the same edges; empty where there are none.
    pub tails: &'a [Tail],
}

impl<'a> Step<'a> {
    /// A step without past and without tails.
    pub fn new(end_seconds: i64, reading: Reading<'a>) -> Self {
        Self { end_seconds, reading, past: None, tails: &[] }
    }
}
