//! Playable and lossless video files.
//!
//! A file appears under its name only when it is whole: it is written beside it as `NAME.part-PID.EXT` and
//! renamed by `finish`; a writer dropped before that removes its part.

use crate::Error;
use crate::reader::{check_rate, check_size};
use ff::codec::Context;
use ff::format::Pixel;
use ff::{Dictionary, Packet, Rational, ffi, format, frame};
use ffmpeg as ff;
use media::convert::{Colour, Matrix, Range};
use media::{Depth16, Yuv420};
use std::path::{Path, PathBuf};

/// How much a written file may differ from the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// x264, preset veryfast, constant rate factor (0..=51; 18 looks the same, 23 is usual). Plays anywhere.
    Crf(u8),
    /// x264 with `qp 0`: every sample kept; plays in FFmpeg's players, not in browsers.
    X264Lossless,
    /// FFV1 with checksums, key frames only: every sample kept, damage noticed. In `.mkv`.
    Ffv1,
    /// FFV HuffYUV: every sample kept, read seven times faster than FFV1, half as large again, no checksums. In `.mkv`.
    Ffvhuff,
}

/// Writes 4:2:0 pictures to an mp4 or mkv file.
pub struct Writer(Encoder);

impl Writer {
    /// Begins a file; the ending of `path` (.mp4, .mkv) chooses the container. A file of that name is
    /// replaced by [`Writer::finish`].
    ///
    /// # Errors
    /// The folder is not writable, or the size, rate, ending or crf make no sense.
    pub fn create(
        path: &Path,
        size: (usize, usize),
        fps: (u32, u32),
        colour: Colour,
        quality: Quality,
    ) -> Result<Self, Error> {
        Encoder::create(path, size, fps, Some(colour), quality).map(Self)
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// [`Error::WrongPicture`]; a full disk.
    pub fn write(&mut self, picture: &Yuv420) -> Result<(), Error> {
        self.0.check(picture.width, picture.height)?;
        let frame = &mut self.0.frame;
        // SAFETY: the frame is valid; its buffer is copied if the encoder still holds it.
        unsafe { ffi::av_frame_make_writable(frame.as_mut_ptr()) };
        let (cw, width) = (picture.width.div_ceil(2), picture.width);
        for (index, (samples, width)) in
            [(&picture.y, width), (&picture.u, cw), (&picture.v, cw)].into_iter().enumerate()
        {
            let stride = frame.stride(index);
            for (to, from) in frame.data_mut(index).chunks_mut(stride).zip(samples.chunks_exact(width)) {
                to[..width].copy_from_slice(from);
            }
        }
        self.0.encode()
    }

    /// Completes the file.
    ///
    /// # Errors
    /// A full disk; the folder is gone.
    pub fn finish(self) -> Result<(), Error> {
        self.0.finish()
    }
}

/// Writes metric depth to an mkv file: FFV1, 16-bit grey, every sample kept.
pub struct DepthWriter(Encoder);

impl DepthWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create(
        path: &Path,
        size: (usize, usize),
        fps: (u32, u32),
        quality: Quality,
    ) -> Result<Self, Error> {
        Encoder::create(path, size, fps, None, quality).map(Self)
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// [`Error::WrongPicture`]; a full disk.
    pub fn write(&mut self, picture: &Depth16) -> Result<(), Error> {
        self.0.check(picture.width, picture.height)?;
        let frame = &mut self.0.frame;
        // SAFETY: as in `Writer::write`.
        unsafe { ffi::av_frame_make_writable(frame.as_mut_ptr()) };
        let stride = frame.stride(0);
        for (to, from) in frame.data_mut(0).chunks_mut(stride).zip(picture.mm.chunks_exact(picture.width)) {
            for (to, from) in to.chunks_exact_mut(2).zip(from) {
                to.copy_from_slice(&from.to_le_bytes());
            }
        }
        self.0.encode()
    }

    /// Completes the file.
    ///
    /// # Errors
    /// As [`Writer::finish`].
    pub fn finish(self) -> Result<(), Error> {
        self.0.finish()
    }
}

struct Encoder {
    path: PathBuf,
    part: Part,
    output: format::context::Output,
    encoder: ff::encoder::video::Encoder,
    frame: frame::Video,
    time_base: Rational,
    written: i64,
}

/// The unfinished file; removed unless kept.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // After `finish` it has its real name and there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Encoder {
    fn create(
        path: &Path,
        size: (usize, usize),
        fps: (u32, u32),
        colour: Option<Colour>,
        quality: Quality,
    ) -> Result<Self, Error> {
        check_size(size)?;
        check_rate(fps)?;
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !matches!(ending, "mp4" | "mkv")
            || (matches!(quality, Quality::Ffv1 | Quality::Ffvhuff) && ending != "mkv")
        {
            return Err(Error::Container { path: path.into() });
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let part = Part(path.with_file_name(format!("{name}.part-{}.{ending}", std::process::id())));
        // Rust's word on a folder that is not there or not writable is clearer than FFmpeg's.
        std::fs::File::create(&part.0).map_err(|source| Error::Io {
            doing: "create",
            path: path.into(),
            source,
        })?;
        let fail = |doing| move |source| Error::Ffmpeg { doing, path: path.into(), source };
        ff::init().map_err(fail("begin"))?;
        crate::complaints::install();
        let shown = part.0.to_str().ok_or_else(|| Error::Container { path: path.into() })?;
        let mut output = format::output(&format!("file:{shown}")).map_err(fail("begin"))?;
        let time_base = Rational::new(fps.1 as i32, fps.0 as i32);
        let global_header = output.format().flags().contains(format::Flags::GLOBAL_HEADER);
        let encoder = open_encoder(size, fps, colour, quality, global_header).map_err(fail("begin"))?;
        let mut stream = output.add_stream_with(&encoder.0.0.0).map_err(fail("begin"))?;
        stream.set_time_base(time_base);
        stream.set_avg_frame_rate(Rational::new(fps.0 as i32, fps.1 as i32));
        let mut options = Dictionary::new();
        options.set("fflags", "+bitexact"); // no date, no random ids: same pictures, same file
        if ending == "mp4" {
            options.set("movflags", "+faststart");
        }
        drop(output.write_header_with(options).map_err(fail("begin"))?);
        let pixel = if colour.is_some() { Pixel::YUV420P } else { Pixel::GRAY16LE };
        let frame = frame::Video::new(pixel, size.0 as u32, size.1 as u32);
        Ok(Self { path: path.into(), part, output, encoder, frame, time_base, written: 0 })
    }

    fn check(&self, width: usize, height: usize) -> Result<(), Error> {
        let (w, h) = (self.frame.width() as usize, self.frame.height() as usize);
        if (width, height) == (w, h) {
            return Ok(());
        }
        let (got, want) = (format!("{width}x{height}"), format!("{w}x{h}"));
        Err(Error::WrongPicture { path: self.path.clone(), frame: self.written as u64, got, want })
    }

    fn encode(&mut self) -> Result<(), Error> {
        self.frame.set_pts(Some(self.written));
        self.written += 1;
        self.encoder.send_frame(&self.frame).map_err(|source| self.failed(source))?;
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Error> {
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    packet.set_duration(1);
                    let stream_base = self.output.stream(0).map_or(self.time_base, |s| s.time_base());
                    packet.rescale_ts(self.time_base, stream_base);
                    packet.write_interleaved(&mut self.output).map_err(|source| self.failed(source))?;
                }
                Err(ff::Error::Eof | ff::Error::Other { errno: ff::error::EAGAIN }) => return Ok(()),
                Err(source) => return Err(self.failed(source)),
            }
        }
    }

    fn finish(mut self) -> Result<(), Error> {
        if self.written == 0 {
            return Err(Error::NoPictures { path: self.path.clone() });
        }
        self.encoder.send_eof().map_err(|source| self.failed(source))?;
        self.drain()?;
        self.output.write_trailer().map_err(|source| self.failed(source))?;
        // SAFETY: the output's I/O context is open; a full disk shows in its error field only.
        let state = unsafe {
            let io = (*self.output.as_mut_ptr()).pb;
            ffi::avio_flush(io);
            (*io).error
        };
        if state < 0 {
            return Err(self.failed(ff::Error::from(state)));
        }
        let Self { path, part, output, .. } = self;
        drop(output);
        std::fs::rename(&part.0, &path).map_err(|source| Error::Io { doing: "complete", path, source })
    }

    fn failed(&self, source: ff::Error) -> Error {
        Error::Ffmpeg { doing: "write", path: self.path.clone(), source }
    }
}

