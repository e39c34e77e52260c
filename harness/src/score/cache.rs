//! Where what was computed once is kept: tables of hashes and scores ([`contract::table`]), and whole files.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_128;

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

/// Where the table `kind` of a `context` (everything besides the key that a value depends on) is in the cache folder `dir`.
#[must_use]
pub fn place(dir: &Path, kind: &str, context: &str) -> PathBuf {
    let context = xxh3_128(format!("{} {context}", code()).as_bytes());
    dir.join(kind).join(format!("{context:032x}.log"))
}

pub use contract::digest::{read_checked as recall, write_checked as store};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("strips/a.jpg");
        assert_eq!(recall(&path), None);
        store(&path, b"picture");
        assert_eq!(recall(&path).as_deref(), Some(&b"picture"[..]));
        let whole = std::fs::read(&path).unwrap();
        let other = dir.path().join("strips/b.jpg");
        std::fs::copy(&path, &other).unwrap();
        assert_eq!(recall(&other), None, "another file's");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(recall(&path), None, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(recall(&path), None, "cut at {at}");
        }
    }
}
