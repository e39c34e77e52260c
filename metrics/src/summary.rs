//! From frames to a clip: mean, percentiles, the worst tenth.

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
    if values.is_empty() || !(0.0..=100.0).contains(&p) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
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
    let rank = (p / 100.0 * sorted.len() as f64).ceil() as usize;
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
