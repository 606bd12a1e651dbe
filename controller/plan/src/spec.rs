//! From a `RolloutSpec` to a checked one: parse once, and from then on there are no doubts left. Pure.

use std::fmt;

use breakwater_crds::{
    rollout::{HOLDOUT, Prometheus, RolloutSpec},
    scalars::{IntOrPercent, Percent, Span},
    slo::{AbsoluteMargin, Errors, Latency, Pair, Shape, Slo, Step},
};
use breakwater_slo as slo;
use breakwater_text::figure;

use crate::{alerts, promql, schedule::Schedule};

/// Why a field of a Rollout was refused, by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The path, such as `spec.slos[0].errors.bad`.
    pub path: String,
    /// What is wrong with which value, and what would be right.
    pub message: String,
}

impl FieldError {
    /// An error of the field at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A spec without contradictions.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The spec as written, with the holdout as the last of its waves.
    pub spec: RolloutSpec,
    /// Its windows and freezes.
    pub schedule: Schedule,
    /// `spec.alerts`, parsed.
    pub alerts: Vec<alerts::AlertRule>,
    /// Per SLO a hash of its definition: an edited SLO starts its evidence anew (R9).
    pub definitions: Vec<String>,
}

impl Checked {
    /// Checks what the CRD cannot. What needs the tenants' kind (paths, CEL) is checked by the operator's lens.
    pub fn parse(spec: &RolloutSpec) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let schedule = Schedule::parse(&spec.schedule).map_err(|more| errors.extend(more)).ok();
        check_waves(spec, &mut errors);
        for (i, slo) in spec.slos.iter().enumerate() {
            check_slo(spec, slo, &format!("spec.slos[{i}]"), &mut errors);
        }
        let alerts = alerts::parse(&spec.alerts, "spec.alerts").map_err(|more| errors.extend(more)).ok();
        if let Some(prometheus) = &spec.prometheus {
            check_prometheus(prometheus, &mut errors);
        }
        match (schedule, alerts) {
            (Some(schedule), Some(alerts)) if errors.is_empty() => {
                let definitions = spec.slos.iter().map(definition).collect();
                let spec = RolloutSpec { waves: spec.all_waves(), ..spec.clone() };
                Ok(Self { spec, schedule, alerts, definitions })
            }
            _ => Err(errors),
        }
    }

    /// The judge's configuration of one SLO at a known step length.
    pub fn judge(&self, index: usize, step_seconds: i64) -> slo::Config {
        let slo = &self.spec.slos[index];
        slo::Config { compare: compare_config(&self.spec, slo), ..judge_config(slo, step_seconds) }
    }
}

/// Longest `delay` of an SLO.
const DELAY_MAX: Span = Span::seconds(3_600);

/// Share of alpha that the SLOs have between them; the rest is for evidence that starts anew.
const ALPHA_AT_FIRST: f64 = 0.9;

/// An SLO's share of the release's alpha when its evidence has started anew so many times in it (R9): what was given
/// before is spent, so each time half of what is left is given.
pub(crate) fn alpha_share(slos: usize, anew: u32) -> f64 {
    let slos = slos.max(1) as f64;
    if anew == 0 {
        ALPHA_AT_FIRST / slos
    } else {
        (1.0 - ALPHA_AT_FIRST) / slos * 0.5_f64.powi(anew.min(1_000).cast_signed())
    }
}

/// What the comparison of an SLO tolerates.
fn compare_config(spec: &RolloutSpec, slo: &Slo) -> slo::Compare {
    let compared = spec.slos.iter().filter(|slo| is_per_tenant(slo)).count();
    slo::Compare {
        ratio: slo.margin.ratio,
        absolute: match slo.margin.absolute {
            AbsoluteMargin::Auto => None,
            AbsoluteMargin::Share(share) => Some(share.as_ratio()),
        },
        alpha: spec.judge.alpha.as_ratio(),
        weight: alpha_share(compared, 0),
        shape: slo.latency.as_ref().is_some_and(|latency| latency.shape == Shape::Enabled),
        traffic: Some(1.0 - slo.margin.traffic.as_ratio()).filter(|kept| *kept > 0.0).map(f64::recip),
    }
}

