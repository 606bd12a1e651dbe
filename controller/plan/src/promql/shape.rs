//! The bucket edges at which the shape of a latency is compared: which of those that exist, and how rows name them. Pure.

use breakwater_crds::{slo::Latency, state::EDGES_MAX};

use super::edge::{edge_seconds, is_same, threshold, unit};

/// Edges on each side of the threshold.
const NEAREST: usize = EDGES_MAX / 2;
/// Share of the threshold's series that must have an edge as well: as much as must be covered elsewhere (R12).
const COMMON: f64 = 0.9;

/// The edges, in seconds and ascending: of those that exist the nearest two below the threshold and the nearest two above
/// it, fewer where there are fewer. `known` are the values of `le` and how many series have each.
///
/// Only an edge that nearly all series have that have the threshold's is taken: where a tenant's targets differ in their
/// buckets, those without an edge count as slower than it, or contradict the others. A few odd tenants among many do not
/// decide for all. None where nothing but the threshold is wanted, or known.
pub fn shape_edges<'a>(latency: &Latency, known: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<f64> {
    let (Some(threshold), unit) = (threshold(latency), unit(latency)) else { return Vec::new() };
    if latency.shape == breakwater_crds::slo::Shape::Disabled {
        return Vec::new();
    }
    let mut edges: Vec<(f64, f64)> = Vec::new();
    for (le, series) in known {
        let Some(edge) = edge_seconds(le, unit).filter(|edge| edge.is_finite() && *edge > 0.0) else {
            continue;
        };
        match edges.iter_mut().find(|(known, _)| is_same(*known, edge)) {
            Some((_, count)) => *count += series,
            None => edges.push((edge, series)),
        }
    }
    edges.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let own = edges.iter().find(|(edge, _)| is_same(*edge, threshold));
    let Some((_, least)) = own.copied() else { return Vec::new() };
    let common = |(edge, series): &&(f64, f64)| *series >= COMMON * least && !is_same(*edge, threshold);
    let below = edges.iter().filter(common).filter(|(edge, _)| *edge < threshold).rev().take(NEAREST);
    let above = edges.iter().filter(common).filter(|(edge, _)| *edge > threshold).take(NEAREST);
    let mut chosen: Vec<f64> = below.chain(above).map(|(edge, _)| *edge).collect();
    chosen.sort_by(f64::total_cmp);
    chosen
}
