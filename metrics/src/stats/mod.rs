//! Statistics over runs. The unit is clip x trace x seed, never the frame: frames of one run are not independent, and
//! an interval over frames is far too narrow.

mod bd;
mod bootstrap;
mod pchip;
mod wilcoxon;

pub use bd::{BdError, RatePoint, bd_quality, bd_rate};
pub use bootstrap::{Interval, paired_bootstrap};
pub use pchip::Pchip;
pub use wilcoxon::{Method, Wilcoxon, holm, wilcoxon_signed_rank};
