//! Anything with pictures in it, as it is stored, read one picture at a time into memory that is used again.

use super::rgb::Pixels;
use anyhow::{Context as _, Result, bail};
use media::convert::{Colour, Range};
use media::picture::{Format, Model, Picture};
use media::{Depth16, scale, still, y4m};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use video::{DepthReader, DepthUnit, SampleReader, Tags, images};

/// What a source's pictures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Picture files.
    Image,
    /// A video.
    Video,
    /// Millimetres.
    Depth,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "an image",
            Self::Video => "a video",
            Self::Depth => "metric depth",
        }
    }
}

/// What grey of more than 8 bits is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TakeAs {
    /// Grey pictures.
    Pictures,
    /// Distances from the camera.
    Depth,
}

/// A picture that could not be read: the file's fault, not ours.
#[derive(Debug, thiserror::Error)]
#[error("{path}, frame {frame}: {reason}")]
pub struct Unreadable {
    path: PathBuf,
    frame: usize,
    reason: String,
}

/// One picture.
pub enum AnyPicture {
    Nothing,
    Picture(Picture, Colour),
    Depth(Depth16),
}

impl AnyPicture {
    /// Range of its codes.
    pub fn range(&self) -> Range {
        match self {
            Self::Picture(_, colour) => colour.range,
            Self::Nothing | Self::Depth(_) => Range::Full,
        }
    }

    /// What its RGB form needs to lose nothing.
    pub fn pixels(&self) -> Option<Pixels> {
        match self {
            Self::Picture(picture, colour) => Some(Pixels::of(picture.format, *colour)),
            Self::Nothing | Self::Depth(_) => None,
        }
    }
}

enum Frames {
    Images(std::vec::IntoIter<PathBuf>),
    Y4m(Box<y4m::Reader<Box<dyn BufRead + Send>>>),
    Video(Box<SampleReader>),
    Depth(Box<DepthReader>),
}

/// What is known of a source before its pictures are compared.
pub struct About {
    pub kind: Kind,
    /// Columns and rows of the stored pictures.
    pub size: (usize, usize),
    /// Layout, of pictures.
    pub format: Format,
    pub colour: Colour,
    pub tags: Tags,
    /// Width to height of a sample, if the file says so; it is not followed.
    pub aspect: Option<(u32, u32)>,
    /// What the reader does besides taking the samples.
    pub notes: Vec<String>,
    /// What it does to the samples themselves, which FFmpeg's filters would do in another way.
    pub altered: Option<&'static str>,
    /// It can be read but once: a pipe.
    pub once: bool,
}

/// An open clip or image.
pub struct Source {
    path: PathBuf,
    frames: Frames,
    about: About,
    /// Scale to this size.
    scale_to: Option<(usize, usize)>,
    read: usize,
}

impl Source {
    /// Opens a picture, a folder of pictures (in the order of the numbers in their names), a y4m stream, or anything FFmpeg reads;
    /// `-` and pipes are read as they come.
    pub fn open(path: &Path, take_as: Option<TakeAs>, unit: DepthUnit) -> Result<Self> {
        let (frames, about) = if path.is_dir() {
            pictures(path, images::list(path)?, take_as, unit)?
        } else if images::is_image(path) {
            pictures(path, vec![path.into()], take_as, unit)?
        } else {
            stream(path, take_as, unit)?
        };
        Ok(Self { path: path.into(), frames, about, scale_to: None, read: 0 })
    }

    pub fn about(&self) -> &About {
        &self.about
    }

    /// Its pictures shall come at that size.
    pub fn scale(&mut self, size: (usize, usize)) {
        self.scale_to = Some(size);
    }

    /// Reads the next picture; false at the end.
    pub fn next_into(&mut self, any: &mut AnyPicture) -> Result<bool, Unreadable> {
        let there = self.advance(any).map_err(|e| Unreadable {
            path: self.path.clone(),
            frame: self.read,
            reason: contract::said(&*e),
        })?;
        self.read += usize::from(there);
        Ok(there)
    }

    fn advance(&mut self, any: &mut AnyPicture) -> Result<bool> {
        if let Frames::Depth(reader) = &mut self.frames {
            let Some(depth) = reader.next_frame()? else { return Ok(false) };
            *any = AnyPicture::Depth(match self.scale_to {
                Some(size) => nearest(&depth, size),
                None => depth,
            });
            return Ok(true);
        }
        if !matches!(any, AnyPicture::Picture(..)) {
            *any = AnyPicture::Picture(Picture::default(), self.about.colour);
        }
        let AnyPicture::Picture(picture, colour) = any else { unreachable!("set above") };
        *colour = self.about.colour;
        let there = match &mut self.frames {
            Frames::Images(files) => match files.next() {
                Some(file) => {
                    (*picture, *colour) = image(&file)?;
                    let (size, first) = ((picture.width, picture.height), self.about.size);
                    if size != first && self.scale_to.is_none() {
                        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        bail!("{name} is {}x{}, the first picture {}x{}", size.0, size.1, first.0, first.1)
                    }
                    true
                }
                None => false,
            },
            Frames::Y4m(reader) => reader.next_picture_into(picture)?,
            Frames::Video(reader) => reader.next_into(picture)?,
            Frames::Depth(_) => unreachable!("above"),
        };
        if let Some(size) = self.scale_to.filter(|s| there && *s != (picture.width, picture.height)) {
            *picture = scale::scale(picture, size);
        }
        Ok(there)
    }
}

