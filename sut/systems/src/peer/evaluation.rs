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
//! The list is a [`trace_map.txt`](contract::trace_map).

use anyhow::{Context, Result, anyhow, bail, ensure};
use contract::trace_map::{LONGEST, check_run_id};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the original's service listens.
pub const PORT: u16 = 6000;
/// From the start of the receiver to READY: the original's, in which its receiver joins the room.
const START: Duration = Duration::from_secs(1);
/// Silence after which a run id is complete: the protocol has no end mark.
const QUIET: Duration = Duration::from_millis(200);

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
    check_run_id(&id).map_err(|e| anyhow!(e))?;
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
    check_run_id(id).map_err(|e| anyhow!(e))?;
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
