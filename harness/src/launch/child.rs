//! Children: the program of a system, its control lines, time limits; no child outlives the harness.

use anyhow::{Context, Result, bail};
use contract::Manifest;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
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

/// The command of a manifest with `{sut}` resolved.
pub fn command(manifest: &Manifest, arguments: &[&str]) -> Result<Command> {
    let program = match manifest.command[0].as_str() {
        "{sut}" => sut_program()?,
        other => PathBuf::from(other),
    };
    let mut command = Command::new(program);
    command.args(&manifest.command[1..]).args(arguments);
    Ok(command)
}

/// The project's own systems are in the program `sut`, beside this one.
pub(super) fn sut_program() -> Result<PathBuf> {
    let me = std::env::current_exe().context("failed to find this program's own path")?;
    // A test's executable is one folder deeper.
    let places =
        [me.with_file_name("sut"), me.parent().and_then(Path::parent).unwrap_or(Path::new("")).join("sut")];
    match places.iter().find(|p| p.is_file()) {
        Some(path) => Ok(path.clone()),
        None => bail!(
            "the program `sut` is not beside {}; build it with `cargo build --release -p freezeframe-systems`",
            me.display()
        ),
    }
}

/// A running child. Dropping it kills it.
pub struct Running {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    /// Starts `command`; its standard error is kept for messages.
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A harness that is killed takes its children with it.
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            });
        }
        let mut child =
            command.spawn().with_context(|| format!("failed to start {:?}", command.get_program()))?;
        let stdout = child.stdout.take().context("a piped standard output")?;
        let mut errors = child.stderr.take().context("a piped standard error")?;
        let (to_lines, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if to_lines.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let stdin = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, stdin, lines, stderr: Some(stderr) })
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes one line to its standard input.
    pub fn say(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = writeln!(stdin, "{line}").and_then(|()| stdin.flush()); // a dead child is noticed by `poll`
        }
    }

    /// The lines it wrote since the last call.
    pub fn said(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Its exit status, if it has ended.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("failed to wait for the {}", self.name))
    }

    /// Fails with the child's own words if it ended with anything but success.
    pub fn check(&mut self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let words = self.stderr.take().and_then(|t| t.join().ok()).unwrap_or_default();
        let words = words.trim();
        if status.code() == Some(contract::exit::UNSUPPORTED) {
            bail!("the {} does not support this scenario: {words}", self.name);
        }
        if words.is_empty() {
            bail!("the {} ended with {status} and said nothing", self.name);
        }
        bail!("the {} ended with {status}: {words}", self.name);
    }

    /// Waits until it ends by itself, at most `limit`; then it is killed and the wait is an error.
    pub fn wait(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.poll()? {
                return self.check(status);
            }
            if interrupted() {
                return Err(Interrupted.into());
            }
            if start.elapsed() > limit {
                self.kill();
                bail!("the {} did not end within {limit:?} and was killed", self.name);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it now.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
