//! H.265 that goes on from the latest picture where pictures are missing.
//!
//! A unit says which pictures it refers to by their distance in picture order (H.265, 8.3.2). FFmpeg's decoder makes a grey picture of
//! one that never came, and all that follow up to the next key frame are predicted from it; its H.264 decoder takes the latest picture.
//! Here the pictures after a gap are renumbered, so that the decoder sees none: what was before the gap then stands where the missing
//! picture stood. Only `slice_pic_order_cnt_lsb` changes, a field of fixed length.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// NAL units of pictures that nothing before them is needed for: IDR, CRA, BLA.
const RANDOM_ACCESS: RangeInclusive<u8> = 16..=23;
/// Those that have no picture order.
const IDR: RangeInclusive<u8> = 19..=20;
const LAST_SLICE: u8 = 31;
const SPS: u8 = 33;
const PPS: u8 = 34;
/// Bytes of a slice in which the field lies: at most two numbers of 32 bits and an address before it.
const HEAD: usize = 64;

/// Numbers the pictures of one stream without gaps.
#[derive(Debug, Default)]
pub struct Renumber {
    sequences: BTreeMap<u32, Sequence>,
    pictures: BTreeMap<u32, Picture>,
    /// As the sender numbers them.
    last: Option<u32>,
    /// Pictures that were missing since the last key frame.
    missing: u32,
}

/// What is needed of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sequence {
    order_bits: u32,
    separate_planes: bool,
    address_bits: u32,
}

/// What is needed of a picture parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    sequence: u32,
    dependent_slices: bool,
    output_flag: bool,
    extra_bits: u32,
}

impl Renumber {
    /// The next unit of the stream that is to be decoded, an access unit in Annex B's form, renumbered. What cannot be understood stays
    /// as it is.
    pub fn unit(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 8);
        let mut from = 0;
        for start in nal_units(bytes) {
            out.extend_from_slice(&bytes[from..start]);
            from = start;
            let end = bytes.len().min(start + HEAD);
            // Not in the middle of an escaped run of zeros.
            let end = if bytes[start..end].ends_with(&[0, 0, 3]) { (end + 1).min(bytes.len()) } else { end };
            if let Some(head) = self.head(&bytes[start..end], &bytes[start..]) {
                out.extend_from_slice(&head);
                from = end;
            }
        }
        out.extend_from_slice(&bytes[from..]);
        out
    }

    /// The first bytes of a NAL unit as they shall be; `None` if they stay.
    fn head(&mut self, head: &[u8], whole: &[u8]) -> Option<Vec<u8>> {
        let kind = head.first()? >> 1 & 0x3f;
        match kind {
            SPS => {
                if let Some((number, sequence)) = sequence(&unescaped(whole)) {
                    self.sequences.insert(number, sequence);
                }
                None
            }
            PPS => {
                if let Some((number, picture)) = picture(&unescaped(whole)) {
                    self.pictures.insert(number, picture);
                }
                None
            }
            0..=LAST_SLICE => self.slice(kind, unescaped(head)),
            _ => None,
        }
    }

    fn slice(&mut self, kind: u8, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        if IDR.contains(&kind) {
            (self.last, self.missing) = (Some(0), 0);
            return None;
        }
        let (at, bits) = self.order_field(kind, &bytes)?;
        let order = Bits { bytes: &bytes, at }.number(bits)?;
        let modulus = 1u32 << bits;
        if RANDOM_ACCESS.contains(&kind) {
            self.missing = 0;
        } else if let Some(last) = self.last
            && last != order
        {
            let gap = order.wrapping_sub(last).wrapping_sub(1) % modulus;
            self.missing = (self.missing + gap) % modulus;
        }
        self.last = Some(order);
        if self.missing == 0 {
            return None;
        }
        let renumbered = order.wrapping_sub(self.missing) % modulus;
        for bit in 0..bits {
            let (place, set) = (at + bit as usize, renumbered >> (bits - 1 - bit) & 1 == 1);
            let mask = 0x80 >> (place % 8);
            if set { bytes[place / 8] |= mask } else { bytes[place / 8] &= !mask }
        }
        Some(escaped(&bytes))
    }

    /// Where `slice_pic_order_cnt_lsb` begins in a slice, and its length (7.3.6.1).
    fn order_field(&self, kind: u8, bytes: &[u8]) -> Option<(usize, u32)> {
        let mut bits = Bits { bytes, at: 16 };
        let first = bits.flag()?;
        if RANDOM_ACCESS.contains(&kind) {
            bits.flag()?; // no_output_of_prior_pics_flag
        }
        let picture = self.pictures.get(&bits.exp_golomb()?)?;
        let sequence = self.sequences.get(&picture.sequence)?;
        if !first {
            if picture.dependent_slices && bits.flag()? {
                return None; // goes on with the slice before it
            }
            bits.number(sequence.address_bits)?;
        }
        bits.number(picture.extra_bits)?;
        bits.exp_golomb()?; // slice_type
        bits.number(u32::from(picture.output_flag))?;
        bits.number(if sequence.separate_planes { 2 } else { 0 })?;
        let at = bits.at;
        bits.number(sequence.order_bits)?;
        Some((at, sequence.order_bits))
    }
}

