//! Seeded random numbers for training: SplitMix64, one stream per (seed, step), so that a resumed
//! training draws what an uninterrupted one would have drawn.

use link::SplitMix64;

/// Draws of one step.
#[derive(Clone, Debug)]
pub struct Random(SplitMix64);

impl Random {
    /// The stream of one step of one training.
    #[must_use]
    pub fn of_step(seed: u64, step: u64) -> Self {
        let mut mixed = SplitMix64::new(seed ^ step.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(SplitMix64::new(mixed.word()))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.word()
    }

    /// A whole number below `bound` (> 0); the bias of a plain remainder does not matter here.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    /// In 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Normal with mean 0 and variance 1 (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}
