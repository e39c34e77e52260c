//! The list of mounts that makes a tree's root, worked out before the fork.

use super::{Sandbox, TreeLimits, text};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

/// Something of the machine that a tree sees, at its own path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file or folder, to be read.
    Read(PathBuf),
    /// A file or folder, to be written.
    Write(PathBuf),
    /// A folder that is empty there, or a file without content, whatever the machine has.
    Hide(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Place::Read(p) | Place::Write(p) | Place::Hide(p) => p,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Place::Read(_) => 0,
            Place::Hide(_) => 1,
            Place::Write(_) => 2,
        }
    }
}

/// Folders of the system's own that every tree may read.
pub struct System;

impl System {
    /// Their paths. What of them is not there is left out.
    pub const FOLDERS: [&str; 13] = [
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/etc",
        "/opt",
        "/nix",
        "/gnu",
        "/sys",
        "/var/cache/fontconfig",
    ];

    /// Whether a path lies in one of them.
    #[must_use]
    pub fn holds(path: &Path) -> bool {
        Self::FOLDERS.iter().any(|f| path.starts_with(f))
    }
}

/// Devices that every tree has; those of graphics cards where there are any.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// One step of building the root.
pub(super) enum Step {
    Folder(CString),
    File(CString),
    Link {
        to: CString,
        at: CString,
    },
    /// `mount(2)`; flags are the kernel's.
    Mount {
        source: CString,
        at: CString,
        kind: CString,
        flags: libc::c_ulong,
        data: CString,
    },
    /// Makes a mount and those below it read-only and without setuid.
    Protect(CString),
}

/// Everything that is needed between fork and exec.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) root: CString,
    pub(super) proc: CString,
    pub(super) pid_max: CString,
    pub(super) pid_max_path: CString,
    pub(super) cwd: CString,
    pub(super) limits: TreeLimits,
    /// Not root of anything: a user namespace is needed, with these lines for its maps.
    pub(super) user: Option<[CString; 2]>,
}

impl Plan {
    pub(super) fn of(sandbox: &Sandbox) -> io::Result<Plan> {
        let mut builder =
            Builder { root: sandbox.staging.canonicalize()?, made: BTreeSet::new(), steps: Vec::new() };
        builder.tmpfs(Path::new("/"), "mode=0755,size=64m")?;
        builder.folder(Path::new("/proc"))?;
        let tmp = sandbox.limits.tmp;
        builder.devices(tmp)?;
        builder.tmpfs(Path::new("/tmp"), &format!("mode=1777,size={tmp}"))?;
        for folder in ["/var/tmp", "/run"] {
            builder.tmpfs(Path::new(folder), &format!("mode=1777,size={tmp}"))?;
        }
        let mut places: Vec<Place> = System::FOLDERS.iter().map(|f| Place::Read(PathBuf::from(f))).collect();
        places.extend(sandbox.places.iter().cloned());
        // What lies deeper comes later, so that it is seen above what holds it.
        places.sort_by(|a, b| a.path().cmp(b.path()).then(a.rank().cmp(&b.rank())));
        places.dedup();
        for place in &places {
            builder.place(place)?;
        }
        let cwd = builder.links(&sandbox.cwd)?;
        builder.folder(&cwd)?;
        let user = (crate::privilege::privilege().is_none())
            .then(|| -> io::Result<_> {
                let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
                Ok([CString::new(format!("{uid} {uid} 1"))?, CString::new(format!("{gid} {gid} 1"))?])
            })
            .transpose()?;
        Ok(Plan {
            proc: text(&builder.inside(Path::new("/proc")))?,
            pid_max_path: text(&builder.inside(Path::new("/proc/sys/kernel/pid_max")))?,
            // The largest number, of which those below 300 are given out only once. Above the limit, so that going beyond is seen.
            pid_max: CString::new((sandbox.limits.processes + 400).to_string())?,
            root: text(&builder.root)?,
            steps: builder.steps,
            cwd: text(&cwd)?,
            limits: sandbox.limits,
            user,
        })
    }
}

struct Builder {
    root: PathBuf,
    made: BTreeSet<PathBuf>,
    steps: Vec<Step>,
}

