//! From what is remembered to what is said: the guards of analysis.md 3 and the table of its section 4. Pure.
//!
//! In order: no data (R12) beats every guard *within* one SLO, since what cannot be read can neither pass nor revert;
//! then deviations; then one tenant alone; then the exemption of R14; then what holds.

use crate::config::{Config, Kind, Pair, whole_steps};
use crate::evidence::{Action, Coverage, Evidence, GUILTY_MAX, Guard, NoData, Verdict};
use crate::reading::{Counts, TenantId};
use crate::speak;
use crate::state::State;
use crate::text::{count, number, percent, span, tenants, times};
use crate::window::{Slot, Tally};

/// Bad events that a pair's short window, or the update cost, must hold before it speaks (analysis.md 3).
pub const BAD_MIN: u32 = 10;
/// Share of the instrumented tenants that must be covered (R12).
pub const COVERAGE_MIN: f64 = 0.9;
/// The candidates' series are lost after this long without them (analysis.md 4).
pub const TELEMETRY_LOST_SECONDS: i64 = 180;
/// The baseline burns as well from this share of a guard's limit on (R14).
const BASELINE_SHARE: f64 = 1.0 / 3.0;
/// One stray error is no outage of the baseline.
const BASELINE_BAD_MIN: u32 = 2;
/// A burn of exactly the limit is at the limit, whatever `1 - objective` rounds to.
const ROUNDING: f64 = 1.0 - 1e-9;

/// Age of the newest step, in seconds, from which on there is no data: four steps, at least 3 minutes.
///
/// A step is evaluated two scrapes (90 s where scrapes are 30 s apart) after its end and is the newest one for a step:
/// 150 s at a step of 1 m in good order, so three steps would be too close. The 3 minutes are for steps of seconds.
pub fn stale_after_seconds(step_seconds: i64) -> i64 {
    step_seconds.saturating_mul(4).max(180)
}

/// Under 90 % of the instrumented tenants are covered.
pub(crate) fn is_low(coverage: Coverage) -> bool {
    coverage.share().is_some_and(|share| share < COVERAGE_MIN)
}

/// How far a value is out of bounds; zero or less where it is not.
pub(crate) fn excess(max: Option<f64>, min: Option<f64>, value: f64) -> f64 {
    let above = max.map_or(f64::NEG_INFINITY, |max| value - max);
    let below = min.map_or(f64::NEG_INFINITY, |min| min - value);
    above.max(below)
}

/// The evidence of `state` at `now_seconds`.
pub(crate) fn evidence(state: &State, config: &Config, begun_seconds: i64, now_seconds: i64) -> Evidence {
    let guards = out_of_time(state, config, begun_seconds, now_seconds)
        .unwrap_or_else(|| of_newest_step(state, config));
    speak::join(state, config, guards)
}

fn of_newest_step(state: &State, config: &Config) -> Evidence {
    match config.kind {
        Kind::Limit { max, min, for_seconds } => bounds(state, max, min, for_seconds),
        Kind::Ratio { objective } => {
            uncovered(state, config).unwrap_or_else(|| guards(state, config, objective))
        }
    }
}

/// Evidence without figures.
fn plain(state: &State, verdict: Verdict, action: Action, guard: Option<Guard>, reason: String) -> Evidence {
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
        coverage: state.candidate,
        baseline_coverage: state.baseline,
        ln_e: None,
        ln_limit: None,
        detectable: None,
        alone: Vec::new(),
        reason,
    }
}

fn no_data(state: &State, why: NoData, window_seconds: i64, words: &str) -> Evidence {
    let guard = Some(Guard::NoData(why));
    let evidence = plain(state, Verdict::NoData, Action::Hold, guard, format!("no data: {words}"));
    Evidence { window_seconds, ..evidence }
}

/// No step, an old one, one from the future, a missing one.
fn out_of_time(state: &State, config: &Config, begun_seconds: i64, now_seconds: i64) -> Option<Evidence> {
    let step_seconds = config.step();
    let limit_seconds = stale_after_seconds(step_seconds);
    let known_seconds = state.until_seconds.map_or(begun_seconds, |until| until.max(begun_seconds));
    let age_seconds = now_seconds.saturating_sub(known_seconds);
    if age_seconds > limit_seconds {
        let words = format!("no step for {} (limit {})", span(age_seconds), span(limit_seconds));
        return Some(no_data(state, NoData::Stale, age_seconds, &words));
    }
    let Some(until_seconds) = state.until_seconds else {
        let reason = format!("waiting for the first step of {}", span(step_seconds));
        return Some(plain(state, Verdict::Inconclusive, Action::None, None, reason));
    };
    let ahead_seconds = until_seconds.saturating_sub(now_seconds);
    if ahead_seconds > step_seconds {
        let words = format!("the newest step ends {} in the future", span(ahead_seconds));
        return Some(no_data(state, NoData::Future, step_seconds, &words));
    }
    let why = state.missing.as_ref()?;
    Some(no_data(
        state,
        NoData::Missing,
        step_seconds,
        &format!("{why}, in the last step of {}", span(step_seconds)),
    ))
}

