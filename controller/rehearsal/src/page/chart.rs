//! The report's charts, as SVG. Pure.
//!
//! Every chart has virtual days on its x axis, and the moments of decisions as red lines. What was not measured is a
//! gap, never a zero.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use crate::outcome::{Frame, Outcome, SloFrame, WaveState};

/// Width of all charts, in units of the view box.
const WIDTH: f64 = 960.0;
/// Room for labels on the left.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
/// Room for the days below.
const BOTTOM: f64 = 24.0;
/// Height of one wave's row.
const ROW: f64 = 26.0;
/// Height of the plots of tenants and SLOs.
const PLOT: f64 = 190.0;

/// A colour, and how many tenants it stands for in a frame.
type Area = (&'static str, fn(&Frame) -> u32);
/// A colour, a dash, and what the line shows.
type Line = (&'static str, &'static str, fn(&SloFrame) -> Option<f64>);

/// From virtual time to x.
struct Axis {
    start: f64,
    seconds: f64,
}

impl Axis {
    fn of(outcome: &Outcome) -> Self {
        let start = outcome.started_at.as_second() as f64;
        let seconds = (outcome.ended_at.as_second() as f64 - start).max(1.0);
        Self { start, seconds }
    }

    fn x(&self, at: jiff::Timestamp) -> f64 {
        let share = ((at.as_second() as f64 - self.start) / self.seconds).clamp(0.0, 1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Days with a label: at most a dozen.
    fn ticks(&self) -> Vec<(f64, String)> {
        let days = self.seconds / 86_400.0;
        let steps = [0.25, 0.5, 1.0, 2.0, 5.0, 7.0, 14.0, 28.0, 56.0];
        let step = steps.into_iter().find(|step| days / step <= 12.0).unwrap_or(112.0);
        let count = (days / step).floor();
        let mut ticks = Vec::new();
        let mut n = 0.0;
        while n <= count {
            let day = n * step;
            let x = LEFT + day / days.max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT);
            ticks.push((x, if day == 0.0 { "day 0".into() } else { format!("{day}") }));
            n += 1.0;
        }
        ticks
    }
}

/// A chart's frame: days, grid, decisions, and what is drawn in it.
fn framed(outcome: &Outcome, axis: &Axis, height: f64, title: &str, inner: &str) -> Markup {
    let bottom = height - BOTTOM;
    let mut svg = String::new();
    for (x, label) in axis.ticks() {
        let _ = write!(
            svg,
            "<line x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{bottom:.1}' stroke='var(--line)'/>\
             <text x='{x:.1}' y='{:.1}' text-anchor='middle'>{label}</text>",
            height - 8.0
        );
    }
    svg.push_str(inner);
    for version in &outcome.versions {
        if let Some(at) = version.detected_at {
            let x = axis.x(at);
            let _ = write!(
                svg,
                "<line class='decision' x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{bottom:.1}' stroke='var(--red)' \
                 stroke-width='1.5' stroke-dasharray='4 3'><title>decided to revert</title></line>"
            );
        }
    }
    html! {
        div.scroll {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title) {
                title { (title) }
                (PreEscaped(svg))
            }
        }
    }
}

/// Escapes what people named.
fn safe(text: &str) -> String {
    html! { (text) }.into_string()
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
            format!("{name}: {:?}, {} of {}", wave.state, wave.updated, wave.total),
        ));
    }
    let colour = match (frame.phase.as_str(), &frame.held) {
        ("Reverting" | "Verifying" | "Reverted" | "RevertedPartly", _) => "--red",
        (_, Some(_)) => "--amber",
        ("Completed", None) => "--green",
        ("Pending" | "Adopting" | "AwaitingApproval", None) => "--wait",
        (_, None) => "--blue",
    };
    let held = frame.held.as_ref().map_or_else(String::new, |held| format!(", held: {held}"));
    Some((colour, 0.9, format!("{}{held}", frame.phase)))
}

/// How far each wave was over time.
pub(super) fn waves(outcome: &Outcome) -> Markup {
    let axis = Axis::of(outcome);
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
    let axis = Axis::of(outcome);
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

/// Labels on the left.
fn scale(labels: &[(f64, String)]) -> String {
    labels.iter().fold(String::new(), |mut svg, (y, label)| {
        let _ = write!(
            svg,
            "<line x1='{LEFT}' x2='{:.1}' y1='{y:.1}' y2='{y:.1}' stroke='var(--line)'/>\
             <text x='{:.1}' y='{:.1}' text-anchor='end'>{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
        svg
    })
}

/// A value that can be drawn on a logarithmic scale.
fn drawable(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite()).map(|value| value.max(1e-5))
}

/// What one SLO said over time, on a logarithmic scale.
pub(super) fn slo(outcome: &Outcome, index: usize) -> Markup {
    let axis = Axis::of(outcome);
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
    if all.is_empty() {
        return html! { p.legend { "Nothing was judged." } };
    }
    let low = all.iter().copied().fold(f64::INFINITY, f64::min).log10().floor();
    let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max).log10().ceil().max(low + 1.0);
    let y = |value: f64| TOP + PLOT * (1.0 - (value.log10() - low) / (high - low));
    let mut labels = Vec::new();
    let mut decade = low;
    while decade <= high {
        let value = 10_f64.powf(decade);
        labels.push((y(value), percent(value)));
        decade += 1.0;
    }
    let mut svg = scale(&labels);
    for (colour, dash, value) in lines {
        let path = line(outcome, &axis, &y, &|frame| drawable(value(frame.slos.get(index)?)));
        let _ = write!(
            svg,
            "<path d='{path}' fill='none' stroke='var({colour})' stroke-width='1.6' stroke-dasharray='{dash}'/>"
        );
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

/// A path with a gap wherever there is no value.
fn line(
    outcome: &Outcome,
    axis: &Axis,
    y: &dyn Fn(f64) -> f64,
    value: &dyn Fn(&Frame) -> Option<f64>,
) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for frame in &outcome.frames {
        match value(frame) {
            Some(value) => {
                let step = if drawing { 'L' } else { 'M' };
                let _ = write!(path, "{step}{:.1} {:.1}", axis.x(frame.at), y(value));
                drawing = true;
            }
            None => drawing = false,
        }
    }
    path
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 1.0 { format!("{percent:.0} %") } else { format!("{} %", (percent * 1e4).round() / 1e4) }
}
