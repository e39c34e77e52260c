//! Colour conversion between 4:2:0 and RGB, in integers: the same bytes on every machine.
//!
//! | step | rule |
//! |---|---|
//! | 4:2:0 -> RGB | each chroma sample serves its 2x2 block (replication, as FFmpeg's default `yuv420p -> rgb24`) |
//! | RGB -> 4:2:0 | chroma of the mean RGB of each 2x2 block; an odd last row or column counts twice |
//! | arithmetic | 13 fractional bits one way, 15 the other, one rounding at the end: within 1 of exact reals |
//!
//! The matrices are those of ITU-R BT.601-7 section 2.5 and BT.709-6 section 3.

use crate::picture::Model;
use crate::{Rgb, Yuv420};

/// Which luma/chroma matrix a picture was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matrix {
    /// ITU-R BT.601; what FFmpeg assumes of an untagged stream.
    #[default]
    Bt601,
    /// ITU-R BT.709; the usual tag of HD video.
    Bt709,
    /// ITU-R BT.2020; the tag of HDR video.
    Bt2020,
    /// SMPTE 240M; early HD.
    Smpte240m,
    /// FCC, 47 CFR 73.682; NTSC of 1953.
    Fcc,
}

/// How the 8-bit codes are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// Luma 16..=235, chroma 16..=240 ("tv", "mpeg").
    #[default]
    Limited,
    /// All 256 codes ("pc", "jpeg").
    Full,
}

impl Range {
    /// What is taken of a picture that does not say: grey and RGB are full, YUV is limited (as FFmpeg has it).
    #[must_use]
    pub const fn assumed(model: Model) -> Self {
        match model {
            Model::Yuv => Self::Limited,
            Model::Grey | Model::Rgb => Self::Full,
        }
    }
}

/// What must be known of a [`Yuv420`] picture to see its colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Colour {
    /// The matrix.
    pub matrix: Matrix,
    /// The range.
    pub range: Range,
}

impl Colour {
    /// BT.601, limited range: FFmpeg's default and this project's.
    pub const BT601: Self = Self { matrix: Matrix::Bt601, range: Range::Limited };
    /// BT.709, limited range.
    pub const BT709: Self = Self { matrix: Matrix::Bt709, range: Range::Limited };

    /// The same matrix in full range.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { matrix: self.matrix, range: Range::Full }
    }

    /// Red and blue weight of the luma.
    pub(crate) const fn weights(self) -> (f64, f64) {
        match self.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
            Matrix::Smpte240m => (0.212, 0.087),
            Matrix::Fcc => (0.30, 0.11),
        }
    }

    /// Luma offset, luma span, chroma span, in codes.
    const fn spans(self) -> (i32, f64, f64) {
        match self.range {
            Range::Limited => (16, 219.0, 224.0),
            Range::Full => (0, 255.0, 255.0),
        }
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let matrix = match self.matrix {
            Matrix::Bt601 => "BT.601",
            Matrix::Bt709 => "BT.709",
            Matrix::Bt2020 => "BT.2020",
            Matrix::Smpte240m => "SMPTE 240M",
            Matrix::Fcc => "FCC",
        };
        let range = match self.range {
            Range::Limited => "limited",
            Range::Full => "full",
        };
        write!(f, "{matrix} {range} range")
    }
}

const UP_BITS: i32 = 13;
const DOWN_BITS: i32 = 15;

/// Coefficients of `4:2:0 -> RGB`. All fit 16 bits, so that the products vectorise on the plainest SIMD.
struct Up {
    luma_offset: i32,
    y: i16,
    rv: i16,
    gu: i16,
    gv: i16,
    bu: i16,
}

/// Coefficients of `RGB -> 4:2:0`.
struct Down {
    luma_offset: i32,
    y: [i16; 3],
    u: [i16; 3],
    v: [i16; 3],
}

