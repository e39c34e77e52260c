//! Vectors, waves and noise from IEEE basic operations alone.
//!
//! `+ - * /`, square root and rounding down are exactly specified, and Rust never fuses them; `sin` and
//! `exp` of the system's library are not. So waves are polynomials here, and noise is integer hashing:
//! the same picture on every machine.

use std::ops::{Add, Mul, Neg, Sub};

/// A point, direction or linear colour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct V3 {
    pub x: f32,
    pub y: f32,
    pub z: f32,
}

pub(super) const fn v3(x: f32, y: f32, z: f32) -> V3 {
    V3 { x, y, z }
}

impl Add for V3 {
    type Output = V3;
    #[inline(always)]
    fn add(self, o: V3) -> V3 {
        v3(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for V3 {
    type Output = V3;
    #[inline(always)]
    fn sub(self, o: V3) -> V3 {
        v3(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f32> for V3 {
    type Output = V3;
    #[inline(always)]
    fn mul(self, s: f32) -> V3 {
        v3(self.x * s, self.y * s, self.z * s)
    }
}

/// Component by component: colours through filters.
impl Mul for V3 {
    type Output = V3;
    #[inline(always)]
    fn mul(self, o: V3) -> V3 {
        v3(self.x * o.x, self.y * o.y, self.z * o.z)
    }
}

impl Neg for V3 {
    type Output = V3;
    #[inline(always)]
    fn neg(self) -> V3 {
        v3(-self.x, -self.y, -self.z)
    }
}

impl V3 {
    #[inline(always)]
    pub fn dot(self, o: V3) -> f32 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    #[inline(always)]
    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    #[inline(always)]
    pub fn unit(self) -> V3 {
        let l = self.length();
        if l > 1e-12 { self * (1.0 / l) } else { v3(0.0, 1.0, 0.0) }
    }
}

/// A rotation as the images of the axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    rows: [V3; 3],
}

impl Turn {
    /// About y (yaw), then x (pitch), then z (roll), in turns of a circle.
    pub fn new(yaw: f32, pitch: f32, roll: f32) -> Self {
        let (sy, cy) = (wave(yaw), wave(yaw + 0.25));
        let (sx, cx) = (wave(pitch), wave(pitch + 0.25));
        let (sz, cz) = (wave(roll), wave(roll + 0.25));
        let y = [v3(cy, 0.0, -sy), v3(0.0, 1.0, 0.0), v3(sy, 0.0, cy)];
        let x = [v3(1.0, 0.0, 0.0), v3(0.0, cx, -sx), v3(0.0, sx, cx)];
        let z = [v3(cz, -sz, 0.0), v3(sz, cz, 0.0), v3(0.0, 0.0, 1.0)];
        Self { rows: product(&z, &product(&x, &y)) }
    }

    #[inline(always)]
    pub fn apply(&self, v: V3) -> V3 {
        v3(self.rows[0].dot(v), self.rows[1].dot(v), self.rows[2].dot(v))
    }
}

impl Turn {
    /// The turn back.
    pub fn inverse(&self) -> Turn {
        let [a, b, c] = self.rows;
        Turn { rows: [v3(a.x, b.x, c.x), v3(a.y, b.y, c.y), v3(a.z, b.z, c.z)] }
    }
}

fn product(a: &[V3; 3], b: &[V3; 3]) -> [V3; 3] {
    let column = |c: fn(&V3) -> f32| v3(c(&b[0]), c(&b[1]), c(&b[2]));
    let (x, y, z) = (column(|v| v.x), column(|v| v.y), column(|v| v.z));
    [0, 1, 2].map(|i| v3(a[i].dot(x), a[i].dot(y), a[i].dot(z)))
}

#[inline(always)]
pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

#[inline(always)]
pub(super) fn mix3(a: V3, b: V3, t: f32) -> V3 {
    a + (b - a) * t
}

/// 0 below `a`, 1 above `b` (or the reverse), smooth between.
#[inline(always)]
pub(super) fn step(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Smaller of two distances, rounded where they are within `k`.
#[inline(always)]
pub(super) fn smin(a: f32, b: f32, k: f32) -> f32 {
    let h = (k - (a - b).abs()).max(0.0) / k;
    a.min(b) - h * h * k * 0.25
}

#[inline(always)]
pub(super) fn smax(a: f32, b: f32, k: f32) -> f32 {
    -smin(-a, -b, k)
}

/// Sine of a whole turn: `wave(0.25) == 1`. Within 2e-4 of the true one.
pub(super) fn wave(turns: f32) -> f32 {
    let t = turns - (turns + 0.5).floor(); // -0.5..0.5
    let folded = if t > 0.25 {
        0.5 - t
    } else if t < -0.25 {
        -0.5 - t
    } else {
        t
    };
    let x = folded * std::f32::consts::TAU;
    let q = x * x;
    x * (1.0 - q * (1.0 / 6.0 - q * (1.0 / 120.0 - q * (1.0 / 5040.0))))
}

/// A well-mixed integer of three (the finaliser of a 32-bit hash over their sum).
#[inline(always)]
pub(super) fn hash(x: i32, y: i32, z: i32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ (z as u32).wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// `hash` as 0..1.
#[inline(always)]
pub(super) fn random(x: i32, y: i32, z: i32) -> f32 {
    (hash(x, y, z) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Smooth noise in 0..1, features about 1 apart.
#[inline]
pub(super) fn noise(p: V3) -> f32 {
    let (fx, fy, fz) = (p.x.floor(), p.y.floor(), p.z.floor());
    let (x, y, z) = (fx as i32, fy as i32, fz as i32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v, w) = (ease(p.x - fx), ease(p.y - fy), ease(p.z - fz));
    let row = |y: i32, z: i32| mix(random(x, y, z), random(x + 1, y, z), u);
    let plane = |z: i32| mix(row(y, z), row(y + 1, z), v);
    mix(plane(z), plane(z + 1), w)
}

/// Noise of one variable (time), 0..1.
pub(super) fn drift(t: f32, which: i32) -> f32 {
    let f = t.floor();
    let u = t - f;
    mix(random(f as i32, which, 77), random(f as i32 + 1, which, 77), u * u * (3.0 - 2.0 * u))
}

/// Octaves of noise, 0..1.
pub(super) fn cloud(p: V3, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut q) = (0.0, 0.5, 0.0, p);
    for _ in 0..octaves {
        sum += weight * noise(q);
        total += weight;
        weight *= 0.5;
        q = q * 2.03 + v3(11.3, 5.7, 3.1);
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wave_is_a_sine() {
        for i in -3000..3000 {
            let t = i as f32 / 997.0;
            assert!((wave(t) - (t * std::f32::consts::TAU).sin()).abs() < 2e-4, "{t}");
        }
    }

    #[test]
    fn turns_keep_lengths_and_angles() {
        let turn = Turn::new(0.13, -0.07, 0.31);
        let (a, b) = (turn.apply(v3(1.0, 2.0, 3.0)), turn.apply(v3(-2.0, 0.5, 1.0)));
        assert!((a.length() - 14f32.sqrt()).abs() < 1e-3 && (a.dot(b) - 2.0).abs() < 1e-3);
    }
}
