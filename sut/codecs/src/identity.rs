//! Which libraries do the work: the ones that are loaded, or that would be, by version and content.

use crate::loaded::{self, Known};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ffmpeg::ffi;

/// Hashes a file's content.
pub type Hash<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// What opens, converts and decodes video: FFmpeg's libraries. Name to version and hash.
#[must_use]
pub fn libraries(hash: Hash) -> BTreeMap<String, String> {
    named(&FFMPEG, hash)
}

/// The encoders' libraries of these names. Name to version and hash.
#[must_use]
pub fn encoder(names: &[&str], hash: Hash) -> BTreeMap<String, String> {
    named(names, hash)
}

/// Any loaded library whose file is called `NAME.so` and so on; `None` if there is none.
#[must_use]
pub fn library(name: &str, hash: Hash) -> Option<String> {
    let loaded = loaded::files();
    loaded.contains_key(name).then(|| described("", loaded.get(name).map(PathBuf::as_path), hash))
}

/// FFmpeg's, in the order of [`versions`].
const FFMPEG: [&str; 4] = ["libavcodec", "libavformat", "libavutil", "libswscale"];

fn versions() -> [u32; 4] {
    // SAFETY: these functions read constants.
    unsafe {
        [ffi::avcodec_version(), ffi::avformat_version(), ffi::avutil_version(), ffi::swscale_version()]
    }
}

/// As they are loaded; where FFmpeg is not, as the loader would load them.
fn named(names: &[&str], hash: Hash) -> BTreeMap<String, String> {
    let mut files = loaded::files();
    let known = if files.contains_key(FFMPEG[0]) { None } else { loaded::recall(names) };
    let known = known.unwrap_or_else(|| {
        // An encoder's library comes with FFmpeg's, which are loaded at the first call.
        let versions = versions().map(|v| format!("{}.{}.{}", v >> 16, v >> 8 & 0xff, v & 0xff));
        files = loaded::files();
        let mut known: Known = FFMPEG
            .iter()
            .zip(versions)
            .map(|(name, version)| ((*name).to_owned(), (version, files.get(*name).cloned())))
            .collect();
        let encoders = crate::registry::codecs().flat_map(|entry| entry.libraries.iter().copied());
        for name in encoders.collect::<Vec<&str>>().into_iter().chain(names.iter().copied()) {
            let file = || (String::new(), files.get(name).cloned());
            known.entry(name.to_owned()).or_insert_with(file);
        }
        loaded::remember(&known);
        known
    });
    let one = |name: &&str| {
        let (version, file) = known.get(*name).cloned().unwrap_or_default();
        ((*name).to_owned(), described(&version, file.as_deref(), hash))
    };
    names.iter().map(one).collect()
}

/// `VERSION FILE HASH`; a library linked into the program has no file of its own and changes with the program.
fn described(version: &str, file: Option<&Path>, hash: Hash) -> String {
    let file = file.map_or_else(
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

    /// What is remembered names the same files, and nothing is remembered of a program with folders of its own or another name. The program of
    /// this test has no such folder, or the first assertion would not hold for it either way.
    #[test]
    fn what_was_loaded_is_remembered_as_it_was() {
        let hash: Hash = &|path| Ok(format!("{:064x}", std::fs::metadata(path)?.len()));
        let loaded = libraries(hash);
        let Some(known) = loaded::recall(&FFMPEG) else { return };
        for name in FFMPEG {
            let (version, file) = &known[name];
            assert_eq!(described(version, file.as_deref(), hash), loaded[name]);
        }
        assert!(loaded::recall(&["libnothing"]).is_none());
    }

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
