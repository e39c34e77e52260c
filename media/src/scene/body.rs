//! The person as a distance field: how far a point is from the nearest surface, and of what it is made.
//!
//! Metres. Points come in camera coordinates (x right, y up, z away from the camera); the head has its own
//! axes (z towards the face). Distances are lower bounds near enough for marching with a step below 1.

use super::math::{V3, cloud, mix, noise, smax, smin, step, v3, wave};
use super::motion::Pose;
use super::person::{Hair, Person};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Material {
    Skin,
    Hair,
    Eye,
    Teeth,
    MouthInside,
    Tongue,
    Glasses,
    Cloth,
    Collar,
    Sleeve,
    Hand,
}

/// Distance and material, the nearest so far.
#[derive(Clone, Copy)]
pub(super) struct Near {
    pub d: f32,
    pub of: Material,
}

impl Near {
    #[inline(always)]
    fn or(self, d: f32, of: Material) -> Self {
        if d < self.d { Self { d, of } } else { self }
    }
}

/// Parts that a ray may meet; the others are not evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub head: bool,
    pub trunk: bool,
    pub arm: bool,
    /// Without creases, strands and other relief of a few millimetres: for shadows and for looking around.
    pub coarse: bool,
}

impl Parts {
    pub fn any(self) -> bool {
        self.head || self.trunk || self.arm
    }
}

pub(super) struct Body<'a> {
    pub person: &'a Person,
    pub pose: &'a Pose,
}

pub(super) const MOUTH_Y: f32 = -0.0575;
pub(super) const EYE: V3 = v3(0.0315, 0.010, 0.0635);
pub(super) const EYE_RADIUS: f32 = 0.0138;

#[inline(always)]
fn ball(p: V3, centre: V3, radius: f32) -> f32 {
    (p - centre).length() - radius
}

#[inline(always)]
fn ellipsoid(p: V3, centre: V3, r: V3) -> f32 {
    let q = p - centre;
    let i = v3(1.0 / r.x, 1.0 / r.y, 1.0 / r.z);
    let a = q * i;
    let b = a * i;
    let k = a.length();
    k * (k - 1.0) / b.length().max(1e-6)
}

/// A rod with two ends of different thickness.
#[inline(always)]
fn rod(p: V3, a: V3, b: V3, ra: f32, rb: f32) -> f32 {
    let (pa, ba) = (p - a, b - a);
    let h = (pa.dot(ba) / ba.dot(ba)).clamp(0.0, 1.0);
    (pa - ba * h).length() - mix(ra, rb, h)
}

