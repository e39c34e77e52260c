//! What each packet of the forward path carries: media, repair, retransmission, reports, set-up.

use super::demux::{Datagram, Protocol};
use super::sdp::{Description, Format};
use contract::Role;
use std::collections::{BTreeMap, BTreeSet};
use sut_core::rtp::{Header, Unwrapper, red, vp8};

/// A packet, as far as its header tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it carries.
    pub role: Role,
    /// Which packet of its stream; only for RTP.
    pub header: Option<Header>,
    /// Bytes behind the RTP header; 0 for what is no RTP.
    pub payload: u32,
    /// It repeats the packet with this sequence number of the media stream, as counted without wrap-around.
    pub repeats: Option<u64>,
    /// The sequence number without wrap-around.
    pub sequence: u64,
    /// Whether a key frame begins here; absent if nobody can tell.
    pub key: Option<bool>,
    /// RTP of a payload type that no description names.
    pub unnamed: bool,
    /// How its role is known.
    pub origin: Origin,
    /// Of repair in clear: sequence numbers of what it says it protects; empty if it says nothing that makes sense. Absent if nobody can
    /// tell.
    pub protects: Option<Vec<u16>>,
}

/// How the role of a packet is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A description gives its payload type or SSRC this role.
    #[default]
    Described,
    /// It has the sequence number of a packet before it.
    SameNumber,
}

/// Tells what packets carry, in the order in which they enter the path.
#[derive(Debug, Default)]
pub struct Reader {
    formats: BTreeMap<u8, Format>,
    rtx: BTreeSet<u32>,
    repair: BTreeSet<u32>,
    encrypted: bool,
    streams: BTreeMap<u32, Stream>,
}

/// SSRCs that are kept apart; a program that sends more is no video call.
const STREAMS: usize = 4096;
/// Sequence numbers of a stream that are remembered, to tell a retransmission.
const REMEMBERED: usize = 4096;

#[derive(Debug, Default)]
struct Stream {
    sequence: Unwrapper,
    seen: BTreeSet<u64>,
    /// Timestamp of the newest packet with the marker bit, that is of the last frame whose media is all out.
    ended: Option<u32>,
}

impl Reader {
    /// By what the ends told each other. Where two descriptions differ the later one holds: an answer comes after its offer.
    #[must_use]
    pub fn new(descriptions: &[Description]) -> Self {
        let mut reader = Reader::default();
        for description in descriptions {
            reader.formats.extend(description.formats.clone());
            reader.rtx.extend(&description.rtx);
            reader.repair.extend(&description.repair);
            reader.encrypted |= description.encrypted;
        }
        reader
    }

    /// Whether any payload type of video is known.
    #[must_use]
    pub fn knows_media(&self) -> bool {
        self.formats.values().any(|f| matches!(f, Format::Media(..)))
    }

    /// Ticks per second of a payload type's timestamps.
    #[must_use]
    pub fn clock(&self, payload_type: u8) -> u32 {
        match self.formats.get(&payload_type) {
            Some(Format::Media(_, clock)) => *clock,
            _ => sut_core::rtp::VIDEO_CLOCK,
        }
    }

    /// What the next packet of the path carries.
    pub fn read(&mut self, datagram: &Datagram<'_>) -> Packet {
        let other = |role| Packet {
            role,
            header: None,
            payload: 0,
            repeats: None,
            sequence: 0,
            key: None,
            unnamed: false,
            origin: Origin::Described,
            protects: None,
        };
        match Protocol::of(datagram.payload) {
            Some(Protocol::Rtcp) => other(Role::Feedback),
            Some(Protocol::Rtp) => match Header::begin(datagram.payload) {
                Some((header, length)) => self.rtp(header, length, datagram),
                None => other(Role::Control),
            },
            _ => other(Role::Control),
        }
    }