/// The judge's configuration of an SLO.
fn judge_config(spec: &Slo, step_seconds: i64) -> slo::Config {
    let pairs = |pairs: &[Pair]| pairs.iter().map(pair).collect();
    let kind = match &spec.limit {
        Some(limit) => {
            slo::Kind::Limit { max: limit.max, min: limit.min, for_seconds: limit.for_.as_seconds() }
        }
        None => slo::Kind::Ratio { objective: spec.objective.map_or(f64::NAN, Percent::as_ratio) },
    };
    let config = slo::Config {
        kind,
        step_seconds,
        delay_seconds: spec.delay.as_seconds(),
        page: pairs(&spec.burn_rate.page),
        hold: pairs(&spec.burn_rate.hold),
        sharp: slo::Sharp {
            long_seconds: spec.sharp.long.as_seconds(),
            short_seconds: spec.sharp.short.as_seconds(),
            factor: spec.sharp.factor,
            min_bad: spec.sharp.min_bad,
        },
        update_cost_max: spec.update_cost.max.as_ratio(),
        compare: slo::Compare::default(),
    };
    match spec.step {
        Step::Auto => config.rounded_to_steps(),
        Step::Fixed(_) => config,
    }
}

fn pair(pair: &Pair) -> slo::Pair {
    slo::Pair {
        long_seconds: pair.long.as_seconds(),
        short_seconds: pair.short.as_seconds(),
        factor: pair.factor,
    }
}

/// Longest time limit of one query: who waits for one waits no longer (S1).
pub const QUERY_TIMEOUT_MAX: Span = Span::seconds(120);

fn check_prometheus(prometheus: &Prometheus, errors: &mut Vec<FieldError>) {
    errors.extend(promql::check_matchers(&prometheus.matchers, "spec.prometheus.matchers"));
    let Prometheus { url, timeout, bearer_token_secret_ref, headers_secret_ref, .. } = prometheus;
    let sends = bearer_token_secret_ref.is_some() || headers_secret_ref.is_some();
    if sends && !url.starts_with("https://") {
        let why = format!("{url:?} must be https:// where a Secret is sent there");
        errors.push(FieldError::new("spec.prometheus.url", why));
    }
    if *timeout > QUERY_TIMEOUT_MAX {
        let why = format!("{timeout} must be at most {QUERY_TIMEOUT_MAX}");
        errors.push(FieldError::new("spec.prometheus.timeout", why));
    }
}

fn check_waves(spec: &RolloutSpec, errors: &mut Vec<FieldError>) {
    if spec.waves.is_empty() {
        errors.push(FieldError::new("spec.waves", "there must be at least one wave"));
    }
    let mut percents = 0.0;
    for (i, wave) in spec.waves.iter().enumerate() {
        let at = |field: &str| format!("spec.waves[{i}].{field}");
        if spec.waves[..i].iter().any(|earlier| earlier.name == wave.name) {
            errors
                .push(FieldError::new(at("name"), format!("{:?} names an earlier wave already", wave.name)));
        }
        if wave.selector.is_some() && wave.percent.is_some() {
            errors.push(FieldError::new(at("percent"), "a wave has either selector or percent, not both"));
        }
        let rest = wave.selector.is_none() && wave.percent.is_none();
        if rest && i + 1 < spec.waves.len() {
            errors.push(FieldError::new(
                at("selector"),
                format!(
                    "wave {:?} has neither selector nor percent, so it takes the rest and must be the last",
                    wave.name
                ),
            ));
        }
        let shares = [
            ("maxConcurrent", Some(wave.max_concurrent)),
            ("maxFailures", Some(wave.max_failures)),
            ("maxContested", wave.max_contested),
        ];
        for (field, value) in shares.into_iter().filter_map(|(field, value)| Some((field, value?))) {
            if matches!(value, IntOrPercent::Percent(p) if p > 100) {
                errors.push(FieldError::new(at(field), format!("{value} is more than 100%")));
            }
        }
        percents += wave.percent.unwrap_or_default();
    }
    if percents > 100.0 + 1e-9 {
        errors.push(FieldError::new("spec.waves", format!("the percents sum to {percents}, more than 100")));
    }
    check_holdout(spec, percents, errors);
}

