//! Video frames to packets.

use super::code::{Code, MAX_DATA_STRIPES, MAX_PARITY_STRIPES};
use super::wire::{HEADER_BYTES, Header, MAX_FRAME_BYTES, TRAILER_BYTES, Trailer};
use super::{Config, Quality, Scheme};
use crate::fec::FecError;
use crate::fec::gf32::{BLOCK_BYTES, Block, WORDS, combine};
use std::collections::VecDeque;

/// Most bytes of a video frame: 16 FEC frames.
pub const MAX_VIDEO_BYTES: usize = 16 * (MAX_FRAME_BYTES - TRAILER_BYTES);

/// The sending half.
#[derive(Clone, Debug)]
pub struct Encoder {
    config: Config,
    code: Code,
    /// FEC frames t-tau..t: bytes and data stripes.
    window: VecDeque<(u16, Vec<Block>)>,
    /// Parity stripes that the next tau frames will carry, oldest first: the streaming code's amounts, which were settled when
    /// the frames that they protect were encoded. Nothing is protected before the first frame, so they begin with zeros.
    amounts: VecDeque<usize>,
    next_frame: u64,
    next_sequence: u32,
}

impl Encoder {
    /// An encoder at FEC frame 0.
    ///
    /// # Errors
    /// [`FecError::Parameter`] if tau or the packet size is out of bounds.
    pub fn new(config: Config) -> Result<Self, FecError> {
        Encoder::starting_at(config, 0)
    }

    /// An encoder whose first FEC frame has number `frame` (tests of long calls).
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn starting_at(config: Config, frame: u64) -> Result<Self, FecError> {
        let config = config.check()?;
        let code = Code::new(config.scheme, config.tau);
        let ahead = if config.scheme == Scheme::Streaming { config.tau as usize } else { 0 };
        Ok(Encoder {
            config,
            code,
            window: VecDeque::new(),
            amounts: VecDeque::from(vec![0; ahead]),
            next_frame: frame,
            next_sequence: 0,
        })
    }

    /// Number of the next FEC frame.
    #[must_use]
    pub fn next_frame(&self) -> u64 {
        self.next_frame
    }

    /// The packets of one video frame, in sending order. A frame of more than 16 377 bytes is split into
    /// several FEC frames of about one size.
    ///
    /// # Errors
    /// [`FecError::TooLarge`] above 262 032 bytes; nothing is sent then and nothing has changed.
    pub fn encode(
        &mut self,
        video_frame: u32,
        key: bool,
        bytes: &[u8],
        quality: Quality,
    ) -> Result<Vec<Vec<u8>>, FecError> {
        if bytes.len() > MAX_VIDEO_BYTES {
            return Err(FecError::TooLarge { bytes: bytes.len(), most: MAX_VIDEO_BYTES });
        }
        let parts = bytes.len().div_ceil(MAX_FRAME_BYTES - TRAILER_BYTES).max(1);
        let share = bytes.len().div_ceil(parts).max(1);
        let mut packets = Vec::new();
        for part in 0..parts {
            let from = (part * share).min(bytes.len());
            let mut frame = bytes[from..((part + 1) * share).min(bytes.len())].to_vec();
            let trailer = Trailer { key, part: part as u8, parts: parts as u8, video_frame };
            frame.extend(trailer.to_bytes());
            self.encode_fec_frame(&frame, quality, &mut packets);
        }
        Ok(packets)
    }

