//! One SLO in one wave, replayed: the judge as it is, and beside it the same judge on the same steps with a fault put in.
//! Pure; the judge is the controller's ([`breakwater_slo::State`]).
//!
//! Until its fault begins, a judge has seen what the healthy one has: it is a copy of that one.

use breakwater_crds::RolloutSpec;
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
    extra: f64,
}

impl<'a> Watch<'a> {
    /// Arms a wave's judge with what the part before taught, or says why it could not be.
    pub fn new(trial: &'a Trial<'a>, split: &'a Split, learned: Option<Result<Learned, String>>) -> Self {
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
        self.healthy.feed(config, &Step { past, ..Step::new(end_seconds, reading) });
        let healthy = self.healthy.evidence(config, end_seconds);
        self.draw(end_seconds);
        if let Some(evidence) = &healthy {
            self.hear(end_seconds, evidence);
        }
        for at in 0..self.faults.len() {
            let heard = self.faults[at].step(self.trial, end_seconds, (past, is_missing), &self.samples);
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
        (WaveOutcome { detectable: self.healthy.detectable(), ..self.outcome }, self.said)
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
        samples: &[Sample],
    ) -> Option<Evidence> {
        self.samples.clear();
        let state = self.state.as_mut()?;
        if !is_missing {
            self.samples.extend_from_slice(samples);
        }
        for sample in &mut self.samples {
            if let Series::Counted(counts) = &mut sample.series
                && self.tenants.binary_search(&sample.tenant).is_ok()
            {
                let draw = inject::draw(trial.seed, sample.tenant, end_seconds);
                let extra = self.inject.extra(*counts, draw);
                counts.bad += extra;
                self.extra += extra;
            }
        }
        let reading = if is_missing { Reading::Missing(MISSING) } else { Reading::Counts(&self.samples) };
        state.feed(trial.config, &Step { past, ..Step::new(end_seconds, reading) });
        state.evidence(trial.config, end_seconds)
    }
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

const fn word(against: Against) -> &'static str {
    match against {
        Against::Others => "Others",
        Against::History { .. } => "History",
        Against::Both => "Both",
    }
}

/// Unix seconds as an instant.
pub fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use breakwater_plan::observed::ByTenant;
    use breakwater_slo::{Design, Learner, Members};

    use super::*;

    const STEP: i64 = 300;
    const DAYS: i64 = 4;

    fn spec() -> RolloutSpec {
        let text = "{version: 1.0.0, tenants: {resource: {apiVersion: apps/v1, kind: Deployment}, selector: {}}, \
                    slos: [], waves: [{name: early, percent: 40, soak: 1d}, {name: rest, soak: 1d}]}";
        serde_yaml::from_str(text).unwrap()
    }

    fn split() -> Split {
        let arm = |tenant| if tenant < 8 { Arm::Candidate } else { Arm::Baseline };
        let candidates: Vec<TenantId> = (0..8).map(TenantId).collect();
        Split {
            wave: 0,
            name: "early".into(),
            arms: (0..20).map(|tenant| (TenantId(tenant), arm(tenant))).collect(),
            begun: vec![candidates.clone().into()],
            candidates,
            baseline: 12,
        }
    }

    /// A step of twenty tenants, a thousand requests each, four or so of them bad; candidates' times `times`.
    fn step(end_seconds: i64, times: f64) -> Counted {
        (0..20)
            .map(|tenant| {
                let noise = (inject::draw(1, TenantId(tenant), end_seconds) * 5.0).floor() + 2.0;
                let bad = if tenant < 8 { noise * times } else { noise };
                (TenantId(tenant), Series::Counted(Counts { bad, total: 1_000.0 }))
            })
            .collect()
    }

    fn week() -> Week {
        let usual = Counts { bad: 8_064.0, total: 2_016_000.0 };
        Week::new((0..20).map(|tenant| (TenantId(tenant), usual)).collect())
    }

    fn learned() -> Learned {
        let config = Config::ratio(0.99, STEP);
        let members: Members = split().own();
        let design =
            Design { against: Against::Others, planned_hours: 100, planned_waves: 2, waves: vec![members] };
        let (week, split) = (week(), split());
        let sampler = Sampler::new(&config, &split.arms, &week, STEP);
        let mut learner = Learner::new(config.clone(), design, 0, DAYS * 86_400);
        let mut read = Vec::new();
        for end in (1..=DAYS * 86_400 / STEP).map(|n| n * STEP) {
            sampler.take(&step(end, 1.0), &mut read);
            learner.step(end, &read);
        }
        learner.finish().unwrap()
    }

