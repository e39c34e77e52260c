//! Picture metrics with reused memory.

use super::ffmpeg::BlockRows;
use super::lanes::{Sample, SimdLevel};
use super::pool::{Pools, Total};
use super::window::Scratch;
use super::{psnr, same_rgb};
use crate::MetricError;
use media::{Rgb, Rgb16};

/// Samples that the picture metrics take: 8 bits, or up to 16, which are then reckoned with in double precision throughout.
pub trait Code: private::Code {}
impl Code for u8 {}
impl Code for u16 {}

/// An RGB picture that the picture metrics take.
pub trait RgbPicture {
    /// Its samples.
    type Code: Code;
    /// Columns and rows.
    fn size(&self) -> (usize, usize);
    /// R, G, B of the first pixel, and so on row by row.
    fn codes(&self) -> &[Self::Code];
    /// The code of white.
    fn peak(&self) -> u16;
}

impl RgbPicture for Rgb {
    type Code = u8;
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }
    fn codes(&self) -> &[u8] {
        &self.data
    }
    fn peak(&self) -> u16 {
        255
    }
}

impl RgbPicture for Rgb16 {
    type Code = u16;
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }
    fn codes(&self) -> &[u16] {
        &self.data
    }
    fn peak(&self) -> u16 {
        self.peak
    }
}

pub(super) mod private {
    use super::{Pools, Sample, Scorer, SimdLevel, Total, psnr};
    use crate::MetricError;

    /// Columns and rows, and channels.
    pub type Shape = ((usize, usize), usize);

    /// What the kernels need to know of a sample type.
    #[allow(private_interfaces, private_bounds, reason = "sealed: only this crate implements it")]
    pub trait Code: Sample + Into<Self::Sum> {
        /// Holds sums of samples.
        type Sum: Sample + Total + Into<Self::Sum>;
        /// Largest sum that fits, and that the kernels read.
        const LARGEST: u64;
        /// Double precision whatever the size.
        const PRECISE: bool;
        fn sse(level: SimdLevel, a: &[Self], b: &[Self]) -> u64;
        fn pools(scorer: &mut Scorer) -> &mut Pools<Self::Sum>;
        // Concrete functions, so that the kernels are compiled in this crate and not with the caller's overflow checks.
        fn ssim(
            scorer: &mut Scorer,
            metric: &'static str,
            shape: Shape,
            pair: (&[Self], &[Self]),
            peak: u16,
            pooled: bool,
        ) -> Result<f64, MetricError>;
        fn ms_ssim(
            scorer: &mut Scorer,
            shape: Shape,
            pair: (&[Self], &[Self]),
            peak: u16,
            with_ssim: bool,
        ) -> Result<(f64, f64), MetricError>;
    }

    macro_rules! structural {
        () => {
            fn ssim(
                scorer: &mut Scorer,
                metric: &'static str,
                shape: Shape,
                pair: (&[Self], &[Self]),
                peak: u16,
                pooled: bool,
            ) -> Result<f64, MetricError> {
                scorer.ssim_interleaved(metric, shape, pair, peak, pooled)
            }
            fn ms_ssim(
                scorer: &mut Scorer,
                shape: Shape,
                pair: (&[Self], &[Self]),
                peak: u16,
                with_ssim: bool,
            ) -> Result<(f64, f64), MetricError> {
                scorer.ms_ssim_interleaved(shape, pair, peak, with_ssim)
            }
        };
    }

    #[allow(private_interfaces)]
    impl Code for u8 {
        type Sum = u16;
        const LARGEST: u64 = u16::MAX as u64;
        const PRECISE: bool = false;
        fn sse(level: SimdLevel, a: &[Self], b: &[Self]) -> u64 {
            psnr::sse_at(level, a, b)
        }
        fn pools(scorer: &mut Scorer) -> &mut Pools<u16> {
            &mut scorer.pools
        }
        structural!();
    }

    #[allow(private_interfaces)]
    impl Code for u16 {
        type Sum = u32;
        const LARGEST: u64 = i32::MAX as u64;
        const PRECISE: bool = true;
        fn sse(_: SimdLevel, a: &[Self], b: &[Self]) -> u64 {
            psnr::sse16(a, b)
        }
        fn pools(scorer: &mut Scorer) -> &mut Pools<u32> {
            &mut scorer.deep_pools
        }
        structural!();
    }
}

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
    pub(super) pools: Pools<u16>,
    pub(super) deep_pools: Pools<u32>,
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
            pools: Pools::default(),
            deep_pools: Pools::default(),
            blocks: BlockRows::default(),
        }
    }

    /// [`crate::psnr`], of pictures of any depth.
    ///
    /// # Errors
    /// As the free function.
    pub fn psnr<P: RgbPicture>(&mut self, reference: &P, shown: &P) -> Result<f64, MetricError> {
        use private::Code as _;
        same_rgb(reference, shown)?;
        let (a, b) = (reference.codes(), shown.codes());
        psnr::psnr_at(P::Code::sse(self.level, a, b), a.len() as u64, reference.peak())
    }
}
