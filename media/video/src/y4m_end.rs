//! Does a y4m file end where a picture ends? FFmpeg's reader takes a picture that is cut off for the end of the file.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

/// Longest header line that FFmpeg reads, with room to spare.
const LONGEST_LINE: u64 = 1024;

/// Bytes of a picture that is there in part. `after` is where the last whole picture ends, `None` if there is none. A pipe,
/// whose length nobody knows, has no such picture.
pub(crate) fn partial_picture(path: &Path, after: Option<u64>) -> std::io::Result<Option<u64>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(None);
    }
    let mut input = BufReader::new(file);
    let end = match after {
        Some(end) => end,
        None => line_length(&mut input)?,
    };
    if end >= meta.len() {
        return Ok(None);
    }
    input.seek(SeekFrom::Start(end))?;
    let frame_line = line_length(&mut input)?;
    Ok(Some(meta.len() - end - frame_line))
}

/// Bytes up to the next line feed, itself included.
fn line_length(input: &mut impl BufRead) -> std::io::Result<u64> {
    let mut line = Vec::new();
    let n = std::io::Read::take(input, LONGEST_LINE).read_until(b'\n', &mut line)?;
    Ok(n as u64)
}
