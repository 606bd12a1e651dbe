//! Drawing: a time axis, scales, lines and moments, as SVG in a page's own colours. Pure.
//!
//! What was not measured is a gap, never a zero.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use crate::text;

/// Width of all charts, in units of the view box.
pub const WIDTH: f64 = 960.0;
/// Room for labels on the left.
pub const LEFT: f64 = 76.0;
/// Room on the right.
pub const RIGHT: f64 = 12.0;
/// Room above.
pub const TOP: f64 = 10.0;
/// Room for the times below.
pub const BOTTOM: f64 = 24.0;
/// Height of a plot.
pub const PLOT: f64 = 240.0;
/// Width of what a value alone is drawn as.
const DOT: f64 = 2.0;
/// Height of one label of a moment.
const LABEL: f64 = 14.0;

/// From time to x.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    start: f64,
    seconds: f64,
    ticks: Ticks,
}

/// How an axis is labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticks {
    /// Days since its start.
    Days,
    /// The time of day, UTC.
    Clock,
}

/// A moment that a chart marks with a vertical line.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// Colour of the line, a name of the style's: `--red`.
    pub colour: &'static str,
    /// Shown beside the line; empty: only when it is pointed at.
    pub label: &'static str,
    /// Shown when it is pointed at.
    pub title: String,
}

impl Axis {
    /// From a start to an end.
    pub fn new(start: Timestamp, end: Timestamp, ticks: Ticks) -> Self {
        let start = start.as_second() as f64;
        Self { start, seconds: (end.as_second() as f64 - start).max(1.0), ticks }
    }

    /// Where an instant stands; what is outside stands at the edge.
    pub fn x(&self, at: Timestamp) -> f64 {
        let share = ((at.as_second() as f64 - self.start) / self.seconds).clamp(0.0, 1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Places with a label: at most a dozen.
    fn ticks(&self) -> Vec<(f64, String)> {
        let steps: &[f64] = match self.ticks {
            Ticks::Days => &[0.25, 0.5, 1.0, 2.0, 5.0, 7.0, 14.0, 28.0, 56.0],
            Ticks::Clock => &[1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 720.0],
        };
        let unit = match self.ticks {
            Ticks::Days => 86_400.0,
            Ticks::Clock => 60.0,
        };
        let units = self.seconds / unit;
        let last = steps.last().copied().unwrap_or(1.0);
        let longer = last * (units / 12.0 / last).ceil();
        let step = steps.iter().copied().find(|step| units / step <= 12.0).unwrap_or(longer);
        let first = match self.ticks {
            Ticks::Days => 0.0,
            Ticks::Clock => (self.start / (step * unit)).ceil() * step - self.start / unit,
        };
        let count = ((units - first) / step).floor();
        let mut ticks = Vec::new();
        let mut n = 0.0;
        while n <= count {
            let place = first + n * step;
            let x = LEFT + place / units.max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT);
            ticks.push((x, self.label(place * unit, place)));
            n += 1.0;
        }
        ticks
    }

    fn label(&self, seconds: f64, place: f64) -> String {
        match self.ticks {
            Ticks::Days if place == 0.0 => "day 0".into(),
            Ticks::Days => format!("{place}"),
            Ticks::Clock => {
                #[expect(clippy::cast_possible_truncation, reason = "seconds since the epoch")]
                let at = Timestamp::from_second((self.start + seconds).round() as i64);
                at.map_or_else(|_| String::new(), |at| at.strftime("%H:%M").to_string())
            }
        }
    }
}

/// A chart's frame: times, grid, moments, and what is drawn in it.
pub fn framed(axis: &Axis, height: f64, title: &str, moments: &[Moment], inner: &str) -> Markup {
    let bottom = height - BOTTOM;
    let mut svg = String::new();
    for (x, label) in axis.ticks() {
        // The last label must not hang over the edge.
        let anchor = if x > WIDTH - 2.0 * RIGHT { "end" } else { "middle" };
        let _ = write!(
            svg,
            "<line x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{bottom:.1}' stroke='var(--line)'/>\
             <text x='{x:.1}' y='{:.1}' text-anchor='{anchor}'>{label}</text>",
            height - 8.0
        );
    }
    svg.push_str(inner);
    for (index, moment) in moments.iter().enumerate() {
        draw(moment, axis.x(moment.at), bottom, index, &mut svg);
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

/// A moment's line; each label stands lower than the one before, since moments come close to each other.
fn draw(moment: &Moment, x: f64, bottom: f64, index: usize, svg: &mut String) {
    let Moment { at: _, colour, label, title } = moment;
    let _ = write!(
        svg,
        "<line class='decision' x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{bottom:.1}' stroke='var({colour})' \
         stroke-width='1.5' stroke-dasharray='4 3'><title>{}</title></line>",
        safe(title)
    );
    // The first of them stands before what the others stand behind, where there is room.
    let before = if index == 0 { x > WIDTH * 0.25 } else { x > WIDTH * 0.75 };
    let (side, anchor) = if before { (-6.0, "end") } else { (6.0, "start") };
    if !label.is_empty() {
        let y = TOP + LABEL * (index as f64 + 0.8);
        let _ = write!(
            svg,
            "<text class='moment' x='{:.1}' y='{y:.1}' text-anchor='{anchor}' style='fill:var({colour})'>{}</text>",
            x + side,
            safe(label)
        );
    }
}

/// Escapes what people named.
pub fn safe(text: &str) -> String {
    html! { (text) }.into_string()
}

/// Labels on the left, each with its line.
pub fn scale(labels: &[(f64, String)]) -> String {
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

/// From a value to y, over one plot.
#[derive(Debug, Clone, Copy)]
pub enum Height {
    /// Even, from a value to another.
    Linear {
        /// At the bottom.
        low: f64,
        /// At the top.
        high: f64,
    },
    /// In decades, from `10^low` to `10^high`.
    Decades {
        /// Exponent at the bottom.
        low: f64,
        /// Exponent at the top.
        high: f64,
    },
}

impl Height {
    /// Whole decades around positive values; `None` without any.
    pub fn decades(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        if !low.is_finite() {
            return None;
        }
        let low = low.log10().floor();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10().ceil().max(low + 1.0);
        Some(Self::Decades { low, high })
    }

    /// From zero, or the lowest value, to a little above the highest; `None` without any.
    pub fn linear(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let low = values.clone().fold(f64::INFINITY, f64::min).min(0.0);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        high.is_finite().then(|| Self::Linear { low, high: (high + (high - low) * 0.08).max(low + 1e-9) })
    }

    /// Where a value stands.
    pub fn y(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Decades { low, high } => (value.log10() - low) / (high - low),
        };
        TOP + PLOT * (1.0 - share)
    }

    /// Round values within it, with their places.
    pub fn labels(self, words: impl Fn(f64) -> String) -> Vec<(f64, String)> {
        let mut labels = Vec::new();
        match self {
            Self::Decades { low, high } => {
                let mut decade = low;
                while decade <= high {
                    let value = 10_f64.powf(decade);
                    labels.push((self.y(value), words(value)));
                    decade += 1.0;
                }
            }
            Self::Linear { low, high } => {
                let step = round_step((high - low) / 5.0);
                let mut n = (low / step).ceil();
                while n * step <= high && labels.len() < 12 {
                    labels.push((self.y(n * step), words(n * step)));
                    n += 1.0;
                }
            }
        }
        labels
    }
}

/// The next of 1, 2, 5, 10, ... times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    power * steps.into_iter().find(|step| step * power >= least).unwrap_or(10.0)
}

/// A path through values, with a gap wherever there is none; a value between two gaps is a dot.
pub fn path(axis: &Axis, height: Height, points: impl Iterator<Item = (Timestamp, Option<f64>)>) -> String {
    let points: Vec<_> = points.map(|(at, value)| (at, value.filter(|value| value.is_finite()))).collect();
    let mut path = String::new();
    for run in points.split(|(_, value)| value.is_none()) {
        for (index, (at, value)) in run.iter().enumerate() {
            let (x, y) = (axis.x(*at), height.y(value.unwrap_or_default()));
            let _ = match (index, run.len()) {
                (0, 1) => write!(
                    path,
                    "M{:.1} {y:.1}a{DOT} {DOT} 0 1 0 {DOT} 0a{DOT} {DOT} 0 1 0 -{DOT} 0",
                    x - DOT / 2.0
                ),
                (0, _) => write!(path, "M{x:.1} {y:.1}"),
                (_, _) => write!(path, "L{x:.1} {y:.1}"),
            };
        }
    }
    path
}

/// A path's line in a colour of the style, dashed as `stroke-dasharray` says.
pub fn stroke(path: &str, colour: &str, dash: &str) -> String {
    format!(
        "<path d='{path}' fill='none' stroke='var({colour})' stroke-width='1.6' stroke-linejoin='round' \
         stroke-linecap='round' stroke-dasharray='{dash}'/>"
    )
}

/// A stretch of time behind the lines.
pub fn band(axis: &Axis, from: Timestamp, to: Timestamp, colour: &str) -> String {
    let (left, right) = (axis.x(from), axis.x(to));
    format!(
        "<rect x='{left:.1}' y='{TOP}' width='{:.1}' height='{PLOT:.1}' fill='var({colour})' fill-opacity='.12'/>",
        (right - left).max(0.0)
    )
}

/// A share of events as a label: whole percents, and below them as many digits as it takes.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{} %", text::number(percent)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_571_200 + seconds).unwrap()
    }

