//! Reparo on the wire: a grid of tokens in four packets.
//!
//! ```text
//!   0                   1                   2                   3
//!  |        frame number (20)              |pkt|    tokens (10)    | tokens, `bits` each, MSB first ...
//! ```
//!
//! Token (row i, column j) travels in packet `2 (i mod 2) + (j mod 2)`, so that a lost packet never takes
//! two tokens that touch along an edge. Inside a packet the tokens lie in raster order; the size field counts
//! the tokens in the payload (1024 is written as 0) and thereby says how many [self-drop](crate::self_drop)
//! left out. The last byte is padded with zero bits.

use crate::self_drop::kept_positions;
use link::Bitrate;
use serde::{Deserialize, Serialize};

/// Packets per frame.
pub const PACKETS: u8 = 4;
/// Bytes before the tokens.
pub const HEADER_BYTES: usize = 4;
/// Frame numbers on the wire are counted modulo this.
pub const FRAME_MODULUS: u32 = 1 << 20;

/// What the ends agree on before the first frame: the size of the grid and of the codebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawVariant", into = "RawVariant")]
pub struct Variant {
    columns: u16,
    rows: u16,
    codes: u32,
    frames: u8,
}

/// A [`Variant`] as it is written down.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariant {
    columns: u16,
    rows: u16,
    codes: u32,
    frames: u8,
}

/// Why there is no such variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariantError {
    /// Rows and columns must be even and give 1 to 1024 tokens per packet.
    #[error("a grid of {0}x{1} tokens does not divide into four packets of 1 to 1024 tokens")]
    Grid(u16, u16),
    /// 2 to 65536 codes.
    #[error("{0} codes are not between 2 and 65536")]
    Codes(u32),
    /// At least one frame per grid.
    #[error("a grid must stand for at least one frame")]
    Frames,
}

impl Variant {
    /// The paper's main setting: 32x32 tokens of 1024 codes for every frame.
    pub const STANDARD: Variant = Variant { columns: 32, rows: 32, codes: 1024, frames: 1 };

    /// A grid of `columns x rows` tokens out of `codes` for every `frames` captured frames.
    ///
    /// # Errors
    /// See [`VariantError`].
    pub fn new(columns: u16, rows: u16, codes: u32, frames: u8) -> Result<Self, VariantError> {
        let tokens = u32::from(columns) * u32::from(rows);
        if columns % 2 == 1 || rows % 2 == 1 || !(4..=4096).contains(&tokens) {
            return Err(VariantError::Grid(columns, rows));
        }
        if !(2..=65536).contains(&codes) {
            return Err(VariantError::Codes(codes));
        }
        if frames == 0 {
            return Err(VariantError::Frames);
        }
        Ok(Self { columns, rows, codes, frames })
    }

    /// Tokens per row.
    #[must_use]
    pub fn columns(self) -> u16 {
        self.columns
    }

    /// Rows of tokens.
    #[must_use]
    pub fn rows(self) -> u16 {
        self.rows
    }

    /// Size of the codebook.
    #[must_use]
    pub fn codes(self) -> u32 {
        self.codes
    }

    /// Captured frames that one grid stands for.
    #[must_use]
    pub fn frames(self) -> u8 {
        self.frames
    }

    /// Tokens of a grid.
    #[must_use]
    pub fn tokens(self) -> usize {
        usize::from(self.columns) * usize::from(self.rows)
    }

    /// Tokens of a packet before self-drop.
    #[must_use]
    pub fn tokens_per_packet(self) -> u16 {
        (self.tokens() / usize::from(PACKETS)) as u16
    }

    /// Bits of a token.
    #[must_use]
    pub fn bits(self) -> u32 {
        32 - (self.codes - 1).leading_zeros()
    }

    /// Bytes of a packet with `kept` tokens, header included.
    #[must_use]
    pub fn packet_bytes(self, kept: u16) -> usize {
        HEADER_BYTES + (u32::from(kept) * self.bits()).div_ceil(8) as usize
    }

    /// Bitrate at `fps` captured frames a second and `kept` tokens per packet, with the 4-byte headers and
    /// without IP and UDP, as the paper counts.
    #[must_use]
    pub fn bitrate(self, kept: u16, fps: u32) -> Bitrate {
        let grid = self.packet_bytes(kept) as u64 * u64::from(PACKETS) * 8;
        Bitrate(grid * u64::from(fps) / u64::from(self.frames))
    }

