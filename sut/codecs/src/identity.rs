//! Which libraries do the work: the ones that are loaded, by version and content.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ffmpeg::ffi;

/// Hashes a file's content.
pub type Hash<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// What opens, converts and decodes video: FFmpeg's libraries. Name to version and hash.
#[must_use]
pub fn libraries(hash: Hash) -> BTreeMap<String, String> {
    let versions = versions();
    let loaded = loaded();
    let version = |v: u32| format!("{}.{}.{}", v >> 16, v >> 8 & 0xff, v & 0xff);
    versions
        .iter()
        .map(|(name, v)| ((*name).to_owned(), described(&loaded, name, &version(*v), hash)))
        .collect()
}

/// The encoders' libraries of these names. Name to version and hash.
#[must_use]
pub fn encoder(names: &[&str], hash: Hash) -> BTreeMap<String, String> {
    // An encoder's library comes with FFmpeg's, which are loaded at the first call.
    versions();
    let loaded = loaded();
    names.iter().map(|name| ((*name).to_owned(), described(&loaded, name, "", hash))).collect()
}

/// Any loaded library whose file is called `NAME.so` and so on; `None` if there is none.
#[must_use]
pub fn library(name: &str, hash: Hash) -> Option<String> {
    let loaded = loaded();
    loaded.contains_key(name).then(|| described(&loaded, name, "", hash))
}

fn versions() -> [(&'static str, u32); 4] {
    // SAFETY: these functions read constants.
    unsafe {
        [
            ("libavcodec", ffi::avcodec_version()),
            ("libavformat", ffi::avformat_version()),
            ("libavutil", ffi::avutil_version()),
            ("libswscale", ffi::swscale_version()),
        ]
    }
}

/// The files of the shared libraries of this process, by the part of their name before `.so`.
fn loaded() -> BTreeMap<String, PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = |line: &str| line.find('/').map(|at| PathBuf::from(&line[at..]));
    let named = |path: PathBuf| {
        let file = path.file_name()?.to_str()?;
        // libx265-2f1.so.199 carries a build's mark before the point.
        let name = file.split_once(".so")?.0;
        Some((name.split_once('-').map_or(name, |(n, _)| n).to_owned(), path))
    };
    maps.lines().filter_map(path).filter_map(named).collect()
}

/// `VERSION FILE HASH`; a library linked into the program has no file of its own and changes with the program.
fn described(loaded: &BTreeMap<String, PathBuf>, name: &str, version: &str, hash: Hash) -> String {
    let file = loaded.get(name).map_or_else(
        || "part of the program".to_owned(),
        |path| {
            let file = path.file_name().map_or_else(String::new, |f| f.to_string_lossy().into_owned());
            let hash = hash(path).unwrap_or_else(|e| format!("unreadable ({e})"));
            format!("{file} {}", hash.get(..16).unwrap_or(&hash))
        },
    );
    format!("{version} {file}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The version is the one that FFmpeg's own function gives, the hash that of the file that is loaded.
    #[test]
    fn what_is_loaded_is_named() {
        let hash: Hash = &|path| Ok(format!("{:016x}{:048x}", std::fs::metadata(path)?.len(), 0));
        let found = libraries(hash);
        let version = ffmpeg::codec::version();
        let wanted = format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
        assert!(found["libavcodec"].starts_with(&wanted), "{found:?}");
        for entry in crate::registry::codecs() {
            let encoder = encoder(entry.libraries, hash);
            let (name, text) = encoder.first_key_value().expect("one encoder");
            let linked_in = text == "part of the program";
            assert!(linked_in || (text.starts_with(name.as_str()) && text.contains(".so")), "{encoder:?}");
        }
    }
}
