//! A backtest from beginning to end: who has series and since when, what the first part teaches, and the rest replayed.
//! Pure: whoever reads the past calls, and hands over one step after the other.

use std::{collections::BTreeSet, sync::Arc};

use breakwater_crds::rollout;
use breakwater_plan::{
    design::design_of,
    observed::Counted,
    promql,
    study::{Lesson, Look, Study, Week},
};
use breakwater_slo::{Config, Learned, TenantId};

use crate::{
    outcome::{Outcome, SloOutcome, WaveOutcome, instant},
    past::Part,
    sentence::{all_together, notes},
    split::{self, Named, Split},
    trial::{Said, Trial, Watch, Watches},
    wanted::{Found, Wanted},
};

/// Data that begin so much later than was asked for are `NoHistory`: who has series is looked at every hour.
const LATE_SECONDS: i64 = 2 * 3_600;

/// A backtest whose tenants are known.
pub struct Backtest<'a> {
    wanted: &'a Wanted<'a>,
    named: Named,
    splits: Vec<Split>,
    part: Part,
}

impl<'a> Backtest<'a> {
    /// Draws the waves and parts the past; the error is what keeps it from an answer.
    pub fn new(wanted: &'a Wanted<'a>, found: &[Found]) -> Result<Self, String> {
        let late = |found: &&Found| found.first_seconds > wanted.from_seconds + LATE_SECONDS;
        let latest = found.iter().filter(late).map(|found| found.first_seconds).max();
        let from_seconds = latest.unwrap_or(wanted.from_seconds);
        let all: BTreeSet<&Arc<str>> = found.iter().flat_map(|found| &found.names).collect();
        let id = |name: &str| split::identity(wanted.rollout, &wanted.checked.spec, wanted.seed, name);
        let named: Named = all.into_iter().map(|name| (name.clone(), id(name))).collect();
        let tenants: Vec<TenantId> = named.iter().map(|(_, id)| *id).collect();
        let splits = split::splits(&wanted.checked.spec, &tenants, wanted.selector_share);
        if splits.is_empty() {
            return Err("spec.waves: no wave takes any of the tenants".to_owned());
        }
        let part = Part::of(wanted, from_seconds)?;
        part.check(wanted)?;
        Ok(Self { wanted, named, splits, part })
    }

    /// The tenants by the names that their series have.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// The replay of one SLO.
    pub fn replay(&self, found: &Found) -> Replay<'_> {
        let Self { wanted, splits, part, .. } = self;
        let spec = &wanted.checked.spec;
        let config = wanted.checked.judge(found.slo, found.step_seconds).rounded_to_steps();
        let watched = part.watched(found.step_seconds);
        let studies = match spec.judge.comparison {
            rollout::Comparison::Enabled => {
                splits.iter().map(|split| study(wanted, *part, found.slo, split, &config)).collect()
            }
            rollout::Comparison::Disabled => Vec::new(),
        };
        Replay { wanted, slo: found.slo, part: *part, splits, config, watched, studies }
    }

    /// What it came to; the replayed SLOs in the order in which they were found.
    pub fn outcome(&self, replayed: Vec<(&Found, Replayed)>) -> Outcome {
        let Self { wanted, named, splits, part } = self;
        let spec = &wanted.checked.spec;
        let (mut slos, mut said) = (Vec::new(), Vec::new());
        for (found, Replayed { waves, weight }) in replayed {
            let (outcomes, words): (Vec<WaveOutcome>, Vec<Said>) = waves.into_iter().unzip();
            let name = spec.slos.get(found.slo).map(|slo| slo.name.clone()).unwrap_or_default();
            let Found { step_seconds, lag_seconds, .. } = *found;
            slos.push(SloOutcome { name, step_seconds, lag_seconds, waves: outcomes });
            said.push((weight, words));
        }
        let together = all_together(spec.judge.alpha.as_ratio(), splits, &said, &slos);
        let good = together.is_empty() && slos.iter().flat_map(|slo| &slo.waves).all(WaveOutcome::is_good);
        Outcome {
            rollout: format!("{}/{}", wanted.rollout.0, wanted.rollout.1),
            good,
            from: instant(part.from_seconds),
            watched_from: instant(part.watched_seconds),
            until: instant(part.until_seconds),
            tenants: named.len(),
            must_detect: spec.judge.must_detect,
            seed: wanted.seed,
            notes: notes(wanted, *part, &slos),
            slos,
            together,
        }
    }
}

