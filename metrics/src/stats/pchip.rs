//! Monotone piecewise cubic interpolation.

/// A piecewise cubic Hermite interpolant that does not overshoot.
///
/// Source: Fritsch, Butland, SIAM J. Sci. Stat. Comput. 5(2), 1984, with the one-sided three-point end slopes of Moler's
/// `pchip` (as scipy's `PchipInterpolator`).
#[derive(Clone, Debug)]
pub struct Pchip {
    x: Vec<f64>,
    y: Vec<f64>,
    slope: Vec<f64>,
}

impl Pchip {
    /// Interpolates `(x, y)`; `None` unless there are at least two points with strictly ascending `x`.
    #[must_use]
    pub fn new(x: &[f64], y: &[f64]) -> Option<Self> {
        // Not `all(ascending)`: NaN must fail too.
        if x.len() != y.len() || x.len() < 2 || !x.windows(2).all(|w| w[0] < w[1]) {
            return None;
        }
        let h: Vec<f64> = x.windows(2).map(|w| w[1] - w[0]).collect();
        let delta: Vec<f64> = y.windows(2).zip(&h).map(|(w, h)| (w[1] - w[0]) / h).collect();
        let last = delta.len() - 1;
        let mut slope = vec![delta[0]; x.len()];
        if last > 0 {
            slope[0] = end_slope(h[0], h[1], delta[0], delta[1]);
            slope[last + 1] = end_slope(h[last], h[last - 1], delta[last], delta[last - 1]);
            for k in 1..=last {
                let (a, b) = (delta[k - 1], delta[k]);
                slope[k] = if a * b <= 0.0 {
                    0.0
                } else {
                    let (w1, w2) = (2.0 * h[k] + h[k - 1], h[k] + 2.0 * h[k - 1]);
                    (w1 + w2) / (w1 / a + w2 / b)
                };
            }
        }
        Some(Self { x: x.to_vec(), y: y.to_vec(), slope })
    }

    /// Integral from `from` to `to`, both within the points' range.
    #[must_use]
    pub fn integral(&self, from: f64, to: f64) -> f64 {
        let mut total = 0.0;
        for k in 0..self.x.len() - 1 {
            let (lo, hi) = (from.max(self.x[k]), to.min(self.x[k + 1]));
            if lo < hi {
                total += self.primitive(k, hi) - self.primitive(k, lo);
            }
        }
        total
    }

    /// Integral of piece `k` from its left end to `x`.
    fn primitive(&self, k: usize, x: f64) -> f64 {
        let h = self.x[k + 1] - self.x[k];
        let t = (x - self.x[k]) / h;
        let (y0, y1, d0, d1) = (self.y[k], self.y[k + 1], self.slope[k] * h, self.slope[k + 1] * h);
        // y0 + d0 t + c t^2 + b t^3
        let c = 3.0 * (y1 - y0) - 2.0 * d0 - d1;
        let b = d0 + d1 - 2.0 * (y1 - y0);
        h * t * (y0 + t * (d0 / 2.0 + t * (c / 3.0 + t * b / 4.0)))
    }
}

fn end_slope(h0: f64, h1: f64, d0: f64, d1: f64) -> f64 {
    let slope = ((2.0 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
    if slope * d0 <= 0.0 {
        0.0
    } else if d0 * d1 <= 0.0 && slope.abs() > 3.0 * d0.abs() {
        3.0 * d0
    } else {
        slope
    }
}
