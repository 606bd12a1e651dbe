//! The report as one HTML file. Pure.

use breakwater_crds::{
    Outcome,
    report::{Attribution, DeviationReportStatus, SloAccount},
    status::Transition,
};
use maud::{Markup, html};

use super::{Report, facts, plot};
use crate::{document, text};

/// Renders a report as a page that stands alone.
pub fn html(report: &Report<'_>) -> String {
    let status = report.status;
    let spoke = |slo: &&SloAccount| Some(&slo.name) == status.slo.as_ref();
    let others = status.slos.iter().filter(|slo| !spoke(slo));
    document(
        &format!("Deviation of {} {}", report.spec.rollout, report.spec.version),
        &html! {
            (header(report))
            dl.figures { @for (name, value) in facts::figures(status) { div { dt { (name) } dd { (value) } } } }
            @for account in status.slos.iter().filter(spoke).chain(others) { (slo(status, account)) }
            (schema(status))
            (times(status))
            (worst(status))
            (lines("Rejected for these tenants alone", &facts::rejected_for(status), ""))
            (way_back(status))
            (told("What people and alerts asked for", &status.actions, &facts::left_out(status, "actions")))
            (lines("Alerts that fired at the decision", &status.alerts, &facts::left_out(status, "alerts")))
            (told("What else changed", &status.changes, &facts::left_out(status, "changes")))
            (situation(status))
            (found(report))
        },
    )
}

fn header(report: &Report<'_>) -> Markup {
    let status = report.status;
    let class = match status.outcome {
        Some(Outcome::Reverted) if status.attribution != Some(Attribution::NotAttributed) => "good",
        Some(Outcome::Reverted | Outcome::Held | Outcome::Reverting | Outcome::TenantsReverted) => "warn",
        Some(Outcome::RevertedPartly) | None => "bad",
    };
    let answer = facts::attribution(status);
    html! {
        header {
            h1 { (facts::headline(report)) }
            p.verdict.bad { (status.message) }
            p.verdict.(class) {
                (facts::outcome(status))
                @if !answer.is_empty() { " · " (answer) }
                @if !status.answer.is_empty() { ": " (status.answer) }
            }
            p.meta {
                "DeviationReport " code { (report.namespace) "/" (report.name) }
                @if !status.reason.is_empty() { " · " (status.reason) }
                @if !status.wave.is_empty() { " · wave " (status.wave) }
                @if !status.requested_by.is_empty() { " · asked for by " (status.requested_by) }
                " · investigation: " (facts::investigation(report))
            }
        }
    }
}

/// Why the revert waits, and what takes the schema down (R21).
fn schema(status: &DeviationReportStatus) -> Markup {
    if status.down_steps.is_empty() && status.revert_waits_for.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { (facts::SCHEMA) }
            @if !status.revert_waits_for.is_empty() { p { (status.revert_waits_for) } }
            @if !status.down_steps.is_empty() { p.meta { (facts::DOWN_STEPS) } }
            @for step in &status.down_steps {
                h3 { (step.number) " " code { (step.file) } }
                pre { code { (step.sql) } }
            }
        }
    }
}

fn slo(status: &DeviationReportStatus, slo: &SloAccount) -> Markup {
    html! {
        section {
            h2 {
                "SLO " code { (slo.name) }
                @if let Some(objective) = slo.objective { ", objective " (objective) }
                @if let Some(verdict) = &slo.verdict { ": " (verdict) }
            }
            @if !slo.message.is_empty() { p { (slo.message) } }
            (plot::plot(status, slo))
            @if let Some(harm) = &slo.harm {
                p {
                    strong { (text::count(harm.excess)) } " bad requests in excess of the baseline's ratio ("
                    (text::count(harm.bad)) " of " (text::count(harm.total)) " were bad"
                    @if let Some(since) = harm.since { ", since " (text::stamp(since)) }
                    "), " (facts::minutes(harm.budget_minutes)) " minutes of the fleet's error budget."
                }
            }
            @if let Some(ratio) = slo.detectable {
                p.meta { "The traffic before could have shown a ratio of " (text::number(ratio)) "x or more." }
            }
            (configured(slo))
        }
    }
}

