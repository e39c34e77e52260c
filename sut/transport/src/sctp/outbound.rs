//! What leaves: fragmentation, congestion control, loss detection, partial reliability.
//!
//! ```text
//! send ─▶ pending messages ─▶ queue: fragments with TSNs ─▶ sent: until acknowledged or given up
//! ```
//!
//! Where a [`Profile`] is not `strict`, the order of steps is aiortc's, since it decides which packet leaves at which SACK.

use super::inbound::{first_tsn, unwrap_tsn};
use super::packet::{Chunk, Data, ForwardTsn, Sack};
use super::profile::Profile;
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Bounds of the retransmission timeout (RFC 9260, 16).
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Chunks that may leave at once, and below which losses do not push the slow-start threshold.
const BURST: usize = 4;
/// Missing reports after which a chunk counts as lost.
const MISSING: u8 = 3;

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Stream.
    pub stream: u16,
    /// Payload protocol identifier.
    pub ppid: u32,
    /// To be handed on as it comes.
    pub unordered: bool,
    /// How often a lost part is sent again before the message is given up; `None`: as often as it takes.
    pub retransmissions: Option<u32>,
    /// The message; at least one byte.
    pub bytes: Vec<u8>,
}

/// A fragment with its history.
#[derive(Debug)]
struct Fragment {
    tsn: u64,
    data: Data,
    retransmissions: Option<u32>,
    times_sent: u32,
    sent_at: Timestamp,
    missing: u8,
    acknowledged: bool,
    abandoned: bool,
    in_flight: bool,
    again: bool,
}

impl Fragment {
    fn size(&self) -> usize {
        self.data.bytes.len()
    }
}

/// The congestion window and what it is made of, for the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Bytes that may be in flight.
    pub congestion: usize,
    /// Slow start ends here.
    pub threshold: usize,
    /// Bytes that count as in flight.
    pub flight: usize,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Times that missing reports made the window smaller.
    pub recoveries: u64,
    /// Times that the retransmission timer ran out.
    pub timeouts: u64,
    /// DATA chunks sent again.
    pub retransmissions: u64,
    /// FORWARD TSN chunks sent.
    pub forwards: u64,
}

/// The sending half of an association.
#[derive(Debug)]
pub(super) struct Outbound {
    profile: Profile,
    next_tsn: u64,
    pending: VecDeque<Outgoing>,
    /// Bytes in `pending`, by stream.
    buffered: BTreeMap<u16, u64>,
    queue: VecDeque<Fragment>,
    sent: VecDeque<Fragment>,
    ordered: BTreeMap<u16, u16>,

    window: usize,
    threshold: usize,
    flight: usize,
    partly_acknowledged: usize,
    /// In fast recovery until this TSN is acknowledged.
    recovery_until: Option<u64>,
    /// The first retransmission of a fast recovery leaves whatever the window says.
    recovery_starts: bool,
    peer_window: usize,

    acknowledged: u64,
    /// Acknowledged or given up (RFC 3758: Advanced.Peer.Ack.Point).
    advanced: u64,
    forward_due: bool,
    /// Ordered streams with the last sequence number that was given up, and its TSN.
    forward_streams: BTreeMap<u16, (u16, u64)>,

    round_trip: Option<(u64, u64)>,
    /// Only chunks from here on measure the round trip: one measurement a round trip.
    measure_from: u64,
    timeout: Duration,
    timer: Option<Timestamp>,
    timeouts_in_a_row: u32,
    losses: Losses,
}