/// Largest holdout, as a ratio: more is no rollout.
const HOLDOUT_MAX: f64 = 0.5;

fn check_holdout(spec: &RolloutSpec, percents: f64, errors: &mut Vec<FieldError>) {
    let Some(share) = spec.holdout else { return };
    let mut wrong = |message: String| errors.push(FieldError::new("spec.holdout", message));
    let ratio = share.as_ratio();
    if ratio <= 0.0 || ratio > HOLDOUT_MAX {
        wrong(format!("{share} is not above 0% and up to 50%"));
    }
    if percents + ratio * 100.0 > 100.0 + 1e-9 {
        wrong(format!(
            "{share} and the waves' percents sum to more than 100: nobody would be left to keep back"
        ));
    }
    if let Some(last) = spec.waves.last()
        && (last.selector.is_some() || last.percent.is_some())
    {
        wrong(format!(
            "it is drawn from the last wave, and {:?} has a selector or a percent: add a last wave without either",
            last.name
        ));
    }
    if let Some(wave) = spec.waves.iter().find(|wave| wave.name == HOLDOUT) {
        wrong(format!("it is a wave named {HOLDOUT:?} itself: name wave {:?} otherwise", wave.name));
    }
    if spec.waves.len() >= WAVES_MAX {
        wrong(format!("it is a wave itself, and there are {WAVES_MAX} already"));
    }
}

/// Most waves, the holdout included, as in the CRD.
const WAVES_MAX: usize = 32;

fn check_slo(rollout: &RolloutSpec, spec: &Slo, path: &str, errors: &mut Vec<FieldError>) {
    errors.extend(promql::check(spec, path));
    if spec.delay > DELAY_MAX {
        let message =
            format!("{} is longer than {DELAY_MAX}: so late nobody is saved by a revert", spec.delay);
        errors.push(FieldError::new(format!("{path}.delay"), message));
    }
    // Steps of `auto` are known at run time only; a minute is the usual one, and windows are rounded to it.
    let step_seconds = match spec.step {
        Step::Auto => 60,
        Step::Fixed(span) => span.as_seconds(),
    };
    let config = slo::Config { compare: compare_config(rollout, spec), ..judge_config(spec, step_seconds) };
    if let Err(error) = slo::check(&config) {
        // Whatever factor is found out of reach, nobody wrote it where the objective is a slip.
        if let Some(refusal) = spec.objective.and_then(slip) {
            errors.push(FieldError::new(format!("{path}.objective"), refusal));
            return;
        }
        let of_judge = matches!(error.field.as_str(), "alpha" | "weight");
        let at = if of_judge { "spec.judge" } else { path };
        errors.push(FieldError::new(format!("{at}.{}", error.field), error.problem.to_string()));
    }
}

/// What is wrong with an objective that was hardly meant: none of the requests may fail, or nearly all.
fn slip(objective: Percent) -> Option<String> {
    let ratio = objective.as_ratio();
    if ratio >= 1.0 {
        return Some(format!("{objective} leaves no error budget: give less than 100%, such as 99.9%"));
    }
    let allowed = figure::percent(1.0 - ratio);
    let meant = match ratio {
        ratio if ratio <= 0.0 => "give more than 0%, such as 99.9%".to_owned(),
        ratio if ratio < 0.01 => {
            // Percentages have six decimals.
            let ratio = (1e10 * ratio).round() / 1e8;
            format!("is {} meant?", Percent::of_ratio(ratio))
        }
        _ => return None,
    };
    Some(format!("{objective} lets {allowed} of the requests fail; {meant}"))
}

/// Hash of what an SLO measures and decides.
fn definition(spec: &Slo) -> String {
    let text = serde_json::to_string(spec).unwrap_or_default();
    format!("{:016x}", breakwater_crds::marker::stable_hash(&[&text]))
}

/// True for an SLO whose counts are split by tenant, and false for a `query`.
pub fn is_per_tenant(spec: &Slo) -> bool {
    match spec {
        Slo { errors: Some(Errors { .. }), .. } | Slo { latency: Some(Latency { .. }), .. } => true,
        Slo { .. } => false,
    }
}
