//! The comparison under way: everything it remembers between steps, and how a step changes it. Pure.

use std::sync::Arc;

use super::clock::Clock;
use super::detect::Detect;
use super::frozen::{Against, Frozen};
use super::increment::{GAIN_COUNT, PHI_MIN, Test, is_tide};
use super::mixture::Mixture;
use super::onset::Span;
use super::ordered::{Ordered, pooled, traffic, weighed};
use super::shape::Shape;
use super::tenants::{Ledger, Round, Tenants};
use super::traffic::Traffic;
use crate::config::{Compare, Config};
use crate::reading::{Past, Side, Step, TenantId};

/// Share `h` of the shape, where it is compared and once it was heard.
const SHAPE_SHARE: f64 = 0.5;
/// From so many tenants on, one of them is that tenant's matter. Of fewer each is a good part of all who have the version,
/// and large ones often carry what a first wave can see at all.
const MANY: usize = 20;
/// Share `t` of the traffic, where it is compared.
const TRAFFIC_SHARE: f64 = 0.1;

/// What the comparison of one SLO remembers. Stored as one string, see [`super::encode`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    pub(crate) clock: Clock,
    /// The baseline's last step was an outage that all share: the next one counts as its end.
    pub(crate) tide: bool,
    pub(crate) ledger: Ledger,
    /// `P`.
    pub(crate) pooled: Mixture,
    /// `B`.
    pub(crate) past: Mixture,
    pub(crate) detect: Detect,
    /// The counts that a sentence is about.
    pub(crate) span: Span,
    pub(crate) shape: Shape,
    pub(crate) traffic: Traffic,
    /// Shared between copies of the state, and copied when one of them takes a step.
    pub(crate) tenants: Arc<Tenants>,
}

/// What the parts say, as evidence of this SLO (not in logs; each at most `e^600`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Parts {
    /// `P`, `T` with their shares, but for the worst of many tenants.
    pub(crate) rate: f64,
    /// What that one brings to `T`.
    pub(crate) one: f64,
    /// `H` with its share.
    pub(crate) shape: f64,
    /// `V` with its share.
    pub(crate) traffic: f64,
    /// `B`.
    pub(crate) past: f64,
    /// What traffic says against the past alone.
    pub(crate) traffic_past: f64,
}

impl Parts {
    /// `E` before what the past says of errors.
    pub(crate) fn sum(&self) -> f64 {
        self.rate + self.shape + self.traffic
    }

    /// Whether traffic that vanishes says more than errors do.
    pub(crate) fn is_traffic(&self) -> bool {
        self.traffic > f64::max(self.rate, self.shape)
    }

    /// `E` where the past must agree; traffic has been asked about both already.
    pub(crate) fn both(&self) -> f64 {
        (self.rate + self.shape).min(self.past) + self.traffic
    }
}

impl Running {
    /// What was frozen for a wave came in: again after a restart, or for a new wave.
    pub(crate) fn arm(&mut self, frozen: &Frozen) {
        if self.ledger.begin_waves(frozen) {
            Arc::make_mut(&mut self.tenants).begin_wave();
            self.detect = Detect::begin(&self.pooled, self.clock.next(frozen.planned_hours));
        }
    }

    /// Takes one step. A part whose numbers cannot be used takes none.
    pub(crate) fn feed(&mut self, config: &Config, frozen: &Frozen, step: &Step<'_>, samples: &Ordered<'_>) {
        let start_seconds = step.end_seconds.saturating_sub(config.step());
        let (ratio, absolute) = (config.compare.ratio, config.absolute());
        let (candidate, others) = pooled(samples.iter(), weighed);
        let sides = Sides::new(frozen.against, candidate, others, step.past);
        if self.clock.since_seconds.is_none() && !sides.are_exposed() {
            return;
        }
        let edges = frozen.shape.as_ref().filter(|_| config.compare.shape && !sides.decides_by_past);
        if let Some(edges) = edges {
            self.shape.settle(edges, step.tails, self.rate());
        }
        let restart = self.clock.advance(start_seconds, frozen.planned_hours);
        self.pooled.restart(restart);
        self.past.restart(restart);
        self.shape.restart(restart);
        let now = is_tide(others);
        self.tide |= now;
        let wave = self.feed_tenants(config, frozen, samples, &sides);
        let phi = if sides.decides_by_past { frozen.phi_past } else { frozen.phi };
        if let Some(test) = Test::new(ratio, absolute, phi) {
            self.feed_pooled(config, &test, &sides, wave, start_seconds);
        }
        if let Some(past) = sides.past
            && let Some(test) = Test::new(ratio, absolute, frozen.phi_past)
            && let Some(increments) = test.increments(candidate, past)
        {
            self.past.grow(&increments);
        }
        self.tide = now;
        if let Some(edges) = edges
            && let Some(test) = Test::new(ratio, absolute, edges.phi)
        {
            self.shape.feed(&test, edges, step.tails, start_seconds);
        }
        if let Some(test) = config.compare.traffic.and_then(|keep| Test::new(keep, 0.0, frozen.phi_traffic)) {
            self.traffic.feed(&test, pooled(samples.iter(), traffic), step.past, restart, start_seconds);
        }
    }

