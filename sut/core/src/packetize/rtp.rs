//! VP8 frames to RTP packets and back.

use crate::rtp::vp8::{self, Descriptor};
use crate::rtp::{Header, Unwrapper, VIDEO_CLOCK};
use std::collections::BTreeMap;

/// RTP timestamp of a captured frame.
#[must_use]
pub fn timestamp(frame: u32, fps: u32) -> u32 {
    (u64::from(frame) * u64::from(VIDEO_CLOCK) / u64::from(fps.max(1))) as u32
}

/// The captured frame of an RTP timestamp, within the 13 hours after which timestamps begin anew.
#[must_use]
pub fn frame_at(timestamp: u32, fps: u32) -> u32 {
    (u64::from(timestamp) * u64::from(fps)).div_ceil(u64::from(VIDEO_CLOCK)) as u32
}

/// Cuts VP8 frames into packets.
#[derive(Clone, Debug)]
pub struct Packetizer {
    /// The stream.
    pub ssrc: u32,
    /// VP8's payload type.
    pub payload_type: u8,
    /// Most bytes of a packet, RTP header included.
    pub max_packet: usize,
    /// Captures per second.
    pub fps: u32,
    /// Next sequence number. ULPFEC's packets take theirs from here too.
    pub sequence: u16,
}

impl Packetizer {
    /// Takes the next sequence number.
    pub fn next_sequence(&mut self) -> u16 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }

    /// The packets of a captured frame, of about one size. `picture` counts the frames that are sent, as in libwebrtc: captured frames
    /// that rate control dropped have none.
    pub fn packets(&mut self, frame: u32, picture: u32, bytes: &[u8]) -> Vec<Vec<u8>> {
        let most = self.max_packet.saturating_sub(12 + Descriptor::BYTES).max(1);
        let count = bytes.len().div_ceil(most).max(1);
        let share = bytes.len().div_ceil(count).max(1);
        (0..count)
            .map(|i| {
                let header = Header {
                    marker: i + 1 == count,
                    payload_type: self.payload_type,
                    sequence: self.next_sequence(),
                    timestamp: timestamp(frame, self.fps),
                    ssrc: self.ssrc,
                    csrcs: Vec::new(),
                };
                let picture = (picture & 0x7FFF) as u16;
                let descriptor = Descriptor { start: i == 0, non_reference: false, picture };
                let part = &bytes[(i * share).min(bytes.len())..((i + 1) * share).min(bytes.len())];
                header.packet(&[&descriptor.to_bytes()[..], part].concat())
            })
            .collect()
    }
}

/// A frame that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// Number of the picture.
    pub picture: u32,
    /// RTP timestamp.
    pub timestamp: u32,
    /// It can be decoded alone.
    pub key: bool,
    /// The encoded frame.
    pub bytes: Vec<u8>,
    /// Packets of it that came from repair packets.
    pub recovered: u32,
}

#[derive(Clone, Debug, Default)]
struct Partial {
    packets: BTreeMap<u64, Vec<u8>>,
    first: Option<u64>,
    last: Option<u64>,
    recovered: u32,
}

/// Puts VP8 frames together.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    sequences: Unwrapper,
    newest: u32,
    frames: BTreeMap<u32, Partial>,
    done: BTreeMap<u32, ()>,
    /// A packet of a frame far ahead, until another packet says that the stream is there.
    ahead: Option<Ahead>,
}

#[derive(Clone, Debug)]
struct Ahead {
    picture: u32,
    header: Header,
    payload: Vec<u8>,
    recovered: bool,
}

/// Frames that may be incomplete at one time; and how far ahead one packet alone may move them.
const KEPT_FRAMES: u32 = 64;

impl Assembler {
    /// The number of the picture that a VP8 packet belongs to; `None` if it is none.
    #[must_use]
    pub fn picture_of(&self, payload: &[u8]) -> Option<u32> {
        let (descriptor, _) = Descriptor::parse(payload)?;
        let offset =
            (i32::from(descriptor.picture) - (self.newest & 0x7FFF) as i32 + 0x4000).rem_euclid(0x8000);
        self.newest.checked_add_signed(offset - 0x4000)
    }

    /// Takes a media packet; returns the frames that it completes. `recovered`: it came from repair packets.
    ///
    /// A picture id more than `KEPT_FRAMES` ahead would drop every frame that waits, and one damaged packet is
    /// enough for that. Such a packet is held until a second one, of another sequence number, is about as far
    /// ahead; then both count.
    pub fn push(&mut self, header: &Header, payload: &[u8], recovered: bool) -> Vec<Complete> {
        let Some(picture) = self.picture_of(payload) else { return Vec::new() };
        let mut complete = Vec::new();
        if picture > self.newest.saturating_add(KEPT_FRAMES) {
            let confirmed = |held: &Ahead| {
                held.picture.abs_diff(picture) <= KEPT_FRAMES && held.header.sequence != header.sequence
            };
            let Some(held) = self.ahead.take_if(|held| confirmed(held)) else {
                let (header, payload) = (header.clone(), payload.to_vec());
                self.ahead = Some(Ahead { picture, header, payload, recovered });
                return complete;
            };
            complete.extend(self.insert(held.picture, &held.header, &held.payload, held.recovered));
        }
        complete.extend(self.insert(picture, header, payload, recovered));
        complete
    }

