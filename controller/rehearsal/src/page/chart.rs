//! The rehearsal's charts: waves, tenants and SLOs over virtual days, with the moments of decisions as red lines. Pure.

use std::fmt::Write as _;

use breakwater_crds::Phase;
use breakwater_page::chart::{
    self as page, Axis, BOTTOM, Height, LEFT, Moment, PLOT, TOP, Ticks, percent, safe, scale,
};
use maud::{Markup, html};

use crate::outcome::{Frame, Outcome, SloFrame, WaveState};

/// Height of one wave's row.
const ROW: f64 = 26.0;

/// A colour, and how many tenants it stands for in a frame.
type Area = (&'static str, fn(&Frame) -> u32);
/// A colour, a dash, and what the line shows.
type Line = (&'static str, &'static str, fn(&SloFrame) -> Option<f64>);

fn axis_of(outcome: &Outcome) -> Axis {
    Axis::new(outcome.started_at, outcome.ended_at, Ticks::Days)
}

/// A chart's frame, with the decisions in it.
fn framed(outcome: &Outcome, axis: &Axis, height: f64, title: &str, inner: &str) -> Markup {
    let decision = |at| Moment { at, colour: "--red", label: "", title: "decided to revert".into() };
    let decisions: Vec<Moment> =
        outcome.versions.iter().filter_map(|version| version.detected_at).map(decision).collect();
    page::framed(axis, height, title, &decisions, inner)
}

/// Pairs of frames that follow each other, the last one up to the end.
fn stretches(outcome: &Outcome) -> impl Iterator<Item = (&Frame, jiff::Timestamp)> {
    let ends = outcome.frames.iter().skip(1).map(|frame| frame.at).chain([outcome.ended_at]);
    outcome.frames.iter().zip(ends)
}

/// A bar's colour, opacity and words.
type Look = (&'static str, f64, String);

/// A stretch of a row.
struct Bar {
    look: Look,
    from: jiff::Timestamp,
    until: jiff::Timestamp,
}

impl Bar {
    fn draw(&self, axis: &Axis, row: usize, svg: &mut String) {
        let (colour, opacity, title) = &self.look;
        let (x, y) = (axis.x(self.from), TOP + ROW * row as f64 + 4.0);
        let _ = write!(
            svg,
            "<rect x='{x:.2}' y='{y:.1}' width='{:.2}' height='{:.1}' fill='var({colour})' \
             fill-opacity='{opacity}'><title>{}</title></rect>",
            axis.x(self.until) - x,
            ROW - 8.0,
            safe(title)
        );
    }
}

/// How a row looks in a frame: a wave's, or the last one, the phase's.
fn bar_of(outcome: &Outcome, frame: &Frame, row: usize) -> Option<Look> {
    if let Some(name) = outcome.waves.get(row) {
        let wave = frame.waves.get(row)?;
        let (colour, opacity) = match wave.state {
            WaveState::Waiting => return None,
            WaveState::Updating => ("--amber", 0.9),
            WaveState::Soaking => ("--soak", 0.9),
            WaveState::Passed => ("--wave", 0.7),
        };
        return Some((
            colour,
            opacity,
            format!("{name}: {}, {} of {}", wave.state, wave.updated, wave.total),
        ));
    }
    let colour = match (frame.phase, &frame.held) {
        (Phase::Reverting | Phase::Verifying | Phase::Reverted | Phase::RevertedPartly, _) => "--red",
        (_, Some(_)) => "--amber",
        (Phase::Completed, None) => "--green",
        (Phase::Pending | Phase::Adopting | Phase::AwaitingApproval, None) => "--wait",
        (Phase::Advancing | Phase::Soaking | Phase::Watching, None) => "--blue",
    };
    let held = frame.held.as_ref().map_or_else(String::new, |held| format!(", held: {held}"));
    Some((colour, 0.9, format!("{}{held}", frame.phase)))
}

/// How far each wave was over time.
pub(super) fn waves(outcome: &Outcome) -> Markup {
    let axis = axis_of(outcome);
    let height = TOP + BOTTOM + ROW * (outcome.waves.len() as f64 + 1.0);
    let mut svg = String::new();
    for (row, name) in outcome.waves.iter().map(String::as_str).chain(["phase"]).enumerate() {
        let y = TOP + ROW * row as f64 + ROW * 0.65;
        let _ = write!(svg, "<text x='{:.1}' y='{y:.1}' text-anchor='end'>{}</text>", LEFT - 8.0, safe(name));
    }
    for row in 0..=outcome.waves.len() {
        let mut bar: Option<Bar> = None;
        for (frame, until) in stretches(outcome) {
            let next = bar_of(outcome, frame, row).map(|look| Bar { look, from: frame.at, until });
            match (&mut bar, next) {
                // What looks alike is one bar, without seams.
                (Some(bar), Some(next)) if bar.look == next.look => bar.until = next.until,
                (bar, next) => {
                    if let Some(done) = std::mem::replace(bar, next) {
                        done.draw(&axis, row, &mut svg);
                    }
                }
            }
        }
        if let Some(last) = bar {
            last.draw(&axis, row, &mut svg);
        }
    }
    html! {
        (framed(outcome, &axis, height, "Waves over time", &svg))
        p.legend {
            i style="background:var(--amber)" {} "updating, or held"
            i style="background:var(--soak)" {} "soaking"
            i style="background:var(--wave)" {} "passed"
            i style="background:var(--green)" {} "completed"
            i style="background:var(--red)" {} "on the way back; dashed: the decision"
        }
    }
}

/// Tenants by state over time.
pub(super) fn tenants(outcome: &Outcome) -> Markup {
    let axis = axis_of(outcome);
    let height = TOP + BOTTOM + PLOT;
    let most = outcome.frames.iter().map(|frame| frame.live).max().unwrap_or(0).max(1);
    let y = |value: f64| TOP + PLOT * (1.0 - value / f64::from(most));
    let mut svg = scale(&[(y(0.0), "0".into()), (y(f64::from(most)), most.to_string())]);
    // From the whole down, so that each area covers what is above it.
    let areas: [Area; 4] = [
        ("--wait", |frame| frame.live),
        ("--wave", |frame| frame.updated),
        ("--blue", |frame| frame.ready),
        ("--red", |frame| frame.failed + frame.to_revert),
    ];
    for (colour, value) in areas {
        let mut path = format!("M{:.1} {:.1}", LEFT, y(0.0));
        for (frame, until) in stretches(outcome) {
            let level = y(f64::from(value(frame)));
            let _ = write!(path, "L{:.1} {level:.1}L{:.1} {level:.1}", axis.x(frame.at), axis.x(until));
        }
        let _ = write!(path, "L{:.1} {:.1}Z", axis.x(outcome.ended_at), y(0.0));
        let _ = write!(svg, "<path d='{path}' fill='var({colour})' fill-opacity='.85'/>");
    }
    html! {
        (framed(outcome, &axis, height, "Tenants by state over time", &svg))
        p.legend {
            i style="background:var(--wait)" {} "not on the version under way"
            i style="background:var(--wave)" {} "updated"
            i style="background:var(--blue)" {} "ready on it"
            i style="background:var(--red)" {} "failed, or to be written back"
        }
    }
}

/// A value that can be drawn on a logarithmic scale.
fn drawable(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite()).map(|value| value.max(1e-5))
}

/// What one SLO said over time, on a logarithmic scale.
pub(super) fn slo(outcome: &Outcome, index: usize) -> Markup {
    let axis = axis_of(outcome);
    let height = TOP + BOTTOM + PLOT;
    let lines: [Line; 3] = [
        ("--red", "2 4", |slo| slo.limit),
        ("--soft", "none", |slo| slo.baseline),
        ("--blue", "none", |slo| slo.value),
    ];
    let all: Vec<f64> = outcome
        .frames
        .iter()
        .filter_map(|frame| frame.slos.get(index))
        .flat_map(|slo| lines.iter().filter_map(|(_, _, value)| drawable(value(slo))))
        .collect();
    let Some(decades) = Height::decades(all.iter().copied()) else {
        return html! { p.legend { "Nothing was judged." } };
    };
    let mut svg = scale(&decades.labels(percent));
    for (colour, dash, value) in lines {
        let points =
            outcome.frames.iter().map(|frame| (frame.at, drawable(frame.slos.get(index).and_then(value))));
        svg.push_str(&page::stroke(&page::path(&axis, decades, points), colour, dash));
    }
    html! {
        (framed(outcome, &axis, height, "SLO over time", &svg))
        p.legend {
            i style="background:var(--blue)" {} "the version under way"
            i style="background:var(--soft)" {} "the others (baseline)"
            i style="background:var(--red)" {} "limit; dashed line: the decision. A gap: nothing was judged."
        }
    }
}
