//! Picture and session metrics with named definitions.
//!
//! A number is comparable only together with its definition, so every metric here has one name, one definition and
//! one source; docs/METRICS.md is the user's page.
//!
//! | what | where | unit, range |
//! |---|---|---|
//! | PSNR (PIQ) | [`psnr`] | dB, 0..80 |
//! | SSIM, pooled (PIQ's default) and full resolution | [`ssim`], [`ssim_full`] | -1..1 |
//! | MS-SSIM (pytorch_msssim) | [`ms_ssim`] | 0..1 |
//! | FFmpeg's filters on 4:2:0 | [`ffmpeg_psnr`], [`ffmpeg_ssim`] | dB; -1..1 |
//!
//! Score many frames with one [`Scorer`] per thread: it allocates nothing per frame.

mod error;
mod picture;

pub use error::MetricError;
pub use picture::{
    FfmpegPsnr, FfmpegPsnrClip, FfmpegSsim, Scorer, SimdLevel, ffmpeg_psnr, ffmpeg_ssim, ms_ssim, psnr,
    psnr_below, psnr_of_sse, sse, ssim, ssim_full,
};
