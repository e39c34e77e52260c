//! A file as a stream of decoded pictures with their times, strict about damage.
//!
//! Decoders conceal damage by default; a reference picture must not be a guess, so that every error FFmpeg
//! notices ends the stream with its picture number. One thread: the same errors at the same pictures always.

use crate::layout::{self, ColourTags, Layout};
use crate::timing::Timing;
use crate::whole::{Missing, missing};
use crate::y4m_end::partial_picture;
use crate::{Error, Info, complaints, open};
use ff::format::Pixel;
use ff::media::Type;
use ff::{Packet, Rational, ffi, format, frame};
use ffmpeg as ff;
use media::picture::Orientation;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A decoded picture and when it is shown.
pub(crate) struct Picture {
    /// Presentation time in units of [`Decoder::time_base`].
    pub time: i64,
    pub frame: frame::Video,
}

/// Which of a file's video streams is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Colour; depth only if there is nothing else.
    Colour,
    /// Grey of more than 8 bits; another only if there is none.
    Depth,
}

pub(crate) struct Decoder {
    path: PathBuf,
    info: Info,
    input: format::context::Input,
    decoder: ff::decoder::Video,
    pixel: Pixel,
    stream: usize,
    /// The stream that time is counted from.
    clock: usize,
    time_base: Rational,
    is_file: bool,
    packets: u64,
    /// Where in the file the last packet ends.
    read_to: Option<u64>,
    decoded: u64,
    last_time: i64,
    end: End,
    /// The first picture, decoded to know what the file holds.
    first: Option<Picture>,
    /// A picture per packet, and one that begins anew needs none before it.
    passes: bool,
    /// Packets skipped since the last that begins anew, that one first.
    passed: Vec<Packet>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Draining,
    Reached,
}

impl Decoder {
    pub fn open(path: &Path, want: Want) -> Result<Self, Error> {
        let name = open::readable(path)?;
        Self::start(path, want, true, || open::file(name))
    }

    /// Of what comes out of a pipe, which can be read but once.
    pub fn pipe(path: &Path, want: Want, from: impl Read + Send + 'static) -> Result<Self, Error> {
        Self::start(path, want, false, || open::pipe(from))
    }

