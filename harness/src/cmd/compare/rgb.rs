//! The RGB in which a pair of pictures is measured.
//!
//! | both pictures are | RGB of |
//! |---|---|
//! | 8-bit 4:2:0, 8-bit grey, 8-bit RGB: what a run scores | 8 bits, `media::convert` |
//! | RGB, or grey of full range, of one depth | that depth, no sample changed |
//! | anything else | 16 bits, `media::wide`: double precision, rounded once |

use super::source::AnyPicture;
use media::convert::{Colour, Range, planes_to_rgb_into};
use media::picture::{Format, Model, Picture};
use media::wide::to_rgb16_into;
use media::{Rgb, Rgb16};

/// What the RGB form of a picture needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// 8 bits, as in a run.
    Eight,
    /// The codes themselves, up to this one.
    Native(u16),
    /// 16 bits.
    Sixteen,
}

impl Pixels {
    pub fn of(format: Format, colour: Colour) -> Self {
        match (format.model, format.bits) {
            (Model::Rgb | Model::Grey, 8) => Self::Eight,
            (Model::Yuv, 8) if format.chroma == (1, 1) => Self::Eight,
            (Model::Rgb, _) => Self::Native(format.peak()),
            (Model::Grey, _) if colour.range == Range::Full => Self::Native(format.peak()),
            _ => Self::Sixteen,
        }
    }

    /// What serves both.
    pub fn both(self, other: Self) -> Self {
        if self == other { self } else { Self::Sixteen }
    }

    /// In words.
    pub fn name(self) -> String {
        match self {
            Self::Eight => "8-bit RGB".into(),
            Self::Native(peak) => format!("their own codes, 0 to {peak}"),
            Self::Sixteen => "16-bit RGB".into(),
        }
    }
}

/// A pair in RGB.
pub enum Pair<'a> {
    Eight(&'a Rgb, &'a Rgb),
    Deep(&'a Rgb16, &'a Rgb16),
}

/// Memory for pairs.
pub struct Buffers {
    eight: [Rgb; 2],
    deep: [Rgb16; 2],
}

impl Buffers {
    pub fn new() -> Self {
        let empty = || Rgb { width: 0, height: 0, data: Vec::new() };
        Self { eight: [empty(), empty()], deep: [Rgb16::default(), Rgb16::default()] }
    }

    /// Both pictures in RGB; `None` for depth.
    pub fn pair(&mut self, reference: &AnyPicture, shown: &AnyPicture) -> Option<Pair<'_>> {
        let pixels = reference.pixels()?.both(shown.pixels()?);
        let peak = match pixels {
            Pixels::Eight => {
                self.eights(reference, shown);
                return Some(Pair::Eight(&self.eight[0], &self.eight[1]));
            }
            Pixels::Native(peak) => peak,
            Pixels::Sixteen => u16::MAX,
        };
        for (any, out) in [reference, shown].into_iter().zip(&mut self.deep) {
            let AnyPicture::Picture(picture, colour) = any else { continue };
            to_rgb16_into(picture, *colour, peak, out);
        }
        Some(Pair::Deep(&self.deep[0], &self.deep[1]))
    }

    /// The pair that was asked for last, in 8 bits: what networks were trained on.
    pub fn rounded(&mut self, reference: &AnyPicture, shown: &AnyPicture) -> Option<(&Rgb, &Rgb)> {
        if let Pair::Deep(..) = self.pair(reference, shown)? {
            for (deep, out) in self.deep.iter().zip(&mut self.eight) {
                (out.width, out.height) = (deep.width, deep.height);
                let peak = u32::from(deep.peak);
                let round = |code: &u16| ((u32::from(*code) * 510 + peak) / (2 * peak)) as u8;
                out.data = deep.data.iter().map(round).collect();
            }
        }
        Some((&self.eight[0], &self.eight[1]))
    }

    fn eights(&mut self, reference: &AnyPicture, shown: &AnyPicture) {
        for (any, out) in [reference, shown].into_iter().zip(&mut self.eight) {
            let AnyPicture::Picture(picture, colour) = any else { continue };
            match picture.format.model {
                Model::Rgb => interleaved(picture, out),
                _ => {
                    let plane = |i: usize| picture.planes.get(i).map_or(&[][..], |p| p.eight());
                    let grey = picture.format.model == Model::Grey;
                    let chroma = |i| if grey { &[][..] } else { plane(i) };
                    let planes = [plane(0), chroma(1), chroma(2)];
                    planes_to_rgb_into((picture.width, picture.height), planes, *colour, out);
                }
            }
        }
    }
}

fn interleaved(picture: &Picture, out: &mut Rgb) {
    (out.width, out.height) = (picture.width, picture.height);
    out.data.resize(3 * picture.width * picture.height, 0);
    let [r, g, b] = [0, 1, 2].map(|c: usize| picture.planes[c].eight());
    for (((out, r), g), b) in out.data.chunks_exact_mut(3).zip(r).zip(g).zip(b) {
        out.copy_from_slice(&[*r, *g, *b]);
    }
}
