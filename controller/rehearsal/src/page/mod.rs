//! The report as one HTML file that stands alone: no request leaves it. Pure.

mod chart;

use breakwater_page::{document, text::span};
use maud::{Markup, html};

use crate::outcome::{By, End, Event, Outcome, VersionOutcome, VersionResult};

/// Renders a rehearsal; `command` is what gives it again.
pub fn render(outcome: &Outcome, command: &str) -> String {
    document(
        &format!("Rehearsal of {}: {}", outcome.rollout, outcome.scenario),
        &html! {
            (header(outcome))
            (figures(outcome))
            section { h2 { "Waves" } (chart::waves(outcome)) }
            section { h2 { "Tenants" } (chart::tenants(outcome)) }
            @for (index, slo) in outcome.slos.iter().enumerate() {
                section { h2 { "SLO " code { (slo) } } (chart::slo(outcome, index)) }
            }
            (versions(outcome))
            (events(outcome))
            section {
                h2 { "Again" }
                p { "The same seed gives the same rehearsal, byte for byte:" }
                pre { code { (command) } }
            }
        },
    )
}

fn header(outcome: &Outcome) -> Markup {
    let days = outcome.ended_at.duration_since(outcome.started_at).as_secs_f64() / 86_400.0;
    let (class, verdict) = match outcome.end {
        End::Completed => ("good", "The last version is on all tenants."),
        End::Reverted => ("bad", "The last version was taken out by itself."),
        End::OutOfTime => ("warn", "Time was over before the road was at its end."),
        End::Refused => ("bad", "The Rollout was refused."),
    };
    html! {
        header {
            h1 { "Rehearsal of " (outcome.rollout) }
            p.about { (outcome.about) }
            p.verdict.(class) { (verdict) }
            p.meta {
                (outcome.tenants) " tenants · " (format!("{days:.1}")) " virtual days · scenario "
                code { (outcome.scenario) } " · seed " (outcome.seed)
            }
        }
    }
}

/// What an SRE asks first: of the version that did harm, or else of the last one.
fn figures(outcome: &Outcome) -> Markup {
    let harmful = outcome.versions.iter().find(|version| version.tenant_minutes_of_harm > 0.0);
    let Some(version) = harmful.or(outcome.versions.last()) else { return html! {} };
    let mut cards = vec![("version", version.version.clone()), ("became", result(version.result).to_owned())];
    if let Some(seconds) = version.seconds_to_detection {
        cards.push(("time to detection", span(seconds)));
    }
    if let Some(seconds) = version.seconds_to_revert {
        cards.push(("time to revert", span(seconds)));
    }
    cards.push(("tenants touched", count(version.tenants_touched as f64)));
    if version.tenant_minutes_of_harm > 0.0 {
        cards.push(("tenant-minutes of harm", count(version.tenant_minutes_of_harm)));
        cards.push(("bad events in excess", count(version.excess_bad_events)));
    }
    if let Some(seconds) = version.seconds_to_completion {
        cards.push(("time to completion", span(seconds)));
    }
    html! {
        dl.figures {
            @for (name, value) in cards { div { dt { (name) } dd { (value) } } }
        }
    }
}

fn versions(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Versions" }
            div.scroll {
                table {
                    thead {
                        tr {
                            th { "Version" } th { "Fault" } th { "Became" } th { "Detection" } th { "Revert" }
                            th.n { "Tenants" } th.n { "Harm (tenant-min)" } th.n { "Bad events in excess" }
                            th { "Completion" } th { "Longest hold" }
                        }
                    }
                    tbody { @for version in &outcome.versions { (row(version)) } }
                }
            }
            @for version in outcome.versions.iter().filter(|version| version.reason.is_some()) {
                p { strong { (version.version) } ": " (version.reason.as_deref().unwrap_or_default()) }
            }
        }
    }
}

fn row(version: &VersionOutcome) -> Markup {
    let optional = |seconds: Option<i64>| seconds.map_or_else(|| "–".to_owned(), span);
    let hold = version.longest_hold.as_ref();
    let hold = hold.map_or_else(|| "–".into(), |hold| format!("{} ({})", span(hold.seconds), hold.reason));
    html! {
        tr {
            th { (version.version) }
            td { (version.fault.as_deref().unwrap_or("none")) }
            td { (result(version.result)) }
            td { (optional(version.seconds_to_detection)) }
            td { (optional(version.seconds_to_revert)) }
            td.n { (count(version.tenants_touched as f64)) }
            td.n { (count(version.tenant_minutes_of_harm)) }
            td.n { (count(version.excess_bad_events)) }
            td { (optional(version.seconds_to_completion)) }
            td { (hold) }
        }
    }
}

fn events(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Events" }
            ol.events { @for event in &outcome.timeline { (line(outcome, event)) } }
        }
    }
}

fn line(outcome: &Outcome, event: &Event) -> Markup {
    let by = match (event.by, event.warning) {
        (By::Scenario, _) => "scenario",
        (By::Controller, true) => "warning",
        (By::Controller, false) => "controller",
    };
    let seconds = event.at.duration_since(outcome.started_at).as_secs().max(0);
    let day = format!("{} {:02}:{:02}", seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    html! {
        li.(by) { time datetime=(event.at) { "day " (day) } " " strong { (event.reason) } " " (event.message) }
    }
}

fn result(result: VersionResult) -> &'static str {
    match result {
        VersionResult::Completed => "completed",
        VersionResult::Reverted => "reverted",
        VersionResult::RevertedPartly => "reverted partly",
        VersionResult::Superseded => "superseded",
        VersionResult::Unfinished => "unfinished",
        VersionResult::NotStarted => "not started",
    }
}

/// A whole number with thin spaces between thousands.
fn count(value: f64) -> String {
    breakwater_page::text::grouped(value.max(0.0), '\u{2009}')
}

#[cfg(test)]
mod tests;
