//! Raises the calling thread to real-time priority while a lab is made or removed.

/// While it lives the calling thread is in the real-time class, and so are the threads and processes that it starts then. Building
/// or removing a lab is some ten milliseconds of work in hundreds of system calls; on a busy machine an ordinary thread waits for
/// its turn between them for ten times as long. Without permission nothing changes.
pub(crate) struct RealTime {
    before: Option<(libc::c_int, libc::sched_param)>,
}

/// Below the emulator's: a lab under construction makes no packet of another one late.
const PRIORITY: libc::c_int = 5;

impl RealTime {
    pub(crate) fn begin() -> RealTime {
        let mut held = libc::sched_param { sched_priority: 0 };
        // SAFETY: plain system calls about the calling thread; both structures outlive them.
        let before = unsafe {
            let policy = libc::sched_getscheduler(0);
            let known = policy >= 0 && libc::sched_getparam(0, &raw mut held) == 0;
            let wanted = libc::sched_param { sched_priority: PRIORITY };
            // A thread that is in the real-time class already stays as it is.
            let ordinary = known && policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_OTHER;
            (ordinary && libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const wanted) == 0)
                .then_some((policy, held))
        };
        RealTime { before }
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if let Some((policy, parameters)) = self.before {
            // SAFETY: as above.
            unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> libc::c_int {
        // SAFETY: no memory is involved.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn urgency_ends_where_it_began() {
        let before = policy();
        let real_time = RealTime::begin();
        let granted = real_time.before.is_some();
        assert_eq!(policy(), if granted { libc::SCHED_FIFO } else { before });
        drop(real_time);
        assert_eq!(policy(), before);
    }
}
