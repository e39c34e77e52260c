//! How many tokens of a frame are sent where coding decides how many bytes they take.
//!
//! ```text
//! target ─▶ share of a frame ─▶ tokens per packet ─▶ encoded ─▶ coded ─▶ bytes
//!                  ▲                   ▲ bits of a token                   │
//!                  └── saved or overspent ◀────────────────────────────────┘
//! ```
//! What the tokens of a frame take is known when they are made, and which are made depends on how many are sent. So their size is guessed
//! from frames before: it rises at once to the newest frame's and falls slowly, and what a guess got wrong is added to or taken
//! from what the next frames may have. No more than a quarter of a frame's share is ever saved, for it is a queue on the path when it
//! is spent. Coded packets are never longer than plain ones, so that after a wrong guess half of the tokens, which a target allows
//! uncoded, always pay back.
//!
//! All of it follows from the tokens of the frames in their order: it does not depend on time, and tokens can be kept in a cache.

use super::{Session, Wanted};
use link::Bitrate;
use sut_core::wire::reparo::PACKETS;
use sut_core::wire::reparo_variants::{Setting, Variants};

/// Units of a bit that a token's size is guessed in.
const FINE: u64 = 1024;
/// Of a frame's share the part that is saved at most.
const SAVED: i64 = 4;
/// Of what was saved or overspent the part that the next frame has or pays.
const NEXT: i64 = 2;
/// Of the way down to a smaller size of tokens the part that is gone in a frame.
const FALL: u64 = 4;

/// Chooses how many tokens are sent, and cuts frames into packets.
#[derive(Debug)]
pub struct Packing {
    variants: Variants,
    fps: u32,
    /// Saved since, or overspent: bits times frames a second, as a target is bits a second.
    balance: i64,
    /// What tokens of this variant took lately.
    guess: Option<(usize, u64)>,
}

impl Packing {
    /// Nothing was sent.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self { variants: session.variants.clone(), fps: session.schedule.fps, balance: 0, guess: None }
    }

    /// What is sent of the next frame.
    #[must_use]
    pub fn setting(&self, wanted: Wanted) -> Setting {
        let (Some(target), true) = (wanted.target, self.variants.is_coded()) else { return wanted.setting };
        let Setting { variant, .. } = wanted.setting;
        let full = self.variants.variant(variant).tokens_per_packet();
        let half = full.div_ceil(2);
        let may = (per_second(target) + self.balance / NEXT).max(0) as u64;
        let fits = |&kept: &u16| self.guessed(Setting { variant, kept }) * 8 * u64::from(self.fps) <= may;
        Setting { variant, kept: (half..=full).rev().find(fits).unwrap_or(half) }
    }

    /// Bytes that a frame is expected to take.
    fn guessed(&self, setting: Setting) -> u64 {
        let plain = self.variants.frame_bytes(setting);
        let Some((_, size)) = self.guess.filter(|(variant, _)| *variant == setting.variant) else {
            return plain;
        };
        let tokens = (u64::from(setting.kept) * size).div_ceil(8 * FINE);
        plain.min(self.headers(setting.variant) + u64::from(PACKETS) * tokens)
    }

    fn headers(&self, variant: usize) -> u64 {
        self.variants.frame_bytes(Setting { variant, kept: 0 })
    }

    /// The packets of a frame.
    ///
    /// # Panics
    /// When these are no tokens of the setting's variant.
    #[must_use]
    pub fn pack(
        &mut self,
        wanted: Wanted,
        setting: Setting,
        frame: u32,
        tokens: &[u16],
    ) -> [Vec<u8>; PACKETS as usize] {
        let packets = self.variants.packetize(setting, frame, tokens);
        if self.variants.is_coded() {
            self.sent(wanted.target, setting, packets.iter().map(|packet| packet.len() as u64).sum());
        }
        packets
    }

    /// A frame took so many bytes.
    fn sent(&mut self, target: Option<Bitrate>, setting: Setting, bytes: u64) {
        let tokens = u64::from(setting.kept) * u64::from(PACKETS);
        let size = (bytes - self.headers(setting.variant)) * 8 * FINE / tokens;
        let before = self.guess.filter(|(variant, _)| *variant == setting.variant);
        let guess = before.map_or(size, |(_, guess)| size.max(guess - guess.saturating_sub(size) / FALL));
        self.guess = Some((setting.variant, guess));
        self.balance = target.map_or(0, |target| {
            let share = per_second(target);
            (self.balance + share - (bytes * 8 * u64::from(self.fps)) as i64).min(share / SAVED)
        });
    }
}

