//! From frames to a clip: mean, percentiles, the worst tenth.

use serde::{Deserialize, Serialize};

/// Which end of a metric's range is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// PSNR, SSIM.
    Higher,
    /// LPIPS, RMSE.
    Lower,
}

/// Mean of the values; `None` if there are none.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Percentile `p` (0 to 100), linear between the closest ranks (numpy's default); `None` for no value or `p` outside
/// its range.
#[must_use]
pub fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    percentile_of_sorted(&sorted, p)
}

/// [`percentile`] of values that are in ascending order already.
#[must_use]
pub fn percentile_of_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    if sorted.is_empty() || !(0.0..=100.0).contains(&p) {
        return None;
    }
    let position = p / 100.0 * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let part = position - below as f64;
    // Where nothing lies between, an infinite neighbour must not turn the value into NaN.
    let nothing_between = part == 0.0 || sorted[below] == sorted[above];
    Some(if nothing_between { sorted[below] } else { sorted[below] + (sorted[above] - sorted[below]) * part })
}

/// Percentile `p` (0 to 100) by nearest rank: always one of the values; `None` for no value.
#[must_use]
pub fn nearest_rank<T: Copy + Ord>(values: &[T], p: f64) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    // In this order a whole rank stays whole: 0.95 n need not be.
    let rank = (p * sorted.len() as f64 / 100.0).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// Mean of the `ceil(0.1 n)` worst values: what a viewer remembers. `None` if there are none.
#[must_use]
pub fn worst10(values: &[f64], better: Better) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    if better == Better::Lower {
        sorted.reverse();
    }
    mean(&sorted[..sorted.len().div_ceil(10)])
}

/// PSNR in dB of the mean squared error of frames whose PSNRs are given: FFmpeg's value of a clip. One identical frame
/// (`inf`) would make a mean of decibels infinite. `None` for no frame.
///
/// Source: FFmpeg, `vf_psnr`, the summary line.
#[must_use]
pub fn psnr_of_mean_error(psnr_db: &[f64]) -> Option<f64> {
    let errors: Vec<f64> = psnr_db.iter().map(|db| 10f64.powf(-db / 10.0)).collect();
    mean(&errors).map(|error| -10.0 * error.log10())
}

/// A distribution of durations, nanoseconds; percentiles by nearest rank, so that they are values that occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Durations {
    /// How many.
    pub n: u64,
    /// Mean, rounded down.
    pub mean_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 98th percentile.
    pub p98_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

impl Durations {
    /// The distribution of `values` (sorted here); `None` if there are none.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let n = values.len();
        let max_ns = *values.last()?;
        let rank = |percent: usize| values[(n * percent).div_ceil(100).max(1) - 1];
        let sum: u128 = values.iter().map(|&v| u128::from(v)).sum();
        Some(Self {
            n: n as u64,
            mean_ns: u64::try_from(sum / n as u128).unwrap_or(u64::MAX),
            p50_ns: rank(50),
            p95_ns: rank(95),
            p98_ns: rank(98),
            p99_ns: rank(99),
            max_ns,
        })
    }
}

/// A distribution of a picture metric; percentiles interpolate linearly between closest ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dist {
    /// How many frames.
    pub n: u64,
    /// Mean over frames.
    #[serde(with = "infinite")]
    pub mean: f64,
    /// Mean of the `ceil(0.1 n)` worst frames (worst by the metric's own direction).
    #[serde(with = "infinite")]
    pub worst10: f64,
    /// Smallest.
    #[serde(with = "infinite")]
    pub min: f64,
    /// 5th percentile.
    #[serde(with = "infinite")]
    pub p5: f64,
    /// 25th percentile.
    #[serde(with = "infinite")]
    pub p25: f64,
    /// Median.
    #[serde(with = "infinite")]
    pub p50: f64,
    /// 75th percentile.
    #[serde(with = "infinite")]
    pub p75: f64,
    /// 90th percentile.
    #[serde(with = "infinite")]
    pub p90: f64,
    /// 95th percentile.
    #[serde(with = "infinite")]
    pub p95: f64,
    /// 99th percentile.
    #[serde(with = "infinite")]
    pub p99: f64,
    /// Largest.
    #[serde(with = "infinite")]
    pub max: f64,
}

impl Dist {
    /// The distribution of `values`; `None` if there are none.
    #[must_use]
    pub fn of(values: &[f64], better: Better) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |p| percentile_of_sorted(&sorted, p);
        Some(Self {
            n: sorted.len() as u64,
            mean: mean(&sorted)?,
            worst10: worst10(&sorted, better)?,
            min: at(0.0)?,
            p5: at(5.0)?,
            p25: at(25.0)?,
            p50: at(50.0)?,
            p75: at(75.0)?,
            p90: at(90.0)?,
            p95: at(95.0)?,
            p99: at(99.0)?,
            max: at(100.0)?,
        })
    }
}

/// JSON has no infinity (the PSNR of identical pictures under some definitions): it is the text `inf` there.
mod infinite {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        Text(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_infinite() {
            if *value > 0.0 { "inf" } else { "-inf" }.serialize(to)
        } else {
            value.serialize(to)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Number::deserialize(from)? {
            Number::Finite(value) => Ok(value),
            Number::Text(text) if text == "inf" => Ok(f64::INFINITY),
            Number::Text(text) if text == "-inf" => Ok(f64::NEG_INFINITY),
            Number::Text(text) => Err(D::Error::custom(format!("`{text}` is no number"))),
        }
    }
}
