//! Stored bitstreams: whatever the encoder of the day does, decoding these gives these pictures.

use super::Explained;
use super::text::{Shape, lines_diff};
use crate::unit_decoder::UnitDecoder;
use anyhow::{Context as _, Result};
use contract::units::{UnitsHeader, UnitsReader};
use std::fmt::Write as _;
use std::path::Path;

/// Name of the stored stream in its folder (a units file).
pub const STREAM: &str = "stream.units";
/// Name of the list of hashes beside it.
pub const PICTURES: &str = "pictures.txt";

/// One line per unit: frame and content hash of the picture that it gave.
///
/// # Errors
/// A file that is no units file, a codec without a decoder here.
pub fn hashes(path: &Path) -> Result<String> {
    let mut reader = UnitsReader::open(path)?;
    let mut decoder = decoder(reader.header())?;
    let mut text = format!("# {}: frame, content hash of the decoded picture\n", reader.header().codec);
    while let Some((frame, unit)) = reader.read()? {
        let picture =
            decoder.decode(&unit).map_or("none".to_owned(), |p| format!("{:032x}", p.content_hash()));
        let _ = writeln!(text, "{frame} {picture}");
    }
    Ok(text)
}

/// The pinned decoder of a units file.
pub(super) fn decoder(header: &UnitsHeader) -> Result<UnitDecoder> {
    UnitDecoder::open(header)?.with_context(|| format!("no decoder for {:?} here", header.codec))
}

/// Says how two lists differ.
pub(super) fn explain(kept: &str, now: &str) -> Option<Explained> {
    let same_frames = Shape {
        what: "the stored stream decodes to other pixels: the decoder changed, or the stored bytes did",
        strip: &[1],
    };
    lines_diff(kept, now, &[same_frames])
}
