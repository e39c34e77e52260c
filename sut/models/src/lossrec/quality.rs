//! The original's measures, of pictures that are floats and may leave 0..1.

use tch::{Kind, Tensor};

/// Exponents of the scales, finest first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const WINDOW: i64 = 11;
const SIGMA: f32 = 1.5;

/// PSNR in decibels of two pictures of any shape: `10 log10(1 / (mse + 1e-12))`, in 32 bits.
#[must_use]
pub fn psnr(found: &Tensor, wanted: &Tensor) -> f64 {
    let mse = found.mse_loss(wanted, tch::Reduction::Mean);
    let psnr: Tensor = ((mse + 1e-12).reciprocal()).log10() * 10.0;
    psnr.double_value(&[])
}

/// MS-SSIM of `[1, 3, h, w]`, sides above 160, in 32 bits: what the original prints as SSIM (`pytorch_msssim` 1.0.0, `data_range` 1).
///
/// `metrics::ms_ssim` is the same measure of whole codes; here are floats that were never rounded or clamped.
#[must_use]
pub fn ms_ssim(found: &Tensor, wanted: &Tensor) -> f64 {
    let window = window().to_device(found.device());
    let (mut x, mut y) = (found.shallow_clone(), wanted.shallow_clone());
    let mut product: Option<Tensor> = None;
    for (level, weight) in WEIGHTS.into_iter().enumerate() {
        if level > 0 {
            let size = x.size();
            let padding = [size[2] % 2, size[3] % 2];
            let half = |t: &Tensor| t.avg_pool2d([2, 2], [2, 2], padding, false, true, None::<i64>);
            (x, y) = (half(&x), half(&y));
        }
        let (ssim, contrast) = at_one_scale(&x, &y, &window);
        let term = if level + 1 == WEIGHTS.len() { ssim } else { contrast };
        let term = term.relu().pow_tensor_scalar(weight);
        product = Some(product.map_or_else(|| term.shallow_clone(), |p| p * &term));
    }
    product.expect("five scales").mean(Kind::Float).double_value(&[])
}

fn window() -> Tensor {
    let at = Tensor::arange(WINDOW, (Kind::Float, tch::Device::Cpu)) - (WINDOW / 2) as f64;
    let gauss = (-at.square() / f64::from(2.0 * SIGMA * SIGMA)).exp();
    &gauss / gauss.sum(Kind::Float)
}

/// Per picture and channel: SSIM and its contrast part.
fn at_one_scale(x: &Tensor, y: &Tensor, window: &Tensor) -> (Tensor, Tensor) {
    let channels = x.size()[1];
    let across = window.view([1, 1, 1, WINDOW]).expand([channels, 1, 1, WINDOW], false);
    let down = window.view([1, 1, WINDOW, 1]).expand([channels, 1, WINDOW, 1], false);
    let blur = |t: &Tensor| {
        let filter = |t: &Tensor, w: &Tensor| t.conv2d(w, None::<&Tensor>, [1, 1], [0, 0], [1, 1], channels);
        filter(&filter(t, &down), &across)
    };
    let (c1, c2) = (0.01f64.powi(2), 0.03f64.powi(2));
    let (mx, my) = (blur(x), blur(y));
    let (mxx, myy, mxy) = (mx.square(), my.square(), &mx * &my);
    let (vx, vy, vxy) = (blur(&x.square()) - &mxx, blur(&y.square()) - &myy, blur(&(x * y)) - &mxy);
    let contrast = (vxy * 2.0 + c2) / (vx + vy + c2);
    let ssim = ((mxy * 2.0 + c1) / (mxx + myy + c1)) * &contrast;
    let mean = |t: &Tensor| t.flatten(2, -1).mean_dim([-1i64].as_slice(), false, Kind::Float);
    (mean(&ssim), mean(&contrast))
}