impl Outbound {
    pub(super) fn new(profile: Profile, tsn: u32) -> Self {
        let next_tsn = first_tsn(tsn);
        Self {
            next_tsn,
            pending: VecDeque::new(),
            buffered: BTreeMap::new(),
            queue: VecDeque::new(),
            sent: VecDeque::new(),
            ordered: BTreeMap::new(),
            window: profile.initial_window,
            threshold: usize::MAX,
            flight: 0,
            partly_acknowledged: 0,
            recovery_until: None,
            recovery_starts: false,
            peer_window: usize::MAX,
            acknowledged: next_tsn - 1,
            advanced: next_tsn - 1,
            forward_due: false,
            forward_streams: BTreeMap::new(),
            round_trip: None,
            measure_from: next_tsn,
            timeout: profile.initial_timeout,
            timer: None,
            timeouts_in_a_row: 0,
            losses: Losses::default(),
            profile,
        }
    }

    /// The peer's receive window, from its INIT or INIT ACK.
    pub(super) fn peer_window(&mut self, bytes: u32) {
        self.peer_window = bytes as usize;
        self.threshold = bytes as usize;
    }

    pub(super) fn window(&self) -> Window {
        Window { congestion: self.window, threshold: self.threshold, flight: self.flight }
    }

    pub(super) fn losses(&self) -> Losses {
        self.losses
    }

    /// Bytes of `stream` that wait for their turn.
    pub(super) fn buffered(&self, stream: u16) -> u64 {
        self.buffered.get(&stream).copied().unwrap_or(0)
    }

