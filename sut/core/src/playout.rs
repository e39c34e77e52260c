//! Playout of a stream whose frames refer to each other: decode in order, jump ahead only to a complete key frame,
//! show each frame at its slot or keep the last picture.
//!
//! ```text
//! first packet (of frame f)        t0 = its arrival - f T
//! slot of frame g                  t0 + g T + wait
//! ```
//! Ringmaster's rule for decoding, with the frame wait-time of Reparo's evaluation. Pure: the caller carries out
//! the [`Action`]s.

use contract::{LossCause, Status};
use link::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// If nothing at all arrives, slots begin that long after the first capture.
const GIVE_UP: Duration = Duration::from_secs(1);

/// What a playout needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Captured frames.
    pub frames: u32,
    /// Captures per second.
    pub fps: u32,
    /// When frame 0 is captured.
    pub capture_start: Timestamp,
    /// Time between the arrival a frame should have and its slot.
    pub wait: Duration,
}

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
    config: Config,
    t0: Option<Timestamp>,
    /// Complete frames that wait for those before them: key, bytes.
    complete: BTreeMap<u32, (bool, Vec<u8>)>,
    /// Frames that were complete, for the cause of a loss.
    came: BTreeSet<u32>,
    /// Next frame to decode.
    next: u32,
    /// The decoder has what frame `next` refers to.
    chain: bool,
    decoding: BTreeSet<u32>,
    failed: BTreeSet<u32>,
    ready: BTreeMap<u32, u128>,
    shown: Option<(u32, u128)>,
    next_slot: u32,
    actions: VecDeque<Action>,
}

