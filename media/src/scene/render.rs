//! From distance field to pixels.

use super::body::{Body, Material, Parts};
use super::math::{V3, hash, v3};
use super::motion::Pose;
use super::person::Person;
use super::room::{Room, Seen};
use crate::{Depth16, Rgb};
use rayon::prelude::*;

/// The room as seen through every pixel.
pub(super) struct Layers {
    width: usize,
    height: usize,
    pixels: Vec<Seen>,
}

/// Side of the tiles that share the empty first part of their rays.
const TILE: usize = 8;

/// Focal length in pixels per pixel of the shorter side.
pub(super) const FOCAL_PER_SIDE: f32 = 1.25;

struct Camera {
    width: f32,
    height: f32,
    focal: f32,
}

impl Camera {
    fn new(width: usize, height: usize) -> Self {
        Self { width: width as f32, height: height as f32, focal: FOCAL_PER_SIDE * width.min(height) as f32 }
    }

    /// Direction through a place of the picture, with z = 1.
    fn through(&self, x: f32, y: f32) -> V3 {
        v3((x - 0.5 * self.width) / self.focal, (0.5 * self.height - y) / self.focal, 1.0)
    }
}

impl Layers {
    /// Light from 2x2 samples, depth from the pixel's middle.
    pub fn paint(person: &Person, width: usize, height: usize) -> Self {
        let (camera, room) = (Camera::new(width, height), Room::new(person));
        let pixels = (0..width * height)
            .into_par_iter()
            .map(|i| {
                let (x, y) = ((i % width) as f32, (i / width) as f32);
                let look = |dx: f32, dy: f32| {
                    let ray = camera.through(x + dx, y + dy);
                    room.look(ray.x, ray.y)
                };
                let mut sum = look(0.5, 0.5);
                (sum.window, sum.lamp) = (V3::default(), V3::default());
                for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                    let seen = look(dx, dy);
                    sum.window = sum.window + seen.window * 0.25;
                    sum.lamp = sum.lamp + seen.lamp * 0.25;
                }
                sum
            })
            .collect();
        Self { width, height, pixels }
    }
}

/// What a pixel's middle meets.
#[derive(Clone, Copy)]
struct Hit {
    of: Option<Material>,
    /// Distance along the axis.
    z: f32,
    light: V3,
}

pub(super) fn frame(person: &Person, pose: &Pose, room: &Layers, number: u32) -> (Rgb, Depth16) {
    let (width, height) = (room.width, room.height);
    let view = View { body: Body { person, pose }, camera: Camera::new(width, height), room };
    let across = width.div_ceil(TILE);
    let tiles: Vec<Tile> = (0..across * height.div_ceil(TILE))
        .into_par_iter()
        .map(|i| view.approach(i % across * TILE, i / across * TILE))
        .collect();
    let tile = |x: usize, y: usize| tiles[y / TILE * across + x / TILE];
    let hits: Vec<Hit> = (0..width * height)
        .into_par_iter()
        .map(|i| view.pixel(i % width, i / width, tile(i % width, i / width)))
        .collect();
    let mut data = vec![0u8; 3 * width * height];
    data.par_chunks_exact_mut(3 * width).enumerate().for_each(|(y, row)| {
        for (x, out) in row.chunks_exact_mut(3).enumerate() {
            let light = if is_edge(&hits, width, height, x, y) {
                view.supersample(x, y, tile(x, y))
            } else {
                hits[y * width + x].light
            };
            out.copy_from_slice(&develop(light, x, y, number));
        }
    });
    let mm = hits.iter().map(|hit| (hit.z * 1000.0 + 0.5) as u16).collect();
    (Rgb { width, height, data }, Depth16 { width, height, mm })
}

/// Where the rays of a tile begin, and which parts they may meet.
#[derive(Clone, Copy)]
struct Tile {
    parts: Parts,
    start: f32,
}

struct View<'a> {
    body: Body<'a>,
    camera: Camera,
    room: &'a Layers,
}

const FAR: f32 = 1.25;