/// Where NAL units begin, after their start codes.
fn nal_units(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at + 3)
}

/// Without the bytes that keep start codes out (7.3.1.1).
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4);
    for &byte in bytes {
        if byte <= 3 && out.ends_with(&[0, 0]) {
            out.push(3);
        }
        out.push(byte);
    }
    out
}

/// Reads bits, the highest of a byte first; `None` at the end.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let set = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Some(set)
    }

    fn number(&mut self, bits: u32) -> Option<u32> {
        (0..bits).try_fold(0u32, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// ue(v), 9.2.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.number(zeros)?)
    }

    fn skip(&mut self, bits: usize) {
        self.at += bits;
    }
}

/// Number and contents of a sequence parameter set (7.3.2.2).
fn sequence(bytes: &[u8]) -> Option<(u32, Sequence)> {
    let mut bits = Bits { bytes, at: 16 };
    bits.number(4)?;
    let layers = bits.number(3)?;
    bits.flag()?;
    profile_tier_level(&mut bits, layers)?;
    let number = bits.exp_golomb()?;
    let separate_planes = bits.exp_golomb()? == 3 && bits.flag()?;
    let (width, height) = (bits.exp_golomb()?, bits.exp_golomb()?);
    if bits.flag()? {
        for _ in 0..4 {
            bits.exp_golomb()?; // conformance window
        }
    }
    bits.exp_golomb()?; // bit depths
    bits.exp_golomb()?;
    let order_bits = 4 + bits.exp_golomb()?;
    let every_layer = bits.flag()?;
    for _ in 0..3 * (if every_layer { layers + 1 } else { 1 }) {
        bits.exp_golomb()?; // buffering, reordering, latency
    }
    let smallest = 3 + bits.exp_golomb()?;
    let largest = smallest + bits.exp_golomb()?;
    if order_bits > 16 || largest > 6 {
        return None;
    }
    let blocks = width.div_ceil(1 << largest).checked_mul(height.div_ceil(1 << largest))?;
    let address_bits = u32::BITS - blocks.max(1).saturating_sub(1).leading_zeros();
    Some((number, Sequence { order_bits, separate_planes, address_bits }))
}

/// Skips it (7.3.3).
fn profile_tier_level(bits: &mut Bits, layers: u32) -> Option<()> {
    bits.skip(96);
    if layers == 0 {
        return Some(());
    }
    let mut present = Vec::new();
    for _ in 0..layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    bits.skip(2 * (8 - layers as usize));
    for (profile, level) in present {
        bits.skip(88 * usize::from(profile) + 8 * usize::from(level));
    }
    Some(())
}

