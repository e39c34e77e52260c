//! When each frame is due on the screen: the one clock of every receiver.
//!
//! ```text
//! fixed    slot of frame f = capture_start + f / fps + budget        runs from the start, whatever arrives
//! own      slot of frame f = slot of frame 0 + f / fps               starts when the system says, mostly by its first packet
//! ```
//! The receiver knows when frames are captured: both ends share the run's clock, and `spec.toml` says when frame 0 is.
//! (A real call learns it from RTP timestamps and RTCP sender reports, within the error of both clocks.)

use crate::Schedule;
use link::Timestamp;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub struct SlotClock {
    schedule: Schedule,
    /// Slot of frame 0.
    first: Option<Timestamp>,
}

impl SlotClock {
    /// If nothing at all arrives, a clock of the system's own starts that long after the first capture.
    pub const GIVE_UP: Duration = Duration::from_secs(1);

    /// The clock that the schedule's play-out asks for.
    #[must_use]
    pub fn new(schedule: &Schedule) -> Self {
        let first = schedule.playout.budget().map(|budget| schedule.capture_start + budget);
        Self { schedule: *schedule, first }
    }

    /// True if the budget is fixed: nothing that arrives moves a slot.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.schedule.playout.budget().is_some()
    }

    /// True once slots have times.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.first.is_some()
    }

    /// Starts a clock of the system's own: `frame` is due at `slot`. A clock that runs stays as it is.
    pub fn start(&mut self, frame: u32, slot: Timestamp) {
        if self.first.is_none() {
            self.first = Some(earlier(slot, self.offset(frame)));
        }
    }

    /// When a clock that nothing has started must start; `None` if it runs.
    #[must_use]
    pub fn give_up_at(&self) -> Option<Timestamp> {
        (!self.is_running()).then(|| self.schedule.capture_start + Self::GIVE_UP)
    }

    /// When `frame` is due; `None` before the clock runs.
    #[must_use]
    pub fn slot(&self, frame: u32) -> Option<Timestamp> {
        self.first.map(|first| first + self.offset(frame))
    }

    /// The moment `lead` before `frame` is due.
    #[must_use]
    pub fn before(&self, frame: u32, lead: Duration) -> Option<Timestamp> {
        self.slot(frame).map(|slot| earlier(slot, lead))
    }

    /// Time of `frame` after frame 0, rounded down, without drift.
    fn offset(&self, frame: u32) -> Duration {
        self.schedule.capture_time(frame) - self.schedule.capture_start
    }
}

/// True if a moment has come at `now`. One that is this very instant comes with the timeout that was asked for: whatever else happens
/// at that instant goes first, so that what arrives at a deadline is in time.
#[must_use]
pub fn has_come(moment: Timestamp, now: Timestamp, timeout: bool) -> bool {
    moment < now || (timeout && moment == now)
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp(at.as_nanos().saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Playout;

    fn clock(playout: &str) -> SlotClock {
        SlotClock::new(&Schedule {
            capture_start: Timestamp::from_millis(100),
            frames: 90,
            fps: 30,
            playout: playout.parse().expect("a budget"),
            end: Timestamp::from_millis(9000),
        })
    }

    #[test]
    fn a_fixed_clock_keeps_capture_plus_budget_whatever_happens() {
        let mut clock = clock("150ms");
        assert!(clock.is_fixed() && clock.is_running());
        assert_eq!(clock.give_up_at(), None);
        clock.start(0, Timestamp::from_millis(5));
        assert_eq!(clock.slot(0), Some(Timestamp::from_millis(250)));
        // Frame 7 is captured at 100 ms + floor(7e9 / 30) ns.
        assert_eq!(clock.slot(7), Some(Timestamp(100_000_000 + 233_333_333 + 150_000_000)));
        assert_eq!(clock.slot(60), Some(Timestamp::from_millis(2250)));
        assert_eq!(clock.before(0, Duration::from_millis(33)), Some(Timestamp::from_millis(217)));
    }

    #[test]
    fn an_own_clock_starts_once() {
        let mut clock = clock(&Playout::OWN.to_string());
        assert!(!clock.is_fixed() && clock.slot(0).is_none());
        assert_eq!(clock.give_up_at(), Some(Timestamp::from_millis(1100)));
        clock.start(30, Timestamp::from_millis(1270));
        clock.start(0, Timestamp::from_millis(900));
        assert_eq!(clock.slot(0), Some(Timestamp::from_millis(270)));
        assert_eq!(clock.slot(30), Some(Timestamp::from_millis(1270)));
        assert_eq!(clock.give_up_at(), None);
    }

    #[test]
    fn moments_before_the_runs_start_are_its_start() {
        let clock = clock("1ms");
        assert_eq!(clock.before(0, Duration::from_secs(1)), Some(Timestamp::ZERO));
    }
}
