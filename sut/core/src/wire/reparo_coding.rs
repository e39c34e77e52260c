//! Tokens of a packet in fewer bits: arithmetic coding with a model of what tokens lie beside each other.
//!
//! ```text
//! codebook ─▶ likeness of every two codes     tokens of the packet so far ─▶ probabilities of the next ─▶ range coder
//! ```
//! Each packet is coded by itself: the model knows the codebook and the tokens of the same packet that came before, nothing of other
//! packets or frames, so that whatever is lost, what comes can be read. Nothing is trained: which codes are alike follows from their
//! distance, and a token is like its neighbours and like what the packet had before. The shares of the mixture are those of
//! most likelihood on half of the training clips, rounded (docs/DECISIONS.md).
//!
//! All arithmetic is of integers, from the codebook's values in 1/1024 on: both ends have the same probabilities on any machine.

use super::reparo::Variant;

/// A part of the mixture, in 65536ths: codes like that one, and that one itself.
struct Share {
    alike: u32,
    same: u32,
}

/// Any code.
const ANY: u32 = 9175;
/// Like the left and the upper neighbour, each.
const BESIDE: Share = Share { alike: 13_763, same: 3932 };
/// Like the two upper diagonal neighbours, each.
const ACROSS: Share = Share { alike: 3932, same: 983 };
/// Like what the packet had before.
const BEFORE: Share = Share { alike: 3277, same: 7864 };

/// Fixed point of the codebook's values.
const UNIT: f32 = 1024.0;
/// Likeness is `exp(-distance / 3)`, of squared distances: `2^(-i / 64)` at index `i = distance * 64 log2(e) / 3`, here of distances in
/// 2^-20, times 2^30.
const PER_DISTANCE: u64 = 31_516;
/// `2^(-1/64)` times 2^32.
const STEP: u64 = 4_248_701_965;

/// Which codes are alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    codes: usize,
    /// `[codes, codes]`: of each code the likeness of all others, which sums up to 65535 or a little less.
    alike: Vec<u16>,
}

impl Model {
    /// Of a codebook, row by row.
    ///
    /// # Panics
    /// When there are no whole rows.
    #[must_use]
    pub fn new(codebook: &[f32], values: usize) -> Self {
        assert!(values > 0 && codebook.len().is_multiple_of(values), "whole codes");
        let codes = codebook.len() / values;
        let fixed: Vec<i64> = codebook.iter().map(|value| (value * UNIT).round() as i64).collect();
        let mut falling = vec![1u64 << 30];
        while let Some(&last) = falling.last().filter(|&&last| last > 0) {
            falling.push((last * STEP) >> 32);
        }
        let mut alike = Vec::with_capacity(codes * codes);
        for own in fixed.chunks_exact(values) {
            let likeness = |other: &[i64]| {
                let distance: i64 = own.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
                let index = (u128::from(distance.unsigned_abs()) * u128::from(PER_DISTANCE)) >> 30;
                falling.get(index.min(1 << 20) as usize).copied().unwrap_or(0)
            };
            let row: Vec<u64> = fixed.chunks_exact(values).map(likeness).collect();
            let sum: u64 = row.iter().sum();
            alike.extend(row.iter().map(|value| (value * 65_535 / sum) as u16));
        }
        Self { codes, alike }
    }

    fn row(&self, code: u16) -> &[u16] {
        &self.alike[usize::from(code) * self.codes..][..self.codes]
    }

    /// The tokens at these positions of a packet, sorted, in bytes.
    ///
    /// # Panics
    /// When a token is outside the codebook, or there is not one per position.
    #[must_use]
    pub fn encode(&self, variant: Variant, positions: &[u16], tokens: &[u16]) -> Vec<u8> {
        assert_eq!(positions.len(), tokens.len(), "one token per position");
        let mut past = Past::new(self, variant);
        let mut coder = Encoder::default();
        for (&position, &token) in positions.iter().zip(tokens) {
            let total = past.weigh(position);
            let below: u32 = past.weights[..usize::from(token)].iter().sum();
            coder.code(below, past.weights[usize::from(token)], total);
            past.saw(position, token);
        }
        coder.finish()
    }

