//! Motion: one vector per 16x16 block, searched by the encoder, and the prediction that follows. All in integers.
//!
//! The prediction of a pixel is the mean of what the vectors of the four nearest blocks say of it, weighted by how near their centres
//! are (overlapped block motion compensation), so that no block edges are drawn.

use media::Yuv420;

/// Pixels of a side of a block.
pub const BLOCK: usize = 16;
/// Quarters of a pixel per step of a vector.
const STEPS: i32 = 4;
/// Longest component of a vector.
pub const LONGEST: i32 = 127;
/// Pixels around a picture that vectors can reach.
const BORDER: usize = 48;

/// Columns and rows that a block's content came from, in quarters of a luma pixel.
pub type Vector = [i8; 2];

/// A picture's vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Blocks per row.
    pub columns: usize,
    /// Rows of blocks.
    pub rows: usize,
    /// Row by row.
    pub vectors: Vec<Vector>,
}

impl Field {
    /// Nothing moves in a picture of this size, a multiple of [`BLOCK`].
    #[must_use]
    pub fn still((width, height): (usize, usize)) -> Self {
        let (columns, rows) = (width / BLOCK, height / BLOCK);
        Self { columns, rows, vectors: vec![[0, 0]; columns * rows] }
    }

    /// What a vector is expected to be from those before it: the median of left, above, above right.
    #[must_use]
    pub fn expected(&self, row: usize, column: usize) -> [i32; 2] {
        let [left, above, right] = self.before(row, column);
        [0, 1].map(|i| {
            let (a, b, c) = (left[i], above[i], right[i]);
            a.max(b).min(a.min(b).max(c))
        })
    }

    /// Left, above, above right; what is outside is zero, above right of the last column is above left.
    #[must_use]
    pub fn before(&self, row: usize, column: usize) -> [[i32; 2]; 3] {
        let at = |row: Option<usize>, column: Option<usize>| match (row, column) {
            (Some(row), Some(column)) => self.vectors[row * self.columns + column].map(i32::from),
            _ => [0, 0],
        };
        let (above, left) = (row.checked_sub(1), column.checked_sub(1));
        let right = if column + 1 < self.columns { Some(column + 1) } else { left };
        [at(Some(row), left), at(above, Some(column)), at(above, right)]
    }
}

/// A plane with its edges repeated around it.
struct Bordered {
    bytes: Vec<u8>,
    stride: usize,
}

impl Bordered {
    fn new(plane: &[u8], width: usize) -> Self {
        let stride = width + 2 * BORDER;
        let height = plane.len() / width;
        let mut bytes = Vec::with_capacity(stride * (height + 2 * BORDER));
        for y in 0..height + 2 * BORDER {
            let y = y.saturating_sub(BORDER).min(height - 1);
            let row = &plane[y * width..][..width];
            bytes.extend(std::iter::repeat_n(row[0], BORDER));
            bytes.extend_from_slice(row);
            bytes.extend(std::iter::repeat_n(row[width - 1], BORDER));
        }
        Self { bytes, stride }
    }

    /// Bytes from column `x` and row `y` on, which may lie in the border.
    fn from(&self, x: i32, y: i32) -> &[u8] {
        let border = BORDER as i32;
        &self.bytes[(y + border) as usize * self.stride + (x + border) as usize..]
    }
}

/// Four taps per quarter of a pixel (cubic, Catmull and Rom), 128 together.
const TAPS: [[i32; 4]; 4] = [[0, 128, 0, 0], [-9, 111, 29, -3], [-8, 72, 72, -8], [-3, 29, 111, -9]];

