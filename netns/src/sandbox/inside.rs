//! Between fork and exec: system calls only. Nothing here allocates, locks or unwinds, because the process is a fork of one
//! with threads.

use super::build::{Plan, Step};
use super::filter::Filter;
use super::{KIND_EXIT, KIND_MEMORY, KIND_PROCESSES, KIND_SHARED};
use std::ffi::CStr;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::ptr::{null, null_mut};

/// What the child is to become.
#[allow(clippy::large_enum_variant)] // there is one, and it is read after a fork
pub(super) enum Work {
    /// The program of a tree of its own.
    Boxed(Plan),
    /// A program whose descendants are kept together and nothing else.
    Loose(Filter),
}

/// How often a tree's use of memory and processes is looked at.
const LOOK_MS: libc::c_int = 20;

/// Runs in the harness's direct child. Returns in the process that is to execute the program; the guardian and the init stay
/// in here until the tree is gone.
pub(super) fn enter(work: &Work, network: Option<i32>, life: i32, report: i32) -> Result<()> {
    // SAFETY: plain system calls on descriptors and memory that outlive them; results are checked.
    unsafe {
        // Ctrl-C in the harness's terminal is the harness's to handle.
        libc::setsid();
        if let Some(network) = network {
            check(libc::setns(network, libc::CLONE_NEWNET))?;
        }
        match work {
            Work::Loose(filter) => {
                libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
                let program = fork()?;
                if program > 0 {
                    guard_loose(program, life, report);
                }
                libc::setsid();
                filter.put_on()
            }
            Work::Boxed(plan) => {
                let mut spaces =
                    libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWPID;
                if plan.maps.is_some() {
                    spaces |= libc::CLONE_NEWUSER;
                }
                if network.is_none() {
                    spaces |= libc::CLONE_NEWNET;
                }
                check(libc::unshare(spaces))?;
                if let Some([uid, gid]) = &plan.maps {
                    write_file(c"/proc/self/setgroups", b"deny")?;
                    write_file(c"/proc/self/uid_map", uid.to_bytes())?;
                    write_file(c"/proc/self/gid_map", gid.to_bytes())?;
                }
                let init = fork()?;
                if init > 0 {
                    guard(init, life);
                }
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                build(plan, report)?;
                let program = fork()?;
                if program > 0 {
                    be_init(plan, program, report);
                }
                confine(plan)
            }
        }
    }
}

fn check(rc: libc::c_int) -> Result<libc::c_int> {
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(rc) }
}

/// Not the C library's: that one runs the handlers of every library of the harness.
unsafe fn fork() -> Result<libc::c_int> {
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    check(pid as libc::c_int)
}

unsafe fn write_file(path: &CStr, content: &[u8]) -> Result<()> {
    unsafe {
        let fd = check(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
        let n = libc::write(fd, content.as_ptr().cast(), content.len());
        let error = Error::last_os_error();
        libc::close(fd);
        if n < 0 { Err(error) } else { Ok(()) }
    }
}

/// Closes every descriptor but one.
unsafe fn keep_only(fd: i32) {
    unsafe {
        let fd = fd.cast_unsigned();
        if fd > 0 {
            libc::syscall(libc::SYS_close_range, 0, fd - 1, 0);
        }
        libc::syscall(libc::SYS_close_range, fd + 1, u32::MAX, 0);
    }
}

/// Waits for the init's end, or ends it when the harness lets go of `life`.
unsafe fn guard(init: i32, life: i32) -> ! {
    unsafe {
        keep_only(life);
        let pidfd = libc::syscall(libc::SYS_pidfd_open, init, 0) as i32;
        let mut watched = [
            libc::pollfd { fd: life, events: 0, revents: 0 },
            libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 },
        ];
        loop {
            libc::poll(watched.as_mut_ptr(), 2, if pidfd < 0 { LOOK_MS } else { -1 });
            if watched[0].revents != 0 {
                libc::kill(init, libc::SIGKILL);
                watched[0].fd = -1;
                watched[0].revents = 0;
            }
            let mut status = 0;
            let waited = libc::waitpid(init, &raw mut status, libc::WNOHANG);
            if waited == init || (waited < 0 && *libc::__errno_location() == libc::ECHILD) {
                libc::_exit(0);
            }
        }
    }
}

