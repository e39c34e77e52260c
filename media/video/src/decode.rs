//! A file as a stream of decoded pictures with their times, strict about damage.
//!
//! Decoders conceal damage by default; a reference picture must not be a guess, so that every error FFmpeg
//! notices ends the stream with its picture number. One thread: the same errors at the same pictures always.

use crate::y4m_end::partial_picture;
use crate::{Error, Info, complaints};
use ff::media::Type;
use ff::{Packet, Rational, ffi, format, frame};
use ffmpeg_next as ff;
use media::convert::{Colour, Matrix, Range};
use std::path::{Path, PathBuf};

/// A decoded picture and when it is shown.
pub(crate) struct Picture {
    /// Presentation time in units of [`Decoder::time_base`].
    pub time: i64,
    pub frame: frame::Video,
}

pub(crate) struct Decoder {
    path: PathBuf,
    info: Info,
    input: format::context::Input,
    decoder: ff::decoder::Video,
    stream: usize,
    time_base: Rational,
    /// Pictures that the file announces exactly (an index), not by a duration.
    announced: Option<u64>,
    packets: u64,
    /// Where in the file the last packet ends.
    read_to: Option<u64>,
    decoded: u64,
    last_time: i64,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Draining,
    Reached,
}

impl Decoder {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = readable(path)?;
        let not_video = |source| Error::NotVideo { path: path.into(), source };
        ff::init().map_err(not_video)?;
        complaints::install();
        // `file:` keeps names such as `a:b.mp4` from being taken for protocols.
        let input = format::input(&format!("file:{name}")).map_err(not_video)?;
        let has = |kinds: &[Type]| input.streams().any(|s| kinds.contains(&s.parameters().medium()));
        let stream = input.streams().best(Type::Video).ok_or_else(|| {
            // Half an index (a cut mp4) gives no streams, streams of no kind, or video without a codec.
            if has(&[Type::Audio, Type::Subtitle]) && !has(&[Type::Video]) {
                Error::NoVideoStream { path: path.into() }
            } else {
                not_video(ff::Error::DecoderNotFound)
            }
        })?;
        let (index, time_base) = (stream.index(), stream.time_base());
        let mut context = ff::codec::Context::from_parameters(stream.parameters()).map_err(not_video)?;
        context.set_threading(ff::threading::Config::count(1));
        // SAFETY: the context is valid and not yet open; plain fields.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).err_recognition = ffi::AV_EF_CRCCHECK | ffi::AV_EF_EXPLODE;
            (*raw).pkt_timebase = time_base.into();
        }
        let decoder = context.decoder().video().map_err(not_video)?;
        let info = info(path, &stream, &decoder);
        if info.width == 0 || info.height == 0 {
            return Err(Error::NoPictures { path: path.into() });
        }
        let announced = u64::try_from(stream.frames()).ok().filter(|n| *n > 0);
        let this = Self {
            path: path.into(),
            info,
            decoder,
            stream: index,
            time_base,
            announced,
            packets: 0,
            read_to: None,
            decoded: 0,
            last_time: i64::MIN,
            end: End::NotYet,
            input,
        };
        this.index_fits_file()?;
        Ok(this)
    }

    pub fn info(&self) -> &Info {
        &self.info
    }

    pub fn time_base(&self) -> Rational {
        self.time_base
    }

    /// Nominal picture duration in [`Self::time_base`] units, at least 1.
    pub fn nominal_duration(&self) -> i64 {
        let (n, d) = self.info.fps;
        let (num, den) = (i64::from(self.time_base.numerator()), i64::from(self.time_base.denominator()));
        (i64::from(d) * den / (i64::from(n) * num).max(1)).max(1)
    }

    /// The next picture in presentation order.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, Error> {
        loop {
            let mut frame = frame::Video::empty();
            let (received, complaint) = complaints::listen(|| self.decoder.receive_frame(&mut frame));
            if let Some(what) = complaint {
                return Err(self.damage(what));
            }
            match received {
                Ok(()) => return self.accept(frame).map(Some),
                Err(ff::Error::Eof) => return self.finish().map(|()| None),
                Err(ff::Error::Other { errno: ff::error::EAGAIN }) => {}
                Err(source) => return Err(self.damaged(&source)),
            }
            match self.end {
                End::NotYet => self.feed()?,
                End::Draining | End::Reached => return self.finish().map(|()| None),
            }
        }
    }

    fn accept(&mut self, frame: frame::Video) -> Result<Picture, Error> {
        if frame.is_corrupt() || frame.has_decode_errors() {
            return Err(self.damage("the decoder had to guess parts of it".into()));
        }
        let next = self.last_time.saturating_add(self.nominal_duration());
        let time = match frame.timestamp() {
            Some(time) if time > self.last_time => time,
            // No or a repeated time stamp: one nominal duration after its predecessor.
            _ if self.last_time == i64::MIN => 0,
            _ => next,
        };
        self.last_time = time;
        self.decoded += 1;
        Ok(Picture { time, frame })
    }

    /// Gives the decoder its next packet, or tells it that there is none.
    fn feed(&mut self) -> Result<(), Error> {
        let mut packet = Packet::empty();
        let (read, complaint) = complaints::listen(|| packet.read(&mut self.input));
        match read {
            Ok(()) if packet.stream() != self.stream => Ok(()),
            Ok(()) => {
                if packet.is_corrupt() {
                    return Err(self.damage("the container marks it as corrupt".into()));
                }
                self.packets += 1;
                self.read_to = u64::try_from(packet.position()).ok().map(|at| at + packet.size() as u64);
                match complaints::listen(|| self.decoder.send_packet(&packet)) {
                    (_, Some(what)) => Err(self.damage(what)),
                    (sent, None) => sent.map_err(|source| self.damaged(&source)),
                }
            }
            // An end that the container did not expect, inside an element.
            Err(ff::Error::Eof) if complaint.is_some() => self.truncated(self.packets, self.info.frames),
            Err(ff::Error::Eof) => {
                self.last_picture_is_whole()?;
                self.end = End::Draining;
                self.decoder.send_eof().map_err(|source| self.damaged(&source))
            }
            Err(source) => Err(self.damaged(&source)),
        }
    }

    /// At the end: is everything there that the file announced?
    fn finish(&mut self) -> Result<(), Error> {
        self.end = End::Reached;
        if self.decoded == 0 {
            return Err(match self.packets {
                0 if self.info.frames.is_some_and(|n| n > 0) => return self.truncated(0, self.info.frames),
                0 => Error::NoPictures { path: self.path.clone() },
                _ => self.damage("nothing in it can be decoded".into()),
            });
        }
        match (self.announced, self.info.frames) {
            (Some(all), _) if self.packets < all => self.truncated(self.decoded, Some(all)),
            // Only a duration: a picture more or less is rounding, three are not.
            (None, Some(all)) if self.decoded + 3 <= all => self.truncated(self.decoded, Some(all)),
            _ => Ok(()),
        }
    }

    /// An mp4 whose index points beyond the end of the file has been cut.
    fn index_fits_file(&self) -> Result<(), Error> {
        let Some(size) = self.input.io_size() else { return Ok(()) };
        // SAFETY: the stream lives as long as `input`; entries are read, not kept.
        let ends: Vec<i64> = unsafe {
            let stream = *(*self.input.as_ptr()).streams.add(self.stream);
            (0..ffi::avformat_index_get_entries_count(stream))
                .filter_map(|i| ffi::avformat_index_get_entry(stream, i).as_ref())
                .map(|entry| entry.pos + i64::from(entry.size()))
                .collect()
        };
        match ends.iter().position(|end| *end > size) {
            Some(first) if self.announced.is_some() => self.truncated(first as u64, self.announced),
            _ => Ok(()),
        }
    }

    /// A y4m file has no index and announces nothing: only its length tells that the last picture is cut off.
    fn last_picture_is_whole(&self) -> Result<(), Error> {
        if self.input.format().name() != "yuv4mpegpipe" {
            return Ok(());
        }
        let io = |source| Error::Io { doing: "read", path: self.path.clone(), source };
        let Some(got) = partial_picture(&self.path, self.read_to).map_err(io)? else { return Ok(()) };
        let (width, height) = (self.info.width as libc::c_int, self.info.height as libc::c_int);
        // SAFETY: computes from its arguments alone.
        let want = unsafe { ffi::av_image_get_buffer_size(self.decoder.format().into(), width, height, 1) };
        let want = u64::try_from(want).unwrap_or_default();
        Err(Error::CutOff { path: self.path.clone(), frame: self.packets, got, want })
    }

    fn truncated(&self, frame: u64, announced: Option<u64>) -> Result<(), Error> {
        Err(Error::Truncated { path: self.path.clone(), frame, announced })
    }

    fn damaged(&self, source: &ff::Error) -> Error {
        self.damage(source.to_string())
    }

    fn damage(&self, what: String) -> Error {
        Error::Damaged { path: self.path.clone(), frame: self.decoded, what }
    }
}

