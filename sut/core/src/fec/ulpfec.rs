//! ULPFEC (RFC 5109), one level of protection over whole packets.
//!
//! ```text
//! E L P X CC | M PT | SN base        FEC header, 10 bytes
//! TS recovery
//! length recovery    | protection length, mask 16 or 48 bits | exclusive-or
//! ```
//! Repair packets travel in RED (RFC 2198), with the media's SSRC and in its sequence space; see
//! [`crate::rtp::red`]. Media packets go in as they are *before* RED.

use super::FecError;
use super::xor::{Recovery, Repair, protect as combine};

/// Most media packets one repair packet can cover.
pub const MAX_MEDIA: usize = 48;

const FEC_HEADER: usize = 10;
/// Most bytes before the exclusive-or: header, protection length, long mask.
pub const MAX_OVERHEAD: usize = FEC_HEADER + 2 + 6;

/// Payloads of `repair` repair packets over `media` (see [`super::xor::protect`]); at most 48 packets that span at
/// most 48 sequence numbers, else none.
#[must_use]
pub fn protect(media: &[Vec<u8>], repair: usize) -> Vec<Vec<u8>> {
    combine(media, repair, MAX_MEDIA as u16).iter().map(encode).collect()
}

/// The payload of a repair packet.
#[must_use]
pub fn encode(repair: &Repair) -> Vec<u8> {
    let Recovery { flags, length, timestamp, body } = &repair.recovery;
    let long = repair.mask >> 16 != 0;
    let mut out = Vec::with_capacity(FEC_HEADER + 8 + body.len());
    out.extend([u8::from(long) << 6 | flags[0] & 0x3F, flags[1]]);
    out.extend(repair.base.to_be_bytes());
    out.extend(timestamp.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend((body.len() as u16).to_be_bytes());
    // Bit 0 of the mask is the first on the wire.
    let mask = (repair.mask as u64).reverse_bits().to_be_bytes();
    out.extend(&mask[..if long { 6 } else { 2 }]);
    out.extend(body);
    out
}

/// Reads a repair packet's payload. Further levels, which protect only parts of packets, are not used.
///
/// # Errors
/// [`FecError::Malformed`] if it is none.
pub fn parse(ssrc: u32, payload: &[u8]) -> Result<Repair, FecError> {
    let malformed = FecError::Malformed("not a ULPFEC packet");
    let Some((header, rest)) = payload.split_first_chunk::<FEC_HEADER>() else { return Err(malformed) };
    if header[0] & 0x80 != 0 {
        return Err(FecError::Malformed("the extension bit of ULPFEC is reserved"));
    }
    let mask_bytes = if header[0] & 0x40 != 0 { 6 } else { 2 };
    let Some((level, body)) = rest.split_at_checked(2 + mask_bytes) else { return Err(malformed) };
    let protection = usize::from(u16::from_be_bytes([level[0], level[1]]));
    let Some(body) = body.get(..protection) else { return Err(malformed) };
    let mut mask = [0; 8];
    mask[..mask_bytes].copy_from_slice(&level[2..]);
    Ok(Repair {
        ssrc,
        base: u16::from_be_bytes([header[2], header[3]]),
        mask: u128::from(u64::from_be_bytes(mask).reverse_bits()),
        recovery: Recovery {
            flags: [header[0] & 0x3F, header[1]],
            length: u16::from_be_bytes([header[8], header[9]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            body: body.to_vec(),
        },
    })
}