impl Playout {
    /// A playout before the first packet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Playout {
            config,
            t0: None,
            complete: BTreeMap::new(),
            came: BTreeSet::new(),
            next: 0,
            chain: false,
            decoding: BTreeSet::new(),
            failed: BTreeSet::new(),
            ready: BTreeMap::new(),
            shown: None,
            next_slot: 0,
            actions: VecDeque::new(),
        }
    }

    fn frame_time(&self, frame: u32) -> Duration {
        Duration::from_nanos(u64::from(frame) * 1_000_000_000 / u64::from(self.config.fps.max(1)))
    }

    /// When the first packet of `frame` should arrive; `None` before any packet.
    #[must_use]
    pub fn expected(&self, frame: u32) -> Option<Timestamp> {
        self.t0.map(|t0| t0 + self.frame_time(frame))
    }

    /// The slot of `frame`; `None` before any packet.
    #[must_use]
    pub fn slot(&self, frame: u32) -> Option<Timestamp> {
        self.expected(frame).map(|t| t + self.config.wait)
    }

    /// The frame that decoding waits for, and when its first packet should have come. `None` once all frames are
    /// decoded or before any packet.
    #[must_use]
    pub fn waiting_for(&self) -> Option<(u32, Timestamp)> {
        (self.next < self.config.frames).then(|| Some((self.next, self.expected(self.next)?))).flatten()
    }

    /// Next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Playout::advance`] has something to do even if nothing arrives.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.next_slot >= self.config.frames {
            return None;
        }
        self.slot(self.next_slot).or(Some(self.config.capture_start + GIVE_UP))
    }

    /// Every slot has come and no frame is in the decoder.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.next_slot >= self.config.frames && self.decoding.is_empty()
    }

    /// A packet of `frame` arrived: the first one starts the clock.
    pub fn packet(&mut self, now: Timestamp, frame: u32) {
        if self.t0.is_none() && frame < self.config.frames {
            let lead = self.frame_time(frame).as_nanos() as u64;
            self.t0 = Some(Timestamp(now.as_nanos().saturating_sub(lead)));
        }
    }

    /// All bytes of `frame` are there. False if it is not wanted: unknown, repeated, or decoding has passed it.
    pub fn complete(&mut self, frame: u32, key: bool, bytes: Vec<u8>) -> bool {
        if frame >= self.config.frames || frame < self.next || !self.came.insert(frame) {
            return false;
        }
        self.complete.insert(frame, (key, bytes));
        true
    }

    /// The decoder is done with `frame`; `picture` is what came out.
    pub fn decoded(&mut self, frame: u32, picture: Option<u128>) {
        self.decoding.remove(&frame);
        match picture {
            // After its slot a picture is too late to show, but what follows can build on it.
            Some(hash) if frame >= self.next_slot => {
                self.ready.insert(frame, hash);
            }
            Some(_) => {}
            None => {
                self.failed.insert(frame);
                self.chain = false;
            }
        }
    }

    /// Decodes what can be decoded and shows what is due.
    pub fn advance(&mut self, now: Timestamp) {
        if self.t0.is_none() && now >= self.config.capture_start + GIVE_UP {
            let early = now.as_nanos().saturating_sub(self.config.wait.as_nanos() as u64);
            self.t0 = Some(Timestamp(early));
        }
        loop {
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
        while self.next_slot < self.config.frames && self.slot(self.next_slot).is_some_and(|slot| slot <= now)
        {
            self.show(self.next_slot);
            self.next_slot += 1;
        }
    }

    fn show(&mut self, frame: u32) {
        let status = if let Some(hash) = self.ready.remove(&frame) {
            self.shown = Some((frame, hash));
            Status::Rendered
        } else {
            let cause = if self.failed.contains(&frame) {
                LossCause::Decoder
            } else if self.decoding.contains(&frame) {
                LossCause::Late
            } else if self.came.contains(&frame) {
                LossCause::Dependency
            } else {
                LossCause::Network
            };
            self.actions.push_back(Action::Lost { frame, cause });
            Status::Frozen
        };
        self.came.remove(&frame);
        self.failed.remove(&frame);
        self.actions.push_back(Action::Slot { frame, status, shown: self.shown });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 100; // ms per frame at 10 fps

    fn playout(frames: u32) -> Playout {
        let wait = Duration::from_millis(150);
        Playout::new(Config { frames, fps: 10, capture_start: Timestamp::ZERO, wait })
    }

    /// Runs a schedule of (ms, frame, key) completions, decoding at once; one letter per slot and the decodes.
    fn run(frames: u32, arrivals: &[(u64, u32, bool)]) -> (String, Vec<u32>) {
        let mut p = playout(frames);
        let (mut slots, mut decodes) = (String::new(), Vec::new());
        let mut arrivals = arrivals.iter().peekable();
        for ms in 0..frames as u64 * T + 2000 {
            let now = Timestamp::from_millis(ms);
            while let Some((_, frame, key)) = arrivals.next_if(|(at, ..)| *at == ms) {
                p.packet(now, *frame);
                p.complete(*frame, *key, vec![*frame as u8]);
            }
            p.advance(now);
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

    #[test]
    fn every_slot_comes_even_if_nothing_arrives() {
        assert_eq!(run(3, &[]).0, "nnn");
        assert_eq!(run(3, &[(250, 1, false)]).0, "ndn");
    }

    #[test]
    fn a_picture_the_decoder_refuses_breaks_the_chain() {
        let mut p = playout(3);
        p.packet(Timestamp::ZERO, 0);
        assert!(p.complete(0, true, vec![]));
        assert!(!p.complete(0, true, vec![]), "a repeat");
        assert!(!p.complete(3, true, vec![]), "beyond the clip");
        p.advance(Timestamp::ZERO);
        p.decoded(0, None);
        p.complete(1, false, vec![]);
        p.advance(Timestamp::from_millis(100));
        assert_eq!(p.waiting_for(), Some((1, Timestamp::from_millis(100))));
        let actions: Vec<Action> = std::iter::from_fn(|| p.poll_action()).collect();
        assert_eq!(actions.len(), 1, "nothing but frame 0 is decoded: {actions:?}");
    }
}
