//! Latency: requests above the threshold and, as shape, above each bucket edge. Pure.

use std::sync::Arc;

use breakwater_slo::{
    Arm, Comparison, Config, Counts, Edges, Frozen, Reading, Sample, Series, State, Step, Tail, TenantId,
    own_ratios,
};

use crate::judged::{Said, end_seconds, frozen_at, look, members};
use crate::noise::Noise;
use crate::rivals::normal_share;
use crate::streams::ROLLOUT_MINUTES;

/// Prometheus' default buckets, in seconds.
const EDGES_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The threshold of the SLO is this edge, 500 ms.
const THRESHOLD: usize = 6;
/// Requests a minute of candidate and baseline.
const REQUESTS: [f64; 2] = [60.0, 540.0];
/// Of the log-normal latency.
const MEDIAN_SECONDS: f64 = 0.1;

/// What happened to the candidates' latency.
#[derive(Debug, Clone, Copy)]
pub enum Slower {
    /// All requests take so many times as long.
    All(f64),
    /// This share of the requests takes ten times as long.
    Some(f64),
}

/// Share of requests above each edge; `sd` is the deviation of the logarithm.
fn above(slower: Slower, sd: f64) -> [f64; 11] {
    let share = |edge: f64, factor: f64| normal_share((MEDIAN_SECONDS * factor / edge).ln() / sd);
    EDGES_SECONDS.map(|edge| match slower {
        Slower::All(factor) => share(edge, factor),
        Slower::Some(part) => (1.0 - part) * share(edge, 1.0) + part * share(edge, 10.0),
    })
}

/// Requests above each edge in one minute: Poisson counts per bucket.
fn minute(noise: &mut Noise, requests: f64, above: &[f64; 11]) -> (f64, [f64; 11]) {
    let mut counts = [0.0; 11];
    let (mut sum, mut slower) = (0.0, 0.0);
    for (edge, share) in above.iter().enumerate().rev() {
        sum += noise.poisson(requests * (share - slower).max(0.0));
        slower = *share;
        counts[edge] = sum;
    }
    (sum + noise.poisson(requests * (1.0 - slower).max(0.0)), counts)
}

/// A judge of one latency, and what it is fed.
struct Bed {
    config: Config,
    state: State,
    own: [f64; 11],
    usual: [f64; 11],
}

impl Bed {
    fn new(sd: f64) -> Self {
        let usual = above(Slower::All(1.0), sd);
        // As a history of seven days would have it: a share of nothing is not none.
        let week = REQUESTS.iter().sum::<f64>() * 7.0 * 1_440.0;
        let own = usual.map(|share| {
            let counts = Counts { bad: (share * week).round(), total: week };
            own_ratios([counts]).map_or(share, |own| own.fleet)
        });
        let mut config = Config::ratio(0.99, 60);
        config.compare.shape = true;
        let mut state = State::default();
        let shape = Some(Edges { seconds: EDGES_SECONDS.to_vec(), phi: 1.25 });
        let frozen = Frozen { shape, ..frozen_at(1.25, vec![members(&[0])]) };
        state.compare(Comparison::Armed(Arc::new(frozen)));
        Self { config, state, own, usual }
    }

    fn feed(&mut self, at: usize, noise: &mut Noise, candidates: &[f64; 11]) -> Said {
        let mut tails = EDGES_SECONDS.map(|edge_seconds| Tail { edge_seconds, ..Tail::default() });
        let arms = [(Arm::Candidate, REQUESTS[0], *candidates), (Arm::Baseline, REQUESTS[1], self.usual)];
        let mut tenant = 0;
        let samples = arms.map(|(arm, requests, shares)| {
            let (total, counts) = minute(noise, requests, &shares);
            for ((tail, above), own) in tails.iter_mut().zip(counts).zip(self.own) {
                tail.add(arm, above, total, own);
            }
            tenant += 1;
            Sample {
                tenant: TenantId(tenant - 1),
                arm,
                series: Series::Counted(Counts { bad: counts[THRESHOLD], total }),
                instrumented: true,
                burned_before: false,
                own: Some(self.own[THRESHOLD]),
                usual: None,
            }
        });
        let step = Step { tails: &tails, ..Step::new(end_seconds(at, false), Reading::Counts(&samples)) };
        look(&mut self.state, &self.config, &step)
    }
}

/// A healthy rollout; true where it is reverted.
pub fn healthy(mut noise: Noise) -> bool {
    let mut bed = Bed::new(1.0);
    let usual = bed.usual;
    (0..ROLLOUT_MINUTES).any(|at| bed.feed(at, &mut noise, &usual).comparison)
}

/// Minutes until found, at alpha 1 % and 0.1 %.
pub fn delays(slower: Slower, sd: f64, most: usize, mut noise: Noise) -> [Option<usize>; 2] {
    let mut bed = Bed::new(sd);
    let candidates = above(slower, sd);
    let mut found = [None; 2];
    for at in 0..most {
        let said = bed.feed(at, &mut noise, &candidates);
        for (found, passes) in found.iter_mut().zip([said.comparison, said.sure]) {
            if found.is_none() && passes {
                *found = Some(at + 1);
            }
        }
        if found[1].is_some() {
            break;
        }
    }
    found
}
