//! Self-drop: the sender leaves out a share of each packet's tokens to meet a bitrate, and the receiver
//! works out which ones from the packet header alone (Reparo 3.2.2).
//!
//! The draw is fixed to the bit, because both ends repeat it:
//!
//! 1. a SplitMix64 generator with state `4 * frame + packet`, `frame` being the 20-bit number of the header;
//! 2. the list `0..tokens`; for `i` in `0..kept`, swap entry `i` with entry `i + below(tokens - i)`;
//! 3. the first `kept` entries, sorted, are the positions that are sent.
//!
//! `below(n)` is the upper half of `n * (next() >> 32)` as a 64-bit product (Lemire 2019), drawn again while
//! the lower half is below `2^32 mod n`, which makes it exactly uniform. `golden/reparo` has vectors.

use link::SplitMix64;

/// Uniform in `0..bound`; 0 for a bound of 0.
pub fn below(random: &mut SplitMix64, bound: u32) -> u32 {
    let bound = u64::from(bound);
    if bound == 0 {
        return 0;
    }
    let unfair = (1u64 << 32) % bound;
    loop {
        let product = (random.word() >> 32) * bound;
        if product & 0xffff_ffff >= unfair {
            return (product >> 32) as u32;
        }
    }
}

/// Positions (sorted, below `tokens`) that packet `packet` of the frame with 20-bit number `frame` carries
/// when it carries `kept` of its `tokens`; all of them when `kept >= tokens`.
#[must_use]
pub fn kept_positions(frame: u32, packet: u8, tokens: u16, kept: u16) -> Vec<u16> {
    let mut positions: Vec<u16> = (0..tokens).collect();
    if kept >= tokens {
        return positions;
    }
    let mut random = SplitMix64::new(4 * u64::from(frame) + u64::from(packet));
    for i in 0..kept {
        let j = i + below(&mut random, u32::from(tokens - i)) as u16;
        positions.swap(usize::from(i), usize::from(j));
    }
    positions.truncate(usize::from(kept));
    positions.sort_unstable();
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fmt::Write;

    #[test]
    fn generator_matches_the_published_values() {
        // First outputs of the reference implementation for state 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let found: Vec<u64> = (0..5).map(|_| random.word()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(found, published);
    }

    #[test]
    fn vectors() {
        let mut text = String::from("frame packet tokens kept: positions sent\n");
        for (frame, packet, tokens, kept) in [
            (0, 0, 256, 128),
            (0, 1, 256, 128),
            (1, 2, 256, 230),
            (2, 3, 256, 179),
            (1_048_575, 3, 256, 154),
            (7, 0, 64, 32),
            (7, 1, 1024, 512),
        ] {
            let positions = kept_positions(frame, packet, tokens, kept);
            write!(text, "{frame} {packet} {tokens} {kept}:").unwrap();
            for position in positions {
                write!(text, " {position}").unwrap();
            }
            text.push('\n');
        }
        insta::with_settings!({ snapshot_path => "../../../golden/reparo", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("self_drop", text);
        });
    }

    #[test]
    fn every_position_is_dropped_equally_often() {
        let mut sent = BTreeMap::<u16, u32>::new();
        for frame in 0..4000 {
            for position in kept_positions(frame, (frame % 4) as u8, 64, 32) {
                *sent.entry(position).or_default() += 1;
            }
        }
        // 4000 draws of probability one half: 2000 with a standard deviation of 32.
        assert_eq!(sent.len(), 64);
        assert!(sent.values().all(|&n| n.abs_diff(2000) < 160), "{sent:?}");
    }

    proptest! {
        #[test]
        fn a_draw_is_a_sorted_subset_of_the_right_size(
            frame in 0u32..1 << 20, packet in 0u8..4, tokens in 1u16..=1024, share in 0.0f64..1.2
        ) {
            let kept = (f64::from(tokens) * share) as u16;
            let positions = kept_positions(frame, packet, tokens, kept);
            prop_assert_eq!(positions.len(), usize::from(kept.min(tokens)));
            prop_assert!(positions.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(positions.iter().all(|&p| p < tokens));
            prop_assert_eq!(&positions, &kept_positions(frame, packet, tokens, kept));
        }

        #[test]
        fn below_is_below(seed: u64, bound in 1u32..) {
            prop_assert!(below(&mut SplitMix64::new(seed), bound) < bound);
        }
    }
}