    /// The tokens at these positions; `None` for bytes that no [`encode`](Self::encode) gives in that length. Never more work
    /// than the positions ask for.
    ///
    /// # Panics
    /// When a position is outside the packet.
    #[must_use]
    pub fn decode(&self, variant: Variant, positions: &[u16], bytes: &[u8]) -> Option<Vec<u16>> {
        let mut past = Past::new(self, variant);
        let mut coder = Decoder::new(bytes);
        let mut tokens = Vec::with_capacity(positions.len());
        for &position in positions {
            let total = past.weigh(position);
            let wanted = coder.next(total);
            let (mut token, mut below) = (0, 0);
            while below + past.weights[token] <= wanted {
                below += past.weights[token];
                token += 1;
            }
            coder.take(below, past.weights[token]);
            past.saw(position, token as u16);
            tokens.push(token as u16);
        }
        (bytes.len() <= coder.read).then_some(tokens)
    }
}

/// The tokens of a packet so far, and what they say about the next.
struct Past<'a> {
    model: &'a Model,
    columns: usize,
    /// By position.
    tokens: Vec<Option<u16>>,
    /// Likeness of every code, summed up over the tokens.
    alike: Vec<u32>,
    /// How often each code was there.
    same: Vec<u32>,
    seen: u32,
    /// Of every code for the next token.
    weights: Vec<u32>,
}

impl<'a> Past<'a> {
    fn new(model: &'a Model, variant: Variant) -> Self {
        Self {
            model,
            columns: usize::from(variant.columns()) / 2,
            tokens: vec![None; usize::from(variant.tokens_per_packet())],
            alike: vec![0; model.codes],
            same: vec![0; model.codes],
            seen: 0,
            weights: vec![0; model.codes],
        }
    }

    /// Weighs every code for the token at a position; the sum of the weights, below 2^17.
    fn weigh(&mut self, position: u16) -> u32 {
        let (place, columns) = (usize::from(position), self.columns);
        let (column, below_top) = (place % columns, place >= columns);
        let at = |there: bool, back: usize| if there { self.tokens[place - back] } else { None };
        let near = [
            (at(column > 0, 1), BESIDE),
            (at(below_top, columns), BESIDE),
            (at(below_top && column > 0, columns + 1), ACROSS),
            (at(below_top && column + 1 < columns, columns - 1), ACROSS),
        ];
        // Never zero: any token can be coded.
        self.weights.fill((ANY / self.model.codes as u32).max(1));
        if let Some(each) = (BEFORE.alike << 16).checked_div(self.seen) {
            let same = BEFORE.same / self.seen;
            for ((weight, &alike), &count) in self.weights.iter_mut().zip(&self.alike).zip(&self.same) {
                *weight += ((u64::from(alike) * u64::from(each)) >> 32) as u32 + same * count;
            }
        }
        for (token, share) in near.iter().filter_map(|(token, share)| Some(((*token)?, share))) {
            for (weight, &alike) in self.weights.iter_mut().zip(self.model.row(token)) {
                *weight += (u32::from(alike) * share.alike) >> 16;
            }
            self.weights[usize::from(token)] += share.same;
        }
        self.weights.iter().sum()
    }

    fn saw(&mut self, position: u16, token: u16) {
        self.tokens[usize::from(position)] = Some(token);
        for (sum, &alike) in self.alike.iter_mut().zip(self.model.row(token)) {
            *sum += u32::from(alike);
        }
        self.same[usize::from(token)] += 1;
        self.seen += 1;
    }
}

/// Below it a byte is moved out; the sum of weights stays far below.
const LEAST_RANGE: u32 = 1 << 24;

/// A range coder (Martin 1979) of 32 bits, whose carries go into the bytes that are out.
struct Encoder {
    bytes: Vec<u8>,
    low: u32,
    range: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { bytes: Vec::new(), low: 0, range: u32::MAX }
    }
}

impl Encoder {
    fn code(&mut self, below: u32, weight: u32, total: u32) {
        let each = self.range / total;
        self.add(each * below);
        self.range = each * weight;
        while self.range < LEAST_RANGE {
            self.bytes.push((self.low >> 24) as u8);
            self.low <<= 8;
            self.range <<= 8;
        }
    }

