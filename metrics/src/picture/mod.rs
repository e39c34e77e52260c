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
pub use scorer::{Code, RgbPicture};
pub use ssim::{ssim, ssim_full};

use crate::MetricError;

/// Both pictures have the same size and peak, and as many samples as the size asks for.
fn same_rgb<P: RgbPicture>(reference: &P, shown: &P) -> Result<(), MetricError> {
    same_size(reference.size(), shown.size())?;
    for p in [reference, shown] {
        let (width, height) = p.size();
        whole(width, height, 3 * width * height, p.codes().len())?;
    }
    same_peak(reference.peak(), shown.peak())
}

fn same_peak(reference: u16, shown: u16) -> Result<(), MetricError> {
    if reference == shown {
        return Ok(());
    }
    let what = format!("white is {reference} in the reference and {shown} in the shown picture");
    Err(MetricError::BadArgument { metric: "picture metrics", what })
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
