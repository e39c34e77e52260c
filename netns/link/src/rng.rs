//! Random words by position: word k of a purpose, without drawing words 0 to k-1.
//!
//! One stream per purpose, and a word found by its place instead of by how many were drawn before it, is what lets
//! two systems that send different numbers of packets meet the same channel: the state in interval 417 is a
//! function of the seed and of 417.
//!
//! The words are those of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), whose state after k steps is known
//! directly: start + k * gamma.

use serde::{Deserialize, Serialize};

/// 2^64 divided by the golden ratio, SplitMix64's increment.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's output function, a bijection of 64-bit words.
#[inline]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The generator itself, one word after the other: the same numbers on every machine, for ever.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator; equal seeds give equal words.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }
}

/// What a random word decides. Numbers are part of the format: fates of a seed depend on them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    ChannelState = 1,
    Loss = 2,
    Jitter = 3,
    CopyJitter = 4,
    Duplicate = 5,
    Corrupt = 6,
    BitFlip = 7,
    TraceMaking = 8,
    NetemRow = 9,
}

/// The random words of one purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) const fn new(seed: u64, purpose: Purpose) -> Self {
        Stream(mix(mix(seed.wrapping_add(GAMMA)) ^ (purpose as u64).wrapping_mul(GAMMA)))
    }

    /// Word `k`, all 64 bits.
    #[inline]
    pub(crate) const fn word(self, k: u64) -> u64 {
        mix(self.0.wrapping_add(k.wrapping_add(1).wrapping_mul(GAMMA)))
    }

    /// Word `k`, 32 bits, to compare with a threshold.
    #[inline]
    pub(crate) const fn draw(self, k: u64) -> u32 {
        (self.word(k) >> 32) as u32
    }

    /// Word `j` of the `i`-th sub-stream: packet j of interval i.
    #[inline]
    pub(crate) const fn draw_in(self, i: u64, j: u64) -> u32 {
        Stream(self.word(i)).draw(j)
    }
}

/// An event of a given probability, decided by a 32-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chance(u32);

impl Chance {
    pub(crate) const NEVER: Chance = Chance(0);
    pub(crate) const ALWAYS: Chance = Chance(u32::MAX);

    pub(crate) fn of(p: crate::Probability) -> Self {
        Chance(p.threshold())
    }

    /// What netem compares its draws with.
    pub(crate) const fn threshold(self) -> u32 {
        self.0
    }

    /// Whether `word` means that it happens. 100 % is certain, not 1 - 2^-32.
    #[inline]
    pub(crate) const fn hits(self, word: u32) -> bool {
        word < self.0 || self.0 == u32::MAX
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the sender of the video to its receiver.
    Forward,
    /// From the receiver back to the sender.
    Reverse,
}

impl Direction {
    /// The seed of this direction's link in a run of seed `run`. Forward uses the run's seed itself, so that
    /// `netem ... seed N` on the forward path is the same N; reverse gets an unrelated one.
    #[must_use]
    pub const fn seed(self, run: u64) -> u64 {
        match self {
            Direction::Forward => run,
            Direction::Reverse => mix(run ^ 0x5245_5645_5253_4500),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation of SplitMix64 from its authors' description: add, then mix.
    #[test]
    fn words_are_splitmix64() {
        let stream = Stream(1_234_567);
        // First outputs of SplitMix64 for seed 1234567, as published with many implementations.
        let expected = [6_457_827_717_110_365_317u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for (k, want) in expected.into_iter().enumerate() {
            assert_eq!(stream.word(k as u64), want);
        }
        let mut generator = SplitMix64::new(1_234_567);
        assert_eq!(expected.map(|_| generator.word()), expected);
    }

    #[test]
    fn streams_of_different_purposes_and_directions_differ() {
        let word = |seed, purpose| Stream::new(seed, purpose).word(0);
        assert_ne!(word(1, Purpose::Loss), word(1, Purpose::ChannelState));
        assert_ne!(word(1, Purpose::Loss), word(2, Purpose::Loss));
        assert_eq!(Direction::Forward.seed(42), 42);
        assert_ne!(Direction::Reverse.seed(42), 42);
    }
}