/// An `N` x `N` square of luma, moved by a vector.
fn luma<const N: usize>(plane: &Bordered, x: usize, y: usize, vector: [i32; 2], out: &mut [[u8; N]; N]) {
    let [(dx, fx), (dy, fy)] = vector.map(|v| (v.div_euclid(STEPS), v.rem_euclid(STEPS) as usize));
    let (x, y) = (x as i32 + dx, y as i32 + dy);
    if (fx, fy) == (0, 0) {
        let from = plane.from(x, y);
        for (row, to) in out.iter_mut().enumerate() {
            to.copy_from_slice(&from[row * plane.stride..][..N]);
        }
        return;
    }
    let from = plane.from(x - 1, y - 1);
    let [a, b, c, d] = TAPS[fx];
    // At most 16 + 3 rows.
    let mut across = [[0i32; N]; 20];
    for (row, to) in across.iter_mut().take(N + 3).enumerate() {
        let from = &from[row * plane.stride..][..N + 3];
        for (i, to) in to.iter_mut().enumerate() {
            *to = a * i32::from(from[i])
                + b * i32::from(from[i + 1])
                + c * i32::from(from[i + 2])
                + d * i32::from(from[i + 3]);
        }
    }
    let [a, b, c, d] = TAPS[fy];
    for (row, to) in out.iter_mut().enumerate() {
        for (i, to) in to.iter_mut().enumerate() {
            let sum =
                a * across[row][i] + b * across[row + 1][i] + c * across[row + 2][i] + d * across[row + 3][i];
            *to = ((sum + (1 << 13)) >> 14).clamp(0, 255) as u8;
        }
    }
}

/// An `N` x `N` square of chroma, which has half the pixels: vectors are eighths of them; bilinear.
fn chroma<const N: usize>(plane: &Bordered, x: usize, y: usize, vector: [i32; 2], out: &mut [[u8; N]; N]) {
    const EIGHTHS: i32 = 2 * STEPS;
    let [(dx, fx), (dy, fy)] = vector.map(|v| (v.div_euclid(EIGHTHS), v.rem_euclid(EIGHTHS)));
    let from = plane.from(x as i32 + dx, y as i32 + dy);
    for (row, to) in out.iter_mut().enumerate() {
        let upper = &from[row * plane.stride..][..=N];
        let lower = &from[(row + 1) * plane.stride..][..=N];
        for (i, to) in to.iter_mut().enumerate() {
            let line = |r: &[u8]| (EIGHTHS - fx) * i32::from(r[i]) + fx * i32::from(r[i + 1]);
            *to = ((line(upper) * (EIGHTHS - fy) + line(lower) * fy + 32) >> 6) as u8;
        }
    }
}

/// The picture that vectors make of a reference; sides are multiples of [`BLOCK`].
///
/// # Panics
/// When the field is of another size.
#[must_use]
pub fn predict(reference: &Yuv420, field: &Field) -> Yuv420 {
    let (width, height) = (reference.width, reference.height);
    assert_eq!((field.columns * BLOCK, field.rows * BLOCK), (width, height), "a field of this size");
    let mut out = Yuv420::filled(width, height, (0, 0, 0));
    let planes = [(&reference.y, &mut out.y), (&reference.u, &mut out.u), (&reference.v, &mut out.v)];
    for (i, (from, to)) in planes.into_iter().enumerate() {
        if i == 0 {
            blocks::<8>(&Bordered::new(from, width), field, to, width, luma::<8>);
        } else {
            blocks::<4>(&Bordered::new(from, width / 2), field, to, width / 2, chroma::<4>);
        }
    }
    out
}

type Sample<const N: usize> = fn(&Bordered, usize, usize, [i32; 2], &mut [[u8; N]; N]);

/// One plane in quarters of blocks, `N` pixels a side: all pixels of one have the same four nearest blocks.
fn blocks<const N: usize>(from: &Bordered, field: &Field, to: &mut [u8], width: usize, sample: Sample<N>) {
    let (mut squares, mut sum) = ([[[0u8; N]; N]; 4], [[0u32; N]; N]);
    for row in 0..2 * field.rows {
        for column in 0..2 * field.columns {
            let own = (row / 2, column / 2);
            let beside = |at: usize, count: usize| {
                let next = if at.is_multiple_of(2) { (at / 2).checked_sub(1) } else { Some(at / 2 + 1) };
                next.filter(|n| *n < count).unwrap_or(at / 2)
            };
            let other = (beside(row, field.rows), beside(column, field.columns));
            let vector = |(row, column): (usize, usize)| field.vectors[row * field.columns + column];
            let vectors = [own, (own.0, other.1), (other.0, own.1), other].map(vector);
            let (x, y) = (column * N, row * N);
            sample(from, x, y, vectors[0].map(i32::from), &mut squares[0]);
            if vectors.iter().any(|v| *v != vectors[0]) {
                for i in 1..4 {
                    // The same vector, the same square.
                    match (0..i).find(|&k| vectors[k] == vectors[i]) {
                        Some(k) => squares[i] = squares[k],
                        None => sample(from, x, y, vectors[i].map(i32::from), &mut squares[i]),
                    }
                }
                mix(&mut squares, &mut sum, (row % 2 == 0, column % 2 == 0));
            }
            for (i, line) in squares[0].iter().enumerate() {
                to[(y + i) * width + x..][..N].copy_from_slice(line);
            }
        }
    }
}

