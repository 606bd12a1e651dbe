//! What others do, in few lines each: z-tests, Kayenta's classifier, counters of failed checks. Pure.
//!
//! All look at raw pooled counts, as they do. None of them is told about tenants.

use breakwater_slo::{Counts, Mixture, PHI_MIN, Side, Test};

/// One minute, pooled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Minute {
    /// The candidates.
    pub candidate: Counts,
    /// All others.
    pub baseline: Counts,
    /// As many of the others as there are candidates: Kayenta compares with a baseline of the canary's size.
    pub control: Counts,
    /// The candidates in standardised exposures.
    pub candidate_side: Side,
    /// The others.
    pub baseline_side: Side,
}

/// Adds counts.
pub fn add(sum: &mut Counts, counts: Counts) {
    sum.bad += counts.bad;
    sum.total += counts.total;
}

/// A judge that looks every minute.
pub trait Judge {
    /// Takes a minute; true where it would revert.
    fn look(&mut self, minute: &Minute) -> bool;
}

/// The rows of the tables, in order.
pub fn all(alpha: f64) -> Vec<(&'static str, Box<dyn Judge>)> {
    let z = normal_quantile(1.0 - alpha);
    let mann_whitney = |width, count| Box::new(MannWhitney::new(z, width, count));
    vec![
        ("the increments alone: no margin, no dispersion", Box::new(Bare::new(1.0, 1.0, alpha))),
        ("z-test, sliding 30 min", Box::new(ZTest::new(z, Some(30)))),
        ("z-test, cumulative", Box::new(ZTest::new(z, None))),
        ("Mann-Whitney, Kayenta's, 60 values of 1 min", mann_whitney(1, 60)),
        ("Mann-Whitney, Kayenta's, 36 values of 10 min", mann_whitney(10, 36)),
        (
            "failed checks, Flagger's: under 99 % in a minute, 5 in all",
            Box::new(Checks::new(1, 0.01, 5, false)),
        ),
        (
            "failed checks, Argo's: under 99 % in a minute, over 3 in all",
            Box::new(Checks::new(1, 0.01, 4, false)),
        ),
        ("the same, over 4 in a row", Box::new(Checks::new(1, 0.01, 5, true))),
        (
            "failed checks, Argo's: under 95 % in 5 min, over 3 in all",
            Box::new(Checks::new(5, 0.05, 4, false)),
        ),
    ]
}

/// Our own test, pooled and alone, no absolute margin, restarts over 14 days.
#[derive(Debug, Clone)]
pub struct Bare {
    test: Option<Test>,
    /// Takes out what the least dispersion divides by where less is asked for.
    scale: f64,
    mixture: Mixture,
    limit: f64,
    minutes: u32,
}

impl Bare {
    /// With this margin and dispersion.
    pub fn new(ratio: f64, phi: f64, alpha: f64) -> Self {
        let test = Test::new(ratio, 0.0, phi);
        let scale = PHI_MIN.max(phi) / phi;
        Self { test, scale, mixture: Mixture::default(), limit: -alpha.ln(), minutes: 0 }
    }
}

impl Judge for Bare {
    fn look(&mut self, minute: &Minute) -> bool {
        self.minutes += 1;
        if self.minutes.is_multiple_of(60) && self.minutes <= 14 * 1_440 {
            self.mixture.restart(0.5 / (14.0 * 24.0));
        }
        let increments =
            self.test.and_then(|test| test.increments(minute.candidate_side, minute.baseline_side));
        if let Some(increments) = increments {
            self.mixture.grow(&increments.map(|increment| increment * self.scale));
        }
        self.mixture.ln_e() >= self.limit
    }
}

/// Two proportions, one-sided, pooled variance.
struct ZTest {
    z: f64,
    window: Option<usize>,
    minutes: Vec<(Counts, Counts)>,
    at: usize,
    candidate: Counts,
    baseline: Counts,
}

impl ZTest {
    fn new(z: f64, window: Option<usize>) -> Self {
        let none = Counts::default();
        Self { z, window, minutes: Vec::new(), at: 0, candidate: none, baseline: none }
    }
}

impl Judge for ZTest {
    fn look(&mut self, minute: &Minute) -> bool {
        add(&mut self.candidate, minute.candidate);
        add(&mut self.baseline, minute.baseline);
        if let Some(window) = self.window {
            let new = (minute.candidate, minute.baseline);
            if self.minutes.len() < window {
                self.minutes.push(new);
                return false;
            }
            let (candidate, baseline) = std::mem::replace(&mut self.minutes[self.at], new);
            self.at = (self.at + 1) % window;
            let minus = |counts: Counts| Counts { bad: -counts.bad, total: -counts.total };
            add(&mut self.candidate, minus(candidate));
            add(&mut self.baseline, minus(baseline));
        }
        let (Counts { bad: e_c, total: n_c }, Counts { bad: e_b, total: n_b }) =
            (self.candidate, self.baseline);
        let pooled = (e_c + e_b) / (n_c + n_b);
        let deviation = (pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_b)).sqrt();
        deviation > 0.0 && (e_c / n_c - e_b / n_b) / deviation >= self.z
    }
}