/// Number and contents of a picture parameter set (7.3.2.3).
fn picture(bytes: &[u8]) -> Option<(u32, Picture)> {
    let mut bits = Bits { bytes, at: 16 };
    let (number, sequence) = (bits.exp_golomb()?, bits.exp_golomb()?);
    let (dependent_slices, output_flag) = (bits.flag()?, bits.flag()?);
    Some((number, Picture { sequence, dependent_slices, output_flag, extra_bits: bits.number(3)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, Decoder, Encoder, EncoderConfig, Unit, VideoDecoder, VideoEncoder};
    use media::Yuv420;

    /// A picture whose pattern moves with `at`.
    fn picture_at(at: usize) -> Yuv420 {
        let mut picture = Yuv420::filled(192, 128, (0, 110, 150));
        for (i, luma) in picture.y.iter_mut().enumerate() {
            let (x, y) = (i % 192 + at, i / 192);
            *luma = (60 + (x / 32 * 37 + y / 32 * 59) % 120) as u8;
        }
        picture
    }

    fn units(count: usize, settings: impl Fn(&mut EncoderConfig)) -> Vec<Unit> {
        let mut config = EncoderConfig::revo("h265", 192, 128, 30);
        settings(&mut config);
        let mut encoder = Encoder::new(&config).unwrap();
        (0..count).map(|i| encoder.encode(i as u32, &picture_at(i), false).unwrap()).collect()
    }

    fn error(a: &Yuv420, b: &Yuv420) -> f64 {
        let square = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)).pow(2);
        a.y.iter().zip(&b.y).map(square).sum::<u64>() as f64 / a.y.len() as f64
    }

    /// Three pictures are lost. What FFmpeg makes of those behind them starts from grey; renumbered, from what was there, three pictures ago.
    #[test]
    fn pictures_behind_a_gap_go_on_from_the_latest() {
        let units = units(40, |_| {});
        let lost = 7..10;
        let decode = |decoder: Decoder| {
            let mut decoder = decoder;
            let kept = units.iter().enumerate().filter(|(i, _)| !lost.contains(i));
            kept.map(|(i, unit)| (i, decoder.decode(i as u32, unit).unwrap().unwrap())).collect::<Vec<_>>()
        };
        let grey = decode(Decoder::new(Codec::H265).unwrap());
        let latest = decode(Decoder::new(Codec::H265).unwrap().going_on());
        for ((i, grey), (_, latest)) in grey.iter().zip(&latest) {
            let wanted = picture_at(*i);
            match *i {
                10..30 => {
                    assert!(error(latest, &wanted) < 0.5 * error(grey, &wanted), "frame {i}");
                }
                // Up to the gap, and from the next key frame on, nothing is changed.
                _ => assert_eq!(grey, latest, "frame {i}"),
            }
        }
        // The frame after the gap is the one before it, moved on by one.
        let moved = picture_at(7);
        let behind = &latest.iter().find(|(i, _)| *i == 10).unwrap().1;
        assert!(error(behind, &moved) < 30.0, "{}", error(behind, &moved));
    }

    /// The order is a number of few bits: gaps across its end count as others do.
    #[test]
    fn gaps_across_the_end_of_the_numbers_are_gaps() {
        let units = units(300, |config| config.gop = 0);
        let mut renumber = Renumber::default();
        let mut orders = Vec::new();
        for (i, unit) in units.iter().enumerate() {
            if !(250..260).contains(&i) && i != 100 {
                let renumbered = renumber.unit(&unit.bytes);
                let mut look = Renumber { sequences: renumber.sequences.clone(), ..Renumber::default() };
                look.pictures.clone_from(&renumber.pictures);
                let slice = nal_units(&renumbered).find(|at| renumbered[*at] >> 1 & 0x3f <= 1);
                let Some(at) = slice else { continue };
                let bytes = unescaped(&renumbered[at..]);
                let (at, bits) = look.order_field(1, &bytes).unwrap();
                orders.push(Bits { bytes: &bytes, at }.number(bits).unwrap());
            }
        }
        let modulus = 256;
        assert!(orders.windows(2).all(|w| (w[0] + 1) % modulus == w[1]), "{orders:?}");
        assert_eq!(orders.len(), 300 - 11 - 1);
    }

    #[test]
    fn escapes_come_back_and_what_is_not_understood_stays() {
        let bytes = [0, 0, 1, 0, 0, 0, 0, 0, 3, 7, 0, 0, 2];
        assert_eq!(unescaped(&escaped(&bytes)), bytes);
        let damaged: [&[u8]; 5] = [&[], &[0, 0, 1], &[0, 0, 1, 2], &[0, 0, 1, 2, 1, 0xff, 0, 0, 0], &[9; 70]];
        for damaged in damaged {
            assert_eq!(Renumber::default().unit(damaged), damaged);
        }
    }
}
