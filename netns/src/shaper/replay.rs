//! The ledger of a kernel that shapes: each packet is seen on both sides of the qdiscs, which gives times and fate; cause and
//! channel state come from the model, whose draws are the kernel's.
//!
//! Three things are unknown and settled here:
//!
//! 1. *Which packet came out?* The one with the same bytes; for a damaged one, the one whose first bytes differ in at most one bit.
//! 2. *Which row of a trace did a packet meet?* Every change is in force some time between sending it and its
//!    acknowledgement, and a packet is stamped a moment before it reaches the qdisc. Among the orders that are possible the one
//!    is taken that contradicts the fewest observations, found by dynamic programming over the boundaries.
//! 3. *Was it lost by chance or by a full queue?* By chance if the draws say so, which do not depend on the queue; else by the
//!    queue. Without a queue, and where the draws say otherwise than what was seen, the record has no cause and counts as unexplained.

use super::Plan;
use super::steps::Applied;
use crate::error::LabError;
use crate::ledger::{Entry, HEAD};
use link::{
    BottleneckSpec, DelayBase, DelaySpec, Direction, DropCause, Fate, FateRecord, Link, LinkSpec, LossSpec,
    Order, Outcome, QueueLimit, Schedule, Span, Timestamp, row_seed,
};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// A frame, seen on one side of the qdiscs.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `CLOCK_MONOTONIC`, ns.
    pub(crate) at: u64,
    /// Of the whole frame.
    digest: u64,
    frame_bytes: u32,
    ip_bytes: u32,
    head: [u8; HEAD],
    head_bytes: u8,
}

/// Bytes before the IP header.
const ETHERNET: usize = 14;

impl Seen {
    pub(crate) fn new(at: u64, frame: &[u8]) -> Seen {
        let mut hasher = DefaultHasher::new();
        hasher.write(frame);
        let packet = frame.get(ETHERNET..).unwrap_or_default();
        let mut head = [0; HEAD];
        let length = packet.len().min(HEAD);
        head[..length].copy_from_slice(&packet[..length]);
        // An IPv4 header says its packet's size (the frame may be padded); anything else is taken whole.
        let ip_bytes = match packet {
            [version, _, high, low, ..] if version >> 4 == 4 => u32::from(u16::from_be_bytes([*high, *low])),
            _ => packet.len() as u32,
        };
        Seen {
            at,
            digest: hasher.finish(),
            frame_bytes: frame.len() as u32,
            ip_bytes,
            head,
            head_bytes: length as u8,
        }
    }

    /// Size of the IP packet.
    pub(crate) fn ip_bytes(&self) -> u64 {
        u64::from(self.ip_bytes)
    }

    fn is_damaged_copy_of(&self, other: &Seen) -> bool {
        let bits: u32 = self.head.iter().zip(&other.head).map(|(a, b)| (a ^ b).count_ones()).sum();
        self.frame_bytes == other.frame_bytes && bits <= 1
    }
}

/// Everything known about one direction of a run.
pub(crate) struct Run<'a> {
    pub(crate) direction: Direction,
    /// With its trace loaded.
    pub(crate) spec: &'a LinkSpec,
    pub(crate) plan: &'a Plan,
    pub(crate) applied: &'a [Applied],
    /// Time zero of the ledger, `CLOCK_MONOTONIC`.
    pub(crate) epoch: u64,
    /// When the channel begins, `CLOCK_MONOTONIC`.
    pub(crate) begin: u64,
    /// When watching ended, `CLOCK_MONOTONIC`.
    pub(crate) end: u64,
}

/// The ledger of one direction.
#[derive(Default)]
pub(crate) struct Replayed {
    pub(crate) entries: Vec<Entry>,
    /// Records that contradict the model.
    pub(crate) unexplained: u64,
}

/// When a packet came out: first and second time.
#[derive(Clone, Copy, Debug, Default)]
struct Observed {
    times: [Option<u64>; 2],
    damaged: bool,
}

impl Observed {
    fn count(&self) -> u32 {
        self.times.iter().flatten().count() as u32
    }

    fn add(&mut self, at: u64, damaged: bool) {
        if let Some(free) = self.times.iter_mut().find(|t| t.is_none()) {
            *free = Some(at);
        }
        self.damaged |= damaged;
    }
}

