//! System calls that a tree may not make: a seccomp filter, which what it starts cannot take off.
//!
//! | refused | because |
//! |---|---|
//! | key rings | what is put there the other end can read, and it stays in the kernel afterwards |
//! | user namespaces, mounts | file systems and capabilities beyond the limits |
//! | files in memory (`memfd_create`) | memory that no limit sees; `/dev/shm` is there |
//! | sockets but of IP, Unix and netlink | a virtual machine's (`AF_VSOCK`) belong to no network namespace |
//! | `io_uring` | makes calls that no filter sees |
//! | `bpf`, `perf_event_open`, `userfaultfd`, `cachestat`, the kernel's log | views of the whole machine |
//! | another architecture's calls | would not be seen |

use std::io;

/// `linux/audit.h`: the architecture that this is compiled for; none for one whose calls are not known here.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// `linux/seccomp.h`, struct `seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const ALLOW: u32 = 0x7FFF_0000;
const REFUSE: u32 = 0x0005_0000;
/// The first number of x86-64's calls with 32-bit pointers.
const X32: u32 = 0x4000_0000;

const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Numbers that are the same on every architecture since Linux 5.1, of which the C library knows some only.
const CACHESTAT: libc::c_long = 451;

/// A program of the kernel's packet filter.
pub(super) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// The one that every tree has.
    pub(super) fn of_a_tree() -> Self {
        let Some(architecture) = ARCHITECTURE else { return Self(Vec::new()) };
        let mut program = Self(Vec::new());
        program.load(ARCH);
        program.skip_if_equal(architecture, 1);
        program.refuse(libc::ENOSYS);
        program.load(NUMBER);
        if cfg!(target_arch = "x86_64") {
            program.step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, X32, 0, 1);
            program.refuse(libc::ENOSYS);
        }
        // Programs go on without these, or say why not.
        for (call, error) in [
            (libc::SYS_add_key, libc::EPERM),
            (libc::SYS_request_key, libc::EPERM),
            (libc::SYS_keyctl, libc::EPERM),
            (libc::SYS_setns, libc::EPERM),
            (libc::SYS_mount, libc::EPERM),
            (libc::SYS_umount2, libc::EPERM),
            (libc::SYS_pivot_root, libc::EPERM),
            (libc::SYS_fsopen, libc::EPERM),
            (libc::SYS_open_tree, libc::EPERM),
            (libc::SYS_move_mount, libc::EPERM),
            (libc::SYS_mount_setattr, libc::EPERM),
            (libc::SYS_bpf, libc::EPERM),
            (libc::SYS_perf_event_open, libc::EPERM),
            (libc::SYS_userfaultfd, libc::EPERM),
            (libc::SYS_syslog, libc::EPERM),
            (libc::SYS_io_uring_setup, libc::ENOSYS),
            (libc::SYS_io_uring_enter, libc::ENOSYS),
            (libc::SYS_io_uring_register, libc::ENOSYS),
            (libc::SYS_memfd_create, libc::ENOSYS),
            (libc::SYS_memfd_secret, libc::ENOSYS),
            (CACHESTAT, libc::ENOSYS),
            // Its flags are behind a pointer, which a filter cannot read: C libraries then use `clone`.
            (libc::SYS_clone3, libc::ENOSYS),
        ] {
            program.unless_equal(call, 1);
            program.refuse(error);
        }
        for call in [libc::SYS_clone, libc::SYS_unshare] {
            program.unless_equal(call, 4);
            program.load(FIRST_ARGUMENT);
            program.step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, NAMESPACES.cast_unsigned(), 0, 1);
            program.refuse(libc::EPERM);
            program.allow();
        }
        for call in [libc::SYS_socket, libc::SYS_socketpair] {
            let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
            program.unless_equal(call, families.len() as u8 + 3);
            program.load(FIRST_ARGUMENT);
            for (i, family) in families.iter().enumerate() {
                program.skip_if_equal(family.cast_unsigned(), (families.len() - i) as u8);
            }
            program.refuse(libc::EAFNOSUPPORT);
            program.allow();
        }
        program.allow();
        program
    }

    fn step(&mut self, code: u32, k: u32, jt: u8, jf: u8) {
        self.0.push(libc::sock_filter { code: code as u16, jt, jf, k });
    }

    fn load(&mut self, at: u32) {
        // The lower half of an argument comes first on the architectures above.
        self.step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    }

    fn skip_if_equal(&mut self, value: u32, steps: u8) {
        self.step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, steps, 0);
    }

    /// Leaves the next `steps` out for every call but this.
    fn unless_equal(&mut self, call: libc::c_long, steps: u8) {
        self.step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32, 0, steps);
    }

    fn refuse(&mut self, error: libc::c_int) {
        self.step(libc::BPF_RET | libc::BPF_K, REFUSE | error.cast_unsigned(), 0, 0);
    }

    fn allow(&mut self) {
        self.step(libc::BPF_RET | libc::BPF_K, ALLOW, 0, 0);
    }

    /// Puts it on this process and all that it starts. Between fork and exec: allocates nothing.
    ///
    /// # Errors
    /// When the kernel has no filters.
    pub(super) fn put_on(&self) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: plain system calls; the kernel copies the program.
        let rc = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0)
        };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
