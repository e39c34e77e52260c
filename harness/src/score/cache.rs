//! What was computed once is never computed again: small append-only files, safe for many processes at once.
//!
//! A record is one line with its own checksum, and lines are appended in one write each batch, so that concurrent
//! writers do not mix and a line cut off by a kill or a full disk is passed over instead of believed.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Raise it when a metric, a decoder or the meaning of a key changes: old entries are then out of sight.
const VERSION: u32 = 2;

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
            let context = xxh3_128(format!("{VERSION} {} {context}", env!("CARGO_PKG_VERSION")).as_bytes());
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

    /// Appends what is new to the file. A cache that cannot be written costs time, not correctness: failures are passed over.
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

/// A file in the cache, whole or not at all.
pub fn store(path: &Path, bytes: &[u8]) {
    let partial = path.with_extension(format!("{}.part", std::process::id()));
    let _ = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&partial, bytes))
        .and_then(|()| std::fs::rename(&partial, path));
}

/// Where the cache is: `$FREEZEFRAME_CACHE`, or `freezeframe` in the user's cache folder.
#[must_use]
pub fn user_cache() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    named("FREEZEFRAME_CACHE")
        .or_else(|| named("XDG_CACHE_HOME").map(|p| p.join("freezeframe")))
        .or_else(|| named("HOME").map(|p| p.join(".cache/freezeframe")))
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