/// Whether grey of so many bits is depth: what the user says, else 16 bits and floating point are.
fn is_depth(take_as: Option<TakeAs>, bits: u8) -> bool {
    match take_as {
        Some(TakeAs::Depth) => bits > 8,
        Some(TakeAs::Pictures) => false,
        None => bits == 16,
    }
}

fn pictures(
    path: &Path,
    files: Vec<PathBuf>,
    take_as: Option<TakeAs>,
    unit: DepthUnit,
) -> Result<(Frames, About)> {
    let Some(first) = files.first() else { bail!("no picture") };
    let (picture, colour) = image(first)?;
    let format = picture.format;
    let size = (picture.width, picture.height);
    if format.model == Model::Grey && is_depth(take_as, format.bits) {
        return depth(DepthReader::stored(path, unit)?, colour);
    }
    let about = About {
        kind: Kind::Image,
        size,
        format,
        colour,
        tags: Tags::default(),
        aspect: None,
        notes: Vec::new(),
        altered: None,
        once: false,
    };
    Ok((Frames::Images(files.into_iter()), about))
}

/// One picture file with all its bits.
fn image(file: &Path) -> Result<(Picture, Colour)> {
    if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        return Ok((still::read_picture(file)?, Colour { range: Range::Full, ..Colour::BT601 }));
    }
    let mut reader = SampleReader::open(file)?;
    let colour = reader.colour();
    let picture = reader.next_picture()?.with_context(|| format!("{} has no picture", file.display()))?;
    Ok((picture, colour))
}

fn stream(path: &Path, take_as: Option<TakeAs>, unit: DepthUnit) -> Result<(Frames, About)> {
    let stdin = path.as_os_str() == "-";
    let mut file =
        if stdin { File::open("/dev/stdin") } else { File::open(path) }.context("failed to open")?;
    let is_file = file.metadata().context("failed to open")?.is_file() && !stdin;
    // What a pipe gives once it does not give again, so that the first bytes are kept.
    let mut start = Vec::new();
    (&mut file).take(Y4M.len() as u64).read_to_end(&mut start).context("failed to read")?;
    if start == Y4M {
        let whole = std::io::Cursor::new(start).chain(file);
        let reader = y4m::Reader::new(Box::new(BufReader::new(whole)) as Box<dyn BufRead + Send>)?;
        return Ok(y4m(reader, !is_file));
    }
    if start.is_empty() {
        bail!("{} is empty (0 bytes); give a video", path.display());
    }
    let reader = if is_file {
        drop(file);
        SampleReader::open(path)?
    } else {
        SampleReader::pipe(path, std::io::Cursor::new(start).chain(file))?
    };
    let info = reader.info();
    let bits = reader.format().bits;
    if info.is_metric_depth() && is_depth(take_as, bits) {
        if !is_file {
            bail!("{} is depth from a pipe; write it to a file first", path.display());
        }
        return depth(DepthReader::stored(path, unit)?, info.colour);
    }
    let about = About {
        kind: Kind::Video,
        size: reader.size(),
        format: reader.format(),
        colour: reader.colour(),
        tags: info.tags.clone(),
        aspect: Some(info.sample_aspect),
        notes: reader.notes().to_vec(),
        altered: reader.is_as_stored().err(),
        once: !is_file,
    };
    Ok((Frames::Video(Box::new(reader)), about))
}

const Y4M: &[u8] = b"YUV4MPEG2 ";

fn y4m(reader: y4m::Reader<Box<dyn BufRead + Send>>, once: bool) -> (Frames, About) {
    let h = reader.header();
    let tag = if h.range == Range::Full { "pc" } else { "tv" };
    let about = About {
        kind: Kind::Video,
        size: (h.width, h.height),
        format: h.format,
        colour: Colour { range: h.range, ..Colour::BT601 },
        tags: Tags { range: h.range_tagged.then(|| tag.to_owned()), ..Tags::default() },
        aspect: h.aspect,
        notes: (h.interlaced.iter())
            .map(|word| format!("interlaced (I{word}); its lines are taken as they are stored"))
            .collect(),
        altered: None,
        once,
    };
    (Frames::Y4m(Box::new(reader)), about)
}

fn depth(reader: DepthReader, colour: Colour) -> Result<(Frames, About)> {
    let format = Format { bits: 16, ..Format::GREY };
    let (size, tags) = (reader.size(), Tags::default());
    let (notes, altered) = (Vec::new(), None);
    let about =
        About { kind: Kind::Depth, size, format, colour, tags, aspect: None, notes, altered, once: false };
    Ok((Frames::Depth(Box::new(reader)), about))
}

/// Depth at another size: the sample under the middle of each new one, since a mean of two surfaces is a third.
fn nearest(from: &Depth16, (width, height): (usize, usize)) -> Depth16 {
    let at = |i: usize, from: usize, to: usize| ((2 * i + 1) * from / (2 * to)).min(from - 1);
    let sample = |i: usize| {
        let (x, y) = (at(i % width, from.width, width), at(i / width, from.height, height));
        from.mm[y * from.width + x]
    };
    Depth16 { width, height, mm: (0..width * height).map(sample).collect() }
}
