//! From the days before a wave to what is frozen at its start: dispersions, the candidates' week, and whether the judge
//! would have cried wolf (analysis.md 2). One pass over the past, in order. Pure.
//!
//! The dispersions are learnt over all of it. The replay runs over its last part only, with what the part before it
//! taught: a judge that is tried on what it learnt from is not tried.

use std::sync::Arc;

use breakwater_text::figure::short_count;
use serde::{Deserialize, Serialize};

use crate::calibrate::{Replay, Replaying};
use crate::compare::increment::PHI_MIN;
use crate::compare::ordered::{Ordered, pooled, traffic, weighed};
use crate::compare::shape::is_same;
use crate::compare::{Against, Comparison, Doubt, Edges, Frozen, Members};
use crate::config::Config;
use crate::dispersion::{Dispersion, Exposed};
use crate::profile::Profile;
use crate::reading::{Arm, Counts, Past, Reading, Sample, Series, Side, Step, TAILS_MAX, Tail, TenantId};
use crate::text::{percent, span};

/// Share of the past that teaches before the replay begins.
const TAUGHT: f64 = 0.5;
/// Most tenants whose own dispersion is looked at: those that come first, which is a draw.
const TENANTS_MAX: usize = 32;
/// Length of a day, after which the candidates meet their own past in the replay.
const DAY_SECONDS: i64 = 86_400;
/// Share of the steps that must have been read.
const READ_MIN: f64 = 0.5;

/// What the wave that is to be armed will be like.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// What the candidates are going to be compared with.
    pub against: Against,
    /// Planned length of the whole rollout, hours.
    pub planned_hours: u32,
    /// Planned number of waves.
    pub planned_waves: u32,
    /// The own tenants of each wave begun so far, the one under way last.
    pub waves: Vec<Members>,
}

/// What the past taught: small, and all that is kept of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Learned {
    /// [`Frozen::phi`].
    pub phi: f64,
    /// [`Frozen::phi_tenant`].
    pub phi_tenant: f64,
    /// [`Frozen::phi_past`].
    pub phi_past: f64,
    /// [`Frozen::phi_traffic`].
    pub phi_traffic: f64,
    /// [`Frozen::shape`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Edges>,
    /// The candidates' week.
    pub profile: Profile,
    /// Why the comparison may not be armed; `None`: it may.
    pub doubt: Option<Doubt>,
    /// The smallest ratio that the replayed traffic would have found.
    pub detectable: Option<f64>,
    /// Steps that were replayed.
    pub replayed: u64,
}

impl Learned {
    /// What to arm a wave of this design with.
    pub fn comparison(&self, design: Design) -> Comparison {
        match &self.doubt {
            Some(doubt) => Comparison::Uncalibrated(doubt.clone()),
            None => Comparison::Armed(Arc::new(self.frozen(design))),
        }
    }

    fn frozen(&self, design: Design) -> Frozen {
        let Design { against, planned_hours, planned_waves, waves } = design;
        let Self { phi, phi_tenant, phi_past, phi_traffic, .. } = *self;
        let shape = self.shape.clone();
        Frozen { against, phi, phi_tenant, phi_past, phi_traffic, shape, planned_hours, planned_waves, waves }
    }

    /// Two looks at the same past, one coarse and long, one fine and short: the more careful of each.
    #[must_use]
    pub fn and(self, fine: Self) -> Self {
        Self {
            phi: self.phi.max(fine.phi),
            phi_tenant: self.phi_tenant.max(fine.phi_tenant),
            phi_past: self.phi_past.max(fine.phi_past),
            phi_traffic: self.phi_traffic.max(fine.phi_traffic),
            shape: self.shape.zip(fine.shape).and_then(|(coarse, fine)| coarse.and(&fine)),
            profile: self.profile,
            doubt: self.doubt.or(fine.doubt),
            detectable: self.detectable.into_iter().chain(fine.detectable).reduce(f64::min),
            replayed: self.replayed.saturating_add(fine.replayed),
        }
    }
}

/// Learns from steps of the past, one after the other.
#[derive(Debug)]
pub struct Learner {
    config: Config,
    design: Design,
    replay_from_seconds: i64,
    until_seconds: i64,
    expected_steps: u64,
    read_steps: u64,
    /// All events of all tenants.
    seen: Counts,
    pooled: Dispersion,
    past: Dispersion,
    traffic: [Dispersion; 2],
    /// By bucket edge, in seconds.
    edges: Vec<(f64, Dispersion)>,
    tenants: Vec<(TenantId, Dispersion)>,
    /// The candidates of each step of the last day: errors, traffic.
    day: Vec<Option<(i64, Side, Side)>>,
    profile: Profile,
    replaying: Option<Replaying>,
    /// The edges with which the replay runs.
    tried: Option<Edges>,
    order: Vec<u32>,
}