/// A packet is stamped this long before it reaches the qdisc, at most: both happen in one turn of the kernel's, which a busy
/// machine may put off in between.
const STAMPED_BEFORE: u64 = 5_000_000;
/// Orders looked at per boundary, at most.
const CANDIDATES: usize = 64;
/// How far into the end of a run a packet may still be on its way although the model has let it out.
const STILL_ON_ITS_WAY: u64 = 50_000_000;

/// Builds the ledger of one direction from what went in and what came out, both in order of time.
pub(crate) fn replay(run: &Run<'_>, entered: &[Seen], left: &[Seen]) -> Result<Replayed, LabError> {
    let observed = pair(entered, left, run.plan.netem.is_some_and(|n| n.duplicate > 0));
    let channel = Channels::new(run)?;
    let borders = channel.borders(entered, &observed)?;
    let mut queue = run.plan.rate.is_some().then(|| rate_link(run)).transpose()?;
    let mut replayed = Replayed::default();
    let mut n = 0;
    for (segment, window) in borders.windows(2).enumerate() {
        let played = run.applied[segment].played;
        let mut link = channel.link(played)?;
        let row = played.and_then(|played| channel.row(played));
        for i in window[0]..window[1] {
            let (packet, seen) = (&entered[i], &observed[i]);
            // Before the beginning there is no channel to record; a packet that came after it but before the change
            // was in force is in the ledger, with the delay that it met.
            if played.is_none() && packet.at < run.begin {
                continue;
            }
            let in_ns = Timestamp(packet.at.saturating_sub(run.epoch));
            let fate = link.enqueue(in_ns, n, packet.ip_bytes);
            let mut record = FateRecord::new(n, run.direction, in_ns, packet.ip_bytes, &fate);
            record.row = row;
            if run.plan.traced.loss && record.cause == Some(DropCause::Random) {
                record.cause = Some(DropCause::Trace);
            }
            let out = match (fate, &mut queue) {
                (Fate::Delivered { at, .. }, Some(queue)) => {
                    leave(run, queue, at, n, packet.ip_bytes, seen.count())
                }
                (Fate::Delivered { at, copy, .. }, None) => Some((at, copy)),
                (Fate::Dropped { .. }, _) => None,
            };
            if channel.contradicts(&fate, packet, seen) {
                replayed.unexplained += 1;
                contradict(&mut record, seen);
            } else {
                settle(&mut record, out, seen, run.end.saturating_sub(run.epoch));
            }
            record.actual_ns = seen.times[0].map(|at| Timestamp(at.saturating_sub(run.epoch)));
            replayed.entries.push(Entry::new(record, &packet.head[..usize::from(packet.head_bytes)]));
            n += 1;
        }
    }
    Ok(replayed)
}

/// Which frames came out, per frame that went in.
fn pair(entered: &[Seen], left: &[Seen], copies: bool) -> Vec<Observed> {
    let mut observed = vec![Observed::default(); entered.len()];
    let mut by_digest: HashMap<u64, Vec<usize>> = HashMap::with_capacity(entered.len());
    for (i, packet) in entered.iter().enumerate() {
        by_digest.entry(packet.digest).or_default().push(i);
    }
    // How many of each list are over and done with, so that packets of equal bytes cost no more than others.
    let mut done: HashMap<u64, usize> = HashMap::new();
    let most = 1 + u32::from(copies);
    let mut strangers = Vec::new();
    for out in left {
        let Some(same) = by_digest.get(&out.digest) else {
            strangers.push(out);
            continue;
        };
        let from = done.entry(out.digest).or_default();
        while same.get(*from).is_some_and(|i| observed[*i].count() >= most) {
            *from += 1;
        }
        let candidates = &same[*from..same.len().min(*from + CANDIDATES)];
        let free = candidates.iter().find(|i| observed[**i].count() == 0 && entered[**i].at <= out.at);
        let once = || candidates.iter().find(|i| observed[**i].count() < most && entered[**i].at <= out.at);
        if let Some(i) = free.or_else(once) {
            observed[*i].add(out.at, false);
        }
    }
    for out in strangers {
        let until = entered.partition_point(|p| p.at <= out.at);
        let from = entered.partition_point(|p| p.at < out.at.saturating_sub(10_000_000_000));
        let damaged = |most: u32| {
            (from..until).find(|i| observed[*i].count() < most && out.is_damaged_copy_of(&entered[*i]))
        };
        if let Some(i) = damaged(1).or_else(|| damaged(most)) {
            observed[i].add(out.at, true);
        }
    }
    observed
}

