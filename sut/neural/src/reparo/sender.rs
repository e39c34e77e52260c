//! The sending end: encode, cut into four packets, send at once; as much of each frame as the plan or the receiver's reports say.

use super::control::{Controller, Report};
use super::worker::{Encode, Encoded};
use super::{Session, Wanted};
use contract::{Event, EventKind, Role, Side, Stream};
use link::Timestamp;
use std::collections::VecDeque;
use sut_core::{Endpoint, Input, Output};

/// See the module.
pub struct Sender {
    session: Session,
    out: VecDeque<Output<Encode>>,
    captured: u32,
    encoded: u32,
    /// Of an adaptive session.
    controller: Option<Controller>,
}

impl Sender {
    /// A sender that waits for captures.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let controller =
            session.adapt.map(|most| Controller::new(session.variants.clone(), session.schedule.fps, most));
        Self { session, out: VecDeque::new(), captured: 0, encoded: 0, controller }
    }

    /// What a frame that is captured now is to have.
    fn wanted(&self, frame: u32) -> Wanted {
        self.controller.as_ref().map_or_else(|| self.session.wanted(frame), Controller::wanted)
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Sender, kind }));
    }

    fn send(&mut self, now: Timestamp, Encoded { frame, packets }: Encoded) {
        let stream = Stream::Rgb;
        self.encoded += 1;
        let bytes = packets.iter().map(|p| p.len() as u32).sum();
        self.event(now, EventKind::Encoded { frame, stream, bytes, key: Some(true) });
        for (index, packet) in packets.into_iter().enumerate() {
            let (index, bytes) = (index as u32, packet.len() as u32);
            self.out.push_back(Output::Transmit(packet));
            self.event(now, EventKind::Sent { frame, stream, role: Role::Data, index, bytes });
        }
    }

    fn report(&mut self, now: Timestamp, datagram: &[u8]) {
        // Otherwise nothing comes back, and nothing is listened to.
        let Some(controller) = &mut self.controller else { return };
        let Some(report) = Report::from_bytes(datagram) else {
            let (bytes, reason) = (datagram.len() as u32, "no report".to_owned());
            return self.event(now, EventKind::Malformed { bytes, reason });
        };
        controller.report(now, report);
        let what = format!("target {} kbps", controller.target().0 / 1000);
        self.event(now, EventKind::Feedback { what });
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
                let wanted = self.wanted(frame);
                self.out.push_back(Output::Job(Encode { frame, wanted }));
            }
            Input::JobDone(done) => self.send(now, done),
            Input::Datagram(datagram) => self.report(now, datagram),
            Input::Timeout | Input::Signal(_) => {}
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
