//! The list of mounts that makes a tree's root, worked out before the fork.

use super::filter::Filter;
use super::mounts::{self, Mount};
use super::{Sandbox, TreeLimits, text, user};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
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
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
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
    pub const FOLDERS: [&str; 12] = [
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
        "/var/cache/fontconfig",
    ];

    /// Whether a path lies in one of them, or among what the kernel shows.
    #[must_use]
    pub fn holds(path: &Path) -> bool {
        Self::FOLDERS.iter().any(|f| path.starts_with(f)) || path.starts_with("/sys")
    }
}

/// Devices that every tree has; those of graphics cards where there are any.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// What of `/proc` tells of the whole machine and helps no program.
const MASKED: [&str; 8] =
    ["keys", "key-users", "kcore", "locks", "timer_list", "sched_debug", "latency_stats", "kallsyms"];

/// A mounted file (a container's `/etc/hosts`) of up to so many bytes is copied.
const SMALL: u64 = 1 << 20;
/// Where things are while the root is being built; nothing of it stays.
const LAYER: &str = "/.layer";
const SCRATCH: &str = "/.scratch";
const FILES: &str = "/.files";
const COPIES: &str = "/.copies";

/// One step of building the root.
pub(super) enum Step {
    Folder(CString),
    /// A folder that everybody may write into, as `/tmp` is.
    Open(CString),
    File(CString),
    /// A file with this in it.
    Content {
        at: CString,
        bytes: Vec<u8>,
    },
    /// A device node of the tree's own; where that is not permitted the machine's, which `number` names.
    Device {
        at: CString,
        from: CString,
        device: libc::dev_t,
        number: u64,
    },
    /// What is in a folder, to be read, as inodes of the tree's own: locks and leases on them are seen by nobody else. Where
    /// its file system does not allow that, the folder itself, which `number` names.
    View {
        source: CString,
        at: CString,
        /// Root's files are the tree's user's.
        own: bool,
        number: u64,
    },
    /// What the kernel shows of the machine, with the devices of the tree's own network.
    Kernel {
        at: CString,
        number: u64,
    },
    /// What this number stands for is the machine's own inode.
    Shared(u64),
    /// Takes what was mounted there away, and the folder.
    Leave(CString),
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
    /// Where a view's folder is mounted while the view is made.
    pub(super) layer: CString,
    pub(super) proc: CString,
    /// Files of `/proc` that are hidden by `null`.
    pub(super) masked: Vec<CString>,
    pub(super) null: CString,
    pub(super) pid_max: CString,
    pub(super) pid_max_path: CString,
    /// Pages of System V shared memory.
    pub(super) shm_all: CString,
    pub(super) shm_all_path: CString,
    pub(super) cwd: CString,
    pub(super) limits: TreeLimits,
    /// Not root of anything: a user namespace is needed, with these lines for its maps.
    pub(super) maps: Option<[CString; 2]>,
    /// Whom the program runs as, and the namespace in which root's files are that user's.
    pub(super) user: Option<u32>,
    pub(super) owner: Option<OwnedFd>,
    pub(super) filter: Filter,
    /// What the numbers of steps stand for.
    pub(super) numbered: Vec<PathBuf>,
}

