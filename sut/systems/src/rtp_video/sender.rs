//! The sending end: encode, cut, protect, pace; key frames on request.

use super::{Code, FLEXFEC_TYPE, MEDIA_SSRC, RED_TYPE, REPAIR_SSRC, Session, ULPFEC_TYPE, VP8_TYPE};
use crate::jobs::{EncodeDone, EncodeJob};
use codecs::Unit;
use contract::{Event, EventKind, Role, Side, Stream};
use link::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;
use sut_core::fec::protection::{Controller, MAX_BLOCK};
use sut_core::fec::{flexfec, ulpfec};
use sut_core::packetize::rtp::{Packetizer, timestamp};
use sut_core::rtp::rtcp::Packet;
use sut_core::rtp::{Header, red};
use sut_core::{Endpoint, Input, Output};

/// A packet that waits for the pacer.
struct Queued {
    due: Timestamp,
    frame: u32,
    role: Role,
    datagram: Vec<u8>,
}

/// See the module.
pub struct Sender {
    session: Session,
    out: VecDeque<Output<EncodeJob>>,
    packetizer: Packetizer,
    controller: Controller,
    /// Media packets of the open repair block, before RED.
    block: Vec<Vec<u8>>,
    repair_sequence: u16,
    queue: VecDeque<Queued>,
    /// When the pacer is free again.
    free: Timestamp,
    key_wanted: bool,
    finished_at: Timestamp,
    over: bool,
}

