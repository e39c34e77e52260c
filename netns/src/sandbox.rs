//! A process tree apart from the machine: own mounts, processes, IPC objects and network, no capabilities, limits.
//!
//! ```text
//!  harness ── guardian ── init (PID 1 of the new PID namespace) ── program
//!     │          │ ends the tree when the harness is gone      └── whatever it starts
//!     └─ life ───┘           └─ report ─▶ harness: how the program ended, or which limit it broke
//! ```
//! Both helpers are this process, forked and not executed: they make system calls only, allocate nothing, and have dropped
//! every descriptor but their own. The tree ends with its init, whatever it did to hide (double forks, new sessions): the kernel kills
//! a PID namespace with its first process.
//!
//! The root of the tree is a list of what may be seen, built from bind mounts in an empty file system; everything else
//! of the machine is not there. What two trees see alike they see as inodes of their own (a file system of layers each), so that locks, leases
//! and watches on it reach nobody else; where that cannot be had, [`Tree::shared`] says of what. A filter keeps system calls away that know
//! no namespace (`filter.rs`).

mod build;
mod filter;
mod inside;
mod mounts;
mod orphans;
mod user;

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use build::{Place, System};
pub use user::unused_user;

/// What a tree may see and use.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// What is there, besides the system's own folders, `/proc`, `/dev` and an empty `/tmp`.
    pub places: Vec<Place>,
    /// An empty folder on which the tree's root is built.
    pub staging: PathBuf,
    /// Where the program starts.
    pub cwd: PathBuf,
    /// What it may use up.
    pub limits: TreeLimits,
    /// Number of the user and group that the program runs as ([`unused_user`]); absent: this process's.
    pub user: Option<u32>,
}

/// What a tree may use up.
#[derive(Clone, Copy, Debug)]
pub struct TreeLimits {
    /// Bytes of memory that is no file's, private and shared, all processes together.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of `/tmp`, `/var/tmp`, `/run`, `/dev/shm` and the home directory, together.
    pub tmp: u64,
}

/// How much of the isolation there is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// All of it.
    Full,
    /// None, and why.
    None(String),
}

/// A limit that a tree broke; it was ended for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// So many bytes of memory.
    Memory(u64),
    /// So many processes and threads.
    Processes(u64),
}

/// A tree that runs. Dropping it ends all of it.
#[derive(Debug)]
pub struct Tree {
    child: Child,
    /// Closed: the guardian ends the tree.
    life: Option<OwnedFd>,
    report: File,
    ended: Option<(ExitStatus, Option<Broken>)>,
    /// What numbers in the report stand for.
    numbered: Vec<PathBuf>,
    shared: Vec<PathBuf>,
    /// Without a PID namespace.
    loose: bool,
}

/// Message of the init: kind, value, wait status.
const REPORT: usize = 24;
const KIND_EXIT: u64 = 1;
const KIND_MEMORY: u64 = 2;
const KIND_PROCESSES: u64 = 3;
const KIND_SHARED: u64 = 4;

/// Starts `command` in `sandbox`, in the network namespace `network`, or one of its own without any way out. `None` for
/// `sandbox`: only its process tree is kept together and ended with it, for machines without namespaces.
///
/// # Errors
/// When the program cannot be executed (the error's kind says why), or the sandbox cannot be built.
pub fn spawn(
    mut command: Command,
    sandbox: Option<&Sandbox>,
    network: Option<&crate::lab::Network>,
) -> std::io::Result<Tree> {
    let (life_read, life) = pipe()?;
    let (report, report_write) = pipe()?;
    let network = network.map(crate::lab::Network::handle).transpose()?;
    let mut plan = sandbox.map(build::Plan::of).transpose()?;
    let numbered = plan.as_mut().map(|p| std::mem::take(&mut p.numbered)).unwrap_or_default();
    let loose = plan.is_none();
    let work = plan.map_or_else(|| inside::Work::Loose(filter::Filter::of_a_tree()), inside::Work::Boxed);
    // SAFETY: between fork and exec only system calls are made, on memory and descriptors prepared here.
    unsafe {
        command.pre_exec(move || {
            inside::enter(
                &work,
                network.as_ref().map(AsRawFd::as_raw_fd),
                life_read.as_raw_fd(),
                report_write.as_raw_fd(),
            )
        });
    }
    let child = if loose { orphans::spawn(&mut command)? } else { command.spawn()? };
    drop(command); // its closure holds the other ends of the pipes
    let report = File::from(report);
    Ok(Tree { child, life: Some(life), report, ended: None, numbered, shared: Vec::new(), loose })
}

