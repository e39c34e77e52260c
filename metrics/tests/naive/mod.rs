//! Slow, plain implementations in double precision: an independent second opinion, and the place where a definition can
//! be got wrong on purpose.

#![allow(dead_code, reason = "each test file uses its part")]

use media::Rgb;

/// What SSIM implementations get wrong.
#[derive(Clone, Copy)]
pub struct Ssim {
    pub window: usize,
    pub sigma: f64,
    pub sample_covariance: bool,
    pub k2: f64,
    /// Pool by this rounding of min(side) / 256; none at full resolution.
    pub pooling: Option<fn(f64) -> f64>,
    /// Mean over the padded picture instead of valid positions.
    pub padded: bool,
    pub uniform: bool,
}

pub const FULL: Ssim = Ssim {
    window: 11,
    sigma: 1.5,
    sample_covariance: false,
    k2: 0.03,
    pooling: None,
    padded: false,
    uniform: false,
};
pub const POOLED: Ssim = Ssim { pooling: Some(f64::round_ties_even), ..FULL };

impl Ssim {
    pub fn of(&self, a: &Rgb, b: &Rgb) -> f64 {
        let factor = self.pooling.map_or(1, |r| (r(a.width.min(a.height) as f64 / 256.0) as usize).max(1));
        (0..3)
            .map(|c| self.plane(&Plane::of(a, c).pooled(factor), &Plane::of(b, c).pooled(factor)))
            .sum::<f64>()
            / 3.0
    }

    fn plane(&self, x: &Plane, y: &Plane) -> f64 {
        let n = self.window as isize;
        let half = n / 2;
        let mut taps: Vec<f64> =
            (-half..=half)
                .map(|i| {
                    if self.uniform { 1.0 } else { (-(i * i) as f64 / (2.0 * self.sigma * self.sigma)).exp() }
                })
                .collect();
        let sum: f64 = taps.iter().sum();
        taps.iter_mut().for_each(|t| *t /= sum);
        let margin = if self.padded { 0 } else { half };
        let (c1, c2) = (0.01f64.powi(2), self.k2.powi(2));
        let correction = if self.sample_covariance {
            let count = (n * n) as f64;
            count / (count - 1.0)
        } else {
            1.0
        };
        let (mut total, mut count) = (0.0, 0.0);
        for row in margin..x.height as isize - margin {
            for column in margin..x.width as isize - margin {
                let mut m = [0.0; 5];
                for (i, wi) in taps.iter().enumerate() {
                    for (j, wj) in taps.iter().enumerate() {
                        let (r, c) = (row + i as isize - half, column + j as isize - half);
                        let (p, q, w) = (x.reflected(r, c), y.reflected(r, c), wi * wj);
                        for (m, v) in m.iter_mut().zip([p, q, p * p, q * q, p * q]) {
                            *m += w * v;
                        }
                    }
                }
                let [mx, my, xx, yy, xy] = m;
                let (vx, vy, cov) =
                    (correction * (xx - mx * mx), correction * (yy - my * my), correction * (xy - mx * my));
                let l = (2.0 * mx * my + c1) / (mx * mx + my * my + c1);
                total += l * (2.0 * cov + c2) / (vx + vy + c2);
                count += 1.0;
            }
        }
        total / count
    }
}

struct Plane {
    width: usize,
    height: usize,
    data: Vec<f64>,
}

impl Plane {
    fn of(p: &Rgb, channel: usize) -> Self {
        let data = p.data.iter().skip(channel).step_by(3).map(|&v| f64::from(v) / 255.0).collect();
        Self { width: p.width, height: p.height, data }
    }

    fn pooled(self, f: usize) -> Self {
        let (width, height) = (self.width / f, self.height / f);
        let mean = |x: usize, y: usize| {
            let sum: f64 = (0..f * f).map(|i| self.data[(y * f + i / f) * self.width + x * f + i % f]).sum();
            sum / (f * f) as f64
        };
        let data = (0..width * height).map(|i| mean(i % width, i / width)).collect();
        Self { width, height, data }
    }

    fn reflected(&self, row: isize, column: isize) -> f64 {
        let fold = |i: isize, n: usize| -> usize {
            let (i, n) = (i.unsigned_abs(), n);
            if i < n { i } else { 2 * (n - 1) - i }
        };
        self.data[fold(row, self.height) * self.width + fold(column, self.width)]
    }
}

/// SplitMix64 of one number.
pub fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The test picture of `vectors.py`.
pub fn picture(width: usize, height: usize) -> Rgb {
    let mut data = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let v = x * (3 + c) + y * (5 - c) + (x * y / 16) * 7 / 4 + 60 * ((x / 24 + y / 24) % 2);
                data.push((v % 256) as u8);
            }
        }
    }
    Rgb { width, height, data }
}

/// Its distorted counterpart.
pub fn noisy(a: &Rgb, amplitude: i64, offset: i64) -> Rgb {
    let distort = |(i, v): (usize, &u8)| {
        let noise = (mix(i as u64 + (1 << 40)) % (2 * amplitude as u64 + 1)) as i64;
        (i64::from(*v) + noise - amplitude + offset).clamp(0, 255) as u8
    };
    Rgb { width: a.width, height: a.height, data: a.data.iter().enumerate().map(distort).collect() }
}
