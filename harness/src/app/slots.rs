//! From pictures on the screen to slots: what was there when each frame was due.
//!
//! With a fixed play-out budget frame i is rendered if it has been on the screen by capture + budget, whatever the app's own clock; with
//! the app's own clock, whenever it was on the screen.

use super::marker::CameraPicture;
use super::screen::Recording;
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
    /// True: the frame itself had come.
    pub rendered: bool,
    /// The frame whose picture is shown.
    pub shown: Option<u32>,
    /// That picture's place in the store.
    pub place: Option<u64>,
}

/// All slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// One per frame.
    pub slots: Vec<Slot>,
    /// When each frame was first on the screen, nanoseconds of the run.
    pub first_seen: Vec<Option<u64>>,
}

/// Judges every slot.
#[must_use]
pub fn judge(spec: &RunSpec, recording: &Recording, epoch_ns: u64) -> Judged {
    let frames = spec.clip.frames;
    let mut seen: Vec<Option<(u64, Option<u64>)>> = vec![None; frames as usize];
    for picture in &recording.seen {
        if let Some(CameraPicture::Frame(frame)) = picture.pictured
            && let Some(cell) = seen.get_mut(frame as usize)
        {
            cell.get_or_insert((picture.t_ns.saturating_sub(epoch_ns), picture.place));
        }
    }
    let first_seen: Vec<Option<u64>> = seen.iter().map(|s| s.map(|(t, _)| t)).collect();
    let slots = match spec.scenario.playout.budget() {
        Some(budget) => by_budget(spec, &seen, u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX)),
        None => by_its_own_clock(spec, &seen),
    };
    Judged { slots, first_seen }
}

fn by_budget(spec: &RunSpec, seen: &[Option<(u64, Option<u64>)>], budget_ns: u64) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::with_capacity(seen.len());
    for frame in 0..spec.clip.frames {
        let t_ns = capture_time(spec, frame).saturating_add(budget_ns);
        let by = |frame: u32| seen[frame as usize].filter(|(t, _)| *t <= t_ns);
        let shown = (0..=frame).rev().find(|f| by(*f).is_some());
        let place = shown.and_then(by).and_then(|(_, place)| place);
        slots.push(Slot { t_ns, rendered: shown == Some(frame), shown, place });
    }
    slots
}

fn by_its_own_clock(spec: &RunSpec, seen: &[Option<(u64, Option<u64>)>]) -> Vec<Slot> {
    let mut delays: Vec<u64> = (0..)
        .zip(seen)
        .filter_map(|(f, s)| Some(s.as_ref()?.0.saturating_sub(capture_time(spec, f))))
        .collect();
    delays.sort_unstable();
    let usual = delays.get(delays.len() / 2).copied().unwrap_or(0);
    // When the next frame that comes is on the screen, for each: a slot that was missed is over by then.
    let mut next = vec![u64::MAX; seen.len() + 1];
    for i in (0..seen.len()).rev() {
        next[i] = next[i + 1].min(seen[i].map_or(u64::MAX, |(t, _)| t));
    }
    let mut slots: Vec<Slot> = Vec::with_capacity(seen.len());
    for frame in 0..spec.clip.frames {
        let before = slots.last().copied();
        let last = before.map_or(0, |s| s.t_ns);
        slots.push(match seen[frame as usize] {
            // A frame that comes after a later one has missed its turn.
            Some((t_ns, place)) if t_ns >= last => Slot { t_ns, rendered: true, shown: Some(frame), place },
            _ => {
                let due = (capture_time(spec, frame) + usual).min(next[frame as usize + 1]).max(last);
                Slot {
                    t_ns: due,
                    rendered: false,
                    shown: before.and_then(|s| s.shown),
                    place: before.and_then(|s| s.place),
                }
            }
        });
    }
    slots
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
        let kind = EventKind::Slot { frame, stream, status, shown: slot.shown, picture: None };
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
    use super::super::screen::Seen;
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

    fn seen(times_ms: &[(u32, u64)]) -> Recording {
        let at = |(place, &(frame, ms)): (usize, &(u32, u64))| Seen {
            t_ns: 500 + ms * 1_000_000,
            pictured: Some(CameraPicture::Frame(frame)),
            place: Some(place as u64),
        };
        Recording { seen: times_ms.iter().enumerate().map(at).collect(), ..Recording::default() }
    }

    /// Frames at 1000, 1100, 1200, 1300 ms; the budget is 150 ms.
    #[test]
    fn with_a_budget_a_slot_shows_what_had_come_by_then() {
        let budget = Playout::DEFAULT;
        let judged = judge(&spec(budget), &seen(&[(0, 1040), (2, 1260), (1, 1261), (3, 1451)]), 500);
        let got: Vec<(u64, bool, Option<u32>, Option<u64>)> =
            judged.slots.iter().map(|s| (s.t_ns / 1_000_000, s.rendered, s.shown, s.place)).collect();
        assert_eq!(
            got,
            [
                (1150, true, Some(0), Some(0)),
                // Frame 1 came 161 ms after its capture.
                (1250, false, Some(0), Some(0)),
                (1350, true, Some(2), Some(1)),
                (1450, false, Some(2), Some(1)),
            ]
        );
        assert_eq!(judged.first_seen[1], Some(1_261_000_000));
    }

    #[test]
    fn with_its_own_clock_a_frame_is_judged_when_it_comes_and_a_missed_one_before_the_next() {
        let judged = judge(&spec(Playout::OWN), &seen(&[(0, 1040), (2, 1500), (1, 1501)]), 500);
        let got: Vec<(u64, bool, Option<u32>)> =
            judged.slots.iter().map(|s| (s.t_ns / 1_000_000, s.rendered, s.shown)).collect();
        // Delays: 40, 401, 300 ms, the median 300. Frame 1 has come before frame 2's slot could: it is rendered, and 2 has had its turn.
        assert_eq!(
            got,
            [(1040, true, Some(0)), (1501, true, Some(1)), (1501, false, Some(1)), (1600, false, Some(1))]
        );
    }

    #[test]
    fn nothing_seen_is_nothing_shown() {
        for playout in [Playout::DEFAULT, Playout::OWN] {
            let judged = judge(&spec(playout), &Recording::default(), 0);
            assert!(judged.slots.iter().all(|s| !s.rendered && s.shown.is_none() && s.place.is_none()));
            assert!(judged.slots.windows(2).all(|w| w[0].t_ns <= w[1].t_ns));
        }
    }
}
