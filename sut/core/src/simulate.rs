//! Both ends and both links on one virtual clock: deterministic, and as fast as the codecs.
//!
//! The clock jumps from event to event. At equal times the order is fixed: captures, deliveries (forward, then
//! reverse), finished jobs (sender's, then receiver's), timeouts (sender's, then receiver's).

use crate::endpoint::{Endpoint, Input, Output, Worker, WorkerError};
use contract::{Event, EventKind, Playout, Side};
use link::{Direction, Fate, Link, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// IPv4 and UDP headers, which the emulated links count and the systems do not see.
pub const IP_UDP_HEADER: u32 = 28;

/// When things begin and end.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// When frame 0 is captured. Before it, the network is not impaired (set-up is not under test).
    pub capture_start: Timestamp,
    /// Frames to capture.
    pub frames: u32,
    /// Frames per second.
    pub fps: u32,
    /// When frames are due on the screen.
    pub playout: Playout,
    /// A run that has not finished by then is cut off.
    pub end: Timestamp,
}

impl Schedule {
    /// When frame `frame` is captured.
    #[must_use]
    pub fn capture_time(&self, frame: u32) -> Timestamp {
        self.capture_start + contract::capture_offset(frame, (self.fps, 1))
    }

    /// Until then both ends take packets: a second after the last frame's time. So what comes after the last slot is still in the
    /// record as late, not as lost.
    #[must_use]
    pub fn last_packet(&self) -> Timestamp {
        self.capture_time(self.frames) + LINGER
    }
}

/// See [`Schedule::last_packet`].
const LINGER: Duration = Duration::from_secs(1);

/// One direction of the path.
pub struct Path {
    /// What it does to packets from [`Schedule::capture_start`] on.
    pub link: Link,
    /// How long packets take before that: set-up is delayed, never impaired.
    pub setup_delay: Duration,
}

/// Takes down what happens.
pub trait Recorder {
    /// An endpoint reports something.
    fn event(&mut self, event: Event);
    /// A packet met its fate. `number` counts packets of this direction from 0.
    fn fate(&mut self, direction: Direction, number: u64, at: Timestamp, datagram: &[u8], fate: &Fate);
}

/// One end with its worker.
pub struct Peer<'a, E: Endpoint, W> {
    /// The state machine.
    pub endpoint: &'a mut E,
    /// Who does its jobs.
    pub worker: &'a mut W,
}

/// How a simulation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Virtual time at the end.
    pub end: Timestamp,
    /// True if both ends finished by themselves; false if they were cut off at [`Schedule::end`].
    pub finished: bool,
}

/// One direction: the link, and the bytes of the packets that are inside it.
struct Way {
    link: Link,
    setup_delay: Duration,
    direction: Direction,
    number: u64,
    inside: BTreeMap<u64, Vec<u8>>,
    /// Packets inside of which a second copy is still to come out.
    copies: BTreeSet<u64>,
    /// Packets sent before `capture_start`: delayed, never impaired.
    setup: VecDeque<(Timestamp, Vec<u8>)>,
}

impl Way {
    fn send(&mut self, now: Timestamp, impaired: bool, datagram: Vec<u8>, recorder: &mut impl Recorder) {
        if !impaired {
            self.setup.push_back((now + self.setup_delay, datagram));
            return;
        }
        let bytes = datagram.len() as u32 + IP_UDP_HEADER;
        let fate = self.link.enqueue(now, self.number, bytes);
        recorder.fate(self.direction, self.number, now, &datagram, &fate);
        if fate.at().is_some() {
            self.inside.insert(self.number, datagram);
            if matches!(fate, Fate::Delivered { copy: Some(_), .. }) {
                self.copies.insert(self.number);
            }
        }
        self.number += 1;
    }

    fn next(&self) -> Option<Timestamp> {
        let setup = self.setup.front().map(|(t, _)| *t);
        [setup, self.link.next_delivery()].into_iter().flatten().min()
    }

    fn deliver(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if self.setup.front().is_some_and(|(t, _)| *t <= now) {
            return self.setup.pop_front().map(|(_, d)| d);
        }
        let delivery = self.link.deliver(now)?;
        // The first of two copies leaves the packet inside for the second, whichever comes first.
        let datagram = if self.copies.remove(&delivery.id) {
            self.inside.get(&delivery.id).cloned()?
        } else {
            self.inside.remove(&delivery.id)?
        };
        // UDP's checksum: a receiver's kernel discards a damaged datagram, so nobody ever sees one.
        if delivery.corrupted {
            return None;
        }
        Some(datagram)
    }
}

struct Running<'a, E: Endpoint, W> {
    peer: Peer<'a, E, W>,
    /// Per core.
    busy_until: Vec<Timestamp>,
    /// In the order of time.
    done: VecDeque<(Timestamp, E::Done)>,
}