/// The same without a PID namespace: every process that was orphaned below has become a child of this one.
unsafe fn guard_loose(program: i32, life: i32, report: i32) -> ! {
    unsafe {
        let report = check(libc::fcntl(report, libc::F_DUPFD, 3)).unwrap_or(report);
        let (low, high) = (life.min(report).cast_unsigned(), life.max(report).cast_unsigned());
        if low > 0 {
            libc::syscall(libc::SYS_close_range, 0, low - 1, 0);
        }
        if high > low + 1 {
            libc::syscall(libc::SYS_close_range, low + 1, high - 1, 0);
        }
        libc::syscall(libc::SYS_close_range, high + 1, u32::MAX, 0);
        let mut watched = libc::pollfd { fd: life, events: 0, revents: 0 };
        loop {
            libc::poll(&raw mut watched, 1, LOOK_MS);
            let mut status = 0;
            let waited = libc::waitpid(-1, &raw mut status, libc::WNOHANG);
            if waited == program {
                tell(report, KIND_EXIT, 0, status);
            }
            if waited == program || watched.revents != 0 {
                // The program leads a group of its own; whoever left it is found as a child.
                libc::kill(-program, libc::SIGKILL);
                loop {
                    kill_children();
                    let waited = libc::waitpid(-1, null_mut(), libc::WNOHANG);
                    if waited < 0 {
                        libc::_exit(0);
                    }
                    if waited == 0 {
                        libc::usleep(1000);
                    }
                }
            }
        }
    }
}

/// Kills every direct child of this process.
unsafe fn kill_children() {
    unsafe {
        let fd = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return;
        }
        let mut buffer = [0u8; 4096];
        let n = libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(fd);
        let mut pid = 0i32;
        for byte in &buffer[..usize::try_from(n).unwrap_or(0)] {
            if byte.is_ascii_digit() {
                pid = pid.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
            } else {
                if pid > 1 {
                    libc::kill(pid, libc::SIGKILL);
                }
                pid = 0;
            }
        }
    }
}

unsafe fn tell(report: i32, kind: u64, value: u64, status: i32) {
    let words = [kind, value, status.cast_unsigned().into()];
    unsafe { libc::write(report, words.as_ptr().cast(), size_of_val(&words)) };
}