impl Plan {
    pub(super) fn of(sandbox: &Sandbox) -> io::Result<Plan> {
        let mut builder = Builder {
            root: sandbox.staging.canonicalize()?,
            made: BTreeSet::new(),
            steps: Vec::new(),
            numbered: Vec::new(),
            parents: Vec::new(),
            copies: 0,
            mounts: mounts::of_this_process(),
        };
        builder.tmpfs(Path::new("/"), "mode=0755,size=64m")?;
        for folder in ["/proc", "/sys", LAYER, FILES] {
            builder.folder(Path::new(folder))?;
        }
        let number = builder.number(Path::new("/sys"));
        builder.steps.push(Step::Kernel { at: text(&builder.inside(Path::new("/sys")))?, number });
        builder.devices()?;
        builder.scratch(sandbox.limits.tmp)?;
        // A path is compared, and what hides it must be the last word, whatever way it was written.
        let real = |p: &Path| p.canonicalize().ok();
        let mut places: Vec<(PathBuf, Place)> = System::FOLDERS
            .iter()
            .map(|f| Place::Read(PathBuf::from(f)))
            .chain(sandbox.places.iter().cloned())
            // What is not there cannot be shown, and need not be hidden.
            .filter_map(|place| Some((real(place.path())?, place)))
            .collect();
        let hidden: Vec<PathBuf> =
            places.iter().filter(|(_, p)| matches!(p, Place::Hide(_))).map(|(r, _)| r.clone()).collect();
        let below: Vec<(PathBuf, Place)> = places
            .iter()
            .filter(|(real, place)| matches!(place, Place::Read(_)) && real.is_dir())
            .flat_map(|(real, _)| {
                builder.mounts.iter().filter(|m| m.shown_below(real)).map(|m| m.point.clone())
            })
            .filter(|point| !hidden.iter().any(|h| point.starts_with(h)))
            .map(|point| (point.clone(), Place::Read(point)))
            .collect();
        places.extend(below);
        // What lies deeper comes later, so that it is seen above what holds it.
        places.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.rank().cmp(&b.1.rank())));
        places.dedup();
        for (i, (real, place)) in places.iter().enumerate() {
            // Only the way there is missing where what holds it is shown already.
            if matches!(place, Place::Read(_)) && builder.is_covered(&places[..i], real) {
                builder.links(place.path())?;
            } else {
                builder.place(real, place)?;
            }
        }
        let cwd = builder.links(&sandbox.cwd)?;
        builder.folder(&cwd)?;
        builder.leave_the_rest()?;
        let maps = (crate::privilege::privilege().is_none())
            .then(|| -> io::Result<_> {
                let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
                Ok([CString::new(format!("{uid} {uid} 1"))?, CString::new(format!("{gid} {gid} 1"))?])
            })
            .transpose()?;
        let inside = |path: &str| text(&builder.inside(Path::new(path)));
        Ok(Plan {
            layer: inside(LAYER)?,
            proc: inside("/proc")?,
            masked: MASKED.iter().map(|m| inside(&format!("/proc/{m}"))).collect::<io::Result<_>>()?,
            null: inside("/dev/null")?,
            pid_max_path: inside("/proc/sys/kernel/pid_max")?,
            // The largest number, of which those below 300 are given out only once. Above the limit, so that going beyond is seen.
            pid_max: CString::new((sandbox.limits.processes + 400).to_string())?,
            shm_all_path: inside("/proc/sys/kernel/shmall")?,
            shm_all: CString::new((sandbox.limits.tmp / 4096).to_string())?,
            root: text(&builder.root)?,
            steps: builder.steps,
            cwd: text(&cwd)?,
            limits: sandbox.limits,
            maps,
            user: sandbox.user,
            // Without it, what only root can read stays unreadable.
            owner: sandbox.user.and_then(|u| user::roots_files_as(u).ok()),
            filter: Filter::of_a_tree(),
            numbered: builder.numbered,
        })
    }
}

struct Builder {
    root: PathBuf,
    made: BTreeSet<PathBuf>,
    steps: Vec<Step>,
    numbered: Vec<PathBuf>,
    /// Folders of which single files are shown, each viewed at a place of its own meanwhile.
    parents: Vec<PathBuf>,
    /// Mounted files that are copied.
    copies: usize,
    mounts: Vec<Mount>,
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

    /// What the message of a step calls `path`.
    fn number(&mut self, path: &Path) -> u64 {
        self.numbered.push(path.to_owned());
        self.numbered.len() as u64 - 1
    }

    /// One file system for all that is gone afterwards: the temporary folders and the home directory.
    fn scratch(&mut self, size: u64) -> io::Result<()> {
        let scratch = Path::new(SCRATCH);
        self.tmpfs(scratch, &format!("mode=0755,size={size},nr_inodes=200000"))?;
        let home =
            std::env::var_os("HOME").map(PathBuf::from).filter(|h| h.is_absolute() && h.parent().is_some());
        let home = home.map(|h| h.canonicalize().unwrap_or(h)).filter(|h| {
            let taken = ["/tmp", "/var/tmp", "/run", "/dev", "/proc"];
            !System::holds(h) && !taken.iter().any(|t| h.starts_with(t))
        });
        let at = ["/tmp", "/var/tmp", "/run", "/dev/shm"].map(PathBuf::from);
        for (i, path) in at.into_iter().chain(home).enumerate() {
            let from = self.inside(&scratch.join(i.to_string()));
            self.steps.push(Step::Open(text(&from)?));
            self.bind(&from, &path, true)?;
        }
        Ok(())
    }

    /// Takes away what was there for building only.
    fn leave_the_rest(&mut self) -> io::Result<()> {
        let views: Vec<PathBuf> =
            (0..self.parents.len()).map(|i| Path::new(FILES).join(i.to_string())).collect();
        let copies = (self.copies > 0).then_some(COPIES);
        let others = [FILES, SCRATCH, LAYER].into_iter().chain(copies).map(Path::new);
        for path in views.iter().map(PathBuf::as_path).chain(others) {
            self.steps.push(Step::Leave(text(&self.inside(path))?));
        }
        Ok(())
    }

