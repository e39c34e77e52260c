//! Structural similarity in the two variants that papers mean.

use super::pool::pool;
use super::scorer::private::Code as Private;
use super::scorer::{RgbPicture, Scorer};
use super::window::{Plane, Sums, TAPS, Term, Window, pass};
use super::{same_rgb, same_size, whole};
use crate::MetricError;
use media::Rgb;

/// SSIM as PIQ computes it by default, what Reparo's paper reports: pictures are average-pooled by
/// `f = max(1, round(min(height, width) / 256))` (halves to even, so 640 -> 2) first, then the 11x11 Gaussian window
/// of sigma 1.5, valid positions only, population variance, `c1 = 0.01^2`, `c2 = 0.03^2` on `[0, 1]`, mean over
/// positions and RGB channels.
///
/// Range: -1 to 1, 1 for identical pictures. Not comparable with [`ssim_full`]: pooling hides noise.
///
/// Source: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004; PIQ 0.8.0 `piq.ssim(data_range=1.0)`.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], or [`MetricError::TooSmall`] if a side is below 11
/// after pooling.
pub fn ssim(reference: &Rgb, shown: &Rgb) -> Result<f64, MetricError> {
    Scorer::new().ssim(reference, shown)
}

/// SSIM at full resolution: [`ssim`] without pooling. Equals skimage's `structural_similarity` with
/// `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2`
/// (skimage's *default* is a 7x7 box with sample covariance: up to 0.05 away).
///
/// Range: -1 to 1, 1 for identical pictures.
///
/// Source: as [`ssim`]; PIQ 0.8.0 `piq.ssim(downsample=False)`.
///
/// # Errors
/// As [`ssim`].
pub fn ssim_full(reference: &Rgb, shown: &Rgb) -> Result<f64, MetricError> {
    Scorer::new().ssim_full(reference, shown)
}

impl Scorer {
    /// [`ssim`], of pictures of any depth.
    ///
    /// # Errors
    /// As the free function.
    pub fn ssim<P: RgbPicture>(&mut self, reference: &P, shown: &P) -> Result<f64, MetricError> {
        same_rgb(reference, shown)?;
        let (a, b) = (reference.codes(), shown.codes());
        Private::ssim(self, "ssim", (reference.size(), 3), (a, b), reference.peak(), true)
    }

    /// [`ssim_full`], of pictures of any depth.
    ///
    /// # Errors
    /// As the free function.
    pub fn ssim_full<P: RgbPicture>(&mut self, reference: &P, shown: &P) -> Result<f64, MetricError> {
        same_rgb(reference, shown)?;
        let (a, b) = (reference.codes(), shown.codes());
        Private::ssim(self, "ssim_full", (reference.size(), 3), (a, b), reference.peak(), false)
    }

    /// [`ssim`] (`pooled`) or [`ssim_full`] of two one-channel pictures (luma, the 8-bit visualisation of depth).
    ///
    /// # Errors
    /// As the free functions.
    pub fn ssim_gray(
        &mut self,
        (width, height): (usize, usize),
        reference: &[u8],
        shown: &[u8],
        pooled: bool,
    ) -> Result<f64, MetricError> {
        for p in [reference, shown] {
            whole(width, height, width * height, p.len())?;
        }
        same_size((width, height), (width, height))?;
        let name = if pooled { "ssim" } else { "ssim_full" };
        self.ssim_interleaved(name, ((width, height), 1), (reference, shown), 255, pooled)
    }

    pub(super) fn ssim_interleaved<C: Private>(
        &mut self,
        metric: &'static str,
        ((width, height), channels): ((usize, usize), usize),
        (reference, shown): (&[C], &[C]),
        peak: u16,
        pooled: bool,
    ) -> Result<f64, MetricError> {
        let factor = if pooled { pooling_factor(width, height) } else { 1 };
        let (w, h) = (width / factor, height / factor);
        if w < TAPS || h < TAPS {
            return Err(MetricError::TooSmall { metric, need: TAPS, width: w, height: h });
        }
        let how = (self.level, C::PRECISE);
        let window = Window::gaussian();
        let what = [(Term::Ssim, &window)];
        let peak = f64::from(peak);
        let [sums] = if factor == 1 {
            let plane = |data| Plane { width, height, channels, data };
            pass(how, what, plane(reference), plane(shown), peak, &mut self.scratch)
        } else {
            let peak = peak * (factor * factor) as f64;
            if peak > C::LARGEST as f64 {
                return Err(MetricError::BadArgument {
                    metric,
                    what: format!("{width}x{height} is beyond the largest picture supported"),
                });
            }
            let mut pools = std::mem::take(C::pools(self));
            let [a, b] = &mut pools.pairs[0];
            for (data, out) in [(reference, &mut *a), (shown, &mut *b)] {
                pool(data, (width, height), channels, factor, (false, false), &mut pools.row, out);
            }
            let plane = |data| Plane { width: w, height: h, channels, data };
            let sums = pass(how, what, plane(&a[..]), plane(&b[..]), peak, &mut self.scratch);
            *C::pools(self) = pools;
            sums
        };
        Ok(mean(&sums, channels))
    }
}

pub(super) fn mean(sums: &Sums, channels: usize) -> f64 {
    let total: f64 = sums.sum[..channels].iter().sum();
    total / (sums.windows * channels) as f64
}

/// `max(1, round(min(height, width) / 256))`, halves to even as Python's `round`.
pub(super) fn pooling_factor(width: usize, height: usize) -> usize {
    ((width.min(height) as f64 / 256.0).round_ties_even() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::pooling_factor;

    #[test]
    fn halves_round_to_even() {
        let factors: Vec<usize> =
            [100, 384, 385, 512, 640, 641, 896, 1080].iter().map(|&s| pooling_factor(s, s + 7)).collect();
        assert_eq!(factors, [1, 2, 2, 2, 2, 3, 4, 4]);
    }
}
