//! What was computed once is never computed again: small append-only files, safe for many processes at once.
//!
//! A record is one line with its own checksum, and lines are appended in one write each batch, so that concurrent
//! writers do not mix and a line cut off by a kill or a full disk is ignored instead of believed.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Hash of everything that decides a value besides its key: the sources that read, decode and compare pictures, and the libraries
/// that are loaded. Entries of other code are out of sight.
#[must_use]
pub fn code() -> &'static str {
    static CODE: OnceLock<String> = OnceLock::new();
    CODE.get_or_init(|| {
        let text =
            format!("{} {:?}", env!("FREEZEFRAME_SCORING_SOURCES"), crate::launch::identity::libraries());
        format!("{:032x}", xxh3_128(text.as_bytes()))
    })
}

/// One append-only table from a key to a text. Without a directory it only remembers for this process.
#[derive(Debug)]
pub struct Table {
    path: Option<PathBuf>,
    known: HashMap<u128, String>,
    fresh: Vec<u8>,
}

impl Table {
    /// The table `kind` of a `context` (everything besides the key that a value depends on) in the cache folder `dir`. A
    /// file that cannot be read is an empty table.
    #[must_use]
    pub fn open(dir: Option<&Path>, kind: &str, context: &str) -> Self {
        let path = dir.map(|dir| {
            let context = xxh3_128(format!("{} {context}", code()).as_bytes());
            dir.join(kind).join(format!("{context:032x}.log"))
        });
        let mut known = HashMap::new();
        if let Some(file) = path.as_ref().and_then(|p| std::fs::File::open(p).ok()) {
            for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
                if let Some((key, value)) = std::str::from_utf8(&line).ok().and_then(parse) {
                    known.insert(key, value);
                }
            }
        }
        Self { path, known, fresh: Vec::new() }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: u128) -> Option<&str> {
        self.known.get(&key).map(String::as_str)
    }

    /// Remembers a value; written with the next [`save`](Self::save).
    pub fn put(&mut self, key: u128, value: String) {
        debug_assert!(!value.contains('\n'), "a record is one line");
        let record = format!("{key:032x} {value}");
        let _ = writeln!(self.fresh, "{record} {:016x}", xxh3_64(record.as_bytes()));
        self.known.insert(key, value);
    }

    /// Appends what is new to the file. A cache that cannot be written costs time, not correctness: failures are ignored.
    pub fn save(&mut self) {
        if let Some(path) = &self.path
            && !self.fresh.is_empty()
        {
            // A line feed first ends whatever a killed writer left unfinished.
            let mut batch = vec![b'\n'];
            batch.append(&mut self.fresh);
            let _ = path
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| OpenOptions::new().create(true).append(true).open(path))
                .and_then(|mut file| file.write_all(&batch));
        }
        self.fresh.clear();
    }
}

fn parse(line: &str) -> Option<(u128, String)> {
    let (record, check) = line.rsplit_once(' ')?;
    if u64::from_str_radix(check, 16).ok()? != xxh3_64(record.as_bytes()) {
        return None;
    }
    let (key, value) = record.split_once(' ')?;
    Some((u128::from_str_radix(key, 16).ok()?, value.to_owned()))
}

/// Puts a file into the cache, whole or not at all, with its hash at the end.
pub fn store(path: &Path, bytes: &[u8]) {
    let partial = path.with_extension(format!("{}.part", std::process::id()));
    let whole = [bytes, &xxh3_128(bytes).to_le_bytes()].concat();
    let _ = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&partial, whole))
        .and_then(|()| std::fs::rename(&partial, path));
}

/// What [`store`] put there; `None` if it is not there or damaged.
#[must_use]
pub fn recall(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let hash = bytes.split_off(bytes.len().checked_sub(16)?);
    (hash == xxh3_128(&bytes).to_le_bytes()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outlive_the_process_and_contexts_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::open(Some(dir.path()), "scores", "a");
        table.put(7, "psnr 1".into());
        table.put(u128::MAX, "x y z".into());
        table.save();
        let again = Table::open(Some(dir.path()), "scores", "a");
        assert_eq!((again.get(7), again.get(u128::MAX), again.get(8)), (Some("psnr 1"), Some("x y z"), None));
        assert_eq!(Table::open(Some(dir.path()), "scores", "b").get(7), None);
    }

    #[test]
    fn a_line_cut_off_or_changed_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::open(Some(dir.path()), "scores", "a");
        table.put(1, "one".into());
        table.save();
        let path = table.path.clone().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let cut = bytes.len() - 3;
        bytes.truncate(cut);
        std::fs::write(&path, &bytes).unwrap();
        let mut table = Table::open(Some(dir.path()), "scores", "a");
        assert_eq!(table.get(1), None);
        // And the next writer is not harmed by the torn line.
        table.put(2, "two".into());
        table.save();
        let table = Table::open(Some(dir.path()), "scores", "a");
        assert_eq!((table.get(1), table.get(2)), (None, Some("two")));
    }

    /// A table may lose an entry to a damaged byte; it never gives a wrong value.
    #[test]
    fn damage_anywhere_changes_no_value() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::open(Some(dir.path()), "scores", "a");
        let values = [(1, "psnr=4043d851eb851eb8"), (2, "ssim=3fee"), (u128::MAX, "x")];
        values.iter().for_each(|(key, value)| table.put(*key, (*value).to_owned()));
        table.save();
        let path = table.path.clone().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                std::fs::write(&path, damaged).unwrap();
                let table = Table::open(Some(dir.path()), "scores", "a");
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
    fn a_damaged_file_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("strips/a.jpg");
        assert_eq!(recall(&path), None);
        store(&path, b"picture");
        assert_eq!(recall(&path).as_deref(), Some(&b"picture"[..]));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(recall(&path), None, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(recall(&path), None, "cut at {at}");
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
                        let mut table = Table::open(Some(dir), "scores", "a");
                        for i in 0..50 {
                            table.put(writer * 1000 + batch * 50 + i, format!("{writer}"));
                        }
                        table.save();
                    }
                });
            }
        });
        let table = Table::open(Some(dir.path()), "scores", "a");
        assert_eq!(table.known.len(), 8 * 500);
    }

    #[test]
    fn without_a_folder_it_remembers_for_itself() {
        let mut table = Table::open(None, "scores", "a");
        table.put(1, "one".into());
        table.save();
        assert_eq!(table.get(1), Some("one"));
    }
}