    fn add(&mut self, value: u32) {
        let (low, carry) = self.low.overflowing_add(value);
        self.low = low;
        if carry {
            for byte in self.bytes.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }

    /// As few bytes as say a number of the range; zeros at the end are left out, for a decoder reads them beyond it.
    fn finish(mut self) -> Vec<u8> {
        for zeros in [24, 16, 8, 0] {
            let lacks = self.low.wrapping_neg() & ((1u32 << zeros) - 1);
            if lacks < self.range {
                self.add(lacks);
                break;
            }
        }
        self.bytes.extend(self.low.to_be_bytes());
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

/// The other end of [`Encoder`].
struct Decoder<'a> {
    bytes: &'a [u8],
    /// Bytes that were asked for.
    read: usize,
    /// The number that was coded, from the beginning of the range.
    code: u32,
    range: u32,
    each: u32,
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { bytes, read: 0, code: 0, range: u32::MAX, each: 0 };
        (0..4).for_each(|_| decoder.shift());
        decoder
    }

    fn shift(&mut self) {
        self.code = self.code << 8 | u32::from(self.bytes.get(self.read).copied().unwrap_or(0));
        self.read += 1;
    }

    /// A number below `total` that lies in the next symbol.
    fn next(&mut self, total: u32) -> u32 {
        self.each = self.range / total;
        (self.code / self.each).min(total - 1)
    }

    fn take(&mut self, below: u32, weight: u32) {
        self.code = self.code.wrapping_sub(self.each * below);
        self.range = self.each * weight;
        while self.range < LEAST_RANGE {
            self.shift();
            self.range <<= 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Codes on a circle, 64 of two values.
    fn circle() -> Model {
        let at = |i: usize| {
            let (sine, cosine) = (i as f32 * std::f32::consts::TAU / 64.0).sin_cos();
            [8.0 * cosine, 8.0 * sine]
        };
        Model::new(&(0..64).flat_map(at).collect::<Vec<f32>>(), 2)
    }

    fn whole(variant: Variant) -> Vec<u16> {
        (0..variant.tokens_per_packet()).collect()
    }

    /// Three codes at distances 1, 4 and 1: exp(-1/3) = 0.7165, exp(-4/3) = 0.2636; the first row over its sum 1.9801.
    #[test]
    fn likeness_falls_with_the_distance() {
        let model = Model::new(&[0.0, 1.0, 2.0], 1);
        for (found, wanted) in model.row(0).iter().zip([1.0, 0.7165, 0.2636]) {
            assert!((f64::from(*found) / 65_535.0 - wanted / 1.9801).abs() < 0.01, "{found} {wanted}");
        }
        assert_eq!(model.row(1)[0], model.row(1)[2]);
        // Far away: not alike at all, without an overflow.
        assert_eq!(Model::new(&[0.0, 60_000.0], 1).alike, [65_535, 0, 0, 65_535]);
    }

    #[test]
    fn plain_areas_take_far_fewer_bits_and_noise_hardly_more() {
        let variant = Variant::new(32, 32, 64, 1).unwrap();
        let (model, positions) = (circle(), whole(variant));
        let plain: Vec<u16> = positions.iter().map(|p| 20 + p % 2).collect();
        let coded = model.encode(variant, &positions, &plain).len();
        assert!(coded < 256 * 6 / 8 / 2, "{coded} bytes");
        let mut random = link::SplitMix64::new(4);
        let noise: Vec<u16> = positions.iter().map(|_| (random.word() % 64) as u16).collect();
        let coded = model.encode(variant, &positions, &noise).len();
        // Every code keeps at least the share of any: at most log2(64 / 0.14) = 8.9 bits.
        assert!((192..=286).contains(&coded), "{coded} bytes");
    }

    #[test]
    fn a_carry_goes_through_all_bytes() {
        let mut coder = Encoder { bytes: vec![7, 255, 255], low: u32::MAX - 1, range: LEAST_RANGE };
        coder.add(2);
        assert_eq!((coder.bytes, coder.low), (vec![8, 0, 0], 0));
    }

    proptest! {
        #[test]
        fn what_is_coded_is_read(
            half in 1u16..=10, seed: u64, spread in 1u64..=64, kept in 1u16..=100, frame in 0u32..1 << 20
        ) {
            let variant = Variant::new(2 * half, 20, 64, 1).unwrap();
            let positions = crate::self_drop::kept_positions(frame, 1, variant.tokens_per_packet(), kept);
            let mut random = link::SplitMix64::new(seed);
            let tokens: Vec<u16> = positions.iter().map(|_| (random.word() % spread) as u16).collect();
            let model = circle();
            let bytes = model.encode(variant, &positions, &tokens);
            prop_assert_eq!(model.decode(variant, &positions, &bytes), Some(tokens));
            prop_assert!(bytes.last() != Some(&0));
            let longer = [&bytes[..], &[1; 500]].concat();
            prop_assert_eq!(model.decode(variant, &positions, &longer), None);
        }

        #[test]
        fn any_bytes_are_tokens_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..120), kept in 1u16..=64) {
            let variant = Variant::new(16, 16, 64, 1).unwrap();
            let positions = crate::self_drop::kept_positions(3, 2, 64, kept);
            if let Some(tokens) = circle().decode(variant, &positions, &bytes) {
                prop_assert!(tokens.len() == positions.len() && tokens.iter().all(|&t| t < 64));
            }
        }
    }
}
