//! What the senders of one colour stream share, as [`crate::player`] is what the receivers share: ask for a picture at every capture, a
//! key frame if one is wanted, and end some time after the last.

use crate::jobs::{EncodeDone, EncodeJob};
use codecs::Unit;
use contract::{Event, EventKind, Role, Side, Stream};
use link::Timestamp;
use std::collections::VecDeque;
use sut_core::{Endpoint, Input, Output, Schedule};

/// What goes out of the sending end, and what is wanted of the encoder.
pub struct Outgoing {
    out: VecDeque<Output<EncodeJob>>,
    /// The next picture is to be a key frame; the first one is.
    pub key_wanted: bool,
}

/// What a protocol makes of encoded frames and of what comes back.
pub trait Protocol {
    /// A frame is captured: the last moment to want a key frame. What the encoder is to aim at from now on, if that changes, bits per
    /// second.
    fn capture(&mut self, out: &mut Outgoing, now: Timestamp, frame: u32) -> Option<u64>;
    /// A frame is encoded.
    fn encoded(&mut self, out: &mut Outgoing, now: Timestamp, frame: u32, key: bool, bytes: &[u8]);
    /// A datagram came back.
    fn feedback(&mut self, out: &mut Outgoing, now: Timestamp, datagram: &[u8]);
    /// Sends what waits for `now`; called after everything else.
    fn send_due(&mut self, _out: &mut Outgoing, _now: Timestamp) {}
    /// When something that waits is due.
    fn due(&self) -> Option<Timestamp> {
        None
    }
}

/// A sender with its protocol.
pub struct VideoSender<P> {
    pub(crate) protocol: P,
    out: Outgoing,
    finished_at: Timestamp,
    over: bool,
}

impl Outgoing {
    /// Notes an event.
    pub fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Sender, kind }));
    }

    /// Sends what belongs to no frame.
    pub fn transmit(&mut self, datagram: Vec<u8>) {
        self.out.push_back(Output::Transmit(datagram));
    }

    /// Sends the `index`-th datagram of `frame`, and says so.
    pub fn send(&mut self, now: Timestamp, frame: u32, role: Role, index: u32, datagram: Vec<u8>) {
        let bytes = datagram.len() as u32;
        self.transmit(datagram);
        self.event(now, EventKind::Sent { frame, stream: Stream::Rgb, role, index, bytes });
    }

    /// A frame cannot be sent. What the encoder makes next would refer to it: a key frame is wanted.
    pub fn refused(&mut self, now: Timestamp, frame: u32, reason: String) {
        self.key_wanted = true;
        self.event(now, EventKind::SenderDrop { frame, reason });
    }

    /// Notes a datagram of `bytes` that was ignored.
    pub fn malformed(&mut self, now: Timestamp, bytes: usize, reason: &str) {
        self.event(now, EventKind::Malformed { bytes: bytes as u32, reason: reason.to_owned() });
    }
}

impl<P: Protocol> VideoSender<P> {
    /// A sender that waits for the first capture.
    #[must_use]
    pub fn of(protocol: P, schedule: &Schedule) -> Self {
        let out = Outgoing { out: VecDeque::new(), key_wanted: true };
        Self { protocol, out, finished_at: schedule.last_packet(), over: false }
    }

    fn capture(&mut self, now: Timestamp, frame: u32) {
        let target_bps = self.protocol.capture(&mut self.out, now, frame);
        let key = std::mem::take(&mut self.out.key_wanted);
        let job = EncodeJob { frame, stream: Stream::Rgb, key, target_bps };
        self.out.out.push_back(Output::Job(job));
    }

    fn encoded(&mut self, now: Timestamp, done: &EncodeDone) {
        let EncodeDone { frame, stream, unit: Unit { ref bytes, key, .. } } = *done;
        if bytes.is_empty() {
            let reason = "the encoder's rate control".to_owned();
            return self.out.event(now, EventKind::SenderDrop { frame, reason });
        }
        self.out.event(now, EventKind::Encoded { frame, stream, bytes: bytes.len() as u32, key: Some(key) });
        self.protocol.encoded(&mut self.out, now, frame, key, bytes);
    }
}

impl<P: Protocol> Endpoint for VideoSender<P> {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, EncodeDone>) {
        match input {
            Input::Capture(frame) => self.capture(now, frame),
            Input::JobDone(done) => self.encoded(now, &done),
            Input::Datagram(datagram) => self.protocol.feedback(&mut self.out, now, datagram),
            Input::Timeout => self.over = now >= self.finished_at,
            Input::Start | Input::Signal(_) => {}
        }
        self.protocol.send_due(&mut self.out, now);
    }

    fn poll_output(&mut self) -> Option<Output<EncodeJob>> {
        self.out.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let next = self.protocol.due().map_or(self.finished_at, |due| due.min(self.finished_at));
        (!self.over).then_some(next)
    }

    fn is_finished(&self) -> bool {
        self.over
    }
}
