//! The values of FFmpeg's `psnr` and `ssim` filters on 4:2:0 pictures, under their own names because they are not
//! the RGB metrics.

use super::lanes::SimdLevel;
use super::psnr::sse_at;
use super::scorer::Scorer;
use super::{same_size, whole};
use crate::MetricError;
use media::Yuv420;

/// One frame of FFmpeg's `psnr` filter: dB per plane and over all samples (`psnr_avg`: the mean squared error of the
/// planes weighted by their number of samples). Infinite for identical planes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FfmpegPsnr {
    /// Mean squared error of Y, U and V, in squared 8-bit steps.
    pub mse: [f64; 3],
    /// Mean squared error over all samples.
    pub mse_avg: f64,
}

impl FfmpegPsnr {
    /// dB of Y, U and V.
    #[must_use]
    pub fn planes(&self) -> [f64; 3] {
        self.mse.map(db)
    }

    /// dB over all samples: FFmpeg's `psnr_avg`.
    #[must_use]
    pub fn avg(&self) -> f64 {
        db(self.mse_avg)
    }
}

fn db(mse: f64) -> f64 {
    10.0 * (65025.0 / mse).log10()
}

/// One frame of FFmpeg's `ssim` filter, range -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FfmpegSsim {
    /// Y, U and V.
    pub planes: [f64; 3],
    /// Planes weighted by their number of samples: FFmpeg's `All`.
    pub all: f64,
}

/// PSNR per plane and over all samples of a 4:2:0 pair, as FFmpeg's `psnr` filter.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], [`MetricError::Nothing`] for an empty picture.
pub fn ffmpeg_psnr(reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegPsnr, MetricError> {
    ffmpeg_psnr_at(SimdLevel::best(), reference, shown)
}

fn ffmpeg_psnr_at(level: SimdLevel, reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegPsnr, MetricError> {
    let planes = planes(reference, shown)?;
    if planes[0].width * planes[0].height == 0 {
        return Err(MetricError::Nothing { metric: "ffmpeg_psnr", why: "the picture is empty" });
    }
    let sse = planes.map(|p| sse_at(level, p.a, p.b));
    let samples = planes.map(|p| p.a.len());
    Ok(FfmpegPsnr {
        mse: std::array::from_fn(|i| sse[i] as f64 / samples[i] as f64),
        mse_avg: sse.iter().sum::<u64>() as f64 / samples.iter().sum::<usize>() as f64,
    })
}

/// SSIM per plane and over all planes of a 4:2:0 pair, as FFmpeg's `ssim` filter: 8x8 boxes every 4 samples, integer
/// sums, sample covariance.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], [`MetricError::TooSmall`] if a luma side is below 16
/// (chroma must hold one box).
pub fn ffmpeg_ssim(reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegSsim, MetricError> {
    Scorer::new().ffmpeg_ssim(reference, shown)
}

impl Scorer {
    /// [`ffmpeg_psnr`].
    ///
    /// # Errors
    /// As the free function.
    pub fn ffmpeg_psnr(&mut self, reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegPsnr, MetricError> {
        ffmpeg_psnr_at(self.level, reference, shown)
    }

    /// [`ffmpeg_ssim`].
    ///
    /// # Errors
    /// As the free function.
    pub fn ffmpeg_ssim(&mut self, reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegSsim, MetricError> {
        ffmpeg_ssim_at(self.level, reference, shown, &mut self.blocks)
    }
}

fn ffmpeg_ssim_at(
    level: SimdLevel,
    reference: &Yuv420,
    shown: &Yuv420,
    rows: &mut BlockRows,
) -> Result<FfmpegSsim, MetricError> {
    let planes = planes(reference, shown)?;
    if planes[1].width < 8 || planes[1].height < 8 {
        let (width, height) = (reference.width, reference.height);
        return Err(MetricError::TooSmall { metric: "ffmpeg_ssim", need: 15, width, height });
    }
    let each = planes.map(|p| plane_ssim(level, &p, rows));
    let samples = planes.map(|p| p.a.len() as f64);
    let all = each.iter().zip(samples).map(|(s, n)| s * n).sum::<f64>() / samples.iter().sum::<f64>();
    Ok(FfmpegSsim { planes: each, all })
}

#[derive(Clone, Copy)]
struct Pair<'a> {
    width: usize,
    height: usize,
    a: &'a [u8],
    b: &'a [u8],
}

fn planes<'a>(a: &'a Yuv420, b: &'a Yuv420) -> Result<[Pair<'a>; 3], MetricError> {
    same_size((a.width, a.height), (b.width, b.height))?;
    let (cw, ch) = (a.width.div_ceil(2), a.height.div_ceil(2));
    let pair = |width, height, a: &'a [u8], b: &'a [u8]| -> Result<Pair<'a>, MetricError> {
        for p in [a, b] {
            whole(width, height, width * height, p.len())?;
        }
        Ok(Pair { width, height, a, b })
    };
    Ok([pair(a.width, a.height, &a.y, &b.y)?, pair(cw, ch, &a.u, &b.u)?, pair(cw, ch, &a.v, &b.v)?])
}

/// Sums of the 4x4 blocks of a row of blocks: x, y, x^2 + y^2, xy.
type BlockSums = [Vec<i32>; 4];

/// Two rows of block sums, used again for every plane.
#[derive(Default)]
pub(crate) struct BlockRows([BlockSums; 2]);

fn plane_ssim(level: SimdLevel, pair: &Pair<'_>, rows: &mut BlockRows) -> f64 {
    let (bw, bh) = (pair.width / 4, pair.height / 4);
    let BlockRows([above, below]) = rows;
    for sums in above.iter_mut().chain(below.iter_mut()) {
        sums.resize(bw, 0);
    }
    let mut total = 0.0;
    for by in 0..bh {
        match level.supported() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `supported` has asked the processor.
            SimdLevel::Avx512 | SimdLevel::Avx2 => unsafe { x86::block_row(pair, by, below) },
            _ => block_row(pair, by, 0, below),
        }
        if by > 0 {
            total += match level.supported() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                SimdLevel::Avx512 | SimdLevel::Avx2 => unsafe { x86::boxes(above, below) },
                _ => boxes(above, below),
            };
        }
        std::mem::swap(above, below);
    }
    total / ((bw - 1) * (bh - 1)) as f64
}