/// The channel in its segments: from one change of the qdiscs to the next.
struct Channels<'a> {
    run: &'a Run<'a>,
    spec: LinkSpec,
    schedule: Option<Schedule>,
}

impl<'a> Channels<'a> {
    fn new(run: &'a Run<'a>) -> Result<Channels<'a>, LabError> {
        let spec = run.spec.resolved()?;
        let schedule = run.spec.schedule()?.filter(|_| run.plan.traced.any());
        Ok(Channels { run, spec, schedule })
    }

    /// Loss, delay, copies and damage of one segment, from its first draw.
    fn link(&self, played: Option<u64>) -> Result<Link, LabError> {
        let constant = |ns| DelaySpec { base: DelayBase::Constant(Span(ns)), ..DelaySpec::default() };
        let Some(played) = played else {
            let delay = constant(self.run.spec.setup_delay().as_nanos() as u64);
            return Ok(Link::new(&LinkSpec { delay, ..LinkSpec::default() }, 0)?);
        };
        let row = self.schedule.as_ref().and_then(|s| s.row(played));
        let traced = self.run.plan.traced;
        let mut spec = LinkSpec {
            order: Order::LossFirst,
            bottleneck: None,
            trace: None,
            delay: DelaySpec { reorder: true, ..self.spec.delay.clone() },
            ..self.spec.clone()
        };
        if let Some(row) = row {
            if traced.loss {
                spec.loss = LossSpec::Random { probability: row.loss };
            }
            if traced.delay {
                spec.delay.base = DelayBase::Constant(row.delay);
            }
        }
        let seed = if traced.netem() { row_seed(self.run.plan.seed, played) } else { self.run.plan.seed };
        Ok(Link::new(&spec, seed)?)
    }

    /// Row of the trace's file.
    fn row(&self, played: u64) -> Option<u32> {
        self.schedule.as_ref().and_then(|s| s.row(played)).map(|row| row.row)
    }

    /// Whether what was seen of a packet cannot be what the draws say.
    fn contradicts(&self, fate: &Fate, packet: &Seen, seen: &Observed) -> bool {
        let queue = self.run.plan.has_queue();
        match *fate {
            Fate::Dropped { .. } => seen.count() > 0,
            Fate::Delivered { at, corrupted, copy, .. } => {
                let expected = 1 + u32::from(copy.is_some());
                let ends = self.run.end.saturating_sub(self.run.epoch);
                let may_be_inside = at.as_nanos().saturating_add(STILL_ON_ITS_WAY) > ends
                    || packet.at.saturating_add(STILL_ON_ITS_WAY) > self.run.end;
                let missing = seen.count() < expected && !queue && !may_be_inside;
                // Of a packet and its copy either may be the damaged one.
                let damage = copy.is_none() && seen.count() == 1 && seen.damaged != corrupted;
                seen.count() > expected || missing || damage
            }
        }
    }

    /// Index of the first packet of every segment, and the number of packets at the end.
    fn borders(&self, entered: &[Seen], observed: &[Observed]) -> Result<Vec<usize>, LabError> {
        let applied = self.run.applied;
        let candidates: Vec<Vec<usize>> = applied
            .iter()
            .enumerate()
            .map(|(j, change)| {
                if j == 0 {
                    return vec![0];
                }
                let sure = entered.partition_point(|p| p.at <= change.after);
                let first = entered.partition_point(|p| p.at < change.before.saturating_sub(STAMPED_BEFORE));
                (first.max(sure.saturating_sub(CANDIDATES))..=sure).collect()
            })
            .chain([vec![entered.len()]])
            .collect();
        // Cost of the best way to each candidate, and the candidate before it. Contradictions weigh most; among equals the border
        // nearest to the time of the change is taken.
        let mut best: Vec<Vec<Option<(u64, usize)>>> = vec![vec![Some((0, 0))]];
        for (j, change) in applied.iter().enumerate() {
            let nominal = applied
                .get(j + 1)
                .map_or(entered.len(), |next| entered.partition_point(|p| p.at < next.before));
            let (starts, ends) = (&candidates[j], &candidates[j + 1]);
            let mut reached = vec![None; ends.len()];
            for (a, start) in starts.iter().enumerate() {
                let Some((cost, _)) = best[j][a] else { continue };
                let mut link = self.link(change.played)?;
                let (mut i, mut wrong) = (*start, 0u64);
                for (b, end) in ends.iter().enumerate().filter(|(_, end)| *end >= start) {
                    while i < *end {
                        let at = Timestamp(entered[i].at.saturating_sub(self.run.epoch));
                        let fate = link.enqueue(at, i as u64, entered[i].ip_bytes);
                        while link.deliver(Timestamp::MAX).is_some() {}
                        wrong += u64::from(
                            change.played.is_some() && self.contradicts(&fate, &entered[i], &observed[i]),
                        );
                        i += 1;
                    }
                    let total = cost + wrong * 1_000_000 + end.abs_diff(nominal) as u64;
                    if reached[b].is_none_or(|(least, _)| total < least) {
                        reached[b] = Some((total, a));
                    }
                }
            }
            best.push(reached);
        }
        let mut borders = vec![entered.len()];
        let mut at = 0;
        for j in (0..applied.len()).rev() {
            // A change that is later than another's can always be reached: the lists are in order.
            at = best[j + 1][at].map_or(0, |(_, from)| from);
            borders.push(candidates[j][at]);
        }
        borders.reverse();
        Ok(borders)
    }
}

