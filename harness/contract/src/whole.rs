//! Files that appear whole or not at all.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes `content` into a file beside `path` that nobody can have foreseen, and renames it there: a reader sees the old file or the new one,
/// whoever is killed in between, and a link that lies in its place is replaced and never written through. The file's mode is what the
/// process's umask leaves of 0666.
///
/// # Errors
/// When it cannot be written; a former file then stays as it was.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_link_in_its_place_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("foreign"), "theirs").unwrap();
        std::os::unix::fs::symlink(at("foreign"), at("a")).unwrap();
        write_whole(&at("a"), b"mine").unwrap();
        assert_eq!(fs::read(at("foreign")).unwrap(), b"theirs");
        assert_eq!(fs::read(at("a")).unwrap(), b"mine");
        assert!(!fs::symlink_metadata(at("a")).unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // A folder cannot be replaced by a file.
        fs::create_dir_all(at("a/b")).unwrap();
        assert!(write_whole(&at("a"), b"mine").is_err());
        assert!(write_whole(&at("none/a"), b"mine").is_err());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["a"]);
    }

    /// As `std::fs::write` makes files: other users may read them unless the umask says otherwise.
    #[test]
    fn the_mode_is_that_of_a_plain_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("plain"), "").unwrap();
        write_whole(&at("whole"), b"").unwrap();
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode();
        assert_eq!(mode("whole"), mode("plain"));
    }
}