/// Blocks `from..` of a row of blocks.
fn block_row(pair: &Pair<'_>, by: usize, from: usize, out: &mut BlockSums) {
    for bx in from..out[0].len() {
        let mut sum = [0i32; 4];
        for r in 0..4 {
            let at = (4 * by + r) * pair.width + 4 * bx;
            for (&p, &q) in pair.a[at..at + 4].iter().zip(&pair.b[at..at + 4]) {
                let (p, q) = (i32::from(p), i32::from(q));
                sum[0] += p;
                sum[1] += q;
                sum[2] += p * p + q * q;
                sum[3] += p * q;
            }
        }
        for (out, sum) in out.iter_mut().zip(sum) {
            out[bx] = sum;
        }
    }
}

/// Sum over the boxes of 2x2 blocks. Eight at a time, each lane with its own sum, so that the order of additions does not
/// depend on the instruction set.
#[inline(always)]
fn boxes(above: &BlockSums, below: &BlockSums) -> f64 {
    let n = above[0].len() - 1;
    let mut lanes = [0.0f64; 8];
    for start in (0..n / 8 * 8).step_by(8) {
        let sums: [[i32; 8]; 4] = std::array::from_fn(|m| {
            let (a, b) = (&above[m][start..start + 9], &below[m][start..start + 9]);
            std::array::from_fn(|i| a[i] + a[i + 1] + b[i] + b[i + 1])
        });
        let values: [f32; 8] =
            std::array::from_fn(|i| box_ssim(sums[0][i], sums[1][i], sums[2][i], sums[3][i]));
        for (lane, v) in lanes.iter_mut().zip(values) {
            *lane += f64::from(v);
        }
    }
    for bx in n / 8 * 8..n {
        let s: [i32; 4] =
            std::array::from_fn(|m| above[m][bx] + above[m][bx + 1] + below[m][bx] + below[m][bx + 1]);
        lanes[bx % 8] += f64::from(box_ssim(s[0], s[1], s[2], s[3]));
    }
    lanes.iter().sum()
}

