//! One SLO in one wave, replayed: the judge as it is, and beside it the same judge on the same steps with a fault put in.
//! Pure; the judge is the controller's ([`breakwater_slo::State`]).
//!
//! Until its fault begins, a judge has seen what the healthy one has: it is a copy of that one.

use breakwater_crds::{RolloutSpec, rollout::Baseline};
use breakwater_plan::{
    comparing::{design_of, weeks},
    guard_reason,
    observed::Counted,
    study::{Sampler, Week},
};
use breakwater_slo::{
    Action, Against, Arm, Comparison, Config, Counts, Evidence, Learned, Profile, Reading, Sample, Series,
    State, Step, TenantId, Verdict, combine,
};
use jiff::Timestamp;

use super::{
    inject::{self, Inject},
    outcome::{Alarm, Calibration, FaultOutcome, Found, Track, WaveOutcome},
    split::Split,
};

/// Most alarms that are kept: each guard's first.
const ALARMS_MAX: usize = 16;
/// What a step without series is.
const MISSING: &str = "no tenant in the answer";

/// What is tried.
#[derive(Debug, Clone)]
pub struct Trial<'a> {
    /// The Rollout's spec.
    pub spec: &'a RolloutSpec,
    /// Name of the SLO.
    pub slo: &'a str,
    /// Its judge, with the step in which it is read; windows are whole steps.
    pub config: &'a Config,
    /// What is usual by the tenants.
    pub week: &'a Week,
    /// After this the judge is tried, unix seconds.
    pub from_seconds: i64,
    /// Up to this.
    pub until_seconds: i64,
    /// The faults.
    pub injects: &'a [Inject],
    /// Seed of the faults' draws.
    pub seed: u64,
    /// The threshold of a latency, in seconds.
    pub threshold_seconds: Option<f64>,
}

/// A wave under trial.
pub struct Watch<'a> {
    trial: &'a Trial<'a>,
    split: &'a Split,
    sampler: Sampler<'a>,
    samples: Vec<Sample>,
    healthy: State,
    profile: Option<Profile>,
    faults: Vec<Fault>,
    outcome: WaveOutcome,
    /// Per step `ln E` of the healthy judge, for [`together`].
    said: Vec<(i64, f64)>,
}

/// A judge with a fault.
struct Fault {
    inject: Inject,
    starts_seconds: i64,
    tenants: Vec<TenantId>,
    /// `None` before the fault begins, and after it was found.
    state: Option<State>,
    samples: Vec<Sample>,
    /// Events that the fault spoils in the present step, by sample.
    extras: Vec<f64>,
    extra: f64,
}

impl<'a> Watch<'a> {
    /// Arms a wave's judge with what the part before taught, or says why it could not be.
    pub fn new(trial: &'a Trial<'a>, split: &'a Split, learned: Option<Result<Learned, String>>) -> Self {
        let shape = learned.as_ref().and_then(|learned| learned.as_ref().ok()?.shape.clone());
        let (design, phi, profile, comparison, calibration) = armed(trial.spec, split, learned);
        let mut healthy = State::default();
        healthy.begin(trial.from_seconds);
        healthy.compare(comparison);
        let track = Track::new(trial.from_seconds, trial.until_seconds, trial.config.step_seconds);
        let mut outcome = WaveOutcome {
            wave: split.name.clone(),
            soak_seconds: trial.spec.waves.get(split.wave).map_or(0, |wave| wave.soak.as_seconds()),
            candidates: split.candidates.len(),
            baseline: split.baseline,
            against: design.map(word),
            calibration,
            phi,
            shape_edges: shape.map_or_else(Vec::new, |edges| edges.seconds),
            steps: 0,
            missing_steps: 0,
            no_data_steps: 0,
            held_steps: 0,
            detectable: None,
            alarms: Vec::new(),
            faults: Vec::new(),
            track,
        };
        let has_baseline = split.baseline > 0 || design == Some(Against::History { chosen: true });
        let faults: Vec<Fault> =
            trial.injects.iter().map(|inject| Fault::new(trial, split, *inject)).collect();
        outcome.faults = faults.iter().map(|fault| fault.outcome(trial, has_baseline)).collect();
        outcome.track.fault = shown(&outcome.faults, trial.spec.judge.must_detect);
        let sampler = Sampler::new(trial.config, &split.arms, trial.week, trial.config.step_seconds);
        Self {
            trial,
            split,
            sampler,
            samples: Vec::new(),
            healthy,
            profile,
            faults,
            outcome,
            said: Vec::new(),
        }
    }

