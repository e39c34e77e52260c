//! The receiving end: collect until the deadline, generate, show.
//!
//! ```text
//! fixed budget    capture of f ───── budget - render_ms ─────▶ deadline of f: generate ── render_ms ──▶ slot of f: show
//! own clock       first packet of f ── deadline_ms ─────────▶ deadline of f           ── render_ms ──▶ slot
//! ```
//! Of an own clock, later frames follow at the frame rate. What arrives after its deadline is lost; a frame that is complete, and all
//! frames before it decided, waits for nothing but the generator.

use super::Session;
use super::control::Observer;
use super::worker::{Generate, Generated, Task};
use contract::{Event, EventKind, LossCause, Role, Side, Status, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use sut_core::slot_clock::has_come;
use sut_core::wire::reparo::{PACKETS, unwrap_frame};
use sut_core::{Endpoint, Input, Output, Screen};
use systems::jobs::{picture_name, slot};

const STREAM: Stream = Stream::Rgb;
/// Frames generated or waiting for it at a time. Complete frames beyond that wait for their turn; one whose deadline comes before it
/// is left out rather than make each one late. Costs that fit between two frames never get there.
const BEHIND: usize = 2;

/// See the module.
pub struct Receiver {
    session: Session,
    out: VecDeque<Output<Task>>,
    /// Frames before their deadline: packets that are there, and their tokens.
    arriving: BTreeMap<u32, Arriving>,
    screen: Screen,
    /// Frames whose deadline has passed.
    decided: u32,
    /// Something arrived before: there is something to generate from.
    started: bool,
    generating: BTreeMap<u32, Status>,
    /// Number of the variant of the newest frame of which something came.
    variant: usize,
    /// Of an adaptive session.
    observer: Option<Observer>,
}

struct Arriving {
    variant: usize,
    packets: [bool; PACKETS as usize],
    grid: Vec<Option<u16>>,
}

impl Receiver {
    /// A receiver that waits for packets.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self {
            screen: Screen::new(&session.schedule, 1),
            observer: session.adapt.map(|_| Observer::new(session.schedule)),
            session,
            out: VecDeque::new(),
            arriving: BTreeMap::new(),
            decided: 0,
            started: false,
            generating: BTreeMap::new(),
            variant: 0,
        }
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Receiver, kind }));
    }

    fn frames(&self) -> u32 {
        self.session.schedule.frames
    }

    /// When `frame` is generated from what is there.
    fn deadline(&self, frame: u32) -> Option<Timestamp> {
        self.screen.clock.before(frame, self.session.render)
    }

    fn datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        let bytes = datagram.len() as u32;
        let (number, packet) = match self.session.variants.parse(datagram) {
            Ok(found) => found,
            Err(error) => return self.event(now, EventKind::Malformed { bytes, reason: error.to_string() }),
        };
        let frame = unwrap_frame(packet.frame, self.decided);
        if frame >= self.frames() {
            let reason = format!("frame {frame}, which this session does not have");
            return self.event(now, EventKind::Malformed { bytes, reason });
        }
        if self.arriving.get(&frame).is_some_and(|arriving| arriving.variant != number) {
            let reason = format!("frame {frame} in another variant than before");
            return self.event(now, EventKind::Malformed { bytes, reason });
        }
        if let Some(observer) = &mut self.observer {
            observer.arrived(now, frame, bytes);
        }
        // Of an own clock, the first packet is taken for one that came without extra delay; deadlines of frames before it may have
        // passed already.
        self.screen.clock.start(frame, now + self.session.deadline + self.session.render);
        let late = frame < self.decided;
        let variant = self.session.variants.variant(number);
        let mut duplicate = late;
        if !late {
            let arriving = self.arriving.entry(frame).or_insert_with(|| Arriving {
                variant: number,
                packets: [false; PACKETS as usize],
                grid: vec![None; variant.tokens()],
            });
            let there = &mut arriving.packets[usize::from(packet.packet)];
            duplicate = *there;
            if !duplicate {
                *there = true;
                packet.place_into(variant, &mut arriving.grid);
            }
        }
        let (stream, role, index) = (STREAM, Role::Data, u32::from(packet.packet));
        self.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate });
    }

    /// Generates and shows everything whose time has come, in the order of time.
    fn advance(&mut self, now: Timestamp, timeout: bool) {
        self.screen.note_time(now);
        if self.screen.clock.give_up_at().is_some_and(|at| at <= now) {
            self.screen.clock.start(0, now + self.session.render);
        }
        while self.decided < self.frames()
            && ((self.is_complete(self.decided) && self.generating.len() < BEHIND)
                || self.deadline(self.decided).is_some_and(|deadline| has_come(deadline, now, timeout)))
        {
            self.decide(now);
        }
        if let Some(report) = self.observer.as_mut().and_then(|observer| observer.report(now)) {
            self.out.push_back(Output::Transmit(report.to_bytes().to_vec()));
            let what = format!("{} kbps{}", report.kbps, if report.queue { ", a queue" } else { "" });
            self.event(now, EventKind::Feedback { what });
        }
        while let Some(frame) = self.screen.due(now, timeout) {
            let shown = self.screen.show(0, frame);
            self.event(now, slot(frame, STREAM, shown));
        }
    }

    fn is_complete(&self, frame: u32) -> bool {
        self.arriving.get(&frame).is_some_and(|a| a.packets.iter().all(|there| *there))
    }

    fn decide(&mut self, now: Timestamp) {
        let (frame, stream) = (self.decided, STREAM);
        self.decided += 1;
        let arrived = self.arriving.remove(&frame);
        let there = arrived.as_ref().map_or(0, |a| a.packets.iter().filter(|p| **p).count() as u32);
        let missing = u32::from(PACKETS) - there;
        if missing == 0 {
            self.event(now, EventKind::Complete { frame, stream, recovered: 0 });
        } else {
            self.event(now, EventKind::Lost { frame, stream, cause: LossCause::Network, missing });
        }
        self.started |= there > 0;
        if !self.started {
            return; // nothing ever arrived: there is no picture to make
        }
        if self.generating.len() >= BEHIND {
            return self.event(now, EventKind::Lost { frame, stream, cause: LossCause::Late, missing: 0 });
        }
        let status = if missing == 0 { Status::Rendered } else { Status::Concealed };
        if let Some(arrived) = &arrived {
            self.variant = arrived.variant;
        }
        let variant = self.variant;
        let nothing = || vec![None; self.session.variants.variant(variant).tokens()];
        let grid = arrived.map_or_else(nothing, |a| a.grid);
        self.generating.insert(frame, status);
        self.out.push_back(Output::Job(Task::Generate(Generate { frame, variant, grid })));
    }

    fn generated(&mut self, now: Timestamp, done: &Generated) {
        let (frame, stream) = (done.frame, STREAM);
        self.event(now, EventKind::Decoded { frame, stream, picture: done.picture.map(picture_name) });
        let status = self.generating.remove(&frame).unwrap_or(Status::Concealed);
        let cause = match done.picture {
            Some(picture) if self.screen.bring(0, frame, status, picture) => return,
            Some(picture) => {
                // Too late for its own slot, but fresher than what the screen repeats.
                self.screen.refresh(0, frame, picture);
                LossCause::Late
            }
            None => LossCause::Decoder,
        };
        self.event(now, EventKind::Lost { frame, stream, cause, missing: 0 });
    }
}

impl Endpoint for Receiver {
    type Job = Task;
    type Done = Generated;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Generated>) {
        let timeout = matches!(input, Input::Timeout);
        match input {
            Input::Datagram(datagram) => self.datagram(now, datagram),
            Input::JobDone(done) => self.generated(now, &done),
            Input::Signal(message) => {
                if message != self.session.description() {
                    let [theirs, ours] = [message, &self.session.description()]
                        .map(|d| String::from_utf8_lossy(d).into_owned());
                    self.out.push_back(Output::Job(Task::Refuse { theirs, ours }));
                }
            }
            Input::Start | Input::Timeout | Input::Capture(_) => {}
        }
        self.advance(now, timeout);
    }

    fn poll_output(&mut self) -> Option<Output<Task>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let decide = (self.decided < self.frames()).then(|| self.deadline(self.decided)).flatten();
        let report = self.observer.as_ref().and_then(Observer::due);
        [self.screen.clock.give_up_at(), decide, self.screen.poll_timeout(), report]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_finished(&self) -> bool {
        self.screen.is_finished() && self.generating.is_empty() && self.out.is_empty()
    }
}
