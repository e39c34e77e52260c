//! The values of FFmpeg's `psnr` and `ssim` filters on 4:2:0 pictures, under their own names because they are not
//! the RGB metrics.

use super::lanes::SimdLevel;
use super::psnr::sse_at;
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

/// FFmpeg's clip value: the PSNR of the mean squared error over frames, not the mean of the frames' PSNR (which one
/// identical frame would make infinite).
#[derive(Clone, Copy, Debug, Default)]
pub struct FfmpegPsnrClip {
    sum: [f64; 3],
    sum_avg: f64,
    frames: u64,
}

impl FfmpegPsnrClip {
    /// Counts one more frame.
    pub fn add(&mut self, frame: &FfmpegPsnr) {
        for (s, m) in self.sum.iter_mut().zip(frame.mse) {
            *s += m;
        }
        self.sum_avg += frame.mse_avg;
        self.frames += 1;
    }

    /// The clip's value; `None` before the first frame.
    #[must_use]
    pub fn value(&self) -> Option<FfmpegPsnr> {
        let n = self.frames as f64;
        (self.frames > 0).then(|| FfmpegPsnr { mse: self.sum.map(|s| s / n), mse_avg: self.sum_avg / n })
    }
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
    ffmpeg_ssim_at(SimdLevel::best(), reference, shown)
}

fn ffmpeg_ssim_at(level: SimdLevel, reference: &Yuv420, shown: &Yuv420) -> Result<FfmpegSsim, MetricError> {
    let planes = planes(reference, shown)?;
    if planes[1].width < 8 || planes[1].height < 8 {
        let (width, height) = (reference.width, reference.height);
        return Err(MetricError::TooSmall { metric: "ffmpeg_ssim", need: 15, width, height });
    }
    let each = planes.map(|p| plane_ssim(level, &p));
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

/// Sums of one 4x4 block: x, y, x^2 + y^2, xy.
type Block = [u32; 4];

fn plane_ssim(level: SimdLevel, pair: &Pair<'_>) -> f64 {
    match level.supported() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `supported` has asked the processor.
        SimdLevel::Avx512 => unsafe { x86::avx512(pair) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        SimdLevel::Avx2 => unsafe { x86::avx2(pair) },
        _ => plane_ssim_generic(pair),
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Pair, plane_ssim_generic};

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(super) unsafe fn avx512(pair: &Pair<'_>) -> f64 {
        plane_ssim_generic(pair)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(pair: &Pair<'_>) -> f64 {
        plane_ssim_generic(pair)
    }
}

/// Integer until the last step, so every instruction set gives the same blocks; left to the compiler's vectoriser.
#[inline(always)]
fn plane_ssim_generic(pair: &Pair<'_>) -> f64 {
    let (bw, bh) = (pair.width / 4, pair.height / 4);
    let mut above = vec![[0u32; 4]; bw];
    let mut below = vec![[0u32; 4]; bw];
    let mut total = 0.0;
    for by in 0..bh {
        block_row(pair, by, &mut below);
        if by > 0 {
            total += boxes(&above, &below);
        }
        std::mem::swap(&mut above, &mut below);
    }
    total / ((bw - 1) * (bh - 1)) as f64
}

#[inline(always)]
fn block_row(pair: &Pair<'_>, by: usize, out: &mut [Block]) {
    for (bx, block) in out.iter_mut().enumerate() {
        let mut sum = [0u32; 4];
        for r in 0..4 {
            let at = (4 * by + r) * pair.width + 4 * bx;
            let (a, b) = (&pair.a[at..at + 4], &pair.b[at..at + 4]);
            for (&p, &q) in a.iter().zip(b) {
                let (p, q) = (u32::from(p), u32::from(q));
                sum[0] += p;
                sum[1] += q;
                sum[2] += p * p + q * q;
                sum[3] += p * q;
            }
        }
        *block = sum;
    }
}

#[inline(always)]
fn boxes(above: &[Block], below: &[Block]) -> f64 {
    // (0.01 * 255)^2 * 64 and (0.03 * 255)^2 * 64 * 63, rounded: the filter's integer constants.
    const C1: f32 = 416.0;
    const C2: f32 = 235_963.0;
    let mut total = 0.0;
    for bx in 0..above.len() - 1 {
        let s: Block =
            std::array::from_fn(|i| above[bx][i] + above[bx + 1][i] + below[bx][i] + below[bx + 1][i]);
        let [s1, s2, ss, s12] = s.map(|v| v as i32);
        let variances = (ss * 64 - s1 * s1 - s2 * s2) as f32;
        let covariance = (s12 * 64 - s1 * s2) as f32;
        let (product, squares) = ((s1 * s2) as f32, (s1 * s1 + s2 * s2) as f32);
        let value = (2.0 * product + C1) * (2.0 * covariance + C2) / ((squares + C1) * (variances + C2));
        total += f64::from(value);
    }
    total
}
