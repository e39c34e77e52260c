//! Root, or root of a user namespace.

use crate::error::LabError;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};
use std::path::Path;

/// How this process may create network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// `CAP_SYS_ADMIN` is held, by root of the machine or of a container that grants it.
    Root,
    /// Root of a user namespace that this process (or its parent) entered.
    Rootless,
}

/// How this process may create network namespaces now; `None` if it may not.
#[must_use]
pub fn privilege() -> Option<Privilege> {
    // CapEff of /proc/self/status: CAP_NET_ADMIN is bit 12, CAP_SYS_ADMIN bit 21 (linux/capability.h).
    const NEEDED: u64 = 1 << 12 | 1 << 21;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    if u64::from_str_radix(effective.trim(), 16).ok()? & NEEDED != NEEDED {
        return None;
    }
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    Some(if whole { Privilege::Root } else { Privilege::Rootless })
}

/// Makes sure that this process can build labs: does nothing as root, else enters a user and a mount namespace, as root of
/// which everything in this crate works, with a private `/run`. The network of the process stays the host's.
///
/// Call it at the start of `main`: the kernel lets only a process with one thread enter a user namespace.
///
/// # Errors
/// [`LabError::NotPermitted`] with the setting that forbids it.
pub fn become_capable() -> Result<Privilege, LabError> {
    if let Some(held) = privilege() {
        return Ok(held);
    }
    let (uid, gid) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(|e| LabError::NotPermitted { reason: why_refused(e) })?;
    let write = |file: &str, text: String| {
        std::fs::write(Path::new("/proc/self").join(file), text)
            .map_err(|e| LabError::NotPermitted { reason: format!("cannot write /proc/self/{file}: {e}") })
    };
    write("uid_map", format!("0 {uid} 1"))?;
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("0 {gid} 1"))?;
    // Private first, or the mounts below would be refused (or seen outside). `/run` is where `ip netns` looks.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .and_then(|()| {
            mount(
                Some("tmpfs"),
                "/run",
                Some("tmpfs"),
                MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
                Some("mode=0755"),
            )
        })
        .map_err(|e| LabError::NotPermitted { reason: format!("cannot mount a private /run: {e}") })?;
    privilege().ok_or_else(|| LabError::NotPermitted {
        reason: "the new user namespace grants no network namespaces".to_owned(),
    })
}

fn why_refused(error: nix::errno::Errno) -> String {
    let setting = |path: &str| std::fs::read_to_string(path).ok().map(|s| s.trim().to_owned());
    let sysctl = "/proc/sys/kernel";
    if setting(&format!("{sysctl}/apparmor_restrict_unprivileged_userns")).as_deref() == Some("1") {
        return "AppArmor forbids user namespaces; allow them with `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run as root".to_owned();
    }
    if setting(&format!("{sysctl}/unprivileged_userns_clone")).as_deref() == Some("0") {
        return "user namespaces are switched off; allow them with `sudo sysctl kernel.unprivileged_userns_clone=1`, or run as root".to_owned();
    }
    if setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return "user.max_user_namespaces is 0; raise it with `sudo sysctl user.max_user_namespaces=10000`, or run as root".to_owned();
    }
    if error == nix::errno::Errno::EINVAL {
        return "the process has several threads already: call netns::become_capable() at the start of main"
            .to_owned();
    }
    format!(
        "unshare(CLONE_NEWUSER): {error}; a container may need --privileged or --cap-add SYS_ADMIN,NET_ADMIN"
    )
}
