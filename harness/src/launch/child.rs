//! The program of a system: its process tree in a sandbox, its control lines, what it may say, how it ended.

use super::files::OPEN;
use super::sandbox::Surroundings;
use anyhow::{Context, Result, bail};
use contract::{Limits, Manifest, text};
use netns::sandbox::{Broken, Tree};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM set a flag that every wait here looks at, so that labs and half-written runs are
/// cleaned up before the program ends.
pub fn catch_interrupts() {
    extern "C" fn note(_: i32) {
        INTERRUPTED.store(true, Ordering::SeqCst);
    }
    use nix::sys::signal::{SigHandler, Signal, signal};
    for s in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler only stores to an atomic.
        let _ = unsafe { signal(s, SigHandler::Handler(note)) };
    }
}

/// True once the user asked to stop.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// The user asked to stop; carried as an error so that everything on the way is dropped properly.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; finished runs are kept, the same command resumes")]
pub struct Interrupted;

/// How a system failed; `code` is stable.
#[derive(Debug, thiserror::Error)]
#[error("{text} [{code}]")]
pub struct Failure {
    /// Stable name, as in docs/PLUGIN.md.
    pub code: &'static str,
    /// For a person.
    pub text: String,
}

impl Failure {
    /// As an error.
    #[must_use]
    pub fn error(code: &'static str, text: String) -> anyhow::Error {
        Failure { code, text }.into()
    }
}

/// Code of a [`Failure`]: the system does not support the scenario.
pub const UNSUPPORTED: &str = "unsupported";

/// The command of a manifest with `{sut}` resolved.
pub fn command(manifest: &Manifest, arguments: &[&str]) -> Result<Command> {
    let program = match manifest.command[0].as_str() {
        "{sut}" => sut_program()?,
        other => PathBuf::from(other),
    };
    let mut command = Command::new(program);
    command.args(&manifest.command[1..]).args(arguments);
    if !manifest.is_shipped() {
        command.env("FREEZEFRAME", link_program()?);
    }
    Ok(command)
}

/// `$FREEZEFRAME link --run` is every plug-in's path in virtual time. A program of its own, because this one makes clips, too.
pub(super) fn link_program() -> Result<PathBuf> {
    program_beside("freezeframe-link")
}

/// The project's own systems are in the program `sut`, beside this one.
pub(super) fn sut_program() -> Result<PathBuf> {
    program_beside("sut")
}

/// A program of this project.
///
/// # Errors
/// When it is not beside this one.
pub fn program_beside(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe().context("failed to find this program's own path")?;
    // A test's executable is one folder deeper.
    let places =
        [me.with_file_name(name), me.parent().and_then(Path::parent).unwrap_or(Path::new("")).join(name)];
    match places.iter().find(|p| p.is_file()) {
        Some(path) => Ok(path.clone()),
        None => bail!(
            "the program `{name}` is not beside {}; build it with `cargo build --release --workspace --bins`, or install it as \
             docs/INSTALL.md says (`cargo install --path sut/systems`)",
            me.display()
        ),
    }
}

/// Longest control line, bytes; what is longer is no control line.
const LONGEST_LINE: usize = 1 << 17;
/// Control lines of a system that wait to be read.
const QUEUE: usize = 1024;
/// Lines to a system that wait until it reads them.
const UNREAD: usize = 4096;
/// Bytes of standard error that are kept.
const LOG: u64 = 1 << 20;
/// Bytes of it that go into a message: the last.
const LAST_WORDS: usize = 4000;

/// What a system has said so far; limits are looked at by whoever waits for it.
#[derive(Debug, Default)]
struct Said {
    stdout: AtomicU64,
    lines: AtomicU64,
    stderr: AtomicU64,
    last_words: Mutex<Vec<u8>>,
}

/// A running system. Dropping it ends its whole process tree.
pub struct Running {
    name: String,
    tree: Tree,
    stdin: Option<SyncSender<String>>,
    lines: Receiver<String>,
    said: Arc<Said>,
    stderr: Option<std::thread::JoinHandle<()>>,
    limits: Limits,
    folder: Option<PathBuf>,
    next_look: Instant,
}