#[inline(always)]
fn box_ssim(s1: i32, s2: i32, ss: i32, s12: i32) -> f32 {
    // (0.01 * 255)^2 * 64 and (0.03 * 255)^2 * 64 * 63, rounded: the filter's integer constants.
    const C1: f32 = 416.0;
    const C2: f32 = 235_963.0;
    let variances = (ss * 64 - s1 * s1 - s2 * s2) as f32;
    let covariance = (s12 * 64 - s1 * s2) as f32;
    let (product, squares) = ((s1 * s2) as f32, (s1 * s1 + s2 * s2) as f32);
    (2.0 * product + C1) * (2.0 * covariance + C2) / ((squares + C1) * (variances + C2))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BlockSums, Pair};
    use std::arch::x86_64::*;

    /// Eight blocks at a time.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn block_row(pair: &Pair<'_>, by: usize, out: &mut BlockSums) {
        let (zero, bytes, words) = (_mm256_setzero_si256(), _mm256_set1_epi8(1), _mm256_set1_epi16(1));
        let whole = out[0].len() / 8 * 8;
        for bx in (0..whole).step_by(8) {
            let mut acc = [zero; 6];
            for r in 0..4 {
                let at = (4 * by + r) * pair.width + 4 * bx;
                let (p, q) = (&pair.a[at..at + 32], &pair.b[at..at + 32]);
                // SAFETY: 32 bytes each.
                let (p, q) =
                    unsafe { (_mm256_loadu_si256(p.as_ptr().cast()), _mm256_loadu_si256(q.as_ptr().cast())) };
                let (p_lo, p_hi) = (_mm256_unpacklo_epi8(p, zero), _mm256_unpackhi_epi8(p, zero));
                let (q_lo, q_hi) = (_mm256_unpacklo_epi8(q, zero), _mm256_unpackhi_epi8(q, zero));
                let squares = |p, q| _mm256_add_epi32(_mm256_madd_epi16(p, p), _mm256_madd_epi16(q, q));
                let terms = [
                    // Pairs of neighbours; four rows stay far below 2^15.
                    _mm256_maddubs_epi16(p, bytes),
                    _mm256_maddubs_epi16(q, bytes),
                    squares(p_lo, q_lo),
                    squares(p_hi, q_hi),
                    _mm256_madd_epi16(p_lo, q_lo),
                    _mm256_madd_epi16(p_hi, q_hi),
                ];
                acc[0] = _mm256_add_epi16(acc[0], terms[0]);
                acc[1] = _mm256_add_epi16(acc[1], terms[1]);
                for m in 2..6 {
                    acc[m] = _mm256_add_epi32(acc[m], terms[m]);
                }
            }
            // Unpacking went by halves of 128 bits and the horizontal addition does, too: blocks come out in order.
            let sums = [
                _mm256_madd_epi16(acc[0], words),
                _mm256_madd_epi16(acc[1], words),
                _mm256_hadd_epi32(acc[2], acc[3]),
                _mm256_hadd_epi32(acc[4], acc[5]),
            ];
            for (out, sum) in out.iter_mut().zip(sums) {
                // SAFETY: eight numbers, bx + 8 <= whole.
                unsafe { _mm256_storeu_si256(out[bx..bx + 8].as_mut_ptr().cast(), sum) };
            }
        }
        super::block_row(pair, by, whole, out);
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn boxes(above: &BlockSums, below: &BlockSums) -> f64 {
        super::boxes(above, below)
    }
}