    /// Tokens per packet that self-drop leaves at a drop rate of `permille` thousandths, rounded to the nearest.
    #[must_use]
    pub fn kept_at(self, permille: u16) -> u16 {
        let n = u32::from(self.tokens_per_packet());
        ((n * (1000 - u32::from(permille.min(1000))) + 500) / 1000) as u16
    }

    /// The most tokens per packet whose bitrate stays at or below `target`. Self-drop stops at one half
    /// (the paper's limit): below that rate only another variant helps, and `reached` is false.
    #[must_use]
    pub fn fit(self, target: Bitrate, fps: u32) -> Fit {
        let full = self.tokens_per_packet();
        let half = full.div_ceil(2);
        let kept = (half..=full).rev().find(|&kept| self.bitrate(kept, fps) <= target);
        let kept_or_half = kept.unwrap_or(half);
        Fit { kept: kept_or_half, bitrate: self.bitrate(kept_or_half, fps), reached: kept.is_some() }
    }

    /// Row and column of the `index`-th token of packet `packet`.
    #[must_use]
    pub fn place(self, packet: u8, index: u16) -> (u16, u16) {
        let per_row = self.columns / 2;
        let (row, column) = (index / per_row, index % per_row);
        (2 * row + u16::from(packet >> 1 & 1), 2 * column + u16::from(packet & 1))
    }

    /// Index in the grid (raster order) of the `index`-th token of packet `packet`.
    #[must_use]
    pub fn raster(self, packet: u8, index: u16) -> usize {
        let (row, column) = self.place(packet, index);
        usize::from(row) * usize::from(self.columns) + usize::from(column)
    }

    /// Which tokens of grid number `frame`, in raster order, travel when each packet has `kept` of them.
    #[must_use]
    pub fn sent(self, frame: u32, kept: u16) -> Vec<bool> {
        let (full, mut sent) = (self.tokens_per_packet(), vec![false; self.tokens()]);
        for packet in 0..PACKETS {
            for position in kept_positions(frame % FRAME_MODULUS, packet, full, kept.clamp(1, full)) {
                sent[self.raster(packet, position)] = true;
            }
        }
        sent
    }
}

impl TryFrom<RawVariant> for Variant {
    type Error = VariantError;
    fn try_from(raw: RawVariant) -> Result<Self, VariantError> {
        Self::new(raw.columns, raw.rows, raw.codes, raw.frames)
    }
}

impl From<Variant> for RawVariant {
    fn from(v: Variant) -> Self {
        Self { columns: v.columns, rows: v.rows, codes: v.codes, frames: v.frames }
    }
}

/// What a bitrate target comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Tokens per packet.
    pub kept: u16,
    /// Bitrate at that.
    pub bitrate: Bitrate,
    /// False when even half of the tokens exceed the target.
    pub reached: bool,
}

/// Packet of the token at `row`, `column`.
#[must_use]
pub fn packet_of(row: u16, column: u16) -> u8 {
    (2 * (row % 2) + column % 2) as u8
}

/// One packet, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Frame number modulo [`FRAME_MODULUS`].
    pub frame: u32,
    /// 0 to 3.
    pub packet: u8,
    /// Positions inside the packet before self-drop, sorted.
    pub positions: Vec<u16>,
    /// The token at each position.
    pub tokens: Vec<u16>,
}

/// Why a datagram is no packet of this variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than a header.
    #[error("{0} bytes are no packet")]
    Short(usize),
    /// More tokens than the variant's packets have, or none.
    #[error("{0} tokens in a packet of at most {1}")]
    Tokens(u16, u16),
    /// The length is not what the token count says.
    #[error("{found} bytes where {wanted} were announced")]
    Length {
        /// Bytes there.
        found: usize,
        /// Bytes the header asks for.
        wanted: usize,
    },
    /// A variant that the session does not have.
    #[error("variant {0}, which this session does not have")]
    Variant(u8),
    /// A token outside the codebook.
    #[error("token {0} is outside the codebook")]
    Token(u16),
    /// A shorter payload than of plain tokens that is none of coded ones.
    #[error("{0} bytes of coded tokens are too many")]
    Coded(usize),
    /// Padding bits that are not zero.
    #[error("the padding is not zero")]
    Padding,
}