    fn insert(&mut self, picture: u32, header: &Header, payload: &[u8], recovered: bool) -> Option<Complete> {
        let (descriptor, bytes) = Descriptor::parse(payload)?;
        let number = self.sequences.unwrap(header.sequence);
        self.newest = self.newest.max(picture);
        let oldest = self.newest.saturating_sub(KEPT_FRAMES);
        self.frames = self.frames.split_off(&oldest);
        self.done = self.done.split_off(&oldest);
        if picture < oldest || self.done.contains_key(&picture) {
            return None;
        }
        let partial = self.frames.entry(picture).or_default();
        if partial.packets.contains_key(&number) {
            return None;
        }
        partial.packets.insert(number, bytes.to_vec());
        partial.recovered += u32::from(recovered);
        if descriptor.start {
            partial.first = Some(number);
        }
        if header.marker {
            partial.last = Some(number);
        }
        let (first, last) = (partial.first?, partial.last?);
        let whole = first <= last && partial.packets.range(first..=last).count() as u64 == last - first + 1;
        if !whole {
            return None;
        }
        let partial = self.frames.remove(&picture)?;
        self.done.insert(picture, ());
        let bytes: Vec<u8> =
            partial.packets.range(first..=last).flat_map(|(_, b)| b.iter().copied()).collect();
        let (key, timestamp) = (vp8::is_key(&bytes), header.timestamp);
        Some(Complete { picture, timestamp, key, bytes, recovered: partial.recovered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_in_any_order_of_packets_and_never_in_part() {
        let mut packetizer =
            Packetizer { ssrc: 7, payload_type: 96, max_packet: 1200, fps: 30, sequence: 65_530 };
        let mut assembler = Assembler::default();
        for frame in (0..40_000u32).step_by(29) {
            let bytes: Vec<u8> = (0..1 + frame as usize % 5000).map(|i| (i as u32 ^ frame) as u8).collect();
            let mut packets = packetizer.packets(frame, frame, &bytes);
            assert!(packets.iter().all(|p| p.len() <= 1200));
            packets.reverse();
            let lost = frame % 3 == 0;
            let mut got = Vec::new();
            for packet in packets.iter().skip(usize::from(lost)) {
                let (header, payload) = Header::parse(packet).unwrap();
                assert_eq!(assembler.picture_of(payload), Some(frame));
                got.extend(assembler.push(&header, payload, false));
                assert_eq!(assembler.push(&header, payload, false), [], "a repeat");
            }
            if lost {
                assert_eq!(got, []);
            } else {
                assert_eq!((got.len(), &got[0].bytes, got[0].picture), (1, &bytes, frame));
            }
        }
    }

    /// 90 000 / 29 is no whole number: every timestamp still says its frame.
    #[test]
    fn timestamps_tell_captured_frames() {
        for fps in [1, 24, 25, 29, 30, 50, 60, 144, 240] {
            let anew = u32::try_from((1u64 << 32) * u64::from(fps) / u64::from(VIDEO_CLOCK)).unwrap();
            for frame in (0..200_000.min(anew)).step_by(7) {
                assert_eq!(frame_at(timestamp(frame, fps), fps), frame, "{fps}");
            }
        }
    }

    #[test]
    fn one_forged_picture_id_drops_nothing_and_a_real_gap_is_crossed_without_loss() {
        let mut packetizer =
            Packetizer { ssrc: 7, payload_type: 96, max_packet: 1200, fps: 30, sequence: 100 };
        let mut assembler = Assembler::default();
        let mut push = |packet: &[u8]| {
            let (header, payload) = Header::parse(packet).unwrap();
            assembler.push(&header, payload, false).into_iter().map(|c| c.picture).collect::<Vec<_>>()
        };
        let waiting = packetizer.packets(3, 3, &[1; 3000]);
        assert_eq!(push(&waiting[0]), Vec::<u32>::new());
        for forged in [5000, 9000, 400, 12_000] {
            let mut other =
                Packetizer { ssrc: 7, payload_type: 96, max_packet: 1200, fps: 30, sequence: 103 };
            assert_eq!(push(&other.packets(forged, forged, &[2; 10])[0]), Vec::<u32>::new(), "{forged}");
        }
        assert_eq!(push(&waiting[1]), Vec::<u32>::new());
        assert_eq!(push(&waiting[2]), [3], "the frame that waited is whole");
        // An outage of 200 frames; the next frames have one packet each.
        assert_eq!(push(&packetizer.packets(203, 203, &[3; 10])[0]), Vec::<u32>::new());
        assert_eq!(push(&packetizer.packets(204, 204, &[4; 10])[0]), [203, 204]);
        assert_eq!(push(&packetizer.packets(205, 205, &[5; 10])[0]), [205]);
    }
}
