//! From what is remembered to what is said: the guards of analysis.md 3 and the table of its section 4. Pure.
//!
//! In order: no data (R12) beats every guard *within* one SLO, since what cannot be read can neither pass nor revert;
//! then deviations; then one tenant alone; then the exemption of R14; then what holds.

use breakwater_text::figure::{decimal, short_count};

use crate::burn::{BAD_MIN, Finding, Rule, is_full};
use crate::config::{Config, Kind};
use crate::evidence::{Action, COVERAGE_MIN, Coverage, Evidence, Guard, NoData, Verdict};
use crate::reading::Counts;
use crate::speak;
use crate::state::State;
use crate::text::{percent, span};

/// The candidates' series are lost after this long without them (analysis.md 4).
pub const TELEMETRY_LOST_SECONDS: i64 = 180;

/// Age of the newest step, in seconds, from which on there is no data: four steps, at least 3 minutes.
///
/// A step is evaluated two scrapes (90 s where scrapes are 30 s apart) after its end and is the newest one for a step:
/// 150 s at a step of 1 m in good order, so three steps would be too close. The 3 minutes are for steps of seconds.
pub fn stale_after_seconds(step_seconds: i64) -> i64 {
    step_seconds.saturating_mul(4).max(180)
}

/// The same for a metric that comes late by its nature.
fn stale_limit_seconds(config: &Config) -> i64 {
    stale_after_seconds(config.step()).saturating_add(config.delay_seconds)
}

impl State {
    /// The evidence at `now_seconds`. `None` before the first warm candidate: no verdict and no hold (R10).
    pub fn evidence(&self, config: &Config, now_seconds: i64) -> Option<Evidence> {
        self.begun_seconds.map(|begun_seconds| evidence(self, config, begun_seconds, now_seconds))
    }

    /// When, in unix seconds, what is known is too old to be data, should no step come before; none before it began.
    pub fn stale_at_seconds(&self, config: &Config) -> Option<i64> {
        let known_seconds = self.until_seconds.max(self.begun_seconds);
        let limit_seconds = stale_limit_seconds(config);
        self.begun_seconds
            .and(known_seconds)
            .map(|known| known.saturating_add(limit_seconds).saturating_add(1))
    }
}

/// The evidence of `state` at `now_seconds`.
fn evidence(state: &State, config: &Config, begun_seconds: i64, now_seconds: i64) -> Evidence {
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

fn no_data(state: &State, why: NoData, window_seconds: i64, words: &str) -> Evidence {
    let guard = Some(Guard::NoData(why));
    let evidence = state.plain(Verdict::NoData, Action::Hold, guard, format!("no data: {words}"));
    Evidence { window_seconds, ..evidence }
}

/// No step, an old one, one from the future, a missing one.
fn out_of_time(state: &State, config: &Config, begun_seconds: i64, now_seconds: i64) -> Option<Evidence> {
    let (step_seconds, limit_seconds) = (config.step(), stale_limit_seconds(config));
    let known_seconds = state.until_seconds.map_or(begun_seconds, |until| until.max(begun_seconds));
    let age_seconds = now_seconds.saturating_sub(known_seconds);
    if age_seconds > limit_seconds {
        let words = format!("no step for {} (limit {})", span(age_seconds), span(limit_seconds));
        return Some(no_data(state, NoData::Stale, age_seconds, &words));
    }
    let Some(until_seconds) = state.until_seconds else {
        let reason = format!("waiting for the first step of {}", span(step_seconds));
        return Some(state.plain(Verdict::Inconclusive, Action::None, None, reason));
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
    if candidate.is_low() {
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
            "nobody to judge by: all of {} candidates burned in the seven days before their update; look at their errors, or at \
             what the SLO's selectors count",
            candidate.tenants
        );
        return Some(no_data(state, NoData::AllExempt, config.step(), &words));
    }
    baseline.is_low().then(|| low(state, config, NoData::BaselineCoverage, baseline, "baseline tenants"))
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
        return state.plain(Verdict::Inconclusive, Action::None, None, reason);
    };
    let is_below = min.is_some_and(|min| last.value < min);
    let (limit, bound) = match (max, min) {
        (Some(max), None) => (Some(max), format!("at most {}", decimal(max))),
        (None, Some(min)) => (Some(min), format!("at least {}", decimal(min))),
        (Some(max), Some(min)) => {
            (Some(if is_below { min } else { max }), format!("{} to {}", decimal(min), decimal(max)))
        }
        (None, None) => (None, "none".to_owned()),
    };
    let value = decimal(last.value);
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
    let evidence = state.plain(verdict, action, guard, reason);
    Evidence { value: Some(last.value), limit, window_seconds: for_seconds, ..evidence }
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
        short_count(total)
    );
    let evidence = state.plain(Verdict::Inconclusive, Action::Hold, Some(Guard::UpdateCost), reason);
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
    let evidence = state.plain(verdict, Action::None, None, reason);
    match nearest {
        Some(rule) => rule.evidence(evidence),
        None => evidence,
    }
}