    fn rtp(&mut self, header: Header, length: usize, datagram: &Datagram<'_>) -> Packet {
        // Encrypted or beyond the first bytes: not there.
        let clear = datagram.payload.get(length..).filter(|_| !self.encrypted).unwrap_or_default();
        let payload = datagram.length.saturating_sub(u32::try_from(length).unwrap_or(u32::MAX));
        let mut packet = Packet {
            role: Role::Control,
            payload,
            repeats: None,
            sequence: 0,
            key: None,
            unnamed: false,
            header: None,
            origin: Origin::Described,
            protects: None,
        };
        let format = self.formats.get(&header.payload_type).cloned();
        if self.streams.len() >= STREAMS && !self.streams.contains_key(&header.ssrc) {
            packet.header = Some(header);
            return packet;
        }
        let stream = self.streams.entry(header.ssrc).or_default();
        let sequence = stream.sequence.unwrap(header.sequence);
        packet.sequence = sequence;
        let again = !stream.seen.insert(sequence);
        if stream.seen.len() > REMEMBERED {
            stream.seen.pop_first();
        }
        packet.role = match &format {
            _ if self.rtx.contains(&header.ssrc) => Role::Repeat,
            _ if self.repair.contains(&header.ssrc) => Role::Parity,
            Some(Format::Rtx) => Role::Repeat,
            Some(Format::Ulpfec) => {
                packet.protects = protects(clear, payload);
                Role::Parity
            }
            Some(Format::Flexfec) => Role::Parity,
            Some(Format::Red) => {
                let repair = match red::unwrap(clear) {
                    Some((inner, block)) => {
                        let repair = self.formats.get(&inner) == Some(&Format::Ulpfec);
                        if repair {
                            packet.protects = protects(block, payload.saturating_sub(1));
                        }
                        repair
                    }
                    // Encrypted: repair of a frame follows its last packet, which has the marker bit.
                    None => !header.marker && stream.ended == Some(header.timestamp),
                };
                packet.payload = payload.saturating_sub(1);
                if repair { Role::Parity } else { Role::Data }
            }
            Some(Format::Media(..)) => Role::Data,
            Some(Format::Other) => Role::Control,
            None => {
                packet.unnamed = true;
                Role::Control
            }
        };
        match packet.role {
            // The same number once more, without a format of its own for that (RFC 4585 leaves how to the sender).
            Role::Data if again => {
                packet.role = Role::Repeat;
                packet.origin = Origin::SameNumber;
                packet.repeats = Some(sequence);
            }
            Role::Data => {
                if header.marker {
                    stream.ended = Some(header.timestamp);
                }
                packet.key = key(format.as_ref(), clear);
            }
            _ => {}
        }
        packet.header = Some(header);
        packet
    }
}

/// What a packet of ULPFEC of `length` bytes, of which the beginning is in clear, protects (RFC 5109, sections 7.3 and 7.4).
fn protects(clear: &[u8], length: u32) -> Option<Vec<u16>> {
    const HEADER: usize = 10;
    let long = clear.first()? & 0x40 != 0;
    let mask_bytes = if long { 6 } else { 2 };
    let Some(level) = clear.get(HEADER..HEADER + 2 + mask_bytes) else {
        // Too short for a header, or not all of it was kept.
        return (length < (HEADER + 2 + mask_bytes) as u32).then(Vec::new);
    };
    let protected = u32::from(u16::from_be_bytes([level[0], level[1]]));
    let body = length.saturating_sub((HEADER + 2 + mask_bytes) as u32);
    // The extension bit is 0, and what is protected is there.
    if clear[0] & 0x80 != 0 || protected > body {
        return Some(Vec::new());
    }
    let base = u16::from_be_bytes([clear[2], clear[3]]);
    let bits = level[2..].iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1 == 1));
    Some((0u16..).zip(bits).filter(|(_, set)| *set).map(|(i, _)| base.wrapping_add(i)).collect())
}

/// Whether a key frame begins in a payload that is in clear; `None` where the format is not known here.
fn key(format: Option<&Format>, clear: &[u8]) -> Option<bool> {
    match format {
        Some(Format::Media(name, _)) if name == "VP8" => {
            let (descriptor, frame) = vp8::Descriptor::parse(clear)?;
            (!frame.is_empty()).then(|| descriptor.start && vp8::is_key(frame))
        }
        // RFC 6184, section 5: one unit, several in one packet (24), or a part of one (28); an IDR picture or its parameters.
        Some(Format::Media(name, _)) if name == "H264" => {
            let first = clear.first()? & 31;
            let unit = match first {
                24 => clear.get(3)? & 31,
                28 => clear.get(1)? & 31,
                unit => unit,
            };
            Some(matches!(unit, 5 | 7))
        }
        _ => None,
    }
}
