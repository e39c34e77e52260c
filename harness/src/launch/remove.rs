//! Removes what a system has left, however it is made: folders closed to their owner, nested deeper than a path can name.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removes the folder `path` with all that is in it, and no link's target; nothing there is success. No process may write there any more.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_tree(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.is_dir() {
        return fs::remove_file(path);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    let top = Folder::open(libc::AT_FDCWD, path.as_os_str())?;
    let mut moved = 0;
    loop {
        let inside = top.entries()?;
        if inside.is_empty() {
            return fs::remove_dir(path);
        }
        for (name, is_folder) in inside {
            if !is_folder {
                top.remove(&name, 0)?;
                continue;
            }
            // What is two folders deep comes up by one, so that no depth needs a path or a descriptor of its own.
            top.make_passable(&name)?;
            let folder = Folder::open(top.0.as_raw_fd(), &name)?;
            for (name, is_folder) in folder.entries()? {
                if is_folder {
                    folder.make_passable(&name)?;
                    folder.move_up(&name, &top, &mut moved)?;
                } else {
                    folder.remove(&name, 0)?;
                }
            }
            top.remove(&name, libc::AT_REMOVEDIR)?;
        }
    }
}

struct Folder(OwnedFd);

impl Folder {
    fn open(at: i32, name: &OsStr) -> Result<Self> {
        let name = CString::new(name.as_bytes())?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: opens a descriptor that nothing else owns.
        unsafe {
            let fd = libc::openat(at, name.as_ptr(), flags);
            if fd < 0 { Err(Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(fd))) }
        }
    }

    /// Names, and which of them are folders.
    fn entries(&self) -> Result<Vec<(OsString, bool)>> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        fs::read_dir(path)?
            .map(|entry| entry.and_then(|e| Ok((e.file_name(), e.file_type()?.is_dir()))))
            .collect()
    }

    fn make_passable(&self, name: &OsStr) -> Result<()> {
        let name = CString::new(name.as_bytes())?;
        // SAFETY: a plain system call.
        done(unsafe { libc::fchmodat(self.0.as_raw_fd(), name.as_ptr(), 0o700, 0) })
    }

    fn remove(&self, name: &OsStr, flags: i32) -> Result<()> {
        let name = CString::new(name.as_bytes())?;
        // SAFETY: a plain system call.
        done(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), flags) })
    }

    /// Moves a folder into `top`, under a name that is free there.
    fn move_up(&self, name: &OsStr, top: &Folder, moved: &mut u64) -> Result<()> {
        let name = CString::new(name.as_bytes())?;
        loop {
            *moved += 1;
            let to = CString::new(format!(".{moved}"))?;
            // SAFETY: a plain system call.
            let rc =
                unsafe { libc::renameat(self.0.as_raw_fd(), name.as_ptr(), top.0.as_raw_fd(), to.as_ptr()) };
            match done(rc) {
                Err(e) if taken(&e) => {}
                other => return other,
            }
        }
    }
}

/// The name belongs to a folder with something in it, or to no folder.
fn taken(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST | libc::ENOTDIR))
}

fn done(rc: i32) -> Result<()> {
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_closed_nested_and_linked_go_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let (victim, top) = (root.path().join("victim"), root.path().join("top"));
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("x"), "of value").unwrap();
        fs::create_dir_all(top.join("closed/in")).unwrap();
        fs::write(top.join("closed/in/x"), "y").unwrap();
        fs::create_dir_all(top.join(".1/.2")).unwrap();
        fs::write(top.join(".3"), "a name that would be used").unwrap();
        std::os::unix::fs::symlink(&victim, top.join("closed/link")).unwrap();
        // 30 names of 200 characters: more than the 4096 of a path. Each is made at the top and put around the one before.
        let name = "d".repeat(200);
        let (made, before) = (top.join("new"), top.join(&name));
        fs::create_dir(&before).unwrap();
        fs::write(before.join("deepest"), "z").unwrap();
        for _ in 0..30 {
            fs::create_dir(&made).unwrap();
            fs::rename(&before, made.join(&name)).unwrap();
            fs::rename(&made, &before).unwrap();
        }
        for closed in ["closed/in", "closed", ""] {
            fs::set_permissions(top.join(closed), fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        assert_eq!(fs::read_to_string(victim.join("x")).unwrap(), "of value");
        remove_tree(&top).unwrap();
    }
}
