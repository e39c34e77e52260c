//! The receiving end: assemble, decode at the deadline, show or repeat.
//!
//! ```text
//! fixed budget   frame f is decoded when complete, at the latest 10 ms before its slot
//! own clock      t0 = first packet + T + slack; decoded at the latest at t0 + f T, shown T later
//! ```

use super::{Session, lane, send_all};
use crate::jobs::{DecodeDone, DecodeJob, picture_name, slot};
use codecs::{Arrival, Slot};
use contract::units::Entry;
use contract::{Event, EventKind, LossCause, Role, Side, Status, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use sut_core::packetize::revo::{Assembled, Assembly, Refused};
use sut_core::slot_clock::has_come;
use sut_core::wire::revo::{Desc, Message, parse};
use sut_core::{Endpoint, Input, Output, Screen, SlotClock};
use transport::Transport;

/// From a frame's decoding with what is there to its slot, when the budget is fixed. The original takes a whole T, of which its
/// decoders need a few milliseconds; the rest would be taken from the time in which packets may come.
const DECODE: Duration = Duration::from_millis(10);

/// See the module.
pub struct Receiver {
    session: Session,
    transport: Transport,
    out: VecDeque<Output<DecodeJob>>,
    /// Frames that are being assembled, per stream.
    assembling: [BTreeMap<u32, Candidates>; 2],
    lanes: [Lane; 2],
    screen: Screen,
    /// Newest frame of which anything has come.
    newest: Option<u32>,
}

/// What a frame's chunks could belong to: a forged or misdirected first chunk must not lock the true ones out.
#[derive(Default)]
struct Candidates(Vec<Assembly>);

impl Candidates {
    /// More headers than this for one frame are refused.
    const MOST: usize = 4;

    fn insert(&mut self, desc: &Desc, chunk: &[u8]) -> Result<(), Refused> {
        for assembly in &mut self.0 {
            match assembly.insert(desc, chunk) {
                Err(Refused::Contradiction) => {}
                taken => return taken,
            }
        }
        if self.0.len() == Self::MOST {
            return Err(Refused::Contradiction);
        }
        let mut assembly = Assembly::new(*desc);
        assembly.insert(desc, chunk)?;
        self.0.push(assembly);
        Ok(())
    }

    /// The one with the most chunks; the earliest among equals.
    fn best(&self) -> Option<&Assembly> {
        self.0.iter().rev().max_by_key(|a| (a.is_ready(), a.received()))
    }
}

/// The decoding state of one stream.
#[derive(Default)]
struct Lane {
    /// Next frame to decode or give up.
    next: u32,
    /// Key frame that the decoder's state descends from.
    gop: Option<u32>,
    /// A frame of this GOP was lost or damaged: what follows is not exact.
    tainted: bool,
    /// Frames at the decoder or the recovery: what arrived of them, and what they are shown as.
    decoding: BTreeMap<u32, (Arrival, Status)>,
}

impl Receiver {
    /// A receiver that waits for [`Input::Start`].
    #[must_use]
    pub fn new(session: Session, transport: Transport) -> Self {
        Self {
            screen: Screen::new(&session.schedule, 2),
            session,
            transport,
            out: VecDeque::new(),
            assembling: Default::default(),
            lanes: Default::default(),
            newest: None,
        }
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Receiver, kind }));
    }

    /// What it receives with.
    pub fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// Newest frame of which anything has come.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        self.newest
    }

    /// Next slot to show.
    #[must_use]
    pub fn next_slot(&self) -> u32 {
        self.screen.next_slot()
    }

    fn frames(&self) -> u32 {
        self.session.schedule.frames
    }

    /// When `frame` is decoded with what is there.
    fn deadline(&self, frame: u32) -> Option<Timestamp> {
        let lead = if self.screen.clock.is_fixed() { DECODE } else { self.session.slot() };
        self.screen.clock.before(frame, lead + self.session.recovery_lead)
    }

    fn message(&mut self, now: Timestamp, bytes: &[u8]) {
        match parse(bytes) {
            Ok(Message::Chunk(desc, chunk)) => self.chunk(now, &desc, chunk, bytes.len() as u32),
            // Everything INIT says is in the session description too; a lost INIT costs nothing.
            Ok(Message::Init(_) | Message::WarmUp) => {}
            Err(error) => {
                self.event(
                    now,
                    EventKind::Malformed { bytes: bytes.len() as u32, reason: error.to_string() },
                );
            }
        }
    }

    fn chunk(&mut self, now: Timestamp, desc: &Desc, chunk: &[u8], bytes: u32) {
        let (frame, stream) = (desc.frame, desc.stream);
        if frame >= self.frames() || !self.session.streams().contains(&stream) {
            let reason =
                format!("chunk of frame {frame}, stream {stream:?}, which this session does not have");
            return self.event(now, EventKind::Malformed { bytes, reason });
        }
        self.newest = self.newest.max(Some(frame));
        self.start_clock(now, frame);
        let role = if desc.index >= desc.k { Role::Parity } else { Role::Data };
        let index = u32::from(desc.index);
        let taken = if frame < self.lanes[lane(stream)].next {
            Err(Refused::Duplicate) // decided already: too late, or a repeat
        } else {
            self.assembling[lane(stream)].entry(frame).or_default().insert(desc, chunk)
        };
        if taken == Err(Refused::Contradiction) {
            let reason = format!("chunk {index} of frame {frame} contradicts those before it");
            return self.event(now, EventKind::Malformed { bytes, reason });
        }
        self.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate: taken.is_err() });
    }

    /// An own clock: any packet of any frame starts it. (In the original only a complete frame 0 does: without it nothing is
    /// ever shown.)
    fn start_clock(&mut self, now: Timestamp, frame: u32) {
        if self.screen.clock.is_running() || self.session.options.compat {
            return;
        }
        let slack = Duration::from_millis(self.session.options.slack_ms);
        let lead = self.session.schedule.capture_time(frame) - self.session.schedule.capture_start;
        let t0 =
            Timestamp((now + self.session.slot() + slack).as_nanos().saturating_sub(lead.as_nanos() as u64));
        self.screen.clock.start(0, t0.max(now) + self.session.slot());
    }

    /// The original's rule: `t0 = max(first packet + T, now + 66 ms)` once frame 0 is complete. The first packet is
    /// a slot old by then, so that `now + 66 ms` decides.
    fn start_compat_clock(&mut self, now: Timestamp) {
        let ready = |l: &BTreeMap<u32, Candidates>| {
            l.get(&0).and_then(Candidates::best).is_some_and(|a| a.is_ready() && a.desc().is_key())
        };
        let both = self.session.streams().iter().all(|&s| ready(&self.assembling[lane(s)]));
        if self.session.options.compat && !self.screen.clock.is_running() && both {
            let slack = Duration::from_millis(self.session.options.slack_ms);
            self.screen.clock.start(0, now + slack + self.session.slot());
        }
    }

    /// When judging begins even if nothing ever arrives (the original waits for ever); `None` once slots have times.
    fn give_up_at(&self) -> Option<Timestamp> {
        let schedule = &self.session.schedule;
        let give_up = self.screen.clock.give_up_at()?;
        // In compat the end of a session that never started.
        let compat = || schedule.capture_time(schedule.frames) + SlotClock::GIVE_UP;
        Some(if self.session.options.compat { compat() } else { give_up })
    }

    /// Decodes, gives up and shows everything whose time has come.
    fn advance(&mut self, now: Timestamp, timeout: bool) {
        self.screen.note_time(now);
        self.start_compat_clock(now);
        if self.give_up_at().is_some_and(|at| at <= now) {
            if self.session.options.compat {
                self.show_nothing(now); // the original never shows anything without frame 0
            }
            self.screen.clock.start(0, now + self.session.slot());
        }
        let streams = self.session.streams();
        loop {
            let mut moved = false;
            for &stream in streams {
                moved |= self.decide(now, timeout, stream);
            }
            if !moved {
                break;
            }
        }
        while let Some(frame) = self.screen.due(now, timeout) {
            for &stream in streams {
                self.show(now, stream, frame);
            }
        }
    }

    /// Every slot of a session whose clock never started.
    fn show_nothing(&mut self, now: Timestamp) {
        while self.screen.next_slot() < self.frames() {
            let frame = self.screen.pass();
            for &stream in self.session.streams() {
                self.event(now, EventKind::Lost { frame, stream, cause: LossCause::Dependency, missing: 0 });
                self.show(now, stream, frame);
            }
        }
        for state in &mut self.lanes {
            state.next = self.session.schedule.frames;
        }
    }

    fn is_ready(&self, stream: Stream, frame: u32) -> bool {
        self.assembling[lane(stream)].get(&frame).and_then(Candidates::best).is_some_and(Assembly::is_ready)
    }

    /// Decides the next frame of `stream`, if it can be decided now.
    fn decide(&mut self, now: Timestamp, timeout: bool, stream: Stream) -> bool {
        let frame = self.lanes[lane(stream)].next;
        let compat = self.session.options.compat;
        if frame >= self.frames() || (compat && !self.screen.clock.is_running()) {
            return false;
        }
        let due = self.deadline(frame).is_some_and(|deadline| has_come(deadline, now, timeout));
        // The original waits for both streams of a frame and loses both if either is lost.
        let ready = if compat {
            self.session.streams().iter().all(|&s| {
                // the other stream may be one ahead: it was ready then
                self.lanes[lane(s)].next > frame || self.is_ready(s, frame)
            })
        } else {
            self.is_ready(stream, frame)
        };
        if !ready && !due {
            return false;
        }
        let doomed = compat && !ready && self.is_doomed_together(frame);
        let assembly = self.assembling[lane(stream)].remove(&frame);
        self.lanes[lane(stream)].next += 1;
        let (gop, assembled) = match assembly.as_ref().and_then(Candidates::best) {
            Some(a) => (Some(a.desc().gop), a.assemble()),
            None => (None, Assembled::Lost { missing: 0 }),
        };
        let key = gop == Some(frame);
        let qp = assembly.as_ref().and_then(Candidates::best).map_or(0, |a| a.desc().qp);
        let state = &mut self.lanes[lane(stream)];
        let lost = |cause, missing| EventKind::Lost { frame, stream, cause, missing };
        if key {
            state.gop = None;
            state.tainted = false;
        }
        let (unit, whole, event) = match assembled {
            _ if doomed => {
                state.tainted = true;
                return self.give_up(now, stream, frame, lost(LossCause::Dependency, 0));
            }
            Assembled::Lost { missing } => {
                state.tainted = true;
                return self.give_up(now, stream, frame, lost(LossCause::Network, missing));
            }
            _ if !key && state.gop != gop => {
                return self.give_up(now, stream, frame, lost(LossCause::Dependency, 0));
            }
            Assembled::Complete { bytes, recovered } => {
                (bytes, true, EventKind::Complete { frame, stream, recovered })
            }
            Assembled::Partial { bytes, missing } => {
                state.tainted = true;
                (bytes, false, lost(LossCause::Network, missing))
            }
        };
        if key {
            state.gop = Some(frame);
        }
        let entry = Entry { frame, key, whole, exact: !state.tainted, unit: Some(unit), qp };
        self.event(now, event);
        self.decode(stream, entry)
    }

    /// Nothing of the frame can be decoded; a recovery that makes pictures gets it all the same.
    fn give_up(&mut self, now: Timestamp, stream: Stream, frame: u32, event: EventKind) -> bool {
        self.event(now, event);
        if self.session.recovery.makes_pictures {
            let key = frame.is_multiple_of(self.session.options.gop);
            self.decode(stream, Entry { frame, key, ..Entry::default() });
        }
        true
    }

    fn decode(&mut self, stream: Stream, entry: Entry) -> bool {
        let status = if entry.exact { Status::Rendered } else { Status::Concealed };
        let arrival = Slot::of(&entry).arrival;
        self.lanes[lane(stream)].decoding.insert(entry.frame, (arrival, status));
        self.out.push_back(Output::Job(DecodeJob { stream, entry }));
        true
    }

    /// Compat: would the original drop the frame of both streams? Yes if any stream is a lost key frame or has no
    /// chunk 0.
    fn is_doomed_together(&self, frame: u32) -> bool {
        self.session.streams().iter().any(|&s| {
            self.lanes[lane(s)].next <= frame
                && self.assembling[lane(s)]
                    .get(&frame)
                    .and_then(Candidates::best)
                    .is_none_or(|a| matches!(a.assemble(), Assembled::Lost { .. }))
        })
    }

    fn decoded(&mut self, now: Timestamp, done: DecodeDone) {
        let DecodeDone { frame, stream, decoded, picture } = done;
        let state = &mut self.lanes[lane(stream)];
        let Some((arrival, status)) = state.decoding.remove(&frame) else { return };
        let fed = arrival != Arrival::Nothing;
        if fed && !decoded {
            state.tainted = true;
            if state.gop == Some(frame) {
                state.gop = None; // a key frame without a picture: nothing to build on
            }
        }
        let cause = match picture {
            Some(hash) => {
                // What the decoder did not give is the recovery's work.
                let status = if decoded { status } else { Status::Concealed };
                let in_time = self.screen.bring(lane(stream), frame, status, hash);
                (!in_time).then_some(LossCause::Late)
            }
            None if !fed => None,                           // it is known as lost
            None if decoded => Some(LossCause::Dependency), // withheld by the recovery: not exact
            None => Some(LossCause::Decoder),
        };
        if fed || picture.is_some() {
            self.event(now, EventKind::Decoded { frame, stream, picture: picture.map(picture_name) });
        }
        if let Some(cause) = cause {
            self.event(now, EventKind::Lost { frame, stream, cause, missing: 0 });
        }
    }

    fn show(&mut self, now: Timestamp, stream: Stream, frame: u32) {
        let shown = self.screen.show(lane(stream), frame);
        self.event(now, slot(frame, stream, shown));
    }

    fn pump(&mut self, now: Timestamp) {
        while let Some(message) = self.transport.poll_message() {
            self.message(now, &message.bytes);
        }
        send_all(&mut self.transport, &mut self.out);
    }
}

impl Endpoint for Receiver {
    type Job = DecodeJob;
    type Done = DecodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, DecodeDone>) {
        let timeout = matches!(input, Input::Timeout);
        match input {
            Input::Start => self.transport.handle_start(now),
            Input::Timeout => self.transport.handle_timeout(now),
            Input::Datagram(datagram) => self.transport.handle_datagram(now, datagram),
            Input::Signal(message) => self.transport.handle_signal(now, message),
            Input::Capture(_) => {}
            Input::JobDone(done) => self.decoded(now, done),
        }
        self.pump(now);
        self.advance(now, timeout);
    }

    fn poll_output(&mut self) -> Option<Output<DecodeJob>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let undecided = self.session.streams().iter().map(|&s| self.lanes[lane(s)].next).min();
        let decide = undecided.filter(|&f| f < self.frames()).and_then(|f| self.deadline(f));
        [self.transport.poll_timeout(), self.give_up_at(), decide, self.screen.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_finished(&self) -> bool {
        self.screen.is_finished() && self.lanes.iter().all(|l| l.decoding.is_empty())
    }
}
