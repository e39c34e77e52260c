//! What the receivers of video whose frames refer to each other share: decode in order, show at the slot, and say so.

use crate::jobs::{DecodeDone, DecodeJob, picture_name, slot};
use contract::units::Entry;
use contract::{Event, EventKind, Side, Stream};
use link::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;
use sut_core::playout::{Action, Playout};
use sut_core::{Output, Schedule};

/// The colour stream's playout, and what goes out of the receiving end.
pub struct Player {
    out: VecDeque<Output<DecodeJob>>,
    /// When frames are decoded and shown.
    pub playout: Playout,
}

impl Player {
    /// A player before the first packet; with a clock of its own, slots are `wait_ms` after the arrivals that frames should have, or
    /// ([`Playout::new`]) as frames are decoded.
    #[must_use]
    pub fn new(schedule: &Schedule, wait_ms: Option<u64>) -> Self {
        let playout = Playout::new(schedule, wait_ms.map(Duration::from_millis));
        Self { out: VecDeque::new(), playout }
    }

    /// Notes an event.
    pub fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Receiver, kind }));
    }

    /// Notes a datagram of `bytes` that was ignored.
    pub fn malformed(&mut self, now: Timestamp, bytes: usize, reason: &str) {
        self.event(now, EventKind::Malformed { bytes: bytes as u32, reason: reason.to_owned() });
    }

    /// Sends a datagram back.
    pub fn transmit(&mut self, datagram: Vec<u8>) {
        self.out.push_back(Output::Transmit(datagram));
    }

    /// A frame is complete, `recovered` packets or stripes of it from repair.
    pub fn complete(&mut self, now: Timestamp, frame: u32, key: bool, bytes: Vec<u8>, recovered: u32) {
        if self.playout.complete(frame, key, bytes) {
            self.event(now, EventKind::Complete { frame, stream: Stream::Rgb, recovered });
        }
    }

    /// The decoder's answer.
    pub fn decoded(&mut self, now: Timestamp, done: DecodeDone) {
        let DecodeDone { frame, stream, picture, .. } = done;
        self.event(now, EventKind::Decoded { frame, stream, picture: picture.map(picture_name) });
        self.playout.decoded(frame, picture);
    }

    /// Carries out what the playout wants by now; `timeout` as for [`Playout::advance`].
    pub fn advance(&mut self, now: Timestamp, timeout: bool) {
        self.playout.advance(now, timeout);
        let stream = Stream::Rgb;
        while let Some(action) = self.playout.poll_action() {
            match action {
                Action::Decode { frame, unit, key } => {
                    // No decoder of these codecs needs the quantiser.
                    let entry = Entry::whole(frame, key, 0, unit);
                    self.out.push_back(Output::Job(DecodeJob { stream, entry }));
                }
                Action::Lost { frame, cause } => {
                    self.event(now, EventKind::Lost { frame, stream, cause, missing: 0 });
                }
                Action::Slot { frame, status, shown } => {
                    self.event(now, slot(frame, stream, (status, shown)));
                }
            }
        }
    }

    /// What goes out next.
    pub fn poll_output(&mut self) -> Option<Output<DecodeJob>> {
        self.out.pop_front()
    }
}
