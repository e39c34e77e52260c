//! Numbered datagrams through a lab, for checks of the lab itself: which arrive, when, and whether byte for byte.

use crate::error::LabError;
use crate::lab::{End, Lab};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// How many datagrams.
    pub packets: u64,
    /// Payload bytes of each, at least [`Flow::SMALLEST`].
    pub payload: usize,
    /// Time between two.
    pub interval: Duration,
    /// How long to wait for stragglers after the last one was sent.
    pub patience: Duration,
}

impl Flow {
    /// Number and time of sending, 8 bytes each.
    pub const SMALLEST: usize = 16;

    /// Size of the IP packets, bytes.
    #[must_use]
    pub fn ip_bytes(&self) -> u32 {
        self.payload as u32 + 28
    }
}

/// One datagram that came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number, from 0.
    pub n: u64,
    /// Just before the system call that sent it, `CLOCK_REALTIME`, ns.
    pub sent_ns: u64,
    /// When the kernel of the receiver got it, `CLOCK_REALTIME`, ns.
    pub received_ns: u64,
    /// Every byte as sent.
    pub intact: bool,
}

const PORT: u16 = 4000;

/// Sends a flow from `from` to the other end and returns what arrived, in order of arrival.
///
/// # Errors
/// When a socket cannot be made or used.
pub fn run(lab: &Lab, from: End, flow: &Flow) -> Result<Vec<Arrival>, LabError> {
    let to = match from {
        End::Sender => End::Receiver,
        End::Receiver | End::Server => End::Sender,
    };
    let socket = |end| {
        let address = lab.address(end);
        lab.inside(end, || UdpSocket::bind((address, PORT)))?
            .map_err(|e| LabError::io("bind a UDP socket", e))
    };
    let receiver = socket(to)?;
    let sender = socket(from)?;
    sender.connect((lab.address(to), PORT)).map_err(|e| LabError::io("connect a UDP socket", e))?;
    prepare(&receiver, flow)?;
    let sending = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&receiver, flow, || sending.load(Ordering::Acquire)));
        let sent = send(&sender, flow);
        sending.store(false, Ordering::Release);
        let received = receiving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent.and(received)
    })
}

/// Makes a socket ready to [`receive`].
///
/// # Errors
/// When an option is refused.
pub fn prepare(socket: &UdpSocket, flow: &Flow) -> Result<(), LabError> {
    setsockopt(socket, RcvBufForce, &(64 << 20))
        .or_else(|_| setsockopt(socket, RcvBuf, &(64 << 20)))
        .and_then(|()| setsockopt(socket, ReceiveTimestampns, &true))
        .map_err(|e| LabError::io("prepare a UDP socket", e.into()))?;
    socket.set_read_timeout(Some(flow.patience)).map_err(|e| LabError::io("prepare a UDP socket", e))
}

/// Sends a flow from a connected socket, at its intervals.
///
/// # Errors
/// When the kernel refuses a datagram.
pub fn send(socket: &UdpSocket, flow: &Flow) -> Result<(), LabError> {
    // SAFETY: plain system call; the default slack of 50 us would blur the intervals.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1usize, 0usize, 0usize, 0usize) };
    let clock = ClockId::CLOCK_MONOTONIC;
    let start = clock_gettime(clock).map_err(|e| LabError::io("read the clock", e.into()))?;
    let mut payload = vec![0; flow.payload.max(Flow::SMALLEST)];
    for n in 0..flow.packets {
        if !flow.interval.is_zero() {
            let due = Duration::from(start) + flow.interval * u32::try_from(n).unwrap_or(u32::MAX);
            let _ = clock_nanosleep(clock, ClockNanosleepFlags::TIMER_ABSTIME, &TimeSpec::from_duration(due));
        }
        fill(&mut payload, n, realtime());
        let sent = loop {
            match socket.send(&payload) {
                // The port of the other end answers "unreachable" to an earlier datagram only if nobody listens: not ours.
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                    ) => {}
                other => break other,
            }
        };
        sent.map_err(|e| LabError::io("send a datagram", e))?;
    }
    Ok(())
}

/// Bytes that depend on the number, so that a mixed-up payload is noticed.
fn fill(payload: &mut [u8], n: u64, sent_ns: u64) {
    payload[..8].copy_from_slice(&n.to_be_bytes());
    payload[8..16].copy_from_slice(&sent_ns.to_be_bytes());
    let mut word = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for byte in &mut payload[16..] {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        *byte = word as u8;
    }
}

/// Receives a flow until every number has come once or nothing has for [`Flow::patience`] although nobody is `sending`: on a busy
/// machine the sender may not get its turn for longer than that.
///
/// # Errors
/// When the socket cannot be read.
pub fn receive(
    socket: &UdpSocket,
    flow: &Flow,
    sending: impl Fn() -> bool,
) -> Result<Vec<Arrival>, LabError> {
    let mut arrivals = Vec::with_capacity(usize::try_from(flow.packets).unwrap_or(0));
    let mut buffer = vec![0; 2048];
    let mut expected = vec![0; flow.payload.max(Flow::SMALLEST)];
    let mut control = nix::cmsg_space!(nix::libc::timespec);
    loop {
        let more_to_come = sending();
        let mut vector = [IoSliceMut::new(&mut buffer)];
        let (length, stamp) = match recvmsg::<SockaddrIn>(
            socket.as_raw_fd(),
            &mut vector,
            Some(&mut control),
            MsgFlags::empty(),
        ) {
            Ok(message) => {
                let stamp = message.cmsgs().ok().and_then(|mut all| {
                    all.find_map(|c| {
                        if let ControlMessageOwned::ScmTimestampns(t) = c {
                            Some(Duration::from(t))
                        } else {
                            None
                        }
                    })
                });
                (message.bytes, stamp)
            }
            Err(nix::errno::Errno::EAGAIN) if !more_to_come => return Ok(arrivals),
            Err(nix::errno::Errno::EAGAIN) => continue,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(LabError::io("receive a datagram", e.into())),
        };
        let received_ns = stamp.map_or_else(realtime, |d| d.as_nanos() as u64);
        let word = |at: usize| buffer[at..at + 8].try_into().map_or(0, u64::from_be_bytes);
        let (n, sent_ns) = (word(0), word(8));
        fill(&mut expected, n, sent_ns);
        arrivals.push(Arrival { n, sent_ns, received_ns, intact: buffer[..length] == expected[..] });
        if n + 1 == flow.packets && arrivals.len() as u64 == flow.packets {
            return Ok(arrivals);
        }
    }
}

fn realtime() -> u64 {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |t| Duration::from(t).as_nanos() as u64)
}
