//! Wilcoxon's signed-rank test.

use crate::MetricError;
use statrs::function::erf::erfc;

/// How a p-value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// From the exact distribution of the rank sum, ties included.
    Exact,
    /// Normal approximation with tie and continuity correction.
    Normal,
}

/// What becomes of pairs that do not differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// They are left out before ranking (Wilcoxon 1945; scipy's `wilcox`).
    Wilcoxon,
    /// They are ranked with the others and left out afterwards, so that the ranks of the others say how much did not
    /// differ at all (Pratt, Journal of the American Statistical Association 54, 1959; scipy's `pratt`).
    Pratt,
}

/// Result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wilcoxon {
    /// Sum of the ranks of positive differences.
    pub rank_sum_positive: f64,
    /// Sum of the ranks of negative differences.
    pub rank_sum_negative: f64,
    /// Differences that are not zero.
    pub n: usize,
    /// Two-sided p-value.
    pub p: f64,
    /// Where it comes from.
    pub method: Method,
}

/// Largest number of differences that are not zero for which the exact distribution is used.
const EXACT_UP_TO: usize = 100;

/// Two differences whose sizes are closer than this share of the largest one are tied: values such as `0.3 - 0.2` and
/// `0.2 - 0.1` differ by rounding alone.
const TIE: f64 = 1e-12;

/// Two-sided signed-rank test that paired differences are symmetric about zero (exchanging the two systems changes
/// nothing). Tied differences share their mean rank. Up to 100 differences the p-value is exact, ties or not: it is the
/// share of the 2^n equally likely patterns of signs whose rank sum lies at least as far out. If nothing differs, p = 1.
///
/// Source: Wilcoxon, Biometrics Bulletin 1(6), 1945; agrees with scipy's `wilcoxon` (method `exact` without ties, a
/// `PermutationMethod` with ties, `asymptotic` with `correction=True` above 100).
///
/// # Errors
/// [`MetricError::BadArgument`] if a difference is not finite.
pub fn wilcoxon_signed_rank(differences: &[f64], zeros: Zeros) -> Result<Wilcoxon, MetricError> {
    if let Some(bad) = differences.iter().find(|d| !d.is_finite()) {
        let what = format!("a difference is {bad}");
        return Err(MetricError::BadArgument { metric: "wilcoxon_signed_rank", what });
    }
    let largest = differences.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
    let mut d: Vec<f64> =
        differences.iter().map(|v| if v.abs() <= TIE * largest { 0.0 } else { *v }).collect();
    if zeros == Zeros::Wilcoxon {
        d.retain(|v| *v != 0.0);
    }
    d.sort_by(|x, y| x.abs().total_cmp(&y.abs()));
    // Twice the mean rank is a whole number: the first plus the last rank of a group of ties.
    let (mut doubled, mut positive, mut first) = (Vec::new(), 0, 1);
    for group in d.chunk_by(|x, y| y.abs() - x.abs() <= TIE * largest) {
        let rank = 2 * first + group.len() - 1;
        first += group.len();
        for value in group.iter().filter(|v| **v != 0.0) {
            doubled.push(rank);
            positive += if *value > 0.0 { rank } else { 0 };
        }
    }
    let (n, total) = (doubled.len(), doubled.iter().sum::<usize>());
    let smaller = positive.min(total - positive);
    let (p, method) = if n == 0 {
        (1.0, Method::Exact)
    } else if n <= EXACT_UP_TO {
        (exact_two_sided(&doubled, smaller), Method::Exact)
    } else {
        let variance = doubled.iter().map(|r| (r * r) as f64).sum::<f64>() / 16.0;
        let off = ((total as f64 / 2.0 - smaller as f64) / 2.0 - 0.5).max(0.0);
        (erfc(off / variance.sqrt() / std::f64::consts::SQRT_2).min(1.0), Method::Normal)
    };
    Ok(Wilcoxon {
        rank_sum_positive: positive as f64 / 2.0,
        rank_sum_negative: (total - positive) as f64 / 2.0,
        n,
        p,
        method,
    })
}

/// `2 P(W <= w)` for W the sum of a random subset of these ranks, at most 1.
fn exact_two_sided(ranks: &[usize], w: usize) -> f64 {
    // Only sums up to `w` are asked for.
    let mut share = vec![0.0; w + 1];
    share[0] = 1.0;
    for &rank in ranks {
        for sum in (0..=w).rev() {
            let with = if sum >= rank { share[sum - rank] } else { 0.0 };
            share[sum] = 0.5 * (share[sum] + with);
        }
    }
    (2.0 * share.iter().sum::<f64>()).min(1.0)
}
