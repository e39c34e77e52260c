//! Metrics of one picture against another.

mod ffmpeg;
mod lanes;
mod ms_ssim;
mod pool;
mod psnr;
mod scorer;
mod ssim;
mod window;

pub use ffmpeg::{FfmpegPsnr, FfmpegSsim, ffmpeg_psnr, ffmpeg_ssim};
pub use lanes::SimdLevel;
pub use ms_ssim::ms_ssim;
pub use psnr::{psnr, psnr_of_sse, sse};
pub use scorer::Scorer;
pub use ssim::{ssim, ssim_full};

use crate::MetricError;
use media::Rgb;

/// Both pictures have the same size and as many samples as it asks for.
fn same_rgb(reference: &Rgb, shown: &Rgb) -> Result<(), MetricError> {
    same_size((reference.width, reference.height), (shown.width, shown.height))?;
    for p in [reference, shown] {
        whole(p.width, p.height, 3 * p.width * p.height, p.data.len())?;
    }
    Ok(())
}

pub(crate) fn same_size(reference: (usize, usize), shown: (usize, usize)) -> Result<(), MetricError> {
    if reference == shown {
        return Ok(());
    }
    Err(MetricError::SizeMismatch {
        reference_width: reference.0,
        reference_height: reference.1,
        shown_width: shown.0,
        shown_height: shown.1,
    })
}

pub(crate) fn whole(width: usize, height: usize, expected: usize, found: usize) -> Result<(), MetricError> {
    if expected == found {
        return Ok(());
    }
    Err(MetricError::BadBuffer { width, height, expected, found })
}