impl Learner {
    /// For the past `(from_seconds, until_seconds]`; `config` has the step in which it is going to be read.
    pub fn new(config: Config, design: Design, from_seconds: i64, until_seconds: i64) -> Self {
        let length = until_seconds.saturating_sub(from_seconds).max(0);
        #[expect(clippy::cast_possible_truncation, reason = "a share of an i64")]
        let taught = (length as f64 * TAUGHT) as i64;
        let step = config.step();
        let places = usize::try_from(DAY_SECONDS / step).unwrap_or(1).max(1);
        Self {
            config,
            design,
            replay_from_seconds: from_seconds.saturating_add(taught),
            until_seconds,
            expected_steps: u64::try_from(length / step).unwrap_or(0),
            read_steps: 0,
            seen: Counts { bad: 0.0, total: 0.0 },
            pooled: Dispersion::default(),
            past: Dispersion::default(),
            traffic: [Dispersion::default(); 2],
            edges: Vec::new(),
            tenants: Vec::new(),
            day: vec![None; places],
            profile: Profile::default(),
            replaying: None,
            tried: None,
            order: Vec::new(),
        }
    }

    /// Takes a step: the tenants in the arms in which the rollout is going to put them, and the tails of its latencies,
    /// where it has any. Steps come in order; one that was not read is left out.
    pub fn step(&mut self, end_seconds: i64, samples: &[Sample], tails: &[Tail]) {
        if samples.is_empty() {
            return;
        }
        self.read_steps = self.read_steps.saturating_add(1);
        self.see(samples);
        let step = self.config.step();
        let ordered = Ordered::new(samples, &mut self.order);
        let rate = pooled(ordered.iter(), weighed);
        let goods = pooled(ordered.iter(), traffic);
        self.pooled.add(end_seconds, step, exposed(rate));
        self.traffic[0].add(end_seconds, step, exposed(goods));
        if self.config.compare.shape {
            learn_edges(&mut self.edges, tails, end_seconds, step);
        }
        for sample in ordered.iter().filter(|sample| sample.arm == Arm::Candidate) {
            learn_tenant(&mut self.tenants, sample, end_seconds, step, rate.1);
        }
        let yesterday = self.meet_yesterday(end_seconds, rate.0, goods.0);
        self.profile.add(end_seconds, step, rate.0, goods.0);
        if end_seconds > self.replay_from_seconds {
            let step = Step { past: yesterday, tails, ..Step::new(end_seconds, Reading::Counts(samples)) };
            self.replay(&step);
        }
    }

    /// Adds up what was counted, whoever it is of.
    fn see(&mut self, samples: &[Sample]) {
        for sample in samples {
            let Series::Counted(Counts { bad, total }) = sample.series else { continue };
            if let Ok(Counts { bad, total }) = Counts::checked(bad, total) {
                self.seen = Counts { bad: self.seen.bad + bad, total: self.seen.total + total };
            }
        }
    }

    /// The candidates a day ago, whose dispersion against today is that of a past.
    fn meet_yesterday(&mut self, end_seconds: i64, rate: Side, goods: Side) -> Option<Past> {
        let step = self.config.step();
        let places = i64::try_from(self.day.len()).unwrap_or(i64::MAX);
        let place = usize::try_from(end_seconds.div_euclid(step).rem_euclid(places)).unwrap_or(0);
        let known = self.day[place].replace((end_seconds, rate, goods));
        let (_, old_rate, old_goods) =
            known.filter(|(end, ..)| end_seconds.saturating_sub(*end) <= DAY_SECONDS)?;
        self.past.add(end_seconds, step, Exposed { candidate: rate, baseline: old_rate });
        self.traffic[1].add(end_seconds, step, Exposed { candidate: goods, baseline: old_goods });
        let Side { bad, exposure, requests: _ } = old_rate;
        Some(Past { bad, exposure, good: old_goods.bad, usual: old_goods.exposure })
    }

    fn replay(&mut self, step: &Step<'_>) {
        if self.replaying.is_none() {
            let taught = self.taught();
            // What cannot be learnt from half of it is said at the end.
            let Ok(taught) = taught else { return };
            self.tried.clone_from(&taught.shape);
            self.replaying = Some(Replaying::new(taught.comparison(self.design.clone())));
        }
        if let Some(replaying) = &mut self.replaying {
            replaying.step(&self.config, step);
        }
    }