    fn encode_fec_frame(&mut self, frame: &[u8], quality: Quality, packets: &mut Vec<Vec<u8>>) {
        let t = self.next_frame;
        self.next_frame += 1;
        self.window.push_back((frame.len() as u16, to_stripes(frame)));
        if self.window.len() as u64 > self.config.tau + 1 {
            self.window.pop_front();
        }
        let data = self.window.len() - 1;
        let data_stripes = self.window[data].1.len();
        let amount = self.parity_stripes(t, quality);
        let parity: Vec<Block> = (0..amount).map(|row| self.parity_stripe(t, row)).collect();
        // No more than there are: the option may be any number.
        let group = (1..=self.config.stripes_per_packet.min(data_stripes))
            .rev()
            .find(|g| data_stripes.is_multiple_of(*g) && parity.len().is_multiple_of(*g))
            .unwrap_or(1);
        let mut sizes = [0; 4];
        for (size, (bytes, _)) in sizes.iter_mut().zip(self.window.iter().rev()) {
            *size = *bytes;
        }
        let mut position = 0;
        for (is_parity, stripes) in [(false, &self.window[data].1), (true, &parity)] {
            for (i, packet) in stripes.chunks(group).enumerate() {
                let header = Header {
                    sequence: self.next_sequence,
                    parity: is_parity,
                    frame: (t & 0x7FFF) as u16,
                    sizes,
                    position,
                    first_stripe: (i * group) as u16,
                };
                let mut bytes = Vec::with_capacity(HEADER_BYTES + packet.len() * BLOCK_BYTES);
                bytes.extend(header.to_bytes());
                packet.iter().for_each(|block| bytes.extend(bytes_of(block)));
                packets.push(bytes);
                position += 1;
                self.next_sequence = self.next_sequence.wrapping_add(1);
            }
        }
    }

    /// How many parity stripes frame `t` carries. The streaming code's amount is that of the frame tau before it, whose u stripes
    /// only this parity can give back, at the quality that was asked for then; the first tau frames have none such and carry
    /// nothing, as in the published program (`StreamingCodePacketization`).
    fn parity_stripes(&mut self, t: u64, quality: Quality) -> usize {
        let newest = self.window.len() - 1;
        let data = |i: usize| self.window[i].1.len();
        match self.config.scheme {
            Scheme::Streaming => {
                self.amounts.push_back(quality.parity_of(data(newest)).min(MAX_DATA_STRIPES / 2));
                self.amounts.pop_front().unwrap_or(0)
            }
            Scheme::PerFrame => quality.parity_of(data(newest)).min(MAX_DATA_STRIPES / 2),
            Scheme::PerBlock if self.code.rule.first_covered(t).is_some() => {
                quality.parity_of((0..=newest).map(data).sum()).min(MAX_PARITY_STRIPES)
            }
            Scheme::PerBlock => 0,
        }
    }

    fn parity_stripe(&self, t: u64, row: usize) -> Block {
        let oldest = t + 1 - self.window.len() as u64;
        let first = self.code.rule.first_covered(t).unwrap_or(t).max(oldest);
        let coefficients = self.code.row(t, row);
        let mut terms = Vec::with_capacity(coefficients.len());
        for f in first..=t {
            let base = (f + self.config.tau - t) as usize * MAX_DATA_STRIPES;
            let stripes = self.window[(f - oldest) as usize].1.iter().enumerate();
            let covered = stripes.filter(|(c, _)| self.code.rule.covers(t, f, *c));
            terms.extend(covered.map(|(c, stripe)| (coefficients[base + c], stripe)));
        }
        let mut sum = [0; WORDS];
        combine(&terms, &mut sum);
        sum
    }
}

/// The stripes of a FEC frame; the last is filled with zeros.
fn to_stripes(frame: &[u8]) -> Vec<Block> {
    frame.chunks(BLOCK_BYTES).map(block_of).collect()
}

/// Little-endian words of up to 256 bytes, zeros after them.
pub(super) fn block_of(bytes: &[u8]) -> Block {
    let mut whole = [0; BLOCK_BYTES];
    whole[..bytes.len()].copy_from_slice(bytes);
    let (words, _) = whole.as_chunks();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}

/// The 256 bytes of a block.
pub(super) fn bytes_of(block: &Block) -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    for (four, word) in bytes.as_chunks_mut().0.iter_mut().zip(block) {
        *four = word.to_le_bytes();
    }
    bytes
}
