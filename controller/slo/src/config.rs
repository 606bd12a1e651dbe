//! What is watched and what makes it a deviation; mirrors `spec.slos[]`, checked once. Pure.

use serde::{Deserialize, Serialize};

/// Longest window: beyond it a rollout is over, and Prometheus has forgotten.
const WINDOW_MAX_SECONDS: i64 = 30 * 86_400;

/// Configuration of one SLO. Windows are in seconds, ratios in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Counts against an objective, or values against bounds.
    pub kind: Kind,
    /// Length of one step.
    pub step_seconds: i64,
    /// How much later than usual steps are there, by the nature of the metric.
    pub delay_seconds: i64,
    /// Pairs that deviate. Used by [`Kind::Ratio`] only, as all below.
    pub page: Vec<Pair>,
    /// Pairs that hold.
    pub hold: Vec<Pair>,
    /// The sharp path.
    pub sharp: Sharp,
    /// Share of bad events during warm-up, per wave, above which it holds. In `(0, 1]`.
    pub update_cost_max: f64,
    /// The comparison with a baseline (analysis.md 2).
    pub compare: Compare,
}

/// What the comparison of one SLO tolerates, and what certainty it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compare {
    /// `margin.ratio`, `r0`: a candidate with this many times the baseline's share of bad events is as good. At least 1.
    pub ratio: f64,
    /// `margin.absolute`, `d`: a share of bad events that is tolerated on top, in `[0, 1)`. `None`: a tenth of the
    /// error budget, `0.1 * (1 - objective)`.
    pub absolute: Option<f64>,
    /// Probability of ever reverting for nothing, of the whole release (all its SLOs, all its waves). In `(0, 1)`.
    pub alpha: f64,
    /// The SLO's share `v` of the release's alpha, in `(0, 1]`: the shares of a release's SLOs sum to at most 1.
    /// Evidence that starts anew (an edited SLO, R9) must come with what is left of the share, half of it say.
    pub weight: f64,
    /// Half of the evidence is the shape of the latency: the steps of this SLO carry [`crate::Tail`]s.
    pub shape: bool,
    /// A tenth of the evidence is traffic that vanishes: baseline tenants keep more than this many times the
    /// candidates' share of their usual successes (at least 1). `None`: traffic is not compared.
    pub traffic: Option<f64>,
}

impl Default for Compare {
    fn default() -> Self {
        Self { ratio: 1.2, absolute: None, alpha: 0.01, weight: 1.0, shape: false, traffic: None }
    }
}

/// The two kinds of SLO.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Share of good events (availability, latency under a threshold).
    Ratio {
        /// Promised share of good events, in `(0, 1)`.
        objective: f64,
    },
    /// Any number (`query`), against bounds.
    Limit {
        /// Above this is bad.
        max: Option<f64>,
        /// Below this is bad.
        min: Option<f64>,
        /// How long every value must have been bad, without a gap.
        for_seconds: i64,
    },
}

/// Two windows that must both burn at `factor` or more (Google SRE Workbook, chapter 5, table 5-8).
///
/// `burn = (bad / total) / (1 - objective)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The long window.
    pub long_seconds: i64,
    /// The short window, by which the pair falls silent soon after the harm ends.
    pub short_seconds: i64,
    /// Multiple of the error budget's even consumption.
    pub factor: f64,
}

/// The sharp path: plain damage, found within minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sharp {
    /// The long window.
    pub long_seconds: i64,
    /// The short window.
    pub short_seconds: i64,
    /// Burn rate in both windows.
    pub factor: f64,
    /// Least number of bad events in the long window.
    pub min_bad: u32,
}

