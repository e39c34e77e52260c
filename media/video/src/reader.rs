//! Any video file as 4:2:0 pictures of one size and rate.

use crate::decode::{Decoder, Picture};
use crate::retime::{Retime, Retimer, same_rate};
use crate::shape::Shape;
use crate::{Error, Info};
use ff::format::Pixel;
use ff::software::scaling::{Context as Scaler, Flags};
use ff::{ffi, frame};
use ffmpeg_next as ff;
use media::Yuv420;
use media::convert::{Colour, Range};
use std::path::Path;

/// What the pictures of a reader shall look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Columns and rows, both even. `None`: the file's own (an odd last column or row is cut off).
    pub size: Option<(usize, usize)>,
    /// Frame rate, numerator and denominator. `None`: the file's own.
    pub fps: Option<(u32, u32)>,
    /// What to do about another rate.
    pub retime: Retime,
}

impl Target {
    /// A size and a rate.
    #[must_use]
    pub fn new(size: (usize, usize), fps: (u32, u32)) -> Self {
        Self { size: Some(size), fps: Some(fps), retime: Retime::Nearest }
    }
}

/// Reads a video file picture by picture, in constant memory.
///
/// A file that is 8-bit 4:2:0 of the wanted size passes through untouched, sample by sample. Otherwise the
/// largest centred rectangle of the wanted shape is cut out and scaled (bicubic, bit-exact C paths, so that
/// every machine gives the same picture). Matrix and range stay the stream's own: see [`Reader::colour`].
pub struct Reader {
    source: Source,
    target: (usize, usize),
    fps: (u32, u32),
    shape: Shape,
    retimer: Option<Retimer<Picture>>,
    description: String,
}

/// The decoder and what makes its pictures ours.
struct Source {
    decoder: Decoder,
    scaler: Option<Scaler>,
    produced: u64,
}

// SAFETY: a scaler is plain memory of its own that only its owner touches; FFmpeg ties it to no thread.
unsafe impl Send for Source {}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// Missing, empty, no video, truncated (an mp4 says so at once), or an impossible `target`.
    pub fn open(path: &Path, target: &Target) -> Result<Self, Error> {
        let decoder = Decoder::open(path)?;
        let info = decoder.info();
        let own = info.even_display_size();
        let size = target.size.unwrap_or(own);
        check_size(size)?;
        let fps = check_rate(target.fps.unwrap_or(info.fps))?;
        let shape = Shape::new(info, size);
        let retimes = target.retime == Retime::Nearest && !same_rate(info.fps, fps);
        let tb = decoder.time_base();
        let per_second = (i64::from(tb.denominator()), i64::from(tb.numerator()));
        let retimer = retimes.then(|| Retimer::new(per_second, fps, decoder.nominal_duration()));
        let description = describe(info, &shape, size, fps, retimes);
        let source = Source { decoder, scaler: None, produced: 0 };
        Ok(Self { source, target: size, fps, shape, retimer, description })
    }

    /// What the file holds.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.source.decoder.info()
    }

    /// Columns and rows of the pictures given.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.target
    }

    /// Rate of the pictures given.
    #[must_use]
    pub fn fps(&self) -> (u32, u32) {
        self.fps
    }

    /// How to see the colours of the pictures given.
    #[must_use]
    pub fn colour(&self) -> Colour {
        self.info().colour
    }

    /// One line for people: what the file is and what was done to it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The next picture, or `None` after the last.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Truncated`], [`Error::Changed`], [`Error::NoPictures`]; each once, and
    /// nothing sensible after it.
    pub fn next_frame(&mut self) -> Result<Option<Yuv420>, Error> {
        let Self { source, retimer, shape, target, .. } = self;
        let picture = match retimer {
            None => source.decoder.next_picture()?,
            Some(retimer) => {
                let pull = || Ok(source.decoder.next_picture()?.map(|p| (p.time, p)));
                // A slot may repeat its picture: convert from a new reference, keep the decoded one.
                retimer.next(pull)?.map(|p| Picture { time: p.time, frame: reference(&p.frame) })
            }
        };
        match picture {
            None => Ok(None),
            Some(picture) => source.convert(picture.frame, shape, *target).map(Some),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Yuv420, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame().transpose()
    }
}

impl Source {
    fn convert(
        &mut self,
        mut frame: frame::Video,
        shape: &Shape,
        target: (usize, usize),
    ) -> Result<Yuv420, Error> {
        let info = self.decoder.info();
        let path = info.path.clone();
        let fail = |source| Error::Ffmpeg { doing: "scale a picture of", path: path.clone(), source };
        let (w, h) = (frame.width() as usize, frame.height() as usize);
        if (w, h) != (info.width, info.height) {
            let (from, to) = (format!("{}x{}", info.width, info.height), format!("{w}x{h}"));
            return Err(Error::Changed { path, frame: self.produced, from, to });
        }
        self.produced += 1;
        shape.crop(&mut frame).map_err(fail)?;
        let (out_w, out_h) = if shape.quarter_turns % 2 == 1 { (target.1, target.0) } else { target };
        let plain = matches!(frame.format(), Pixel::YUV420P | Pixel::YUVJ420P | Pixel::GRAY8);
        let same = (frame.width() as usize, frame.height() as usize) == (out_w, out_h);
        let picture = if plain && same {
            planes(&frame)
        } else {
            let scaler = match &mut self.scaler {
                Some(scaler) => scaler,
                None => self.scaler.insert(scaler(&frame, (out_w, out_h), info.colour).map_err(fail)?),
            };
            let mut scaled = frame::Video::empty();
            scaler.run(&frame, &mut scaled).map_err(fail)?;
            planes(&scaled)
        };
        Ok(shape.turn(picture))
    }
}

