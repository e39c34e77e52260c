//! Any video file as a camera would have captured it: 4:2:0 pictures of one size and rate.

use crate::decode::{Decoder, Picture, Want};
use crate::retime::{Retime, Retimer, same_rate, same_step};
use crate::scaler::{Scaler, planes};
use crate::shape::Shape;
use crate::{Error, Info};
use ff::format::Pixel;
use ff::{ffi, frame};
use ffmpeg as ff;
use media::Yuv420;
use media::convert::Colour;
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

/// Reads a video file picture by picture, as a camera would have captured what a player shows; in constant memory.
///
/// A file that is 8-bit 4:2:0 of the wanted size passes through untouched, sample by sample. Otherwise the
/// largest centred rectangle of the wanted shape is cut out and scaled (bicubic, bit-exact C paths, so that
/// every machine gives the same picture). Matrix and range stay the stream's own: see [`Reader::colour`].
/// To compare stored pictures, use [`crate::SampleReader`].
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
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// Missing, empty, no video, truncated (most containers say so at once), depth alone, or an impossible `target`.
    pub fn open(path: &Path, target: &Target) -> Result<Self, Error> {
        let decoder = Decoder::open(path, Want::Colour)?;
        if decoder.info().is_metric_depth() {
            let want = "that is depth: give it as --depth, or make a video of it with `ffmpeg -i IN -pix_fmt yuv420p OUT.mkv`";
            return Err(Error::Kind {
                path: path.into(),
                found: decoder.info().pixel_format.clone(),
                want: want.into(),
            });
        }
        Self::of(decoder, target)
    }

    /// As [`Reader::open`], of the stream of a file that depth is taken from.
    pub(crate) fn of(decoder: Decoder, target: &Target) -> Result<Self, Error> {
        decoder.layout()?;
        let info = decoder.info();
        if let Some(degrees) = info.angle {
            return Err(Error::Turned { path: info.path.clone(), degrees });
        }
        let own = info.even_display_size();
        let size = target.size.unwrap_or(own);
        check_size(size)?;
        let fps = check_rate(target.fps.unwrap_or(info.fps))?;
        let shape = Shape::new(info, size);
        let (retimer, times) = times(&decoder, target, fps)?;
        let description = describe(info, &shape, size, fps, times);
        Ok(Self { source: Source { decoder, scaler: None }, target: size, fps, shape, retimer, description })
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
        self.info().captured_colour()
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
        match self.pull()? {
            None => Ok(None),
            Some(picture) => self.source.convert(picture.frame, &self.shape, self.target).map(Some),
        }
    }

    /// Passes over the next picture, decoding but not converting it; false after the last.
    ///
    /// # Errors
    /// As [`Reader::next_frame`].
    pub fn skip_frame(&mut self) -> Result<bool, Error> {
        Ok(self.pull()?.is_some())
    }

    /// As [`Reader::skip_frame`], but where no later picture needs this one it is not even decoded, so that damage in it is not noticed. For
    /// files that have been read whole before.
    ///
    /// # Errors
    /// As [`Reader::next_frame`].
    pub fn pass_over(&mut self) -> Result<bool, Error> {
        match self.retimer {
            None => self.source.decoder.pass_over(),
            Some(_) => self.skip_frame(),
        }
    }

    fn pull(&mut self) -> Result<Option<Picture>, Error> {
        let Self { source, retimer, .. } = self;
        match retimer {
            None => source.decoder.next_picture(),
            Some(retimer) => {
                let pull = || Ok(source.decoder.next_picture()?.map(|p| (p.time, p)));
                // A slot may repeat its picture: convert from a new reference, keep the decoded one.
                Ok(retimer.next(pull)?.map(|p| Picture { time: p.time, frame: reference(&p.frame) }))
            }
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
        let fail = |source| Error::Ffmpeg { doing: "scale a picture of", path: info.path.clone(), source };
        shape.crop(&mut frame).map_err(fail)?;
        let out = shape.unturned(target);
        let plain = matches!(frame.format(), Pixel::YUV420P | Pixel::YUVJ420P | Pixel::GRAY8);
        let picture = if plain && (frame.width() as usize, frame.height() as usize) == out {
            planes(&frame)
        } else {
            let scaler = match &mut self.scaler {
                Some(scaler) => scaler,
                None => self.scaler.insert(Scaler::new(&frame, out, info.colour).map_err(fail)?),
            };
            scaler.run(&frame).map_err(fail)?
        };
        Ok(shape.turn(picture))
    }
}

/// What is done about the pictures' times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// Every picture at the wanted rate.
    Kept,
    /// Those nearest to the wanted times.
    Nearest,
    /// The same, from a stream whose pictures come unevenly.
    Uneven,
}

/// Whether pictures are picked by their times: wherever the file's own times are not the wanted ones, to within 1 %.
pub(crate) fn times(
    decoder: &Decoder,
    target: &Target,
    fps: (u32, u32),
) -> Result<(Option<Retimer<Picture>>, Times), Error> {
    if target.fps.is_none() || target.retime == Retime::EveryPicture {
        return Ok((None, Times::Kept));
    }
    let tb = decoder.time_base();
    let per_second = (i64::from(tb.denominator()), i64::from(tb.numerator()));
    let timing = decoder.timing()?;
    let even = timing.even(decoder.nominal_step());
    if timing.origin.is_none() && even.is_some_and(|step| same_step(step, per_second, fps)) {
        return Ok((None, Times::Kept));
    }
    if let Some((frame, seconds)) = timing.gap(per_second) {
        return Err(Error::Gap { path: decoder.info().path.clone(), frame, seconds });
    }
    let last = timing.last.unwrap_or_else(|| decoder.nominal_duration());
    let retimer = Retimer::new(per_second, fps, last, timing.origin);
    let began_alone = timing.origin.is_none();
    let nominal = same_rate(decoder.info().fps, fps);
    Ok((
        Some(retimer),
        if even.is_none() || (nominal && began_alone) { Times::Uneven } else { Times::Nearest },
    ))
}

/// Another handle on the same decoded samples.
fn reference(frame: &frame::Video) -> frame::Video {
    let mut other = frame::Video::empty();
    // SAFETY: both frames are valid; the samples are counted references.
    unsafe { ffi::av_frame_ref(other.as_mut_ptr(), frame.as_ptr()) };
    other
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
    times: Times,
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
    if info.streams > 1 {
        line += &format!(" (stream {}, of {} with video)", info.stream, info.streams);
    }
    let mut done = shape.steps(info, size);
    match times {
        Times::Nearest => done.push(format!("retimed to {} fps by the nearest picture", rate(fps))),
        Times::Uneven => done.push(format!(
            "retimed to {} fps by the nearest picture (its own times are uneven: a variable frame rate)",
            rate(fps)
        )),
        Times::Kept if info.fps != fps => {
            done.push(format!("every picture kept, played at {} fps", rate(fps)));
        }
        Times::Kept => {}
    }
    line += " -> ";
    line += &if done.is_empty() { "used as it is".to_owned() } else { done.join(", ") };
    if !info.is_metric_depth() {
        line += &format!(" ({})", info.captured_colour());
    }
    line
}
