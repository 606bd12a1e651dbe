//! What both arms counted of late, and who felt it since when: what the account of a deviation is made of. Pure.
//!
//! One [`Trace`] per SLO, handed from plan to plan as the judge's state is, and lost with the process: no decision reads
//! it. After a restart it begins with the steps that are read again.
//!
//! **Memory**: a ring of at most 240 points (14 KB), and sums of at most [`TENANTS_MAX`] tenants whose bad events outgrow
//! what was to be expected, 80 bytes each in a table of 8,192 places: 0.7 MB per SLO whatever the fleet, 6 MB for eight.
//!
//! **Since when** is the question of a change-point: Page's cumulative sum `S = max(0, S + bad - expected)`, kept for the
//! arm and for each tenant, is above zero since the step after which the excess began to grow (Page, Continuous
//! inspection schemes, Biometrika 1954). `expected` bears the slack of a margin that users would not feel, so that a
//! healthy version's sum keeps falling back to zero, and with it what is remembered of its tenants.

use std::collections::{BTreeMap, VecDeque};

use breakwater_crds::{
    report::{
        Harm,
        account::{ArmCounts, Chart, POINTS_MAX},
    },
    scalars::Span,
};
use breakwater_slo::{Counts, TenantId};

use crate::judged::instant;

/// How long before and after the decision counts are kept, in seconds.
pub(crate) const WINDOW_SECONDS: i64 = 2 * 3_600;
/// Shortest stretch: four hours have 240 of them, which is what a chart holds.
const EVERY_SECONDS_MIN: i64 = 60;
/// Most tenants whose sums are kept; beyond it the mildest half is forgotten.
const TENANTS_MAX: usize = 7_000;
/// Events beyond the expected ones that are harm for sure, in the arm or in one tenant.
const SURE: f64 = 10.0;
/// And so many standard deviations of as many events as were to be expected.
const CHANCE: f64 = 4.0;
/// The same for a tenant to be counted among those that felt it.
const FELT: f64 = 3.0;

/// On which side a tenant's events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// On the version.
    Candidate,
    /// Was on it and is back: shown with the candidates, and no harm any more.
    Back,
    /// Never was.
    Baseline,
}

/// What is known of a step beside its counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Its end, in unix seconds.
    pub(crate) end_seconds: i64,
    /// Its length.
    pub(crate) step_seconds: i64,
    /// The share of bad events that the objective allows.
    pub(crate) allowed: f64,
    /// What users would not feel: so many times the expected ratio (`margin.ratio`).
    pub(crate) margin_ratio: f64,
    /// And a share of all events on top (`margin.absolute`).
    pub(crate) margin_absolute: f64,
}

/// What one SLO counted of late.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    since_seconds: Option<i64>,
    until_seconds: Option<i64>,
    /// It holds values of a `query`, and no counts.
    holds_values: bool,
    every_seconds: i64,
    points: VecDeque<Point>,
    arm: Felt,
    tenants: BTreeMap<TenantId, Felt>,
    /// The decision that sums are kept for, in unix seconds: from then on none falls back.
    pinned_seconds: Option<i64>,
}

/// One stretch of whole steps.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    end_seconds: i64,
    candidates: Counts,
    baseline: Counts,
    value: Option<f64>,
}

/// What was felt since it began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Felt {
    /// Start of the step with which it began; `None`: nothing is felt.
    pub(crate) since_seconds: Option<i64>,
    /// Bad events since.
    pub(crate) bad: f64,
    /// All events since.
    pub(crate) total: f64,
    /// Bad events beyond the expected ratio.
    pub(crate) excess: f64,
    /// Minutes of the fleet's error budget that these spent.
    budget_minutes: f64,
    /// The cumulative sum.
    sum: f64,
    /// A tenant's own ratio in the week before.
    usual: f64,
}

