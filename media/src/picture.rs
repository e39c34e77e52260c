//! Pictures in their own format: planes of 1 to 16 bits, grey, YUV of any subsampling, or RGB.
//!
//! The form that `compare` reads and measures; codecs here take [`Yuv420`] alone.

use crate::{Rgb, Yuv420};

/// What the planes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// Luma alone.
    Grey,
    /// Luma and two colour differences.
    Yuv,
    /// Red, green, blue, in this order.
    Rgb,
}

/// How samples are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// What the planes are.
    pub model: Model,
    /// Bits of a sample, 1 to 16.
    pub bits: u8,
    /// Binary logarithm of the luma columns and rows that share one chroma sample: (1, 1) is 4:2:0, (0, 0) 4:4:4.
    pub chroma: (u8, u8),
    /// A plane of opacity follows the others.
    pub alpha: bool,
}

impl Format {
    /// 8-bit 4:2:0.
    pub const YUV420: Self = Self { model: Model::Yuv, bits: 8, chroma: (1, 1), alpha: false };
    /// 8-bit luma alone.
    pub const GREY: Self = Self { model: Model::Grey, bits: 8, chroma: (0, 0), alpha: false };
    /// 8-bit RGB.
    pub const RGB: Self = Self { model: Model::Rgb, bits: 8, chroma: (0, 0), alpha: false };

    /// Planes of colour, without opacity.
    #[must_use]
    pub fn colours(self) -> usize {
        if self.model == Model::Grey { 1 } else { 3 }
    }

    /// Planes in all.
    #[must_use]
    pub fn planes(self) -> usize {
        self.colours() + usize::from(self.alpha)
    }

    /// Columns and rows of plane `index` of a picture of `size`. Chroma is rounded up.
    #[must_use]
    pub fn plane_size(self, index: usize, (width, height): (usize, usize)) -> (usize, usize) {
        if self.model == Model::Yuv && (index == 1 || index == 2) {
            (width.div_ceil(1 << self.chroma.0), height.div_ceil(1 << self.chroma.1))
        } else {
            (width, height)
        }
    }

    /// The largest code.
    #[must_use]
    pub fn peak(self) -> u16 {
        ((1u32 << self.bits) - 1) as u16
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.model, self.chroma) {
            (Model::Grey, _) => write!(f, "grey")?,
            (Model::Rgb, _) => write!(f, "RGB")?,
            (Model::Yuv, (1, 1)) => write!(f, "4:2:0")?,
            (Model::Yuv, (1, 0)) => write!(f, "4:2:2")?,
            (Model::Yuv, (0, 0)) => write!(f, "4:4:4")?,
            (Model::Yuv, (0, 1)) => write!(f, "4:4:0")?,
            (Model::Yuv, (2, 0)) => write!(f, "4:1:1")?,
            (Model::Yuv, (2, 2)) => write!(f, "4:1:0")?,
            (Model::Yuv, (w, h)) => write!(f, "YUV with chroma over {}x{}", 1 << w, 1 << h)?,
        }
        write!(f, " {} bit{}", self.bits, if self.alpha { " with alpha" } else { "" })
    }
}

/// The samples of a plane, row by row without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Up to 8 bits.
    Eight(Vec<u8>),
    /// 9 to 16 bits.
    Sixteen(Vec<u16>),
}

impl Plane {
    /// Samples in it.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Eight(s) => s.len(),
            Self::Sixteen(s) => s.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One sample.
    #[must_use]
    pub fn at(&self, index: usize) -> u16 {
        match self {
            Self::Eight(s) => s[index].into(),
            Self::Sixteen(s) => s[index],
        }
    }

    /// The samples of a plane of up to 8 bits; none of a deeper one.
    #[must_use]
    pub fn eight(&self) -> &[u8] {
        match self {
            Self::Eight(s) => s,
            Self::Sixteen(_) => &[],
        }
    }
}

