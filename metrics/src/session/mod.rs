//! Metrics of a whole session: what happened when, not what it looked like.

mod bitrate;
mod freeze;
mod latency;
mod non_rendered;

pub use bitrate::{bits_per_second, redundancy, with_headers};
pub use freeze::{
    Freeze, FreezeRule, FreezeSummary, FrozenRuns, freezes, frozen_runs, harmonic_fps, revo_corrupted_mask,
    revo_frozen_mask,
};
pub use latency::{Latency, NEVER_RENDERED_NS};
pub use non_rendered::{PSNR_THETA_DB, non_rendered_play, non_rendered_psnr, theta_sweep};