impl Tree {
    /// The program's ends of the pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How the program ended, if it has, and which limit it broke. Its tree is gone then.
    ///
    /// # Errors
    /// When the guardian cannot be waited for.
    pub fn poll(&mut self) -> std::io::Result<Option<(ExitStatus, Option<Broken>)>> {
        if self.ended.is_none()
            && let Some(guardian) = self.child.try_wait()?
        {
            self.ended = Some(self.last_word(guardian));
        }
        Ok(self.ended)
    }

    /// What of the machine the tree saw as the machine's own inodes, and not as its own; complete once it has ended.
    #[must_use]
    pub fn shared(&self) -> &[PathBuf] {
        &self.shared
    }

    fn last_word(&mut self, guardian: ExitStatus) -> (ExitStatus, Option<Broken>) {
        let mut message = [0; REPORT];
        let mut last = None;
        while self.report.read_exact(&mut message).is_ok() {
            let word =
                |i: usize| u64::from_ne_bytes(message[i * 8..i * 8 + 8].try_into().unwrap_or_default());
            let status = ExitStatus::from_raw(word(2) as i32);
            match word(0) {
                KIND_SHARED => {
                    let place = usize::try_from(word(1)).ok().and_then(|i| self.numbered.get(i));
                    self.shared.extend(place.cloned());
                }
                KIND_MEMORY => last = Some((status, Some(Broken::Memory(word(1))))),
                KIND_PROCESSES => last = Some((status, Some(Broken::Processes(word(1))))),
                _ => last = Some((status, None)),
            }
        }
        if self.loose {
            orphans::settle(self.child.id(), last.is_none());
        }
        // Nobody lived to tell: the tree was ended from outside.
        let killed = ExitStatus::from_raw(libc::SIGKILL);
        last.unwrap_or((if guardian.success() { killed } else { guardian }, None))
    }

    /// Ends the whole tree and waits until it is gone.
    pub fn end(&mut self) {
        drop(self.life.take());
        if self.ended.is_none()
            && let Ok(guardian) = self.child.wait()
        {
            self.ended = Some(self.last_word(guardian));
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.end();
    }
}

/// What this machine can do, found out by trying once.
pub fn support() -> &'static Support {
    static SUPPORT: OnceLock<Support> = OnceLock::new();
    SUPPORT.get_or_init(|| match try_once() {
        Ok(()) => Support::Full,
        Err(why) => Support::None(why),
    })
}

fn try_once() -> Result<(), String> {
    match run_a_shell(true) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("a shell in a sandbox ended with {status}")),
        Err(e) => Err(format!("namespaces or mounts are refused: {e}")),
    }
}

/// How long a shell that does nothing takes from its start to its end, in a sandbox or without: the median of eleven.
///
/// # Errors
/// When it cannot be started.
pub fn cost(boxed: bool) -> std::io::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..11 {
        let start = Instant::now();
        run_a_shell(boxed)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[5])
}

fn run_a_shell(boxed: bool) -> std::io::Result<ExitStatus> {
    let folder = tempfile::tempdir()?;
    let sandbox = Sandbox {
        places: Vec::new(),
        staging: folder.path().to_owned(),
        cwd: PathBuf::from("/"),
        limits: TreeLimits { memory: 1 << 30, processes: 512, open_files: 64, file: 1 << 20, tmp: 1 << 20 },
        user: unused_user(),
    };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exit 0"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut tree = spawn(command, boxed.then_some(&sandbox), None)?;
    loop {
        if let Some((status, _)) = tree.poll()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

fn text(path: &std::path::Path) -> std::io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| std::io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until_the_end(tree: &mut Tree) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Some((status, _)) = tree.poll().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it does not end");
    }

    /// Processes whose command line has this in it.
    fn running(word: &str) -> usize {
        let lines =
            std::fs::read_dir("/proc").unwrap().flatten().map(|e| std::fs::read(e.path().join("cmdline")));
        lines.flatten().filter(|l| String::from_utf8_lossy(l).contains(word)).count()
    }

    /// Without namespaces a program can kill its guardian. What it leaves then is the harness's, which ends it.
    #[test]
    fn nothing_is_left_of_a_loose_tree_whose_guardian_was_killed() {
        let mark = (8_000_000 + std::process::id()).to_string();
        let mut command = Command::new("/bin/sh");
        let script = format!(
            "setsid sh -c 'setsid sleep {mark} & setsid sleep {mark} & wait' & sleep {mark} & sleep 0.2; kill -9 $PPID; sleep {mark}"
        );
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut tree = spawn(command, None, None).unwrap();
        // The harness's own children are not of the tree.
        let mut own = Command::new("sleep").arg("9").spawn().unwrap();
        assert!(!until_the_end(&mut tree).success());
        assert_eq!(running(&format!("sleep\0{mark}")), 0);
        assert!(own.try_wait().unwrap().is_none());
        own.kill().unwrap();
        own.wait().unwrap();
    }
}
