//! What is left of a tree without a PID namespace whose guardian was killed from inside: the harness inherits it, and ends it.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

/// Guardians that run. Held while one is started, so that none is taken for what another left.
static GUARDIANS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Starts a guardian. From now on orphans below this process become its children.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    // SAFETY: sets a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    let mut guardians = GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    guardians.insert(child.id());
    Ok(child)
}

/// A guardian has ended; if it could not do its work, that is done here: whatever process has become this one's child without being
/// of its session (which no process can join) is ended, until there is none.
pub(super) fn settle(guardian: u32, undone: bool) {
    let mut guardians = GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner);
    guardians.remove(&guardian);
    let mut more = undone;
    while more {
        more = false;
        for pid in children() {
            // SAFETY: plain system calls on this process's own children, which keep their numbers until they are waited for.
            unsafe {
                let left = u32::try_from(pid).is_ok_and(|p| !guardians.contains(&p))
                    && libc::getsid(pid) != libc::getsid(0);
                if left {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, std::ptr::null_mut(), 0);
                    more = true;
                }
            }
        }
    }
}

fn children() -> Vec<i32> {
    let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).ok();
    let lists = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().filter_map(of);
    lists
        .flat_map(|l| l.split_ascii_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<i32>>())
        .collect()
}
