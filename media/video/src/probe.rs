//! What a file holds, without decoding it.

use crate::Error;
use crate::decode::Decoder;
use media::convert::Colour;
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
    /// Quarter turns clockwise that a player makes (telephones film sideways): 0..=3.
    pub quarter_turns: u8,
    /// Average frame rate, numerator and denominator.
    pub fps: (u32, u32),
    /// Pictures, where the file says so (mp4) or its duration tells.
    pub frames: Option<u64>,
    /// Colours of the pictures that [`crate::Reader`] gives.
    pub colour: Colour,
}

impl Info {
    /// 16-bit grey: depth in millimetres.
    #[must_use]
    pub fn is_metric_depth(&self) -> bool {
        self.pixel_format.starts_with("gray16")
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
    Ok(Decoder::open(path)?.info().clone())
}