    fn tried(learned: Option<Result<Learned, String>>, counted: impl Fn(i64) -> Counted) -> WaveOutcome {
        let (spec, config, week, split) = (spec(), Config::ratio(0.99, STEP), week(), split());
        let injects: Vec<Inject> =
            ["1.1x", "3x", "10x@tenant-share=10%,start=6h", "+2%"].map(|text| text.parse().unwrap()).into();
        let from_seconds = DAYS * 86_400;
        let trial = Trial {
            spec: &spec,
            slo: "errors",
            config: &config,
            week: &week,
            from_seconds,
            until_seconds: from_seconds + 2 * 86_400,
            injects: &injects,
            seed: 0,
        };
        let mut watch = Watch::new(&trial, &split, learned);
        for end in (1..=2 * 86_400 / STEP).map(|n| from_seconds + n * STEP) {
            watch.step(end, &counted(end));
        }
        watch.finish().0
    }

    #[test]
    fn a_quiet_past_is_no_alarm_and_faults_are_caught_the_sooner_the_larger_they_are() {
        let outcome = tried(Some(Ok(learned())), |end| step(end, 1.0));
        assert!(outcome.is_good() && outcome.alarms.is_empty() && outcome.held_steps == 0, "{outcome:?}");
        let after: Vec<Option<i64>> = outcome
            .faults
            .iter()
            .map(|fault| fault.found.as_ref().map(|found| found.after_seconds))
            .collect();
        assert_eq!(after[0], None, "within the margin");
        assert!(after[1] >= after[3] && after[3].is_some(), "{after:?}");
        let (one, threefold) = (&outcome.faults[2], &outcome.faults[1]);
        assert_eq!((one.tenants, one.starts_at), (1, instant(DAYS * 86_400 + 21_600)));
        assert_eq!(threefold.starts_at, instant(DAYS * 86_400 + 43_200), "a quarter of two days");
        let found = threefold.found.as_ref().unwrap();
        assert!(
            found.bad_requests > 30.0 && found.sentence.starts_with("errors of wave early: "),
            "{found:?}"
        );
        assert!(threefold.must_be_found && !outcome.faults[0].must_be_found);
    }

    #[test]
    fn arms_that_part_by_themselves_are_an_alarm_and_hide_a_fault_that_is_no_worse() {
        let parts = DAYS * 86_400 + 7_200;
        let outcome = tried(Some(Ok(learned())), |end| step(end, if end > parts { 4.0 } else { 1.0 }));
        assert!(!outcome.is_good() && outcome.alarms[0].guard == "Comparison", "{:?}", outcome.alarms);
        assert!(outcome.alarms[0].at > instant(parts));
        assert_eq!(outcome.faults[0].found, None, "the judge cries without it, too");
    }

    #[test]
    fn r12_steps_without_series_are_missing_and_never_good() {
        let outcome = tried(Some(Ok(learned())), |end| {
            if end % 3_600 == 0 { step(end, 1.0) } else { ByTenant::new(Vec::new()) }
        });
        assert_eq!((outcome.steps, outcome.missing_steps), (576, 528));
        assert!(outcome.is_blind() && !outcome.is_good() && outcome.alarms.is_empty(), "{outcome:?}");
    }

    #[test]
    fn r13_a_judge_that_could_not_be_armed_is_not_good_and_one_that_is_not_asked_for_is() {
        let pending = tried(Some(Err("too few events".into())), |end| step(end, 1.0));
        assert!(!pending.is_good() && pending.held_steps == pending.steps, "{pending:?}");
        let off = tried(None, |end| step(end, 1.0));
        assert_eq!((off.calibration, off.against, off.held_steps), (Calibration::Off, None, 0));
    }

    #[test]
    fn several_slos_may_pass_the_limit_together() {
        let (one, other) = ([(60, 0.0), (120, 5.0)], [(60, 0.0), (180, 5.0)]);
        let slos = |a, b| [(0.45, a), (0.45, b)];
        assert_eq!(together(&slos(&one[..], &other[..]), 0.01), Some(180));
        assert_eq!(together(&slos(&one[..], &other[..1]), 0.01), None);
        assert_eq!(together(&[], 0.01), None);
    }
}
