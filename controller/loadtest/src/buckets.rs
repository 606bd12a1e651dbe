//! What a histogram can tell: a quantile never lies beyond its last edge, and below the first it is a guess. Pure.

use serde::{Deserialize, Serialize};

/// Upper edges of a histogram, seconds, ascending, without the infinite one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Buckets(Vec<f64>);

/// Where a quantile stands among the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the first bucket: interpolated between zero and the first edge, whatever the times were.
    First,
    /// Between two edges.
    Between,
    /// At the last edge or beyond: the true figure is that or more.
    Last,
}

/// Most edges.
const EDGES_MAX: usize = 200;
/// Room for rounding, a relative part.
const ROUNDING: f64 = 1e-9;

impl Default for Buckets {
    /// The Prometheus clients' own, 5 ms to 10 s: those of the server's API and store histograms.
    fn default() -> Self {
        Self(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
    }
}

impl TryFrom<Vec<f64>> for Buckets {
    type Error = String;

    fn try_from(edges: Vec<f64>) -> Result<Self, String> {
        let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
        let sane = edges.iter().all(|edge| edge.is_finite() && *edge > 0.0);
        if edges.len() < 2 || edges.len() > EDGES_MAX || !ascending || !sane {
            return Err(format!("must be 2 to {EDGES_MAX} seconds, each more than the one before"));
        }
        Ok(Self(edges))
    }
}

impl From<Buckets> for Vec<f64> {
    fn from(buckets: Buckets) -> Self {
        buckets.0
    }
}

impl Buckets {
    /// The last finite edge, seconds.
    pub fn last_seconds(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::INFINITY)
    }

    /// The first edge, seconds.
    pub fn first_seconds(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }

    pub(crate) fn place(&self, seconds: f64) -> Place {
        if seconds >= self.last_seconds() * (1.0 - ROUNDING) {
            Place::Last
        } else if seconds <= self.first_seconds() * (1.0 + ROUNDING) {
            Place::First
        } else {
            Place::Between
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_is_a_clamp_and_what_lies_in_the_first_bucket_a_guess() {
        let buckets = Buckets::default();
        assert_eq!(buckets.place(10.0), Place::Last);
        assert_eq!(buckets.place(f64::INFINITY), Place::Last);
        assert_eq!(buckets.place(0.004_95), Place::First);
        assert_eq!(buckets.place(0.3), Place::Between);
        assert!(Buckets::try_from(vec![1.0, 1.0]).is_err());
    }
}
