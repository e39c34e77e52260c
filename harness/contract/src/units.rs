//! `rendered.<stream>.units`: exactly what a receiver's decoder was fed, in order, so that scoring can decode it
//! again and get the same pictures.
//!
//! A codec's decoder gives equal pictures for equal units, so storing the units is lossless, costs no time and
//! three orders of magnitude less space than pictures.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `FFUNITS2` |
//! | u32 | length of the header, little-endian |
//! | header | JSON [`UnitsHeader`] |
//! | then, per frame: u32, u8, u8, u32, bytes | captured frame id, [flags](Entry), quantiser, length, the unit |
//!
//! Files that begin with `FFUNITS1` are read too: they have neither flags nor quantiser, and a unit for every entry. Where decoding
//! begins anew is then told by the record's events.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

const MAGIC: &[u8; 8] = b"FFUNITS2";
const FIRST_MAGIC: &[u8; 8] = b"FFUNITS1";
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
    /// What the codec was told besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Files that the codec's pictures depend on (weights), with their SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<PathBuf, String>,
    /// What stands between decoder and screen; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
}

impl UnitsHeader {
    /// A codec that needs to be told nothing, and no recovery.
    #[must_use]
    pub fn new(codec: impl Into<String>, (width, height, fps): (u32, u32, u32)) -> Self {
        let (settings, files) = (BTreeMap::new(), BTreeMap::new());
        Self { codec: codec.into(), width, height, fps, settings, files, recovery: None }
    }
}

/// What a receiver makes of lost and damaged pictures before they are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// Its name.
    pub name: String,
    /// It makes pictures of its own: a picture then depends on every entry before it, not on those of its group of pictures alone.
    pub makes_pictures: bool,
    /// What it was told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Files that its pictures depend on, with their SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<PathBuf, String>,
}

/// A frame in a units file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Captured frame.
    pub frame: u32,
    /// Flag 1: a key frame.
    pub key: bool,
    /// Flag 2: the unit is whole, bit for bit. Without it the holes are zeros.
    pub whole: bool,
    /// Flag 4: so is everything that it refers to, and that was decoded.
    pub exact: bool,
    /// What the decoder was fed; flag 8: absent, the frame came to the recovery alone.
    pub unit: Option<Vec<u8>>,
    /// Quantiser that the sender announced.
    pub qp: u8,
}

impl Entry {
    /// A whole frame of an undamaged stream.
    #[must_use]
    pub fn whole(frame: u32, key: bool, qp: u8, unit: Vec<u8>) -> Self {
        Self { frame, key, whole: true, exact: true, unit: Some(unit), qp }
    }

    fn flags(&self) -> u8 {
        [self.key, self.whole, self.exact, self.unit.is_none()]
            .into_iter()
            .enumerate()
            .map(|(bit, set)| u8::from(set) << bit)
            .sum()
    }
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

    /// Appends a frame.
    pub fn append(&mut self, entry: &Entry) -> Result<(), UnitsError> {
        let unit = entry.unit.as_deref().unwrap_or_default();
        let mut write = || {
            self.out.write_all(&entry.frame.to_le_bytes())?;
            self.out.write_all(&[entry.flags(), entry.qp])?;
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
    /// Entries have flags and a quantiser.
    flagged: bool,
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
        let header = UnitsHeader::new("", (0, 0, 0));
        let mut reader = Self { path: path.to_owned(), input, header, flagged: true, offset: 0 };
        let mut magic = [0; 8];
        reader.fill(&mut magic, "the file ends inside its magic")?;
        reader.flagged = &magic == MAGIC;
        if !reader.flagged && &magic != FIRST_MAGIC {
            return Err(reader.damaged("it begins with neither FFUNITS2 nor FFUNITS1"));
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

    /// False for a file of the first form: of its entries only frame and unit mean something.
    #[must_use]
    pub fn has_flags(&self) -> bool {
        self.flagged
    }

    /// The next frame; `None` at the end of the file.
    pub fn read(&mut self) -> Result<Option<Entry>, UnitsError> {
        let mut id = [0; 4];
        match self.input.read(&mut id[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => self.offset += 1,
            Err(source) => {
                return Err(UnitsError::Io { path: self.path.clone(), doing: "read", source });
            }
        }
        self.fill(&mut id[1..], "the file ends inside a unit")?;
        let mut marks = [0; 2];
        if self.flagged {
            self.fill(&mut marks, "the file ends inside a unit")?;
        }
        let [flags, qp] = marks;
        if flags > 0b1111 {
            return Err(self.damaged(&format!("flags {flags:#x}, of which this version knows 0xf")));
        }
        let length = self.length()?;
        let mut unit = vec![0; length as usize];
        self.fill(&mut unit, "the file ends inside a unit")?;
        let has = |bit: u8| flags >> bit & 1 == 1;
        if has(3) && length > 0 {
            return Err(self.damaged("a frame without a unit has bytes"));
        }
        Ok(Some(Entry {
            frame: u32::from_le_bytes(id),
            key: has(0),
            whole: has(1),
            exact: has(2),
            unit: (!has(3)).then_some(unit),
            qp,
        }))
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
        let mut header = UnitsHeader::new("h264", (512, 512, 30));
        header.recovery = Some(Recovery {
            name: "hold".into(),
            makes_pictures: false,
            settings: BTreeMap::from([("a".into(), "b".into())]),
            files: BTreeMap::from([("w.safetensors".into(), "00".into())]),
        });
        header
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let unit = prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
        (any::<(u32, bool, bool, bool, u8)>(), unit)
            .prop_map(|((frame, key, whole, exact, qp), unit)| Entry { frame, key, whole, exact, unit, qp })
    }

    /// The bytes of the first form, as other programs write them.
    #[test]
    fn the_first_form_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.units");
        let json = br#"{"codec":"vp8","width":64,"height":48,"fps":25}"#;
        let mut bytes = b"FFUNITS1".to_vec();
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend(json);
        for (frame, unit) in [(0u32, &b"abc"[..]), (7, b"")] {
            bytes.extend(frame.to_le_bytes());
            bytes.extend((unit.len() as u32).to_le_bytes());
            bytes.extend(unit);
        }
        std::fs::write(&path, bytes).unwrap();
        let mut reader = UnitsReader::open(&path).unwrap();
        assert_eq!(reader.header(), &UnitsHeader::new("vp8", (64, 48, 25)));
        let first = Entry { frame: 0, unit: Some(b"abc".to_vec()), ..Entry::default() };
        assert_eq!(reader.read().unwrap(), Some(first));
        assert_eq!(reader.read().unwrap().map(|e| (e.frame, e.unit)), Some((7, Some(Vec::new()))));
        assert_eq!(reader.read().unwrap(), None);
    }

    proptest! {
        #[test]
        fn what_was_written_comes_back(units in prop::collection::vec(entry(), 0..20)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.units");
            let mut writer = UnitsWriter::create(&path, &header()).unwrap();
            for unit in &units {
                writer.append(unit).unwrap();
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
            writer.append(&Entry::whole(7, true, 30, vec![1; 300])).unwrap();
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
