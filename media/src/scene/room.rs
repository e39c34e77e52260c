//! The room behind the person: a window on the left, a wall with a picture, a bookshelf, a plant.
//!
//! The camera does not move, so that the room is painted once: as lit by the window, and as lit by the lamp.
//! A frame is the two layers added with the gains of its instant.

use super::math::{V3, cloud, hash, mix, mix3, noise, random, step, v3};
use super::person::Person;

/// One ray's view of the room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Linear light per unit of window gain.
    pub window: V3,
    /// Linear light per unit of lamp gain.
    pub lamp: V3,
    /// Distance along the camera's axis, metres.
    pub z: f32,
}

const WALL_Z: f32 = 2.45;
const SHELF_Z: f32 = 2.16;

/// A surface before light falls on it.
struct Surface {
    albedo: V3,
    /// 0 in a corner, 1 in the open.
    open: f32,
    /// How much it faces the window (left) and the lamp (right, above).
    to_window: f32,
    to_lamp: f32,
    z: f32,
}

pub(super) struct Room<'a> {
    person: &'a Person,
    leaves: Vec<Leaf>,
}

struct Leaf {
    x: f32,
    y: f32,
    z: f32,
    /// Direction of its long axis.
    ax: f32,
    ay: f32,
    long: f32,
    wide: f32,
    green: V3,
}

impl<'a> Room<'a> {
    pub fn new(person: &'a Person) -> Self {
        let salt = person.salt;
        let mut leaves: Vec<Leaf> = (0..46)
            .map(|i| {
                let r = |k: i32| random(i, salt, 300 + k);
                let (sx, sy) = (r(0) * 2.0 - 1.0, r(1));
                let (ax, ay) = (sx * (0.4 + 0.9 * r(2)), mix(1.0, -0.35, r(2) * sx.abs()));
                let l = (ax * ax + ay * ay).sqrt().max(0.1);
                let long = mix(0.055, 0.105, r(3));
                Leaf {
                    x: -0.545 + 0.13 * sx * (0.4 + sy),
                    y: -0.46 + 0.34 * sy,
                    z: mix(1.86, 2.06, r(4)),
                    ax: ax / l,
                    ay: ay / l,
                    long,
                    wide: long * mix(0.26, 0.38, r(5)),
                    green: mix3(v3(0.035, 0.105, 0.030), v3(0.10, 0.20, 0.055), r(6)),
                }
            })
            .collect();
        leaves.sort_by(|a, b| a.z.total_cmp(&b.z));
        Self { person, leaves }
    }

    /// What the ray through `(dx, dy, 1)` meets.
    pub fn look(&self, dx: f32, dy: f32) -> Seen {
        let at = |z: f32| (dx * z, dy * z);
        if let Some(surface) = self.leaf(dx, dy).or_else(|| self.pot(dx, dy)) {
            return self.lit(&surface, dx, dy);
        }
        let (x, y) = at(SHELF_Z);
        if x > 0.30 && x < 1.3 && y > -1.0 && y < 0.80 {
            return self.lit(&self.shelf(x, y), dx, dy);
        }
        let (x, y) = at(WALL_Z);
        if x < -0.585 && y > -0.22 && y < 0.86 {
            return self.window(x, y);
        }
        self.lit(&self.wall(x, y), dx, dy)
    }

    fn lit(&self, s: &Surface, dx: f32, dy: f32) -> Seen {
        let (x, y) = (dx * s.z, dy * s.z);
        // From the window's middle, and from a lamp up on the right.
        let (wx, wy) = (x + 0.95, y - 0.25);
        let near = 1.0 / (1.0 + 0.85 * (wx * wx + wy * wy));
        let (lx, ly) = (x - 0.55, y - 1.0);
        let lamp = 1.0 / (1.0 + 1.1 * (lx * lx + ly * ly));
        let (sky, bulb) = (v3(0.93, 1.0, 1.10), v3(1.12, 0.94, 0.72));
        Seen {
            window: s.albedo * sky * (s.open * (0.10 + 0.62 * near * s.to_window)),
            lamp: s.albedo * bulb * (s.open * (0.035 + 0.22 * lamp * s.to_lamp)),
            z: s.z,
        }
    }

