//! Wilcoxon's signed-rank test, and Holm's correction for many tests.

use super::bootstrap::differences;
use crate::MetricError;

/// How a p-value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// From the exact distribution of the rank sum.
    Exact,
    /// Normal approximation with tie correction, without continuity correction.
    Normal,
}

/// Result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wilcoxon {
    /// Sum of the ranks of positive differences.
    pub rank_sum_positive: f64,
    /// Sum of the ranks of negative differences.
    pub rank_sum_negative: f64,
    /// Pairs that differ; the others are left out (Wilcoxon's own treatment of zeros).
    pub n: usize,
    /// Two-sided p-value.
    pub p: f64,
    /// Where it comes from.
    pub method: Method,
}

/// Largest n for which the exact distribution is used (if no differences are tied).
const EXACT_UP_TO: usize = 50;

/// Two-sided signed-rank test that the paired differences `a - b` are symmetric about zero. Exact for up to 50 pairs
/// without ties, otherwise the normal approximation with tie correction. If no pair differs, p = 1.
///
/// Source: Wilcoxon, Biometrics Bulletin 1(6), 1945; agrees with scipy's `wilcoxon` (`zero_method="wilcox"`,
/// `correction=False`, method `exact` or `approx`).
///
/// # Errors
/// [`MetricError::BadArgument`] if the lists differ in length or a difference is not finite.
pub fn wilcoxon_signed_rank(a: &[f64], b: &[f64]) -> Result<Wilcoxon, MetricError> {
    let mut d = differences("wilcoxon_signed_rank", a, b)?;
    d.retain(|v| *v != 0.0);
    d.sort_by(|x, y| x.abs().total_cmp(&y.abs()));
    let n = d.len();
    let (mut positive, mut negative, mut ties) = (0.0, 0.0, 0.0);
    let mut rank = 0;
    for group in d.chunk_by(|x, y| x.abs() == y.abs()) {
        let size = group.len() as f64;
        // Mean of ranks rank+1 ..= rank+size.
        let shared = rank as f64 + (size + 1.0) / 2.0;
        let up = group.iter().filter(|v| **v > 0.0).count() as f64;
        positive += shared * up;
        negative += shared * (size - up);
        ties += size * size * size - size;
        rank += group.len();
    }
    let statistic = f64::min(positive, negative);
    let (p, method) = if n == 0 {
        (1.0, Method::Exact)
    } else if n <= EXACT_UP_TO && ties == 0.0 {
        (exact_two_sided(n, statistic as usize), Method::Exact)
    } else {
        let n = n as f64;
        let mean = n * (n + 1.0) / 4.0;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
        (erfc((mean - statistic) / variance.sqrt() / std::f64::consts::SQRT_2).min(1.0), Method::Normal)
    };
    Ok(Wilcoxon { rank_sum_positive: positive, rank_sum_negative: negative, n, p, method })
}

/// `2 P(W <= w)` for W the sum of a random subset of 1..=n, at most 1. Counts below 2^50 are exact in a double.
fn exact_two_sided(n: usize, w: usize) -> f64 {
    let mut ways = vec![0.0; n * (n + 1) / 2 + 1];
    ways[0] = 1.0;
    for r in 1..=n {
        for s in (r..ways.len()).rev() {
            ways[s] += ways[s - r];
        }
    }
    let below: f64 = ways[..=w].iter().sum();
    (2.0 * below / 2f64.powi(n as i32)).min(1.0)
}

/// Complementary error function for `x >= 0`, relative error below 1e-13: a Taylor series near zero, Lentz's continued
/// fraction beyond (Abramowitz, Stegun 7.1.5, 7.1.14).
fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        let (mut term, mut sum, mut k) = (x, x, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            k += 1.0;
            term *= -x * x / k;
            sum += term / (2.0 * k + 1.0);
        }
        return 1.0 - sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = x;
    for k in (1..=200).rev() {
        fraction = x + f64::from(k) / 2.0 / fraction;
    }
    (-x * x).exp() / (fraction * std::f64::consts::PI.sqrt())
}

/// Holm's step-down adjustment: adjusted p-values in the order given; reject where one is below the family-wise level.
///
/// Source: Holm, Scandinavian Journal of Statistics 6(2), 1979.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let mut adjusted = vec![0.0; p.len()];
    let mut running: f64 = 0.0;
    for (step, &i) in order.iter().enumerate() {
        running = running.max(p[i] * (p.len() - step) as f64).min(1.0);
        adjusted[i] = running;
    }
    adjusted
}
