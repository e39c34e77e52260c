//! What FFmpeg's pixel formats mean, asked of its descriptors, and their samples as planes.

use crate::Error;
use ff::format::Pixel;
use ff::{ffi, frame};
use ffmpeg as ff;
use media::convert::{Colour, Matrix, Range};
use media::picture::{Format, Model, Picture, Plane};
use std::ffi::CStr;
use std::path::Path;

/// How a pixel format's samples are found, and what they become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What the planes become.
    pub format: Format,
    kind: Kind,
    /// A plane of opacity that is not read.
    drops_alpha: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Integers of one width.
    Plain,
    /// Integers of several widths (5, 6 and 5 bits), widened to 8.
    Uneven,
    /// Codes of a palette of 8-bit colours.
    Palette,
    /// Single precision, 0 to 1; becomes 16 bits.
    Float,
}

fn descriptor(pixel: Pixel) -> Option<&'static ffi::AVPixFmtDescriptor> {
    // SAFETY: FFmpeg's table is constant.
    unsafe { ffi::av_pix_fmt_desc_get(pixel.into()).as_ref() }
}

fn has(desc: &ffi::AVPixFmtDescriptor, flag: libc::c_int) -> bool {
    desc.flags & flag as u64 != 0
}

/// FFmpeg's name of a pixel format.
pub(crate) fn name(pixel: Pixel) -> String {
    // SAFETY: a descriptor's name is a constant string.
    descriptor(pixel).map_or_else(
        || "unknown".into(),
        |d| unsafe { CStr::from_ptr(d.name) }.to_string_lossy().into_owned(),
    )
}

impl Layout {
    /// `None` for what has no samples of its own here: hardware surfaces, Bayer mosaics, XYZ.
    pub fn of(pixel: Pixel) -> Option<Self> {
        let desc = descriptor(pixel)?;
        if has(desc, ffi::AV_PIX_FMT_FLAG_HWACCEL)
            || has(desc, ffi::AV_PIX_FMT_FLAG_BAYER)
            || name(pixel).starts_with("xyz")
        {
            return None;
        }
        if has(desc, ffi::AV_PIX_FMT_FLAG_PAL) {
            return Some(Self { format: Format::RGB, kind: Kind::Palette, drops_alpha: false });
        }
        let comps = &desc.comp[..usize::from(desc.nb_components)];
        let colours = if comps.len() < 3 { 1 } else { 3 };
        let depths = comps[..colours].iter().map(|c| c.depth);
        let (least, most) = (depths.clone().min()?, depths.max()?);
        let float = has(desc, ffi::AV_PIX_FMT_FLAG_FLOAT);
        let model = match (colours, has(desc, ffi::AV_PIX_FMT_FLAG_RGB)) {
            (1, _) => Model::Grey,
            (_, true) => Model::Rgb,
            (_, false) => Model::Yuv,
        };
        let (kind, bits) = match (float, least == most) {
            (true, _) if most == 32 => (Kind::Float, 16),
            (true, _) => return None,
            (false, true) if most <= 16 => (Kind::Plain, most as u8),
            (false, false) if most <= 8 => (Kind::Uneven, 8),
            _ => return None,
        };
        let chroma = if model == Model::Yuv { (desc.log2_chroma_w, desc.log2_chroma_h) } else { (0, 0) };
        let even_alpha = comps.len() == 4 && kind == Kind::Plain && i32::from(bits) == comps[3].depth;
        let drops_alpha = has(desc, ffi::AV_PIX_FMT_FLAG_ALPHA) && !even_alpha;
        Some(Self { format: Format { model, bits, chroma, alpha: even_alpha }, kind, drops_alpha })
    }

    /// Depth as samples: grey of more than 8 bits, or of floating point.
    pub fn is_depth(pixel: Pixel) -> bool {
        name(pixel).starts_with("gray") && Self::of(pixel).is_some_and(|l| l.format.bits > 8)
    }

    /// Grey of floating point.
    pub fn is_float(self) -> bool {
        self.kind == Kind::Float
    }

