//! Light on the person: a window from the left, a lamp from the right behind, the room's own glow.

use super::body::{Body, EYE, EYE_RADIUS, Material, Parts, strand_axes};
use super::math::{V3, cloud, mix, mix3, noise, step, v3, wave};
use super::person::{Cloth, Hair};

/// Towards the window, camera axes.
const WINDOW: V3 = v3(-0.636, 0.382, -0.671);
/// Towards the lamp.
const LAMP: V3 = v3(0.800, 0.500, 0.333);
/// Towards the screen that the person looks at.
const SCREEN: V3 = v3(0.10, -0.10, -0.99);

/// What a surface does with light.
struct Finish {
    albedo: V3,
    /// Light bleeding round corners, per colour.
    wrap: V3,
    gloss: f32,
    /// Doublings of the highlight's exponent: 4 is ^16.
    sharp: u32,
    /// Soft bumps that tilt the normal.
    bump: V3,
}

impl Body<'_> {
    /// Linear light from the surface at `p`, seen along `ray`.
    pub fn shade(&self, p: V3, ray: V3, of: Material, parts: Parts) -> V3 {
        // The surface's own part is enough for its slope, except where neck and jaw run into each other.
        let own = match of {
            Material::Skin => Parts { arm: false, ..parts },
            Material::Cloth | Material::Collar => Parts { head: false, arm: false, ..parts },
            Material::Sleeve | Material::Hand => Parts { head: false, trunk: false, ..parts },
            _ => Parts { trunk: false, arm: false, ..parts },
        };
        let normal = self.normal(p, own);
        if of == Material::Eye {
            return self.eye(p, ray, normal);
        }
        let finish = self.finish(p, of);
        let n = (normal + finish.bump).unit();
        let around = Parts { coarse: true, ..parts };
        let room = self.openness(p, normal, around);
        // What faces away from the window needs no look for what hides it.
        let lit = normal.dot(WINDOW) > -0.30;
        let shadow = if lit { self.shadow(p + normal * 0.003, around) } else { 0.08 };
        let pose = self.pose;
        let mut sum = V3::default();
        let lights = [
            (WINDOW, v3(1.12, 1.10, 1.08) * (1.06 * pose.window), shadow),
            (LAMP, v3(1.10, 0.88, 0.62) * (0.50 * pose.lamp), room),
            (SCREEN, v3(0.86, 0.95, 1.10) * 0.20, 1.0),
        ];
        for (towards, light, seen) in lights {
            let cosine = n.dot(towards);
            let soft = |wrap: f32| ((cosine + wrap) / (1.0 + wrap)).max(0.0);
            let diffuse = v3(soft(finish.wrap.x), soft(finish.wrap.y), soft(finish.wrap.z));
            // Blood reddens the edge of a shadow.
            let tinted = v3(mix(seen, seen.sqrt(), finish.wrap.x), seen, seen);
            let half = (towards - ray).unit();
            let mut spark = n.dot(half).max(0.0);
            for _ in 0..finish.sharp {
                spark = spark * spark;
            }
            let white = finish.gloss * spark * seen * (cosine + 0.2).clamp(0.0, 1.0);
            sum = sum + light * tinted * (diffuse * finish.albedo + v3(white, white, white));
        }
        // The room's glow: cooler from above, warm from the desk.
        let up = 0.5 + 0.5 * n.y;
        let glow = mix3(v3(0.20, 0.17, 0.15), v3(0.30, 0.31, 0.33), up) * mix(pose.lamp, pose.window, 0.7);
        sum = sum + glow * finish.albedo * (room * 0.85);
        // Grazing light.
        let rim = 1.0 + n.dot(ray);
        let edge = rim.clamp(0.0, 1.0);
        sum + finish.albedo * (0.20 * edge * edge * edge * room)
    }

    fn normal(&self, p: V3, parts: Parts) -> V3 {
        let e = 0.0007;
        let corner = |s: V3| s * self.near(p + s * e, parts).d;
        (corner(v3(1.0, -1.0, -1.0))
            + corner(v3(-1.0, -1.0, 1.0))
            + corner(v3(-1.0, 1.0, -1.0))
            + corner(v3(1.0, 1.0, 1.0)))
        .unit()
    }

    /// How open the neighbourhood is: 1 in the free, towards 0 in folds.
    fn openness(&self, p: V3, n: V3, parts: Parts) -> f32 {
        let near = self.near(p + n * 0.010, parts).d / 0.010;
        let far = self.near(p + n * 0.035, parts).d / 0.035;
        (0.22 + 0.42 * near.clamp(0.0, 1.0) + 0.36 * far.clamp(0.0, 1.0)).min(1.0)
    }

    /// Share of the window that is not hidden, by a short march towards it.
    fn shadow(&self, p: V3, parts: Parts) -> f32 {
        let (mut t, mut seen) = (0.006, 1.0f32);
        for _ in 0..7 {
            let d = self.near(p + WINDOW * t, parts).d;
            seen = seen.min(0.5 + 5.0 * d / t);
            if seen <= 0.05 {
                return 0.08;
            }
            t += d.clamp(0.008, 0.06);
        }
        mix(0.08, 1.0, step(0.0, 1.0, seen))
    }

    fn finish(&self, p: V3, of: Material) -> Finish {
        let who = self.person;
        let plain = |albedo, gloss, sharp| Finish {
            albedo,
            wrap: v3(0.1, 0.1, 0.1),
            gloss,
            sharp,
            bump: V3::default(),
        };
        match of {
            Material::Skin => self.skin(self.to_head(p)),
            Material::Hand => self.hand(p),
            Material::Hair => self.hair_finish(self.to_head(p)),
            Material::Eye => plain(v3(0.7, 0.7, 0.7), 0.0, 1),
            Material::Teeth => plain(v3(0.62, 0.58, 0.50), 0.25, 5),
            Material::MouthInside => plain(v3(0.055, 0.014, 0.012), 0.0, 1),
            Material::Tongue => plain(v3(0.34, 0.10, 0.09), 0.15, 4),
            Material::Glasses => plain(v3(0.015, 0.013, 0.013), 0.5, 5),
            Material::Cloth => self.cloth(p - self.pose.trunk, who.shoulders),
            Material::Collar => {
                let mut f = self.cloth(p - self.pose.trunk, who.shoulders);
                f.albedo = if who.cloth == Cloth::Checks { who.cloth_second * 0.9 } else { f.albedo * 0.82 };
                f
            }
            Material::Sleeve => {
                let v = self.to_arm(p).unwrap_or(p);
                self.cloth(v3(v.x * 1.2 + 0.1, v.y, 0.7 + v.z), 1.0)
            }
        }
    }

    fn skin(&self, v: V3) -> Finish {
        let who = self.person;
        let salt = who.salt as f32 * 0.07;
        let side = v.x.abs();
        let mut albedo = who.skin;
        // Redder cheeks, nose, ears; paler forehead; blotches; pores.
        let at = |c: V3, r: f32| step(r, 0.0, (v3(side, v.y, v.z) - c).length());
        let red = 0.55 * at(v3(0.038, -0.022, 0.072), 0.034)
            + 0.55 * at(v3(0.0, -0.022, 0.102), 0.020)
            + 0.6 * at(v3(0.080, 0.0, -0.012), 0.035)
            + 0.25 * at(v3(0.0, -0.10, 0.07), 0.03);
        let blotch = cloud(v * 42.0 + v3(salt, 0.0, 0.0), 2) - 0.5;
        let red = (red + 0.35 * blotch).clamp(-0.3, 1.0);
        albedo = albedo * v3(1.0 + 0.10 * red, 1.0 - 0.16 * red, 1.0 - 0.14 * red);
        let pores = noise(v * 620.0) - 0.5;
        albedo = albedo * (1.0 + 0.055 * pores + 0.05 * blotch);
        let mut gloss = 0.13 + 0.10 * at(v3(0.0, 0.06, 0.08), 0.06) + 0.10 * at(v3(0.0, -0.02, 0.1), 0.02);
        let mut wrap = v3(0.38, 0.20, 0.14);
        if v.z > 0.0 && v.y > -0.13 {
            // Freckles and moles.
            let spot = noise(v * 260.0 + v3(salt, 3.0, 0.0));
            albedo = albedo
                * mix(
                    1.0,
                    0.80,
                    who.freckles * step(0.74, 0.84, spot) * step(0.045, 0.02, (v.y + 0.01).abs()),
                );
            // Under the eyes, the lids' edge and crease.
            let hollow = v3((side - EYE.x) / 0.019, (v.y - EYE.y + 0.011) / 0.006, 0.0).length();
            albedo = albedo * mix(0.88, 1.0, step(0.5, 1.3, hollow));
            let rim = ((v3(side, v.y, v.z) - EYE).length() - EYE_RADIUS - 0.0014).abs();
            if rim < 0.0008 {
                let dark = step(0.0125, 0.006, (v.y - EYE.y).abs());
                albedo = mix3(albedo, who.skin * v3(0.62, 0.50, 0.46), 0.6 * dark);
                // Lashes along the upper lid.
                let follow = 0.006 * self.pose.gaze.y;
                let lid = mix(0.0052 * who.eyes + follow, -0.0046, self.pose.blink)
                    - 24.0 * (side - EYE.x) * (side - EYE.x) * mix(1.0, -0.5, self.pose.blink);
                let lash = step(0.0016, 0.0004, (v.y - EYE.y - lid).abs());
                albedo = mix3(albedo, v3(0.03, 0.02, 0.018), 0.75 * lash);
            }
            let bare = albedo;
            albedo = self.brows(v, albedo);
            // Hairs do not shine as skin does.
            gloss *= (albedo.x / bare.x.max(1e-3)).min(1.0);
            (albedo, gloss) = self.lip_colour(v, albedo, gloss);
            albedo = self.beard(v, albedo);
        }
        if self.person.hair == Hair::Cropped && v.y > 0.02 {
            wrap = wrap * 0.8;
        }
        Finish {
            albedo,
            wrap,
            gloss,
            sharp: 4,
            bump: (v3(noise(v * 480.0), noise(v * 480.0 + v3(9.0, 0.0, 0.0)), 0.5) - v3(0.5, 0.5, 0.5))
                * 0.07,
        }
    }

    fn brows(&self, v: V3, albedo: V3) -> V3 {
        let side = v.x.abs();
        let raise = 0.0035 * self.pose.brows;
        let t = ((side - 0.0125) / 0.0390).clamp(-0.2, 1.2);
        let middle = 0.0290 + raise + 0.0085 * t - 0.0095 * t * t * t;
        let half = 0.0037 * step(1.08, 0.55, t) * step(-0.10, 0.10, t);
        if half <= 0.0 {
            return albedo;
        }
        let strands = noise(v3(side * 340.0 + v.y * 420.0 * (0.8 - t), v.y * 130.0, 2.0));
        let cover = step(1.0, 0.45, (v.y - middle).abs() / (half + 0.0009)) * (0.45 + 0.75 * strands);
        mix3(albedo, self.person.hair_colour * 0.85, (0.92 * cover).min(1.0))
    }

    fn lip_colour(&self, v: V3, albedo: V3, gloss: f32) -> (V3, f32) {
        let ([outer_top, top, bottom, outer_bottom], u) = self.lip_lines(v.x);
        if u.abs() > 1.15 || v.y > outer_top + 0.003 || v.y < outer_bottom - 0.003 {
            return (albedo, gloss);
        }
        let inside = step(outer_top + 0.0011, outer_top - 0.0011, v.y)
            * step(outer_bottom - 0.0012, outer_bottom + 0.0012, v.y)
            * step(1.06, 0.90, u.abs());
        let lines = noise(v3(v.x * 900.0, v.y * 110.0, 5.0)) - 0.5;
        let lip = self.person.lips * (1.0 + 0.22 * lines);
        let seam = step(0.0014, 0.0003, (v.y - (top + bottom) * 0.5).abs() - (top - bottom) * 0.5);
        let lip = mix3(lip, lip * v3(0.40, 0.30, 0.30), seam * step(1.1, 0.9, u.abs()));
        (mix3(albedo, lip, 0.85 * inside), mix(gloss, 0.24, inside))
    }

    fn beard(&self, v: V3, albedo: V3) -> V3 {
        let amount = self.person.beard;
        if amount <= 0.0 || v.y > 0.01 {
            return albedo;
        }
        let ([outer_top, _, _, outer_bottom], u) = self.lip_lines(v.x);
        let side = v.x.abs();
        let on_lips = u.abs() < 1.05 && v.y < outer_top && v.y > outer_bottom;
        let moustache = step(-0.036, -0.043, v.y) * step(0.034, 0.024, side);
        let jaw = step(
            -0.042 + 0.35 * (side - 0.045).max(0.0),
            -0.070,
            v.y + 0.55 * (0.045 - side).max(0.0) * step(-0.075, -0.06, v.y),
        );
        let cheek = step(0.052, 0.062, side) * step(0.005, -0.02, v.y) * step(-0.02, 0.02, v.z);
        let below = step(-0.068, -0.076, v.y);
        let cover = moustache.max(jaw * step(0.028, 0.034, side).max(below)).max(cheek * 0.8);
        if on_lips || cover <= 0.0 {
            return albedo;
        }
        let strands = 0.35 + 0.65 * noise(v3(v.x * 700.0, v.y * 260.0, v.z * 260.0));
        mix3(albedo, self.person.hair_colour * 0.9 + v3(0.01, 0.01, 0.012), amount * cover * strands)
    }

    fn hand(&self, p: V3) -> Finish {
        let v = self.to_arm(p).unwrap_or(p);
        let who = self.person;
        let palm = if who.skin.x < 0.4 { mix3(who.skin, v3(0.62, 0.40, 0.30), 0.5) } else { who.skin };
        let base = mix3(who.skin, palm, step(-0.004, 0.006, v.z) * step(0.16, 0.20, v.y));
        let blotch = cloud(v * 55.0, 2) - 0.5;
        let tips = step(0.345, 0.39, v.y);
        let red = 0.35 + 0.8 * blotch + 0.3 * tips;
        let albedo = base
            * v3(1.0 + 0.08 * red, 1.0 - 0.13 * red, 1.0 - 0.11 * red)
            * (0.97 + 0.05 * noise(v * 500.0));
        Finish { albedo, wrap: v3(0.38, 0.20, 0.14), gloss: 0.10, sharp: 4, bump: V3::default() }
    }

    fn hair_finish(&self, v: V3) -> Finish {
        let who = self.person;
        let (across, along) = strand_axes(who.hair, v);
        let strand = noise(v3(across * 7.5, along * 1.1, 0.3));
        let lock = cloud(v3(across * 1.3 + who.salt as f32 * 0.01, along * 0.3, 0.5), 2);
        let tone = 0.52 + 0.62 * strand + 0.9 * (lock - 0.4);
        let mut albedo = who.hair_colour * tone.max(0.15);
        let mut gloss = 0.055 + 0.32 * who.hair_colour.x;
        if who.hair == Hair::Cropped {
            albedo = mix3(albedo, who.skin * 0.55, 0.22 * step(0.5, 0.8, strand));
            gloss = 0.03;
        }
        // Strands split the highlight into bands.
        let tilt = 0.55 * (strand - 0.5) + 0.5 * (lock - 0.5);
        let bump = v3(tilt, 0.30 * (noise(v3(across * 2.0, along * 2.2, 7.0)) - 0.5), 0.0);
        Finish { albedo, wrap: v3(0.2, 0.2, 0.2), gloss: gloss * (0.3 + 1.2 * strand), sharp: 4, bump }
    }

    fn cloth(&self, q: V3, shoulders: f32) -> Finish {
        let who = self.person;
        let (u, w) = (q.x / shoulders, q.y + 0.30 * (q.z - 0.74));
        let (a, b) = (who.cloth_colour, who.cloth_second);
        let mut bump = V3::default();
        let albedo = match who.cloth {
            Cloth::Knit => {
                // Ribs of stitches, V upon V.
                let rib = u * 105.0 - (u * 105.0).floor() - 0.5;
                let stitch = wave(w * 80.0 + rib.abs() * 0.9);
                bump = v3(rib * 0.55, 0.10 * stitch, 0.0);
                a * (0.84 + 0.12 * stitch + 0.22 * (0.5 - rib.abs()))
            }
            Cloth::Stripes => {
                let s = w * 24.0 - (w * 24.0).floor();
                let edge = step(0.30, 0.34, s) * step(0.66, 0.62, s);
                let weave = 0.06 * wave(u * 190.0) * wave(w * 190.0);
                mix3(a, b, edge) * (0.95 + weave)
            }
            Cloth::Checks => {
                let band = |t: f32| {
                    step(0.42, 0.48, (t - t.floor() - 0.5).abs())
                        + 0.5 * step(0.06, 0.03, (t - t.floor() - 0.5).abs())
                };
                let weave = 0.08 * wave((u + w) * 170.0);
                mix3(a, b, (0.5 * (band(u * 15.0) + band(w * 15.0))).min(1.0)) * (0.95 + weave)
            }
            Cloth::Plain => a * (0.93 + 0.10 * wave(u * 160.0) * wave(w * 160.0)),
        };
        let worn = 0.88 + 0.24 * cloud(v3(q.x * 30.0, q.y * 30.0, q.z * 30.0), 3);
        Finish { albedo: albedo * worn, wrap: v3(0.15, 0.15, 0.15), gloss: 0.02, sharp: 2, bump }
    }

    fn eye(&self, p: V3, ray: V3, normal: V3) -> V3 {
        let v = self.to_head(p);
        let side = if v.x < 0.0 { -1.0 } else { 1.0 };
        let centre = v3(side * EYE.x, EYE.y, EYE.z);
        let r = (v - centre).unit();
        // Both eyes converge a little.
        let gaze = (self.pose.gaze + v3(-side * 0.025, 0.0, 0.0)).unit();
        let cosine = r.dot(gaze);
        let off = (1.0 - cosine * cosine).max(0.0).sqrt();
        let off = if cosine < 0.0 { 1.0 } else { off };
        let d = r - gaze * cosine;
        let spoke = noise(v3(d.x * 120.0 / (off + 0.1), d.y * 120.0 / (off + 0.1), side)) - 0.5;
        let who = self.person;
        let fibre = who.iris * (0.8 + 0.9 * spoke + 0.8 * step(0.38, 0.20, off));
        let iris = mix3(fibre, who.iris * 0.18, step(0.40, 0.475, off));
        let veins = step(0.62, 0.75, noise(v3(v.x * 900.0, v.y * 1500.0, 2.0)));
        let white = v3(0.52, 0.475, 0.445) * v3(1.0, 1.0 - 0.08 * veins, 1.0 - 0.08 * veins);
        let mut albedo = mix3(iris, white, step(0.455, 0.50, off));
        albedo = mix3(v3(0.004, 0.004, 0.005), albedo, step(0.165, 0.20, off));
        // The upper lid's shade, the corners' shade.
        let lid = step(0.010, -0.002, v.y - centre.y + 0.004 * self.pose.blink);
        let corner = step(0.0125, 0.005, (v.x - centre.x).abs());
        let shade = mix(0.42, 1.0, lid) * mix(0.55, 1.0, corner);
        let pose = self.pose;
        let window = (normal.dot(WINDOW) * 0.7 + 0.3).max(0.0) * pose.window;
        let lit = albedo * (shade * (0.34 + 0.62 * window));
        // Wet: a small window in it, and the screen.
        let half = (WINDOW - ray).unit();
        let mut spark = normal.dot(half).max(0.0);
        for _ in 0..9 {
            spark = spark * spark;
        }
        let mut screen = normal.dot((v3(0.12, 0.10, -0.98) - ray).unit()).max(0.0);
        for _ in 0..10 {
            screen = screen * screen;
        }
        let shine = (1.4 * spark * pose.window + 0.25 * screen) * step(0.0, 0.3, 1.0 - pose.blink);
        lit + v3(shine, shine, shine)
    }
}
