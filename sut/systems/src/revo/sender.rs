//! The sending end: encode, cut, interleave, pace.

use super::{Session, lane, send_all};
use crate::jobs::{EncodeDone, EncodeJob};
use codecs::Unit;
use contract::{Event, EventKind, Side};
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use sut_core::packetize::revo::{Chunk, Payload, cut, interleave, repeat};
use sut_core::wire::revo::Init;
use sut_core::{Endpoint, Input, Output};
use transport::{DEPTH, RGB, Transport, TransportKind};

/// How long and how often the path is warmed up.
const WARM_UP: Duration = Duration::from_secs(1);
/// The original sleeps 5 ms between them and takes its own time: 182 to 196 messages in the second were counted, here 189.
const WARM_UP_INTERVAL: Duration = Duration::from_micros(5300);

/// See the module.
pub struct Sender {
    session: Session,
    transport: Transport,
    out: VecDeque<Output<EncodeJob>>,
    /// Encoded streams of frames that still wait for their other stream.
    encoded: BTreeMap<u32, Vec<EncodeDone>>,
    /// GOP id of every frame that is being encoded.
    gops: BTreeMap<u32, u32>,
    /// Messages with the time they are due, in order.
    queue: VecDeque<(Timestamp, Chunk)>,
    gop: u32,
    /// A key frame was due on a frame that was not sent.
    key_due: bool,
    /// Next warm-up message and the time of the last; data channels only.
    warm_up: Option<(Timestamp, Timestamp)>,
    warmed_up: bool,
    captured: u32,
    over: bool,
    last_report: (u64, u64),
}

impl Sender {
    /// A sender that waits for [`Input::Start`].
    #[must_use]
    pub fn new(session: Session, transport: Transport) -> Self {
        Self {
            session,
            transport,
            out: VecDeque::new(),
            encoded: BTreeMap::new(),
            gops: BTreeMap::new(),
            queue: VecDeque::new(),
            gop: 0,
            key_due: false,
            warm_up: None,
            warmed_up: false,
            captured: 0,
            over: false,
            last_report: (0, 0),
        }
    }

    /// What it sends with.
    pub fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// Frame 0 is captured at `at`, for a session that could not know it beforehand.
    pub fn capture_from(&mut self, at: Timestamp) {
        self.session.schedule.capture_start = at;
    }

