//! The chart of one SLO around the decision. Pure.

use breakwater_crds::report::{ArmCounts, Chart, DeviationReportStatus, SloAccount};
use jiff::Timestamp;
use maud::{Markup, html};

use crate::{
    chart::{self, Axis, BOTTOM, Height, Moment, PLOT, TOP, Ticks},
    text,
};

/// Both arms, or the values of a `query`, with the limit and the moments.
pub(super) fn plot(status: &DeviationReportStatus, slo: &SloAccount) -> Markup {
    let Some(drawn) = slo.chart.as_ref().filter(|chart| !chart.is_empty()) else {
        return html! { p.legend { "Nothing was counted around the decision." } };
    };
    let is_query = !drawn.values.is_empty();
    let words = if is_query { text::number } else { chart::percent };
    let end = end(status, drawn);
    let axis = Axis::new(drawn.start, end, Ticks::Clock);
    let shown = |slo: &&f64| slo.is_finite();
    let limit = slo.limit.filter(|limit| shown(&limit));
    let lines = lines(drawn);
    let all: Vec<f64> = lines
        .iter()
        .flat_map(|line| line.points.iter().filter_map(|(_, value)| *value))
        .chain(limit)
        .filter(|value| shown(&value))
        .collect();
    let Some(height) = Height::linear(all.iter().copied()) else {
        return html! { p.legend { "Nothing was counted around the decision." } };
    };
    let mut svg = String::new();
    if let (Some(from), Some(to)) = (status.first_harm_at, status.last_ready_at.or(status.moment())) {
        svg.push_str(&chart::band(&axis, from, to, "--red"));
    }
    svg.push_str(&chart::scale(&height.labels(words)));
    if let Some(limit) = limit {
        let flat = [(drawn.start, Some(limit)), (end, Some(limit))];
        svg.push_str(&chart::stroke(&chart::path(&axis, height, flat.into_iter()), "--red", "2 4"));
    }
    for line in &lines {
        let path = chart::path(&axis, height, line.points.iter().copied());
        svg.push_str(&chart::stroke(&path, line.colour, "none"));
    }
    let title = format!("{} around the decision", slo.name);
    html! {
        div.fit {
            (chart::framed(&axis, TOP + BOTTOM + PLOT, &title, &moments(status, &axis, drawn.start, end), &svg))
        }
        p.legend {
            @for line in &lines { i style=(format!("background:var({})", line.colour)) {} (line.name) }
            @if let Some(limit) = limit {
                i style="background:var(--red)" {}
                "limit " (words(limit))
                @if let Some(window) = slo.window { ", measured over " (window) }
            }
            " · dashed: first harm, the decision, all back; shaded between them · one point per " (drawn.every) ", UTC"
        }
    }
}

/// The end of what was counted, or of what came soon after: stretches under way at the decision are not drawn.
fn end(status: &DeviationReportStatus, drawn: &Chart) -> Timestamp {
    let counted = drawn.at(drawn.len()).unwrap_or(drawn.start);
    let room = (counted.duration_since(drawn.start) / 4)
        .max(jiff::SignedDuration::from_secs(2 * drawn.every.as_seconds()));
    let soon = |at: &Timestamp| at.duration_since(counted) <= room;
    [status.moment(), status.last_ready_at].into_iter().flatten().filter(soon).fold(counted, Timestamp::max)
}

/// One line of a chart.
struct Line {
    colour: &'static str,
    name: &'static str,
    points: Vec<(Timestamp, Option<f64>)>,
}

fn lines(drawn: &Chart) -> Vec<Line> {
    let points = |value: &dyn Fn(usize) -> Option<f64>| {
        // A share belongs to the middle of its stretch.
        let middle = jiff::SignedDuration::from_secs(drawn.every.as_seconds() / 2);
        let at = |index| drawn.at(index).and_then(|at: Timestamp| at.checked_add(middle).ok());
        (0..drawn.len()).filter_map(|index| Some((at(index)?, value(index)))).collect()
    };
    let arm =
        |arm: &ArmCounts, colour, name| Line { colour, name, points: points(&|index| arm.share(index)) };
    if drawn.values.is_empty() {
        vec![
            arm(&drawn.baseline, "--soft", "never touched"),
            arm(&drawn.candidates, "--blue", "on the version; after the decision: all that it touched"),
        ]
    } else {
        let value = |index: usize| drawn.values.get(index).copied().flatten();
        vec![Line { colour: "--blue", name: "worst value", points: points(&value) }]
    }
}

fn moments(status: &DeviationReportStatus, axis: &Axis, from: Timestamp, to: Timestamp) -> Vec<Moment> {
    let all = [
        ("--amber", "first harm", status.first_harm_at),
        ("--red", "decided", status.moment()),
        ("--green", "all back", status.last_ready_at),
    ];
    let within = |at: &Timestamp| (from..=to).contains(at) && axis.x(*at).is_finite();
    let moment = |(colour, label, at): (&'static str, &'static str, Option<Timestamp>)| {
        let at = at.filter(within)?;
        Some(Moment { at, colour, label, title: format!("{label}: {}", text::stamp(at)) })
    };
    all.into_iter().filter_map(moment).collect()
}