/// The path as FFmpeg takes it, after the checks that give the clearest errors.
fn readable(path: &Path) -> Result<&str, Error> {
    let io = |source| Error::Io { doing: "open", path: path.into(), source };
    let meta = std::fs::metadata(path).map_err(io)?;
    if meta.is_dir() {
        return Err(io(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    if meta.is_file() && meta.len() == 0 {
        return Err(Error::Empty { path: path.into() });
    }
    std::fs::File::open(path).map_err(io)?;
    let invalid = || io(std::io::Error::new(std::io::ErrorKind::InvalidFilename, "the name is not UTF-8"));
    path.to_str().filter(|name| !name.contains('\0')).ok_or_else(invalid)
}

fn info(path: &Path, stream: &format::stream::Stream, decoder: &ff::decoder::Video) -> Info {
    let positive =
        |r: Rational| Some((u32::try_from(r.numerator()).ok()?, u32::try_from(r.denominator()).ok()?));
    let rate = |r| positive(r).filter(|(n, d)| *n > 0 && *d > 0);
    let fps = rate(stream.avg_frame_rate()).or_else(|| rate(stream.rate())).unwrap_or((30, 1));
    let pixel = decoder.format();
    let pixel_format = pixel.descriptor().map_or("unknown", |d| d.name()).to_owned();
    Info {
        path: path.into(),
        codec: decoder.codec().map_or_else(|| "unknown".into(), |c| c.name().to_owned()),
        width: decoder.width() as usize,
        height: decoder.height() as usize,
        sample_aspect: rate(decoder.aspect_ratio()).unwrap_or((1, 1)),
        quarter_turns: quarter_turns(stream),
        fps,
        frames: frames(stream, fps),
        colour: colour(&pixel_format, decoder),
        pixel_format,
    }
}

/// Pictures that the headers announce: the index's number, else the stream's own duration (Matroska keeps
/// it as a tag) times the rate.
fn frames(stream: &format::stream::Stream, fps: (u32, u32)) -> Option<u64> {
    if let Some(n) = u64::try_from(stream.frames()).ok().filter(|n| *n > 0) {
        return Some(n);
    }
    let tag = stream.metadata().get("DURATION").and_then(milliseconds);
    let own = || {
        let (n, d) = (stream.time_base().numerator(), stream.time_base().denominator());
        u64::try_from(stream.duration()).ok().map(|t| t * 1000 * n as u64 / d.max(1) as u64)
    };
    let ms = tag.or_else(own)?;
    Some((ms * u64::from(fps.0) + 500 * u64::from(fps.1)) / (1000 * u64::from(fps.1)))
}

/// `HH:MM:SS.fraction` in milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let mut parts = text.trim().splitn(3, ':');
    let (h, m) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u64>().ok()?);
    let (s, fraction) = parts.next()?.split_once('.')?;
    let thousandths = fraction.get(..3)?.parse::<u64>().ok()?;
    Some(((h * 60 + m) * 60 + s.parse::<u64>().ok()?) * 1000 + thousandths)
}

/// Colours of the pictures that leave this crate: 4:2:0 keeps the stream's; RGB becomes BT.601 limited.
fn colour(pixel_format: &str, decoder: &ff::decoder::Video) -> Colour {
    if !pixel_format.starts_with("yuv")
        && !pixel_format.starts_with("nv")
        && !pixel_format.starts_with("gray")
    {
        return Colour::BT601;
    }
    let matrix = match decoder.color_space() {
        // BT.2020 has no matrix of its own here; BT.709 is the nearest.
        ff::color::Space::BT709 | ff::color::Space::BT2020NCL | ff::color::Space::BT2020CL => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    let full = match decoder.color_range() {
        ff::color::Range::JPEG => true,
        ff::color::Range::MPEG => false,
        ff::color::Range::Unspecified => pixel_format.starts_with("yuvj") || pixel_format.starts_with("gray"),
    };
    Colour { matrix, range: if full { Range::Full } else { Range::Limited } }
}

fn quarter_turns(stream: &format::stream::Stream) -> u8 {
    // SAFETY: the side data belongs to the stream; nine integers are read if all are there.
    let anticlockwise = unsafe {
        let mut size = 0;
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        let data = ffi::av_stream_get_side_data(stream.as_ptr(), kind, &raw mut size);
        if data.is_null() || size < 9 * size_of::<i32>() {
            return 0;
        }
        ffi::av_display_rotation_get(data.cast::<i32>().cast_const())
    };
    if anticlockwise.is_nan() { 0 } else { (-anticlockwise / 90.0).round().rem_euclid(4.0) as u8 }
}
