//! Units that are made once and kept in the cache.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `FFKEPT01` |
//! | 16 | XXH3 (128 bit, little-endian) of all that follows |
//! | rest | a units file |
//!
//! What does not match its hash (a bit flipped on the disk, a file cut short) is made again.

use anyhow::{Context, Result};
use contract::lock::Lock;
use contract::units::{UnitsHeader, UnitsReader, UnitsWriter};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

const MAGIC: &[u8; 8] = b"FFKEPT01";
/// Bytes before the units.
const HEAD: usize = 24;

/// The units at `path`, made now by `make` if they are not there or damaged. One maker at a time, between processes too: whoever
/// waited reads what the other made.
///
/// # Errors
/// When the lock, the file or `make` fails; nothing is left behind then.
pub fn units(
    path: &Path,
    header: &UnitsHeader,
    make: impl FnOnce(&mut UnitsWriter) -> Result<()>,
) -> Result<UnitsReader> {
    if let Some(whole) = open_whole(path) {
        return Ok(whole);
    }
    let lock = path.with_extension("lock");
    let _held = Lock::take(&lock, &|| false)
        .with_context(|| format!("failed to lock the cache with {}", lock.display()))?;
    if let Some(whole) = open_whole(path) {
        return Ok(whole);
    }
    write_whole(path, header, make)?;
    open_whole(path)
        .with_context(|| format!("{} is damaged right after it was written; check the disk", path.display()))
}

/// Units that are whole; `None` for a file that is not there, cannot be read, or is not what was written.
fn open_whole(path: &Path) -> Option<UnitsReader> {
    let mut file = File::open(path).ok()?;
    let mut head = [0; HEAD];
    file.read_exact(&mut head).ok()?;
    if &head[..8] != MAGIC || head[8..] != hash_of_rest(&mut file).ok()? {
        return None;
    }
    file.seek(SeekFrom::Start(HEAD as u64)).ok()?;
    UnitsReader::new(path, BufReader::new(file)).ok()
}

fn hash_of_rest(file: &mut File) -> io::Result<[u8; 16]> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hash.digest128().to_le_bytes());
        }
        hash.update(&buffer[..n]);
    }
}

/// Whole or not at all: this process may be killed midway. Whoever holds the lock next writes over what is left then.
fn write_whole(
    path: &Path,
    header: &UnitsHeader,
    make: impl FnOnce(&mut UnitsWriter) -> Result<()>,
) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let made = (|| -> Result<()> {
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&temporary)?;
        file.write_all(&[0; HEAD])?;
        let mut writer = UnitsWriter::new(&temporary, BufWriter::new(file.try_clone()?), header)?;
        make(&mut writer)?;
        writer.finish()?;
        file.seek(SeekFrom::Start(HEAD as u64))?;
        let hash = hash_of_rest(&mut file)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[&MAGIC[..], &hash].concat())?;
        Ok(fs::rename(&temporary, path)?)
    })();
    if made.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    made.with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::units::Entry;
    use std::cell::Cell;

    /// Every single damaged byte, and every cut, is noticed: the units come out as they were made, made again each time.
    #[test]
    fn damage_anywhere_is_noticed_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.units");
        let header = UnitsHeader::new("h264", (16, 16, 30));
        let made = Cell::new(0);
        let units: Vec<Entry> = (0..3).map(|i| Entry::whole(i, i == 0, 30, vec![i as u8; 20])).collect();
        let get = || {
            let mut reader = super::units(&path, &header, |writer| {
                made.set(made.get() + 1);
                units.iter().try_for_each(|unit| Ok(writer.append(unit)?))
            })
            .unwrap();
            let all: Vec<_> = std::iter::from_fn(|| reader.read().unwrap()).collect();
            assert_eq!((reader.header(), &all), (&header, &units));
        };
        get();
        get();
        assert_eq!(made.get(), 1, "kept");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, damaged).unwrap();
            get();
            assert_eq!(made.get(), 2 + at, "byte {at}");
            assert_eq!(fs::read(&path).unwrap(), whole, "and it is whole again");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            get();
        }
        assert_eq!(made.get(), 1 + 2 * whole.len());
    }
}
