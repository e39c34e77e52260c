//! What ULPFEC and both FlexFECs have in common: exclusive-or of RTP packets, and recovery by peeling.

use super::masks::masks;
use std::collections::BTreeMap;

/// Bytes of an RTP header without contributing sources and extension.
pub const RTP_FIXED: usize = 12;
/// Sequence numbers back to which media packets are kept to recover others: four blocks of 48, as libwebrtc
/// (`kMaxTrackedMediaPackets` of its readers of both formats). With ULPFEC repair packets use up some of them.
const KEPT_MEDIA: usize = 192;
/// Repair packets kept that wait for others (`kMaxFecPackets`).
const KEPT_REPAIR: usize = 48;

/// Exclusive-or of some RTP packets of one stream: the recovery fields and the bytes behind the fixed header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// First two bytes of the header: P, X, CC, M, PT (the version is not part of it).
    pub flags: [u8; 2],
    /// Bytes after the fixed header.
    pub length: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Everything after the fixed header, filled with zeros to the longest.
    pub body: Vec<u8>,
}

impl Recovery {
    /// Adds a packet, which is the same as taking it away. Packets too short for an RTP header are ignored.
    pub fn add(&mut self, packet: &[u8]) {
        let Some((header, body)) = packet.split_first_chunk::<RTP_FIXED>() else { return };
        self.flags[0] ^= header[0] & 0x3F;
        self.flags[1] ^= header[1];
        self.length ^= body.len() as u16;
        self.timestamp ^= u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if self.body.len() < body.len() {
            self.body.resize(body.len(), 0);
        }
        for (sum, byte) in self.body.iter_mut().zip(body) {
            *sum ^= byte;
        }
    }

    /// The one packet that is left; `None` if what is left is no packet.
    #[must_use]
    pub fn into_packet(mut self, sequence: u16, ssrc: u32) -> Option<Vec<u8>> {
        let length = usize::from(self.length);
        // Zeros behind the length are what other packets of the group were longer by; anything else is damage.
        if length > self.body.len() || self.body[length..].iter().any(|&b| b != 0) {
            return None;
        }
        self.body.truncate(length);
        let mut packet = Vec::with_capacity(RTP_FIXED + length);
        packet.extend([0x80 | self.flags[0] & 0x3F, self.flags[1]]);
        packet.extend(sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(self.body);
        Some(packet)
    }
}

/// A repair packet, whatever its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The stream it protects.
    pub ssrc: u32,
    /// Sequence number of bit 0 of the mask.
    pub base: u16,
    /// Bit i: packet `base + i` is covered.
    pub mask: u128,
    /// The exclusive-or of the covered packets.
    pub recovery: Recovery,
}

/// Sequence number of an RTP packet.
#[must_use]
pub fn sequence_of(packet: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]))
}

/// Repair packets over `media`: RTP packets of one stream in sequence order, at most 109, without larger gaps.
/// Empty if there is nothing to protect or the packets span more than `span` sequence numbers.
#[must_use]
pub fn protect(media: &[Vec<u8>], repair: usize, span: u16) -> Vec<Repair> {
    let Some(base) = media.first().and_then(|p| sequence_of(p)) else { return Vec::new() };
    let offsets: Vec<u16> =
        media.iter().filter_map(|p| sequence_of(p)).map(|s| s.wrapping_sub(base)).collect();
    if offsets.len() != media.len() || media.iter().any(|p| p.len() < RTP_FIXED) {
        return Vec::new();
    }
    if offsets.iter().any(|&o| o >= span.min(109)) || !offsets.is_sorted() {
        return Vec::new();
    }
    let ssrc = u32::from_be_bytes([media[0][8], media[0][9], media[0][10], media[0][11]]);
    masks(media.len(), repair)
        .into_iter()
        .map(|by_index| {
            let mut repair = Repair { ssrc, base, mask: 0, recovery: Recovery::default() };
            for (i, packet) in media.iter().enumerate().filter(|(i, _)| by_index >> i & 1 == 1) {
                repair.mask |= 1 << offsets[i];
                repair.recovery.add(packet);
            }
            repair
        })
        .collect()
}

/// How many repair packets `media` packets get at `factor` / 256 redundancy: rounded, but at least one once
/// there is protection, and at most one per media packet (libwebrtc's rule).
#[must_use]
pub fn repair_count(media: usize, factor: u8) -> usize {
    let count = (media * usize::from(factor) + 128) >> 8;
    if factor > 0 { count.max(1).min(media) } else { 0 }
}

/// Recovers lost packets of one stream.
#[derive(Clone, Debug, Default)]
pub struct XorDecoder {
    media: BTreeMap<u64, Vec<u8>>,
    repair: Vec<(u64, Repair)>,
    newest: Option<u64>,
}

impl XorDecoder {
    /// The count nearest to the newest known one with these low 16 bits.
    fn unwrap(&mut self, sequence: u16) -> u64 {
        let newest = self.newest.unwrap_or(1 << 16 | u64::from(sequence));
        let offset = i64::from(sequence.wrapping_sub(newest as u16).cast_signed());
        newest.saturating_add_signed(offset)
    }

    fn advance(&mut self, number: u64) {
        let newest = self.newest.map_or(number, |n| n.max(number));
        self.newest = Some(newest);
        let oldest = newest.saturating_sub(KEPT_MEDIA as u64);
        self.media = self.media.split_off(&oldest);
        self.repair.retain(|(base, _)| base + 109 >= oldest);
        if self.repair.len() > KEPT_REPAIR {
            self.repair.remove(0);
        }
    }

    /// Takes a media packet (fixed RTP header and more); returns the packets that it brings back.
    pub fn media(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let Some(sequence) = sequence_of(packet).filter(|_| packet.len() >= RTP_FIXED) else {
            return Vec::new();
        };
        let number = self.unwrap(sequence);
        self.advance(number);
        if self.media.insert(number, packet.to_vec()).is_some() {
            return Vec::new();
        }
        self.peel()
    }

    /// Takes a repair packet; returns the packets that it brings back.
    pub fn repair(&mut self, repair: Repair) -> Vec<Vec<u8>> {
        if repair.mask == 0 {
            return Vec::new();
        }
        let base = self.unwrap(repair.base);
        let oldest = self.newest.unwrap_or(base).saturating_sub(KEPT_MEDIA as u64);
        // Not yet sent, long gone, or a repeat.
        if base < oldest || self.repair.iter().any(|(b, r)| *b == base && *r == repair) {
            return Vec::new();
        }
        let newest = self.newest.unwrap_or(base);
        self.repair.push((base, repair));
        self.advance(newest);
        self.peel()
    }

    fn peel(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut i = 0;
        while i < self.repair.len() {
            let (base, repair) = &self.repair[i];
            let covered = (0..109u64).filter(|b| repair.mask >> b & 1 == 1).map(|b| base + b);
            let mut missing = covered.clone().filter(|n| !self.media.contains_key(n));
            let (first, second) = (missing.next(), missing.next());
            match (first, second) {
                (Some(_), Some(_)) => i += 1,
                (None, _) => {
                    self.repair.remove(i);
                }
                (Some(lost), None) => {
                    let mut recovery = repair.recovery.clone();
                    covered.filter_map(|n| self.media.get(&n)).for_each(|packet| recovery.add(packet));
                    let ssrc = repair.ssrc;
                    self.repair.remove(i);
                    if let Some(packet) = recovery.into_packet(lost as u16, ssrc) {
                        self.media.insert(lost, packet.clone());
                        out.push(packet);
                        i = 0; // others may have waited for it
                    }
                }
            }
        }
        out
    }
}
