//! What was computed once is never computed again: a small append-only file from a key to a text, safe for many processes at once.
//!
//! A record is one line with its own checksum, and each is appended in one write, so that concurrent writers do not mix and a line
//! cut off by a kill or a full disk is ignored instead of believed.

use crate::digest::name_seed;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A table. Without a file it only remembers for this process.
#[derive(Debug)]
pub struct Table {
    path: Option<PathBuf>,
    /// Of the lines' checksums.
    seed: u64,
    known: HashMap<u128, String>,
    reader: Option<File>,
    /// What has been read of a line that is not complete yet.
    begun: Vec<u8>,
    writer: Option<File>,
}

impl Table {
    /// The table in the file `path`. A file that cannot be read is an empty table.
    #[must_use]
    pub fn open(path: Option<PathBuf>) -> Self {
        let seed = path.as_deref().map_or(0, name_seed);
        let mut table =
            Self { path, seed, known: HashMap::new(), reader: None, begun: Vec::new(), writer: None };
        table.refresh();
        table
    }

    /// Takes in what others have written since.
    pub fn refresh(&mut self) {
        if self.reader.is_none() {
            self.reader = self.path.as_ref().and_then(|p| File::open(p).ok());
        }
        let Some(reader) = &mut self.reader else { return };
        let before = self.begun.len();
        if reader.read_to_end(&mut self.begun).is_err() || self.begun.len() == before {
            return;
        }
        let Some(end) = self.begun.iter().rposition(|&b| b == b'\n') else { return };
        for line in self.begun[..end].split(|&b| b == b'\n') {
            if let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|l| parse(l, self.seed)) {
                self.known.insert(key, value);
            }
        }
        self.begun.drain(..=end);
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: u128) -> Option<&str> {
        self.known.get(&key).map(String::as_str)
    }

    /// Remembers a value, here and in the file. A cache that cannot be written costs time, not correctness: failures are ignored.
    pub fn put(&mut self, key: u128, value: String) {
        debug_assert!(!value.contains('\n'), "a record is one line");
        if let Some(path) = &self.path {
            let record = format!("{key:032x} {value}");
            // A line feed first ends whatever a killed writer left unfinished.
            let line = format!("\n{record} {:016x}\n", xxh3_64_with_seed(record.as_bytes(), self.seed));
            if self.writer.is_none() {
                let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
                self.writer =
                    made.and_then(|()| OpenOptions::new().create(true).append(true).open(path)).ok();
            }
            let _ = self.writer.as_mut().map_or(Ok(()), |file| file.write_all(line.as_bytes()));
        }
        self.known.insert(key, value);
    }
}

fn parse(line: &str, seed: u64) -> Option<(u128, String)> {
    let (record, check) = line.rsplit_once(' ')?;
    if u64::from_str_radix(check, 16).ok()? != xxh3_64_with_seed(record.as_bytes(), seed) {
        return None;
    }
    let (key, value) = record.split_once(' ')?;
    Some((u128::from_str_radix(key, 16).ok()?, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn open(dir: &Path, name: &str) -> Table {
        Table::open(Some(dir.join("tables").join(name)))
    }

    #[test]
    fn values_outlive_the_process_and_contexts_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = open(dir.path(), "a");
        table.put(7, "psnr 1".into());
        table.put(u128::MAX, "x y z".into());
        let again = open(dir.path(), "a");
        assert_eq!((again.get(7), again.get(u128::MAX), again.get(8)), (Some("psnr 1"), Some("x y z"), None));
        assert_eq!(open(dir.path(), "b").get(7), None);
        // A file under another one's name is not believed.
        std::fs::copy(dir.path().join("tables/a"), dir.path().join("tables/b")).unwrap();
        assert_eq!(open(dir.path(), "b").get(7), None);
    }

    #[test]
    fn what_another_writes_is_seen_once_its_line_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let open = || open(dir.path(), "a");
        let (mut writer, mut reader) = (open(), open());
        writer.put(1, "one".into());
        assert_eq!(reader.get(1), None);
        reader.refresh();
        assert_eq!(reader.get(1), Some("one"));
        // A line that comes in two pieces.
        writer.put(2, "two".into());
        let path = writer.path.clone().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let piece = whole.len() - 5;
        std::fs::write(&path, &whole[..piece]).unwrap();
        reader.refresh();
        assert_eq!(reader.get(2), None);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[piece..]).unwrap();
        reader.refresh();
        assert_eq!((reader.get(1), reader.get(2)), (Some("one"), Some("two")));
    }

    #[test]
    fn a_line_cut_off_or_changed_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = open(dir.path(), "a");
        table.put(1, "one".into());
        let path = table.path.clone().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let cut = bytes.len() - 3;
        bytes.truncate(cut);
        std::fs::write(&path, &bytes).unwrap();
        let mut table = open(dir.path(), "a");
        assert_eq!(table.get(1), None);
        // And the next writer is not harmed by the torn line.
        table.put(2, "two".into());
        let table = open(dir.path(), "a");
        assert_eq!((table.get(1), table.get(2)), (None, Some("two")));
    }

    /// A table may lose an entry to a damaged byte; it never gives a wrong value.
    #[test]
    fn damage_anywhere_changes_no_value() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = open(dir.path(), "a");
        let values = [(1, "psnr=4043d851eb851eb8"), (2, "ssim=3fee"), (u128::MAX, "x")];
        values.iter().for_each(|(key, value)| table.put(*key, (*value).to_owned()));
        let path = table.path.clone().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                std::fs::write(&path, damaged).unwrap();
                let table = open(dir.path(), "a");
                for (key, value) in values {
                    assert!(
                        table.get(key).is_none_or(|v| v == value),
                        "byte {at}, bit {bit}: {:?}",
                        table.get(key)
                    );
                }
                assert!(table.known.len() <= values.len(), "byte {at}, bit {bit}: a key that nobody wrote");
            }
        }
    }

    #[test]
    fn many_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8u128 {
                let dir = dir.path();
                scope.spawn(move || {
                    for batch in 0..10 {
                        let mut table = open(dir, "a");
                        for i in 0..50 {
                            table.put(writer * 1000 + batch * 50 + i, format!("{writer}"));
                        }
                    }
                });
            }
        });
        let table = open(dir.path(), "a");
        assert_eq!(table.known.len(), 8 * 500);
    }

    #[test]
    fn without_a_folder_it_remembers_for_itself() {
        let mut table = Table::open(None);
        table.put(1, "one".into());
        assert_eq!(table.get(1), Some("one"));
    }
}
