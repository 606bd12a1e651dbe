//! What the comparison says, beside the guards, in one verdict with one sentence (R11, R30). Pure.
//!
//! In order: no data; a guard that deviates; the comparison that deviates; what is not calibrated; what holds; then how
//! little could have been seen so far.

use breakwater_text::{cut, figure::short_count};

use crate::combine::certainty;
use crate::compare::detect::Detectable;
use crate::compare::encode::Stored;
use crate::compare::onset::Span;
use crate::compare::running::{Parts, Running, ln_limit};
use crate::compare::shape::Place;
use crate::compare::tenants::Row;
use crate::compare::{Against, Comparison, Frozen};
use crate::config::{Compare, Config, Kind};
use crate::evidence::{Action, Evidence, GUILTY_MAX, Guard, Verdict};
use crate::reading::{Counts, Side, TenantId};
use crate::state::State;
use crate::text::{duration, percent, span, tenants, times};

/// Evidence below this is told as this: `ln` of the least normal number.
const LN_MIN: f64 = -708.0;
/// Longest reason that is told, in bytes: it comes from outside.
const WHY_MAX_BYTES: usize = 200;
/// A ratio above this says no more than that the baseline has next to nothing.
const RATIO_MAX: f64 = 1_000.0;

/// `guards` with what the comparison has to say.
pub(crate) fn join(state: &State, config: &Config, guards: Evidence) -> Evidence {
    match config.kind {
        Kind::Limit { .. } => return guards,
        Kind::Ratio { objective: _ } => {}
    }
    match &state.comparison {
        Comparison::Off => guards,
        Comparison::Pending(reason) => uncalibrated(guards, reason, false),
        Comparison::Uncalibrated(doubt) => uncalibrated(guards, &doubt.reason, doubt.guards),
        Comparison::Armed(frozen) => match &state.compared {
            Some(Stored(running)) => Speaker { running, config, frozen, state }.join(guards),
            None => guards,
        },
    }
}

impl State {
    /// What the comparison sees where it sees most, in words, past its limit or not: for a verdict of several SLOs together.
    /// `None` where nothing is compared.
    pub fn seen(&self, config: &Config) -> Option<String> {
        let (Comparison::Armed(frozen), Some(Stored(running))) = (&self.comparison, &self.compared) else {
            return None;
        };
        let speaker = Speaker { running, config, frozen, state: self };
        Some(speaker.strongest(running.parts(&config.compare), &[]).words)
    }
}

/// What cannot be trusted holds and asks; it neither passes nor reverts.
fn uncalibrated(guards: Evidence, why: &str, holds_guards: bool) -> Evidence {
    let stays = match guards.verdict {
        Verdict::NoData => true,
        Verdict::Deviating => !holds_guards,
        Verdict::Healthy | Verdict::Inconclusive | Verdict::Uncalibrated => false,
    };
    if stays {
        return guards;
    }
    let reason = format!("not calibrated, holding: {}; {}", cut::bytes(why, WHY_MAX_BYTES), guards.reason);
    let (verdict, action, guard) = (Verdict::Uncalibrated, Action::Hold, Some(Guard::Uncalibrated));
    Evidence { verdict, action, guard, reason, ..guards }
}

/// What the comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Nothing,
    /// The past alone says so.
    PastAlone,
    /// Both were asked, and the past does not say so.
    OthersAlone,
    /// One of many tenants carries it all alone.
    OneAlone,
    /// Traffic vanishes against the past, and nobody is left to ask at the same time.
    TrafficAlone,
    Deviates,
}

struct Speaker<'a> {
    running: &'a Running,
    config: &'a Config,
    frozen: &'a Frozen,
    state: &'a State,
}

