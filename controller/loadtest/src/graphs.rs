//! Figures of the whole server from the series over a run: a level, and how sure it is by batch means. Pure.

use std::collections::BTreeMap;

use crate::{
    buckets::Place,
    pairs::{ALL, Pair},
    rules::Rules,
    run::{Graph, Kind, Run},
    stats::{mean, median, squares},
};

/// Added to an error share before its logarithm: below it a ratio says nothing.
pub(crate) const ERROR_OFFSET: f64 = 0.001;
/// Share of a series that is left out at its beginning: caches and pools fill.
const WARM_UP: f64 = 0.1;
/// Batches whose means are taken for independent: of a run of an hour, five minutes each, longer than anything that queues
/// (batch means: Law, Simulation Modeling and Analysis, 9.5.3).
const BATCHES: usize = 10;
/// Fewest points of which batches are made.
const POINTS_MIN: usize = 2 * BATCHES;

/// Where a series lies: logarithm of its mean, and that logarithm's variance where there are points enough.
struct Level {
    logarithm: f64,
    variance: Option<f64>,
}

/// All figures of the whole server that both sides, or one of them, have.
pub(crate) fn whole(base: &[&Run], candidate: &[&Run], rules: &Rules) -> Vec<Pair> {
    let (base, candidate) = (levels(base), levels(candidate));
    let mut pairs = Vec::new();
    for kind in Kind::ALL {
        let (base, candidate) = (base.get(&kind), candidate.get(&kind));
        if base.is_none() && candidate.is_none() {
            continue;
        }
        let logarithms = |levels: Option<&Vec<Level>>| -> Vec<f64> {
            levels.into_iter().flatten().map(|level| level.logarithm).collect()
        };
        let variances: Vec<f64> =
            base.into_iter().chain(candidate).flatten().filter_map(|level| level.variance).collect();
        let (base, candidate) = (logarithms(base), logarithms(candidate));
        let place = |side: &[f64]| {
            if kind.is_p99() && !side.is_empty() {
                rules.buckets.place(mean(side).exp())
            } else {
                Place::Between
            }
        };
        pairs.push(Pair {
            kind,
            name: if kind.is_time() { ALL.to_owned() } else { String::new() },
            places: (place(&base), place(&candidate)),
            base,
            candidate,
            within: (!variances.is_empty()).then(|| mean(&variances)),
            calls: None,
            share: None,
        });
    }
    pairs
}

/// Per kind the levels of the runs that have a series of it; of several of a kind in one run the first counts.
fn levels(runs: &[&Run]) -> BTreeMap<Kind, Vec<Level>> {
    let mut all: BTreeMap<Kind, Vec<Level>> = BTreeMap::new();
    for run in runs {
        let mut seen = BTreeMap::new();
        if let Some(users) = run.supported_users.filter(|users| *users > 0.0) {
            seen.insert(Kind::SupportedUsers, Level { logarithm: users.ln(), variance: None });
        }
        for graph in &run.graphs {
            let Some(kind) = graph.kind() else { continue };
            if let Some(level) = level(graph, kind) {
                seen.entry(kind).or_insert(level);
            }
        }
        for (kind, level) in seen {
            all.entry(kind).or_default().push(level);
        }
    }
    all
}

fn level(graph: &Graph, kind: Kind) -> Option<Level> {
    let values: Vec<f64> = graph
        .values
        .iter()
        .map(|(_, value)| *value)
        .filter(|value| value.is_finite() && *value >= 0.0)
        .collect();
    if kind == Kind::SupportedUsers {
        // The load rises until the servers carry no more: what they carried stands at the end.
        let mut end = values[values.len() * 3 / 4..].to_vec();
        let users = median(&mut end);
        return (users > 0.0).then(|| Level { logarithm: users.ln(), variance: None });
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a length")]
    let warm = &values[(values.len() as f64 * WARM_UP) as usize..];
    let offset = if kind == Kind::ErrorShare { ERROR_OFFSET } else { 0.0 };
    let middle = mean(warm) + offset;
    if !(middle.is_finite() && middle > 0.0) {
        return None;
    }
    let variance = (warm.len() >= POINTS_MIN).then(|| {
        let means: Vec<f64> = warm.chunks_exact(warm.len() / BATCHES).take(BATCHES).map(mean).collect();
        let batches = BATCHES as f64;
        squares(&means) / (batches - 1.0) / batches / (middle * middle)
    });
    Some(Level { logarithm: middle.ln(), variance })
}