fn configured(slo: &SloAccount) -> Markup {
    html! {
        details {
            summary { "As it was configured and asked" }
            @if !slo.measures.is_empty() { p { "Measures " code { (slo.measures) } } }
            ul { @for limit in &slo.limits { li { (limit) } } }
            @if slo.candidates > 0 {
                p {
                    (slo.candidates) " candidates, " (slo.others) " others"
                    @if let Some(step) = slo.step { ", one step per " (step) }
                }
            }
            @if !slo.query.is_empty() { pre { code { (slo.query) } } }
        }
    }
}

fn times(status: &DeviationReportStatus) -> Markup {
    html! {
        section {
            h2 { "Times" }
            table { tbody {
                @for (what, at) in facts::times(status) {
                    tr {
                        th { (what) }
                        td {
                            time.t datetime=(at) { (text::stamp(at)) }
                            @if let Some(moment) = status.moment().filter(|moment| *moment != at) {
                                " " span.about.t { (text::apart(at, moment)) " the decision" }
                            }
                        }
                    }
                }
            } }
            @if let Some(since) = status.known_since {
                p.meta { "Counts are known from " (text::stamp(since)) " on: earlier ones were lost, as with a restart of the controller." }
            }
        }
    }
}

fn worst(status: &DeviationReportStatus) -> Markup {
    if status.worst.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Tenants that felt it most" }
            div.scroll { table {
                thead { tr {
                    th { "Tenant" } th.n { "Bad" } th.n { "Of" } th.n { "Share" } th.n { "In excess" } th { "Since" }
                } }
                tbody { @for tenant in &status.worst { tr {
                    th { (tenant.tenant) }
                    td.n { (text::count(tenant.bad)) }
                    td.n { (text::count(tenant.total)) }
                    td.n { @if tenant.total > 0.0 { (text::percent(tenant.bad / tenant.total)) } }
                    td.n { @if let Some(excess) = tenant.excess { (text::count(excess)) } }
                    td.t { @if let Some(since) = tenant.since { (text::stamp(since)) } }
                } } }
            } }
            p.meta { (facts::left_out(status, "worst")) }
        }
    }
}

fn way_back(status: &DeviationReportStatus) -> Markup {
    let touched = status.waves.iter().filter(|wave| wave.touched > 0);
    html! {
        section {
            h2 { "What the revert did" }
            p {
                @if status.outcome == Some(Outcome::Held) {
                    "Nothing was taken back: the Rollout only holds on deviations."
                } @else {
                    (status.reverted) " tenants went back, " (status.failed) " did not."
                }
            }
            ul { @for wave in touched { li { "wave " (wave.name) ": " (wave.touched) " touched at the decision" } } }
            @if !status.not_back.is_empty() {
                h3 { "Not back" }
                ul { @for tenant in &status.not_back { li { (tenant) } } }
                p.meta { (facts::left_out(status, "notBack")) }
            }
            @if !status.appended.is_empty() {
                h3 { "Further deviations of the same version" }
                ul { @for more in &status.appended { li { (text::stamp(more.at)) ": " (more.message) } } }
            }
        }
    }
}

fn told(title: &str, told: &[Transition], left_out: &str) -> Markup {
    if told.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { (title) }
            p.meta { (left_out) }
            ol.events { @for event in told {
                li.warning[event.warning] {
                    time datetime=(event.at) { (text::stamp(event.at)) } " " strong { (event.reason) } " "
                    (event.message)
                }
            } }
        }
    }
}

fn lines(title: &str, lines: &[String], left_out: &str) -> Markup {
    if lines.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { (title) }
            ul { @for line in lines { li { code { (line) } } } }
            p.meta { (left_out) }
        }
    }
}

fn situation(status: &DeviationReportStatus) -> Markup {
    html! {
        section {
            h2 { "At the decision" }
            ul {
                @if !status.compared_with.is_empty() { li { "compared with " (status.compared_with) } }
                @if let Some(generation) = status.generation {
                    li {
                        "generation " (generation) " of the Rollout's spec"
                        @if let Some(revision) = &status.revision {
                            ", kept as ControllerRevision " code { (revision) }
                        }
                    }
                }
                @for found in &status.versions { li { (found.tenants) " tenants on " (found.version) } }
                @for brake in &status.brakes { li { "in force: " (brake) } }
            }
        }
    }
}

fn found(report: &Report<'_>) -> Markup {
    let notes = report.spec.investigation.as_ref().map(|found| found.notes.as_str()).unwrap_or_default();
    html! {
        section {
            h2 { "Investigation" }
            p { (facts::investigation(report)) }
            @if !notes.is_empty() { pre { (notes) } }
        }
    }
}
