//! Hashes of files, remembered in the cache folder so that a large program is read once and not once per run.
//!
//! A remembered value holds while path, inode, size, time of modification and time of change are the same. The last one is the
//! kernel's own: no program can set it. (The device is not asked: each sandbox sees the machine's files through an overlay with another
//! number, while the rest is the file's own.) A file changed a moment ago is not remembered, for it could change again within one tick.

use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128, xxh3_128_with_seed};

/// Two changes of a file within this time may carry one time stamp.
const TICK: Duration = Duration::from_secs(2);

/// Where caches are: `$FREEZEFRAME_CACHE`, or `freezeframe` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`).
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    named("FREEZEFRAME_CACHE")
        .or_else(|| named("XDG_CACHE_HOME").map(|p| p.join("freezeframe")))
        .or_else(|| named("HOME").map(|p| p.join(".cache/freezeframe")))
}

/// SHA-256 of the content of `path`, 64 hex digits; with a cache folder, read only if it has changed since the last time.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256(path: &Path, cache: Option<&Path>) -> io::Result<String> {
    remembered(path, cache, "", |file| {
        let mut hash = Sha256::new();
        pieces(file, |some| hash.update(some))?;
        Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
    })
}

/// XXH3 (128 bit) of the content of `path`; remembered as [`sha256`].
///
/// # Errors
/// When the file cannot be read.
pub fn xxh3(path: &Path, cache: Option<&Path>) -> io::Result<u128> {
    let hash = |file: &mut File| {
        let mut hash = Xxh3::new();
        pieces(file, |some| hash.update(some))?;
        Ok(format!("{:032x}", hash.digest128()))
    };
    let text = remembered(path, cache, "-xxh3", hash)?;
    u128::from_str_radix(&text, 16).map_err(io::Error::other)
}

fn pieces(file: &mut File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => take(&buffer[..n]),
        }
    }
}

fn remembered(
    path: &Path,
    cache: Option<&Path>,
    kind: &str,
    compute: impl FnOnce(&mut File) -> io::Result<String>,
) -> io::Result<String> {
    let path = path.canonicalize()?;
    let mut file = File::open(&path)?;
    let state = state(&file.metadata()?);
    let name = format!("{:032x}{kind}", xxh3_128(path.as_os_str().as_encoded_bytes()));
    let kept = cache.map(|folder| folder.join("files").join(name));
    if let Some(found) = kept.as_deref().and_then(|kept| recall(kept, &state)) {
        return Ok(found);
    }
    let hash = compute(&mut file)?;
    let after = file.metadata()?;
    if let Some(kept) = kept.filter(|_| rests(&after) && self::state(&after) == state) {
        remember(&kept, &state, &hash);
    }
    Ok(hash)
}

/// Inode, size and times of a file, if its content cannot have changed since without them: it was not changed a moment ago.
#[must_use]
pub fn at_rest(path: &Path) -> Option<String> {
    let about = std::fs::metadata(path).ok()?;
    rests(&about).then(|| state(&about))
}

fn rests(about: &Metadata) -> bool {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(about.ctime()).unwrap_or(0));
    SystemTime::now().duration_since(changed).is_ok_and(|age| age > TICK)
}

/// Of a cache's file's name and its folder's, which say what it is of: seed of the hashes in it, so that a file under another one's name (a
/// cache that was put together by hand) is believed no more than a damaged one.
#[must_use]
pub fn name_seed(path: &Path) -> u64 {
    let last = |path: Option<&Path>| path.and_then(Path::file_name).unwrap_or_default().to_owned();
    let (folder, name) = (last(path.parent()), last(Some(path)));
    xxh3_64(&[folder.as_encoded_bytes(), b"/", name.as_encoded_bytes()].concat())
}

/// Puts a file into the cache, whole or not at all, with the hash of content and name at the end. What cannot be kept is made again.
pub fn write_checked(path: &Path, bytes: &[u8]) {
    let whole = [bytes, &xxh3_128_with_seed(bytes, name_seed(path)).to_le_bytes()].concat();
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let _ = made.and_then(|()| crate::write_whole(path, &whole));
}

/// What [`write_checked`] put there; `None` if it is not there, damaged, or was put elsewhere.
#[must_use]
pub fn read_checked(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let hash = bytes.split_off(bytes.len().checked_sub(16)?);
    (hash == xxh3_128_with_seed(&bytes, name_seed(path)).to_le_bytes()).then_some(bytes)
}

/// What changes when a file does.
pub(crate) fn state(of: &Metadata) -> String {
    let (mtime, ctime) = ((of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec()));
    format!("{} {} {}.{} {}.{}", of.ino(), of.size(), mtime.0, mtime.1, ctime.0, ctime.1)
}

fn recall(kept: &Path, state: &str) -> Option<String> {
    let text = std::fs::read_to_string(kept).ok()?;
    let (record, check) = text.rsplit_once(' ')?;
    if u64::from_str_radix(check, 16).ok()? != xxh3_64(record.as_bytes()) {
        return None;
    }
    let (found, hash) = record.rsplit_once(' ')?;
    (found == state).then(|| hash.to_owned())
}

/// What cannot be remembered is read again next time.
fn remember(kept: &Path, state: &str, hash: &str) {
    let record = format!("{state} {hash}");
    let text = format!("{record} {:016x}", xxh3_64(record.as_bytes()));
    let made = kept.parent().map_or(Ok(()), std::fs::create_dir_all);
    let _ = made.and_then(|()| crate::write_whole(kept, text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_hash_and_a_change_is_seen_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, cache) = (dir.path().join("a"), dir.path().join("cache"));
        std::fs::write(&file, "abc").unwrap();
        // FIPS 180-4's own example.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&file, Some(&cache)).unwrap(), abc);
        std::fs::write(&file, "abd").unwrap();
        assert_ne!(sha256(&file, Some(&cache)).unwrap(), abc);
    }

    /// Both hashes of one file are kept, each for itself.
    #[test]
    fn two_hashes_of_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, cache) = (dir.path().join("a"), dir.path().join("cache"));
        std::fs::write(&file, "abc").unwrap();
        // At rest for longer than a tick, so that both are remembered.
        std::thread::sleep(TICK + Duration::from_millis(100));
        for _ in 0..2 {
            assert_eq!(xxh3(&file, Some(&cache)).unwrap(), xxh3_128(b"abc"));
            assert!(sha256(&file, Some(&cache)).unwrap().starts_with("ba7816bf"));
        }
        assert_eq!(std::fs::read_dir(cache.join("files")).unwrap().count(), 2);
        std::fs::write(&file, "abd").unwrap();
        assert_eq!(xxh3(&file, Some(&cache)).unwrap(), xxh3_128(b"abd"));
    }

    #[test]
    fn what_is_remembered_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("k");
        remember(&kept, "1 2 3", "ff00");
        assert_eq!(recall(&kept, "1 2 3").as_deref(), Some("ff00"));
        assert_eq!(recall(&kept, "1 2 4"), None, "another state of the file");
        let whole = std::fs::read(&kept).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&kept, damaged).unwrap();
            assert_eq!(recall(&kept, "1 2 3"), None, "byte {at}");
        }
    }
}
