//! Paired bootstrap.

use crate::MetricError;

/// A mean difference and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean of `a - b` over the pairs.
    pub mean: f64,
    /// 2.5th percentile of the resampled means.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
    /// Pairs.
    pub pairs: usize,
    /// Resamples.
    pub resamples: u32,
}

/// 95 % percentile-bootstrap interval of the mean difference of pairs (same clip, trace and seed): the differences are
/// drawn with replacement. Seeded: equal inputs give equal intervals on every machine.
///
/// Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
///
/// # Errors
/// [`MetricError::BadArgument`] if the lists differ in length, have fewer than 2 pairs, hold a value that is not finite,
/// or `resamples` is below 10 000.
pub fn paired_bootstrap(a: &[f64], b: &[f64], resamples: u32, seed: u64) -> Result<Interval, MetricError> {
    let differences = differences("paired_bootstrap", a, b)?;
    let bad = |what: String| MetricError::BadArgument { metric: "paired_bootstrap", what };
    if differences.len() < 2 {
        return Err(bad(format!("needs at least 2 pairs, got {}", differences.len())));
    }
    if resamples < 10_000 {
        return Err(bad(format!("needs at least 10000 resamples, got {resamples}")));
    }
    let n = differences.len();
    let mut random = SplitMix64(seed);
    let means: Vec<f64> = (0..resamples)
        .map(|_| (0..n).map(|_| differences[random.below(n)]).sum::<f64>() / n as f64)
        .collect();
    let at = |p| crate::summary::percentile(&means, p).unwrap_or(f64::NAN);
    Ok(Interval {
        mean: differences.iter().sum::<f64>() / n as f64,
        low: at(2.5),
        high: at(97.5),
        pairs: n,
        resamples,
    })
}

pub(super) fn differences(metric: &'static str, a: &[f64], b: &[f64]) -> Result<Vec<f64>, MetricError> {
    let bad = |what: String| Err(MetricError::BadArgument { metric, what });
    if a.len() != b.len() {
        return bad(format!("paired lists differ in length: {} and {}", a.len(), b.len()));
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(x, y)| x - y).collect();
    match differences.iter().position(|d| !d.is_finite()) {
        Some(i) => bad(format!("pair {i} has no finite difference ({} and {})", a[i], b[i])),
        None => Ok(differences),
    }
}

/// Steele, Lea, Flood, OOPSLA 2014; a generator small enough to be the same everywhere, for ever.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform below `n`; the bias of at most `n / 2^64` is beyond any resample count.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}
