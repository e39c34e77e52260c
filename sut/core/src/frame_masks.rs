//! ReVo's masks of damaged frames, which its loss recovery and its evaluation read: one implementation, of logs and of records.
//!
//! | mask | made by the original | rule |
//! |---|---|---|
//! | damage | `scripts/generate_frame_masks.py`, from a receiver's log | 2: the whole GOP of a lost key frame; 1: from the first damaged other frame to the end of its GOP; 0: clean |
//! | corrupted | its receiver, in memory | from a frame without payload or picture to the end of its GOP; the GOP's first frame never |
//! | frozen | its receiver, in memory | the whole GOP of a key frame without picture; else from a frame without payload to the end of the GOP |
//!
//! The original's script knows a frame from the tag `[FID: n]` and what happened to it from words of its receiver. A failing
//! decoder is none of them: the mask of damage does not have it, the other two do. Source: umassos/ReVo @ 16027a7.

use contract::{Event, EventKind, LossCause, Side, Stream};
use std::collections::BTreeSet;

/// Frames of a GOP in the original.
pub const GOP: u32 = 30;

/// No session has more frames: a log that says so is damaged.
pub const LONGEST: u64 = 100_000_000;

const KEY_ERRORS: [&str; 1] = ["I-frame not fully ready. Dropping"];
const OTHER_ERRORS: [&str; 6] = [
    "Could not build best-effort payload",
    "Built best-effort payload",
    "of RGB frame",
    "of depth frame",
    "First chunk did not arrive",
    "First chunk (depth) did not arrive",
];
const ANY_ERRORS: [&str; 4] =
    ["Whole frame missing", "frame_rgb none", "frame_depth none", "content is None"];

/// A log names a frame that no session can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame {0} is named, and no session has more than {LONGEST}: the log is damaged")]
pub struct TooLong(pub u64);

/// What a receiver said about frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// The largest frame named.
    last: Option<u32>,
    key_errors: BTreeSet<u32>,
    other_errors: BTreeSet<u32>,
}

impl Reports {
    /// Reads a log of the original's receiver as the original does: line by line, each split where colours are switched off, for
    /// its threads write into each other's lines.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn of_log(log: &str, gop: u32) -> Result<Self, TooLong> {
        let mut reports = Self::default();
        // Python's text files end lines at any of the three.
        for piece in log.split(['\n', '\r']).flat_map(|line| line.split("\x1b[0m")) {
            let piece = without_colours(piece);
            let Some(frame) = tag(&piece) else { continue };
            let frame =
                u32::try_from(frame).ok().filter(|&f| u64::from(f) < LONGEST).ok_or(TooLong(frame))?;
            reports.name(frame);
            let says = |words: &[&str]| words.iter().any(|word| piece.contains(word));
            if says(&KEY_ERRORS) {
                reports.key_errors.insert(frame);
            } else if says(&OTHER_ERRORS) {
                reports.other_errors.insert(frame);
            } else if says(&ANY_ERRORS) {
                reports.lost(frame, gop);
            }
        }
        Ok(reports)
    }

    /// What the original's receiver would have said of the same session: something of every one of `frames` captured frames, an
    /// error of those that lost packets. `streams`: both for what it says, for it loses a frame of both streams or of none.
    #[must_use]
    pub fn of_record(events: &[Event], streams: &[Stream], frames: u32, gop: u32) -> Self {
        let mut reports = Self { last: frames.checked_sub(1), ..Self::default() };
        for event in events.iter().filter(|e| e.side == Side::Receiver) {
            if let EventKind::Lost { frame, stream, cause: LossCause::Network, .. } = event.kind
                && frame < frames
                && streams.contains(&stream)
            {
                reports.lost(frame, gop);
            }
        }
        reports
    }

    fn name(&mut self, frame: u32) {
        self.last = self.last.max(Some(frame));
    }

    fn lost(&mut self, frame: u32, gop: u32) {
        let errors =
            if frame.is_multiple_of(gop.max(1)) { &mut self.key_errors } else { &mut self.other_errors };
        errors.insert(frame);
    }

    /// The mask of damage, one entry per frame up to the last named; `None` if none was.
    #[must_use]
    pub fn mask(&self, gop: u32) -> Option<Vec<i64>> {
        let length = self.last? as usize + 1;
        let mut mask = vec![0; length];
        for (number, frames) in mask.chunks_mut(gop.max(1) as usize).enumerate() {
            let start = number as u32 * gop.max(1);
            let damaged = |i: usize| self.other_errors.contains(&(start + i as u32));
            if self.key_errors.contains(&start) {
                frames.fill(2);
            } else if let Some(first) = (1..frames.len()).find(|&i| damaged(i)) {
                frames[first..].fill(1);
            }
        }
        Some(mask)
    }
}

