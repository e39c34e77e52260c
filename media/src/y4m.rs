//! YUV4MPEG2 files: uncompressed pictures with a one-line header, streamed a picture at a time.
//!
//! | tag | read | written |
//! |---|---|---|
//! | `C420`, `C420jpeg`, `C420mpeg2`, `C420paldv`, no `C` | 4:2:0, samples as they are (chroma siting is not resampled) | `C420jpeg` |
//! | `C422`, `C444`, `C411`, `C440`, `C410`; `C444alpha` | as named | as named |
//! | the same with `p9` to `p16` (`C420p10`) | samples of 9 to 16 bits, two bytes each, little end first | as named |
//! | `Cmono`, `Cmono9` to `Cmono16` | luma alone | as named |
//! | `XCOLORRANGE=FULL` / `LIMITED` | carried in [`Header::range`]; absent: grey is full, all else limited | always |
//! | `I`: progressive, top or bottom field first, mixed | carried in [`Header::interlaced`]; lines as they are stored | `Ip` |
//! | `A`, `X...`, parameters of `FRAME` | the aspect is carried, the rest is skipped | `A1:1` |
//!
//! Odd sizes are legal: chroma planes are rounded up.

use crate::convert::Range;
use crate::picture::{Format, Model, Picture, Plane};
use crate::{MAX_PIXELS, Yuv420};
use std::io::{self, BufRead, ErrorKind, Write};

/// Longest side accepted; keeps a damaged header from asking for all memory.
pub const MAX_SIDE: usize = 16_384;
const MAX_LINE: usize = 1024;

/// What goes wrong with a y4m stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The first bytes are not `YUV4MPEG2`.
    #[error("not a y4m file: it does not begin with \"YUV4MPEG2 \"")]
    NotY4m,
    /// A header or frame line is broken.
    #[error("y4m {place}: {what}")]
    Header {
        /// `header` or `frame N`.
        place: String,
        /// What is wrong, with the text.
        what: String,
    },
    /// The stream ends inside a picture.
    #[error(
        "truncated y4m: picture {frame} is cut off ({got} of {want} bytes); copy the file again, or cut it cleanly with `ffmpeg -i IN.y4m whole.y4m`"
    )]
    Truncated {
        /// Frame number, from 0.
        frame: u64,
        /// Bytes there.
        got: usize,
        /// Bytes of a whole picture.
        want: usize,
    },
    /// A picture of another size was given to the writer.
    #[error("y4m frame {frame}: picture is {got_width}x{got_height}, the stream is {width}x{height}")]
    Size {
        /// Frame number, from 0.
        frame: u64,
        /// Columns of the picture.
        got_width: usize,
        /// Rows of the picture.
        got_height: usize,
        /// Columns of the stream.
        width: usize,
        /// Rows of the stream.
        height: usize,
    },
    /// Reading or writing failed.
    #[error("y4m: {0}")]
    Io(#[from] io::Error),
}

/// The stream header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Luma columns.
    pub width: usize,
    /// Luma rows.
    pub height: usize,
    /// Frame rate, numerator and denominator.
    pub fps: (u32, u32),
    /// Layout of the samples.
    pub format: Format,
    /// Sample range.
    pub range: Range,
    /// The header says which range; otherwise it is the one that is assumed.
    pub range_tagged: bool,
    /// Width to height of one sample, if the header knows it.
    pub aspect: Option<(u32, u32)>,
    /// The header's word for interlaced pictures: `t`, `b` or `m`.
    pub interlaced: Option<char>,
}

impl Header {
    /// 4:2:0, 8 bits, limited range.
    #[must_use]
    pub fn new(width: usize, height: usize, fps: (u32, u32)) -> Self {
        Self {
            width,
            height,
            fps,
            format: Format::YUV420,
            range: Range::Limited,
            range_tagged: true,
            aspect: Some((1, 1)),
            interlaced: None,
        }
    }

