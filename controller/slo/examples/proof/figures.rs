//! Rates with their intervals, quantiles of delays, and tables in Markdown. Pure.

/// How often something happened in some runs.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Runs in which it happened.
    pub hits: usize,
    /// All runs.
    pub runs: usize,
}

impl Rate {
    /// Counts the runs that are true.
    pub fn of(hits: impl IntoIterator<Item = bool>) -> Self {
        let mut rate = Self { hits: 0, runs: 0 };
        for hit in hits {
            rate.hits += usize::from(hit);
            rate.runs += 1;
        }
        rate
    }

    /// `0.4 % (0.0-1.4)`: the rate and its exact 95 % interval (Clopper, Pearson 1934).
    pub fn words(self) -> String {
        let share = self.hits as f64 / self.runs.max(1) as f64;
        let (low, high) = self.interval();
        format!("{:.1} % ({:.1}-{:.1})", 100.0 * share, 100.0 * low, 100.0 * high)
    }

    fn interval(self) -> (f64, f64) {
        let Self { hits, runs } = self;
        let low = if hits == 0 { 0.0 } else { root(|p| 1.0 - at_most(hits - 1, runs, p) >= 0.025) };
        let high = if hits == runs { 1.0 } else { root(|p| at_most(hits, runs, p) <= 0.025) };
        (low, high)
    }
}

/// The least `p` in `[0, 1]` at which `reached`, which stays reached, is.
fn root(reached: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if reached(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    0.5 * (low + high)
}

/// `P(X <= hits)` of a binomial; in logs, since `(1-p)^runs` may be below the least number.
fn at_most(hits: usize, runs: usize, p: f64) -> f64 {
    let mut ln_choose = 0.0;
    let mut sum = 0.0;
    for k in 0..=hits {
        if k > 0 {
            ln_choose += ((runs - k + 1) as f64 / k as f64).ln();
        }
        sum += (ln_choose + k as f64 * p.ln() + (runs - k) as f64 * (-p).ln_1p()).exp();
    }
    sum.min(1.0)
}

/// Delays in minutes, one per run; none where nothing was found in time.
#[derive(Debug, Clone, Default)]
pub struct Delays(Vec<Option<usize>>);

impl Delays {
    /// Delays of runs.
    pub fn of(delays: impl IntoIterator<Item = Option<usize>>) -> Self {
        let mut delays: Vec<Option<usize>> = delays.into_iter().collect();
        delays.sort_by_key(|delay| delay.unwrap_or(usize::MAX));
        Self(delays)
    }

    /// A quantile over all runs; none where it lies among those that found nothing.
    pub fn quantile(&self, share: f64) -> Option<usize> {
        let rank = (share * self.0.len() as f64).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        let rank = (rank as usize).max(1);
        self.0.get(rank - 1).copied().flatten()
    }

    /// `8 / 15 / 100 %`: median, p90, share found.
    pub fn words(&self) -> String {
        let found = Rate::of(self.0.iter().map(Option::is_some));
        let share = 100.0 * found.hits as f64 / found.runs.max(1) as f64;
        let words = |share| self.quantile(share).map_or("-".to_owned(), |delay| delay.to_string());
        format!("{} / {} / {share:.0} %", words(0.5), words(0.9))
    }
}

/// A table in Markdown.
pub fn table(heads: &[&str], rows: &[Vec<String>]) {
    println!("| {} |", heads.join(" | "));
    println!("|{}", " --- |".repeat(heads.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}
