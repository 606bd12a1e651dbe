//! The result in text and in Markdown: the verdict, the few metrics that matter, and what could not be seen. Pure.

use breakwater_loadtest::{Comparison, Metric, Side, Verdict};
use breakwater_text::figure::percent;

use crate::plugin::{
    paint::{BAD, DONE, IDLE, WARN},
    text::{self, plain},
};

/// For a terminal.
pub(super) fn table(comparison: &Comparison) -> String {
    let mut parts = vec![text::fields([
        ("Base", side(&comparison.base)),
        ("Candidate", side(&comparison.candidate)),
        ("Compared", counted(comparison)),
        ("Vanished", comparison.vanished.join(", ")),
        ("New", comparison.appeared.join(", ")),
    ])];
    if !comparison.findings.is_empty() {
        let header = ["VERDICT", "METRIC", "BASE", "CANDIDATE", "RATIO", "NOISE", "OF THE CALLS", "SPARED"];
        parts.push(text::table(header, comparison.findings.iter().map(cells)));
    }
    if !comparison.notes.is_empty() {
        let notes: Vec<String> = comparison.notes.iter().map(|note| format!("  {}", plain(note))).collect();
        parts.push(format!("Notes:\n{}", notes.join("\n")));
    }
    parts.push(format!(
        "{} {}: {}.",
        glyph(comparison.verdict),
        comparison.verdict,
        plain(&comparison.sentence)
    ));
    parts.join("\n\n")
}

/// For a ticket or a pull request.
pub(super) fn markdown(comparison: &Comparison) -> String {
    let mut lines = vec![
        format!("## Load test: {}", comparison.verdict),
        String::new(),
        format!("{}.", escaped(&comparison.sentence)),
        String::new(),
        format!("- Base: {}", escaped(&side(&comparison.base))),
        format!("- Candidate: {}", escaped(&side(&comparison.candidate))),
        format!("- Compared: {}", escaped(&counted(comparison))),
    ];
    for (name, names) in [("Vanished", &comparison.vanished), ("New", &comparison.appeared)] {
        if !names.is_empty() {
            lines.push(format!("- {name}: {}", escaped(&names.join(", "))));
        }
    }
    lines.extend(comparison.notes.iter().map(|note| format!("- Note: {}", escaped(note))));
    if !comparison.findings.is_empty() {
        lines.push(String::new());
        lines.push(
            "| Verdict | Metric | Base | Candidate | Ratio | Noise | Of the calls | Spared |".to_owned(),
        );
        lines.push("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |".to_owned());
        for metric in &comparison.findings {
            lines.push(format!("| {} |", cells(metric).map(|cell| escaped(&cell)).join(" | ")));
        }
    }
    lines.join("\n")
}

/// The runs of a side in words.
pub(super) fn side(side: &Side) -> String {
    let runs = match &*side.runs {
        [] => "no run with figures".to_owned(),
        [one] => one.clone(),
        several => format!("{} runs ({})", several.len(), several.join(", ")),
    };
    match (side.from, side.until) {
        (Some(from), Some(until)) => format!("{runs}, {} to {}", text::stamp(from), text::stamp(until)),
        (_, _) => runs,
    }
}

/// What became of the metrics, in numbers.
pub(super) fn counted(comparison: &Comparison) -> String {
    let counts = comparison.counts;
    let all = [
        (counts.worse, "worse"),
        (counts.better, "better"),
        (counts.clamped, "at the last edge"),
        (counts.unresolved, "too fast to tell"),
        (counts.vanished, "vanished"),
        (counts.new, "new"),
        (counts.no_data, "without data"),
    ];
    let said =
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}"));
    std::iter::once(format!("{} metrics", counts.compared)).chain(said).collect::<Vec<_>>().join(", ")
}

/// A metric's row: verdict, metric, base, candidate, ratio, noise, traffic, why it does not fail.
pub(super) fn cells(metric: &Metric) -> [String; 8] {
    let least = if metric.at_least { "≥ " } else { "" };
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let name = if metric.name.is_empty() { String::new() } else { format!("{}, ", metric.name) };
    [
        format!("{} {}", glyph(metric.verdict), metric.verdict),
        format!("{name}{}", metric.kind.words()),
        or_dash(metric.base.map(|value| metric.kind.figure(value))),
        or_dash(metric.candidate.map(|value| format!("{least}{}", metric.kind.figure(value)))),
        or_dash(metric.ratio.map(|ratio| format!("{least}{}x", text::number(ratio)))),
        or_dash(metric.noise.map(|noise| percent(noise.exp_m1()))),
        or_dash(metric.traffic_share.map(percent)),
        metric.spared.clone().unwrap_or_default(),
    ]
}

/// Of a verdict.
pub(super) const fn glyph(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => DONE,
        Verdict::Warn => WARN,
        Verdict::Fail => BAD,
        Verdict::NoData => IDLE,
    }
}

/// Without what Markdown would take for its own: names are other people's.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        if matches!(c, '|' | '<' | '>' | '*' | '_' | '`' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
