//! Depth inputs: metric (16-bit grey video or a folder of 16-bit PNGs) and 8-bit views.

use crate::decode::{Decoder, Picture};
use crate::reader::{check_rate, check_size, describe, plane};
use crate::retime::{Retime, Retimer, same_rate};
use crate::shape::{Shape, turn_plane};
use crate::{Error, Info, Reader, Target};
use ffmpeg_next as ff;
use media::{Depth16, still};
use std::path::{Path, PathBuf};

/// A depth input, by what its samples mean.
pub enum DepthSource {
    /// Millimetres; the harness makes the 8-bit view (`media::depth::DepthView`).
    Metric(Box<DepthReader>),
    /// An 8-bit view with an unknown scale: luma as it is.
    View(Box<Reader>),
}

impl DepthSource {
    /// Opens a folder of 16-bit PNGs, a 16-bit grey video, or an 8-bit view (any other video).
    ///
    /// # Errors
    /// As [`Reader::open`] and [`DepthReader::open`].
    pub fn open(path: &Path, target: &Target) -> Result<Self, Error> {
        if path.is_dir() || crate::probe(path)?.is_metric_depth() {
            return DepthReader::open(path, target).map(|reader| Self::Metric(Box::new(reader)));
        }
        Reader::open(path, target).map(|reader| Self::View(Box::new(reader)))
    }

    /// One line for people.
    #[must_use]
    pub fn description(&self) -> &str {
        match self {
            Self::Metric(reader) => reader.description(),
            Self::View(reader) => reader.description(),
        }
    }
}

/// Reads metric depth picture by picture.
///
/// Cut as colour pictures are; scaled by the nearest sample, since a mean of two surfaces is a third one
/// that nobody measured.
pub struct DepthReader {
    source: Source,
    size: (usize, usize),
    fps: (u32, u32),
    description: String,
}

enum Source {
    Video { decoder: Box<Decoder>, shape: Shape, retimer: Option<Retimer<Picture>> },
    Folder { files: std::vec::IntoIter<PathBuf>, shape: Shape, file_size: (usize, usize), done: u64 },
}

impl DepthReader {
    /// Opens a 16-bit grey video or a folder of 16-bit grey PNGs (in the order of the numbers in their
    /// names, 1:1 at the wanted rate).
    ///
    /// # Errors
    /// As [`Reader::open`]; [`Error::Kind`] for 8-bit or colour material.
    pub fn open(path: &Path, target: &Target) -> Result<Self, Error> {
        if path.is_dir() { Self::folder(path, target) } else { Self::video(path, target) }
    }

    /// Columns and rows of the pictures given.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Rate of the pictures given.
    #[must_use]
    pub fn fps(&self) -> (u32, u32) {
        self.fps
    }

