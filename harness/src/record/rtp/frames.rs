//! Which captured frame an RTP timestamp is of.
//!
//! Timestamps of a stream begin anywhere and tick at their clock; captures are at `start + i / fps`. Three steps, none of which believes
//! the program:
//!
//! 1. Timestamps lie on the frame clock's grid, give or take the camera's jitter: the grid's phase is their circular mean.
//! 2. Nothing is sent before it is captured: of all ways to lay the grid over the captures, the latest in which no packet comes early.
//!    (Right if the encoder is once in the run faster than a frame.)
//! 3. If the receiver showed frames of which no packet had arrived by then, or none was sent, the encoder was slower than that: up to four
//!    frames earlier are tried, and the first with the fewest such frames is taken.

use std::collections::BTreeMap;

/// A frame clock: when frame 0 was captured, and how often per second.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds.
    pub first_ns: u64,
    /// Captures per second.
    pub fps: u32,
}

/// What the path saw of one timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When its first packet entered the path, nanoseconds.
    pub entered_ns: u64,
    /// When its first packet was delivered; `None` if none was.
    pub delivered_ns: Option<u64>,
}

/// Two clocks are read, and frames are captured at a rounded time.
const TOLERANCE_NS: i128 = 2_000_000;
/// How many frames slower than step 2 assumes an encoder may be.
const SLOWER: i64 = 4;

/// What timestamps say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// The frame of each: below 0 before the clip, and beyond its end after it.
    pub frames: BTreeMap<u32, i64>,
    /// How well they lie on the frame clock's grid, the length of their circular mean: 1 if all do, about 0 if they lie anywhere.
    pub on_grid: f64,
}