/// Mixes the squares of own, beside, above or below, and both into the first. `first` says that the quarter is the upper, the left one
/// of its block.
fn mix<const N: usize>(squares: &mut [[[u8; N]; N]; 4], sum: &mut [[u32; N]; N], first: (bool, bool)) {
    // Distances from the block's centre in half pixels: 1, 3, 5, ... of 4 N to the next centre.
    let whole = 4 * N as u32;
    let away = |i: usize, first: bool| 2 * (if first { N - 1 - i } else { i }) as u32 + 1;
    for y in 0..N {
        let v = away(y, first.0);
        for x in 0..N {
            let h = away(x, first.1);
            let weights = [(whole - h) * (whole - v), h * (whole - v), (whole - h) * v, h * v];
            sum[y][x] = (0..4).map(|i| weights[i] * u32::from(squares[i][y][x])).sum();
        }
    }
    for (line, sums) in squares[0].iter_mut().zip(sum.iter()) {
        for (byte, sum) in line.iter_mut().zip(sums) {
            *byte = ((sum + whole * whole / 2) / (whole * whole)) as u8;
        }
    }
}

/// Searches the vectors of `current` in `reference`. `hint` has vectors to try, as those of the picture before; `price` is how many
/// levels of difference a bit is worth.
///
/// # Panics
/// When sizes differ.
#[must_use]
pub fn search(current: &Yuv420, reference: &Yuv420, hint: Option<&Field>, price: u32) -> Field {
    let (width, height) = (current.width, current.height);
    assert_eq!((reference.width, reference.height), (width, height), "pictures of one size");
    let plane = Bordered::new(&reference.y, width);
    let small = [&current.y, &reference.y].map(|p| quarter(p, width));
    let coarse = Bordered::new(&small[1], width / 4);
    let mut field = Field::still((width, height));
    for row in 0..field.rows {
        for column in 0..field.columns {
            let (x, y) = (column * BLOCK, row * BLOCK);
            let mut block = [[0u8; BLOCK]; BLOCK];
            for (i, line) in block.iter_mut().enumerate() {
                line.copy_from_slice(&current.y[(y + i) * width + x..][..BLOCK]);
            }
            let expected = field.expected(row, column);
            let mut best =
                Best { plane: &plane, block: &block, x, y, expected, price, at: [0, 0], cost: u32::MAX };
            best.attempt([0, 0]);
            best.attempt(expected);
            for vector in field.before(row, column) {
                best.attempt(vector);
            }
            if let Some(hint) = hint {
                best.attempt(hint.vectors[row * field.columns + column].map(i32::from));
            }
            // Two levels a pixel are noise.
            if best.cost > 2 * (BLOCK * BLOCK) as u32 {
                best.attempt(far(&small[0], width / 4, &coarse, (x / 4, y / 4)));
                best.refine(4, 12);
            }
            if best.cost > (BLOCK * BLOCK) as u32 {
                best.refine(2, 1);
                best.refine(1, 2);
            }
            field.vectors[row * field.columns + column] = best.at.map(|v| v as i8);
        }
    }
    field
}

/// The best vector of a block so far.
struct Best<'a> {
    plane: &'a Bordered,
    block: &'a [[u8; BLOCK]; BLOCK],
    x: usize,
    y: usize,
    expected: [i32; 2],
    price: u32,
    at: [i32; 2],
    cost: u32,
}

