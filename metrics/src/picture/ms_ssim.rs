//! Multi-scale structural similarity.

use super::pool::pool;
use super::same_rgb;
use super::scorer::private::Code as Private;
use super::scorer::{RgbPicture, Scorer};
use super::window::{Plane, Sums, Term, Window, pass};
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
        Private::ms_ssim(self, (reference.size(), 3), (a, b), reference.peak())
    }

    /// [`ms_ssim`] of two one-channel pictures of `width x height` samples.
    ///
    /// # Errors
    /// As the free function.
    pub fn ms_ssim_gray(
        &mut self,
        (width, height): (usize, usize),
        reference: &[u8],
        shown: &[u8],
    ) -> Result<f64, MetricError> {
        for p in [reference, shown] {
            super::whole(width, height, width * height, p.len())?;
        }
        self.ms_ssim_interleaved(((width, height), 1), (reference, shown), 255)
    }

    pub(super) fn ms_ssim_interleaved<C: Private>(
        &mut self,
        ((width, height), channels): ((usize, usize), usize),
        (reference, shown): (&[C], &[C]),
        peak: u16,
    ) -> Result<f64, MetricError> {
        if width.min(height) <= 160 {
            return Err(MetricError::TooSmall { metric: "ms_ssim", need: 161, width, height });
        }
        let window = Window::gaussian_f32();
        let term =
            |level: usize| (if level + 1 == WEIGHTS.len() { Term::Ssim } else { Term::Structure }, &window);
        let mut product = [1.0; 3];
        let mut fold = |level: usize, sums: &Sums| {
            for (p, t) in product.iter_mut().zip(&sums.sum).take(channels) {
                *p *= (t / sums.windows as f64).max(0.0).powf(WEIGHTS[level]);
            }
        };
        let plane = |data| Plane { width, height, channels, data };
        let how = (self.level, C::PRECISE);
        let mut peak = f64::from(peak);
        fold(0, &pass(how, term(0), plane(reference), plane(shown), peak, &mut self.scratch));

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
            fold(level, &pass(how, term(level), plane(&*to[0]), plane(&*to[1]), peak, &mut self.scratch));
            std::mem::swap(&mut from, &mut to);
        }
        *C::pools(self) = super::pool::Pools { row, pairs: [from, to] };
        Ok(product[..channels].iter().sum::<f64>() / channels as f64)
    }
}
