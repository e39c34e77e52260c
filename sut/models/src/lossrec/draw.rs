//! LossRec-lite's pictures from what its network says, on bytes: sources moved, weighed and added up in one pass.
//!
//! The arithmetic is that of `Lite::forward`, which differentiates it for training: bilinear everywhere, samples at the centres of
//! pixels, edges repeated.

use super::lite::SOURCES;
use media::Yuv420;

const COUNT: usize = SOURCES as usize;

/// Values on a grid that is coarser than the picture, plane after plane.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Planes of `width * height` values each.
    pub values: &'a [f32],
    /// Columns of a plane.
    pub width: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Pixels of the picture's plane per column and row.
    pub step: usize,
}

impl Field<'_> {
    fn plane(&self, number: usize) -> &[f32] {
        let size = self.width * self.height;
        &self.values[number * size..][..size]
    }
}

/// What the network says of one plane of the picture.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Columns and rows that each source is moved by, alternating.
    pub flow: Field<'a>,
    /// Pixels that a flow of 1 moves by.
    pub reach: f32,
    /// How much each source counts; 1 together.
    pub weight: Field<'a>,
    /// What is added, in 0..1: of every place of the grid a square of `step * step`, a plane per pixel of it.
    pub residual: Field<'a>,
    /// Its first plane.
    pub first: usize,
    /// What a residual of 1 adds, in levels.
    pub scale: f32,
}

/// A plane of a picture.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// Rows of bytes.
    pub bytes: &'a [u8],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl<'a> Plane<'a> {
    /// Y, U and V.
    #[must_use]
    pub fn of(picture: &'a Yuv420) -> [Self; 3] {
        let (width, height) = (picture.width, picture.height);
        let luma = Self { bytes: &picture.y, width, height };
        let chroma = |bytes| Self { bytes, width: width.div_ceil(2), height: height.div_ceil(2) };
        [luma, chroma(&picture.u), chroma(&picture.v)]
    }
}

/// Smallest side of a plane that is drawn.
pub const SMALLEST: usize = 2;

/// One plane of the picture.
///
/// # Panics
/// When sources differ in size, are smaller than [`SMALLEST`], or a field is smaller than the plane.
#[must_use]
pub fn plane(sources: [Plane; COUNT], plan: &Plan) -> Vec<u8> {
    let (width, height) = (sources[0].width, sources[0].height);
    assert!(sources.iter().all(|s| (s.width, s.height) == (width, height)), "planes of one size");
    assert!(width.min(height) >= SMALLEST, "a plane of {width}x{height}");
    let step = plan.residual.step;
    let (mut flow, mut weight) = (Rows::new(plan.flow), Rows::new(plan.weight));
    let (mut levels, mut points) = (vec![0.0; width], vec![Point::default(); width]);
    let mut out = Vec::with_capacity(width * height);
    for y in 0..height {
        for (phase, first) in (plan.first + y % step * step..).zip(0..step) {
            let residual = &plan.residual.plane(phase)[y / step * plan.residual.width..];
            for (level, value) in levels.iter_mut().skip(first).step_by(step).zip(residual) {
                *level = value * plan.scale;
            }
        }
        let (flows, weights) = (flow.at(y), weight.at(y));
        for (i, source) in sources.iter().enumerate() {
            source.points(y, [&flows[2 * i], &flows[2 * i + 1]], plan.reach, &mut points);
            for ((level, point), weight) in levels.iter_mut().zip(&points).zip(&weights[i]) {
                *level += weight * source.sample(point);
            }
        }
        out.extend(levels.iter().map(|level| (level + 0.5) as u8));
    }
    out
}

/// A place between pixels: the one above and to the left, and how far it is from that.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    at: i32,
    right: f32,
    down: f32,
}

impl Plane<'_> {
    /// Where the pixels of row `y` come from.
    fn points(&self, y: usize, flow: [&[f32]; 2], reach: f32, points: &mut [Point]) {
        let [width, height] = [self.width as i32, self.height as i32];
        let [last_column, last_row] = [width - 1, height - 1].map(|last| last as f32);
        let y = y as f32;
        for (x, ((point, right), down)) in (0i32..).zip(points.iter_mut().zip(flow[0]).zip(flow[1])) {
            let x = (x as f32 + right * reach).max(0.0).min(last_column);
            let y = (y + down * reach).max(0.0).min(last_row);
            // On the last column and row, the pixel before and a whole step.
            let (left, up) = ((x as i32).min(width - 2), (y as i32).min(height - 2));
            let at = up.wrapping_mul(width).wrapping_add(left);
            *point = Point { at, right: x - left as f32, down: y - up as f32 };
        }
    }

    /// Between pixels, in levels.
    fn sample(&self, point: &Point) -> f32 {
        let rows = &self.bytes[point.at as usize..][..self.width + 2];
        let between = |a: u8, b: u8| f32::from(a) + (f32::from(b) - f32::from(a)) * point.right;
        let (up, down) = (between(rows[0], rows[1]), between(rows[self.width], rows[self.width + 1]));
        up + (down - up) * point.down
    }
}

/// Rows of a field as the picture has them.
struct Rows<'a> {
    field: Field<'a>,
    /// How far the pixels between two places are from the first.
    parts: Vec<f32>,
    rows: Vec<Vec<f32>>,
    between: Vec<f32>,
}

