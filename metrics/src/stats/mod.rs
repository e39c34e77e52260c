//! Statistics over runs. The unit is the clip, the trace or the seed ([`Unit`]), never the frame: frames of one run are not
//! independent, and an interval over frames is far too narrow.

mod bd;
mod holm;
mod interval;
mod paired;
mod pchip;
mod power;
mod random;
mod replicates;
mod wilcoxon;

pub use bd::{BdError, RatePoint, bd_quality, bd_rate};
pub use holm::holm;
pub use interval::{Estimate, Interval, LEAST_UNITS, Tested, crossed, estimate, jackknife, student};
pub use paired::{Comparison, Evidence, Pair, compare};
pub use pchip::Pchip;
pub use power::{MOST_UNITS, Needed, needed, power};
pub use random::Random;
pub use replicates::{Observation, Unit};
pub use wilcoxon::{Method, Wilcoxon, Zeros, wilcoxon_signed_rank};

use interval::mean_and_error;