/// The masks of one stream that the original's receiver keeps in memory; one entry per captured frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverMasks {
    /// Frames that are not exact, zero-filled ones aside.
    pub corrupted: Vec<bool>,
    /// Frames that the screen stood still for, and those after them in the GOP.
    pub frozen: Vec<bool>,
}

impl ReceiverMasks {
    /// Of a record.
    #[must_use]
    pub fn of_record(events: &[Event], stream: Stream, frames: u32, gop: u32) -> Self {
        let (mut payload, mut picture) = (vec![false; frames as usize], vec![false; frames as usize]);
        for event in events.iter().filter(|e| e.side == Side::Receiver) {
            let (frame, decoded) = match &event.kind {
                EventKind::Complete { frame, stream: s, .. } if *s == stream => (*frame, false),
                // Zero-filled frames are never complete, and reach the decoder.
                EventKind::Decoded { frame, stream: s, picture } if *s == stream => {
                    (*frame, picture.is_some())
                }
                _ => continue,
            };
            if let Some(entry) = payload.get_mut(frame as usize) {
                *entry = true;
                picture[frame as usize] |= decoded;
            }
        }
        let (mut masks, mut corrupted, mut frozen) = (Self::default(), false, false);
        for f in 0..frames as usize {
            let key = (f as u32).is_multiple_of(gop.max(1));
            if key {
                (corrupted, frozen) = (!picture[f], !picture[f]);
            } else {
                corrupted |= !payload[f] || !picture[f];
                frozen |= !payload[f];
            }
            masks.corrupted.push(corrupted && !key);
            masks.frozen.push(frozen);
        }
        masks
    }
}

