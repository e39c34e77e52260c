//! Encoded frames that are kept for later runs, by the history that led to them ([`crate::history`]); any number of processes share a file.
//!
//! A file is a row of records, each appended in one write:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `FFU1` |
//! | 8 | XXH3 (64 bit, little-endian; seed: the file's name, [`contract::digest::name_seed`]) of all that follows in the record |
//! | 16 | the history, little-endian |
//! | 1 | 1: a key frame |
//! | 1 | quantiser |
//! | u32 | length of the unit, little-endian |
//! | rest | the unit |
//!
//! What does not match its hash (a writer that was killed, a bit flipped on the disk) is skipped: it is encoded again.
//! Units stay in the file; memory holds where they are.

use codecs::Unit;
use contract::digest::name_seed;
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const MAGIC: &[u8; 4] = b"FFU1";
/// Bytes before the unit.
const HEAD: usize = 34;
/// No unit is longer; a larger length is damage.
const LONGEST: usize = 64 << 20;

/// A file of units.
pub struct Store {
    path: PathBuf,
    /// Of the records' hashes.
    seed: u64,
    places: HashMap<u128, Place>,
    file: Option<File>,
    /// All before has been looked at.
    read_to: u64,
    /// Where the file ended when it was last looked at or written.
    end: u64,
}

/// Where a unit is.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    length: u32,
    key: bool,
}

/// A store that several lanes of this process may use.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Store>>);

impl Shared {
    /// The store in this file, with all that is in it now. A process that does many runs reads each record once.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        static OPEN: Mutex<BTreeMap<PathBuf, Shared>> = Mutex::new(BTreeMap::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Self(Arc::new(Mutex::new(Store::new(path.to_owned()))));
        let store = open.entry(path.to_owned()).or_insert_with(new).clone();
        drop(open);
        store.lock().refresh();
        store
    }

    /// For this thread alone.
    pub fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn new(path: PathBuf) -> Self {
        Self { seed: name_seed(&path), path, places: HashMap::new(), file: None, read_to: 0, end: 0 }
    }

    /// Takes in what others have written since.
    pub fn refresh(&mut self) {
        let length = std::fs::metadata(&self.path).map_or(0, |m| m.len());
        if length < self.end {
            // Somebody emptied the cache.
            *self = Self::new(std::mem::take(&mut self.path));
        }
        self.end = length;
        if length <= self.read_to {
            return;
        }
        if self.file.is_none() {
            let open = |append: bool| OpenOptions::new().read(true).append(append).open(&self.path);
            self.file = open(true).or_else(|_| open(false)).ok();
        }
        let Some(file) = &self.file else { return };
        let mut input = BufReader::with_capacity(1 << 18, At { file, at: self.read_to });
        let mut record = Vec::new();
        let mut at = self.read_to;
        while at + HEAD as u64 <= length {
            match read(&mut input, length - at, &mut record, self.seed) {
                Err(_) => break,
                Ok(Some(unit)) => {
                    let history = u128::from_le_bytes(record[12..28].try_into().expect("sixteen bytes"));
                    self.places.insert(history, Place { at, length: unit, key: record[28] & 1 == 1 });
                    at += HEAD as u64 + u64::from(unit);
                    // What may still be being written is looked at again.
                    self.read_to = at;
                }
                // Damage: on to what looks like the next record.
                Ok(None) => {
                    input = BufReader::with_capacity(1 << 18, At { file, at: at + 1 });
                    let Some(next) = next_magic(&mut input, at + 1) else { break };
                    at = next;
                    input = BufReader::with_capacity(1 << 18, At { file, at });
                }
            }
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Whether the unit that this history leads to is a key frame; `None`: not known.
    #[must_use]
    pub fn is_key(&self, history: u128) -> Option<bool> {
        self.places.get(&history).map(|place| place.key)
    }

    /// The unit that this history leads to.
    #[must_use]
    pub fn get(&self, history: u128) -> Option<Unit> {
        let place = self.places.get(&history)?;
        let mut record = vec![0; HEAD + place.length as usize];
        self.file.as_ref()?.read_exact_at(&mut record, place.at).ok()?;
        if !is_whole(&record, self.seed) || record[12..28] != history.to_le_bytes() {
            return None;
        }
        let (key, qp) = (record[28] & 1 == 1, record[29]);
        record.drain(..HEAD);
        Some(Unit { bytes: record, key, qp })
    }

    /// Keeps a unit. A cache that cannot be written costs time, not correctness: failures are ignored.
    pub fn put(&mut self, history: u128, unit: &Unit) {
        let mut record = vec![0; HEAD];
        record[..4].copy_from_slice(MAGIC);
        record[12..28].copy_from_slice(&history.to_le_bytes());
        (record[28], record[29]) = (unit.key.into(), unit.qp);
        let Some(length) = u32::try_from(unit.bytes.len()).ok().filter(|&l| l as usize <= LONGEST) else {
            return;
        };
        record[30..34].copy_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&unit.bytes);
        let hash = xxh3_64_with_seed(&record[12..], self.seed);
        record[4..12].copy_from_slice(&hash.to_le_bytes());
        if self.file.is_none() {
            let made = self.path.parent().map_or(Ok(()), std::fs::create_dir_all);
            let open = |()| OpenOptions::new().create(true).read(true).append(true).open(&self.path);
            self.file = made.and_then(open).ok();
        }
        let Some(file) = &mut self.file else { return };
        if file.write_all(&record).is_ok()
            && let Ok(end) = file.stream_position()
        {
            // In a file that is appended to, the position after a write is that behind it, whoever wrote meanwhile.
            let at = end.saturating_sub(record.len() as u64);
            self.places.insert(history, Place { at, length, key: unit.key });
            self.end = self.end.max(end);
        }
    }
}

