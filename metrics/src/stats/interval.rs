//! Intervals of a mean.

use super::random::Random;
use super::replicates::{Observation, Replicates, Unit, without_repeats};
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::collections::BTreeMap;

/// Fewer units than this get no interval and no test: with 5, no pattern of signs is rarer than 6 %, and the spread of so few
/// values says next to nothing.
pub const LEAST_UNITS: usize = 6;

/// Resamples of the bootstrap, and where its random numbers begin, so that equal values give equal intervals.
const RESAMPLES: usize = 9_999;
const SEED: u64 = 0x000F_5EED;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    fn around(mean: f64, half: f64) -> Self {
        Self { low: mean - half, high: mean + half }
    }
}

/// The mean of one system's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean of the units' means.
    pub mean: f64,
    /// 95 % interval; absent below [`LEAST_UNITS`] units and where no two units differ.
    pub interval: Option<Interval>,
    /// What was averaged over.
    pub unit: Unit,
    /// How many of them.
    pub units: usize,
    /// How many values in all.
    pub n: usize,
}

/// Mean and Student's 95 % interval of values from runs; `None` without values. Clips are the units where there are several:
/// from [`LEAST_UNITS`] clips on the interval is one for clips like these (and, where clips share seeds, for loss patterns
/// like these: [`crossed`]). Two to five clips cannot speak for others: their seeds are the units, each averaged over the
/// clips, and the interval is one for these very clips.
#[must_use]
pub fn estimate(observations: &[Observation]) -> Option<Estimate> {
    let n = observations.len();
    let observations = &without_repeats(observations)[..];
    let few_clips = Replicates::of(observations);
    let clips = match few_clips.unit {
        Unit::Clip => few_clips.means().len(),
        _ => 1,
    };
    let tree =
        if (2..LEAST_UNITS).contains(&clips) { Replicates::of(&over_clips(observations)) } else { few_clips };
    let values = tree.means();
    let mean = crate::mean(&values)?;
    let interval = if values.len() < LEAST_UNITS || all_alike(&values) {
        None
    } else {
        match (tree.unit, crossed(observations)) {
            (Unit::Clip, Some(crossed)) => Some(crossed.interval),
            _ => student(&values),
        }
    };
    Some(Estimate { mean, interval, unit: tree.unit, units: values.len(), n })
}

/// Every seed's values averaged over clips.
fn over_clips(observations: &[Observation]) -> Vec<Observation> {
    let mut seeds: BTreeMap<(usize, u64), Vec<f64>> = BTreeMap::new();
    for o in observations {
        seeds.entry((o.trace, o.seed)).or_default().push(o.value);
    }
    let of = |((trace, seed), values): ((usize, u64), Vec<f64>)| {
        Some(Observation { clip: 0, trace, seed, value: crate::mean(&values)? })
    };
    seeds.into_iter().filter_map(of).collect()
}

/// True if no two values differ by more than rounding does.
pub(super) fn all_alike(values: &[f64]) -> bool {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    high - low <= 1e-9 * low.abs().max(high.abs())
}

/// Student's 95 % interval of the mean; `None` below 2 values.
///
/// Source: Student, Biometrika 6(1), 1908.
#[must_use]
pub fn student(values: &[f64]) -> Option<Interval> {
    let (mean, error) = mean_and_error(values)?;
    Some(Interval::around(mean, error * t_quantile(0.975, values.len() as f64 - 1.0)))
}

/// Student's 95 % interval of any statistic of `n` units by the jackknife: `without` has the statistic of all units but one, for
/// each of them. `None` below 2.
///
/// Source: Tukey, Annals of Mathematical Statistics 29(2), 1958; Efron, Tibshirani, "An Introduction to the Bootstrap", 1993,
/// chapter 11.
#[must_use]
pub fn jackknife(all: f64, without: &[f64]) -> Option<Interval> {
    let n = without.len() as f64;
    let mean = crate::mean(without).filter(|_| n > 1.0)?;
    let error = (without.iter().map(|v| (v - mean).powi(2)).sum::<f64>() * (n - 1.0) / n).sqrt();
    Some(Interval::around(all, error * t_quantile(0.975, n - 1.0)))
}

/// Mean, and its standard error.
pub(super) fn mean_and_error(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = crate::mean(values).filter(|_| n > 1.0)?;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    Some((mean, (squares / (n - 1.0) / n).sqrt()))
}

pub(super) fn t_quantile(p: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(p))
}

/// Two-sided p-value of a t statistic.
fn t_two_sided(t: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |d| (2.0 * d.cdf(-t.abs())).min(1.0))
}

