//! Bjontegaard deltas: one number for the distance between two rate-quality curves.

use super::pchip::Pchip;

/// One point of a rate-quality curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatePoint {
    /// Bits per second, above 0; the same kind of rate on both curves.
    pub bps: f64,
    /// Quality, higher is better (dB, SSIM).
    pub quality: f64,
}

/// Why two curves have no Bjontegaard delta.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BdError {
    /// Too few points.
    #[error("the {curve} curve has {found} points; at least 4 are needed")]
    TooFewPoints {
        /// `anchor` or `test`.
        curve: &'static str,
        /// Its points.
        found: usize,
    },
    /// A rate or quality is not usable.
    #[error(
        "the {curve} curve has a point without a positive rate and a finite quality: {bps} bit/s, {quality}"
    )]
    BadPoint {
        /// `anchor` or `test`.
        curve: &'static str,
        /// The rate.
        bps: f64,
        /// The quality.
        quality: f64,
    },
    /// More rate does not mean more quality.
    #[error(
        "the {curve} curve is not monotone: quality goes from {from} to {to} while the rate grows to {bps} bit/s"
    )]
    NotMonotone {
        /// `anchor` or `test`.
        curve: &'static str,
        /// Quality before.
        from: f64,
        /// Quality after.
        to: f64,
        /// The higher rate.
        bps: f64,
    },
    /// Two points have one rate.
    #[error("the {curve} curve has two points at {bps} bit/s, of quality {first} and {second}")]
    EqualRates {
        /// `anchor` or `test`.
        curve: &'static str,
        /// Their rate.
        bps: f64,
        /// Quality of one.
        first: f64,
        /// Quality of the other.
        second: f64,
    },
    /// The curves hardly overlap.
    #[error("the curves' {axis} ranges overlap by {percent:.0} % of the wider one; at least 50 % are needed")]
    Overlap {
        /// `quality` or `rate`.
        axis: &'static str,
        /// Common part of the wider range.
        percent: f64,
    },
}

/// BD-rate: mean difference in rate at equal quality, percent; negative if `test` needs less than `anchor`.
/// `log10(rate)` as a PCHIP function of quality, averaged over the common quality range.
///
/// Source: Bjontegaard, ITU-T VCEG-M33, 2001; PCHIP as in JCTVC-K0270.
///
/// # Errors
/// [`BdError`]: fewer than 4 points, curves that are not strictly monotone, common quality range below half of the wider
/// curve's range.
pub fn bd_rate(anchor: &[RatePoint], test: &[RatePoint]) -> Result<f64, BdError> {
    let (anchor, test) = (Curve::new("anchor", anchor)?, Curve::new("test", test)?);
    let difference =
        mean_difference("quality", (&anchor.quality, &anchor.log_rate), (&test.quality, &test.log_rate))?;
    Ok((10f64.powf(difference) - 1.0) * 100.0)
}

/// BD-PSNR (or BD of any quality): mean difference in quality at equal rate, in the quality's unit; positive if `test` is
/// better. Quality as a PCHIP function of `log10(rate)`, averaged over the common rate range.
///
/// # Errors
/// As [`bd_rate`], with the rate range.
pub fn bd_quality(anchor: &[RatePoint], test: &[RatePoint]) -> Result<f64, BdError> {
    let (anchor, test) = (Curve::new("anchor", anchor)?, Curve::new("test", test)?);
    mean_difference("rate", (&anchor.log_rate, &anchor.quality), (&test.log_rate, &test.quality))
}

struct Curve {
    log_rate: Vec<f64>,
    quality: Vec<f64>,
}

impl Curve {
    fn new(curve: &'static str, points: &[RatePoint]) -> Result<Self, BdError> {
        if points.len() < 4 {
            return Err(BdError::TooFewPoints { curve, found: points.len() });
        }
        for p in points {
            if !(p.bps > 0.0 && p.bps.is_finite() && p.quality.is_finite()) {
                return Err(BdError::BadPoint { curve, bps: p.bps, quality: p.quality });
            }
        }
        let mut points = points.to_vec();
        points.sort_by(|a, b| a.bps.total_cmp(&b.bps));
        for w in points.windows(2) {
            if w[0].bps >= w[1].bps {
                let (first, second) = (w[0].quality, w[1].quality);
                return Err(BdError::EqualRates { curve, bps: w[1].bps, first, second });
            }
            if w[0].quality >= w[1].quality {
                return Err(BdError::NotMonotone {
                    curve,
                    from: w[0].quality,
                    to: w[1].quality,
                    bps: w[1].bps,
                });
            }
        }
        Ok(Self {
            log_rate: points.iter().map(|p| p.bps.log10()).collect(),
            quality: points.iter().map(|p| p.quality).collect(),
        })
    }
}

fn mean_difference(
    axis: &'static str,
    anchor: (&[f64], &[f64]),
    test: (&[f64], &[f64]),
) -> Result<f64, BdError> {
    let range = |x: &[f64]| (x[0], x[x.len() - 1]);
    let (a, t) = (range(anchor.0), range(test.0));
    let (lo, hi) = (a.0.max(t.0), a.1.min(t.1));
    let share = (hi - lo).max(0.0) / (a.1 - a.0).max(t.1 - t.0);
    if share < 0.5 {
        return Err(BdError::Overlap { axis, percent: 100.0 * share });
    }
    let integral = |(x, y): (&[f64], &[f64])| {
        Pchip::new(x, y).expect("a checked curve is strictly monotone").integral(lo, hi)
    };
    Ok((integral(test) - integral(anchor)) / (hi - lo))
}