    /// True if every frame that was captured has left, or has been dropped.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.gops.is_empty()
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Sender, kind }));
    }

    fn capture(&mut self, now: Timestamp, frame: u32) {
        self.captured = frame + 1;
        let due = self.key_due || frame.is_multiple_of(self.session.options.gop);
        let refuse = if !self.transport.is_open() {
            Some("the transport is not open")
        } else if !self.session.options.compat && self.is_backed_up() {
            // Before encoding: the encoder's reference chain stays whole, and a key frame moves to the next frame.
            // (The original drops after encoding, which breaks the chain or costs a whole GOP.)
            Some("back-pressure")
        } else {
            None
        };
        if let Some(reason) = refuse {
            self.key_due = due;
            self.event(now, EventKind::SenderDrop { frame, reason: reason.into() });
            return;
        }
        self.key_due = false;
        if due {
            self.gop = frame;
        }
        self.gops.insert(frame, self.gop);
        for &stream in self.session.streams() {
            self.out.push_back(Output::Job(EncodeJob { frame, stream, key: due, target_bps: None }));
        }
    }

    fn is_backed_up(&self) -> bool {
        self.session.streams().iter().any(|&s| {
            self.transport.buffered_amount(lane(s) as u8) > self.session.options.back_pressure_bytes
        })
    }

    fn encoded(&mut self, now: Timestamp, done: EncodeDone) {
        let frame = done.frame;
        let (bytes, key) = (done.unit.bytes.len() as u32, done.unit.key);
        self.event(now, EventKind::Encoded { frame, stream: done.stream, bytes, key: Some(key) });
        let streams = self.encoded.entry(frame).or_default();
        streams.push(done);
        if streams.len() < self.session.streams().len() {
            return;
        }
        let streams = self.encoded.remove(&frame).unwrap_or_default();
        let gop = self.gops.remove(&frame).unwrap_or(self.gop);
        if self.session.options.compat && self.is_backed_up() {
            self.event(now, EventKind::SenderDrop { frame, reason: "back-pressure".into() });
            return;
        }
        self.schedule_frame(now, frame, gop, streams);
    }

    /// Spreads the frame's messages evenly over what is left of its slot. The original sleeps after every message, the last one too,
    /// so that repeats leave together at the slot's end: with the next frame, and in the next state of a channel that has one per frame.
    fn schedule_frame(&mut self, now: Timestamp, frame: u32, gop: u32, streams: Vec<EncodeDone>) {
        let options = &self.session.options;
        let mut cuts = [Vec::new(), Vec::new()];
        for done in streams {
            let Unit { bytes, qp, .. } = done.unit;
            let payload = Payload { stream: done.stream, frame, gop, qp, bytes };
            cuts[lane(done.stream)] = cut(&payload, usize::from(options.chunk_size));
        }
        let [rgb, depth] = cuts;
        let chunks = interleave(rgb, depth);
        let repeats = repeat(&chunks);
        // Frame 0 has its slot from the end of its encoding, later frames from their capture.
        let slot_start = if frame == 0 { now } else { self.session.schedule.capture_time(frame) };
        let slot_end = slot_start + self.session.slot();
        let budget = (slot_end - now).as_nanos() as u64;
        let count = chunks.len().max(1) as u64;
        let start = self.queue.back().map_or(now, |(t, _)| (*t).max(now));
        let due = |i: u64| (now + Duration::from_nanos(budget * i / count)).max(start);
        for (i, chunk) in chunks.into_iter().enumerate() {
            self.queue.push_back((due(i as u64), chunk));
        }
        for chunk in repeats {
            self.queue.push_back((due(count), chunk));
        }
        if frame == gop && (!options.compat || frame == 0) {
            self.announce(now);
        }
    }

    /// INIT travels unreliably, so it comes again with every key frame (the original sends it once).
    fn announce(&mut self, now: Timestamp) {
        let (width, height) = self.session.size;
        let chunk = self.session.options.chunk_size;
        let init = Init {
            width,
            height,
            fps: self.session.schedule.fps as u16,
            chunk_size_rgb: chunk,
            chunk_size_depth: chunk,
        };
        self.send_aside(now, &init.encode());
    }

    /// Sends what belongs to no frame and is not recorded as sent. The transport counts what it refuses, and [`Sender::pump`] says so.
    fn send_aside(&mut self, now: Timestamp, message: &[u8]) {
        let _ = self.transport.send(now, RGB, message);
    }

    fn send_due(&mut self, now: Timestamp) {
        while self.queue.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, chunk)) = self.queue.pop_front() else { break };
            let bytes = chunk.message.len() as u32;
            let desc = chunk.desc;
            if !self.transport.send(now, lane(desc.stream) as u8, &chunk.message).is_accepted() {
                continue; // the transport counts it, and says so
            }
            let (frame, stream, role) = (desc.frame, desc.stream, chunk.role);
            self.event(now, EventKind::Sent { frame, stream, role, index: u32::from(desc.index), bytes });
        }
    }

    /// Moves what the transport wants to send, and reports its state when it changed.
    fn pump(&mut self, now: Timestamp) {
        send_all(&mut self.transport, &mut self.out);
        while self.transport.poll_message().is_some() {} // ReVo has no feedback
        let buffered = self.transport.buffered_amount(RGB) + self.transport.buffered_amount(DEPTH);
        let counters = self.transport.counters();
        let report = (buffered, counters.refused_not_open + counters.refused_invalid);
        if report.1 != self.last_report.1 || (report.0 > 0) != (self.last_report.0 > 0) {
            self.event(now, EventKind::Transport { buffered: report.0, dropped: report.1 });
            self.last_report = report;
        }
    }

    /// For a second after a data channel opens, the original sends messages of 1200 zero bytes: they
    /// open the congestion window, without which the first key frame would miss its deadline.
    fn warm_up(&mut self, now: Timestamp) {
        if self.session.options.transport != TransportKind::Datachannel || !self.transport.is_open() {
            return;
        }
        if !self.warmed_up {
            self.warmed_up = true;
            self.warm_up = Some((now, now + WARM_UP));
        }
        while let Some((due, last)) = self.warm_up
            && due <= now
        {
            let stop = self.session.schedule.capture_start;
            self.warm_up = Some(due + WARM_UP_INTERVAL)
                .filter(|&next| next < last && next <= stop)
                .map(|next| (next, last));
            self.send_aside(now, &[0; 1200]);
        }
    }
}

impl Endpoint for Sender {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, EncodeDone>) {
        match input {
            Input::Start => self.transport.handle_start(now),
            Input::Timeout => self.transport.handle_timeout(now),
            Input::Datagram(datagram) => self.transport.handle_datagram(now, datagram),
            Input::Signal(message) => self.transport.handle_signal(now, message),
            Input::Capture(frame) => self.capture(now, frame),
            Input::JobDone(done) => self.encoded(now, done),
        }
        self.warm_up(now);
        self.send_due(now);
        self.pump(now);
        self.over |=
            self.captured >= self.session.schedule.frames && now >= self.session.schedule.last_packet();
    }

    fn poll_output(&mut self) -> Option<Output<EncodeJob>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let linger = (!self.over && self.captured >= self.session.schedule.frames)
            .then(|| self.session.schedule.last_packet());
        let warm_up = self.warm_up.map(|(t, _)| t);
        [self.queue.front().map(|(t, _)| *t), self.transport.poll_timeout(), warm_up, linger]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_finished(&self) -> bool {
        self.over && self.is_idle()
    }
}