    fn start(
        path: &Path,
        want: Want,
        is_file: bool,
        input: impl FnOnce() -> Result<format::context::Input, ff::Error>,
    ) -> Result<Self, Error> {
        let not_video = |source| Error::NotVideo { path: path.into(), source };
        ff::init().map_err(not_video)?;
        complaints::install();
        let input = input().map_err(not_video)?;
        let (index, of, clock) = choose(path, &input, want)?;
        let Some(stream) = input.stream(index) else { return Err(not_video(ff::Error::StreamNotFound)) };
        let time_base = stream.time_base();
        let mut context = ff::codec::Context::from_parameters(stream.parameters()).map_err(not_video)?;
        context.set_threading(ff::threading::Config::count(1));
        // FFmpeg's TIFF reader would otherwise take a tag that it does not know for damage.
        let explode = if context.id() == ff::codec::Id::TIFF { 0 } else { ffi::AV_EF_EXPLODE };
        // SAFETY: the context is valid and not yet open; plain fields.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).err_recognition = ffi::AV_EF_CRCCHECK | explode;
            (*raw).pkt_timebase = time_base.into();
            (*raw).max_pixels = media::MAX_PIXELS as i64;
        }
        let decoder = context.decoder().video().map_err(not_video)?;
        let info = info(path, &input, &stream, &decoder, of);
        let mut this = Self {
            path: path.into(),
            pixel: decoder.format(),
            info,
            decoder,
            stream: index,
            clock,
            time_base,
            is_file,
            packets: 0,
            read_to: None,
            decoded: 0,
            last_time: i64::MIN,
            end: End::NotYet,
            input,
            first: None,
            passes: false,
            passed: Vec::new(),
        };
        this.passes = matches!(this.decoder.id(), ff::codec::Id::FFV1 | ff::codec::Id::FFVHUFF);
        this.is_whole()?;
        // Headers may be a guess (a live recording's size); the first picture is not.
        this.first = this.decode()?;
        if let Some(picture) = &this.first {
            let frame = &picture.frame;
            this.pixel = frame.format();
            (this.info.width, this.info.height) = (frame.width() as usize, frame.height() as usize);
            this.info.pixel_format = layout::name(this.pixel);
            (this.info.colour, this.info.tags) = layout::colour(this.pixel, &ColourTags::of(frame));
            this.info.is_rgb = layout::is_rgb(this.pixel);
        }
        Ok(this)
    }

    pub fn info(&self) -> &Info {
        &self.info
    }

    pub fn pixel(&self) -> Pixel {
        self.pixel
    }

    /// How to take the samples of its pictures.
    pub fn layout(&self) -> Result<Layout, Error> {
        Layout::of(self.pixel).ok_or_else(|| layout::unknown(&self.path, self.pixel))
    }

    pub fn time_base(&self) -> Rational {
        self.time_base
    }

    /// The stream's time stamps, read from the file anew.
    pub fn timing(&self) -> Result<Timing, Error> {
        Timing::of(&self.path, self.stream, self.clock)
    }

    /// Nominal picture duration in [`Self::time_base`] units, at least 1.
    pub fn nominal_duration(&self) -> i64 {
        let (ticks, per) = self.nominal_step();
        i64::try_from(ticks / per).unwrap_or(i64::MAX).max(1)
    }

    /// The same as a fraction.
    pub fn nominal_step(&self) -> (i128, i128) {
        let (n, d) = self.info.fps;
        let (num, den) = (i128::from(self.time_base.numerator()), i128::from(self.time_base.denominator()));
        (i128::from(d) * den, (i128::from(n) * num).max(1))
    }

    /// The next picture in presentation order; all are of one size and format.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let next = self.decode()?;
        if let Some(picture) = &next {
            let shape = |w, h, pixel: &str| format!("{w}x{h} {pixel}");
            let (frame, info) = (&picture.frame, &self.info);
            let from = shape(info.width, info.height, &info.pixel_format);
            let to = shape(frame.width() as usize, frame.height() as usize, &layout::name(frame.format()));
            if from != to {
                return Err(Error::Changed { path: self.path.clone(), frame: self.decoded - 1, from, to });
            }
        }
        Ok(next)
    }

    /// Passes over the next picture, without decoding it where no later one needs it: damage in it is not noticed then. False after the
    /// last.
    pub fn pass_over(&mut self) -> Result<bool, Error> {
        if self.first.take().is_some() {
            return Ok(true);
        }
        if !self.passes || self.end != End::NotYet {
            return Ok(self.next_picture()?.is_some());
        }
        loop {
            match self.packet()? {
                None => return self.finish().map(|()| false),
                Some(packet) if packet.size() == 0 => {}
                Some(packet) => {
                    if packet.is_key() {
                        self.passed.clear();
                    }
                    self.passed.push(packet);
                    self.decoded += 1;
                    return Ok(true);
                }
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Picture>, Error> {
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

    /// Gives the decoder its next packet, with those before it that it needs, or tells it that there is none.
    fn feed(&mut self) -> Result<(), Error> {
        let Some(packet) = self.packet()? else { return Ok(()) };
        if packet.size() == 0 {
            return Ok(());
        }
        let passed = std::mem::take(&mut self.passed);
        if !packet.is_key() {
            for earlier in passed {
                self.send(&earlier)?;
                let mut frame = frame::Video::empty();
                match complaints::listen(|| self.decoder.receive_frame(&mut frame)) {
                    (_, Some(what)) => return Err(self.damage(what)),
                    (received, None) => received.map_err(|source| self.damaged(&source))?,
                }
            }
        }
        self.send(&packet)
    }

    fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        match complaints::listen(|| self.decoder.send_packet(packet)) {
            (_, Some(what)) => Err(self.damage(what)),
            (sent, None) => sent.map_err(|source| self.damaged(&source)),
        }
    }

    /// The next packet; an empty one where there is none for the decoder (another stream's, or a chunk that says that the picture before
    /// it stays, as in AVI). `None`: the end, of which the decoder has been told.
    fn packet(&mut self) -> Result<Option<Packet>, Error> {
        let mut packet = Packet::empty();
        let (read, complaint) = complaints::listen(|| packet.read(&mut self.input));
        match read {
            Ok(()) if packet.stream() != self.stream || packet.size() == 0 => Ok(Some(Packet::empty())),
            Ok(()) => {
                if packet.is_corrupt() {
                    return Err(self.damage("the container marks it as corrupt".into()));
                }
                self.packets += 1;
                self.read_to = u64::try_from(packet.position()).ok().map(|at| at + packet.size() as u64);
                Ok(Some(packet))
            }
            // An end that the container did not expect, inside an element.
            Err(ff::Error::Eof) if complaint.is_some() => Err(Error::Truncated {
                path: self.path.clone(),
                frame: self.packets,
                what: complaint.unwrap_or_default(),
            }),
            Err(ff::Error::Eof) => {
                self.last_picture_is_whole()?;
                self.end = End::Draining;
                self.decoder.send_eof().map_err(|source| self.damaged(&source))?;
                Ok(None)
            }
            Err(source) => Err(self.damaged(&source)),
        }
    }

    /// At the end: was there anything at all?
    fn finish(&mut self) -> Result<(), Error> {
        self.end = End::Reached;
        match (self.decoded, self.packets) {
            (0, 0) => Err(Error::NoPictures { path: self.path.clone() }),
            (0, _) => Err(self.damage("nothing in it can be decoded".into())),
            _ => Ok(()),
        }
    }

    /// Do the container's own elements end within the file, and what its index points to?
    fn is_whole(&self) -> Result<(), Error> {
        if !self.is_file {
            return Ok(());
        }
        let io = |source| Error::Io { doing: "read", path: self.path.clone(), source };
        if let Some(Missing { bytes, of }) = missing(&self.path, self.input.format().name()).map_err(io)? {
            return Err(Error::Missing { path: self.path.clone(), bytes, of });
        }
        let Some(size) = self.input.io_size() else { return Ok(()) };
        // SAFETY: the stream lives as long as `input`; entries are read, not kept.
        let last = unsafe {
            let stream = *(*self.input.as_ptr()).streams.add(self.stream);
            (0..ffi::avformat_index_get_entries_count(stream))
                .filter_map(|i| ffi::avformat_index_get_entry(stream, i).as_ref())
                .map(|entry| entry.pos.saturating_add(i64::from(entry.size())))
                .max()
        };
        match last {
            Some(last) if last > size && self.input.format().name().contains("mov") => {
                let bytes = (last - size) as u64;
                Err(Error::Missing { path: self.path.clone(), bytes, of: "pictures' data".into() })
            }
            _ => Ok(()),
        }
    }

    /// A y4m file has no index and announces nothing: only its length tells that the last picture is cut off.
    fn last_picture_is_whole(&self) -> Result<(), Error> {
        if self.input.format().name() != "yuv4mpegpipe" || !self.is_file {
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

    fn damaged(&self, source: &ff::Error) -> Error {
        self.damage(source.to_string())
    }

    fn damage(&self, what: String) -> Error {
        Error::Damaged { path: self.path.clone(), frame: self.decoded, what }
    }
}

/// The stream that is wanted, how many video streams there are, and the one that time is counted from. A picture that is
/// attached (a sound file's cover) is no video.
fn choose(path: &Path, input: &format::context::Input, want: Want) -> Result<(usize, usize, usize), Error> {
    let not_video = |source| Error::NotVideo { path: path.into(), source };
    let has = |kinds: &[Type]| input.streams().any(|s| kinds.contains(&s.parameters().medium()));
    let attached = ffi::AV_DISPOSITION_ATTACHED_PIC | ffi::AV_DISPOSITION_TIMED_THUMBNAILS;
    let mut videos = Vec::new();
    for stream in input.streams().filter(|s| s.parameters().medium() == Type::Video) {
        // SAFETY: the stream and its parameters live as long as `input`.
        let (disposition, pixel) = unsafe {
            let raw = stream.as_ptr();
            (
                (*raw).disposition,
                Pixel::from(std::mem::transmute::<i32, ffi::AVPixelFormat>((*(*raw).codecpar).format)),
            )
        };
        if disposition & attached == 0 {
            videos.push((stream.index(), Layout::is_depth(pixel)));
        }
    }
    if videos.is_empty() {
        // Half an index (a cut mp4) gives no streams, streams of no kind, or video without a codec.
        return Err(if has(&[Type::Audio, Type::Subtitle]) || has(&[Type::Video]) {
            Error::NoVideoStream { path: path.into() }
        } else {
            not_video(ff::Error::DecoderNotFound)
        });
    }
    let best = input.streams().best(Type::Video).map(|s| s.index());
    let of_kind = |depth: bool| {
        let mut some = videos.iter().filter(|(_, d)| *d == depth).map(|(index, _)| *index);
        let first = some.clone().next();
        best.filter(|b| some.any(|index| index == *b)).or(first)
    };
    let wanted = of_kind(want == Want::Depth).or_else(|| of_kind(want != Want::Depth));
    let Some(index) = wanted else { return Err(not_video(ff::Error::StreamNotFound)) };
    Ok((index, videos.len(), of_kind(false).unwrap_or(index)))
}

fn info(
    path: &Path,
    input: &format::context::Input,
    stream: &format::stream::Stream,
    decoder: &ff::decoder::Video,
    streams: usize,
) -> Info {
    let positive =
        |r: Rational| Some((u32::try_from(r.numerator()).ok()?, u32::try_from(r.denominator()).ok()?));
    let rate = |r| positive(r).filter(|(n, d)| *n > 0 && *d > 0);
    let fps = rate(stream.avg_frame_rate()).or_else(|| rate(stream.rate())).unwrap_or((30, 1));
    // SAFETY: reads fields of a context and a stream that are alive; no frame is given.
    let aspect = unsafe {
        let stream = stream.as_ptr().cast_mut();
        ffi::av_guess_sample_aspect_ratio(input.as_ptr().cast_mut(), stream, std::ptr::null_mut())
    };
    let (orientation, angle) = orientation(stream);
    let pixel_format = layout::name(decoder.format());
    let tags = ColourTags {
        space: decoder.color_space(),
        range: decoder.color_range(),
        transfer: decoder.color_transfer_characteristic(),
        primaries: decoder.color_primaries(),
    };
    let (colour, tags) = layout::colour(decoder.format(), &tags);
    Info {
        path: path.into(),
        codec: decoder.codec().map_or_else(|| "unknown".into(), |c| c.name().to_owned()),
        width: decoder.width() as usize,
        height: decoder.height() as usize,
        sample_aspect: rate(Rational::from(aspect)).unwrap_or((1, 1)),
        orientation,
        angle,
        fps,
        frames: u64::try_from(stream.frames()).ok().filter(|n| *n > 0),
        colour,
        is_rgb: layout::is_rgb(decoder.format()),
        tags,
        stream: stream.index(),
        streams,
        pixel_format,
    }
}

/// The display matrix: quarter turns and mirrors, or the angle in degrees, clockwise, of one that is neither.
fn orientation(stream: &format::stream::Stream) -> (Orientation, Option<i32>) {
    // SAFETY: the side data belongs to the stream; nine integers are read if all are there.
    let (linear, anticlockwise) = unsafe {
        let mut size = 0;
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        let data =
            ffi::av_stream_get_side_data(stream.as_ptr(), kind, &raw mut size).cast::<i32>().cast_const();
        if data.is_null() || size < 9 * size_of::<i32>() {
            return (Orientation::default(), None);
        }
        let at = |i: usize| data.add(i).read_unaligned();
        ([at(0), at(1), at(3), at(4)], ffi::av_display_rotation_get(data))
    };
    match Orientation::of_matrix(linear) {
        Some(orientation) => (orientation, None),
        None if anticlockwise.is_nan() => (Orientation::default(), None),
        None => (Orientation::default(), Some((-anticlockwise).round() as i32)),
    }
}