impl Running {
    /// Starts `command` in `surroundings`; its standard error goes into the file `log`, if one is named.
    pub fn start(
        name: &str,
        mut command: Command,
        surroundings: &Surroundings,
        network: Option<&netns::Network>,
        log: Option<&Path>,
    ) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let started = netns::sandbox::spawn(command, surroundings.sandbox.as_ref(), network);
        let mut tree = started.with_context(|| format!("failed to start {program:?} for the {name}"))?;
        let child = tree.child();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (stdout, errors) =
            (stdout.context("a piped standard output")?, stderr.context("a piped standard error")?);
        let said = Arc::new(Said::default());
        let (to_lines, lines) = sync_channel(QUEUE);
        let counts = said.clone();
        std::thread::spawn(move || read_lines(stdout, &to_lines, &counts));
        let log = match log {
            Some(path) => {
                Some(File::create(path).with_context(|| format!("failed to create {}", path.display()))?)
            }
            None => None,
        };
        let counts = said.clone();
        let stderr = std::thread::spawn(move || read_errors(errors, log, &counts));
        Ok(Self {
            name: name.to_owned(),
            tree,
            stdin: stdin.map(writer),
            lines,
            said,
            stderr: Some(stderr),
            limits: surroundings.limits.clone(),
            folder: surroundings.run_folder.clone(),
            next_look: Instant::now(),
        })
    }

    /// What of the machine it saw as the machine's own inodes; complete once it has ended.
    #[must_use]
    pub fn shared(&self) -> &[PathBuf] {
        self.tree.shared()
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes one line to its standard input, when it reads it. What a system does not read is lost in the end.
    pub fn say(&mut self, line: &str) {
        if let Some(stdin) = &self.stdin {
            // A dead child is noticed by `poll`.
            if let Err(TrySendError::Disconnected(_)) = stdin.try_send(line.to_owned()) {
                self.stdin = None;
            }
        }
    }

    /// The lines it wrote since the last call.
    pub fn said(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// The next line it writes, waited for so long.
    #[must_use]
    pub fn hear(&self, wait: Duration) -> Option<String> {
        self.lines.recv_timeout(wait).ok()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// When it broke one of its limits: it has been ended then.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        self.look()?;
        let ended = self.tree.poll().with_context(|| format!("failed to wait for the {}", self.name))?;
        let over = |code, what: String, key: &str| {
            let text = format!("the {} {what} and was ended; limits.{key} of the manifest", self.name);
            Err(Failure::error(code, text))
        };
        match ended {
            None => Ok(None),
            Some((_, Some(Broken::Memory(bytes)))) => {
                over("memory_limit", format!("had {} MiB of memory", bytes >> 20), "memory_mb")
            }
            Some((_, Some(Broken::Processes(n)))) => {
                over("process_limit", format!("had {n} processes and threads"), "processes")
            }
            Some((status, None)) => Ok(Some(status)),
        }
    }

    /// Looks at what it has said and stored, now and then.
    fn look(&mut self) -> Result<()> {
        if Instant::now() < self.next_look {
            return Ok(());
        }
        self.next_look = Instant::now() + Duration::from_millis(20);
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let limits = &self.limits;
        let (out, lines, err) = (of(&self.said.stdout), of(&self.said.lines), of(&self.said.stderr));
        let stored = self.folder.as_deref().map_or(Stored::default(), |f| Stored::of(f, limits.files));
        if let Some(folder) = stored.closed {
            self.kill();
            let text = format!(
                "the {} closed {} to the harness, which could not see what is in it, and was ended",
                self.name,
                text::line(&folder.display().to_string())
            );
            return Err(Failure::error("bad_file", text));
        }
        if stored.too_deep {
            self.kill();
            let text = format!(
                "the {} made folders in its run folder that are nested deeper than a path can be long, and was ended",
                self.name
            );
            return Err(Failure::error("disk_limit", text));
        }
        let broken = if out > limits.stdout_kb << 10 {
            Some(("stdout_limit", format!("wrote {out} bytes to its standard output"), "stdout_kb"))
        } else if lines > limits.stdout_lines {
            Some(("stdout_limit", format!("wrote {lines} lines to its standard output"), "stdout_lines"))
        } else if err > limits.stderr_kb << 10 {
            Some(("stderr_limit", format!("wrote {err} bytes to its standard error"), "stderr_kb"))
        } else if stored.bytes > limits.disk_mb << 20 {
            Some(("disk_limit", format!("stored {} MiB in its run folder", stored.bytes >> 20), "disk_mb"))
        } else if stored.files > limits.files {
            Some(("disk_limit", format!("made {} files in its run folder", stored.files), "files"))
        } else if stored.events > limits.events_mb << 20 {
            Some(("events_limit", format!("wrote {} MiB of events", stored.events >> 20), "events_mb"))
        } else {
            None
        };
        if let Some((code, what, key)) = broken {
            self.kill();
            let text = format!("the {} {what} and was ended; limits.{key} of the manifest", self.name);
            return Err(Failure::error(code, text));
        }
        Ok(())
    }

    /// The end of what it wrote to its standard error. Only after its end.
    pub fn last_words(&mut self) -> String {
        if let Some(thread) = self.stderr.take() {
            let _ = thread.join();
        }
        let words = self.said.last_words.lock().map(|w| w.clone()).unwrap_or_default();
        text::lines(&String::from_utf8_lossy(&words))
    }

    /// Fails with the child's own words if it ended with anything but success.
    pub fn check(&mut self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let words = self.last_words();
        if status.code() == Some(contract::exit::UNSUPPORTED) && !is_a_shells(&words) {
            let text = format!("the {} does not support this scenario: {words}", self.name);
            return Err(Failure::error(UNSUPPORTED, text));
        }
        let text = if words.is_empty() {
            format!("the {} ended with {status} and said nothing", self.name)
        } else {
            format!("the {} ended with {status}: {words}", self.name)
        };
        Err(Failure::error("system_failed", text))
    }

    /// Waits until it ends by itself, at most `limit`; then it is killed and the wait is an error. What it says meanwhile is
    /// given to `hear`.
    pub fn wait(&mut self, limit: Duration, hear: &mut dyn FnMut(String)) -> Result<()> {
        let start = Instant::now();
        loop {
            self.said().into_iter().for_each(&mut *hear);
            if let Some(status) = self.poll()? {
                self.settle(hear);
                return self.check(status);
            }
            if interrupted() {
                return Err(Interrupted.into());
            }
            if start.elapsed() > limit {
                self.kill();
                let text = format!("the {} did not end within {limit:?} and was ended", self.name);
                return Err(Failure::error("time_limit", text));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it said last, once it has ended.
    pub fn settle(&mut self, hear: &mut dyn FnMut(String)) {
        // Its end of the pipe is closed: the reader comes to the end of it.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(2)) {
            hear(line);
        }
    }

    /// Ends it and everything that it has started, now.
    pub fn kill(&mut self) {
        self.tree.end();
    }
}

/// A shell that does not find a command ends with 127, too: that is a mistake in the manifest, not a scenario that is not supported.
fn is_a_shells(words: &str) -> bool {
    let last = words.lines().last().unwrap_or_default();
    last.ends_with("not found") || last.ends_with("No such file or directory")
}

/// What lies in a run folder.
#[derive(Clone, Debug, Default)]
struct Stored {
    bytes: u64,
    files: u64,
    events: u64,
    /// A folder that its owner may not look into: as long as it is there nothing below it is counted.
    closed: Option<PathBuf>,
    /// There are folders that no path can name.
    too_deep: bool,
}

impl Stored {
    /// Counts until there are more than `enough` files.
    fn of(folder: &Path, enough: u64) -> Self {
        use std::io::ErrorKind::InvalidFilename;
        use std::os::unix::fs::MetadataExt;
        let mut stored = Self::default();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) => {
                    stored.too_deep |= e.kind() == InvalidFilename;
                    if e.kind() == std::io::ErrorKind::PermissionDenied {
                        stored.closed.get_or_insert(folder);
                    }
                    continue; // or it has just gone
                }
            };
            // Whoever is root sees what is inside, and says the same of it.
            if std::fs::symlink_metadata(&folder).is_ok_and(|m| m.mode() & OPEN != OPEN) {
                stored.closed.get_or_insert(folder.clone());
            }
            for entry in entries.flatten() {
                let Ok(found) = entry.metadata() else { continue };
                stored.files += 1;
                // Whoever reads a file with holes reads all of it.
                stored.bytes += (found.blocks() * 512).max(if found.is_file() { found.len() } else { 0 });
                if stored.files > enough {
                    return stored;
                }
                if found.is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name().to_string_lossy().starts_with("events") {
                    stored.events += found.len();
                }
            }
        }
        stored
    }
}

