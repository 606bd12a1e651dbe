//! The bucket edges of a histogram: in which unit they are, how the label `le` spells one, and whether the threshold is one.
//! Pure.
//!
//! Inside Breakwater an edge is in seconds. A histogram says its unit by its name, as Prometheus asks of names, or
//! `latency.unit` does. Where neither says it, seconds are assumed, unless an edge is then longer than any request.

use std::fmt::Write as _;

use breakwater_crds::{
    scalars::Span,
    slo::{Latency, Unit},
};
use breakwater_text::figure;

use super::selector::Refusal;
use crate::spec::FieldError;

/// Edges closer to each other than this, relative, are one edge in two spellings.
const ROUNDING: f64 = 1e-9;
/// Longest edge, in seconds, of a histogram whose unit nothing says: ten minutes. Envoy's go to an hour, in milliseconds.
const ASSUMED_MAX_SECONDS: f64 = 600.0;
/// Longest edge, in seconds, of one whose name says the unit: a day. Names can be wrong.
const NAMED_MAX_SECONDS: f64 = 86_400.0;
/// Most edges that a refusal lists.
const LISTED_MAX: usize = 30;

/// What the last word of a histogram's name says of its unit.
const NAMES: [(&[&str], Unit); 4] = [
    (&["seconds", "second", "secs", "sec", "s"], Unit::Seconds),
    (&["milliseconds", "millisecond", "millis", "msecs", "msec", "ms"], Unit::Milliseconds),
    (&["microseconds", "microsecond", "micros", "usecs", "usec", "us"], Unit::Microseconds),
    (&["nanoseconds", "nanosecond", "nanos", "nsecs", "nsec", "ns"], Unit::Nanoseconds),
];

/// Where the unit of a histogram is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Given,
    Named,
    Assumed,
}

/// The unit of a histogram's edges: given, or named, or seconds.
pub fn unit(latency: &Latency) -> Unit {
    source(latency).0
}

fn source(latency: &Latency) -> (Unit, Source) {
    if let Some(unit) = latency.unit {
        return (unit, Source::Given);
    }
    // A recorded name has parts between colons: level, metric, operations.
    let words = latency.histogram.rsplit(':').filter_map(|part| part.rsplit('_').next());
    let says = |word: &str| {
        NAMES.iter().find(|(names, _)| names.contains(&word)).map(|(_, unit)| (*unit, Source::Named))
    };
    words.filter(|word| *word != latency.histogram).find_map(says).unwrap_or((Unit::Seconds, Source::Assumed))
}

/// How many of the unit are a second.
const fn per_second(unit: Unit) -> f64 {
    match unit {
        Unit::Seconds => 1.0,
        Unit::Milliseconds => 1e3,
        Unit::Microseconds => 1e6,
        Unit::Nanoseconds => 1e9,
    }
}

/// What a value of the label `le` says, in seconds: the same number however it is spelt (`1`, `1.0`, `1e0`); infinite for `+Inf`.
pub fn edge_seconds(le: &str, unit: Unit) -> Option<f64> {
    le.parse().ok().filter(|edge: &f64| !edge.is_nan()).map(|edge| edge / per_second(unit))
}

/// An edge as the label `le` would spell it.
pub fn le(edge_seconds: f64, unit: Unit) -> String {
    figure::trimmed(edge_seconds * per_second(unit), 9)
}

pub(super) fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() <= ROUNDING * other
}

/// The threshold in seconds; `None` where it is no such text.
pub fn threshold(latency: &Latency) -> Option<f64> {
    threshold_seconds(&latency.threshold).ok()
}

/// `500ms` or `0.25s` in seconds.
pub(super) fn threshold_seconds(text: &str) -> Result<f64, Refusal> {
    let refuse = || Refusal::new("is no threshold", "write it as 500ms, 0.25s or 2s");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').ok_or_else(refuse)?, 1.0),
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value: f64 = number.parse().map_err(|_| refuse())?;
    // Nine decimals are the finest that the field's pattern can say; rounding keeps 500 x 0.001 at 0.5.
    let seconds = (value * unit * 1e9).round() / 1e9;
    if digits && seconds > 0.0 && seconds < 1e6 { Ok(seconds) } else { Err(refuse()) }
}