impl Sender {
    /// A sender that waits for the first capture.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let packetizer = Packetizer {
            ssrc: MEDIA_SSRC,
            payload_type: VP8_TYPE,
            max_packet: session.options.max_packet as usize,
            fps: session.schedule.fps,
            sequence: 0,
        };
        let controller = Controller::new(session.protection());
        let finished_at = session.schedule.last_packet();
        Self {
            session,
            out: VecDeque::new(),
            packetizer,
            controller,
            block: Vec::new(),
            repair_sequence: 0,
            queue: VecDeque::new(),
            free: Timestamp::ZERO,
            key_wanted: true,
            finished_at,
            over: false,
        }
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Sender, kind }));
    }

    fn capture(&mut self, frame: u32) {
        let key = std::mem::take(&mut self.key_wanted);
        self.out.push_back(Output::Job(EncodeJob { frame, stream: Stream::Rgb, key }));
    }

    fn encoded(&mut self, now: Timestamp, done: &EncodeDone) {
        let EncodeDone { frame, stream, unit: Unit { ref bytes, key, .. } } = *done;
        self.event(now, EventKind::Encoded { frame, stream, bytes: bytes.len() as u32, key });
        let factor = self.controller.factor(now, key);
        let packets = self.packetizer.packets(frame, bytes);
        // A block ends before a frame that does not fit.
        if !self.block.is_empty() && self.block.len() + packets.len() > MAX_BLOCK {
            let repair = sut_core::fec::xor::repair_count(self.block.len(), factor);
            self.close(now, frame, repair);
        }
        for (index, packet) in packets.iter().enumerate() {
            if factor > 0 {
                self.block.push(packet.clone());
            }
            let datagram = self.media_datagram(packet);
            self.pace(now, frame, Role::Data, datagram);
            // A frame of more packets than a block has is protected in pieces.
            if self.block.len() == MAX_BLOCK && index + 1 < packets.len() {
                let repair = sut_core::fec::xor::repair_count(MAX_BLOCK, factor);
                self.close(now, frame, repair);
            }
        }
        let count = packets.len();
        if let Some(repair) = self.controller.frame(bytes.len(), count, self.block.len(), key, factor) {
            self.close(now, frame, repair);
        }
    }

    /// ULPFEC's media travel in RED, so that media and repair are one stream.
    fn media_datagram(&self, packet: &[u8]) -> Vec<u8> {
        match (self.session.code, Header::parse(packet)) {
            (Code::Ulpfec, Some((header, payload))) => {
                Header { payload_type: RED_TYPE, ..header }.packet(&red::wrap(VP8_TYPE, payload))
            }
            _ => packet.to_vec(),
        }
    }

    /// Sends the repair packets of the open block.
    fn close(&mut self, now: Timestamp, frame: u32, repair: usize) {
        let block = std::mem::take(&mut self.block);
        let header = Header { timestamp: timestamp(frame, self.session.schedule.fps), ..Header::default() };
        let payloads = match self.session.code {
            Code::Ulpfec => ulpfec::protect(&block, repair),
            Code::Flexfec(format) => flexfec::protect(format, &block, repair),
        };
        for payload in payloads {
            let datagram = match self.session.code {
                Code::Ulpfec => {
                    let sequence = self.packetizer.next_sequence();
                    let header =
                        Header { payload_type: RED_TYPE, sequence, ssrc: MEDIA_SSRC, ..header.clone() };
                    header.packet(&red::wrap(ULPFEC_TYPE, &payload))
                }
                Code::Flexfec(format) => {
                    let sequence = self.repair_sequence;
                    self.repair_sequence = sequence.wrapping_add(1);
                    let csrcs = match format {
                        flexfec::Format::Draft03 => Vec::new(),
                        flexfec::Format::Rfc8627 => vec![MEDIA_SSRC],
                    };
                    let ssrc = REPAIR_SSRC;
                    Header { payload_type: FLEXFEC_TYPE, sequence, ssrc, csrcs, ..header.clone() }
                        .packet(&payload)
                }
            };
            self.pace(now, frame, Role::Parity, datagram);
        }
    }

    fn pace(&mut self, now: Timestamp, frame: u32, role: Role, datagram: Vec<u8>) {
        let options = &self.session.options;
        let due = self.free.max(now);
        let bps = u64::from(options.target_kbps) * 1000 * u64::from(options.pacing_percent) / 100;
        let time = (datagram.len() as u64 * 8 * 1_000_000_000).checked_div(bps).unwrap_or(0);
        self.free = due + Duration::from_nanos(time);
        self.queue.push_back(Queued { due, frame, role, datagram });
    }

    fn send_due(&mut self, now: Timestamp) {
        while self.queue.front().is_some_and(|q| q.due <= now) {
            let Some(Queued { frame, role, datagram, .. }) = self.queue.pop_front() else { break };
            let bytes = datagram.len() as u32;
            // Both ends count packets by RTP sequence number.
            let index = sut_core::fec::xor::sequence_of(&datagram).map_or(0, u32::from);
            self.out.push_back(Output::Transmit(datagram));
            self.event(now, EventKind::Sent { frame, stream: Stream::Rgb, role, index, bytes });
        }
    }

    fn feedback(&mut self, now: Timestamp, datagram: &[u8]) {
        let Some(packets) = Packet::parse_compound(datagram) else {
            let reason = "not an RTCP packet".to_owned();
            return self.event(now, EventKind::Malformed { bytes: datagram.len() as u32, reason });
        };
        for packet in packets {
            match packet {
                Packet::ReceiverReport { media: MEDIA_SSRC, fraction_lost, .. } => {
                    self.controller.report(now, fraction_lost);
                    self.event(now, EventKind::Feedback { what: format!("loss {fraction_lost}/256") });
                }
                Packet::PictureLoss { media: MEDIA_SSRC, .. } => {
                    self.key_wanted = true;
                    self.event(now, EventKind::Feedback { what: "key frame wanted".to_owned() });
                }
                _ => {}
            }
        }
    }
}

impl Endpoint for Sender {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, EncodeDone>) {
        match input {
            Input::Capture(frame) => self.capture(frame),
            Input::JobDone(done) => self.encoded(now, &done),
            Input::Datagram(datagram) => self.feedback(now, datagram),
            Input::Timeout => self.over = now >= self.finished_at,
            Input::Start | Input::Signal(_) => {}
        }
        self.send_due(now);
    }

    fn poll_output(&mut self) -> Option<Output<EncodeJob>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        if self.over {
            return None;
        }
        Some(self.queue.front().map_or(self.finished_at, |q| q.due.min(self.finished_at)))
    }

    fn is_finished(&self) -> bool {
        self.over
    }
}
