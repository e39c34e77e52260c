//! Who is in the picture: an identity from two numbers.

use super::math::{V3, hash, mix, mix3, v3};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hair {
    Short,
    Long,
    Bun,
    Cropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloth {
    Knit,
    Stripes,
    Checks,
    Plain,
}

/// Everything that tells one person and room from another.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub skin: V3,
    pub lips: V3,
    pub iris: V3,
    pub hair: Hair,
    pub hair_colour: V3,
    pub beard: f32,
    pub glasses: bool,
    pub freckles: f32,
    /// Factors around 1.
    pub face_width: f32,
    pub jaw: f32,
    pub nose: f32,
    pub eyes: f32,
    pub mouth: f32,
    pub shoulders: f32,
    pub cloth: Cloth,
    pub cloth_colour: V3,
    pub cloth_second: V3,
    pub wall: V3,
    /// Phase and noise offsets.
    pub salt: i32,
}

const SKINS: [(V3, V3); 6] = [
    (v3(0.66, 0.42, 0.31), v3(0.52, 0.22, 0.19)),
    (v3(0.50, 0.30, 0.20), v3(0.40, 0.17, 0.14)),
    (v3(0.30, 0.165, 0.10), v3(0.26, 0.11, 0.09)),
    (v3(0.72, 0.49, 0.38), v3(0.57, 0.25, 0.23)),
    (v3(0.17, 0.092, 0.058), v3(0.17, 0.072, 0.062)),
    (v3(0.56, 0.35, 0.22), v3(0.44, 0.19, 0.15)),
];
const HAIRS: [V3; 6] = [
    v3(0.040, 0.024, 0.016),
    v3(0.012, 0.010, 0.010),
    v3(0.095, 0.052, 0.026),
    v3(0.26, 0.165, 0.075),
    v3(0.16, 0.050, 0.020),
    v3(0.20, 0.19, 0.18),
];
const IRISES: [V3; 4] =
    [v3(0.10, 0.05, 0.02), v3(0.10, 0.19, 0.27), v3(0.10, 0.16, 0.07), v3(0.05, 0.025, 0.012)];
const CLOTHS: [(V3, V3); 6] = [
    (v3(0.055, 0.10, 0.20), v3(0.42, 0.43, 0.44)),
    (v3(0.27, 0.055, 0.05), v3(0.05, 0.05, 0.08)),
    (v3(0.06, 0.17, 0.13), v3(0.40, 0.37, 0.28)),
    (v3(0.36, 0.34, 0.30), v3(0.08, 0.10, 0.16)),
    (v3(0.09, 0.07, 0.14), v3(0.34, 0.28, 0.40)),
    (v3(0.40, 0.25, 0.07), v3(0.10, 0.07, 0.05)),
];
const WALLS: [V3; 5] = [
    v3(0.50, 0.47, 0.42),
    v3(0.33, 0.40, 0.42),
    v3(0.47, 0.42, 0.36),
    v3(0.38, 0.43, 0.36),
    v3(0.44, 0.41, 0.45),
];

/// Looks that fit together; the numbers of `seed` then vary everything around them.
const LOOKS: [(usize, usize, Hair, f32, bool, Cloth); 6] = [
    (0, 2, Hair::Long, 0.0, false, Cloth::Knit),
    (1, 1, Hair::Short, 0.75, false, Cloth::Checks),
    (2, 1, Hair::Bun, 0.0, true, Cloth::Plain),
    (3, 3, Hair::Short, 0.25, true, Cloth::Stripes),
    (4, 1, Hair::Cropped, 0.55, false, Cloth::Knit),
    (5, 4, Hair::Long, 0.0, true, Cloth::Stripes),
];

impl Person {
    /// Persons 0..=5 are six different looks; higher numbers go round with other colours.
    pub fn new(person: u32, seed: u64) -> Self {
        let salt = (hash(person as i32, seed as i32, (seed >> 32) as i32) >> 12) as i32;
        let draw = |what: i32| (hash(salt, what, 4242) >> 8) as f32 / 16_777_216.0;
        let around = |what: i32, spread: f32| mix(1.0 - spread, 1.0 + spread, draw(what));
        let pick = |what: i32, n: usize| ((draw(what) * n as f32) as usize).min(n - 1);
        let (skin, hair_colour, hair, beard, glasses, cloth) = LOOKS[person as usize % LOOKS.len()];
        let later = person as usize / LOOKS.len();
        let (skin, lips) = SKINS[(skin + later) % SKINS.len()];
        let (cloth_colour, cloth_second) = CLOTHS[pick(1, CLOTHS.len())];
        let second = SKINS[pick(2, SKINS.len())].0;
        Self {
            skin: mix3(skin, second, 0.08),
            lips,
            iris: IRISES[if skin.x < 0.4 { 3 } else { pick(3, 3) }],
            hair,
            hair_colour: HAIRS[(hair_colour + later) % HAIRS.len()] * around(4, 0.2),
            beard,
            glasses,
            freckles: draw(5) * if skin.x > 0.6 { 0.6 } else { 0.2 },
            face_width: around(6, 0.05),
            jaw: around(7, 0.07),
            nose: around(8, 0.12),
            eyes: around(9, 0.05),
            mouth: around(10, 0.08),
            shoulders: around(11, 0.06),
            cloth,
            cloth_colour,
            cloth_second,
            wall: WALLS[pick(12, WALLS.len())],
            salt,
        }
    }
}
