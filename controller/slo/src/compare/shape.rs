//! Shape of a latency: the same test on the counts above each bucket edge (analysis.md 2, Latency). Pure.
//!
//! `H = mean over edges of E_edge`, slower only. Counts above neighbouring edges depend on each other; a mean of evidence
//! does not mind. With `n` edges the price is `ln n` of a change that one edge alone shows.
//!
//! # Edges that change
//! How many places there are is fixed when the shape is first heard, so that the weights in the mean never change. A wave
//! says which edges the past calibrated ([`Edges`]). A place whose edge is not one of them goes over to one that has no
//! place, with the evidence that it has: which edge a step is tested at was known before the step, each increment has
//! expectation at most 1 whatever the edge, and so has their product. Nothing is begun anew, and no alpha is spent twice.
//! An edge that a step does not bring says nothing in that step.
//!
//! # A shape that is first heard in a later wave
//! Until then its share was with the rate. What it begins with is what the rate has at that moment, one half at most: the
//! sum does not grow by the division, and the restarts that are still to come are shared out as everything else.

use serde::{Deserialize, Serialize};

use super::increment::{Test, is_tide};
use super::mixture::Mixture;
use super::onset::Span;
use crate::reading::{TAILS_MAX, Tail};

/// What was frozen of a latency's shape at a wave's start: the edges whose past could be read and replayed (R13).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edges {
    /// The edges, in seconds, ascending, at most [`TAILS_MAX`]; tails of others are not heard.
    pub seconds: Vec<f64>,
    /// Dispersion of candidates against baseline above the edges: the greatest, the threshold's included.
    pub phi: f64,
}

impl Edges {
    /// These edges; `None` where there are none.
    pub(crate) fn new(seconds: impl IntoIterator<Item = f64>, phi: f64) -> Option<Self> {
        let mut seconds: Vec<f64> = seconds.into_iter().take(TAILS_MAX).collect();
        seconds.sort_by(f64::total_cmp);
        (!seconds.is_empty()).then_some(Self { seconds, phi })
    }

    /// Those that both have, with the greater dispersion; `None` where there are none.
    pub(crate) fn and(self, other: &Self) -> Option<Self> {
        let Self { seconds, phi } = self;
        Self::new(seconds.into_iter().filter(|edge| other.has(*edge)), phi.max(other.phi))
    }

    fn has(&self, edge_seconds: f64) -> bool {
        self.seconds.iter().any(|known| is_same(*known, edge_seconds))
    }
}

/// An edge is a number that was read from a label: the same text, or another spelling of it, is the same number.
pub(crate) fn is_same(one_seconds: f64, other_seconds: f64) -> bool {
    one_seconds.total_cmp(&other_seconds).is_eq()
}

/// One edge's place in the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) edge_seconds: f64,
    /// The baseline's last step was an outage that all share: the next one counts as its end.
    pub(crate) tide: bool,
    pub(crate) mixture: Mixture,
    /// The counts that a sentence is about.
    pub(crate) span: Span,
}

/// Evidence per edge; empty until the shape is first heard.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Shape {
    pub(crate) places: Vec<Place>,
}

impl Shape {
    /// It was heard, and has its share of the evidence from then on.
    pub(crate) fn is_heard(&self) -> bool {
        !self.places.is_empty()
    }

    /// Makes room for what was frozen for the wave. `start` is what each edge begins with where there is no place yet:
    /// at most what the shape's share was worth before.
    pub(crate) fn settle(&mut self, edges: &Edges, tails: &[Tail], start: f64) {
        if self.places.is_empty() && tails.iter().any(|tail| edges.has(tail.edge_seconds)) {
            let mixture = Mixture::of(start.min(0.5));
            let place = |edge_seconds: &f64| Place {
                edge_seconds: *edge_seconds,
                tide: false,
                mixture,
                span: Span::default(),
            };
            self.places = edges.seconds.iter().take(TAILS_MAX).map(place).collect();
        }
        let homeless = |places: &[Place]| {
            let lives = |edge: f64| places.iter().any(|place| is_same(place.edge_seconds, edge));
            edges.seconds.iter().copied().find(|edge| !lives(*edge))
        };
        for at in 0..self.places.len() {
            if !edges.has(self.places[at].edge_seconds)
                && let Some(edge_seconds) = homeless(&self.places)
            {
                let mixture = self.places[at].mixture;
                self.places[at] = Place { edge_seconds, tide: false, mixture, span: Span::default() };
            }
        }
    }

    /// Mass of the hour, for every edge.
    pub(crate) fn restart(&mut self, mass: f64) {
        self.places.iter_mut().for_each(|place| place.mixture.restart(mass));
    }

    /// Takes a step's tails, as far as they are of edges that were frozen for the wave.
    pub(crate) fn feed(&mut self, test: &Test, edges: &Edges, tails: &[Tail], start_seconds: i64) {
        let tails = &tails[..tails.len().min(TAILS_MAX)];
        for place in self.places.iter_mut().filter(|place| edges.has(place.edge_seconds)) {
            let Some(tail) = tails.iter().find(|tail| is_same(tail.edge_seconds, place.edge_seconds)) else {
                continue;
            };
            let now = is_tide(tail.baseline);
            if let Some(increments) = test.increments_at(place.tide || now, tail.candidate, tail.baseline) {
                place.mixture.grow(&increments);
                place.span.add(start_seconds, increments[0], tail.candidate, tail.baseline);
            }
            place.tide = now;
        }
    }