/// A picture in its own format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// What the planes hold.
    pub format: Format,
    /// Y, U, V or R, G, B or luma alone; then opacity, if there is any.
    pub planes: Vec<Plane>,
}

impl Default for Picture {
    /// An empty picture, to be read into.
    fn default() -> Self {
        Self { width: 0, height: 0, format: Format::GREY, planes: vec![Plane::Eight(Vec::new())] }
    }
}

impl Picture {
    /// Gives the picture this shape, keeping what memory fits; the samples then hold nothing sensible.
    pub fn shape(&mut self, (width, height): (usize, usize), format: Format) {
        (self.width, self.height, self.format) = (width, height, format);
        self.planes.truncate(format.planes());
        for index in 0..format.planes() {
            let (w, h) = format.plane_size(index, (width, height));
            let plane = match (self.planes.get_mut(index), format.bits > 8) {
                (Some(Plane::Eight(samples)), false) => {
                    samples.resize(w * h, 0);
                    continue;
                }
                (Some(Plane::Sixteen(samples)), true) => {
                    samples.resize(w * h, 0);
                    continue;
                }
                (_, false) => Plane::Eight(vec![0; w * h]),
                (_, true) => Plane::Sixteen(vec![0; w * h]),
            };
            match self.planes.get_mut(index) {
                Some(old) => *old = plane,
                None => self.planes.push(plane),
            }
        }
    }

    /// The picture as codecs take it, if it is 8-bit 4:2:0, or 8-bit grey (whose chroma is then neutral).
    #[must_use]
    pub fn into_yuv420(self) -> Option<Yuv420> {
        let Self { width, height, format, planes } = self;
        if !matches!(format, Format::YUV420 | Format::GREY) {
            return None;
        }
        let mut planes = planes.into_iter().map(|p| match p {
            Plane::Eight(samples) => samples,
            Plane::Sixteen(_) => Vec::new(),
        });
        let neutral = || vec![128; width.div_ceil(2) * height.div_ceil(2)];
        let y = planes.next()?;
        let (u, v) = (planes.next().unwrap_or_else(neutral), planes.next().unwrap_or_else(neutral));
        Some(Yuv420 { width, height, y, u, v })
    }

    /// Mirrored and turned.
    #[must_use]
    pub fn oriented(&self, how: Orientation) -> Self {
        if how == Orientation::default() {
            return self.clone();
        }
        let mut format = self.format;
        let (mut width, mut height) = (self.width, self.height);
        if how.transpose {
            format.chroma = (format.chroma.1, format.chroma.0);
            (width, height) = (height, width);
        }
        let planes = (self.planes.iter().enumerate())
            .map(|(index, plane)| {
                let (w, h) = self.format.plane_size(index, (self.width, self.height));
                match plane {
                    Plane::Eight(s) => Plane::Eight(how.plane(s, w, h)),
                    Plane::Sixteen(s) => Plane::Sixteen(how.plane(s, w, h)),
                }
            })
            .collect();
        Self { width, height, format, planes }
    }
}

impl From<Yuv420> for Picture {
    fn from(p: Yuv420) -> Self {
        let planes = [p.y, p.u, p.v].map(Plane::Eight).into();
        Self { width: p.width, height: p.height, format: Format::YUV420, planes }
    }
}

impl From<&Rgb> for Picture {
    fn from(p: &Rgb) -> Self {
        let plane = |c: usize| Plane::Eight(p.data.iter().skip(c).step_by(3).copied().collect());
        let planes = vec![plane(0), plane(1), plane(2)];
        Self { width: p.width, height: p.height, format: Format::RGB, planes }
    }
}

/// One of the eight ways to lay a rectangle onto another: first columns and rows change places, then it is mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Orientation {
    /// Columns become rows.
    pub transpose: bool,
    /// Left and right change places.
    pub mirror_x: bool,
    /// Top and bottom change places.
    pub mirror_y: bool,
}

