//! Files that a person asked for by name.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Writes a file whole or not at all: a full disk or a kill leaves what was there before. A link is followed; a pipe or a device is written to.
///
/// # Errors
/// When it cannot be written; the message names it.
pub fn put(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let place = fs::canonicalize(path);
    let written = match &place {
        Ok(there) if !there.is_file() => fs::write(there, content),
        Ok(file) => contract::write_whole(file, content.as_ref()),
        Err(_) => contract::write_whole(path, content.as_ref()),
    };
    written.with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_devices_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("old"), "a").unwrap();
        symlink(at("old"), at("link")).unwrap();
        put(&at("link"), "b").unwrap();
        assert_eq!(fs::read_to_string(at("old")).unwrap(), "b");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        put(Path::new("/dev/null"), "c").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        put(&at("new"), "d").unwrap();
        assert_eq!(fs::read_to_string(at("new")).unwrap(), "d");
    }

    /// `/dev/full` answers every write as a full disk does.
    #[test]
    fn what_cannot_be_written_is_named() {
        let said = put(Path::new("/dev/full"), "x").unwrap_err();
        assert!(contract::said(&*said).contains("/dev/full"), "{said:?}");
    }
}
