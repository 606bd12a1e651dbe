//! One guard on burn rates: when it speaks, who burns, and what it says (analysis.md 3). Pure.

use breakwater_text::figure::short_count;

use crate::config::{Config, Pair, Sharp, whole_steps};
use crate::evidence::{Action, Evidence, GUILTY_MAX, Guard, Verdict};
use crate::reading::{Counts, TenantId};
use crate::state::State;
use crate::text::{percent, span, tenants, times};
use crate::window::{Slot, Tally};

/// Bad events that a pair's short window, or the update cost, must hold before it speaks (analysis.md 3).
pub const BAD_MIN: u32 = 10;
/// The baseline burns as well from this share of a guard's limit on (R14).
const BASELINE_SHARE: f64 = 1.0 / 3.0;
/// One stray error is no outage of the baseline.
const BASELINE_BAD_MIN: u32 = 2;
/// A burn of exactly the limit is at the limit, whatever `1 - objective` rounds to.
const ROUNDING: f64 = 1.0 - 1e-9;

/// A guard on burn rates, with the sums of its windows.
pub(crate) struct Rule {
    guard: Guard,
    /// What it asks for when it speaks and nothing excuses it.
    pub(crate) action: Action,
    pair: Pair,
    /// `factor * (1 - objective)`.
    pub(crate) limit: f64,
    pub(crate) long: Slot,
    short: Slot,
    /// Enough evaluated steps and enough bad events to speak.
    ready: bool,
}

/// What a guard that burns comes to, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    Holds,
    Exempt,
    TooFew,
    Deviates,
}

impl Rule {
    fn new(state: &State, config: &Config, objective: f64, guard: Guard, pair: Pair) -> Self {
        let sum = |seconds| state.sum(seconds, config.step());
        let (long, short) = (sum(pair.long_seconds), sum(pair.short_seconds));
        let (enough_bad, action) = match guard {
            Guard::Sharp => (long.candidate.holds_bad(config.sharp.min_bad), Action::Deviate),
            Guard::BurnRate { pair: _, page: true } => (short.candidate.holds_bad(BAD_MIN), Action::Deviate),
            Guard::BurnRate { pair: _, page: false } => (short.candidate.holds_bad(BAD_MIN), Action::Hold),
            Guard::Limit
            | Guard::UpdateCost
            | Guard::TelemetryLost
            | Guard::NoData(_)
            | Guard::Comparison
            | Guard::Uncalibrated => (false, Action::None),
        };
        let ready = enough_bad && is_full(state, config, pair.short_seconds, short);
        Self { guard, action, pair, limit: pair.factor * (1.0 - objective), long, short, ready }
    }

    /// All guards on burn rates, the fastest first.
    pub(crate) fn all(state: &State, config: &Config, objective: f64) -> Vec<Self> {
        let Sharp { long_seconds, short_seconds, factor, min_bad: _ } = config.sharp;
        let sharp = (Guard::Sharp, Pair { long_seconds, short_seconds, factor });
        let page = config.page.iter().map(|pair| (Guard::BurnRate { pair: *pair, page: true }, *pair));
        let hold = config.hold.iter().map(|pair| (Guard::BurnRate { pair: *pair, page: false }, *pair));
        let guards = std::iter::once(sharp).chain(page).chain(hold);
        guards.map(|(guard, pair)| Self::new(state, config, objective, guard, pair)).collect()
    }

    /// The candidate burns at the limit or above in both windows.
    fn burns(&self) -> bool {
        self.ready && [self.long, self.short].iter().all(|slot| is_beyond(slot.candidate, self.limit))
    }

    /// The baseline burns at a third of the limit or more (R14), in *either* window: an arm that is younger than the
    /// long window shows an outage there undiluted by the hour before it, the baseline does not.
    fn is_exempt(&self) -> bool {
        [self.long.baseline, self.short.baseline].into_iter().any(|tally| {
            tally.holds_bad(BASELINE_BAD_MIN)
                && tally.counts().ratio().is_some_and(|ratio| ratio >= self.limit * BASELINE_SHARE * ROUNDING)
        })
    }

