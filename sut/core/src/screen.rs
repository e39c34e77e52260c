//! The slots of a session and the screens of its streams: one clock, what is there for its slots, what each screen shows.
//!
//! Every receiver has one. When frames are decoded is its own affair ([`Playout`](crate::playout::Playout) is one way); a picture that
//! it brings before the slot of its frame is shown there, else the screen keeps what it has.

use crate::slot_clock::has_come;
use crate::{Schedule, SlotClock};
use contract::Status;
use link::Timestamp;
use std::collections::BTreeMap;

/// See the module.
#[derive(Clone, Debug)]
pub struct Screen {
    /// When slots come.
    pub clock: SlotClock,
    schedule: Schedule,
    streams: Vec<Stream>,
    next_slot: u32,
    /// Packets are taken no longer.
    over: bool,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    ready: BTreeMap<u32, (Status, u128)>,
    shown: Option<Shown>,
}

/// A frame and the content hash of its picture.
pub type Shown = (u32, u128);

impl Screen {
    /// Empty screens for a number of streams.
    #[must_use]
    pub fn new(schedule: &Schedule, streams: usize) -> Self {
        Self {
            clock: SlotClock::new(schedule),
            schedule: *schedule,
            streams: vec![Stream::default(); streams],
            next_slot: 0,
            over: false,
        }
    }

    /// The next slot to come; all frames if none is left.
    #[must_use]
    pub fn next_slot(&self) -> u32 {
        self.next_slot
    }

    /// A picture of `frame` for its slot; false if that has been.
    pub fn bring(&mut self, stream: usize, frame: u32, status: Status, picture: u128) -> bool {
        let in_time = frame >= self.next_slot;
        if in_time {
            self.streams[stream].ready.insert(frame, (status, picture));
        }
        in_time
    }

    /// A picture that came after its slot, on the screen all the same unless a newer one is.
    pub fn refresh(&mut self, stream: usize, frame: u32, picture: u128) {
        let shown = &mut self.streams[stream].shown;
        if shown.is_none_or(|(shown, _)| shown < frame) {
            *shown = Some((frame, picture));
        }
    }

    /// A frame whose slot has come ([`has_come`]) and that is now to be [shown](Self::show), once.
    pub fn due(&mut self, now: Timestamp, timeout: bool) -> Option<u32> {
        let frame = self.next_slot;
        let due = frame < self.schedule.frames
            && self.clock.slot(frame).is_some_and(|slot| has_come(slot, now, timeout));
        due.then(|| self.pass())
    }

    /// The next slot, whatever the time.
    pub fn pass(&mut self) -> u32 {
        self.next_slot += 1;
        self.next_slot - 1
    }

    /// What a screen shows in the slot of `frame`.
    pub fn show(&mut self, stream: usize, frame: u32) -> (Status, Option<Shown>) {
        let stream = &mut self.streams[stream];
        let status = match stream.ready.remove(&frame) {
            Some((status, picture)) => {
                stream.shown = Some((frame, picture));
                status
            }
            None => Status::Frozen,
        };
        (status, stream.shown)
    }

    /// The time is now `now`: packets are taken until the schedule's last.
    pub fn note_time(&mut self, now: Timestamp) {
        self.over |= now >= self.schedule.last_packet();
    }

    /// Packets are taken no longer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When a slot comes next, or packets are taken no longer.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let slot = (self.next_slot < self.schedule.frames).then(|| self.clock.slot(self.next_slot)).flatten();
        let over = (!self.over).then(|| self.schedule.last_packet());
        [slot, over].into_iter().flatten().min()
    }

    /// All slots have been, and packets are taken no longer.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.over && self.next_slot >= self.schedule.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_show_what_is_there_for_them_and_screens_keep_what_they_have() {
        let schedule = Schedule {
            capture_start: Timestamp::ZERO,
            frames: 3,
            fps: 10,
            playout: "150ms".parse().expect("a budget"),
            end: Timestamp::from_millis(9000),
        };
        let mut screen = Screen::new(&schedule, 2);
        let at = Timestamp::from_millis;
        assert_eq!(screen.poll_timeout(), Some(at(150)));
        assert!(screen.bring(0, 0, Status::Rendered, 7) && screen.bring(1, 1, Status::Concealed, 8));
        assert_eq!(screen.due(at(149), true), None);
        assert_eq!(screen.due(at(150), false), None, "whatever else happens at that instant goes first");
        assert_eq!(screen.due(at(150), true), Some(0));
        assert_eq!(screen.show(0, 0), (Status::Rendered, Some((0, 7))));
        assert_eq!(screen.show(1, 0), (Status::Frozen, None));
        assert!(!screen.bring(1, 0, Status::Rendered, 9), "its slot has been");
        screen.refresh(1, 0, 9);
        assert_eq!(screen.due(at(251), false), Some(1));
        assert_eq!(screen.show(0, 1), (Status::Frozen, Some((0, 7))));
        assert_eq!(screen.show(1, 1), (Status::Concealed, Some((1, 8))));
        screen.refresh(1, 0, 9);
        assert_eq!(screen.due(at(350), true), Some(2));
        assert_eq!(screen.show(1, 2), (Status::Frozen, Some((1, 8))), "an older picture is none");
        assert_eq!(screen.due(at(400), true), None);
        assert!(!screen.is_finished());
        // A second after the last of three frames at 10 a second.
        assert_eq!(screen.poll_timeout(), Some(at(1300)));
        screen.note_time(at(1300));
        assert!(screen.is_finished() && screen.poll_timeout().is_none());
    }
}
