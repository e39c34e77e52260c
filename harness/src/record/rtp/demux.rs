//! What a packet of the ledger is, by its first bytes: IPv4 (RFC 791), UDP (RFC 768), and above it STUN, DTLS, RTP and RTCP on one port
//! (RFC 7983, RFC 5761).

use link::FateRecord;
use sut_core::rtp::is_rtcp;

/// A protocol above UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 8489: first byte 0 to 3, and the magic cookie.
    Stun,
    /// RFC 9147: first byte 20 to 63, and a version of DTLS.
    Dtls,
    /// RFC 6189: first byte 16 to 19, and its cookie.
    Zrtp,
    /// Data through a relay, RFC 8656: first byte 64 to 79.
    TurnChannel,
    /// RFC 3550; encrypted as RFC 3711 says or not: the first byte of a header is in clear.
    Rtcp,
    /// RFC 3550; encrypted as RFC 3711 says or not: the header is in clear.
    Rtp,
}

/// A UDP datagram of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Of the IPv4 packet.
    pub source: (u32, u16),
    /// Of the IPv4 packet.
    pub destination: (u32, u16),
    /// The beginning of what it carries; the ledger keeps the first bytes of a packet.
    pub payload: &'a [u8],
    /// Bytes that it carries.
    pub length: u32,
}

const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const ZRTP_COOKIE: [u8; 4] = *b"ZRTP";

impl Protocol {
    /// Of a datagram's payload; `None` if it is none of these.
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Protocol> {
        let at = |place: usize| payload.get(place..place + 4);
        match *payload.first()? {
            0..=3 if at(4) == Some(&STUN_COOKIE) => Some(Protocol::Stun),
            16..=19 if at(4) == Some(&ZRTP_COOKIE) => Some(Protocol::Zrtp),
            // Versions 1.0 and 1.2 in a record's header; 1.3 keeps 1.2's there, or has a unified header (001 in the top bits).
            20..=26 if matches!(payload.get(1..3), Some([0xFE, 0xFD | 0xFF])) => Some(Protocol::Dtls),
            32..=63 => Some(Protocol::Dtls),
            64..=79 => Some(Protocol::TurnChannel),
            128..=191 if is_rtcp(payload) => Some(Protocol::Rtcp),
            128..=191 if payload.len() >= 12 => Some(Protocol::Rtp),
            _ => None,
        }
    }

    /// In a word, as people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Stun => "STUN",
            Protocol::Dtls => "DTLS",
            Protocol::Zrtp => "ZRTP",
            Protocol::TurnChannel => "TURN channel",
            Protocol::Rtcp => "RTCP",
            Protocol::Rtp => "RTP",
        }
    }
}

impl<'a> Datagram<'a> {
    /// Of the first bytes of an IPv4 packet; `None` for anything but an unfragmented UDP datagram.
    #[must_use]
    pub fn of(packet: &'a [u8], bytes: u32) -> Option<Datagram<'a>> {
        let (ip, _) = packet.split_first_chunk::<20>()?;
        let header = usize::from(ip[0] & 15) * 4;
        // More fragments, or not the first: what follows is no UDP header.
        let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3FFF;
        if ip[0] >> 4 != 4 || header < 20 || ip[9] != 17 || fragment != 0 {
            return None;
        }
        let (udp, payload) = packet.get(header..)?.split_first_chunk::<8>()?;
        let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        let address = |at: usize| u32::from_be_bytes([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
        Some(Datagram {
            source: (address(12), port(0)),
            destination: (address(16), port(2)),
            payload,
            length: bytes.checked_sub(u32::try_from(header + 8).ok()?)?,
        })
    }
}

/// The first bytes of a record's packet; empty if the ledger has none.
#[must_use]
pub fn head(record: &FateRecord) -> Vec<u8> {
    let hex = record.head.as_deref().unwrap_or_default();
    (0..hex.len() / 2).map_while(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_share_a_port() {
        // RFC 5769, section 2.1: the first bytes of its sample request.
        let stun = [0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xA4, 0x42];
        assert_eq!(Protocol::of(&stun), Some(Protocol::Stun));
        assert_eq!(Protocol::of(&[0x00, 0x01, 0x00, 0x58, 0, 0, 0, 0]), None, "no cookie");
        // A handshake record of DTLS 1.2 (RFC 6347, section 4.1).
        assert_eq!(Protocol::of(&[22, 0xFE, 0xFD, 0, 0, 0, 0]), Some(Protocol::Dtls));
        assert_eq!(Protocol::of(&[22, 1, 2]), None);
        assert_eq!(Protocol::of(&[0x80, 200, 0, 6]), Some(Protocol::Rtcp), "a sender report");
        assert_eq!(Protocol::of(&[0x81, 206, 0, 2]), Some(Protocol::Rtcp), "a picture loss indication");
        let rtp = [0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        assert_eq!(Protocol::of(&rtp), Some(Protocol::Rtp));
        assert_eq!(Protocol::of(&rtp[..11]), None);
        assert_eq!(Protocol::of(&[]), None);
    }

    #[test]
    fn only_whole_udp_datagrams_are_read() {
        let mut packet = vec![0x46, 0, 0, 36, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2];
        packet.extend([1, 1, 1, 1]); // an option
        packet.extend([0x13, 0x88, 0x13, 0x89, 0, 12, 0, 0]);
        packet.extend([7, 8, 9, 10]);
        let datagram = Datagram::of(&packet, 36).expect("a datagram");
        assert_eq!((datagram.source, datagram.destination.1), ((0xC612_0001, 5000), 5001));
        assert_eq!((datagram.payload, datagram.length), (&[7, 8, 9, 10][..], 4));
        for cut in 0..32 {
            assert_eq!(Datagram::of(&packet[..cut], 36), None);
        }
        for (at, value) in [(0, 0x66), (0, 0x44), (6, 0x20), (7, 1), (9, 6)] {
            let mut other = packet.clone();
            other[at] = value;
            assert_eq!(Datagram::of(&other, 36), None, "byte {at}");
        }
    }
}
