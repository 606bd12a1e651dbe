//! The result as one HTML file that stands alone: the verdict, the findings, and every metric. Pure.

use breakwater_loadtest::{Comparison, Metric, Verdict};
use breakwater_page::document;
use maud::{Markup, html};

use super::report::{cells, counted, side};

/// Renders it.
pub(super) fn render(comparison: &Comparison) -> String {
    let class = match comparison.verdict {
        Verdict::Pass => "good",
        Verdict::Warn | Verdict::NoData => "warn",
        Verdict::Fail => "bad",
    };
    let content = html! {
        header {
            h1 { "Load test" }
            p.about { "Two versions under the same load: is the candidate slower where users would feel it?" }
            p.verdict.(class) { (comparison.verdict) ": " (comparison.sentence) "." }
            p.meta { "Base: " (side(&comparison.base)) }
            p.meta { "Candidate: " (side(&comparison.candidate)) }
            p.meta { "Compared: " (counted(comparison)) }
        }
        @if !comparison.findings.is_empty() {
            section {
                h2 { "What matters" }
                (rows(comparison.findings.iter()))
            }
        }
        @for (title, names) in [("Vanished", &comparison.vanished), ("New", &comparison.appeared)] {
            @if !names.is_empty() { section { h2 { (title) } p { (names.join(", ")) } } }
        }
        @if !comparison.notes.is_empty() {
            section { h2 { "Notes" } ul { @for note in &comparison.notes { li { (note) } } } }
        }
        section {
            h2 { "Every metric" }
            details { summary { (comparison.metrics.len()) " metrics" } (rows(sorted(&comparison.metrics).into_iter())) }
        }
    };
    document("Load test", &content)
}

/// Worst first, then by kind and name.
fn sorted(metrics: &[Metric]) -> Vec<&Metric> {
    let mut all: Vec<&Metric> = metrics.iter().collect();
    all.sort_by(|a, b| b.verdict.cmp(&a.verdict).then(a.kind.cmp(&b.kind)).then(a.name.cmp(&b.name)));
    all
}

fn rows<'a>(metrics: impl Iterator<Item = &'a Metric>) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th { "Verdict" } th { "Metric" } th.n { "Base" } th.n { "Candidate" } th.n { "Ratio" } th.n { "Noise" }
                        th.n { "Of the calls" } th { "Became" } th { "Spared" }
                    }
                }
                tbody {
                    @for metric in metrics {
                        @let [_, name, base, candidate, ratio, noise, share, spared] = cells(metric);
                        tr {
                            td.t { (metric.verdict) } th { (name) } td.n { (base) } td.n { (candidate) } td.n { (ratio) }
                            td.n { (noise) } td.n { (share) } td { (metric.change) } td { (spared) }
                        }
                    }
                }
            }
        }
    }
}