    fn picture_bytes(&self) -> usize {
        let bytes = if self.format.bits > 8 { 2 } else { 1 };
        let samples = |index| {
            let (w, h) = self.format.plane_size(index, (self.width, self.height));
            w * h * bytes
        };
        (0..self.format.planes()).map(samples).sum()
    }

    fn parse(line: &str) -> Result<Self, Error> {
        let bad = |what: String| Error::Header { place: "header".into(), what };
        let side = |name: &str, text: &str| match text.parse::<usize>() {
            Ok(n) if (1..=MAX_SIDE).contains(&n) => Ok(n),
            _ => Err(bad(format!("{name} \"{text}\" is not between 1 and {MAX_SIDE}"))),
        };
        let ratio = |text: &str| -> Option<(u32, u32)> {
            let (n, d) = text.split_once(':')?;
            Some((n.parse().ok()?, d.parse().ok()?)).filter(|(n, d)| *n > 0 && *d > 0)
        };
        let mut header = Self { range_tagged: false, aspect: None, ..Self::new(0, 0, (0, 1)) };
        for tag in line.split_ascii_whitespace() {
            let (key, value) = match tag.chars().next() {
                Some(key) => (key, &tag[key.len_utf8()..]),
                None => continue,
            };
            match key {
                'W' => header.width = side("width", value)?,
                'H' => header.height = side("height", value)?,
                'F' => {
                    header.fps =
                        ratio(value).ok_or_else(|| bad(format!("frame rate \"{value}\" is not N:D")))?;
                }
                'A' => header.aspect = ratio(value),
                'C' => {
                    header.format = chroma(value).ok_or_else(|| {
                        bad(format!(
                            "chroma format C{value} is not known; convert it with \
                             `ffmpeg -i IN -pix_fmt yuv444p16 -strict -1 OUT.y4m`"
                        ))
                    })?;
                }
                'I' => match value {
                    "p" | "?" | "" => {}
                    "t" | "b" | "m" => header.interlaced = value.chars().next(),
                    _ => return Err(bad(format!("interlacing I{value} is not one of Ip, It, Ib, Im, I?"))),
                },
                'X' if value.eq_ignore_ascii_case("COLORRANGE=FULL") => {
                    (header.range, header.range_tagged) = (Range::Full, true);
                }
                'X' if value.eq_ignore_ascii_case("COLORRANGE=LIMITED") => {
                    (header.range, header.range_tagged) = (Range::Limited, true);
                }
                _ => {}
            }
        }
        if !header.range_tagged {
            header.range = Range::assumed(header.format.model);
        }
        match header {
            Self { width: 0, .. } => Err(bad("no width (W)".into())),
            Self { height: 0, .. } => Err(bad("no height (H)".into())),
            Self { fps: (0, _), .. } => Err(bad("no frame rate (F)".into())),
            Self { width, height, .. } if width * height > MAX_PIXELS => Err(bad(format!(
                "{width}x{height} is beyond the {MAX_PIXELS} samples of the largest picture read"
            ))),
            whole => Ok(whole),
        }
    }
}

/// The layout that a `C` tag names.
fn chroma(value: &str) -> Option<Format> {
    let bits = |text: &str| text.parse::<u8>().ok().filter(|b| (9..=16).contains(b));
    if let Some(rest) = value.strip_prefix("mono") {
        return Some(Format { bits: if rest.is_empty() { 8 } else { bits(rest)? }, ..Format::GREY });
    }
    let (family, rest) = value.split_at_checked(3)?;
    let chroma = match family {
        "420" => (1, 1),
        "422" => (1, 0),
        "444" => (0, 0),
        "440" => (0, 1),
        "411" => (2, 0),
        "410" => (2, 2),
        _ => return None,
    };
    let format = Format { chroma, ..Format::YUV420 };
    match rest {
        "" | "jpeg" | "mpeg2" | "paldv" => Some(format),
        "alpha" if family == "444" => Some(Format { alpha: true, ..format }),
        deep => Some(Format { bits: bits(deep.strip_prefix('p')?)?, ..format }),
    }
}