    fn taught(&self) -> Result<Learned, String> {
        let phi = self.pooled.phi().or_else(|| self.past.phi()).ok_or_else(|| few(self.seen))?;
        let mut of_tenants = Dispersion::default();
        self.tenants.iter().for_each(|(_, dispersion)| of_tenants.merge(dispersion));
        let [traffic, traffic_past] = self.traffic;
        Ok(Learned {
            phi,
            // Tenants with too few events for an estimate of their own are taken to be as bursty as all.
            phi_tenant: of_tenants.phi().unwrap_or(phi).max(PHI_MIN),
            phi_past: self.past.phi().unwrap_or(phi).max(PHI_MIN),
            phi_traffic: [traffic.phi(), traffic_past.phi()].into_iter().flatten().fold(PHI_MIN, f64::max),
            shape: self.shape(phi),
            profile: Profile::default(),
            doubt: None,
            detectable: None,
            replayed: 0,
        })
    }

    /// Edges that say how bursty they are. One with too few events for that cannot be relied on, and is left out. Who is
    /// compared with their own past has no one to be compared with at the same time.
    fn shape(&self, phi: f64) -> Option<Edges> {
        match self.design.against {
            Against::History { chosen: _ } => return None,
            Against::Others | Against::Both => {}
        }
        let known: Vec<(f64, f64)> =
            self.edges.iter().filter_map(|(edge, dispersion)| Some((*edge, dispersion.phi()?))).collect();
        Edges::new(
            known.iter().map(|(edge, _)| *edge),
            known.iter().fold(phi, |most, (_, phi)| most.max(*phi)),
        )
    }

    /// What was learnt; the error says why nothing can be.
    pub fn finish(self) -> Result<Learned, String> {
        let Self { expected_steps, read_steps, until_seconds, .. } = self;
        if (read_steps as f64) < expected_steps as f64 * READ_MIN {
            return Err(format!("only {read_steps} of {expected_steps} steps of the past could be read"));
        }
        let taught = self.taught()?;
        let Some(replaying) = self.replaying else {
            return Err("the past is too short to try the judge on it".to_owned());
        };
        let replay = replaying.finish();
        // An edge that was not replayed is not calibrated.
        let shape =
            taught.shape.as_ref().zip(self.tried.as_ref()).and_then(|(all, tried)| all.clone().and(tried));
        Ok(Learned {
            profile: self.profile,
            doubt: doubt(&replay, until_seconds, shape.is_some()),
            shape,
            detectable: replay.detectable,
            replayed: replay.steps,
            ..taught
        })
    }
}

/// From this share of bad events on they are the good ones, most likely.
const INVERTED_MIN: f64 = 0.5;

/// Why the past does not say how bursty bad events are.
fn few(seen: Counts) -> String {
    let Counts { bad, total } = seen;
    if total <= 0.0 {
        return "the past holds no event at all: nothing that the SLO's total selects was counted".to_owned();
    }
    if bad >= INVERTED_MIN * total {
        return format!(
            "{} of the past's {} events are bad: the selectors count the good ones, or the wrong ones",
            percent(bad / total),
            short_count(total)
        );
    }
    let (bad, total) = (short_count(bad), short_count(total));
    format!("the past holds too few events to learn how bursty they are: {bad} bad of {total}")
}

fn exposed((candidate, baseline): (Side, Side)) -> Exposed {
    Exposed { candidate, baseline }
}

/// The arms against each other above each edge.
fn learn_edges(edges: &mut Vec<(f64, Dispersion)>, tails: &[Tail], end_seconds: i64, step_seconds: i64) {
    for Tail { edge_seconds, candidate, baseline } in tails.iter().take(TAILS_MAX) {
        let known = edges.iter().position(|(known, _)| is_same(*known, *edge_seconds));
        let at = match known {
            Some(at) => at,
            None if edges.len() < TAILS_MAX => {
                edges.push((*edge_seconds, Dispersion::default()));
                edges.len() - 1
            }
            None => continue,
        };
        let (candidate, baseline) = (*candidate, *baseline);
        edges[at].1.add(end_seconds, step_seconds, Exposed { candidate, baseline });
    }
}

/// One tenant against the pooled baseline.
fn learn_tenant(
    tenants: &mut Vec<(TenantId, Dispersion)>,
    sample: &Sample,
    end_seconds: i64,
    step_seconds: i64,
    baseline: Side,
) {
    let Some(candidate) = weighed(sample) else { return };
    let known = tenants.iter().position(|(tenant, _)| *tenant == sample.tenant);
    let at = match known {
        Some(at) => at,
        None if tenants.len() < TENANTS_MAX => {
            tenants.push((sample.tenant, Dispersion::default()));
            tenants.len() - 1
        }
        None => return,
    };
    tenants[at].1.add(end_seconds, step_seconds, Exposed { candidate, baseline });
}

