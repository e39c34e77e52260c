//! A packet socket on one veth: whole batches of Ethernet frames in and out, with the kernel's time of arrival.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Frames per system call.
pub(super) const BATCH: usize = 64;
/// Longest frame: MTU 1500 and the Ethernet header, rounded up. Longer ones are counted as truncated, never cut silently.
pub(super) const FRAME: usize = 2048;
/// Receive buffer, bytes: a second of 300 Mbit/s, should the emulator not be scheduled.
const RECEIVE_BUFFER: libc::c_int = 64 << 20;
/// Room for one `SCM_TIMESTAMPNS` message.
const CONTROL: usize = 64;

/// A packet socket bound to one interface.
pub(super) struct PacketSocket {
    fd: OwnedFd,
    frames: Box<[[u8; FRAME]; BATCH]>,
    control: Box<[Control; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
    vectors: Box<[libc::iovec; BATCH]>,
    names: Box<[libc::sockaddr_ll; BATCH]>,
    taken: u64,
    overflow: Cell<u64>,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

// SAFETY: the raw pointers inside `headers` and `vectors` are rewritten before every call and point into `self` only.
unsafe impl Send for PacketSocket {}

/// One received frame.
pub(super) struct Received<'a> {
    /// The frame from its Ethernet header on.
    pub(super) frame: &'a [u8],
    /// When the kernel got it, `CLOCK_REALTIME`, ns.
    pub(super) realtime_ns: u64,
    /// The frame was longer than [`FRAME`].
    pub(super) truncated: bool,
    /// It was on its way out of the interface; only a tap sees such.
    pub(super) outgoing: bool,
}

impl PacketSocket {
    /// Opens and binds a socket to the interface with this index, in the namespace of the calling thread.
    pub(super) fn bind(interface: u32) -> io::Result<PacketSocket> {
        PacketSocket::open(interface, false)
    }

    /// The same, to watch what goes both ways.
    pub(super) fn tap(interface: u32) -> io::Result<PacketSocket> {
        PacketSocket::open(interface, true)
    }

    fn open(interface: u32, outgoing: bool) -> io::Result<PacketSocket> {
        // Protocol 0: nothing arrives before `bind` has named the interface.
        // SAFETY: plain system call; the result is checked.
        let raw = check(unsafe {
            libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
        })?;
        // SAFETY: the kernel has just given us this descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        set(raw, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        set(raw, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, libc::c_int::from(!outgoing))?;
        // FORCE needs CAP_NET_ADMIN in the first user namespace; the plain option is capped by a sysctl.
        set(raw, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER)
            .or_else(|_| set(raw, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER))?;
        set(raw, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, RECEIVE_BUFFER)
            .or_else(|_| set(raw, libc::SOL_SOCKET, libc::SO_SNDBUF, RECEIVE_BUFFER))?;
        // SAFETY: all-zero is a value of sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface.cast_signed();
        // SAFETY: the address is of the length given.
        check(unsafe {
            libc::bind(raw, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32)
        })?;
        // SAFETY: all-zero is a value of mmsghdr, iovec (null pointers, zero lengths) and sockaddr_ll.
        let (headers, vectors, names) = unsafe {
            (Box::new(std::mem::zeroed()), Box::new(std::mem::zeroed()), Box::new(std::mem::zeroed()))
        };
        let frames = vec![[0u8; FRAME]; BATCH]
            .into_boxed_slice()
            .try_into()
            .map_err(|_| io::Error::other("batch size"))?;
        let control = Box::new([Control([0; CONTROL]); BATCH]);
        let (taken, overflow) = (0, Cell::new(0));
        Ok(PacketSocket { fd, frames, control, headers, vectors, names, taken, overflow })
    }

    pub(super) fn raw(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Takes up to [`BATCH`] waiting frames; returns how many. Read them with [`PacketSocket::frame`].
    pub(super) fn receive(&mut self) -> io::Result<usize> {
        for i in 0..BATCH {
            self.vectors[i] = libc::iovec { iov_base: self.frames[i].as_mut_ptr().cast(), iov_len: FRAME };
            let header = &mut self.headers[i].msg_hdr;
            header.msg_name = (&raw mut self.names[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[i];
            header.msg_iovlen = 1;
            header.msg_control = self.control[i].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
            header.msg_flags = 0;
        }
        // SAFETY: every header points to a name, a vector, a frame and a control buffer of `self` with their true lengths.
        let got = unsafe {
            libc::recvmmsg(
                self.raw(),
                self.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        match check(got) {
            Ok(n) => {
                self.taken += u64::from(n.cast_unsigned());
                Ok(n.cast_unsigned() as usize)
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// The `i`-th frame of the last [`PacketSocket::receive`].
    pub(super) fn frame(&self, i: usize) -> Received<'_> {
        let header = &self.headers[i];
        let length = (header.msg_len as usize).min(FRAME);
        Received {
            frame: &self.frames[i][..length],
            realtime_ns: arrival(&header.msg_hdr),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            outgoing: self.names[i].sll_pkttype == libc::PACKET_OUTGOING,
        }
    }

    /// Sends frames in order; returns how many the kernel took. What it refuses is the caller's to count.
    pub(super) fn send<'a>(&self, frames: impl ExactSizeIterator<Item = &'a [u8]>) -> usize {
        debug_assert!(frames.len() <= BATCH);
        // SAFETY: all-zero is a value of mmsghdr and iovec.
        let (mut headers, mut vectors): ([libc::mmsghdr; BATCH], [libc::iovec; BATCH]) =
            unsafe { std::mem::zeroed() };
        let mut count = 0;
        for (i, frame) in frames.take(BATCH).enumerate() {
            vectors[i] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            headers[i].msg_hdr.msg_iov = &raw mut vectors[i];
            headers[i].msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let mut sent = 0;
        let mut refusals = 0;
        while sent < count && refusals < 3 {
            // SAFETY: headers[sent..count] point to frames that outlive the call; the kernel only reads them.
            let n = unsafe {
                libc::sendmmsg(
                    self.raw(),
                    headers[sent..].as_mut_ptr(),
                    (count - sent) as u32,
                    libc::MSG_DONTWAIT,
                )
            };
            if n > 0 {
                sent += n.cast_unsigned() as usize;
            } else {
                refusals += 1;
            }
        }
        sent
    }

    /// Frames handed over by [`PacketSocket::receive`] so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Frames that the kernel could not queue for us so far.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow.set(self.overflow.get() + self.take_overflow());
        self.overflow.get()
    }

    /// The same since the last call.
    pub(super) fn take_overflow(&self) -> u64 {
        // SAFETY: all-zero is a value of tpacket_stats.
        let mut stats: libc::tpacket_stats = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the buffer has the length given.
        let rc = unsafe {
            libc::getsockopt(
                self.raw(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut length,
            )
        };
        if rc == 0 { u64::from(stats.tp_drops) } else { 0 }
    }
}

/// Time of arrival from the control message, 0 if there is none.
fn arrival(header: &libc::msghdr) -> u64 {
    // SAFETY: the kernel filled the control buffer and set its length; the macros stay inside it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                return nanoseconds(time);
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    0
}

/// Whole nanoseconds of a clock reading.
pub(super) fn nanoseconds(time: libc::timespec) -> u64 {
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn set(fd: i32, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value outlives the call and has the length given.
    check(unsafe {
        libc::setsockopt(fd, level, option, (&raw const value).cast(), size_of::<libc::c_int>() as u32)
    })
    .map(|_| ())
}

fn check(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}
