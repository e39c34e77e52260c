//! Point clouds of depth pictures, and exact nearest neighbours in them.

use crate::depth::Intrinsics;
use media::Depth16;
use rayon::prelude::*;

type Point = [f64; 3];

/// Back-projected valid pixels, in a k-d tree.
pub(crate) struct Cloud {
    /// In tree order.
    points: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    at: Point,
    /// Unit normal, absent where a neighbour is missing.
    normal: Option<Point>,
}

/// Below this many points a subtree is scanned.
const LEAF: usize = 12;

impl Cloud {
    pub(crate) fn of(depth: &Depth16, camera: &Intrinsics) -> Self {
        let (w, h) = (depth.width, depth.height);
        let point = |x: usize, y: usize| -> Option<Point> {
            let z = f64::from(depth.mm[y * w + x]);
            (z > 0.0)
                .then(|| [(x as f64 - camera.cx) * z / camera.fx, (y as f64 - camera.cy) * z / camera.fy, z])
        };
        let normal = |x: usize, y: usize| -> Option<Point> {
            if x == 0 || y == 0 || x + 1 == w || y + 1 == h {
                return None;
            }
            let (l, r, u, d) = (point(x - 1, y)?, point(x + 1, y)?, point(x, y - 1)?, point(x, y + 1)?);
            let n = cross(sub(r, l), sub(d, u));
            let length = dot(n, n).sqrt();
            (length > 0.0).then(|| n.map(|c| c / length))
        };
        let mut points: Vec<Node> = (0..h)
            .flat_map(|y| (0..w).map(move |x| (x, y)))
            .filter_map(|(x, y)| Some(Node { at: point(x, y)?, normal: normal(x, y) }))
            .collect();
        arrange(&mut points, 0);
        Self { points }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    pub(crate) fn longest_side(&self) -> f64 {
        (0..3)
            .map(|axis| {
                let values = self.points.iter().map(|p| p.at[axis]);
                let (lo, hi) = values.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
                hi - lo
            })
            .fold(0.0, f64::max)
    }

    /// Mean over own points of the squared distance to the other cloud: whole, and along the normal there.
    pub(crate) fn mean_squares_to(&self, other: &Cloud) -> [f64; 2] {
        // Sums of fixed blocks in a fixed order: the same value whatever the number of threads.
        let parts: Vec<[f64; 2]> = self
            .points
            .par_chunks(1024)
            .map(|chunk| {
                let (mut sums, mut last) = ([0.0; 2], 0);
                for p in chunk {
                    // Neighbours in the tree are neighbours in space: the last answer is a good first guess.
                    let mut best = (f64::MAX, last);
                    other.offer(p.at, last, &mut best);
                    other.nearest(p.at, 0, other.points.len(), 0, &mut best);
                    let (square, found) = best;
                    last = found;
                    sums[0] += square;
                    let Node { at, normal } = other.points[found];
                    sums[1] += normal.map_or(square, |n| dot(sub(p.at, at), n).powi(2));
                }
                sums
            })
            .collect();
        [0, 1].map(|kind| parts.iter().map(|p| p[kind]).sum::<f64>() / self.points.len() as f64)
    }

    fn nearest(&self, p: Point, from: usize, to: usize, axis: usize, best: &mut (f64, usize)) {
        if to - from <= LEAF {
            for i in from..to {
                self.offer(p, i, best);
            }
            return;
        }
        let middle = from.midpoint(to);
        self.offer(p, middle, best);
        let across = p[axis] - self.points[middle].at[axis];
        let next = (axis + 1) % 3;
        let (near, far) = if across < 0.0 {
            ((from, middle), (middle + 1, to))
        } else {
            ((middle + 1, to), (from, middle))
        };
        self.nearest(p, near.0, near.1, next, best);
        if across * across < best.0 {
            self.nearest(p, far.0, far.1, next, best);
        }
    }

    fn offer(&self, p: Point, index: usize, best: &mut (f64, usize)) {
        let d = sub(p, self.points[index].at);
        let square = dot(d, d);
        if square < best.0 {
            *best = (square, index);
        }
    }
}

/// Puts the median of each range in its middle, axis by axis.
fn arrange(points: &mut [Node], axis: usize) {
    if points.len() <= LEAF {
        return;
    }
    let middle = points.len() / 2;
    points.select_nth_unstable_by(middle, |a, b| a.at[axis].total_cmp(&b.at[axis]));
    let (below, above) = points.split_at_mut(middle);
    arrange(below, (axis + 1) % 3);
    arrange(&mut above[1..], (axis + 1) % 3);
}

fn sub(a: Point, b: Point) -> Point {
    std::array::from_fn(|i| a[i] - b[i])
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