    /// One line for people: what the input is and what was done to it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    fn video(path: &Path, target: &Target) -> Result<Self, Error> {
        let decoder = Decoder::open(path)?;
        let info = decoder.info().clone();
        if !info.is_metric_depth() {
            let want = "metric depth is 16-bit grey in millimetres";
            return Err(Error::Kind { path: path.into(), found: info.pixel_format, want });
        }
        let size = target.size.unwrap_or(info.even_display_size());
        check_size(size)?;
        let fps = check_rate(target.fps.unwrap_or(info.fps))?;
        let shape = Shape::new(&info, size);
        let retimes = target.retime == Retime::Nearest && !same_rate(info.fps, fps);
        let tb = decoder.time_base();
        let per_second = (i64::from(tb.denominator()), i64::from(tb.numerator()));
        let retimer = retimes.then(|| Retimer::new(per_second, fps, decoder.nominal_duration()));
        let description = describe(&info, &shape, size, fps, retimes) + " (depth in millimetres)";
        Ok(Self {
            source: Source::Video { decoder: Box::new(decoder), shape, retimer },
            size,
            fps,
            description,
        })
    }

    fn folder(path: &Path, target: &Target) -> Result<Self, Error> {
        let io = |source| Error::Io { doing: "list", path: path.into(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let file = entry.map_err(io)?.path();
            if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
                files.push(file);
            }
        }
        files.sort_by_key(|file| (last_number(file), file.clone()));
        let Some(first) = files.first() else { return Err(Error::NoPictures { path: path.into() }) };
        let picture = still::read_depth16(first)?;
        let fps = check_rate(target.fps.unwrap_or((30, 1)))?;
        let info = Info {
            path: path.into(),
            codec: "png".into(),
            pixel_format: "gray16be".into(),
            width: picture.width,
            height: picture.height,
            sample_aspect: (1, 1),
            quarter_turns: 0,
            fps,
            frames: Some(files.len() as u64),
            colour: media::convert::Colour::BT601.full(),
        };
        let size = target.size.unwrap_or(info.even_display_size());
        check_size(size)?;
        let shape = Shape::new(&info, size);
        let description = describe(&info, &shape, size, fps, false) + " (depth in millimetres)";
        let file_size = (picture.width, picture.height);
        let source = Source::Folder { files: files.into_iter(), shape, file_size, done: 0 };
        Ok(Self { source, size, fps, description })
    }

    /// The next picture, or `None` after the last.
    ///
    /// # Errors
    /// As [`Reader::next_frame`]; [`Error::Still`] names a bad PNG.
    pub fn next_frame(&mut self) -> Result<Option<Depth16>, Error> {
        match &mut self.source {
            Source::Video { decoder, shape, retimer } => {
                let convert = |p: &Picture| scaled(&samples(&p.frame), shape, self.size);
                match retimer {
                    None => Ok(decoder.next_picture()?.as_ref().map(convert)),
                    Some(retimer) => {
                        Ok(retimer.next(|| Ok(decoder.next_picture()?.map(|p| (p.time, p))))?.map(convert))
                    }
                }
            }
            Source::Folder { files, shape, file_size, done } => {
                let Some(path) = files.next() else { return Ok(None) };
                let picture = still::read_depth16(&path)?;
                if (picture.width, picture.height) != *file_size {
                    let (from, to) = (
                        format!("{}x{}", file_size.0, file_size.1),
                        format!("{}x{}", picture.width, picture.height),
                    );
                    return Err(Error::Changed { path, frame: *done, from, to });
                }
                *done += 1;
                Ok(Some(scaled(&picture, shape, self.size)))
            }
        }
    }
}

impl Iterator for DepthReader {
    type Item = Result<Depth16, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame().transpose()
    }
}

/// The last run of digits in the name: frames sort as 2, 10 and not as 10, 2.
fn last_number(path: &Path) -> u128 {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let digits: String =
        stem.chars().rev().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or(0)
}

fn samples(frame: &ff::frame::Video) -> Depth16 {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let big_endian = frame.format() == ff::format::Pixel::GRAY16BE;
    let bytes = plane(frame, 0, 2 * width, height);
    let sample = |b: &[u8]| {
        if big_endian { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) }
    };
    Depth16 { width, height, mm: bytes.chunks_exact(2).map(sample).collect() }
}

fn scaled(picture: &Depth16, shape: &Shape, size: (usize, usize)) -> Depth16 {
    if (picture.width, picture.height) == size && shape.quarter_turns == 0 {
        return picture.clone();
    }
    let (w, h) = if shape.quarter_turns % 2 == 1 { (size.1, size.0) } else { size };
    // The source sample under the middle of the wanted one.
    let at = |i: usize, from: usize, to: usize| ((2 * i + 1) * from / (2 * to)).min(from - 1);
    let mut mm = Vec::with_capacity(w * h);
    for y in 0..h {
        let row = (shape.top + at(y, shape.height, h)) * picture.width + shape.left;
        mm.extend((0..w).map(|x| picture.mm[row + at(x, shape.width, w)]));
    }
    Depth16 { width: size.0, height: size.1, mm: turn_plane(&mm, w, h, shape.quarter_turns) }
}