    pub(crate) fn finding(&self, state: &State, config: &Config) -> Option<Finding> {
        if !self.burns() {
            return None;
        }
        if self.is_exempt() {
            return Some(Finding::Exempt);
        }
        // One of several could be broken by itself, and a minute could be a burst: what fails fails in a second one as well
        // (R13; of bursts in two tenants within five minutes one healthy rollout in sixty was reverted, judge.md). After a
        // restart of the process nobody is guilty until the windows per tenant are refilled: then this holds.
        let enough = usize::try_from(state.candidate.tenants).unwrap_or(usize::MAX).clamp(1, 2);
        let is_sharp = matches!(self.guard, Guard::Sharp);
        if is_sharp && self.guilty(state).len() < enough {
            return Some(Finding::TooFew);
        }
        // While a page's long window is young the short one speaks for it: then it must do so without its worst minute as well.
        let is_young = !is_full(state, config, self.pair.long_seconds, self.long);
        let lasting = || state.lasting(self.pair.short_seconds, config, self.limit);
        if !is_sharp && self.action == Action::Deviate && is_young && !is_beyond(lasting(), self.limit) {
            return Some(Finding::TooFew);
        }
        Some(if self.action == Action::Deviate { Finding::Deviates } else { Finding::Holds })
    }

    /// `18.0% against 0.6% baseline (burn rate 36x, limit 14.4x) over 5m and 1m, 412k requests`.
    pub(crate) fn words(&self) -> String {
        let Pair { long_seconds, short_seconds, factor } = self.pair;
        let candidate = self.long.candidate.counts();
        let value = candidate.ratio().unwrap_or(0.0);
        let baseline = self.long.baseline.counts().ratio();
        let against = baseline
            .map_or_else(|| ", no baseline".to_owned(), |b| format!(" against {} baseline", percent(b)));
        format!(
            "{}{against} (burn rate {}, limit {}) over {} and {}, {} requests",
            percent(value),
            times(value / self.limit * factor),
            times(factor),
            span(long_seconds),
            span(short_seconds),
            short_count(candidate.total)
        )
    }

    pub(crate) fn evidence(&self, evidence: Evidence) -> Evidence {
        let Counts { bad, total } = self.long.candidate.counts();
        Evidence {
            value: self.long.candidate.counts().ratio(),
            baseline: self.long.baseline.counts().ratio(),
            limit: Some(self.limit).filter(|limit| limit.is_finite()),
            window_seconds: self.pair.long_seconds,
            requests: total,
            bad,
            ..evidence
        }
    }

    /// The tenants that burn; on the sharp path those that do in more than one short window.
    fn guilty(&self, state: &State) -> Vec<(TenantId, Counts)> {
        let limit = self.limit * ROUNDING;
        if matches!(self.guard, Guard::Sharp) {
            state.recent.lasting(limit, self.pair.short_seconds)
        } else {
            state.recent.guilty(limit)
        }
    }

    pub(crate) fn found(&self, state: &State, finding: Finding) -> Evidence {
        let mut guilty = self.guilty(state);
        let once = state.recent.guilty(self.limit * ROUNDING).len();
        // Where one fails for long enough and others may be about to, it is not alone.
        let guilty_total = if guilty.is_empty() { 0 } else { guilty.len().max(once) };
        let is_sharp = matches!(self.guard, Guard::Sharp);
        guilty.truncate(GUILTY_MAX);
        let mut reason = self.words();
        if guilty_total > 0 {
            reason = format!("{reason}, {}", tenants(guilty_total));
        }
        let (verdict, action, tail) = match finding {
            Finding::Deviates => (Verdict::Deviating, Action::Deviate, ""),
            Finding::TooFew if is_sharp && guilty_total == 1 => {
                (Verdict::Inconclusive, Action::Hold, "; one tenant alone")
            }
            Finding::TooFew if is_sharp && once == 0 => {
                (Verdict::Inconclusive, Action::Hold, "; holding until the tenants are known")
            }
            Finding::TooFew => (Verdict::Inconclusive, Action::Hold, "; only once so far: holding"),
            Finding::Exempt => (Verdict::Inconclusive, Action::Hold, "; the baseline burns as well: holding"),
            Finding::Holds => (Verdict::Inconclusive, Action::Hold, "; holding"),
        };
        reason.push_str(tail);
        let evidence = self.evidence(state.plain(verdict, action, Some(self.guard), reason));
        Evidence { guilty, guilty_total, exempt: finding == Finding::Exempt, ..evidence }
    }
}

fn is_beyond(tally: Tally, limit: f64) -> bool {
    tally.counts().ratio().is_some_and(|ratio| ratio >= limit * ROUNDING)
}

/// The window is full: the candidate has been exposed for its length, and nine tenths of its steps were evaluated (so
/// that after an outage of Prometheus one minute does not speak for an hour).
pub(crate) fn is_full(state: &State, config: &Config, seconds: i64, sum: Slot) -> bool {
    let steps = u64::try_from(whole_steps(seconds, config.step())).unwrap_or(u64::MAX);
    state.exposed_steps >= steps && u64::from(sum.steps).saturating_mul(10) >= steps.saturating_mul(9)
}