impl Speaker<'_> {
    fn join(&self, guards: Evidence) -> Evidence {
        let Compare { weight, .. } = self.config.compare;
        let parts = self.running.parts(&self.config.compare);
        let ln_e = self.e(parts).ln().max(LN_MIN);
        let ln_limit = ln_limit(&self.config.compare);
        let finding = self.finding(parts, ln_limit);
        let guards = Evidence {
            ln_e: Some(ln_e),
            ln_limit: Some(ln_limit).filter(|limit| limit.is_finite()),
            detectable: self.running.detect.detectable(),
            alone: match finding {
                Finding::Deviates | Finding::OneAlone => self.alone(ln_limit),
                _ => Vec::new(),
            },
            ..guards
        };
        let beaten = match guards.verdict {
            Verdict::NoData | Verdict::Deviating => false,
            Verdict::Healthy | Verdict::Inconclusive | Verdict::Uncalibrated => match finding {
                Finding::Nothing => false,
                // A guard that holds as well does not hide the tenant that is to go back (R22).
                Finding::Deviates | Finding::OneAlone => true,
                Finding::PastAlone | Finding::OthersAlone | Finding::TrafficAlone => {
                    guards.action == Action::None
                }
            },
        };
        if beaten { self.found(finding, parts, ln_e + weight.ln(), guards) } else { nothing_found(guards) }
    }

    /// `E`.
    fn e(&self, parts: Parts) -> f64 {
        match self.frozen.against {
            Against::Others | Against::History { chosen: _ } => parts.sum(),
            Against::Both => parts.both(),
        }
    }

    fn finding(&self, parts: Parts, ln_limit: f64) -> Finding {
        let crosses = |e: f64| e.ln() >= ln_limit;
        let (is_past, sum) = (crosses(parts.past), crosses(parts.sum()));
        match self.frozen.against {
            Against::Others | Against::History { chosen: true } if sum => Finding::Deviates,
            Against::Both if crosses(parts.both()) => Finding::Deviates,
            Against::Both if crosses(parts.both() + parts.one.min(parts.past)) => Finding::OneAlone,
            Against::Both if sum => Finding::OthersAlone,
            Against::Others | Against::History { chosen: true } if crosses(parts.sum() + parts.one) => {
                Finding::OneAlone
            }
            Against::Both | Against::History { chosen: false } if is_past => Finding::PastAlone,
            Against::History { chosen: _ } if crosses(parts.traffic_past) => Finding::TrafficAlone,
            Against::Others | Against::Both | Against::History { chosen: _ } => Finding::Nothing,
        }
    }

    /// Tenants that carry the release's evidence past the limit all alone.
    fn alone(&self, ln_limit: f64) -> Vec<TenantId> {
        let least = ln_limit.exp() / (self.running.shares(&self.config.compare).rate / 2.0);
        let rows = &self.running.tenants.rows;
        let mut alone: Vec<&Row> = rows.iter().filter(|row| row.value >= least).collect();
        alone.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.tenant.cmp(&b.tenant)));
        alone.truncate(GUILTY_MAX);
        alone.into_iter().map(|row| row.tenant).collect()
    }

    fn found(&self, finding: Finding, parts: Parts, ln_certain: f64, guards: Evidence) -> Evidence {
        let is_traffic = finding == Finding::TrafficAlone || parts.is_traffic();
        let guilty =
            if is_traffic { Vec::new() } else { self.running.tenants.guilty(self.config.compare.alpha) };
        let figures = if is_traffic { self.traffic_figures() } else { self.strongest(parts, &guilty) };
        let mut reason = figures.words.clone();
        let ln_certain = match finding {
            Finding::Deviates | Finding::Nothing => ln_certain,
            Finding::PastAlone => parts.past.ln() + self.config.compare.weight.ln(),
            Finding::OthersAlone => parts.sum().ln() + self.config.compare.weight.ln(),
            Finding::TrafficAlone => parts.traffic_past.ln() + self.config.compare.weight.ln(),
            Finding::OneAlone => (parts.sum() + parts.one).ln() + self.config.compare.weight.ln(),
        };
        reason.push_str(", certainty ");
        reason.push_str(&certain(certainty(ln_certain)));
        if !guilty.is_empty() {
            reason.push_str(", ");
            reason.push_str(&tenants(guilty.len()));
        }
        let (verdict, action, tail) = match finding {
            Finding::Deviates => (Verdict::Deviating, Action::Deviate, ""),
            Finding::PastAlone | Finding::TrafficAlone => {
                (Verdict::Inconclusive, Action::Hold, "; against their own past alone: holding")
            }
            Finding::OthersAlone => {
                (Verdict::Inconclusive, Action::Hold, "; their own past does not agree: holding")
            }
            Finding::OneAlone => (Verdict::Inconclusive, Action::Hold, "; one tenant alone: holding"),
            Finding::Nothing => (guards.verdict, guards.action, ""),
        };
        reason.push_str(tail);
        let guilty_total = guilty.len();
        let counted = |row: &&Row| {
            let Side { bad, exposure: _, requests } = row.onset.candidate;
            (row.tenant, Counts { bad, total: requests })
        };
        Evidence {
            verdict,
            action,
            guard: Some(Guard::Comparison),
            value: figures.value,
            baseline: figures.baseline,
            limit: figures.limit,
            window_seconds: figures.window_seconds,
            requests: figures.requests,
            bad: figures.bad,
            guilty: guilty.iter().take(GUILTY_MAX).map(counted).collect(),
            guilty_total,
            exempt: false,
            reason,
            ..guards
        }
    }

    /// The figures of the part that says most.
    fn strongest(&self, parts: Parts, guilty: &[&Row]) -> Figures {
        if parts.is_traffic() {
            return self.traffic_figures();
        }
        match self.running.shape.loudest() {
            Some((_, place)) if parts.shape > parts.rate => self.slower(place),
            Some(_) | None => self.figures(guilty),
        }
    }

    fn window(&self, span: &Span) -> i64 {
        let until = self.state.until_seconds().unwrap_or(0);
        span.since_seconds.map_or(0, |since| until.saturating_sub(since))
    }

    /// `1.8% against 0.6% baseline (3.0x, limit 1.2x) over 14m, 412k requests`.
    fn figures(&self, guilty: &[&Row]) -> Figures {
        let seen = &self.running.span;
        if seen.candidate.requests <= 0.0 {
            return guilty.first().map_or_else(Figures::none, |row| Figures::of_tenant(row));
        }
        let by_past = match self.frozen.against {
            Against::History { chosen: _ } => "their own past",
            Against::Others | Against::Both => "baseline",
        };
        self.compared(seen, by_past)
    }

    /// `requests over 250 ms: 31.0% against 18.0% baseline (1.7x, limit 1.2x) over 14m, 412k requests`: the edge that says
    /// most.
    fn slower(&self, place: &Place) -> Figures {
        let Place { edge_seconds, tide: _, mixture: _, span } = place;
        let has_counts = span.candidate.requests > 0.0;
        let figures = if has_counts { self.compared(span, "baseline") } else { Figures::none() };
        Figures { words: format!("requests over {}: {}", duration(*edge_seconds), figures.words), ..figures }
    }

    /// The candidates' counts in a span, which has some, against the baseline's.
    fn compared(&self, seen: &Span, by_past: &str) -> Figures {
        let Side { bad, exposure, requests } = seen.candidate;
        let Compare { ratio: margin, .. } = self.config.compare;
        let baseline = seen.baseline;
        // What tenants as these would have, were they as the baseline is in units of its own.
        let expected = (baseline.exposure > 0.0)
            .then(|| baseline.bad / baseline.exposure * exposure / requests)
            .filter(|share| share.is_finite());
        let limit = expected.map(|share| margin * share + self.config.absolute());
        let value = (bad / requests).min(1.0);
        let ratio = seen.ratio().filter(|ratio| *ratio < RATIO_MAX);
        let against = match (expected, ratio) {
            (Some(share), Some(ratio)) => {
                format!(
                    " against {} {by_past} ({ratio:.1}x, limit {}",
                    percent(share.min(1.0)),
                    times(margin)
                )
            }
            (expected, _) => {
                format!(
                    " against {} {by_past} (limit {}",
                    percent(expected.unwrap_or(0.0).min(1.0)),
                    percent(limit.unwrap_or(0.0).min(1.0))
                )
            }
        };
        let window_seconds = self.window(seen);
        let words = format!(
            "{}{against}) over {}, {} requests",
            percent(value),
            span(window_seconds),
            short_count(requests)
        );
        Figures { value: Some(value), baseline: expected, limit, window_seconds, requests, bad, words }
    }

    /// `requests at 20.0% of usual against 95.0% baseline (limit half of it) over 14m, 12k requests`.
    fn traffic_figures(&self) -> Figures {
        let running = &self.running.traffic.span;
        let share = |side: Side| (side.exposure > 0.0).then(|| side.bad / side.exposure);
        let (value, baseline) = (share(running.candidate), share(running.baseline));
        let keep = self.config.compare.traffic.unwrap_or(1.0);
        let limit = baseline.map(|share| share / keep);
        let window_seconds = self.window(running);
        let requests = running.candidate.bad;
        let words = format!(
            "successes at {} of usual against {} baseline (limit {}) over {}, {} requests",
            percent(value.unwrap_or(0.0)),
            percent(baseline.unwrap_or(0.0)),
            percent(limit.unwrap_or(0.0)),
            span(window_seconds),
            short_count(requests)
        );
        Figures { value, baseline, limit, window_seconds, requests, bad: 0.0, words }
    }
}

