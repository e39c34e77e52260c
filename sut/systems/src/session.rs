//! Runs any pair of endpoints on either clock, and writes what the contract wants into the run directory.

use crate::control::{Control, MonotonicClock};
use anyhow::{Context, Result, anyhow, bail, ensure};
use contract::{Event, Playout, RunSpec};
use link::{Direction, Fate, FateRecord, Link, LinkSpec, Timestamp};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use sut_core::drive::{Wiring, drive};
use sut_core::simulate::{self, Peer, Recorder};
use sut_core::{Endpoint, Schedule, Worker, WorkerError};

/// Says which frame a datagram belongs to and what it carries, if it can be read on the wire.
pub type Label = Box<dyn Fn(&[u8]) -> Option<(Option<u32>, contract::Role)>>;

/// How long after the last slot a run may go on before it is cut off.
const OVERTIME: Duration = Duration::from_secs(5);

/// An endpoint with its worker.
pub struct End<E, W> {
    /// The state machine.
    pub endpoint: E,
    /// Who does its jobs.
    pub worker: W,
}

/// What a process of a run is to do.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Both ends in virtual time.
    Simulate,
    /// The sender, on the wall clock.
    Send(Addresses),
    /// The receiver, on the wall clock.
    Receive(Addresses),
}

/// Sockets of a run on the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// To bind.
    pub local: SocketAddr,
    /// Of the other end.
    pub peer: SocketAddr,
}

impl Addresses {
    /// Made-up addresses of a simulated sender; the receiver's are these swapped.
    #[must_use]
    pub fn simulated() -> Self {
        let at = |host| SocketAddr::from(([10, 77, 0, host], 5000));
        Self { local: at(1), peer: at(2) }
    }

    /// The same, seen from the other end.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self { local: self.peer, peer: self.local }
    }
}

/// The captures of a run.
#[must_use]
pub fn schedule(spec: &RunSpec) -> Schedule {
    let mut schedule = Schedule {
        capture_start: Timestamp(spec.capture_start_ns),
        frames: spec.clip.frames,
        fps: spec.clip.fps,
        playout: spec.scenario.playout,
        end: Timestamp::ZERO,
    };
    let last_slot = schedule.capture_time(spec.clip.frames) + spec.scenario.playout.at_most();
    schedule.end = last_slot + OVERTIME;
    schedule
}

/// Refuses an option of an own clock that lets a frame wait for longer than any play-out may last.
///
/// # Errors
/// Names the option and its limit.
pub fn own_clock(option: &str, ms: u64) -> Result<()> {
    let longest = Playout::LONGEST.as_nanos() / 1_000_000;
    ensure!(ms <= longest / 2, "{option} must be at most {} ms", longest / 2);
    Ok(())
}

fn path(spec: &LinkSpec, direction: Direction, seed: u64) -> Result<simulate::Path> {
    let link =
        Link::new(spec, direction.seed(seed)).with_context(|| format!("scenario, path {direction:?}"))?;
    Ok(simulate::Path { link, setup_delay: spec.setup_delay() })
}