impl Body<'_> {
    /// The point in the head's axes.
    #[inline(always)]
    pub fn to_head(&self, p: V3) -> V3 {
        let q = p - self.pose.head;
        self.pose.turn.apply(v3(q.x, q.y, -q.z))
    }

    /// The point in the waving arm's axes: elbow at 0, forearm up y, palm to the camera.
    #[inline(always)]
    pub fn to_arm(&self, p: V3) -> Option<V3> {
        let (elbow, turn) = self.pose.arm.as_ref()?;
        let q = p - *elbow;
        Some(turn.apply(v3(q.x, q.y, -q.z)))
    }

    #[inline]
    pub fn near(&self, p: V3, parts: Parts) -> Near {
        let mut near = Near { d: 1e3, of: Material::Cloth };
        if parts.trunk {
            near = self.trunk(p, near, parts.coarse);
        }
        if parts.head {
            near = self.head(p, near, parts.coarse);
        }
        if parts.arm {
            near = self.arm(p, near, parts.coarse);
        }
        near
    }

    /// Spheres that hold the parts: middle and radius.
    pub fn bounds(&self) -> [(V3, f32); 3] {
        let head = self.pose.head;
        let arm = self.pose.arm.as_ref().map_or((v3(0.0, -9.0, 0.0), 0.1), |(elbow, turn)| {
            let up = turn.inverse().apply(v3(0.0, 0.19, 0.0));
            (*elbow + v3(up.x, up.y, -up.z), 0.27)
        });
        let low = if self.person.hair == Hair::Long { 0.235 } else { 0.19 };
        [(head + v3(0.0, 0.215 - low, 0.0), low), (v3(0.0, -0.50, 0.74) + self.pose.trunk, 0.44), arm]
    }

    fn trunk(&self, p: V3, mut near: Near, coarse: bool) -> Near {
        let q = p - self.pose.trunk - v3(0.0, 0.038, 0.0);
        let m = v3((q.x * q.x + 1.0e-4).sqrt(), q.y, q.z);
        let w = self.person.shoulders;
        let neck_top = self.pose.head - self.pose.trunk + v3(0.0, -0.085, 0.024);
        let mut neck = rod(q, neck_top, v3(0.0, -0.225, 0.735), 0.045, 0.052);
        // Tendons from behind the ears to the pit of the throat.
        neck = smin(neck, rod(m, v3(0.040, -0.09, 0.690), v3(0.011, -0.205, 0.672), 0.009, 0.010), 0.022);
        let chest = ellipsoid(q, v3(0.0, -0.44, 0.75), v3(0.185 * w, 0.245, 0.112));
        let shoulders = rod(m, v3(0.0, -0.215, 0.745), v3(0.165 * w, -0.285, 0.745), 0.055, 0.070);
        let mut cloth = smin(chest, shoulders, 0.07);
        cloth =
            smin(cloth, rod(m, v3(0.185 * w, -0.30, 0.745), v3(0.215 * w, -0.60, 0.72), 0.065, 0.056), 0.03);
        let skin = smin(neck, cloth + 0.006, 0.045);
        if cloth < 0.03 && !coarse {
            cloth -= self.folds(q);
        }
        // The neck of the garment: a hole about the neck, lower in front.
        let lower = if self.person.hair == Hair::Long { 0.020 } else { 0.0 };
        let hole = ellipsoid(q, v3(0.0, -0.160, 0.710 - lower), v3(0.076, 0.074 + lower, 0.092));
        cloth = smax(cloth - 0.004, -hole, 0.003);
        let rim = (hole.abs() - 0.009).max(cloth.abs() - 0.0055);
        near = near.or(cloth * 0.9, Material::Cloth).or(rim * 0.8, Material::Collar);
        near.or(skin * 0.9, Material::Skin)
    }

    /// Creases of the garment, up to 5 mm.
    #[inline]
    fn folds(&self, q: V3) -> f32 {
        let salt = self.person.salt as f32 * 0.013;
        let bend = noise(v3(q.x * 6.0 + salt, q.y * 5.0, q.z * 4.0));
        let along = q.x.abs() * 34.0 + q.y * 17.0 + bend * 7.0;
        let crease = noise(v3(along, q.y * 5.0 + salt, 3.0)) - 0.45;
        0.0085 * crease * step(0.02, 0.10, q.x.abs()) + 0.006 * (bend - 0.5)
    }

    #[allow(clippy::too_many_lines)] // one face, feature by feature
    fn head(&self, p: V3, mut near: Near, coarse: bool) -> Near {
        let v = self.to_head(p);
        let who = self.person;
        let pose = self.pose;
        // Far away, a ball is distance enough.
        let far = ball(v, v3(0.0, 0.0, 0.0), 0.135);
        if far > 0.03 {
            let around = match who.hair {
                Hair::Long => far.min(ball(v, v3(0.0, -0.08, -0.03), 0.165)),
                Hair::Bun => far.min(ball(v, v3(0.0, 0.145, -0.058), 0.048)),
                Hair::Short | Hair::Cropped => far,
            };
            if around > 0.03 {
                return near.or(around, Material::Hair);
            }
        }
        let side = v.x.abs();
        // The lower jaw drops: the point is moved up instead.
        let drop =
            0.013 * pose.mouth_open * step(MOUTH_Y + 0.012, MOUTH_Y - 0.03, v.y) * step(-0.03, 0.04, v.z);
        let j = v3(side / who.face_width, v.y + drop, v.z);
        let m = v3(side / who.face_width, v.y, v.z);

        // Bone and flesh.
        let mut face = ellipsoid(m, v3(0.0, 0.036, -0.012), v3(0.073, 0.090, 0.094));
        face = smin(face, ellipsoid(j, v3(0.0, -0.032, 0.016), v3(0.0545, 0.072, 0.069)), 0.035);
        face = smin(face, ball(j, v3(0.0, -0.0935, 0.0575), 0.0150 * who.jaw), 0.032);
        face = smin(
            face,
            rod(j, v3(0.050, -0.062, 0.006), v3(0.012, -0.102, 0.052), 0.010 * who.jaw, 0.010),
            0.040,
        );
        face = smin(face, ball(m, v3(0.0385, -0.024, 0.0560), 0.0180), 0.034);
        if near_front(v) {
            let brow = v3(0.012, 0.0265, 0.0815);
            let soft = v3((m.x * m.x + 6.0e-5).sqrt(), m.y, m.z);
            face = smin(face, rod(soft, brow, v3(0.046, 0.0300, 0.0610), 0.0055, 0.0050), 0.022);
            // Eye sockets.
            face = smax(
                face,
                -ellipsoid(m, v3(EYE.x, EYE.y - 0.001, 0.0885), v3(0.0195, 0.0125, 0.0170)),
                0.014,
            );
            // Nose.
            let n = who.nose;
            let mut nose =
                rod(m, v3(0.0, 0.0220, 0.0770), v3(0.0, -0.0215, 0.0945 + 0.008 * n), 0.0065, 0.0098 * n);
            nose = smin(nose, ball(m, v3(0.0110 * n, -0.0255, 0.0890), 0.0072 * n), 0.008);
            face = smin(face, nose, 0.013);
            face = smax(face, -ellipsoid(m, v3(0.0062, -0.0345, 0.0950), v3(0.0036, 0.0030, 0.0060)), 0.003);
            // Furrow from the nose to the corner of the mouth, deeper with a smile.
            let furrow = rod(m, v3(0.0195, -0.026, 0.0850), v3(0.0335, -0.060, 0.0700), 0.001, 0.0015);
            face += 0.0014 * (0.6 + pose.smile) * step(0.009, 0.0, furrow);
        }

        if !coarse && face < 0.015 && near_front(v) {
            face = self.lips(v, face);
            // Brows and eyelids follow below; wrinkles of a raised brow.
            if v.y > 0.04 && pose.brows > 0.0 {
                face += 0.0003 * pose.brows * wave(v.y * 110.0);
            }
        }
        if side > 0.045 && v.z < 0.05 {
            face = smin(face, self.ears(m), 0.010);
        }
        if face < 0.020 && near_front(v) && v.y.abs() < 0.05 {
            face = smin(face, self.lids(v3(side, v.y, v.z)), 0.0030);
        }
        // The neck as the head sees it, so that the jaw blends into it.
        near = near.or(face * 0.85, Material::Skin);

        let eye = ball(v3(side, v.y, v.z), EYE, EYE_RADIUS);
        near = near.or(eye, Material::Eye);
        if !coarse && pose.mouth_open > 0.02 && v.y < -0.03 && v.y > -0.11 && v.z > 0.02 {
            near = self.mouth_inside(v, near);
        }
        if who.glasses {
            near = near.or(glasses(v3(side, v.y, v.z)), Material::Glasses);
        }
        near.or(self.hair(v, m, coarse), Material::Hair)
    }

    /// Ears: a shell with a hollow.
    fn ears(&self, m: V3) -> f32 {
        let q = v3(m.x, m.y, m.z + 0.35 * (m.x - 0.07));
        let shell = ellipsoid(q, v3(0.0755, -0.002, -0.012), v3(0.0080, 0.028, 0.0165));
        smax(shell, -ellipsoid(q, v3(0.0830, 0.002, -0.009), v3(0.0060, 0.019, 0.0100)), 0.005)
    }

    /// Upper and lower lid: caps of a slightly larger ball, closed by the blink.
    fn lids(&self, m: V3) -> f32 {
        let q = m - EYE;
        let ball = q.length() - (EYE_RADIUS + 0.0011);
        let follow = 0.006 * self.pose.gaze.y;
        let (open, blink) = (0.0052 * self.person.eyes + follow, self.pose.blink);
        let curve = 22.0 * q.x * q.x;
        let tilt = 0.05 * q.x;
        let upper = q.y - mix(open - 1.1 * curve + tilt, -0.0046 + curve * 0.6, blink);
        let lower = -q.y + mix(-0.0058 + curve + 0.3 * follow + 0.0012 * self.pose.smile, -0.0044, blink);
        let upper_lid = smax(ball - 0.0003, -upper, 0.0012);
        let lower_lid = smax(ball, -lower, 0.0012);
        smin(upper_lid, lower_lid, 0.001)
    }

    /// Heights of the four lip lines at a place: outer and inner of the upper lip, inner and outer of the
    /// lower, and the place's position across the mouth (-1..1).
    #[inline]
    pub fn lip_lines(&self, x: f32) -> ([f32; 4], f32) {
        let half = 0.0245 * self.person.mouth * self.pose.mouth_wide * (1.0 + 0.06 * self.pose.smile);
        let u = x / half;
        let arch = (1.0 - u * u).max(0.0);
        let round = arch.sqrt();
        let open = self.pose.mouth_open;
        let line = MOUTH_Y + 0.0035 * self.pose.smile * u * u - 0.001 * arch;
        let dip = 0.0016 * step(0.30, 0.0, u.abs());
        let top = line + 0.0035 * open * round;
        let bottom = line - 0.0165 * open * round;
        ([top + 0.0066 * arch.min(1.0) * (1.0 - 0.25 * u * u) - dip, top, bottom, bottom - 0.0088 * arch], u)
    }

    /// Bulging lips and the opening between them.
    fn lips(&self, v: V3, face: f32) -> f32 {
        let ([outer_top, top, bottom, outer_bottom], u) = self.lip_lines(v.x);
        if u.abs() > 1.25 || v.y > -0.03 || v.y < -0.11 {
            return face;
        }
        let fade = step(1.12, 0.80, u.abs());
        let bump = |a: f32, b: f32| -> f32 {
            let (middle, half) = ((a + b) * 0.5, (a - b).abs() * 0.5 + 0.0016);
            let t = (v.y - middle) / half;
            (1.0 - t * t).max(0.0)
        };
        let mut d = face - 0.0034 * fade * bump(outer_top, top) - 0.0042 * fade * bump(bottom, outer_bottom);
        // The line between closed lips, the cavity between open ones.
        let gap = (v.y - top).max(bottom - v.y);
        if u.abs() < 1.05 {
            let seam = 0.0022 * step(0.0016, 0.0, (v.y - (top + bottom) * 0.5).abs() - (top - bottom) * 0.5);
            d += seam * step(1.05, 0.85, u.abs());
            if top - bottom > 0.0008 {
                d = smax(d, -gap.max(0.052 - v.z).max((u.abs() - 1.0) * 0.02), 0.0016);
            }
        }
        d
    }

    fn mouth_inside(&self, v: V3, near: Near) -> Near {
        let back = v3(v.x, (v.y - MOUTH_Y) * 0.8, v.z - 0.030);
        let near = near.or(back.length() - 0.030, Material::MouthInside);
        // Teeth stand on an arch; the lower ones go with the jaw.
        let arch = (v3(v.x * 1.15, 0.0, v.z - 0.040)).length() - 0.0305;
        let upper = (v.y - (MOUTH_Y + 0.0022)).abs() - 0.0056;
        let low = MOUTH_Y - 0.0135 * self.pose.mouth_open - 0.0045;
        let lower = (v.y - low).abs() - 0.0030;
        let slit = 0.0006 * step(0.9, 1.0, wave(v.x * 135.0));
        let tongue = ellipsoid(v, v3(0.0, low + 0.0015, 0.050), v3(0.017, 0.006, 0.019));
        near.or(smax(arch.abs() - 0.002 + slit, upper, 0.002), Material::Teeth)
            .or(smax(arch.abs() - 0.002 + slit, lower, 0.002) + 0.0005, Material::Teeth)
            .or(tongue, Material::Tongue)
    }

    fn hair(&self, v: V3, m: V3, coarse: bool) -> f32 {
        let who = self.person;
        // The face is cut out of the cap along the hairline.
        let peak = if coarse || v.z < 0.0 { 0.002 } else { 0.004 * noise(v3(v.x * 60.0, v.y * 8.0, 1.0)) };
        let (cap, opening) = match who.hair {
            Hair::Cropped => (
                ellipsoid(m, v3(0.0, 0.0375, -0.0135), v3(0.0755, 0.0925, 0.0960)),
                ellipsoid(m, v3(0.0, -0.035, 0.080), v3(0.0720, 0.118 + peak, 0.090)),
            ),
            Hair::Short => (
                ellipsoid(m, v3(0.0, 0.0470, -0.0170), v3(0.0805, 0.0960, 0.0985)),
                ellipsoid(m, v3(0.006, -0.034, 0.082), v3(0.0690, 0.108 + peak, 0.080)),
            ),
            Hair::Long | Hair::Bun => (
                ellipsoid(m, v3(0.0, 0.0430, -0.0175), v3(0.0820, 0.0950, 0.1000)),
                ellipsoid(m, v3(0.0, -0.034, 0.082), v3(0.0715, 0.109 + peak, 0.081)),
            ),
        };
        let mut hair = smax(cap, -opening, 0.010);
        // No hair below the nape and in front of the ears.
        let nape = v.y + if who.hair == Hair::Short { 0.045 } else { 0.055 };
        hair = smax(hair, -nape.min(0.05), 0.012);
        match who.hair {
            Hair::Short => {
                // A tuft combed over to one side.
                let tuft = ellipsoid(v, v3(0.010, 0.1080, 0.030), v3(0.055, 0.024, 0.050));
                hair = smin(hair, tuft, 0.030);
                hair = smax(hair, 0.022 - (v.y + 0.045), 0.01);
            }
            Hair::Long => {
                let back = ellipsoid(v, v3(0.0, -0.045, -0.066), v3(0.084, 0.145, 0.046));
                let wavy = 0.006 * wave(v.y * 9.0 + 0.2);
                let curtain = rod(
                    v3(m.x + wavy, v.y, v.z),
                    v3(0.0620, 0.050, -0.006),
                    v3(0.0800, -0.200, 0.012),
                    0.024,
                    0.009,
                );
                hair = smin(smin(hair, back, 0.03), curtain, 0.028);
            }
            Hair::Bun => {
                hair = smin(hair, ball(v, v3(0.0, 0.145, -0.058), 0.042), 0.012);
                hair = smax(hair, -(v.y + 0.02 + 0.5 * (v.z + 0.02)), 0.02);
            }
            Hair::Cropped => {}
        }
        if hair < 0.02 && !coarse {
            hair -= self.locks(v);
        }
        hair * 0.75
    }

    /// Locks and strands, up to 4 mm.
    #[inline]
    fn locks(&self, v: V3) -> f32 {
        let salt = self.person.salt as f32 * 0.01;
        let depth = if self.person.hair == Hair::Cropped { 0.0009 } else { 0.0045 };
        let (across, along) = strand_axes(self.person.hair, v);
        let lock = cloud(v3(across * 1.3 + salt, along * 0.30, 0.5), 2);
        depth * (lock - 0.42)
    }

    fn arm(&self, p: V3, near: Near, coarse: bool) -> Near {
        let Some(v) = self.to_arm(p) else { return near };
        let around = rod(v, v3(0.0, 0.0, 0.0), v3(0.0, 0.335, 0.0), 0.065, 0.085);
        if around > 0.03 {
            return near.or(around, Material::Sleeve);
        }
        let wrist = v3(0.0, 0.205, 0.0);
        let sleeve_end = v3(0.0, 0.135, 0.0);
        let mut sleeve = rod(v, v3(0.0, -0.06, 0.0), sleeve_end, 0.052, 0.041);
        sleeve = smax(sleeve, v.y - 0.142, 0.004);
        if sleeve < 0.02 && !coarse {
            sleeve -= 0.006 * (noise(v3(v.x * 14.0, v.y * 42.0, v.z * 14.0)) - 0.5);
        }
        let near = near.or(sleeve * 0.85, Material::Sleeve);
        let mut hand = rod(v, v3(0.0, 0.10, 0.0), wrist, 0.027, 0.0215);
        let h = v - wrist;
        hand = smin(hand, ellipsoid(h, v3(-0.001, 0.046, 0.0), v3(0.0385, 0.050, 0.0145)), 0.022);
        // Ball of the thumb and of the little finger.
        hand = smin(hand, rod(h, v3(-0.018, 0.012, 0.006), v3(-0.034, 0.046, 0.006), 0.0135, 0.0115), 0.014);
        hand = smin(hand, rod(h, v3(0.020, 0.012, 0.004), v3(0.026, 0.060, 0.002), 0.011, 0.009), 0.014);
        if h.y > 0.02 {
            for (x, base, lean, length, thick) in [
                (-0.0275, 0.084, -0.17, 0.066, 0.0088),
                (-0.0090, 0.091, -0.05, 0.076, 0.0092),
                (0.0100, 0.087, 0.07, 0.070, 0.0086),
                (0.0275, 0.076, 0.20, 0.054, 0.0074),
            ] {
                let (a, b) =
                    (v3(x, base - 0.012, 0.0), v3(x + lean * length * 0.55, base + length * 0.52, 0.004));
                let c = v3(x + lean * length, base + length, 0.011);
                hand = smin(
                    hand,
                    rod(h, a, b, thick, thick * 0.95).min(rod(h, b, c, thick * 0.95, thick * 0.78)),
                    0.006,
                );
            }
        }
        let (a, b, c) = (v3(-0.030, 0.030, 0.008), v3(-0.052, 0.062, 0.012), v3(-0.062, 0.092, 0.010));
        hand = smin(hand, rod(h, a, b, 0.0115, 0.0098).min(rod(h, b, c, 0.0098, 0.0078)), 0.009);
        // Lines of the palm.
        if h.z > 0.0 && hand < 0.01 && !coarse {
            let line = (h.y - 0.055 - 9.0 * (h.x - 0.005) * (h.x - 0.005))
                .abs()
                .min((h.x + 0.012 + 0.35 * (h.y - 0.05)).abs());
            hand += 0.0008
                * step(0.0025, 0.0, line)
                * step(0.028, 0.015, h.x.abs())
                * step(0.085, 0.07, h.y)
                * step(0.012, 0.025, h.y);
        }
        near.or(hand * 0.9, Material::Hand)
    }
}