/// What teaches the judge of one wave.
fn study(wanted: &Wanted<'_>, part: Part, slo: usize, split: &Split, config: &Config) -> Study {
    let spec = &wanted.checked.spec;
    let members = split.own();
    let watched = part.watched(config.step_seconds);
    let at = instant(watched.from_seconds);
    let mut judges = vec![None; spec.slos.len()];
    judges[slo] = Some(config.clone());
    Study {
        wave_started_at: at,
        week: at,
        until: at,
        span_seconds: watched.from_seconds - part.from_seconds,
        arms: split.arms.clone(),
        design: design_of(spec, split.wave, split.baseline == 0, vec![members.clone()], members.len()),
        members,
        judges,
    }
}

/// One SLO in all waves: what is to be read of it, and what takes the steps.
pub struct Replay<'a> {
    wanted: &'a Wanted<'a>,
    slo: usize,
    part: Part,
    splits: &'a [Split],
    config: Config,
    watched: Look,
    /// One per wave; none where nothing is compared.
    studies: Vec<Study>,
}

impl Replay<'_> {
    /// What the judge is tried on. The [`Week`] of the tenants is of the seven days before its start.
    pub fn watched(&self) -> Look {
        self.watched
    }

    /// What teaches, one pass after the other; none where nothing is compared.
    pub fn looks(&self) -> Vec<Look> {
        self.studies.first().map(|study| study.looks(self.watched.step_seconds)).unwrap_or_default()
    }

    /// Begins a pass of those that teach.
    pub fn lessons<'s>(&'s self, look: Look, week: &'s Week) -> Lessons<'s> {
        Lessons(self.studies.iter().map(|study| study.lesson(self.slo, look, week)).collect())
    }

    /// What is tried.
    pub fn trial<'s>(&'s self, week: &'s Week) -> Trial<'s> {
        let spec = &self.wanted.checked.spec;
        let slo = &spec.slos[self.slo];
        Trial {
            spec,
            slo: &slo.name,
            config: &self.config,
            week,
            from_seconds: self.watched.from_seconds,
            until_seconds: self.watched.until_seconds,
            injects: &self.wanted.injects,
            seed: self.wanted.seed.unwrap_or_default(),
            threshold_seconds: slo.latency.as_ref().and_then(promql::threshold),
        }
    }

    /// Arms the judges of all waves with what they were taught.
    pub fn watches<'s>(&'s self, trial: &'s Trial<'s>, taught: Taught) -> Watches<'s> {
        let taught = taught.0.into_iter().chain(std::iter::repeat_with(|| None));
        Watches::new(
            self.splits
                .iter()
                .zip(taught)
                .map(|(split, learned)| Watch::new(trial, split, learned))
                .collect(),
        )
    }

    /// What came of the trials.
    pub fn finish(&self, watches: Watches<'_>) -> Replayed {
        Replayed { waves: watches.finish(), weight: self.config.compare.weight }
    }

    /// How much of all that is to be read is behind us, in `[0, 1]`, after so many steps of a look.
    pub fn share(&self, look: Look, done: i64) -> f64 {
        let Part { from_seconds, until_seconds, .. } = self.part;
        let at = look.from_seconds + done * look.step_seconds;
        (at - from_seconds) as f64 / (until_seconds - from_seconds).max(1) as f64
    }
}

/// What came of one SLO's trials.
pub struct Replayed {
    waves: Vec<(WaveOutcome, Said)>,
    /// The SLO's share of alpha.
    weight: f64,
}

/// One pass over a part of the past for all waves.
pub struct Lessons<'a>(Vec<Option<Lesson<'a>>>);

impl Lessons<'_> {
    /// Takes one step, in order.
    pub fn step(&mut self, end_seconds: i64, counted: &Counted) {
        self.0.iter_mut().flatten().for_each(|lesson| lesson.step(end_seconds, counted));
    }
}

/// What each wave's judge has been taught so far, or why it could not be; nothing before the first pass.
#[derive(Default)]
pub struct Taught(Vec<Option<Result<Learned, String>>>);

impl Taught {
    /// With another pass: of two the more careful counts, and one that teaches nothing spoils the whole.
    #[must_use]
    pub fn and(self, lessons: Lessons<'_>) -> Self {
        let known = self.0.into_iter().chain(std::iter::repeat_with(|| None));
        let both = known.zip(lessons.0).map(|(known, lesson)| match (known, lesson.map(Lesson::finish)) {
            (Some(Ok(coarse)), Some(Ok(fine))) => Some(Ok(coarse.and(fine))),
            (Some(Err(why)), _) | (_, Some(Err(why))) => Some(Err(why)),
            (known, learned) => known.or(learned),
        });
        Self(both.collect())
    }
}
