//! One direction of a path in operation.

use crate::Timestamp;
use crate::bottleneck::Bottleneck;
use crate::error::LinkError;
use crate::fate::{Channel, DropCause, Fate, State};
use crate::loss::Loss;
use crate::netem::{Netem, NetemLoss, row_seed};
use crate::resolve::{self, Source};
use crate::rng::{Chance, Purpose, Stream};
use crate::spec::{DelayBase, Epoch, LinkSpec, LossSpec, Model, Order};
use crate::trace::Playback;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

/// One direction of an emulated path: pure, seeded, with the time as input.
///
/// The whole fate of a packet is decided when it enters. The caller either acts on the [`Fate`] or lets the link
/// keep the packets in flight: ask [`next_delivery`](Link::next_delivery), and [`deliver`](Link::deliver) when it has come.
#[derive(Clone, Debug)]
pub struct Link {
    order: Order,
    epoch: Option<u64>,
    entry: Entry,
    bottleneck: Option<Bottleneck>,
    delay: Delay,
    flips: Stream,
    last: u64,
    flight: Flight,
    stats: Stats,
}

/// Who decides about loss, copies, damage and jitter.
#[derive(Clone, Debug)]
enum Entry {
    Native { loss: Box<Loss>, duplicate: Option<(Chance, Stream)>, corrupt: Option<(Chance, Stream)> },
    Netem { netem: Netem, rows: Option<NetemRows> },
}

/// A netem whose parameters change with the rows of a trace. Every change starts its draws anew, from the row's own seed.
#[derive(Clone, Debug)]
struct NetemRows {
    rows: Arc<Playback>,
    seed: u64,
    loss: bool,
    delay: bool,
    played: Option<u64>,
    hint: usize,
}

impl NetemRows {
    /// Makes the change that is due at `t`, if one is; returns the delay (`base` unless that is traced) and the row.
    fn change(&mut self, netem: &mut Netem, t: u64, base: u64) -> (u64, u32) {
        let at = self.rows.row_at(t, &mut self.hint);
        if self.played != Some(at.played) {
            self.played = Some(at.played);
            let loss = self.loss.then(|| NetemLoss::Random(at.loss.threshold()));
            netem.change(row_seed(self.seed, at.played), loss);
        }
        (if self.delay { at.rtt.0 / 2 } else { base }, at.row)
    }
}

/// What went through a link so far. `offered + copies = delivered + in flight + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets that entered.
    pub offered: u64,
    /// Second copies that the link made, kept or not.
    pub copies: u64,
    /// Packets and copies handed out by [`Link::deliver`].
    pub delivered: u64,
    /// Packets and copies dropped, in the order of [`DropCause::ALL`].
    pub dropped: [u64; 6],
}

impl Stats {
    /// Dropped for any cause.
    #[must_use]
    pub fn all_dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

/// A packet (or a copy of one) that came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// As given to [`Link::enqueue`].
    pub id: u64,
    /// When it came out.
    pub at: Timestamp,
    /// One of its bits is to be flipped: see [`Delivery::damage`].
    pub corrupted: bool,
    /// It is the second copy.
    pub duplicate: bool,
    flip: u64,
}