/// A refused field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// Path of the field below `spec.slos[]`, such as `burnRate.page[1].factor`.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Not between 0 and 1.
    #[error("{0} must lie between 0 and 1")]
    NotAShare(f64),
    /// Not a finite number above zero.
    #[error("{0} must be a finite number above zero")]
    NotPositive(f64),
    /// Below 1, or not a finite number.
    #[error("{0} must be a finite number of at least 1")]
    BelowOne(f64),
    /// Not a finite number.
    #[error("{0} must be a finite number")]
    NotFinite(f64),
    /// Not a number of seconds above zero.
    #[error("{0}s must be above zero")]
    NoTime(i64),
    /// Shorter than one step.
    #[error("{seconds}s is shorter than a step of {step_seconds}s")]
    ShorterThanStep {
        /// The window.
        seconds: i64,
        /// The step.
        step_seconds: i64,
    },
    /// Not a whole number of steps.
    #[error("{seconds}s is no multiple of the step of {step_seconds}s")]
    NotWholeSteps {
        /// The window.
        seconds: i64,
        /// The step.
        step_seconds: i64,
    },
    /// Longer than 30 days.
    #[error("{0}s is longer than {WINDOW_MAX_SECONDS}s (30d)")]
    TooLong(i64),
    /// The short window exceeds the long one.
    #[error("{short_seconds}s is longer than the long window of {long_seconds}s")]
    ShortAboveLong {
        /// The short window.
        short_seconds: i64,
        /// The long window.
        long_seconds: i64,
    },
    /// Cannot be reached: even if every event were bad.
    #[error(
        "a burn rate of {factor} cannot be reached with an objective of {objective}: \
        its limit of bad events is {limit_percent:.1}%"
    )]
    Unreachable {
        /// The factor.
        factor: f64,
        /// The objective, in `(0, 1)`.
        objective: f64,
        /// `100 * factor * (1 - objective)`.
        limit_percent: f64,
    },
    /// No event would be enough.
    #[error("must be at least 1")]
    Zero,
    /// Neither `max` nor `min`.
    #[error("needs max or min")]
    NoBound,
    /// The bounds leave nothing between them.
    #[error("min {min} is above max {max}")]
    Crossed {
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
}

impl Config {
    /// The defaults of `spec.slos[]` for counts against `objective`.
    pub fn ratio(objective: f64, step_seconds: i64) -> Self {
        let pair = |long_seconds, short_seconds, factor| Pair { long_seconds, short_seconds, factor };
        Self {
            kind: Kind::Ratio { objective },
            step_seconds,
            delay_seconds: 0,
            page: vec![pair(3_600, 300, 14.4), pair(21_600, 1_800, 6.0)],
            hold: vec![pair(86_400, 7_200, 3.0), pair(259_200, 21_600, 1.0)],
            sharp: Sharp { long_seconds: 300, short_seconds: 60, factor: 14.4, min_bad: 10 },
            update_cost_max: 0.05,
            compare: Compare::default(),
        }
    }

    /// The same with every window rounded up to whole steps, one at least: for windows that nobody chose, under a step
    /// that `auto` chose (a scrape a minute makes a step of 4m, which does not divide 5m).
    #[must_use]
    pub fn rounded_to_steps(mut self) -> Self {
        let step = self.step_seconds.max(1);
        let up = |seconds: &mut i64| *seconds = whole_steps(*seconds, step).saturating_mul(step);
        for pair in self.page.iter_mut().chain(&mut self.hold) {
            up(&mut pair.long_seconds);
            up(&mut pair.short_seconds);
        }
        up(&mut self.sharp.long_seconds);
        up(&mut self.sharp.short_seconds);
        match &mut self.kind {
            Kind::Ratio { objective: _ } => {}
            Kind::Limit { max: _, min: _, for_seconds } => up(for_seconds),
        }
        self
    }

    /// Length of a step, never zero, so that an unchecked configuration cannot divide by it.
    pub(crate) fn step(&self) -> i64 {
        self.step_seconds.max(1)
    }

    /// `d`: the share of bad events that is tolerated on top of `ratio` times the baseline's.
    pub(crate) fn absolute(&self) -> f64 {
        let auto = match self.kind {
            Kind::Ratio { objective } => 0.1 * (1.0 - objective),
            Kind::Limit { .. } => 0.0,
        };
        self.compare.absolute.unwrap_or(auto)
    }

