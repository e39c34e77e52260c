//! The values of FFmpeg's `psnr` and `ssim` filters on pictures in their own format, under their own names because they are not
//! the RGB metrics.

use super::lanes::SimdLevel;
use super::psnr::{sse_at, sse16};
use super::scorer::Scorer;
use super::{same_size, whole};
use crate::MetricError;
use media::Yuv420;
use media::picture::{Format, Model, Picture, Plane};

/// One frame of FFmpeg's `psnr` filter: dB per plane and over all samples (`psnr_avg`: the mean squared error of the
/// planes weighted by their number of samples). Infinite for identical planes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FfmpegPsnr {
    /// Mean squared error of Y, U and V, or of R, G and B, or of luma alone; then of opacity. In squared codes.
    pub mse: [f64; 4],
    /// Mean squared error over all samples.
    pub mse_avg: f64,
    /// The largest code.
    pub peak: u16,
}

impl FfmpegPsnr {
    /// dB of the planes; infinite for those that the picture has not.
    #[must_use]
    pub fn planes(&self) -> [f64; 4] {
        self.mse.map(|mse| db(mse, self.peak))
    }

    /// dB over all samples: FFmpeg's `psnr_avg`.
    #[must_use]
    pub fn avg(&self) -> f64 {
        db(self.mse_avg, self.peak)
    }
}

fn db(mse: f64, peak: u16) -> f64 {
    10.0 * (f64::from(peak).powi(2) / mse).log10()
}

/// One frame of FFmpeg's `ssim` filter, range -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FfmpegSsim {
    /// Y, U and V, or R, G and B, or luma alone (the others then 0).
    pub planes: [f64; 3],
    /// Planes weighted by their number of samples: FFmpeg's `All`.
    pub all: f64,
}

