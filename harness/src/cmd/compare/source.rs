//! Anything with pictures in it, read one picture at a time into memory that is used again.

use anyhow::{Context as _, Result, bail};
use media::convert::{Colour, Matrix, to_rgb_into};
use media::{Depth16, Rgb, Yuv420, still, y4m};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use video::{DepthReader, Reader, Target};

/// What a source's pictures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RGB from the file itself.
    Image,
    /// 4:2:0.
    Video,
    /// Millimetres.
    Depth,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "an image",
            Self::Video => "a video",
            Self::Depth => "16-bit metric depth",
        }
    }
}

/// A picture that could not be read: the file's fault, not ours.
#[derive(Debug, thiserror::Error)]
#[error("{path}, frame {frame}: {reason}")]
pub struct Unreadable {
    path: PathBuf,
    frame: usize,
    reason: String,
}

/// One picture in whichever form the source has.
pub enum Picture {
    Nothing,
    Rgb(Rgb),
    Yuv(Yuv420, Colour),
    Depth(Depth16),
}

impl Picture {
    /// The RGB form, converted into `buffer` if need be.
    pub fn rgb<'a>(&'a self, buffer: &'a mut Rgb) -> Option<&'a Rgb> {
        match self {
            Self::Rgb(rgb) => Some(rgb),
            Self::Yuv(yuv, colour) => {
                to_rgb_into(yuv, *colour, buffer);
                Some(buffer)
            }
            Self::Nothing | Self::Depth(_) => None,
        }
    }
}

enum Frames {
    Images(std::vec::IntoIter<PathBuf>),
    DepthImages(std::vec::IntoIter<PathBuf>),
    Y4m(Box<y4m::Reader<BufReader<File>>>),
    Video(Box<Reader>),
    DepthVideo(Box<DepthReader>),
}

/// An open clip or image.
pub struct Source {
    path: PathBuf,
    frames: Frames,
    size: (usize, usize),
    /// Scale to `size`.
    scale: bool,
    read: usize,
}

impl Source {
    /// Opens a PNG, a folder of PNGs (in the order of their names), a y4m file, or anything FFmpeg reads. With `scale_to`
    /// its pictures come at that size.
    pub fn open(path: &Path, scale_to: Option<(usize, usize)>) -> Result<Self> {
        let (frames, size) = frames(path, scale_to)?;
        let scale = scale_to.is_some_and(|s| s != size);
        Ok(Self { path: path.into(), frames, size: scale_to.unwrap_or(size), scale, read: 0 })
    }

    pub fn kind(&self) -> Kind {
        match self.frames {
            Frames::Images(_) => Kind::Image,
            Frames::Y4m(_) | Frames::Video(_) => Kind::Video,
            Frames::DepthImages(_) | Frames::DepthVideo(_) => Kind::Depth,
        }
    }

    /// Columns and rows of the pictures given.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Reads the next picture; false at the end.
    pub fn next_into(&mut self, picture: &mut Picture) -> Result<bool, Unreadable> {
        let there = self.advance(picture).map_err(|e| Unreadable {
            path: self.path.clone(),
            frame: self.read,
            reason: contract::said(&*e),
        })?;
        self.read += usize::from(there);
        Ok(there)
    }

    fn advance(&mut self, picture: &mut Picture) -> Result<bool> {
        let next = match &mut self.frames {
            Frames::Images(files) => match files.next() {
                Some(file) => Some(Picture::Rgb(still::read_rgb(&file)?)),
                None => None,
            },
            Frames::DepthImages(files) => match files.next() {
                Some(file) => Some(Picture::Depth(still::read_depth16(&file)?)),
                None => None,
            },
            Frames::Y4m(reader) => {
                let colour = Colour { matrix: Matrix::Bt601, range: reader.header().range };
                if !matches!(picture, Picture::Yuv(..)) {
                    *picture = Picture::Yuv(Yuv420::filled(0, 0, (0, 0, 0)), colour);
                }
                let Picture::Yuv(yuv, tag) = picture else { unreachable!("set above") };
                *tag = colour;
                return Ok(reader.next_frame_into(yuv)?);
            }
            Frames::Video(reader) => {
                let colour = reader.colour();
                reader.next_frame()?.map(|yuv| Picture::Yuv(yuv, colour))
            }
            Frames::DepthVideo(reader) => reader.next_frame()?.map(Picture::Depth),
        };
        let Some(mut next) = next else { return Ok(false) };
        match &mut next {
            Picture::Rgb(rgb) if self.scale => *rgb = bilinear(rgb, self.size),
            Picture::Rgb(rgb) if (rgb.width, rgb.height) != self.size => {
                bail!("is {}x{}, the first picture {}x{}", rgb.width, rgb.height, self.size.0, self.size.1)
            }
            _ => {}
        }
        *picture = next;
        Ok(true)
    }
}

fn frames(path: &Path, scale_to: Option<(usize, usize)>) -> Result<(Frames, (usize, usize))> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if path.is_dir() {
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)?
            .map(|e| e.map(|e| e.path()))
            .collect::<std::io::Result<Vec<_>>>()?
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")))
            .collect();
        files.sort();
        let Some(first) = files.first() else { bail!("a folder without PNG files") };
        return images(&first.clone(), files);
    }
    if extension == "png" {
        return images(path, vec![path.into()]);
    }
    if extension == "y4m" && scale_to.is_none() {
        let reader = y4m::Reader::new(BufReader::new(File::open(path).context("failed to open")?))?;
        let size = (reader.header().width, reader.header().height);
        return Ok((Frames::Y4m(Box::new(reader)), size));
    }
    let target = Target { size: scale_to, ..Target::default() };
    if video::probe(path)?.is_metric_depth() {
        let reader = DepthReader::open(path, &target)?;
        let size = reader.size();
        return Ok((Frames::DepthVideo(Box::new(reader)), size));
    }
    let reader = Reader::open(path, &target)?;
    let size = reader.size();
    Ok((Frames::Video(Box::new(reader)), size))
}

fn images(first: &Path, files: Vec<PathBuf>) -> Result<(Frames, (usize, usize))> {
    if let Ok(depth) = still::read_depth16(first) {
        return Ok((Frames::DepthImages(files.into_iter()), (depth.width, depth.height)));
    }
    let rgb = still::read_rgb(first)?;
    Ok((Frames::Images(files.into_iter()), (rgb.width, rgb.height)))
}

/// Bilinear with sample centres at half pixels; videos are scaled by FFmpeg's bicubic instead.
fn bilinear(from: &Rgb, (width, height): (usize, usize)) -> Rgb {
    let taps = |n: usize, m: usize| -> Vec<(usize, usize, f64)> {
        (0..n)
            .map(|i| {
                let x = ((i as f64 + 0.5) * m as f64 / n as f64 - 0.5).clamp(0.0, (m - 1) as f64);
                (x as usize, (x as usize + 1).min(m - 1), x.fract())
            })
            .collect()
    };
    let (xs, ys) = (taps(width, from.width), taps(height, from.height));
    let at = |x: usize, y: usize, c: usize| f64::from(from.data[3 * (y * from.width + x) + c]);
    let mut data = Vec::with_capacity(3 * width * height);
    for &(y0, y1, fy) in &ys {
        for &(x0, x1, fx) in &xs {
            for c in 0..3 {
                let top = at(x0, y0, c) + (at(x1, y0, c) - at(x0, y0, c)) * fx;
                let bottom = at(x0, y1, c) + (at(x1, y1, c) - at(x0, y1, c)) * fx;
                data.push((top + (bottom - top) * fy).round() as u8);
            }
        }
    }
    Rgb { width, height, data }
}
