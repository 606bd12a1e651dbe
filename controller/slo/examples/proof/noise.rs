//! Random numbers, cheap and the same everywhere: xoshiro256++ (Blackman, Vigna 2021), seeded by `SplitMix64`. Pure.

/// A generator. Each run has one of its own, so a result does not depend on how runs are spread over threads.
#[derive(Debug, Clone)]
pub struct Noise([u64; 4]);

impl Noise {
    /// The generator of `run` in the cell `cell`.
    pub fn new(cell: u64, run: u64) -> Self {
        let mut seed = cell.wrapping_mul(0xD1B5_4A32_D192_ED03).wrapping_add(run);
        let mut next = || {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        Self([next(), next(), next(), next()])
    }

    fn word(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let word = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        word
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by the sum of twelve uniforms of 16 bits: near enough for traffic and slow noise.
    pub fn normal(&mut self) -> f64 {
        let mut sum = 0;
        for _ in 0..3 {
            let word = self.word();
            sum += (word & 0xFFFF) + (word >> 16 & 0xFFFF) + (word >> 32 & 0xFFFF) + (word >> 48);
        }
        sum as f64 / 65_535.0 - 6.0
    }

    /// Poisson: Knuth's product of uniforms, rounded normal from 30 on.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        if mean >= 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0.0);
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A random order of `0..count` (Fisher, Yates).
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = usize::try_from(self.word() % (last as u64 + 1)).unwrap_or(0);
            order.swap(last, other);
        }
        order
    }
}
