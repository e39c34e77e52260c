//! Ringmaster's datagrams (github.com/microsoft/ringmaster, `protocol.hh`), big-endian; Tambur's program adds two messages.
//!
//! ```text
//! datagram   frame u32 | type u8: 1 key, 2 other | fragment u16 | fragments u16 | sent u64, microseconds | payload      17 + n bytes
//! ```
//!
//! | receiver to sender, bytes | message |
//! |---|---|
//! | `1`, frame u32, fragment u16, sent u64 | a datagram arrived; `sent` as it stood in it, for the round-trip time |
//! | `3`, report u8 | Tambur: quality report 0, 1 or 2 |
//! | `4`, frame u32 | Tambur: the frame is complete; said once |
//!
//! Message 2 asks for size, rate and frames per second before the call; here both ends know them. With Tambur the payload is a packet
//! of [`crate::fec::streaming`].

use crate::fec::streaming::Quality;
use link::Timestamp;

/// Bytes of a datagram's header.
pub const HEADER_BYTES: usize = 17;
/// Most payload bytes of a datagram: an IP packet of 1500 bytes.
pub const MAX_PAYLOAD: usize = 1500 - 28 - HEADER_BYTES;

/// The header of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Video frame.
    pub frame: u32,
    /// It can be decoded alone.
    pub key: bool,
    /// Which datagram of the frame, from 0.
    pub fragment: u16,
    /// Datagrams of the frame.
    pub fragments: u16,
    /// When it was sent, microseconds.
    pub sent_us: u64,
}

impl Header {
    /// A datagram.
    #[must_use]
    pub fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
        out.extend(self.frame.to_be_bytes());
        out.push(if self.key { 1 } else { 2 });
        out.extend(self.fragment.to_be_bytes());
        out.extend(self.fragments.to_be_bytes());
        out.extend(self.sent_us.to_be_bytes());
        out.extend(payload);
        out
    }

    /// Header and payload; `None` if it is no datagram of a frame.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<(Header, &[u8])> {
        let (header, payload) = datagram.split_at_checked(HEADER_BYTES)?;
        let u16_at = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
        let parsed = Header {
            frame: u32::from_be_bytes([header[0], header[1], header[2], header[3]]),
            key: header[4] == 1,
            fragment: u16_at(5),
            fragments: u16_at(7),
            sent_us: u64_at(header, 9),
        };
        let sane = matches!(header[4], 1 | 2) && parsed.fragment < parsed.fragments && !payload.is_empty();
        sane.then_some((parsed, payload))
    }
}

/// A message of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A datagram arrived.
    Ack {
        /// Its video frame.
        frame: u32,
        /// Its number in the frame.
        fragment: u16,
        /// What it said of when it was sent.
        sent_us: u64,
    },
    /// How much parity the receiver wants.
    Report(Quality),
    /// This video frame is complete.
    Complete(u32),
}

impl Message {
    /// The acknowledgement of a datagram.
    #[must_use]
    pub fn ack(header: &Header) -> Self {
        Message::Ack { frame: header.frame, fragment: header.fragment, sent_us: header.sent_us }
    }

    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match *self {
            Message::Ack { frame, fragment, sent_us } => {
                [&[1][..], &frame.to_be_bytes(), &fragment.to_be_bytes(), &sent_us.to_be_bytes()].concat()
            }
            Message::Report(quality) => vec![3, quality as u8],
            Message::Complete(frame) => [&[4][..], &frame.to_be_bytes()].concat(),
        }
    }

    /// Reads a message; `None` if it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Message> {
        let frame = |f: &[u8]| u32::from_be_bytes([f[0], f[1], f[2], f[3]]);
        match bytes {
            [1, rest @ ..] if rest.len() == 14 => Some(Message::Ack {
                frame: frame(rest),
                fragment: u16::from_be_bytes([rest[4], rest[5]]),
                sent_us: u64_at(rest, 6),
            }),
            [3, quality] => Quality::from_byte(*quality).map(Message::Report),
            [4, rest @ ..] if rest.len() == 4 => Some(Message::Complete(frame(rest))),
            _ => None,
        }
    }

    /// The video frame it is about.
    #[must_use]
    pub fn frame(&self) -> Option<u32> {
        match *self {
            Message::Ack { frame, .. } | Message::Complete(frame) => Some(frame),
            Message::Report(_) => None,
        }
    }
}

/// A time of the run as it stands in datagrams.
#[must_use]
pub fn micros(t: Timestamp) -> u64 {
    t.as_nanos() / 1000
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout of `Datagram::serialize_to_string` and `AckMsg::serialize_to_string` in Ringmaster's `protocol.cc`.
    #[test]
    fn datagrams_and_acknowledgements_are_ringmasters() {
        let header = Header {
            frame: 0x0102_0304,
            key: true,
            fragment: 5,
            fragments: 0x0607,
            sent_us: 0x1122_3344_5566_7788,
        };
        let datagram = header.datagram(b"x");
        let wanted = [1, 2, 3, 4, 1, 0, 5, 6, 7, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, b'x'];
        assert_eq!(datagram, wanted);
        assert_eq!(Header::parse(&datagram), Some((header, &b"x"[..])));
        let ack = Message::ack(&header).encode();
        assert_eq!(ack, [1, 1, 2, 3, 4, 0, 5, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
        assert_eq!(MAX_PAYLOAD, 1455);
        let other = Header { key: false, ..header };
        assert_eq!(other.datagram(b"x")[4], 2);
    }

    #[test]
    fn messages_go_round_and_garbage_is_none() {
        for message in [
            Message::Report(Quality::None),
            Message::Report(Quality::Quarter),
            Message::Complete(0x0102_0304),
            Message::Ack { frame: 7, fragment: 3, sent_us: u64::MAX },
        ] {
            assert_eq!(Message::parse(&message.encode()), Some(message));
        }
        assert_eq!(Message::Report(Quality::Half).encode(), [3, 1]);
        for bad in
            [&[][..], &[3][..], &[3, 3][..], &[4, 0, 0, 0][..], &[5, 0][..], &[1; 14][..], &[1; 16][..]]
        {
            assert_eq!(Message::parse(bad), None);
        }
        let header = Header { frame: 1, key: false, fragment: 1, fragments: 2, sent_us: 0 };
        let good = header.datagram(b"payload");
        assert!(Header::parse(&good).is_some());
        for (at, value) in [(4, 0), (4, 3), (6, 2)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Header::parse(&bad), None, "byte {at} is {value}");
        }
        assert_eq!(Header::parse(&good[..17]), None, "nothing in it");
    }
}