/// Runs `mode` with the ends that the closures make; only the ends that the mode needs are made.
pub fn run<S, SW, R, RW>(
    mode: &Mode,
    run_dir: &Path,
    spec: &RunSpec,
    label: impl Fn(&[u8]) -> Option<(Option<u32>, contract::Role)> + 'static,
    sender: impl FnOnce(Addresses) -> Result<End<S, SW>>,
    receiver: impl FnOnce(Addresses) -> Result<End<R, RW>>,
) -> Result<()>
where
    S: Endpoint,
    R: Endpoint,
    S::Job: Send + 'static,
    S::Done: Send + 'static,
    R::Job: Send + 'static,
    R::Done: Send + 'static,
    SW: Worker<Job = S::Job, Done = S::Done> + Send + 'static,
    RW: Worker<Job = R::Job, Done = R::Done> + Send + 'static,
{
    match mode {
        Mode::Simulate => {
            let opened = Instant::now();
            let addresses = Addresses::simulated();
            let (mut tx, mut rx) = (sender(addresses)?, receiver(addresses.swapped())?);
            let mut record = Record::create(run_dir, Box::new(label))?;
            let paths = (
                path(&spec.scenario.forward, Direction::Forward, spec.seed)?,
                path(&spec.scenario.reverse, Direction::Reverse, spec.seed)?,
            );
            let started = Instant::now();
            let (mut tx_worker, mut rx_worker) = (Timed::new(tx.worker), Timed::new(rx.worker));
            let outcome = simulate::simulate(
                schedule(spec),
                paths,
                Peer { endpoint: &mut tx.endpoint, worker: &mut tx_worker },
                Peer { endpoint: &mut rx.endpoint, worker: &mut rx_worker },
                &mut record,
            );
            let profile = Profile {
                open_us: (started - opened).as_micros() as u64,
                total_us: started.elapsed().as_micros() as u64,
                sender_jobs_us: tx_worker.spent.as_micros() as u64,
                receiver_jobs_us: rx_worker.spent.as_micros() as u64,
            };
            drop((tx_worker, rx_worker)); // stores are complete when their worker is gone
            record.finish()?;
            std::fs::write(run_dir.join(PROFILE), serde_json::to_string(&profile)?)
                .context("failed to write the run's profile (is the disk full?)")?;
            let outcome = outcome.map_err(anyhow::Error::from_boxed)?;
            if !outcome.finished {
                bail!("the run did not end by itself before {}", outcome.end);
            }
            Ok(())
        }
        Mode::Send(addresses) => {
            on_the_wall_clock(run_dir, spec, *addresses, "sender", Some(schedule(spec)), || {
                sender(*addresses)
            })
        }
        Mode::Receive(addresses) => {
            on_the_wall_clock(run_dir, spec, *addresses, "receiver", None, || receiver(*addresses))
        }
    }
}

/// Where a simulated run says how long it took on this machine; nothing else of a run depends on the machine.
pub const PROFILE: &str = "profile.json";

/// Real time of a simulated run, microseconds.
#[derive(Serialize)]
struct Profile {
    /// Before the virtual clock starts: opening both ends, encoding streams that the cache lacks.
    open_us: u64,
    /// Everything after it.
    total_us: u64,
    /// The sender's jobs: encoding, or reading encoded streams from the cache.
    sender_jobs_us: u64,
    /// The receiver's jobs: decoding and storing.
    receiver_jobs_us: u64,
}

/// Takes the real time of a worker's jobs.
struct Timed<W> {
    inner: W,
    spent: Duration,
}

impl<W> Timed<W> {
    fn new(inner: W) -> Self {
        Self { inner, spent: Duration::ZERO }
    }
}

impl<W: Worker> Worker for Timed<W> {
    type Job = W::Job;
    type Done = W::Done;

    fn run(&mut self, job: W::Job) -> Result<W::Done, WorkerError> {
        let started = Instant::now();
        let done = self.inner.run(job);
        self.spent += started.elapsed();
        done
    }

    fn cost(&self, job: &W::Job) -> Duration {
        self.inner.cost(job)
    }

    fn core(job: &W::Job) -> usize {
        W::core(job)
    }

    fn settle(&mut self) -> Result<(), WorkerError> {
        let started = Instant::now();
        let settled = self.inner.settle();
        self.spent += started.elapsed();
        settled
    }
}

/// Events and fates of a simulated run, as they happen.
struct Record {
    events: BufWriter<File>,
    fates: BufWriter<File>,
    error: Option<std::io::Error>,
    label: Label,
}

impl Record {
    fn create(run_dir: &Path, label: Label) -> Result<Self> {
        let open = |name: &str| -> Result<BufWriter<File>> {
            let path = run_dir.join(name);
            let file = File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
            Ok(BufWriter::with_capacity(1 << 18, file))
        };
        Ok(Self { events: open("events.jsonl")?, fates: open("fates.jsonl")?, error: None, label })
    }

