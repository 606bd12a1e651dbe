//! The result as one HTML file that stands alone: the tables, and per SLO and wave both arms over time with the candidates
//! as they would have been with a fault, and the moments. Pure.

use breakwater_page::{
    chart::{self, Axis, BOTTOM, Height, Moment, PLOT, TOP, Ticks},
    document,
    text::{count, span, stamp},
};
use breakwater_slo::Counts;
use maud::{Markup, html};

use super::{
    outcome::{Calibration, Outcome, SloOutcome, Track, WaveOutcome},
    replay::instant,
    report,
};
use crate::plugin::text::plain;

/// Renders it.
pub(super) fn render(outcome: &Outcome) -> String {
    let days = outcome.until.duration_since(outcome.watched_from).as_secs();
    document(
        &format!("Backtest of {}", outcome.rollout),
        &html! {
            header {
                h1 { "Backtest of " (outcome.rollout) }
                p.about { "The judge, replayed over what Prometheus recorded. Nothing was rolled out." }
                p.verdict.(if outcome.good { "good" } else { "bad" }) { (bare(&report::verdict(outcome))) }
                p.meta {
                    (count(outcome.tenants as f64)) " tenants · taught from " (stamp(outcome.from)) " · tried from "
                    (stamp(outcome.watched_from)) " to " (stamp(outcome.until)) " (" (span(days)) ")"
                    @if let Some(seed) = outcome.seed { " · seed " (seed) }
                }
            }
            @if !outcome.notes.is_empty() {
                section { h2 { "Notes" } ul { @for note in &outcome.notes { li { (note) } } } }
            }
            @if !outcome.together.is_empty() {
                section { h2 { "Together" } ul { @for alarm in &outcome.together { li { (stamp(alarm.at)) ": " (alarm.sentence) } } } }
            }
            @for slo in &outcome.slos {
                section {
                    h2 { "SLO " code { (slo.name) } }
                    p.meta { "steps of " (span(slo.step_seconds)) ", each read " (span(slo.lag_seconds)) " after its end" }
                    @for wave in &slo.waves { (of_wave(outcome, slo, wave)) }
                }
            }
        },
    )
}

fn of_wave(outcome: &Outcome, slo: &SloOutcome, wave: &WaveOutcome) -> Markup {
    let alarms = bare(&report::alarms(wave));
    let compared =
        wave.against.map_or_else(|| "nothing".into(), |against| report::compared_with(against, wave));
    html! {
        h3 { "Wave " (wave.wave) }
        dl.figures {
            div { dt { "false alarms" } dd { (alarms) } }
            div { dt { "candidates" } dd { (wave.candidates) " of " (wave.candidates + wave.baseline) } }
            div { dt { "compared with" } dd { (compared) } }
            @if let Some(ratio) = wave.detectable {
                div { dt { "could detect, by traffic" } dd { (format!("{ratio:.2}x")) } }
            }
            @if let Some(phi) = wave.phi { div { dt { "dispersion" } dd { (format!("{phi:.2}")) } } }
            @if !wave.shape_edges.is_empty() { div { dt { "also above" } dd { (edges(&wave.shape_edges)) } } }
        }
        (plot(outcome, slo, wave))
        (faults(wave))
        (said(wave))
    }
}

fn faults(wave: &WaveOutcome) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th { "Fault" } th.n { "In tenants" } th { "Caught" } th { "By" } th.n { "Bad requests" } th { "What it said" }
                    }
                }
                tbody {
                    @for fault in &wave.faults {
                        @let noticed = fault.found.as_ref().or(fault.held.as_ref());
                        tr {
                            th { (report::name(fault)) }
                            td.n { (fault.tenants) " of " (wave.candidates) }
                            td.t { (bare(&report::caught(fault, wave))) }
                            td { (noticed.map_or("–", |found| found.guard.as_str())) }
                            td.n { (noticed.map_or_else(|| "–".to_owned(), |found| count(found.bad_requests))) }
                            td { (noticed.map_or_else(String::new, |found| plain(&found.sentence))) }
                        }
                    }
                }
            }
        }
    }
}