    /// Whether one of the folders `before` shows `path` just as it is to be seen.
    fn is_covered(&self, before: &[(PathBuf, Place)], path: &Path) -> bool {
        let holding: Vec<&(PathBuf, Place)> =
            before.iter().filter(|(real, _)| path.starts_with(real)).collect();
        let Some((folder, _)) = holding.iter().rev().find(|(_, p)| matches!(p, Place::Read(_))) else {
            return false;
        };
        let changed =
            holding.iter().any(|(real, p)| !matches!(p, Place::Read(_)) && real.starts_with(folder));
        let mounted = self
            .mounts
            .iter()
            .any(|m| m.point != *folder && m.point.starts_with(folder) && path.starts_with(&m.point));
        !changed && !mounted && System::holds(folder) == System::holds(path)
    }

    fn place(&mut self, real: &Path, place: &Place) -> io::Result<()> {
        let is_folder = real.is_dir();
        // A mount must not follow a link out of the root that is being built: links are made, and their targets shown.
        self.links(place.path())?;
        match place {
            Place::Read(_) if is_folder => self.view(real, real),
            Place::Read(_) => self.read_file(real),
            Place::Write(_) => self.bind(real, real, is_folder),
            Place::Hide(_) if is_folder => {
                self.tmpfs(real, "mode=0755,size=1m")?;
                // What was made below is hidden, too.
                self.made.retain(|m| !m.starts_with(real) || m == real);
                Ok(())
            }
            Place::Hide(_) => self.bind(Path::new("/dev/null"), real, false),
        }
    }

    fn view(&mut self, source: &Path, at: &Path) -> io::Result<()> {
        self.folder(at)?;
        let number = self.number(source);
        let own = !System::holds(source);
        let (source, at) = (text(source)?, text(&self.inside(at))?);
        self.steps.push(Step::View { source, at, own, number });
        Ok(())
    }

    /// A file by itself: out of a view of its folder, so that its inode is the tree's own, too.
    fn read_file(&mut self, path: &Path) -> io::Result<()> {
        if self.mounts.iter().any(|m| m.point == path) {
            if std::fs::metadata(path)?.len() <= SMALL {
                return self.copied_file(path);
            }
            let number = self.number(path);
            self.steps.push(Step::Shared(number));
            self.bind(path, path, false)?;
            self.steps.push(Step::Protect(text(&self.inside(path))?));
            return Ok(());
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let known = self.parents.iter().position(|p| p == parent);
        let i = known.unwrap_or(self.parents.len());
        let view = Path::new(FILES).join(i.to_string());
        if known.is_none() {
            self.parents.push(parent.to_owned());
            self.view(parent, &view)?;
        }
        let from = self.inside(&view.join(name));
        self.bind(&from, path, false)?;
        self.steps.push(Step::Protect(text(&self.inside(path))?));
        Ok(())
    }

    /// A copy, bound to its place: the folder that shows it may be there already, read-only.
    fn copied_file(&mut self, path: &Path) -> io::Result<()> {
        let bytes = std::fs::read(path)?;
        if self.copies == 0 {
            self.tmpfs(Path::new(COPIES), "mode=0755,size=64m")?;
        }
        let copy = Path::new(COPIES).join(self.copies.to_string());
        self.copies += 1;
        let from = self.inside(&copy);
        self.file(&copy)?;
        self.steps.push(Step::Content { at: text(&from)?, bytes });
        self.bind(&from, path, false)?;
        self.steps.push(Step::Protect(text(&self.inside(path))?));
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

    fn devices(&mut self) -> io::Result<()> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let dev = Path::new("/dev");
        self.folder(dev)?;
        self.mount(Path::new("tmpfs"), dev, "tmpfs", libc::MS_NOSUID, "mode=0755,size=1m")?;
        let inside =
            |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
        let cards = inside(dev).filter(|p| {
            let name = p.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("nvidia") || name == "dri" || name == "kfd"
        });
        for path in DEVICES.iter().map(|d| dev.join(d)).chain(cards) {
            let nodes = if path.is_dir() { inside(&path).collect() } else { vec![path] };
            for path in nodes {
                let Ok(found) = std::fs::metadata(&path) else { continue };
                if !found.file_type().is_char_device() {
                    continue;
                }
                if let Some(parent) = path.parent() {
                    self.folder(parent)?;
                }
                let number = self.number(&path);
                let (at, from) = (text(&self.inside(&path))?, text(&path)?);
                self.steps.push(Step::Device { at, from, device: found.rdev(), number });
            }
        }
        for (name, to) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
        {
            self.steps.push(Step::Link { to: CString::new(to)?, at: text(&self.inside(&dev.join(name)))? });
        }
        Ok(())
    }
}
