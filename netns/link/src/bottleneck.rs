//! A queue drained at a rate: exact, in integers, whatever the rate does over time.
//!
//! The arithmetic works in *service* instead of time. `capacity(t)` is what the link could have sent from its epoch until
//! `t`, in nanobits (bits times 10^9), so that a rate in bit/s times a time in ns is an integer and nothing is
//! ever rounded on the way; only a departure is, up to the next whole nanosecond, and that error never adds up.
//!
//! With a packet of L nanobits arriving at `a`, `v` the service claimed so far and B the burst:
//!
//! ```text
//! v      = max(v, capacity(a)) + L          what the link did not use before a is gone
//! leaves = max(a, first t with capacity(t) >= v - B)
//! ```
//!
//! B = 0 is a serialiser: a packet leaves when its last bit has. B > 0 is a token bucket that is full at the
//! start, as in tbf: what fits the bucket leaves at once. With `debt`, as in htb, a packet leaves as soon as the
//! bucket is not below zero, whatever the packet's size: then `v` stands in the second line as it was before L.
//!
//! Along a trace htb is different again, because it keeps its bucket in time, not in bytes: what a packet costs is its time at the
//! rate of the moment in which it leaves, also if the rate changes before that time is over. With `T` the moment at which
//! the bucket is empty, and r the rate at `leaves`:
//!
//! ```text
//! leaves = max(a, T)
//! T      = max(T, leaves - B/r) + L/r       rounded up to the next nanosecond
//! ```

use crate::spec::QueueLimit;
use crate::trace::mahimahi::{OPPORTUNITY_BYTES, Opportunities};
use crate::trace::{Playback, last_not_above};
use std::collections::VecDeque;
use std::sync::Arc;

/// Nanobits in a byte.
const BYTE: u128 = 8_000_000_000;

/// What a bottleneck can send over time.
#[derive(Clone, Debug)]
pub(crate) enum Capacity {
    /// Bits per second, above zero.
    Constant(u64),
    /// Rows of a trace; `before[i]` is the capacity before row i within a lap, `lap` of a whole one.
    Rows { rows: Arc<Playback>, before: Vec<u128>, lap: u128, hints: Hints },
    /// Milliseconds at which 1500 bytes may leave.
    Opportunities { times: Arc<Opportunities>, offset: u64 },
}

/// Where the last searches ended: packets come in order, so the next ones end there or close by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    until: usize,
    reached: usize,
    /// Laps before the last one reached, and their capacity.
    laps: (u128, u128),
}

impl Capacity {
    /// `None` if nothing can ever leave, or nothing after some time.
    pub(crate) fn rows(rows: Arc<Playback>) -> Option<Self> {
        let mut before = Vec::with_capacity(rows.starts.len());
        let mut sum = 0u128;
        for (i, start) in rows.starts.iter().enumerate() {
            before.push(sum);
            let end = rows.starts.get(i + 1).copied().or(rows.period);
            sum += u128::from(rows.rates[i].as_bps()) * u128::from(end.map_or(0, |end| end - start));
        }
        let last = rows.rates[rows.rates.len() - 1].as_bps();
        let lasts = if rows.period.is_some() { sum > 0 } else { last > 0 };
        lasts.then_some(Capacity::Rows { rows, before, lap: sum, hints: Hints::default() })
    }

    /// Nanobits until `t`, the moment `t` included.
    fn until(&mut self, t: u64) -> u128 {
        match self {
            Capacity::Constant(bps) => u128::from(*bps) * u128::from(t),
            Capacity::Rows { rows, before, lap, hints } => {
                let (laps, t) = rows.period.map_or((0, t), |period| (t / period, t % period));
                let i = last_not_above(&rows.starts, &t, &mut hints.until);
                u128::from(laps) * *lap
                    + before[i]
                    + u128::from(rows.rates[i].as_bps()) * u128::from(t - rows.starts[i])
            }
            Capacity::Opportunities { times, offset } => {
                let at = &times.at_ms;
                let ms = t.saturating_add(*offset) / 1_000_000;
                let period = at[at.len() - 1];
                let n = u128::from(ms / period) * at.len() as u128
                    + at.partition_point(|ms_| *ms_ <= ms % period) as u128;
                n * u128::from(OPPORTUNITY_BYTES) * BYTE
            }
        }
    }

    /// Bits per second along rows, at `t`.
    fn rate(&mut self, t: u64) -> u64 {
        let Capacity::Rows { rows, hints, .. } = self else { return 0 };
        let t = rows.period.map_or(t, |period| t % period);
        rows.rates[last_not_above(&rows.starts, &t, &mut hints.until)].as_bps()
    }

    /// `t`, or the first moment after it at which the rate along rows is not 0.
    fn open(&mut self, t: u64) -> u64 {
        if self.rate(t) > 0 {
            return t;
        }
        // The next nanobit takes at most a nanosecond, at whose end it is through.
        let next = self.until(t) + 1;
        self.reached(next).saturating_sub(1).max(t)
    }