    /// Nothing waits and nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.queue.is_empty() && self.sent.is_empty()
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.timer
    }

    /// The present retransmission timeout.
    pub(super) fn retransmission_timeout(&self) -> Duration {
        self.timeout
    }

    /// True if the peer has been silent for longer than the profile's patience.
    pub(super) fn gave_up(&self) -> bool {
        self.profile.patience.is_some_and(|most| self.timeouts_in_a_row > most)
    }

    /// Takes a message. Nothing leaves before [`flush`](Self::flush).
    pub(super) fn push(&mut self, message: Outgoing) {
        *self.buffered.entry(message.stream).or_default() += message.bytes.len() as u64;
        self.pending.push_back(message);
    }

    /// Moves messages to the queue, one at a time and only while it is empty, and sends what may be sent.
    pub(super) fn flush(&mut self, now: Timestamp, out: &mut Vec<Chunk>) {
        while self.queue.is_empty()
            && let Some(message) = self.pending.pop_front()
        {
            if let Some(buffered) = self.buffered.get_mut(&message.stream) {
                *buffered -= message.bytes.len() as u64;
            }
            self.cut(&message);
            self.transmit(now, out);
        }
    }

    fn cut(&mut self, message: &Outgoing) {
        let ssn = if message.unordered {
            0
        } else {
            let next = self.ordered.entry(message.stream).or_default();
            std::mem::replace(next, next.wrapping_add(1))
        };
        let count = message.bytes.len().div_ceil(self.profile.fragment);
        for (i, bytes) in message.bytes.chunks(self.profile.fragment).enumerate() {
            let data = Data {
                tsn: self.next_tsn as u32,
                stream: message.stream,
                ssn,
                ppid: message.ppid,
                first: i == 0,
                last: i + 1 == count,
                unordered: message.unordered,
                immediate: false,
                bytes: bytes.to_vec(),
            };
            self.queue.push_back(Fragment {
                tsn: self.next_tsn,
                data,
                retransmissions: message.retransmissions,
                times_sent: 0,
                sent_at: Timestamp::ZERO,
                missing: 0,
                acknowledged: false,
                abandoned: false,
                in_flight: false,
                again: false,
            });
            self.next_tsn += 1;
        }
    }

    /// Sends what may be sent now: FORWARD TSN, what is lost, what is new.
    fn transmit(&mut self, now: Timestamp, out: &mut Vec<Chunk>) {
        if std::mem::take(&mut self.forward_due) {
            let streams = self.forward_streams.iter().map(|(&stream, &(ssn, _))| (stream, ssn)).collect();
            out.push(Chunk::ForwardTsn(ForwardTsn { cumulative: self.advanced as u32, streams }));
            self.losses.forwards += 1;
            if !self.profile.repeats_forward_tsn {
                self.forward_streams.clear();
            }
            self.start_timer(now);
        }
        let burst = if self.recovery_until.is_some() { self.profile.recovery_burst } else { BURST };
        let window = self.window.min(self.flight + burst * self.profile.fragment);
        for i in 0..self.sent.len() {
            if !self.sent[i].again {
                continue;
            }
            if self.recovery_starts {
                self.recovery_starts = false;
            } else if self.flight >= window {
                return;
            }
            self.enter_flight(i);
            let fragment = &mut self.sent[i];
            fragment.missing = 0;
            fragment.again = false;
            fragment.times_sent += 1;
            out.push(Chunk::Data(fragment.data.clone()));
            self.losses.retransmissions += 1;
            if i == 0 {
                self.restart_timer(now); // the earliest one on its way has just left again
            }
        }
        while self.flight < window
            && let Some(fragment) = self.queue.front()
        {
            // One chunk may always be on its way: it asks whether the window has opened (RFC 9260, 6.1 A).
            let closed = self.flight + fragment.size() > self.peer_window && self.flight > 0;
            if self.profile.obeys_receive_window && closed {
                return;
            }
            let Some(mut fragment) = self.queue.pop_front() else { return };
            fragment.times_sent += 1;
            fragment.sent_at = now;
            out.push(Chunk::Data(fragment.data.clone()));
            self.sent.push_back(fragment);
            self.enter_flight(self.sent.len() - 1);
            self.start_timer(now);
        }
    }

    /// Takes an acknowledgement and sends what it makes room for. False: it acknowledges what was never sent.
    pub(super) fn sack(&mut self, now: Timestamp, sack: &Sack, out: &mut Vec<Chunk>) -> bool {
        let cumulative = unwrap_tsn(self.acknowledged, sack.cumulative);
        if cumulative < self.acknowledged {
            return true; // an old one
        }
        if cumulative >= self.next_tsn {
            return false;
        }
        let progress = cumulative > self.acknowledged;
        self.acknowledged = cumulative;
        let was_full = self.flight >= self.window;
        let (acknowledged, bytes) = self.acknowledge_up_to(now, cumulative);
        let (gap_bytes, newest, seen) = self.acknowledge_gaps(now, cumulative, sack);
        let loss = !sack.gaps.is_empty() && self.count_missing(progress, newest, &seen);
        if acknowledged > 0 || gap_bytes > 0 {
            self.timeouts_in_a_row = 0;
        }
        self.adjust_window(cumulative, acknowledged > 0 && was_full, bytes + gap_bytes, loss);
        self.peer_window = sack.window as usize;

        if self.sent.is_empty() && !(self.profile.strict && self.advanced > self.acknowledged) {
            self.timer = None;
        } else if acknowledged > 0 {
            self.restart_timer(now); // the earliest one on its way has arrived
        }
        self.advance();
        if self.profile.strict {
            self.transmit(now, out);
            self.flush(now, out);
        } else {
            self.flush(now, out);
            self.transmit(now, out);
        }
        true
    }

    /// Takes out what has arrived in order. Returns how many fragments, and the bytes not known to have arrived before.
    fn acknowledge_up_to(&mut self, now: Timestamp, cumulative: u64) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        while self.sent.front().is_some_and(|f| f.tsn <= cumulative) {
            count += 1;
            let new = !self.sent[0].acknowledged;
            if new {
                bytes += self.sent[0].size();
            }
            // One that was sent again although it had arrived is in flight again.
            if new || self.profile.counts_once {
                self.leave_flight(0);
            }
            let Some(fragment) = self.sent.pop_front() else { break };
            let measures = if self.profile.strict {
                !fragment.acknowledged && fragment.tsn >= self.measure_from
            } else {
                count == 1
            };
            if measures && fragment.times_sent == 1 {
                self.measure(now - fragment.sent_at);
            }
        }
        (count, bytes)
    }

    /// Marks what has arrived beyond gaps. Returns its bytes, its highest TSN, and all that was reported.
    fn acknowledge_gaps(
        &mut self,
        now: Timestamp,
        cumulative: u64,
        sack: &Sack,
    ) -> (usize, u64, Vec<(u64, u64)>) {
        let seen: Vec<(u64, u64)> =
            sack.gaps.iter().map(|&(a, b)| (cumulative + u64::from(a), cumulative + u64::from(b))).collect();
        let (mut bytes, mut newest) = (0, cumulative);
        for i in 0..self.sent.len() {
            if !is_in(&seen, self.sent[i].tsn) {
                continue;
            }
            if self.sent[i].acknowledged {
                if self.profile.counts_once {
                    self.leave_flight(i);
                }
                continue;
            }
            let fragment = &self.sent[i];
            newest = fragment.tsn;
            bytes += fragment.size();
            let measures =
                self.profile.strict && fragment.tsn >= self.measure_from && fragment.times_sent == 1;
            let took = now - fragment.sent_at;
            if measures {
                self.measure(took);
            }
            self.sent[i].acknowledged = true;
            self.sent[i].again &= !self.profile.strict;
            self.leave_flight(i);
        }
        (bytes, newest, seen)
    }

    /// Counts a missing report for what lies before the newest arrival. True if a fragment is now held to be lost.
    fn count_missing(&mut self, progress: bool, newest: u64, seen: &[(u64, u64)]) -> bool {
        let mut until = newest;
        if self.profile.strict && self.recovery_until.is_some() {
            if progress {
                // In fast recovery everything reported missing counts then (RFC 9260, 7.2.4).
                until = seen.iter().map(|s| s.1).max().unwrap_or(newest);
            } else if !self.profile.counts_in_recovery {
                return false;
            }
        }
        let mut loss = false;
        for i in 0..self.sent.len() {
            let fragment = &mut self.sent[i];
            if fragment.tsn > until {
                break;
            }
            let settled = fragment.acknowledged || fragment.abandoned || fragment.again;
            if is_in(seen, fragment.tsn) || (self.profile.strict && settled) {
                continue;
            }
            fragment.missing += 1;
            if fragment.missing < MISSING {
                continue;
            }
            fragment.missing = 0;
            fragment.acknowledged = false;
            loss = true;
            if !self.give_up(i) {
                self.sent[i].again = true;
            }
            self.leave_flight(i);
        }
        loss
    }

    fn adjust_window(&mut self, cumulative: u64, may_grow: bool, bytes: usize, loss: bool) {
        let unit = self.profile.fragment;
        if let Some(until) = self.recovery_until {
            if cumulative >= until {
                self.recovery_until = None;
            }
            return;
        }
        if may_grow {
            if self.window <= self.threshold {
                self.window += bytes.min(unit);
            } else {
                self.partly_acknowledged += bytes;
                if self.partly_acknowledged >= self.window {
                    self.partly_acknowledged -= self.window;
                    self.window += unit;
                }
            }
        }
        if loss && let Some(last) = self.sent.back() {
            self.recovery_until = Some(last.tsn);
            self.recovery_starts = true;
            self.threshold = (self.window / 2).max(BURST * unit);
            self.window = self.threshold;
            self.partly_acknowledged = 0;
            self.losses.recoveries += 1;
        }
    }

    /// The retransmission timer has run out, if it has.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, out: &mut Vec<Chunk>) {
        if self.timer.is_none_or(|at| at > now) {
            return;
        }
        self.timer = None;
        self.timeouts_in_a_row += 1;
        self.losses.timeouts += 1;
        for i in 0..self.sent.len() {
            let arrived = self.profile.strict && self.sent[i].acknowledged;
            if arrived || self.give_up(i) {
                continue;
            }
            self.sent[i].again = true;
            if self.profile.counts_once {
                self.leave_flight(i); // what is to be sent again is not on its way
            }
        }
        self.advance();
        self.recovery_until = None;
        self.recovery_starts &= !self.profile.strict;
        if !self.profile.counts_once {
            self.flight = 0;
        }
        self.partly_acknowledged = 0;
        self.threshold = (self.window / 2).max(BURST * self.profile.fragment);
        self.window = self.profile.fragment;
        if self.profile.backs_off {
            self.timeout = (self.timeout * 2).min(TIMEOUT_MAX);
        }
        self.transmit(now, out);
        if self.profile.strict {
            self.flush(now, out);
        }
    }

    /// Gives the message of fragment `i` up if it has been sent as often as it may be. True if it is given up, now or before.
    fn give_up(&mut self, i: usize) -> bool {
        let fragment = &self.sent[i];
        if fragment.abandoned {
            return true;
        }
        if fragment.retransmissions.is_none_or(|most| fragment.times_sent <= most) {
            return false;
        }
        let start = (0..=i).rev().find(|&j| self.sent[j].data.first).unwrap_or(0);
        let end = (i..self.sent.len()).find(|&j| self.sent[j].data.last);
        for j in start..=end.unwrap_or(self.sent.len() - 1) {
            self.sent[j].abandoned = true;
            self.sent[j].again = false;
            if self.profile.counts_once {
                self.leave_flight(j);
            }
        }
        if end.is_none() {
            // The rest of the message has not left: its TSNs are skipped with the others.
            while let Some(mut rest) = self.queue.pop_front() {
                rest.abandoned = true;
                let last = rest.data.last;
                self.sent.push_back(rest);
                if last {
                    break;
                }
            }
        }
        true
    }

    /// Moves the point up to which nothing is expected any more, and has the peer told.
    fn advance(&mut self) {
        self.advanced = self.advanced.max(self.acknowledged);
        let before = self.advanced;
        while self.sent.front().is_some_and(|f| f.abandoned) {
            let Some(fragment) = self.sent.pop_front() else { break };
            self.advanced = fragment.tsn;
            if !fragment.data.unordered {
                self.forward_streams.insert(fragment.data.stream, (fragment.data.ssn, fragment.tsn));
            }
        }
        if self.profile.repeats_forward_tsn {
            let acknowledged = self.acknowledged;
            self.forward_streams.retain(|_, (_, tsn)| *tsn > acknowledged);
            self.forward_due = self.advanced > acknowledged;
        } else {
            self.forward_due |= self.advanced > before;
        }
    }

    fn enter_flight(&mut self, i: usize) {
        if self.profile.counts_once && self.sent[i].in_flight {
            return;
        }
        self.sent[i].in_flight = true;
        self.flight += self.sent[i].size();
    }

    fn leave_flight(&mut self, i: usize) {
        if self.profile.counts_once && !self.sent[i].in_flight {
            return;
        }
        self.sent[i].in_flight = false;
        self.flight = self.flight.saturating_sub(self.sent[i].size());
    }

    /// RFC 9260, 6.3.1, in nanoseconds: smoothed round trip and its variation.
    fn measure(&mut self, took: Duration) {
        self.measure_from = self.next_tsn;
        let took = took.as_nanos() as u64;
        let (smooth, variation) = match self.round_trip {
            None => (took, took / 2),
            Some((smooth, variation)) => {
                ((7 * smooth + took) / 8, (3 * variation + smooth.abs_diff(took)) / 4)
            }
        };
        self.round_trip = Some((smooth, variation));
        self.timeout = Duration::from_nanos(smooth + 4 * variation).clamp(TIMEOUT_MIN, TIMEOUT_MAX);
    }

    fn start_timer(&mut self, now: Timestamp) {
        self.timer.get_or_insert(now + self.timeout);
    }

    fn restart_timer(&mut self, now: Timestamp) {
        self.timer = Some(now + self.timeout);
    }
}

fn is_in(ranges: &[(u64, u64)], tsn: u64) -> bool {
    ranges.iter().any(|&(from, to)| (from..=to).contains(&tsn))
}