    fn finish(mut self) -> Result<()> {
        let flushed = self.events.flush().and_then(|()| self.fates.flush());
        if let Some(error) = self.error.take().or(flushed.err()) {
            return Err(anyhow!(error).context("failed to write the run's record (is the disk full?)"));
        }
        Ok(())
    }
}

fn write_line(out: &mut impl Write, value: &impl serde::Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

impl Recorder for Record {
    fn event(&mut self, event: Event) {
        if let Err(error) = write_line(&mut self.events, &event) {
            self.error.get_or_insert(error);
        }
    }

    fn fate(&mut self, direction: Direction, number: u64, at: Timestamp, datagram: &[u8], fate: &Fate) {
        let bytes = datagram.len() as u32 + simulate::IP_UDP_HEADER;
        let mut line = FateRecord::new(number, direction, at, bytes, fate);
        if let Some((frame, role)) = (self.label)(datagram) {
            line.frame = frame;
            line.role = serde_json::to_value(role).ok().and_then(|v| v.as_str().map(str::to_owned));
        }
        if let Err(error) = write_line(&mut self.fates, &line) {
            self.error.get_or_insert(error);
        }
    }
}

fn on_the_wall_clock<E, W>(
    run_dir: &Path,
    spec: &RunSpec,
    addresses: Addresses,
    name: &str,
    captures: Option<Schedule>,
    make: impl FnOnce() -> Result<End<E, W>>,
) -> Result<()>
where
    E: Endpoint,
    E::Job: Send + 'static,
    E::Done: Send + 'static,
    W: Worker<Job = E::Job, Done = E::Done> + Send + 'static,
{
    let mut end = make()?;
    let socket = UdpSocket::bind(addresses.local)
        .with_context(|| format!("failed to bind {} for the {name}", addresses.local))?;
    let events = Events::create(&run_dir.join(format!("events.{name}.jsonl")))?;
    let (control, to_self, wakeups, epoch_ns) = Control::ready_and_start()?;
    let clock = MonotonicClock::new(epoch_ns);
    let finished = {
        let mut event = |e: Event| events.write(e);
        let mut signal = |message: Vec<u8>| control.signal(&message);
        let wiring = Wiring {
            socket,
            peer: addresses.peer,
            captures,
            end: schedule(spec).end,
            event: &mut event,
            signal: &mut signal,
        };
        drive(&mut end.endpoint, end.worker, &clock, wiring, (to_self, wakeups))
            .map_err(anyhow::Error::from_boxed)
            .with_context(|| format!("the {name} failed"))?
    };
    events.finish()?;
    if !finished {
        bail!("the {name} did not end by itself before {}", schedule(spec).end);
    }
    control.done();
    Ok(())
}

/// Events on their way to a file, by a thread of their own: the endpoint's has its times to keep.
struct Events {
    queue: Sender<Event>,
    writer: JoinHandle<std::io::Result<()>>,
}

impl Events {
    /// What a killed end leaves behind is whole but for its last second or so.
    const FLUSHED_EVERY: Duration = Duration::from_millis(500);

    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
        let (queue, events) = channel::<Event>();
        let writer = std::thread::Builder::new().name("record".into()).spawn(move || {
            let mut out = BufWriter::with_capacity(1 << 15, file);
            let mut flushed = Instant::now();
            loop {
                match events.recv_timeout(Self::FLUSHED_EVERY) {
                    Ok(event) => write_line(&mut out, &event)?,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return out.flush(),
                }
                if flushed.elapsed() >= Self::FLUSHED_EVERY {
                    out.flush()?;
                    flushed = Instant::now();
                }
            }
        })?;
        Ok(Self { queue, writer })
    }

    /// A writer that has failed says so at the end.
    fn write(&self, event: Event) {
        let _ = self.queue.send(event);
    }

    fn finish(self) -> Result<()> {
        drop(self.queue);
        let written = self.writer.join().map_err(|_| anyhow!("the thread that writes events panicked"))?;
        written.context("failed to write the run's events (is the disk full?)")
    }
}
