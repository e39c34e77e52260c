//! From pictures on the screen to slots: what was there when each frame was due.
//!
//! With a fixed play-out budget every frame is held back until its capture + budget, as a player would that keeps to it, whatever the app's own
//! clock; a frame that came later than that is there when it came. Whatever else the screen showed, a picture that is none of the camera's, an
//! older frame, another picture under the same marker, is held back as long as the newest frame before it was, so that it takes as much of
//! the slots as it took of the screen. With the app's own clock nothing is held back.
//!
//! A slot shows what stands on the screen at its time; if a newer frame has not come in the meantime, the longest of what stands there until the
//! next slot.

use super::marker::CameraPicture;
use super::screen::{Recording, Seen};
use crate::record::Finding;
use crate::score::slots_of;
use anyhow::{Context, Result};
use contract::{Event, EventKind, RunSpec, Side, Status, Stream};
use link::Timestamp;
use std::io::{BufWriter, Write};
use std::path::Path;

/// What was on the screen at a frame's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Nanoseconds of the run.
    pub t_ns: u64,
    /// The picture that is shown; none: black, no frame had come.
    pub seen: Option<Seen>,
    /// True: it is the frame itself.
    pub rendered: bool,
}

impl Slot {
    /// The frame whose picture is shown; none, too, if the picture is no frame.
    #[must_use]
    pub fn shown(&self) -> Option<u32> {
        frame_of(&self.seen?)
    }

    /// The picture's place in the store.
    #[must_use]
    pub fn place(&self) -> Option<u64> {
        self.seen?.place
    }
}

/// All slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// One per frame.
    pub slots: Vec<Slot>,
    /// When each frame was first on the screen, nanoseconds of the run.
    pub first_seen: Vec<Option<u64>>,
}

/// What stood on the screen that was not the newest frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Slots with a picture without a marker.
    pub unmarked: u32,
    /// For how long the screen showed such ones.
    pub unmarked_ms: u64,
    /// Slots with an older frame than had been shown.
    pub older: u32,
    /// For how long the screen showed such ones.
    pub older_ms: u64,
}

impl Other {
    /// What a reader must know of it.
    #[must_use]
    pub fn findings(&self, flashed: u64, frames: u32) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (slots, ms) = (self.unmarked, self.unmarked_ms);
        findings.extend((slots > 0).then_some(Finding::ScreenUnreadable { slots, ms }));
        let (slots, ms) = (self.older, self.older_ms);
        findings.extend((slots > 0).then_some(Finding::ScreenWentBack { slots, ms }));
        // Now and then a machine with other work is late with one of two pictures.
        let many = flashed * 20 > u64::from(frames);
        findings.extend(many.then_some(Finding::FramesFlashed { count: flashed, of: frames }));
        findings
    }
}

fn frame_of(seen: &Seen) -> Option<u32> {
    match seen.pictured {
        Some(CameraPicture::Frame(frame)) => Some(frame),
        _ => None,
    }
}

/// A picture on a screen that keeps to the slots' clock.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Since when, nanoseconds of the run; until the next one's.
    at_ns: u64,
    seen: Seen,
}

/// Judges every slot.
#[must_use]
pub fn judge(spec: &RunSpec, recording: &Recording, epoch_ns: u64) -> Judged {
    let mut first_seen: Vec<Option<u64>> = vec![None; spec.clip.frames as usize];
    for seen in &recording.seen {
        if let Some(cell) = frame_of(seen).and_then(|frame| first_seen.get_mut(frame as usize)) {
            cell.get_or_insert(seen.t_ns.saturating_sub(epoch_ns));
        }
    }
    let budget = spec.scenario.playout.budget_ns();
    let screen = held_back(spec, recording, epoch_ns, budget);
    let slots = match budget {
        Some(budget) => (0..spec.clip.frames)
            .map(|frame| {
                at(&screen, frame, capture_time(spec, frame).saturating_add(budget), spec.interval_ns())
            })
            .collect(),
        None => by_its_own_clock(spec, &screen, &first_seen),
    };
    Judged { slots, first_seen }
}

