//! RGB of 9 to 16 bits, and the conversion of pictures of any format to it, in double precision with one rounding.
//!
//! | from | rule |
//! |---|---|
//! | RGB of `b` bits | `round(code * peak / (2^b - 1))` |
//! | YUV, grey | chroma replicated over the luma samples that share it, the matrix, clipped to 0..1, `round(value * peak)` |
//!
//! Codes of `b` bits: limited range has luma `16 * 2^(b-8)` to `235 * 2^(b-8)` and chroma `128 * 2^(b-8) +- 112 * 2^(b-8)`, full
//! range luma `0` to `2^b - 1` and chroma `2^(b-1) +- (2^b - 1) / 2` (ITU-R BT.601-7, BT.709-6, BT.2020-2).

use crate::convert::{Colour, Range};
use crate::picture::{Format, Model, Picture, Plane};

/// Interleaved RGB picture of up to 16 bits, full range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rgb16 {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The code of white.
    pub peak: u16,
    /// `3 * width * height` samples.
    pub data: Vec<u16>,
}

/// RGB of a picture with codes up to `peak`, into the memory of `out`.
///
/// # Panics
/// If the planes are shorter than the picture's size says.
pub fn to_rgb16_into(picture: &Picture, colour: Colour, peak: u16, out: &mut Rgb16) {
    let Picture { width, height, format, planes } = picture;
    let (width, height) = (*width, *height);
    (out.width, out.height, out.peak) = (width, height, peak);
    out.data.resize(3 * width * height, 0);
    if width == 0 {
        return;
    }
    match format.model {
        Model::Rgb => {
            let to = f64::from(peak) / f64::from(format.peak());
            for (c, plane) in planes[..3].iter().enumerate() {
                for (i, out) in out.data.iter_mut().skip(c).step_by(3).enumerate() {
                    let code = plane.at(i).min(format.peak());
                    *out = if peak == format.peak() { code } else { (f64::from(code) * to + 0.5) as u16 };
                }
            }
        }
        Model::Grey => {
            let luma = Luma::new(*format, colour.range);
            for (i, out) in out.data.chunks_exact_mut(3).enumerate() {
                out.fill(code(luma.of(planes[0].at(i)), peak));
            }
        }
        Model::Yuv => yuv(picture, colour, peak, &mut out.data),
    }
}

fn yuv(picture: &Picture, colour: Colour, peak: u16, out: &mut [u16]) {
    let Picture { width, height, format, planes } = picture;
    let luma = Luma::new(*format, colour.range);
    let chroma = Luma::chroma(*format, colour.range);
    let (kr, kb) = colour.weights();
    let kg = 1.0 - kr - kb;
    let (rv, bu) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
    let (gu, gv) = (-bu * kb / kg, -rv * kr / kg);
    let (cw, _) = format.plane_size(1, (*width, *height));
    // Chroma terms of one row, which several rows share.
    let mut terms = vec![[0.0f64; 3]; cw];
    for y in 0..*height {
        let row = (y >> format.chroma.1) * cw;
        if y & ((1 << format.chroma.1) - 1) == 0 {
            for (x, term) in terms.iter_mut().enumerate() {
                let (u, v) = (chroma.of(planes[1].at(row + x)), chroma.of(planes[2].at(row + x)));
                *term = [rv * v, gu * u + gv * v, bu * u];
            }
        }
        let pixels = out[3 * width * y..3 * width * (y + 1)].chunks_exact_mut(3);
        for (x, pixel) in pixels.enumerate() {
            let l = luma.of(planes[0].at(y * width + x));
            let term = &terms[x >> format.chroma.0];
            for (out, t) in pixel.iter_mut().zip(term) {
                *out = code(l + t, peak);
            }
        }
    }
}

fn code(value: f64, peak: u16) -> u16 {
    (value.clamp(0.0, 1.0) * f64::from(peak) + 0.5) as u16
}

/// From codes to 0..1, or to -0.5..0.5 for colour differences.
struct Luma {
    offset: f64,
    span: f64,
}