impl Orientation {
    /// Reads a display matrix's linear part `[a, b, c, d]`, by which `x' = a x + c y`, `y' = b x + d y` (ISO/IEC 14496-12,
    /// 6.2.2). `None` if it does more than quarter turns and mirrors.
    #[must_use]
    pub fn of_matrix([a, b, c, d]: [i32; 4]) -> Option<Self> {
        if b == 0 && c == 0 && a != 0 && d != 0 {
            Some(Self { transpose: false, mirror_x: a < 0, mirror_y: d < 0 })
        } else if a == 0 && d == 0 && b != 0 && c != 0 {
            Some(Self { transpose: true, mirror_x: c < 0, mirror_y: b < 0 })
        } else {
            None
        }
    }

    /// A plane of `w x h` samples, laid out anew.
    #[must_use]
    pub fn plane<T: Copy>(self, plane: &[T], w: usize, h: usize) -> Vec<T> {
        let (out_w, out_h) = if self.transpose { (h, w) } else { (w, h) };
        let mut out = Vec::with_capacity(w * h);
        for y in 0..out_h {
            let y = if self.mirror_y { out_h - 1 - y } else { y };
            for x in 0..out_w {
                let x = if self.mirror_x { out_w - 1 - x } else { x };
                out.push(if self.transpose { plane[x * w + y] } else { plane[y * w + x] });
            }
        }
        out
    }
}

impl std::fmt::Display for Orientation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.transpose, self.mirror_x, self.mirror_y) {
            (false, false, false) => "upright",
            (false, true, false) => "mirrored left to right",
            (false, false, true) => "mirrored top to bottom",
            (false, true, true) => "turned by 180 degrees",
            (true, true, false) => "turned by 90 degrees",
            (true, false, true) => "turned by 270 degrees",
            (true, false, false) => "turned by 90 degrees and mirrored left to right",
            (true, true, true) => "turned by 270 degrees and mirrored left to right",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: [u8; 6] = [1, 2, 3, 4, 5, 6]; // 3 x 2

    /// The expected planes are written out from the matrices' meaning, ISO/IEC 14496-12, 6.2.2.
    #[test]
    fn the_eight_orientations() {
        let laid = |matrix| Orientation::of_matrix(matrix).unwrap().plane(&PLANE, 3, 2);
        assert_eq!(laid([1, 0, 0, 1]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(laid([-1, 0, 0, 1]), [3, 2, 1, 6, 5, 4]);
        assert_eq!(laid([1, 0, 0, -1]), [4, 5, 6, 1, 2, 3]);
        assert_eq!(laid([-1, 0, 0, -1]), [6, 5, 4, 3, 2, 1]);
        assert_eq!(laid([0, 1, -1, 0]), [4, 1, 5, 2, 6, 3], "clockwise");
        assert_eq!(laid([0, -1, 1, 0]), [3, 6, 2, 5, 1, 4], "anticlockwise");
        assert_eq!(laid([0, 1, 1, 0]), [1, 4, 2, 5, 3, 6]);
        assert_eq!(laid([0, -1, -1, 0]), [6, 3, 5, 2, 4, 1]);
        assert_eq!(Orientation::of_matrix([3, 1, -1, 3]), None);
        assert_eq!(Orientation::of_matrix([0; 4]), None);
    }

    #[test]
    fn a_turned_picture_keeps_chroma_with_luma() {
        let format = Format { chroma: (1, 0), ..Format::YUV420 };
        let mut p = Picture::default();
        p.shape((4, 3), format);
        assert_eq!((p.planes[0].len(), p.planes[1].len()), (12, 6));
        let turned = p.oriented(Orientation::of_matrix([0, 1, -1, 0]).unwrap());
        assert_eq!((turned.width, turned.height, turned.format.chroma), (3, 4, (0, 1)));
        assert_eq!(turned.format.plane_size(1, (3, 4)), (3, 2));
    }
}
