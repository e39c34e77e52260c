//! Who is computing what: a byte of a file is locked for each value in the making, between threads and between processes.
//!
//! The operating system gives a lock back when its holder ends, however it ends. Every holder of [`Claims`] has the file open for itself
//! (locks of the open file description, `fcntl(2)`), so that two runs that one process scores keep off each other, too.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::{File, OpenOptions};
use std::path::Path;

/// What one scoring of a stream has claimed.
pub struct Claims(Option<File>);

/// The right to compute one value, until it is dropped.
pub struct Claim<'a>(Option<(&'a File, i64)>);

impl Claims {
    /// Claims on the values of one clip's stream, in the cache folder `dir`. Without one, or if nothing can be locked there, everybody
    /// is alone.
    #[must_use]
    pub fn open(dir: Option<&Path>, name: u128) -> Self {
        let file = dir.and_then(|dir| {
            let folder = dir.join("locks");
            std::fs::create_dir_all(&folder).ok()?;
            let path = folder.join(format!("{name:032x}.lock"));
            OpenOptions::new().create(true).truncate(false).write(true).open(path).ok()
        });
        Self(file)
    }

    /// The right to compute the value of `key`; `None` while somebody else has it.
    #[must_use]
    pub fn take(&self, key: u128) -> Option<Claim<'_>> {
        let Some(file) = &self.0 else { return Some(Claim(None)) };
        // 62 bits of the hash: two values in the making at one place only wait for each other.
        #[allow(clippy::cast_possible_truncation)]
        let place = (key as u64 >> 2) as i64;
        match set(file, place, libc::F_WRLCK) {
            Ok(()) => Some(Claim(Some((file, place)))),
            Err(Errno::EAGAIN | Errno::EACCES) => None,
            Err(_) => Some(Claim(None)), // a file system without locks
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some((file, place)) = self.0 {
            let _ = set(file, place, libc::F_UNLCK);
        }
    }
}

fn set(file: &File, place: i64, kind: i32) -> Result<(), Errno> {
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: place,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_maker_and_others_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name| Claims::open(Some(dir.path()), name);
        let (a, b, elsewhere) = (open(1), open(1), open(2));
        let held = a.take(7 << 64 | 12).expect("free");
        assert!(b.take(7 << 64 | 12).is_none(), "held");
        assert!(b.take(7 << 64 | 16).is_some(), "another value");
        assert!(elsewhere.take(7 << 64 | 12).is_some(), "another clip");
        drop(held);
        assert!(b.take(7 << 64 | 12).is_some(), "given back");
        let held = b.take(u128::MAX).expect("the highest place");
        assert!(a.take(u128::MAX).is_none());
        drop(held);
        drop(b);
        assert!(a.take(u128::MAX).is_some());
        assert!(Claims::open(None, 1).take(3).is_some(), "without a cache nobody waits");
    }
}
