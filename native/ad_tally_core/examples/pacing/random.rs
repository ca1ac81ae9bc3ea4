//! Random numbers of fixed seeds, the same for every controller.

/// SplitMix64: each number is a function of the one before.
#[derive(Debug, Clone)]
pub struct Random(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: a permutation in which every bit depends on every one.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_mul(GOLDEN) ^ GOLDEN))
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// From 0 to less than 1.
    pub fn uniform(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// How many events there are where so many are expected.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        // From here on the normal distribution is as good.
        if mean > 60.0 {
            return (mean + mean.sqrt() * self.normal() + 0.5).max(0.0) as u64;
        }
        let (mut events, mut product, end) = (0, self.uniform(), (-mean).exp());
        while product > end {
            events += 1;
            product *= self.uniform();
        }
        events
    }
}
