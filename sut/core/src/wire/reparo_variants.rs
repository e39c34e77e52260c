//! Several variants of Reparo in one session.
//!
//! In a session of one variant packets are those of [`reparo`](super::reparo). In a session of several each packet says which one it is
//! of, so that a receiver needs nothing but the packet itself, whatever else of a change was lost:
//!
//! ```text
//!   header (4 bytes) | number of the variant (1 byte) | tokens
//! ```
//!
//! With a [`Model`] tokens are [coded](super::reparo_coding) wherever that makes a packet shorter: the length of plain tokens follows from their
//! number, so that a shorter packet is one of coded tokens. No packet is longer than without.

use super::reparo::{FRAME_MODULUS, Fit, HEADER_BYTES, PACKETS, Packet, PacketError, Variant, packetize};
use super::reparo_coding::Model;
use crate::self_drop::kept_positions;
use link::Bitrate;
use std::sync::Arc;

/// The variants of a session, numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants {
    all: Vec<Variant>,
    model: Option<Arc<Model>>,
}

/// A variant, and how much of it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Number of the variant.
    pub variant: usize,
    /// Tokens per packet.
    pub kept: u16,
}

/// A variant and the target for which it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Number of the variant.
    pub variant: usize,
    /// The target then.
    pub at: Bitrate,
}

impl Variants {
    /// These; `None` without one, with more than 256, or with one twice.
    #[must_use]
    pub fn new(variants: Vec<Variant>) -> Option<Self> {
        let twice = variants.iter().enumerate().any(|(i, v)| variants[..i].contains(v));
        (!twice && (1..=256).contains(&variants.len())).then_some(Self { all: variants, model: None })
    }

    /// The same with coded tokens.
    #[must_use]
    pub fn coded(self, model: Arc<Model>) -> Self {
        Self { model: Some(model), ..self }
    }

    /// All, by number.
    #[must_use]
    pub fn all(&self) -> &[Variant] {
        &self.all
    }

    /// The variant of a number of [`parse`](Self::parse) or [`choose`](Self::choose).
    ///
    /// # Panics
    /// When there is no such number.
    #[must_use]
    pub fn variant(&self, number: usize) -> Variant {
        self.all[number]
    }

    /// Bytes of a packet that name its variant.
    fn name_bytes(&self) -> usize {
        usize::from(self.all.len() > 1)
    }

    /// Tokens are coded.
    #[must_use]
    pub fn is_coded(&self) -> bool {
        self.model.is_some()
    }

    /// Bytes of a grid's four packets without coding; of their headers alone with no tokens.
    #[must_use]
    pub fn frame_bytes(&self, setting: Setting) -> u64 {
        let packet = self.all[setting.variant].packet_bytes(setting.kept) + self.name_bytes();
        packet as u64 * u64::from(PACKETS)
    }

    /// Bitrate of a variant with `kept` tokens per packet, counted as [`Variant::bitrate`] does.
    #[must_use]
    pub fn bitrate(&self, number: usize, kept: u16, fps: u32) -> Bitrate {
        Bitrate(self.all[number].bitrate(kept, fps).0 + self.names(number, fps))
    }

    /// Bits per second that name the variant.
    fn names(&self, number: usize, fps: u32) -> u64 {
        let grid = (8 * self.name_bytes() * usize::from(PACKETS)) as u64;
        grid * u64::from(fps) / u64::from(self.all[number].frames())
    }

    /// See [`Variant::fit`].
    #[must_use]
    pub fn fit(&self, number: usize, target: Bitrate, fps: u32) -> Fit {
        let names = self.names(number, fps);
        let fit = self.all[number].fit(Bitrate(target.0.saturating_sub(names)), fps);
        Fit { bitrate: Bitrate(fit.bitrate.0 + names), ..fit }
    }