impl Felt {
    /// Takes a step in, `minutes` of the fleet's error budget being one event; what falls back to nothing is forgotten, unless `keep`.
    fn take(&mut self, counts: Counts, ratio: f64, frame: Frame, minutes: f64, keep: bool) {
        let expected = counts.total * ratio;
        let margin = expected * frame.margin_ratio + counts.total * frame.margin_absolute;
        let sum = self.sum + counts.bad - margin;
        if sum <= 0.0 && !keep {
            *self = Self { usual: self.usual, ..Self::default() };
            return;
        }
        self.sum = if keep { sum.max(self.sum) } else { sum };
        self.since_seconds = self.since_seconds.or_else(|| (sum > 0.0).then(|| frame.start_seconds()));
        if self.since_seconds.is_some() {
            self.bad += counts.bad;
            self.total += counts.total;
            self.excess += counts.bad - expected;
            self.budget_minutes += (counts.bad - expected) * minutes;
        }
    }

    /// True where it is harm for sure: enough events, and more than chance makes of so many.
    fn is_sure(&self) -> bool {
        let expected = (self.bad - self.excess).max(0.0);
        self.sum >= SURE && self.excess >= CHANCE * expected.sqrt()
    }

    fn and(self, other: &Self) -> Self {
        Self {
            bad: self.bad + other.bad,
            total: self.total + other.total,
            excess: self.excess + other.excess,
            budget_minutes: self.budget_minutes + other.budget_minutes,
            ..self
        }
    }
}

impl Frame {
    fn start_seconds(self) -> i64 {
        self.end_seconds.saturating_sub(self.step_seconds)
    }
}

impl Trace {
    /// End of the last step taken in, in unix seconds.
    pub fn until_seconds(&self) -> Option<i64> {
        self.until_seconds
    }

    /// Start of the first step that it knows, in unix seconds.
    pub(crate) fn since_seconds(&self) -> Option<i64> {
        self.since_seconds
    }

    /// The decision whose harm it knows from the first step on, in unix seconds.
    pub(crate) fn pinned_seconds(&self) -> Option<i64> {
        self.pinned_seconds
    }

    /// A deviation is decided: what is felt from now on is added to what was, whatever comes.
    pub(crate) fn pin(&mut self, now_seconds: i64) {
        self.pinned_seconds = Some(now_seconds);
        self.forget_points();
    }

    /// The window of a deviation that only held is over.
    pub(crate) fn unpin(&mut self) {
        self.pinned_seconds = None;
        self.forget_points();
    }

    /// A step's counts of every tenant that is watched; `usual` is a tenant's own ratio in the week before.
    /// Each step counts once.
    pub(crate) fn take(
        &mut self,
        frame: Frame,
        seen: impl Iterator<Item = (TenantId, Side, Counts)> + Clone,
        usual: impl Fn(TenantId) -> Option<f64>,
    ) {
        if !self.advance(frame) {
            return;
        }
        let pool = |which: &[Side]| {
            let of = seen.clone().filter(|(_, side, _)| which.contains(side));
            of.fold(Counts::default(), |sum, (_, _, counts)| add(sum, counts))
        };
        let (candidates, back, baseline) =
            (pool(&[Side::Candidate]), pool(&[Side::Back]), pool(&[Side::Baseline]));
        if let Some(point) = self.point(frame) {
            point.candidates = add(point.candidates, add(candidates, back));
            point.baseline = add(point.baseline, baseline);
        }
        let ratio = baseline.ratio().unwrap_or(frame.allowed);
        let all = candidates.total + back.total + baseline.total;
        let budget = all * frame.allowed;
        let minutes = if budget > 0.0 { frame.step_seconds as f64 / 60.0 / budget } else { 0.0 };
        self.arm.take(candidates, ratio, frame, minutes, self.pinned_seconds.is_some());
        for (tenant, _, counts) in seen.filter(|(_, side, _)| *side == Side::Candidate) {
            self.take_tenant((tenant, counts), ratio, frame, minutes, &usual);
        }
    }

