//! What training makes small.

use models::lossrec::lite::Planes;
use models::lossrec::samples::About;
use tch::{Kind, Tensor};

/// Errors below this (47 dB) count no more.
const FLOOR: f32 = 2e-5;

/// The squared error relative to that of the better of shown and hold over the whole picture, so that a decibel counts alike in every
/// kind of damage, plus `structure` times what lacks to a structural similarity of 1.
pub fn loss(found: &Planes, wanted: &Planes, abouts: &[About], structure: f64) -> Tensor {
    let relative: Vec<f32> = abouts.iter().map(|a| 1.0 / (a.shown.min(a.hold) + FLOOR)).collect();
    let relative = Tensor::from_slice(&relative);
    let all = [1i64, 2, 3].as_slice();
    let mean = |a: &Tensor, b: &Tensor| (a - b).square().mean_dim(all, false, Kind::Float);
    let error = mean(&found.luma, &wanted.luma) + mean(&found.chroma, &wanted.chroma) * 0.5;
    (error * relative).log1p().mean(Kind::Float) + (1.0 - similarity(&found.luma, &wanted.luma)) * structure
}

/// SSIM in windows of 8x8 at three scales, the mean of all.
fn similarity(a: &Tensor, b: &Tensor) -> Tensor {
    let half = |t: &Tensor| t.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
    let (mut a, mut b) = (a.shallow_clone(), b.shallow_clone());
    let mut sum = at_one_scale(&a, &b);
    for _ in 0..2 {
        (a, b) = (half(&a), half(&b));
        sum += at_one_scale(&a, &b);
    }
    sum / 3.0
}

fn at_one_scale(a: &Tensor, b: &Tensor) -> Tensor {
    let pool = |t: &Tensor| t.avg_pool2d([8, 8], [4, 4], [0, 0], false, true, None::<i64>);
    let (ma, mb) = (pool(a), pool(b));
    let (va, vb) = (pool(&a.square()) - ma.square(), pool(&b.square()) - mb.square());
    let vab = pool(&(a * b)) - &ma * &mb;
    let (c1, c2) = (1e-4, 9e-4);
    let over = (&ma * &mb * 2.0 + c1) * (vab * 2.0 + c2);
    let under = (ma.square() + mb.square() + c1) * (va + vb + c2);
    (over / under).mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::lossrec::lite::Situation;
    use models::lossrec::samples::Damage;
    use tch::Device;

    #[test]
    fn nothing_is_lost_on_equal_pictures_and_a_known_error_counts_as_it_should() {
        let options = (Kind::Float, Device::Cpu);
        let planes = |v: f64| Planes {
            luma: Tensor::full([1, 1, 64, 64], v, options),
            chroma: Tensor::full([1, 2, 32, 32], 0.5, options),
        };
        let about =
            |e: f32| About { situation: Situation::default(), damage: Damage::Drift, shown: e, hold: 1.0 };
        assert!(loss(&planes(0.5), &planes(0.5), &[about(0.1)], 1.0).double_value(&[]).abs() < 1e-6);
        // Luma off by 0.1: an error of 0.01, as large as the shown picture's: ln 2.
        let error = loss(&planes(0.6), &planes(0.5), &[about(0.01 - 2e-5)], 0.0).double_value(&[]);
        assert!((error - 2f64.ln()).abs() < 1e-4, "{error}");
    }
}
