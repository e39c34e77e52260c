//! Multi-scale structural similarity.

use super::lanes::{Sample, SimdLevel};
use super::pool::pool;
use super::same_rgb;
use super::scorer::private::Code as Private;
use super::scorer::{RgbPicture, Scorer};
use super::ssim::{mean, pooling_factor};
use super::window::{Plane, Scratch, Sums, Term, Window, has_both, pass};
use crate::MetricError;
use media::Rgb;

/// Exponents of the five scales, finest first (Wang, Simoncelli, Bovik, Asilomar 2003).
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// MS-SSIM as pytorch_msssim computes it (what ReVo prints as "ssim"): five scales, between them 2x2 average pooling
/// with a row or column of zeros in front of an odd side (the zeros count), product of `relu(cs)^w` and, at the
/// coarsest scale, `relu(ssim)^w`, per channel, then the mean over channels. The 11x11 Gaussian window is the
/// library's own single-precision one.
///
/// Range: 0 to 1, 1 for identical pictures. PIQ's version differs by up to 2.5e-3 on odd sizes (it repeats the edge).
///
/// Source: Wang, Simoncelli, Bovik, Asilomar 2003; pytorch_msssim 1.0.0 `ms_ssim(data_range=...)`.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], or [`MetricError::TooSmall`] if a side is not above 160.
pub fn ms_ssim(reference: &Rgb, shown: &Rgb) -> Result<f64, MetricError> {
    Scorer::new().ms_ssim(reference, shown)
}

impl Scorer {
    /// [`ms_ssim`], of pictures of any depth.
    ///
    /// # Errors
    /// As the free function.
    pub fn ms_ssim<P: RgbPicture>(&mut self, reference: &P, shown: &P) -> Result<f64, MetricError> {
        same_rgb(reference, shown)?;
        let (a, b) = (reference.codes(), shown.codes());
        Ok(Private::ms_ssim(self, (reference.size(), 3), (a, b), reference.peak(), false)?.0)
    }

    /// [`ms_ssim`] and [`ssim`](fn@super::ssim::ssim), to the bit what each gives alone: where a scale of the one is what the other is
    /// measured on, both cost little more than the first.
    ///
    /// # Errors
    /// As the free functions.
    pub fn ms_ssim_and_ssim<P: RgbPicture>(
        &mut self,
        reference: &P,
        shown: &P,
    ) -> Result<(f64, f64), MetricError> {
        same_rgb(reference, shown)?;
        let (a, b) = (reference.codes(), shown.codes());
        Private::ms_ssim(self, (reference.size(), 3), (a, b), reference.peak(), true)
    }

    /// [`ms_ssim`] of two one-channel pictures of `width x height` samples.
    ///
    /// # Errors
    /// As the free function.
    pub fn ms_ssim_gray(
        &mut self,
        size: (usize, usize),
        reference: &[u8],
        shown: &[u8],
    ) -> Result<f64, MetricError> {
        Ok(self.gray(size, (reference, shown), false)?.0)
    }

    /// As [`ms_ssim_and_ssim`](Self::ms_ssim_and_ssim), of two one-channel pictures.
    ///
    /// # Errors
    /// As the free functions.
    pub fn ms_ssim_and_ssim_gray(
        &mut self,
        size: (usize, usize),
        reference: &[u8],
        shown: &[u8],
    ) -> Result<(f64, f64), MetricError> {
        self.gray(size, (reference, shown), true)
    }

    fn gray(
        &mut self,
        (width, height): (usize, usize),
        pair: (&[u8], &[u8]),
        with_ssim: bool,
    ) -> Result<(f64, f64), MetricError> {
        for p in [pair.0, pair.1] {
            super::whole(width, height, width * height, p.len())?;
        }
        self.ms_ssim_interleaved(((width, height), 1), pair, 255, with_ssim)
    }

