//! What is mounted where on this machine.

use std::path::{Path, PathBuf};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub(super) point: PathBuf,
    kind: String,
}

/// File systems of the kernel's, which a tree has of its own or not at all.
const NOT_SHOWN: [&str; 14] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "mqueue",
    "cgroup",
    "cgroup2",
    "autofs",
    "debugfs",
    "tracefs",
    "bpf",
    "securityfs",
    "configfs",
    "nsfs",
];

impl Mount {
    /// Whether who sees `folder` sees this below it.
    pub(super) fn shown_below(&self, folder: &Path) -> bool {
        self.point != folder && self.point.starts_with(folder) && !NOT_SHOWN.contains(&self.kind.as_str())
    }
}

/// Every mount that this process sees.
pub(super) fn of_this_process() -> Vec<Mount> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(of_line).collect()
}

/// proc_pid_mountinfo(5): number, parent, device, root, point, options ..., "-", kind, source, options.
fn of_line(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let point = unescaped(before.split(' ').nth(4)?);
    Some(Mount { point: PathBuf::from(point), kind: after.split(' ').next()?.to_owned() })
}

/// Space, tab, line break and backslash are written as `\` and three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = text.to_owned();
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_is_read() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402/a rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = of_line(line).unwrap();
        assert_eq!(mount, Mount { point: "/mnt 2/a".into(), kind: "ext3".into() });
        assert!(mount.shown_below(Path::new("/mnt 2")));
        assert!(!mount.shown_below(Path::new("/mnt 2/a")));
        assert!(!mount.shown_below(Path::new("/mnt")));
    }
}
