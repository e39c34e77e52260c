//! Playout of a stream whose frames refer to each other: decode in order, jump ahead only to a complete key frame,
//! show each frame at its slot or keep the last picture.
//!
//! ```text
//! arrival that frame g should have     first packet (of frame f): its arrival + (g - f) T
//! slot of frame g                      by the SlotClock; of its own, that arrival + wait
//! ... without a wait of its own        when g is decoded; of a frame that is not, when decoding has passed it
//! ```
//! Ringmaster's rule for decoding, which knows no slots: what is late for its slot is still decoded, and what waits for a frame
//! looks at arrivals alone. Pure: the caller carries out the [`Action`]s.

use crate::{Schedule, Screen, SlotClock};
use contract::{LossCause, Status};
use link::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What the caller does, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give this to the decoder and bring the result to [`Playout::decoded`].
    Decode {
        /// Captured frame.
        frame: u32,
        /// The encoded frame.
        unit: Vec<u8>,
        /// It can be decoded alone.
        key: bool,
    },
    /// The frame is not shown at its slot.
    Lost {
        /// Captured frame.
        frame: u32,
        /// Why.
        cause: LossCause,
    },
    /// The frame's slot came.
    Slot {
        /// Captured frame.
        frame: u32,
        /// What became of it.
        status: Status,
        /// Whose picture is on the screen, with its content hash.
        shown: Option<(u32, u128)>,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Playout {
    schedule: Schedule,
    screen: Screen,
    /// Of an own clock: from the arrival that a frame should have to its slot; `None`: frames are shown as they are decoded.
    wait: Option<Duration>,
    /// When the first packet of frame 0 should have come.
    arrival: Option<Timestamp>,
    /// Complete frames that wait for those before them: key, bytes.
    complete: BTreeMap<u32, (bool, Vec<u8>)>,
    /// Frames that were complete, for the cause of a loss.
    came: BTreeSet<u32>,
    /// Next frame to decode.
    next: u32,
    /// The decoder has what frame `next` refers to.
    chain: bool,
    /// Frames that the sender did not send.
    absent: BTreeSet<u32>,
    decoding: BTreeSet<u32>,
    failed: BTreeSet<u32>,
    actions: VecDeque<Action>,
}

impl Playout {
    /// A playout before the first packet; `wait` is that of a clock of its own. Without one, and where the scenario leaves the clock
    /// to the system, a frame is shown when it is decoded, however late: a player that has no jitter buffer and no deadline.
    #[must_use]
    pub fn new(schedule: &Schedule, wait: Option<Duration>) -> Self {
        Playout {
            schedule: *schedule,
            screen: Screen::new(schedule, 1),
            wait,
            arrival: None,
            complete: BTreeMap::new(),
            came: BTreeSet::new(),
            next: 0,
            chain: false,
            absent: BTreeSet::new(),
            decoding: BTreeSet::new(),
            failed: BTreeSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// The frame that decoding waits for, and when its first packet should have come by what arrived so far; the slots have no say
    /// in it. `None` once all frames are decoded or before any packet.
    #[must_use]
    pub fn waiting_for(&self) -> Option<(u32, Timestamp)> {
        let lead = self.schedule.capture_time(self.next) - self.schedule.capture_start;
        (self.next < self.schedule.frames).then(|| Some((self.next, self.arrival? + lead))).flatten()
    }

    /// Next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Playout::advance`] has something to do even if nothing arrives.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let give_up = self.arrival.is_none().then(|| self.give_up_at());
        [self.screen.poll_timeout(), give_up].into_iter().flatten().min()
    }

    fn give_up_at(&self) -> Timestamp {
        self.schedule.capture_start + SlotClock::GIVE_UP
    }

    /// Every slot has come, no frame is in the decoder, and no packet is awaited.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.screen.is_finished() && self.decoding.is_empty()
    }

    /// A packet of `frame` arrived: the first one says when all others should, and starts a clock of its own.
    pub fn packet(&mut self, now: Timestamp, frame: u32) {
        if self.arrival.is_none() && frame < self.schedule.frames {
            let lead = self.schedule.capture_time(frame) - self.schedule.capture_start;
            self.arrival = Some(Timestamp(now.as_nanos().saturating_sub(lead.as_nanos() as u64)));
            if let Some(wait) = self.wait {
                self.screen.clock.start(frame, now + wait);
            }
        }
    }

    /// All bytes of `frame` are there. False if it is not wanted: unknown, repeated, or decoding has passed it.
    pub fn complete(&mut self, frame: u32, key: bool, bytes: Vec<u8>) -> bool {
        if frame >= self.schedule.frames || frame < self.next || !self.came.insert(frame) {
            return false;
        }
        self.complete.insert(frame, (key, bytes));
        true
    }

    /// `frame` was captured and not sent: the one after it refers to the one before.
    pub fn absent(&mut self, frame: u32) {
        if frame >= self.next.min(self.screen.next_slot()) && frame < self.schedule.frames {
            self.absent.insert(frame);
        }
    }

    /// The decoder is done with `frame`; `picture` is what came out.
    pub fn decoded(&mut self, frame: u32, picture: Option<u128>) {
        self.decoding.remove(&frame);
        if let Some(hash) = picture {
            // After its slot a picture is too late to show, but what follows can build on it.
            self.screen.bring(0, frame, Status::Rendered, hash);
        } else {
            self.failed.insert(frame);
            self.chain = false;
        }
    }

    /// Decodes what can be decoded and shows what is due ([`has_come`](crate::slot_clock::has_come)).
    pub fn advance(&mut self, now: Timestamp, timeout: bool) {
        if self.arrival.is_none() && now >= self.give_up_at() {
            self.arrival = Some(now);
            if self.wait.is_some() {
                self.screen.clock.start(0, now);
            }
        }
        loop {
            while self.absent.contains(&self.next) {
                self.next += 1;
            }
            let in_order = self.complete.get(&self.next).is_some_and(|(key, _)| *key || self.chain);
            let frame = if in_order {
                self.next
            } else if let Some((&key, _)) = self.complete.iter().find(|(_, (key, _))| *key) {
                key
            } else {
                break;
            };
            if let Some((key, unit)) = self.complete.remove(&frame) {
                self.complete = self.complete.split_off(&frame);
                self.next = frame + 1;
                self.chain = true;
                self.decoding.insert(frame);
                self.actions.push_back(Action::Decode { frame, unit, key });
            }
        }
        while let Some(frame) = self.screen.due(now, timeout) {
            self.show(frame);
        }
        self.screen.note_time(now);
        if self.wait.is_none() && !self.screen.clock.is_fixed() {
            // What is decoded, and what decoding has passed; at the end, all.
            loop {
                let frame = self.screen.next_slot();
                let passed = frame < self.next || self.screen.is_over();
                if frame >= self.schedule.frames || self.decoding.contains(&frame) || !passed {
                    break;
                }
                self.screen.pass();
                self.show(frame);
            }
        }
    }

    /// Next frame that decoding waits for; packets of those before it are of no use.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.next
    }

    fn show(&mut self, frame: u32) {
        let (status, shown) = self.screen.show(0, frame);
        if status == Status::Frozen {
            let cause = if self.absent.contains(&frame) {
                LossCause::Sender
            } else if self.failed.contains(&frame) {
                LossCause::Decoder
            } else if self.decoding.contains(&frame) {
                LossCause::Late
            } else if self.came.contains(&frame) {
                LossCause::Dependency
            } else {
                LossCause::Network
            };
            self.actions.push_back(Action::Lost { frame, cause });
        }
        self.came.remove(&frame);
        self.absent = self.absent.split_off(&self.next.min(frame + 1));
        self.failed.remove(&frame);
        self.actions.push_back(Action::Slot { frame, status, shown });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 100; // ms per frame at 10 fps

    /// 150 ms after the arrival that a frame should have, or `budget` after its capture.
    fn playout(frames: u32, budget: &str) -> Playout {
        let schedule = Schedule {
            capture_start: Timestamp::ZERO,
            frames,
            fps: 10,
            playout: budget.parse().expect("a budget"),
            end: Timestamp::from_millis(60_000),
        };
        Playout::new(&schedule, Some(Duration::from_millis(150)))
    }

    /// Ringmaster's receiver shows what it decodes: nothing is late, and what a key frame jumps over is never shown.
    #[test]
    fn without_a_wait_frames_are_shown_as_they_are_decoded() {
        let schedule = Schedule { playout: "own".parse().expect("own"), ..playout(6, "own").schedule };
        let mut p = Playout::new(&schedule, None);
        let mut slots = Vec::new();
        // Frame 1 comes after frame 2, frame 3 never, frame 4 is a key frame; frame 5 is lost.
        for (ms, frame, key) in [(20, 0, true), (220, 2, false), (300, 1, false), (470, 4, true)] {
            let now = Timestamp::from_millis(ms);
            p.packet(now, frame);
            p.complete(frame, key, vec![1]);
            for _ in 0..2 {
                p.advance(now, false);
                while let Some(action) = p.poll_action() {
                    match action {
                        Action::Decode { frame, .. } => p.decoded(frame, Some(u128::from(frame))),
                        Action::Slot { frame, status, shown } => {
                            slots.push((ms, frame, status, shown.map(|s| s.0)));
                        }
                        Action::Lost { cause, .. } => assert_eq!(cause, LossCause::Network),
                    }
                }
            }
        }
        let (shown, still) = (Status::Rendered, Status::Frozen);
        let wanted = [
            (20, 0, shown, Some(0)),
            (300, 1, shown, Some(1)),
            (300, 2, shown, Some(2)),
            (470, 3, still, Some(2)),
            (470, 4, shown, Some(4)),
        ];
        assert_eq!(slots, wanted);
        assert!(!p.is_finished());
        let end = Timestamp::from_millis(1600);
        assert_eq!(p.poll_timeout(), Some(end));
        p.advance(end, true);
        assert!(matches!(p.poll_action(), Some(Action::Lost { frame: 5, .. })));
        assert!(matches!(
            p.poll_action(),
            Some(Action::Slot { frame: 5, status: Status::Frozen, shown: Some((4, 4)) })
        ));
        assert!(p.is_finished());
    }

    /// Runs a schedule of (ms, frame, key) completions, decoding at once; one letter per slot and the decodes.
    fn run(frames: u32, arrivals: &[(u64, u32, bool)]) -> (String, Vec<u32>) {
        run_within(frames, "own", arrivals)
    }

    fn run_within(frames: u32, budget: &str, arrivals: &[(u64, u32, bool)]) -> (String, Vec<u32>) {
        let mut p = playout(frames, budget);
        let (mut slots, mut decodes) = (String::new(), Vec::new());
        let mut arrivals = arrivals.iter().peekable();
        for ms in 0..frames as u64 * T + 2000 {
            let now = Timestamp::from_millis(ms);
            while let Some((_, frame, key)) = arrivals.next_if(|(at, ..)| *at == ms) {
                p.packet(now, *frame);
                p.complete(*frame, *key, vec![*frame as u8]);
            }
            // As a driver does: what arrives, what was decoded, then the timeout.
            for timeout in [false, true] {
                p.advance(now, timeout);
                while let Some(action) = p.poll_action() {
                    match action {
                        Action::Decode { frame, unit, .. } => {
                            assert_eq!(unit, [frame as u8]);
                            decodes.push(frame);
                            p.decoded(frame, Some(u128::from(frame)));
                        }
                        Action::Lost { cause, .. } => slots.push_str(match cause {
                            LossCause::Network => "n",
                            LossCause::Dependency => "d",
                            LossCause::Late => "l",
                            LossCause::Decoder => "x",
                            LossCause::Sender => "s",
                            LossCause::Unknown => "u",
                        }),
                        Action::Slot { status: Status::Rendered, frame, shown } => {
                            assert_eq!(shown.map(|s| s.0), Some(frame));
                            slots.push('R');
                        }
                        Action::Slot { status, .. } => assert_eq!(status, Status::Frozen),
                    }
                }
            }
        }
        assert!(p.is_finished());
        (slots, decodes)
    }

    #[test]
    fn a_loss_stops_decoding_until_a_complete_key_frame() {
        let (slots, decodes) =
            run(6, &[(20, 0, true), (120, 1, false), (320, 3, false), (420, 4, true), (520, 5, false)]);
        assert_eq!(slots, "RRndRR");
        assert_eq!(decodes, [0, 1, 4, 5]);
    }

    #[test]
    fn a_late_frame_is_not_shown_but_carries_on_the_chain() {
        // Frame 1 is due at 20 + 100 + 150 and comes at 300.
        let (slots, decodes) = run(4, &[(20, 0, true), (220, 2, false), (300, 1, false), (320, 3, false)]);
        assert_eq!(slots, "RnRR");
        assert_eq!(decodes, [0, 1, 2, 3]);
    }

    /// Frames 1 and 2 were dropped by the sender's rate control: frame 3 follows on frame 0, and nothing waits for them.
    #[test]
    fn what_was_not_sent_is_passed_over() {
        let mut p = playout(5, "own");
        p.packet(Timestamp::ZERO, 0);
        assert!(p.complete(0, true, vec![]) && p.complete(3, false, vec![]));
        p.advance(Timestamp::ZERO, false);
        p.decoded(0, Some(7));
        assert_eq!(p.waiting_for().map(|w| w.0), Some(1));
        p.absent(1);
        p.absent(2);
        p.advance(Timestamp::from_millis(300), true);
        assert_eq!(p.waiting_for().map(|w| w.0), Some(4));
        let done: Vec<Action> = std::iter::from_fn(|| p.poll_action()).collect();
        let decoded = |f: u32| done.iter().any(|a| matches!(a, Action::Decode { frame, .. } if *frame == f));
        assert!(decoded(0) && decoded(3), "{done:?}");
        assert!(done.contains(&Action::Lost { frame: 1, cause: LossCause::Sender }), "{done:?}");
    }

    #[test]
    fn every_slot_comes_even_if_nothing_arrives() {
        assert_eq!(run(3, &[]).0, "nnn");
        assert_eq!(run(3, &[(250, 1, false)]).0, "ndn");
    }

    #[test]
    fn a_picture_the_decoder_refuses_breaks_the_chain() {
        let mut p = playout(3, "own");
        p.packet(Timestamp::ZERO, 0);
        assert!(p.complete(0, true, vec![]));
        assert!(!p.complete(0, true, vec![]), "a repeat");
        assert!(!p.complete(3, true, vec![]), "beyond the clip");
        p.advance(Timestamp::ZERO, false);
        p.decoded(0, None);
        p.complete(1, false, vec![]);
        p.advance(Timestamp::from_millis(100), false);
        assert_eq!(p.waiting_for(), Some((1, Timestamp::from_millis(100))));
        let actions: Vec<Action> = std::iter::from_fn(|| p.poll_action()).collect();
        assert_eq!(actions.len(), 1, "nothing but frame 0 is decoded: {actions:?}");
    }

    #[test]
    fn a_fixed_budget_counts_from_capture_and_a_late_first_packet_moves_nothing() {
        // Captured at 0, 100, 200, 300, complete 120 ms later but for frame 1, which takes 180.
        let arrivals = [(120, 0, true), (280, 1, false), (320, 2, false), (420, 3, false)];
        assert_eq!(run_within(4, "100ms", &arrivals).0, "nnnn");
        assert_eq!(run_within(4, "120ms", &arrivals).0, "RnRR", "decoded at the slot's instant is in time");
        assert_eq!(run_within(4, "150ms", &arrivals).0, "RnRR");
        assert_eq!(run_within(4, "180ms", &arrivals).0, "RRRR");
        let all = run_within(4, "50ms", &arrivals);
        assert_eq!(all, ("nnnn".to_owned(), vec![0, 1, 2, 3]), "what is late is still decoded");
    }

    #[test]
    fn what_is_waited_for_does_not_depend_on_the_budget() {
        for budget in ["1ms", "150ms", "2s", "own"] {
            let mut p = playout(3, budget);
            p.packet(Timestamp::from_millis(130), 1);
            p.advance(Timestamp::from_millis(130), false);
            assert_eq!(p.waiting_for(), Some((0, Timestamp::from_millis(30))), "{budget}");
        }
    }

    #[test]
    fn packets_are_taken_for_a_second_after_the_clip() {
        let mut p = playout(2, "30ms");
        p.packet(Timestamp::from_millis(500), 0);
        for ms in [500, 1199] {
            p.advance(Timestamp::from_millis(ms), true);
            assert!(!p.is_finished());
        }
        assert_eq!(p.poll_timeout(), Some(Timestamp::from_millis(1200)));
        p.advance(Timestamp::from_millis(1200), true);
        assert!(p.is_finished());
    }
}
