//! How many units a difference needs.

use super::interval::{LEAST_UNITS, t_quantile};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// How many units (seeds, clips) it takes to find a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// With the spread that was seen.
    pub units: usize,
    /// With the largest spread that goes with what was seen (upper end of its one-sided 90 % interval): what to plan for when
    /// few pairs were seen.
    pub at_most: usize,
}

/// More units than this are not counted.
pub const MOST_UNITS: usize = 1_000_000;

/// Units that find a true mean difference of `difference` in four of five experiments (power 80 %) by [`super::compare`], when
/// differences between units spread by `spread` (standard deviation, seen over `seen` units) and `family` comparisons are
/// made at once (level .05, Holm's first step). `None` for a difference of zero, a spread that is not positive, or where
/// more than [`MOST_UNITS`] would be needed.
///
/// The smallest n at which the t-test of n x 3/pi units (Wilcoxon's efficiency under the normal distribution) has this power,
/// by the normal approximation of the noncentral t distribution; at least [`LEAST_UNITS`], and so many that the smallest
/// p-value there is, 2^(1-n), can pass the corrected level.
///
/// Source: Lehmann, "Nonparametrics", 1975, chapter 4 (efficiency); Johnson, Welch, Biometrika 31, 1940 (approximation).
#[must_use]
pub fn needed(difference: f64, spread: f64, seen: usize, family: usize) -> Option<Needed> {
    if !(difference != 0.0 && difference.is_finite() && spread > 0.0 && spread.is_finite() && seen > 1) {
        return None;
    }
    let level = 0.05 / family.max(1) as f64;
    let freedom = seen as f64 - 1.0;
    let least = ChiSquared::new(freedom).ok()?.inverse_cdf(0.1);
    let units = smallest(difference.abs() / spread, level)?;
    let at_most = smallest(difference.abs() / (spread * (freedom / least).sqrt()), level)?;
    Some(Needed { units, at_most })
}

/// Smallest number of units with power .8 for an effect in standard deviations.
fn smallest(effect: f64, level: f64) -> Option<usize> {
    let exact = 1 + (1.0 / level).log2().ceil() as usize;
    let (mut low, mut high) = (LEAST_UNITS.max(exact), MOST_UNITS);
    if power(effect, high, level) < 0.8 {
        return None;
    }
    while low < high {
        let middle = usize::midpoint(low, high);
        if power(effect, middle, level) >= 0.8 {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// Chance to find an effect (mean over standard deviation) with `n` units at a level.
#[must_use]
pub fn power(effect: f64, n: usize, level: f64) -> f64 {
    let freedom = n as f64 - 1.0;
    let limit = t_quantile(1.0 - level / 2.0, freedom);
    let centre = effect.abs() * (n as f64 * 3.0 / std::f64::consts::PI).sqrt();
    let z = (limit * (1.0 - 1.0 / (4.0 * freedom)) - centre) / (1.0 + limit * limit / (2.0 * freedom)).sqrt();
    Normal::standard().sf(z)
}
