//! What is sent of a frame: by a plan, or by what the receiver finds that the path carries.
//!
//! ```text
//! receiver: delay of packets since capture, bytes of half a second ─▶ report, ten a second ─▶ sender: target ─▶ variant, self-drop
//! ```
//! Reports are the only thing that comes back, and only with the option `adapt`. Each stands for itself: lost, doubled and overtaken
//! ones change nothing but how soon the sender knows.
//!
//! Loss alone is no sign of a full path, for Reparo is made for paths that lose: a queue is what is looked for. It is there when
//! packets take [`QUEUE`] longer than the fastest ones of the call. The target then is a part of what arrives, once per window, so that
//! the queue has time to drain; without a queue it grows slowly.

use super::Wanted;
use link::{Bitrate, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;
use sut_core::Schedule;
use sut_core::wire::reparo_variants::{Chosen, Setting, Variants};

/// A packet that takes that much longer than the fastest waited in a queue.
const QUEUE: Duration = Duration::from_millis(30);
/// Arrivals that a rate is taken over; and the target falls once in as long.
const WINDOW: Duration = Duration::from_millis(500);
/// Between two reports.
const EVERY: Duration = Duration::from_millis(100);
/// Per cent of what arrives that the target falls to.
const FALL: u64 = 85;
/// Per cent that it grows to with a report of no queue.
const GROW: u64 = 102;

/// What the receiver says.
///
/// ```text
/// | number (8) | queue (1) | kilobits a second (15) |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Counted up, modulo 256.
    pub number: u8,
    /// Packets wait on the path.
    pub queue: bool,
    /// What arrived, without IP and UDP headers; at most 32767.
    pub kbps: u16,
}

impl Report {
    /// Bytes of a report; no packet of tokens is that short.
    pub const BYTES: usize = 3;

    /// On the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let [high, low] = (u16::from(self.queue) << 15 | self.kbps.min(0x7fff)).to_be_bytes();
        [self.number, high, low]
    }

    /// From the wire; `None` for what is no report.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[number, high, low] = bytes else { return None };
        let word = u16::from_be_bytes([high, low]);
        Some(Self { number, queue: word >> 15 == 1, kbps: word & 0x7fff })
    }
}

/// The receiver's side.
#[derive(Debug)]
pub struct Observer {
    schedule: Schedule,
    /// When and how many bytes, in the last [`WINDOW`].
    arrivals: VecDeque<(Timestamp, u64)>,
    /// Shortest time from capture to arrival so far, nanoseconds.
    least: Option<i64>,
    /// The same of the packets since the last report.
    least_of_now: Option<i64>,
    next: Option<Timestamp>,
    number: u8,
}

impl Observer {
    /// Nothing has come.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, arrivals: VecDeque::new(), least: None, least_of_now: None, next: None, number: 0 }
    }

    /// A packet of a frame came.
    pub fn arrived(&mut self, now: Timestamp, frame: u32, bytes: u32) {
        let since = now.0 as i64 - self.schedule.capture_time(frame).0 as i64;
        for least in [&mut self.least, &mut self.least_of_now] {
            *least = Some(least.map_or(since, |least| least.min(since)));
        }
        self.arrivals.push_back((now, u64::from(bytes)));
        self.next = self.next.or(Some(now + EVERY));
    }

    /// When the next report is due.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.next
    }

    /// The report that is due.
    pub fn report(&mut self, now: Timestamp) -> Option<Report> {
        self.next.filter(|&next| next <= now)?;
        self.next = Some(now + EVERY);
        while self.arrivals.front().is_some_and(|&(at, _)| at + WINDOW <= now) {
            self.arrivals.pop_front();
        }
        let bits = 8 * self.arrivals.iter().map(|(_, bytes)| bytes).sum::<u64>();
        // Of the whole window: at the beginning of a call it is less than what comes, which no queue makes use of.
        let kbps = (bits * 1_000_000 / WINDOW.as_nanos() as u64).min(0x7fff) as u16;
        let waited = self.least_of_now.take().zip(self.least).map(|(now, least)| now - least);
        let queue = waited.is_some_and(|waited| waited >= QUEUE.as_nanos() as i64);
        let report = Report { number: self.number, queue, kbps };
        self.number = self.number.wrapping_add(1);
        Some(report)
    }
}

/// The sender's side.
#[derive(Clone, Debug)]
pub struct Controller {
    variants: Variants,
    fps: u32,
    /// The highest and the lowest target.
    range: (Bitrate, Bitrate),
    target: Bitrate,
    chosen: Chosen,
    setting: Setting,
    /// Number of the newest report.
    newest: Option<u8>,
    /// When the target fell.
    fell: Option<Timestamp>,
}

impl Controller {
    /// One that begins at its highest target, `most` at most.
    #[must_use]
    pub fn new(variants: Variants, fps: u32, most: Option<Bitrate>) -> Self {
        let (highest, lowest) = variants.range(fps);
        let range = (most.map_or(highest, |most| most.min(highest)).max(lowest), lowest);
        let (chosen, fit) = variants.choose(None, range.0, fps);
        let setting = Setting { variant: chosen.variant, kept: fit.kept };
        Self { variants, fps, range, target: range.0, chosen, setting, newest: None, fell: None }
    }