/// No finding: the guards' words, and what could have been seen.
fn nothing_found(guards: Evidence) -> Evidence {
    let says = match guards.verdict {
        Verdict::Healthy | Verdict::Inconclusive => guards.action == Action::None,
        Verdict::NoData | Verdict::Deviating | Verdict::Uncalibrated => false,
    };
    if !says {
        return guards;
    }
    let detect = match guards.detectable {
        Some(Detectable { ratio: Some(ratio), share, .. }) => {
            format!("could detect >= {ratio:.1}x ({})", percent(share))
        }
        Some(Detectable { ratio: None, share, .. }) => format!("could detect >= {}", percent(share)),
        None => "could not detect any ratio yet".to_owned(),
    };
    Evidence { reason: format!("{}; {detect}", guards.reason), ..guards }
}

/// The figures of a sentence.
struct Figures {
    value: Option<f64>,
    baseline: Option<f64>,
    limit: Option<f64>,
    window_seconds: i64,
    requests: f64,
    bad: f64,
    words: String,
}

impl Figures {
    /// The sums of the pool say nothing now; what was seen stays seen.
    fn none() -> Self {
        let words = "worse than the baseline".to_owned();
        Self { value: None, baseline: None, limit: None, window_seconds: 0, requests: 0.0, bad: 0.0, words }
    }