fn said(wave: &WaveOutcome) -> Markup {
    let reason = match &wave.calibration {
        Calibration::Armed | Calibration::Off => None,
        Calibration::Uncalibrated { reason } => Some(format!("Not calibrated: {reason}")),
        Calibration::NoHistory { reason } => Some(format!("NoHistory: {reason}")),
    };
    let blind = wave
        .is_blind()
        .then(|| format!("{} of {} steps had no data: nothing is known", wave.no_data_steps, wave.steps));
    let alarms =
        wave.alarms.iter().map(|alarm| format!("{} {}: {}", stamp(alarm.at), alarm.guard, alarm.sentence));
    let lines: Vec<String> = reason.into_iter().chain(blind).chain(alarms).collect();
    html! { @if !lines.is_empty() { ul { @for line in &lines { li.bad { (plain(line)) } } } } }
}

/// Colours, dashes and names of the lines, in the order of a [`Track`]'s.
const LINES: [(&str, &str, &str); 3] = [
    ("--blue", "none", "candidates, as recorded"),
    ("--soft", "none", "the others"),
    ("--red", "none", "candidates with"),
];

fn plot(outcome: &Outcome, slo: &SloOutcome, wave: &WaveOutcome) -> Markup {
    let track = &wave.track;
    let line =
        |at: usize| track.stretches.iter().map(move |lines| lines.get(at).copied().and_then(Counts::ratio));
    let values = (0..LINES.len()).flat_map(line).flatten();
    let Some(height) = Height::linear(values) else { return html! { p.legend { "Nothing was counted." } } };
    let axis = Axis::new(outcome.watched_from, outcome.until, Ticks::Days);
    let mut svg = chart::scale(&height.labels(chart::percent));
    let fault = track.fault.and_then(|at| wave.faults.get(at));
    // The fault lies below: the lines that were recorded are the ones to be sure of.
    for at in (0..LINES.len()).rev() {
        let points = points(track, line(at));
        svg.push_str(&chart::stroke(&chart::path(&axis, height, points), LINES[at].0, LINES[at].1));
    }
    let title = format!("{} in wave {}", slo.name, wave.wave);
    html! {
        div.fit { (chart::framed(&axis, TOP + BOTTOM + PLOT, &title, &moments(wave), &svg)) }
        p.legend {
            @for (colour, _, words) in LINES.iter().take(if wave.baseline > 0 { 2 } else { 1 }) {
                i style=(format!("background:var({colour})")) {} (words)
            }
            @if let Some(fault) = fault {
                i style=(format!("background:var({})", LINES[2].0)) {} (LINES[2].2) " " (fault.fault) ", until it was caught"
            }
            " · share of bad requests, one point per " (span(track.every_seconds)) "; days since the trial began. A gap: nothing was counted."
        }
    }
}

fn points(
    track: &Track,
    values: impl Iterator<Item = Option<f64>>,
) -> impl Iterator<Item = (jiff::Timestamp, Option<f64>)> {
    let middle = track.from_seconds + track.every_seconds / 2;
    let every = track.every_seconds;
    (0_i64..).zip(values).map(move |(n, value)| (instant(middle + n * every), value))
}

fn moments(wave: &WaveOutcome) -> Vec<Moment> {
    let moment = |at, colour, label: &'static str, title: &str| Moment {
        at,
        colour,
        label,
        title: format!("{}: {}", stamp(at), plain(title)),
    };
    let shown = wave.track.fault.and_then(|at| wave.faults.get(at));
    let mut all: Vec<Moment> = shown
        .into_iter()
        .flat_map(|fault| {
            let begins = moment(fault.starts_at, "--amber", "fault begins", &fault.fault);
            let caught =
                fault.found.as_ref().map(|found| moment(found.at, "--green", "caught", &found.sentence));
            let held = fault.held.as_ref().map(|held| moment(held.at, "--amber", "held", &held.sentence));
            std::iter::once(begins).chain(caught.or(held))
        })
        .collect();
    all.extend(wave.alarms.iter().map(|alarm| moment(alarm.at, "--red", "false alarm", &alarm.sentence)));
    all.sort_by_key(|moment| moment.at);
    all
}

/// The text without the glyph before it: a page has colours.
fn bare(text: &str) -> String {
    text.trim_start_matches(|c: char| !c.is_alphanumeric()).to_owned()
}
/// `0.25 s, 1 s`.
fn edges(seconds: &[f64]) -> String {
    seconds.iter().map(|edge| format!("{edge} s")).collect::<Vec<_>>().join(", ")
}
