//! Pauses of a watch that fails. Pure.

use std::time::Duration;

use breakwater_crds::marker::stable_hash;
use kube::runtime::utils::Backoff;

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(800);
/// The longest pause, before it is spread.
const LONGEST: Duration = Duration::from_secs(30);

/// 0.8 s, then twice as long after each further failure, up to 30 s; each up to twice as long by a hash of the watch's name.
/// Watches that failed together do not come back together. Chance, as in kube's own, would make a rehearsal another one
/// each time.
#[derive(Debug)]
pub(crate) struct Pauses {
    watch: &'static str,
    failures: u32,
}

impl Pauses {
    /// The pauses of the watch of that name.
    pub(crate) const fn of(watch: &'static str) -> Self {
        Self { watch, failures: 0 }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = SHORTEST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        let spread = stable_hash(&[self.watch, &self.failures.to_string()]) as f64 / u64::MAX as f64;
        self.failures = self.failures.saturating_add(1);
        Some(pause.mul_f64(1.0 + spread))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_differ_by_watch_and_are_the_same_each_time() {
        let of = |watch| Pauses::of(watch).take(12).collect::<Vec<_>>();
        let pauses = of("Rollout");
        assert_eq!(pauses, of("Rollout"));
        assert_ne!(pauses, of("Release"));
        assert!(SHORTEST <= pauses[0] && pauses[0] <= 2 * SHORTEST, "{pauses:?}");
        assert!(pauses[6..].iter().all(|pause| (LONGEST..=2 * LONGEST).contains(pause)), "{pauses:?}");
        let mut again = Pauses::of("Rollout");
        assert_eq!(again.next(), Some(pauses[0]));
        again.reset();
        assert_eq!(again.next(), Some(pauses[0]));
    }
}