    /// One tenant is worse while the pool is not.
    fn of_tenant(row: &Row) -> Self {
        let Side { bad, exposure, requests } = row.onset.candidate;
        if requests <= 0.0 {
            return Self::none();
        }
        let (value, own) = ((bad / requests).min(1.0), exposure / requests);
        let words = format!(
            "the worst tenant at {} against {} of its own, {} requests",
            percent(value),
            percent(own.min(1.0)),
            short_count(requests)
        );
        Self { value: Some(value), baseline: Some(own), requests, bad, words, ..Self::none() }
    }
}

/// `99.9%`, rounded down: never more certain than it is.
fn certain(share: f64) -> String {
    if share >= 0.9999 {
        "over 99.99%".to_owned()
    } else if share >= 0.999 {
        let floor = (share * 1e4).floor() / 1e2;
        let words = format!("{floor:.2}");
        format!("{}%", words.trim_end_matches('0').trim_end_matches('.'))
    } else {
        format!("{:.1}%", (share * 1e3).floor() / 1e1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_is_never_rounded_up() {
        for (share, words) in
            [(0.0, "0.0%"), (0.9899, "98.9%"), (0.99, "99.0%"), (0.999_01, "99.9%"), (0.999_89, "99.98%")]
        {
            assert_eq!(certain(share), words);
        }
        assert_eq!(certain(1.0), "over 99.99%");
    }
}
