//! PNG files: pictures as RGB or grey, depth as 16-bit grey in millimetres. PFM files: depth in floating point.

use crate::picture::{Format, Model, Picture, Plane};
use crate::{Depth16, MAX_PIXELS, Rgb};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What goes wrong with a PNG file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, made or written.
    #[error("failed to {verb} {path}: {source}")]
    Io {
        /// `open`, `create` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not a whole PNG.
    #[error("failed to decode {path}: {source} (damaged, truncated or not a PNG)")]
    Decode {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: png::DecodingError,
    },
    /// The picture could not be encoded.
    #[error("failed to encode {path}: {source}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: png::EncodingError,
    },
    /// A good PNG of another kind.
    #[error("{path}: expected {want}, found {found}")]
    Kind {
        /// The file.
        path: PathBuf,
        /// What this reader takes.
        want: &'static str,
        /// Colour type and bit depth of the file.
        found: String,
    },
}

/// Reads an 8-bit picture; grey becomes RGB, palettes are expanded, alpha is dropped.
///
/// # Errors
/// Names the file and the cause.
pub fn read_rgb(path: &Path) -> Result<Rgb, Error> {
    let (info, data) = read(path, png::Transformations::normalize_to_color8())?;
    let (width, height) = (info.width as usize, info.height as usize);
    let data = match info.color_type {
        png::ColorType::Rgb => data,
        png::ColorType::Rgba => data.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        png::ColorType::Grayscale => data.iter().flat_map(|g| [*g; 3]).collect(),
        png::ColorType::GrayscaleAlpha => data.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        png::ColorType::Indexed => return Err(kind(path, "a picture", &info)),
    };
    Ok(Rgb { width, height, data })
}

/// Reads a picture with all its bits: grey or RGB of 8 or 16; palettes and fewer bits become 8, alpha is dropped.
///
/// # Errors
/// Names the file and the cause.
pub fn read_picture(path: &Path) -> Result<Picture, Error> {
    let (info, data) = read(path, png::Transformations::EXPAND)?;
    let (channels, model) = match info.color_type {
        png::ColorType::Grayscale => (1, Model::Grey),
        png::ColorType::GrayscaleAlpha => (2, Model::Grey),
        png::ColorType::Rgb => (3, Model::Rgb),
        png::ColorType::Rgba => (4, Model::Rgb),
        png::ColorType::Indexed => return Err(kind(path, "a picture", &info)),
    };
    let deep = info.bit_depth == png::BitDepth::Sixteen;
    let format = Format { model, bits: if deep { 16 } else { 8 }, ..Format::RGB };
    let plane = |c: usize| {
        if deep {
            let samples = data.chunks_exact(2 * channels);
            Plane::Sixteen(samples.map(|p| u16::from_be_bytes([p[2 * c], p[2 * c + 1]])).collect())
        } else {
            Plane::Eight(data.iter().skip(c).step_by(channels).copied().collect())
        }
    };
    let planes = (0..format.colours()).map(plane).collect();
    Ok(Picture { width: info.width as usize, height: info.height as usize, format, planes })
}

/// Reads a 16-bit grey picture as depth in millimetres.
///
/// # Errors
/// Names the file and the cause; an 8-bit picture is refused, since it is no metric depth.
pub fn read_depth16(path: &Path) -> Result<Depth16, Error> {
    let (info, data) = read(path, png::Transformations::IDENTITY)?;
    if info.color_type != png::ColorType::Grayscale || info.bit_depth != png::BitDepth::Sixteen {
        return Err(kind(path, "16-bit grey (depth in millimetres)", &info));
    }
    let mm = data.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
    Ok(Depth16 { width: info.width as usize, height: info.height as usize, mm })
}

