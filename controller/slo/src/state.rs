//! What is remembered between steps: pooled windows, coverage, the run out of bounds. Bounded, serialisable. Pure.

use breakwater_text::cut;
use serde::{Deserialize, Serialize};

use crate::compare::Comparison;
use crate::compare::detect::Detectable;
use crate::compare::encode::Stored;
use crate::compare::ordered::Ordered;
use crate::config::{Config, Kind, excess};
use crate::evidence::{Action, Coverage, Evidence, Guard, Verdict};
use crate::reading::{Arm, Discard, Reading, Sample, Series, Step, TenantId};
use crate::recent::{Recent, counted};
use crate::window::{Slot, Tally, Window};

/// Longest stored reason of a missing step, in bytes: it comes from the network.
const WHY_MAX_BYTES: usize = 200;

/// Everything the judge remembers of one SLO.
///
/// Serialised it is bounded whatever windows and steps are: for the default pairs 1.7 KB at 2,000 requests a minute,
/// 2.5 KB at 400,000; the comparison adds 0.7 to 2.5 KB. The short windows per tenant are not serialised; refill them with [`State::feed_recent`].
/// Equality is of what is serialised.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct State {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until_seconds: Option<i64>,
    /// When the first candidate was warm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) begun_seconds: Option<i64>,
    /// Steps evaluated since the candidate's first exposure.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) exposed_steps: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) windows: Vec<Window>,
    /// Events of warming tenants in this wave.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) warming: Tally,
    /// Why the newest step is missing; `None` when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) candidate: Coverage,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) baseline: Coverage,
    /// Since when the candidates' series are gone while the baseline's are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost_since_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_value: Option<LastValue>,
    /// The comparison under way; none before it was armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compared: Option<Stored>,
    #[serde(skip)]
    pub(crate) comparison: Comparison,
    #[serde(skip)]
    pub(crate) recent: Recent,
    /// The last step's order of samples, see [`Ordered`].
    #[serde(skip)]
    order: Vec<u32>,
}

/// The newest value of a `query`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastValue {
    #[serde(with = "exact")]
    pub(crate) value: f64,
    /// How long values have been out of bounds without a gap.
    pub(crate) out_seconds: i64,
}

/// A float as text that reads back to the same bits, which `serde_json`'s fast parser does not promise.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        let value: f64 = String::deserialize(from)?.parse().map_err(D::Error::custom)?;
        if value.is_finite() { Ok(value) } else { Err(D::Error::custom("value is not finite")) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            until_seconds,
            begun_seconds,
            exposed_steps,
            windows,
            warming,
            missing,
            candidate,
            baseline,
            lost_since_seconds,
            last_value,
            compared,
            comparison: _,
            recent: _,
            order: _,
        } = self;
        (*until_seconds, *begun_seconds, *exposed_steps)
            == (other.until_seconds, other.begun_seconds, other.exposed_steps)
            && (windows, warming, missing) == (&other.windows, &other.warming, &other.missing)
            && (candidate, baseline) == (&other.candidate, &other.baseline)
            && (lost_since_seconds, last_value) == (&other.lost_since_seconds, &other.last_value)
            && *compared == other.compared
    }
}

impl State {
    /// End of the last step fed, unix seconds.
    pub fn until_seconds(&self) -> Option<i64> {
        self.until_seconds
    }

    /// The first candidate is warm: from here on there is a verdict (R10), and no step is no data. Later calls change
    /// nothing. A sample of a candidate, or a value of a `query`, begins as well; a missing step cannot know.
    pub fn begin(&mut self, warm_seconds: i64) {
        self.begun_seconds.get_or_insert(warm_seconds);
    }

    /// A wave starts: its update cost counts from here.
    pub fn begin_wave(&mut self) {
        self.warming = Tally::default();
    }

    /// Evidence starts anew (verification after a revert, an edited SLO), with the comparison off. Steps that were fed stay
    /// fed. Whoever arms the comparison again gives it what is left of its share of alpha ([`crate::Compare::weight`]).
    pub fn restart(&mut self) {
        *self = Self { until_seconds: self.until_seconds, ..Self::default() };
    }

    /// Whether the comparison may speak, and what was frozen for the wave under way. Call it when a wave starts and
    /// after a restart of the process; a repeated call changes nothing. Steps that are fed while it is not armed are no
    /// evidence of the comparison, neither way.
    pub fn compare(&mut self, comparison: Comparison) {
        if let Comparison::Armed(frozen) = &comparison {
            self.compared.get_or_insert_with(Stored::begin).0.arm(frozen);
        }
        self.comparison = comparison;
    }

