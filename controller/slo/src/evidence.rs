//! What the judge says. Pure data.

use serde::{Deserialize, Serialize};

use crate::compare::detect::Detectable;
use crate::config::Pair;
use crate::reading::{Counts, TenantId};

/// Most tenants that one [`Evidence`] names.
pub const GUILTY_MAX: usize = 32;

/// Verdict over one SLO. `Deviating` if and only if the action is [`Action::Deviate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing speaks against the candidate.
    Healthy,
    /// A guard speaks against the candidate, strongly enough to revert.
    Deviating,
    /// Too early to say, or something holds that is not a deviation of the release.
    Inconclusive,
    /// Nothing that can be trusted (R12): never a pass, never a revert.
    NoData,
    /// The comparison is asked for and may not speak: no history, or it would have cried wolf on the past (R13). Holds and
    /// asks, never reverts.
    Uncalibrated,
}

impl Verdict {
    /// Verdict over several SLOs (R11): `Deviating`, then `NoData`, `Uncalibrated`, `Inconclusive`; `Healthy` only when
    /// all are.
    /// `None` where there are none: no verdict is not a good verdict.
    pub fn combine(verdicts: impl IntoIterator<Item = Self>) -> Option<Self> {
        verdicts.into_iter().max_by_key(|verdict| match verdict {
            Self::Healthy => 0,
            Self::Inconclusive => 1,
            Self::Uncalibrated => 2,
            Self::NoData => 3,
            Self::Deviating => 4,
        })
    }
}

/// What the evidence asks for. Ordered: the strongest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Nothing.
    None,
    /// Start no further tenant.
    Hold,
    /// The release deviates: revert, as the policy says.
    Deviate,
}

/// Why there is no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NoData {
    /// The newest step could not be read, or held nothing that could be used.
    Missing,
    /// No step for longer than [`crate::stale_after_seconds`].
    Stale,
    /// The newest step ends in the future: somebody's clock lies.
    Future,
    /// Under 90 % of the instrumented candidates have series.
    CandidateCoverage,
    /// Under 90 % of the instrumented baseline tenants have series.
    BaselineCoverage,
    /// No candidate had series before, and none has now.
    NeverInstrumented,
    /// Every candidate burned before its own update (R14): there is nobody to judge the release by.
    AllExempt,
}

/// Share of the instrumented tenants that must be covered (R12).
pub const COVERAGE_MIN: f64 = 0.9;

/// Which guard spoke.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Guard {
    /// A pair of windows (`burnRate.page`, `burnRate.hold`).
    BurnRate {
        /// The pair.
        pair: Pair,
        /// From `page` (deviates) rather than `hold` (holds).
        page: bool,
    },
    /// The sharp path.
    Sharp,
    /// `max` or `min` of a `query`.
    Limit,
    /// Share of bad events during warm-up.
    UpdateCost,
    /// The candidates' series are gone for 3 minutes while the baseline's are there.
    TelemetryLost,
    /// There is no data.
    NoData(NoData),
    /// The sequential comparison with a baseline.
    Comparison,
    /// The comparison is asked for and not armed.
    Uncalibrated,
}

/// How many tenants of an arm could be read in the newest evaluated step (R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Tenants in the arm.
    pub tenants: u32,
    /// Of them, those that had series before.
    pub instrumented: u32,
    /// Of the instrumented, those with series now: counted, idle, or just restarted.
    pub covered: u32,
    /// Tenants that had no series before and have none now.
    pub never_instrumented: u32,
    /// Tenants that burned before, on which no guard acts (R14).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exempt: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Coverage {
    /// Covered share of the instrumented tenants, in `[0, 1]`; `None` where none is instrumented.
    pub fn share(self) -> Option<f64> {
        (self.instrumented > 0).then(|| f64::from(self.covered) / f64::from(self.instrumented))
    }

    /// Under 90 % of the instrumented tenants are covered.
    pub(crate) fn is_low(self) -> bool {
        self.share().is_some_and(|share| share < COVERAGE_MIN)
    }
}

/// Evidence of one SLO at one time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// The verdict.
    pub verdict: Verdict,
    /// What it asks for.
    pub action: Action,
    /// The guard that spoke; `None` where none did.
    pub guard: Option<Guard>,
    /// The candidate's figure: share of bad events over `window_seconds` in `[0, 1]`, the last value of a `query`,
    /// or the covered share where coverage is the matter.
    pub value: Option<f64>,
    /// The baseline's figure over the same window, in the same unit.
    pub baseline: Option<f64>,
    /// The limit, in the unit of `value`. For burn rates `factor * (1 - objective)`, so
    /// `burn = value / limit * factor`.
    pub limit: Option<f64>,
    /// The (long) window that the figures are of, in seconds.
    pub window_seconds: i64,
    /// Events of the candidates in it.
    pub requests: f64,
    /// Bad events of the candidates in it.
    pub bad: f64,
    /// Candidates that burn beyond the guard's limit over the sharp path's long window, most bad events beyond the limit
    /// first; of a comparison those that are worse than the baseline (false discovery rate at most alpha), most
    /// evidence first, with their counts since they are. At most [`GUILTY_MAX`]. Empty where no guard spoke.
    pub guilty: Vec<(TenantId, Counts)>,
    /// How many burn so, named or not.
    pub guilty_total: usize,
    /// The baseline burns as well (R14): no deviation of the release.
    pub exempt: bool,
    /// Coverage of the candidates.
    pub coverage: Coverage,
    /// Coverage of the baseline.
    pub baseline_coverage: Coverage,
    /// `ln E` of this SLO's comparison, for [`crate::combine()`]; `None` where it is not armed.
    pub ln_e: Option<f64>,
    /// Where this SLO alone would revert: `ln(1/(v*alpha))`; `None` where the comparison is not armed.
    pub ln_limit: Option<f64>,
    /// What would have been found with 95 % probability with the wave's traffic so far.
    pub detectable: Option<Detectable>,
    /// Where the comparison deviates, those tenants whose own evidence carries this SLO's past its limit all alone: one of
    /// them may be reverted by itself (R22). Most evidence first, at most [`GUILTY_MAX`].
    pub alone: Vec<TenantId>,
    /// The figures as words, without SLO and wave.
    pub reason: String,
}

impl Evidence {
    /// The message of R30: SLO, wave, value, limit, window.
    pub fn sentence(&self, slo: &str, wave: &str) -> String {
        format!("{slo} of wave {wave}: {}", self.reason)
    }
}