impl Delivery {
    /// Flips the bit that a corrupted packet has wrong; does nothing to others.
    pub fn damage(&self, packet: &mut [u8]) {
        if self.corrupted && !packet.is_empty() {
            let bit = self.flip % (packet.len() as u64 * 8);
            packet[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}

impl Link {
    /// A link as `spec` says. Equal specs and seeds give equal links on every machine. The two directions of a path need
    /// different seeds: [`crate::Direction::seed`].
    ///
    /// # Errors
    /// When the spec contradicts itself or its trace is not loaded.
    pub fn new(spec: &LinkSpec, seed: u64) -> Result<Self, LinkError> {
        spec.validate()?;
        let spec = spec.resolved()?;
        let source = resolve::source(&spec)?;
        let rows = |field| match &source {
            Source::Rows(rows) => Ok(rows.clone()),
            Source::None => Err(LinkError::NoTrace { field }),
            Source::Opportunities(..) => Err(LinkError::TraceLacks {
                field,
                problem: "a mahimahi trace has a rate only: set this stage itself",
            }),
        };
        let loss_rows = if spec.loss == LossSpec::Trace { Some(rows("loss.model")?) } else { None };
        let delay_rows = if spec.delay.base == DelayBase::Trace { Some(rows("delay.base")?) } else { None };
        let some = |p: crate::Probability, purpose| {
            (p != crate::Probability::ZERO).then(|| (Chance::of(p), Stream::new(seed, purpose)))
        };
        let entry = match spec.model {
            Model::Native => Entry::Native {
                loss: Box::new(Loss::new(&spec.loss, loss_rows.as_ref(), seed)),
                duplicate: some(spec.duplicate, Purpose::Duplicate),
                corrupt: some(spec.corrupt, Purpose::Corrupt),
            },
            Model::Netem => Entry::Netem {
                netem: resolve::netem(&spec, seed),
                rows: loss_rows.as_ref().or(delay_rows.as_ref()).map(|rows| NetemRows {
                    rows: rows.clone(),
                    seed,
                    loss: loss_rows.is_some(),
                    delay: delay_rows.is_some(),
                    played: None,
                    hint: 0,
                }),
            },
        };
        Ok(Link {
            order: spec.order,
            epoch: (spec.epoch == Epoch::Run).then_some(0),
            entry,
            bottleneck: resolve::bottleneck(&spec, &source)?,
            delay: Delay {
                base: resolve::constant_delay(&spec.delay).unwrap_or(0),
                rows: delay_rows,
                hint: 0,
                jitter: spec.delay.jitter.0,
                reorder: spec.delay.reorder,
                draws: Stream::new(seed, Purpose::Jitter),
                copy_draws: Stream::new(seed, Purpose::CopyJitter),
                last: 0,
            },
            flips: Stream::new(seed, Purpose::BitFlip),
            last: 0,
            flight: Flight::default(),
            stats: Stats::default(),
        })
    }

    /// Sets where time zero of intervals and traces lies, instead of at the first packet: for drivers that start both directions
    /// of a path at one moment. A packet that enters before that moment starts the channel itself; after the first packet
    /// nothing changes any more.
    pub fn start_at(&mut self, epoch: Timestamp) {
        if self.stats.offered == 0 {
            self.epoch = Some(epoch.0);
        }
    }

    /// Puts an IP packet of `bytes` bytes in at `now` and tells its fate. A `now` before the last one counts as the last one.
    pub fn enqueue(&mut self, now: Timestamp, id: u64, bytes: u32) -> Fate {
        let now = now.0.max(self.last);
        self.last = now;
        let n = self.stats.offered;
        self.stats.offered += 1;
        // Stages count time from the epoch.
        let epoch = self.epoch.map_or(now, |epoch| epoch.min(now));
        self.epoch = Some(epoch);
        let t = now - epoch;
        let mut way = Way {
            order: self.order,
            bottleneck: &mut self.bottleneck,
            delay: &mut self.delay,
            flight: &mut self.flight,
            stats: &mut self.stats,
            epoch,
            t,
            id,
            bytes,
            flip: self.flips.word(n),
        };
        match &mut self.entry {
            Entry::Native { loss, duplicate, corrupt } => {
                let corrupted = corrupt.is_some_and(|(chance, draws)| chance.hits(draws.draw(n)));
                let twice = duplicate.is_some_and(|(chance, draws)| chance.hits(draws.draw(n)));
                way.native(n, loss, twice, corrupted)
            }
            Entry::Netem { netem, rows: None } => {
                let base = way.delay.base;
                way.netem(netem, base, None, false)
            }
            Entry::Netem { netem, rows: Some(rows) } => {
                let (base, row) = rows.change(netem, t, way.delay.base);
                way.netem(netem, base, Some(row), rows.loss)
            }
        }
    }

    /// When the next packet comes out; `None` if none is in flight.
    #[must_use]
    pub fn next_delivery(&self) -> Option<Timestamp> {
        self.flight.next().map(Timestamp)
    }

    /// Takes the next packet out if it has come out by `now`. Call until `None`.
    pub fn deliver(&mut self, now: Timestamp) -> Option<Delivery> {
        let delivery = self.flight.pop(now.0)?;
        self.stats.delivered += 1;
        Some(delivery)
    }

    /// Packets and copies on their way.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.flight.len() as u64
    }

    /// What went through so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// One packet's way through the stages.
struct Way<'a> {
    order: Order,
    bottleneck: &'a mut Option<Bottleneck>,
    delay: &'a mut Delay,
    flight: &'a mut Flight,
    stats: &'a mut Stats,
    epoch: u64,
    /// Of entering, from the epoch.
    t: u64,
    id: u64,
    bytes: u32,
    flip: u64,
}

impl Way<'_> {
    fn native(&mut self, n: u64, loss: &mut Loss, twice: bool, corrupted: bool) -> Fate {
        let (at, channel) = match self.order {
            Order::LossFirst => {
                let (cause, channel) = loss.judge(self.t);
                if let Some(cause) = cause {
                    return self.dropped(cause, channel);
                }
                let Some(left) = self.queue(self.t) else { return self.dropped(DropCause::Queue, channel) };
                (self.delay.out(left, n, false), channel)
            }
            Order::QueueFirst => {
                let Some(left) = self.queue(self.t) else {
                    return self.dropped(DropCause::Queue, Channel::default());
                };
                let (cause, channel) = loss.judge(left);
                if let Some(cause) = cause {
                    return self.dropped(cause, channel);
                }
                (self.delay.out(left, n, false), channel)
            }
            Order::DelayFirst => {
                let (cause, channel) = loss.judge(self.t);
                if let Some(cause) = cause {
                    return self.dropped(cause, channel);
                }
                let arrives = self.delay.out(self.t, n, false);
                let Some(left) = self.queue(arrives) else { return self.dropped(DropCause::Queue, channel) };
                (left, channel)
            }
        };
        let at = self.fly(at, corrupted, false);
        let copy = if twice { self.copy(n) } else { None };
        Fate::Delivered { at, corrupted, copy, channel }
    }

    /// The second copy goes the same way right behind the packet; no loss model sees it.
    fn copy(&mut self, n: u64) -> Option<Timestamp> {
        self.stats.copies += 1;
        let at = match self.order {
            Order::LossFirst | Order::QueueFirst => {
                let left = self.queue(self.t);
                left.map(|left| self.delay.out(left, n, true))
            }
            Order::DelayFirst => {
                let arrives = self.delay.out(self.t, n, true);
                self.queue(arrives)
            }
        };
        match at {
            Some(at) => Some(self.fly(at, false, true)),
            None => {
                self.count(DropCause::Queue);
                None
            }
        }
    }

    /// `base`: the delay in force; `row`: the row of a trace in force; `traced`: that row sets the loss.
    fn netem(&mut self, netem: &mut Netem, base: u64, row: Option<u32>, traced: bool) -> Fate {
        let entry = netem.enter();
        let chain = netem.has_chain();
        let name = |bad: bool| match (chain, bad) {
            (false, _) => {
                let cause = if traced { DropCause::Trace } else { DropCause::Random };
                (cause, Channel { state: None, row })
            }
            (true, false) => (DropCause::GeGood, Channel { state: Some(State::Good), row }),
            (true, true) => (DropCause::GeBad, Channel { state: Some(State::Bad), row }),
        };
        let (cause, channel) = name(entry.bad);
        if !entry.kept {
            return self.dropped(cause, channel);
        }
        // The kernel sends the copy in first.
        let copy = if entry.duplicated {
            self.stats.copies += 1;
            let judged = netem.copy();
            if judged.kept {
                self.netem_pass(netem, base, true)
            } else {
                self.count(name(judged.bad).0);
                None
            }
        } else {
            None
        };
        match (self.netem_pass(netem, base, false), copy) {
            (Some((at, corrupted)), copy) => {
                Fate::Delivered { at, corrupted, copy: copy.map(|(at, _)| at), channel }
            }
            // Only the copy found room.
            (None, Some((at, corrupted))) => Fate::Delivered { at, corrupted, copy: None, channel },
            (None, None) => Fate::Dropped { cause: DropCause::Queue, channel },
        }
    }

    /// Damage, limit, jitter and queue of a packet that netem keeps. `None`: no room (counted).
    fn netem_pass(&mut self, netem: &mut Netem, base: u64, duplicate: bool) -> Option<(Timestamp, bool)> {
        let corrupted = netem.corrupts();
        let at = if self.order == Order::DelayFirst {
            // validate() allows no jitter here, so that asking for the delay first takes no draw from a packet
            // that the limit drops.
            let arrives = self.delay.in_order(shifted(self.t, netem.delay(base)));
            self.queue(arrives)
        } else {
            let left = self.queue(self.t);
            left.map(|left| shifted(left, netem.delay(base)))
        };
        match at {
            Some(at) => Some((self.fly(at, corrupted, duplicate), corrupted)),
            None => {
                self.count(DropCause::Queue);
                None
            }
        }
    }

    fn queue(&mut self, t: u64) -> Option<u64> {
        match self.bottleneck {
            None => Some(t),
            Some(bottleneck) => bottleneck.offer(self.t, t, self.bytes),
        }
    }

    fn fly(&mut self, t: u64, corrupted: bool, duplicate: bool) -> Timestamp {
        // A negative delay of netem's is none.
        let at = Timestamp(self.epoch.saturating_add(t.max(self.t)));
        self.flight.push(Delivery { id: self.id, at, corrupted, duplicate, flip: self.flip });
        at
    }

    fn dropped(&mut self, cause: DropCause, channel: Channel) -> Fate {
        self.count(cause);
        Fate::Dropped { cause, channel }
    }

    fn count(&mut self, cause: DropCause) {
        self.stats.dropped[cause as usize] += 1;
    }
}

fn shifted(t: u64, delay: i64) -> u64 {
    t.saturating_add_signed(delay)
}

/// Propagation.
#[derive(Clone, Debug)]
struct Delay {
    base: u64,
    rows: Option<Arc<Playback>>,
    hint: usize,
    jitter: u64,
    reorder: bool,
    draws: Stream,
    copy_draws: Stream,
    last: u64,
}

impl Delay {
    /// When packet `n` (or its copy), which starts at `t`, is through.
    fn out(&mut self, t: u64, n: u64, copy: bool) -> u64 {
        let base = match &self.rows {
            None => self.base,
            Some(rows) => rows.row_at(t, &mut self.hint).rtt.0 / 2,
        };
        let delay = if self.jitter == 0 {
            base
        } else {
            let word = if copy { self.copy_draws } else { self.draws }.word(n);
            // 0 to 2 * jitter, each equally likely to 2^-64 of the range.
            let range = 2 * u128::from(self.jitter) + 1;
            let offset = ((u128::from(word) * range) >> 64) as u64;
            base.saturating_add(offset).saturating_sub(self.jitter)
        };
        self.in_order(t.saturating_add(delay))
    }