    /// Whether the comparison may speak, as it was said last.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// These tenants were reverted by themselves (R22): what is known against them no longer speaks against the release.
    ///
    /// The guards' windows and the update cost hold everybody's counts in one sum, so nobody knows what of it is whose: they
    /// fill anew, and until the shortest window is full nothing is `Healthy`. What the comparison knows of the others stays.
    pub fn forgive(&mut self, tenants: &[TenantId]) {
        if tenants.is_empty() {
            return;
        }
        self.windows.clear();
        self.warming = Tally::default();
        self.recent.forgive(tenants);
        if let Some(Stored(running)) = &mut self.compared {
            running.forgive(tenants);
        }
    }

    /// What would have been found with 95 % probability with the traffic of the wave under way.
    pub fn detectable(&self) -> Option<Detectable> {
        self.compared.as_ref().and_then(|Stored(running)| running.detect.detectable())
    }

    /// The wave's exposure has excluded a ratio of `must_detect` (R7): it would have been found by now. A wave without
    /// requests has excluded nothing.
    pub fn excluded(&self, must_detect: f64) -> bool {
        self.detectable().is_some_and(|detectable| detectable.excludes(must_detect))
    }

    /// Coverage of the baseline in the newest evaluated step: what R10 checks before there is a verdict.
    pub fn baseline_coverage(&self) -> Coverage {
        self.baseline
    }

    /// Takes one step. Each step once, in order: one that ends less than a step after the last one fed is ignored,
    /// since it was counted already. Steps that are left out count as missing.
    pub fn feed(&mut self, config: &Config, step: &Step<'_>) {
        let Step { end_seconds, reading, past: _, tails: _ } = *step;
        let step_seconds = config.step();
        if self.until_seconds.is_some_and(|until| end_seconds.saturating_sub(until) < step_seconds) {
            return;
        }
        let start_seconds = end_seconds.saturating_sub(step_seconds);
        let follows = self.until_seconds == Some(start_seconds);
        self.until_seconds = Some(end_seconds);
        match (config.kind, reading) {
            (Kind::Ratio { objective: _ }, Reading::Counts(samples)) if !samples.is_empty() => {
                let mut order = std::mem::take(&mut self.order);
                self.feed_counts(config, step, &Ordered::new(samples, &mut order));
                self.order = order;
            }
            (Kind::Limit { max, min, for_seconds: _ }, Reading::Values(values))
                if !values.is_empty() && values.iter().all(|value| value.is_finite()) =>
            {
                let run_seconds = self.last_value.filter(|_| follows).map_or(0, |last| last.out_seconds);
                self.feed_values(max, min, values, run_seconds, step_seconds, start_seconds);
            }
            (Kind::Ratio { .. } | Kind::Limit { .. }, Reading::Missing(why)) => {
                self.feed_missing(config, start_seconds, why);
            }
            (Kind::Ratio { .. }, Reading::Counts(_)) => {
                self.feed_missing(config, start_seconds, "no tenant in the answer");
            }
            (Kind::Limit { .. }, Reading::Values(_)) => {
                self.feed_missing(config, start_seconds, "empty, NaN or infinite");
            }
            (Kind::Ratio { .. }, Reading::Values(_)) | (Kind::Limit { .. }, Reading::Counts(_)) => {
                self.feed_missing(config, start_seconds, "the reading is not of the SLO's kind");
            }
        }
    }

    /// Refills the short windows per tenant after a restart of the process, with steps that were fed before: those that
    /// end in `(until_seconds - sharp.long, until_seconds]`, in order. Steps not yet fed are ignored.
    pub fn feed_recent(&mut self, config: &Config, step: &Step<'_>) {
        let Step { end_seconds, reading, past: _, tails: _ } = *step;
        if self.until_seconds.is_none_or(|until| end_seconds > until) {
            return;
        }
        match reading {
            Reading::Counts(samples) => {
                let ordered = Ordered::new(samples, &mut self.order);
                self.recent.feed(config, end_seconds, &ordered);
            }
            Reading::Values(_) | Reading::Missing(_) => {}
        }
    }

