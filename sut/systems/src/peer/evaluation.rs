//! Many sessions in a row on two machines: what the original's `run_sender_eval.py` and `run_receiver_eval.py` do.
//!
//! The receiver's machine runs a service, the sender's machine a list of sessions. Before each, over plain TCP (the original's protocol,
//! so that either end may be the original's script):
//!
//! ```text
//! sender   ▶ run id, UTF-8, nothing else       letters, digits and . _ - ; at most 200 of them
//! service  ▶ READY                             its receiver has been started; the connection closes
//! ```
//!
//! The run id is `STEM_CATEGORY_TRACE`. A service that cannot start says `ERROR` with the reason, and the sender leaves that session
//! out. One session at a time: the service takes the next run id when its receiver has ended.
//!
//! A `trace_map.txt` has one session per line, `category TAB video stem TAB trace file`; lines with `#` in front are skipped, and
//! trace files are looked for beside the map.

use anyhow::{Context, Result, bail, ensure};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the original's service listens.
pub const PORT: u16 = 6000;
/// From the start of the receiver to READY: the original's, in which its receiver joins the room.
const START: Duration = Duration::from_secs(1);
/// Longest run id.
const LONGEST: usize = 200;
/// Silence after which a run id is complete: the protocol has no end mark.
const QUIET: Duration = Duration::from_millis(200);

/// A line of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `wifi`, `cell`, `eth`, or any other word.
    pub category: String,
    /// Name of the video without its ending.
    pub stem: String,
    /// The trace.
    pub trace: PathBuf,
}

impl Entry {
    /// Name of the session on both machines.
    #[must_use]
    pub fn run_id(&self) -> String {
        let trace = self.trace.file_stem().unwrap_or_default().to_string_lossy();
        format!("{}_{}_{trace}", self.stem, self.category)
    }
}

/// Reads a map; names what is wrong with which line.
///
/// # Errors
/// No such file; a line without three fields; words that make no run id; the same run id twice.
pub fn read_map(path: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let at = || format!("{}, line {}", path.display(), number + 1);
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [category, stem, trace] = fields[..] else {
            bail!("{} has {} fields; write category TAB video stem TAB trace file", at(), fields.len());
        };
        let entry = Entry { category: category.into(), stem: stem.into(), trace: beside.join(trace) };
        check_run_id(&entry.run_id()).with_context(at)?;
        ensure!(
            entries.iter().all(|e| e.run_id() != entry.run_id()),
            "{} gives the run {} a second time; its results would overwrite the first's",
            at(),
            entry.run_id()
        );
        entries.push(entry);
    }
    ensure!(!entries.is_empty(), "{} has no line with a session", path.display());
    Ok(entries)
}

/// A run id becomes the name of a folder, and comes from another machine.
fn check_run_id(id: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    ensure!(
        (1..=LONGEST).contains(&id.len()) && id.chars().all(plain) && !id.starts_with('.'),
        "{id:?} is no run id: letters, digits, '.', '_' and '-', at most {LONGEST}, none hidden"
    );
    Ok(())
}

/// The service on the receiver's machine: starts a receiver for every run id, `command` with the run id in place of `{run}`.
///
/// # Errors
/// The address is taken.
pub fn serve(listen: SocketAddr, command: &[String], limit: Duration, sessions: Option<u32>) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("failed to listen on {listen}"))?;
    eprintln!("waiting for run ids on {}", listener.local_addr()?);
    let mut served = 0;
    while sessions.is_none_or(|most| served < most) {
        let (mut stream, from) = listener.accept()?;
        match begin(&mut stream, command) {
            Ok((id, child)) => {
                eprintln!("{id} (from {from}): receiving");
                drop(stream);
                match wait(child, limit) {
                    Ok(()) => eprintln!("{id}: done"),
                    Err(error) => eprintln!("{id}: {error:#}"),
                }
                served += 1;
            }
            Err(error) => {
                eprintln!("from {from}: {error:#}");
                let _ = stream.write_all(format!("ERROR {error:#}\n").as_bytes());
            }
        }
    }
    Ok(())
}

