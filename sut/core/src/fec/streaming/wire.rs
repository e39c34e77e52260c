//! The 18-byte FEC header and the 6-byte trailer of a FEC frame, big-endian.
//!
//! ```text
//! sequence u32 | parity bit, frame 15 bits | sizes 4 x u16 | position u16 | first stripe u16 | stripes
//! ```
//! `frame` is the low 15 bits of a 64-bit count. The published program stops with an error after 32 767 FEC
//! frames (18 minutes at 30 per second); here the receiver takes the count nearest to the newest one it knows,
//! so the header keeps its size and a call may last. `sizes` are the bytes of frames t, t-1, t-2, t-3 (0 before
//! the first): the published header protects sizes by a GF(2^8) code over the window in the same 64 bits; four
//! frames of at most 16 383 bytes fit as they are, and then any packet gives all of them.

use super::code::MAX_DATA_STRIPES;
use crate::fec::gf32::BLOCK_BYTES;

/// Bytes of the FEC header.
pub const HEADER_BYTES: usize = 18;
/// Bytes of the trailer of every FEC frame.
pub const TRAILER_BYTES: usize = 6;
/// Most bytes of a FEC frame, trailer included.
pub const MAX_FRAME_BYTES: usize = BLOCK_BYTES * MAX_DATA_STRIPES - 1;

/// The header of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Counts packets.
    pub sequence: u32,
    /// Parity stripes follow (else data stripes).
    pub parity: bool,
    /// Low 15 bits of the FEC frame's number.
    pub frame: u16,
    /// Bytes of this FEC frame and the three before, newest first; 0 where there is none.
    pub sizes: [u16; 4],
    /// Which packet of the frame, from 0; data packets come first.
    pub position: u16,
    /// First stripe in it, counted among the data or among the parity stripes.
    pub first_stripe: u16,
}

impl Header {
    /// Header bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..6].copy_from_slice(&(u16::from(self.parity) << 15 | self.frame & 0x7FFF).to_be_bytes());
        for (i, size) in self.sizes.iter().enumerate() {
            out[6 + 2 * i..8 + 2 * i].copy_from_slice(&size.to_be_bytes());
        }
        out[14..16].copy_from_slice(&self.position.to_be_bytes());
        out[16..].copy_from_slice(&self.first_stripe.to_be_bytes());
        out
    }

    /// Header and stripes of a packet; `None` if it is none.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<(Header, &[u8])> {
        let (header, stripes) = packet.split_at_checked(HEADER_BYTES)?;
        let u16_at = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
        let word = u16_at(4);
        let parsed = Header {
            sequence: u32::from_be_bytes([header[0], header[1], header[2], header[3]]),
            parity: word >> 15 == 1,
            frame: word & 0x7FFF,
            sizes: [u16_at(6), u16_at(8), u16_at(10), u16_at(12)],
            position: u16_at(14),
            first_stripe: u16_at(16),
        };
        let sane = !stripes.is_empty()
            && stripes.len().is_multiple_of(BLOCK_BYTES)
            && parsed.sizes[0] > 0
            && parsed.sizes.iter().all(|&s| usize::from(s) <= MAX_FRAME_BYTES);
        sane.then_some((parsed, stripes))
    }
}

/// What ends every FEC frame: which part of which video frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The video frame can be decoded alone.
    pub key: bool,
    /// Part of the video frame, from 0 to 15.
    pub part: u8,
    /// Parts of the video frame, 1 to 16.
    pub parts: u8,
    /// The video frame.
    pub video_frame: u32,
}

impl Trailer {
    /// Type (1 key, 2 other), part and parts in one byte, video frame.
    #[must_use]
    pub fn to_bytes(self) -> [u8; TRAILER_BYTES] {
        let frame = self.video_frame.to_be_bytes();
        let kind = if self.key { 1 } else { 2 };
        [kind, self.part << 4 | (self.parts.wrapping_sub(1) & 15), frame[0], frame[1], frame[2], frame[3]]
    }

    /// Payload and trailer of a FEC frame; `None` if it is none.
    #[must_use]
    pub fn split(frame: &[u8]) -> Option<(&[u8], Trailer)> {
        let (payload, t) = frame.split_at_checked(frame.len().checked_sub(TRAILER_BYTES)?)?;
        let trailer = Trailer {
            key: t[0] == 1,
            part: t[1] >> 4,
            parts: (t[1] & 15) + 1,
            video_frame: u32::from_be_bytes([t[2], t[3], t[4], t[5]]),
        };
        ((t[0] == 1 || t[0] == 2) && trailer.part < trailer.parts).then_some((payload, trailer))
    }
}

/// The 64-bit number nearest to `newest` whose low 15 bits are `low`.
pub(super) fn unwrap_frame(low: u16, newest: u64) -> u64 {
    let (period, half) = (1u64 << 15, 1u64 << 14);
    let candidate = newest & !(period - 1) | u64::from(low & 0x7FFF);
    if candidate + half < newest {
        candidate + period
    } else if candidate > newest + half && candidate >= period {
        candidate - period
    } else {
        candidate
    }
}