/// Too few of the tenants can be read (R12).
fn uncovered(state: &State, config: &Config) -> Option<Evidence> {
    let (candidate, baseline) = (state.candidate, state.baseline);
    if is_low(candidate) {
        let lost_seconds = state
            .lost_since_seconds
            .and_then(|since| state.until_seconds.map(|until| until.saturating_sub(since)))
            .filter(|seconds| *seconds >= TELEMETRY_LOST_SECONDS);
        let evidence = low(state, config, NoData::CandidateCoverage, candidate, "candidates");
        return Some(match lost_seconds {
            Some(seconds) => telemetry_lost(evidence, candidate, baseline, seconds),
            None => evidence,
        });
    }
    if candidate.tenants > 0 && candidate.never_instrumented == candidate.tenants {
        let words = format!("none of {} candidates has had series yet", candidate.tenants);
        return Some(no_data(state, NoData::NeverInstrumented, config.step(), &words));
    }
    if candidate.tenants > 0 && candidate.exempt == candidate.tenants {
        let words = format!(
            "nobody to judge by: all of {} candidates burned in the seven days before their update",
            candidate.tenants
        );
        return Some(no_data(state, NoData::AllExempt, config.step(), &words));
    }
    is_low(baseline).then(|| low(state, config, NoData::BaselineCoverage, baseline, "baseline tenants"))
}

fn low(state: &State, config: &Config, why: NoData, coverage: Coverage, whom: &str) -> Evidence {
    let Coverage { instrumented, covered, .. } = coverage;
    let words = format!(
        "{covered} of {instrumented} {whom} covered (limit {}) in the last step of {}",
        percent(COVERAGE_MIN),
        span(config.step())
    );
    let evidence = no_data(state, why, config.step(), &words);
    Evidence { value: coverage.share(), limit: Some(COVERAGE_MIN), ..evidence }
}

fn telemetry_lost(evidence: Evidence, candidate: Coverage, baseline: Coverage, seconds: i64) -> Evidence {
    let reason = format!(
        "no data: {} of {} candidates covered against {} of {} baseline tenants (limit {}) for {}: telemetry lost",
        candidate.covered,
        candidate.instrumented,
        baseline.covered,
        baseline.instrumented,
        percent(COVERAGE_MIN),
        span(seconds)
    );
    let guard = Some(Guard::TelemetryLost);
    Evidence { guard, baseline: baseline.share(), window_seconds: seconds, reason, ..evidence }
}

/// A `query` against its bounds: consecutive time out of them, not cumulative.
fn bounds(state: &State, max: Option<f64>, min: Option<f64>, for_seconds: i64) -> Evidence {
    let Some(last) = state.last_value else {
        let reason = "waiting for the first value".to_owned();
        return plain(state, Verdict::Inconclusive, Action::None, None, reason);
    };
    let is_below = min.is_some_and(|min| last.value < min);
    let (limit, bound) = match (max, min) {
        (Some(max), None) => (Some(max), format!("at most {}", number(max))),
        (None, Some(min)) => (Some(min), format!("at least {}", number(min))),
        (Some(max), Some(min)) => {
            (Some(if is_below { min } else { max }), format!("{} to {}", number(min), number(max)))
        }
        (None, None) => (None, "none".to_owned()),
    };
    let value = number(last.value);
    let (verdict, action, guard, reason) = if last.out_seconds == 0 {
        (Verdict::Healthy, Action::None, None, format!("{value} (limit {bound}) over {}", span(for_seconds)))
    } else {
        let reason =
            format!("{value} (limit {bound}) for {} (limit {})", span(last.out_seconds), span(for_seconds));
        if last.out_seconds >= for_seconds {
            (Verdict::Deviating, Action::Deviate, Some(Guard::Limit), reason)
        } else {
            (Verdict::Inconclusive, Action::None, None, reason)
        }
    };
    let evidence = plain(state, verdict, action, guard, reason);
    Evidence { value: Some(last.value), limit, window_seconds: for_seconds, ..evidence }
}