/// Nearest integer; only for the coefficient tables (plain IEEE operations, exact on every machine).
const fn fixed(x: f64, bits: i32) -> i32 {
    let scaled = x * (1i64 << bits) as f64;
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

const fn up(colour: Colour) -> Up {
    let (kr, kb) = colour.weights();
    let kg = 1.0 - kr - kb;
    let (luma_offset, ys, cs) = colour.spans();
    let (ys, cs) = (255.0 / ys, 255.0 / cs);
    Up {
        luma_offset,
        y: fixed(ys, UP_BITS) as i16,
        rv: fixed(2.0 * (1.0 - kr) * cs, UP_BITS) as i16,
        gu: fixed(-2.0 * (1.0 - kb) * kb / kg * cs, UP_BITS) as i16,
        gv: fixed(-2.0 * (1.0 - kr) * kr / kg * cs, UP_BITS) as i16,
        bu: fixed(2.0 * (1.0 - kb) * cs, UP_BITS) as i16,
    }
}

const fn down(colour: Colour) -> Down {
    let (kr, kb) = colour.weights();
    let (luma_offset, ys, cs) = colour.spans();
    let (ys, half) = (ys / 255.0, 0.5 * cs / 255.0);
    let (yr, yb) = (fixed(kr * ys, DOWN_BITS), fixed(kb * ys, DOWN_BITS));
    let (ub, vr) = (fixed(half, DOWN_BITS), fixed(half, DOWN_BITS));
    let (ur, vb) = (fixed(-kr / (1.0 - kb) * half, DOWN_BITS), fixed(-kb / (1.0 - kr) * half, DOWN_BITS));
    // Green is what is left, so that white is exactly white and greys have no chroma.
    let yg = fixed(ys, DOWN_BITS) - yr - yb;
    Down {
        luma_offset,
        y: [yr as i16, yg as i16, yb as i16],
        u: [ur as i16, -(ur + ub) as i16, ub as i16],
        v: [vr as i16, -(vr + vb) as i16, vb as i16],
    }
}

/// RGB of a 4:2:0 picture.
#[must_use]
pub fn to_rgb(picture: &Yuv420, colour: Colour) -> Rgb {
    let mut out = Rgb { width: 0, height: 0, data: Vec::new() };
    to_rgb_into(picture, colour, &mut out);
    out
}

/// As [`to_rgb`], reusing the memory of `out` (its size is set to the picture's).
///
/// # Panics
/// If the planes of `picture` are shorter than its size says.
pub fn to_rgb_into(picture: &Yuv420, colour: Colour, out: &mut Rgb) {
    planes_to_rgb_into((picture.width, picture.height), picture.planes(), colour, out);
}

/// As [`to_rgb_into`], of the planes themselves. Empty chroma planes mean none: a grey picture.
///
/// # Panics
/// If a plane is shorter than `size` says.
pub fn planes_to_rgb_into(size: (usize, usize), planes: [&[u8]; 3], colour: Colour, out: &mut Rgb) {
    let (width, height) = size;
    (out.width, out.height) = (width, height);
    out.data.resize(3 * width * height, 0);
    if width == 0 || height == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; the code is the same safe Rust, compiled for it.
        return unsafe { up_rows_avx2(&up(colour), width, planes, &mut out.data) };
    }
    up_rows(&up(colour), width, planes, &mut out.data);
}

/// Luma as full-range grey: what each channel of [`to_rgb`] is where there is no chroma. The size of `out` is set to that of `luma`.
pub fn greys_into(luma: &[u8], colour: Colour, out: &mut Vec<u8>) {
    out.resize(luma.len(), 0);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: as in `planes_to_rgb_into`.
        return unsafe { greys_avx2(&up(colour), luma, out) };
    }
    greys(&up(colour), luma, out);
}

/// 4:2:0 of an RGB picture.
///
/// # Panics
/// If `picture.data` is shorter than its size says.
#[must_use]
pub fn to_yuv420(picture: &Rgb, colour: Colour) -> Yuv420 {
    let mut out = Yuv420 { width: 0, height: 0, y: Vec::new(), u: Vec::new(), v: Vec::new() };
    to_yuv420_into(picture, colour, &mut out);
    out
}