    /// A step's values of a `query`; the worst one stands for it.
    pub(crate) fn take_values(&mut self, frame: Frame, worst: Option<f64>) {
        if self.advance(frame) {
            self.holds_values = true;
            let Some(point) = self.point(frame) else { return };
            point.value = point.value.into_iter().chain(worst.filter(|v| v.is_finite())).reduce(f64::max);
        }
    }

    /// False for a step that was taken in before.
    fn advance(&mut self, frame: Frame) -> bool {
        if frame.step_seconds < 1 || self.until_seconds.is_some_and(|until| frame.end_seconds <= until) {
            return false;
        }
        self.since_seconds.get_or_insert(frame.start_seconds());
        self.until_seconds = Some(frame.end_seconds);
        true
    }

    /// The stretch that a step belongs to; `None` where it lies before the window.
    /// After an outage a backlog of steps can be older than the window of the decision that came first.
    fn point(&mut self, frame: Frame) -> Option<&mut Point> {
        let every = every_seconds(frame.step_seconds);
        if self.every_seconds != every {
            self.every_seconds = every;
            self.points.clear();
        }
        let end_seconds = (frame.end_seconds - 1).div_euclid(every).saturating_add(1).saturating_mul(every);
        if self.points.back().is_none_or(|point| point.end_seconds != end_seconds) {
            self.points.push_back(Point { end_seconds, ..Point::default() });
            self.forget_points();
        }
        self.points.back_mut()
    }

    /// Keeps the window: two hours before the decision, or before now; never more points than a chart has.
    fn forget_points(&mut self) {
        let newest = self.points.back().map_or(0, |point| point.end_seconds);
        let from = self.pinned_seconds.unwrap_or(newest).saturating_sub(WINDOW_SECONDS);
        let surplus = self.points.len().saturating_sub(POINTS_MAX);
        let old = self.points.iter().take_while(|point| point.end_seconds <= from).count();
        self.points.drain(..old.max(surplus));
    }

    fn take_tenant(
        &mut self,
        (tenant, counts): (TenantId, Counts),
        ratio: f64,
        frame: Frame,
        minutes: f64,
        usual: &impl Fn(TenantId) -> Option<f64>,
    ) {
        let pinned = self.pinned_seconds.is_some();
        if let Some(felt) = self.tenants.get_mut(&tenant) {
            felt.take(counts, ratio.max(felt.usual), frame, minutes, pinned);
            if felt.since_seconds.is_none() {
                self.tenants.remove(&tenant);
            }
        } else if counts.bad > counts.total * ratio {
            let usual = usual(tenant).unwrap_or(0.0);
            let mut felt = Felt { usual, ..Felt::default() };
            felt.take(counts, ratio.max(usual), frame, minutes, false);
            if felt.since_seconds.is_some() {
                self.forget_the_mildest();
                self.tenants.insert(tenant, felt);
            }
        }
    }

    fn forget_the_mildest(&mut self) {
        if self.tenants.len() < TENANTS_MAX {
            return;
        }
        let mut sums: Vec<f64> = self.tenants.values().map(|felt| felt.sum).collect();
        let (_, middle, _) = sums.select_nth_unstable_by(TENANTS_MAX / 2, f64::total_cmp);
        let middle = *middle;
        self.tenants.retain(|_, felt| felt.sum > middle);
    }

    /// When users first felt it: the arm, or one tenant alone; `None` where nothing was felt for sure.
    pub(crate) fn first_harm_seconds(&self) -> Option<i64> {
        let all = self.tenants.values().chain([&self.arm]);
        all.filter(|felt| felt.is_sure()).filter_map(|felt| felt.since_seconds).min()
    }

    /// The tenants that felt it, the worst first, and how many there are in all.
    pub(crate) fn worst(&self, max: usize) -> (Vec<(TenantId, Felt)>, usize) {
        let mut felt: Vec<(TenantId, Felt)> =
            self.tenants.iter().filter(|(_, felt)| felt.sum >= FELT).map(|(id, felt)| (*id, *felt)).collect();
        let all = felt.len();
        felt.sort_unstable_by(|(a, x), (b, y)| y.excess.total_cmp(&x.excess).then(a.cmp(b)));
        felt.truncate(max);
        (felt, all)
    }