impl View<'_> {
    /// Marches a cone around the tile's rays up to the first thing near it.
    fn approach(&self, x: usize, y: usize) -> Tile {
        let half = TILE as f32 * 0.5;
        let middle = self.camera.through(x as f32 + half, y as f32 + half);
        let direction = middle.unit();
        // Half a tile's diagonal per metre of distance, and a sample's half pixel more.
        let spread = 1.4143 * (half + 1.0) / self.camera.focal;
        let bounds = self.body.bounds();
        let meets = |(centre, radius): (V3, f32)| {
            let t = centre.dot(direction);
            (centre - direction * t).length() < radius + spread * t
        };
        let parts = Parts {
            head: meets(bounds[0]),
            trunk: meets(bounds[1]),
            arm: self.body.pose.arm.is_some() && meets(bounds[2]),
            coarse: false,
        };
        if !parts.any() {
            return Tile { parts, start: FAR };
        }
        let coarse = Parts { coarse: true, ..parts };
        let mut t = 0.30;
        for _ in 0..48 {
            let free = self.body.near(direction * t, coarse).d * 0.9 - 0.008 - spread * t;
            if free < 0.002 {
                break;
            }
            t += free;
            if t > FAR {
                return Tile { parts: Parts::default(), start: FAR };
            }
        }
        Tile { parts, start: t }
    }

    fn pixel(&self, x: usize, y: usize, tile: Tile) -> Hit {
        let ray = self.camera.through(x as f32 + 0.5, y as f32 + 0.5);
        self.trace(ray, tile).unwrap_or_else(|| {
            let seen = &self.room.pixels[y * self.room.width + x];
            Hit { of: None, z: seen.z, light: self.lit(seen) }
        })
    }

    /// The room's light at this instant.
    fn lit(&self, seen: &Seen) -> V3 {
        seen.window * self.body.pose.window + seen.lamp * self.body.pose.lamp
    }

    fn trace(&self, ray: V3, tile: Tile) -> Option<Hit> {
        if !tile.parts.any() {
            return None;
        }
        let direction = ray.unit();
        let mut t = tile.start;
        for _ in 0..72 {
            let p = direction * t;
            let near = self.body.near(p, tile.parts);
            if near.d < 0.00035 {
                let light = self.body.shade(p, direction, near.of, tile.parts);
                return Some(Hit { of: Some(near.of), z: p.z, light });
            }
            t += near.d * 0.92;
            if t > FAR {
                return None;
            }
        }
        None
    }

    /// Four samples; those that miss the person see the pixel's room.
    fn supersample(&self, x: usize, y: usize, tile: Tile) -> V3 {
        let behind = self.lit(&self.room.pixels[y * self.room.width + x]);
        let mut sum = V3::default();
        for (dx, dy) in [(0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875)] {
            let ray = self.camera.through(x as f32 + dx, y as f32 + dy);
            sum = sum + self.trace(ray, tile).map_or(behind, |hit| shoulder(hit.light));
        }
        sum * 0.25
    }
}

/// Keeps one bright sample from winning over its three neighbours.
fn shoulder(v: V3) -> V3 {
    v3(v.x.min(1.5), v.y.min(1.5), v.z.min(1.5))
}

/// Does another material or a step in depth begin next to this pixel?
fn is_edge(hits: &[Hit], width: usize, height: usize, x: usize, y: usize) -> bool {
    let here = &hits[y * width + x];
    let near = |x: usize, y: usize| {
        let there = &hits[y * width + x];
        let contrast = (there.light - here.light).length();
        there.of != here.of
            || (here.of.is_some()
                && ((there.z - here.z).abs() > 0.012 || contrast > 0.16 + 0.30 * here.light.length()))
    };
    (x > 0 && near(x - 1, y))
        || (x + 1 < width && near(x + 1, y))
        || (y > 0 && near(x, y - 1))
        || (y + 1 < height && near(x, y + 1))
}

/// Film curve, display gamma (2, so that it is a square root), sensor noise.
fn develop(light: V3, x: usize, y: usize, frame: u32) -> [u8; 3] {
    let curve = |v: f32| {
        let v = v.max(0.0) * 1.25;
        v * (1.0 + 0.14 * v) / (1.0 + 0.86 * v) * 1.32
    };
    // Luma noise common to the colours, and less of each its own; both triangular, of mean zero.
    let h = hash(x as i32, y as i32, frame as i32);
    let part = |shift: u32| ((h >> shift) & 0x7F) as f32 * (1.0 / 127.0);
    let luma = part(0) + part(7) - 1.0;
    let [red, blue] = [part(14) - 0.5, part(21) - 0.5];
    let code = |v: f32, own: f32| {
        let shown = curve(v).sqrt().min(1.0);
        let grain = (2.6 - 1.2 * shown) * luma + 1.6 * own;
        (shown * 255.0 + grain + 0.5).clamp(0.0, 255.0) as u8
    };
    [code(light.x, red), code(light.y, 0.0), code(light.z, blue)]
}