    /// What the next frame is to have.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        Wanted { setting: self.setting, target: Some(self.target) }
    }

    /// The target in force.
    #[must_use]
    pub fn target(&self) -> Bitrate {
        self.target
    }

    /// The receiver says something; old news are none.
    pub fn report(&mut self, now: Timestamp, report: Report) {
        if self.newest.is_some_and(|newest| report.number.wrapping_sub(newest).wrapping_sub(1) >= 128) {
            return;
        }
        self.newest = Some(report.number);
        let wanted = match report.queue {
            true if self.fell.is_some_and(|fell| now < fell + WINDOW) => return,
            true => {
                self.fell = Some(now);
                self.target.0.min(u64::from(report.kbps) * 1000) * FALL / 100
            }
            false => self.target.0 * GROW / 100,
        };
        self.target = Bitrate(wanted.clamp(self.range.1.0, self.range.0.0));
        let (chosen, fit) = self.variants.choose(Some(self.chosen), self.target, self.fps);
        self.chosen = chosen;
        self.setting = Setting { variant: chosen.variant, kept: fit.kept };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sut_core::wire::reparo::Variant;

    fn variants() -> Variants {
        let grids = [32, 24, 16].map(|grid| Variant::new(grid, grid, 1024, 1).unwrap());
        Variants::new(grids.to_vec()).unwrap()
    }

    #[test]
    fn reports_survive_the_wire() {
        for report in [
            Report { number: 0, queue: false, kbps: 0 },
            Report { number: 255, queue: true, kbps: 320 },
            Report { number: 7, queue: false, kbps: 0x7fff },
        ] {
            assert_eq!(Report::from_bytes(&report.to_bytes()), Some(report));
        }
        assert!(Report::from_bytes(&[1, 2]).is_none() && Report::from_bytes(&[1, 2, 3, 4]).is_none());
    }

    /// 1250 bytes in each of 15 frames of a half second are 300 kbps.
    #[test]
    fn the_receiver_tells_rate_and_queue() {
        let schedule = Schedule {
            capture_start: Timestamp::from_millis(1000),
            frames: 100,
            fps: 30,
            playout: "150ms".parse().unwrap(),
            end: Timestamp::from_millis(9000),
        };
        let mut observer = Observer::new(schedule);
        assert_eq!(observer.due(), None);
        let mut reports = Vec::new();
        for frame in 0..60 {
            // From the thirtieth on, each packet waits for 2 ms more than the one before.
            let waits = Duration::from_millis(20 + 2 * u64::from(frame.max(30) - 30));
            let now = schedule.capture_time(frame) + waits;
            observer.arrived(now, frame, 1250);
            while let Some(due) = observer.due().filter(|&due| due <= now) {
                reports.push((frame, observer.report(due).unwrap()));
            }
        }
        assert!(reports.iter().enumerate().all(|(i, (_, report))| report.number == i as u8));
        let steady = reports.iter().find(|(frame, _)| *frame == 27).unwrap().1;
        assert!(!steady.queue && (295..=305).contains(&steady.kbps), "{steady:?}");
        // 30 ms are 15 frames of waiting more; the least since the last report is what counts.
        let found = reports.iter().find(|(_, report)| report.queue).unwrap().0;
        assert!((45..=50).contains(&found), "{found}");
    }

    #[test]
    fn a_queue_lowers_the_target_once_a_window_and_old_reports_change_nothing() {
        let mut controller = Controller::new(variants(), 30, None);
        assert_eq!(controller.wanted().setting, Setting { variant: 0, kept: 256 });
        let full = Report { number: 3, queue: true, kbps: 290 };
        controller.report(Timestamp::from_millis(500), full);
        assert_eq!(controller.target(), Bitrate(246_500), "85 % of 290");
        assert_eq!(controller.wanted().setting.variant, 0);
        let again = Report { number: 4, ..full };
        controller.report(Timestamp::from_millis(600), again);
        assert_eq!(controller.target(), Bitrate(246_500), "the queue drains");
        let old = Report { number: 2, queue: true, kbps: 10 };
        controller.report(Timestamp::from_millis(2000), old);
        controller.report(Timestamp::from_millis(2000), again);
        assert_eq!(controller.target(), Bitrate(246_500));
        // Far less comes: another variant, of 24 x 24.
        controller.report(Timestamp::from_millis(2100), Report { number: 5, queue: true, kbps: 150 });
        assert_eq!((controller.target(), controller.wanted().setting.variant), (Bitrate(127_500), 1));
        // Nothing comes: the smallest at half.
        controller.report(Timestamp::from_millis(3000), Report { number: 6, queue: true, kbps: 0 });
        assert_eq!(controller.wanted().setting, Setting { variant: 2, kept: 32 });
        // And back, two per cent at a time, past the end of the numbers.
        for number in 7..600u32 {
            controller.report(
                Timestamp::from_millis(3000 + 100 * u64::from(number)),
                Report { number: number as u8, queue: false, kbps: 300 },
            );
        }
        assert_eq!(controller.wanted().setting, Setting { variant: 0, kept: 256 });
        assert_eq!(Controller::new(variants(), 30, Some(Bitrate(200_000))).wanted().setting.variant, 0);
    }
}