    fn in_order(&mut self, t: u64) -> u64 {
        if !self.reorder {
            self.last = self.last.max(t);
            return self.last;
        }
        t
    }
}

/// Packets on their way, out in order of time, then of entering.
///
/// Nearly all packets come out in the order in which they entered and sit in `line`; only those that overtake take
/// the slower heap.
#[derive(Clone, Debug, Default)]
struct Flight {
    line: VecDeque<(u64, Delivery)>,
    overtaking: BinaryHeap<Overtaking>,
    pushed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Overtaking(u64, Delivery);

impl Ord for Overtaking {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.1.at, other.0).cmp(&(self.1.at, self.0))
    }
}

impl PartialOrd for Overtaking {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Flight {
    fn push(&mut self, delivery: Delivery) {
        let number = self.pushed;
        self.pushed += 1;
        if self.line.back().is_none_or(|(_, last)| last.at <= delivery.at) {
            self.line.push_back((number, delivery));
        } else {
            self.overtaking.push(Overtaking(number, delivery));
        }
    }

    /// Whether the next one is in the heap, and when it comes out.
    fn head(&self) -> Option<(bool, u64)> {
        let line = self.line.front().map(|(number, d)| (d.at, *number));
        let heap = self.overtaking.peek().map(|o| (o.1.at, o.0));
        match (line, heap) {
            (None, None) => None,
            (Some(line), None) => Some((false, line.0.0)),
            (None, Some(heap)) => Some((true, heap.0.0)),
            (Some(line), Some(heap)) => Some((heap < line, line.min(heap).0.0)),
        }
    }

    fn next(&self) -> Option<u64> {
        self.head().map(|(_, at)| at)
    }

    fn pop(&mut self, now: u64) -> Option<Delivery> {
        match self.head()? {
            (_, at) if at > now => None,
            (true, _) => self.overtaking.pop().map(|o| o.1),
            (false, _) => self.line.pop_front().map(|(_, d)| d),
        }
    }

    fn len(&self) -> usize {
        self.line.len() + self.overtaking.len()
    }
}