    /// MS-SSIM and, if it is asked for, SSIM.
    pub(super) fn ms_ssim_interleaved<C: Private>(
        &mut self,
        ((width, height), channels): ((usize, usize), usize),
        (reference, shown): (&[C], &[C]),
        peak: u16,
        with_ssim: bool,
    ) -> Result<(f64, f64), MetricError> {
        if width.min(height) <= 160 {
            return Err(MetricError::TooSmall { metric: "ms_ssim", need: 161, width, height });
        }
        let window = Window::gaussian_f32();
        let how = (self.level, C::PRECISE);
        let shared = if with_ssim { shared_scale((width, height), channels, how) } else { None };
        let mut ssim = 0.0;
        if with_ssim && shared.is_none() {
            let pair = (reference, shown);
            ssim = self.ssim_interleaved("ssim", ((width, height), channels), pair, peak, true)?;
        }
        let mut product = [1.0; 3];
        let mut fold = |level: usize, sums: &Sums| {
            for (p, t) in product.iter_mut().zip(&sums.sum).take(channels) {
                *p *= (t / sums.windows as f64).max(0.0).powf(WEIGHTS[level]);
            }
        };
        let plane = |data| Plane { width, height, channels, data };
        let scratch = &mut self.scratch;
        let mut peak = f64::from(peak);
        fold(0, &scale(how, (0, shared), &window, [reference, shown].map(plane), (peak, scratch), &mut ssim));

        let super::pool::Pools { mut row, pairs: [mut from, mut to] } = std::mem::take(C::pools(self));
        let mut size = (width, height);
        for level in 1..WEIGHTS.len() {
            let pad = (size.0 % 2 == 1, size.1 % 2 == 1);
            let mut next = size;
            for i in 0..2 {
                let (row, out) = (&mut row, &mut to[i]);
                next = if level == 1 {
                    pool([reference, shown][i], size, channels, 2, pad, row, out)
                } else {
                    pool(&from[i][..], size, channels, 2, pad, row, out)
                };
            }
            (size, peak) = (next, peak * 4.0);
            let plane = |data| Plane { width: size.0, height: size.1, channels, data };
            let (planes, scratch) = ([plane(&*to[0]), plane(&*to[1])], &mut self.scratch);
            fold(level, &scale(how, (level, shared), &window, planes, (peak, scratch), &mut ssim));
            std::mem::swap(&mut from, &mut to);
        }
        *C::pools(self) = super::pool::Pools { row, pairs: [from, to] };
        Ok((product[..channels].iter().sum::<f64>() / channels as f64, ssim))
    }
}

/// The sums of one scale; of that which is `shared` SSIM comes, too.
fn scale<S: Sample>(
    how: (SimdLevel, bool),
    (level, shared): (usize, Option<usize>),
    window: &Window,
    [x, y]: [Plane<'_, S>; 2],
    (peak, scratch): (f64, &mut Scratch),
    ssim: &mut f64,
) -> Sums {
    if shared == Some(level) {
        let terms = [(Term::Structure, window), (Term::Ssim, &Window::gaussian())];
        let [structure, whole] = pass(how, terms, x, y, peak, scratch);
        *ssim = mean(&whole, x.channels);
        return structure;
    }
    let term = if level + 1 == WEIGHTS.len() { Term::Ssim } else { Term::Structure };
    let [sums] = pass(how, [(term, window)], x, y, peak, scratch);
    sums
}

/// The scale whose pooled pictures are those that SSIM is measured on: both halve without a remainder so far. The coarsest has its own
/// luminance term.
fn shared_scale((width, height): (usize, usize), channels: usize, how: (SimdLevel, bool)) -> Option<usize> {
    let factor = pooling_factor(width, height);
    let level = factor.trailing_zeros() as usize;
    let whole = factor.is_power_of_two() && width.is_multiple_of(factor) && height.is_multiple_of(factor);
    let single = has_both(how, (width / factor, height / factor), channels);
    (whole && single && level + 1 < WEIGHTS.len()).then_some(level)
}