/// As [`to_yuv420`], reusing the memory of `out` (its size is set to the picture's).
///
/// # Panics
/// If `picture.data` is shorter than its size says.
pub fn to_yuv420_into(picture: &Rgb, colour: Colour, out: &mut Yuv420) {
    let (width, height) = (picture.width, picture.height);
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    (out.width, out.height) = (width, height);
    out.y.resize(width * height, 0);
    out.u.resize(chroma_width * chroma_height, 0);
    out.v.resize(chroma_width * chroma_height, 0);
    if width == 0 || height == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: as in `to_rgb_into`.
        return unsafe { down_rows_avx2(&down(colour), picture, out) };
    }
    down_rows(&down(colour), picture, out);
}

/// Full-range samples from limited-range ones or the reverse; the matrix stays.
///
/// A stream is carried as it was filmed; this is for sinks that know one range only.
pub fn change_range(picture: &mut Yuv420, from: Range, to: Range) {
    if from == to {
        return;
    }
    let table = |(span_num, span_den, offset_in, offset_out): (i32, i32, i32, i32)| -> [u8; 256] {
        std::array::from_fn(|code| {
            let scaled = (code as i32 - offset_in) * span_num * 2 + span_den;
            (scaled.div_euclid(2 * span_den) + offset_out).clamp(0, 255) as u8
        })
    };
    let (luma, chroma) = match to {
        Range::Full => (table((255, 219, 16, 0)), table((255, 224, 128, 128))),
        Range::Limited => (table((219, 255, 0, 16)), table((224, 255, 128, 128))),
    };
    picture.y.iter_mut().for_each(|s| *s = luma[usize::from(*s)]);
    picture.u.iter_mut().chain(&mut picture.v).for_each(|s| *s = chroma[usize::from(*s)]);
}