/// Bicubic, with the rounding and the C code that give the same bytes on every processor.
fn scaler(
    frame: &frame::Video,
    (width, height): (usize, usize),
    colour: Colour,
) -> Result<Scaler, ff::Error> {
    let flags = Flags::BICUBIC
        | Flags::ACCURATE_RND
        | Flags::BITEXACT
        | Flags::FULL_CHR_H_INT
        | Flags::FULL_CHR_H_INP;
    let (format, w, h) = (frame.format(), frame.width(), frame.height());
    let grey = format == Pixel::GRAY8;
    let out = if grey { Pixel::GRAY8 } else { Pixel::YUV420P };
    let mut scaler = Scaler::get(format, w, h, out, width as u32, height as u32, flags)?;
    let yuv = format.descriptor().is_some_and(|d| d.name().starts_with("yuv") || d.name().starts_with("nv"));
    if yuv || grey {
        let full = i32::from(colour.range == Range::Full);
        let space = if colour.matrix == media::convert::Matrix::Bt709 {
            ffi::SWS_CS_ITU709
        } else {
            ffi::SWS_CS_ITU601
        };
        // SAFETY: the context is valid; the tables are FFmpeg's own. In and out alike: nothing is recoloured.
        unsafe {
            let table = ffi::sws_getCoefficients(space);
            ffi::sws_setColorspaceDetails(scaler.as_mut_ptr(), table, full, table, full, 0, 1 << 16, 1 << 16);
        }
    }
    Ok(scaler)
}

/// Another handle on the same decoded samples.
fn reference(frame: &frame::Video) -> frame::Video {
    let mut other = frame::Video::empty();
    // SAFETY: both frames are valid; the samples are counted references.
    unsafe { ffi::av_frame_ref(other.as_mut_ptr(), frame.as_ptr()) };
    other
}

/// The samples of a 4:2:0 or 8-bit grey frame.
fn planes(frame: &frame::Video) -> Yuv420 {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let grey = frame.format() == Pixel::GRAY8;
    let chroma = |index| if grey { vec![128; cw * ch] } else { plane(frame, index, cw, ch) };
    Yuv420 { width, height, y: plane(frame, 0, width, height), u: chroma(1), v: chroma(2) }
}

/// One plane without its padding; `width` in bytes. (Cropped frames start midway, so that the last row may
/// be shorter than the stride.)
pub(crate) fn plane(frame: &frame::Video, index: usize, width: usize, height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(width * height);
    // SAFETY: FFmpeg keeps `height` rows of at least `width` bytes, `linesize` apart (possibly negative).
    unsafe {
        let raw = frame.as_ptr();
        let (start, stride) = ((*raw).data[index], (*raw).linesize[index] as isize);
        for row in 0..height as isize {
            out.extend_from_slice(std::slice::from_raw_parts(start.offset(row * stride), width));
        }
    }
    out
}

pub(crate) fn check_size((width, height): (usize, usize)) -> Result<(), Error> {
    let good = |side: usize| (16..=16_384).contains(&side) && side.is_multiple_of(2);
    if good(width) && good(height) { Ok(()) } else { Err(Error::Size { width, height }) }
}

pub(crate) fn check_rate(fps: (u32, u32)) -> Result<(u32, u32), Error> {
    if fps.0 > 0 && fps.1 > 0 { Ok(fps) } else { Err(Error::Rate { fps }) }
}

/// The one line.
pub(crate) fn describe(
    info: &Info,
    shape: &Shape,
    size: (usize, usize),
    fps: (u32, u32),
    retimes: bool,
) -> String {
    let rate = |(n, d): (u32, u32)| {
        let hundredths = (u64::from(n) * 100 + u64::from(d) / 2) / u64::from(d);
        match hundredths % 100 {
            0 => format!("{}", hundredths / 100),
            rest => format!("{}.{rest:02}", hundredths / 100),
        }
    };
    let Info { codec, pixel_format, width, height, .. } = info;
    let mut line =
        format!("{}: {codec} {pixel_format} {width}x{height} at {} fps", info.file_name(), rate(info.fps));
    let mut done = shape.steps(info, size);
    if retimes {
        done.push(format!("retimed to {} fps by the nearest picture", rate(fps)));
    } else if info.fps != fps {
        done.push(format!("every picture kept, played at {} fps", rate(fps)));
    }
    line += " -> ";
    line += &if done.is_empty() { "used as it is".to_owned() } else { done.join(", ") };
    if !info.is_metric_depth() {
        line += &format!(" ({})", info.colour);
    }
    line
}