/// An edge as the field `threshold` has it: `250ms`, `2.5s`.
fn threshold_text(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{}ms", figure::trimmed(seconds * 1e3, 6))
    } else {
        format!("{}s", figure::trimmed(seconds, 6))
    }
}

/// The spellings of one edge in the label `le`: `1`, `1.0`, `0.5`, `0.50`, `5e-05`, `2e+06`.
pub(super) fn le_pattern(edge_seconds: f64, unit: Unit) -> String {
    let (text, value) = (le(edge_seconds, unit), edge_seconds * per_second(unit));
    let mut pattern = match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}\\.{fraction}0*"),
        None => format!("{text}(\\.0*)?"),
    };
    // Go and Python write what is very small or large with an exponent, Go from a million on.
    if !(1e-4..1e6).contains(&value) {
        let scientific = format!("{:e}", text.parse().unwrap_or(value));
        if let Some((mantissa, exponent)) = scientific.split_once('e') {
            let (sign, exponent) =
                exponent.strip_prefix('-').map_or(("\\+?", exponent), |small| ("-", small));
            let _ = write!(pattern, "|{}(\\.0)?[eE]{sign}0?{exponent}", mantissa.replace('.', "\\."));
        }
    }
    pattern
}

/// Why a latency SLO cannot be measured, given the `le` values that exist and whether native histograms do.
/// `None`: it can. Without any series there is nothing to say yet: also `None`.
pub fn check_edges(latency: &Latency, edges: &[&str], native: bool, path: &str) -> Option<FieldError> {
    let threshold = threshold(latency)?;
    let (unit, source) = source(latency);
    let mut known: Vec<f64> =
        edges.iter().filter_map(|edge| edge_seconds(edge, unit)).filter(|edge| edge.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    known.dedup();
    let Some(longest) = known.last() else { return native.then(|| only_native(latency, path)) };
    if let Some(doubt) = doubt(latency, (unit, source), *longest) {
        return Some(FieldError { path: format!("{path}.latency.unit"), message: doubt });
    }
    if known.iter().any(|edge| is_same(*edge, threshold)) {
        return None;
    }
    let edges =
        known.iter().take(LISTED_MAX).map(|edge| threshold_text(*edge)).collect::<Vec<_>>().join(", ");
    Some(FieldError {
        path: format!("{path}.latency.threshold"),
        message: format!(
            "{:?} is no bucket edge of {}, whose edges are in {}{}; choose one of {edges}",
            latency.threshold,
            latency.histogram,
            words(unit),
            by(source)
        ),
    })
}

fn only_native(latency: &Latency, path: &str) -> FieldError {
    let histogram = &latency.histogram;
    FieldError {
        path: format!("{path}.latency.histogram"),
        message: format!(
            "{histogram:?} is a native histogram; only classic ones, with {histogram}_bucket series, can be \
             measured: scrape it with always_scrape_classic_histograms, or record its counts and use errors.recorded"
        ),
    }
}

/// A question to whoever wrote the SLO, where the longest edge is longer than any request.
fn doubt(latency: &Latency, (unit, source): (Unit, Source), longest: f64) -> Option<String> {
    let most = match source {
        Source::Given => return None,
        Source::Named => NAMED_MAX_SECONDS,
        Source::Assumed => ASSUMED_MAX_SECONDS,
    };
    #[expect(clippy::cast_possible_truncation, reason = "a span is cut to a hundred years")]
    (longest > most).then(|| {
        format!(
            "is not given, and {} has an edge at {}, which would be {} were it in {}{}; say unit: Milliseconds, \
             Microseconds or Nanoseconds, or unit: Seconds if that is so",
            latency.histogram,
            le(longest, unit),
            Span::seconds(longest as i64).rounded(),
            words(unit),
            by(source)
        )
    })
}

const fn words(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Microseconds => "microseconds",
        Unit::Nanoseconds => "nanoseconds",
    }
}

const fn by(source: Source) -> &'static str {
    match source {
        Source::Given => ", by latency.unit",
        Source::Named => ", by its name",
        Source::Assumed => ", since nothing says another unit",
    }
}