/// In front of the ears and above the throat, where the features are.
#[inline(always)]
fn near_front(v: V3) -> bool {
    v.z > 0.03 && v.y > -0.12 && v.y < 0.09
}

/// Round frames, a bridge, temples; `m` mirrored to one side.
fn glasses(m: V3) -> f32 {
    let q = m - v3(0.0325, 0.008, 0.0905);
    // Rims bend back a little at the sides.
    let z = q.z + 0.25 * q.x.max(0.0);
    let ring = {
        let flat = (v3(q.x * 0.93, q.y * 1.10, 0.0)).length() - 0.0225;
        (v3(flat, z, 0.0)).length() - 0.0014
    };
    let bridge = rod(m, v3(0.0, 0.0135, 0.0955), v3(0.0105, 0.0120, 0.0925), 0.0012, 0.0012);
    let temple = rod(m, v3(0.0565, 0.012, 0.083), v3(0.0790, 0.010, -0.005), 0.0014, 0.0014);
    ring.min(bridge).min(temple)
}

/// Across and along the strands at a place of the head, in strand widths and lock lengths.
#[inline]
pub(super) fn strand_axes(hair: Hair, v: V3) -> (f32, f32) {
    match hair {
        // Combed from a parting: strands go round the head in planes of constant z.
        Hair::Short => (v.z * 75.0 + v.x * 34.0, v.x * 30.0 - v.y * 12.0),
        // Falls down from the crown.
        Hair::Long => {
            let wavy = 0.010 * wave(v.y * 8.0);
            (angle(v.x + wavy, v.z + 0.02) * 5.0 + (v.x + wavy) * 60.0, v.y * 18.0)
        }
        // Pulled back to the knot.
        Hair::Bun => (angle(v.x, v.y - 0.09) * 6.5, v.z * 16.0),
        Hair::Cropped => (v.x * 420.0, v.y * 420.0 + v.z * 300.0),
    }
}

/// A monotone stand-in for the angle of (a, b), 0..4.
#[inline]
fn angle(a: f32, b: f32) -> f32 {
    let s = a.abs() + b.abs() + 1e-6;
    if b >= 0.0 { 1.0 + a / s } else { 3.0 - a / s }
}