/// The four packets of grid number `frame` (any number; its lower 20 bits travel), `kept` tokens in each.
///
/// # Panics
/// When `tokens` is not a grid of `variant` with tokens inside its codebook.
#[must_use]
pub fn packetize(variant: Variant, frame: u32, tokens: &[u16], kept: u16) -> [Vec<u8>; PACKETS as usize] {
    assert_eq!(tokens.len(), variant.tokens(), "a whole grid");
    let frame = frame % FRAME_MODULUS;
    let kept = kept.clamp(1, variant.tokens_per_packet());
    [0, 1, 2, 3].map(|packet| {
        let mut bytes = Vec::with_capacity(variant.packet_bytes(kept));
        let header = frame << 12 | u32::from(packet) << 10 | u32::from(kept % 1024);
        bytes.extend_from_slice(&header.to_be_bytes());
        let (mut window, mut filled) = (0u64, 0);
        for position in kept_positions(frame, packet, variant.tokens_per_packet(), kept) {
            let token = tokens[variant.raster(packet, position)];
            assert!(u32::from(token) < variant.codes, "token {token} is outside the codebook");
            window = window << variant.bits() | u64::from(token);
            filled += variant.bits();
            while filled >= 8 {
                filled -= 8;
                bytes.push((window >> filled) as u8);
            }
        }
        if filled > 0 {
            bytes.push((window << (8 - filled)) as u8);
        }
        bytes
    })
}

impl Packet {
    /// Understands one datagram.
    ///
    /// # Errors
    /// See [`PacketError`]; nothing a network can do makes it panic.
    pub fn parse(variant: Variant, bytes: &[u8]) -> Result<Self, PacketError> {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(PacketError::Short(bytes.len()));
        };
        let header = u32::from_be_bytes(*header);
        let (frame, packet) = (header >> 12, (header >> 10 & 3) as u8);
        let full = variant.tokens_per_packet();
        let kept = match (header & 0x3ff) as u16 {
            0 if full == 1024 => 1024,
            kept => kept,
        };
        if kept == 0 || kept > full {
            return Err(PacketError::Tokens(kept, full));
        }
        let wanted = variant.packet_bytes(kept);
        if bytes.len() != wanted {
            return Err(PacketError::Length { found: bytes.len(), wanted });
        }
        let bits = variant.bits();
        let mut rest = payload.iter();
        let (mut window, mut filled) = (0u64, 0);
        let mut tokens = Vec::with_capacity(usize::from(kept));
        for _ in 0..kept {
            while filled < bits {
                // The length was checked: the bytes are there.
                window = window << 8 | u64::from(rest.next().copied().unwrap_or_default());
                filled += 8;
            }
            filled -= bits;
            let token = (window >> filled & ((1 << bits) - 1)) as u16;
            if u32::from(token) >= variant.codes {
                return Err(PacketError::Token(token));
            }
            tokens.push(token);
        }
        if window & ((1 << filled) - 1) != 0 {
            return Err(PacketError::Padding);
        }
        Ok(Self { frame, packet, positions: kept_positions(frame, packet, full, kept), tokens })
    }

    /// The 20-bit frame number of a datagram that is long enough to have one; the same place in every variant.
    #[must_use]
    pub fn frame_on_the_wire(bytes: &[u8]) -> Option<u32> {
        bytes.first_chunk::<HEADER_BYTES>().map(|header| u32::from_be_bytes(*header) >> 12)
    }

    /// Writes the tokens of this packet into a grid.
    ///
    /// # Panics
    /// When `grid` is not a grid of `variant`.
    pub fn place_into(&self, variant: Variant, grid: &mut [Option<u16>]) {
        assert_eq!(grid.len(), variant.tokens(), "a whole grid");
        for (&position, &token) in self.positions.iter().zip(&self.tokens) {
            grid[variant.raster(self.packet, position)] = Some(token);
        }
    }
}

/// The frame number nearest to `near` that travels as `wire`.
#[must_use]
pub fn unwrap_frame(wire: u32, near: u32) -> u32 {
    let ahead = wire.wrapping_sub(near) % FRAME_MODULUS;
    if ahead < FRAME_MODULUS / 2 {
        return near.wrapping_add(ahead);
    }
    // Behind `near`, unless that would be before the first frame.
    near.checked_sub(FRAME_MODULUS - ahead).unwrap_or_else(|| near.wrapping_add(ahead))
}

#[cfg(test)]
#[path = "reparo_tests.rs"]
mod tests;