    fn wall(&self, x: f32, y: f32) -> Surface {
        let plaster = cloud(v3(x * 55.0, y * 55.0, 2.0), 3) - 0.5;
        let blotch = cloud(v3(x * 2.2, y * 2.2, self.person.salt as f32), 2) - 0.5;
        let mut s = Surface {
            albedo: self.person.wall * (1.0 + 0.10 * plaster + 0.10 * blotch),
            open: 1.0,
            to_window: 1.0,
            to_lamp: 1.0,
            z: WALL_Z,
        };
        // The shelf's shadow, the skirting of the window.
        s.open *= mix(0.55, 1.0, step(0.36, 0.10, x)) * mix(0.8, 1.0, step(-0.60, -0.52, x));
        // A picture in a frame.
        let (px, py) = (x + 0.245, y - 0.36);
        let (hw, hh) = (0.165, 0.215);
        let outside = (px.abs() - hw).max(py.abs() - hh);
        if outside < 0.0 {
            s.z = WALL_Z - 0.02;
            s.albedo = if outside > -0.016 {
                v3(0.050, 0.032, 0.022) * (1.0 + 0.3 * noise(v3(x * 30.0, y * 220.0, 1.0)))
            } else if outside > -0.046 {
                v3(0.62, 0.60, 0.55) * mix(0.86, 1.0, step(-0.017, -0.022, outside))
            } else {
                self.painting(px / hw, py / hh)
            };
        } else if outside < 0.04 && px > -hw && py < hh {
            s.open *= mix(0.72, 1.0, step(0.0, 0.04, outside));
        }
        s
    }

    /// Hills under an evening sky.
    fn painting(&self, x: f32, y: f32) -> V3 {
        let salt = self.person.salt as f32 * 0.1;
        let sky = mix3(v3(0.55, 0.33, 0.20), v3(0.16, 0.28, 0.42), step(-0.3, 0.8, y + 0.15 * x));
        let mut colour = sky * (0.85 + 0.3 * cloud(v3(x * 3.0, y * 9.0, salt), 3));
        for ridge in 0..4 {
            let i = ridge as f32;
            let height =
                0.15 - 0.24 * i + 0.30 * (noise(v3(x * (1.6 + 0.5 * i) + salt + 9.0 * i, 0.5, 0.5)) - 0.5);
            let paint = mix3(v3(0.20, 0.24, 0.30), v3(0.07, 0.12, 0.04), i / 3.0);
            let stroke = 0.75 + 0.5 * noise(v3(x * 26.0 + y * 9.0, y * 40.0, i));
            colour = mix3(colour, paint * stroke, step(0.02, -0.02, y - height));
        }
        colour
    }

    fn shelf(&self, x: f32, y: f32) -> Surface {
        let wood = |x: f32, y: f32| {
            let grain = noise(v3(x * 5.0, y * 130.0, 4.0)) * 0.5 + noise(v3(x * 2.0, y * 45.0, 8.0)) * 0.5;
            v3(0.235, 0.135, 0.070) * (0.70 + 0.55 * grain)
        };
        let mut s = Surface { albedo: V3::default(), open: 1.0, to_window: 0.75, to_lamp: 0.85, z: SHELF_Z };
        let pitch = 0.315;
        let (row, up) = {
            let r = ((y + 1.0) / pitch).floor();
            (r as i32, y + 1.0 - r * pitch)
        };
        if x < 0.325 {
            s.albedo = wood(y, x);
            return s;
        }
        if up < 0.024 {
            s.albedo = wood(x, y);
            s.open = mix(0.75, 1.0, step(0.0, 0.02, up));
            return s;
        }
        // Books side by side from the left board on.
        let salt = self.person.salt;
        let mut left = 0.330;
        for book in 0..60 {
            let r = |k: i32| random(row * 97 + book, salt, 100 + k);
            let gap = if r(7) > 0.90 { 0.05 } else { 0.0015 };
            let width = mix(0.018, 0.047, r(0) * r(0));
            if x < left + width {
                let height = mix(0.185, 0.262, r(1));
                let (u, v) = ((x - left) / width, (up - 0.024) / height);
                if v < 1.0 {
                    return self.book(row * 97 + book, u, v, s);
                }
                break;
            }
            left += width;
            if x < left + gap {
                s.open = 0.15;
                break;
            }
            left += gap;
        }
        // The back board, in shadow.
        s.z = SHELF_Z + 0.26;
        s.albedo = wood(x, y * 0.2) * 0.7;
        s.open *= mix(0.50, 0.22, step(0.10, 0.30, up));
        s
    }

    fn book(&self, id: i32, u: f32, v: f32, mut s: Surface) -> Surface {
        let r = |k: i32| random(id, self.person.salt, 200 + k);
        let base =
            v3(mix(0.03, 0.42, r(0) * r(0)), mix(0.03, 0.33, r(1) * r(1)), mix(0.03, 0.36, r(2) * r(2)));
        let grey = base.dot(v3(0.33, 0.34, 0.33));
        let mut colour = mix3(v3(grey, grey * 0.97, grey * 0.9), base, 0.55) * mix(0.5, 1.5, r(8));
        let print = if grey < 0.15 { v3(0.50, 0.44, 0.30) } else { v3(0.06, 0.05, 0.06) };
        // Bands at the ends, a title in the middle: letters as blocks.
        let band = mix(0.08, 0.20, r(3));
        if (v - band).abs() < 0.010 || (v - 1.0 + band).abs() < 0.010 {
            colour = print;
        }
        let (letter, cell) = ((v * 26.0).floor() as i32, v * 26.0 - (v * 26.0).floor());
        if r(4) > 0.25 && v > band + 0.08 && v < mix(0.5, 0.85, r(5)) && (u - 0.5).abs() < 0.22 && cell < 0.72
        {
            let on = hash(id * 31 + letter, (u * 5.0) as i32, (cell * 4.0) as i32) & 3;
            if on != 0 && random(id, letter, 5) > 0.15 {
                colour = mix3(colour, print, 0.8);
            }
        }
        colour = colour * (0.9 + 0.2 * noise(v3(u * 4.0 + id as f32, v * 60.0, 1.0)));
        // Round backs: darker towards their edges; set back by different depths.
        let edge = 4.0 * u * (1.0 - u);
        s.open = mix(0.35, 1.0, step(0.0, 0.6, edge))
            * mix(0.75, 1.0, step(0.0, 0.05, v))
            * mix(1.0, 0.72, step(0.7, 1.0, v));
        s.to_window = mix(0.95, 0.55, u);
        s.albedo = colour;
        s.z = SHELF_Z + 0.015 + 0.045 * r(6);
        s
    }