    /// `H`; nothing where no tail was seen.
    pub(crate) fn e(&self) -> f64 {
        let sum: f64 = self.places.iter().map(|place| place.mixture.e()).sum();
        sum / self.places.len().max(1) as f64
    }

    /// The edge that says most, with its place.
    pub(crate) fn loudest(&self) -> Option<(usize, &Place)> {
        let loud = |(_, place): &(usize, &Place)| place.mixture.ln_e();
        self.places.iter().enumerate().max_by(|one, other| loud(one).total_cmp(&loud(other)))
    }

    /// Falls back to where it began, where it is above that.
    pub(crate) fn forgive(&mut self) {
        for place in &mut self.places {
            place.mixture.fall_back();
            place.span = Span::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Side;

    fn edges(seconds: &[f64]) -> Edges {
        Edges { seconds: seconds.to_vec(), phi: 1.25 }
    }

    fn tails(seconds: &[f64], bad: f64) -> Vec<Tail> {
        let side = |bad| Side { bad, exposure: 100.0, requests: 1_000.0 };
        let tail = |edge: &f64| Tail { edge_seconds: *edge, candidate: side(bad), baseline: side(100.0) };
        seconds.iter().map(tail).collect()
    }

    fn step(shape: &mut Shape, edges: &Edges, tails: &[Tail], start: f64) {
        let test = Test::new(1.2, 0.0, edges.phi).unwrap();
        shape.settle(edges, tails, start);
        shape.feed(&test, edges, tails, 60);
    }

    fn ln_e(shape: &Shape) -> Vec<f64> {
        shape.places.iter().map(|place| place.mixture.ln_e()).collect()
    }

    #[test]
    fn tails_that_nobody_calibrated_are_not_heard_and_open_nothing() {
        let mut shape = Shape::default();
        step(&mut shape, &edges(&[0.1, 0.25]), &tails(&[1.0], 300.0), 0.5);
        assert!(!shape.is_heard());
        step(&mut shape, &edges(&[0.1, 0.25]), &tails(&[0.25, 1.0], 300.0), 0.5);
        let of = ln_e(&shape);
        assert!(of.len() == 2 && of[1] > 5.0 && of[0] < 0.0, "{of:?}");
        assert_eq!(shape.loudest().map(|(at, place)| (at, place.edge_seconds)), Some((1, 0.25)));
    }

    #[test]
    fn an_edge_that_is_not_there_says_nothing_and_one_that_comes_takes_over_a_place_with_its_evidence() {
        let mut shape = Shape::default();
        let old = edges(&[0.1, 0.25, 1.0]);
        step(&mut shape, &old, &tails(&[0.1, 0.25, 1.0], 150.0), 0.5);
        let before = ln_e(&shape);
        step(&mut shape, &old, &tails(&[0.25], 150.0), 0.5);
        let after = ln_e(&shape);
        assert!(after[1] > before[1]);
        assert_eq!((after[0], after[2]), (before[0], before[2]));
        // The histogram has other edges from here on, and more of them than there are places.
        let new = edges(&[0.2, 0.25, 2.0, 4.0]);
        shape.settle(&new, &[], 0.5);
        assert_eq!(ln_e(&shape), after, "no evidence is made or lost");
        let held: Vec<f64> = shape.places.iter().map(|place| place.edge_seconds).collect();
        assert_eq!(held, [0.2, 0.25, 2.0]);
        step(&mut shape, &new, &tails(&[0.2, 0.25, 2.0, 4.0], 150.0), 0.5);
        assert!(ln_e(&shape).iter().zip(&after).all(|(now, then)| now > then), "all three go on");
    }

    #[test]
    fn what_is_first_heard_late_begins_with_what_its_share_was_worth() {
        let (mut late, mut rich) = (Shape::default(), Shape::default());
        let edges = edges(&[0.1, 0.25]);
        late.settle(&edges, &tails(&[0.1], 1.0), 0.01);
        rich.settle(&edges, &tails(&[0.1], 1.0), 40.0);
        assert!((late.e() - 0.01).abs() < 1e-12 && (rich.e() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn r14_a_common_outage_is_measured_in_raw_requests_and_so_is_its_end() {
        let test = Test::new(1.2, 0.0, 1.25).unwrap();
        let edges = edges(&[0.25]);
        // The same share of requests is slow in both arms; the candidates are tenants that hardly ever had any.
        let candidate = Side { bad: 300.0, exposure: 20.0, requests: 1_000.0 };
        let baseline = Side { bad: 300.0, exposure: 100.0, requests: 1_000.0 };
        let outage = [Tail { edge_seconds: 0.25, candidate, baseline }];
        let mut shape = Shape::default();
        for _ in 0..20 {
            shape.settle(&edges, &outage, 0.5);
            shape.feed(&test, &edges, &outage, 60);
        }
        assert!(shape.e() < 0.5, "{}", shape.e());
    }
}
