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
//! | the same on any format | [`Scorer::ffmpeg_psnr_of`], [`Scorer::ffmpeg_ssim_of`] | dB; -1..1 |
//! | depth: RMSE, abs-rel, delta1; D1 and D2 | [`depth_errors`], [`cloud_psnr`] | mm, ratios; dB |
//! | freezes under five definitions, frozen runs | [`Screen`], [`freezes`], [`frozen_runs`] | ns, slots |
//! | time to the first picture | [`Screen::startup`] | ns |
//! | non-rendered frames, both ways | [`non_rendered_play`], [`non_rendered_psnr`] | percent |
//! | latency, plain and penalised | [`latency()`], [`latency_penalised`] | ns |
//! | rates, redundancy, loss | [`Window`], [`redundancy`], [`realised_loss`] | bit/s, ratio |
//! | the words for all of these | [`SESSION_DEFINITIONS`] | |
//! | intervals, tests, Bjontegaard deltas | [`stats`] | |
//!
//! LPIPS needs a neural network and lives in the crate `models`; its names and limits are here ([`lpips`]).
//!
//! Score many frames with one [`Scorer`] per thread: it allocates nothing per frame.

mod cloud;
mod depth;
mod error;
pub mod lpips;
mod picture;
mod session;
pub mod stats;
mod summary;

pub use depth::{CloudPsnr, DepthErrors, Intrinsics, cloud_psnr, depth_errors};
pub use error::MetricError;
pub use picture::{
    Code, FfmpegPsnr, FfmpegSsim, RgbPicture, Scorer, SimdLevel, ffmpeg_psnr, ffmpeg_ssim, ms_ssim, psnr,
    psnr_of_sse, sse, ssim, ssim_full,
};
pub use session::{
    Freeze, FreezeRule, FreezeSummary, FrozenRuns, NEVER_RENDERED_NS, PSNR_THETA_DB, Place,
    SESSION_DEFINITIONS, Screen, Startup, Window, freezes, frozen_runs, latency, latency_penalised,
    non_rendered_of_sent, non_rendered_play, non_rendered_psnr, realised_loss, redundancy, theta_sweep,
    with_headers,
};
pub use summary::{
    Better, Dist, Durations, mean, nearest_rank, percentile, percentile_of_sorted, psnr_of_mean_error,
    worst10,
};