fn writer(mut stdin: ChildStdin) -> SyncSender<String> {
    let (sender, lines) = sync_channel::<String>(UNREAD);
    std::thread::spawn(move || {
        for line in lines {
            if writeln!(stdin, "{line}").and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

/// Hands lines on; counts everything. A reader that does not keep up holds the system up, as a pipe does.
fn read_lines(mut stdout: ChildStdout, to: &SyncSender<String>, said: &Said) {
    let mut pending = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match stdout.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        said.stdout.fetch_add(n as u64, Ordering::Relaxed);
        for part in buffer[..n].split_inclusive(|b| *b == b'\n') {
            if pending.len() < LONGEST_LINE {
                pending.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                said.lines.fetch_add(1, Ordering::Relaxed);
                let line = String::from_utf8_lossy(&pending).trim_end().to_owned();
                pending.clear();
                if to.send(line).is_err() {
                    return;
                }
            }
        }
    }
}

/// Keeps the first MiB in the log and the last words for messages.
fn read_errors(mut stderr: ChildStderr, mut log: Option<File>, said: &Said) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match stderr.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let before = said.stderr.fetch_add(n as u64, Ordering::Relaxed);
        if let Some(file) = &mut log {
            let room = usize::try_from(LOG.saturating_sub(before)).unwrap_or(usize::MAX).min(n);
            let _ = file.write_all(&buffer[..room]);
            if room < n {
                let _ = file.write_all(b"\n[what followed was not kept]\n");
                log = None;
            }
        }
        if let Ok(mut words) = said.last_words.lock() {
            words.extend_from_slice(&buffer[..n]);
            let surplus = words.len().saturating_sub(LAST_WORDS);
            words.drain(..surplus);
        }
    }
}