    /// What was felt, summed up; `None` where nothing was felt for sure.
    pub(crate) fn harm(&self) -> Option<Harm> {
        let since = self.first_harm_seconds()?;
        let sum = if self.arm.is_sure() {
            self.arm
        } else {
            // Too few tenants for the arm to show it: theirs alone.
            self.tenants.values().filter(|felt| felt.is_sure()).fold(Felt::default(), Felt::and)
        };
        let tenants = self.tenants.values().filter(|felt| felt.sum >= FELT).count();
        Some(Harm {
            since: Some(instant(since)),
            bad: neat(sum.bad),
            total: neat(sum.total),
            excess: neat(sum.excess),
            budget_minutes: neat(sum.budget_minutes.max(0.0)),
            tenants: u32::try_from(tenants).unwrap_or(u32::MAX),
        })
    }

    /// Adds to a chart what came after its end, in whole stretches, as far as `horizon_seconds`; makes one where there is
    /// none. Doing it twice changes nothing.
    pub(crate) fn draw(&self, chart: &mut Option<Chart>, horizon_seconds: i64) {
        let (every, until) = (self.every_seconds, self.until_seconds.unwrap_or(i64::MIN));
        for point in &self.points {
            if point.end_seconds > until.min(horizon_seconds) {
                return;
            }
            let start = point.end_seconds - every;
            let chart = chart.get_or_insert_with(|| Chart {
                start: instant(start),
                every: Span::seconds(every),
                candidates: ArmCounts::default(),
                baseline: ArmCounts::default(),
                values: Vec::new(),
            });
            if chart.every.as_seconds() != every {
                return; // another step since a restart; what is drawn stands
            }
            let missing = (start - end_seconds(chart)).div_euclid(every);
            let Ok(missing) = usize::try_from(missing) else { continue };
            if chart.len() + missing >= POINTS_MAX {
                return;
            }
            for _ in 0..missing {
                append(chart, &Point::default(), self.holds_values);
            }
            append(chart, point, self.holds_values);
        }
    }

    /// Up to where [`Trace::draw`] would draw.
    pub(crate) fn drawable_seconds(&self, horizon_seconds: i64) -> Option<i64> {
        let until = self.until_seconds?.min(horizon_seconds);
        self.points.iter().map(|point| point.end_seconds).filter(|end| *end <= until).max()
    }
}

/// End of a chart, in unix seconds.
pub(crate) fn end_seconds(chart: &Chart) -> i64 {
    let length = i64::try_from(chart.len()).unwrap_or(i64::MAX);
    chart.start.as_second().saturating_add(length.saturating_mul(chart.every.as_seconds()))
}

fn append(chart: &mut Chart, point: &Point, holds_values: bool) {
    if holds_values {
        chart.values.push(point.value);
        return;
    }
    for (arm, counts) in [(&mut chart.candidates, point.candidates), (&mut chart.baseline, point.baseline)] {
        arm.bad.push(neat(counts.bad));
        arm.total.push(neat(counts.total));
    }
}

/// Length of a stretch: whole steps.
fn every_seconds(step_seconds: i64) -> i64 {
    let steps = EVERY_SECONDS_MIN / step_seconds + i64::from(EVERY_SECONDS_MIN % step_seconds != 0);
    steps.saturating_mul(step_seconds)
}

/// Without digits that say nothing, so that a chart stays small.
pub(crate) fn neat(value: f64) -> f64 {
    if value.abs() >= 1_000.0 { value.round() } else { (value * 1_000.0).round() / 1_000.0 }
}

fn add(a: Counts, b: Counts) -> Counts {
    Counts { bad: a.bad + b.bad, total: a.total + b.total }
}

#[cfg(test)]
#[path = "trace/tests.rs"]
mod tests;
