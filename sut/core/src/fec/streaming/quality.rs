//! How much parity: quality reports of the receiver, and the hook for a predictor.

use link::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
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
    /// Packets that are known not to have arrived.
    pub lost: u32,
    /// Per packet in sending order whether it was lost: what a model of bursts needs.
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

/// Sees packets by FEC frame and position, and reports at the first packet after each interval, as the published receiver does:
///
/// * the first packet is answered at once, before anything was judged;
/// * a frame is judged when it leaves the decoder's window of 2 tau + 1 frames, so that what is late by less is not lost;
/// * of a frame of which something came, the packets before the last one seen count (those after it leave no trace); one of which
///   nothing came counts as one lost packet.
pub struct Reporter {
    interval: Duration,
    due: Option<Timestamp>,
    predictor: Box<dyn Predictor>,
    /// Frames that are kept from judgement.
    window: u64,
    /// Positions seen of the frames in the window.
    frames: BTreeMap<u64, BTreeSet<u16>>,
    /// First frame that has not been judged.
    next: u64,
    judged: Vec<bool>,
}

/// A jump beyond that many frames is a forged number, not a loss.
const LONGEST_JUMP: u64 = 1 << 15;

impl Reporter {
    /// Reports every `interval` (2 s in Tambur) from the first packet on; `tau` is the code's.
    #[must_use]
    pub fn new(interval: Duration, tau: u64, predictor: Box<dyn Predictor>) -> Self {
        let (frames, judged) = (BTreeMap::new(), Vec::new());
        Reporter { interval, due: None, predictor, window: 2 * tau + 1, frames, next: 0, judged }
    }

    /// A packet of FEC frame `frame`, the `position`-th of it, arrived; what to report, if a report is due.
    pub fn packet(&mut self, now: Timestamp, frame: u64, position: u16) -> Option<Quality> {
        let due = *self.due.get_or_insert(now);
        let report = (now >= due).then(|| self.report(due));
        if frame < self.next || frame > self.next + LONGEST_JUMP {
            return report;
        }
        self.frames.entry(frame).or_default().insert(position);
        while self.next + self.window <= frame {
            match self.frames.remove(&self.next) {
                Some(seen) => {
                    let last = seen.last().copied().unwrap_or(0);
                    self.judged.extend((0..=last).map(|p| !seen.contains(&p)));
                }
                None => self.judged.push(true),
            }
            self.next += 1;
        }
        report
    }

    fn report(&mut self, due: Timestamp) -> Quality {
        self.due = Some(due + self.interval);
        let pattern = std::mem::take(&mut self.judged);
        let lost = pattern.iter().filter(|l| **l).count() as u32;
        self.predictor.report(&Interval { received: pattern.len() as u32 - lost, lost, pattern })
    }
}
