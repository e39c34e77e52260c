//! Two systems under the same conditions.

use super::interval::{LEAST_UNITS, all_alike, crossed, studentised_bootstrap};
use super::replicates::{Observation, Replicates, Unit, without_repeats};
use super::wilcoxon::{Zeros, wilcoxon_signed_rank};
use super::{Interval, mean_and_error};
use crate::MetricError;

/// One condition (clip, trace, seed) that both systems were run under, and what each of them reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Which clip; numbers are names.
    pub clip: usize,
    /// Which trace.
    pub trace: usize,
    /// Which seed.
    pub seed: u64,
    /// The first system's value.
    pub first: f64,
    /// The second system's value.
    pub second: f64,
}

impl Pair {
    /// First minus second; zero where they differ by rounding alone.
    fn difference(&self) -> Observation {
        let d = self.first - self.second;
        let rounding = 1e-9 * self.first.abs().max(self.second.abs());
        let value = if d.abs() <= rounding { 0.0 } else { d };
        Observation { clip: self.clip, trace: self.trace, seed: self.seed, value }
    }
}

/// What the pairs say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Evidence {
    /// Fewer than [`LEAST_UNITS`] units: neither interval nor test.
    TooFew,
    /// All units have the same difference: there is nothing to tell chance by. Repeats of one deterministic condition are
    /// one observation.
    NoVariation,
    /// Tested.
    Tested {
        /// 95 % interval of the mean difference; absent where the values are too much alike for one (most are equal).
        interval: Option<Interval>,
        /// Two-sided p-value of this comparison alone.
        p: f64,
    },
}

/// A paired comparison, first system minus second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Mean of the units' mean differences.
    pub mean: f64,
    /// Standard deviation of the units' mean differences; absent below 2 units.
    pub spread: Option<f64>,
    /// The unit of replication.
    pub unit: Unit,
    /// How many there are.
    pub units: usize,
    /// Pairs in all.
    pub pairs: usize,
    /// Distinct seeds.
    pub seeds: usize,
    /// Interval and test.
    pub evidence: Evidence,
}

/// Compares two systems over pairs. A difference counts only if two tests agree, so the p-value is the larger of:
///
/// * Wilcoxon's signed-rank test over units, exact with ties, zeros by Pratt's rule. Null hypothesis: exchanging the two
///   systems changes nothing (differences are symmetric about zero).
/// * the studentised bootstrap over units and what is below them. Null hypothesis: the mean difference is zero.
/// * where clips share several seeds: [`crossed`].
///
/// Where only the mean is zero but the differences are skewed, the first alone would find a difference too often; where a
/// few values are far out, the second alone would.
///
/// # Errors
/// [`MetricError`] without pairs, or if a value is not finite.
pub fn compare(pairs: &[Pair]) -> Result<Comparison, MetricError> {
    if pairs.is_empty() {
        return Err(MetricError::Nothing { metric: "compare", why: "there are no pairs" });
    }
    if let Some(bad) = pairs.iter().find(|p| !(p.first - p.second).is_finite()) {
        let what = format!("a pair has no finite difference ({} and {})", bad.first, bad.second);
        return Err(MetricError::BadArgument { metric: "compare", what });
    }
    let differences = without_repeats(&pairs.iter().map(Pair::difference).collect::<Vec<_>>());
    let tree = Replicates::of(&differences);
    let means = tree.means();
    let units = means.len();
    let evidence = if units < LEAST_UNITS {
        Evidence::TooFew
    } else if all_alike(&means) {
        Evidence::NoVariation
    } else {
        tested(&tree, &means, &differences)?
    };
    let mut seeds: Vec<u64> = pairs.iter().map(|p| p.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    Ok(Comparison {
        mean: means.iter().sum::<f64>() / units as f64,
        spread: mean_and_error(&means).map(|(_, error)| error * (units as f64).sqrt()),
        unit: tree.unit,
        units,
        pairs: pairs.len(),
        seeds: seeds.len(),
        evidence,
    })
}

fn tested(tree: &Replicates, means: &[f64], differences: &[Observation]) -> Result<Evidence, MetricError> {
    let ranks = wilcoxon_signed_rank(means, Zeros::Pratt)?;
    let Some(bootstrap) = studentised_bootstrap(tree) else { return Ok(Evidence::TooFew) };
    let (mut interval, mut p) = (bootstrap.interval, ranks.p.max(bootstrap.p));
    if tree.unit == Unit::Clip
        && let Some(both) = crossed(differences)
    {
        interval.low = interval.low.min(both.interval.low);
        interval.high = interval.high.max(both.interval.high);
        p = p.max(both.p);
    }
    let finite = interval.low.is_finite() && interval.high.is_finite();
    Ok(Evidence::Tested { interval: finite.then_some(interval), p })
}