impl Luma {
    fn new(format: Format, range: Range) -> Self {
        let step = 2f64.powi(i32::from(format.bits) - 8);
        match range {
            Range::Limited => Self { offset: 16.0 * step, span: 219.0 * step },
            Range::Full => Self { offset: 0.0, span: f64::from(format.peak()) },
        }
    }

    fn chroma(format: Format, range: Range) -> Self {
        let step = 2f64.powi(i32::from(format.bits) - 8);
        match range {
            Range::Limited => Self { offset: 128.0 * step, span: 224.0 * step },
            Range::Full => Self { offset: 128.0 * step, span: f64::from(format.peak()) },
        }
    }

    fn of(&self, code: u16) -> f64 {
        (f64::from(code) - self.offset) / self.span
    }
}

/// The same picture with samples of `bits` bits, more than it has: RGB and full-range luma by the ratio of their peaks, all else by a
/// power of two, so that black, white and neutral chroma keep their place.
#[must_use]
pub fn widen(picture: &Picture, range: Range, bits: u8) -> Picture {
    let from = picture.format;
    let format = Format { bits, ..from };
    let shift = bits - from.bits;
    let planes = (picture.planes.iter().enumerate())
        .map(|(index, plane)| {
            let chroma = from.model == Model::Yuv && (index == 1 || index == 2);
            let by_ratio = !chroma && (range == Range::Full || from.model == Model::Rgb);
            let (peak, to) = (u32::from(from.peak()), u32::from(format.peak()));
            let wide = |code: u16| -> u16 {
                let code = u32::from(code);
                (if by_ratio { (2 * code * to + peak) / (2 * peak) } else { code << shift }).min(to) as u16
            };
            match bits {
                ..=8 => Plane::Eight((0..plane.len()).map(|i| wide(plane.at(i)) as u8).collect()),
                _ => Plane::Sixteen((0..plane.len()).map(|i| wide(plane.at(i))).collect()),
            }
        })
        .collect();
    Picture { format, planes, ..*picture }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Yuv420;
    use crate::convert::to_rgb;

    /// The 8-bit fixed-point conversion and this one agree to one code, for every colour.
    #[test]
    fn agrees_with_the_conversion_of_8_bits() {
        let mut yuv = Yuv420::black(34, 17);
        for (i, s) in yuv.y.iter_mut().chain(&mut yuv.u).chain(&mut yuv.v).enumerate() {
            *s = (i * 151 % 256) as u8;
        }
        for colour in [Colour::BT601, Colour::BT709, Colour::BT709.full()] {
            let narrow = to_rgb(&yuv, colour);
            let mut wide = Rgb16::default();
            to_rgb16_into(&yuv.clone().into(), colour, 255, &mut wide);
            assert!(narrow.data.iter().zip(&wide.data).all(|(a, b)| u16::from(*a).abs_diff(*b) <= 1));
            // Ten bits of the same picture in limited range are the same colours.
            if colour.range == Range::Limited {
                let mut ten = Rgb16::default();
                to_rgb16_into(&widen(&yuv.clone().into(), colour.range, 10), colour, 255, &mut ten);
                assert_eq!(ten, wide);
            }
        }
    }

    /// From the definition: limited-range 10-bit luma goes from 64 to 940, chroma rests at 512.
    #[test]
    fn black_and_white_of_ten_bits() {
        let format = Format { bits: 10, chroma: (0, 0), ..Format::YUV420 };
        let plane = |codes: [u16; 4]| Plane::Sixteen(codes.into());
        let planes = vec![plane([64, 940, 0, 1023]), plane([512; 4]), plane([512; 4])];
        let picture = Picture { width: 4, height: 1, format, planes };
        let mut out = Rgb16::default();
        to_rgb16_into(&picture, Colour::BT709, u16::MAX, &mut out);
        assert_eq!(out.data, [0, 0, 0, 65535, 65535, 65535, 0, 0, 0, 65535, 65535, 65535]);
    }
}
