//! The sending end: encode, protect, send; key frames when the receiver falls behind.

use super::Session;
use crate::jobs::{EncodeDone, EncodeJob};
use anyhow::Result;
use codecs::Unit;
use contract::{Event, EventKind, Role, Side, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use sut_core::fec::streaming::{Encoder, Header, Quality};
use sut_core::wire::tambur::Feedback;
use sut_core::{Endpoint, Input, Output};

/// A frame that the receiver has not acknowledged.
struct Open {
    sent: Timestamp,
    last_fec_frame: u64,
}

/// See the module.
pub struct Sender {
    session: Session,
    out: VecDeque<Output<EncodeJob>>,
    encoder: Encoder,
    quality: Quality,
    /// Frames sent and not known to be complete.
    open: BTreeMap<u32, Open>,
    /// Last FEC frame of every frame sent lately, for the age of acknowledgements.
    sent: BTreeMap<u32, u64>,
    newest_complete: Option<u64>,
    key_wanted: bool,
    finished_at: Timestamp,
    over: bool,
}

impl Sender {
    /// A sender that waits for the first capture.
    pub fn new(session: Session) -> Result<Self> {
        let encoder = Encoder::new(session.options.code())?;
        let finished_at = session.schedule.last_packet();
        Ok(Self {
            quality: session.options.first_quality(),
            session,
            out: VecDeque::new(),
            encoder,
            open: BTreeMap::new(),
            sent: BTreeMap::new(),
            newest_complete: None,
            key_wanted: true,
            finished_at,
            over: false,
        })
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Sender, kind }));
    }

    fn capture(&mut self, now: Timestamp, frame: u32) {
        self.check_progress(now);
        let key = std::mem::take(&mut self.key_wanted);
        self.out.push_back(Output::Job(EncodeJob { frame, stream: Stream::Rgb, key }));
    }

    /// Forces a key frame if the oldest open frame is too far behind the newest complete one, or too old; what was
    /// sent before is then of no interest (Ringmaster, Tambur).
    fn check_progress(&mut self, now: Timestamp) {
        let options = &self.session.options;
        let Some((_, oldest)) = self.open.first_key_value() else { return };
        let behind =
            self.newest_complete.is_some_and(|n| n > oldest.last_fec_frame + options.key_after_frames);
        let old = now > oldest.sent + Duration::from_millis(options.key_after_ms);
        if behind || old {
            self.key_wanted = true;
            self.open.clear();
            let reason = if behind { "a frame is lost" } else { "nothing is complete" };
            self.event(now, EventKind::Note { text: format!("key frame forced: {reason}") });
        }
    }

    fn encoded(&mut self, now: Timestamp, done: &EncodeDone) {
        let EncodeDone { frame, stream, unit: Unit { ref bytes, key, .. } } = *done;
        self.event(now, EventKind::Encoded { frame, stream, bytes: bytes.len() as u32, key });
        let packets = match self.encoder.encode(frame, key, bytes, self.quality) {
            Ok(packets) => packets,
            Err(error) => {
                self.key_wanted = true; // the encoder refers to a frame nobody will get
                return self.event(now, EventKind::SenderDrop { frame, reason: error.to_string() });
            }
        };
        for packet in packets {
            let header = Header::parse(&packet).map(|(header, _)| header);
            let parity = header.is_some_and(|h| h.parity);
            // Both ends count packets by sequence number.
            let index = header.map_or(0, |h| h.sequence);
            let role = if parity { Role::Parity } else { Role::Data };
            let bytes = packet.len() as u32;
            self.out.push_back(Output::Transmit(packet));
            self.event(now, EventKind::Sent { frame, stream, role, index, bytes });
        }
        let last_fec_frame = self.encoder.next_frame() - 1;
        self.open.insert(frame, Open { sent: now, last_fec_frame });
        self.sent.insert(frame, last_fec_frame);
        if self.sent.len() > 256 {
            self.sent.pop_first();
        }
    }

    fn feedback(&mut self, now: Timestamp, datagram: &[u8]) {
        match Feedback::parse(datagram) {
            Some(Feedback::Report(quality)) => {
                self.quality = quality;
                self.event(now, EventKind::Feedback { what: format!("quality report {}", quality as u8) });
            }
            Some(Feedback::Complete { frame, before }) => {
                let bits = (0..32).filter(|i| before >> i & 1 == 1).filter_map(|i| frame.checked_sub(1 + i));
                for frame in std::iter::once(frame).chain(bits) {
                    self.open.remove(&frame);
                    if let Some(&fec_frame) = self.sent.get(&frame) {
                        self.newest_complete = self.newest_complete.max(Some(fec_frame));
                    }
                }
            }
            None => {
                let reason = "not a feedback message".to_owned();
                self.event(now, EventKind::Malformed { bytes: datagram.len() as u32, reason });
            }
        }
    }
}

impl Endpoint for Sender {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, EncodeDone>) {
        match input {
            Input::Capture(frame) => self.capture(now, frame),
            Input::JobDone(done) => self.encoded(now, &done),
            Input::Datagram(datagram) => self.feedback(now, datagram),
            Input::Timeout => self.over = now >= self.finished_at,
            Input::Start | Input::Signal(_) => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output<EncodeJob>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.over).then_some(self.finished_at)
    }

    fn is_finished(&self) -> bool {
        self.over
    }
}
