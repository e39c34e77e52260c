//! What a file holds, without decoding it.

use crate::Error;
use crate::decode::{Decoder, Want};
use crate::layout::Tags;
use media::convert::Colour;
use media::picture::Orientation;
use std::path::{Path, PathBuf};

/// What is known of a video file before its pictures are decoded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Info {
    /// The file.
    pub path: PathBuf,
    /// FFmpeg's name of the codec, for instance `h264`.
    pub codec: String,
    /// FFmpeg's name of the pixel format, for instance `yuv420p`.
    pub pixel_format: String,
    /// Coded columns.
    pub width: usize,
    /// Coded rows.
    pub height: usize,
    /// Width to height of one sample.
    pub sample_aspect: (u32, u32),
    /// How a player turns and mirrors the pictures (telephones film sideways, front cameras mirror).
    pub orientation: Orientation,
    /// Degrees, clockwise, by which a player turns them if it is no quarter turn.
    pub angle: Option<i32>,
    /// Average frame rate, numerator and denominator; what the file says, which need not be so.
    pub fps: (u32, u32),
    /// Pictures, where the file says so; an estimate in many containers.
    pub frames: Option<u64>,
    /// How to see the colours of the stored pictures.
    pub colour: Colour,
    /// They are RGB.
    pub is_rgb: bool,
    /// What the file says of them.
    pub tags: Tags,
    /// Which of the file's streams this is.
    pub stream: usize,
    /// Video streams in the file.
    pub streams: usize,
}

impl Info {
    /// Colours of the 4:2:0 pictures that [`crate::Reader`] gives: the stream's own; RGB becomes BT.601 limited.
    #[must_use]
    pub fn captured_colour(&self) -> Colour {
        if self.is_rgb { Colour::BT601 } else { self.colour }
    }

    /// Grey of 9 to 16 bits or of floating point: depth, where depth is asked for.
    #[must_use]
    pub fn is_metric_depth(&self) -> bool {
        self.pixel_format.starts_with("gray") && !matches!(self.pixel_format.as_str(), "gray" | "gray8a")
    }

    /// The file's name without its folders.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// Reads a file's headers.
///
/// # Errors
/// As [`crate::Reader::open`].
pub fn probe(path: &Path) -> Result<Info, Error> {
    Ok(Decoder::open(path, Want::Colour)?.info().clone())
}
