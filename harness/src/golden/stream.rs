//! Stored bitstreams: whatever the encoder of the day does, decoding these gives these pictures.

use super::Explained;
use super::text::{Shape, lines_diff};
use anyhow::Result;
use codecs::{DecoderConfig, Unit, registry};
use contract::units::UnitsReader;
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
    let header = reader.header().clone();
    let settings = header.settings;
    let config = DecoderConfig { codec: header.codec, width: header.width, height: header.height, settings };
    let mut decoder = registry::open_decoder(&config)?;
    let mut text = format!("# {}: frame, content hash of the decoded picture\n", config.codec);
    while let Some(entry) = reader.read()? {
        let unit = Unit { bytes: entry.unit.unwrap_or_default(), key: entry.key, qp: entry.qp };
        let picture = decoder.decode(entry.frame, &unit)?;
        let hash = picture.map_or("none".to_owned(), |p| format!("{:032x}", p.content_hash()));
        let _ = writeln!(text, "{} {hash}", entry.frame);
    }
    Ok(text)
}

/// Says how two lists differ.
pub(super) fn explain(kept: &str, now: &str) -> Option<Explained> {
    let same_frames = Shape {
        what: "the stored stream decodes to other pixels: the decoder changed, or the stored bytes did",
        strip: &[1],
    };
    lines_diff(kept, now, &[same_frames])
}