/// PSNR per plane and over all samples of a 4:2:0 pair, as FFmpeg's `psnr` filter.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], [`MetricError::Nothing`] for an empty picture.
pub fn ffmpeg_psnr(reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegPsnr, MetricError> {
    psnr_of(SimdLevel::best(), &yuv420_planes(reference, shown)?, 255)
}

fn psnr_of(level: SimdLevel, planes: &[Pair<'_>], peak: u16) -> Result<FfmpegPsnr, MetricError> {
    if planes[0].width * planes[0].height == 0 {
        return Err(MetricError::Nothing { metric: "ffmpeg_psnr", why: "the picture is empty" });
    }
    let (mut mse, mut errors, mut samples) = ([0.0; 4], 0u64, 0usize);
    for (mse, p) in mse.iter_mut().zip(planes) {
        let sse = match p.codes {
            Codes::Eight(a, b) => sse_at(level, a, b),
            Codes::Sixteen(a, b) => sse16(a, b),
        };
        *mse = sse as f64 / p.len() as f64;
        errors += sse;
        samples += p.len();
    }
    Ok(FfmpegPsnr { mse, mse_avg: errors as f64 / samples as f64, peak })
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
        psnr_of(self.level, &yuv420_planes(reference, shown)?, 255)
    }

    /// [`ffmpeg_ssim`].
    ///
    /// # Errors
    /// As the free function.
    pub fn ffmpeg_ssim(&mut self, reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegSsim, MetricError> {
        ssim_of(self.level, &yuv420_planes(reference, shown)?, 255, &mut self.blocks)
    }

    /// FFmpeg's `psnr` of pictures in their own format: all planes, opacity included.
    ///
    /// # Errors
    /// As [`ffmpeg_psnr`]; [`MetricError::BadArgument`] if the formats differ or the filter does not take theirs.
    pub fn ffmpeg_psnr_of(
        &mut self,
        reference: &Picture,
        shown: &Picture,
    ) -> Result<FfmpegPsnr, MetricError> {
        let format = same_format("ffmpeg_psnr", reference, shown)?;
        let alpha = match format.model {
            Model::Grey => &[][..],
            Model::Yuv => &[8, 9, 10, 16],
            Model::Rgb => &[8, 10, 12, 16],
        };
        if !takes(format) || (format.alpha && !(alpha.contains(&format.bits) && is_common(format))) {
            return Err(not_taken("ffmpeg_psnr", format));
        }
        let planes = picture_planes(reference, shown, format.planes())?;
        psnr_of(self.level, &planes, format.peak())
    }

    /// FFmpeg's `ssim` of pictures in their own format; opacity is left out, as by the filter.
    ///
    /// # Errors
    /// As [`ffmpeg_ssim`]; [`MetricError::BadArgument`] if the formats differ or the filter does not take theirs.
    pub fn ffmpeg_ssim_of(
        &mut self,
        reference: &Picture,
        shown: &Picture,
    ) -> Result<FfmpegSsim, MetricError> {
        let format = same_format("ffmpeg_ssim", reference, shown)?;
        // The filter takes no opacity. FFmpeg drops it before, and with these depths nothing else.
        let kept = format.bits == 8 || (format.model == Model::Yuv && format.bits == 16);
        if !takes(format) || (format.alpha && !kept) {
            return Err(not_taken("ffmpeg_ssim", format));
        }
        let planes = picture_planes(reference, shown, format.colours())?;
        ssim_of(self.level, &planes, format.peak(), &mut self.blocks)
    }
}

fn is_common(format: Format) -> bool {
    format.model != Model::Yuv || matches!(format.chroma, (1, 1 | 0) | (0, 0))
}

/// Whether both filters take the format as it is (libavfilter/vf_psnr.c, vf_ssim.c, `query_formats`); others they convert first.
fn takes(format: Format) -> bool {
    match (format.model, format.bits) {
        (Model::Grey, 8 | 9 | 10 | 12 | 16) | (Model::Rgb, 8 | 9 | 10 | 12 | 14 | 16) => true,
        (Model::Yuv, 8) => matches!(format.chroma, (1 | 0, 1) | (0..=2, 0) | (2, 2)),
        (Model::Yuv, 9 | 10 | 12 | 14 | 16) => is_common(format),
        _ => false,
    }
}

fn not_taken(metric: &'static str, format: Format) -> MetricError {
    let what = format!(
        "FFmpeg's filter does not take {format} as it is; convert both files with `ffmpeg -pix_fmt` first"
    );
    MetricError::BadArgument { metric, what }
}

fn same_format(metric: &'static str, a: &Picture, b: &Picture) -> Result<Format, MetricError> {
    if a.format == b.format {
        return Ok(a.format);
    }
    let what = format!("the pictures differ in format: {} (reference) and {} (shown)", a.format, b.format);
    Err(MetricError::BadArgument { metric, what })
}

fn ssim_of(
    level: SimdLevel,
    planes: &[Pair<'_>],
    peak: u16,
    rows: &mut BlockRows,
) -> Result<FfmpegSsim, MetricError> {
    if let Some(p) = planes.iter().find(|p| p.width < 8 || p.height < 8) {
        return Err(MetricError::TooSmall {
            metric: "ffmpeg_ssim",
            need: 8,
            width: p.width,
            height: p.height,
        });
    }
    let mut each = [0.0; 3];
    let (mut sum, mut samples) = (0.0, 0.0);
    for (each, p) in each.iter_mut().zip(planes) {
        *each = match p.codes {
            Codes::Eight(a, b) if peak == 255 => {
                plane_ssim(level, &Bytes { width: p.width, height: p.height, a, b }, rows)
            }
            Codes::Eight(a, b) => deep_ssim(p, a, b, peak),
            Codes::Sixteen(a, b) => deep_ssim(p, a, b, peak),
        };
        sum += *each * p.len() as f64;
        samples += p.len() as f64;
    }
    Ok(FfmpegSsim { planes: each, all: sum / samples })
}

/// A plane of both pictures.
#[derive(Clone, Copy)]
struct Pair<'a> {
    width: usize,
    height: usize,
    codes: Codes<'a>,
}

#[derive(Clone, Copy)]
enum Codes<'a> {
    Eight(&'a [u8], &'a [u8]),
    Sixteen(&'a [u16], &'a [u16]),
}

impl Pair<'_> {
    fn len(&self) -> usize {
        self.width * self.height
    }
}

