//! Metrics of a whole session: what happened when, not what it looked like.

mod bitrate;
mod definitions;
mod freeze;
mod latency;
mod non_rendered;

pub use bitrate::{Place, Window, realised_loss, redundancy, with_headers};
pub use definitions::SESSION_DEFINITIONS;
pub use freeze::{Freeze, FreezeRule, FreezeSummary, FrozenRuns, Screen, Startup, freezes, frozen_runs};
pub use latency::{NEVER_RENDERED_NS, latency, latency_penalised};
pub use non_rendered::{
    PSNR_THETA_DB, non_rendered_of_sent, non_rendered_play, non_rendered_psnr, theta_sweep,
};