    /// Daylight through thin blinds; what is outside is a blur of trees and sky.
    fn window(&self, x: f32, y: f32) -> Seen {
        let outside = (x + 0.625).max(-0.18 - y).max(y - 0.82);
        if outside > 0.0 {
            let bevel = mix(0.7, 1.0, step(0.0, 0.02, outside));
            let frame = v3(0.55, 0.54, 0.52) * bevel;
            return Seen { window: frame * 0.55, lamp: frame * 0.10, z: WALL_Z - 0.03 };
        }
        if (x + 0.86).abs() < 0.014 {
            return Seen { window: v3(0.30, 0.31, 0.32), lamp: v3(0.04, 0.035, 0.03), z: WALL_Z - 0.03 };
        }
        let trees = cloud(v3(x * 5.0, y * 5.0, 6.0), 3);
        let sky = mix3(v3(0.95, 1.04, 1.12), v3(0.70, 0.86, 1.05), step(0.2, 0.9, y));
        let view =
            mix3(v3(0.30, 0.42, 0.22) * (0.6 + 0.8 * trees), sky, step(0.30, 0.52, y * 0.5 + trees * 0.6));
        let slat = y * 17.0 - (y * 17.0).floor();
        let shade = if slat < 0.50 { mix(0.60, 0.78, slat * 2.0) } else { 1.0 };
        let fabric = v3(0.80, 0.80, 0.78);
        let light = if slat < 0.50 { mix3(view, fabric, 0.7) * shade } else { view };
        let z = if slat < 0.50 { WALL_Z } else { 5.5 };
        Seen { window: light * 0.95, lamp: fabric * 0.03, z }
    }

    fn leaf(&self, dx: f32, dy: f32) -> Option<Surface> {
        for leaf in &self.leaves {
            let (x, y) = (dx * leaf.z - leaf.x, dy * leaf.z - leaf.y);
            let (along, across) = (x * leaf.ax + y * leaf.ay, y * leaf.ax - x * leaf.ay);
            let u = along / leaf.long;
            if !(-0.9..1.0).contains(&u) {
                continue;
            }
            // Pointed at the tip.
            let width = leaf.wide * (1.0 - u * u) * (1.0 - 0.35 * u);
            if across.abs() > width {
                continue;
            }
            let w = across / width;
            let vein = step(0.08, 0.0, w.abs()) * 0.35
                + 0.12
                    * step(
                        0.4,
                        0.0,
                        ((u * 9.0 - w.abs() * 2.0) - (u * 9.0 - w.abs() * 2.0).floor() - 0.5).abs(),
                    );
            return Some(Surface {
                albedo: leaf.green * (0.8 + vein + 0.3 * noise(v3(x * 120.0, y * 120.0, leaf.z * 50.0))),
                open: mix(0.45, 1.0, step(-0.9, 0.5, u)),
                to_window: 0.85 - 0.35 * w,
                to_lamp: 0.7 + 0.3 * w,
                z: leaf.z + 0.01 * u,
            });
        }
        None
    }

    fn pot(&self, dx: f32, dy: f32) -> Option<Surface> {
        let z = 1.98;
        let (x, y) = ((dx * z + 0.545) / 0.105, dy * z);
        if y > -0.47 || x.abs() > 1.0 + 0.25 * (y + 0.47) {
            return None;
        }
        let round = (1.0 - x * x).max(0.0).sqrt();
        let rim = if y > -0.50 { 1.12 } else { mix(0.8, 1.0, step(-0.505, -0.54, y)) };
        Some(Surface {
            albedo: v3(0.42, 0.20, 0.12) * (0.85 + 0.3 * cloud(v3(x * 6.0, y * 60.0, 3.0), 2)) * rim,
            open: 0.35 + 0.65 * round,
            to_window: 0.6 - 0.4 * x,
            to_lamp: 0.6 + 0.4 * x,
            z: z - 0.10 * round,
        })
    }
}