/// Why the judge may not be believed, in words for whoever has to mend it.
fn doubt(replay: &Replay, until_seconds: i64, has_shape: bool) -> Option<Doubt> {
    let fired = replay.fired.first()?;
    let tenants = fired.evidence.guilty_total;
    let times = match replay.fired.len() {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    };
    let whom = if tenants > 0 { format!(", {tenants} tenants stand out") } else { String::new() };
    Some(Doubt {
        reason: format!(
            "nothing was rolled out, and the judge would have reverted {times}, first {} before the end of its past: \
             {}{whom}; widen margin,{} or leave out what drifts by itself",
            span(until_seconds.saturating_sub(fired.at_seconds) / 60 * 60),
            fired.evidence.reason,
            if has_shape { " set latency.shape to Disabled," } else { "" }
        ),
        guards: replay.guard_fired(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Counts, Series};

    const DAYS: i64 = 4;
    const STEP: i64 = 600;

    fn design() -> Design {
        let wave: Vec<TenantId> = (0..10).map(TenantId).collect();
        Design { against: Against::Others, planned_hours: 240, planned_waves: 2, waves: vec![wave.into()] }
    }

    /// 20 tenants with a thousand requests per step; `bad` of them by tenant and step.
    fn learn(bad: impl Fn(u64, i64) -> f64) -> Result<Learned, String> {
        let mut learner =
            Learner::new(Config::ratio(0.95, STEP).rounded_to_steps(), design(), 0, DAYS * 86_400);
        for step in 1..=DAYS * 86_400 / STEP {
            let samples = samples(|tenant| bad(tenant, step));
            learner.step(step * STEP, &samples, &[]);
        }
        learner.finish()
    }

    fn samples(bad: impl Fn(u64) -> f64) -> Vec<Sample> {
        let sample = |tenant| Sample {
            tenant: TenantId(tenant),
            arm: if tenant < 10 { Arm::Candidate } else { Arm::Baseline },
            series: Series::Counted(Counts { bad: bad(tenant), total: 1_000.0 }),
            instrumented: true,
            burned_before: false,
            own: Some(0.01),
            usual: Some(990.0),
        };
        (0..20).map(sample).collect()
    }

    /// A deterministic stand-in for noise around 10.
    fn noise(tenant: u64, step: i64) -> f64 {
        let mixed = (tenant.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ step.cast_unsigned().wrapping_mul(0xC2B2_AE3D_27D4_EB4F))
        .wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        7.0 + (mixed >> 40) as f64 / (1_u64 << 24) as f64 * 6.0
    }

    #[test]
    fn r13_a_quiet_past_arms_the_comparison() {
        let learned = learn(noise).unwrap();
        assert_eq!(learned.doubt, None);
        assert!(learned.phi >= PHI_MIN && learned.phi < 2.0, "{learned:?}");
        assert!(learned.replayed > 200 && learned.detectable.is_some_and(|ratio| ratio < 2.0));
        assert!(matches!(learned.comparison(design()), Comparison::Armed(_)));
        assert!(learned.profile.past(7 * 86_400 + 600, 60, 1).is_some());
    }

    #[test]
    fn a7_a_past_that_says_nothing_says_why() {
        assert_eq!(
            few(Counts { bad: 0.0, total: 0.0 }),
            "the past holds no event at all: nothing that the SLO's total selects was counted"
        );
        assert_eq!(
            few(Counts { bad: 990.0, total: 1_000.0 }),
            "99.0% of the past's 1000 events are bad: the selectors count the good ones, or the wrong ones"
        );
        let quiet = learn(|tenant, step| f64::from(tenant == 1 && step == 7)).unwrap_err();
        assert_eq!(quiet, "the past holds too few events to learn how bursty they are: 1 bad of 12M");
    }

    #[test]
    fn r13_arms_that_part_by_themselves_are_not_calibrated_and_say_when() {
        let parts = 3 * 86_400 / STEP;
        let learned =
            learn(|tenant, step| if tenant < 10 && step > parts { 40.0 } else { noise(tenant, step) })
                .unwrap();
        let doubt = learned.doubt.clone().expect("the judge would have cried wolf");
        let first = doubt.reason.split(": ").next().unwrap_or_default();
        insta::assert_snapshot!(first, @"nothing was rolled out, and the judge would have reverted once, first 23h50m before the end of its past");
        assert!(matches!(learned.comparison(design()), Comparison::Uncalibrated(_)));
    }

    /// The same with tails of a hundred at three edges: one that moves by `slower`, one as it should be, one without events.
    fn learn_shape(against: Against, slower: impl Fn(i64) -> f64) -> Learned {
        let mut config = Config::ratio(0.95, STEP).rounded_to_steps();
        config.compare.shape = true;
        let mut learner = Learner::new(config, Design { against, ..design() }, 0, DAYS * 86_400);
        for step in 1..=DAYS * 86_400 / STEP {
            let samples = samples(|tenant| noise(tenant, step));
            let side = |bad: f64| Side { bad, exposure: 100.0, requests: 10_000.0 };
            let tail = |edge_seconds, candidate, baseline| Tail {
                edge_seconds,
                candidate: side(candidate),
                baseline: side(baseline),
            };
            let usual = |arm| 10.0 * noise(arm, step);
            let tails = [
                tail(0.25, usual(50) * slower(step), usual(51)),
                tail(1.0, usual(52), usual(53)),
                tail(2.5, 0.0, 0.0),
            ];
            learner.step(step * STEP, &samples, &tails);
        }
        learner.finish().unwrap()
    }

    #[test]
    fn r13_edges_that_the_past_says_enough_of_are_armed_and_the_burstiest_says_how_bursty_all_are() {
        let learned = learn_shape(Against::Others, |_| 1.0);
        assert_eq!(learned.doubt, None);
        let edges = learned.shape.clone().unwrap();
        assert_eq!(edges.seconds, [0.25, 1.0], "nobody knows how bursty the last one is");
        assert!(edges.phi >= learned.phi, "{learned:?}");
        // Up and down by half, step by step.
        let bursty = learn_shape(Against::Others, |step| if step % 2 == 0 { 1.5 } else { 0.5 });
        assert!(bursty.shape.is_some_and(|bursty| bursty.phi > 2.0 * edges.phi));
        assert!((bursty.phi - learned.phi).abs() < 1e-12, "the rate's is its own");
        assert_eq!(learn_shape(Against::History { chosen: true }, |_| 1.0).shape, None);
        let Comparison::Armed(frozen) = learned.comparison(design()) else { panic!("not armed") };
        assert_eq!(frozen.shape, Some(edges));
    }

    #[test]
    fn r13_a_shape_that_parts_by_itself_is_not_calibrated_and_says_at_which_edge() {
        let parts = 3 * 86_400 / STEP;
        let learned = learn_shape(Against::Others, |step| if step > parts { 3.0 } else { 1.0 });
        let doubt = learned.doubt.expect("the judge would have cried wolf");
        assert!(
            doubt.reason.contains(": requests over 250 ms: ") && doubt.reason.contains("latency.shape"),
            "{}",
            doubt.reason
        );
    }

    #[test]
    fn of_two_looks_only_the_edges_that_both_have_are_armed() {
        let (coarse, fine) = (learn_shape(Against::Others, |_| 1.0), learn_shape(Against::Others, |_| 1.0));
        let with = |seconds: &[f64], phi| Some(Edges { seconds: seconds.to_vec(), phi });
        let one = Learned { shape: with(&[0.1, 0.25], 2.0), ..coarse };
        let shape = |fine: &Learned| one.clone().and(fine.clone()).shape;
        assert_eq!(shape(&Learned { shape: with(&[0.25, 1.0], 3.0), ..fine.clone() }), with(&[0.25], 3.0));
        assert_eq!(shape(&Learned { shape: with(&[1.0], 3.0), ..fine.clone() }), None);
        assert_eq!(shape(&Learned { shape: None, ..fine }), None);
    }

    #[test]
    fn r12_a_past_that_was_not_read_teaches_nothing() {
        let learner = Learner::new(Config::ratio(0.95, STEP), design(), 0, DAYS * 86_400);
        assert_eq!(learner.finish().unwrap_err(), "only 0 of 576 steps of the past could be read");
        assert!(learn(|_, _| 0.0).is_err(), "no event, no dispersion");
    }

    #[test]
    fn the_more_careful_of_two_looks_counts() {
        let (one, mut other) = (learn(noise).unwrap(), learn(noise).unwrap());
        other.phi = 9.0;
        other.doubt = Some(Doubt { reason: "wolf".into(), guards: true });
        let both = one.and(other);
        assert!(both.phi > 8.0 && both.doubt.is_some());
    }
}