/// A picture of floating-point numbers, top row first.
#[derive(Clone, Debug, PartialEq)]
pub struct Floats {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` numbers.
    pub values: Vec<f32>,
}

/// Reads a grey portable float map: `Pf`, columns, rows, a scale whose sign gives the byte order (negative: little end first), and
/// the rows from the bottom up.
///
/// Source: Paul Debevec, "PFM Portable FloatMap Image Format". (FFmpeg 5.1 reads its rows from the top down.)
///
/// # Errors
/// Names the file and the cause.
pub fn read_pfm(path: &Path) -> Result<Floats, Error> {
    let bytes =
        std::fs::read(path).map_err(|source| Error::Io { verb: "read", path: path.into(), source })?;
    let bad =
        |found: &str| Error::Kind { path: path.into(), want: "a grey PFM picture", found: found.into() };
    // Four words, one white space after the last.
    let (mut words, mut at) = (Vec::new(), 0);
    while words.len() < 4 {
        let start = at
            + bytes[at..]
                .iter()
                .position(|b| !b.is_ascii_whitespace())
                .ok_or_else(|| bad("half a header"))?;
        let end = start
            + bytes[start..].iter().position(u8::is_ascii_whitespace).ok_or_else(|| bad("half a header"))?;
        words.push(String::from_utf8_lossy(&bytes[start..end]).into_owned());
        at = end;
    }
    let side = |text: &str| text.parse::<usize>().ok().filter(|n| *n > 0);
    let (Some(width), Some(height), Ok(scale)) = (side(&words[1]), side(&words[2]), words[3].parse::<f32>())
    else {
        return Err(bad("a header without a size"));
    };
    if words[0] != "Pf" || width.saturating_mul(height) > MAX_PIXELS {
        return Err(bad(&format!("{} of {width}x{height}", words[0])));
    }
    let samples = bytes[at + 1..].chunks_exact(4).map(|b| {
        let b = [b[0], b[1], b[2], b[3]];
        if scale < 0.0 { f32::from_le_bytes(b) } else { f32::from_be_bytes(b) }
    });
    let upwards: Vec<f32> = samples.take(width * height).collect();
    if upwards.len() < width * height {
        return Err(bad(&format!("{} of {} samples (truncated)", upwards.len(), width * height)));
    }
    let values = upwards.chunks_exact(width).rev().flatten().copied().collect();
    Ok(Floats { width, height, values })
}

/// Writes an 8-bit RGB picture.
///
/// # Errors
/// Names the file and the cause.
pub fn write_rgb(path: &Path, picture: &Rgb) -> Result<(), Error> {
    write(path, (picture.width, picture.height), png::ColorType::Rgb, png::BitDepth::Eight, &picture.data)
}

/// Writes an 8-bit grey picture, for instance a luma plane.
///
/// # Errors
/// Names the file and the cause.
pub fn write_grey(path: &Path, width: usize, height: usize, samples: &[u8]) -> Result<(), Error> {
    write(path, (width, height), png::ColorType::Grayscale, png::BitDepth::Eight, samples)
}

/// Writes depth as 16-bit grey.
///
/// # Errors
/// Names the file and the cause.
pub fn write_depth16(path: &Path, depth: &Depth16) -> Result<(), Error> {
    let bytes: Vec<u8> = depth.mm.iter().flat_map(|d| d.to_be_bytes()).collect();
    write(path, (depth.width, depth.height), png::ColorType::Grayscale, png::BitDepth::Sixteen, &bytes)
}

fn kind(path: &Path, want: &'static str, info: &png::OutputInfo) -> Error {
    let found = format!("{:?} with {} bits", info.color_type, info.bit_depth as u8);
    Error::Kind { path: path.into(), want, found }
}

fn read(path: &Path, change: png::Transformations) -> Result<(png::OutputInfo, Vec<u8>), Error> {
    let file = File::open(path).map_err(|source| Error::Io { verb: "open", path: path.into(), source })?;
    let fail = |source| Error::Decode { path: path.into(), source };
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(change);
    let mut reader = decoder.read_info().map_err(fail)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(fail(png::DecodingError::LimitsExceeded));
    }
    let size = reader.output_buffer_size().ok_or_else(|| fail(png::DecodingError::LimitsExceeded))?;
    let mut data = vec![0; size];
    let info = reader.next_frame(&mut data).map_err(fail)?;
    data.truncate(info.buffer_size());
    Ok((info, data))
}

fn write(
    path: &Path,
    (width, height): (usize, usize),
    colour: png::ColorType,
    depth: png::BitDepth,
    data: &[u8],
) -> Result<(), Error> {
    let io = |verb| move |source| Error::Io { verb, path: path.into(), source };
    let fail = |source| Error::Encode { path: path.into(), source };
    let mut file = BufWriter::new(File::create(path).map_err(io("create"))?);
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().map_err(fail)?;
    writer.write_image_data(data).map_err(fail)?;
    writer.finish().map_err(fail)?;
    file.flush().map_err(io("write"))
}
