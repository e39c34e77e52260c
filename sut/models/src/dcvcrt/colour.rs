//! RGB bytes to YCbCr of BT.709, full range, 4:4:4, and back, in 32-bit floats as in ReVo.

use super::latents::padded;
use tch::{Kind, Tensor};

/// Weights of red, green and blue in luma (BT.709).
const LUMA: [f64; 3] = [0.2126, 0.7152, 0.0722];
/// Sizes must be multiples of this.
pub const MULTIPLE: i64 = 16;

/// `[height, width, 3]` bytes to `[1, 3, h, w]` in 0..=1, the last row and column repeated to multiples of [`MULTIPLE`].
pub fn from_rgb(bytes: &Tensor) -> Tensor {
    // A multiplication by the reciprocal, not a division: they differ in the last bit.
    let rgb = bytes.to_kind(Kind::Float) * f64::from(1.0f32 / 255.0);
    let [red, green, blue] = [0, 1, 2].map(|i| rgb.select(2, i));
    let y = &red * LUMA[0] + &green * LUMA[1] + &blue * LUMA[2];
    let cb = (&blue - &y) * 0.5 / (1.0 - LUMA[2]) + 0.5;
    let cr = (&red - &y) * 0.5 / (1.0 - LUMA[0]) + 0.5;
    padded(&Tensor::stack(&[y, cb, cr], 0).clamp(0.0, 1.0).unsqueeze(0), MULTIPLE)
}

/// `[1, 3, h, w]` to `[height, width, 3]` bytes, cropped; values are cut, not rounded, as ReVo does.
pub fn to_rgb(picture: &Tensor, (height, width): (i64, i64)) -> Tensor {
    let x = picture.to_kind(Kind::Float).get(0).narrow(1, 0, height).narrow(2, 0, width);
    let (y, cb, cr) = (x.get(0), x.get(1) - 0.5, x.get(2) - 0.5);
    let red = &y + cr * (2.0 - 2.0 * LUMA[0]);
    let blue = &y + cb * (2.0 - 2.0 * LUMA[2]);
    let green = (&y - &red * LUMA[0] - &blue * LUMA[2]) / LUMA[1];
    let rgb = Tensor::stack(&[red, green, blue], 2).clamp(0.0, 1.0);
    (rgb * 255.0).to_kind(Kind::Uint8)
}
