//! YUV4MPEG2 files: uncompressed pictures with a one-line header, streamed a picture at a time.
//!
//! | tag | read | written |
//! |---|---|---|
//! | `C420`, `C420jpeg`, `C420mpeg2`, `C420paldv` | 4:2:0, samples as they are (chroma siting is not resampled) | `C420jpeg` |
//! | `Cmono` | luma as it is, chroma 128 | luma alone |
//! | `XCOLORRANGE=FULL` / `LIMITED` | carried in [`Header::range`] | always |
//!
//! Odd sizes are legal: chroma planes are rounded up, as in [`Yuv420`]. Other chroma formats and high bit
//! depths are refused by name.

use crate::Yuv420;
use crate::convert::Range;
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

/// Which planes a stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chroma {
    /// 4:2:0.
    #[default]
    C420,
    /// Luma alone.
    Mono,
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
    /// Planes.
    pub chroma: Chroma,
    /// Sample range.
    pub range: Range,
}

impl Header {
    /// 4:2:0, limited range.
    #[must_use]
    pub fn new(width: usize, height: usize, fps: (u32, u32)) -> Self {
        Self { width, height, fps, chroma: Chroma::C420, range: Range::Limited }
    }

    fn luma(&self) -> usize {
        self.width * self.height
    }

    fn picture_bytes(&self) -> usize {
        let chroma = self.width.div_ceil(2) * self.height.div_ceil(2);
        self.luma() + if self.chroma == Chroma::Mono { 0 } else { 2 * chroma }
    }

    fn parse(line: &str) -> Result<Self, Error> {
        let bad = |what: String| Error::Header { place: "header".into(), what };
        let side = |name: &str, text: &str| match text.parse::<usize>() {
            Ok(n) if (1..=MAX_SIDE).contains(&n) => Ok(n),
            _ => Err(bad(format!("{name} \"{text}\" is not between 1 and {MAX_SIDE}"))),
        };
        let mut header = Self::new(0, 0, (0, 1));
        for tag in line.split_ascii_whitespace() {
            let (key, value) = match tag.chars().next() {
                Some(key) => (key, &tag[key.len_utf8()..]),
                None => continue,
            };
            match key {
                'W' => header.width = side("width", value)?,
                'H' => header.height = side("height", value)?,
                'F' => {
                    let fps =
                        value.split_once(':').and_then(|(n, d)| Some((n.parse().ok()?, d.parse().ok()?)));
                    header.fps = fps
                        .filter(|(n, d)| *n > 0 && *d > 0)
                        .ok_or_else(|| bad(format!("frame rate \"{value}\" is not N:D")))?;
                }
                'C' => {
                    header.chroma = match value {
                        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Chroma::C420,
                        "mono" => Chroma::Mono,
                        other => {
                            return Err(bad(format!(
                                "chroma format C{other} is not read here (8-bit 4:2:0 and mono are); \
                                 convert it with `ffmpeg -i IN -pix_fmt yuv420p OUT.y4m`"
                            )));
                        }
                    }
                }
                'I' if value != "p" && value != "?" => {
                    return Err(bad(format!("interlaced material (I{value}) is not read here")));
                }
                'X' if value == "COLORRANGE=FULL" => header.range = Range::Full,
                _ => {}
            }
        }
        match header {
            Self { width: 0, .. } => Err(bad("no width (W)".into())),
            Self { height: 0, .. } => Err(bad("no height (H)".into())),
            Self { fps: (0, _), .. } => Err(bad("no frame rate (F)".into())),
            whole => Ok(whole),
        }
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

    /// The next picture, or `None` at a clean end.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Header`] (a broken frame line), [`Error::Io`].
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
        let place = format!("frame {}", self.frame);
        let Some(line) = line(&mut self.input, &place)? else { return Ok(false) };
        if line != "FRAME" && !line.starts_with("FRAME ") {
            return Err(Error::Header {
                place,
                what: format!("expected FRAME, found \"{}\"", line.escape_debug()),
            });
        }
        let h = self.header;
        (picture.width, picture.height) = (h.width, h.height);
        let chroma = h.width.div_ceil(2) * h.height.div_ceil(2);
        picture.y.resize(h.luma(), 0);
        picture.u.resize(chroma, 128);
        picture.v.resize(chroma, 128);
        let Yuv420 { y, u, v, .. } = picture;
        if h.chroma == Chroma::Mono {
            u.fill(128);
            v.fill(128);
        }
        let planes = if h.chroma == Chroma::Mono { vec![y] } else { vec![y, u, v] };
        let mut got = 0;
        for plane in planes {
            let read = fill(&mut self.input, plane)?;
            got += read;
            if read < plane.len() {
                return Err(Error::Truncated { frame: self.frame, got, want: h.picture_bytes() });
            }
        }
        self.frame += 1;
        Ok(true)
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
    /// [`Error::Io`].
    pub fn new(mut output: W, header: Header) -> Result<Self, Error> {
        let chroma = if header.chroma == Chroma::Mono { "mono" } else { "420jpeg" };
        let range = if header.range == Range::Full { "FULL" } else { "LIMITED" };
        let Header { width, height, fps: (n, d), .. } = header;
        writeln!(output, "YUV4MPEG2 W{width} H{height} F{n}:{d} Ip A1:1 C{chroma} XCOLORRANGE={range}")?;
        Ok(Self { output, header, frame: 0 })
    }

    /// Writes one picture (its luma alone to a mono stream).
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Io`].
    pub fn write(&mut self, picture: &Yuv420) -> Result<(), Error> {
        let Header { width, height, .. } = self.header;
        if (picture.width, picture.height) != (width, height) {
            let (got_width, got_height) = (picture.width, picture.height);
            return Err(Error::Size { frame: self.frame, got_width, got_height, width, height });
        }
        self.output.write_all(b"FRAME\n")?;
        self.output.write_all(&picture.y)?;
        if self.header.chroma == Chroma::C420 {
            self.output.write_all(&picture.u)?;
            self.output.write_all(&picture.v)?;
        }
        self.frame += 1;
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
