//! An SLO's configuration in words, for people who were not there. Pure.

use breakwater_crds::{
    rollout::Baseline,
    scalars::Span,
    slo::{Errors, Latency, Recorded, Slo},
};
use breakwater_slo::{Compare, Config, Kind, Pair};
use breakwater_text::figure;

use crate::{
    promql::{Matchers, Queries},
    spec::Checked,
};

/// What an SLO counts.
pub(super) fn measures(slo: &Slo) -> String {
    if let Some(Errors { bad, total, recorded }) = &slo.errors {
        let (bad, total) = match recorded {
            Some(Recorded { bad, total }) => (bad.as_str(), total.as_str()),
            None => (bad.as_deref().unwrap_or_default(), total.as_deref().unwrap_or_default()),
        };
        return format!("{bad} of {total}");
    }
    if let Some(Latency { histogram, matchers, threshold, unit: _, shape: _ }) = &slo.latency {
        let selector =
            if matchers.is_empty() { histogram.clone() } else { format!("{histogram}{{{matchers}}}") };
        return format!("{selector} above {threshold}");
    }
    slo.query.clone().unwrap_or_default()
}

/// The query of one step, as it was asked but for the rows of a latency's further bucket edges; empty while the step's length is not known.
pub(super) fn query(checked: &Checked, index: usize, step_seconds: i64) -> String {
    let matchers = checked.spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
    let queries = Matchers::parse(matchers).ok().and_then(|matchers| {
        Queries::new(&checked.spec.slos[index], &matchers, &format!("spec.slos[{index}]")).ok()
    });
    queries.filter(|_| step_seconds > 0).map_or_else(String::new, |queries| queries.step(step_seconds))
}

/// Everything that makes an SLO a deviation or a hold.
pub(super) fn limits(config: &Config, is_compared: bool) -> Vec<String> {
    let Config { kind, step_seconds: _, delay_seconds: _, page, hold, sharp, update_cost_max, compare } =
        config;
    let objective = match *kind {
        Kind::Ratio { objective } => objective,
        Kind::Limit { max, min, for_seconds } => return bounds(max, min, for_seconds),
    };
    let pair = |pair: &Pair, does: &str| {
        let Pair { long_seconds, short_seconds, factor } = *pair;
        let (long, short) = (Span::seconds(long_seconds), Span::seconds(short_seconds));
        format!(
            "{does}: {} bad over {long} and {short} (burn rate {factor}x)",
            share(factor * (1.0 - objective))
        )
    };
    let reverts = page.iter().map(|page| pair(page, "deviation"));
    let holds = hold.iter().map(|hold| pair(hold, "hold"));
    let sharp_pair =
        Pair { long_seconds: sharp.long_seconds, short_seconds: sharp.short_seconds, factor: sharp.factor };
    let sharp = format!("{}, at least {} events, sharp path", pair(&sharp_pair, "deviation"), sharp.min_bad);
    let cost = format!("hold: {} bad during warm-up, per wave", share(*update_cost_max));
    let compared = is_compared.then(|| worse(compare, objective));
    compared.into_iter().chain(reverts).chain([sharp]).chain(holds).chain([cost]).collect()
}

/// What the comparison takes for worse, and how certain it must be.
fn worse(compare: &Compare, objective: f64) -> String {
    let absolute = compare.absolute.unwrap_or(0.1 * (1.0 - objective));
    format!(
        "deviation: more than {}x the baseline's ratio plus {}, at a certainty of {} (comparison{})",
        compare.ratio,
        share(absolute),
        share(1.0 - compare.alpha),
        if compare.shape { ", at the next bucket edges as well" } else { "" }
    )
}

fn bounds(max: Option<f64>, min: Option<f64>, for_seconds: i64) -> Vec<String> {
    let lasting = Span::seconds(for_seconds);
    let above = max.map(|max| format!("deviation: above {max} for {lasting}"));
    let below = min.map(|min| format!("deviation: below {min} for {lasting}"));
    above.into_iter().chain(below).collect()
}

/// Whom the candidates were compared with; `baseline` is the wave's, where the comparison is on.
pub(super) fn compared_with(others: u32, baseline: Option<Baseline>) -> String {
    let now = match others {
        0 => {
            "nobody: no tenant was left on the old version, so their own week before and the objective count"
                .into()
        }
        1 => "1 tenant that was not updated yet, at the same time".into(),
        n => format!("{n} tenants that were not updated yet, at the same time"),
    };
    baseline.map_or_else(|| now.clone(), |baseline| format!("{now}; the wave's baseline is {baseline:?}"))
}

/// A share as a percentage of three digits.
fn share(share: f64) -> String {
    format!("{}%", figure::trimmed(share * 100.0, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_say_what_they_do_at_which_share_over_which_windows() {
        assert_eq!(
            limits(&Config::ratio(0.995, 60), true),
            [
                "deviation: more than 1.2x the baseline's ratio plus 0.05%, at a certainty of 99% (comparison)",
                "deviation: 7.2% bad over 1h and 5m (burn rate 14.4x)",
                "deviation: 3% bad over 6h and 30m (burn rate 6x)",
                "deviation: 7.2% bad over 5m and 1m (burn rate 14.4x), at least 10 events, sharp path",
                "hold: 1.5% bad over 1d and 2h (burn rate 3x)",
                "hold: 0.5% bad over 3d and 6h (burn rate 1x)",
                "hold: 5% bad during warm-up, per wave",
            ]
        );
        let kind = Kind::Limit { max: Some(5.0), min: None, for_seconds: 600 };
        assert_eq!(limits(&Config { kind, ..Config::ratio(0.9, 60) }, true), ["deviation: above 5 for 10m"]);
    }
}