/// Samples of `from` as samples of `to`, each rounded once.
///
/// Between two matrices chroma depends on chroma alone and luma on its own chroma sample, because both leave greys grey: so nothing
/// is resampled, and colours that RGB could not hold are not cut. Plain IEEE operations, the same bytes on every machine.
pub fn recolour(picture: &mut Yuv420, from: Colour, to: Colour) {
    if from.matrix == to.matrix {
        return change_range(picture, from.range, to.range);
    }
    let ((kr, kb), (to_kr, to_kb)) = (from.weights(), to.weights());
    let (kg, to_kg) = (1.0 - kr - kb, 1.0 - to_kr - to_kb);
    let ((offset, luma_span, chroma_span), (to_offset, to_luma_span, to_chroma_span)) =
        (from.spans(), to.spans());
    // Red and blue above luma, per unit of V and U; then the new luma above the old one.
    let (red, blue) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
    let luma_of_v = to_kr * red - to_kg * kr * red / kg;
    let luma_of_u = to_kb * blue - to_kg * kb * blue / kg;
    let code = |value: f64| (value + 0.5).floor().clamp(0.0, 255.0) as u8;
    let chroma = |u: u8, v: u8| ((f64::from(u) - 128.0) / chroma_span, (f64::from(v) - 128.0) / chroma_span);
    let chroma_width = picture.width.div_ceil(2);
    for (i, luma) in picture.y.iter_mut().enumerate() {
        let (row, column) = (i / picture.width, i % picture.width);
        let at = row / 2 * chroma_width + column / 2;
        let (u, v) = chroma(picture.u[at], picture.v[at]);
        let y = (f64::from(*luma) - f64::from(offset)) / luma_span + luma_of_u * u + luma_of_v * v;
        *luma = code(f64::from(to_offset) + to_luma_span * y);
    }
    for (u, v) in picture.u.iter_mut().zip(&mut picture.v) {
        let (old_u, old_v) = chroma(*u, *v);
        let lifted = luma_of_u * old_u + luma_of_v * old_v;
        let new_u = (blue * old_u - lifted) / (2.0 * (1.0 - to_kb));
        let new_v = (red * old_v - lifted) / (2.0 * (1.0 - to_kr));
        (*u, *v) = (code(128.0 + to_chroma_span * new_u), code(128.0 + to_chroma_span * new_v));
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn up_rows_avx2(k: &Up, width: usize, planes: [&[u8]; 3], out: &mut [u8]) {
    up_rows(k, width, planes, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn greys_avx2(k: &Up, luma: &[u8], out: &mut [u8]) {
    greys(k, luma, out);
}

#[inline(always)]
fn greys(k: &Up, luma: &[u8], out: &mut [u8]) {
    let base = up_base(k);
    for (grey, &y) in out.iter_mut().zip(luma) {
        *grey = ((i32::from(y) * i32::from(k.y) + base) >> UP_BITS).clamp(0, 255) as u8;
    }
}

/// The luma offset, and what rounds.
#[inline(always)]
fn up_base(k: &Up) -> i32 {
    (1 << (UP_BITS - 1)) - k.luma_offset * i32::from(k.y)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn down_rows_avx2(k: &Down, picture: &Rgb, out: &mut Yuv420) {
    down_rows(k, picture, out);
}

#[inline(always)]
fn up_rows(k: &Up, width: usize, [y, u, v]: [&[u8]; 3], out: &mut [u8]) {
    let chroma_width = width.div_ceil(2);
    let mut scratch = vec![0i32; 3 * chroma_width];
    for (row, rgb) in out.chunks_exact_mut(3 * width).enumerate() {
        let y = &y[row * width..(row + 1) * width];
        if row % 2 == 0 && !u.is_empty() {
            let chroma = row / 2 * chroma_width..(row / 2 + 1) * chroma_width;
            chroma_terms(k, &u[chroma.clone()], &v[chroma], &mut scratch);
        }
        rgb_row(k, y, &scratch, rgb);
    }
}

#[inline(always)]
fn down_rows(k: &Down, picture: &Rgb, out: &mut Yuv420) {
    let (width, height, chroma_width) = (picture.width, picture.height, picture.width.div_ceil(2));
    let mut scratch = Planes::new(width);
    for pair in 0..height.div_ceil(2) {
        let (top, bottom) = (2 * pair, (2 * pair + 1).min(height - 1));
        scratch.sums.iter_mut().for_each(|sum| sum.fill(0));
        for row in [top, bottom] {
            scratch.split(&picture.data[3 * width * row..3 * width * (row + 1)]);
            luma_row(k, &scratch.rgb, &mut out.y[row * width..(row + 1) * width]);
        }
        let chroma = pair * chroma_width..(pair + 1) * chroma_width;
        chroma_row(&k.u, &scratch.sums, &mut out.u[chroma.clone()]);
        chroma_row(&k.v, &scratch.sums, &mut out.v[chroma]);
    }
}

/// The chroma terms of red, green and blue, which two rows share.
#[inline(always)]
fn chroma_terms(k: &Up, u: &[u8], v: &[u8], scratch: &mut [i32]) {
    let (red, rest) = scratch.split_at_mut(u.len());
    let (green, blue) = rest.split_at_mut(u.len());
    for i in 0..u.len() {
        let (u, v) = (i16::from(u[i]) - 128, i16::from(v[i]) - 128);
        red[i] = i32::from(v) * i32::from(k.rv);
        green[i] = i32::from(u) * i32::from(k.gu) + i32::from(v) * i32::from(k.gv);
        blue[i] = i32::from(u) * i32::from(k.bu);
    }
}

/// One row of RGB.
#[inline(always)]
fn rgb_row(k: &Up, y: &[u8], terms: &[i32], rgb: &mut [u8]) {
    let width = y.len();
    let (red, rest) = terms.split_at(width.div_ceil(2));
    let (green, blue) = rest.split_at(width.div_ceil(2));
    let base = up_base(k);
    let pixel = |out: &mut [u8], y: u8, i: usize| {
        let y = i32::from(y) * i32::from(k.y) + base;
        out[0] = ((y + red[i]) >> UP_BITS).clamp(0, 255) as u8;
        out[1] = ((y + green[i]) >> UP_BITS).clamp(0, 255) as u8;
        out[2] = ((y + blue[i]) >> UP_BITS).clamp(0, 255) as u8;
    };
    let mut pairs = rgb.chunks_exact_mut(6);
    for (i, (out, y)) in (&mut pairs).zip(y.chunks_exact(2)).enumerate() {
        pixel(&mut out[..3], y[0], i);
        pixel(&mut out[3..], y[1], i);
    }
    if width % 2 == 1 {
        pixel(pairs.into_remainder(), y[width - 1], width / 2);
    }
}

/// A row as planes, and the 2x2 sums of two rows.
struct Planes {
    rgb: [Vec<i16>; 3],
    sums: [Vec<i16>; 3],
}

impl Planes {
    fn new(width: usize) -> Self {
        let plane = |n: usize| [vec![0; n], vec![0; n], vec![0; n]];
        Self { rgb: plane(width), sums: plane(width.div_ceil(2)) }
    }

    #[inline(always)]
    fn split(&mut self, row: &[u8]) {
        let [red, green, blue] = &mut self.rgb;
        for (((pixel, r), g), b) in row.chunks_exact(3).zip(red).zip(green).zip(blue) {
            (*r, *g, *b) = (i16::from(pixel[0]), i16::from(pixel[1]), i16::from(pixel[2]));
        }
        for (plane, sums) in self.rgb.iter().zip(&mut self.sums) {
            for (sum, pair) in sums.iter_mut().zip(plane.chunks(2)) {
                *sum += pair[0] + pair[pair.len() - 1];
            }
        }
    }
}

#[inline(always)]
fn luma_row(k: &Down, [r, g, b]: &[Vec<i16>; 3], out: &mut [u8]) {
    let base = (1 << (DOWN_BITS - 1)) + (k.luma_offset << DOWN_BITS);
    for (((r, g), b), out) in r.iter().zip(g).zip(b).zip(out) {
        *out = ((weigh(&k.y, *r, *g, *b) + base) >> DOWN_BITS) as u8;
    }
}

#[inline(always)]
fn chroma_row(k: &[i16; 3], [r, g, b]: &[Vec<i16>; 3], out: &mut [u8]) {
    let bits = DOWN_BITS + 2; // sums of four
    let base = (1 << (bits - 1)) + (128 << bits);
    for (((r, g), b), out) in r.iter().zip(g).zip(b).zip(out) {
        *out = ((weigh(k, *r, *g, *b) + base) >> bits).min(255) as u8;
    }
}

#[inline(always)]
fn weigh(k: &[i16; 3], r: i16, g: i16, b: i16) -> i32 {
    i32::from(k[0]) * i32::from(r) + i32::from(k[1]) * i32::from(g) + i32::from(k[2]) * i32::from(b)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Every code of luma, in both ranges and several matrices, by whichever build of the loop.
    #[test]
    fn greys_are_what_rgb_without_chroma_is() {
        let mut ramp = Yuv420::filled(256, 2, (0, 128, 128));
        ramp.y.iter_mut().zip((0..=u8::MAX).cycle()).for_each(|(y, code)| *y = code);
        for colour in [Colour::BT601, Colour::BT601.full(), Colour::BT709, Colour::BT709.full()] {
            let rgb = to_rgb(&ramp, colour).data;
            let mut out = vec![7; 3];
            greys_into(&ramp.y, colour, &mut out);
            let mut plain = vec![0; ramp.y.len()];
            greys(&up(colour), &ramp.y, &mut plain);
            assert!(rgb.chunks_exact(3).zip(&out).all(|(rgb, grey)| rgb == [*grey; 3]), "{colour}");
            assert_eq!(out, plain);
        }
    }

    /// The plain build of the loops gives the bytes of the AVX2 build.
    #[test]
    fn both_builds_agree() {
        let (width, height) = (67, 35);
        let data = (0..3 * width * height).map(|i: usize| (i * i / 7 % 256) as u8).collect();
        let rgb = Rgb { width, height, data };
        for colour in [Colour::BT601, Colour::BT709.full()] {
            let yuv = to_yuv420(&rgb, colour);
            let mut plain = Yuv420::black(width, height);
            down_rows(&down(colour), &rgb, &mut plain);
            assert_eq!(yuv, plain);
            let mut back = vec![0; rgb.data.len()];
            up_rows(&up(colour), width, [&yuv.y, &yuv.u, &yuv.v], &mut back);
            assert_eq!(to_rgb(&yuv, colour).data, back);
        }
    }
}