/// Builds the root, moves into it, and leaves the machine's behind.
unsafe fn build(plan: &Plan, report: i32) -> Result<()> {
    unsafe {
        let mask = libc::umask(0o022);
        check(libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE, null()))?;
        for step in &plan.steps {
            match step {
                Step::Folder(path) => {
                    if libc::mkdir(path.as_ptr(), 0o755) < 0 && *libc::__errno_location() != libc::EEXIST {
                        return Err(Error::last_os_error());
                    }
                }
                Step::Open(path) => {
                    check(libc::mkdir(path.as_ptr(), 0o777))?;
                    check(libc::chmod(path.as_ptr(), 0o1777))?;
                }
                Step::Content { at, bytes } => write_file(at, bytes)?,
                Step::Device { at, from, device, number } => {
                    if libc::mknod(at.as_ptr(), libc::S_IFCHR | 0o666, *device) == 0 {
                        check(libc::chmod(at.as_ptr(), 0o666))?;
                    } else {
                        let flags = libc::O_CREAT | libc::O_RDONLY | libc::O_CLOEXEC;
                        libc::close(check(libc::open(at.as_ptr(), flags, 0o644 as libc::c_uint))?);
                        check(libc::mount(from.as_ptr(), at.as_ptr(), null(), libc::MS_BIND, null()))?;
                        tell(report, KIND_SHARED, *number, 0);
                    }
                }
                Step::View { source, at, own, number } => {
                    if !view(plan, source, at, *own)? {
                        tell(report, KIND_SHARED, *number, 0);
                    }
                }
                Step::Kernel { at, number } => {
                    let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
                    let kind = c"sysfs".as_ptr();
                    if libc::mount(kind, at.as_ptr(), kind, flags, null()) < 0 {
                        let flags = libc::MS_BIND | libc::MS_REC;
                        check(libc::mount(c"/sys".as_ptr(), at.as_ptr(), null(), flags, null()))?;
                        protect(at)?;
                        tell(report, KIND_SHARED, *number, 0);
                    }
                }
                Step::Shared(number) => tell(report, KIND_SHARED, *number, 0),
                Step::Leave(path) => {
                    // Some of these are folders and nothing else.
                    libc::umount2(path.as_ptr(), libc::MNT_DETACH);
                    check(libc::rmdir(path.as_ptr()))?;
                }
                Step::File(path) => {
                    let flags = libc::O_CREAT | libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
                    let fd = libc::open(path.as_ptr(), flags, 0o644 as libc::c_uint);
                    // One that cannot be opened is there all the same.
                    if fd >= 0 {
                        libc::close(fd);
                    }
                }
                Step::Link { to, at } => {
                    // Where what holds it is shown as it is, the link is there already.
                    let there = [libc::EEXIST, libc::EROFS];
                    if libc::symlink(to.as_ptr(), at.as_ptr()) < 0
                        && !there.contains(&*libc::__errno_location())
                    {
                        return Err(Error::last_os_error());
                    }
                }
                Step::Mount { source, at, kind, flags, data } => {
                    let optional = |text: &CStr| if text.is_empty() { null() } else { text.as_ptr() };
                    let data = optional(data).cast();
                    check(libc::mount(source.as_ptr(), at.as_ptr(), optional(kind), *flags, data))?;
                }
                Step::Protect(path) => protect(path)?,
            }
        }
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        check(libc::mount(c"proc".as_ptr(), plan.proc.as_ptr(), c"proc".as_ptr(), flags, null()))?;
        // A PID namespace of Linux 6.14 and newer has a limit of its own; before, the look below is the only one.
        let _ = write_file(&plan.pid_max_path, plan.pid_max.to_bytes());
        let bounded = write_file(&plan.shm_all_path, plan.shm_all.to_bytes());
        // It is for root, or who is root of the user namespace.
        if plan.maps.is_none() {
            bounded?;
        }
        let again = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | flags;
        check(libc::mount(null(), plan.proc.as_ptr(), null(), again, null()))?;
        for path in &plan.masked {
            // What this kernel does not have needs no mask.
            if libc::access(path.as_ptr(), libc::F_OK) == 0 {
                check(libc::mount(plan.null.as_ptr(), path.as_ptr(), null(), libc::MS_BIND, null()))?;
            }
        }
        check(libc::chdir(plan.root.as_ptr()))?;
        if libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) == 0 {
            check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        } else {
            // The machine's root is the initial RAM disk, which cannot be put aside.
            check(libc::mount(c".".as_ptr(), c"/".as_ptr(), null(), libc::MS_MOVE, null()))?;
            check(libc::chroot(c".".as_ptr()))?;
        }
        check(libc::chdir(c"/".as_ptr()))?;
        libc::umask(mask);
        Ok(())
    }
}

/// Shows what is in `source` at `at`: through a file system of layers, whose inodes are its own. False: `source` itself, because
/// its file system cannot be a layer. What is mounted below it is not seen in either case.
unsafe fn view(plan: &Plan, source: &CStr, at: &CStr, own: bool) -> Result<bool> {
    // linux/mount.h
    const CLONE: libc::c_uint = 1;
    const RECURSIVE: libc::c_uint = 0x8000;
    const FROM_DESCRIPTOR: libc::c_uint = 4;
    const OTHER_OWNERS: u64 = 0x10_0000;
    unsafe {
        let open = |more: libc::c_uint| {
            let flags = CLONE | libc::O_CLOEXEC.cast_unsigned() | more;
            libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, source.as_ptr(), flags) as i32
        };
        let mut tree = open(0);
        if tree < 0 {
            // In a user namespace what is mounted below a folder cannot be left out.
            tree = check(open(RECURSIVE))?;
        }
        if let Some(owner) = plan.owner.as_ref().filter(|_| own) {
            let attributes = Attributes {
                set: OTHER_OWNERS,
                user_namespace: owner.as_raw_fd() as u64,
                ..Attributes::default()
            };
            // Where a file system cannot, what root alone can read stays unreadable.
            let _ = set_attributes(tree, c"", libc::AT_EMPTY_PATH.cast_unsigned(), &attributes);
        }
        let moved = libc::syscall(
            libc::SYS_move_mount,
            tree,
            c"".as_ptr(),
            libc::AT_FDCWD,
            plan.layer.as_ptr(),
            FROM_DESCRIPTOR,
        ) as i32;
        libc::close(tree);
        check(moved)?;
        // From the root that is being built, because a path may hold what separates layers. `proc` is empty yet.
        check(libc::chdir(plan.root.as_ptr()))?;
        let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV;
        let (kind, layers) = (c"overlay".as_ptr(), c"lowerdir=.layer:proc".as_ptr());
        if libc::mount(kind, at.as_ptr(), kind, flags, layers.cast()) == 0 {
            check(libc::umount2(plan.layer.as_ptr(), libc::MNT_DETACH))?;
            return Ok(true);
        }
        check(libc::mount(plan.layer.as_ptr(), at.as_ptr(), null(), libc::MS_MOVE, null()))?;
        protect(at)?;
        Ok(false)
    }
}

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// `mount_setattr(2)` of Linux 5.12.
unsafe fn set_attributes(
    folder: i32,
    path: &CStr,
    flags: libc::c_uint,
    attributes: &Attributes,
) -> Result<()> {
    let size = size_of::<Attributes>();
    let at = std::ptr::from_ref(attributes);
    let rc = unsafe { libc::syscall(libc::SYS_mount_setattr, folder, path.as_ptr(), flags, at, size) };
    check(rc as libc::c_int).map(|_| ())
}