/// Without terminal control sequences: ESC and one of `@` to `Z`, `\` to `_`; or ESC `[`, parameters `0` to `?`, intermediates space to
/// `/`, a final `@` to `~`.
fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match sequence(after) {
            Some(length) => rest = &after[length..],
            None => {
                out.push('\x1b');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Length of the control sequence after an ESC.
fn sequence(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'@'..=b'Z' | b'\\'..=b'_' => Some(1),
        b'[' => {
            let run = |from: usize, of: std::ops::RangeInclusive<u8>| {
                bytes[from..].iter().position(|b| !of.contains(b)).map_or(bytes.len(), |n| from + n)
            };
            let end = run(run(1, b'0'..=b'?'), b' '..=b'/');
            bytes.get(end).filter(|b| (b'@'..=b'~').contains(b)).map(|_| end + 1)
        }
        _ => None,
    }
}

/// The number of the first `[FID: n]`.
fn tag(text: &str) -> Option<u64> {
    text.match_indices("[FID:").find_map(|(at, start)| {
        // Python's `\s` is wider than Rust's white space by four control characters.
        let space = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
        let rest = text[at + start.len()..].trim_start_matches(space);
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 || !rest[digits..].starts_with(']') {
            return None;
        }
        Some(rest[..digits].parse().unwrap_or(u64::MAX)) // too large a number is too large a frame
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use link::Timestamp;

    fn mask(log: &str) -> Vec<i64> {
        Reports::of_log(log, GOP).unwrap().mask(GOP).unwrap_or_default()
    }

    /// Each case from the script's own rules.
    #[test]
    fn a_log_is_read_as_the_original_reads_it() {
        let ones = |from: usize, to: usize| (0..=to).map(|f| i64::from(f >= from)).collect::<Vec<_>>();
        // A key-frame error elsewhere than at a GOP's start, or another error there, has no effect.
        assert_eq!(mask("[FID: 7] I-frame not fully ready. Dropping"), vec![0; 8]);
        assert_eq!(mask("[FID: 30] of RGB frame"), vec![0; 31]);
        assert_eq!(mask("[FID: 0] of RGB frame, content is None"), vec![0], "the first match wins");
        assert_eq!(mask("[FID: 0] content is None\n[FID:3] fine"), vec![2; 4]);
        assert_eq!(mask("[FID: 4] Whole frame missing\r[FID: 9] fine"), ones(4, 9));
        assert_eq!(mask("[FID: 4] whole frame missing"), vec![0; 5], "upper and lower case differ");
        // Pieces of one line; colours; a sequence that is none; the first tag of a piece counts.
        assert_eq!(mask("[FID: 2] of depth frame\x1b[0m[FID: 5] x"), ones(2, 5));
        assert_eq!(mask("[FI\x1b[1;31mD: 2] of dep\x1b[33mth frame"), vec![0, 0, 1]);
        assert_eq!(mask("\x1b(B[FID: 1] content is None [FID: 8]"), vec![0, 1]);
        assert_eq!(mask("[FID: ] [FID: x] [fid: 1] [FID: 1 ] [FID:\t2] ok"), vec![0; 3]);
        assert_eq!(Reports::of_log("Frame 5 frozen", GOP).unwrap().mask(GOP), None);
        assert_eq!(Reports::of_log("[FID: 99999999999999999999]", GOP), Err(TooLong(u64::MAX)));
        assert_eq!(Reports::of_log("[FID: 100000000]", GOP), Err(TooLong(LONGEST)));
    }

    #[test]
    fn a_record_gives_the_masks_of_the_rules() {
        let event = |kind| Event { t_ns: Timestamp(0), side: Side::Receiver, kind };
        let stream = Stream::Rgb;
        let mut events = Vec::new();
        for frame in 0..12u32 {
            // GOPs of 4: frame 2 gives no picture; key frame 4 is lost; frame 9 has holes, frame 11 is lost.
            let lost = |missing| EventKind::Lost { frame, stream, cause: LossCause::Network, missing };
            let decoded = |ok: bool| EventKind::Decoded { frame, stream, picture: ok.then(|| "x".into()) };
            let complete = EventKind::Complete { frame, stream, recovered: 0 };
            match frame {
                2 => events.extend([complete, decoded(false)]),
                4 | 11 => events.push(lost(1)),
                5..=7 => {
                    events.push(EventKind::Lost { frame, stream, cause: LossCause::Dependency, missing: 0 });
                }
                9 => events.extend([lost(1), decoded(true)]),
                _ => events.extend([complete, decoded(true)]),
            }
        }
        let events: Vec<Event> = events.into_iter().map(event).collect();
        let damage = |stream| Reports::of_record(&events, &[stream], 12, 4).mask(4).unwrap();
        assert_eq!(damage(stream), [0, 0, 0, 0, 2, 2, 2, 2, 0, 1, 1, 1]);
        assert_eq!(damage(Stream::Depth), [0; 12]);
        let masks = ReceiverMasks::of_record(&events, stream, 12, 4);
        let bits = |list: &[bool]| list.iter().map(|&b| u8::from(b)).collect::<Vec<_>>();
        assert_eq!(bits(&masks.corrupted), [0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1]);
        assert_eq!(bits(&masks.frozen), [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1]);
    }
}