/// Kayenta's `MannWhitneyClassifier`, direction Increase: bad where the lower confidence limit of the Hodges-Lehmann shift
/// is above a quarter of the shift's size. Normal approximation, as R's `wilcox.test` takes for 50 values and more.
struct MannWhitney {
    z: f64,
    /// Minutes of a value.
    width: usize,
    count: usize,
    /// The value under way, and how many minutes it has.
    candidate: Counts,
    control: Counts,
    minutes: usize,
    values: Vec<(f64, f64)>,
    at: usize,
}

impl MannWhitney {
    fn new(z: f64, width: usize, count: usize) -> Self {
        let none = Counts::default();
        Self { z, width, count, candidate: none, control: none, minutes: 0, values: Vec::new(), at: 0 }
    }

    /// Rank of the lower confidence limit among the pairwise differences.
    fn rank(&self) -> usize {
        let n = self.count as f64;
        let rank = n * n / 2.0 - self.z * (n * n * (2.0 * n + 1.0) / 12.0).sqrt();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n^2")]
        let rank = rank.max(0.0) as usize;
        rank
    }

    fn is_high(&self) -> bool {
        let rank = self.rank();
        let candidates = self.values.iter().map(|(candidate, _)| *candidate);
        // The limit cannot be above zero where too many differences are not: most looks end here.
        let not_above = |candidate: f64| self.values.iter().filter(|value| candidate <= value.1).count();
        if candidates.clone().map(not_above).sum::<usize>() > rank {
            return false;
        }
        let difference = |candidate: f64| self.values.iter().map(move |value| candidate - value.1);
        let mut differences: Vec<f64> = candidates.flat_map(difference).collect();
        let (_, lower, _) = differences.select_nth_unstable_by(rank, f64::total_cmp);
        let lower = *lower;
        let middle = differences.len() / 2;
        let (_, shift, _) = differences.select_nth_unstable_by(middle, f64::total_cmp);
        lower > 0.25 * shift.abs()
    }
}

impl Judge for MannWhitney {
    fn look(&mut self, minute: &Minute) -> bool {
        add(&mut self.candidate, minute.candidate);
        add(&mut self.control, minute.control);
        self.minutes += 1;
        if self.minutes < self.width {
            return false;
        }
        let ratio = |counts: &mut Counts| std::mem::take(counts).ratio().unwrap_or(0.0);
        let value = (ratio(&mut self.candidate), ratio(&mut self.control));
        self.minutes = 0;
        if self.values.len() < self.count {
            self.values.push(value);
        } else {
            self.values[self.at] = value;
            self.at = (self.at + 1) % self.count;
        }
        self.values.len() == self.count && self.is_high()
    }
}

/// Checks of the candidates' ratio against a limit; reverts at so many failed ones, in all or in a row.
///
/// Flagger: `failedChecks` grows and `threshold` ends it (5 in its documentation, success rate at least 99 %). Argo Rollouts: over
/// `failureLimit` failed measurements (3, 95 % and 5 minutes in its documentation). Its `consecutiveErrorLimit` (4) counts measurements
/// that could not be taken; the same rule on failed ones is the row "in a row".
struct Checks {
    width: usize,
    limit: f64,
    most: usize,
    in_a_row: bool,
    counts: Counts,
    minutes: usize,
    failed: usize,
}

impl Checks {
    fn new(width: usize, limit: f64, most: usize, in_a_row: bool) -> Self {
        Self { width, limit, most, in_a_row, counts: Counts::default(), minutes: 0, failed: 0 }
    }
}

impl Judge for Checks {
    fn look(&mut self, minute: &Minute) -> bool {
        add(&mut self.counts, minute.candidate);
        self.minutes += 1;
        if self.minutes < self.width {
            return false;
        }
        let ratio = std::mem::take(&mut self.counts).ratio().unwrap_or(0.0);
        self.minutes = 0;
        if ratio > self.limit {
            self.failed += 1;
        } else if self.in_a_row {
            self.failed = 0;
        }
        self.failed >= self.most
    }
}

/// Quantile of the standard normal, by bisection on its distribution.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal_share(middle) < share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// `P(Z <= z)`; Abramowitz, Stegun 26.2.17, to 7.5e-8.
pub fn normal_share(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let above = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if z < 0.0 { above } else { 1.0 - above }
}