/// The screen as a player with this budget would have had it.
fn held_back(spec: &RunSpec, recording: &Recording, epoch_ns: u64, budget: Option<u64>) -> Vec<Standing> {
    let mut screen: Vec<Standing> = Vec::with_capacity(recording.seen.len());
    let mut by_ns = 0;
    // Before the clip's first frame there is nothing of it.
    for seen in recording.seen.iter().filter(|seen| seen.newest.is_some()) {
        let came = seen.t_ns.saturating_sub(epoch_ns);
        if let (true, Some(frame), Some(budget)) = (seen.advances, frame_of(seen), budget) {
            by_ns = capture_time(spec, frame).saturating_add(budget).saturating_sub(came);
        }
        let at_ns = came.saturating_add(by_ns);
        // A newer frame that is due ends whatever else was there.
        while seen.advances && screen.last().is_some_and(|last| !last.seen.advances && last.at_ns >= at_ns) {
            screen.pop();
        }
        screen.push(Standing { at_ns, seen: *seen });
    }
    screen
}

/// What the slot of `frame` at `t_ns` shows.
fn at(screen: &[Standing], frame: u32, t_ns: u64, interval_ns: u64) -> Slot {
    let is_newer = |standing: &Standing| frame_of(&standing.seen).is_some_and(|f| f > frame);
    let begun = screen.partition_point(|standing| standing.at_ns <= t_ns);
    let Some(first) = (0..begun).rev().find(|&i| !is_newer(&screen[i])) else {
        return Slot { t_ns, seen: None, rendered: false };
    };
    let end_ns = t_ns.saturating_add(interval_ns);
    let is_over = |s: &Standing| s.seen.advances || is_newer(s) || s.at_ns >= end_ns;
    let over = (first + 1..screen.len()).find(|&i| is_over(&screen[i])).unwrap_or(screen.len());
    let until = |i: usize| screen.get(i).map_or(end_ns, |s| s.at_ns.min(end_ns));
    let stands = |i: &usize| until(i + 1).saturating_sub(screen[*i].at_ns.max(t_ns));
    // Of two that stand as long, the first.
    let longest = (first..over).rev().max_by_key(stands).unwrap_or(first);
    let seen = screen[longest].seen;
    Slot { t_ns, seen: Some(seen), rendered: frame_of(&seen) == Some(frame) }
}

fn by_its_own_clock(spec: &RunSpec, screen: &[Standing], first_seen: &[Option<u64>]) -> Vec<Slot> {
    let mut delays: Vec<u64> = (0..)
        .zip(first_seen)
        .filter_map(|(f, s)| Some((*s)?.saturating_sub(capture_time(spec, f))))
        .collect();
    delays.sort_unstable();
    let usual = delays.get(delays.len() / 2).copied().unwrap_or(0);
    // When the next frame that comes is on the screen, for each: a slot that was missed is over by then.
    let mut next = vec![u64::MAX; first_seen.len() + 1];
    for i in (0..first_seen.len()).rev() {
        next[i] = next[i + 1].min(first_seen[i].unwrap_or(u64::MAX));
    }
    let mut slots: Vec<Slot> = Vec::with_capacity(first_seen.len());
    for frame in 0..spec.clip.frames {
        let last = slots.last().map_or(0, |s| s.t_ns);
        // A frame that comes after a later one has missed its turn.
        let own = first_seen[frame as usize].filter(|t_ns| *t_ns >= last);
        let due = || (capture_time(spec, frame) + usual).min(next[frame as usize + 1]).max(last);
        slots.push(at(screen, frame, own.unwrap_or_else(due), spec.interval_ns()));
    }
    slots
}

