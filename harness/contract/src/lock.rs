//! One maker at a time: a lock on a file of its own, between threads and between processes.
//!
//! Whatever is kept for later runs (encoded streams, scores, rendered clips) is made under such a lock, so that nothing
//! is made twice; the operating system gives the lock back when its holder ends, however it ends. The lock files stay:
//! removing one would let two holders in.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(File);

/// How often a waiter looks again.
const AGAIN: Duration = Duration::from_millis(5);

impl Lock {
    /// Waits for the lock at `path` (made, with its folder, if missing); `None` if `give_up` says so first.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn take(path: &Path, give_up: &dyn Fn() -> bool) -> io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) if give_up() => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(AGAIN),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock(); // closing the file would do it too
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/a.lock");
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _lock = Lock::take(&path, &|| false).unwrap().unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(1));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }

    #[test]
    fn a_waiter_may_give_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let held = Lock::take(&path, &|| false).unwrap().unwrap();
        assert!(Lock::take(&path, &|| true).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&path, &|| true).unwrap().is_some());
    }
}
