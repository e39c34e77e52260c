//! FlexFEC: the draft that browsers speak ([`Format::Draft03`], `video/flexfec-03`) and RFC 8627
//! ([`Format::Rfc8627`], flexible mask, retransmission bit off). The two do not understand each other.
//!
//! ```text
//! draft 03, 20 / 24 / 32 bytes               RFC 8627, 12 / 16 / 24 bytes
//! R F P X CC | M PT | length recovery         R F P X CC | M PT | length recovery
//! TS recovery                                 TS recovery
//! SSRC count = 1 | reserved                   SN base | k | mask 0-14
//! SSRC                                        k | mask 15-45
//! SN base | k | mask 0-14                     mask 46-109
//! k | mask 15-45
//! k | mask 46-108
//! ```
//! In the draft k = 1 ends the mask, in the RFC k = 1 says that another word follows; the RFC carries the SSRC of
//! the protected stream in the repair packet's list of contributing sources. Repair packets are a stream of
//! their own (own SSRC and sequence numbers).

use super::FecError;
use super::xor::{Recovery, Repair, protect as combine};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// draft-ietf-payload-flexible-fec-scheme-03.
    #[serde(rename = "draft03")]
    Draft03,
    /// RFC 8627.
    #[serde(rename = "rfc8627")]
    Rfc8627,
}

impl Format {
    /// Most bytes before the exclusive-or, the contributing source of [`Format::Rfc8627`] included.
    #[must_use]
    pub const fn max_overhead(self) -> usize {
        match self {
            Format::Draft03 => 32,
            Format::Rfc8627 => 24 + 4,
        }
    }
}

/// Most media packets one repair packet can cover.
pub const MAX_MEDIA: usize = 109;

/// Payloads of `repair` repair packets over `media` (see [`super::xor::protect`]); at most 109 packets that span
/// at most 109 sequence numbers, else none.
#[must_use]
pub fn protect(format: Format, media: &[Vec<u8>], repair: usize) -> Vec<Vec<u8>> {
    combine(media, repair, MAX_MEDIA as u16).iter().map(|r| encode(format, r)).collect()
}

/// The payload of a repair packet.
#[must_use]
pub fn encode(format: Format, repair: &Repair) -> Vec<u8> {
    let Recovery { flags, length, timestamp, body } = &repair.recovery;
    let mut out = Vec::with_capacity(32 + body.len());
    out.extend([flags[0] & 0x3F, flags[1]]);
    out.extend(length.to_be_bytes());
    out.extend(timestamp.to_be_bytes());
    if format == Format::Draft03 {
        out.extend([1, 0, 0, 0]);
        out.extend(repair.ssrc.to_be_bytes());
    }
    out.extend(repair.base.to_be_bytes());
    // Words with bit 0 of the mask first.
    let first = (repair.mask as u16 & 0x7FFF).reverse_bits() >> 1;
    let second = ((repair.mask >> 15) as u32 & 0x7FFF_FFFF).reverse_bits() >> 1;
    let third = ((repair.mask >> 46) as u64).reverse_bits();
    let words = 1 + usize::from(second != 0 || third != 0) + usize::from(third != 0);
    // The bit that says whether word `w` is the last.
    let k = |w: usize| match format {
        Format::Draft03 => w == words,
        Format::Rfc8627 => w < words,
    };
    out.extend((first | u16::from(k(1)) << 15).to_be_bytes());
    if words > 1 {
        out.extend((second | u32::from(k(2)) << 31).to_be_bytes());
    }
    if words > 2 {
        let third = match format {
            Format::Draft03 => third >> 1 | 1 << 63,
            Format::Rfc8627 => third,
        };
        out.extend(third.to_be_bytes());
    }
    out.extend(body);
    out
}

/// Reads a repair packet's payload. `ssrc` is the stream it must protect in [`Format::Rfc8627`] (its first
/// contributing source); [`Format::Draft03`] says so itself.
///
/// # Errors
/// [`FecError::Malformed`] if it is none, or a retransmission, or uses a fixed mask.
pub fn parse(format: Format, ssrc: u32, payload: &[u8]) -> Result<Repair, FecError> {
    let malformed = FecError::Malformed("not a FlexFEC packet");
    let Some((header, mut rest)) = payload.split_first_chunk::<8>() else { return Err(malformed) };
    if header[0] & 0xC0 != 0 {
        return Err(FecError::Malformed("FlexFEC retransmissions and fixed masks are not used here"));
    }
    let mut protected = ssrc;
    if format == Format::Draft03 {
        let Some((stream, after)) = rest.split_first_chunk::<8>() else { return Err(malformed) };
        if stream[0] != 1 {
            return Err(FecError::Malformed("FlexFEC over several streams is not used here"));
        }
        protected = u32::from_be_bytes([stream[4], stream[5], stream[6], stream[7]]);
        rest = after;
    }
    let Some((word, mut rest)) = rest.split_first_chunk::<4>() else { return Err(malformed) };
    let mask = u16::from_be_bytes([word[2], word[3]]);
    let more = |k: bool| (format == Format::Rfc8627) == k;
    let mut bits = u128::from((mask << 1).reverse_bits());
    if more(mask >> 15 == 1) {
        let Some((word, after)) = rest.split_first_chunk::<4>() else { return Err(malformed) };
        let mask = u32::from_be_bytes(*word);
        bits |= u128::from((mask << 1).reverse_bits()) << 15;
        rest = after;
        if more(mask >> 31 == 1) {
            let Some((word, after)) = rest.split_first_chunk::<8>() else { return Err(malformed) };
            let mask = u64::from_be_bytes(*word);
            if format == Format::Draft03 && mask >> 63 == 0 {
                return Err(FecError::Malformed("a FlexFEC mask without end"));
            }
            let mask = if format == Format::Draft03 { mask << 1 } else { mask };
            bits |= u128::from(mask.reverse_bits()) << 46;
            rest = after;
        }
    }
    if bits >> MAX_MEDIA != 0 {
        bits &= (1 << MAX_MEDIA) - 1; // RFC 8627 has one position more; no sender here uses it
    }
    Ok(Repair {
        ssrc: protected,
        base: u16::from_be_bytes([word[0], word[1]]),
        mask: bits,
        recovery: Recovery {
            flags: [header[0] & 0x3F, header[1]],
            length: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            body: rest.to_vec(),
        },
    })
}