impl Judged {
    /// What else than the newest frame the screen showed.
    #[must_use]
    pub fn other(&self, recording: &Recording, epoch_ns: u64) -> Other {
        let is_unmarked = |seen: &Seen| seen.newest.is_some() && seen.pictured.is_none();
        let is_older = |seen: &Seen| frame_of(seen).is_some() && frame_of(seen) != seen.newest;
        let slots = |is: &dyn Fn(&Seen) -> bool| {
            let count = self.slots.iter().filter(|slot| slot.seen.as_ref().is_some_and(is)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let end_ns = epoch_ns + self.slots.last().map_or(0, |slot| slot.t_ns);
        let ms = |is: &dyn Fn(&Seen) -> bool| {
            let ends = recording.seen.iter().skip(1).map(|seen| seen.t_ns.min(end_ns)).chain([end_ns]);
            let spans = recording.seen.iter().zip(ends).filter(|(seen, _)| is(seen));
            spans.map(|(seen, end)| end.saturating_sub(seen.t_ns)).sum::<u64>() / 1_000_000
        };
        Other {
            unmarked: slots(&is_unmarked),
            unmarked_ms: ms(&is_unmarked),
            older: slots(&is_older),
            older_ms: ms(&is_older),
        }
    }
}

/// Writes the events of both ends.
///
/// # Errors
/// When a file cannot be written.
pub fn write(spec: &RunSpec, captured: &[u64], judged: &Judged, epoch_ns: u64, run_dir: &Path) -> Result<()> {
    let sender = (0..).zip(captured).map(|(frame, at)| Event {
        t_ns: Timestamp(at.saturating_sub(epoch_ns)),
        side: Side::Sender,
        kind: EventKind::Captured { frame },
    });
    let stream = Stream::Rgb;
    let decoded = (0..).zip(&judged.first_seen).filter_map(|(frame, t)| {
        // There is a picture, whose hash the store tells.
        let kind = EventKind::Decoded { frame, stream, picture: Some(String::new()) };
        Some(Event { t_ns: Timestamp((*t)?), side: Side::Receiver, kind })
    });
    let slots = (0..).zip(&judged.slots).map(|(frame, slot)| {
        let status = if slot.rendered { Status::Rendered } else { Status::Frozen };
        let kind = EventKind::Slot { frame, stream, status, shown: slot.shown(), picture: None };
        Event { t_ns: Timestamp(slot.t_ns), side: Side::Receiver, kind }
    });
    debug_assert_eq!(judged.slots.len(), spec.clip.frames as usize);
    write_events(&run_dir.join("events.sender.jsonl"), sender)?;
    write_events(&run_dir.join("events.receiver.jsonl"), decoded.chain(slots))
}

fn write_events(path: &Path, events: impl Iterator<Item = Event>) -> Result<()> {
    let write = || -> Result<()> {
        let mut out = BufWriter::new(std::fs::File::create(path)?);
        for event in events {
            serde_json::to_writer(&mut out, &event)?;
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

/// When a frame is captured, by the run's frame clock, nanoseconds.
fn capture_time(spec: &RunSpec, frame: u32) -> u64 {
    slots_of(spec).capture_time(frame).as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Playout, Scenario};

    fn spec(playout: Playout) -> RunSpec {
        let clip = "name = \"x\"\nrgb = \"x\"\nwidth = 64\nheight = 48\nfps = 10\nframes = 4\nhash = \"\"";
        let mut scenario = Scenario::find("clean").expect("a shipped scenario");
        scenario.playout = playout;
        RunSpec {
            system: "app".parse().expect("a name"),
            backend: contract::Backend::Namespaces,
            shaper: contract::Shaping::Auto,
            seed: 1,
            revision: String::new(),
            replay: String::new(),
            capture_start_ns: 1_000_000_000,
            warm_ns: 0,
            captured_from_ns: None,
            playout_ns: Some(playout),
            cache: None,
            costs: contract::Costs::default(),
            given: std::collections::BTreeSet::new(),
            clip: toml::from_str(clip).expect("a clip"),
            options: toml::Table::new(),
            scenario,
            identity: contract::Identity::default(),
        }
    }

    /// What was seen when, milliseconds of the run.
    fn seen(pictures: &[(Option<u32>, u64)]) -> Recording {
        let mut recording = Recording::default();
        for (content, &(frame, ms)) in (0..).zip(pictures) {
            recording.add(500 + ms * 1_000_000, frame.map(CameraPicture::Frame), content, 10_000_000);
        }
        recording
    }

    /// Time, whether it is the frame, the frame that is shown, and which picture of those that were seen.
    fn slots(playout: Playout, recording: &Recording) -> Vec<(u64, bool, Option<u32>, Option<u64>)> {
        let judged = judge(&spec(playout), recording, 500);
        let slot = |s: &Slot| (s.t_ns / 1_000_000, s.rendered, s.shown(), s.seen.map(|seen| seen.content));
        judged.slots.iter().map(slot).collect()
    }

    const BLACK: Option<u32> = None;

    /// Frames at 1000, 1100, 1200, 1300 ms; the budget is 150 ms.
    #[test]
    fn with_a_budget_a_slot_shows_what_had_come_by_then() {
        let recording = seen(&[(Some(0), 1040), (Some(2), 1261), (Some(3), 1451)]);
        assert_eq!(
            slots(Playout::DEFAULT, &recording),
            [
                (1150, true, Some(0), Some(0)),
                // Frame 1 never came.
                (1250, false, Some(0), Some(0)),
                (1350, true, Some(2), Some(1)),
                // Frame 3 came 151 ms after its capture.
                (1450, false, Some(2), Some(1)),
            ]
        );
        let judged = judge(&spec(Playout::DEFAULT), &recording, 500);
        assert_eq!(judged.first_seen, [Some(1_040_000_000), None, Some(1_261_000_000), Some(1_451_000_000)]);
        assert_eq!(judged.other(&recording, 500), Other::default());
    }

    /// An app that is faster than the budget: what it shows at frame 0's slot is a later frame, which no slot before its own shows.
    #[test]
    fn an_app_that_is_ahead_of_the_budget_is_held_back() {
        let quick = seen(&[(Some(0), 1010), (Some(1), 1110), (Some(2), 1210), (Some(3), 1310)]);
        let burst = seen(&[(Some(0), 1010), (Some(1), 1210), (Some(2), 1211), (Some(3), 1310)]);
        for recording in [quick, burst] {
            let all = slots(Playout::DEFAULT, &recording);
            assert!(all.iter().zip(0..).all(|(slot, i)| slot.1 && slot.2 == Some(i)), "{all:?}");
        }
    }

    /// The screen goes black after frame 1, 80 ms later: frames 0 and 1 have had their time, the others are black.
    #[test]
    fn a_screen_that_goes_black_is_black_in_the_slots_that_follow() {
        let recording = seen(&[(Some(0), 1010), (Some(1), 1110), (BLACK, 1190)]);
        assert_eq!(
            slots(Playout::DEFAULT, &recording),
            [
                (1150, true, Some(0), Some(0)),
                (1250, true, Some(1), Some(1)),
                (1350, false, None, Some(2)),
                (1450, false, None, Some(2)),
            ]
        );
        let other = judge(&spec(Playout::DEFAULT), &recording, 500).other(&recording, 500);
        // From 1190 to the last slot, 1450 ms.
        assert_eq!(other, Other { unmarked: 2, unmarked_ms: 260, ..Other::default() });
        assert!(matches!(other.findings(0, 4)[..], [Finding::ScreenUnreadable { slots: 2, ms: 260 }]));
        let own = slots(Playout::OWN, &recording);
        // Delays of 10 ms; frames 2 and 3 were due at 1210 and 1310.
        assert_eq!(own[2..], [(1210, false, None, Some(2)), (1310, false, None, Some(2))]);
    }

    #[test]
    fn a_screen_that_goes_back_shows_the_old_frame() {
        let recording = seen(&[(Some(0), 1010), (Some(1), 1110), (Some(2), 1210), (Some(0), 1290)]);
        let all = slots(Playout::DEFAULT, &recording);
        assert_eq!(all[2..], [(1350, true, Some(2), Some(2)), (1450, false, Some(0), Some(3))]);
        let other = judge(&spec(Playout::DEFAULT), &recording, 500).other(&recording, 500);
        assert_eq!(other, Other { older: 1, older_ms: 160, ..Other::default() });
        assert_eq!(slots(Playout::OWN, &recording)[3], (1310, false, Some(0), Some(3)));
    }

    /// Frame 1 for 8 ms, then black: nobody has seen it. For 40 ms of 100: black is what stands longest in its slot.
    #[test]
    fn a_frame_that_flashes_is_not_what_its_slot_shows() {
        for stands in [8, 40] {
            let recording =
                seen(&[(Some(0), 1010), (Some(1), 1110), (BLACK, 1110 + stands), (Some(2), 1210)]);
            let all = slots(Playout::DEFAULT, &recording);
            assert_eq!(
                (all[0].1, all[1].1, all[1].3, all[2].1),
                (true, false, Some(2), true),
                "{stands}: {all:?}"
            );
            assert_eq!(recording.flashed, u64::from(stands == 8));
            assert!(!slots(Playout::OWN, &recording)[1].1);
        }
        // For 60 ms of 100 it is seen.
        let recording = seen(&[(Some(0), 1010), (Some(1), 1110), (BLACK, 1170), (Some(2), 1210)]);
        assert!(slots(Playout::DEFAULT, &recording)[1].1);
        // Black for less than anybody sees.
        let recording =
            seen(&[(Some(0), 1010), (Some(1), 1110), (BLACK, 1140), (Some(1), 1145), (Some(2), 1210)]);
        assert!(recording.seen.iter().all(|s| s.pictured.is_some()));
        // One in 20 is a busy machine.
        assert_eq!(Other::default().findings(2, 40), []);
        assert_eq!(Other::default().findings(3, 40), [Finding::FramesFlashed { count: 3, of: 40 }]);
    }

    /// The right picture for a moment, then another one under its marker: that is the frame's picture.
    #[test]
    fn of_two_pictures_with_one_marker_the_one_that_stands_counts() {
        for (stands, kept) in [(1, 1), (30, 1), (70, 0)] {
            let recording = seen(&[(Some(0), 1010), (Some(0), 1010 + stands), (Some(1), 1110)]);
            let all = slots(Playout::DEFAULT, &recording);
            assert_eq!(all[0], (1150, true, Some(0), Some(kept)), "{stands} ms");
            assert_eq!(recording.flashed, 0, "a picture that was being drawn");
            assert_eq!(slots(Playout::OWN, &recording)[0].3, Some(kept), "{stands} ms");
        }
    }

    #[test]
    fn with_its_own_clock_a_frame_is_judged_when_it_comes_and_a_missed_one_before_the_next() {
        let recording = seen(&[(Some(0), 1040), (Some(2), 1500), (Some(1), 1540)]);
        let got: Vec<_> = slots(Playout::OWN, &recording).iter().map(|s| (s.0, s.1, s.2)).collect();
        // Delays: 40, 440, 300 ms, the median 300. Frame 1 has come before frame 2's slot could: it is rendered, and 2 has had its turn.
        assert_eq!(
            got,
            [(1040, true, Some(0)), (1540, true, Some(1)), (1540, false, Some(1)), (1600, false, Some(1))]
        );
    }

    #[test]
    fn nothing_seen_is_nothing_shown() {
        let before = seen(&[(BLACK, 900), (BLACK, 1100)]);
        for recording in [Recording::default(), before] {
            for playout in [Playout::DEFAULT, Playout::OWN] {
                let judged = judge(&spec(playout), &recording, 0);
                assert!(judged.slots.iter().all(|s| !s.rendered && s.seen.is_none()));
                assert!(judged.slots.windows(2).all(|w| w[0].t_ns <= w[1].t_ns));
            }
        }
    }
}