    /// Takes one step, in order.
    pub fn step(&mut self, end_seconds: i64, counted: &Counted) {
        let config = self.trial.config;
        let is_missing = counted.as_slice().is_empty();
        self.outcome.steps += 1;
        self.outcome.missing_steps += u64::from(is_missing);
        for fault in &mut self.faults {
            fault.begin(&self.healthy, end_seconds - config.step_seconds);
        }
        self.sampler.take(counted, &mut self.samples);
        let past = self
            .profile
            .as_ref()
            .and_then(|profile| profile.past(end_seconds, config.step_seconds, weeks(self.trial.spec)));
        let reading = if is_missing { Reading::Missing(MISSING) } else { Reading::Counts(&self.samples) };
        let tails = self.sampler.tails(counted, &self.samples, |_, _, above| above);
        self.healthy.feed(config, &Step { past, tails: &tails, ..Step::new(end_seconds, reading) });
        let healthy = self.healthy.evidence(config, end_seconds);
        self.draw(end_seconds);
        if let Some(evidence) = &healthy {
            self.hear(end_seconds, evidence);
        }
        for at in 0..self.faults.len() {
            let read = (&self.sampler, counted, &self.samples[..]);
            let heard = self.faults[at].step(self.trial, end_seconds, (past, is_missing), read);
            if self.outcome.track.fault == Some(at) {
                self.draw_fault(at, end_seconds);
            }
            if let Some(evidence) = heard {
                self.notice(at, end_seconds, &evidence, healthy.as_ref());
            }
        }
    }

    /// What it came to, and what the healthy judge said step by step.
    pub fn finish(self) -> (WaveOutcome, Vec<(i64, f64)>) {
        (
            WaveOutcome { detectable: self.healthy.detectable().and_then(|seen| seen.ratio), ..self.outcome },
            self.said,
        )
    }

    /// What the healthy judge says.
    fn hear(&mut self, end_seconds: i64, evidence: &Evidence) {
        let outcome = &mut self.outcome;
        outcome.no_data_steps += u64::from(evidence.verdict == Verdict::NoData);
        match evidence.action {
            Action::None => {}
            Action::Hold => outcome.held_steps += 1,
            Action::Deviate => {
                let guard = guard_reason(evidence);
                let is_new = outcome.alarms.iter().all(|alarm| alarm.guard != guard);
                if is_new && outcome.alarms.len() < ALARMS_MAX {
                    let sentence = evidence.sentence(self.trial.slo, &self.split.name);
                    outcome.alarms.push(Alarm { at: instant(end_seconds), guard, sentence });
                }
            }
        }
        match evidence.verdict {
            Verdict::NoData | Verdict::Uncalibrated => {}
            Verdict::Healthy | Verdict::Inconclusive | Verdict::Deviating => {
                self.said.extend(evidence.ln_e.map(|ln_e| (end_seconds, ln_e)));
            }
        }
    }