    fn feed_counts(&mut self, config: &Config, step: &Step<'_>, samples: &Ordered<'_>) {
        let end_seconds = step.end_seconds;
        let start_seconds = end_seconds.saturating_sub(config.step());
        let mut counts = Slot::default();
        (self.candidate, self.baseline) = (Coverage::default(), Coverage::default());
        for sample in samples.iter() {
            let tally = counted(sample).unwrap_or_default();
            match sample.arm {
                Arm::Candidate => {
                    counts.candidate.add(tally);
                    cover(&mut self.candidate, sample);
                }
                Arm::Baseline => {
                    counts.baseline.add(tally);
                    cover(&mut self.baseline, sample);
                }
                Arm::Warming => self.warming.add(tally),
            }
        }
        if self.candidate.tenants > 0 {
            self.begin(start_seconds);
        }
        if self.exposed_steps > 0 || !counts.candidate.is_empty() {
            self.exposed_steps = self.exposed_steps.saturating_add(1);
            counts.steps = 1;
        }
        self.missing = None;
        self.fit_windows(config);
        for window in &mut self.windows {
            window.add(start_seconds, counts);
        }
        self.recent.feed(config, end_seconds, samples);
        if let (Comparison::Armed(frozen), Some(Stored(running))) = (&self.comparison, &mut self.compared) {
            running.feed(config, frozen, step, samples);
        }
        let lost = self.candidate.is_low() && self.baseline.instrumented > 0 && !self.baseline.is_low();
        self.lost_since_seconds = lost.then(|| self.lost_since_seconds.unwrap_or(start_seconds));
    }

    fn feed_values(
        &mut self,
        max: Option<f64>,
        min: Option<f64>,
        values: &[f64],
        run_seconds: i64,
        step_seconds: i64,
        start_seconds: i64,
    ) {
        self.begin(start_seconds);
        let out = |value: f64| excess(max, min, value);
        // The value that is least out of bounds: the step is bad only if every value is.
        let Some(value) = values.iter().copied().min_by(|a, b| out(*a).total_cmp(&out(*b))) else {
            return;
        };
        let out_seconds = if out(value) > 0.0 { run_seconds.saturating_add(step_seconds) } else { 0 };
        self.last_value = Some(LastValue { value, out_seconds });
        self.missing = None;
    }

    fn feed_missing(&mut self, config: &Config, start_seconds: i64, why: &str) {
        self.missing = Some(cut::bytes(why, WHY_MAX_BYTES).to_owned());
        self.last_value = None;
        match config.kind {
            // The windows move on, with nothing evaluated: not zeros.
            Kind::Ratio { objective: _ } => {
                self.fit_windows(config);
                for window in &mut self.windows {
                    window.add(start_seconds, Slot::default());
                }
            }
            Kind::Limit { .. } => {}
        }
    }

    /// One window per distinct length of the configuration; others go.
    fn fit_windows(&mut self, config: &Config) {
        let step = config.step();
        let lengths = config.windows();
        self.windows.retain(|window| lengths.iter().any(|seconds| window.is(*seconds, step)));
        for seconds in lengths {
            if !self.windows.iter().any(|window| window.is(seconds, step)) {
                self.windows.push(Window::new(seconds, step));
            }
        }
    }

    /// Evidence of this state without figures.
    pub(crate) fn plain(
        &self,
        verdict: Verdict,
        action: Action,
        guard: Option<Guard>,
        reason: String,
    ) -> Evidence {
        Evidence {
            verdict,
            action,
            guard,
            value: None,
            baseline: None,
            limit: None,
            window_seconds: 0,
            requests: 0.0,
            bad: 0.0,
            guilty: Vec::new(),
            guilty_total: 0,
            exempt: false,
            coverage: self.candidate,
            baseline_coverage: self.baseline,
            ln_e: None,
            ln_limit: None,
            detectable: None,
            alone: Vec::new(),
            reason,
        }
    }

    /// What the candidates had over the window of this length without its worst minute, or whatever the sharp path calls short.
    pub(crate) fn lasting(&self, seconds: i64, config: &Config, limit: f64) -> Tally {
        let found = self.windows.iter().find(|window| window.is(seconds, config.step()));
        found.map(|window| window.lasting(config.sharp.short_seconds, limit)).unwrap_or_default()
    }

    /// Sum over the window of this length; nothing where there is none.
    pub(crate) fn sum(&self, seconds: i64, step_seconds: i64) -> Slot {
        self.windows
            .iter()
            .find(|window| window.is(seconds, step_seconds))
            .map(Window::sum)
            .unwrap_or_default()
    }
}

fn cover(coverage: &mut Coverage, sample: &Sample) {
    let covered = match sample.series {
        Series::Counted(counts) => crate::reading::Counts::checked(counts.bad, counts.total).is_ok(),
        Series::Idle | Series::Discarded(Discard::Restart) => true,
        Series::Absent | Series::Discarded(Discard::Invalid) => false,
    };
    coverage.tenants = coverage.tenants.saturating_add(1);
    coverage.exempt = coverage.exempt.saturating_add(u32::from(sample.burned_before));
    coverage.instrumented = coverage.instrumented.saturating_add(u32::from(sample.instrumented));
    coverage.covered = coverage.covered.saturating_add(u32::from(sample.instrumented && covered));
    coverage.never_instrumented =
        coverage.never_instrumented.saturating_add(u32::from(!sample.instrumented && !covered));
}
