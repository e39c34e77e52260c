//! One end on the wall clock and a UDP socket: the same state machines as in [`simulate`](mod@crate::simulate).
//!
//! Jobs run on a thread of their own, in order (one for each of the worker's cores). The endpoint's thread reads the socket itself, into memory
//! of its own: a datagram is copied once, by the kernel, and counts by the kernel's time of arrival, so that one that was there
//! before a deadline is not late because this thread was.

use crate::endpoint::{Endpoint, Input, Output, Worker, WorkerError};
use crate::simulate::Schedule;
use contract::{Event, EventKind, Side};
use link::Timestamp;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

/// Tells the time of a run: nanoseconds since an instant that both ends share.
pub trait Clock: Clone + Send + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
    /// The moment of the run at which `CLOCK_REALTIME`, by which the kernel stamps datagrams, was so long after 1970.
    fn at_realtime(&self, since_1970: Duration) -> Timestamp;
}

/// What reaches an endpoint's thread from the others.
pub enum Wakeup<Done> {
    /// From the worker.
    JobDone(Done),
    /// From the control channel.
    Signal(Vec<u8>),
    /// The control channel asks to stop now.
    Stop,
    /// The worker cannot go on.
    WorkerError(WorkerError),
}

/// Puts something before an endpoint's thread and wakes it.
pub struct Waker<Done> {
    queue: Sender<Wakeup<Done>>,
    bell: Arc<EventFd>,
}

/// Where it finds it.
pub struct Inbox<Done> {
    queue: Receiver<Wakeup<Done>>,
    bell: Arc<EventFd>,
}

/// The two ends of a queue.
///
/// # Errors
/// When the system has no descriptor left.
pub fn inbox<Done>() -> io::Result<(Waker<Done>, Inbox<Done>)> {
    let bell = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let (bell, (sender, receiver)) = (Arc::new(bell), channel());
    Ok((Waker { queue: sender, bell: bell.clone() }, Inbox { queue: receiver, bell }))
}

impl<Done> Clone for Waker<Done> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), bell: self.bell.clone() }
    }
}

impl<Done> Waker<Done> {
    /// False if nobody listens any more.
    pub fn send(&self, wakeup: Wakeup<Done>) -> bool {
        let heard = self.queue.send(wakeup).is_ok();
        let _ = self.bell.write(1); // a bell that has rung 2^64 times rings
        heard
    }
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

/// Datagrams one after the other before anything else is looked at, should they come faster than they are dealt with.
const IN_A_ROW: u32 = 64;

/// Runs `endpoint` until it has finished, is told to stop, or the end comes; true if it finished.
///
/// What the control channel has to say comes through the waker's queue; workers get clones of it.
///
/// # Errors
/// A socket that breaks, or the first error that the worker meets; the run ends there.
pub fn drive<E, W>(
    endpoint: &mut E,
    worker: W,
    clock: &impl Clock,
    wiring: Wiring<'_>,
    (waker, inbox): (Waker<E::Done>, Inbox<E::Done>),
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
        let out = waker.clone();
        working.push(thread::Builder::new().name("worker".into()).spawn(move || {
            for job in queue {
                let done = worker.run(job).map_or_else(Wakeup::WorkerError, Wakeup::JobDone);
                if !out.send(done) {
                    break;
                }
                if let Err(error) = worker.settle() {
                    out.send(Wakeup::WorkerError(error));
                }
            }
        })?);
    }
    let mut mail = Mail::new(&socket, peer)?;
    let mut next_frame = 0;
    let mut finished = false;
    let mut in_a_row = 0;
    let mut outlet = Outlet { socket: &socket, peer, jobs, core, event, signal, last: Timestamp::ZERO };
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
        let timeout = endpoint.poll_timeout();
        let due = [capture, timeout].into_iter().flatten().filter(|t| *t <= now).min();
        if in_a_row < IN_A_ROW
            && let Some((arrived, datagram)) = mail.next_before(due, clock)?
        {
            in_a_row += 1;
            outlet.feed(endpoint, arrived, Input::Datagram(datagram))?;
            continue;
        }
        in_a_row = 0;
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
        if timeout.is_some_and(|t| t <= now) {
            outlet.feed(endpoint, now, Input::Timeout)?;
            continue;
        }
        match inbox.queue.try_recv() {
            Ok(Wakeup::JobDone(done)) => outlet.feed(endpoint, clock.now(), Input::JobDone(done))?,
            Ok(Wakeup::Signal(message)) => outlet.feed(endpoint, clock.now(), Input::Signal(&message))?,
            // After the last capture both ends finish by themselves, within what the schedule leaves them.
            Ok(Wakeup::Stop) if all_captured => {}
            Ok(Wakeup::Stop) | Err(TryRecvError::Disconnected) => break,
            Ok(Wakeup::WorkerError(e)) => return Err(e),
            Err(TryRecvError::Empty) => {
                let until = [Some(end), capture, timeout].into_iter().flatten().min().unwrap_or(end);
                let now = clock.now();
                if now < until {
                    wait(&socket, &inbox.bell, until - now)?;
                }
            }
        }
    }
    drop(outlet); // no more jobs
    for thread in working {
        thread.join().map_err(|_| io::Error::other("the worker thread panicked"))?;
    }
    Ok(finished)
}