    /// What a judge with a fault says that the healthy one does not.
    fn notice(&mut self, at: usize, end_seconds: i64, evidence: &Evidence, healthy: Option<&Evidence>) {
        let healthy = healthy.map_or(Action::None, |healthy| healthy.action);
        if evidence.action <= healthy {
            return;
        }
        let fault = &mut self.faults[at];
        let found = Found {
            at: instant(end_seconds),
            after_seconds: end_seconds - fault.starts_seconds,
            guard: guard_reason(evidence),
            sentence: evidence.sentence(self.trial.slo, &self.split.name),
            bad_requests: fault.extra,
        };
        let outcome = &mut self.outcome.faults[at];
        match evidence.action {
            Action::None => {}
            Action::Hold => {
                outcome.held.get_or_insert(found);
            }
            Action::Deviate => {
                outcome.found = Some(found);
                fault.state = None;
            }
        }
    }

    fn draw(&mut self, end_seconds: i64) {
        for sample in &self.samples {
            let line = match sample.arm {
                Arm::Candidate => 0,
                Arm::Baseline => 1,
                Arm::Warming => continue,
            };
            self.outcome.track.add(end_seconds, line, counts(sample));
        }
    }

    fn draw_fault(&mut self, at: usize, end_seconds: i64) {
        for sample in &self.faults[at].samples {
            if sample.arm == Arm::Candidate {
                self.outcome.track.add(end_seconds, 2, counts(sample));
            }
        }
    }
}

impl Fault {
    fn new(trial: &Trial<'_>, split: &Split, inject: Inject) -> Self {
        let step = trial.config.step_seconds.max(1);
        let start = inject.start.map_or_else(|| usual_start(trial), breakwater_crds::Span::as_seconds);
        Self {
            inject,
            starts_seconds: (trial.from_seconds + start + step - 1).div_euclid(step) * step,
            tenants: inject::faulted(&split.candidates, inject.tenant_share, trial.seed),
            state: None,
            samples: Vec::new(),
            extras: Vec::new(),
            extra: 0.0,
        }
    }

    fn outcome(&self, trial: &Trial<'_>, has_baseline: bool) -> FaultOutcome {
        let mut usual = Counts::default();
        for counts in self.tenants.iter().filter_map(|tenant| trial.week.counts().get(*tenant)) {
            usual.bad += counts.bad;
            usual.total += counts.total;
        }
        let factor = self.inject.factor(usual);
        FaultOutcome {
            fault: Inject { start: None, ..self.inject }.to_string(),
            factor,
            starts_at: instant(self.starts_seconds),
            tenants: self.tenants.len(),
            // What is bad where nothing ever was is more than any multiple.
            must_be_found: has_baseline && factor.is_none_or(|factor| factor >= trial.spec.judge.must_detect),
            found: None,
            held: None,
        }
    }

    /// Takes over from the healthy judge where the fault begins.
    fn begin(&mut self, healthy: &State, start_seconds: i64) {
        if start_seconds == self.starts_seconds {
            self.state = Some(healthy.clone());
        }
    }