/// The same of 8 bits.
#[derive(Clone, Copy)]
struct Bytes<'a> {
    width: usize,
    height: usize,
    a: &'a [u8],
    b: &'a [u8],
}

fn yuv420_planes<'a>(a: &'a Yuv420, b: &'a Yuv420) -> Result<[Pair<'a>; 3], MetricError> {
    same_size((a.width, a.height), (b.width, b.height))?;
    let (cw, ch) = (a.width.div_ceil(2), a.height.div_ceil(2));
    let pair = |width, height, a: &'a [u8], b: &'a [u8]| -> Result<Pair<'a>, MetricError> {
        for p in [a, b] {
            whole(width, height, width * height, p.len())?;
        }
        Ok(Pair { width, height, codes: Codes::Eight(a, b) })
    };
    Ok([pair(a.width, a.height, &a.y, &b.y)?, pair(cw, ch, &a.u, &b.u)?, pair(cw, ch, &a.v, &b.v)?])
}

fn picture_planes<'a>(a: &'a Picture, b: &'a Picture, count: usize) -> Result<Vec<Pair<'a>>, MetricError> {
    let size = (a.width, a.height);
    same_size(size, (b.width, b.height))?;
    let pair = |index: usize| {
        let (width, height) = a.format.plane_size(index, size);
        let codes = match (a.planes.get(index), b.planes.get(index)) {
            (Some(Plane::Eight(a)), Some(Plane::Eight(b))) => Codes::Eight(a, b),
            (Some(Plane::Sixteen(a)), Some(Plane::Sixteen(b))) => Codes::Sixteen(a, b),
            _ => Codes::Eight(&[], &[]),
        };
        let found = match codes {
            Codes::Eight(a, b) => [a.len(), b.len()],
            Codes::Sixteen(a, b) => [a.len(), b.len()],
        };
        for found in found {
            whole(width, height, width * height, found)?;
        }
        Ok(Pair { width, height, codes })
    };
    (0..count).map(pair).collect()
}

/// SSIM of a plane of another depth than 8 bits: the same sums in 64 bits, constants from the peak, single precision from the
/// box's value on, as the filter has it.
fn deep_ssim<C: Copy + Into<i64>>(p: &Pair<'_>, a: &[C], b: &[C], peak: u16) -> f64 {
    let (bw, bh) = (p.width / 4, p.height / 4);
    let block = |bx: usize, by: usize| {
        let mut sum = [0i64; 4];
        for row in 0..4 {
            let at = (4 * by + row) * p.width + 4 * bx;
            for (&p, &q) in a[at..at + 4].iter().zip(&b[at..at + 4]) {
                let (p, q): (i64, i64) = (p.into(), q.into());
                sum[0] += p;
                sum[1] += q;
                sum[2] += p * p + q * q;
                sum[3] += p * q;
            }
        }
        sum
    };
    let constant = |k: f64, n: f64| (k * k * f64::from(peak) * f64::from(peak) * n + 0.5) as i64;
    let (c1, c2) = (constant(0.01, 64.0), constant(0.03, 64.0 * 63.0));
    let row = |by: usize| -> Vec<[i64; 4]> { (0..bw).map(|bx| block(bx, by)).collect() };
    let mut above = row(0);
    let mut total = 0.0f64;
    for by in 1..bh {
        let below = row(by);
        for bx in 1..bw {
            let [s1, s2, ss, s12]: [i64; 4] =
                std::array::from_fn(|m| above[bx - 1][m] + above[bx][m] + below[bx - 1][m] + below[bx][m]);
            let variances = ss * 64 - s1 * s1 - s2 * s2;
            let covariance = s12 * 64 - s1 * s2;
            let above_line = (2 * s1 * s2 + c1) as f32 * (2 * covariance + c2) as f32;
            let below_line = (s1 * s1 + s2 * s2 + c1) as f32 * (variances + c2) as f32;
            total += f64::from(above_line / below_line);
        }
        above = below;
    }
    total / ((bw - 1) * (bh - 1)) as f64
}

/// Sums of the 4x4 blocks of a row of blocks: x, y, x^2 + y^2, xy.
type BlockSums = [Vec<i32>; 4];