/// Makes a mount and those below it read-only and without setuid, and undoes nothing that they have.
unsafe fn protect(path: &CStr) -> Result<()> {
    const RECURSIVE: libc::c_uint = 0x8000;
    const READ_ONLY: u64 = 1;
    const NO_SETUID: u64 = 2;
    let attributes = Attributes { set: READ_ONLY | NO_SETUID, ..Attributes::default() };
    unsafe { set_attributes(libc::AT_FDCWD, path, RECURSIVE, &attributes) }
}

/// The last steps of the program's own process: nothing after this could be undone by it.
unsafe fn confine(plan: &Plan) -> Result<()> {
    unsafe {
        // A group that signals reach together, and a priority like any other's.
        libc::setsid();
        for (resource, limit) in [
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_NOFILE, plan.limits.open_files),
            (libc::RLIMIT_FSIZE, plan.limits.file),
        ] {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            // Beyond what this process itself may have: it then keeps that.
            libc::setrlimit(resource, &raw const limit);
        }
        if plan.maps.is_some() || plan.user.is_some() {
            // A user of its own has no other processes: going beyond is to be seen, not refused.
            let more = if plan.user.is_some() { 200 } else { 0 };
            let limit = u64::from(plan.limits.processes) + more;
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit);
        }
        check(libc::chdir(plan.cwd.as_ptr()))?;
        let close_on_exec = 4;
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, close_on_exec);
        give_up_root(plan.user)?;
        plan.filter.put_on()
    }
}

/// No capability, now or by any execution: not in the bounding set, and being root gives none. Becomes `user`, if there is one.
unsafe fn give_up_root(user: Option<u32>) -> Result<()> {
    // linux/securebits.h: NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each with its lock.
    const SECURE_BITS: libc::c_ulong = 0b11 | 0b11 << 2 | 0b11 << 6;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    unsafe {
        for capability in 0..64 as libc::c_ulong {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0);
        if let Some(user) = user {
            for pipe in 0..3 {
                let mut found: libc::stat = std::mem::zeroed();
                // `/dev/stdout` is opened anew, by its owner.
                if libc::fstat(pipe, &raw mut found) == 0 && found.st_mode & libc::S_IFMT == libc::S_IFIFO {
                    check(libc::fchown(pipe, user, user))?;
                }
            }
            check(libc::syscall(libc::SYS_setgroups, 0, null::<libc::gid_t>()) as libc::c_int)?;
            // Not the C library's, which would tell every thread that the harness had.
            check(libc::syscall(libc::SYS_setresgid, user, user, user) as libc::c_int)?;
            check(libc::syscall(libc::SYS_setresuid, user, user, user) as libc::c_int)?;
        }
        let header = Header { version: VERSION_3, pid: 0 };
        let none = [0u32; 6];
        check(libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) as libc::c_int)?;
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        Ok(())
    }
}

