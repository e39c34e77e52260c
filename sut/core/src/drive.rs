//! One end on the wall clock and a UDP socket: the same state machines as in [`simulate`](mod@crate::simulate).
//!
//! Jobs run on a thread of their own, in order (one for each of the worker's cores); the endpoint's thread only waits for the socket, the worker, the
//! control channel or the next timeout.

use crate::endpoint::{Endpoint, Input, Output, Worker, WorkerError};
use crate::simulate::Schedule;
use contract::{Event, EventKind, Side};
use link::Timestamp;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Tells the time of a run: nanoseconds since an instant that both ends share.
pub trait Clock: Clone + Send + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// What reaches an endpoint's thread from the others.
pub enum Wakeup<Done> {
    /// From the socket.
    Datagram(Vec<u8>),
    /// From the worker.
    JobDone(Done),
    /// From the control channel.
    Signal(Vec<u8>),
    /// The control channel asks to stop now.
    Stop,
    /// The socket broke.
    SocketError(io::Error),
    /// The worker cannot go on.
    WorkerError(WorkerError),
}

/// What [`drive`] needs besides the endpoint.
pub struct Wiring<'a> {
    /// Bound socket.
    pub socket: UdpSocket,
    /// The other end.
    pub peer: SocketAddr,
    /// Captures to make (none at the receiver).
    pub captures: Option<Schedule>,
    /// The run is cut off then.
    pub end: Timestamp,
    /// Takes events.
    pub event: &'a mut dyn FnMut(Event),
    /// Takes out-of-band messages for the peer.
    pub signal: &'a mut dyn FnMut(Vec<u8>),
}

/// Runs `endpoint` until it has finished, is told to stop, or the end comes; true if it finished.
///
/// `wakeups` is the receiving end of the channel whose sender feeds control messages; sockets and worker get
/// clones of it.
///
/// # Errors
/// A socket that breaks, or the first error that the worker meets; the run ends there.
pub fn drive<E, W>(
    endpoint: &mut E,
    worker: W,
    clock: &impl Clock,
    wiring: Wiring<'_>,
    (to_self, wakeups): (Sender<Wakeup<E::Done>>, Receiver<Wakeup<E::Done>>),
) -> Result<bool, WorkerError>
where
    E: Endpoint,
    E::Job: Send + 'static,
    E::Done: Send + 'static,
    W: Worker<Job = E::Job, Done = E::Done> + Send + 'static,
{
    let Wiring { socket, peer, captures, end, event, signal } = wiring;
    let core = W::core;
    let (mut jobs, mut working) = (Vec::new(), Vec::new());
    for mut worker in worker.cores() {
        let (sender, queue) = channel::<E::Job>();
        jobs.push(sender);
        let worker_out = to_self.clone();
        working.push(thread::Builder::new().name("worker".into()).spawn(move || {
            for job in queue {
                let done = worker.run(job).map_or_else(Wakeup::WorkerError, Wakeup::JobDone);
                if worker_out.send(done).is_err() {
                    break;
                }
                if let Err(error) = worker.settle() {
                    let _ = worker_out.send(Wakeup::WorkerError(error));
                }
            }
        })?);
    }
    let reading = socket.try_clone()?;
    reading.set_read_timeout(Some(Duration::from_millis(100)))?;
    let (stop_reading, stopped) = channel::<()>();
    let reader = thread::Builder::new().name("socket".into()).spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Err(std::sync::mpsc::TryRecvError::Empty) = stopped.try_recv() {
            match reading.recv_from(&mut buffer) {
                Ok((n, from)) if from == peer => {
                    if to_self.send(Wakeup::Datagram(buffer[..n].to_vec())).is_err() {
                        break;
                    }
                }
                Ok(_) => {} // not our peer
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                // A peer that has ended answers with an ICMP error: its packets are lost, as on any network.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(e) => {
                    let _ = to_self.send(Wakeup::SocketError(e));
                    break;
                }
            }
        }
    })?;

    let mut next_frame = 0;
    let mut finished = false;
    let mut outlet = Outlet { socket, peer, jobs, core, event, signal };
    outlet.feed(endpoint, clock.now(), Input::Start)?;
    loop {
        let all_captured = captures.as_ref().is_none_or(|s| next_frame >= s.frames);
        if all_captured && endpoint.is_finished() {
            finished = true;
            break;
        }
        let now = clock.now();
        if now >= end {
            break;
        }
        let capture = captures.as_ref().filter(|s| next_frame < s.frames).map(|s| s.capture_time(next_frame));
        if capture.is_some_and(|t| t <= now) {
            (outlet.event)(Event {
                t_ns: now,
                side: Side::Sender,
                kind: EventKind::Captured { frame: next_frame },
            });
            outlet.feed(endpoint, now, Input::Capture(next_frame))?;
            next_frame += 1;
            continue;
        }
        let timeout = endpoint.poll_timeout();
        if timeout.is_some_and(|t| t <= now) {
            outlet.feed(endpoint, now, Input::Timeout)?;
            continue;
        }
        let until = [Some(end), capture, timeout].into_iter().flatten().min().unwrap_or(end);
        match wakeups.recv_timeout(until - now) {
            Ok(Wakeup::Datagram(datagram)) => {
                outlet.feed(endpoint, clock.now(), Input::Datagram(&datagram))?;
            }
            Ok(Wakeup::JobDone(done)) => outlet.feed(endpoint, clock.now(), Input::JobDone(done))?,
            Ok(Wakeup::Signal(message)) => outlet.feed(endpoint, clock.now(), Input::Signal(&message))?,
            // After the last capture both ends finish by themselves, within what the schedule leaves them.
            Ok(Wakeup::Stop) if all_captured => {}
            Ok(Wakeup::Stop) => break,
            Ok(Wakeup::SocketError(e)) => return Err(e.into()),
            Ok(Wakeup::WorkerError(e)) => return Err(e),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(outlet); // no more jobs
    drop(stop_reading);
    let _ = reader.join();
    for thread in working {
        thread.join().map_err(|_| io::Error::other("the worker thread panicked"))?;
    }
    Ok(finished)
}

/// Where an endpoint's outputs go.
struct Outlet<'a, Job> {
    socket: UdpSocket,
    peer: SocketAddr,
    /// Per core.
    jobs: Vec<Sender<Job>>,
    core: fn(&Job) -> usize,
    event: &'a mut dyn FnMut(Event),
    signal: &'a mut dyn FnMut(Vec<u8>),
}

impl<Job> Outlet<'_, Job> {
    /// Hands over one input and carries out everything the endpoint then asks for.
    fn feed<E: Endpoint<Job = Job>>(
        &mut self,
        endpoint: &mut E,
        now: Timestamp,
        input: Input<'_, E::Done>,
    ) -> io::Result<()> {
        endpoint.handle(now, input);
        while let Some(output) = endpoint.poll_output() {
            match output {
                Output::Transmit(datagram) => self.transmit(&datagram)?,
                Output::Signal(message) => (self.signal)(message),
                Output::Event(e) => (self.event)(e),
                Output::Job(job) => {
                    self.jobs[(self.core)(&job)]
                        .send(job)
                        .map_err(|_| io::Error::other("the worker thread ended (a codec panicked?)"))?;
                }
            }
        }
        Ok(())
    }

    fn transmit(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send_to(datagram, self.peer) {
            Ok(_) => Ok(()),
            // A peer that has ended, or a full queue of this host: the packet is lost, as on any network.
            Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock) => {
                Ok(())
            }
            Err(e) if e.raw_os_error() == Some(ENOBUFS) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Linux's number for "no buffer space available".
const ENOBUFS: i32 = 105;
