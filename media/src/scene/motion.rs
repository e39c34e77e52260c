//! What moves, as a function of time alone: head, eyes, mouth, hand, light.

use super::math::{Turn, V3, drift, mix, random, step, v3, wave};

/// The person and the light at one instant.
#[derive(Clone, Debug)]
pub(super) struct Pose {
    /// Middle of the skull, metres, camera coordinates (x right, y up, z away).
    pub head: V3,
    /// From camera axes (z mirrored: towards the camera) to the head's own.
    pub turn: Turn,
    /// Sway of the trunk, metres.
    pub trunk: V3,
    /// 0 open, 1 closed.
    pub blink: f32,
    /// Where the eyes point, in the head's axes.
    pub gaze: V3,
    /// 0 closed .. 1 wide.
    pub mouth_open: f32,
    /// Factor of its width.
    pub mouth_wide: f32,
    pub smile: f32,
    pub brows: f32,
    /// Elbow of the waving arm and its turn; `None` while it is out of the picture.
    pub arm: Option<(V3, Turn)>,
    /// Gains of window and lamp.
    pub window: f32,
    pub lamp: f32,
}

impl Pose {
    /// `seconds` from the clip's start; `length` of the clip; the hand comes once around its middle.
    pub fn at(seconds: f32, length: f32, salt: i32) -> Self {
        let t = seconds;
        let d = |rate: f32, which: i32| {
            2.0 * drift(t * rate + random(salt, which, 1) * 50.0, salt.wrapping_add(which)) - 1.0
        };
        let speech = speech(t, salt);
        // Slow turns towards this and that, small quick ones, a nod on stressed syllables.
        let yaw = 0.055 * d(0.45, 1) + 0.012 * d(1.6, 2);
        let pitch = -0.004 - 0.010 * d(0.5, 3) - 0.005 * d(1.9, 4) - 0.008 * speech.stress - nod(t, salt);
        let roll = 0.013 * d(0.4, 5) + 0.004 * d(1.3, 6);
        let trunk = v3(0.012 * d(0.22, 7), 0.0022 * wave(t * 0.27), 0.014 * d(0.25, 8));
        let head =
            v3(0.012 * d(0.3, 9) + 0.06 * yaw, 0.022 + 0.004 * d(0.7, 10), 0.665 + 0.012 * d(0.33, 11))
                + trunk;
        // Saccades: the gaze jumps and rests; mostly at the camera.
        let rest = (t * 1.1 + random(salt, 12, 1)).floor() as i32;
        let away = if random(salt, rest, 13) > 0.62 { 1.0 } else { 0.15 };
        let look = v3(
            (random(salt, rest, 14) - 0.5) * 0.40 * away,
            (random(salt, rest, 15) - 0.55) * 0.30 * away,
            1.0,
        );
        let turn = Turn::new(yaw, pitch, roll);
        // The camera's place in the head's axes, and the eyes' own wandering.
        let camera = turn.apply(v3(-head.x, -head.y, head.z).unit());
        let gaze = (camera + v3(look.x, look.y, 0.0)).unit();
        Self {
            head,
            turn,
            trunk,
            blink: blink(t, salt),
            gaze,
            mouth_open: speech.open,
            mouth_wide: speech.wide,
            smile: 0.35 + 0.35 * d(0.3, 16),
            brows: 0.4 * speech.stress + 0.3 * d(0.5, 17),
            arm: arm(t, length, salt),
            window: 1.0 + 0.10 * d(0.16, 18) + 0.025 * d(0.9, 19),
            lamp: 1.0 + 0.03 * d(0.3, 20),
        }
    }
}

struct Speech {
    open: f32,
    wide: f32,
    stress: f32,
}

/// Phrases of a few seconds, syllables at about five a second with their own height and width.
fn speech(t: f32, salt: i32) -> Speech {
    let phrase = drift(t * 0.55 + 3.0, salt + 31);
    let talking = step(0.22, 0.42, phrase);
    let rate = 4.6;
    let beat = t * rate + 0.6 * drift(t * 1.3, salt + 32);
    let (syllable, phase) = (beat.floor() as i32, beat - beat.floor());
    let height = mix(0.30, 1.0, random(salt, syllable, 33));
    let next = mix(0.30, 1.0, random(salt, syllable + 1, 33));
    let swell = 0.5 - 0.5 * wave(phase + 0.25);
    let open = talking * swell * mix(height, next, phase);
    let width = |s: i32| mix(0.80, 1.10, random(salt, s, 34));
    let wide = mix(1.0, mix(width(syllable), width(syllable + 1), step(0.0, 1.0, phase)), talking);
    Speech { open, wide, stress: open * random(salt, syllable, 35) }
}

/// A yes every few seconds, sometimes.
fn nod(t: f32, salt: i32) -> f32 {
    let (slot, phase) = ((t / 3.1).floor() as i32, t - 3.1 * (t / 3.1).floor());
    if random(salt, slot, 41) < 0.45 || phase > 1.1 {
        return 0.0;
    }
    0.016 * wave(phase * 1.8) * step(1.1, 0.7, phase)
}

/// Every two to five seconds, for a fifth of a second.
fn blink(t: f32, salt: i32) -> f32 {
    let slot = (t / 2.7).floor() as i32;
    let start = 2.7 * slot as f32 + 2.2 * random(salt, slot, 51);
    let phase = (t - start) / 0.23;
    if (0.0..1.0).contains(&phase) { step(0.0, 0.35, phase) * step(1.0, 0.55, phase) } else { 0.0 }
}

/// In over 0.8 s, waves, out again: the middle third of the clip.
fn arm(t: f32, length: f32, salt: i32) -> Option<(V3, Turn)> {
    let (from, to) = (0.40 * length, 0.76 * length);
    let shown = step(from, from + 0.8, t) * step(to, to - 0.8, t);
    if shown <= 0.0 {
        return None;
    }
    let elbow = v3(0.150 + 0.07 * (1.0 - shown), mix(-0.66, -0.285, shown), 0.50);
    let swing = 0.045 * wave(1.55 * (t - from)) * step(0.5, 1.0, shown);
    let twist = 0.03 * wave(1.55 * (t - from) + 0.2) + 0.01 * (random(salt, 61, 1) - 0.5);
    Some((elbow, Turn::new(twist, -0.01, swing - 0.018)))
}