    #[test]
    fn an_axis_has_a_dozen_labels_at_most_and_those_of_a_clock_are_round() {
        for hours in [1, 4, 24, 24 * 40] {
            for ticks in [Ticks::Days, Ticks::Clock] {
                let axis = Axis::new(at(420), at(420 + hours * 3_600), ticks);
                let labels = axis.ticks();
                assert!((1..=13).contains(&labels.len()), "{hours} h, {ticks:?}: {labels:?}");
            }
        }
        let axis = Axis::new(at(420), at(420 + 4 * 3_600), Ticks::Clock);
        let labels: Vec<String> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["00:30", "01:00", "01:30", "02:00", "02:30", "03:00", "03:30", "04:00"]);
    }

    #[test]
    fn a_gap_is_drawn_as_a_gap_and_no_number_is_broken() {
        let axis = Axis::new(at(0), at(3_600), Ticks::Clock);
        let values = [Some(0.01), None, Some(f64::NAN), Some(0.02), Some(0.03)];
        let height = Height::linear([0.01, 0.03].into_iter()).unwrap();
        let path = path(&axis, height, (0..).map(|minute| at(minute * 60)).zip(values));
        assert_eq!(
            (path.matches('M').count(), path.matches('a').count()),
            (2, 2),
            "a line, and a dot: {path}"
        );
        assert!(!path.contains("NaN"));
        assert!(
            Height::linear(std::iter::empty()).is_none() && Height::decades(std::iter::empty()).is_none()
        );
    }

    #[test]
    fn a_linear_height_is_labelled_with_round_values() {
        let height = Height::linear([0.001, 0.031].into_iter()).unwrap();
        let labels: Vec<String> = height.labels(percent).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0 %", "1 %", "2 %", "3 %"]);
    }
}
