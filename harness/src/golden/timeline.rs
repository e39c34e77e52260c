//! What was on the screen in each slot, and which freezes that makes.

use super::Explained;
use super::text::{Shape, lines_diff};
use contract::{Event, EventKind, Status, Stream};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One line per slot and stream, in order of frames, then the freezes (runs of frozen slots).
///
/// ```text
///      33333333 rgb   slot 1 rendered shows 1 picture 9f3c5a0e12bb
/// ```
#[must_use]
pub fn timeline(events: &[Event]) -> String {
    slots(events, true)
}

/// [`timeline`] without the hashes of pictures: what does not depend on the encoder's version as long as the same
/// frames get through.
#[must_use]
pub fn statuses(events: &[Event]) -> String {
    slots(events, false)
}

fn slots(events: &[Event], hashes: bool) -> String {
    let mut slots = BTreeMap::new();
    for event in events {
        if let EventKind::Slot { frame, stream, status, shown, ref picture } = event.kind {
            slots.insert((stream, frame), (event.t_ns, status, shown, picture.as_deref()));
        }
    }
    let mut text = String::from("# t_ns, stream, slot, status, captured frame shown (black: none)");
    text.push_str(if hashes { ", hash of its picture\n" } else { "\n" });
    for ((stream, frame), (at, status, shown, picture)) in &slots {
        let shown = shown.map_or_else(|| "black".to_owned(), |f| f.to_string());
        let _ = write!(
            text,
            "{:>14} {:<5} slot {frame} {} shows {shown}",
            at.as_nanos(),
            stream.name(),
            status.name(),
        );
        if hashes {
            let _ = write!(text, " picture {}", picture.map_or("-", |p| &p[..p.len().min(12)]));
        }
        text.push('\n');
    }
    for stream in Stream::ALL {
        let frozen: Vec<u32> = slots
            .iter()
            .filter(|((s, _), slot)| *s == stream && slot.1 == Status::Frozen)
            .map(|((_, frame), _)| *frame)
            .collect();
        for run in frozen.chunk_by(|a, b| a + 1 == *b) {
            let _ = writeln!(
                text,
                "freeze {} slots {}..={} ({})",
                stream.name(),
                run[0],
                run[run.len() - 1],
                run.len()
            );
        }
    }
    text
}

/// Says how two timelines differ: only in times, only in pixels, or in what was shown.
pub(super) fn explain(kept: &str, now: &str) -> Option<Explained> {
    lines_diff(
        kept,
        now,
        &[
            Shape { what: "the same slots show the same pictures, at other times", strip: &[0] },
            Shape {
                what: "the same frames are shown at the same times, but their pixels changed (decoder, repair bytes, or another encoder version)",
                strip: &[8],
            },
            Shape { what: "the same frames are shown, at other times and with other pixels", strip: &[0, 8] },
        ],
    )
}