/// Two rows of block sums, used again for every plane.
#[derive(Default)]
pub(crate) struct BlockRows([BlockSums; 2]);

fn plane_ssim(level: SimdLevel, pair: &Bytes<'_>, rows: &mut BlockRows) -> f64 {
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
            SimdLevel::Avx512 => unsafe { x86::block_row_avx512(pair, by, below) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            SimdLevel::Avx2 => unsafe { x86::block_row(pair, by, below) },
            _ => block_row(pair, by, 0, below),
        }
        if by > 0 {
            total += match level.supported() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                SimdLevel::Avx512 => unsafe { x86::boxes_avx512(above, below) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                SimdLevel::Avx2 => unsafe { x86::boxes(above, below) },
                _ => boxes(above, below),
            };
        }
        std::mem::swap(above, below);
    }
    total / ((bw - 1) * (bh - 1)) as f64
}

/// Blocks `from..` of a row of blocks.
fn block_row(pair: &Bytes<'_>, by: usize, from: usize, out: &mut BlockSums) {
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
    use super::{BlockSums, Bytes};
    use std::arch::x86_64::*;

    /// Eight blocks at a time.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn block_row(pair: &Bytes<'_>, by: usize, out: &mut BlockSums) {
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

    /// Sixteen blocks at a time.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
    pub(super) unsafe fn block_row_avx512(pair: &Bytes<'_>, by: usize, out: &mut BlockSums) {
        let (zero, bytes, words) = (_mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_set1_epi16(1));
        // Sums of neighbours, of `a` and then of `b` in each 128 bits, as the 256-bit horizontal addition has them.
        let pairs = |a, b| {
            let (a, b) = (_mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
            let (even, odd) = (_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b));
            _mm512_add_epi32(_mm512_castps_si512(even), _mm512_castps_si512(odd))
        };
        let whole = out[0].len() / 16 * 16;
        for bx in (0..whole).step_by(16) {
            let mut acc = [zero; 6];
            for r in 0..4 {
                let at = (4 * by + r) * pair.width + 4 * bx;
                let (p, q) = (&pair.a[at..at + 64], &pair.b[at..at + 64]);
                // SAFETY: 64 bytes each.
                let (p, q) =
                    unsafe { (_mm512_loadu_si512(p.as_ptr().cast()), _mm512_loadu_si512(q.as_ptr().cast())) };
                let (p_lo, p_hi) = (_mm512_unpacklo_epi8(p, zero), _mm512_unpackhi_epi8(p, zero));
                let (q_lo, q_hi) = (_mm512_unpacklo_epi8(q, zero), _mm512_unpackhi_epi8(q, zero));
                let squares = |p, q| _mm512_add_epi32(_mm512_madd_epi16(p, p), _mm512_madd_epi16(q, q));
                acc[0] = _mm512_add_epi16(acc[0], _mm512_maddubs_epi16(p, bytes));
                acc[1] = _mm512_add_epi16(acc[1], _mm512_maddubs_epi16(q, bytes));
                acc[2] = _mm512_add_epi32(acc[2], squares(p_lo, q_lo));
                acc[3] = _mm512_add_epi32(acc[3], squares(p_hi, q_hi));
                acc[4] = _mm512_add_epi32(acc[4], _mm512_madd_epi16(p_lo, q_lo));
                acc[5] = _mm512_add_epi32(acc[5], _mm512_madd_epi16(p_hi, q_hi));
            }
            let sums = [
                _mm512_madd_epi16(acc[0], words),
                _mm512_madd_epi16(acc[1], words),
                pairs(acc[2], acc[3]),
                pairs(acc[4], acc[5]),
            ];
            for (out, sum) in out.iter_mut().zip(sums) {
                // SAFETY: sixteen numbers, bx + 16 <= whole.
                unsafe { _mm512_storeu_si512(out[bx..bx + 16].as_mut_ptr().cast(), sum) };
            }
        }
        super::block_row(pair, by, whole, out);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
    pub(super) unsafe fn boxes_avx512(above: &BlockSums, below: &BlockSums) -> f64 {
        super::boxes(above, below)
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn boxes(above: &BlockSums, below: &BlockSums) -> f64 {
        super::boxes(above, below)
    }
}
