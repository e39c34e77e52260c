//! The sending end: encode, cut, protect, pace; key frames on request.
//!
//! What leaves decides what the encoder gets, as in libwebrtc (`FecControllerDefault::UpdateFecRates`, and
//! `RtpVideoSender::OnBitrateUpdated` for headers): of the target, the share that repair packets had of all bytes in the last
//! second, at most a half, is taken off, and of the rest the share of headers.

use super::{Code, FLEXFEC_TYPE, MEDIA_SSRC, RED_TYPE, REPAIR_SSRC, Session, ULPFEC_TYPE, VP8_TYPE};
use crate::outgoing::{Outgoing, Protocol, VideoSender};
use contract::{EventKind, Role};
use link::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;
use sut_core::fec::protection::{Controller, MAX_BLOCK};
use sut_core::fec::{flexfec, ulpfec};
use sut_core::packetize::rtp::{Packetizer, timestamp};
use sut_core::rtp::rtcp::{Packet, ntp, round_trip};
use sut_core::rtp::{Header, red};

/// A packet that waits for the pacer.
struct Queued {
    due: Timestamp,
    frame: u32,
    role: Role,
    datagram: Vec<u8>,
}

/// What left in the last second.
#[derive(Default)]
struct Sent {
    packets: VecDeque<(Timestamp, Spent)>,
    sum: Spent,
}

#[derive(Clone, Copy, Default)]
struct Spent {
    /// Bytes of encoded frames.
    encoded: u64,
    /// The packets that carry them.
    media: u64,
    /// Repair packets.
    repair: u64,
}

impl Sent {
    fn add(&mut self, now: Timestamp, spent: Spent) {
        self.packets.push_back((now, spent));
        self.sum.encoded += spent.encoded;
        self.sum.media += spent.media;
        self.sum.repair += spent.repair;
        while let Some(&(at, old)) = self.packets.front()
            && at + Duration::from_secs(1) <= now
        {
            self.packets.pop_front();
            self.sum.encoded -= old.encoded;
            self.sum.media -= old.media;
            self.sum.repair -= old.repair;
        }
    }

    /// What the encoder may use of `target`; `None` before anything left.
    fn left(&self, target: u64) -> Option<u64> {
        let Spent { encoded, media, repair } = self.sum;
        let repair = repair.min(media); // half of all at most
        let shares = u128::from(target) * u128::from(encoded);
        shares.checked_div(u128::from(media + repair)).map(|bps| bps as u64)
    }
}

/// What the sender makes packets of, and what it has sent.
pub struct Rtp {
    session: Session,
    packetizer: Packetizer,
    controller: Controller,
    /// Media packets of the open repair block, before RED.
    block: Vec<Vec<u8>>,
    repair_sequence: u16,
    /// Frames sent.
    pictures: u32,
    sent: Sent,
    /// Media packets and bytes of payload, for reports.
    reported: (u32, u32),
    /// Next report and change of rate; the first when the first frame has left.
    report_due: Option<Timestamp>,
    queue: VecDeque<Queued>,
    /// When the pacer is free again.
    free: Timestamp,
}

/// See the module.
pub type Sender = VideoSender<Rtp>;

impl Sender {
    /// A sender that waits for the first capture.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let packetizer = Packetizer {
            ssrc: MEDIA_SSRC,
            payload_type: VP8_TYPE,
            max_packet: (session.options.max_packet as usize).saturating_sub(session.code.overhead()),
            fps: session.schedule.fps,
            sequence: 0,
        };
        let controller = Controller::new(session.protection());
        let schedule = session.schedule;
        let rtp = Rtp {
            session,
            packetizer,
            controller,
            block: Vec::new(),
            repair_sequence: 0,
            pictures: 0,
            sent: Sent::default(),
            reported: (0, 0),
            report_due: None,
            queue: VecDeque::new(),
            free: Timestamp::ZERO,
        };
        Self::of(rtp, &schedule)
    }
}

impl Rtp {
    fn report(&self, out: &mut Outgoing, now: Timestamp, frame: u32) {
        let (packets, bytes) = self.reported;
        let timestamp = timestamp(frame, self.session.schedule.fps);
        let mut report = Vec::new();
        Packet::SenderReport { sender: MEDIA_SSRC, ntp: ntp(now.as_nanos()), timestamp, packets, bytes }
            .write(&mut report);
        out.transmit(report);
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
        let length = datagram.len() as u64;
        let spent = match role {
            Role::Parity => Spent { repair: length, ..Spent::default() },
            _ => Spent { media: length, ..Spent::default() },
        };
        self.sent.add(now, spent);
        let bps = options.target_bps() * u64::from(options.pacing_percent) / 100;
        let time = (length * 8 * 1_000_000_000).checked_div(bps).unwrap_or(0);
        self.free = due + Duration::from_nanos(time);
        self.queue.push_back(Queued { due, frame, role, datagram });
    }
}

impl Protocol for Rtp {
    fn capture(&mut self, out: &mut Outgoing, now: Timestamp, frame: u32) -> Option<u64> {
        self.report_due.filter(|&due| due <= now)?;
        self.report_due = Some(now + Duration::from_millis(self.session.options.report_interval_ms));
        self.report(out, now, frame);
        self.sent.left(self.session.options.target_bps())
    }

    fn encoded(&mut self, _: &mut Outgoing, now: Timestamp, frame: u32, key: bool, bytes: &[u8]) {
        let interval = Duration::from_millis(self.session.options.report_interval_ms);
        self.report_due.get_or_insert(now + interval);
        let factor = self.controller.factor(now, key);
        let packets = self.packetizer.packets(frame, self.pictures, bytes);
        self.pictures += 1;
        self.reported.0 = self.reported.0.wrapping_add(packets.len() as u32);
        self.reported.1 = self.reported.1.wrapping_add(bytes.len() as u32);
        self.sent.add(now, Spent { encoded: bytes.len() as u64, ..Spent::default() });
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

    fn feedback(&mut self, out: &mut Outgoing, now: Timestamp, datagram: &[u8]) {
        let Some(packets) = Packet::parse_compound(datagram) else {
            return out.malformed(now, datagram.len(), "not an RTCP packet");
        };
        for packet in packets {
            match packet {
                Packet::ReceiverReport { media: MEDIA_SSRC, fraction_lost, last_report, held, .. } => {
                    self.controller.report(now, fraction_lost);
                    let mut what = format!("loss {fraction_lost}/256");
                    if let Some(time) = round_trip(ntp(now.as_nanos()), last_report, held) {
                        self.controller.round_trip(time);
                        what += &format!(", round trip {} ms", time.as_millis());
                    }
                    out.event(now, EventKind::Feedback { what });
                }
                Packet::PictureLoss { media: MEDIA_SSRC, .. } => {
                    out.key_wanted = true;
                    out.event(now, EventKind::Feedback { what: "key frame wanted".to_owned() });
                }
                _ => {}
            }
        }
    }

    fn send_due(&mut self, out: &mut Outgoing, now: Timestamp) {
        while self.queue.front().is_some_and(|q| q.due <= now) {
            let Some(Queued { frame, role, datagram, .. }) = self.queue.pop_front() else { break };
            // Both ends count packets by RTP sequence number.
            let index = sut_core::fec::xor::sequence_of(&datagram).map_or(0, u32::from);
            out.send(now, frame, role, index, datagram);
        }
    }

    fn due(&self) -> Option<Timestamp> {
        self.queue.front().map(|queued| queued.due)
    }
}
