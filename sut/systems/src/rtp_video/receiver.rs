//! The receiving end: recover, assemble, play out; reports and key-frame requests on the way back.

use super::{
    Code, FLEXFEC_TYPE, MEDIA_SSRC, RECEIVER_SSRC, RED_TYPE, REPAIR_SSRC, Session, ULPFEC_TYPE, VP8_TYPE,
};
use crate::jobs::{DecodeDone, DecodeJob};
use crate::player::Player;
use contract::{EventKind, Role, Stream};
use link::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use sut_core::fec::xor::{Repair, XorDecoder};
use sut_core::fec::{FecError, flexfec, ulpfec};
use sut_core::packetize::rtp::Assembler;
use sut_core::rtp::rtcp::{Packet, Statistics};
use sut_core::rtp::{Header, Unwrapper, VIDEO_CLOCK, red};
use sut_core::{Endpoint, Input, Output};

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

/// See the module.
pub struct Receiver {
    session: Session,
    player: Player,
    decoder: XorDecoder,
    assembler: Assembler,
    statistics: Statistics,
    /// Of the media's and of FlexFEC's sequence space.
    arrivals: [Arrivals; 2],
    report_due: Option<Timestamp>,
    /// Last request for a key frame.
    requested: Option<Timestamp>,
}

impl Receiver {
    /// A receiver before the first packet.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let player = Player::new(&session.schedule, Some(session.options.wait_ms));
        Self {
            session,
            player,
            decoder: XorDecoder::default(),
            assembler: Assembler::default(),
            statistics: Statistics::default(),
            arrivals: Default::default(),
            report_due: None,
            requested: None,
        }
    }

    fn datagram(&mut self, now: Timestamp, datagram: &[u8]) {
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
        let Some(frame) = self.assembler.frame_of(payload).filter(|f| *f < self.session.schedule.frames)
        else {
            return self.player.malformed(now, payload.len(), "no VP8 packet of this session");
        };
        let (stream, role, index) = (Stream::Rgb, Role::Data, u32::from(header.sequence));
        self.player.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate: !new });
        self.player.playout.packet(now, frame);
        self.media(now, header, payload, false);
        let more = self.decoder.media(&header.packet(payload));
        self.recovered(now, more);
    }

    /// A media packet, from the network or recovered.
    fn media(&mut self, now: Timestamp, header: &Header, payload: &[u8], recovered: bool) {
        for complete in self.assembler.push(header, payload, recovered) {
            let (frame, count) = (complete.frame, complete.recovered);
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
        let fps = u64::from(self.session.schedule.fps);
        let frame = ((u64::from(header.timestamp) * fps).div_ceil(u64::from(VIDEO_CLOCK))) as u32;
        if frame >= self.session.schedule.frames {
            return self.player.malformed(
                now,
                bytes as usize,
                "repair of a frame that this session does not have",
            );
        }
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
        let mut compound = Vec::new();
        if self.report_due.is_some_and(|due| due <= now) {
            let interval = Duration::from_millis(self.session.options.report_interval_ms);
            self.report_due = Some(now + interval);
            if let Some(report) = self.statistics.report(RECEIVER_SSRC, MEDIA_SSRC) {
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

    /// When a key frame is asked for if decoding still waits for the same frame then.
    fn request_due(&self) -> Option<Timestamp> {
        let options = &self.session.options;
        let (_, expected) = self.player.playout.waiting_for()?;
        let late = expected + Duration::from_millis(options.key_request_after_ms);
        let again = self.requested.map(|at| at + Duration::from_millis(options.key_request_interval_ms));
        Some(again.map_or(late, |again| again.max(late)))
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
