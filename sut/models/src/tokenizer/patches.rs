//! Bytes of a picture to the patches that the `lite` networks begin and end with, in one pass each: as tensor operations
//! (scale, permute, shuffle, clamp, round) this takes a quarter of a frame's time.
//!
//! A patch is 8x8 pixels, planar: value `64 c + 8 y + x`; patches follow row by row.

use super::lite::STEM;

const SIDE: usize = STEM as usize;
const VALUES: usize = 3 * SIDE * SIDE;

/// Interleaved RGB bytes to patches in -1..1.
pub(super) fn of_bytes(rgb: &[u8], width: usize) -> Vec<f32> {
    let mut patches = vec![0.0; rgb.len()];
    let across = width / SIDE;
    for (index, patch) in patches.chunks_exact_mut(VALUES).enumerate() {
        let (row, column) = (index / across * SIDE, index % across * SIDE);
        for y in 0..SIDE {
            let line = &rgb[3 * ((row + y) * width + column)..][..3 * SIDE];
            for (x, pixel) in line.chunks_exact(3).enumerate() {
                for (c, &byte) in pixel.iter().enumerate() {
                    patch[SIDE * SIDE * c + SIDE * y + x] = f32::from(byte) * (2.0 / 255.0) - 1.0;
                }
            }
        }
    }
    patches
}

/// Patches, about -1..1, to interleaved RGB bytes, rounded.
pub(super) fn to_bytes(patches: &[f32], width: usize) -> Vec<u8> {
    let mut rgb = vec![0; patches.len()];
    let across = width / SIDE;
    for (index, patch) in patches.chunks_exact(VALUES).enumerate() {
        let (row, column) = (index / across * SIDE, index % across * SIDE);
        for y in 0..SIDE {
            let line = &mut rgb[3 * ((row + y) * width + column)..][..3 * SIDE];
            for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
                for (c, byte) in pixel.iter_mut().enumerate() {
                    let value = (patch[SIDE * SIDE * c + SIDE * y + x] + 1.0) * 127.5;
                    // Half to even, as libtorch rounds.
                    *byte = value.clamp(0.0, 255.0).round_ties_even() as u8;
                }
            }
        }
    }
    rgb
}