impl<'a> Rows<'a> {
    fn new(field: Field<'a>) -> Self {
        let planes = field.values.len() / (field.width * field.height);
        Self {
            parts: (0..field.step).map(|i| (i as f32 + 0.5) / field.step as f32).collect(),
            rows: vec![vec![0.0; field.width * field.step]; planes],
            between: vec![0.0; field.width],
            field,
        }
    }

    /// Row `y` of every plane, at least as long as the picture's.
    fn at(&mut self, y: usize) -> &[Vec<f32>] {
        let Field { width, height, step, .. } = self.field;
        let at = ((y as f32 + 0.5) / step as f32 - 0.5).max(0.0);
        let up = (at as usize).min(height - 1);
        let (down, part) = ((up + 1).min(height - 1), at - up as f32);
        for (number, row) in self.rows.iter_mut().enumerate() {
            let plane = self.field.plane(number);
            let [a, b] = [up, down].map(|line| &plane[line * width..][..width]);
            for ((between, a), b) in self.between.iter_mut().zip(a).zip(b) {
                *between = a + (b - a) * part;
            }
            // Half a step at both ends lies outside of all places.
            let (first, rest) = row.split_at_mut(step / 2);
            first.fill(self.between[0]);
            for (pair, pixels) in self.between.windows(2).zip(rest.chunks_exact_mut(step)) {
                for (pixel, part) in pixels.iter_mut().zip(&self.parts) {
                    *pixel = pair[0] + (pair[1] - pair[0]) * part;
                }
            }
            rest[(width - 1) * step..].fill(self.between[width - 1]);
        }
        &self.rows
    }
}

/// What the network sees of pictures: of each square of `side` pixels, at multiples of `padding` pixels (edges repeated), luma of every
/// source, then U and V of every source, row by row, in -1..1; with the numbers of rows and columns of squares.
///
/// # Panics
/// When pictures differ in size.
#[must_use]
pub fn seen(sources: [&Yuv420; COUNT], side: usize, padding: usize) -> (Vec<f32>, usize, usize) {
    let (width, height) = (sources[0].width, sources[0].height);
    let [columns, rows] = [width, height].map(|length| length.next_multiple_of(padding) / side);
    let planes = sources.map(Plane::of);
    let luma = planes.map(|p| (p[0], side));
    let chroma = planes.iter().flat_map(|p| [(p[1], side / 2), (p[2], side / 2)]);
    let all: Vec<(Plane, usize)> = luma.into_iter().chain(chroma).collect();
    let channels: usize = all.iter().map(|(_, side)| side * side).sum();
    let mut out = vec![0.0; rows * columns * channels];
    let mut first = 0;
    for (plane, side) in all {
        for y in 0..rows * side {
            let row = &plane.bytes[y.min(plane.height - 1) * plane.width..][..plane.width];
            for column in 0..columns {
                let place = (y / side * columns + column) * channels + first + y % side * side;
                for (x, value) in out[place..place + side].iter_mut().enumerate() {
                    let byte = row[(column * side + x).min(plane.width - 1)];
                    *value = f32::from(byte) * (2.0 / 255.0) - 1.0;
                }
            }
        }
        first += side * side;
    }
    (out, rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flow of half a unit of 8 pixels takes what is 4 pixels to the right; the residual adds its quarter of 255.
    #[test]
    fn a_plane_is_moved_weighed_and_added_to() {
        let ramp: Vec<u8> = (0..16 * 8).map(|i| (i % 16 * 10) as u8).collect();
        let source = Plane { bytes: &ramp, width: 16, height: 8 };
        let field = |values, step, width| Field { values, width, height: 8 / step, step };
        let flow: Vec<f32> = (0..6).flat_map(|plane| [if plane == 0 { 0.5 } else { 0.0 }; 2]).collect();
        let weight: Vec<f32> = (0..3).flat_map(|plane| [if plane == 0 { 1.0 } else { 0.0 }; 8]).collect();
        let residual = vec![0.02; 64 * 2];
        let plan = Plan {
            flow: field(&flow, 8, 2),
            reach: 8.0,
            weight: field(&weight, 4, 4),
            residual: field(&residual, 8, 2),
            first: 0,
            scale: 63.75,
        };
        let moved = plane([source; 3], &plan);
        // 63.75 * 0.02 = 1.3; columns stop at the edge.
        let row: Vec<u8> = (0..16).map(|x| ((x + 4).min(15) * 10 + 1) as u8).collect();
        assert_eq!(moved, row.repeat(8));
    }

    #[test]
    fn squares_come_in_order_and_edges_are_repeated() {
        let mut picture = Yuv420::filled(10, 8, (0, 128, 128));
        picture.y.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8);
        let (seen, rows, columns) = seen([&picture; 3], 8, 16);
        assert_eq!((rows, columns, seen.len()), (2, 2, 4 * 288));
        let level = |v: f32| ((v + 1.0) * 127.5).round() as u8;
        // The second square's first row: columns 8 and 9, then 9 again.
        let first: Vec<u8> = seen[288..296].iter().map(|&v| level(v)).collect();
        assert_eq!(first, [8, 9, 9, 9, 9, 9, 9, 9]);
        // The third square lies below the picture: its last row, columns 0 to 7.
        let below: Vec<u8> = seen[576..584].iter().map(|&v| level(v)).collect();
        assert_eq!(below, [70, 71, 72, 73, 74, 75, 76, 77]);
    }
}