fn begin(stream: &mut TcpStream, command: &[String]) -> Result<(String, Child)> {
    let id = read_run_id(stream)?;
    let mut words = command.iter().map(|word| word.replace("{run}", &id));
    let program = words.next().context("the service has no command")?;
    let mut child = Command::new(&program)
        .args(words)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start {program}"))?;
    std::thread::sleep(START);
    if let Some(status) = child.try_wait()? {
        bail!("the receiver ended at once ({status})");
    }
    if let Err(error) = stream.write_all(b"READY") {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error).context("the sender has gone");
    }
    Ok((id, child))
}

fn read_run_id(stream: &mut TcpStream) -> Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 256];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(e) => return Err(e).context("failed to read the run id"),
        }
        ensure!(bytes.len() <= LONGEST + 1, "the run id is longer than {LONGEST} bytes");
        stream.set_read_timeout(Some(QUIET))?;
    }
    let id = String::from_utf8(bytes).context("the run id is not UTF-8")?;
    let id = id.trim_end().to_owned();
    check_run_id(&id)?;
    Ok(id)
}

/// Waits for a process, and ends it when it takes too long.
fn wait(mut child: Child, limit: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the receiver failed ({status})");
            return Ok(());
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("the receiver was ended after {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks the service at `HOST:PORT` for a receiver.
///
/// # Errors
/// Nobody listens within 5 s (the service may still be busy with the session before), or it refuses.
pub fn ask(service: &str, id: &str) -> Result<()> {
    check_run_id(id)?;
    let address = service
        .to_socket_addrs()
        .with_context(|| format!("{service}: write HOST:{PORT}"))?
        .next()
        .with_context(|| format!("{service}: no host of this name"))?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .with_context(|| format!("{service}: no receiver service there"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(id.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    while !answer.starts_with(b"READY") && answer.len() < 4096 {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(e) => return Err(e).with_context(|| format!("{service} did not say READY within 30 s")),
        }
    }
    ensure!(
        answer.starts_with(b"READY"),
        "{service} refused the run {id}: {}",
        String::from_utf8_lossy(&answer).trim_end()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_and_its_faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let map = dir.path().join("trace_map.txt");
        let write = |text: &str| std::fs::write(&map, text).unwrap();
        write(
            "# category\tvideo_stem\ttrace_path\nwifi\tA_0_S0\twifi/trace6.log\n\ncell\tA_0_S0\tcell/trace6.log\n",
        );
        let entries = read_map(&map).unwrap();
        assert_eq!(entries[0].run_id(), "A_0_S0_wifi_trace6");
        assert_eq!(entries[0].trace, dir.path().join("wifi/trace6.log"));
        assert_eq!(entries[1].run_id(), "A_0_S0_cell_trace6");
        for (text, said) in [
            ("wifi A trace.log\n", "line 1 has 1 fields"),
            ("wifi\tA\tt.log\nwifi\tA\tt.log\n", "line 2 gives the run A_wifi_t a second time"),
            ("wifi\t../A\tt.log\n", "is no run id"),
            ("# nothing\n", "no line with a session"),
        ] {
            write(text);
            let error = format!("{:#}", read_map(&map).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_service_starts_one_receiver_per_run_id() {
        let dir = tempfile::tempdir().unwrap();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = probe.local_addr().unwrap();
        drop(probe);
        let out = dir.path().join("{run}").display().to_string();
        // Longer than the second in which a receiver that ends is taken for one that failed.
        let command: Vec<String> =
            ["sh", "-c", &format!("sleep 1.5; touch '{out}'")].map(str::to_owned).to_vec();
        let service = std::thread::spawn(move || serve(at, &command, Duration::from_secs(10), Some(2)));
        std::thread::sleep(Duration::from_millis(300));
        assert!(format!("{:#}", ask(&at.to_string(), "no/such").unwrap_err()).contains("is no run id"));
        for id in ["a_wifi_1", "b_wifi_2"] {
            ask(&at.to_string(), id).unwrap();
        }
        service.join().unwrap().unwrap();
        assert!(dir.path().join("a_wifi_1").exists() && dir.path().join("b_wifi_2").exists());
    }
}