    /// What is sent at a target. The variant stays while the target is within half of the one it was chosen for and self-drop reaches it
    /// (the paper's rule: self-drop for small changes, another variant for large ones). Else it is the smallest whose full rate is
    /// not below the target and that self-drop brings down to it; without one, the largest that stays below; without that, the
    /// smallest at half of its tokens, which is above the target.
    #[must_use]
    pub fn choose(&self, before: Option<Chosen>, target: Bitrate, fps: u32) -> (Chosen, Fit) {
        if let Some(before) = before {
            let fit = self.fit(before.variant, target, fps);
            if fit.reached && 2 * target.0.abs_diff(before.at.0) <= before.at.0 {
                return (before, fit);
            }
        }
        let full = |number: usize| self.bitrate(number, self.all[number].tokens_per_packet(), fps).0;
        let all = || (0..self.all.len()).map(|number| (number, self.fit(number, target, fps)));
        let enough =
            all().filter(|(n, fit)| fit.reached && full(*n) >= target.0).min_by_key(|(n, _)| full(*n));
        let below = || all().filter(|(_, fit)| fit.reached).max_by_key(|(n, _)| full(*n));
        let least = || all().min_by_key(|(n, _)| full(*n));
        let (variant, fit) = enough.or_else(below).or_else(least).expect("there is at least one");
        (Chosen { variant, at: target }, fit)
    }

    /// The highest and the lowest rate that this session can have.
    #[must_use]
    pub fn range(&self, fps: u32) -> (Bitrate, Bitrate) {
        let rates = |kept: fn(u16) -> u16| {
            (0..self.all.len()).map(move |n| self.bitrate(n, kept(self.all[n].tokens_per_packet()), fps))
        };
        let most = rates(|full| full).max_by_key(|rate| rate.0);
        let least = rates(|full| full.div_ceil(2)).min_by_key(|rate| rate.0);
        most.zip(least).expect("there is at least one")
    }

    /// The four packets of a grid (see [`packetize`]).
    ///
    /// # Panics
    /// As there, or when there is no such variant.
    #[must_use]
    pub fn packetize(&self, setting: Setting, frame: u32, tokens: &[u16]) -> [Vec<u8>; PACKETS as usize] {
        let variant = self.all[setting.variant];
        let mut packets = packetize(variant, frame, tokens, setting.kept);
        if let Some(model) = &self.model {
            for (number, packet) in (0..PACKETS).zip(&mut packets) {
                let full = variant.tokens_per_packet();
                let positions =
                    kept_positions(frame % FRAME_MODULUS, number, full, setting.kept.clamp(1, full));
                let own = positions.iter().map(|&position| tokens[variant.raster(number, position)]);
                let coded = model.encode(variant, &positions, &own.collect::<Vec<u16>>());
                if HEADER_BYTES + coded.len() < packet.len() {
                    packet.truncate(HEADER_BYTES);
                    packet.extend(coded);
                }
            }
        }
        if self.name_bytes() > 0 {
            packets.iter_mut().for_each(|packet| packet.insert(HEADER_BYTES, setting.variant as u8));
        }
        packets
    }

    /// Understands one datagram, and says of which variant it is.
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn parse(&self, bytes: &[u8]) -> Result<(usize, Packet), PacketError> {
        if self.name_bytes() == 0 {
            return Ok((0, self.unnamed(self.all[0], bytes)?));
        }
        let Some(&number) = bytes.get(HEADER_BYTES) else { return Err(PacketError::Short(bytes.len())) };
        let variant = *self.all.get(usize::from(number)).ok_or(PacketError::Variant(number))?;
        let unnamed = [&bytes[..HEADER_BYTES], &bytes[HEADER_BYTES + 1..]].concat();
        Ok((usize::from(number), self.unnamed(variant, &unnamed)?))
    }