/// The frame of each timestamp.
#[must_use]
pub fn frames_of(
    timestamps: &BTreeMap<u32, Seen>,
    ticks: u32,
    clock: Clock,
    shown: &BTreeMap<i64, u64>,
) -> Placed {
    let Some((&first, _)) = timestamps.iter().min_by_key(|(_, seen)| seen.entered_ns) else {
        return Placed::default();
    };
    let interval = 1e9 / f64::from(clock.fps.max(1));
    // They wrap after half a day: what is later is nearest to the one that came first.
    let since = |t: u32| f64::from(t.wrapping_sub(first).cast_signed()) * 1e9 / f64::from(ticks.max(1));
    let turn = |t: u32| since(t) / interval * std::f64::consts::TAU;
    let (sine, cosine) =
        timestamps.keys().fold((0.0, 0.0), |(s, c), &t| (s + turn(t).sin(), c + turn(t).cos()));
    let phase = sine.atan2(cosine) / std::f64::consts::TAU * interval;
    #[allow(clippy::cast_possible_truncation)] // runs are shorter than 2^63 frames
    let place = |t: u32| ((since(t) - phase) / interval).round() as i64;
    // The newest frame that can have been sent at `ns`.
    let newest = |ns: u64| {
        let since = i128::from(ns) + TOLERANCE_NS - i128::from(clock.first_ns);
        i64::try_from((since * i128::from(clock.fps.max(1))).div_euclid(1_000_000_000)).unwrap_or(i64::MAX)
    };
    let latest = timestamps.iter().map(|(&t, seen)| newest(seen.entered_ns).saturating_sub(place(t))).min();
    let latest = latest.unwrap_or(0);
    let places: BTreeMap<i64, Option<u64>> =
        timestamps.iter().map(|(&t, seen)| (place(t), seen.delivered_ns)).collect();
    let impossible = |shift: i64| {
        let came = |frame: i64| places.get(&frame.saturating_sub(shift)).copied().flatten();
        shown
            .iter()
            .filter(|(frame, at)| {
                came(**frame).is_none_or(|ns| i128::from(ns) > i128::from(**at) + TOLERANCE_NS)
            })
            .count()
    };
    let shift = (0..=SLOWER).map(|slower| latest.saturating_sub(slower)).min_by_key(|s| impossible(*s));
    let shift = shift.unwrap_or(latest);
    let frames = timestamps.keys().map(|&t| (t, place(t).saturating_add(shift))).collect();
    #[allow(clippy::cast_precision_loss)] // counts are far below 2^53
    let on_grid = sine.hypot(cosine) / timestamps.len() as f64;
    Placed { frames, on_grid }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    /// Frames -`warm` to `n` of a camera at 30 a second, `delay` milliseconds from capture to path, `jitter` ticks on the timestamps.
    fn stream(
        base: u32,
        warm: i64,
        n: i64,
        delay: impl Fn(i64) -> u64,
        jitter: impl Fn(i64) -> i32,
    ) -> (BTreeMap<u32, Seen>, BTreeMap<u32, i64>) {
        let (mut seen, mut truth) = (BTreeMap::new(), BTreeMap::new());
        for frame in -warm..n {
            let stamp = base.wrapping_add_signed((frame * 3000) as i32 + jitter(frame));
            let captured = (10_000 * MS).saturating_add_signed(frame * 33_333_333);
            let entered = captured + delay(frame) * MS;
            seen.insert(stamp, Seen { entered_ns: entered, delivered_ns: Some(entered + 20 * MS) });
            truth.insert(stamp, frame);
        }
        (seen, truth)
    }

    const CLOCK: Clock = Clock { first_ns: 10_000 * MS, fps: 30 };

    proptest! {
        #[test]
        fn timestamps_find_their_frames(
            base in any::<u32>(),
            warm in 0i64..90,
            n in 2i64..200,
            fastest in 1u64..30,
            spread in 0u64..80,
            jitter in 0i32..500,
            seed in any::<u64>(),
        ) {
            // One frame in the run is as fast as the fastest.
            let dice = |frame: i64, salt: u64| {
                (frame as u64).wrapping_add(salt ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33
            };
            let delay = |f: i64| if f == 1 { fastest } else { fastest + dice(f, 1) % (spread + 1) };
            let wobble = |f: i64| if f == 1 { 0 } else { (dice(f, 2) % (2 * jitter as u64 + 1)) as i32 - jitter };
            // A jittered timestamp does not change when a frame was really captured.
            let (seen, truth) = stream(base, warm, n, delay, wobble);
            prop_assert_eq!(frames_of(&seen, 90_000, CLOCK, &BTreeMap::new()).frames, truth);
        }
    }

    #[test]
    fn what_was_shown_tells_a_slow_encoder() {
        let (mut seen, truth) = stream(u32::MAX - 5000, 30, 60, |_| 50, |_| 0);
        // By the first two steps alone all is one frame late.
        let nothing = BTreeMap::new();
        assert_ne!(frames_of(&seen, 90_000, CLOCK, &nothing).frames, truth);
        // Frame 20 was lost, and the receiver showed every other one.
        let lost = *truth.iter().find(|(_, frame)| **frame == 20).expect("frame 20").0;
        seen.get_mut(&lost).expect("frame 20").delivered_ns = None;
        let shown = (0..60)
            .filter(|f| *f != 20)
            .map(|f| (f, 10_000 * MS + f as u64 * 33_333_333 + 150 * MS))
            .collect();
        assert_eq!(frames_of(&seen, 90_000, CLOCK, &shown).frames, truth);
    }

    #[test]
    fn no_input_is_too_strange() {
        let nothing = BTreeMap::new();
        assert!(frames_of(&nothing_seen(), 0, Clock { first_ns: 0, fps: 0 }, &nothing).frames.is_empty());
        let strange = BTreeMap::from([
            (0, Seen { entered_ns: u64::MAX, delivered_ns: None }),
            (u32::MAX, Seen { entered_ns: 0, delivered_ns: Some(0) }),
        ]);
        for ticks in [0, 1, u32::MAX] {
            for clock in [Clock { first_ns: 0, fps: 0 }, Clock { first_ns: u64::MAX, fps: u32::MAX }] {
                assert_eq!(frames_of(&strange, ticks, clock, &BTreeMap::from([(0, 0)])).frames.len(), 2);
            }
        }
    }

    fn nothing_seen() -> BTreeMap<u32, Seen> {
        BTreeMap::new()
    }
}
