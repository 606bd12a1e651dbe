//! A look at the past that arms a wave's comparison: what is to be read, and what is made of it (analysis.md 2). Pure.
//!
//! The planner asks for a [`Study`] when a wave starts; the reader goes through its [`Look`]s one after the other, hands
//! each step to a [`Lesson`], and brings back a [`Studied`]. Nothing of the past is kept but that.

mod pool;
mod week;

use breakwater_slo::{Arm, Config, Design, Learned, Learner, Members, Sample, Series, Tail};
use jiff::Timestamp;

pub(crate) use pool::Pool;
pub use week::{InWeek, Week, Weekly};

use crate::{
    judged,
    observed::{ByTenant, Counted},
};

/// Steps of a look at the whole past: as fine as its own steps, or ten minutes.
const COARSE_SECONDS: i64 = 600;
/// Most steps of a past that is read in its own steps altogether.
const FINE_STEPS_MAX: i64 = 1_500;

/// Steps in which a whole past is looked at: as many of the rollout's as make ten minutes.
pub fn coarse_seconds(step_seconds: i64) -> i64 {
    let step = step_seconds.max(1);
    (COARSE_SECONDS / step).max(1) * step
}

/// What a plan wants to know of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Start of the wave that it arms; what comes of it is kept under this.
    pub wave_started_at: Timestamp,
    /// Which seven days the own ratios are of: a key of [`crate::observed::SloReading::history`].
    pub week: Timestamp,
    /// The past ends here: before the version, and before any rejected one.
    pub until: Timestamp,
    /// How long it is, in seconds.
    pub span_seconds: i64,
    /// The arms that tenants are going to be in; who is in none is not in it.
    pub arms: ByTenant<Arm>,
    /// The tenants of the wave itself.
    pub members: Members,
    /// What the wave will be like.
    pub design: Design,
    /// Per SLO, in the spec's order, its judge, with the step in which it is read; `None`: it is not compared, or known.
    pub judges: Vec<Option<Config>>,
}

/// One pass over a part of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// After this, in unix seconds.
    pub from_seconds: i64,
    /// Up to this.
    pub until_seconds: i64,
    /// In steps of this length.
    pub step_seconds: i64,
}

/// What came of a study for one SLO; frozen for the wave.
#[derive(Debug, Clone, PartialEq)]
pub struct Studied {
    /// Dispersions, the candidates' week, and the doubts.
    pub learned: Learned,
    /// The tenants of the wave at its start.
    pub members: Members,
}

impl Study {
    /// The passes over the past for an SLO with steps of `step_seconds`: the whole of it in stretches of ten minutes, and
    /// its last part in the steps of the rollout, since the sharp path looks at minutes. A short past is read once.
    pub fn looks(&self, step_seconds: i64) -> Vec<Look> {
        let step = step_seconds.max(1);
        let whole = |step: i64, span: i64| {
            let until_seconds = self.until.as_second().div_euclid(step) * step;
            Look { from_seconds: until_seconds - span / step * step, until_seconds, step_seconds: step }
        };
        if self.span_seconds / step <= FINE_STEPS_MAX {
            return vec![whole(step, self.span_seconds)];
        }
        let coarse = coarse_seconds(step);
        vec![whole(coarse, self.span_seconds), whole(step, FINE_STEPS_MAX * step)]
    }

    /// Length of the steps in which an SLO is read, in seconds; `None`: it is not compared.
    pub fn step_seconds(&self, slo: usize) -> Option<i64> {
        Some(self.judges.get(slo)?.as_ref()?.step_seconds)
    }

    /// Begins one pass; `None` for an SLO that is not compared.
    pub fn lesson<'a>(&'a self, slo: usize, look: Look, week: &'a Week) -> Option<Lesson<'a>> {
        let judge = self.judges.get(slo)?.as_ref()?;
        let step_seconds = look.step_seconds;
        // Steps of ten minutes make windows of whole tens of minutes.
        let config = Config { step_seconds, ..judge.clone() }.rounded_to_steps();
        let learner = Learner::new(config, self.design.clone(), look.from_seconds, look.until_seconds);
        let sampler = Sampler::new(judge, &self.arms, week, step_seconds);
        Some(Lesson { learner, sampler, samples: Vec::new() })
    }
}

/// From a past step's counts to samples, the tenants in the arms in which a rollout is going to put them.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    arms: &'a ByTenant<Arm>,
    week: &'a Week,
    /// A third of the smallest limit that reverts (R14).
    limit: f64,
    step_seconds: i64,
    /// Whether the shape of a latency is compared.
    has_shape: bool,
}