impl Best<'_> {
    fn attempt(&mut self, vector: [i32; 2]) -> bool {
        let vector = vector.map(|v| v.clamp(-LONGEST, LONGEST));
        if vector == self.at && self.cost < u32::MAX {
            return false;
        }
        let bits: u32 = (0..2).map(|i| bits(vector[i] - self.expected[i])).sum();
        let mut cost = self.price * bits;
        if vector.iter().all(|v| v % STEPS == 0) {
            let from = self.plane.from(self.x as i32 + vector[0] / STEPS, self.y as i32 + vector[1] / STEPS);
            for (row, line) in self.block.iter().enumerate() {
                cost += difference(line, &from[row * self.plane.stride..][..BLOCK]);
            }
        } else {
            let mut square = [[0; BLOCK]; BLOCK];
            luma(self.plane, self.x, self.y, vector, &mut square);
            cost += self.block.iter().zip(&square).map(|(a, b)| difference(a, b)).sum::<u32>();
        }
        let better = cost < self.cost;
        if better {
            (self.at, self.cost) = (vector, cost);
        }
        better
    }

    /// Tries the neighbours `step` away, again from the best of them, `times` at most.
    fn refine(&mut self, step: i32, times: usize) {
        for _ in 0..times {
            let [x, y] = self.at;
            let mut better = false;
            let around: &[[i32; 2]] = match step {
                4 => &[[-1, 0], [1, 0], [0, -1], [0, 1]],
                _ => &[[-1, 0], [1, 0], [0, -1], [0, 1], [-1, -1], [-1, 1], [1, -1], [1, 1]],
            };
            for [dx, dy] in around {
                better |= self.attempt([x + step * dx, y + step * dy]);
            }
            if !better {
                return;
            }
        }
    }
}

/// About how many bits a difference from the expected component takes.
fn bits(difference: i32) -> u32 {
    match difference.unsigned_abs() {
        0 => 0,
        d => 2 + 2 * d.ilog2(),
    }
}

fn difference(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}

/// A plane at a quarter of its width and height.
fn quarter(plane: &[u8], width: usize) -> Vec<u8> {
    let columns = width / 4;
    let mut out = Vec::with_capacity(plane.len() / 16);
    let mut sums = vec![0u32; columns];
    for rows in plane.chunks_exact(4 * width) {
        sums.fill(8);
        for row in rows.chunks_exact(width) {
            for (sum, part) in sums.iter_mut().zip(row.chunks_exact(4)) {
                *sum += part.iter().map(|&v| u32::from(v)).sum::<u32>();
            }
        }
        out.extend(sums.iter().map(|s| (s / 16) as u8));
    }
    out
}

