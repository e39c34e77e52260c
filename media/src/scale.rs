//! Pictures of another size: bicubic, plane by plane, in double precision with one rounding.
//!
//! The kernel is that of FFmpeg's `scale` with its defaults (Mitchell and Netravali's family with B = 0, C = 0.6), widened when a
//! picture gets smaller, sample centres at half pixels; edges are repeated. Nothing is cropped: another shape is stretched.

use crate::picture::{Picture, Plane};

/// The picture at another size.
///
/// # Panics
/// If a side is zero or a plane is shorter than the picture's size says.
#[must_use]
pub fn scale(picture: &Picture, size: (usize, usize)) -> Picture {
    let format = picture.format;
    let planes = (picture.planes.iter().enumerate())
        .map(|(index, plane)| {
            let from = format.plane_size(index, (picture.width, picture.height));
            let samples = plane_at(plane, from, format.plane_size(index, size), format.peak());
            match plane {
                Plane::Eight(_) => Plane::Eight(samples.map(|s| s as u8).collect()),
                Plane::Sixteen(_) => Plane::Sixteen(samples.collect()),
            }
        })
        .collect();
    Picture { width: size.0, height: size.1, format, planes }
}

fn plane_at(
    plane: &Plane,
    from: (usize, usize),
    to: (usize, usize),
    peak: u16,
) -> impl Iterator<Item = u16> + use<> {
    let (columns, rows) = (taps(from.0, to.0), taps(from.1, to.1));
    let mut narrow = Vec::with_capacity(to.0 * from.1);
    for y in 0..from.1 {
        for (first, weights) in &columns {
            let at = |k: usize| f64::from(plane.at(y * from.0 + clamp(*first, k, from.0)));
            narrow.push(weights.iter().enumerate().map(|(k, w)| w * at(k)).sum::<f64>());
        }
    }
    let mut out = Vec::with_capacity(to.0 * to.1);
    for (first, weights) in &rows {
        for x in 0..to.0 {
            let at = |k: usize| narrow[clamp(*first, k, from.1) * to.0 + x];
            out.push(weights.iter().enumerate().map(|(k, w)| w * at(k)).sum::<f64>());
        }
    }
    out.into_iter().map(move |v| (v + 0.5).clamp(0.0, f64::from(peak)) as u16)
}

fn clamp(first: isize, k: usize, side: usize) -> usize {
    (first + k as isize).clamp(0, side as isize - 1) as usize
}

/// For each sample of `to`: the first sample of `from` that counts, and the weights from there on.
fn taps(from: usize, to: usize) -> Vec<(isize, Vec<f64>)> {
    let step = from as f64 / to as f64;
    let wide = step.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * step - 0.5;
            let first = (centre - 2.0 * wide).floor() as isize + 1;
            let last = (centre + 2.0 * wide).ceil() as isize - 1;
            let weights: Vec<f64> = (first..=last).map(|k| kernel((k as f64 - centre) / wide)).collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.into_iter().map(|w| w / sum).collect())
        })
        .collect()
}

/// Cubic with B = 0 and C = 0.6.
fn kernel(x: f64) -> f64 {
    const C: f64 = 0.6;
    let x = x.abs();
    if x < 1.0 {
        (2.0 - C) * x * x * x - (3.0 - C) * x * x + 1.0
    } else if x < 2.0 {
        C * (-x * x * x + 5.0 * x * x - 8.0 * x + 4.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Format;

    fn grey(width: usize, height: usize, sample: impl Fn(usize, usize) -> u8) -> Picture {
        let samples = (0..width * height).map(|i| sample(i % width, i / width)).collect();
        Picture { width, height, format: Format::GREY, planes: vec![Plane::Eight(samples)] }
    }

    #[test]
    fn flat_stays_flat_and_the_same_size_is_the_same_picture() {
        let flat = grey(31, 17, |_, _| 77);
        for size in [(64, 64), (5, 3), (31, 17), (1, 1)] {
            assert!(scale(&flat, size).planes[0].eight().iter().all(|s| *s == 77));
        }
        let busy = grey(31, 17, |x, y| (x * 37 + y * 101) as u8);
        assert_eq!(scale(&busy, (31, 17)), busy);
    }

    /// A ramp is reproduced by any cubic of this family, away from the edges.
    #[test]
    fn a_ramp_stays_a_ramp() {
        let twice = scale(&grey(32, 4, |x, _| 4 * x as u8), (64, 8));
        let row = &twice.planes[0].eight()[4 * 64..5 * 64];
        assert!((8..56).all(|i| (f64::from(row[i]) - (2.0 * i as f64 - 1.0)).abs() <= 1.0), "{row:?}");
    }
}