/// The `C` tag of a layout; `None` if y4m has none.
fn tag(format: Format) -> Option<String> {
    let family = match (format.model, format.chroma) {
        (Model::Grey, _) if !format.alpha => {
            return Some(if format.bits == 8 { "mono".into() } else { format!("mono{}", format.bits) });
        }
        (Model::Yuv, (1, 1)) => "420",
        (Model::Yuv, (1, 0)) => "422",
        (Model::Yuv, (0, 0)) => "444",
        (Model::Yuv, (0, 1)) => "440",
        (Model::Yuv, (2, 0)) => "411",
        (Model::Yuv, (2, 2)) => "410",
        _ => return None,
    };
    match (format.bits, format.alpha) {
        (8, true) if family == "444" => Some("444alpha".into()),
        (8, false) if family == "420" => Some("420jpeg".into()),
        (8, false) => Some(family.into()),
        (9.., false) => Some(format!("{family}p{}", format.bits)),
        _ => None,
    }
}

/// Reads a stream picture by picture.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    frame: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::NotY4m`], [`Error::Header`], [`Error::Io`].
    pub fn new(mut input: R) -> Result<Self, Error> {
        let line = line(&mut input, "header")?.ok_or(Error::NotY4m)?;
        let rest = line.strip_prefix("YUV4MPEG2 ").ok_or(Error::NotY4m)?;
        Ok(Self { header: Header::parse(rest)?, input, frame: 0 })
    }

    /// The stream header.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// The next 8-bit 4:2:0 or grey picture, or `None` at a clean end.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Header`] (a broken frame line, another format), [`Error::Io`].
    pub fn next_frame(&mut self) -> Result<Option<Yuv420>, Error> {
        let mut picture = Yuv420 { width: 0, height: 0, y: Vec::new(), u: Vec::new(), v: Vec::new() };
        Ok(self.next_frame_into(&mut picture)?.then_some(picture))
    }

    /// As [`Reader::next_frame`], reusing the memory of `picture`; false at a clean end. After an error or the end
    /// `picture` holds nothing sensible.
    ///
    /// # Errors
    /// As [`Reader::next_frame`].
    pub fn next_frame_into(&mut self, picture: &mut Yuv420) -> Result<bool, Error> {
        if !matches!(self.header.format, Format::YUV420 | Format::GREY) {
            let what = format!("8-bit 4:2:0 is needed here, the file has {}", self.header.format);
            return Err(Error::Header { place: "header".into(), what });
        }
        if !self.frame_line()? {
            return Ok(false);
        }
        let size = (self.header.width, self.header.height);
        (picture.width, picture.height) = size;
        let Yuv420 { y, u, v, .. } = picture;
        let planes = self.header.format.planes();
        let mut got = 0;
        for (index, plane) in [y, u, v].into_iter().enumerate() {
            let (w, h) = Format::YUV420.plane_size(index, size);
            plane.resize(w * h, 128);
            if index < planes {
                self.fill_bytes(plane, &mut got)?;
            } else {
                plane.fill(128);
            }
        }
        self.frame += 1;
        Ok(true)
    }

    /// The next picture in the file's own format, into the memory of `picture`; false at a clean end.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Header`] (a broken frame line), [`Error::Io`].
    pub fn next_picture_into(&mut self, picture: &mut Picture) -> Result<bool, Error> {
        if !self.frame_line()? {
            return Ok(false);
        }
        let h = self.header;
        picture.shape((h.width, h.height), h.format);
        let mut got = 0;
        for plane in &mut picture.planes {
            match plane {
                Plane::Eight(samples) => self.fill_bytes(samples, &mut got)?,
                Plane::Sixteen(samples) => {
                    let mut bytes = vec![0; 2 * samples.len()];
                    self.fill_bytes(&mut bytes, &mut got)?;
                    for (sample, pair) in samples.iter_mut().zip(bytes.chunks_exact(2)) {
                        *sample = u16::from_le_bytes([pair[0], pair[1]]);
                    }
                }
            }
        }
        self.frame += 1;
        Ok(true)
    }

    /// Passes over the line before a picture; false at a clean end.
    fn frame_line(&mut self) -> Result<bool, Error> {
        let place = format!("frame {}", self.frame);
        let Some(line) = line(&mut self.input, &place)? else { return Ok(false) };
        if line != "FRAME" && !line.starts_with("FRAME ") {
            return Err(Error::Header {
                place,
                what: format!("expected FRAME, found \"{}\"", line.escape_debug()),
            });
        }
        Ok(true)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8], got: &mut usize) -> Result<(), Error> {
        let read = fill(&mut self.input, buffer)?;
        *got += read;
        if read < buffer.len() {
            return Err(Error::Truncated { frame: self.frame, got: *got, want: self.header.picture_bytes() });
        }
        Ok(())
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Yuv420, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame().transpose()
    }
}