/// The rate alone, for packets that did not find the queue full.
fn rate_link(run: &Run<'_>) -> Result<Link, LabError> {
    let spec = run.spec.resolved()?;
    let bottleneck = spec.bottleneck.map(|b| BottleneckSpec { queue: QueueLimit::Unlimited, ..b });
    let alone = LinkSpec { bottleneck, overhead: spec.overhead, trace: spec.trace, ..LinkSpec::default() };
    let mut link = Link::new(&alone, 0)?;
    link.start_at(Timestamp(run.begin.saturating_sub(run.epoch)));
    Ok(link)
}

/// When a packet that stands before the queue `at` leaves it, and its copy. `None`: the queue was full. One that was not seen to
/// leave was dropped, unless its turn comes only after the end of the run.
fn leave(
    run: &Run<'_>,
    queue: &mut Link,
    at: Timestamp,
    n: u64,
    bytes: u32,
    times: u32,
) -> Option<(Timestamp, Option<Timestamp>)> {
    while queue.deliver(at).is_some() {}
    if times == 0 {
        let would = queue.clone().enqueue(at, n, bytes).at()?;
        let ends = run.end.saturating_sub(run.epoch);
        if would.as_nanos().saturating_add(STILL_ON_ITS_WAY) < ends {
            return None;
        }
    }
    let first = queue.enqueue(at, n, bytes).at()?;
    let second = if times == 2 { queue.enqueue(at, n, bytes).at() } else { None };
    Some((first, second))
}

/// A record whose draws agree with what was seen.
fn settle(record: &mut FateRecord, out: Option<(Timestamp, Option<Timestamp>)>, seen: &Observed, ends: u64) {
    if record.fate == Outcome::Dropped {
        return;
    }
    match out {
        Some((at, copy)) => {
            (record.out_ns, record.copy_ns) = (Some(at), copy);
            if record.fate == Outcome::Duplicated && seen.count() == 1 && at.as_nanos() < ends {
                // The queue had room for one of the two.
                (record.fate, record.copy_ns) = (Outcome::Delivered, None);
            }
        }
        None => {
            (record.out_ns, record.copy_ns) = (None, None);
            (record.fate, record.cause) = (Outcome::Dropped, Some(DropCause::Queue));
        }
    }
}

/// A record whose draws say otherwise: what was seen, without a cause.
fn contradict(record: &mut FateRecord, seen: &Observed) {
    (record.cause, record.state) = (None, None);
    (record.out_ns, record.copy_ns) = (None, None);
    record.fate = match (seen.count(), seen.damaged) {
        (0, _) => Outcome::Dropped,
        (_, true) => Outcome::Corrupted,
        (1, false) => Outcome::Delivered,
        _ => Outcome::Duplicated,
    };
}

#[cfg(test)]
mod tests;