/// At most [`i64::MAX`] / 4: sums of a few do not overflow.
fn per_second(target: Bitrate) -> i64 {
    target.0.min(i64::MAX as u64 / 4) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use sut_core::wire::reparo::Variant;
    use sut_core::wire::reparo_coding::Model;

    fn packing(grids: &[u16]) -> Packing {
        let variants = grids.iter().map(|&grid| Variant::new(grid, grid, 1024, 1).unwrap()).collect();
        let variants = Variants::new(variants).unwrap().coded(Arc::new(Model::new(&[0.0, 1.0], 1)));
        Packing { variants, fps: 30, balance: 0, guess: None }
    }

    /// What the controller chooses of a variant at a rate.
    fn wanted(packing: &Packing, variant: usize, kbps: u64) -> Wanted {
        let target = Bitrate(1000 * kbps);
        let fit = packing.variants.fit(variant, target, packing.fps);
        assert!(fit.reached);
        Wanted { setting: Setting { variant, kept: fit.kept }, target: Some(target) }
    }

    /// Sends a frame whose tokens take so many thousandths of a bit; its bytes.
    fn send(packing: &mut Packing, wanted: Wanted, size: u64) -> u64 {
        let setting = packing.setting(wanted);
        let full = packing.variants.variant(setting.variant).tokens_per_packet();
        assert!(setting.kept <= full && setting.kept >= full.div_ceil(2));
        let plain = packing.variants.frame_bytes(setting);
        let tokens = (u64::from(setting.kept) * size).div_ceil(8000);
        let bytes = plain.min(packing.headers(setting.variant) + 4 * tokens);
        packing.sent(wanted.target, setting, bytes);
        bytes
    }

    /// The most bytes of 30 frames in a row.
    fn worst_second(bytes: &[u64]) -> u64 {
        bytes.windows(30).map(|second| second.iter().sum()).max().unwrap()
    }

    /// Of 36 x 36 tokens at 311 kbps: 256 of 324 per packet without coding, as of the standard grid, for 4 (4 + 320) 8 * 30 = 311,040
    /// is 40 bits too many, 4 (4 + 319) 240 = 310,080, 255 tokens of 10 bits. With tokens of 8 bits, 4 (4 + 319) again: 319 of them.
    #[test]
    fn what_coding_saves_is_spent_on_tokens() {
        let mut packing = packing(&[36]);
        let wanted = wanted(&packing, 0, 311);
        assert_eq!((wanted.setting.kept, packing.setting(wanted).kept), (255, 255), "nothing is known yet");
        let sent: Vec<u64> = (0..60).map(|_| send(&mut packing, wanted, 8000)).collect();
        assert_eq!(sent[0], 4 * (4 + 255));
        // All 324 of them, 1312 bytes, until what the first frame left is spent. 311,000 bits are 1295.8 bytes a frame, 319 or 320 tokens.
        assert_eq!(sent[1], 4 * (4 + 324));
        assert!(sent[20..].iter().all(|bytes| (1292..=1300).contains(bytes)), "{sent:?}");
        let mean = sent[20..].iter().sum::<u64>() as f64 / 40.0;
        assert!((mean - 1295.8).abs() < 1.0, "{mean}");
        // Without a target, what was wanted is what is sent.
        let fixed = Wanted { target: None, ..wanted };
        assert_eq!(packing.setting(fixed), fixed.setting);
    }

    #[test]
    fn tokens_that_cost_more_are_fewer_at_once_and_another_grid_begins_carefully() {
        let mut packing = packing(&[40, 24]);
        let large = wanted(&packing, 0, 311);
        (0..30).for_each(|_| _ = send(&mut packing, large, 5000));
        assert_eq!(packing.setting(large).kept, 400, "all that there are");
        let first = send(&mut packing, large, 10_000);
        // All 400 of 10 bits, 4 (5 + 500) bytes instead of 1295; the next has half of what is overspent less.
        assert_eq!(first, 2020);
        let next = send(&mut packing, large, 10_000);
        assert!(next < 1296 - 180, "{next}");
        let small = wanted(&packing, 1, 140);
        packing.balance = 0;
        assert_eq!(packing.setting(small).kept, packing.variants.fit(1, Bitrate(140_000), 30).kept);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whatever tokens take, up to a cut in every frame: no second is more than five per cent above the target, which two things
        /// add up to: a quarter of a frame that was saved, and one frame of up to twice its share.
        #[test]
        fn no_second_is_far_above_the_target(
            grid in 16u16..=24, share in 0u64..=100,
            pieces in prop::collection::vec((1usize..40, 500u64..=10_000, 500u64..=10_000), 4..30)
        ) {
            let mut packing = packing(&[2 * grid]);
            let variant = packing.variants.variant(0);
            let of = |kept| variant.bitrate(kept, 30).0.div_ceil(1000);
            let (half, full) = (of(variant.tokens_per_packet().div_ceil(2)), of(variant.tokens_per_packet()));
            let kbps = half + (full - half) * share / 100;
            let wanted = wanted(&packing, 0, kbps);
            let mut bytes = Vec::new();
            for (frames, from, to) in pieces {
                for frame in 0..frames as u64 {
                    let size = from * (frames as u64 - frame) + to * frame;
                    bytes.push(send(&mut packing, wanted, size / frames as u64));
                }
            }
            bytes.resize(bytes.len().max(30), 0);
            let most = worst_second(&bytes) as f64 / (kbps as f64 * 125.0);
            prop_assert!(most <= 1.05, "{most}");
        }

        /// Tokens whose size varies by five per cent from frame to frame, and of which there are enough: the target is used.
        #[test]
        fn the_target_is_used(size in 8_000u64..9_500, seed: u64) {
            let mut packing = packing(&[40]);
            let wanted = wanted(&packing, 0, 311);
            let mut random = link::SplitMix64::new(seed);
            let mut frame = || send(&mut packing, wanted, size * (950 + random.word() % 101) / 1000);
            let bytes: Vec<u64> = (0..300).map(|_| frame()).collect();
            let mean = bytes.iter().sum::<u64>() as f64 / (10.0 * 311_000.0 / 8.0);
            prop_assert!((0.99..=1.002).contains(&mean), "{mean}");
            prop_assert!(worst_second(&bytes) as f64 <= 1.015 * 311_000.0 / 8.0);
        }
    }
}
