//! What is said of all SLOs together, and what must be known to read a result. Pure.

use breakwater_crds::{RolloutSpec, Span, rollout::Baseline, slo::Shape, words::HoldReason};
use breakwater_plan::spec::is_per_tenant;

use crate::{
    outcome::{Alarm, SloOutcome, WaveOutcome, instant},
    past::Part,
    split::{self, Split},
    trial::{Said, together},
    wanted::Wanted,
};

/// A week, by the minutes of which an own past is kept.
const WEEK_SECONDS: i64 = 7 * 86_400;

/// False alarms of all SLOs together, wave by wave; where one of them cries by itself that is enough.
pub(crate) fn all_together(
    alpha: f64,
    splits: &[Split],
    said: &[(f64, Vec<Said>)],
    slos: &[SloOutcome],
) -> Vec<Alarm> {
    let alarm = |(at, split): (usize, &Split)| {
        let is_known = slos.iter().filter_map(|slo| slo.waves.get(at)).any(|wave| !wave.alarms.is_empty());
        let words: Vec<(f64, &[(i64, f64)])> =
            said.iter().filter_map(|(weight, waves)| Some((*weight, waves.get(at)?.as_slice()))).collect();
        let end = together(&words, alpha).filter(|_| !is_known && words.len() > 1)?;
        let sentence =
            format!("wave {}: the SLOs together pass the limit that none of them passes alone", split.name);
        Some(Alarm { at: instant(end), guard: HoldReason::Comparison, sentence })
    };
    splits.iter().enumerate().filter_map(alarm).collect()
}

/// What must be known to read the result.
pub(crate) fn notes(wanted: &Wanted<'_>, part: Part, slos: &[SloOutcome]) -> Vec<String> {
    let spec = &wanted.checked.spec;
    let mut notes = Vec::new();
    if part.from_seconds > wanted.from_seconds {
        notes.push(format!(
            "NoHistory: nothing was recorded before {}; the backtest begins there and not at {}",
            instant(part.from_seconds),
            instant(wanted.from_seconds)
        ));
    }
    let taught = part.taught_seconds();
    let needs_past = |wave: &WaveOutcome| matches!(wave.against, Some(Baseline::History | Baseline::Both));
    // What the hour takes away at the ends is not worth a word.
    if taught < WEEK_SECONDS - 2 * 3_600 && slos.iter().flat_map(|slo| &slo.waves).any(needs_past) {
        notes.push(format!(
            "NoHistory: the own past is by the minute of the week, and only {} of one taught: waves that are compared \
             with it could not be for the rest; go further back with --from, or raise judge.history",
            Span::seconds(taught).rounded()
        ));
    }
    notes.extend(shapeless(spec, slos));
    let unknown = split::unknown(spec);
    if !unknown.is_empty() {
        notes.push(format!(
            "selectors need a cluster: {} taken as {} of the tenants each, drawn by hash (--selector-share)",
            unknown.join(", "),
            wanted.selector_share
        ));
    }
    let left_out: Vec<&str> =
        spec.slos.iter().filter(|slo| !is_per_tenant(slo)).map(|slo| &*slo.name).collect();
    if !left_out.is_empty() {
        notes.push(format!(
            "left out: {}: the values of a query are not split by tenant",
            left_out.join(", ")
        ));
    }
    if !spec.alerts.is_empty() {
        notes.push("left out: spec.alerts; only SLOs are replayed".to_owned());
    }
    notes
}

/// Latencies whose shape was to be compared and was not, and where.
fn shapeless(spec: &RolloutSpec, slos: &[SloOutcome]) -> Vec<String> {
    let wants_shape = |slo: &&SloOutcome| {
        let mut latencies =
            spec.slos.iter().filter(|one| one.name == slo.name).filter_map(|one| one.latency.as_ref());
        latencies.any(|latency| latency.shape == Shape::Enabled)
    };
    let note = |slo: &SloOutcome| {
        let without = slo.waves.iter().filter(|wave| wave.shape_edges.is_empty() && wave.phi.is_some());
        let without: Vec<&str> = without.map(|wave| &*wave.wave).collect();
        (!without.is_empty()).then(|| {
            format!(
                "{}: the threshold alone is compared in {}: the past says too little of the bucket edges next to it",
                slo.name,
                without.join(", ")
            )
        })
    };
    slos.iter().filter(wants_shape).filter_map(note).collect()
}