/// Writes a stream picture by picture.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    header: Header,
    frame: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header. Give a buffered `output`.
    ///
    /// # Errors
    /// [`Error::Header`] for a format that y4m has no name for, [`Error::Io`].
    pub fn new(mut output: W, header: Header) -> Result<Self, Error> {
        let chroma = tag(header.format).ok_or_else(|| Error::Header {
            place: "header".into(),
            what: format!("{} has no name in y4m", header.format),
        })?;
        let range = if header.range == Range::Full { "FULL" } else { "LIMITED" };
        let Header { width, height, fps: (n, d), .. } = header;
        writeln!(output, "YUV4MPEG2 W{width} H{height} F{n}:{d} Ip A1:1 C{chroma} XCOLORRANGE={range}")?;
        Ok(Self { output, header, frame: 0 })
    }

    /// Writes one picture (its luma alone to a mono stream) to a stream of 8-bit 4:2:0 or grey.
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Header`] if the stream is of another format, [`Error::Io`].
    pub fn write(&mut self, picture: &Yuv420) -> Result<(), Error> {
        self.check((picture.width, picture.height), Format { bits: 8, ..self.header.format })?;
        self.output.write_all(b"FRAME\n")?;
        self.output.write_all(&picture.y)?;
        if self.header.format == Format::YUV420 {
            self.output.write_all(&picture.u)?;
            self.output.write_all(&picture.v)?;
        }
        self.frame += 1;
        Ok(())
    }

    /// Writes one picture of the stream's format.
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Header`] if the picture is of another format, [`Error::Io`].
    pub fn write_picture(&mut self, picture: &Picture) -> Result<(), Error> {
        self.check((picture.width, picture.height), picture.format)?;
        self.output.write_all(b"FRAME\n")?;
        for plane in &picture.planes {
            match plane {
                Plane::Eight(samples) => self.output.write_all(samples)?,
                Plane::Sixteen(samples) => {
                    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
                    self.output.write_all(&bytes)?;
                }
            }
        }
        self.frame += 1;
        Ok(())
    }

    fn check(&self, (got_width, got_height): (usize, usize), format: Format) -> Result<(), Error> {
        let Header { width, height, .. } = self.header;
        if (got_width, got_height) != (width, height) {
            return Err(Error::Size { frame: self.frame, got_width, got_height, width, height });
        }
        if format != self.header.format {
            let what = format!("the picture is {format}, the stream {}", self.header.format);
            return Err(Error::Header { place: format!("frame {}", self.frame), what });
        }
        Ok(())
    }

    /// Flushes and gives the output back.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<W, Error> {
        self.output.flush()?;
        Ok(self.output)
    }
}

/// A line without its end, or `None` at the end of the file.
fn line<R: BufRead>(input: &mut R, place: &str) -> Result<Option<String>, Error> {
    let mut bytes = Vec::new();
    io::Read::take(&mut *input, MAX_LINE as u64).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let whole = bytes.pop() == Some(b'\n');
    match String::from_utf8(bytes) {
        Ok(line) if whole => Ok(Some(line)),
        _ if place == "header" => Err(Error::NotY4m),
        _ => Err(Error::Header { place: place.into(), what: "no end of line: damaged or truncated".into() }),
    }
}

/// Reads until `buffer` is full or the file ends.
fn fill<R: io::Read>(input: &mut R, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