/// PID 1: reaps whoever is orphaned, looks at what the tree uses, and ends with the program.
unsafe fn be_init(plan: &Plan, program: i32, report: i32) -> ! {
    unsafe {
        keep_only(report);
        // Neither its memory (a copy of the harness's) nor itself may be looked at from inside.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, -10);
        let pidfd = libc::syscall(libc::SYS_pidfd_open, program, 0) as i32;
        let mut looks_without = 0;
        loop {
            let mut watched = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
            libc::poll(&raw mut watched, 1, LOOK_MS);
            loop {
                let mut status = 0;
                let waited = libc::waitpid(-1, &raw mut status, libc::WNOHANG);
                if waited <= 0 {
                    break;
                }
                if waited == program {
                    tell(report, KIND_EXIT, 0, status);
                    libc::_exit(0);
                }
            }
            let used = usage(plan.limits.processes, false);
            if used.tasks > u64::from(plan.limits.processes) {
                tell(report, KIND_PROCESSES, used.tasks, libc::SIGKILL);
                libc::_exit(0);
            }
            if looks_without > 0 {
                looks_without -= 1;
            } else if used.kib << 10 > plan.limits.memory {
                // Perhaps only because processes share it.
                let used = usage(plan.limits.processes, true);
                if used.kib << 10 > plan.limits.memory {
                    tell(report, KIND_MEMORY, used.kib << 10, libc::SIGKILL);
                    libc::_exit(0);
                }
                looks_without = 10;
            }
        }
    }
}

/// What a tree uses.
#[derive(Clone, Copy, Default)]
struct Usage {
    /// Threads of all processes.
    tasks: u64,
    /// KiB of memory that is no file's: private, and shared between processes.
    kib: u64,
}

/// What every process but this one uses. Memory that several share counts for each of them, unless it is to be `exact`, which takes
/// the kernel milliseconds per GiB.
unsafe fn usage(enough: u32, exact: bool) -> Usage {
    let mut used = Usage::default();
    unsafe {
        let folder = libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        if folder < 0 {
            return used;
        }
        // Aligned as the kernel's records are.
        let mut buffer = [0u64; 512];
        'all: loop {
            let n = libc::syscall(libc::SYS_getdents64, folder, buffer.as_mut_ptr(), size_of_val(&buffer));
            if n <= 0 {
                break;
            }
            let bytes = std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), n.unsigned_abs() as usize);
            let mut at = 0;
            while at + 19 < bytes.len() {
                // struct linux_dirent64: inode 8, offset 8, length 2, type 1, name.
                let length = usize::from(u16::from_ne_bytes([bytes[at + 16], bytes[at + 17]]));
                let name = &bytes[at + 19..];
                at += length.max(20);
                let Some(pid) = number(name) else { continue };
                if pid == 1 {
                    continue;
                }
                let one = of_process(folder, name, exact);
                used.tasks += one.tasks;
                used.kib += one.kib;
                if used.tasks > u64::from(enough) {
                    break 'all;
                }
            }
        }
        libc::close(folder);
    }
    used
}

unsafe fn of_process(folder: i32, name: &[u8], exact: bool) -> Usage {
    let mut content = [0u8; 4096];
    unsafe {
        let n = read_below(folder, name, b"/status\0", &mut content);
        let status = &content[..n];
        let tasks = field(status, b"Threads:").unwrap_or(1);
        let mut kib = 0;
        for what in [&b"RssAnon:"[..], b"RssShmem:", b"VmSwap:"] {
            kib += field(status, what).unwrap_or(0);
        }
        if exact {
            let n = read_below(folder, name, b"/smaps_rollup\0", &mut content);
            // Each page divided by how many processes have it. Absent for a process that has just ended.
            let shares = &content[..n];
            kib = 0;
            for what in [&b"Pss_Anon:"[..], b"Pss_Shmem:", b"SwapPss:"] {
                kib += field(shares, what).unwrap_or(0);
            }
        }
        Usage { tasks, kib }
    }
}

/// The number after `name` at the beginning of a line.
fn field(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text.split(|b| *b == b'\n').find(|l| l.starts_with(name))?;
    let digits = line.iter().position(u8::is_ascii_digit)?;
    number(&line[digits..])
}

unsafe fn read_below(folder: i32, name: &[u8], file: &[u8], into: &mut [u8]) -> usize {
    let mut path = [0u8; 32];
    let digits = name.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits + file.len() > path.len() {
        return 0;
    }
    path[..digits].copy_from_slice(&name[..digits]);
    path[digits..digits + file.len()].copy_from_slice(file);
    unsafe {
        let fd = libc::openat(folder, path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return 0;
        }
        let n = libc::read(fd, into.as_mut_ptr().cast(), into.len());
        libc::close(fd);
        usize::try_from(n).unwrap_or(0)
    }
}

/// The number that `text` begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 18 {
        return None;
    }
    Some(text[..digits].iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')))
}