    /// What is done to the samples besides taking them, in words.
    pub fn note(self) -> Option<&'static str> {
        match self.kind {
            Kind::Plain => self.drops_alpha.then_some("its opacity is left out"),
            Kind::Uneven => Some("its samples of fewer than 8 bits are widened to 8"),
            Kind::Palette => Some("its palette is looked up"),
            Kind::Float => Some("its floating-point samples are rounded to 16 bits, clipped to 0..1"),
        }
    }

    /// The samples of a decoded picture.
    pub fn planes(self, frame: &frame::Video, picture: &mut Picture) {
        let Some(desc) = descriptor(frame.format()) else { return };
        let size = (frame.width() as usize, frame.height() as usize);
        picture.shape(size, self.format);
        for (index, plane) in picture.planes.iter_mut().enumerate() {
            let (w, h) = self.format.plane_size(index, size);
            match self.kind {
                Kind::Plain => match plane {
                    Plane::Eight(out) => bytes(frame, desc, index, (w, h), out),
                    Plane::Sixteen(out) => words(frame, desc, index, (w, h), out),
                },
                Kind::Uneven => {
                    let peak = (1u32 << desc.comp[index].depth) - 1;
                    let Plane::Eight(out) = plane else { continue };
                    rows(frame, desc, index, (w, h), false, |at, code| {
                        out[at] = ((u32::from(code) * 510 + peak) / (2 * peak)) as u8;
                    });
                }
                Kind::Palette => {
                    let Plane::Eight(out) = plane else { continue };
                    // The palette's words are ARGB, so that in memory blue comes first.
                    rows(frame, desc, 2 - index, (w, h), true, |at, code| out[at] = code as u8);
                }
                Kind::Float => {
                    let Plane::Sixteen(out) = plane else { continue };
                    let values = floats(frame, index, (w, h));
                    for (out, v) in out.iter_mut().zip(values) {
                        *out = (f64::from(v).clamp(0.0, 1.0) * 65535.0 + 0.5) as u16;
                    }
                }
            }
        }
    }
}

fn is_native(desc: &ffi::AVPixFmtDescriptor, component: usize, bytes: i32) -> bool {
    let c = &desc.comp[component];
    c.step == bytes
        && c.shift == 0
        && c.offset == 0
        && !has(desc, ffi::AV_PIX_FMT_FLAG_BITSTREAM)
        && (bytes == 1 || has(desc, ffi::AV_PIX_FMT_FLAG_BE) == cfg!(target_endian = "big"))
}

/// Rows of a component that lies in a plane of its own.
fn row(frame: &frame::Video, plane: usize, y: usize, bytes: usize) -> &[u8] {
    // SAFETY: FFmpeg keeps rows of at least this many bytes, `linesize` apart (possibly negative).
    unsafe {
        let raw = frame.as_ptr();
        let start = (*raw).data[plane].offset(y as isize * (*raw).linesize[plane] as isize);
        std::slice::from_raw_parts(start, bytes)
    }
}

fn bytes(
    frame: &frame::Video,
    desc: &ffi::AVPixFmtDescriptor,
    component: usize,
    (w, h): (usize, usize),
    out: &mut [u8],
) {
    if is_native(desc, component, 1) && desc.comp[component].depth == 8 {
        for y in 0..h {
            out[y * w..(y + 1) * w].copy_from_slice(row(frame, desc.comp[component].plane as usize, y, w));
        }
    } else {
        rows(frame, desc, component, (w, h), false, |at, code| out[at] = code as u8);
    }
}

fn words(
    frame: &frame::Video,
    desc: &ffi::AVPixFmtDescriptor,
    component: usize,
    (w, h): (usize, usize),
    out: &mut [u16],
) {
    if is_native(desc, component, 2) {
        for y in 0..h {
            let from = row(frame, desc.comp[component].plane as usize, y, 2 * w);
            for (out, pair) in out[y * w..].iter_mut().zip(from.chunks_exact(2)) {
                *out = u16::from_ne_bytes([pair[0], pair[1]]);
            }
        }
    } else {
        rows(frame, desc, component, (w, h), false, |at, code| out[at] = code);
    }
}

/// Any component, whatever its packing, by FFmpeg's own account of where its bits are.
fn rows(
    frame: &frame::Video,
    desc: &ffi::AVPixFmtDescriptor,
    component: usize,
    (w, h): (usize, usize),
    palette: bool,
    mut put: impl FnMut(usize, u16),
) {
    let mut line = vec![0u16; w];
    for y in 0..h {
        // SAFETY: the frame's own planes and strides; `w` samples of two bytes fit the line.
        unsafe {
            let raw = frame.as_ptr();
            let mut data: [*const u8; 4] = std::array::from_fn(|i| (*raw).data[i].cast_const());
            ffi::av_read_image_line2(
                line.as_mut_ptr().cast(),
                data.as_mut_ptr(),
                (*raw).linesize.as_ptr(),
                desc,
                0,
                y as libc::c_int,
                component as libc::c_int,
                w as libc::c_int,
                libc::c_int::from(palette),
                2,
            );
        }
        for (x, code) in line.iter().enumerate() {
            put(y * w + x, *code);
        }
    }
}

