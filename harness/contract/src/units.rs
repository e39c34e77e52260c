//! `rendered.<stream>.units`: exactly what a receiver's decoder was fed, in order, so that scoring can decode it
//! again and get the same pictures.
//!
//! A codec's decoder gives equal pictures for equal units, so storing the units is lossless, costs no time and
//! three orders of magnitude less space than pictures.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `FFUNITS1` |
//! | u32 | length of the header, little-endian |
//! | header | JSON [`UnitsHeader`] |
//! | then, per unit: u32, u32, bytes | captured frame id, length, the unit |

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Name of a stream's units file in a run directory.
#[must_use]
pub fn file_name(stream: crate::Stream) -> &'static str {
    match stream {
        crate::Stream::Rgb => "rendered.rgb.units",
        crate::Stream::Depth => "rendered.depth.units",
    }
}

const MAGIC: &[u8; 8] = b"FFUNITS1";
/// No unit and no header is longer; a larger length in a file means the file is damaged.
const MAX_LENGTH: u32 = 64 << 20;

/// How the units of a file are to be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitsHeader {
    /// Decoder: `h264`, `h265`, `vp8`, `vp9`, or a neural codec's name.
    pub codec: String,
    /// Columns of the pictures.
    pub width: u32,
    /// Rows of the pictures.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

/// What can be wrong with a units file.
#[derive(Debug, thiserror::Error)]
pub enum UnitsError {
    /// The operating system refused.
    #[error("failed to {doing} {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Its own words.
        source: io::Error,
    },
    /// Not such a file, or damaged.
    #[error("{path} is not a valid units file: {reason} (byte {offset}); run the system again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
}

/// Writes a units file, one unit at a time.
pub struct UnitsWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl UnitsWriter {
    /// Creates `path` (replacing it).
    pub fn create(path: &Path, header: &UnitsHeader) -> Result<Self, UnitsError> {
        let io = |source| UnitsError::Io { path: path.to_owned(), doing: "create", source };
        Self::new(path, BufWriter::new(File::create(path).map_err(io)?), header)
    }

    /// Writes into an open file; `path` is for messages.
    pub fn new(path: &Path, mut out: BufWriter<File>, header: &UnitsHeader) -> Result<Self, UnitsError> {
        let io = |source| UnitsError::Io { path: path.to_owned(), doing: "write", source };
        let header = serde_json::to_vec(header).expect("a plain struct is JSON");
        out.write_all(MAGIC).map_err(io)?;
        out.write_all(&(header.len() as u32).to_le_bytes()).map_err(io)?;
        out.write_all(&header).map_err(io)?;
        Ok(Self { path: path.to_owned(), out })
    }

    /// Appends the unit of captured frame `frame`.
    pub fn append(&mut self, frame: u32, unit: &[u8]) -> Result<(), UnitsError> {
        let mut write = || {
            self.out.write_all(&frame.to_le_bytes())?;
            self.out.write_all(&(unit.len() as u32).to_le_bytes())?;
            self.out.write_all(unit)
        };
        write().map_err(|source| UnitsError::Io { path: self.path.clone(), doing: "write", source })
    }

    /// Everything on its way to the disk.
    pub fn finish(mut self) -> Result<(), UnitsError> {
        self.out.flush().map_err(|source| UnitsError::Io { path: self.path.clone(), doing: "write", source })
    }
}

/// Reads a units file, one unit at a time.
pub struct UnitsReader {
    path: PathBuf,
    input: BufReader<File>,
    header: UnitsHeader,
    offset: u64,
}

impl UnitsReader {
    /// Opens `path` and reads its header.
    pub fn open(path: &Path) -> Result<Self, UnitsError> {
        let file = File::open(path).map_err(|source| UnitsError::Io {
            path: path.to_owned(),
            doing: "open",
            source,
        })?;
        Self::new(path, BufReader::new(file))
    }

    /// Reads from an open file; `path` is for messages.
    pub fn new(path: &Path, input: BufReader<File>) -> Result<Self, UnitsError> {
        let header = UnitsHeader { codec: String::new(), width: 0, height: 0, fps: 0 };
        let mut reader = Self { path: path.to_owned(), input, header, offset: 0 };
        let mut magic = [0; 8];
        reader.fill(&mut magic, "the file ends inside its magic")?;
        if &magic != MAGIC {
            return Err(reader.damaged("it does not begin with FFUNITS1"));
        }
        let length = reader.length()?;
        let mut json = vec![0; length as usize];
        reader.fill(&mut json, "the file ends inside its header")?;
        reader.header = serde_json::from_slice(&json).map_err(|e| reader.damaged(&format!("header: {e}")))?;
        Ok(reader)
    }

    /// How the units are to be decoded.
    #[must_use]
    pub fn header(&self) -> &UnitsHeader {
        &self.header
    }

    /// The next unit with the captured frame it belongs to; `None` at the end of the file.
    pub fn read(&mut self) -> Result<Option<(u32, Vec<u8>)>, UnitsError> {
        let mut id = [0; 4];
        match self.input.read(&mut id[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => self.offset += 1,
            Err(source) => {
                return Err(UnitsError::Io { path: self.path.clone(), doing: "read", source });
            }
        }
        self.fill(&mut id[1..], "the file ends inside a unit")?;
        let length = self.length()?;
        let mut unit = vec![0; length as usize];
        self.fill(&mut unit, "the file ends inside a unit")?;
        Ok(Some((u32::from_le_bytes(id), unit)))
    }

    fn length(&mut self) -> Result<u32, UnitsError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes, "the file ends inside a length")?;
        let length = u32::from_le_bytes(bytes);
        if length > MAX_LENGTH {
            return Err(self.damaged(&format!("a length of {length} bytes")));
        }
        Ok(length)
    }

    fn fill(&mut self, into: &mut [u8], reason: &str) -> Result<(), UnitsError> {
        match self.input.read_exact(into) {
            Ok(()) => {
                self.offset += into.len() as u64;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged(reason)),
            Err(source) => Err(UnitsError::Io { path: self.path.clone(), doing: "read", source }),
        }
    }

    fn damaged(&self, reason: &str) -> UnitsError {
        UnitsError::Damaged { path: self.path.clone(), offset: self.offset, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> UnitsHeader {
        UnitsHeader { codec: "h264".into(), width: 512, height: 512, fps: 30 }
    }

    proptest! {
        #[test]
        fn what_was_written_comes_back(units in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.units");
            let mut writer = UnitsWriter::create(&path, &header()).unwrap();
            for (frame, unit) in &units {
                writer.append(*frame, unit).unwrap();
            }
            writer.finish().unwrap();
            let mut reader = UnitsReader::open(&path).unwrap();
            prop_assert_eq!(reader.header(), &header());
            let mut back = Vec::new();
            while let Some(unit) = reader.read().unwrap() {
                back.push(unit);
            }
            prop_assert_eq!(back, units);
        }

        #[test]
        fn a_damaged_file_is_an_error_and_never_a_panic(cut in 0_usize..400, flip in 0_usize..400, with in any::<u8>()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.units");
            let mut writer = UnitsWriter::create(&path, &header()).unwrap();
            writer.append(7, &[1; 300]).unwrap();
            writer.finish().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let at = flip % bytes.len();
            bytes[at] ^= with;
            bytes.truncate(cut);
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(mut reader) = UnitsReader::open(&path) {
                while let Ok(Some(_)) = reader.read() {}
            }
        }
    }
}