    /// Distinct window lengths, ascending.
    pub(crate) fn windows(&self) -> Vec<i64> {
        let pairs =
            self.page.iter().chain(&self.hold).flat_map(|pair| [pair.long_seconds, pair.short_seconds]);
        let mut all: Vec<i64> = pairs.chain([self.sharp.long_seconds, self.sharp.short_seconds]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Steps that cover `seconds`, at least one.
pub(crate) fn whole_steps(seconds: i64, step_seconds: i64) -> i64 {
    let step = step_seconds.max(1);
    let seconds = seconds.max(1);
    seconds / step + i64::from(seconds % step != 0)
}

/// How far a value is out of bounds; zero or less where it is not.
pub(crate) fn excess(max: Option<f64>, min: Option<f64>, value: f64) -> f64 {
    let above = max.map_or(f64::NEG_INFINITY, |max| value - max);
    let below = min.map_or(f64::NEG_INFINITY, |min| min - value);
    above.max(below)
}

/// Checks a configuration; the error names the first refused field as `spec.slos[]` calls it.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let Config { kind, step_seconds, delay_seconds: _, page, hold, sharp, update_cost_max, compare } = config;
    refuse(*step_seconds < 1, "step", || Problem::NoTime(*step_seconds))?;
    match *kind {
        Kind::Ratio { objective } => {
            let share = objective.is_finite() && objective > 0.0 && objective < 1.0;
            refuse(!share, "objective", || Problem::NotAShare(objective))?;
            for (list, pairs) in [("page", page), ("hold", hold)] {
                for (index, pair) in pairs.iter().enumerate() {
                    check_pair(pair, &format!("burnRate.{list}[{index}]"), objective, *step_seconds)?;
                }
            }
            let Sharp { long_seconds, short_seconds, factor, min_bad } = *sharp;
            check_pair(&Pair { long_seconds, short_seconds, factor }, "sharp", objective, *step_seconds)?;
            refuse(min_bad == 0, "sharp.minBad", || Problem::Zero)?;
            let cost = *update_cost_max;
            refuse(!(cost > 0.0 && cost <= 1.0), "updateCost.max", || Problem::NotAShare(cost))?;
            check_compare(compare)
        }
        Kind::Limit { max, min, for_seconds } => {
            refuse(max.is_none() && min.is_none(), "limit", || Problem::NoBound)?;
            for (field, bound) in [("limit.max", max), ("limit.min", min)] {
                let bound = bound.unwrap_or(0.0);
                refuse(!bound.is_finite(), field, || Problem::NotFinite(bound))?;
            }
            if let (Some(min), Some(max)) = (min, max) {
                refuse(min > max, "limit.min", || Problem::Crossed { min, max })?;
            }
            check_window(for_seconds, "limit.for", *step_seconds)
        }
    }
}

fn check_compare(compare: &Compare) -> Result<(), ConfigError> {
    let Compare { ratio, absolute, alpha, weight, shape: _, traffic } = *compare;
    refuse(!(ratio.is_finite() && ratio >= 1.0), "margin.ratio", || Problem::BelowOne(ratio))?;
    let absolute = absolute.unwrap_or(0.0);
    refuse(!(0.0..1.0).contains(&absolute), "margin.absolute", || Problem::NotAShare(absolute))?;
    refuse(!(alpha > 0.0 && alpha < 1.0), "alpha", || Problem::NotAShare(alpha))?;
    refuse(!(weight > 0.0 && weight <= 1.0), "weight", || Problem::NotAShare(weight))?;
    let traffic = traffic.unwrap_or(1.0);
    refuse(!(traffic.is_finite() && traffic >= 1.0), "traffic", || Problem::BelowOne(traffic))
}

fn check_pair(pair: &Pair, at: &str, objective: f64, step_seconds: i64) -> Result<(), ConfigError> {
    let Pair { long_seconds, short_seconds, factor } = *pair;
    check_window(long_seconds, &format!("{at}.long"), step_seconds)?;
    check_window(short_seconds, &format!("{at}.short"), step_seconds)?;
    let crossed = || Problem::ShortAboveLong { short_seconds, long_seconds };
    refuse(short_seconds > long_seconds, &format!("{at}.short"), crossed)?;
    let at = format!("{at}.factor");
    refuse(!factor.is_finite() || factor <= 0.0, &at, || Problem::NotPositive(factor))?;
    let limit = factor * (1.0 - objective);
    refuse(limit >= 1.0, &at, || Problem::Unreachable { factor, objective, limit_percent: limit * 100.0 })
}

fn check_window(seconds: i64, field: &str, step_seconds: i64) -> Result<(), ConfigError> {
    refuse(seconds < 1, field, || Problem::NoTime(seconds))?;
    refuse(seconds < step_seconds, field, || Problem::ShorterThanStep { seconds, step_seconds })?;
    refuse(seconds % step_seconds != 0, field, || Problem::NotWholeSteps { seconds, step_seconds })?;
    refuse(seconds > WINDOW_MAX_SECONDS, field, || Problem::TooLong(seconds))
}

fn refuse(wrong: bool, field: &str, problem: impl FnOnce() -> Problem) -> Result<(), ConfigError> {
    if wrong { Err(ConfigError { field: field.to_owned(), problem: problem() }) } else { Ok(()) }
}
