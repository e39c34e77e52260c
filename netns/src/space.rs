//! One named network namespace: create, enter on a thread of its own, find and end what runs in it, remove.

use crate::error::LabError;
use netns_rs::NetNs;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where named namespaces live, as for `ip netns`.
pub(crate) const DIRECTORY: &str = "/var/run/netns";

/// A named network namespace. Dropping the handle closes it; [`Space::remove`] takes the name away.
#[derive(Debug)]
pub(crate) struct Space {
    name: String,
    file: File,
    inode: (u64, u64),
}

impl Space {
    pub(crate) fn create(name: &str) -> Result<Space, LabError> {
        NetNs::new(name).map_err(|source| LabError::Namespace {
            action: "create",
            name: name.to_owned(),
            source,
        })?;
        Space::open(name)
    }

    /// Opens one that exists.
    pub(crate) fn open(name: &str) -> Result<Space, LabError> {
        let ns = NetNs::get(name).map_err(|source| LabError::Namespace {
            action: "open",
            name: name.to_owned(),
            source,
        })?;
        let file =
            ns.file().try_clone().map_err(|source| LabError::io("duplicate a namespace handle", source))?;
        let meta = file.metadata().map_err(|source| LabError::io("look at a namespace handle", source))?;
        Ok(Space { name: name.to_owned(), file, inode: (meta.dev(), meta.ino()) })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Moves the calling thread into the namespace, for good: only inside [`on_a_thread_of_its_own`].
    pub(crate) fn enter(&self) -> Result<(), LabError> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|e| LabError::io("enter a namespace", e.into()))
    }

    /// Runs `f` inside the namespace.
    pub(crate) fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        on_a_thread_of_its_own(|| {
            self.enter()?;
            Ok(f())
        })
    }

    /// Takes the name away; the kernel frees the namespace with its last process and handle.
    pub(crate) fn remove(self) -> Result<(), LabError> {
        let Space { name, file, .. } = self;
        drop(file);
        remove_name(&name)
    }
}

/// Removes a namespace's name, also one left half made (a plain file that nothing is mounted on).
pub(crate) fn remove_name(name: &str) -> Result<(), LabError> {
    let path = Path::new(DIRECTORY).join(name);
    let removed = NetNs::get(name).and_then(NetNs::remove);
    if removed.is_err() && path.exists() {
        std::fs::remove_file(&path).map_err(|source| LabError::io("remove a namespace's name", source))?;
    }
    Ok(())
}

/// Runs `f` on a thread that ends with it. `setns` moves one thread only, and a pooled thread would keep the namespace for its
/// next task; this one takes it along when it ends, also by a panic.
pub(crate) fn on_a_thread_of_its_own<T: Send>(
    f: impl FnOnce() -> Result<T, LabError> + Send,
) -> Result<T, LabError> {
    std::thread::scope(|scope| scope.spawn(f).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Kills every process inside these namespaces and waits until they are gone, at most two seconds. Nobody but a lab's own
/// children (and theirs) can be in there, so that membership is the list of what was started.
pub(crate) fn end_processes(spaces: &[Space]) {
    let inodes: Vec<(u64, u64)> = spaces.iter().map(|s| s.inode).collect();
    let give_up = Instant::now() + Duration::from_secs(2);
    // Again until a look finds nobody: what was killed may just have started another.
    while Instant::now() < give_up {
        let inside = processes_in(&inodes);
        if inside.is_empty() {
            return;
        }
        for process in &inside {
            process.kill();
        }
        for process in &inside {
            process.wait(give_up);
        }
    }
}

/// A process pinned by a pidfd, so that the number cannot be reused between looking and killing.
struct Pinned {
    pidfd: OwnedFd,
}

impl Pinned {
    fn kill(&self) {
        let (fd, no_info) = (self.pidfd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: pidfd_send_signal takes a descriptor that we own, a signal and a null siginfo.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, no_info, 0) };
    }

    /// Waits until the process has ended: then its pidfd is readable.
    fn wait(&self, give_up: Instant) {
        let left = give_up.saturating_duration_since(Instant::now()).as_millis() as libc::c_int;
        let mut watched = libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the structure outlives the call.
        unsafe { libc::poll(&raw mut watched, 1, left) };
    }
}

/// Processes (this one excepted) that are in one of the namespaces. A zombie is in none.
fn processes_in(inodes: &[(u64, u64)]) -> Vec<Pinned> {
    let this = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != this)
        .filter_map(|pid| {
            is_in(pid, inodes).then_some(())?;
            // SAFETY: pidfd_open takes a pid and flags; the result is a new descriptor or -1.
            let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
            let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
            // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
            is_in(pid, inodes).then_some(Pinned { pidfd })
        })
        .collect()
}

fn is_in(pid: u32, inodes: &[(u64, u64)]) -> bool {
    std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|m| inodes.contains(&(m.dev(), m.ino())))
}