impl<E: Endpoint, W: Worker<Job = E::Job, Done = E::Done>> Running<'_, E, W> {
    fn new(peer: Peer<'_, E, W>) -> Running<'_, E, W> {
        Running { peer, busy_until: Vec::new(), done: VecDeque::new() }
    }

    fn next_done(&self) -> Option<Timestamp> {
        self.done.front().map(|(t, _)| *t)
    }

    /// Hands over one input and carries out everything the endpoint then asks for.
    fn feed(
        &mut self,
        now: Timestamp,
        impaired: bool,
        input: Input<'_, E::Done>,
        way: &mut Way,
        signals: &mut VecDeque<Vec<u8>>,
        recorder: &mut impl Recorder,
    ) -> Result<(), WorkerError> {
        self.peer.endpoint.handle(now, input);
        while let Some(output) = self.peer.endpoint.poll_output() {
            match output {
                Output::Transmit(datagram) => way.send(now, impaired, datagram, recorder),
                Output::Signal(message) => signals.push_back(message),
                Output::Event(event) => recorder.event(event),
                Output::Job(job) => {
                    let (cost, core) = (self.peer.worker.cost(&job), W::core(&job));
                    if self.busy_until.len() <= core {
                        self.busy_until.resize(core + 1, Timestamp::ZERO);
                    }
                    let at = self.busy_until[core].max(now) + cost;
                    self.busy_until[core] = at;
                    let done = self.peer.worker.run(job)?;
                    self.peer.worker.settle()?;
                    let place = self.done.partition_point(|(earlier, _)| *earlier <= at);
                    self.done.insert(place, (at, done));
                }
            }
        }
        Ok(())
    }
}

/// Runs sender and receiver over the two links until both have finished or the schedule ends.
///
/// # Errors
/// The first that a worker meets; the run ends there.
pub fn simulate<S, SW, R, RW>(
    schedule: Schedule,
    (forward, reverse): (Path, Path),
    sender: Peer<'_, S, SW>,
    receiver: Peer<'_, R, RW>,
    recorder: &mut impl Recorder,
) -> Result<Outcome, WorkerError>
where
    S: Endpoint,
    R: Endpoint,
    SW: Worker<Job = S::Job, Done = S::Done>,
    RW: Worker<Job = R::Job, Done = R::Done>,
{
    let way = |mut path: Path, direction| {
        path.link.start_at(schedule.capture_start);
        Way {
            link: path.link,
            setup_delay: path.setup_delay,
            direction,
            number: 0,
            inside: BTreeMap::new(),
            copies: BTreeSet::new(),
            setup: VecDeque::new(),
        }
    };
    let mut forward = way(forward, Direction::Forward);
    let mut reverse = way(reverse, Direction::Reverse);
    let (mut sender, mut receiver) = (Running::new(sender), Running::new(receiver));
    // Out-of-band messages take no time; they are delivered before anything else.
    let (mut to_receiver, mut to_sender) = (VecDeque::new(), VecDeque::new());
    let mut next_frame = 0;
    let mut now = Timestamp::ZERO;

    macro_rules! tell {
        (sender, $input:expr) => {
            sender.feed(
                now,
                now >= schedule.capture_start,
                $input,
                &mut forward,
                &mut to_receiver,
                recorder,
            )?
        };
        (receiver, $input:expr) => {
            receiver.feed(
                now,
                now >= schedule.capture_start,
                $input,
                &mut reverse,
                &mut to_sender,
                recorder,
            )?
        };
    }
    tell!(receiver, Input::Start);
    tell!(sender, Input::Start);

    loop {
        if let Some(message) = to_receiver.pop_front() {
            tell!(receiver, Input::Signal(&message));
            continue;
        }
        if let Some(message) = to_sender.pop_front() {
            tell!(sender, Input::Signal(&message));
            continue;
        }
        if next_frame >= schedule.frames
            && sender.peer.endpoint.is_finished()
            && receiver.peer.endpoint.is_finished()
        {
            return Ok(Outcome { end: now, finished: true });
        }

        let capture = (next_frame < schedule.frames).then(|| schedule.capture_time(next_frame));
        // Position in this list is the order at equal times.
        let candidates = [
            capture,
            forward.next(),
            reverse.next(),
            sender.next_done(),
            receiver.next_done(),
            sender.peer.endpoint.poll_timeout(),
            receiver.peer.endpoint.poll_timeout(),
        ];
        let Some((which, at)) =
            candidates.iter().enumerate().filter_map(|(i, t)| t.map(|t| (i, t))).min_by_key(|&(i, t)| (t, i))
        else {
            return Ok(Outcome { end: now, finished: false }); // nothing will ever happen again
        };
        now = now.max(at);
        if now > schedule.end {
            return Ok(Outcome { end: schedule.end, finished: false });
        }
        match which {
            0 => {
                recorder.event(Event {
                    t_ns: now,
                    side: Side::Sender,
                    kind: EventKind::Captured { frame: next_frame },
                });
                tell!(sender, Input::Capture(next_frame));
                next_frame += 1;
            }
            1 => {
                if let Some(datagram) = forward.deliver(now) {
                    tell!(receiver, Input::Datagram(&datagram));
                }
            }
            2 => {
                if let Some(datagram) = reverse.deliver(now) {
                    tell!(sender, Input::Datagram(&datagram));
                }
            }
            3 => {
                if let Some((_, done)) = sender.done.pop_front() {
                    tell!(sender, Input::JobDone(done));
                }
            }
            4 => {
                if let Some((_, done)) = receiver.done.pop_front() {
                    tell!(receiver, Input::JobDone(done));
                }
            }
            5 => tell!(sender, Input::Timeout),
            _ => tell!(receiver, Input::Timeout),
        }
    }
}
