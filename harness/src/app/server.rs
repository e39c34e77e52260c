//! A third party beside the path: the server of an app's pages and signalling, in a network of its own.
//!
//! ```text
//!  [sender] 127.0.0.1:8080 ── harness: TCP, a delay, counted ──┐
//!                                                              ├── 127.0.0.1:8080 [server]
//!  [receiver] 127.0.0.1:8080 ── harness: TCP, a delay, counted ┘
//! ```
//! No packet can go from end to end around the emulated path: streams of bytes are handed on by this process, and what passes after the call
//! is set up is bounded as signalling is. Neither end gets a second network device, of which ICE would offer an address, and a page on
//! 127.0.0.1 is a secure context, which cameras need.

use super::monotonic_ns;
use crate::launch::child::Running;
use crate::launch::sandbox::{Part, Surroundings};
use anyhow::{Context, Result};
use contract::Manifest;
use netns::{End, Lab, Network};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How long the server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a stream may be silent before it is looked whether the run is over.
const LOOK: Duration = Duration::from_millis(250);
/// Pieces of a stream that are on their way.
const IN_FLIGHT: usize = 1024;

/// A server that runs, and the links to it. Dropping it ends both.
pub struct Server {
    running: Running,
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    network: Network,
    to: SocketAddr,
    delay: Duration,
    over: AtomicBool,
    counting: AtomicBool,
    /// To the server, from it.
    bytes: [AtomicU64; 2],
}

impl Server {
    /// Starts the manifest's server, waits until it answers, and opens the links.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn start(manifest: &Manifest, run_dir: &Path, lab: &Lab) -> Result<Self> {
        let mut command = Command::new(&manifest.serve[0]);
        command.args(&manifest.serve[1..]);
        let surroundings = Surroundings::of(manifest, Part::Serve, None, &toml::Table::new())?;
        let network = lab.network(End::Server)?;
        let log = run_dir.join("server.log");
        let mut running = Running::start("server", command, &surroundings, Some(&network), Some(&log))?;
        let port = manifest.serve_port;
        let shared = Arc::new(Shared {
            network,
            to: (Ipv4Addr::LOCALHOST, port).into(),
            delay: Duration::from_millis(manifest.serve_delay_ms),
            over: AtomicBool::new(false),
            counting: AtomicBool::new(false),
            bytes: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let start = Instant::now();
        while shared.connect().is_err() {
            if let Some(status) = running.poll()? {
                running.check(status)?;
                anyhow::bail!("the server ended before it answered on port {port}");
            }
            anyhow::ensure!(
                start.elapsed() < PATIENCE,
                "the server does not answer on 127.0.0.1:{port} within {} s; `serve_port` of the manifest names its port",
                PATIENCE.as_secs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        for end in [End::Sender, End::Receiver] {
            let bound = lab.inside(end, || TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
            let listener = bound.context("failed to listen for the server's clients")?;
            listener.set_nonblocking(true)?;
            let links = shared.clone();
            std::thread::spawn(move || links.accept(&listener));
        }
        Ok(Self { running, port, shared })
    }

    /// Where both ends reach it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Fails if it has ended.
    ///
    /// # Errors
    /// With its last words.
    pub fn check(&mut self) -> Result<()> {
        // What it says is for nobody; read, so that it is not held up.
        drop(self.running.said());
        if let Some(status) = self.running.poll()? {
            self.running.check(status)?;
            anyhow::bail!("the server ended before the run did");
        }
        Ok(())
    }

    /// From now on what passes is counted.
    pub fn count_from_now(&self) {
        self.shared.counting.store(true, Ordering::SeqCst);
    }

    /// Bytes of the larger direction, of both ends together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.iter().map(|b| b.load(Ordering::SeqCst)).max().unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn connect(&self) -> Result<TcpStream> {
        Ok(self.network.inside(|| TcpStream::connect_timeout(&self.to, Duration::from_secs(5)))??)
    }

    /// Until the run is over: a thread that waited for ever would keep the network of an end alive.
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while !self.over.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((client, _)) => {
                    let links = self.clone();
                    std::thread::spawn(move || links.join(&client));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Hands on what either says until both have ended.
    fn join(&self, client: &TcpStream) {
        let Ok(server) = self.connect() else { return };
        for stream in [client, &server] {
            let _ = (
                stream.set_nonblocking(false),
                stream.set_nodelay(true),
                stream.set_read_timeout(Some(LOOK)),
            );
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.hand_on(client, &server, 0));
            scope.spawn(|| self.hand_on(&server, client, 1));
        });
    }

    fn hand_on(&self, mut from: &TcpStream, to: &TcpStream, way: usize) {
        let (put, pieces) = sync_channel::<(u64, Vec<u8>)>(IN_FLIGHT);
        std::thread::scope(|scope| {
            scope.spawn(move || deliver(&pieces, to));
            let mut buffer = vec![0; 1 << 14];
            while !self.over.load(Ordering::SeqCst) {
                let n = match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                    Err(_) => break,
                };
                if self.counting.load(Ordering::SeqCst) {
                    self.bytes[way].fetch_add(n as u64, Ordering::SeqCst);
                }
                let due = monotonic_ns() + self.delay.as_nanos() as u64;
                if put.send((due, buffer[..n].to_vec())).is_err() {
                    break;
                }
            }
            drop(put);
        });
    }
}

/// Gives each piece when it is due, and then the end.
fn deliver(pieces: &Receiver<(u64, Vec<u8>)>, mut to: &TcpStream) {
    for (due, piece) in pieces {
        super::sleep_until(due);
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