/// A file from a place on, without moving the position that others write at.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read_at(into, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Where the next record may begin, at `from` or later; `input` reads from there.
fn next_magic(input: &mut impl BufRead, from: u64) -> Option<u64> {
    let mut last = [0; 4];
    for (n, byte) in input.bytes().enumerate() {
        last.rotate_left(1);
        last[3] = byte.ok()?;
        if n >= 3 && &last == MAGIC {
            return Some(from + n as u64 - 3);
        }
    }
    None
}

/// Reads a record into `record`; `None` for what is none. At most `left` bytes are there.
fn read(input: &mut impl Read, left: u64, record: &mut Vec<u8>, seed: u64) -> std::io::Result<Option<u32>> {
    record.resize(HEAD, 0);
    input.read_exact(record)?;
    let length = u32::from_le_bytes(record[30..34].try_into().expect("four bytes"));
    if &record[..4] != MAGIC || length as usize > LONGEST || HEAD as u64 + u64::from(length) > left {
        return Ok(None);
    }
    record.resize(HEAD + length as usize, 0);
    input.read_exact(&mut record[HEAD..])?;
    Ok(is_whole(record, seed).then_some(length))
}

fn is_whole(record: &[u8], seed: u64) -> bool {
    record[..4] == MAGIC[..] && record[4..12] == xxh3_64_with_seed(&record[12..], seed).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(n: u8) -> Vec<(u128, Unit)> {
        let unit = |i: u8| Unit { bytes: vec![i; 5 + usize::from(i)], key: i.is_multiple_of(3), qp: 30 + i };
        (0..n).map(|i| (u128::from(i) << 100 | 7, unit(i))).collect()
    }

    /// Two stores of one file, as two processes have them.
    #[test]
    fn what_one_keeps_the_other_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encoded/a.units");
        let (mut one, mut other) = (Store::new(path.clone()), Store::new(path.clone()));
        for (at, (history, unit)) in units(20).iter().enumerate() {
            let (writer, reader) = if at % 2 == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
            assert_eq!(reader.get(*history), None);
            writer.put(*history, unit);
            assert_eq!(writer.get(*history).as_ref(), Some(unit));
            reader.refresh();
            assert_eq!(
                (reader.get(*history).as_ref(), reader.is_key(*history)),
                (Some(unit), Some(unit.key))
            );
        }
        // The cache is emptied under it.
        std::fs::remove_file(&path).unwrap();
        one.refresh();
        assert_eq!(one.get(units(1)[0].0), None);
        one.put(units(1)[0].0, &units(1)[0].1);
        assert_eq!(one.get(units(1)[0].0).as_ref(), Some(&units(1)[0].1));
    }

    /// Files of a cache that were exchanged: histories are the same, the clips are not.
    #[test]
    fn units_of_another_file_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.units", "b.units"].map(|name| folder.path().join(name));
        let all = units(3);
        let mut store = Store::new(a.clone());
        all.iter().for_each(|(history, unit)| store.put(*history, unit));
        std::fs::copy(&a, &b).unwrap();
        let mut store = Store::new(b.clone());
        store.refresh();
        assert!(all.iter().all(|(history, _)| store.get(*history).is_none()));
        // And what belongs there is found behind it.
        store.put(all[1].0, &all[1].1);
        let mut store = Store::new(b);
        store.refresh();
        assert_eq!(store.get(all[1].0).as_ref(), Some(&all[1].1));
    }

    /// Whatever byte is damaged and wherever the file is cut: no wrong unit, at most one record is lost, and what is put afterwards is found.
    #[test]
    fn damage_loses_a_record_and_changes_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.units");
        let all = units(6);
        let mut store = Store::new(path.clone());
        all.iter().for_each(|(history, unit)| store.put(*history, unit));
        let whole = std::fs::read(&path).unwrap();
        let last = (u128::MAX, Unit { bytes: b"FFU1FFU1".to_vec(), key: true, qp: 1 });
        let check = |bytes: &[u8], may_lack: usize, what: &str| {
            std::fs::write(&path, bytes).unwrap();
            let mut store = Store::new(path.clone());
            store.refresh();
            store.put(last.0, &last.1);
            assert_eq!(store.get(last.0).as_ref(), Some(&last.1), "{what}");
            let mut lacking = 0;
            for (history, unit) in &all {
                match store.get(*history) {
                    Some(found) => assert_eq!(&found, unit, "{what}"),
                    None => lacking += 1,
                }
            }
            assert!(lacking <= may_lack, "{what}: {lacking} lost");
        };
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            check(&damaged, 1, &format!("byte {at}"));
        }
        let mut end = 0;
        for (n, (_, unit)) in all.iter().enumerate() {
            for cut in end..end + HEAD + unit.bytes.len() {
                check(&whole[..cut], all.len() - n, &format!("cut at {cut}"));
            }
            end += HEAD + unit.bytes.len();
        }
    }
}