    /// First time at which [`until`](Self::until) has reached `nanobits`.
    fn reached(&mut self, nanobits: u128) -> u64 {
        if nanobits == 0 {
            return 0;
        }
        match self {
            Capacity::Constant(bps) => ceil_div(nanobits, *bps),
            Capacity::Rows { rows, before, lap, hints } => {
                // What is missing is the last nanobit, number `nanobits - 1` from 0.
                let nanobit = nanobits - 1;
                let repeats = rows.period.is_some();
                if repeats && nanobit.checked_sub(hints.laps.1).is_none_or(|rest| rest >= *lap) {
                    let laps = nanobit / *lap;
                    hints.laps = (laps, laps * *lap);
                }
                let (laps, base) = hints.laps;
                let rest = nanobit - base;
                // The last row before which no more than `rest` was sent; its rate is above zero, or the next row
                // would have the same sum before it.
                let i = last_not_above(before, &rest, &mut hints.reached);
                let within = ceil_div(rest + 1 - before[i], rows.rates[i].as_bps());
                let laps = u64::try_from(laps).unwrap_or(u64::MAX);
                rows.period
                    .unwrap_or(0)
                    .saturating_mul(laps)
                    .saturating_add(rows.starts[i])
                    .saturating_add(within)
            }
            Capacity::Opportunities { times, offset } => {
                let at = &times.at_ms;
                let n = nanobits.div_ceil(u128::from(OPPORTUNITY_BYTES) * BYTE) - 1;
                let (laps, i) = (n / at.len() as u128, (n % at.len() as u128) as usize);
                let ms = u64::try_from(laps)
                    .unwrap_or(u64::MAX)
                    .saturating_mul(at[at.len() - 1])
                    .saturating_add(at[i]);
                ms.saturating_mul(1_000_000).saturating_sub(*offset)
            }
        }
    }
}

/// Most products fit 64 bits, whose division is several times faster.
#[inline]
fn ceil_div(nanobits: u128, bps: u64) -> u64 {
    match u64::try_from(nanobits) {
        Ok(nanobits) => nanobits.div_ceil(bps),
        Err(_) => u64::try_from(nanobits.div_ceil(u128::from(bps))).unwrap_or(u64::MAX),
    }
}

/// A queue and what drains it.
#[derive(Clone, Debug)]
pub(crate) struct Bottleneck {
    /// `None`: at once.
    capacity: Option<Capacity>,
    burst: u128,
    debt: bool,
    limit: QueueLimit,
    overhead: u64,
    claimed: u128,
    /// Along a trace, with debt: when the bucket is empty; `None` before the first packet, which finds it full.
    empty_at: Option<i64>,
    /// What has not left yet: when it does, and its bytes. Kept only for limits in bytes or packets.
    waiting: VecDeque<(u64, u64)>,
    waiting_bytes: u64,
}

impl Bottleneck {
    pub(crate) fn new(
        capacity: Option<Capacity>,
        burst: u64,
        debt: bool,
        limit: QueueLimit,
        overhead: u64,
    ) -> Self {
        let burst = u128::from(burst) * BYTE;
        Bottleneck {
            capacity,
            burst,
            debt,
            limit,
            overhead,
            claimed: 0,
            empty_at: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Offers a packet that came into the system at `entered` (what a limit in packets counts from) and stands before the queue
    /// at `t`. `None`: no room. Otherwise when it leaves. Neither time ever decreases.
    pub(crate) fn offer(&mut self, entered: u64, t: u64, bytes: u32) -> Option<u64> {
        let bytes = u64::from(bytes) + self.overhead;
        let now = if matches!(self.limit, QueueLimit::Packets(_)) { entered } else { t };
        while let Some((leaves, size)) = self.waiting.front().copied()
            && leaves <= now
        {
            self.waiting.pop_front();
            self.waiting_bytes -= size;
        }
        let mut empty_at = self.empty_at;
        let (claimed, leaves) = match &mut self.capacity {
            None => (0, t),
            Some(capacity @ Capacity::Rows { .. }) if self.debt => {
                let leaves = capacity.open(t.max(u64::try_from(empty_at.unwrap_or(0)).unwrap_or(0)));
                let rate = u128::from(capacity.rate(leaves).max(1));
                let time = |nanobits: u128| i64::try_from(nanobits).unwrap_or(i64::MAX);
                let full = leaves.cast_signed().saturating_sub(time(self.burst / rate));
                let cost = time((u128::from(bytes) * BYTE).div_ceil(rate));
                empty_at = Some(empty_at.map_or(full, |t| t.max(full)).saturating_add(cost));
                (0, leaves)
            }
            Some(capacity) => {
                let before = self.claimed.max(capacity.until(t));
                let claimed = before.saturating_add(u128::from(bytes) * BYTE);
                let wanted = if self.debt { before } else { claimed };
                (claimed, capacity.reached(wanted.saturating_sub(self.burst)).max(t))
            }
        };
        let fits = match self.limit {
            QueueLimit::Unlimited => true,
            QueueLimit::Bytes(limit) => self.waiting_bytes + bytes <= limit.0,
            QueueLimit::Packets(limit) => (self.waiting.len() as u64) < limit,
            QueueLimit::Delay(limit) => leaves - t <= limit.as_nanos(),
        };
        if !fits {
            return None;
        }
        (self.claimed, self.empty_at) = (claimed, empty_at);
        if matches!(self.limit, QueueLimit::Bytes(_) | QueueLimit::Packets(_)) {
            self.waiting.push_back((leaves, bytes));
            self.waiting_bytes += bytes;
        }
        Some(leaves)
    }
}
