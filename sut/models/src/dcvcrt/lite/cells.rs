//! Pictures as the networks see them: squares of 8x8 pixels, each a list of 96 values.
//!
//! A cell has 64 values of luma (row by row), then 16 each of the two chromas; 0..=255 becomes -0.5..=0.5. Cells lie row by row, the values of
//! one cell together.

use media::Yuv420;

/// Pixels of a side.
pub const SIDE: usize = 8;
/// Values of a cell.
pub const VALUES: usize = SIDE * SIDE * 3 / 2;
/// Sides of pictures in here are multiples of this (a position of the hyperprior).
pub const MULTIPLE: usize = 64;

/// The picture with its last column and row repeated up to multiples of [`MULTIPLE`].
#[must_use]
pub fn padded(picture: &Yuv420) -> Yuv420 {
    let size = (picture.width.next_multiple_of(MULTIPLE), picture.height.next_multiple_of(MULTIPLE));
    resized(picture, size)
}

/// The picture cut, or its last column and row repeated, to `(width, height)`.
#[must_use]
pub fn resized(picture: &Yuv420, (width, height): (usize, usize)) -> Yuv420 {
    if (picture.width, picture.height) == (width, height) {
        return picture.clone();
    }
    Yuv420::from_planes((width, height), |index, (to_w, to_h)| {
        let (bytes, (w, h)) = picture.plane(index);
        let mut out = Vec::with_capacity(to_w * to_h);
        for y in 0..to_h {
            let row = &bytes[y.min(h - 1) * w..][..w];
            out.extend_from_slice(&row[..w.min(to_w)]);
            out.extend(std::iter::repeat_n(row[w - 1], to_w.saturating_sub(w)));
        }
        out
    })
}

/// Planes of a cell: pixels of a side, and the first value.
const PLANES: [(usize, usize); 3] = [(SIDE, 0), (SIDE / 2, 64), (SIDE / 2, 80)];

/// The cells of a picture whose sides are multiples of [`SIDE`].
#[must_use]
pub fn of(picture: &Yuv420) -> Vec<f32> {
    let columns = picture.width / SIDE;
    let mut cells = vec![0f32; columns * (picture.height / SIDE) * VALUES];
    for (plane, (side, first)) in picture.planes().into_iter().zip(PLANES) {
        for (y, row) in plane.chunks_exact(columns * side).enumerate() {
            let (line, at) = (y / side * columns, first + y % side * side);
            for (x, part) in row.chunks_exact(side).enumerate() {
                let cell = &mut cells[(line + x) * VALUES + at..][..side];
                for (value, &byte) in cell.iter_mut().zip(part) {
                    *value = f32::from(byte) * (1.0 / 255.0) - 0.5;
                }
            }
        }
    }
    cells
}

/// The picture of `(width, height)` that these cells show, rounded.
///
/// # Panics
/// When there are not as many cells as the picture has.
#[must_use]
pub fn picture(cells: &[f32], (width, height): (usize, usize)) -> Yuv420 {
    let columns = width / SIDE;
    assert_eq!(cells.len(), columns * (height / SIDE) * VALUES, "the cells of this picture");
    let mut picture = Yuv420::filled(width, height, (0, 0, 0));
    for (plane, (side, first)) in picture.planes_mut().into_iter().zip(PLANES) {
        for (y, row) in plane.chunks_exact_mut(columns * side).enumerate() {
            let (line, at) = (y / side * columns, first + y % side * side);
            for (x, part) in row.chunks_exact_mut(side).enumerate() {
                let cell = &cells[(line + x) * VALUES + at..][..side];
                for (byte, &value) in part.iter_mut().zip(cell) {
                    // Truncation after the clamp rounds to nearest.
                    *byte = ((value + 0.5) * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(width: usize, height: usize) -> Yuv420 {
        let mut picture = Yuv420::filled(width, height, (0, 0, 0));
        for (step, plane) in [(7, &mut picture.y), (3, &mut picture.u), (5, &mut picture.v)] {
            plane.iter_mut().enumerate().for_each(|(i, v)| *v = (i * step % 256) as u8);
        }
        picture
    }

    #[test]
    fn cells_and_back_is_the_identity() {
        let whole = sample(128, 64);
        let cells = of(&whole);
        assert_eq!(picture(&cells, (128, 64)), whole);
        // Second cell, third row, fourth column of luma; V of its second row, first column.
        assert_eq!(cells[VALUES + 2 * 8 + 3], f32::from(whole.y[2 * 128 + 8 + 3]) * (1.0 / 255.0) - 0.5);
        assert_eq!(cells[VALUES + 80 + 4], f32::from(whole.v[64 + 4]) * (1.0 / 255.0) - 0.5);
    }

    #[test]
    fn padding_repeats_edges_and_cutting_undoes_it() {
        for (width, height) in [(64, 64), (98, 66), (33, 47), (1, 1)] {
            let whole = sample(width, height);
            let large = padded(&whole);
            assert_eq!((large.width % MULTIPLE, large.height % MULTIPLE), (0, 0));
            assert_eq!(large.y[large.width * large.height - 1], whole.y[width * height - 1]);
            assert_eq!(resized(&large, (width, height)), whole);
        }
    }
}