/// One thread and fixed settings: the same pictures give the same file on one FFmpeg version.
fn open_encoder(
    (width, height): (usize, usize),
    fps: (u32, u32),
    colour: Option<Colour>,
    quality: Quality,
    global_header: bool,
) -> Result<ff::encoder::video::Encoder, ff::Error> {
    let name = match quality {
        Quality::Ffv1 => "ffv1",
        Quality::Ffvhuff => "ffvhuff",
        Quality::Crf(_) | Quality::X264Lossless => "libx264",
    };
    let codec = ff::encoder::find_by_name(name).ok_or(ff::Error::EncoderNotFound)?;
    let mut encoder = Context::new_with_codec(codec).encoder().video()?;
    encoder.set_width(width as u32);
    encoder.set_height(height as u32);
    encoder.set_time_base(Rational::new(fps.1 as i32, fps.0 as i32));
    encoder.set_frame_rate(Some(Rational::new(fps.0 as i32, fps.1 as i32)));
    encoder.set_threading(ff::threading::Config::count(1));
    encoder.set_format(if colour.is_some() { Pixel::YUV420P } else { Pixel::GRAY16LE });
    if let Some(colour) = colour {
        let full = colour.range == Range::Full;
        encoder.set_color_range(if full { ff::color::Range::JPEG } else { ff::color::Range::MPEG });
        encoder.set_colorspace(match colour.matrix {
            Matrix::Bt601 => ff::color::Space::SMPTE170M,
            Matrix::Bt709 => ff::color::Space::BT709,
            Matrix::Bt2020 => ff::color::Space::BT2020NCL,
            Matrix::Smpte240m => ff::color::Space::SMPTE240M,
            Matrix::Fcc => ff::color::Space::FCC,
        });
    }
    let mut flags = ff::codec::Flags::BITEXACT;
    if global_header {
        flags |= ff::codec::Flags::GLOBAL_HEADER;
    }
    encoder.set_flags(flags);
    let mut options = Dictionary::new();
    match quality {
        Quality::Crf(crf) => {
            options.set("preset", "veryfast");
            options.set("crf", &crf.min(51).to_string());
        }
        Quality::X264Lossless => {
            options.set("preset", "veryfast");
            options.set("qp", "0");
        }
        Quality::Ffvhuff => encoder.set_gop(1),
        Quality::Ffv1 => {
            encoder.set_gop(1);
            for (key, value) in [("level", "3"), ("slices", "4"), ("slicecrc", "1"), ("coder", "range_def")] {
                options.set(key, value);
            }
        }
    }
    encoder.open_with(options)
}