    fn unnamed(&self, variant: Variant, bytes: &[u8]) -> Result<Packet, PacketError> {
        let plain = Packet::parse(variant, bytes);
        let (Some(model), Err(PacketError::Length { found, wanted })) = (&self.model, &plain) else {
            return plain;
        };
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>().filter(|_| found < wanted)
        else {
            return plain;
        };
        let header = u32::from_be_bytes(*header);
        let (frame, number) = (header >> 12, (header >> 10 & 3) as u8);
        let full = variant.tokens_per_packet();
        // The plain packet's length was understood: the number of tokens is one that there is.
        let kept = if header & 0x3ff == 0 { full } else { (header & 0x3ff) as u16 };
        let positions = kept_positions(frame, number, full, kept);
        let tokens = model.decode(variant, &positions, payload).ok_or(PacketError::Coded(payload.len()))?;
        Ok(Packet { frame, packet: number, positions, tokens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grids(grids: &[u16]) -> Variants {
        let variant = |&grid| Variant::new(grid, grid, 1024, 1).unwrap();
        Variants::new(grids.iter().map(variant).collect()).unwrap()
    }

    #[test]
    fn one_variant_is_not_named_and_the_same_twice_is_refused() {
        let (one, tokens) = (grids(&[4]), vec![7; 16]);
        let setting = Setting { variant: 0, kept: 4 };
        assert_eq!(one.packetize(setting, 3, &tokens), packetize(one.variant(0), 3, &tokens, 4));
        assert_eq!(one.bitrate(0, 4, 30), one.variant(0).bitrate(4, 30));
        assert!(Variants::new(vec![]).is_none() && Variants::new(vec![one.variant(0); 2]).is_none());
    }

    #[test]
    fn each_packet_names_its_variant_after_the_header() {
        let two = grids(&[4, 6]);
        let packets = two.packetize(Setting { variant: 1, kept: 5 }, 9, &[513; 36]);
        let plain = packetize(two.variant(1), 9, &[513; 36], 5);
        for (named, plain) in packets.iter().zip(&plain) {
            assert_eq!((&named[..4], named[4], &named[5..]), (&plain[..4], 1, &plain[4..]));
            let (number, packet) = two.parse(named).unwrap();
            assert_eq!((number, packet), (1, Packet::parse(two.variant(1), plain).unwrap()));
            assert!(two.parse(plain).is_err(), "a packet without a name");
        }
        let mut unknown = packets[0].clone();
        unknown[4] = 2;
        assert_eq!(two.parse(&unknown), Err(PacketError::Variant(2)));
        assert_eq!(two.parse(&unknown[..4]), Err(PacketError::Short(4)));
    }

    /// Rates with 5-byte headers at 30 frames a second: 4 * 8 * 30 = 960 bits a byte of each packet. 16x16: 85 bytes, 81.6 kbps; 24x24:
    /// 185, 177.6; 32x32: 325, 312.0; at half of the tokens 45, 95 and 165: 43.2, 91.2, 158.4.
    #[test]
    fn small_changes_drop_tokens_and_large_ones_change_the_variant() {
        let three = grids(&[32, 24, 16]);
        assert_eq!(three.range(30), (Bitrate(312_000), Bitrate(43_200)));
        let kbps = |kbps: u64| Bitrate(1000 * kbps);
        let choose = |before, target| {
            let (chosen, fit) = three.choose(before, kbps(target), 30);
            assert!(fit.bitrate <= kbps(target) || !fit.reached);
            (chosen, fit.kept)
        };
        let (large, kept) = choose(None, 300);
        assert_eq!((large, kept), (Chosen { variant: 0, at: kbps(300) }, 246 - 1));
        // Within half, and self-drop reaches it.
        assert_eq!(choose(Some(large), 160).0, large);
        // Within half of 300, but below half of the tokens: 24x24 as a whole is not enough for 158 either way but reaches it.
        assert_eq!(choose(Some(large), 158).0, Chosen { variant: 1, at: kbps(158) });
        let (small, kept) = choose(Some(large), 60);
        assert_eq!((small.variant, small.at), (2, kbps(60)));
        assert!((32..64).contains(&kept));
        // Up again: within half of 60 nothing changes, beyond it the next larger one does.
        assert_eq!(choose(Some(small), 90).0, small);
        assert_eq!(choose(Some(small), 91).0.variant, 2, "the smallest that stays below: 24x24 needs 91.2");
        assert_eq!(choose(Some(small), 92).0.variant, 1);
        assert_eq!(choose(Some(small), 5000), (Chosen { variant: 0, at: kbps(5000) }, 256));
        // Below everything: the smallest at half.
        let (chosen, fit) = three.choose(None, kbps(10), 30);
        assert_eq!((chosen.variant, fit.kept, fit.reached), (2, 32, false));
    }

    #[test]
    fn coded_packets_are_shorter_never_longer_and_read_back() {
        let codebook: Vec<f32> = (0..1024).map(|code| code as f32).collect();
        let coded = grids(&[32, 16]).coded(Arc::new(Model::new(&codebook, 1)));
        let mut random = link::SplitMix64::new(8);
        let noise: Vec<u16> = (0..1024).map(|_| (random.word() % 1024) as u16).collect();
        let plain: Vec<u16> = (0..1024).map(|place| 300 + place % 3).collect();
        for (tokens, shorter) in [(noise, false), (plain, true)] {
            for kept in [256, 128] {
                let setting = Setting { variant: 0, kept };
                let size = HEADER_BYTES + 1 + usize::from(kept) * 10 / 8;
                for packet in coded.packetize(setting, 77, &tokens) {
                    assert_eq!(packet.len() < size, shorter, "{} of {size}", packet.len());
                    assert!(packet.len() <= size);
                    let (number, found) = coded.parse(&packet).unwrap();
                    assert_eq!((number, found.frame, found.tokens.len()), (0, 77, usize::from(kept)));
                    for (position, token) in found.positions.iter().zip(&found.tokens) {
                        assert_eq!(tokens[coded.variant(0).raster(found.packet, *position)], *token);
                    }
                    let without = grids(&[32, 16]).parse(&packet);
                    assert_eq!(without.is_err(), shorter, "nobody else reads it");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_understood(number in 0usize..3, frame: u32, seed: u64, share in 1u16..=256) {
            let three = grids(&[32, 24, 16]);
            let variant = three.variant(number);
            let mut random = link::SplitMix64::new(seed);
            let tokens: Vec<u16> = (0..variant.tokens()).map(|_| (random.word() % 1024) as u16).collect();
            let kept = share.min(variant.tokens_per_packet());
            for packet in three.packetize(Setting { variant: number, kept }, frame, &tokens) {
                let (found, packet) = three.parse(&packet).unwrap();
                prop_assert_eq!((found, packet.tokens.len()), (number, usize::from(kept)));
                for (position, token) in packet.positions.iter().zip(&packet.tokens) {
                    prop_assert_eq!(tokens[variant.raster(packet.packet, *position)], *token);
                }
            }
        }

        #[test]
        fn any_bytes_are_refused_or_understood(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let variants = grids(&[32, 24, 16]);
            let _ = variants.parse(&bytes);
            let codebook: Vec<f32> = (0..1024).map(|code| code as f32).collect();
            let _ = variants.coded(Arc::new(Model::new(&codebook, 1))).parse(&bytes);
        }

        #[test]
        fn a_choice_never_goes_above_a_target_that_can_be_met(first in 1u64..500, second in 1u64..500) {
            let three = grids(&[32, 24, 16]);
            let (before, _) = three.choose(None, Bitrate(1000 * first), 30);
            let (chosen, fit) = three.choose(Some(before), Bitrate(1000 * second), 30);
            prop_assert_eq!(fit.reached, 1000 * second >= 43_200);
            prop_assert_eq!(fit.bitrate, three.bitrate(chosen.variant, fit.kept, 30));
            prop_assert!(!fit.reached || fit.bitrate.0 <= 1000 * second);
        }
    }
}
