//! Whom a tree runs as: a user and group of its own, whom nothing on the machine belongs to.

use std::io::{Error, Result};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ranges of numbers from which users are taken, where this process may become them: one that systemd's conventions leave to nobody
/// (systemd, Users, Groups, UIDs and GIDs), and for containers that have few numbers the end of what Debian gives to users.
const RANGES: [(u32, u32); 2] = [(2_000_000_000, 100_000_000), (60_001, 4_000)];

/// A user that no other running tree has; `None` if this process cannot become one (it is not root).
#[must_use]
pub fn unused_user() -> Option<u32> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // linux/capability.h: CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID, SETPCAP.
    const NEEDED: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 6 | 1 << 7 | 1 << 8;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    if u64::from_str_radix(effective.trim(), 16).ok()? & NEEDED != NEEDED {
        return None;
    }
    let (users, groups) = (mapped("uid"), mapped("gid"));
    let holds = |map: &[(u32, u32)], (first, n): (u32, u32)| {
        map.iter().any(|(a, m)| *a <= first && first - a <= m - n.min(*m) && n <= *m)
    };
    let (first, n) = RANGES.into_iter().find(|r| holds(&users, *r) && holds(&groups, *r))?;
    let which = std::process::id().wrapping_mul(64).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed) % 64);
    Some(first + which % n)
}

/// Ranges of numbers that mean something to this process: the first and how many.
fn mapped(what: &str) -> Vec<(u32, u32)> {
    let text = std::fs::read_to_string(format!("/proc/self/{what}_map")).unwrap_or_default();
    let range = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        Some((words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(range).collect()
}

/// A user namespace in which root's files are `user`'s: for mounts through which `user` reads what root can read.
///
/// # Errors
/// When the kernel refuses it.
pub(super) fn roots_files_as(user: u32) -> Result<OwnedFd> {
    let map = |what: &str| {
        let mut lines = vec![format!("0 {user} 1")];
        for (first, n) in mapped(what) {
            // All others are themselves, without 0 and `user`.
            let end = u64::from(first) + u64::from(n);
            for (a, b) in [(1, u64::from(user)), (u64::from(user) + 1, u64::MAX)] {
                let (a, b) = (a.max(u64::from(first)), b.min(end));
                if a < b {
                    lines.push(format!("{a} {a} {}", b - a));
                }
            }
        }
        lines.join("\n")
    };
    let (users, groups) = (map("uid"), map("gid"));
    // SAFETY: the child makes one system call until it is ended.
    unsafe {
        let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
        let child = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) as libc::pid_t;
        if child < 0 {
            return Err(Error::last_os_error());
        }
        if child == 0 {
            loop {
                libc::pause();
            }
        }
        let made = (|| {
            std::fs::write(format!("/proc/{child}/uid_map"), users)?;
            std::fs::write(format!("/proc/{child}/gid_map"), groups)?;
            let path = std::ffi::CString::new(format!("/proc/{child}/ns/user"))?;
            let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if fd < 0 { Err(Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
        })();
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        made
    }
}