impl Builder {
    /// Where a path of the tree is while its root is being built.
    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut above: Vec<&Path> =
            path.ancestors().filter(|a| *a != Path::new("/") && *a != Path::new("")).collect();
        above.reverse();
        for folder in above {
            if self.made.insert(folder.to_owned()) {
                self.steps.push(Step::Folder(text(&self.inside(folder))?));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        self.steps.push(Step::File(text(&self.inside(path))?));
        Ok(())
    }

    fn mount(
        &mut self,
        source: &Path,
        at: &Path,
        kind: &str,
        flags: libc::c_ulong,
        data: &str,
    ) -> io::Result<()> {
        self.steps.push(Step::Mount {
            source: text(source)?,
            at: text(&self.inside(at))?,
            kind: CString::new(kind)?,
            flags,
            data: CString::new(data)?,
        });
        Ok(())
    }

    fn tmpfs(&mut self, at: &Path, data: &str) -> io::Result<()> {
        self.folder(at)?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        self.mount(Path::new("tmpfs"), at, "tmpfs", flags, data)
    }

    fn bind(&mut self, path: &Path, at: &Path, is_folder: bool) -> io::Result<()> {
        if is_folder {
            self.folder(at)?;
        } else {
            self.file(at)?;
        }
        self.mount(path, at, "", libc::MS_BIND | libc::MS_REC, "")
    }

    fn place(&mut self, place: &Place) -> io::Result<()> {
        // What is not there cannot be shown, and need not be hidden.
        let Ok(real) = std::fs::metadata(place.path()) else { return Ok(()) };
        let is_folder = real.is_dir();
        // A mount must not follow a link out of the root that is being built: links are made, and their targets shown.
        let path = &self.links(place.path())?;
        match place {
            Place::Read(_) => {
                self.bind(path, path, is_folder)?;
                self.steps.push(Step::Protect(text(&self.inside(path))?));
            }
            Place::Write(_) => self.bind(path, path, is_folder)?,
            Place::Hide(_) if is_folder => {
                self.tmpfs(path, "mode=0755,size=1m")?;
                // What was made below is hidden, too.
                self.made.retain(|m| !m.starts_with(path) || m == path);
            }
            Place::Hide(_) => self.bind(Path::new("/dev/null"), path, false)?,
        }
        Ok(())
    }

    /// Makes the links on the way to `path` and gives the path without them.
    fn links(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut path = path.to_owned();
        for _ in 0..40 {
            let mut prefixes: Vec<&Path> = path.ancestors().collect();
            prefixes.reverse();
            let is_link = |p: &&Path| std::fs::symlink_metadata(p).is_ok_and(|m| m.is_symlink());
            let Some(link) = prefixes.into_iter().find(is_link).map(Path::to_owned) else { return Ok(path) };
            let to = std::fs::read_link(&link)?;
            let parent = link.parent().unwrap_or(Path::new("/"));
            if self.made.insert(link.clone()) {
                self.folder(parent)?;
                self.steps.push(Step::Link { to: text(&to)?, at: text(&self.inside(&link))? });
            }
            let rest = path.strip_prefix(&link).unwrap_or(Path::new(""));
            path = parent.join(&to).join(rest).canonicalize()?;
        }
        path.canonicalize()
    }

    fn devices(&mut self, shm: u64) -> io::Result<()> {
        let dev = Path::new("/dev");
        self.folder(dev)?;
        self.mount(Path::new("tmpfs"), dev, "tmpfs", libc::MS_NOSUID, "mode=0755,size=1m")?;
        let cards = std::fs::read_dir("/dev").into_iter().flatten().flatten().map(|e| e.path());
        let cards = cards.filter(|p| {
            let name = p.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("nvidia") || name == "dri" || name == "kfd"
        });
        for path in DEVICES.iter().map(|d| dev.join(d)).chain(cards) {
            if let Ok(found) = std::fs::metadata(&path) {
                self.bind(&path, &path, found.is_dir())?;
            }
        }
        for (name, to) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
        {
            self.steps.push(Step::Link { to: CString::new(to)?, at: text(&self.inside(&dev.join(name)))? });
        }
        self.tmpfs(&dev.join("shm"), &format!("mode=1777,size={shm}"))
    }
}
