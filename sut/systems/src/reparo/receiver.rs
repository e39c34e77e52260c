//! The receiving end: collect until the deadline, generate, show.
//!
//! ```text
//! first packet of frame f      deadline of f: generate      slot of f: show
//!        │ ─── deadline_ms ───▶ │ ──── render_ms ──────────▶ │
//! ```
//! Later frames follow at the frame rate. What arrives after its deadline is lost; a frame that is complete, and all
//! frames before it decided, waits for nothing and is generated at once.

use super::Session;
use super::worker::{Generate, Generated};
use crate::jobs::picture_name;
use contract::{Event, EventKind, LossCause, Role, Side, Status, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use sut_core::wire::reparo::{PACKETS, Packet, unwrap_frame};
use sut_core::{Endpoint, Input, Output};

/// If nothing at all arrives, slots are judged from then on.
const GIVE_UP: Duration = Duration::from_secs(1);
const STREAM: Stream = Stream::Rgb;
/// Frames generated or waiting for it at a time. A machine that falls further behind leaves frames out rather than make
/// each one late. Costs that fit between two frames never get there.
const BEHIND: usize = 2;

/// See the module.
pub struct Receiver {
    session: Session,
    out: VecDeque<Output<Generate>>,
    /// Frames before their deadline: packets that are there, and their tokens.
    arriving: BTreeMap<u32, Arriving>,
    /// Deadline of frame 0.
    first_deadline: Option<Timestamp>,
    /// Frames whose deadline has passed.
    decided: u32,
    /// Something arrived before: there is something to generate from.
    started: bool,
    generating: BTreeMap<u32, Status>,
    ready: BTreeMap<u32, (Status, u128)>,
    shown: Option<(u32, u128)>,
    next_slot: u32,
}

struct Arriving {
    packets: [bool; PACKETS as usize],
    grid: Vec<Option<u16>>,
}

impl Receiver {
    /// A receiver that waits for packets.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self {
            session,
            out: VecDeque::new(),
            arriving: BTreeMap::new(),
            first_deadline: None,
            decided: 0,
            started: false,
            generating: BTreeMap::new(),
            ready: BTreeMap::new(),
            shown: None,
            next_slot: 0,
        }
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Receiver, kind }));
    }

    fn frames(&self) -> u32 {
        self.session.schedule.frames
    }

    /// Time of frame `frame` after frame 0, without drift.
    fn offset(&self, frame: u32) -> Duration {
        let fps = u64::from(self.session.schedule.fps.max(1));
        Duration::from_nanos(u64::from(frame) * 1_000_000_000 / fps)
    }

    fn deadline(&self, frame: u32) -> Option<Timestamp> {
        self.first_deadline.map(|first| first + self.offset(frame))
    }

    fn slot(&self, frame: u32) -> Option<Timestamp> {
        self.deadline(frame).map(|deadline| deadline + self.session.render)
    }

    fn datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        let bytes = datagram.len() as u32;
        let packet = match Packet::parse(self.session.variant, datagram) {
            Ok(packet) => packet,
            Err(error) => return self.event(now, EventKind::Malformed { bytes, reason: error.to_string() }),
        };
        let frame = unwrap_frame(packet.frame, self.decided);
        if frame >= self.frames() {
            let reason = format!("frame {frame}, which this session does not have");
            return self.event(now, EventKind::Malformed { bytes, reason });
        }
        if packet.tokens.len() != usize::from(self.session.kept) {
            let reason =
                format!("{} tokens where the session has {}", packet.tokens.len(), self.session.kept);
            return self.event(now, EventKind::Malformed { bytes, reason });
        }
        if self.first_deadline.is_none() {
            // The first packet is taken for one that came without extra delay; deadlines of frames before it may have
            // passed already.
            let first =
                (now + self.session.deadline).as_nanos().saturating_sub(self.offset(frame).as_nanos() as u64);
            self.first_deadline = Some(Timestamp(first));
        }
        let late = frame < self.decided;
        let tokens = self.session.variant.tokens();
        let mut duplicate = late;
        if !late {
            let arriving = self
                .arriving
                .entry(frame)
                .or_insert_with(|| Arriving { packets: [false; PACKETS as usize], grid: vec![None; tokens] });
            let there = &mut arriving.packets[usize::from(packet.packet)];
            duplicate = *there;
            if !duplicate {
                *there = true;
                packet.place_into(self.session.variant, &mut arriving.grid);
            }
        }
        let (stream, role, index) = (STREAM, Role::Data, u32::from(packet.packet));
        self.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate });
    }

    /// Generates and shows everything whose time has come, in the order of time.
    fn advance(&mut self, now: Timestamp) {
        let capture_start = self.session.schedule.capture_start;
        if self.first_deadline.is_none() && now >= capture_start + GIVE_UP {
            self.first_deadline = Some(now);
        }
        while self.decided < self.frames()
            && (self.is_complete(self.decided) || self.deadline(self.decided).is_some_and(|d| d <= now))
        {
            self.decide(now);
        }
        while self.next_slot < self.frames() && self.slot(self.next_slot).is_some_and(|s| s <= now) {
            self.show(now);
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
        let grid = arrived.map_or_else(|| vec![None; self.session.variant.tokens()], |a| a.grid);
        self.generating.insert(frame, status);
        self.out.push_back(Output::Job(Generate { frame, grid }));
    }

    fn generated(&mut self, now: Timestamp, done: &Generated) {
        let (frame, stream) = (done.frame, STREAM);
        self.event(now, EventKind::Decoded { frame, stream, picture: done.picture.map(picture_name) });
        let status = self.generating.remove(&frame).unwrap_or(Status::Concealed);
        let cause = match done.picture {
            Some(picture) if frame >= self.next_slot => {
                self.ready.insert(frame, (status, picture));
                return;
            }
            Some(picture) => {
                // Too late for its own slot, but fresher than what the screen repeats.
                if self.shown.is_none_or(|(shown, _)| shown < frame) {
                    self.shown = Some((frame, picture));
                }
                LossCause::Late
            }
            None => LossCause::Decoder,
        };
        self.event(now, EventKind::Lost { frame, stream, cause, missing: 0 });
    }

    fn show(&mut self, now: Timestamp) {
        let (frame, stream) = (self.next_slot, STREAM);
        self.next_slot += 1;
        let status = match self.ready.remove(&frame) {
            Some((status, picture)) => {
                self.shown = Some((frame, picture));
                status
            }
            None => Status::Frozen,
        };
        let shown = self.shown.map(|(frame, _)| frame);
        let picture = self.shown.map(|(_, picture)| picture_name(picture));
        self.event(now, EventKind::Slot { frame, stream, status, shown, picture });
    }
}

impl Endpoint for Receiver {
    type Job = Generate;
    type Done = Generated;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Generated>) {
        match input {
            Input::Datagram(datagram) => self.datagram(now, datagram),
            Input::JobDone(done) => self.generated(now, &done),
            Input::Signal(message) => {
                let wanted =
                    serde_json::json!({ "variant": self.session.variant, "kept": self.session.kept });
                let found = serde_json::from_slice::<serde_json::Value>(message).ok();
                if found.as_ref() != Some(&wanted) {
                    let text =
                        format!("the sender's session is not this one: {}", String::from_utf8_lossy(message));
                    self.event(now, EventKind::Note { text });
                }
            }
            Input::Start | Input::Timeout | Input::Capture(_) => {}
        }
        self.advance(now);
    }

    fn poll_output(&mut self) -> Option<Output<Generate>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        if self.next_slot >= self.frames() {
            return None;
        }
        let Some(_) = self.first_deadline else {
            return Some(self.session.schedule.capture_start + GIVE_UP);
        };
        let decide = (self.decided < self.frames()).then(|| self.deadline(self.decided)).flatten();
        [decide, self.slot(self.next_slot)].into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        self.next_slot >= self.frames() && self.generating.is_empty() && self.out.is_empty()
    }
}