    /// Feeds the step with the fault in it.
    fn step(
        &mut self,
        trial: &Trial<'_>,
        end_seconds: i64,
        (past, is_missing): (Option<breakwater_slo::Past>, bool),
        (by, counted, samples): (&Sampler<'_>, &Counted, &[Sample]),
    ) -> Option<Evidence> {
        self.samples.clear();
        let state = self.state.as_mut()?;
        if !is_missing {
            self.samples.extend_from_slice(samples);
        }
        self.extras.clear();
        self.extras.resize(self.samples.len(), 0.0);
        for (sample, spoilt) in self.samples.iter_mut().zip(&mut self.extras) {
            if let Series::Counted(counts) = &mut sample.series
                && self.tenants.binary_search(&sample.tenant).is_ok()
            {
                let draw = inject::draw(trial.seed, sample.tenant, end_seconds);
                let extra = self.inject.extra(*counts, draw);
                counts.bad += extra;
                self.extra += extra;
                *spoilt = extra;
            }
        }
        let slower = |at: usize, edge: f64, above: f64| {
            let is_below = trial.threshold_seconds.is_some_and(|threshold| edge < threshold);
            let extra = if is_below { self.extras[at] } else { 0.0 };
            above + slower_below(counts(&self.samples[at]), extra, above)
        };
        let tails = by.tails(counted, &self.samples, slower);
        let reading = if is_missing { Reading::Missing(MISSING) } else { Reading::Counts(&self.samples) };
        state.feed(trial.config, &Step { past, tails: &tails, ..Step::new(end_seconds, reading) });
        state.evidence(trial.config, end_seconds)
    }
}

/// How many more requests are above an edge below the threshold when `extra` good ones are pushed over the threshold:
/// those that were below the edge, in proportion. `now` are the counts with the fault in them. How much slower than the
/// threshold they are nobody says, so nothing is added above it.
fn slower_below(now: Counts, extra: f64, above: f64) -> f64 {
    let good_before = now.total - now.bad + extra;
    if good_before > 0.0 { extra * ((now.total - above) / good_before).clamp(0.0, 1.0) } else { 0.0 }
}

/// A day after the watching begins, or a quarter of it where that is short.
fn usual_start(trial: &Trial<'_>) -> i64 {
    ((trial.until_seconds - trial.from_seconds) / 4).min(86_400)
}

type Armed = (Option<Against>, Option<f64>, Option<Profile>, Comparison, Calibration);

/// The comparison as the controller would arm it for this wave.
fn armed(spec: &RolloutSpec, split: &Split, learned: Option<Result<Learned, String>>) -> Armed {
    let learned = match learned {
        None => return (None, None, None, Comparison::Off, Calibration::Off),
        Some(Err(reason)) => {
            let calibration = Calibration::NoHistory { reason: reason.clone() };
            return (None, None, None, Comparison::Pending(reason), calibration);
        }
        Some(Ok(learned)) => learned,
    };
    let design = design_of(spec, split.wave, split.baseline == 0, split.begun.clone(), split.own().len());
    let against = design.against;
    let calibration = match &learned.doubt {
        None => Calibration::Armed,
        Some(doubt) => Calibration::Uncalibrated { reason: doubt.reason.clone() },
    };
    let comparison = learned.comparison(design);
    (Some(against), Some(learned.phi), Some(learned.profile), comparison, calibration)
}

/// Where several SLOs of one wave, each of them short of its limit, pass it together: the first time. `slos` are their
/// weights and what each said, step by step.
pub fn together(slos: &[(f64, &[(i64, f64)])], alpha: f64) -> Option<i64> {
    let mut ends: Vec<i64> = slos.iter().flat_map(|(_, said)| said.iter().map(|(end, _)| *end)).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut next = vec![0_usize; slos.len()];
    ends.into_iter().find(|end| {
        let mut now = Vec::with_capacity(slos.len());
        for ((weight, said), next) in slos.iter().zip(&mut next) {
            while said.get(*next).is_some_and(|(at, _)| at <= end) {
                *next += 1;
            }
            now.extend(next.checked_sub(1).map(|last| (*weight, said[last].1)));
        }
        combine(&now, alpha).deviates
    })
}

/// The fault that a chart shows: the smallest of `mustDetect` or more, or else the largest.
fn shown(faults: &[FaultOutcome], must_detect: f64) -> Option<usize> {
    let size = |at: &usize| faults[*at].factor.unwrap_or(f64::INFINITY);
    let large = (0..faults.len()).filter(|at| size(at) >= must_detect);
    let smallest = large.min_by(|a, b| size(a).total_cmp(&size(b)));
    smallest.or_else(|| (0..faults.len()).max_by(|a, b| size(a).total_cmp(&size(b))))
}

fn counts(sample: &Sample) -> Counts {
    match sample.series {
        Series::Counted(counts) => counts,
        Series::Idle | Series::Absent | Series::Discarded(_) => Counts::default(),
    }
}

const fn word(against: Against) -> Baseline {
    match against {
        Against::Others => Baseline::Others,
        Against::History { .. } => Baseline::History,
        Against::Both => Baseline::Both,
    }
}

/// Unix seconds as an instant.
pub fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests;
