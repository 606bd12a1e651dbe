//! Fisher's exact test, one-sided: is a share among a few larger than among others by more than chance? Pure.

/// How probable it is that at least `hit` of `of` are hit, were they drawn from all alike: `hit` of `of` here and
/// `hit_elsewhere` of `of_elsewhere` there. Between 0 and 1; 1 where there is nothing to tell apart.
///
/// Fisher (1935): the upper tail of the hypergeometric distribution, summed in logarithms, so that fleets of any size fit.
pub fn fisher_upper((hit, of): (usize, usize), (hit_elsewhere, of_elsewhere): (usize, usize)) -> f64 {
    let (all, all_hit) = (of + of_elsewhere, hit + hit_elsewhere);
    let most = of.min(all_hit);
    let ways = |n: usize, k: usize| if k > n { f64::NEG_INFINITY } else { ln_choose(n, k) };
    let whole = ways(all, of);
    let tail: f64 =
        (hit..=most).map(|k| (ways(all_hit, k) + ways(all - all_hit, of - k) - whole).exp()).sum();
    tail.clamp(0.0, 1.0)
}

/// Logarithm of the number of ways to take `k` of `n`.
#[expect(clippy::cast_precision_loss, reason = "fleets are far below 2^52")]
fn ln_choose(n: usize, k: usize) -> f64 {
    let k = k.min(n - k);
    (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of R's `fisher.test(..., alternative = "greater")`, and of hands.
    #[test]
    fn the_tail_is_that_of_the_hypergeometric_distribution() {
        let near =
            |found: f64, right: f64| assert!((found - right).abs() < 1e-6, "{found} instead of {right}");
        near(fisher_upper((3, 4), (1, 4)), 0.242_857_142_9); // the lady who tasted tea
        near(fisher_upper((1, 1), (0, 99)), 0.01);
        near(fisher_upper((2, 2), (9, 10)), 0.833_333_333_3); // 11 of 12 are hit: C(11,2) / C(12,2)
        near(fisher_upper((0, 5), (3, 9)), 1.0);
        near(fisher_upper((0, 0), (0, 0)), 1.0);
        assert!(fisher_upper((500, 1000), (1000, 99_000)) < 1e-100);
    }
}
