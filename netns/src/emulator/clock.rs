//! The emulator's clock and its place in the scheduler.

use super::socket::nanoseconds;

/// `CLOCK_MONOTONIC`, ns.
pub(super) fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME`, ns since 1970.
pub(super) fn realtime() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// Nanoseconds to take from a realtime reading to get a monotonic one. The kernel stamps packets with realtime, which
/// may be stepped: so this is asked again for every batch.
pub(super) fn realtime_minus_monotonic() -> u64 {
    let before = monotonic();
    let real = realtime();
    let after = monotonic();
    real.saturating_sub(before.midpoint(after))
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    nanoseconds(time)
}

/// Asks for punctual wake-ups: timer slack of 1 ns (the default lets the kernel be 50 us late), pages kept in memory, and
/// with `fifo` the real-time class. Returns whether the real-time class was granted.
pub(super) fn become_punctual(fifo: bool) -> bool {
    // SAFETY: plain system calls without pointers (the one in sched_setscheduler outlives the call).
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1usize, 0usize, 0usize, 0usize);
        libc::mlockall(libc::MCL_CURRENT);
        if !fifo {
            // Its parent was in a hurry when it started this process.
            let parameters = libc::sched_param { sched_priority: 0 };
            libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters);
            return false;
        }
        let parameters = libc::sched_param { sched_priority: 10 };
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters) == 0
    }
}

/// Sleeps until a descriptor of `watched` is readable or `spin_ns` before `due` (monotonic; `None`: no limit). What is due
/// sooner is waited for without sleeping, by the caller's loop.
pub(super) fn sleep_until_due(watched: &mut [libc::pollfd], due: Option<u64>, spin_ns: u64) {
    match due.map(|at| at.saturating_sub(monotonic())) {
        Some(ns) if ns <= spin_ns => {}
        Some(ns) => sleep_until_readable(watched, Some(ns - spin_ns)),
        None => sleep_until_readable(watched, None),
    }
}

/// Sleeps until a descriptor of `watched` is readable or `ns` nanoseconds have passed (`None`: no limit).
fn sleep_until_readable(watched: &mut [libc::pollfd], ns: Option<u64>) {
    let timeout = ns.map(|ns| libc::timespec {
        tv_sec: (ns / 1_000_000_000).min(3600).cast_signed(),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array and the timeout outlive the call. EINTR and others just wake the loop.
    unsafe { libc::ppoll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, timeout, std::ptr::null()) };
}