    /// What the rate is worth, in units of its share: one half before anything was compared.
    fn rate(&self) -> f64 {
        match self.clock.since_seconds {
            None => 0.5,
            Some(_) => f64::midpoint(self.pooled.e(), self.tenants.sum),
        }
    }

    fn feed_tenants(
        &mut self,
        config: &Config,
        frozen: &Frozen,
        samples: &Ordered<'_>,
        sides: &Sides,
    ) -> Side {
        let usable = Test::new(config.compare.ratio, config.absolute(), frozen.phi_tenant);
        // Without exposure of the baseline no tenant's evidence grows; who is there is noted all the same.
        let baseline = if usable.is_some() { sides.others } else { Side::default() };
        let Some(test) = usable.or_else(|| Test::new(1.0, 0.0, PHI_MIN)) else { return Side::default() };
        let round = Round { test: &test, tide: self.tide, baseline, mass: self.clock.mass, frozen };
        Arc::make_mut(&mut self.tenants).feed(&mut self.ledger, samples, &round)
    }

    fn feed_pooled(&mut self, config: &Config, test: &Test, sides: &Sides, wave: Side, start_seconds: i64) {
        let increments = test.increments_at(self.tide, sides.candidate, sides.baseline);
        let Some(increments) = increments else { return };
        if sides.decides {
            self.pooled.grow(&increments);
        }
        self.span.add(start_seconds, increments[0], sides.candidate, sides.baseline);
        let share = self.shares(&config.compare).rate / 2.0;
        let needed = (GAIN_COUNT as f64 / share).ln() + ln_limit(&config.compare);
        self.detect.add(test, wave, sides.baseline, needed);
    }

    /// How the evidence is shared out now. What the shape has not been heard of is with the rate.
    pub(crate) fn shares(&self, compare: &Compare) -> Shares {
        Shares::new(compare, self.shape.is_heard())
    }

    /// What each part says now.
    pub(crate) fn parts(&self, compare: &Compare) -> Parts {
        let shares = self.shares(compare);
        let rows = &self.tenants.rows;
        let worst = rows.iter().map(|row| row.value).fold(0.0, f64::max);
        let worst = if rows.len() >= MANY { worst } else { 0.0 };
        Parts {
            rate: shares.rate / 2.0 * (self.pooled.e() + (self.tenants.sum - worst).max(0.0)),
            one: shares.rate / 2.0 * worst,
            shape: shares.shape * self.shape.e(),
            traffic: shares.traffic * self.traffic.e(),
            past: self.past.e(),
            traffic_past: shares.traffic * self.traffic.past.e(),
        }
    }

    /// Takes away what these tenants are known for: they were dealt with by themselves. The pooled evidence, which is
    /// partly theirs, falls back to where it began, if it is above that.
    pub(crate) fn forgive(&mut self, tenants: &[TenantId]) {
        Arc::make_mut(&mut self.tenants).forgive(tenants);
        self.shape.forgive();
        for mixture in [&mut self.pooled, &mut self.past, &mut self.traffic.baseline, &mut self.traffic.past]
        {
            mixture.fall_back();
        }
        self.span = Span::default();
    }
}

/// Who is compared with whom in one step.
#[derive(Debug, Clone, Copy)]
struct Sides {
    candidate: Side,
    others: Side,
    past: Option<Side>,
    /// What `P` is compared with.
    baseline: Side,
    decides_by_past: bool,
    /// `P` takes the step. Not where only a past speaks that nobody chose.
    decides: bool,
}

impl Sides {
    fn new(against: Against, candidate: Side, others: Side, past: Option<Past>) -> Self {
        let past =
            past.map(|Past { bad, exposure, good: _, usual: _ }| Side { bad, exposure, requests: 0.0 });
        let (decides_by_past, decides) = match against {
            Against::Others | Against::Both => (false, true),
            Against::History { chosen } => (true, chosen),
        };
        let baseline = if decides_by_past { past.unwrap_or_default() } else { others };
        // Whoever chose the past does not trust the others.
        let others = if decides_by_past { Side::default() } else { others };
        Self { candidate, others, past, baseline, decides_by_past, decides }
    }

    fn are_exposed(&self) -> bool {
        let past = self.past.unwrap_or_default();
        self.candidate.exposure > 0.0 && (self.others.exposure > 0.0 || past.exposure > 0.0)
    }
}

/// How the evidence of an SLO is shared out; the shares sum to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    pub(crate) rate: f64,
    pub(crate) shape: f64,
    pub(crate) traffic: f64,
}

impl Shares {
    pub(crate) fn new(compare: &Compare, is_shape_heard: bool) -> Self {
        let traffic = if compare.traffic.is_some() { TRAFFIC_SHARE } else { 0.0 };
        let shape = if compare.shape && is_shape_heard { SHAPE_SHARE * (1.0 - traffic) } else { 0.0 };
        Self { rate: 1.0 - traffic - shape, shape, traffic }
    }
}

/// `ln(1/(v*alpha))`: where one SLO alone reaches the release's limit. Infinite where the configuration holds no such
/// numbers.
pub(crate) fn ln_limit(compare: &Compare) -> f64 {
    let limit = -(compare.weight * compare.alpha).ln();
    if limit.is_finite() { limit } else { f64::INFINITY }
}