/// An interval and the p-value of its test that the mean is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// 95 % interval of the mean; an end may be infinite.
    pub interval: Interval,
    /// Two-sided; at most .05 just where the interval leaves out zero.
    pub p: f64,
}

/// Studentised bootstrap over units and, within them, what they are made of: every resample has a t statistic of its own
/// (its mean against the mean, by its own standard error over units), and their quantiles take the place of Student's. The
/// interval leans to the side of a skewed sample's long tail, where Student's misses.
///
/// Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 12.5 (bootstrap-t); Davison, Hinkley,
/// "Bootstrap Methods and their Application", 1997, chapter 3.8 (resampling of a hierarchy).
pub(super) fn studentised_bootstrap(tree: &Replicates) -> Option<Tested> {
    let (mean, error) = mean_and_error(&tree.means())?;
    let mut random = Random::new(SEED);
    let mut means = Vec::new();
    // A resample of equal values has no scale: it counts as farther out than any other, on both sides.
    let (mut statistics, mut without_scale) = (Vec::with_capacity(RESAMPLES), 0);
    for _ in 0..RESAMPLES {
        tree.resample(&mut random, &mut means);
        match mean_and_error(&means) {
            Some((m, e)) if e > 1e-9 * error => statistics.push((m - mean) / e),
            _ => without_scale += 1,
        }
    }
    statistics.sort_unstable_by(f64::total_cmp);
    let own = mean / error;
    let below = statistics.partition_point(|t| *t <= own) + without_scale;
    let above = statistics.len() - statistics.partition_point(|t| *t < own) + without_scale;
    let p = (2.0 * (below.min(above) + 1) as f64 / (RESAMPLES + 1) as f64).min(1.0);
    // The 250th of 9,999 from either end.
    let rank = (RESAMPLES + 1) / 40;
    let (low, high) = match rank.checked_sub(without_scale + 1) {
        Some(place) if place < statistics.len() => {
            let (least, most) = (statistics[place], statistics[statistics.len() - 1 - place]);
            (mean - most * error, mean - least * error)
        }
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    Some(Tested { interval: Interval { low, high }, p })
}

/// Clips and seeds at once. Equal seeds are equal loss patterns, so where several clips share seeds, a pattern that happens to
/// hurt one system hurts it in all clips, and clips alone would look like far more evidence than they are. The variance of
/// the mean is that over clips plus that over seeds (a little too large, never too small), Student's t with Satterthwaite's
/// degrees of freedom; the p-value is the larger of this and of Student's test over seeds alone. `None` unless there are
/// several clips, several seeds, and a seed that two clips share.
///
/// Source: Satterthwaite, Biometrics Bulletin 2(6), 1946; Owen, Annals of Applied Statistics 1(2), 2007 (why the sum is
/// conservative for crossed effects); Clark, Journal of Verbal Learning and Verbal Behavior 12, 1973 (why both are needed).
#[must_use]
pub fn crossed(observations: &[Observation]) -> Option<Tested> {
    let means = |key: &dyn Fn(&Observation) -> u64| -> Vec<f64> {
        let mut by: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for o in observations {
            by.entry(key(o)).or_default().push(o.value);
        }
        by.values().filter_map(|v| crate::mean(v)).collect()
    };
    let (clips, seeds) = (means(&|o| o.clip as u64), means(&|o| o.seed));
    if clips.len() < 2 || seeds.len() < 2 || seeds.len() == observations.len() {
        return None;
    }
    let ((mean, by_clip), (_, by_seed)) = (mean_and_error(&clips)?, mean_and_error(&seeds)?);
    let (v, w) = (by_clip.powi(2), by_seed.powi(2));
    let freedom = (v + w).powi(2) / (v * v / (clips.len() as f64 - 1.0) + w * w / (seeds.len() as f64 - 1.0));
    if !freedom.is_finite() {
        return None;
    }
    let freedom = freedom.max(1.0);
    let error = (v + w).sqrt();
    let seeds_alone = if w > 0.0 { t_two_sided(mean / by_seed, seeds.len() as f64 - 1.0) } else { 0.0 };
    // One number of degrees of freedom and one error for both: the wider of the two intervals.
    let half =
        (error * t_quantile(0.975, freedom)).max(by_seed * t_quantile(0.975, seeds.len() as f64 - 1.0));
    Some(Tested {
        interval: Interval::around(mean, half),
        p: t_two_sided(mean / error, freedom).max(seeds_alone),
    })
}