/// Full search around a block at a quarter of the size, over what surrounds it, too.
fn far(current: &[u8], width: usize, reference: &Bordered, (x, y): (usize, usize)) -> [i32; 2] {
    const AROUND: i32 = 2;
    const SQUARE: usize = BLOCK / 4 + 2 * AROUND as usize;
    const REACH: i32 = 6;
    let height = current.len() / width;
    let mut square = [[0u8; SQUARE]; SQUARE];
    for (i, line) in square.iter_mut().enumerate() {
        let row = (y as i32 + i as i32 - AROUND).clamp(0, height as i32 - 1) as usize;
        for (k, byte) in line.iter_mut().enumerate() {
            let column = (x as i32 + k as i32 - AROUND).clamp(0, width as i32 - 1) as usize;
            *byte = current[row * width + column];
        }
    }
    let mut best = (u32::MAX, [0, 0]);
    for dy in -REACH..=REACH {
        for dx in -REACH..=REACH {
            let from = reference.from(x as i32 - AROUND + dx, y as i32 - AROUND + dy);
            let mut cost = 0;
            for (i, line) in square.iter().enumerate() {
                cost += difference(line, &from[i * reference.stride..][..SQUARE]);
            }
            let near = (dx.abs() + dy.abs()) as u32;
            best = best.min((cost + near, [dx, dy]));
        }
    }
    best.1.map(|v| v * 4 * STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth picture: sums of waves, sampled at `(x + dx, y + dy)`.
    fn waves(width: usize, height: usize, dx: f64, dy: f64) -> Yuv420 {
        let mut picture = Yuv420::filled(width, height, (0, 128, 128));
        let at =
            |x: f64, y: f64| 128.0 + 50.0 * (x * 0.21 + y * 0.05).sin() + 40.0 * (y * 0.17 - x * 0.08).cos();
        for y in 0..height {
            for x in 0..width {
                picture.y[y * width + x] = at(x as f64 + dx, y as f64 + dy).round() as u8;
            }
        }
        for y in 0..height / 2 {
            for x in 0..width / 2 {
                let value = at(2.0 * x as f64 + 0.5 + dx, 2.0 * y as f64 + 0.5 + dy);
                picture.u[y * width / 2 + x] = value.round() as u8;
            }
        }
        picture
    }

    fn worst(a: &[u8], b: &[u8], width: usize) -> u8 {
        let inside = |i: usize| {
            let (x, y) = (i % width, i / width);
            (24..width - 24).contains(&x) && (24..a.len() / width - 24).contains(&y)
        };
        a.iter()
            .zip(b)
            .enumerate()
            .filter(|(i, _)| inside(*i))
            .map(|(_, (a, b))| a.abs_diff(*b))
            .max()
            .unwrap()
    }

    /// A picture that moved by quarters of pixels is found and predicted within what interpolation loses.
    #[test]
    fn a_shift_is_found_and_predicted() {
        for (dx, dy) in [(0.0, 0.0), (3.0, -2.0), (0.5, 0.25), (-5.75, 7.5), (12.25, 1.0)] {
            let (now, before) = (waves(128, 128, dx, dy), waves(128, 128, 0.0, 0.0));
            let field = search(&now, &before, None, 4);
            let wanted = [(dx * 4.0) as i8, (dy * 4.0) as i8];
            let middle = field.vectors[4 * field.columns + 4];
            assert!((0..2).all(|i| middle[i].abs_diff(wanted[i]) <= 1), "{middle:?} for {wanted:?}");
            let predicted = predict(&before, &field);
            assert!(worst(&predicted.y, &now.y, 128) <= 4, "{dx} {dy}");
            assert!(worst(&predicted.u, &now.u, 64) <= 6, "{dx} {dy}");
        }
    }

    /// Without motion the prediction is the reference; equal vectors everywhere are one shift, whatever the weights.
    #[test]
    fn no_vector_is_a_copy_and_one_vector_is_a_shift() {
        let before = waves(128, 64, 0.0, 0.0);
        let mut field = Field::still((128, 64));
        assert_eq!(predict(&before, &field), before);
        field.vectors.fill([8, -4]);
        let shifted = predict(&before, &field);
        assert_eq!(shifted.y[20 * 128 + 30], before.y[19 * 128 + 32]);
        assert_eq!(
            shifted.u[20 * 64 + 30],
            (u16::from(before.u[19 * 64 + 31]) + u16::from(before.u[20 * 64 + 31])).div_ceil(2) as u8
        );
    }

    /// The longest vectors stay within the border, in every corner.
    #[test]
    fn the_longest_vectors_are_within_reach() {
        let before = waves(64, 64, 0.0, 0.0);
        for vector in [[127, 127], [-127, -127], [127, -127], [-127, 127], [-125, 126]] {
            let mut field = Field::still((64, 64));
            field.vectors.fill(vector);
            field.vectors[5] = [1, 2];
            assert_eq!(predict(&before, &field).y.len(), 64 * 64);
        }
    }

    /// Weights of four vectors: half way between two centres both count alike.
    #[test]
    fn overlapping_weights_are_those_of_the_distances() {
        let mut squares = [[[0u8; 8]; 8]; 4];
        squares[1] = [[255; 8]; 8];
        let mut sum = [[0; 8]; 8];
        mix(&mut squares, &mut sum, (false, false));
        // Row nearest the centre: weight of the block beside is (2 x + 1) / 32 of 31/32.
        assert_eq!(squares[0][0][0], (255.0 * 1.0 / 32.0 * 31.0 / 32.0f64).round() as u8);
        assert_eq!(squares[0][0][7], (255.0 * 15.0 / 32.0 * 31.0 / 32.0f64).round() as u8);
    }
}