/// Until there is a datagram, something in the inbox, or no time left.
fn wait(socket: &UdpSocket, bell: &EventFd, time: Duration) -> io::Result<()> {
    let mut watched =
        [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
    match ppoll(&mut watched, Some(TimeSpec::from_duration(time)), None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(e) => return Err(e.into()),
    }
    // The queue is looked at after the bell is silent: what comes meanwhile rings it again.
    match bell.read() {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The socket's datagrams with their times of arrival.
struct Mail<'a> {
    socket: &'a UdpSocket,
    peer: SocketAddr,
    buffer: Vec<u8>,
    control: Vec<u8>,
    /// A datagram that lies in the buffer: when it arrived, and its length.
    held: Option<(Timestamp, usize)>,
}

impl<'a> Mail<'a> {
    fn new(socket: &'a UdpSocket, peer: SocketAddr) -> io::Result<Self> {
        setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
        let (buffer, control) = (vec![0; 65_536], cmsg_space!(TimeSpec));
        Ok(Self { socket, peer, buffer, control, held: None })
    }

    /// The next datagram, if it arrived no later than `limit`.
    fn next_before(
        &mut self,
        limit: Option<Timestamp>,
        clock: &impl Clock,
    ) -> io::Result<Option<(Timestamp, &[u8])>> {
        if self.held.is_none() {
            self.held = self.receive(clock)?;
        }
        match self.held {
            Some((at, length)) if limit.is_none_or(|limit| at <= limit) => {
                self.held = None;
                Ok(Some((at, &self.buffer[..length])))
            }
            _ => Ok(None),
        }
    }

    fn receive(&mut self, clock: &impl Clock) -> io::Result<Option<(Timestamp, usize)>> {
        loop {
            let mut into = [IoSliceMut::new(&mut self.buffer)];
            let control = Some(self.control.as_mut_slice());
            let fd = self.socket.as_raw_fd();
            let message = match recvmsg::<SockaddrStorage>(fd, &mut into, control, MsgFlags::MSG_DONTWAIT) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                // A peer that has ended answers with an ICMP error: its packets are lost, as on any network.
                Err(Errno::EINTR | Errno::ECONNREFUSED) => continue,
                Err(e) => return Err(e.into()),
            };
            if message.address.as_ref().and_then(address) != Some(self.peer) {
                continue;
            }
            let now = clock.now();
            let stamped = message.cmsgs()?.find_map(|c| match c {
                ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                _ => None,
            });
            let arrived = stamped.map_or(now, |time| clock.at_realtime(time).min(now));
            return Ok(Some((arrived, message.bytes)));
        }
    }
}

fn address(of: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = of.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), a.port())));
    v4.or_else(|| of.as_sockaddr_in6().map(|a| SocketAddr::from((a.ip(), a.port()))))
}

/// Where an endpoint's outputs go.
struct Outlet<'a, Job> {
    socket: &'a UdpSocket,
    peer: SocketAddr,
    /// Per core.
    jobs: Vec<Sender<Job>>,
    core: fn(&Job) -> usize,
    event: &'a mut dyn FnMut(Event),
    signal: &'a mut dyn FnMut(Vec<u8>),
    /// Time of the last input: none is before it.
    last: Timestamp,
}

impl<Job> Outlet<'_, Job> {
    /// Hands over one input and carries out everything the endpoint then asks for.
    fn feed<E: Endpoint<Job = Job>>(
        &mut self,
        endpoint: &mut E,
        now: Timestamp,
        input: Input<'_, E::Done>,
    ) -> io::Result<()> {
        self.last = now.max(self.last);
        endpoint.handle(self.last, input);
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