/// A component of floating point, native byte order or not.
pub(crate) fn floats(frame: &frame::Video, component: usize, (w, h): (usize, usize)) -> Vec<f32> {
    let Some(desc) = descriptor(frame.format()) else { return Vec::new() };
    let (plane, step, offset) = {
        let c = &desc.comp[component];
        (c.plane as usize, c.step as usize, c.offset as usize)
    };
    let big = has(desc, ffi::AV_PIX_FMT_FLAG_BE);
    (0..h)
        .flat_map(|y| {
            let line = row(frame, plane, y, step * (w - 1) + offset + 4);
            (0..w).map(move |x| {
                let at = step * x + offset;
                let bytes = [line[at], line[at + 1], line[at + 2], line[at + 3]];
                if big { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) }
            })
        })
        .collect()
}

/// Whether a pixel format is RGB, in planes, packed or by a palette.
pub(crate) fn is_rgb(pixel: Pixel) -> bool {
    Layout::of(pixel).is_some_and(|l| l.format.model == Model::Rgb)
}

/// What a file says of its colours, word for word as FFmpeg names them; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tags {
    /// The matrix, for instance `bt709`.
    pub matrix: Option<String>,
    /// `tv` (limited) or `pc` (full).
    pub range: Option<String>,
    /// The transfer characteristic, for instance `smpte2084`.
    pub transfer: Option<String>,
    /// The primaries.
    pub primaries: Option<String>,
}

/// Matrix and range of pictures, by the one rule of all readers: what the file says, else BT.601 and
/// [`Range::assumed`]. Also the tags themselves.
pub(crate) fn colour(pixel: Pixel, parameters: &ColourTags) -> (Colour, Tags) {
    use ff::color::{Range as R, Space as S};
    let model = Layout::of(pixel).map_or(Model::Yuv, |l| l.format.model);
    let matrix = match parameters.space {
        S::BT709 => Matrix::Bt709,
        S::BT2020NCL | S::BT2020CL => Matrix::Bt2020,
        S::SMPTE240M => Matrix::Smpte240m,
        S::FCC => Matrix::Fcc,
        _ => Matrix::Bt601,
    };
    let jpeg = name(pixel).starts_with("yuvj");
    let range = match parameters.range {
        _ if model == Model::Rgb => Range::Full,
        R::JPEG => Range::Full,
        R::MPEG => Range::Limited,
        R::Unspecified if jpeg => Range::Full,
        R::Unspecified => Range::assumed(model),
    };
    let said = |name: Option<&str>| name.filter(|n| !matches!(*n, "unknown" | "reserved")).map(str::to_owned);
    let tags = Tags {
        matrix: said(parameters.space.name()).filter(|_| model != Model::Rgb),
        range: match parameters.range {
            R::JPEG => Some("pc".into()),
            R::MPEG => Some("tv".into()),
            R::Unspecified => jpeg.then(|| "pc".into()),
        },
        transfer: said(parameters.transfer.name()),
        primaries: said(parameters.primaries.name()),
    };
    let matrix = if model == Model::Yuv { matrix } else { Matrix::Bt601 };
    (Colour { matrix, range }, tags)
}

/// The colour fields of a decoder or a frame.
pub(crate) struct ColourTags {
    pub space: ff::color::Space,
    pub range: ff::color::Range,
    pub transfer: ff::color::TransferCharacteristic,
    pub primaries: ff::color::Primaries,
}

impl ColourTags {
    pub fn of(frame: &frame::Video) -> Self {
        Self {
            space: frame.color_space(),
            range: frame.color_range(),
            transfer: frame.color_transfer_characteristic(),
            primaries: frame.color_primaries(),
        }
    }
}

/// A pixel format that has no samples of its own here.
pub(crate) fn unknown(path: &Path, pixel: Pixel) -> Error {
    Error::Kind {
        path: path.into(),
        found: name(pixel),
        want: "its samples are no grey, YUV or RGB; convert it with `ffmpeg -i IN -pix_fmt gbrp16 -c:v ffv1 OUT.mkv`".into(),
    }
}
