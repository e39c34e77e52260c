//! The sending end: encode, cut into four packets, send at once.

use super::Session;
use super::worker::{Encode, Encoded};
use contract::{Event, EventKind, Role, Side, Stream};
use link::Timestamp;
use std::collections::VecDeque;
use sut_core::wire::reparo::packetize;
use sut_core::{Endpoint, Input, Output};

/// See the module.
pub struct Sender {
    session: Session,
    out: VecDeque<Output<Encode>>,
    captured: u32,
    encoded: u32,
}

impl Sender {
    /// A sender that waits for captures.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session, out: VecDeque::new(), captured: 0, encoded: 0 }
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Sender, kind }));
    }

    fn send(&mut self, now: Timestamp, done: &Encoded) {
        let (variant, kept) = (self.session.variant, self.session.kept(done.frame));
        let (frame, stream) = (done.frame, Stream::Rgb);
        self.encoded += 1;
        let packets = packetize(variant, frame, &done.tokens, kept);
        let bytes = packets.iter().map(|p| p.len() as u32).sum();
        self.event(now, EventKind::Encoded { frame, stream, bytes, key: Some(true) });
        for (index, packet) in packets.into_iter().enumerate() {
            let (index, bytes) = (index as u32, packet.len() as u32);
            self.out.push_back(Output::Transmit(packet));
            self.event(now, EventKind::Sent { frame, stream, role: Role::Data, index, bytes });
        }
    }
}

impl Endpoint for Sender {
    type Job = Encode;
    type Done = Encoded;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Encoded>) {
        match input {
            Input::Start => {
                self.out.push_back(Output::Signal(self.session.description()));
            }
            Input::Capture(frame) => {
                self.captured = frame + 1;
                self.out.push_back(Output::Job(Encode { frame }));
            }
            Input::JobDone(done) => self.send(now, &done),
            // One way: nothing comes back.
            Input::Timeout | Input::Datagram(_) | Input::Signal(_) => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output<Encode>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn is_finished(&self) -> bool {
        self.encoded >= self.session.schedule.frames && self.out.is_empty()
    }
}
