//! The stored pictures of a file, for comparing: samples as they are, one after the other.

use crate::decode::{Decoder, Want};
use crate::layout::{Layout, floats};
use crate::{Error, Info};
use ff::frame;
use ffmpeg as ff;
use media::convert::Colour;
use media::picture::{Format, Orientation, Picture};
use std::io::Read;
use std::path::Path;

/// Reads a video file's pictures as they are stored, in constant memory: their own format and depth, every column and row, no
/// sample aspect, no rate, no times. A display matrix of quarter turns and mirrors, which moves samples and changes none, is
/// followed.
pub struct SampleReader {
    decoder: Decoder,
    layout: Layout,
    notes: Vec<String>,
}

impl SampleReader {
    /// Opens a file; of several streams, colour before depth.
    ///
    /// # Errors
    /// Missing, empty, no video, truncated, or a pixel format without samples of its own ([`Error::Kind`]).
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::of(Decoder::open(path, Want::Colour)?)
    }

    /// As [`SampleReader::open`], of what comes out of a pipe; `path` is its name in messages.
    ///
    /// # Errors
    /// As [`SampleReader::open`].
    pub fn pipe(path: &Path, from: impl Read + Send + 'static) -> Result<Self, Error> {
        Self::of(Decoder::pipe(path, Want::Colour, from)?)
    }

    fn of(decoder: Decoder) -> Result<Self, Error> {
        let layout = decoder.layout()?;
        let info = decoder.info();
        let mut notes = Vec::new();
        if info.streams > 1 {
            notes.push(format!("stream {} is taken, of {} with video", info.stream, info.streams));
        }
        if info.orientation != Orientation::default() {
            notes.push(format!("{}, as its display matrix says", info.orientation));
        }
        if let Some(degrees) = info.angle {
            notes.push(format!("a player turns it by {degrees} degrees, which is not done here"));
        }
        if let Some(matrix) = info.tags.matrix.as_deref().filter(|m| {
            !["bt709", "bt470bg", "smpte170m", "bt2020nc", "bt2020c", "smpte240m", "fcc"].contains(m)
        }) {
            notes.push(format!("its matrix, {matrix}, is taken as BT.601"));
        }
        notes.extend(layout.note().map(str::to_owned));
        Ok(Self { decoder, layout, notes })
    }

    /// What the file holds.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.decoder.info()
    }

    /// Columns and rows of the pictures given.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let Info { width, height, orientation, .. } = *self.info();
        if orientation.transpose { (height, width) } else { (width, height) }
    }

    /// Layout of the pictures given.
    #[must_use]
    pub fn format(&self) -> Format {
        let mut format = self.layout.format;
        if self.info().orientation.transpose {
            format.chroma = (format.chroma.1, format.chroma.0);
        }
        format
    }

    /// Whether the pictures given hold all that is stored, as it is stored; else what is done to it.
    ///
    /// # Errors
    /// What is done, in words.
    pub fn is_as_stored(&self) -> Result<(), &'static str> {
        self.layout.note().map_or(Ok(()), Err)
    }

    /// How to see their colours.
    #[must_use]
    pub fn colour(&self) -> Colour {
        self.info().colour
    }

    /// What is done besides taking the samples, and what is not; in words, without the file's name.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Reads the next picture into the memory of `picture`; false after the last.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Truncated`], [`Error::Changed`], [`Error::NoPictures`]; each once, and
    /// nothing sensible after it.
    pub fn next_into(&mut self, picture: &mut Picture) -> Result<bool, Error> {
        let Some(decoded) = self.decoder.next_picture()? else { return Ok(false) };
        self.layout.planes(&decoded.frame, picture);
        let orientation = self.info().orientation;
        if orientation != Orientation::default() {
            *picture = picture.oriented(orientation);
        }
        Ok(true)
    }

    /// The next picture, or `None` after the last.
    ///
    /// # Errors
    /// As [`SampleReader::next_into`].
    pub fn next_picture(&mut self) -> Result<Option<Picture>, Error> {
        let mut picture = Picture::default();
        Ok(self.next_into(&mut picture)?.then_some(picture))
    }

    /// The next picture of grey in integers or floating point, as the numbers it holds; false after the last. For depth.
    ///
    /// # Errors
    /// As [`SampleReader::next_into`].
    pub fn next_values(&mut self, values: &mut Vec<f64>) -> Result<bool, Error> {
        let Some(decoded) = self.decoder.next_picture()? else { return Ok(false) };
        let (w, h) = (self.info().width, self.info().height);
        numbers(self.layout, &decoded.frame, values);
        if self.info().orientation != Orientation::default() {
            *values = self.info().orientation.plane(values, w, h);
        }
        Ok(true)
    }
}

/// Luma as plain numbers.
pub(crate) fn numbers(layout: Layout, frame: &frame::Video, values: &mut Vec<f64>) {
    let size = (frame.width() as usize, frame.height() as usize);
    values.clear();
    if layout.is_float() {
        values.extend(floats(frame, 0, size).into_iter().map(f64::from));
    } else {
        let mut picture = Picture::default();
        layout.planes(frame, &mut picture);
        let plane = &picture.planes[0];
        values.extend((0..plane.len()).map(|i| f64::from(plane.at(i))));
    }
}

impl Iterator for SampleReader {
    type Item = Result<Picture, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_picture().transpose()
    }
}
