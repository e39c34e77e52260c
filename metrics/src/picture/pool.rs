//! Average pooling kept as integer sums: a pooled sample is `factor^2` times the mean, so nothing is rounded.

use std::ops::{Add, AddAssign};

/// What sums of samples are kept in.
pub(crate) trait Total: Copy + Default + Add<Output = Self> + AddAssign + std::iter::Sum {
    /// Adds `factor` neighbouring pixels of three channels, all channels. `dst` has three spare samples at its end.
    fn rgb_row(row: &[Self], dst: &mut [Self], factor: usize);
}

impl Total for u16 {
    fn rgb_row(row: &[Self], dst: &mut [Self], factor: usize) {
        rgb_row(row, dst, factor);
    }
}

impl Total for u32 {
    fn rgb_row(row: &[Self], dst: &mut [Self], factor: usize) {
        for (out, pixels) in dst.chunks_exact_mut(3).zip(row.chunks_exact(3 * factor)) {
            for (c, out) in out.iter_mut().enumerate() {
                *out = pixels.iter().skip(c).step_by(3).copied().sum();
            }
        }
    }
}

/// Memory that pooling needs: a row, and pooled reference and shown picture; MS-SSIM alternates between the two pairs.
#[derive(Default)]
pub(crate) struct Pools<T> {
    pub row: Vec<T>,
    pub pairs: [[Vec<T>; 2]; 2],
}

/// Sums of `factor x factor` pixels (stride `factor`, trailing rows and columns dropped) of a picture with
/// interleaved channels. `pad` puts one row and/or column of zeros in front, which then count (as PyTorch's
/// `avg_pool2d` with `count_include_pad` does).
///
/// The caller keeps `factor^2 * peak` within `T`. Returns the new width and height.
#[allow(
    clippy::too_many_arguments,
    reason = "a shape and its options; a struct would be built once per call"
)]
pub(crate) fn pool<S: Into<T> + Copy, T: Total>(
    data: &[S],
    size: (usize, usize),
    channels: usize,
    factor: usize,
    pad: (bool, bool),
    row: &mut Vec<T>,
    out: &mut Vec<T>,
) -> (usize, usize) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; the code is the same safe Rust, compiled for it.
        return unsafe { pool_avx2(data, size, channels, factor, pad, row, out) };
    }
    pool_rows(data, size, channels, factor, pad, row, out)
}

#[cfg(target_arch = "x86_64")]
#[allow(clippy::too_many_arguments, reason = "as its caller's")]
#[target_feature(enable = "avx2")]
unsafe fn pool_avx2<S: Into<T> + Copy, T: Total>(
    data: &[S],
    size: (usize, usize),
    channels: usize,
    factor: usize,
    pad: (bool, bool),
    row: &mut Vec<T>,
    out: &mut Vec<T>,
) -> (usize, usize) {
    pool_rows(data, size, channels, factor, pad, row, out)
}

#[allow(clippy::too_many_arguments, reason = "as its caller's")]
#[inline(always)]
fn pool_rows<S: Into<T> + Copy, T: Total>(
    data: &[S],
    (width, height): (usize, usize),
    channels: usize,
    factor: usize,
    (pad_left, pad_top): (bool, bool),
    row: &mut Vec<T>,
    out: &mut Vec<T>,
) -> (usize, usize) {
    let (left, top) = (usize::from(pad_left), usize::from(pad_top));
    let (w, h) = ((width + left) / factor, (height + top) / factor);
    let stride = width * channels;
    // Three spare samples: wide stores below run over the end of a row.
    out.resize(w * h * channels + 3, T::default());
    row.resize(left * channels + stride + 3, T::default());
    row[..left * channels].fill(T::default());
    for y in 0..h {
        let sums = &mut row[left * channels..left * channels + stride];
        let first = (y * factor).saturating_sub(top);
        let last = (y + 1) * factor - top;
        let line = |r: usize| &data[r * stride..(r + 1) * stride];
        // The first two rows at once: with a factor of 2, the usual one, the sums are written only once.
        let mut r = first + 1;
        if r < last {
            for ((s, &v), &w) in sums.iter_mut().zip(line(first)).zip(line(r)) {
                *s = Into::<T>::into(v) + Into::<T>::into(w);
            }
            r += 1;
        } else {
            for (s, &v) in sums.iter_mut().zip(line(first)) {
                *s = v.into();
            }
        }
        for r in r..last {
            for (s, &v) in sums.iter_mut().zip(line(r)) {
                *s += Into::<T>::into(v);
            }
        }
        let dst = &mut out[y * w * channels..];
        if channels == 3 {
            T::rgb_row(row, &mut dst[..3 * w + 3], factor);
        } else if factor == 2 {
            // Known to the compiler, which makes vectors of it.
            for (d, s) in dst.iter_mut().zip(row.chunks_exact(2)).take(w) {
                *d = s[0] + s[1];
            }
        } else {
            for (d, s) in dst.iter_mut().zip(row.chunks_exact(factor)).take(w) {
                *d = s.iter().copied().sum();
            }
        }
    }
    (w, h)
}

/// Adds `factor` neighbouring pixels of three 16-bit channels, all channels (and one sample of the next pixel,
/// which the next store overwrites) in one 64-bit word: sums stay within 16 bits, so no carry crosses over and the
/// byte order does not matter.
fn rgb_row(row: &[u16], dst: &mut [u16], factor: usize) {
    let w = dst.len() / 3 - 1;
    assert!(row.len() > 3 * w * factor, "the last word ends at sample 3 w factor");
    for x in 0..w {
        let mut sum = 0u64;
        for k in 0..factor {
            // SAFETY: the word covers samples up to 3 * (x * factor + k) + 3 <= 3 * w * factor.
            sum += unsafe { row.as_ptr().add(3 * (x * factor + k)).cast::<u64>().read_unaligned() };
        }
        // SAFETY: samples 3 x to 3 x + 3 < 3 w + 3.
        unsafe { dst.as_mut_ptr().add(3 * x).cast::<u64>().write_unaligned(sum) };
    }
}
