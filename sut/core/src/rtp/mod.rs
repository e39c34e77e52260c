//! RTP (RFC 3550) and what rides on it, encode and decode side by side.
//!
//! | file | what |
//! |---|---|
//! | here | [`Header`], and sequence numbers without wrap-around |
//! | [`red`] | RED with one block (RFC 2198) |
//! | [`vp8`], [`vp9`] | payload descriptors (RFC 7741, RFC 9628) |
//! | [`rtcp`] | receiver reports and picture loss indications |

pub mod red;
pub mod rtcp;
pub mod vp8;
pub mod vp9;

/// Clock of video timestamps, ticks per second.
pub const VIDEO_CLOCK: u32 = 90_000;

/// The header of an RTP packet. Extensions and padding of others are skipped, never sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Last packet of a frame.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Sampling time, 1 / [`VIDEO_CLOCK`] s.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
    /// Contributing sources, at most 15.
    pub csrcs: Vec<u32>,
}

impl Header {
    /// A packet with this header.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let csrcs = &self.csrcs[..self.csrcs.len().min(15)];
        let mut out = Vec::with_capacity(12 + 4 * csrcs.len() + payload.len());
        out.extend([0x80 | csrcs.len() as u8, u8::from(self.marker) << 7 | self.payload_type & 0x7F]);
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend(csrcs.iter().flat_map(|c| c.to_be_bytes()));
        out.extend(payload);
        out
    }

    /// Header of a packet of which only the beginning may be there, and how long it is with its extension (which may be longer than
    /// what is there); `None` if it is no RTP packet.
    #[must_use]
    pub fn begin(packet: &[u8]) -> Option<(Header, usize)> {
        let (fixed, mut rest) = packet.split_first_chunk::<12>()?;
        if fixed[0] >> 6 != 2 || is_rtcp(packet) {
            return None;
        }
        let word = |b: &[u8; 4]| u32::from_be_bytes(*b);
        let mut csrcs = Vec::new();
        for _ in 0..fixed[0] & 15 {
            let (csrc, after) = rest.split_first_chunk::<4>()?;
            csrcs.push(word(csrc));
            rest = after;
        }
        let mut length = packet.len() - rest.len();
        if fixed[0] & 0x10 != 0 {
            let extension = rest.first_chunk::<4>()?;
            length += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        let header = Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            csrcs,
        };
        Some((header, length))
    }

    /// Header and payload of a packet; `None` if it is no RTP packet.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<(Header, &[u8])> {
        let (header, length) = Self::begin(packet)?;
        let mut rest = packet.get(length..)?;
        if packet[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?).filter(|_| padding > 0)?;
        }
        Some((header, rest))
    }
}

/// Whether a datagram on a shared port is RTCP (RFC 5761: packet types 192 to 223).
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.len() >= 2 && packet[0] >> 6 == 2 && (192..=223).contains(&packet[1])
}

/// Sequence numbers as a count that never wraps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    newest: Option<u64>,
}

impl Unwrapper {
    /// The count nearest to the newest one with these low 16 bits; the first is at least 65536.
    pub fn unwrap(&mut self, sequence: u16) -> u64 {
        let newest = self.newest.unwrap_or(1 << 16 | u64::from(sequence));
        let offset = i64::from(sequence.wrapping_sub(newest as u16).cast_signed());
        let number = newest.saturating_add_signed(offset);
        self.newest = Some(newest.max(number));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_round_and_foreign_ones_are_understood() {
        let header = Header {
            marker: true,
            payload_type: 96,
            sequence: 65_535,
            timestamp: 0x0102_0304,
            ssrc: 0xDEAD_BEEF,
            csrcs: vec![7, 8],
        };
        let packet = header.packet(b"abc");
        assert_eq!(packet[..4], [0x82, 0xE0, 0xFF, 0xFF]);
        assert_eq!(Header::parse(&packet), Some((header, &b"abc"[..])));
        // One word of extension, two bytes of padding.
        let foreign = [0xB0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 9, 8, 0, 2];
        let (parsed, payload) = Header::parse(&foreign).unwrap();
        assert_eq!((parsed.sequence, parsed.timestamp, parsed.ssrc, payload), (1, 2, 3, &[9, 8][..]));
        // Of a packet that is cut off the length of its header is still known.
        assert_eq!(Header::begin(&foreign[..17]), Some((parsed, 20)));
        for cut in 0..foreign.len() {
            let _ = Header::parse(&foreign[..cut]);
        }
        assert_eq!(Header::parse(&[0x80, 200, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]), None, "RTCP");
    }

    #[test]
    fn sequence_numbers_do_not_wrap() {
        let mut unwrapper = Unwrapper::default();
        let numbers: Vec<u64> = [65_534, 65_535, 1, 0, 65_533, 2].map(|s| unwrapper.unwrap(s)).to_vec();
        let base = 1 << 16;
        assert_eq!(numbers, [65_534, 65_535, 65_537, 65_536, 65_533, 65_538].map(|n| n + base));
    }
}
