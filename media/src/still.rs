//! PNG files: pictures as 8-bit RGB or grey, depth as 16-bit grey in millimetres.

use crate::{Depth16, Rgb};
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