impl<'a> Sampler<'a> {
    /// For steps of `step_seconds`; who is in no arm is in no sample.
    pub fn new(judge: &Config, arms: &'a ByTenant<Arm>, week: &'a Week, step_seconds: i64) -> Self {
        Self { arms, week, limit: judged::guard_limit(judge), step_seconds, has_shape: judge.compare.shape }
    }

    /// Puts the samples of one step in place of those that are there.
    pub fn take(&self, counted: &Counted, samples: &mut Vec<Sample>) {
        let (mut counts, mut week) = (counted.walk(), self.week.walk());
        samples.clear();
        samples.extend(self.arms.as_slice().iter().map(|(tenant, arm)| {
            let before = week.get(*tenant);
            Sample {
                tenant: *tenant,
                arm: *arm,
                series: counts.get(*tenant).copied().unwrap_or(Series::Absent),
                instrumented: before.is_some(),
                burned_before: before
                    .and_then(|before| before.counts.ratio())
                    .is_some_and(|ratio| ratio >= self.limit),
                own: before.and_then(|before| before.own()),
                usual: before.and_then(|before| before.usual(self.step_seconds)),
            }
        }));
    }

    /// The tails of the samples that were made of this step; `changed` says what is above an edge instead: of which sample,
    /// which edge in seconds, how many events.
    pub fn tails(
        &self,
        counted: &Counted,
        samples: &[Sample],
        changed: impl Fn(usize, f64, f64) -> f64,
    ) -> Vec<Tail> {
        let (slower, mut counts, mut week) = (counted.slower(), counted.walk(), self.week.walk());
        let mut pool = Pool::new(slower);
        if self.has_shape && !slower.edges().is_empty() {
            for (at, sample) in samples.iter().enumerate() {
                let Some((place, _)) = counts.find(sample.tenant) else { continue };
                let Some(before) = week.get(sample.tenant) else { continue };
                let above = |edge| slower.above(place, edge).map(|above| changed(at, edge, above));
                pool.add(sample, above, |edge| before.own_above(edge));
            }
        }
        pool.tails()
    }
}

/// One pass over the past of one SLO.
#[derive(Debug)]
pub struct Lesson<'a> {
    learner: Learner,
    sampler: Sampler<'a>,
    samples: Vec<Sample>,
}

impl Lesson<'_> {
    /// Takes one step, in order. One without any series was not read: nothing is learnt from it.
    pub fn step(&mut self, end_seconds: i64, counted: &Counted) {
        if counted.as_slice().is_empty() {
            return;
        }
        self.sampler.take(counted, &mut self.samples);
        let tails = self.sampler.tails(counted, &self.samples, |_, _, above| above);
        self.learner.step(end_seconds, &self.samples, &tails);
    }

    /// What was learnt, or why nothing was.
    pub fn finish(self) -> Result<Learned, String> {
        self.learner.finish()
    }
}

#[cfg(test)]
mod tests {
    use breakwater_slo::{Against, TenantId};

    use super::*;

    fn study(span_seconds: i64) -> Study {
        let design =
            Design { against: Against::Others, planned_hours: 1, planned_waves: 1, waves: Vec::new() };
        let at = Timestamp::from_second(1_000_030).unwrap();
        Study {
            wave_started_at: at,
            week: at,
            until: at,
            span_seconds,
            arms: ByTenant::new(vec![(TenantId(1), Arm::Candidate)]),
            members: vec![TenantId(1)].into(),
            design,
            judges: vec![Some(Config::ratio(0.99, 60)), None],
        }
    }

    #[test]
    fn a_long_past_is_looked_at_coarsely_and_its_end_finely() {
        let looks = study(7 * 86_400).looks(60);
        assert_eq!(looks.len(), 2);
        assert_eq!((looks[0].step_seconds, looks[1].step_seconds), (600, 60));
        assert_eq!(looks[0].until_seconds - looks[0].from_seconds, 7 * 86_400);
        assert_eq!(looks[1].until_seconds - looks[1].from_seconds, 1_500 * 60);
        assert!(
            looks
                .iter()
                .all(|look| look.until_seconds % look.step_seconds == 0 && look.until_seconds <= 1_000_030)
        );
    }

    #[test]
    fn a_short_past_is_looked_at_once_in_its_own_steps() {
        assert_eq!(
            study(120).looks(5),
            [Look { from_seconds: 999_910, until_seconds: 1_000_030, step_seconds: 5 }]
        );
        assert_eq!(
            study(7 * 86_400).looks(300).iter().map(|look| look.step_seconds).collect::<Vec<_>>(),
            [600, 300]
        );
    }
}
