//! Fisher's exact test, one-sided: is a share among a few larger than among others by more than chance? Pure.

/// How probable it is that at least `hit` of `of` are hit, were they drawn from all alike: `hit` of `of` here and
/// `hit_elsewhere` of `of_elsewhere` there. Between 0 and 1; 1 where there is nothing to tell apart.
///
/// Fisher (1935): the upper tail of the hypergeometric distribution. Its terms are summed in logarithms, each from the one before, so
/// that fleets of any size take a term's time for every hit.
pub fn fisher_upper((hit, of): (usize, usize), (hit_elsewhere, of_elsewhere): (usize, usize)) -> f64 {
    let (all, all_hit) = (of + of_elsewhere, hit + hit_elsewhere);
    let missed = all - all_hit;
    // Fewer cannot be hit than what the others leave.
    let (least, most) = (hit.max(of.saturating_sub(missed)), of.min(all_hit));
    let first = ln_choose(all_hit, least) + ln_choose(missed, of - least) - ln_choose(all, of);
    let terms = (least..most).scan(first, |term, k| {
        *term += ln((all_hit - k) * (of - k)) - ln((k + 1) * (missed + k + 1 - of));
        Some(*term)
    });
    std::iter::once(first).chain(terms).map(f64::exp).sum::<f64>().clamp(0.0, 1.0)
}

/// Logarithm of the number of ways to take `k` of `n`, `k` at most `n`.
fn ln_choose(n: usize, k: usize) -> f64 {
    let k = k.min(n - k);
    (1..=k).map(|i| ln(n - k + i) - ln(i)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "products of fleets are below 2^52")]
fn ln(n: usize) -> f64 {
    (n as f64).ln()
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
        near(fisher_upper((3, 4), (4, 4)), 1.0); // one of eight is missed, so three of these are hit at least
        assert!(fisher_upper((500, 1000), (1000, 99_000)) < 1e-100);
        // Far below what is expected, where the first term is nothing and the sum is all.
        near(fisher_upper((100, 50_000), (45_000, 50_000)), 1.0);
    }
}