/// A guard on burn rates, with the sums of its windows.
struct Rule {
    guard: Guard,
    /// What it asks for when it speaks and nothing excuses it.
    action: Action,
    pair: Pair,
    /// `factor * (1 - objective)`.
    limit: f64,
    long: Slot,
    short: Slot,
    /// Enough evaluated steps and enough bad events to speak.
    ready: bool,
}

/// What a guard that burns comes to, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
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
    fn all(state: &State, config: &Config, objective: f64) -> Vec<Self> {
        let crate::config::Sharp { long_seconds, short_seconds, factor, min_bad: _ } = config.sharp;
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

    fn finding(&self, state: &State, config: &Config) -> Option<Finding> {
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
    fn words(&self) -> String {
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
            count(candidate.total)
        )
    }

    fn evidence(&self, evidence: Evidence) -> Evidence {
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

    fn found(&self, state: &State, finding: Finding) -> Evidence {
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
        let evidence = self.evidence(plain(state, verdict, action, Some(self.guard), reason));
        Evidence { guilty, guilty_total, exempt: finding == Finding::Exempt, ..evidence }
    }
}

fn is_beyond(tally: Tally, limit: f64) -> bool {
    tally.counts().ratio().is_some_and(|ratio| ratio >= limit * ROUNDING)
}

/// The window is full: the candidate has been exposed for its length, and nine tenths of its steps were evaluated (so
/// that after an outage of Prometheus one minute does not speak for an hour).
fn is_full(state: &State, config: &Config, seconds: i64, sum: Slot) -> bool {
    let steps = u64::try_from(whole_steps(seconds, config.step())).unwrap_or(u64::MAX);
    state.exposed_steps >= steps && u64::from(sum.steps).saturating_mul(10) >= steps.saturating_mul(9)
}

fn guards(state: &State, config: &Config, objective: f64) -> Evidence {
    let rules = Rule::all(state, config, objective);
    let mut worst: Option<(Finding, &Rule)> = None;
    for rule in &rules {
        if let Some(finding) = rule.finding(state, config) {
            // Of equal findings the first, the fastest guard.
            if worst.is_none_or(|(known, _)| finding > known) {
                worst = Some((finding, rule));
            }
        }
    }
    match worst {
        Some((finding, rule)) => rule.found(state, finding),
        None => update_cost(state, config).unwrap_or_else(|| nothing_found(state, config, &rules)),
    }
}

fn update_cost(state: &State, config: &Config) -> Option<Evidence> {
    let Counts { bad, total } = state.warming.counts();
    let share = state.warming.counts().ratio()?;
    if !state.warming.holds_bad(BAD_MIN) || share <= config.update_cost_max {
        return None;
    }
    let reason = format!(
        "{} bad during warm-up (limit {}) since the wave began, {} requests; holding",
        percent(share),
        percent(config.update_cost_max),
        count(total)
    );
    let evidence = plain(state, Verdict::Inconclusive, Action::Hold, Some(Guard::UpdateCost), reason);
    let limit = Some(config.update_cost_max);
    Some(Evidence { value: Some(share), limit, requests: total, bad, ..evidence })
}

/// No guard spoke: which does not mean healthy before one could have.
fn nothing_found(state: &State, config: &Config, rules: &[Rule]) -> Evidence {
    let nearness =
        |rule: &Rule| rule.long.candidate.counts().ratio().map_or(-1.0, |ratio| ratio / rule.limit);
    // The guard that is nearest to speaking; of equal ones the first that deviates.
    let nearest = rules
        .iter()
        .filter(|rule| rule.action == Action::Deviate && !rule.long.candidate.is_empty())
        .reduce(|known, rule| if nearness(rule) > nearness(known) { rule } else { known });
    let shortest =
        config.page.iter().map(|pair| pair.short_seconds).min().unwrap_or(config.sharp.short_seconds);
    let watched = state.sum(shortest, config.step());
    let is_watched = is_full(state, config, shortest, watched);
    let words = nearest.map_or_else(|| "no requests, no evidence".to_owned(), Rule::words);
    let (verdict, reason) = if state.candidate.tenants == 0 {
        (
            Verdict::Inconclusive,
            format!("no warm candidate in the last step of {}; {words}", span(config.step())),
        )
    } else if state.exposed_steps > 0 && !is_watched {
        let seconds = config.step().saturating_mul(i64::from(watched.steps)).min(shortest);
        (Verdict::Inconclusive, format!("watched for {} of {}: {words}", span(seconds), span(shortest)))
    } else {
        (Verdict::Healthy, words)
    };
    let evidence = plain(state, verdict, Action::None, None, reason);
    match nearest {
        Some(rule) => rule.evidence(evidence),
        None => evidence,
    }
}
