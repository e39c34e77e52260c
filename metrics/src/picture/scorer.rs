//! Picture metrics with reused memory.

use super::ffmpeg::BlockRows;
use super::lanes::SimdLevel;
use super::window::Scratch;
use super::{psnr, same_rgb};
use crate::MetricError;
use media::Rgb;

/// Scores picture pairs without allocating per frame: keep one per thread.
///
/// ```
/// # use media::Rgb;
/// let mut scorer = metrics::Scorer::new();
/// let picture = Rgb::black(64, 64);
/// assert_eq!(scorer.ssim(&picture, &picture), Ok(1.0));
/// assert_eq!(scorer.psnr(&picture, &picture), Ok(80.0));
/// ```
pub struct Scorer {
    pub(super) level: SimdLevel,
    pub(super) scratch: Scratch,
    pub(super) row: Vec<u16>,
    /// Pooled reference and shown picture; MS-SSIM alternates between the two pairs.
    pub(super) pooled: [[Vec<u16>; 2]; 2],
    pub(super) blocks: BlockRows,
}

impl Default for Scorer {
    fn default() -> Self {
        Self::new()
    }
}

impl Scorer {
    /// A scorer on this machine's best instruction set.
    #[must_use]
    pub fn new() -> Self {
        Self::with_level(SimdLevel::best())
    }

    /// A scorer on a given instruction set (or the best there is, if that is less): for tests and benchmarks.
    #[must_use]
    pub fn with_level(level: SimdLevel) -> Self {
        Self {
            level: level.supported(),
            scratch: Scratch::default(),
            row: Vec::new(),
            blocks: BlockRows::default(),
            pooled: std::array::from_fn(|_| std::array::from_fn(|_| Vec::new())),
        }
    }

    /// [`crate::psnr`].
    ///
    /// # Errors
    /// As the free function.
    pub fn psnr(&mut self, reference: &Rgb, shown: &Rgb) -> Result<f64, MetricError> {
        same_rgb(reference, shown)?;
        psnr::psnr_of_sse(psnr::sse_at(self.level, &reference.data, &shown.data), reference.data.len() as u64)
    }
}
