//! How much parity: quality reports of the receiver, and the hook for a predictor.

use link::Timestamp;
use std::time::Duration;

/// What a quality report asks for (Tambur's QR 0, 1, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    /// No parity.
    None = 0,
    /// Half as much parity as data.
    Half = 1,
    /// A quarter.
    Quarter = 2,
}

impl Quality {
    /// Parity stripes for `data` stripes, rounded up.
    #[must_use]
    pub fn parity_of(self, data: usize) -> usize {
        match self {
            Quality::None => 0,
            Quality::Half => data.div_ceil(2),
            Quality::Quarter => data.div_ceil(4),
        }
    }

    /// The report of one byte; `None` if there is no such report.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Quality> {
        [Quality::None, Quality::Half, Quality::Quarter].into_iter().find(|&q| q as u8 == byte)
    }
}

/// What happened in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Packets that arrived (repeats not counted).
    pub received: u32,
    /// Packets that did not: gaps in the sequence below the highest number seen.
    pub lost: u32,
    /// Per packet in sequence order whether it was lost: what a model of bursts needs.
    pub pattern: Vec<bool>,
}

/// Chooses the parity of the next interval from the last one.
///
/// Tambur's own learned model is not published. It is known only to turn [`Quality::Half`] into
/// [`Quality::Quarter`] where it expects no bursts, so a model plugs in here.
pub trait Predictor: Send {
    /// The report to send.
    fn report(&mut self, interval: &Interval) -> Quality;
}

/// Tambur without its model: half after any loss, else nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyLoss;

impl Predictor for AnyLoss {
    fn report(&mut self, interval: &Interval) -> Quality {
        if interval.lost > 0 { Quality::Half } else { Quality::None }
    }
}

/// Always the same: evaluations at a fixed redundancy.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub Quality);

impl Predictor for Fixed {
    fn report(&mut self, _: &Interval) -> Quality {
        self.0
    }
}

/// Counts packets by their sequence numbers and reports at the end of each interval.
pub struct Reporter {
    interval: Duration,
    due: Option<Timestamp>,
    predictor: Box<dyn Predictor>,
    /// First sequence number of the interval, unwrapped, and which have arrived since.
    first: u64,
    seen: Vec<bool>,
    newest: Option<u64>,
}

impl Reporter {
    /// Reports every `interval` (2 s in Tambur) from the first packet on.
    #[must_use]
    pub fn new(interval: Duration, predictor: Box<dyn Predictor>) -> Self {
        Reporter { interval, due: None, predictor, first: 0, seen: Vec::new(), newest: None }
    }

    /// A packet with this sequence number arrived.
    pub fn packet(&mut self, now: Timestamp, sequence: u32) {
        self.due.get_or_insert(now + self.interval);
        let newest = self.newest.unwrap_or(u64::from(sequence));
        let offset = i64::from(sequence.wrapping_sub(newest as u32).cast_signed());
        let Some(number) = newest.checked_add_signed(offset) else { return };
        if self.newest.is_none() {
            self.first = 0; // senders count from 0: what was lost before the first arrival counts
        }
        self.newest = Some(newest.max(number));
        // A jump beyond any interval's worth of packets is a forged number, not a loss.
        let Some(index) = number.checked_sub(self.first).filter(|&i| i < 1 << 16) else { return };
        let index = index as usize;
        if self.seen.len() <= index {
            self.seen.resize(index + 1, false);
        }
        self.seen[index] = true;
    }

    /// When the next report is due; `None` before the first packet.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// The report, if it is due.
    pub fn poll(&mut self, now: Timestamp) -> Option<Quality> {
        let due = self.due.filter(|&due| due <= now)?;
        self.due = Some(due + self.interval);
        let received = self.seen.iter().filter(|&&s| s).count() as u32;
        let interval = Interval {
            received,
            lost: self.seen.len() as u32 - received,
            pattern: self.seen.iter().map(|s| !s).collect(),
        };
        self.first += self.seen.len() as u64;
        self.seen.clear();
        Some(self.predictor.report(&interval))
    }
}
