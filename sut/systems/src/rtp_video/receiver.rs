//! The receiving end: recover, assemble, play out; reports and key-frame requests on the way back.

use super::{
    Code, FLEXFEC_TYPE, MEDIA_SSRC, RECEIVER_SSRC, RED_TYPE, REPAIR_SSRC, Session, ULPFEC_TYPE, VP8_TYPE,
};
use crate::jobs::{DecodeDone, DecodeJob};
use crate::player::Player;
use contract::{EventKind, Role, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use sut_core::fec::xor::{Repair, XorDecoder};
use sut_core::fec::{FecError, flexfec, ulpfec};
use sut_core::packetize::rtp::{Assembler, frame_at};
use sut_core::rtp::rtcp::{Packet, Statistics, ntp};
use sut_core::rtp::vp8::{self, Descriptor};
use sut_core::rtp::{Header, Unwrapper, VIDEO_CLOCK, is_rtcp, red};
use sut_core::{Endpoint, Input, Output, Schedule};

/// Which packets of one sequence space have arrived lately.
#[derive(Default)]
struct Arrivals {
    unwrapper: Unwrapper,
    seen: BTreeSet<u64>,
}

impl Arrivals {
    /// False if the packet has been here before.
    fn is_new(&mut self, sequence: u16) -> bool {
        let number = self.unwrapper.unwrap(sequence);
        if self.seen.len() > 1024 {
            self.seen.pop_first();
        }
        self.seen.insert(number)
    }
}

/// A key frame that is arriving is not asked for: its last packet came this long ago at most (libwebrtc: `kMaxWaitForKeyFrame`,
/// `VideoReceiveStream2::IsReceivingKeyFrame`).
const KEY_FRAME_GAP: Duration = Duration::from_millis(200);

/// See the module.
pub struct Receiver {
    session: Session,
    player: Player,
    decoder: XorDecoder,
    assembler: Assembler,
    statistics: Statistics,
    /// Captured frame of every picture that a packet of has come lately.
    pictures: BTreeMap<u32, u32>,
    /// Newest frame that any packet named.
    newest: Option<u32>,
    /// Of the media's and of FlexFEC's sequence space.
    arrivals: [Arrivals; 2],
    report_due: Option<Timestamp>,
    /// Last request for a key frame.
    requested: Option<Timestamp>,
    /// RTP timestamp of the newest key frame, and when a packet of it last came from the network.
    key_packet: Option<(u32, Timestamp)>,
    /// The frame that decoding waits for, and since when.
    waiting: (u32, Timestamp),
}

impl Receiver {
    /// A receiver before the first packet.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let player = Player::new(&session.schedule, Some(session.options.playout_delay_ms));
        Self {
            session,
            player,
            decoder: XorDecoder::default(),
            assembler: Assembler::default(),
            statistics: Statistics::default(),
            pictures: BTreeMap::new(),
            newest: None,
            arrivals: Default::default(),
            report_due: None,
            requested: None,
            key_packet: None,
            waiting: (0, Timestamp::ZERO),
        }
    }

    fn datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        if is_rtcp(datagram) {
            return self.control(now, datagram);
        }
        let Some((header, payload)) = Header::parse(datagram) else {
            return self.player.malformed(now, datagram.len(), "not an RTP packet");
        };
        let bytes = datagram.len() as u32;
        match (header.payload_type, header.ssrc) {
            (VP8_TYPE, MEDIA_SSRC) => {
                let new = self.count(now, &header);
                self.arrived(now, &header, payload, bytes, new);
            }
            (RED_TYPE, MEDIA_SSRC) => {
                let new = self.count(now, &header);
                match red::unwrap(payload) {
                    Some((VP8_TYPE, payload)) => {
                        let header = Header { payload_type: VP8_TYPE, ..header };
                        self.arrived(now, &header, payload, bytes, new);
                    }
                    Some((ULPFEC_TYPE, payload)) => {
                        let repair = ulpfec::parse(MEDIA_SSRC, payload);
                        self.repair(now, &header, repair, bytes, new);
                    }
                    _ => self.player.malformed(now, datagram.len(), "RED with an unknown block"),
                }
            }
            (FLEXFEC_TYPE, REPAIR_SSRC) => {
                let Code::Flexfec(format) = self.session.code else {
                    return self.player.malformed(now, datagram.len(), "FlexFEC in a session without it");
                };
                let protected = header.csrcs.first().copied().unwrap_or(MEDIA_SSRC);
                let repair = flexfec::parse(format, protected, payload);
                let new = self.arrivals[1].is_new(header.sequence);
                self.repair(now, &header, repair, bytes, new);
            }
            _ => self.player.malformed(now, datagram.len(), "an unknown payload type or stream"),
        }
    }

    /// The sender's report: its time goes back with ours.
    fn control(&mut self, now: Timestamp, datagram: &[u8]) {
        let Some(packets) = Packet::parse_compound(datagram) else {
            return self.player.malformed(now, datagram.len(), "not an RTCP packet");
        };
        for packet in packets {
            if let Packet::SenderReport { sender: MEDIA_SSRC, ntp: sent, .. } = packet {
                self.statistics.sender_report(sent, ntp(now.as_nanos()));
            }
        }
    }

    /// Captured frame of an RTP packet.
    fn frame(&self, header: &Header) -> Option<u32> {
        let Schedule { fps, frames, .. } = self.session.schedule;
        Some(frame_at(header.timestamp, fps)).filter(|&frame| frame < frames)
    }

    /// A packet says that `picture` is `frame`: frames between those of neighbouring pictures were never sent.
    fn place(&mut self, picture: u32, frame: u32) {
        if self.pictures.insert(picture, frame).is_some() {
            return;
        }
        if self.pictures.len() > 256 {
            self.pictures.pop_first();
        }
        let before = picture.checked_sub(1).and_then(|p| self.pictures.get(&p).copied());
        let after = picture.checked_add(1).and_then(|p| self.pictures.get(&p).copied());
        let gaps = [before.map(|f| (f, frame)), after.map(|f| (frame, f))];
        for (from, to) in gaps.into_iter().flatten() {
            (from.saturating_add(1)..to).for_each(|absent| self.player.playout.absent(absent));
        }
    }

    /// Counts a packet of the media's sequence space; false if it is a repeat.
    fn count(&mut self, now: Timestamp, header: &Header) -> bool {
        let new = self.arrivals[0].is_new(header.sequence);
        if new {
            let ticks = u128::from(now.as_nanos()) * u128::from(VIDEO_CLOCK) / 1_000_000_000;
            self.statistics.packet(header.sequence, header.timestamp, ticks as u32);
        }
        let interval = Duration::from_millis(self.session.options.report_interval_ms);
        self.report_due.get_or_insert(now + interval);
        new
    }

    /// A media packet from the network.
    fn arrived(&mut self, now: Timestamp, header: &Header, payload: &[u8], bytes: u32, new: bool) {
        let (Some(picture), Some(frame)) = (self.assembler.picture_of(payload), self.frame(header)) else {
            return self.player.malformed(now, payload.len(), "no VP8 packet of this session");
        };
        // Frames are sent in order, so a picture's number is not above its frame's.
        if picture > frame {
            return self.player.malformed(now, payload.len(), "a picture number above its frame's");
        }
        self.newest = self.newest.max(Some(frame));
        self.place(picture, frame);
        let (stream, role, index) = (Stream::Rgb, Role::Data, u32::from(header.sequence));
        self.player.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate: !new });
        self.player.playout.packet(now, frame);
        let begins_a_key_frame =
            Descriptor::parse(payload).is_some_and(|(d, bytes)| d.start && vp8::is_key(bytes));
        if begins_a_key_frame || self.key_packet.is_some_and(|(of, _)| of == header.timestamp) {
            self.key_packet = Some((header.timestamp, now));
        }
        self.media(now, header, payload, false);
        let more = self.decoder.media(&header.packet(payload));
        self.recovered(now, more);
    }

    /// A media packet, from the network or recovered.
    fn media(&mut self, now: Timestamp, header: &Header, payload: &[u8], recovered: bool) {
        for complete in self.assembler.push(header, payload, recovered) {
            let fps = self.session.schedule.fps;
            let (frame, count) = (frame_at(complete.timestamp, fps), complete.recovered);
            self.place(complete.picture, frame);
            self.player.complete(now, frame, complete.key, complete.bytes, count);
        }
    }

    fn repair(
        &mut self,
        now: Timestamp,
        header: &Header,
        repair: Result<Repair, FecError>,
        bytes: u32,
        new: bool,
    ) {
        let repair = match repair {
            Ok(repair) if repair.ssrc == MEDIA_SSRC => repair,
            Ok(_) => return self.player.malformed(now, bytes as usize, "repair of another stream"),
            Err(error) => return self.player.malformed(now, bytes as usize, &error.to_string()),
        };
        // A repair packet has the timestamp of the last frame that it protects.
        let Some(frame) = self.frame(header) else {
            let reason = "repair of a frame that this session does not have";
            return self.player.malformed(now, bytes as usize, reason);
        };
        self.newest = self.newest.max(Some(frame));
        let (stream, role, index) = (Stream::Rgb, Role::Parity, u32::from(header.sequence));
        self.player.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate: !new });
        let more = self.decoder.repair(repair);
        self.recovered(now, more);
    }

    fn recovered(&mut self, now: Timestamp, packets: Vec<Vec<u8>>) {
        for packet in packets {
            if let Some((header, payload)) = Header::parse(&packet) {
                self.media(now, &header, payload, true);
            }
        }
    }

    /// Carries out what the playout wants, reports, and asks for a key frame.
    fn advance(&mut self, now: Timestamp, timeout: bool) {
        self.player.advance(now, timeout);
        let next = self.player.playout.next();
        if next != self.waiting.0 {
            self.waiting = (next, now);
        }
        let mut compound = Vec::new();
        if self.report_due.is_some_and(|due| due <= now) {
            let interval = Duration::from_millis(self.session.options.report_interval_ms);
            self.report_due = Some(now + interval);
            if let Some(report) = self.statistics.report(RECEIVER_SSRC, MEDIA_SSRC, ntp(now.as_nanos())) {
                report.write(&mut compound);
            }
        }
        if self.request_due().is_some_and(|due| due <= now) {
            self.requested = Some(now);
            Packet::PictureLoss { sender: RECEIVER_SSRC, media: MEDIA_SSRC }.write(&mut compound);
            self.player.event(now, EventKind::Feedback { what: "asked for a key frame".to_owned() });
        }
        if !compound.is_empty() {
            self.player.transmit(compound);
        }
    }

    /// When a key frame is asked for if decoding still waits for the same frame then: late by its own time and by that of the frame before
    /// it, for a sender that is behind makes all late. Some packet of it, or of a later frame, must have come (a sender that sends nothing,
    /// because its encoder drops frames, is not asked), and no key frame be arriving.
    fn request_due(&self) -> Option<Timestamp> {
        let options = &self.session.options;
        let (frame, expected) = self.player.playout.waiting_for()?;
        self.newest.filter(|&newest| newest >= frame)?;
        let late = expected.max(self.waiting.1) + Duration::from_millis(options.key_request_after_ms);
        let again = self.requested.map(|at| at + Duration::from_millis(options.key_request_interval_ms));
        let arriving = self.key_packet.map(|(_, at)| at + KEY_FRAME_GAP);
        [Some(late), again, arriving].into_iter().flatten().max()
    }
}

impl Endpoint for Receiver {
    type Job = DecodeJob;
    type Done = DecodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, DecodeDone>) {
        let timeout = matches!(input, Input::Timeout);
        match input {
            Input::Datagram(datagram) => self.datagram(now, datagram),
            Input::JobDone(done) => self.player.decoded(now, done),
            Input::Start | Input::Timeout | Input::Capture(_) | Input::Signal(_) => {}
        }
        self.advance(now, timeout);
    }

    fn poll_output(&mut self) -> Option<Output<DecodeJob>> {
        self.player.poll_output()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        if self.player.playout.is_finished() {
            return None;
        }
        [self.player.playout.poll_timeout(), self.report_due, self.request_due()].into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        self.player.playout.is_finished()
    }
}
