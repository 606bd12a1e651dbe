//! Shape of a latency: the same test on the counts above each bucket edge (analysis.md 2, Latency). Pure.
//!
//! `H = mean over edges of E_edge`, slower only. Counts above neighbouring edges depend on each other; a mean of evidence
//! does not mind. With `n` edges the price is `ln n` of a change that one edge alone shows.

use super::increment::Test;
use super::mixture::Mixture;
use crate::reading::{TAILS_MAX, Tail};

/// Evidence per edge, in order of the edges.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Shape {
    pub(crate) edges: Vec<Mixture>,
}

impl Shape {
    /// Takes a step's tails. The first step fixes how many edges there are; a step with another number is no data.
    pub(crate) fn feed(&mut self, test: &Test, tails: &[Tail], restart: f64) {
        for edge in &mut self.edges {
            edge.restart(restart);
        }
        let tails = &tails[..tails.len().min(TAILS_MAX)];
        if self.edges.is_empty() {
            self.edges = vec![Mixture::default(); tails.len()];
        }
        if self.edges.len() != tails.len() {
            return;
        }
        for (edge, tail) in self.edges.iter_mut().zip(tails) {
            if let Some(increments) = test.increments(tail.candidate, tail.baseline) {
                edge.grow(&increments);
            }
        }
    }

    /// `H`; nothing where no tail was seen.
    pub(crate) fn e(&self) -> f64 {
        let sum: f64 = self.edges.iter().map(Mixture::e).sum();
        sum / self.edges.len().max(1) as f64
    }
}
